"""Going back to the copy taken before an upgrade never brings a revoked right back."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import hygie
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
