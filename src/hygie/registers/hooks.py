"""What rooms above hold a write to, beyond one record: checks across records, and records that follow from others.

The engine calls them inside its transaction, before anything is added: what a check refuses is refused whole, and what
follows is written with what it follows from, or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from hygie.registers.chain import RecordVersion
from hygie.registers.rules import Change


@dataclass(frozen=True, slots=True)
class Proposed:
    """What a write would make of the registers.

    written: its new versions, in order; newest: last version of each record of a register, by key, those included;
    at_ms: instant of the write, UTC.
    """

    written: Sequence[RecordVersion]
    newest: Callable[[str], Mapping[str, RecordVersion]]
    at_ms: int

    def of(self, register: str) -> list[RecordVersion]:
        """The last versions of one register, by key."""
        return [record for _, record in sorted(self.newest(register).items())]


T = TypeVar("T")
Check = Callable[[Proposed], None]
Follow = Callable[[Proposed], Sequence[Change]]


@dataclass(frozen=True, slots=True)
class Hooks:
    """By register that a write touches, what is called; each once a write, whatever the number of records.

    checks: raise a HygieError that names record and field. follows: give changes to write along; what follows from
    these is not asked for.
    """

    checks: Mapping[str, Sequence[Check]] = field(default_factory=dict)
    follows: Mapping[str, Sequence[Follow]] = field(default_factory=dict)


def joined(*hooks: Hooks) -> Hooks:
    """All of them, in order."""

    def of(maps: Sequence[Mapping[str, Sequence[T]]]) -> dict[str, Sequence[T]]:
        return {name: [one for each in maps for one in each.get(name, ())] for each in maps for name in each}

    return Hooks(of([one.checks for one in hooks]), of([one.follows for one in hooks]))
