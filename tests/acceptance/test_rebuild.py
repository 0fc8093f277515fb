"""The database is thrown away and comes back from one site, as a person does it: real commands, real doors."""

from __future__ import annotations

import asyncio
import json
import secrets
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import Installation

PATIENTS = 6
SITE = "lyon"


@pytest.fixture(scope="module")
def filled(installation: Installation) -> Installation:
    """Patients with an observation each; p0 has two versions, p1 is deleted, p2 is erased; one token is revoked."""
    for number in range(PATIENTS):
        body = {"resourceType": "Patient", "id": f"p{number}", "name": [{"family": f"Zephyrin{number}"}]}
        assert installation.fhir("PUT", f"Patient/p{number}", body).status == 201
        subject = {"reference": f"Patient/p{number}"}
        code = {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]}
        body = {"resourceType": "Observation", "status": "final", "code": code, "subject": subject}
        assert installation.fhir("POST", "Observation", body).status == 201
    second = {"resourceType": "Patient", "id": "p0", "name": [{"family": "Zephyrin0bis"}]}
    assert installation.fhir("PUT", "Patient/p0", second).status == 200
    assert installation.fhir("DELETE", "Patient/p1").status in {200, 204}
    asyncio.run(erase(installation, "p2"))
    assert installation.fhir("GET", "Patient/p2").status == 410
    return installation


async def erase(made: Installation, patient: str) -> None:
    """Destroy a patient's key on an instruction, without the epoch change that would kill older copies of it."""
    from hygie.app import open_administration, open_house, opened
    from hygie.base.actions import Action
    from hygie.base.legal_basis import LegalBasis
    from hygie.gate.local import LocalOperator
    from hygie.hosting import open_hosting
    from hygie.keys.erasure import instruct
    from hygie.vault.erase import Eraser

    async with (
        open_house(made.data) as house,
        open_hosting(house) as hosting,
        opened(house.dsns.owner, size=2) as owner,
        open_administration(house, "local:test") as acts,
    ):
        place = (await acts.environment("chu", "prod")).place
        eraser = Eraser(
            await house.context(place),
            database=hosting.database,
            platform=owner,
            owner_dsn=house.dsns.owner,
            kms=house.kms,
            journal=hosting.journal,
            clock=house.clock,
        )
        permit = LocalOperator(hosting.journal, house.clock, "local:test").permit(Action.PATIENT_ERASE, place)
        target = await eraser.find(patient)
        now_ms = house.clock.now_ms()
        instruction = instruct(
            erasure_id=secrets.token_hex(16),
            tenant_id=place.tenant_id.hex(),
            environment_id=place.environment_id.hex(),
            compartment_id=target.compartment.hex(),
            controller="chu",
            instructed_by="dpo",
            legal_basis=LegalBasis.CONSENT_WITHDRAWN.value,
            reference="T-1",
            retention_checked_by="chief",
            retention_note="no-legal-hold",
            instructed_at_ms=now_ms,
            decided_at_ms=now_ms,
            intent_permit=permit.permit_id.hex(),
        )
        await eraser.erase(permit, instruction, target)


def seen(made: Installation) -> dict[str, Any]:
    """What an application sees: reads, versions, history and searches, or the code that refuses."""
    paths = [f"Patient/p{number}" for number in range(PATIENTS)]
    paths += ["Patient/p0/_history/1", "Patient/p0/_history/2"]
    paths += [f"Observation?patient=p{number}&code=8867-4" for number in range(PATIENTS)]
    found: dict[str, Any] = {}
    for path in paths:
        answer = made.fhir("GET", path)
        body = answer.json
        found[path] = (answer.status, [e["resource"] for e in body.get("entry", [])] if "?" in path else body)
    history = made.fhir("GET", "Patient/p0/_history").json
    found["history"] = [entry["resource"]["meta"]["versionId"] for entry in history["entry"]]
    return found


def windows(made: Installation) -> dict[str, bool]:
    """One planned window that counts, one withdrawn."""
    found: dict[str, bool] = {}
    for days in (10, 11):
        start = datetime.now(UTC) + timedelta(days=days)
        span = ("--from", start.isoformat(), "--to", (start + timedelta(hours=1)).isoformat())
        (id_,) = made.hygie("availability", "window", "--tenant", "chu", *span, "--reason", "new kernel")
        found[id_] = days == 10
    made.hygie("availability", "cancel", id_)
    return found


def lose_database(made: Installation) -> None:
    made.down()
    shutil.rmtree(made.data / "postgres")


def packs_of(made: Installation) -> list[Path]:
    return sorted((made.data / "sites" / SITE / "packs").rglob("*.pack"))


def test_everything_comes_back_from_one_site(filled: Installation) -> None:
    revoked = filled.hygie("token", "create", "app", "chu", "prod")
    filled.hygie("token", "revoke", revoked["id"])
    assert filled.fhir("GET", "Patient/p0", token=revoked["token"]).status == 401
    before, planned = seen(filled), windows(filled)
    assert before["Patient/p2"][0] == 410
    assert before["Patient/p0"][0] == 200
    filled.journal_published()
    lose_database(filled)
    report = filled.hygie("rebuild", "--from", SITE)
    assert report["whole"]
    assert report["windows"] == 2
    assert report["imported"]
    assert report["entries"] > 0
    (environment,) = report["environments"]
    assert (environment["tenant"], environment["environment"]) == ("chu", "prod")
    assert environment["erased"] == 1
    assert environment["missing"] == []
    filled.up()
    listed = filled.hygie("availability", "windows", "chu")
    assert {one["id"]: one["counts"] for one in listed} == planned
    after = seen(filled)
    for path, (_, body) in ((path, pair) for path, pair in after.items() if path != "history"):
        if path == "Patient/p2":
            continue
        assert body == before[path][1], path
    assert after["history"] == before["history"]
    assert after["Patient/p2"][0] in {404, 410}
    assert "Zephyrin2" not in json.dumps(after)
    assert filled.fhir("GET", "Patient/p0", token=revoked["token"]).status == 401
    found = filled.hygie("journal", "reconcile")
    assert (found["wrong"], found["cut"], found["compared"]) == ([], [], True)
    # what is written next goes on from there
    body = {"resourceType": "Patient", "id": "p0", "name": [{"family": "Zephyrin0ter"}]}
    assert filled.fhir("PUT", "Patient/p0", body).json["meta"]["versionId"] == "3"
    assert filled.fhir("PUT", "Patient/later", {"resourceType": "Patient", "id": "later"}).status == 201


def test_a_living_database_is_left_alone(filled: Installation) -> None:
    filled.down()
    assert filled.hygie("rebuild", "--from", SITE, exit_code=10)["error"]["code"] == "HYG-156"
    assert filled.hygie("rebuild", "--from", "atlantis", exit_code=30)["error"]["code"] == "HYG-300"
    filled.up()
    assert filled.fhir("GET", "Patient/p0").status == 200


def test_what_the_site_lacks_is_named(filled: Installation) -> None:
    """Last: the rebuilt place lacks what its only source lacked, until another site gives it."""
    lose_database(filled)
    lost = packs_of(filled)[0]
    lost.unlink()
    done = filled.run("--json", "rebuild", "--from", SITE)
    assert done.returncode == 50
    assert json.loads(done.stderr.strip().rsplit("\n", 1)[-1])["error"]["code"] == "HYG-553"
    report = json.loads(done.stdout)
    assert not report["whole"]
    missing = [name for one in report["environments"] for name in one["missing"]]
    assert [Path(name).name for name in missing] == [lost.name]
    assert lost.name in done.stderr
    other = next(path.name for path in sorted((filled.data / "sites").iterdir()) if path.name != SITE)
    assert filled.hygie("rebuild", "--from", other, "--discard", "--confirm", other)["whole"]
    filled.up()
    assert filled.fhir("GET", "Patient/p3").status == 200
