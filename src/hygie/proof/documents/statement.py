"""The statement of applicability (déclaration d'applicabilité): what is decided on each of the 93 controls of annex A
of ISO/IEC 27001:2022, why, where each stands, and what shows it. Pure.

A decision comes from register ``applicability`` once approved; then from the perimeter; else the control is kept by
default, and the statement says that nobody has decided. A control left out keeps its verdict: both are shown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hygie.proof.documents.model import Inputs
from hygie.proof.documents.words import Words
from hygie.proof.referentials.model import NODE_MARK, Requirement
from hygie.proof.referentials.shipped import ISO27001, shipped
from hygie.registers.chain import RecordVersion

_CONTROL = re.compile(r"A\.[5-8]\.\d{1,2}")
REGISTER = "applicability"
NO_EVIDENCE: Mapping[str, int] = {"measured": 0, "attested": 0, "external": 0, "declared": 0, "none": 0}


@dataclass(frozen=True, slots=True)
class Link:
    """One piece of evidence: the check, what it says, since when and until when; instants in ms, 0 when unknown."""

    check: str
    title: str
    verdict: str
    evidence: str
    since_ms: int
    until_ms: int
    ran_ms: int


@dataclass(frozen=True, slots=True)
class Line:
    """One control of annex A.

    decided: an approved decision was found; reason, basis, how, decision: its words, key and version; risks: titles of
    the scenarios that it treats; verdict, evidence: as the posture has them; answers: controls of Hygie.
    """

    control: str
    theme: str
    title: str
    applicable: bool
    decided: bool
    reason: str
    basis: str
    how: str
    decision: str
    approver: str
    decided_on: str
    risks: tuple[str, ...]
    verdict: str
    evidence: Mapping[str, int]
    answers: tuple[tuple[str, str], ...]
    links: tuple[Link, ...]


def statement_lines(inputs: Inputs) -> list[Line]:
    """The 93 lines, in the standard's order."""
    statement = _Statement(inputs)
    return [statement.line(node) for node in shipped(ISO27001).nodes if _CONTROL.fullmatch(node.id)]


class _Statement:
    """What lines are made from, by control of annex A."""

    def __init__(self, inputs: Inputs) -> None:
        self._words = Words(inputs.language)
        posture, mark = inputs.posture, f"{ISO27001}{NODE_MARK}"
        self._rows = {row["id"]: row for row in posture["requirements"] if row["ref"].startswith(mark)}
        self._cards = {card["id"]: card for card in inputs.catalogue["requirements"] if card["ref"].startswith(mark)}
        self._decisions = _decisions(inputs.records.get(REGISTER, ()))
        self._basis = inputs.schemas[REGISTER].field("basis")
        self._controls = {one["id"]: one for one in posture["controls"]}
        self._checks = {one["id"]: one for one in posture["checks"]}
        self._risks: dict[str, list[str]] = {}
        for risk in inputs.records.get("risk", ()):
            if not inputs.schemas["risk"].state(risk.state).closed:
                for control in risk.fields.get("controls", ()):
                    self._risks.setdefault(control, []).append(f"{risk.key} {risk.fields['title']}")

    def line(self, node: Requirement) -> Line:
        """The line of one control."""
        row, record = self._rows.get(node.id), self._decisions.get(node.id)
        approved = record if record is not None and record.state == "approved" else None
        fields: Mapping[str, Any] = approved.fields if approved is not None else {}
        waiting = record is not None and approved is None
        applicable, reason = _decision(self._words, approved, self._cards.get(node.id), waiting=waiting)
        controls = [self._controls[name] for name in (row["controls"] if row else ())]
        names = dict.fromkeys(name for one in controls for name in one["checks"])
        return Line(
            control=node.id,
            theme=self._words.of(shipped(ISO27001).node(node.parent).title),
            title=self._words.of(node.title),
            applicable=applicable,
            decided=approved is not None,
            reason=reason,
            basis=self._words.value(self._basis, fields.get("basis")) if self._basis is not None else "",
            how=str(fields.get("how", "")),
            decision=f"{approved.key} v{approved.version}" if approved is not None else "",
            approver=approved.approver if approved is not None else "",
            decided_on=str(fields.get("decided_on", "")),
            risks=tuple(self._risks.get(node.id, ())),
            verdict=row["verdict"] if row else "unknown",
            evidence=row["evidence"] if row else NO_EVIDENCE,
            answers=tuple((one["id"], self._words.of(one["title"])) for one in controls),
            links=tuple(_link(self._checks[name], self._words) for name in names),
        )


def _decisions(records: Sequence[RecordVersion]) -> Mapping[str, RecordVersion]:
    """By control, the last approved decision, else one that is proposed."""
    found: dict[str, RecordVersion] = {}
    for state in ("proposed", "approved"):
        chosen = [record for record in records if record.state == state]
        for record in sorted(chosen, key=lambda one: (str(one.fields.get("decided_on", "")), one.seq)):
            found[record.fields["control"]] = record
    return found


def _decision(
    words: Words, approved: RecordVersion | None, card: Mapping[str, Any] | None, *, waiting: bool
) -> tuple[bool, str]:
    """Whether the control applies, and why. Args: waiting: a decision is proposed and not approved."""
    if approved is not None:
        return bool(approved.fields["applicable"]), str(approved.fields["reason"])
    nobody = words.say(" Aucune décision approuvée.", " No decision was approved.")
    proposed = words.say(" Une décision est proposée, non approuvée.", " A decision is proposed, not approved.")
    if card is not None and not card["applies"]:
        return False, words.of(card["why"]) + (proposed if waiting else nobody)
    default = words.say("Par défaut : traitement des risques.", "By default: treatment of risks.")
    return True, default + (proposed if waiting else nobody)


def _link(check: Mapping[str, Any], words: Words) -> Link:
    return Link(
        check=check["id"],
        title=words.of(check["title"]),
        verdict=check["verdict"],
        evidence="none" if check["verdict"] == "unknown" else check["evidence"],
        since_ms=check.get("since_ms") or 0,
        until_ms=check.get("fresh_until_ms") or 0,
        ran_ms=check["ran_ms"] or 0,
    )


def totals(lines: Sequence[Line]) -> Mapping[str, int]:
    """How many controls are kept, left out, decided; and how the kept ones stand."""
    kept = [one for one in lines if one.applicable]
    found = {"total": len(lines), "applicable": len(kept), "excluded": len(lines) - len(kept)}
    found["decided"] = sum(one.decided for one in lines)
    for verdict in ("satisfied", "unsatisfied", "unknown", "not_applicable"):
        found[verdict] = sum(one.verdict == verdict for one in kept)
    return found
