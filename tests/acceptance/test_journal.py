"""The journal by its commands, on a real installation: shown, exported, verified, reconciled with the key record."""

from __future__ import annotations

import asyncio
import json
import secrets
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from hygie import __version__
from tests.acceptance.conftest import Installation


@pytest.fixture(scope="module")
def filled(installation: Installation) -> Installation:
    """Two patients written and read, and a stranger refused."""
    for number in range(2):
        body = {"resourceType": "Patient", "id": f"p{number}", "name": [{"family": f"Zephyrin{number}"}]}
        assert installation.fhir("PUT", f"Patient/p{number}", body).status == 201
        assert installation.fhir("GET", f"Patient/p{number}").status == 200
    assert installation.fhir("GET", "Patient/p0", token="hyg_nobody").status == 401
    wait_published(installation)
    return installation


def wait_published(made: Installation) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        status: dict[str, Any] = made.hygie("journal", "status")
        return status if status["published"] == status["size"] and not status["pending"] else None

    found: dict[str, Any] = made.wait_for(look)
    return found


def test_entries_are_shown_filtered_and_the_reading_is_journaled(filled: Installation) -> None:
    rows = filled.hygie("journal", "show", "--tenant", "chu", "--limit", "100")
    assert {"object:create", "object:read"} <= {row["action"] for row in rows}
    assert [row["index"] for row in rows] == sorted(row["index"] for row in rows)
    assert len({row["tenant_id"] for row in rows}) == 1
    assert "Zephyrin" not in json.dumps(rows)
    reads = filled.hygie("journal", "show", "--action", "object:read", "--outcome", "done", "--limit", "1")
    assert [row["action"] for row in reads] == ["object:read"]
    assert filled.hygie("journal", "show", "--action", "session:refused")
    (began,) = filled.hygie("journal", "show", "--action", "platform:start")
    assert (began["account"], began["detail"]["version"]) == ("system:work", __version__)
    assert set(began["detail"]) == {"version", "program"}
    wait_published(filled)
    seen = filled.hygie("journal", "show", "--action", "journal:read", "--since", "1h")
    assert seen[0]["account"].startswith("local:")
    assert filled.hygie("journal", "show", "--since", "2999-01-01") == []
    people = filled.run("journal", "show", "--tenant", "chu", language="fr")
    assert "object:create" in people.stdout
    assert "issue" in people.stdout


def test_who_touched_one_patient_is_shown_and_handed_over_with_its_proof(filled: Installation, tmp_path: Path) -> None:
    rows = filled.hygie("traces", "show", "chu", "prod", "p1")
    assert [row["action"] for row in rows] == ["object:create", "object:read"]
    (subject,) = {row["subject"] for row in rows}
    assert {row["account"] for row in rows} == {"app"}
    people = filled.run("traces", "show", "chu", "prod", "p1", language="fr")
    assert people.stdout.count("object:read") == 1
    assert "Zephyrin" not in people.stdout
    done = filled.hygie("traces", "export", str(tmp_path / "p1.zip"), "chu", "prod", "p1")
    assert done["disclosed"] == 2 < done["entries"]
    verified = subprocess.run(
        [sys.executable, "-m", "hygie.verify.main", str(tmp_path / "p1.zip"), "--show", "--json"],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    told = json.loads(verified.stdout)["shown"]
    assert {one["subject"] for one in told} == {subject}
    assert len(told) == 2
    for words in (("chu", "prod", "nobody"), ("chu", "none", "p1"), ("none", "prod", "p1")):
        assert filled.hygie("traces", "show", *words, exit_code=30)["error"]["code"] == "HYG-300"
    wait_published(filled)
    (read, *_) = filled.hygie("journal", "show", "--tenant", "chu", "--action", "journal:read", "--limit", "1")
    assert read["environment_id"]


def test_wrong_filters_are_refused(filled: Installation) -> None:
    for words in (("--action", "object:red"), ("--outcome", "fine"), ("--since", "yesterday")):
        assert filled.hygie("journal", "show", *words, exit_code=10)["error"]["code"] == "HYG-100"
    assert filled.hygie("journal", "show", "--tenant", "nobody", exit_code=30)["error"]["code"] == "HYG-300"


def test_status_says_how_far_it_is(filled: Installation) -> None:
    status = wait_published(filled)
    assert status["size"] > 5
    assert status["cosigned_ms"] is not None
    assert 0 <= status["age_ms"] < 600_000
    assert status["origin"].startswith("hygie/")


def test_an_export_is_verified_alone_and_a_changed_bit_is_named(filled: Installation, tmp_path: Path) -> None:
    keys = filled.hygie("journal", "key")
    path = tmp_path / "journal"
    done = filled.hygie("journal", "export", str(path), "--disclose")
    assert done["entries"] == done["disclosed"] > 0
    words = ("--key", keys["log"], "--witness", keys["witness"])
    alone = subprocess.run(
        [sys.executable, "-m", "hygie.verify", str(path), *words, "--json"], capture_output=True, text=True, check=False
    )
    assert json.loads(alone.stdout)["whole"], alone.stderr
    selected = tmp_path / "chu.zip"
    count = filled.hygie("journal", "export", str(selected), "--tenant", "chu")
    assert count["disclosed"] == 0
    assert 0 < count["entries"] < done["entries"] + 2
    leaves = max((path / "tile").rglob("*"), key=lambda one: one.stat().st_size if "entries" in str(one) else 0)
    raw = bytearray(leaves.read_bytes())
    raw[len(raw) // 2] ^= 1
    leaves.write_bytes(bytes(raw))
    bad = subprocess.run(
        [sys.executable, "-m", "hygie.verify", str(path), *words, "--json"], capture_output=True, text=True, check=False
    )
    assert bad.returncode == 50


async def take_a_key(made: Installation, permit_id: bytes) -> None:
    """What a thief on the machine would do: ask the KMS for a patient's key, past the doors."""
    from hygie.app import open_administration, open_house, opened

    async with open_house(made.data) as house, opened(house.dsns.hosting, size=1) as pool:
        async with open_administration(house, "local:test") as acts:
            place = (await acts.environment("chu", "prod")).place
        context = await house.context(place)
        subject = context.index.subject("patient", ("p0",))
        async with pool.transaction(place.role) as connection:
            row = (await context.compartments.live(connection, [subject]))[subject]
        item = (row.compartment, row.epoch, row.wrap)
        await house.kms.unwrap(place.tenant_id, place.environment_id, [item], permit_id=permit_id, reason="read")


def test_a_key_taken_past_the_doors_is_named(filled: Installation) -> None:
    """Last: the theft stays in the record."""
    filled.down()  # nothing in memory any more: the next read asks the KMS
    filled.up()
    assert filled.fhir("GET", "Patient/p0").status == 200
    found = filled.hygie("journal", "reconcile")
    assert found["orphans"] == []
    assert found["keys"] > 0
    permit_id = secrets.token_bytes(16)
    asyncio.run(take_a_key(filled, permit_id))
    time.sleep(10.5)  # until then it could be a request under way
    done = filled.run("--json", "journal", "reconcile")
    assert done.returncode == 50, done.stderr
    (orphan,) = json.loads(done.stdout)["orphans"]
    assert orphan["permit"] == permit_id.hex()
    assert "HYG-561" in done.stderr
    assert permit_id.hex() in done.stderr
