"""What the next audit looks at, gathered from the registers: each item present, missing or late, and why.

Pure: a mapping from the name of a register to its records, as they were on the day asked: plain dicts, each with its
``id`` (its key), its ``state`` and its fields; fields that no rule asks for are left alone. A register that is not in
the mapping is missing: what nobody gives is not taken for empty.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from functools import cache

from hygie.proof.certification.civil import add_months
from hygie.proof.certification.cycle import Snapshot
from hygie.proof.certification.data import Row, known_tables, own_file, rows, tables
from hygie.proof.certification.delays import Delays
from hygie.proof.certification.errors import RecordRefusedError
from hygie.proof.certification.events import AUDITS, EventKind
from hygie.proof.certification.findings import Severity
from hygie.proof.certification.reading import Reader
from hygie.proof.model import Text

FILE = "prepare.toml"
RECORDS_MAX = 100_000  # rows of one register in one preparation: bounds memory, far above a host's tickets of a year
NAMED_MAX = 20  # records named in one item; the count tells the rest

Records = Sequence[Mapping[str, object]]


class Presence(StrEnum):
    """What the auditor would find today."""

    PRESENT = "present"
    MISSING = "missing"
    LATE = "late"


@dataclass(frozen=True, slots=True)
class Ask:
    """One row of the data file: what is looked at, in which register, by which rule."""

    id: str
    title: Text
    audits: tuple[EventKind, ...]
    rule: str
    register: str
    date_field: str
    due_field: str
    done_field: str
    max_age_months: int
    grace_days: int
    where: Mapping[str, tuple[str, ...]]
    done_states: tuple[str, ...]
    void_states: tuple[str, ...]
    requirements: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the checklist. records: identifiers of those that the reason speaks of, NAMED_MAX at most."""

    id: str
    title: Text
    presence: Presence
    why: Text
    register: str
    records: tuple[str, ...]
    requirements: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Checklist:
    """What an audit looks at. since: the day from which it looks (the end of the last audit, or the decision)."""

    audit: EventKind
    since: date
    at: date
    items: tuple[Item, ...]


@cache
def own_asks() -> tuple[Ask, ...]:
    """The questions shipped with this version."""
    return read_asks(own_file(FILE))


def read_asks(text: str) -> tuple[Ask, ...]:
    """The questions of a TOML text in the form of ``prepare.toml``. Raises: CertificationDataError: malformed."""
    body = tables(FILE, text)
    known_tables(FILE, body, {"item"})
    return tuple(_ask(row) for row in rows(FILE, body, "item"))


def _ask(row: Row) -> Ask:
    rule = row.text("rule", set(_RULES))
    where = Row(row.file, f"{row.place}.where", row.table("where") if row.has("where") else {})
    aged, ends = rule in {"recent", "each_recent"}, rule in {"assessed", "settled", "findings"}
    ask = Ask(
        id=row.text("id"),
        title=row.both("title"),
        audits=tuple(EventKind(kind) for kind in row.texts("audits", set(AUDITS))),
        rule=rule,
        register=row.text("register"),
        date_field=row.text("date_field") if rule in {"recent", "each_recent", "assessed", "any"} else "",
        due_field=row.text("due_field") if rule in {"settled", "findings"} else "",
        done_field=row.text("done_field") if (ends and not row.has("done_states")) or row.has("done_field") else "",
        max_age_months=row.number("max_age_months") if aged else 0,
        grace_days=row.number("grace_days") if row.has("grace_days") else 0,
        where={name: where.texts(name) for name in where.names()},
        done_states=row.texts("done_states") if row.has("done_states") else (),
        void_states=row.texts("void_states") if row.has("void_states") else (),
        requirements=row.texts("requirements"),
    )
    row.done()
    return ask


def next_audit(snapshot: Snapshot) -> EventKind:
    """The audit that comes next: stages 1 and 2 before a decision, then the surveillances, then the renewal."""
    if snapshot.decided_on is None:
        return EventKind.STAGE1 if snapshot.audit(EventKind.STAGE1) is None else EventKind.STAGE2
    for kind in (EventKind.SURVEILLANCE1, EventKind.SURVEILLANCE2):
        if snapshot.audit(kind) is None:
            return kind
    return EventKind.RENEWAL_AUDIT


def prepare(
    registers: Mapping[str, Records],
    snapshot: Snapshot,
    asks: Sequence[Ask],
    delays: Delays,
    *,
    audit: EventKind,
    former: Snapshot | None = None,
) -> Checklist:
    """The checklist of an audit, in the order in which it is looked at, on the day of the snapshot.

    Records dated after that day are left out. former: the cycle that this one continues; its renewal audit is the last
    one until the first surveillance, and its findings are earlier findings.
    Raises: RecordRefusedError: a record that is no object, has no id, or a field that is no date: which one, and why.
    """
    line = [snapshot] if former is None else [former, snapshot]
    audits = [each for one in line for each in one.audits]
    held = [each.on for each in audits if each.on <= snapshot.at and each.kind is not EventKind.STAGE1]
    since = max(held, default=snapshot.decided_on or add_months(snapshot.at, -12))
    frame = _Frame(frozenset(one.cycle for one in line), since, snapshot.at, delays)
    items = [_judged(ask, registers, frame) for ask in asks if audit in ask.audits]
    return Checklist(audit, since, snapshot.at, tuple(items))


@dataclass(frozen=True, slots=True)
class _Frame:
    cycles: frozenset[str]
    since: date
    at: date
    delays: Delays


@dataclass(frozen=True, slots=True)
class _Seen:
    """One record of a register, with the way to read its days."""

    id: str
    state: object
    read: Reader

    def day(self, field: str) -> date | None:
        """A civil date, or the day in Paris of an instant."""
        return self.read.optional(self.read.day_or_instant, field)

    def done(self, ask: Ask, at: date) -> bool:
        """Whether its state says that it is over, or the day of what ends it has come."""
        if self.state in ask.done_states:
            return True
        done_on = self.day(ask.done_field) if ask.done_field else None
        return done_on is not None and done_on <= at


_Found = tuple[Presence, Text, list[str]]


def _judged(ask: Ask, registers: Mapping[str, Records], frame: _Frame) -> Item:
    if ask.register not in registers:
        why = Text(f"registre « {ask.register} » non fourni", f"register '{ask.register}' not given")
        found: _Found = (Presence.MISSING, why, [])
    else:
        records = registers[ask.register]
        if len(records) > RECORDS_MAX:
            reason = Text(f"{RECORDS_MAX} enregistrements au plus", f"at most {RECORDS_MAX} records")
            raise RecordRefusedError(record=ask.register, field="-", reason=reason)
        found = _ruled(ask, records, frame)
    presence, why, named = found
    return Item(ask.id, ask.title, presence, why, ask.register, tuple(named[:NAMED_MAX]), ask.requirements)


def _ruled(ask: Ask, records: Records, frame: _Frame) -> _Found:
    seen = []
    for number, body in enumerate(records):
        read = Reader(f"{ask.register}[{number}]", body)  # refuses what is no object
        state = body.get("state")
        if state not in ask.void_states and all(body.get(name) in values for name, values in ask.where.items()):
            seen.append(_Seen(read.identifier("id"), state, read))
    return _RULES[ask.rule](ask, seen, frame)


def _findings(ask: Ask, seen: Sequence[_Seen], frame: _Frame) -> _Found:
    """Findings of this cycle and of the one that it continues, and those of no cycle (of internal audits)."""
    late: list[str] = []
    idle: list[str] = []
    own: list[str] = []
    closed = 0
    for each in seen:
        read = each.read
        raised_on = read.day("raised_on")
        if read.optional(read.identifier, "cycle") not in {None, *frame.cycles} or raised_on > frame.at:
            continue
        own.append(each.id)
        if each.done(ask, frame.at):
            closed += 1
            continue
        severity = read.choice("severity", Severity)
        due_on = each.day(ask.due_field) or frame.delays.due(f"finding_{severity}", raised_on)
        if due_on < frame.at:
            late.append(each.id)
        elif not read.has("actions"):
            idle.append(each.id)
    if late:
        return Presence.LATE, _count(len(late), "constat hors délai", "finding past its date"), late
    if idle:
        return Presence.MISSING, _count(len(idle), "constat sans action corrective", "finding without an action"), idle
    return Presence.PRESENT, _progress(closed, len(own) - closed), own


def _recent(ask: Ask, seen: Sequence[_Seen], frame: _Frame) -> _Found:
    dated = _dated(ask, seen, frame)
    if not dated:
        return Presence.MISSING, Text("aucun", "none"), []
    newest, record = dated[0]
    last, since, months = newest.isoformat(), frame.since.isoformat(), ask.max_age_months
    if add_months(newest, months) < frame.at:
        why = Text(f"le dernier date du {last}, {months} mois au plus", f"last on {last}, at most {months} months")
        return Presence.LATE, why, [record]
    if newest < frame.since:
        why = Text(f"aucun depuis le {since} (dernier : {last})", f"none since {since} (last: {last})")
        return Presence.MISSING, why, [record]
    return Presence.PRESENT, Text(f"le {last}", f"on {last}"), [each for _, each in dated]


def _dated(ask: Ask, seen: Sequence[_Seen], frame: _Frame) -> list[tuple[date, str]]:
    """Records dated until the day of the checklist, newest first."""
    dated = [(day, each.id) for each in seen if (day := each.day(ask.date_field)) is not None and day <= frame.at]
    return sorted(dated, reverse=True)


def _each_recent(ask: Ask, seen: Sequence[_Seen], frame: _Frame) -> _Found:
    if not seen:
        return Presence.MISSING, Text("aucun", "none"), []
    days = {each.id: each.day(ask.date_field) for each in seen}
    never = [record for record, day in days.items() if day is None or day > frame.at]
    old = [
        record
        for record, day in days.items()
        if day is not None and day <= frame.at and add_months(day, ask.max_age_months) < frame.at
    ]
    if never:
        return Presence.MISSING, _count(len(never), "sans date", "without a day"), never
    if old:
        months = ask.max_age_months
        return Presence.LATE, _count(len(old), f"de plus de {months} mois", f"older than {months} months"), old
    return Presence.PRESENT, _count(len(days), "à jour", "up to date"), list(days)


def _assessed(ask: Ask, seen: Sequence[_Seen], frame: _Frame) -> _Found:
    """What the last audit saw and left open is looked at again: only what was over by then has been looked at."""
    inside, left, carried = [], [], []
    for each in seen:
        day = each.day(ask.date_field)
        if day is None or day > frame.at:
            continue  # not happened yet
        done = each.done(ask, frame.at)
        if not done and day + timedelta(days=ask.grace_days) < frame.at:
            left.append(each.id)
        elif day >= frame.since:
            inside.append(each.id)
        elif not done:
            carried.append(each.id)
    since = frame.since.isoformat()
    if left:
        return Presence.MISSING, _count(len(left), "à traiter", "to be dealt with"), left
    if not inside and not carried:
        return Presence.PRESENT, Text(f"aucun depuis le {since}", f"none since {since}"), []
    fr, en = f"depuis le {since}", f"since {since}"
    if carried:
        fr, en = f"{fr} ou encore ouverts", f"{en} or still open"
    return Presence.PRESENT, _count(len(inside) + len(carried), fr, en), [*inside, *carried]


def _settled(ask: Ask, seen: Sequence[_Seen], frame: _Frame) -> _Found:
    late, undated, still_open = [], [], []
    for each in seen:
        if each.done(ask, frame.at):
            continue
        still_open.append(each.id)
        due_on = each.day(ask.due_field)
        if due_on is None:
            undated.append(each.id)
        elif due_on < frame.at:
            late.append(each.id)
    if late:
        return Presence.LATE, _count(len(late), "hors délai", "past its date"), late
    if undated:
        return Presence.MISSING, _count(len(undated), "sans échéance", "without a due date"), undated
    return Presence.PRESENT, _progress(len(seen) - len(still_open), len(still_open)), still_open


def _progress(closed: int, still_open: int) -> Text:
    fr = f"{closed} clos, {still_open} dans les délais"
    return Text(fr, f"{closed} closed, {still_open} within dates")


def _any(ask: Ask, seen: Sequence[_Seen], frame: _Frame) -> _Found:
    dated = _dated(ask, seen, frame)
    if not dated:
        return Presence.MISSING, Text("aucun", "none"), []
    newest, record = dated[0]
    return Presence.PRESENT, Text(f"le {newest.isoformat()}", f"on {newest.isoformat()}"), [record]


def _count(number: int, fr: str, en: str) -> Text:
    return Text(f"{number} {fr}", f"{number} {en}")


_RULES: Mapping[str, Callable[[Ask, Sequence[_Seen], _Frame], _Found]] = {
    "recent": _recent,
    "each_recent": _each_recent,
    "assessed": _assessed,
    "settled": _settled,
    "any": _any,
    "findings": _findings,
}
