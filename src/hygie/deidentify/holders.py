"""Who shows each code of a result: a patient in his own resources, and in those of nobody that they name. Pure.

A Medication, a Location or an Organization lies in nobody's record, and says something of who is treated with it, or
there: its holders are the patients whose resources name it, directly or through others of nobody.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from hygie.deidentify.cells import Cell
from hygie.deidentify.rules import Plan, Way

UCUM: Final = "http://unitsofmeasure.org"


class Holders:
    """Gathers them over the resources of a result. Args: common: names (``Type/id``) of those of nobody."""

    def __init__(self, common: Collection[str]) -> None:
        self._common = common
        self._holders: dict[Cell, set[bytes]] = {}
        self._naming: dict[str, set[bytes]] = {}  # of nobody → patients whose resources name it
        self._cells: dict[str, set[Cell]] = {}
        self._links: dict[str, set[str]] = {}

    def add(self, name: str, patient: bytes | None, plan: Plan, value: Mapping[str, Any]) -> None:
        """Count one resource as it is in the result. Args: patient: whose it is, None: nobody's."""
        for said in _said(plan, value):
            if isinstance(said, str):
                if said in self._common:
                    if patient is None:
                        self._links.setdefault(name, set()).add(said)
                    else:
                        self._naming.setdefault(said, set()).add(patient)
            elif patient is None:
                self._cells.setdefault(name, set()).add(said)
            else:
                self._holders.setdefault(said, set()).add(patient)

    def of_codes(self) -> Mapping[Cell, Collection[bytes]]:
        """The patients who show each code; nobody for one that no patient leads to. Called once, at the end."""
        waiting = list(self._naming)
        while waiting:
            name = waiting.pop()
            for linked in self._links.get(name, ()):
                known = self._naming.setdefault(linked, set())
                if not self._naming[name] <= known:
                    known |= self._naming[name]
                    waiting.append(linked)
        for name, cells in self._cells.items():
            for cell in cells:
                self._holders.setdefault(cell, set()).update(self._naming.get(name, ()))
        return self._holders


def _said(plan: Plan, value: Mapping[str, Any]) -> Iterator[Cell | str]:
    """The codes of a settled value, and the names that it refers to."""
    for name, given in value.items():
        member = plan.members[name]
        for one in given if isinstance(given, list) else (given,):
            match member.way:
                case Way.INSIDE:
                    assert member.plan is not None
                    yield from _said(member.plan, one)
                case Way.ALIAS_REFERENCE:
                    yield one["reference"]
                case Way.CODING:
                    yield one["system"], one["code"]
                case Way.CONCEPT:
                    for coding in one["coding"]:
                        yield coding["system"], coding["code"]
                case Way.ROUND_QUANTITY:
                    yield UCUM, one["code"]
                case _:
                    break  # nothing else holds a code or a name
