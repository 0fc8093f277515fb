"""Small cells: a code that few people have says who they are. It becomes a broader one, or is dropped. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from hygie.deidentify.rules import System

Cell = tuple[str, str]  # system, code


@dataclass(frozen=True, slots=True)
class CellCount:
    """Codes of the source, whatever the system: kept, replaced by a broader one, dropped."""

    kept: int
    generalised: int
    dropped: int


class Cells:
    """What becomes of each code, in the memory of one copy. Args: systems: those whose codes may leave at all."""

    def __init__(self, systems: Mapping[str, System]) -> None:
        self._systems = systems
        self._first: dict[Cell, None] = {}  # those of the source, as an ordered set
        self._becomes: dict[Cell, str | None] = {}
        self._shown: Collection[Cell] = ()

    def admit(self, system: object, code: object) -> bool:
        """Note a code of the source. False: it may not leave, whoever has it."""
        if not (isinstance(system, str) and isinstance(code, str)):
            return False
        known = self._systems.get(system)
        if known is None or code in known.never or not known.form.fullmatch(code):
            return False
        self._first[system, code] = None
        return True

    def tells_who(self, system: object, code: object) -> bool:
        """Whether a code says that what stands beside it is about who somebody is, whatever else it says."""
        known = self._systems.get(system) if isinstance(system, str) else None
        return known is not None and code in known.never

    def coarsen(self, shown: Mapping[Cell, Collection[bytes]], k: int) -> bool:
        """Make broader, or drop, what fewer than k show of a result. Returns whether any was: then it is to be made,
        and counted, again, for resources may have gone with their codes.

        The longest codes first: those that are too rare join their parent, and count there with those who had it.
        Args: shown: who shows each code of the result, as it is there.
        """
        holders = {cell: set(who) for cell, who in shown.items()}
        waiting = sorted(holders, key=lambda cell: -len(cell[1]))
        changed = False
        while waiting:
            cell = waiting.pop(0)
            if len(holders[cell]) >= k:
                continue
            parent = self._systems[cell[0]].parent(cell[1])
            self._becomes[cell] = parent
            changed = True
            if parent is None:
                continue
            joined = (cell[0], parent)
            if joined not in holders:
                holders[joined] = set()
                waiting.append(joined)
                waiting.sort(key=lambda one: -len(one[1]))
            holders[joined] |= holders[cell]
        self._shown = shown.keys()
        return changed

    def resolve(self, system: str, code: str) -> str | None:
        """What a code has become; None: it is dropped."""
        found: str | None = code
        while found is not None and (system, found) in self._becomes:
            found = self._becomes[system, found]
        return found

    def count(self) -> CellCount:
        """What became of the codes of the source in the last result that was counted."""
        ends = {cell: self.resolve(*cell) for cell in self._first}
        left = [cell for cell, end in ends.items() if end is not None and (cell[0], end) in self._shown]
        kept = sum(ends[cell] == cell[1] for cell in left)
        return CellCount(kept, len(left) - kept, len(ends) - len(left))
