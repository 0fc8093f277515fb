"""Numbers of a log that nobody holds any more: what a rebuild or a restore found lost, and declared in the journal.

The log goes on after them, from the digest that the journal holds. Source: docs/formats/proof-segments.md v1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Hole(NamedTuple):
    """Numbers ``first`` to ``last``, both included. digest: of the last one, from which the chain goes on."""

    first: int
    last: int
    digest: bytes


class Passing:
    """Follows a chain past the holes in it. Pure."""

    def __init__(self, holes: Sequence[Hole]) -> None:
        self._waiting = {one.first: one for one in holes}

    def past(self, seq: int, before: bytes) -> tuple[int, bytes]:
        """The number and the digest that the next write goes on from. Args: of the last one that is there."""
        hole = self._waiting.pop(seq + 1, None)
        return (seq, before) if hole is None else (hole.last, hole.digest)


def holes_of(log: str) -> list[Hole]:
    """The holes of one log (``records``, ``batches``), in order, from the database that Django is bound to."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT first, last, digest FROM hole WHERE log = %s ORDER BY first", (log,))
        return [Hole(first, last, bytes(digest)) for first, last, digest in cursor.fetchall()]


def held(seq: int, holes: Sequence[Hole]) -> bool:
    """Whether a number is outside every hole: what came back of a hole counts once it is filled whole."""
    return not any(one.first <= seq <= one.last for one in holes)


def ranges(lost: Sequence[Sequence[int]]) -> str:
    """Numbers for people: ``105-107, 110``. Args: lost: first and last of each range."""
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in lost)
