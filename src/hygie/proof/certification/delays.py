"""The delays of the cycle and the editions of the référentiels: data with a legal source and dates of validity."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from functools import cache
from itertools import pairwise

from hygie.proof.certification.civil import add_months
from hygie.proof.certification.data import Row, known_tables, own_file, rows, tables
from hygie.proof.certification.errors import CertificationDataError, DelayAbsentError
from hygie.proof.model import Text

FILE = "delays.toml"
LEAD_DAYS_MAX = 1_095  # a warning longer ahead than a whole cycle would speak of another certificate
AMOUNT_MAX = 1_200  # a hundred years in months: past it an amount is a typing mistake, and dates leave the calendar
LEADS_MAX = 12  # more warnings than months in a year are read by nobody

NEEDED = (
    "corrections",
    "validity",
    "surveillance_1",
    "surveillance_2",
    "surveillance_gap",
    "renewal_audit",
    "suspension",
    "internal_audit",
    "finding_major",
    "finding_minor",
    "finding_observation",
)


class Scheme(StrEnum):
    """What a certificate certifies."""

    HDS = "hds"
    ISO27001 = "iso27001"


class Unit(StrEnum):
    """In what a delay is counted; calendar_years: until 31 December of the year that many years later."""

    DAYS = "days"
    MONTHS = "months"
    CALENDAR_YEARS = "calendar_years"


class Basis(StrEnum):
    """Why a delay is what it is: a text, a standard or a body's practice, this platform's promise."""

    LITERAL = "literal"
    PRACTICE = "practice"
    PROMISE = "promise"


@dataclass(frozen=True, slots=True)
class Delay:
    """One rule. verified: the source was read; valid_until: last anchor it governs, none if still in force."""

    id: str
    amount: int
    unit: Unit
    title: Text
    basis: Basis
    source: Text
    verified: bool
    valid_from: date
    valid_until: date | None

    def governs(self, anchor: date) -> bool:
        """Whether a clock that starts on that day falls under this rule."""
        return self.valid_from <= anchor and (self.valid_until is None or anchor <= self.valid_until)

    def due(self, anchor: date) -> date:
        """The last civil day of the clock that starts on that day."""
        return shifted(anchor, self.amount, self.unit)


def shifted(anchor: date, amount: int, unit: Unit) -> date:
    """The day that many units after the anchor (before it when negative). Months: rule of ``civil.add_months``."""
    if unit is Unit.DAYS:
        return anchor + timedelta(days=amount)
    if unit is Unit.MONTHS:
        return add_months(anchor, amount)
    return date(anchor.year + amount, 12, 31)


@dataclass(frozen=True, slots=True)
class Edition:
    """An edition of a référentiel, and the last days on which it serves."""

    scheme: Scheme
    edition: str
    audits_until: date | None
    valid_until: date | None
    source: Text


@dataclass(frozen=True, slots=True)
class Delays:
    """All rules of one data file. leads: days before a due date on which to warn, longest first."""

    rules: tuple[Delay, ...]
    editions: tuple[Edition, ...]
    leads: tuple[int, ...]
    version: str

    def rule(self, delay_id: str, anchor: date) -> Delay:
        """The rule of that name in force on the day that starts the clock.

        Raises: DelayAbsentError: there is none.
        """
        for rule in self.rules:
            if rule.id == delay_id and rule.governs(anchor):
                return rule
        raise DelayAbsentError(delay=delay_id, on=anchor.isoformat())

    def due(self, delay_id: str, anchor: date) -> date:
        """The last civil day of that clock. Raises: DelayAbsentError."""
        return self.rule(delay_id, anchor).due(anchor)

    def edition(self, scheme: Scheme, edition: str) -> Edition | None:
        """That edition, or nothing when the data file does not know it."""
        return next((one for one in self.editions if (one.scheme, one.edition) == (scheme, edition)), None)


@cache
def own_delays() -> Delays:
    """The delays shipped with this version."""
    return read_delays(own_file(FILE))


def read_delays(text: str) -> Delays:
    """The delays of a TOML text in the form of ``delays.toml``.

    Raises: CertificationDataError: malformed, a needed delay absent, two rules in force on one day, leads not whole
    numbers of days between 0 and LEAD_DAYS_MAX, each once.
    """
    body = tables(FILE, text)
    known_tables(FILE, body, {"version", "delay", "edition", "warnings"})
    rules = tuple(_delay(row) for row in rows(FILE, body, "delay"))
    _check_rules(rules)
    warnings = Row(FILE, "warnings", body.get("warnings"))
    warnings.both("source")
    leads = checked_leads(warnings.numbers("days"))
    warnings.done()
    editions = tuple(_edition(row) for row in rows(FILE, body, "edition"))
    return Delays(rules, editions, leads, str(body.get("version", "")))


def checked_leads(days: tuple[int, ...]) -> tuple[int, ...]:
    """Days of warning, longest first.

    Raises: CertificationDataError: none, too many, one twice, or outside 0 to LEAD_DAYS_MAX.
    """
    good = 0 < len(days) <= LEADS_MAX and len(set(days)) == len(days) and all(0 <= d <= LEAD_DAYS_MAX for d in days)
    if not good:
        reason = Text(
            f"1 à {LEADS_MAX} nombres de jours différents, de 0 à {LEAD_DAYS_MAX}",
            f"1 to {LEADS_MAX} different numbers of days, 0 to {LEAD_DAYS_MAX}",
        )
        raise CertificationDataError(file=FILE, field="warnings.days", reason=reason)
    return tuple(sorted(days, reverse=True))


def _delay(row: Row) -> Delay:
    read = Delay(
        id=row.text("id", NEEDED),
        amount=read_amount(row),
        unit=Unit(row.text("unit", set(Unit))),
        title=row.both("title"),
        basis=Basis(row.text("status", set(Basis))),
        source=row.both("source"),
        verified=row.flag("verified"),
        valid_from=row.day("valid_from"),
        valid_until=row.day("valid_until") if row.has("valid_until") else None,
    )
    row.done()
    if read.valid_until is not None and read.valid_until < read.valid_from:
        raise row.refused("valid_until", Text("date antérieure à valid_from", "date earlier than valid_from"))
    return read


def read_amount(row: Row) -> int:
    """The field ``amount`` of a row. Raises: CertificationDataError: no whole number, or beyond AMOUNT_MAX."""
    amount = row.number("amount")
    if abs(amount) > AMOUNT_MAX:
        raise row.refused("amount", Text(f"{AMOUNT_MAX} au plus", f"at most {AMOUNT_MAX}"))
    return amount


def _edition(row: Row) -> Edition:
    read = Edition(
        scheme=Scheme(row.text("scheme", set(Scheme))),
        edition=row.text("edition"),
        audits_until=row.day("audits_until") if row.has("audits_until") else None,
        valid_until=row.day("valid_until") if row.has("valid_until") else None,
        source=row.both("source"),
    )
    row.done()
    return read


def _check_rules(rules: tuple[Delay, ...]) -> None:
    for needed in NEEDED:
        own = sorted((rule for rule in rules if rule.id == needed), key=lambda rule: rule.valid_from)
        if not own:
            raise CertificationDataError(file=FILE, field=needed, reason=Text("il manque", "it is missing"))
        for earlier, later in pairwise(own):
            if earlier.valid_until is None or later.valid_from <= earlier.valid_until:
                reason = Text("deux règles en vigueur le même jour", "two rules in force on the same day")
                raise CertificationDataError(file=FILE, field=needed, reason=reason)
