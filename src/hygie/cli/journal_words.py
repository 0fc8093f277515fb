"""One sentence on bytes of the journal that are no entry, the same wherever the journal is read whole."""

from __future__ import annotations

from collections.abc import Sequence

from hygie.base.language import say


def foreign_told(indexes: Sequence[int]) -> str:
    """How many, and the first one, for a person."""
    return say(
        fr=f"Journal : {len(indexes)} feuilles qui ne sont pas des entrées (la première au rang {indexes[0]}), laissées"
        " de côté ; un processus de Hygie les y a mises, prévenez la sécurité.",
        en=f"Journal: {len(indexes)} leaves that are no entry (the first at index {indexes[0]}), passed over; a process"
        " of Hygie put them there, tell security.",
    )
