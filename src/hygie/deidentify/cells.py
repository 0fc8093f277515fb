"""Small cells: a code that few people have says who they are. It becomes a broader one, or is dropped. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hygie.deidentify.rules import System


@dataclass(frozen=True, slots=True)
class CellCount:
    """Codes of the source, whatever the system: kept, replaced by a broader one, dropped."""

    kept: int
    generalised: int
    dropped: int


class Cells:
    """Who has which code, in the memory of one copy. Args: systems: those whose codes may leave at all."""

    def __init__(self, systems: Mapping[str, System]) -> None:
        self._systems = systems
        self._holders: dict[tuple[str, str], set[bytes]] = {}
        self._becomes: dict[tuple[str, str], str | None] = {}

    def admit(self, system: object, code: object, holder: bytes) -> bool:
        """Count a code of a person (or of a resource of nobody). False: it may not leave, whoever has it."""
        if not (isinstance(system, str) and isinstance(code, str)):
            return False
        known = self._systems.get(system)
        if known is None or code in known.never or not known.form.fullmatch(code):
            return False
        self._holders.setdefault((system, code), set()).add(holder)
        return True

    def decide(self, k: int) -> CellCount:
        """Settle what each code becomes, so that no code of the result is held by fewer than k.

        The longest codes first: those that are too rare join their parent, and count there with those who had it.
        """
        first = list(self._holders)
        holders = {cell: set(who) for cell, who in self._holders.items()}
        waiting = sorted(holders, key=lambda cell: -len(cell[1]))
        while waiting:
            cell = waiting.pop(0)
            if len(holders[cell]) >= k:
                self._becomes[cell] = cell[1]
                continue
            parent = self._systems[cell[0]].parent(cell[1])
            self._becomes[cell] = parent
            if parent is None:
                continue
            joined = (cell[0], parent)
            if joined not in holders:
                holders[joined] = set()
                waiting.append(joined)
                waiting.sort(key=lambda one: -len(one[1]))
            holders[joined] |= holders[cell]
        ends = [self.resolve(*cell) for cell in first]
        kept = sum(end == code for end, (_, code) in zip(ends, first, strict=True))
        return CellCount(kept, sum(end is not None for end in ends) - kept, ends.count(None))

    def resolve(self, system: str, code: str) -> str | None:
        """What a code has become; None: it is dropped."""
        while True:
            found = self._becomes.get((system, code))
            if found is None or found == code:
                return found
            code = found
