"""The access traces of one client: its part of the journal with what opens each entry, and the same as a table.

The archive is what ``hygie-verify`` checks with public keys alone (docs/formats/journal-export.md); the table is for
people.  Both are encrypted as they are made.
"""

from __future__ import annotations

import asyncio
import csv
import io
import zipfile
from pathlib import Path
from typing import Any

from hygie.base.clock import iso_ms
from hygie.base.errors import UnavailableError
from hygie.base.language import say
from hygie.database.pool import Database
from hygie.exits.model import JournalPart
from hygie.exits.sealed import SealedFolder, SealedStream
from hygie.journal.checkpoint import VerifierKey, parse_checkpoint, parse_note
from hygie.journal.reader import Found, JournalReader
from hygie.journal.tiles import CHECKPOINT

ARCHIVE = "traces/journal.zip"
TABLE = "traces/access.csv"
PUBLISHED_S_MAX = 60.0  # the sealer publishes twice a second
ROWS_HELD = 2_000  # lines of the table written at once
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


async def write_traces(
    reader: JournalReader,
    records: Database,
    folder: SealedFolder,
    *,
    tenant_id: bytes,
    environments: dict[bytes, str],
    witness: VerifierKey | None,
) -> JournalPart:
    """Both files, up to the last entry that was committed when this began.

    Args: records: a pool of the sealer's role; environments: names by id, for the table.
    Raises: UnavailableError: the journal is not published in time; IntegrityError: it is damaged.
    """
    await _published(reader, records)
    sink = _Archive(folder.stream(ARCHIVE))
    done = await reader.export(sink, tenant_id=tenant_id, disclose=True)
    await sink.finish()
    await _table(reader, folder.stream(TABLE), done.end, tenant_id=tenant_id, environments=environments)
    return JournalPart(
        checkpoint=sink.note.decode(),
        size=parse_checkpoint(parse_note(sink.note).text).size,
        entries=done.entries,
        disclosed=done.disclosed,
        log_key=reader.log_key_of(sink.note).encode(),
        witness_key=witness.encode() if witness is not None else "",
    )


async def _published(reader: JournalReader, records: Database) -> None:
    """Wait until every entry that is committed now can be read: the last access must be among the traces."""
    async with records.transaction() as connection:
        cursor = await connection.execute(
            "SELECT (SELECT size FROM hygie.journal_head) + (SELECT count(*) FROM hygie.journal_pending)"
        )
        row = await cursor.fetchone()
    assert row is not None
    loop = asyncio.get_running_loop()
    end = loop.time() + PUBLISHED_S_MAX
    while (await reader.checkpoint())[0].size < row[0]:
        if loop.time() > end:
            raise UnavailableError(part="journal")
        await asyncio.sleep(0.2)


class _Archive:
    """A ZIP file made on its way to the encryption; see ``journal.export.Sink``."""

    def __init__(self, stream: SealedStream) -> None:
        self.path = Path(ARCHIVE)
        self.note = b""
        self._stream = stream
        self._zip = zipfile.ZipFile(_Pipe(stream), "w", zipfile.ZIP_STORED)

    def add(self, name: str, data: bytes) -> None:
        """One file; the signed checkpoint is kept for the manifest."""
        if name == CHECKPOINT:
            self.note = data
        self._zip.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data)

    def close(self) -> None:
        """End the archive."""
        self._zip.close()

    async def finish(self) -> None:
        """End the encryption."""
        await self._stream.close()


class _Pipe(io.RawIOBase):
    """A file that only takes bytes and cannot go back: ``zipfile`` then writes sizes after the data."""

    def __init__(self, stream: SealedStream) -> None:
        super().__init__()
        self._stream = stream

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, data: Any, /) -> int:
        """Some bytes of the archive."""
        self._stream.put(bytes(data))
        return len(data)


async def _table(
    reader: JournalReader,
    stream: SealedStream,
    end: int,
    *,
    tenant_id: bytes,
    environments: dict[bytes, str],
) -> None:
    """One row for each entry that can be read."""
    count = 0
    held = io.StringIO()
    writer = csv.writer(held)
    writer.writerow(_head())
    async for index, leaf in reader.entries(0, end):
        if leaf[8:24] != tenant_id:
            continue
        found = await reader.open(index, leaf)
        if found.entry is None:
            continue
        writer.writerow(_row(found, environments))
        count += 1
        if count % ROWS_HELD == 0:
            await stream.write(held.getvalue().encode())
            held.seek(0)
            held.truncate()
    await stream.write(held.getvalue().encode())
    await stream.close()


def _head() -> list[str]:
    return [
        say(fr="rang", en="index"),
        say(fr="instant (UTC)", en="instant (UTC)"),
        say(fr="environnement", en="environment"),
        say(fr="compte", en="account"),
        say(fr="n° professionnel", en="professional id"),
        "action",
        say(fr="issue", en="outcome"),
        say(fr="pseudonyme du patient", en="patient's pseudonym"),
        say(fr="nombre", en="count"),
        say(fr="objets", en="objects"),
        say(fr="adresse", en="address"),
        say(fr="appareil", en="device"),
        say(fr="motif", en="purpose"),
        say(fr="habilitation", en="habilitation"),
        say(fr="permis", en="permit"),
        say(fr="détail", en="detail"),
    ]


def _row(found: Found, environments: dict[bytes, str]) -> list[str]:
    entry = found.entry
    assert entry is not None
    cells = [
        str(found.index),
        iso_ms(entry.at_ms),
        environments.get(entry.environment_id, ""),
        entry.account,
        entry.professional_id,
        entry.action.value,
        entry.outcome,
        entry.subject.hex(),
        str(entry.count),
        " ".join(f"{type_}/{id_.hex()}/{version}" for type_, id_, version in entry.items),
        entry.address,
        entry.device,
        entry.purpose,
        entry.habilitation,
        entry.permit_id.hex(),
        " ".join(f"{name}={value}" for name, value in sorted(entry.detail.items())),
    ]
    return [_inert(cell) for cell in cells]


def _inert(cell: str) -> str:
    """A cell that a spreadsheet does not take for a formula: a caller wrote some of these texts."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
