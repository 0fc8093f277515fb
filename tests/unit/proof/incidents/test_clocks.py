"""The clocks of an incident start by themselves, say what remains, and press when three quarters are gone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from hygie.proof.incidents.clocks import clocks_of, pressed
from hygie.proof.incidents.significance import _check_reason, criteria, incident_hooks, met
from hygie.registers.chain import RecordVersion
from hygie.registers.errors import RecordInvalidError
from hygie.registers.hooks import Proposed
from hygie.registers.schema import shipped_schemas

SCHEMAS = shipped_schemas()
SEEN = "2026-11-02T08:00:00Z"


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def record(register: str, key: str, state: str = "", **fields: Any) -> RecordVersion:
    state = state or SCHEMAS[register].initial.id
    return RecordVersion(1, register, key, 1, ms("2026-01-01"), "local:anne", "", "", state, "", fields)


def incident(state: str = "", **fields: Any) -> RecordVersion:
    given = {"detected_at": SEEN, "declared_at": SEEN, "health_data": "unknown", "severity": "major"}
    return record("incident", "INC-0001", state, **(given | fields))


def violation(**fields: Any) -> RecordVersion:
    return record("violation", "VIO-0001", **({"incident": "INC-0001", "risk": "unknown", "aware_at": SEEN} | fields))


def left(found: RecordVersion, others: list[RecordVersion], now: str) -> dict[str, tuple[str, int, bool]]:
    return {
        one.expected.clock: (one.expected.who, one.left_s // 60, one.near)
        for one in clocks_of(found, others, SCHEMAS, ms(now))
    }


def test_the_host_is_aware_from_the_detection_on_until_it_is_known_that_no_health_data_are_touched() -> None:
    now = "2026-11-02T09:00:00"
    assert left(incident(), [], now) == {
        "qualification": ("host", 180, False),
        "client-notice": ("host", 23 * 60, False),
    }
    assert "client-notice" not in left(incident(health_data="no"), [], now)


def test_the_controllers_hours_start_when_the_host_s_notice_informs_it() -> None:
    now = "2026-11-02T09:00:00"
    assert set(left(incident(), [violation()], now)) == {"qualification", "client-notice", "controller"}
    told = violation(told_at="2026-11-02T08:30:00Z", health_incident=True)
    found = left(incident(), [told, violation(incident="INC-0002", told_at=SEEN)], now)
    assert found["cnil"] == ("controller", 71 * 60 + 30, False)
    assert found["health"] == ("controller", 23 * 60 + 30, False)
    assert found["controller"][1] == 23 * 60 + 30, "done half an hour after it began"


def test_what_presses_is_named_the_hosts_apart_from_the_clients() -> None:
    whole = [incident(nis2=True, qualified_at=SEEN), violation(told_at=SEEN)]
    assert pressed(whole, SCHEMAS, ms("2026-11-02T10:00:00")).near == []
    near = pressed(whole, SCHEMAS, ms("2026-11-03T02:01:00"))
    assert near.near == ["INC-0001 nis2-warning", "INC-0001 client-notice", "VIO-0001 preparation"]
    assert (near.late, near.theirs) == ([], [])
    late = pressed(whole, SCHEMAS, ms("2026-11-05T02:00:00"))
    assert late.late == ["INC-0001 nis2-warning", "INC-0001 client-notice", "VIO-0001 preparation"]
    assert (late.near, late.theirs) == (["INC-0001 nis2-notice"], ["VIO-0001 cnil"])
    closed = [incident("closed", nis2=True), record("violation", "VIO-0001", "dismissed", told_at=SEEN)]
    assert pressed(closed, SCHEMAS, ms("2027-11-05T02:00:00")).late == []


def test_what_remains_is_said_in_words() -> None:
    (open_one, *_) = clocks_of(incident(), [], SCHEMAS, ms("2026-11-02T13:05:00"))
    assert open_one.left in ("retard de 1 h 05 min", "late by 1 h 05 min")
    done = clocks_of(incident(qualified_at="2026-11-02T09:00:00Z"), [], SCHEMAS, ms("2026-11-02T13:00:00"))[-1]
    assert done.left in ("fait 3 h 00 min avant", "done 3 h 00 min before")


def test_the_clocks_of_these_registers_run_from_instants() -> None:
    for name in ("incident", "violation"):
        for clock in SCHEMAS[name].clocks:
            fields = [SCHEMAS[name].field(one) for one in (clock.start, clock.done) if one]
            assert {one.type for one in fields if one is not None} == {"instant"}


def test_criteria_of_significance_are_those_that_the_register_ticks() -> None:
    field = SCHEMAS["incident"].field("nis2_criteria")
    assert field is not None
    assert {one.id for one in field.choices} == {one.id for one in criteria()}


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({}, []),
        ({"outage_min": 30}, []),
        ({"outage_min": 31}, ["outage"]),
        ({"nis2_criteria": ["death", "malicious"]}, ["malicious", "death"]),
        ({"outage_min": 31, "detected_at": "2024-11-06T08:00:00Z"}, []),
    ],
)
def test_a_criterion_is_met_by_a_number_or_ticked_from_its_first_day_on(
    fields: dict[str, Any], found: list[str]
) -> None:
    assert [one.id for one in met(incident(**fields))] == found


def proposed(one: RecordVersion) -> Proposed:
    return Proposed([one], lambda _: {one.key: one}, ms(SEEN[:-1]))


def test_a_significant_incident_of_a_host_in_scope_says_so_by_itself() -> None:
    hooks = incident_hooks(in_scope=True)
    (follow,) = hooks.follows["incident"]
    (change,) = follow(proposed(incident(outage_min=45)))
    assert (change.key, change.fields) == ("INC-0001", {"nis2": True})
    assert follow(proposed(incident(outage_min=5))) == []
    assert follow(proposed(incident(outage_min=45, nis2=False, nis2_reason="maintenance"))) == []
    assert incident_hooks(in_scope=False).follows == {}


def test_who_says_that_it_is_not_significant_says_why() -> None:
    with pytest.raises(RecordInvalidError) as refused:
        _check_reason(proposed(incident(outage_min=45, nis2=False)))
    assert refused.value.facts["field"] == "nis2_reason"
    _check_reason(proposed(incident(outage_min=45, nis2=False, nis2_reason="maintenance prévue")))
    _check_reason(proposed(incident(outage_min=5, nis2=False)))
