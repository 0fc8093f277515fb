"""The step of the registers fails when one of them takes what it must refuse."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import cast

import pytest

from hygie.demo.errors import DemoStepError
from hygie.demo.step_registers import refused
from hygie.registers.engine import Registers
from hygie.registers.errors import PatientNamedError, RecordInvalidError
from hygie.registers.rules import Change

TODAY = date(2026, 11, 27)


class Lenient:
    """Registers that refuse as they should, but for the given register; or that write before they refuse."""

    def __init__(self, takes: str = "", *, leaks: bool = False) -> None:
        self.takes, self.leaks = takes, leaks
        self.written: list[tuple[str, str]] = []

    def history(self, register: str, key: str) -> list[tuple[str, str]]:
        return [one for one in self.written if one == (register, key)]

    def write(self, changes: Sequence[Change]) -> list[object]:
        (change,) = changes
        if self.leaks:
            self.written.append((change.register, change.key))
        if change.register + change.state == self.takes:
            return []
        if "check" in change.fields:
            raise PatientNamedError(line=1, field="check")
        raise RecordInvalidError(line=1, field="x", reason_fr="non", reason_en="no")


def test_three_refusals_and_nothing_written() -> None:
    assert refused(cast("Registers", Lenient()), TODAY) == ["HYG-1A0", "HYG-1A0", "HYG-1A3"]


@pytest.mark.parametrize("takes", ["changeapproved", "certificate", "change"])
def test_a_register_that_takes_it_ends_the_story(takes: str) -> None:
    with pytest.raises(DemoStepError):
        refused(cast("Registers", Lenient(takes)), TODAY)


def test_a_refusal_that_leaves_a_write_ends_the_story() -> None:
    with pytest.raises(DemoStepError):
        refused(cast("Registers", Lenient(leaks=True)), TODAY)
