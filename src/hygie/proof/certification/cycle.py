"""The state of a certification on a day, from its events.

::

    not_started ─ application → candidate ─ stage1 → stage1 ─ stage2 → stage2 ─ decision → valid
                                                       ↑                  │ corrections_due ↑
                                                       └─ 3 months ─ corrections ─ decision ┘
    stage2, corrections ─ decision: refused → candidate
    not_started ─ import, or a decision that renews another cycle → valid (import: or suspended)
    valid ⇄ suspended (suspension, lift)
    valid, suspended ─ decision after a renewal audit → renewed
                     ─ the day after expires_on, no event needed → expired
                     ─ withdrawal → withdrawn

Events are taken in the order of their dates, then in the order given. Two changes need no event, only time: past the
correction clock without verification the cycle is back at stage1, since stage 2 is to be redone; past its last day a
certificate has expired. An event that does not fit the state of its day is refused with the reason.

Source: docs/reference/certification.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from enum import StrEnum

from hygie.proof.certification.delays import Delays
from hygie.proof.certification.errors import TransitionRefusedError
from hygie.proof.certification.events import AUDITS, EVENT_WORDS, Event, EventKind, Outcome
from hygie.proof.model import Text

K = EventKind


class State(StrEnum):
    """Where a cycle stands."""

    NOT_STARTED = "not_started"
    CANDIDATE = "candidate"
    STAGE1 = "stage1"
    STAGE2 = "stage2"
    CORRECTIONS = "corrections"
    VALID = "valid"
    SUSPENDED = "suspended"
    RENEWED = "renewed"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


STATE_WORDS: dict[State, Text] = {
    State.NOT_STARTED: Text("non commencé", "not started"),
    State.CANDIDATE: Text("candidat", "candidate"),
    State.STAGE1: Text("étape 1 tenue", "stage 1 held"),
    State.STAGE2: Text("étape 2 tenue", "stage 2 held"),
    State.CORRECTIONS: Text("en correction", "in correction"),
    State.VALID: Text("valide", "valid"),
    State.SUSPENDED: Text("suspendu", "suspended"),
    State.RENEWED: Text("renouvelé", "renewed"),
    State.EXPIRED: Text("expiré", "expired"),
    State.WITHDRAWN: Text("retiré", "withdrawn"),
}
HOLDING = frozenset({State.VALID, State.SUSPENDED})
_SEEKING = frozenset({State.CANDIDATE, State.STAGE1, State.STAGE2, State.CORRECTIONS})
_FROM: dict[EventKind, frozenset[State]] = {
    K.APPLICATION: frozenset({State.NOT_STARTED}),
    K.IMPORT: frozenset({State.NOT_STARTED}),
    K.STAGE1: frozenset({State.CANDIDATE}),
    K.STAGE2: frozenset({State.STAGE1}),
    K.CORRECTIONS_DUE: frozenset({State.STAGE2}) | HOLDING,
    K.CORRECTIONS_VERIFIED: frozenset({State.CORRECTIONS}) | HOLDING,
    K.DECISION: frozenset({State.NOT_STARTED, State.STAGE2, State.CORRECTIONS}) | HOLDING,
    K.SURVEILLANCE1: HOLDING,
    K.SURVEILLANCE2: HOLDING,
    K.RENEWAL_AUDIT: HOLDING,
    K.SUSPENSION: frozenset({State.VALID}),
    K.LIFT: frozenset({State.SUSPENDED}),
    K.WITHDRAWAL: HOLDING,
    K.EXPIRY: frozenset({State.EXPIRED}),
    K.SUBPROCESSOR_SUSPENDED: _SEEKING | HOLDING,
    K.SUBPROCESSOR_LOST: _SEEKING | HOLDING,
}


def events_from(state: State) -> tuple[EventKind, ...]:
    """The kinds of events that may happen in a state, their own conditions apart."""
    return tuple(kind for kind, states in _FROM.items() if state in states)


@dataclass(frozen=True, slots=True)
class Audit:
    """An audit held. on: end of its on-site part."""

    event: str
    kind: EventKind
    on: date


@dataclass(frozen=True, slots=True)
class Corrections:
    """The correction clock of one audit. ended_on: verified, or stopped otherwise (lapsed, redone, over)."""

    audit: Audit
    opened_on: date
    due_on: date
    findings: tuple[str, ...]
    verified_on: date | None = None
    ended_on: date | None = None


@dataclass(frozen=True, slots=True)
class Suspension:
    """One suspension and the day it ended."""

    on: date
    ended_on: date | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A cycle as its events make it on the day ``at``. since: first day of the state; why: what brought it there."""

    cycle: str
    at: date
    state: State = State.NOT_STARTED
    since: date | None = None
    why: Text = field(default=Text("aucun événement", "no event"))
    certificate: str | None = None
    decided_on: date | None = None
    issued_on: date | None = None
    expires_on: date | None = None
    imported_on: date | None = None
    ended_on: date | None = None
    expiry_noted_on: date | None = None
    next_cycle: str | None = None
    audits: tuple[Audit, ...] = ()
    corrections: tuple[Corrections, ...] = ()
    suspensions: tuple[Suspension, ...] = ()

    def audit(self, kind: EventKind) -> Audit | None:
        """The last audit of that kind, or nothing."""
        return next((each for each in reversed(self.audits) if each.kind is kind), None)

    @property
    def pending(self) -> tuple[Corrections, ...]:
        """The correction clocks that still run."""
        return tuple(each for each in self.corrections if each.ended_on is None)


def fold(cycle: str, events: Iterable[Event], *, at: date, delays: Delays) -> Snapshot:
    """The cycle on a civil day: events of other cycles and of later days are left out.

    Raises: TransitionRefusedError: an event is impossible in the state of its day; DelayAbsentError: no correction
    delay in force.
    """
    snapshot = Snapshot(cycle, at)
    own = [event for event in events if event.cycle == cycle and event.on <= at]
    for event in sorted(own, key=lambda event: event.on):
        snapshot = _applied(_passed(snapshot, event.on), event, delays)
    return replace(_passed(snapshot, at), at=at)


def expiry_event(snapshot: Snapshot) -> Event | None:
    """The expiry of a certificate that ran out and that nobody has noted yet: time makes it happen, no person.

    It launches the tasks of an expiry at once; recorded, it says that somebody took note. Its identifier is always the
    same, so that its tasks are launched once.
    """
    if snapshot.state is not State.EXPIRED or snapshot.since is None or snapshot.expiry_noted_on is not None:
        return None
    return Event(id=f"{snapshot.cycle}.expiry", cycle=snapshot.cycle, kind=K.EXPIRY, on=snapshot.since)


def _passed(snapshot: Snapshot, day: date) -> Snapshot:
    """What time alone has changed when that day begins."""
    if snapshot.state is State.CORRECTIONS:
        clock = snapshot.corrections[-1]
        if clock.verified_on is None and day > clock.due_on:
            lapsed = clock.due_on + timedelta(days=1)
            stopped = (*snapshot.corrections[:-1], replace(clock, ended_on=lapsed))
            why = Text(
                "corrections non vérifiées dans le délai : l'étape 2 est à refaire",
                "corrections not verified in time: stage 2 is to be redone",
            )
            return replace(snapshot, state=State.STAGE1, since=lapsed, why=why, corrections=stopped)
    if snapshot.state in HOLDING and snapshot.expires_on is not None and day > snapshot.expires_on:
        why = Text("dernier jour de validité passé", "past the last day of validity")
        return _ended(snapshot, State.EXPIRED, snapshot.expires_on + timedelta(days=1), why)
    return snapshot


def _applied(snapshot: Snapshot, event: Event, delays: Delays) -> Snapshot:
    """The cycle after one event. Raises: TransitionRefusedError."""
    if event.kind is K.EXPIRY and snapshot.state in HOLDING:
        raise _refused(snapshot, event, Text("le certificat n'a pas expiré ce jour", "it has not expired that day"))
    if snapshot.state not in _FROM[event.kind]:
        needed = [STATE_WORDS[state] for state in State if state in _FROM[event.kind]]
        fr, en = " ou ".join(each.fr for each in needed), " or ".join(each.en for each in needed)
        raise _refused(snapshot, event, Text(f"il faut l'état {fr}", f"it needs the state {en}"))
    if event.kind not in {K.DECISION, K.IMPORT} and event.certificate not in {None, snapshot.certificate}:
        raise _refused(
            snapshot, event, Text("c'est un autre certificat que celui du cycle", "not the cycle's certificate")
        )
    if event.kind is K.EXPIRY:
        return replace(snapshot, expiry_noted_on=event.on)
    if event.kind in AUDITS:
        return _audited(snapshot, event)
    if event.kind in {K.IMPORT, K.CORRECTIONS_DUE}:
        return (_imported if event.kind is K.IMPORT else _to_correct)(snapshot, event, delays)
    step = {
        K.APPLICATION: _opened,
        K.CORRECTIONS_VERIFIED: _verified,
        K.DECISION: _decided,
        K.SUSPENSION: _suspended,
        K.LIFT: _lifted,
        K.WITHDRAWAL: _withdrawn,
    }.get(event.kind)
    return snapshot if step is None else step(snapshot, event)  # a sub-contractor's loss launches tasks, moves no state


def _moved(snapshot: Snapshot, event: Event, state: State, why: Text) -> Snapshot:
    return replace(snapshot, state=state, since=event.on, why=why)


def _opened(snapshot: Snapshot, event: Event) -> Snapshot:
    return _moved(snapshot, event, State.CANDIDATE, Text("demande déposée", "application made"))


def _imported(snapshot: Snapshot, event: Event, delays: Delays) -> Snapshot:
    assert event.audited_on is not None, "parse_event asks for it"
    held = [
        Audit(f"{event.id}.{kind}", kind, on)
        for kind, on in ((K.SURVEILLANCE1, event.surveillance1_on), (K.SURVEILLANCE2, event.surveillance2_on))
        if on is not None
    ]
    last = Audit(event.id, K.IMPORT, event.audited_on)  # the audit whose report came with the import
    corrections: tuple[Corrections, ...] = ()
    if event.findings:
        due_on = delays.due("corrections", event.audited_on)
        corrections = (Corrections(last, event.on, due_on, event.findings),)
    snapshot = replace(
        snapshot,
        certificate=event.certificate,
        decided_on=event.decided_on,
        issued_on=event.issued_on,
        expires_on=event.expires_on,
        imported_on=event.on,
        audits=(*held, last),
        corrections=corrections,
    )
    if event.suspended_on is not None:
        snapshot = replace(snapshot, suspensions=(Suspension(event.suspended_on),))
        return _moved(snapshot, event, State.SUSPENDED, Text("repris suspendu", "imported as suspended"))
    return _moved(snapshot, event, State.VALID, Text("repris en cours de cycle", "imported in mid-cycle"))


def _audited(snapshot: Snapshot, event: Event) -> Snapshot:
    if event.kind in {K.SURVEILLANCE1, K.SURVEILLANCE2} and snapshot.audit(event.kind) is not None:
        raise _refused(snapshot, event, Text("cet audit a déjà eu lieu", "this audit was already held"))
    if event.kind is K.SURVEILLANCE2 and snapshot.audit(K.SURVEILLANCE1) is None:
        raise _refused(snapshot, event, Text("la première n'a pas eu lieu", "the first one was not held"))
    if snapshot.decided_on is not None and event.on <= snapshot.decided_on:
        raise _refused(snapshot, event, Text("elle ne suit pas la décision", "it is not after the decision"))
    audit = Audit(event.id, event.kind, event.on)
    stopped = snapshot.corrections
    if event.kind in {K.STAGE2, K.RENEWAL_AUDIT}:  # a new audit of the same kind starts its findings anew
        stopped = tuple(
            replace(each, ended_on=event.on) if each.ended_on is None and each.audit.kind is event.kind else each
            for each in snapshot.corrections
        )
    snapshot = replace(snapshot, audits=(*snapshot.audits, audit), corrections=stopped)
    if event.kind is K.STAGE1:
        return _moved(snapshot, event, State.STAGE1, Text("étape 1 tenue", "stage 1 held"))
    if event.kind is K.STAGE2:
        return _moved(snapshot, event, State.STAGE2, Text("étape 2 tenue", "stage 2 held"))
    return snapshot


def _to_correct(snapshot: Snapshot, event: Event, delays: Delays) -> Snapshot:
    audit = next((each for each in snapshot.audits if each.event == event.audit), None)
    if audit is None or audit != snapshot.audits[-1] or audit.kind is K.STAGE1:
        raise _refused(snapshot, event, Text("ce n'est pas le dernier audit sur site", "not the last on-site audit"))
    if any(each.audit.event == event.audit for each in snapshot.corrections):
        raise _refused(snapshot, event, Text("corrections déjà demandées", "corrections already asked for"))
    due_on = delays.due("corrections", audit.on)
    if event.on > due_on:
        raise _refused(snapshot, event, Text("le délai de correction est passé", "the correction clock has run out"))
    clock = Corrections(audit, event.on, due_on, event.findings)
    snapshot = replace(snapshot, corrections=(*snapshot.corrections, clock))
    if snapshot.state is State.STAGE2:
        return _moved(snapshot, event, State.CORRECTIONS, Text("non-conformités à corriger", "to be corrected"))
    return snapshot


def _verified(snapshot: Snapshot, event: Event) -> Snapshot:
    place = next((n for n, each in enumerate(snapshot.corrections) if each.audit.event == event.audit), None)
    clock = None if place is None else snapshot.corrections[place]
    if place is None or clock is None or clock.ended_on is not None:
        reason = Text("aucune correction en attente pour cet audit", "no correction is pending for this audit")
        raise _refused(snapshot, event, reason)
    if event.on > clock.due_on and clock.audit.kind is K.RENEWAL_AUDIT:
        reason = Text(
            "délai passé : l'audit de renouvellement est à refaire", "too late: the renewal audit is to be redone"
        )
        raise _refused(snapshot, event, reason)
    done = replace(clock, verified_on=event.on, ended_on=event.on)
    return replace(snapshot, corrections=(*snapshot.corrections[:place], done, *snapshot.corrections[place + 1 :]))


def _decided(snapshot: Snapshot, event: Event) -> Snapshot:
    granted = event.outcome is Outcome.GRANTED
    if snapshot.state is State.NOT_STARTED:
        if not granted or event.renews is None:
            reason = Text(
                "sans audit, seul un renouvellement ouvre un cycle", "without audit, only a renewal opens a cycle"
            )
            raise _refused(snapshot, event, reason)
        return _granted(snapshot, event, Text("renouvellement d'un cycle", "renewal of another cycle"))
    if event.renews is not None:
        reason = Text("ce cycle est déjà ouvert", "this cycle is already open")
        raise _refused(snapshot, event, reason)
    if snapshot.state in HOLDING:
        return _decided_renewal(snapshot, event, granted=granted)
    if event.next_cycle is not None:
        raise _refused(snapshot, event, Text("il n'y a rien à renouveler", "there is nothing to renew"))
    if not granted:
        snapshot = replace(snapshot, corrections=_stopped(snapshot, event.on))
        return _moved(snapshot, event, State.CANDIDATE, Text("certification refusée", "certification refused"))
    if snapshot.pending:
        raise _refused(snapshot, event, Text("corrections non vérifiées", "corrections not verified"))
    return _granted(snapshot, event, Text("certification accordée", "certification granted"))


def _granted(snapshot: Snapshot, event: Event, why: Text) -> Snapshot:
    snapshot = replace(
        snapshot,
        certificate=event.certificate,
        decided_on=event.on,
        issued_on=event.issued_on,
        expires_on=event.expires_on,
    )
    return _moved(snapshot, event, State.VALID, why)


def _decided_renewal(snapshot: Snapshot, event: Event, *, granted: bool) -> Snapshot:
    audit = snapshot.audit(K.RENEWAL_AUDIT)
    if audit is None:
        raise _refused(snapshot, event, Text("aucun audit de renouvellement", "no renewal audit was held"))
    if not granted:  # the certificate runs to its end; another renewal audit may still be held
        left = tuple(each for each in snapshot.audits if each.kind is not K.RENEWAL_AUDIT)
        stopped = tuple(
            replace(each, ended_on=event.on) if each.ended_on is None and each.audit == audit else each
            for each in snapshot.corrections
        )
        return replace(snapshot, audits=left, corrections=stopped)
    if any(each.audit == audit for each in snapshot.pending):
        raise _refused(snapshot, event, Text("corrections non vérifiées", "corrections not verified"))
    if event.next_cycle is None:
        raise _refused(snapshot, event, Text("il manque le cycle suivant", "the next cycle is missing"))
    if event.certificate == snapshot.certificate:
        raise _refused(snapshot, event, Text("le certificat est l'ancien", "the certificate is the old one"))
    ended = _ended(snapshot, State.RENEWED, event.on, Text("renouvelé", "renewed"))
    return replace(ended, next_cycle=event.next_cycle)


def _suspended(snapshot: Snapshot, event: Event) -> Snapshot:
    snapshot = replace(snapshot, suspensions=(*snapshot.suspensions, Suspension(event.on)))
    return _moved(snapshot, event, State.SUSPENDED, Text("suspendu par l'organisme", "suspended by the body"))


def _lifted(snapshot: Snapshot, event: Event) -> Snapshot:
    last = replace(snapshot.suspensions[-1], ended_on=event.on)
    snapshot = replace(snapshot, suspensions=(*snapshot.suspensions[:-1], last))
    return _moved(snapshot, event, State.VALID, Text("suspension levée", "suspension lifted"))


def _withdrawn(snapshot: Snapshot, event: Event) -> Snapshot:
    return _ended(snapshot, State.WITHDRAWN, event.on, Text("retiré par l'organisme", "withdrawn by the body"))


def _ended(snapshot: Snapshot, state: State, on: date, why: Text) -> Snapshot:
    suspensions = tuple(each if each.ended_on else replace(each, ended_on=on) for each in snapshot.suspensions)
    return replace(
        snapshot,
        state=state,
        since=on,
        why=why,
        ended_on=on,
        suspensions=suspensions,
        corrections=_stopped(snapshot, on),
    )


def _stopped(snapshot: Snapshot, on: date) -> tuple[Corrections, ...]:
    return tuple(each if each.ended_on else replace(each, ended_on=on) for each in snapshot.corrections)


def _refused(snapshot: Snapshot, event: Event, reason: Text) -> TransitionRefusedError:
    return TransitionRefusedError(
        event=event.kind.value,
        on=event.on.isoformat(),
        state=snapshot.state.value,
        words=(EVENT_WORDS[event.kind], STATE_WORDS[snapshot.state]),
        reason=reason,
    )
