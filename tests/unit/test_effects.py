"""What the effects write in the record of somebody who has left: the day on which access was closed, once."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from hygie.effects import _told
from hygie.proof.fitness import fitness_of
from hygie.registers.chain import RecordVersion

TODAY = date(2027, 3, 15)


def person(written: str = "2027-03-10", state: str = "present", **fields: Any) -> RecordVersion:
    at_ms = int(datetime.fromisoformat(written).replace(hour=10, tzinfo=UTC).timestamp() * 1000)
    whole = {"name": "Luc", "starts_on": "2020-01-06", "account": "luc"} | fields
    return RecordVersion(1, "person", "PER-luc", 3, at_ms, "local:anne", "", "", state, "", whole)


def told(record: RecordVersion, accounts: set[str]) -> list[Any]:
    fitness = fitness_of(lambda register: [record] if register == "person" else [], TODAY)
    return [dict(one.fields) for one in _told([record], fitness, accounts, TODAY)]


@pytest.mark.parametrize(
    ("record", "closed"),
    [
        (person(ends_on="2027-03-15"), True),
        (person(ends_on="2027-03-16"), False),  # not gone yet
        (person(state="left", ends_on="2027-03-31"), True),  # written as left before the end date
        (person(state="left", ends_on="2027-03-15", access_closed_on="2027-03-15"), False),
        (person(state="left", ends_on="2027-03-01", access_closed_on="2027-03-10"), False),
        # told the day it was written, and not again each day until the end date
        (person(state="left", ends_on="2027-03-31", access_closed_on="2027-03-10"), False),
        # came back, and leaves again: the day of the first time is not that of the second
        (person(ends_on="2027-03-14", access_closed_on="2026-06-30"), True),
        (person(ends_on="2027-03-14", access_closed_on="2027-03-10"), True),
        (person(state="left", ends_on="2027-03-31", access_closed_on="2026-06-30"), True),
    ],
)
def test_the_day_on_which_access_was_closed_is_told_once(record: RecordVersion, closed: bool) -> None:
    assert told(record, {"luc"}) == ([{"access_closed_on": "2027-03-15"}] if closed else [])
    assert told(record, set()) == []  # the platform knows no such account
