"""Objects on the sites that no catalogue knows: what a write that never counted left, watched until it is surely void.

A pack is placed before its row is committed, so a name without a row is first taken for a write under way.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from hygie.base.clock import Clock
from hygie.base.permit import Place
from hygie.database.pool import Database

PACKS_PREFIX = "packs/"
BLOBS_PREFIX = "blobs/"
PACK_VOID_AFTER_MS = 600_000  # a commit waits for seconds at most
CHUNK_VOID_AFTER_MS = 86_400_000  # an upload may last for hours before the object that names its chunks is written


@dataclass(frozen=True, slots=True)
class _Named:
    """A name taken apart: a pack's number, or a chunk's blob and rank."""

    name: str
    blob: bytes
    number: int


class VoidWatch:
    """Remembers since when each unexpected name is seen. One per working process; a restart begins to count again."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since: dict[str, int] = {}

    def note(self, extra: Iterable[str]) -> None:
        """The unexpected names of one whole comparison; a name that is not among them is forgotten."""
        now_ms = self._clock.now_ms()
        self._since = {name: self._since.get(name, now_ms) for name in extra if _delay_ms(name)}

    async def void(self, database: Database, places: Sequence[Place]) -> set[str]:
        """Names seen for long enough, whose environment lives and whose row still does not exist.

        A catalogue that was lost names nothing, and one that is being rebuilt fills up in order of numbers: a pack is
        void only below the highest number that is committed, a chunk only where something is committed at all.
        Raises: DatabaseUnavailableError.
        """
        now_ms = self._clock.now_ms()
        old = [name for name, since_ms in self._since.items() if now_ms - since_ms >= _delay_ms(name)]
        found: set[str] = set()
        for place in places if old else ():
            mine = [named for name in old if (named := _named(name, place.environment_id)) is not None]
            if mine:
                found |= await _without_row(database, place, mine)
        return found


async def _without_row(database: Database, place: Place, mine: Collection[_Named]) -> set[str]:
    packs = [one for one in mine if not one.blob]
    chunks = [one for one in mine if one.blob]
    async with database.transaction(place.role) as connection:
        row = await (await connection.execute("SELECT max(number) FROM pack")).fetchone()
        highest = row[0] if row is not None else None
        if highest is None:
            return set()
        cursor = await connection.execute(
            "SELECT number FROM pack WHERE number = ANY(%s)", ([one.number for one in packs],)
        )
        known_packs = {row[0] for row in await cursor.fetchall()}
        cursor = await connection.execute(
            "SELECT blob, number FROM blob_chunk WHERE blob = ANY(%s)", (list({one.blob for one in chunks}),)
        )
        known_chunks = {(bytes(row[0]), row[1]) for row in await cursor.fetchall()}
    return {one.name for one in packs if one.number < highest and one.number not in known_packs} | {
        one.name for one in chunks if (one.blob, one.number) not in known_chunks
    }


def _delay_ms(name: str) -> int:
    """How long a name must be seen; 0: it is never void."""
    if name.startswith(PACKS_PREFIX):
        return PACK_VOID_AFTER_MS
    return CHUNK_VOID_AFTER_MS if name.startswith(BLOBS_PREFIX) else 0


def _named(name: str, environment_id: bytes) -> _Named | None:
    """The parts of a pack's or a chunk's name in one environment; None: another's, or not such a name."""
    parts = name.split("/")
    if len(parts) < 3 or parts[1] != environment_id.hex():
        return None
    try:
        if name.startswith(PACKS_PREFIX) and len(parts) == 3 and parts[2].endswith(".pack"):
            return _Named(name, b"", int(parts[2].removesuffix(".pack")))
        if name.startswith(BLOBS_PREFIX) and len(parts) == 4:
            return _Named(name, bytes.fromhex(parts[2]), int(parts[3]))
    except ValueError:
        return None
    return None
