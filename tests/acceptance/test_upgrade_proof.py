"""An installation of before registers and evidence: the upgrade makes their role, their schema, and loses nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from hygie.base.layout import DataFolder
from hygie.database.embedded import EmbeddedPostgres
from tests.acceptance.conftest import Installation

ADDED = [
    "0007_proof",
    "0008_segments",
    "0009_exit",
    "0010_suspension",
    "0011_applications",
    "0013_authenticators",
    "0014_people_sign_in",
]
PERSON = ("employer=Hygie", "function=RSSI", "starts_on=2026-01-05")


def as_before(server: EmbeddedPostgres, secrets: Path) -> None:
    """What a version that knew neither registers nor evidence left: no schema, no role, no password, no history."""
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as owner:
        owner.execute("DROP TABLE hygie.proof_object")
        owner.execute("DROP TABLE hygie.exit_destruction, hygie.exit_consent, hygie.exit_export")
        owner.execute("DROP SCHEMA hygie_proof CASCADE")
        owner.execute("ALTER TABLE hygie.token DROP COLUMN exception")
        owner.execute("DROP TABLE hygie.person_session, hygie.session_cut")
        owner.execute("DROP FUNCTION hygie.activate")
        owner.execute("DROP TABLE hygie.authenticator, hygie.authenticator_use, hygie.sign_in")
        owner.execute("DROP TABLE hygie.client_key, hygie.session_end, hygie.assertion")
        owner.execute("ALTER TABLE hygie.habilitation DROP COLUMN suspended_ms, DROP COLUMN types")
        owner.execute("DROP OWNED BY hygie_console")
        owner.execute("DROP ROLE hygie_console")
        owner.execute("DELETE FROM hygie.migration WHERE scope = '' AND name >= '0007'")
    known = json.loads(secrets.read_bytes())
    del known["hygie_console"]
    secrets.write_text(json.dumps(known))


def test_an_embedded_database_gets_role_schema_and_password(installation: Installation) -> None:
    folder = DataFolder.at(installation.data)
    created = installation.fhir("PUT", "Patient/u1", {"resourceType": "Patient", "id": "u1"})
    assert created.status == 201
    installation.hygie("posture", "--now")  # makes the account that knocks at the door: a right, counted as a change
    as_before_while_stopped(installation, folder.postgres_secrets)
    assert installation.hygie("upgrade", "--check")["migrations"] == ADDED
    done = installation.hygie("upgrade")
    assert done["migrations"] == ADDED
    installation.up()
    assert installation.fhir("GET", "Patient/u1").status == 200
    installation.hygie("register", "add", "person", "name=Anne Martin", *PERSON)
    assert installation.hygie("register", "verify")["writes"] == 1
    installation.hygie("posture", "--now")
    evaluations = installation.hygie("evidence", "verify")["writes"]
    assert evaluations >= 1
    # back to the copy of before, which knows no registers: the sites have them
    installation.wait_for(lambda: list((installation.data / "sites").glob("*/proof/records/*")))
    installation.down()
    assert installation.hygie("upgrade", "--back", "--confirm", "back")["version"]
    assert installation.hygie("upgrade")["migrations"] == ADDED
    installation.up()
    installation.wait_for(lambda: installation.hygie("register", "show", "person"))
    (person,) = installation.hygie("register", "show", "person")
    assert person["fields"]["name"] == "Anne Martin"
    assert installation.hygie("register", "verify")["writes"] == 1
    assert installation.hygie("evidence", "verify")["writes"] >= evaluations


def as_before_while_stopped(made: Installation, secrets: Path) -> None:
    """The database alone runs while its history is changed: no process of this version holds its role."""
    made.down()
    server = EmbeddedPostgres(made.data, DataFolder.at(made.data).run)
    server.start()
    try:
        as_before(server, secrets)
    finally:
        server.stop()


def test_going_back_is_refused_while_registers_are_in_the_database_alone(installation: Installation) -> None:
    installation.down()
    folder = DataFolder.at(installation.data)
    server = EmbeddedPostgres(installation.data, folder.run)
    server.start()
    try:
        with psycopg.connect(server.dsns().owner, autocommit=True) as owner:
            owner.execute("UPDATE hygie_proof.head SET seq = seq + 1 WHERE log = 'records'")
    finally:
        server.stop()
    refused = installation.hygie("upgrade", "--back", "--confirm", "back", exit_code=10)["error"]
    assert refused["code"] == "HYG-195"
    assert "(logs)" in refused["message"]


@pytest.fixture
def managed(tmp_path: Path) -> Iterator[tuple[Installation, EmbeddedPostgres]]:
    """An installation on a server that somebody else runs."""
    from tests.acceptance.conftest import new_installation

    other = EmbeddedPostgres(tmp_path / "server", tmp_path / "server" / "run", durable=False)
    other.start()
    made = new_installation(tmp_path)
    settings = made.data / "hygie.toml"
    dsn = other.dsns().owner.replace("\\", "\\\\").replace('"', '\\"')
    text = settings.read_text()
    settings.write_text(re.sub(r"(?m)^\[database\]$", f'[database]\ndsn = "{dsn}"', text))
    try:
        yield made, other
    finally:
        made.down()
        other.stop()


def test_a_managed_database_gets_them_too(managed: tuple[Installation, EmbeddedPostgres]) -> None:
    made, other = managed
    made.up()
    made.down()
    as_before(other, DataFolder.at(made.data).postgres_secrets)
    assert made.hygie("upgrade", "--check")["migrations"] == ADDED
    assert made.hygie("upgrade", exit_code=60)["error"]["code"] == "HYG-692"
    assert made.hygie("upgrade", "--no-copy")["migrations"] == ADDED
    made.up()
    made.hygie("register", "add", "person", "name=Anne Martin", *PERSON)
    assert made.hygie("register", "verify")["writes"] == 1
