"""Registers of the cycle through the real engine: what cannot be is refused whole, an event launches its tasks once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

import pytest

from hygie.database.cluster import Dsns
from hygie.proof.certification.acts import recorded
from hygie.proof.certification.agenda import WARNING, agenda_on, expiries, warnings
from hygie.proof.certification.coverage import covered
from hygie.proof.certification.delays import own_delays
from hygie.proof.certification.errors import RecordRefusedError, TransitionRefusedError
from hygie.proof.certification.events import EventKind as K
from hygie.proof.certification.from_registers import programme_of, read_books, service_of
from hygie.proof.certification.programme import programme_gaps
from hygie.registers.engine import Asked
from hygie.registers.rules import Change
from tests.unit.proof.host import CERTIFICATE, ISO, World, change, day, standing

REPORT = "ab" * 32


@pytest.fixture
def world(database: Dsns) -> Iterator[World]:
    with standing(database) as made:
        yield made


def event(kind: str, on: str, key: str = "", cycle: str = "2026", **fields: object) -> Change:
    return change("certification-event", key or f"{cycle}.{kind}", cycle=cycle, kind=kind, on=on, **fields)


def history() -> list[Change]:
    """A first cycle, from the application to the decision."""
    return [
        event("application", "2025-06-02"),
        event("stage1", "2025-09-01", audit_record="AUD-1"),
        event("stage2", "2025-11-14", report=REPORT, audit_record="AUD-2"),
        event("decision", "2026-01-11", outcome="granted", certificate="HDS-host", issued_on="2026-01-15",
              expires_on="2029-01-14"),
    ]  # fmt: skip


def audits() -> list[Change]:
    return [change("audit", f"AUD-{number}") for number in (1, 2, 3)]


def refusal(world: World, *changes: Change) -> RecordRefusedError:
    """What refuses a write, of which nothing is kept."""
    before = world.registers.head()
    with pytest.raises(RecordRefusedError) as found:
        world.write(*changes)
    assert world.registers.head() == before
    return found.value


def test_a_service_is_covered_by_the_certificates_of_who_performs_each_activity(world: World) -> None:
    books = read_books(world.of)
    (service,) = map(service_of, world.of("service"))
    found = covered(service, books.certificates, own_delays(), at=date(2027, 3, 15))
    assert found.covered
    assert {layer.activity: layer.certificate for layer in found.layers} == {
        **dict.fromkeys((1, 2), "HDS-dc"), **dict.fromkeys((3, 4, 5, 6), "HDS-host")
    }  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "record", "named"),
    [
        ({"depends_on": "HDS-dc"}, "certificate NEW", "depends_on"),
        ({"depends_on": "ISO-dc"}, "certificate NEW", "depends_on"),
        ({"expires_on": "2029-01-15"}, "certificate NEW", "expires_on"),
        ({"renews": "HDS-dc"}, "certificate NEW", "renews"),
    ],
)
def test_a_certificate_that_cannot_be_is_refused_by_its_key_and_field(
    world: World, fields: dict[str, object], record: str, named: str
) -> None:
    error = refusal(world, change("certificate", "NEW", "valid", **(CERTIFICATE | fields)))
    assert (error.facts["record"], error.facts["field"]) == (record, named)
    assert "NEW" in error.sentence("fr")


def test_the_certificate_that_others_hang_on_is_not_cut_under_them(world: World) -> None:
    with pytest.raises(RecordRefusedError, match="HDS-host"):
        world.amend("certificate", "ISO-host", expires_on="2028-01-14")


def test_a_suspension_that_was_lifted_leaves_no_date_behind(world: World) -> None:
    world.amend("certificate", "HDS-host", "suspended", state_on="2027-02-01", state_reason="essai")
    assert read_books(world.of).certificates[1].state == "suspended"
    world.amend("certificate", "HDS-host", "valid")
    assert read_books(world.of).certificates[1].state_on is None


def test_an_event_that_the_state_forbids_is_refused_at_once(world: World) -> None:
    with pytest.raises(TransitionRefusedError):
        world.write(event("stage2", "2026-11-14", report=REPORT))
    world.write(*audits(), *history())
    with pytest.raises(TransitionRefusedError):
        world.write(event("surveillance2", "2026-11-14", report=REPORT))


def test_an_event_launches_its_tasks_in_the_same_write_and_once(world: World) -> None:
    world.write(*audits())
    written = world.write(*history()[:1])
    assert {one.register for one in written} == {"certification-event", "action"}
    tasks = world.of("action")
    assert len(tasks) == 3
    first = min(tasks, key=lambda one: str(one.fields["due_on"]))
    assert first.fields["origin_key"] == "2026/task/2026.application/choose-body"
    assert first.fields["owner"] == "PER-anne"
    assert first.fields["due_on"] == "2025-06-17"
    world.amend("certification-event", "2026.application", reason="complément")
    assert len(world.of("action")) == 3
    world.write(*history()[1:])
    keys = [one.fields["origin_key"] for one in world.of("action")]
    assert len(keys) == len(set(keys)) > 8


def test_a_task_waits_for_its_owner_when_nobody_holds_the_function(world: World) -> None:
    world.amend("person", "PER-anne", "left", ends_on=day(-1))
    world.write(*history()[:1])
    assert [one.fields.get("owner") for one in world.of("action")] == [None] * 3
    assert {one.fields["role"] for one in world.of("action")} == {"direction", "RSSI"}


def finding(key: str, **fields: object) -> Change:
    given: dict[str, object] = {"cycle": "2026", "audit": "AUD-2", "severity": "minor", "raised_on": "2025-11-14"}
    return change("finding", key, **(given | {"due_on": "2026-02-14", "requirements": ["EXI-05"]} | fields))


def test_a_finding_is_of_the_audit_that_its_event_names(world: World) -> None:
    world.write(*audits(), *history()[:3], finding("F-1"))
    (found,) = read_books(world.of).findings
    assert (found.audit, found.due_on(own_delays())) == ("2026.stage2", date(2026, 2, 14))
    assert refusal(world, finding("F-2", raised_on="2025-11-13", due_on="2026-02-01")).facts["field"] == "raised_on"
    late = refusal(world, finding("F-2", due_on="2026-02-15"))
    assert (late.facts["record"], late.facts["field"]) == ("finding F-2", "due_on")
    action = change("action", "ACT-x", due_on="2026-02-15")
    assert refusal(world, action, finding("F-2", actions=["ACT-x"])).facts["field"] == "actions[0].due_on"
    assert refusal(world, event("corrections_due", "2025-11-15", audit="2026.stage2", findings=["F-1", "F-3"]),
                   finding("F-3", cycle="2025")).facts["field"] == "findings"  # fmt: skip


def test_a_certification_is_taken_over_in_mid_cycle_with_its_open_findings(world: World) -> None:
    world.write(change("audit", "AUD-9"), finding("F-9", cycle="taken", audit="AUD-9", raised_on="2026-12-01",
                                                  due_on="2027-03-01"))  # fmt: skip
    assert read_books(world.of).pending == ("F-9",)
    taken = {"certificate": "HDS-host", "decided_on": "2026-01-11", "issued_on": "2026-01-15", "report": REPORT}
    taken |= {"expires_on": "2029-01-14", "audited_on": "2026-12-01", "surveillance1_on": "2026-12-01"}
    world.write(event("import", "2027-01-05", cycle="taken", findings=["F-9"], **taken))
    books = read_books(world.of)
    assert (books.pending, [one.id for one in books.findings]) == ((), ["F-9"])
    assert any(one.fields["origin_key"] == "taken/task/taken.import/check-import" for one in world.of("action"))


def test_a_renewal_is_one_act_and_two_events(world: World) -> None:
    world.write(*audits(), *history())
    term = {"decided_on": "2028-12-01", "issued_on": "2029-01-14", "expires_on": "2032-01-13", "renews": "ISO-host"}
    renewed = {"renews": "HDS-host", "depends_on": "ISO-2"}
    world.write(
        change("certificate", "ISO-2", "valid", **(ISO | term)),
        change("certificate", "HDS-2", "valid", **(CERTIFICATE | term | renewed)),
        *[event(*held) for held in (("surveillance1", "2026-12-01"), ("surveillance2", "2027-12-01"))],
        event("renewal_audit", "2028-10-02"),
    )  # fmt: skip
    given = {"certificate": "HDS-2", "next_cycle": "2029"}
    changes = recorded(K.DECISION, "2026", date(2028, 12, 1), given, world.of("certificate"))
    assert [one.fields["cycle"] for one in changes] == ["2026", "2029"]
    with pytest.raises(RecordRefusedError, match="next_cycle"):
        world.write(changes[0])
    world.write(*changes)
    cycles = {one.cycle: one for one in agenda_on(world.of, date(2029, 2, 1)).cycles}
    assert (cycles["2026"].state.value, cycles["2029"].state.value) == ("renewed", "valid")
    assert cycles["2029"].expires_on == date(2032, 1, 13)


def test_each_warning_is_recorded_once_whatever_the_rhythm_and_an_expiry_too(world: World) -> None:
    world.write(*audits(), *history(), event("surveillance1", "2026-12-01"))

    def turn(today: date) -> None:
        """What the working process does in one turn."""
        agenda = agenda_on(world.of, today)
        world.write(*expiries(agenda))
        world.write(*warnings(agenda_on(world.of, today), world.of(WARNING), today))

    day_, turns = date(2027, 3, 15), 0
    while day_ < date(2029, 3, 1):
        turn(day_)
        turn(day_)
        day_, turns = day_ + timedelta(days=23), turns + 1
    told = [one.fields for one in world.of(WARNING)]
    alerts = [one["alert"] for one in told]
    assert len(alerts) == len(set(alerts))
    of_second = [one for one in told if one["alert"].startswith("2026/surveillance-2/")]
    assert {one["kind"] for one in of_second} == {"warning", "late"}
    assert len(of_second) == 4  # 180, 90, 30 days before, and once late
    assert sum(one.fields["kind"] == "expiry" for one in world.of("certification-event")) == 1
    assert turns > 25


def test_nobody_is_warned_of_what_is_done_by_then(world: World) -> None:
    """A cycle that is written down years after it began does not warn of all that was held meanwhile."""
    world.write(*audits(), *history(), event("surveillance1", "2026-12-01"))
    assert warnings(agenda_on(world.of, date(2027, 3, 15)), [], date(2027, 3, 15)) == []
    (later,) = warnings(agenda_on(world.of, date(2027, 7, 20)), [], date(2027, 7, 20))
    assert later.fields["alert"] == "2026/surveillance-2/2027-12-31/180"


def test_the_programme_is_what_registers_plan_and_says_what_it_lacks(world: World) -> None:
    world.write(*audits(), *history(), event("surveillance1", "2026-12-01"))

    def gaps() -> list[str]:
        (cycle,) = agenda_on(world.of, date(2027, 3, 15)).cycles
        found = programme_gaps(programme_of(world.of, cycle), cycle, {"EXI-05", "EXI-16"}, own_delays())
        return [gap.en for gap in found]

    assert "surveillance audit 2: no date, due 2027-12-31" in gaps()
    assert sum("no internal audit looks at" in gap for gap in gaps()) == 2
    planned = {"state": "planned", "cycle": "2026"}
    looked_at = {"referential": ["EXI-05.D.a", "EXI-16"], "traces": ["EXI-16"]}
    world.write(
        change("audit", "AUD-4", kind="surveillance", planned_on="2027-12-10", **planned),
        change("audit", "AUD-5", kind="renewal", planned_on="2028-10-02", **planned),
        change("audit", "AUD-6", kind="client", planned_on="2027-06-01", tenant="chu", state="planned"),
        *[
            change("internal-audit", f"IAU-{kind}-{on}", kind=kind, planned_on=on, audited=["PER-paul"],
                   requirements=requirements)
            for kind, requirements in looked_at.items() for on in ("2026-12-01", "2027-11-02", "2028-09-04")
        ],
    )  # fmt: skip
    assert gaps() == []
    (cycle,) = agenda_on(world.of, date(2027, 3, 15)).cycles
    assert len(programme_of(world.of, cycle).audits) == 8
    world.amend("internal-audit", "IAU-traces-2027-11-02", "cancelled")
    world.amend("audit", "AUD-4", planned_on="2028-01-03")
    assert gaps() == [
        "surveillance audit 2: planned on 2028-01-03, after its due date 2027-12-31",
        "internal audit of traces: none from 2026-12-01 to 2027-12-01",
    ]


def test_a_voided_event_did_not_happen(world: World) -> None:
    world.write(*audits(), *history())
    with pytest.raises(TransitionRefusedError):
        world.amend("certification-event", "2026.stage2", "void")
    world.amend("certification-event", "2026.decision", "void")
    assert [one.kind.value for one in read_books(world.of).events] == ["stage1", "stage2", "application"]


def test_an_actor_of_an_activity_that_the_service_does_not_declare_is_refused(world: World) -> None:
    with pytest.raises(RecordRefusedError, match="SVC"):
        world.amend("service", "SVC", activities=[1, 2, 3, 4, 5])


def test_a_questionnaire_says_what_follows_from_its_answers(world: World) -> None:
    answers = {"answered_by": "Luc", "for_others": True, "data": "health", "care_context": True, "activities": [5]}
    whole = answers | {"short_loan": False, "archiving_only": False}
    assert refusal(world, change("scoping", "S-1", **(whole | {"concerned": "no"}))).facts["field"] == "concerned"
    world.write(change("scoping", "S-1", **(whole | {"concerned": "yes"})))
    assert refusal(world, change("scoping", "S-2", **whole, actor_5="DC")).facts["field"] == "layers"
    assert [one.key for one in world.registers.current(Asked("scoping"))] == ["S-1"]
