"""The records of the demonstration hold together on any day, and are those of its own platform."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from hygie.base.settings import default_settings
from hygie.demo import people
from hygie.demo.books import CLIENTS, WRITTEN_ON, change_of, rows_on
from hygie.proof.certification.writing import hooks, tasks_of_events
from hygie.proof.controls.conditions import Snapshot
from hygie.proof.controls.read import shipped_controls
from hygie.proof.controls.rules import judge_records
from hygie.proof.perimeter.services import services_on
from hygie.registers.chain import RecordVersion
from hygie.registers.engine import Registers
from hygie.registers.hooks import Proposed
from hygie.registers.rules import Known, next_version
from hygie.registers.schema import shipped_schemas

DAYS = st.dates(WRITTEN_ON, date(2045, 12, 31))
Records = Mapping[str, Mapping[str, RecordVersion]]


class Shelf:
    """What a change needs of the registers: their schemas, and a place for documents."""

    schemas = shipped_schemas()

    def put_document(self, name: str, media_type: str, content: bytes) -> str:
        assert media_type == "text/plain"
        assert name in content.decode()
        assert "prouve rien" in content.decode()
        return hashlib.sha256(content).hexdigest()


def written(today: date) -> tuple[Records, list[RecordVersion]]:
    """The records as the door of registers would take them. Raises: what it refuses."""
    shelf, known = cast("Registers", Shelf()), Known({}, lambda _: {})
    new = []
    for register, rows in rows_on(today).items():
        for row in rows:
            change = change_of(shelf, register, row)
            record = next_version(change, shelf.schemas, known, author="demo:operator", line=len(new) + 1)
            assert record is not None
            new.append((len(new) + 1, replace(record, at_ms=ms(today) - 1)))
    assert list(known.lost_references(new, shelf.schemas)) == []
    found: dict[str, dict[str, RecordVersion]] = {}
    for _, record in new:
        found.setdefault(record.register, {})[record.key] = record
    return found, [record for _, record in new]


def ms(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, 9, tzinfo=UTC).timestamp() * 1000)


@settings(max_examples=40)
@given(today=DAYS)
def test_on_any_day_the_records_are_taken_and_every_check_on_them_is_green(today: date) -> None:
    known, new = written(today)
    proposed = Proposed(new, lambda register: known.get(register, {}), ms(today))
    for check in {check for checks in hooks().checks.values() for check in checks}:
        check(proposed)
    assert tasks_of_events(proposed) == []  # what its cycle asked for was done
    snapshot = Snapshot({name: list(records.values()) for name, records in known.items()}, ms(today), CLIENTS)
    verdicts = {one.id: judge_records(one, snapshot, shipped_schemas()) for one in shipped_controls().checks}
    assert {name: one.why.en for name, one in verdicts.items() if one.verdict.value != "satisfied"} == {}
    assert all(one.covered for one in services_on(snapshot.of, today))


@given(today=DAYS, days=st.integers(0, 6))
def test_days_move_by_whole_weeks_and_nothing_else_moves(today: date, days: int) -> None:
    friday = today - timedelta(days=(today - WRITTEN_ON).days % 7)
    rows, at_first = rows_on(friday + timedelta(days=days)), rows_on(WRITTEN_ON)
    assert rows == rows_on(friday)
    moved = timedelta(days=(friday - WRITTEN_ON).days)
    (review,) = (one for one in rows["management-review"] if one["_key"] == "REV-0001")
    (first,) = (one for one in at_first["management-review"] if one["_key"] == "REV-0001")
    assert date.fromisoformat(review["held_on"]) == date.fromisoformat(first["held_on"]) + moved
    assert {name: value for name, value in review.items() if not name.endswith("_on")} == {
        name: value for name, value in first.items() if not name.endswith("_on")
    }


def test_no_text_names_a_year_that_will_pass() -> None:
    laws = re.compile(r"2016/679|2026-209|26 avril 2024|mars 2026|2021, module 3|CVE-2026-00001|\b2022\b")
    day = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\dZ)?")
    named = [
        (row["_key"], name, text)
        for rows in rows_on(WRITTEN_ON).values()
        for row in rows
        for name, value in row.items()
        for text in (value if isinstance(value, list) else [value])
        if isinstance(text, str) and not day.fullmatch(text) and re.search(r"\b20\d\d\b", laws.sub("", text))
    ]
    assert named == []


def test_the_records_are_of_this_platform() -> None:
    rows = rows_on(WRITTEN_ON, version="7.8")
    sites = {one["platform_site"]: (one["country"], one["city"]) for one in rows["site"] if "platform_site" in one}
    assert sites == {one.name: (one.country, one.city) for one in default_settings().sites}
    accounts = {one["account"] for one in rows["person"] if "account" in one}
    assert {people.NURSE, people.STRANGER, people.OFFICER, people.APPROVER} <= accounts
    assert {one["_tenant"] for one in rows["contract"]} == {people.TENANT, people.NEIGHBOUR} == set(CLIENTS)
    versions: list[Any] = [one.get("platform_version") for one in rows["change"]]
    assert "7.8" in versions
