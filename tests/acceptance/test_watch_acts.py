"""From an act to its finding, on a running installation: the scenarios that no other test follows whole.

Which test follows which scenario: tests/house/test_scenarios_followed.py.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hygie.app import House, open_administration, open_house, opened
from hygie.base.host_logs import HostLogSettings
from hygie.base.layout import DataFolder
from hygie.base.roles import Role
from hygie.base.settings import load_settings, witness_socket
from hygie.cli.acts import operator_name
from hygie.database.hot import HotConnections
from hygie.database.pool import Database
from hygie.evaluation import Evaluator
from hygie.gate.errors import SignInRefusedError
from hygie.gate.gate import Gate, Whence
from hygie.gate.lockout import ALERT_AT, LOCK_MS, TRIES
from hygie.gate.people import PeopleDoor
from hygie.journal.writer import JournalWriter
from hygie.probes import gather
from hygie.proof.facts import ClockFacts
from hygie.surveys import run_backup_kept, run_capacity
from hygie.upkeep import run_scrub
from hygie.watch.events import PARIS
from hygie.watching import open_watch
from tests.acceptance.conftest import Installation
from tests.acceptance.test_watch_surveys import turn
from tests.attack.installation import ask, attacked, noticed, place
from tests.attack.test_gate_doors import act
from tests.sabotage.conftest import Ahead, Broken
from tests.sabotage.test_tech_3 import changed
from tests.sabotage.test_tech_7 import away

PERSON = {"kind": "person", "label": "", "professional_id": "", "days": 30, "tenant": "chu"}
HOW = {"reason": "named by the client", "approver": "chief", "days": 30}
PATIENT = {"resourceType": "Patient", "name": [{"family": "Acts"}]}


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log of a machine, that the watch follows."""
    found = tmp_path_factory.mktemp("machine") / "auth.log"
    found.touch()
    return found


@pytest.fixture(scope="module")
def broken(log: Path) -> Iterator[Broken]:
    """Nobody reaches its witness any more, from the start: half a minute makes a finding, for the last test."""
    logs = (HostLogSettings(name="auth", path=str(log), format="syslog", host="paris"),)
    with attacked(host_logs=logs) as made:
        witness_socket(load_settings(made.data), DataFolder.at(made.data)).unlink()
        yield Broken(made)


def backup_is_kept(made: Installation) -> bool:
    async def look(house: House, records: Database, _: Database) -> bool:
        return await run_backup_kept(house, records)

    return bool(turn(made, look))


def in_house(made: Installation, main: Callable[[House], Awaitable[Any]]) -> Any:
    """Something done by a process of this installation."""

    async def run() -> Any:
        async with open_house(made.data) as house:
            return await main(house)

    return asyncio.run(run())


def person(made: Installation, name: str, role: Role) -> str:
    """Somebody of the client, with a role. Returns: the token."""
    act(made, ("create_account", (name,), PERSON), ("grant", (name, "chu", "prod"), HOW | {"role": role}))
    return str(made.hygie("token", "create", name, "chu", "prod")["token"])


def door_ends_ms(broken: Broken) -> int:
    """When the certificate that the door shows ends."""
    found = broken.facts("tls").tls.value
    assert found is not None
    return found.ends_ms


async def evaluated(house: House) -> None:
    """Every check, as where the door has an operator's certificate: Hygie renews its own by itself."""
    host = msgspec.structs.replace(house.settings.host, certificate="tls/server.pem", key="tls/server.key")
    with_certificate = replace(house, settings=msgspec.structs.replace(house.settings, host=host))
    await Evaluator(with_certificate, "local:test").run()


def signs(made: Installation) -> str:
    """What the one finding of a ransomware names."""
    finding = noticed(made, "ransomware-signs")
    acts = made.hygie("finding", "show", finding["id"])["acts"]
    return "; ".join(one["words"] for one in acts if one["kind"] == "noted")


def test_what_is_deleted_of_a_backup_is_noticed(broken: Broken, tmp_path: Path) -> None:
    made = broken.made
    assert made.fhir("POST", "Patient", PATIENT).status == 201
    made.hygie("backup", "run")
    assert backup_is_kept(made)
    newest = max((made.data / "backup" / "snapshots").iterdir())
    named = json.loads(newest.read_bytes().split(b"\n")[0])["environments"][0]["packs"][0]["sha256"]
    (made.data / "backup" / "objects" / named[:2] / named).unlink()
    assert not backup_is_kept(made)
    found = noticed(made, "backup-shrunk", **{"facts.what": "object"})
    assert (found["level"], found["count"]) == ("high", 1)
    newest.rename(tmp_path / newest.name)
    assert not backup_is_kept(made)
    assert noticed(made, "backup-shrunk", **{"facts.what": "snapshot"})["level"] == "high"
    (tmp_path / newest.name).rename(newest)
    made.hygie("backup", "run")  # puts the object back
    assert backup_is_kept(made)


def test_a_backup_target_that_is_gone_is_noticed(broken: Broken) -> None:
    made = broken.made
    target = made.data / "backup"
    target.rename(made.data / "elsewhere")
    try:
        assert [backup_is_kept(made) for _ in range(3)] == [False] * 3
    finally:
        (made.data / "elsewhere").rename(target)
    assert noticed(made, "backup-away-long")["level"] == "high"
    assert backup_is_kept(made), "it is known what should be there, and it is"


def test_two_signs_of_a_ransomware_are_one_critical_finding_that_names_them(broken: Broken) -> None:
    made = broken.made
    made.wait_for(lambda: list((made.data / "sites" / "paris" / "packs").rglob("*.pack")))
    pack = max((made.data / "sites" / "paris" / "packs").rglob("*.pack"))
    pack.chmod(0o600)
    pack.write_bytes(os.urandom(pack.stat().st_size))
    turn(made, run_scrub)
    assert noticed(made, "scrub-mismatch")["level"] == "high"
    assert noticed(made, "ransomware-signs")["level"] == "critical"
    named = signs(made)
    assert "Objects or snapshots of the backup are gone" in named
    assert "Stored bytes are not those that were stored" in named
    turn(made, run_scrub)
    titles = [one["title"] for one in made.hygie("finding", "list")]
    assert titles.count("Several signs of a ransomware within an hour") == 1


def test_a_log_that_is_stopped_is_noticed_and_is_one_sign_more(broken: Broken, log: Path) -> None:
    made = broken.made
    assert "log of a machine was stopped" not in signs(made)
    with log.open("a") as file:
        file.write(f"{datetime.now(UTC).isoformat()} paris auditd[7]: The audit daemon is exiting.\n")
    assert noticed(made, "host-log-stopped", host="paris")["level"] == "high"
    made.wait_for(lambda: "log of a machine was stopped" in signs(made), seconds=30)


def test_an_environment_that_changes_far_more_than_usual_is_noticed(broken: Broken) -> None:
    made = broken.made
    name = f"{place(made).environment_id.hex()}.versions"
    quiet = {"what": "quota", "name": name, "used": 0, "held": 0, "written": 5}
    past = (
        "INSERT INTO hygie.measurement (kind, at_ms, passed, facts)"
        " SELECT 'capacity', %s - n * 300000, true, %s::jsonb FROM generate_series(10, 310) AS n"
    )
    broken.sql(past, int(time.time() * 1000), json.dumps({"each": [quiet]}))  # a day as it always is
    broken.sql(
        "DELETE FROM hygie.measurement WHERE kind = 'capacity' AND NOT facts @> %s::jsonb",
        json.dumps({"each": [{"name": name, "written": 5}]}),
    )
    entry = {"request": {"method": "POST", "url": "Patient"}, "resource": PATIENT}
    for _ in range(21):
        bundle = {"resourceType": "Bundle", "type": "batch", "entry": [entry] * 50}
        assert made.fhir("POST", "", bundle).status == 200
    turn(made, run_capacity)
    assert noticed(made, "change-rate")["level"] == "medium"


def test_what_checks_find_is_noticed(broken: Broken, monkeypatch: pytest.MonkeyPatch) -> None:
    made = broken.made
    record = made.data / "kms" / "unwraps.log"
    soon_ms = int((time.time() + 40 * 86_400) * 1000)
    broken.compare()
    monkeypatch.setattr(gather, "probe_clock", lambda: ClockFacts("no", 16_000.0))
    with ExitStack() as breaks:
        breaks.enter_context(broken.certificate(days=20, foreign=False))
        breaks.enter_context(away(broken, "lille"))
        made.wait_for(lambda: broken.verdict("tech-7.lag") == "unsatisfied")
        made.wait_for(lambda: door_ends_ms(broken) < soon_ms)
        breaks.enter_context(broken.frozen("work"))
        breaks.enter_context(changed([record], record.read_bytes().rpartition(b'{"')[0]))
        in_house(made, evaluated)
    assert noticed(made, "unwrapped-unseen")["level"] == "critical"
    assert noticed(made, "site-misplaced")["level"] == "high"
    assert noticed(made, "site-late")["level"] == "medium"
    assert noticed(made, "certificate-ends")["level"] == "medium"
    assert noticed(made, "clock-moved")["level"] == "high"


def test_what_nobody_measures_any_more_is_noticed(broken: Broken) -> None:
    made = broken.made

    async def half_an_hour_later(house: House) -> None:
        later = replace(house, clock=Ahead(31 / 1440))
        async with opened(house.dsns.watch, size=1) as database:
            await (await open_watch(later, database)).tick()

    with broken.frozen("work"), broken.frozen("watch"):
        in_house(made, half_an_hour_later)
    assert noticed(made, "silent-journal")["level"] == "high"
    assert noticed(made, "silent-door")["level"] == "high"
    assert noticed(made, "silent-rights")["level"] == "high"


def test_rights_that_come_and_go_are_noticed(broken: Broken) -> None:
    made = broken.made
    me = operator_name().partition(":")[2]
    token = person(made, me, Role.CAREGIVER)
    made.close_connection()  # one that rested may be closed by the other side
    patient = made.fhir("POST", "Patient", PATIENT).json["id"]
    made.hygie("raise", "INT-2026-0021", "--reason", "disk", "--emergency")
    assert ask(made, f"/chu/prod/fhir/Patient/{patient}", token).status == 200
    assert noticed(made, "raised-then-reads", login=me)["level"] == "critical"
    act(made, ("create_account", ("brief",), PERSON))
    granted = act(made, ("grant", ("brief", "chu", "prod"), HOW | {"role": Role.READER}))[0]
    act(made, ("revoke_habilitation", (granted,), {}))
    assert noticed(made, "granted-then-withdrawn")["level"] == "medium"


def test_who_knocks_and_a_closed_account_are_noticed(broken: Broken) -> None:
    made = broken.made
    token = person(made, "nosy", Role.READER)
    for _ in range(20):
        assert ask(made, "/chu/prod/fhir/Patient", token, method="POST", body=PATIENT).status == 403
    assert noticed(made, "knocking", account="nosy")["level"] == "medium"
    made.hygie("account", "disable", "nosy")
    made.wait_for(lambda: ask(made, "/chu/prod/fhir/Patient", token).status == 401)
    assert noticed(made, "closed-account", account="nosy")["level"] == "high"


def test_guessed_passwords_are_noticed(broken: Broken) -> None:
    """At the door of people, in a process of its own: three of each account, then one account again and again."""
    made, names = broken.made, ("marie", "jeanne", "luc")
    act(made, *(("create_account", (name,), PERSON) for name in names))

    async def guess(house: House, ahead_days: float, *accounts: str) -> None:
        clock = Ahead(ahead_days)
        async with opened(house.dsns.hosting, size=2) as database:
            hot = HotConnections(house.dsns.hosting)
            await hot.open()
            journal = JournalWriter(database, house.month_keys, clock)
            gate = Gate(database, hot, journal, clock, kms=house.kms)
            door = PeopleDoor(gate, database, journal, clock, kms=house.kms, origins=["https://hygie.example"])
            for name in accounts:
                for _ in range(TRIES):
                    with pytest.raises(SignInRefusedError):
                        await door.by_password(name, "a wrong guess", "1", Whence("192.0.2.9", "thief"))
            await journal.close()
            await hot.close()

    in_house(made, lambda house: guess(house, 0, *names))
    assert noticed(made, "locked", account="luc")["level"] == "low"
    assert noticed(made, "spraying", address="192.0.2.9")["level"] == "high"
    until_tomorrow = 1 - time.time() % 86_400 / 86_400
    for rank in range(ALERT_AT):
        ahead = until_tomorrow + (1_000 + rank * (LOCK_MS + 1_000)) / 86_400_000
        in_house(made, lambda house, ahead=ahead: guess(house, ahead, "luc"))
    assert noticed(made, "locked-again", account="luc")["level"] == "high"


def test_who_administers_at_night_is_noticed(broken: Broken) -> None:
    night = (datetime.now(PARIS) + timedelta(days=1)).replace(hour=2, minute=30)
    ahead_days = (night - datetime.now(PARIS)).total_seconds() / 86_400

    async def at_night(house: House) -> None:
        later = replace(house, clock=Ahead(ahead_days))
        async with open_administration(later, "local:insomniac") as acts:
            await acts.create_account("night", kind="application", label="", professional_id="", days=30)

    in_house(broken.made, at_night)
    assert noticed(broken.made, "off-hours", account="local:insomniac")["level"] == "low"


def test_a_witness_that_cosigns_nothing_any_more_is_noticed(broken: Broken) -> None:
    assert noticed(broken.made, "not-cosigned", seconds=60)["level"] == "high"
