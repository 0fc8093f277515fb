"""Every check, one file per obligation. A check is a pure function from one fact to an outcome."""

from __future__ import annotations

from hygie.proof.checks import machine, tech_1, tech_2, tech_3, tech_4, tech_5, tech_6, tech_7, tech_8
from hygie.proof.model import Check

CHECKS: tuple[Check, ...] = (
    *tech_1.CHECKS,
    *tech_2.CHECKS,
    *tech_3.CHECKS,
    *tech_4.CHECKS,
    *tech_5.CHECKS,
    *machine.CHECKS,
    *tech_6.CHECKS,
    *tech_7.CHECKS,
    *tech_8.CHECKS,
)
