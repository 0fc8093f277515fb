"""The words of controls: control, register check, condition. Pure; source: docs/formats/controls.md v1."""

from __future__ import annotations

from typing import Literal

import msgspec

from hygie.proof.model import Evidence, Text

DAY_S = 86_400.0
Operator = Literal[
    "filled", "empty", "is", "in", "has", "at-least", "at-most", "past", "not-past", "within-days", "within-field-days",
    "not-after", "not-before",
]  # fmt: skip
RuleKind = Literal["some", "every", "none", "covers", "each"]


class Condition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a field of a record must be.

    has: a list holds the value; past, not-past: a date before today, or not (an empty one is neither);
    within-days: a date not older than ``value`` days, not in the future; within-field-days: likewise, days in the field
    named ``other``; not-after, not-before: a date compared with that of the field ``other``.
    """

    field: str
    op: Operator
    value: str | int | bool | None = None
    values: tuple[str, ...] = ()
    other: str = ""


class RegisterCheck(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A check on registers.

    rule: ``some``, at least ``min`` records of those chosen hold ``must``; ``every``, all of them do, and there are at
    least ``min``; ``none``, none of them does; ``covers``, the field ``covered`` takes every one of ``values`` over the
    records that hold ``must``; ``each``, for each subject (records of register ``of``, or clients) one record holds
    ``must``, joined by ``join`` (``key``: the record's field names the subject's key; ``tenant``: same client).

    states, where: which records are chosen (open ones when no state is named). of_states, of_where: which subjects.
    attested by a person, external when it rests on a document, declared when nobody stands for it.
    sabotage: changes that turn it red from the good records of the tests, by the test that plays them.
    """

    id: str
    fr: str
    en: str
    proves_fr: str
    proves_en: str
    register: str
    rule: RuleKind
    owner: str
    remedy_fr: str
    remedy_en: str
    evidence: Evidence = Evidence.ATTESTED
    states: tuple[str, ...] = ()
    where: tuple[Condition, ...] = ()
    must: tuple[Condition, ...] = ()
    min: int = 1
    covered: str = ""
    values: tuple[str, ...] = ()
    of: str = ""
    of_states: tuple[str, ...] = ()
    of_where: tuple[Condition, ...] = ()
    join: str = ""
    cadence_s: float = DAY_S
    empty: Literal["unknown", "satisfied", "not_applicable"] = "unknown"

    @property
    def fresh_s(self) -> float:
        """A run that is older than two cadences says nothing any more."""
        return 2 * self.cadence_s

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


class Control(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is done. answers: obligations, HDS requirements and sub-items, ISO 27001 and RGPD ids that it serves, as
    ``référentiel#id`` without version (``hds#EXI-05.D.a``); checks: ids of live or register checks."""

    id: str
    fr: str
    en: str
    about_fr: str
    about_en: str
    owner: str
    answers: tuple[str, ...]
    checks: tuple[str, ...]

    @property
    def title(self) -> Text:
        """Its name."""
        return Text(self.fr, self.en)
