"""Controls and checks by their id, by what they answer, by who answers for them. Pure, on the shipped controls."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from hygie.proof.catalogue import LIVE_OWNER, live_cadence_s
from hygie.proof.checks import CHECKS
from hygie.proof.controls.model import Control, RegisterCheck
from hygie.proof.controls.read import shipped_controls
from hygie.proof.cross.model import Card, cards
from hygie.proof.errors import ControlUnknownError
from hygie.proof.model import Check, Evidence, Text, same
from hygie.proof.referentials.model import NODE_MARK

SHOWN_MAX = 80  # characters of an id that somebody typed


@dataclass(frozen=True, slots=True)
class CheckCard:
    """A check, on what runs, on registers or on both, as people read it. looks_at: ``fact:tls``, ``register:policy``;
    rule: the register check itself, None for another one."""

    id: str
    title: Text
    proves: Text
    looks_at: str
    evidence: Evidence
    owner: str
    cadence_s: float
    fresh_s: float
    remedy: Text
    controls: tuple[str, ...]
    rule: RegisterCheck | None = None

    def as_row(self) -> dict[str, Any]:
        """For machines."""
        return {
            "id": self.id,
            "title": self.title._asdict(),
            "proves": self.proves._asdict(),
            "looks_at": self.looks_at,
            "evidence": self.evidence.value,
            "owner": self.owner,
            "cadence_s": self.cadence_s,
            "fresh_s": self.fresh_s,
            "remedy": self.remedy._asdict(),
            "controls": list(self.controls),
            "rule": msgspec.to_builtins(self.rule) if self.rule else None,
        }


@dataclass(frozen=True, slots=True)
class ControlCard:
    """A control with its checks."""

    control: Control
    checks: tuple[CheckCard, ...]

    def as_row(self) -> dict[str, Any]:
        """For machines."""
        one = self.control
        return {
            "id": one.id,
            "title": one.title._asdict(),
            "about": one.about._asdict(),
            "owner": one.owner,
            "answers": list(one.answers),
            "checks": [check.as_row() for check in self.checks],
        }


def find_controls(*, requirement: str = "", owner: str = "") -> list[ControlCard]:
    """The controls that answer a requirement (its address, or its id alone) and of which a role answers; all of them
    when neither is named. Raises: ControlUnknownError: there is none."""
    known = _cards()
    found = [
        ControlCard(one, tuple(known[name] for name in one.checks))
        for one in shipped_controls().controls
        if owner in ("", one.owner) and (not requirement or _answers(one, requirement))
    ]
    if not found:
        raise ControlUnknownError(id=(requirement or owner)[:SHOWN_MAX])
    return found


def find_one(name: str) -> ControlCard | CheckCard:
    """The control, or the check, of that id. Raises: ControlUnknownError."""
    known = _cards()
    for one in shipped_controls().controls:
        if one.id == name:
            return ControlCard(one, tuple(known[check] for check in one.checks))
    if name not in known:
        raise ControlUnknownError(id=name[:SHOWN_MAX])
    return known[name]


def _answers(control: Control, requirement: str) -> bool:
    return any(requirement in (ref, ref.partition(NODE_MARK)[2]) for ref in control.answers)


def _cards() -> dict[str, CheckCard]:
    crossed = map(_cross, cards().values())
    return {one.id: one for one in (*map(_live, CHECKS), *map(_on_registers, shipped_controls().checks), *crossed)}


def _serving(check: str) -> Iterator[str]:
    return (one.id for one in shipped_controls().controls if check in one.checks)


def _live(one: Check) -> CheckCard:
    return CheckCard(
        *(one.id, one.title, one.proves, f"fact:{one.fact}", one.evidence, LIVE_OWNER),
        *(live_cadence_s(one), one.fresh_s, one.renew or same("hygie status"), tuple(_serving(one.id))),
    )


def _on_registers(one: RegisterCheck) -> CheckCard:
    return CheckCard(
        *(one.id, one.title, one.proves, f"register:{one.register}", one.evidence, one.owner),
        *(one.cadence_s, one.fresh_s, one.remedy, tuple(_serving(one.id)), one),
    )


def _cross(one: Card) -> CheckCard:
    return CheckCard(
        *(one.id, one.title, Text(one.proves_fr, one.proves_en), one.source, one.evidence, one.owner),
        *(one.cadence_s, one.fresh_s, Text(one.remedy_fr, one.remedy_en), tuple(_serving(one.id))),
    )
