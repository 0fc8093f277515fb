"""The words of cross-checks: card, look, what was found, and the outcome that follows. Pure.

Nothing to compare is unknown, unless the card says otherwise; a fact that was not observed is unknown, with its code.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from importlib import resources
from typing import Literal

import msgspec

from hygie.base import civil
from hygie.proof.controls.conditions import Snapshot
from hygie.proof.errors import ControlsInvalidError
from hygie.proof.facts import Facts
from hygie.proof.model import Context, Evidence, Observed, Outcome, Text, Verdict, same, satisfied, unknown, unsatisfied
from hygie.registers.chain import RecordVersion
from hygie.registers.schema import Schema, Schemas, shipped_schemas

FORMAT = "hygie cross-checks 1"
CARDS = "cards.toml"
SABOTAGE = "tests/sabotage/test_cross.py::test_each_cross_check_is_seen_red"
SHOWN_MAX = 5  # named in one sentence; the count says them all
HOUR_S = 3_600.0


class Card(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a cross-check is for people.

    facts: of the platform, that it needs; registers: that it reads, for the reader; evidence: ``measured`` when the
    platform's own facts decide, else ``attested``; empty: the verdict when there is nothing to compare; cadence_s:
    seconds between kept runs that say nothing new.
    """

    id: str
    fr: str
    en: str
    proves_fr: str
    proves_en: str
    owner: str
    remedy_fr: str
    remedy_en: str
    registers: tuple[str, ...]
    facts: tuple[str, ...] = ()
    evidence: Evidence = Evidence.MEASURED
    empty: Literal["unknown", "satisfied", "not_applicable"] = "unknown"
    cadence_s: float = HOUR_S
    sabotage: str = SABOTAGE

    @property
    def title(self) -> Text:
        """Its name."""
        return Text(self.fr, self.en)

    @property
    def proves(self) -> Text:
        """What a green run shows."""
        return Text(self.proves_fr, self.proves_en)

    @property
    def remedy(self) -> Text:
        """What to do when it is not green."""
        return Text(self.remedy_fr, self.remedy_en)

    @property
    def fresh_s(self) -> float:
        """A run that is older than two cadences says nothing any more."""
        return 2 * self.cadence_s

    @property
    def source(self) -> str:
        """What is compared, as runs say it."""
        return "cross:" + "+".join((*self.registers, *self.facts))


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The file of cards."""

    format: str
    check: tuple[Card, ...]


@dataclass(frozen=True, slots=True)
class Look:
    """What is known at one instant. documents: SHA-256 of kept files; version: of Hygie that runs."""

    snapshot: Snapshot
    facts: Facts
    context: Context
    version: str
    documents: frozenset[str] = frozenset()
    schemas: Schemas = field(default_factory=shipped_schemas)

    @property
    def today(self) -> date:
        """The civil date in Paris."""
        return civil.paris_date(self.context.now_ms)

    @property
    def tenants(self) -> Sequence[str]:
        """Clients that the platform hosts."""
        return self.snapshot.tenants

    def of(self, register: str, *states: str) -> list[RecordVersion]:
        """The newest records of a register: in these states, or all."""
        return [one for one in self.snapshot.of(register) if not states or one.state in states]

    def open(self, register: str) -> list[RecordVersion]:
        """The records of a register of which something is expected."""
        schema = self.schema(register)
        return [one for one in self.of(register) if not schema.state(one.state).closed]

    def begun_ms(self, record: RecordVersion) -> int:
        """When the first version of a record was written, UTC; of this one where the snapshot does not tell."""
        return self.snapshot.begun_ms.get((record.register, record.key), record.at_ms)

    def keyed(self, register: str) -> Mapping[str, RecordVersion]:
        """The records of a register by key."""
        return {one.key: one for one in self.of(register)}

    def schema(self, register: str) -> Schema:
        """The schema of a register."""
        return self.schemas[register]


@dataclass(frozen=True, slots=True)
class Found:
    """What a check found.

    wrong: names of what does not agree, in order; checked: how many were compared; unclear: names of what could not be
    decided.
    """

    wrong: Sequence[str] = ()
    checked: int = 0
    unclear: Sequence[str] = ()


Judge = Callable[[Look], Found]


def day_of(stored: object) -> date:
    """The civil day in Paris of a stored date or UTC instant. Raises: ValueError: it is neither."""
    found = civil.day_of(stored)
    if found is None:
        raise ValueError("neither a date nor an instant")
    return found


@dataclass(frozen=True, slots=True)
class CrossCheck:
    """A card and its function."""

    card: Card
    judge: Judge


@cache
def cards() -> Mapping[str, Card]:
    """The cards of this version, by id. Raises: ControlsInvalidError."""
    text = resources.files("hygie.proof.cross").joinpath(CARDS).read_text("utf-8")
    try:
        read = msgspec.convert(tomllib.loads(text), _File)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ControlsInvalidError(file=CARDS, reason=str(error)) from error
    found = {one.id: one for one in read.check}
    if read.format != FORMAT or len(found) != len(read.check):
        raise ControlsInvalidError(file=CARDS, reason="format, or an id twice")
    return found


def paired(judges: Mapping[str, Judge]) -> tuple[CrossCheck, ...]:
    """Each card with its function. Raises: ControlsInvalidError: one without the other, a fact or register unknown."""
    known, facts, schemas = cards(), set(Facts.__dataclass_fields__), shipped_schemas()
    if alone := set(known) ^ set(judges):
        raise ControlsInvalidError(file=CARDS, reason=f"card or function alone: {', '.join(sorted(alone))}")
    for card in known.values():
        unseen = [one for one in card.facts if one not in facts]
        if lost := unseen + [one for one in card.registers if one not in schemas]:
            raise ControlsInvalidError(file=CARDS, reason=f"{card.id}: {', '.join(lost)}")
    return tuple(CrossCheck(card, judges[name]) for name, card in known.items())


def judge_cross(check: CrossCheck, look: Look) -> tuple[Outcome, int]:
    """The outcome of one check, and since when its oldest fact was seen (ms), now when it needs none."""
    card = check.card
    at_ms = look.context.now_ms
    for name in card.facts:
        fact: Observed[object] = getattr(look.facts, name)
        if fact.value is None:
            why = Text(f"Non observé ({name}, {fact.failure}).", f"Not observed ({name}, {fact.failure}).")
            return unknown(why, same("—"), same("—"), card.remedy), at_ms
        at_ms = min(at_ms, fact.at_ms or at_ms)
    return outcome_of(card, check.judge(look)), at_ms


def outcome_of(card: Card, found: Found) -> Outcome:
    """From what was found to an outcome: one that is wrong makes red, else one that is unclear makes unknown."""
    declared = Text("aucun écart", "no gap")
    if found.wrong:
        named = _named(found.wrong)
        observed = Text(
            f"{len(found.wrong)} sur {found.checked} : {named}", f"{len(found.wrong)} of {found.checked}: {named}"
        )
        why = Text(f"{card.fr} : {named}.", f"{card.en}: {named}.")
        return unsatisfied(why, observed, declared, card.remedy)
    if found.unclear:
        named = _named(found.unclear)
        why = Text(f"Impossible à dire pour {named}.", f"Cannot be told for {named}.")
        return unknown(why, same(named), declared, card.remedy)
    if not found.checked:
        return _nothing(card, declared)
    counted = Text(f"{found.checked} comparés, aucun écart", f"{found.checked} compared, no gap")
    return satisfied(card.proves, counted, declared)


def _nothing(card: Card, declared: Text) -> Outcome:
    observed = Text("rien à comparer", "nothing to compare")
    if card.empty == "satisfied":
        return satisfied(card.proves, observed, declared)
    if card.empty == "not_applicable":
        return Outcome(Verdict.NOT_APPLICABLE, Text("Sans objet.", "Does not apply."), observed, declared)
    registers = ", ".join(card.registers)
    why = Text(f"Rien à comparer ({registers}).", f"Nothing to compare ({registers}).")
    return unknown(why, observed, declared, card.remedy)


def _named(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" … (+{len(listed) - SHOWN_MAX})" if len(listed) > SHOWN_MAX else ""
    return ", ".join(listed[:SHOWN_MAX]) + more
