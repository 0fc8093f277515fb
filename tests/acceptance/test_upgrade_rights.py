"""Going back to the copy taken before an upgrade never brings a revoked right back."""

from __future__ import annotations

import shutil
from pathlib import Path

import psycopg
import pytest

import hygie
from hygie.app import dsns_of
from hygie.base.layout import DataFolder
from hygie.base.settings import load_settings
from tests.acceptance.conftest import Installation


def test_a_token_revoked_since_the_copy_stays_revoked(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stolen = installation.hygie("token", "create", "app", "chu", "prod")
    assert installation.fhir("GET", "Patient/absent", token=stolen["token"]).status == 404
    installation.down()
    source, later = Path(hygie.__file__).parent, tmp_path / "later" / "hygie"
    shutil.copytree(source, later, ignore=shutil.ignore_patterns("__pycache__"))
    more = later / "database" / "migrations" / "0099_later.sql"
    more.write_text("CREATE TABLE hygie.later (id integer PRIMARY KEY);\n")
    with monkeypatch.context() as newer:
        newer.setenv("PYTHONPATH", str(later.parent))
        assert installation.hygie("upgrade")["migrations"] == ["0099_later"]
        installation.up()
        installation.hygie("token", "revoke", stolen["id"])
        installation.down()
    refused = installation.hygie("upgrade", "--back", "--confirm", "back", exit_code=10)
    assert refused["error"]["code"] == "HYG-195"
    assert "hygie rebuild" in refused["error"]["message"]
    # the way that the sentence gives: the former version, without the later database
    (installation.data / "postgres").rename(installation.data / "postgres.later")
    assert installation.hygie("rebuild", "--from", "lyon")["imported"]
    installation.up()
    assert installation.fhir("GET", "Patient/absent", token=stolen["token"]).status == 401
    assert installation.fhir("GET", "Patient/absent").status == 404


def test_an_installation_of_before_rows_had_macs_keeps_its_rights(installation: Installation) -> None:
    """As a version that knew no MAC left it, with a right that somebody wrote by SQL then: the journal tells it."""
    folder = DataFolder.at(installation.data)
    files = (Path(hygie.__file__).parent / "database" / "migrations").glob("*.sql")
    later = sorted(path.stem for path in files if path.stem >= "0005")
    with psycopg.connect(dsns_of(load_settings(folder.path), folder).owner, autocommit=True) as owner:
        for table in ("account", "token", "habilitation"):
            owner.execute(f"ALTER TABLE hygie.{table} DROP COLUMN mac".encode())
        owner.execute("DROP FUNCTION hygie.trim_measurements")  # what 0006 makes
        owner.execute("DROP SCHEMA hygie_proof CASCADE")  # what 0007 makes
        owner.execute("DROP TABLE hygie.proof_object")  # 0008
        owner.execute("DROP TABLE hygie.exit_destruction, hygie.exit_consent, hygie.exit_export")  # 0009
        owner.execute("ALTER TABLE hygie.habilitation DROP COLUMN suspended_ms, DROP COLUMN types")  # 0010, 0011
        owner.execute("ALTER TABLE hygie.token DROP COLUMN exception")
        owner.execute("DROP TABLE hygie.person_session, hygie.session_cut")  # 0014
        owner.execute("DROP FUNCTION hygie.activate")  # 0013
        owner.execute("DROP TABLE hygie.authenticator, hygie.authenticator_use, hygie.sign_in")
        owner.execute("DROP TABLE hygie.client_key, hygie.session_end, hygie.assertion")  # 0011
        owner.execute("DELETE FROM hygie.migration WHERE scope = '' AND name >= '0005'")
        owner.execute(
            "INSERT INTO hygie.habilitation SELECT 'forged', account, environment, 'reader', reason, approver,"
            " starts_ms, ends_ms FROM hygie.habilitation LIMIT 1"
        )
    installation.down()
    assert installation.hygie("upgrade")["migrations"] == later
    installation.up()
    assert installation.fhir("GET", "Patient/absent").status == 404
    (upgraded,) = installation.hygie("journal", "show", "--action", "platform:upgrade", "--limit", "1")
    assert int(upgraded["detail"]["adopted"]) >= 3
    refused = installation.hygie("journal", "reconcile", exit_code=50)["error"]
    assert refused["code"] == "HYG-562"
    assert "habilitation forged (unsaid)" in refused["message"]
    installation.hygie("habilitation", "revoke", "forged")
    assert installation.hygie("journal", "reconcile")["wrong"] == []
