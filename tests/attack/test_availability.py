"""Availability as a client would count it: what is down counts, and nothing written afterwards takes it away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from hygie.app import dsns_of, open_house, opened
from hygie.availability.ask import Seen
from hygie.availability.minutes import MINUTE_MS
from hygie.availability.results import ResultsWriter
from hygie.base.layout import DataFolder
from hygie.base.settings import load_settings
from hygie.cli.acts import operator_name
from hygie.uptime import Uptime
from tests.acceptance.conftest import Installation
from tests.attack.installation import attacked, entries, kill, stopped

HOUR = 60  # minutes


@pytest.fixture(scope="module")
def made() -> Iterator[Installation]:
    with attacked() as made:
        yield made


def owner(made: Installation, statement: str, *values: object) -> list[Any]:
    dsns = dsns_of(load_settings(made.data), DataFolder.at(made.data))
    with psycopg.connect(dsns.owner, autocommit=True) as connection:
        cursor = connection.execute(statement.encode(), values)
        return cursor.fetchall() if cursor.description else []


def turn(made: Installation, *minutes: int) -> None:
    """What the working process does in each of these minutes."""

    async def main() -> None:
        async with open_house(made.data) as house, opened(house.dsns.sealer, size=2) as records:
            uptime = Uptime(house, records, operator_name(), deadline_s=2.0)
            for minute in minutes:
                await uptime.turn(minute)

    asyncio.run(main())


def now() -> int:
    return time.time_ns() // 1_000_000 // MINUTE_MS


def shown(made: Installation) -> list[dict[str, Any]]:
    """This month and the one before: the tests may run in its first hour."""
    (told,) = made.hygie("availability", "show", "--tenant", "chu")
    periods: list[dict[str, Any]] = told["periods"][-2:]
    return periods


def down(made: Installation) -> dict[str, int]:
    periods = shown(made)
    return {name: sum(one["minutes"][name] for one in periods) for name in ("down", "unmeasured", "excluded")}


def test_minutes_of_a_dead_door_and_of_a_dead_machine_are_down(made: Installation) -> None:
    """The serving process is stopped for real; then no probe runs at all for a quarter of an hour."""
    at = now()
    owner(made, "DELETE FROM hygie.availability_run")
    owner(made, "UPDATE hygie.availability_since SET since_ms = %s", (at - HOUR) * MINUTE_MS)
    owner(made, "UPDATE hygie.environment SET created_ms = %s", (at - HOUR) * MINUTE_MS)
    turn(made, *range(at - 60, at - 40))
    assert made.process is not None
    with stopped([made.process.pid]):  # it would start another one at once
        assert kill(made, "serve") > 0
        turn(made, *range(at - 40, at - 37))
    made.wait_for(lambda: made.fhir("GET", "metadata").status == 200)
    turn(made, *range(at - 22, at - 5))  # from at - 37 to at - 23 the machine was off
    outages = [one for period in shown(made) for one in period["outages"]]
    assert {"from": at - 40, "to": at - 22, "reason": "timeout"} in outages
    assert down(made)["down"] >= 18
    assert down(made)["unmeasured"] >= 15
    stored = owner(made, "SELECT count(*) FROM hygie.availability_run WHERE last < %s", at - 5)
    assert stored[0][0] <= 5  # runs, not minutes
    finding = made.wait_for(
        lambda: [one for one in made.hygie("finding", "list") if one["title"] == "A client's service is down"]
    )
    assert finding[0]["level"] == "critical"


def test_a_window_is_declared_beforehand_only(made: Installation) -> None:
    begin = datetime.now(UTC)

    def declare(hours: float, exit_code: int = 0) -> Any:
        start = begin + timedelta(hours=hours)
        span = ("--from", start.isoformat(), "--to", (start + timedelta(hours=1)).isoformat())
        return made.hygie("availability", "window", "--all", *span, "--reason", "new kernel", exit_code=exit_code)

    assert declare(-2, exit_code=10)["error"]["code"] == "HYG-1N0"
    assert (
        declare(71, exit_code=10)["error"]["code"] == "HYG-1N0"
    )  # the notice is 72 hours where no contract says another
    (first,), (second,) = declare(73), declare(80)
    made.hygie("availability", "cancel", second)
    assert made.hygie("availability", "cancel", second, exit_code=10)["error"]["code"] == "HYG-1N0"
    listed = {one["id"]: one["counts"] for one in made.hygie("availability", "windows", "chu")}
    assert listed == {first: True, second: False}
    told = [(one.action.value, one.detail["window"]) for one in entries(made) if "window" in one.detail]
    assert told == [("availability:declare", first), ("availability:declare", second), ("availability:cancel", second)]


def test_a_year_has_room_for_four_days_of_windows(made: Installation) -> None:
    def declare(day: int, hours: int, exit_code: int = 0) -> Any:
        start = datetime(datetime.now(UTC).year + 1, 6, day, tzinfo=UTC)
        span = ("--from", start.isoformat(), "--to", (start + timedelta(hours=hours)).isoformat())
        return made.hygie("availability", "window", "--all", *span, "--reason", "new room", exit_code=exit_code)

    long = [declare(1, 72), declare(5, 24)]
    assert declare(10, 1, exit_code=10)["error"]["code"] == "HYG-1N3"
    for (one,) in long:
        made.hygie("availability", "cancel", one)
    made.hygie("availability", "cancel", *declare(10, 1))


def test_with_an_account_a_resource_is_read_and_found_by_a_search(made: Installation) -> None:
    """Through gate, vault and sites; an account that cannot, or a resource that is not there, is down."""
    at, targets = now(), made.data / "availability.targets"
    targets.touch(mode=0o600)
    patient = made.fhir("POST", "Patient", {"resourceType": "Patient"}).json["id"]
    told = []
    for minute, word in ((at - 4, f"{made.token} Patient/{patient}"), (at - 3, f"{made.token} Patient/absent"),
                         (at - 2, f"hyg_unknown Patient/{patient}"), (at - 1, "mistaken")):  # fmt: skip
        targets.write_text(f"chu/prod {word}\n")
        turn(made, minute)
        told += owner(
            made,
            "SELECT state, reason FROM hygie.availability_run WHERE first <= %s AND last >= %s AND reason <> '200'"
            " UNION ALL SELECT 'up', '200' WHERE NOT EXISTS (SELECT FROM hygie.availability_run"
            " WHERE first <= %s AND last >= %s AND reason <> '200')",
            *(minute,) * 4,
        )
    targets.unlink()
    assert told == [("up", "200"), ("down", "read-404"), ("down", "read-401"), ("up", "200")]
    reads = [one for one in entries(made) if one.action.value == "object:read" and one.account == "app"]
    assert reads


def test_an_outside_probe_is_believed_by_its_key_only(made: Installation, tmp_path: Path) -> None:
    """It really asks once; what it saw of the outage replaces the platform's own word, and only then."""
    at = now()
    targets, results, key = tmp_path / "targets", tmp_path / "results", tmp_path / "key"
    targets.write_text("chu/prod\n")
    url, authority = f"https://127.0.0.1:{made.port}", str(next(made.ca_files()))
    words = ("--url", url, "--targets", str(targets), "--key", str(key), "--out", str(results), "--minutes", "1")
    public = made.hygie("availability", "probe", *words, "--authority", authority)["key"]
    assert b'"state":"up"' in results.read_bytes()
    results.unlink()
    writer = ResultsWriter(results, key)
    before = down(made)["down"]
    for minute in (at - 40, at - 39, at - 20):
        writer.add("fhir.example:443", "chu/prod", minute, Seen("up" if minute < at - 30 else "down", "200", 5))
    assert made.hygie("availability", "import", str(results), exit_code=10)["error"]["code"] == "HYG-1N1"
    with (made.data / "hygie.toml").open("a") as settings:
        settings.write(f'\n[[probes]]\nname = "lyon"\nkey = "{public}"\n')
    for _ in range(2):  # a second time changes nothing
        assert made.hygie("availability", "import", str(results)) == {"chu/prod": 3}
        assert down(made)["down"] in (before - 1, before)  # two less, one more; a minute may have gone by
    entry = next(one for one in entries(made) if one.action.value == "availability:import")
    assert (entry.detail["probe"], entry.detail["down"], entry.count) == ("lyon", "1", 3)
    writer.add("fhir.example:443", "chu/prod", at + 1_000, Seen("up", "200", 5))
    assert made.hygie("availability", "import", str(results), exit_code=10)["error"]["code"] == "HYG-1N1"
    owner(made, "DELETE FROM hygie.availability_run WHERE source = 'lyon'")


def test_nothing_written_by_sql_afterwards_takes_an_outage_away(made: Installation) -> None:
    """A window planted, one brought back, one moved; an outage covered by minutes that nobody measured."""
    at, before = now(), down(made)
    assert before["down"] >= 18
    tenant = owner(made, "SELECT id FROM hygie.tenant WHERE name = 'chu'")[0][0]
    environment = owner(made, "SELECT id FROM hygie.environment")[0][0]
    plant = (
        "INSERT INTO hygie.availability_window (id, tenant, from_minute, to_minute, reason, declared_ms,"
        " notice_hours, mac)"
        " SELECT %s, %s, %s, %s, 'planted', 0, 1, coalesce((SELECT mac FROM hygie.availability_window"
        " WHERE mac IS NOT NULL LIMIT 1), %s)"
    )
    owner(made, plant, "f" * 16, tenant, at - 60, at, bytes(32))
    owner(made, "UPDATE hygie.availability_window SET from_minute = %s, to_minute = %s", at - 60, at)
    owner(made, "UPDATE hygie.availability_window SET cancelled_ms = NULL")
    fake = (
        "INSERT INTO hygie.availability_run (environment, source, first, last, state, reason, worst_ms, mac)"
        " VALUES (%s, %s, %s, %s, 'up', '200', 1, %s)"
    )
    owner(made, fake, environment, "local", at - 60, at, bytes(32))
    owner(made, fake, environment, "elsewhere", at - 60, at, bytes(32))
    turn(made, at + 1)  # a planted run is not made longer, which would sign it
    after = down(made)
    assert after["down"] >= before["down"]
    assert after["excluded"] == 0
    owner(made, "DELETE FROM hygie.availability_run WHERE state = 'down'")
    assert down(made)["down"] >= before["down"]
