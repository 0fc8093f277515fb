"""What is checked against what, as one plain value: requirements with their applicability, controls, checks.

It is kept with the evidence, so that a past posture is judged by what was asked then. Pure.
Source: docs/formats/evidence-log.md v1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hygie.proof.checks import CHECKS
from hygie.proof.controls.read import Controls
from hygie.proof.cross.model import Card, cards
from hygie.proof.model import Check, Text
from hygie.proof.referentials.model import NODE_MARK, NOTHING, Referential

FORMAT = "hygie catalogue 1"
LIVE_OWNER = "exploitation"
LIVE_CADENCE_MAX_S = (
    3_600.0  # a check of what runs leaves a run each hour at least, more often when its fact ages faster
)
Applicability = Mapping[str, tuple[bool, Text]]


def live_cadence_s(check: Check) -> float:
    """Seconds after which a run of a live check is kept though it says nothing new: before its evidence is stale."""
    return min(check.fresh_s / 2, LIVE_CADENCE_MAX_S)


def build_catalogue(
    referentials: Sequence[Referential], controls: Controls, *, applicability: Applicability, version: str
) -> dict[str, Any]:
    """The catalogue. Args: applicability: by ``référentiel@version#node``; what is not named applies."""
    answering: dict[str, list[str]] = {}
    for control in controls.controls:
        for ref in control.answers:
            answering.setdefault(ref, []).append(control.id)
    return {
        "format": FORMAT,
        "version": version,
        "referentials": {one.id: one.digest for one in referentials},
        "requirements": [row for one in referentials for row in _requirements(one, answering, applicability)],
        "controls": [
            {
                "id": one.id,
                "title": [one.fr, one.en],
                "about": [one.about_fr, one.about_en],
                "owner": one.owner,
                "answers": list(one.answers),
                "checks": list(one.checks),
            }
            for one in controls.controls
        ],
        "checks": [*map(_live, CHECKS), *map(_on_registers, controls.checks), *map(_cross, cards().values())],
    }


def _requirements(
    referential: Referential, answering: Mapping[str, list[str]], applicability: Applicability
) -> list[dict[str, Any]]:
    rows = []
    for node in referential.nodes:
        ref = f"{referential.id}{NODE_MARK}{node.id}"
        applies, why = applicability.get(ref, (True, NOTHING))
        rows.append(
            {
                "ref": ref,
                "id": node.id,
                "parent": f"{referential.id}{NODE_MARK}{node.parent}" if node.parent else "",
                "title": [node.title.fr, node.title.en],
                "assessable": node.assessable,
                "standing": node.status.value if node.status else "",
                "applies": applies,
                "why": [why.fr, why.en],
                "controls": answering.get(ref, []),
            }
        )
    return rows


def _live(check: Check) -> dict[str, Any]:
    return {
        "id": check.id,
        "title": [check.title.fr, check.title.en],
        "proves": [check.proves.fr, check.proves.en],
        "source": f"fact:{check.fact}",
        "cadence_s": live_cadence_s(check),
        "fresh_s": check.fresh_s,
        "owner": LIVE_OWNER,
        "evidence": check.evidence.value,
        "sabotage": check.sabotage,
    }


def _on_registers(check: Any) -> dict[str, Any]:
    return {
        "id": check.id,
        "title": [check.fr, check.en],
        "proves": [check.proves_fr, check.proves_en],
        "source": f"register:{check.register}",
        "cadence_s": check.cadence_s,
        "fresh_s": check.fresh_s,
        "owner": check.owner,
        "evidence": check.evidence.value,
        "sabotage": "tests/sabotage/test_registers.py::test_each_check_on_registers_is_seen_red",
    }


def _cross(card: Card) -> dict[str, Any]:
    return {
        "id": card.id,
        "title": [card.fr, card.en],
        "proves": [card.proves_fr, card.proves_en],
        "source": card.source,
        "cadence_s": card.cadence_s,
        "fresh_s": card.fresh_s,
        "owner": card.owner,
        "evidence": card.evidence.value,
        "sabotage": card.sabotage,
    }
