"""Public pages as they were last published: files of the data folder, and the entry of the journal that names each."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

from hygie.app import House, opened
from hygie.base.actions import Action
from hygie.base.clock import month_of
from hygie.journal.reader import JournalReader
from hygie.proof.documents.pages import FILES, said_by
from hygie.proof.facts import PageFacts

PAGE_BYTES_MAX = 8 * 1024 * 1024  # a page of a thousand actors is one
PLATFORM = bytes(16)  # the tenant of entries that are about none
_RECORDED = (
    "SELECT at_ms FROM hygie_proof.record WHERE register = 'publication' AND body::jsonb ->> 'page' = %s"
    " ORDER BY seq LIMIT 1"
)


class PagesWatch:
    """Looks at the pages of one installation; remembers which entries of the journal name them, for they stay."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._named: dict[str, int] = {}

    async def look(self) -> tuple[PageFacts, ...]:
        """One page of each kind, there or not.

        Raises: OSError: a file that is there cannot be read; IntegrityError: the journal is not what was signed;
        UnavailableError.
        """
        folder, found = self._house.folder.public, []
        for kind, name in FILES.items():
            page, data = await asyncio.to_thread(_files, folder, name)
            digest = _digest(page)
            journaled_ms = await self._journaled_ms(digest) if digest else None
            found.append(PageFacts(kind, digest, _digest(data), said_by(data), journaled_ms))
        return tuple(found)

    async def _journaled_ms(self, digest: str) -> int | None:
        if digest not in self._named:
            async with opened(self._house.dsns.sealer, size=1) as database:
                reader = await self._house.journal_reader(database)
                at_ms = await self._recorded_ms(digest)
                named_ms = await _named_ms(reader, digest, at_ms) if at_ms is not None else None
            if named_ms is None:
                return None
            self._named[digest] = named_ms
        return self._named[digest]

    async def _recorded_ms(self, digest: str) -> int | None:
        """When the edition was recorded: its entry is of that month, or of the end of the one before."""
        async with opened(self._house.dsns.owner, size=1) as database, database.transaction() as connection:
            row = await (await connection.execute(_RECORDED, (digest,))).fetchone()
        return row[0] if row else None


async def _named_ms(reader: JournalReader, digest: str, recorded_ms: int) -> int | None:
    """The instant of the entry that names a file's SHA-256, from the day before its record on."""
    first_ms = recorded_ms - 86_400_000
    for month in dict.fromkeys((month_of(first_ms), month_of(recorded_ms))):
        exports = await reader.search(
            PLATFORM,
            month,
            kinds=("evidence",),
            actions=(Action.REGISTER_EXPORT.value,),
            from_ms=first_ms,
            to_ms=recorded_ms + 86_400_000,
        )
        for one in exports:
            if one.entry is not None and one.entry.detail.get("sha256") == digest:
                return one.entry.at_ms
    return None


def _files(folder: Path, name: str) -> tuple[bytes, bytes]:
    page, data = (_read(folder / f"{name}{ending}") for ending in (".html", ".json"))
    return page, data


def _read(path: Path) -> bytes:
    """Nothing for a file that is not there."""
    try:
        with path.open("rb") as file:
            return file.read(PAGE_BYTES_MAX + 1)
    except FileNotFoundError:
        return b""


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest() if content else ""
