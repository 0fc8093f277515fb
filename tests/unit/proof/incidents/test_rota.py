"""Who is on duty, and the hours at which nobody who speaks French is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hygie.proof.incidents.rota import Period, gaps, periods
from hygie.registers.chain import RecordVersion

SPANS = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 15), st.booleans()), max_size=8)


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def period(begins_ms: int, ends_ms: int, *, french: bool = True) -> Period:
    return Period("DUT", "PER", begins_ms, ends_ms, ("fr",) if french else ("en",), "mail")


@given(SPANS, st.integers(0, 30), st.integers(1, 30))
def test_gaps_are_exactly_the_instants_at_which_nobody_speaks_french(
    spans: list[tuple[int, int, bool]], first: int, length: int
) -> None:
    found = sorted((period(at, at + long, french=french) for at, long, french in spans), key=lambda one: one.begins_ms)
    missing = gaps(found, first, first + length)
    for at in range(first, first + length):
        covered = any(one.holds(at) and "fr" in one.languages for one in found)
        assert covered != any(begins <= at < ends for begins, ends in missing)
    assert all(begins < ends for begins, ends in missing)


def record(register: str, key: str, state: str, **fields: Any) -> RecordVersion:
    return RecordVersion(1, register, key, 1, 0, "local:anne", "", "", state, "", fields)


def test_who_has_left_or_leaves_meanwhile_is_on_duty_until_then_only() -> None:
    people = [
        record("person", "PER-1", "present"),
        record("person", "PER-2", "present", ends_on="2026-12-03"),
        record("person", "PER-3", "left", ends_on="2026-11-01"),
    ]
    span = {"from_at": "2026-12-01T08:00:00Z", "to_at": "2026-12-08T08:00:00Z", "languages": ["fr"], "channel": "mail"}
    duties = [
        *[record("duty", f"DUT-{who}", "planned", person=f"PER-{who}", **span) for who in (1, 2, 3)],
        record("duty", "DUT-4", "cancelled", person="PER-1", **span),
    ]
    found = periods(duties, people, ms("2026-11-28"))
    assert [(one.key, one.ends_ms) for one in found] == [
        ("DUT-1", ms("2026-12-08T08:00:00")),
        ("DUT-2", ms("2026-12-02T23:00:00")),  # midnight in Paris: accesses end as the last day begins
    ]
    assert [one.key for one in periods(duties, people, ms("2026-12-05"))] == ["DUT-1"]
