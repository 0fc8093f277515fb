"""What a contract promises of availability, and what a period owes by it. Exact: fractions, never floats.

Rounding is stated and always in the client's favour: a rate is rounded down, minutes allowed are rounded down, an
amount owed is rounded up to the cent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from math import ceil, floor
from typing import Any, cast

from hygie.availability.minutes import Rhythm, Tally

PROMISED = Decimal("99.9")  # percent, where no contract in force says another one
NOTICE_HOURS = 72  # between the declaration of a window and its beginning, likewise
STEPS_MAX = 20
DECIMALS = 4  # of a rate shown
IN_FORCE = ("signed", "amended", "terminated")


@dataclass(frozen=True, slots=True)
class Step:
    """Below ``rate`` percent, ``percent`` of the fee is owed."""

    rate: Decimal
    percent: Decimal


@dataclass(frozen=True, slots=True)
class Terms:
    """Of one client. contract: its key, empty where none is in force; steps: None: the contract has penalties that it
    does not write as a table; cap: percent; fee: euros a period; starts_on: ISO date, from which it is counted."""

    contract: str = ""
    promised: Decimal = PROMISED
    rhythm: Rhythm = "monthly"
    steps: tuple[Step, ...] | None = ()
    cap: Decimal = Decimal(100)
    fee: Decimal | None = None
    notice_hours: int = NOTICE_HOURS
    starts_on: str = ""


@dataclass(frozen=True, slots=True)
class Account:
    """A period by its terms. rate: percent, rounded down, None: nothing was counted; allowed: minutes of the whole
    period that may be down; left: of them (negative: overspent); penalty: percent of the fee, None: the contract's
    table is not known; amount: euros, None: no fee is known."""

    rate: Decimal | None
    allowed: int
    left: int
    penalty: Decimal | None
    amount: Decimal | None


def terms_of(key: str, fields: Mapping[str, Any]) -> Terms:
    """The terms of a record of register ``contract``; its fields were read by the register's schema."""
    steps: tuple[Step, ...] | None = ()
    if fields.get("penalties") == "yes":
        steps = read_steps(str(fields.get("penalty_steps") or ""))
    fee = fields.get("period_fee")
    return Terms(
        contract=key,
        promised=Decimal(str(fields.get("availability") or PROMISED)),
        rhythm=cast("Rhythm", fields.get("measuring") or "monthly"),
        steps=steps,
        cap=Decimal(str(fields.get("penalty_cap") or 100)),
        fee=Decimal(str(fee)) if fee is not None else None,
        notice_hours=int(fields.get("maintenance_notice_hours") or NOTICE_HOURS),
        starts_on=str(fields.get("starts_on") or ""),
    )


def read_steps(text: str) -> tuple[Step, ...] | None:
    """``99.9: 5; 99.5: 10``: below the first number, the second one is owed. None: it is no such table."""
    found: list[Step] = []
    for part in text.replace(",", ".").split(";"):
        rate, colon, percent = part.partition(":")
        try:
            step = Step(Decimal(rate.strip()), Decimal(percent.strip()))
        except InvalidOperation:
            return None
        if not colon or not all(number.is_finite() and 0 <= number <= 100 for number in (step.rate, step.percent)):
            return None
        found.append(step)
    return tuple(found) if len(found) <= STEPS_MAX else None


def account(terms: Terms, counted: Tally) -> Account:
    """What a period comes to. Minutes still to come count as up: a penalty shown during a period only grows. Those
    before counting began count for nothing."""
    total = counted.up + counted.down
    rate = Fraction(100 * counted.up, total) if total else None
    allowed = allowance(terms.promised, total + counted.ahead)
    penalty = _penalty(terms, counted)
    amount = None
    if penalty is not None and terms.fee is not None:
        cents = Fraction(terms.fee) * Fraction(penalty)  # euros x percent = cents
        amount = Decimal(ceil(cents)) / 100
    shown = Decimal(floor(rate * 10**DECIMALS)).scaleb(-DECIMALS) if rate is not None else None
    return Account(shown, allowed, allowed - counted.down, penalty, amount)


def allowance(promised: Decimal, minutes: int) -> int:
    """Minutes of so many that may be down, rounded down."""
    return floor(minutes * (100 - Fraction(promised)) / 100)


def _penalty(terms: Terms, counted: Tally) -> Decimal | None:
    """Percent of the fee: the highest of the steps that the whole period's rate is below, the cap at most."""
    if terms.steps is None:
        return None
    total = counted.up + counted.down + counted.ahead
    if not total:
        return Decimal(0)
    rate = Fraction(100 * (total - counted.down), total)
    owed = max((step.percent for step in terms.steps if rate < Fraction(step.rate)), default=Decimal(0))
    return min(owed, terms.cap)
