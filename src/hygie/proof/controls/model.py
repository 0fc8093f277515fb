"""The words of controls: control, register check, condition. Pure; source: docs/formats/controls.md v1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from hygie.proof.model import Evidence, Text

DAY_S = 86_400.0
Operator = Literal[
    "filled", "empty", "is", "is-not", "in", "not-in", "has", "among", "same", "at-least", "at-most", "at-least-field",
    "at-most-field", "past", "not-past", "within-days", "within-field-days", "older-than-days", "not-after",
    "not-before", "in-eea", "outside-eea",
]  # fmt: skip
RuleKind = Literal["some", "every", "none", "covers", "each", "on-time"]
Nothing = Literal["unknown", "not_applicable"]

# Who answers for a control or a check: one word a role, as the registers name it.
OWNERS: Mapping[str, Text] = {
    "direction": Text("direction", "management"),
    "rssi": Text("responsable de la sécurité (RSSI)", "security officer (RSSI)"),
    "dpo": Text("délégué à la protection des données (DPO)", "data protection officer (DPO)"),
    "exploitation": Text("exploitation", "operations"),
    "juridique": Text("juridique", "legal"),
    "qualite": Text("qualité", "quality"),
    "rh": Text("ressources humaines", "human resources"),
    "achats": Text("achats", "purchasing"),
    "support": Text("support", "support"),
}


class Condition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a field of a record must be. Each operator, and paths: docs/formats/controls.md.

    field, other: a field's id; ``@key``, ``@state``, ``@tenant``, ``@approver`` or ``@at`` (instant of the last write);
    or ``reference.field`` for that of the records it names. value, values: what it is compared with; a number of days
    for the operators that count some.
    """

    field: str
    op: Operator
    value: str | int | bool | None = None
    values: tuple[str, ...] = ()
    other: str = ""


class RegisterCheck(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A check on registers.

    rule: ``some``, at least ``min`` records of those chosen hold ``must`` (of different ``distinct`` when it is named);
    ``every``, all of them do; ``none``, none of them does; ``covers``, the field ``covered`` takes every one of
    ``values`` over the records that hold ``must``; ``each``, for each subject ``min`` records hold ``must`` and name it
    by ``join``: subjects are the values of ``of_field`` in register ``of``, or the clients that the platform hosts;
    ``on-time``, no due date, review or clock named in ``clocks`` (all when none is) runs late, nor was stopped late in
    the last ``days`` days.

    states, where: which records are chosen (open ones when no state is named; any for ``on-time``). of_states,
    of_where: likewise, which subjects. when_none, when_blank: what it says when no record is chosen, and when the
    register holds none at all; ``not_applicable`` only where nothing recorded is the honest answer, for the reason
    none_fr, none_en. evidence: attested by a person, external when it rests on a document, declared when nobody stands
    for it.
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
    distinct: str = ""
    covered: str = ""
    values: tuple[str, ...] = ()
    of: str = ""
    of_states: tuple[str, ...] = ()
    of_where: tuple[Condition, ...] = ()
    of_field: str = "@key"
    join: str = ""
    clocks: tuple[str, ...] = ()
    days: int = 0
    cadence_s: float = DAY_S
    when_none: Nothing = "unknown"
    when_blank: Nothing = "unknown"
    none_fr: str = ""
    none_en: str = ""

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

    @property
    def nothing(self) -> Text:
        """Why it does not apply when there is nothing."""
        return Text(self.none_fr, self.none_en)


class Control(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is done. answers: obligations, HDS requirements and sub-items, ISO 27001 and RGPD ids that it serves
    (``hds@2.0#EXI-05.D.a``); checks: ids of live or register checks; a check may serve several controls."""

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

    @property
    def about(self) -> Text:
        """What it is, in a sentence."""
        return Text(self.about_fr, self.about_en)
