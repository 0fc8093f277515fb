"""The technical obligations of ``hygie status``, from the référentiel of obligations: one copy, one wording."""

from __future__ import annotations

from functools import cache

from hygie.proof.model import Obligation, Status
from hygie.proof.referentials.model import NODE_MARK, Requirement
from hygie.proof.referentials.shipped import HDS, ISO27001, OBLIGATIONS, RGPD, shipped

TECHNICAL = "tech"


@cache
def technical_obligations() -> tuple[Obligation, ...]:
    """tech-1 to tech-8, in order."""
    return tuple(_obligation(one) for one in shipped(OBLIGATIONS).children(TECHNICAL))


def _obligation(one: Requirement) -> Obligation:
    return Obligation(
        id=one.id,
        title=one.title,
        proof=one.summary,
        status=Status(one.status or ""),
        exi=_targets(one, HDS),
        iso27001=_targets(one, ISO27001),
        rgpd=_targets(one, RGPD),
    )


def _targets(one: Requirement, referential: str) -> tuple[str, ...]:
    prefix = referential + NODE_MARK
    return tuple(link.target.removeprefix(prefix) for link in one.links if link.target.startswith(prefix))
