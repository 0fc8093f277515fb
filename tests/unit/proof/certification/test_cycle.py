"""The state machine: what leads where, what is refused and why, what time does alone."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hygie.proof.certification.cycle import Snapshot, State, expiry_event, fold
from hygie.proof.certification.errors import DelayAbsentError, TransitionRefusedError
from hygie.proof.certification.events import Event, EventKind, parse_event
from tests.unit.proof.certification.samples import DELAYS, K, day, event, granted, initial

S = State


def at(events: list[Event], when: str) -> Snapshot:
    return fold("c1", events, at=day(when), delays=DELAYS)


def refusal(events: list[Event], when: str = "2033-01-01") -> tuple[str, str, str]:
    with pytest.raises(TransitionRefusedError) as caught:
        at(events, when)
    error = caught.value
    assert error.reason.fr in error.sentence("fr")
    assert "?" not in error.sentence("en")
    return str(error.facts["event"]), str(error.facts["state"]), error.reason.en


@pytest.mark.parametrize(
    ("when", "state", "since"),
    [
        ("2026-05-31", S.NOT_STARTED, None),
        ("2026-06-01", S.CANDIDATE, "2026-06-01"),
        ("2026-09-10", S.STAGE1, "2026-09-10"),
        ("2026-10-16", S.STAGE2, "2026-10-16"),
        ("2026-10-20", S.CORRECTIONS, "2026-10-20"),
        ("2026-12-31", S.CORRECTIONS, "2026-10-20"),
        ("2027-01-11", S.VALID, "2027-01-11"),
        ("2030-01-14", S.VALID, "2027-01-11"),
        ("2030-01-15", S.EXPIRED, "2030-01-15"),
        ("2035-01-01", S.EXPIRED, "2030-01-15"),
    ],
)
def test_from_application_to_expiry(when: str, state: State, since: str | None) -> None:
    snapshot = at(initial(), when)
    assert snapshot.state is state
    assert snapshot.since == (day(since) if since else None)
    assert snapshot.at == day(when)


def test_the_day_after_three_months_without_verification_stage_2_is_to_be_redone() -> None:
    events = [event for event in initial() if event.kind in {K.APPLICATION, K.STAGE1, K.STAGE2, K.CORRECTIONS_DUE}]
    assert at(events, "2027-01-16").state is S.CORRECTIONS
    late = at(events, "2027-01-17")
    assert (late.state, late.since) == (S.STAGE1, day("2027-01-17"))
    assert "redone" in late.why.en
    assert not late.pending
    again = [*events, event("stage2", "2027-02-20")]
    assert at(again, "2027-02-20").state is S.STAGE2
    done = [*again, granted("2027-03-01", "hds-2027", "2027-03-01", "2030-02-28")]
    assert at(done, "2027-03-01").state is S.VALID


def test_verification_is_in_time_on_the_last_day_and_refused_on_the_next() -> None:
    events = [event for event in initial() if event.kind not in {K.CORRECTIONS_VERIFIED, K.DECISION}]
    verified = event("corrections_verified", "2027-01-16", audit="stage2-2026-10-16")
    assert not at([*events, verified], "2027-01-16").pending
    assert at([*events, verified], "2027-06-01").state is S.CORRECTIONS  # waits for the decision, without a clock
    too_late = event("corrections_verified", "2027-01-17", audit="stage2-2026-10-16")
    assert refusal([*events, too_late]) == (
        "corrections_verified",
        "stage1",
        "it needs the state in correction or valid or suspended",
    )


def test_the_correction_clock_ends_with_the_month_when_the_day_does_not_exist() -> None:
    events = [
        event("application", "2026-06-01"),
        event("stage1", "2026-09-10"),
        event("stage2", "2026-11-30"),
        event("corrections_due", "2026-12-02", audit="stage2-2026-11-30", findings=["f1"]),
    ]
    assert at(events, "2027-02-28").state is S.CORRECTIONS
    assert at(events, "2027-03-01").state is S.STAGE1


def test_no_decision_before_corrections_are_verified() -> None:
    events = [event for event in initial() if event.kind is not K.CORRECTIONS_VERIFIED]
    assert refusal(events) == ("decision", "corrections", "corrections not verified")
    lapsed = [*events[:-1], granted("2027-01-17", "hds-2027", "2027-01-17", "2030-01-16")]
    assert refusal(lapsed)[:2] == ("decision", "stage1")


def test_a_refused_decision_sends_back_to_candidate() -> None:
    events = [*initial()[:-1], event("decision", "2027-01-11", outcome="refused")]
    assert at(events, "2027-01-11").state is S.CANDIDATE
    assert at(events, "2027-01-11").certificate is None


VALID = initial()
SUSPENDED = [*VALID, event("suspension", "2027-09-01", certificate="hds-2027")]
RENEWAL = [
    *VALID,
    event("surveillance1", "2028-01-05"),
    event("surveillance2", "2029-01-08"),
    event("renewal_audit", "2029-09-28"),
]
RENEWED = [*RENEWAL, granted("2029-12-03", "hds-2030", "2029-12-10", "2033-01-14", next_cycle="c2")]


def test_suspension_lift_and_withdrawal() -> None:
    assert at(SUSPENDED, "2027-09-01").state is S.SUSPENDED
    lifted = [*SUSPENDED, event("lift", "2027-11-02")]
    assert at(lifted, "2027-11-02").state is S.VALID
    assert at(lifted, "2027-11-01").state is S.SUSPENDED
    assert at(lifted, "2027-11-02").suspensions[0].ended_on == day("2027-11-02")
    withdrawn = [*SUSPENDED, event("withdrawal", "2028-03-01")]
    assert (at(withdrawn, "2031-01-01").state, at(withdrawn, "2031-01-01").since) == (S.WITHDRAWN, day("2028-03-01"))
    assert at(SUSPENDED, "2030-01-15").state is S.EXPIRED  # a suspended certificate expires too


def test_a_renewal_ends_one_cycle_and_opens_the_next() -> None:
    assert at(RENEWED, "2029-12-03").state is S.RENEWED
    assert at(RENEWED, "2029-12-03").next_cycle == "c2"
    opening = granted("2029-12-03", "hds-2030", "2029-12-10", "2033-01-14", cycle="c2", renews="c1")
    following = fold("c2", [*RENEWED, opening], at=day("2033-01-14"), delays=DELAYS)
    assert (following.state, following.decided_on) == (S.VALID, day("2029-12-03"))
    assert fold("c2", [opening], at=day("2033-01-15"), delays=DELAYS).state is S.EXPIRED


def test_a_refused_renewal_leaves_the_certificate_until_its_end_and_asks_for_another_audit() -> None:
    refused = [*RENEWAL, event("decision", "2029-11-05", outcome="refused")]
    assert at(refused, "2030-01-14").state is S.VALID
    second = granted("2029-12-03", "hds-2030", "2029-12-10", "2033-01-14", next_cycle="c2")
    assert refusal([*refused, second])[2] == "no renewal audit was held"
    assert at([*refused, event("renewal_audit", "2029-11-20"), second], "2029-12-03").state is S.RENEWED


def test_renewal_corrections_past_their_clock_ask_for_another_audit() -> None:
    asked = event("corrections_due", "2029-10-01", audit="renewal_audit-2029-09-28", findings=["f9"])
    late = event("corrections_verified", "2029-12-29", audit="renewal_audit-2029-09-28")
    assert refusal([*RENEWAL, asked, late])[2] == "too late: the renewal audit is to be redone"
    decision = granted("2029-12-30", "hds-2030", "2029-12-30", "2033-01-14", next_cycle="c2")
    assert refusal([*RENEWAL, asked, decision])[2] == "corrections not verified"
    last_day = event("corrections_verified", "2029-12-28", audit="renewal_audit-2029-09-28")
    assert at([*RENEWAL, asked, last_day, decision], "2029-12-30").state is S.RENEWED
    redone = [*RENEWAL, asked, event("renewal_audit", "2029-12-28"), decision]
    assert at(redone, "2029-12-30").state is S.RENEWED


def test_surveillance_corrections_may_be_verified_late_and_the_certificate_stands_meanwhile() -> None:
    events = [
        *VALID,
        event("surveillance1", "2027-12-01"),
        event("corrections_due", "2027-12-03", audit="surveillance1-2027-12-01", findings=["f5"]),
    ]
    assert at(events, "2028-06-01").state is S.VALID
    assert at(events, "2028-06-01").pending[0].due_on == day("2028-03-01")
    late = event("corrections_verified", "2028-04-01", audit="surveillance1-2027-12-01")
    asked_last_day = event("corrections_due", "2028-03-01", audit="surveillance1-2027-12-01", findings=["f5"])
    assert at([*events[:-1], asked_last_day], "2028-03-01").pending[0].due_on == day("2028-03-01")
    assert not at([*events, late], "2028-06-01").pending


def test_an_import_takes_the_cycle_where_it_is() -> None:
    fields = {
        "certificate": "hds-2027",
        "decided_on": "2027-01-11",
        "issued_on": "2027-01-15",
        "expires_on": "2030-01-14",
        "audited_on": "2027-12-20",
        "report": "R-9",
        "surveillance1_on": "2027-12-20",
        "findings": ["f1"],
    }
    events = [event("import", "2028-02-01", **fields)]
    snapshot = at(events, "2028-02-01")
    assert (snapshot.state, snapshot.imported_on) == (S.VALID, day("2028-02-01"))
    assert snapshot.audit(K.SURVEILLANCE1) is not None
    assert snapshot.pending[0].due_on == day("2028-03-20")
    assert refusal([*events, event("surveillance1", "2028-03-01")])[2] == "this audit was already held"
    verified = event("corrections_verified", "2028-03-10", audit="import-2028-02-01")
    assert not at([*events, verified], "2028-03-10").pending
    stopped = [event("import", "2028-02-01", **fields | {"suspended_on": "2028-01-10"})]
    assert at(stopped, "2028-02-01").state is S.SUSPENDED
    assert at([*stopped, event("lift", "2028-03-01")], "2028-03-01").state is S.VALID


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ([event("surveillance1", "2027-01-11")], "not after the decision"),
        ([event("surveillance2", "2028-01-11")], "the first one was not held"),
        ([event("surveillance1", "2028-01-10"), event("surveillance1", "2028-01-11")], "already held"),
        ([granted("2029-01-01", "hds-2030", "2029-01-01", "2032-01-01", next_cycle="c2")], "no renewal audit"),
        ([granted("2029-01-01", "hds-2030", "2029-01-01", "2032-01-01", renews="c0")], "already open"),
        ([event("corrections_due", "2028-01-12", audit="nothing", findings=["f"])], "not the last on-site audit"),
        ([event("corrections_verified", "2028-01-12", audit="stage2-2026-10-16")], "no correction is pending"),
        ([event("suspension", "2028-01-14", certificate="hds-2030")], "not the cycle's certificate"),
        ([event("expiry", "2030-01-14")], "it has not expired that day"),
        ([event("lift", "2028-01-01")], "it needs the state suspended"),
        ([event("surveillance1", "2030-01-15")], "it needs the state valid or suspended"),
        (
            [
                event("surveillance1", "2028-01-05"),
                event("corrections_due", "2028-04-06", audit="surveillance1-2028-01-05", findings=["f"]),
            ],
            "the correction clock has run out",
        ),
        (
            [
                event("surveillance1", "2028-01-05"),
                event("corrections_due", "2028-01-06", audit="surveillance1-2028-01-05", findings=["f"]),
                event("corrections_due", "2028-01-07", audit="surveillance1-2028-01-05", findings=["f"]),
            ],
            "already asked for",
        ),
    ],
)
def test_what_does_not_fit_a_valid_certificate_is_refused(extra: list[Event], words: str) -> None:
    assert words in refusal([*VALID, *extra])[2]


def test_a_renewal_names_the_next_cycle_and_another_certificate() -> None:
    nameless = granted("2029-12-03", "hds-2030", "2029-12-10", "2032-12-09")
    assert refusal([*RENEWAL, nameless])[2] == "the next cycle is missing"
    same = granted("2029-12-03", "hds-2027", "2029-12-10", "2032-12-09", next_cycle="c2")
    assert refusal([*RENEWAL, same])[2] == "the certificate is the old one"
    early = [*initial()[:-1], granted("2027-01-11", "hds-2027", "2027-01-15", "2030-01-14", next_cycle="c2")]
    assert refusal(early)[2] == "there is nothing to renew"


def test_a_refusal_reads_in_the_language_of_the_person() -> None:
    with pytest.raises(TransitionRefusedError) as caught:
        at([*VALID, event("lift", "2028-01-01")], "2028-01-01")
    assert caught.value.sentence("fr") == (
        "L'événement « levée de la suspension » du 2028-01-01 est impossible à l'état « valide » : "
        "il faut l'état suspendu."
    )
    assert "'lift of the suspension'" in caught.value.sentence("en")


def test_only_a_renewal_or_an_import_opens_a_cycle_with_a_certificate() -> None:
    assert "only a renewal" in refusal([granted("2027-01-11", "hds-2027", "2027-01-15", "2030-01-14")])[2]


def test_expiry_may_be_noted_once_it_has_come() -> None:
    assert at([*VALID, event("expiry", "2030-01-15")], "2030-02-01").expiry_noted_on == day("2030-01-15")


def test_time_alone_makes_an_expiry_until_somebody_notes_it() -> None:
    assert expiry_event(at(VALID, "2030-01-14")) is None
    found = expiry_event(at(VALID, "2030-03-01"))
    assert found is not None
    assert (found.kind, found.on) == (K.EXPIRY, day("2030-01-15"))
    recorded = {"id": found.id, "cycle": "c1", "kind": "expiry", "on": "2030-01-15"}
    assert parse_event(recorded) == found
    assert expiry_event(at([*VALID, found], "2030-03-01")) is None


def test_corrections_older_than_the_rule_have_no_clock() -> None:
    events = [event("application", "2017-01-02"), event("stage1", "2017-02-01"), event("stage2", "2017-03-01")]
    with pytest.raises(DelayAbsentError):
        at([*events, event("corrections_due", "2017-03-02", audit="stage2-2017-03-01", findings=["f"])], "2017-04-01")


REACHED: dict[State, tuple[list[Event], str]] = {
    S.NOT_STARTED: ([], "2026-01-01"),
    S.CANDIDATE: (initial()[:1], "2026-06-02"),
    S.STAGE1: (initial()[:2], "2026-09-11"),
    S.STAGE2: (initial()[:3], "2026-10-17"),
    S.CORRECTIONS: (initial()[:4], "2026-10-21"),
    S.VALID: (VALID, "2027-02-01"),
    S.SUSPENDED: (SUSPENDED, "2027-09-02"),
    S.RENEWED: (RENEWED, "2029-12-04"),
    S.EXPIRED: (VALID, "2030-01-20"),
    S.WITHDRAWN: ([*SUSPENDED, event("withdrawal", "2028-03-01")], "2028-03-02"),
}
# Written apart from the code: in which states each kind of event may happen at all.
LEGAL = {
    "application": {"not_started"},
    "import": {"not_started"},
    "stage1": {"candidate"},
    "stage2": {"stage1"},
    "corrections_due": {"stage2", "valid", "suspended"},
    "corrections_verified": {"corrections", "valid", "suspended"},
    "decision": {"not_started", "stage2", "corrections", "valid", "suspended"},
    "surveillance1": {"valid", "suspended"},
    "surveillance2": {"valid", "suspended"},
    "renewal_audit": {"valid", "suspended"},
    "suspension": {"valid"},
    "lift": {"suspended"},
    "withdrawal": {"valid", "suspended"},
    "expiry": {"expired"},
    "subprocessor_suspended": {"candidate", "stage1", "stage2", "corrections", "valid", "suspended"},
    "subprocessor_lost": {"candidate", "stage1", "stage2", "corrections", "valid", "suspended"},
}


def sample(kind: str, when: str) -> Event:
    if kind == "decision":
        return event("decision", when, outcome="refused")
    if kind == "corrections_due":
        return event(kind, when, audit="a", findings=["f"])
    if kind == "corrections_verified":
        return event(kind, when, audit="a")
    if kind == "import":
        issued = day(when) - timedelta(days=10)
        dates = {name: issued.isoformat() for name in ("decided_on", "issued_on", "audited_on")}
        expires_on = (issued + timedelta(days=900)).isoformat()
        return event(kind, when, certificate="x", report="R", expires_on=expires_on, **dates)
    return event(kind, when)


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("kind", list(EventKind))
def test_each_event_in_each_state_is_legal_or_refused_for_its_state(kind: EventKind, state: State) -> None:
    events, when = REACHED[state]
    assert at(events, when).state is state
    try:
        at([*events, sample(kind, when)], when)
        refused_for_state = False
    except TransitionRefusedError as error:
        refused_for_state = error.reason.en.startswith("it needs the state")
        expired = kind is EventKind.EXPIRY and state in {S.VALID, S.SUSPENDED}
        refused_for_state = refused_for_state or expired
    assert refused_for_state is (state not in LEGAL[kind])


@given(order=st.permutations(range(len(RENEWED))), offset=st.integers(-100, 2000))
def test_the_order_in_which_records_are_given_does_not_matter(order: list[int], offset: int) -> None:
    when = date(2026, 6, 1) + timedelta(days=offset)
    shuffled = [RENEWED[place] for place in order]
    assert fold("c1", shuffled, at=when, delays=DELAYS) == fold("c1", RENEWED, at=when, delays=DELAYS)


@given(offset=st.integers(-100, 2000))
def test_what_was_known_on_a_day_does_not_depend_on_what_came_later(offset: int) -> None:
    when = date(2026, 6, 1) + timedelta(days=offset)
    before = [event for event in RENEWED if event.on <= when]
    assert fold("c1", RENEWED, at=when, delays=DELAYS) == fold("c1", before, at=when, delays=DELAYS)


def test_states_only_follow_one_another_as_drawn() -> None:
    drawn = {
        (S.NOT_STARTED, S.CANDIDATE),
        (S.CANDIDATE, S.STAGE1),
        (S.STAGE1, S.STAGE2),
        (S.STAGE2, S.CORRECTIONS),
        (S.CORRECTIONS, S.VALID),
        (S.VALID, S.RENEWED),
    }
    days = [date(2026, 5, 1) + timedelta(days=n) for n in range(1500)]
    states = [fold("c1", RENEWED, at=when, delays=DELAYS).state for when in days]
    assert {(before, after) for before, after in pairwise(states) if before is not after} == drawn
