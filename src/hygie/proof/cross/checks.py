"""Every cross-check of this version."""

from __future__ import annotations

from functools import cache

from hygie.proof.cross import certificates, clients, operations, patches, people, places, published
from hygie.proof.cross.model import CrossCheck, paired


@cache
def cross_checks() -> tuple[CrossCheck, ...]:
    """Cards and functions, in the order of the cards. Raises: ControlsInvalidError: one without the other."""
    themes = (people, clients, places, operations, patches, certificates, published)
    return paired({name: judge for theme in themes for name, judge in theme.JUDGES.items()})
