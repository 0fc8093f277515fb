"""Judge one register check on the records of an instant. Pure; source: docs/formats/controls.md v1.

Nothing recorded is unknown, never green: an empty register does not show that there was nothing to record. Where it is
the honest answer, the check says ``not_applicable`` and why. What is late is red. Civil dates are those of Paris.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from hygie.base.civil import day_of
from hygie.proof.controls.conditions import Reader, Snapshot
from hygie.proof.controls.model import Condition, Nothing, RegisterCheck
from hygie.proof.model import Outcome, Text, Verdict, same, satisfied, unknown, unsatisfied
from hygie.registers.chain import RecordVersion
from hygie.registers.clocks import Expected, Progress, expectations
from hygie.registers.schema import Schemas

SHOWN_MAX = 5  # keys named in one sentence; the count says them all
CLIENTS = "tenants"  # subjects that are not records: clients that the platform hosts


@dataclass(frozen=True, slots=True)
class _Looked:
    """A check, the reader of its register, and the records it chooses."""

    check: RegisterCheck
    reader: Reader
    chosen: Sequence[RecordVersion]

    @property
    def snapshot(self) -> Snapshot:
        return self.reader.snapshot

    def split(self) -> tuple[list[RecordVersion], list[RecordVersion]]:
        """Those that hold what must be, and the others."""
        good: list[RecordVersion] = []
        bad: list[RecordVersion] = []
        for record in self.chosen:
            (good if self.reader.meets(record, self.check.must) else bad).append(record)
        return good, bad

    def nothing(self, declared: Text) -> Outcome:
        """What is said when there is nothing to look at."""
        return _nothing(self.check, declared, blank=not self.snapshot.of(self.check.register))


def judge_records(check: RegisterCheck, snapshot: Snapshot, schemas: Schemas) -> Outcome:
    """The outcome of one check. Raises: RegisterNotFoundError: it names no register of this installation."""
    reader = Reader(snapshot, schemas, schemas[check.register])
    any_state = check.rule == "on-time"
    chosen = _chosen(snapshot.of(check.register), reader, check.states, check.where, any_state=any_state)
    return _RULES[check.rule](_Looked(check, reader, chosen))


def _chosen(
    records: Iterable[RecordVersion],
    reader: Reader,
    states: Sequence[str],
    where: Sequence[Condition],
    *,
    any_state: bool = False,
) -> list[RecordVersion]:
    wanted = set(states) or {one.id for one in reader.schema.states if any_state or not one.closed}
    return [record for record in records if record.state in wanted and reader.meets(record, where)]


def _some(looked: _Looked) -> Outcome:
    check = looked.check
    good, _ = looked.split()
    values = (
        [value for record in good for value in looked.reader.values(record, check.distinct)] if check.distinct else []
    )
    count = len(set(values)) if check.distinct else len(good)
    all_of = _records(len(looked.chosen))
    observed = Text(f"{len(good)} sur {all_of.fr}", f"{len(good)} of {all_of.en}")
    if check.distinct:
        observed = Text(f"{observed.fr}, valeurs distinctes : {count}", f"{observed.en}, distinct values: {count}")
    declared = Text(f"au moins {check.min}", f"at least {check.min}")
    if count >= check.min:
        return satisfied(check.proves, observed, declared, at_ms=max(one.at_ms for one in good))
    if not looked.chosen:
        return looked.nothing(declared)
    return unsatisfied(Text(f"Manque : {check.fr}.", f"Lacking: {check.en}."), observed, declared, check.remedy)


def _every(looked: _Looked) -> Outcome:
    _, bad = looked.split()
    declared = Text("toutes les fiches", "every record")
    if bad:
        return _wrong(looked.check, [one.key for one in bad], len(looked.chosen), declared)
    if not looked.chosen:
        return looked.nothing(declared)
    return satisfied(looked.check.proves, _records(len(looked.chosen)), declared)


def _none(looked: _Looked) -> Outcome:
    bad, _ = looked.split()
    declared = Text("aucune", "none")
    if bad:
        return _wrong(looked.check, [one.key for one in bad], len(looked.chosen), declared)
    recorded = len(looked.snapshot.of(looked.check.register))
    if not recorded:
        return looked.nothing(declared)
    observed = Text(f"0 sur {_records(recorded).fr}", f"0 of {_records(recorded).en}")
    return satisfied(looked.check.proves, observed, declared)


def _covers(looked: _Looked) -> Outcome:
    check = looked.check
    good, _ = looked.split()
    seen = {str(value) for record in good for value in looked.reader.values(record, check.covered)}
    lacking = [value for value in check.values if value not in seen]
    count = len(check.values)
    declared = Text(f"{count} valeurs", f"{count} values")
    if not lacking:
        return satisfied(check.proves, same(f"{count}/{count}"), declared)
    if not looked.chosen:
        return looked.nothing(declared)
    named = _named(lacking)
    observed = Text(f"{count - len(lacking)}/{count}, manque {named}", f"{count - len(lacking)}/{count}, no {named}")
    return unsatisfied(Text(f"Incomplet : {check.fr}.", f"Incomplete: {check.en}."), observed, declared, check.remedy)


def _each(looked: _Looked) -> Outcome:
    check, reader = looked.check, looked.reader
    subjects, blank = _subjects(check, reader)
    good, _ = looked.split()
    served = Counter(str(value) for record in good for value in set(reader.values(record, check.join)))
    bad = [subject for subject in subjects if served[subject] < check.min]
    declared = Text("chacun", "each") if check.min == 1 else Text(f"{check.min} pour chacun", f"{check.min} for each")
    if bad:
        return _wrong(check, bad, len(subjects), declared)
    if not subjects:
        return _nothing(check, declared, blank=blank)
    return satisfied(check.proves, same(f"{len(subjects)}/{len(subjects)}"), declared)


def _subjects(check: RegisterCheck, reader: Reader) -> tuple[list[str], bool]:
    """The subjects, and whether their register holds nothing at all. Clients are counted by the platform itself."""
    snapshot = reader.snapshot
    if check.of == CLIENTS:
        return sorted(snapshot.tenants), False
    there = Reader(snapshot, reader.schemas, reader.schemas[check.of])
    records = _chosen(snapshot.of(check.of), there, check.of_states, check.of_where)
    found = {str(value) for record in records for value in there.values(record, check.of_field) if value is not None}
    return sorted(found), not snapshot.of(check.of)


def _on_time(looked: _Looked) -> Outcome:
    check, snapshot = looked.check, looked.snapshot
    expected = [
        one
        for record in looked.chosen
        for one in expectations(looked.reader.schema, record, snapshot.now_ms, check.clocks)
        if not check.clocks or one.clock in check.clocks
    ]
    late = [one for one in expected if _is_late(one, snapshot, check.days)]
    declared = Text("aucun retard", "nothing late")
    if check.days:
        declared = Text(f"aucun retard depuis {check.days} j", f"nothing late for {check.days} d")
    if late:
        bad = list(dict.fromkeys(f"{one.key} ({one.clock}, {one.due[:10]})" for one in late))
        return _wrong(check, bad, len(expected), declared)
    if not expected:
        return looked.nothing(declared)
    observed = Text(f"échéances : {len(expected)}", f"delays: {len(expected)}")
    return satisfied(check.proves, observed, declared)


def _is_late(one: Expected, snapshot: Snapshot, days: int) -> bool:
    """Late and not done; or done too late, within so many days."""
    done_day = day_of(one.done) if one.done else None
    if done_day is not None and done_day < snapshot.today - timedelta(days=days):
        return False
    return one.progress in (Progress.LATE, Progress.MISSED)


def _wrong(check: RegisterCheck, bad: Sequence[str], count: int, declared: Text) -> Outcome:
    named = _named(bad)
    observed = Text(f"{len(bad)} sur {count} : {named}", f"{len(bad)} of {count}: {named}")
    return unsatisfied(Text(f"En défaut : {named}.", f"Failing: {named}."), observed, declared, check.remedy)


def _nothing(check: RegisterCheck, declared: Text, *, blank: bool) -> Outcome:
    """Args: blank: the register holds nothing at all."""
    observed = Text("rien d'inscrit", "nothing recorded")
    said: Nothing = check.when_blank if blank else check.when_none
    if said == "not_applicable":
        return Outcome(Verdict.NOT_APPLICABLE, check.nothing, observed, declared)
    name = check.of if check.of and check.of != CLIENTS else check.register
    why = Text(f"Rien d'inscrit au registre {name}.", f"Nothing is recorded in the register {name}.")
    if not blank:
        why = Text(f"Aucune fiche concernée au registre {name}.", f"No record of that kind in the register {name}.")
    return unknown(why, observed, declared, check.remedy)


def _named(keys: Sequence[str]) -> str:
    more = f" … (+{len(keys) - SHOWN_MAX})" if len(keys) > SHOWN_MAX else ""
    return ", ".join(keys[:SHOWN_MAX]) + more


def _records(count: int) -> Text:
    return Text(f"{count} fiche" + ("s" if count > 1 else ""), f"{count} record" + ("" if count == 1 else "s"))


_RULES: dict[str, Callable[[_Looked], Outcome]] = {
    "some": _some,
    "every": _every,
    "none": _none,
    "covers": _covers,
    "each": _each,
    "on-time": _on_time,
}
