"""Rules over records: what is green, red, unknown, and what does not apply."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hygie.proof.controls.conditions import Snapshot
from hygie.proof.controls.model import Condition, RegisterCheck
from hygie.proof.controls.rules import CLIENTS, SHOWN_MAX, judge_records
from hygie.proof.model import Outcome, Verdict
from hygie.registers.chain import RecordVersion
from tests.unit.proof.controls.stage import NOON_MS, SCHEMAS, check, deal, maker, snapshot

FINE = (Condition(field="fine", op="is", value=True),)
GREEN, RED, UNKNOWN, APART = Verdict.SATISFIED, Verdict.UNSATISFIED, Verdict.UNKNOWN, Verdict.NOT_APPLICABLE
HOUR_MS = 3_600_000


def judge(one: RegisterCheck, *records: RecordVersion, **given_: Any) -> Outcome:
    return judge_records(one, snapshot(*records, **given_), SCHEMAS)


def verdict(one: RegisterCheck, *records: RecordVersion, **given_: Any) -> Verdict:
    return judge(one, *records, **given_).verdict


ALL = (
    check("some", must=FINE),
    check("every", must=FINE),
    check("none", must=FINE),
    check("covers", covered="name", values=("a", "b")),
    check("each", of="maker", join="maker", must=FINE),
    check("on-time"),
)


@pytest.mark.parametrize("one", ALL, ids=lambda each: each.rule)
def test_an_empty_register_is_unknown_unless_the_check_says_why_not(one: RegisterCheck) -> None:
    found = judge(one)
    assert (found.verdict, bool(found.remedy)) == (UNKNOWN, True)
    assert verdict(changed(one, when_none="not_applicable")) is UNKNOWN
    assert verdict(changed(one, when_blank="not_applicable")) is APART


def changed(one: RegisterCheck, **changes: Any) -> RegisterCheck:
    return msgspec.structs.replace(one, **changes)


@pytest.mark.parametrize(
    "one", [each for each in ALL if each.rule not in ("none", "on-time")], ids=lambda each: each.rule
)
def test_a_register_without_a_record_of_that_kind_is_unknown_unless_the_check_says_why_not(one: RegisterCheck) -> None:
    shut = (deal(state="shut"), maker(state="shut"))
    assert verdict(one, *shut) is UNKNOWN
    assert verdict(changed(one, when_blank="not_applicable"), *shut) is UNKNOWN
    found = judge(changed(one, when_none="not_applicable"), *shut)
    assert (found.verdict, found.why) == (APART, one.nothing)


def test_some_counts_records_or_distinct_values() -> None:
    two = check("some", must=FINE, min=2)
    assert verdict(two, deal("A", fine=True), deal("B", fine=True)) is GREEN
    assert verdict(two, deal("A", fine=True), deal("B", fine=False)) is RED
    apart = changed(two, distinct="due_on")
    twice = deal("A", fine=True, due_on="2026-11-01"), deal("B", fine=True, due_on="2026-11-01")
    assert verdict(apart, *twice) is RED
    assert verdict(apart, *twice, deal("C", fine=True, due_on="2026-11-02")) is GREEN
    assert verdict(apart, *twice, deal("C", fine=False, due_on="2026-11-02")) is RED


def test_every_and_none_name_the_records_that_fail() -> None:
    records = [deal(f"DEA-{n:04d}", fine=n > SHOWN_MAX + 2) for n in range(1, 20)]
    found = judge(check("every", must=FINE), *records)
    assert found.verdict is RED
    assert "DEA-0001" in found.why.fr
    assert "(+2)" in found.why.fr
    assert "DEA-0019" in judge(check("none", must=FINE), records[-1]).why.en
    assert verdict(check("none", must=FINE), deal(fine=False)) is GREEN
    assert verdict(check("none", must=FINE), deal(state="shut", fine=True)) is GREEN


def test_states_and_conditions_choose_records() -> None:
    both = check("every", must=FINE, states=("open", "shut"))
    assert verdict(both, deal("A", fine=True), deal("B", state="shut", fine=False)) is RED
    assert verdict(check("every", must=FINE), deal("A", fine=True), deal("B", state="shut", fine=False)) is GREEN
    named = check("every", must=FINE, where=(Condition(field="name", op="is", value="x"),))
    assert verdict(named, deal("A", name="x", fine=True), deal("B", name="y", fine=False)) is GREEN


def test_covers_names_what_is_lacking() -> None:
    one = check("covers", covered="activities", values=("1", "2"), must=FINE)
    assert verdict(one, deal("A", fine=True, activities=[1]), deal("B", fine=True, activities=[2, 3])) is GREEN
    found = judge(one, deal("A", fine=True, activities=[1]), deal("B", fine=False, activities=[2]))
    assert (found.verdict, found.observed.en) == (RED, "1/2, no 2")


def test_each_subject_is_served_by_key_by_field_or_by_client() -> None:
    by_key = check("each", of="maker", join="makers", must=FINE)
    makers = (maker("MAK-0001", name="a"), maker("MAK-0002", name="b"))
    assert verdict(by_key, *makers, deal(fine=True, makers=["MAK-0001", "MAK-0002"])) is GREEN
    assert "MAK-0002" in judge(by_key, *makers, deal(fine=True, makers=["MAK-0001"])).why.fr
    assert verdict(by_key, *makers, deal(fine=False, makers=["MAK-0001", "MAK-0002"])) is RED
    by_field = check("each", of="maker", of_field="name", join="tags")
    assert verdict(by_field, *makers, deal(tags=["a", "b"])) is GREEN
    assert verdict(by_field, *makers, deal(tags=["a"])) is RED
    twice = changed(by_key, min=2)
    assert verdict(twice, makers[0], deal("A", fine=True, makers=["MAK-0001"])) is RED
    assert verdict(twice, makers[0], *(deal(k, fine=True, makers=["MAK-0001"]) for k in "AB")) is GREEN


def test_clients_are_counted_by_the_platform() -> None:
    one = check("each", of=CLIENTS, join="@tenant", when_none="not_applicable")
    assert verdict(one) is APART
    assert verdict(one, tenants=["chu"]) is RED
    assert verdict(one, deal(tenant="chu"), tenants=["chu"]) is GREEN
    assert verdict(one, deal(tenant="chu"), tenants=["chu", "cabinet"]) is RED


def test_a_due_date_is_late_when_its_day_is_over_in_paris() -> None:
    one = check("on-time", clocks=("due",))
    midnight = int(datetime(2026, 11, 27, 23, tzinfo=UTC).timestamp() * 1000)  # in Paris
    assert verdict(one, deal(due_on="2026-11-27"), now_ms=midnight - 1) is GREEN
    assert verdict(one, deal(due_on="2026-11-27"), now_ms=midnight) is RED
    assert verdict(one, deal(due_on="2026-11-27", state="shut"), now_ms=midnight) is UNKNOWN


def test_a_clock_is_late_at_its_instant_and_told_for_a_while_when_stopped_late() -> None:
    one = check("on-time", clocks=("answer",), days=30)
    asked = "2026-11-26T11:00:00Z"
    assert verdict(one, deal(asked_at=asked)) is GREEN
    assert verdict(one, deal(asked_at=asked), now_ms=NOON_MS + 1000) is RED
    in_time = deal(asked_at="2026-11-01T08:00:00Z", done_at="2026-11-02T08:00:00Z", state="shut")
    late = deal(asked_at="2026-11-01T08:00:00Z", done_at="2026-11-02T08:00:01Z", state="shut")
    assert verdict(one, in_time) is GREEN
    assert verdict(one, late) is RED
    assert verdict(changed(one, days=24), late) is GREEN
    assert verdict(changed(one, days=25), late) is RED


def test_on_time_without_a_named_clock_looks_at_all_that_is_expected() -> None:
    assert verdict(check("on-time"), deal(due_on="2026-11-26", asked_at="2026-11-27T10:00:00Z")) is RED
    assert verdict(check("on-time"), deal(due_on="2026-11-28", asked_at="2026-11-20T10:00:00Z")) is RED
    assert verdict(check("on-time"), deal(due_on="2026-11-28", asked_at="2026-11-27T10:00:00Z")) is GREEN
    assert verdict(check("on-time", states=("shut",)), deal(due_on="2026-11-26")) is UNKNOWN


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=30))
def test_every_some_and_none_agree(rows: list[tuple[bool, bool]]) -> None:
    records = [deal(f"D{n}", fine=fine, state="open" if is_open else "shut") for n, (fine, is_open) in enumerate(rows)]
    chosen = [fine for fine, is_open in rows if is_open]
    assert verdict(check("some", must=FINE), *records) is (GREEN if any(chosen) else RED if chosen else UNKNOWN)
    assert verdict(check("every", must=FINE), *records) is (UNKNOWN if not chosen else GREEN if all(chosen) else RED)
    assert verdict(check("none", must=FINE), *records) is (UNKNOWN if not rows else RED if any(chosen) else GREEN)


@given(days=st.integers(-800, 800), hour=st.integers(0, 23))
def test_time_alone_turns_a_due_date_red_once_and_for_good(days: int, hour: int) -> None:
    due = datetime(2026, 11, 27, tzinfo=UTC).date()
    now_ms = int((datetime(2026, 11, 27, hour, tzinfo=UTC) + timedelta(days=days)).timestamp() * 1000)
    one = snapshot(deal(due_on=due.isoformat()), now_ms=now_ms)
    found = judge_records(check("on-time", clocks=("due",)), one, SCHEMAS).verdict
    assert found is (RED if one.today > due else GREEN)
    later: Snapshot = replace(one, now_ms=now_ms + 48 * HOUR_MS)
    if found is RED:
        assert judge_records(check("on-time", clocks=("due",)), later, SCHEMAS).verdict is RED
