"""What an environment's catalogue says the sites should hold: packs and chunks, with their digests."""

from __future__ import annotations

from collections.abc import AsyncIterator

from hygie.base.permit import Place
from hygie.database.pool import Database
from hygie.sites.copies import Expected
from hygie.vault.blobs import chunk_name
from hygie.vault.pack import pack_name

SLICE_ROWS = 1_000


async def holdings(database: Database, place: Place) -> AsyncIterator[Expected]:
    """(name, SHA-256, bytes) of every committed pack, then of every chunk of contents.

    Args: database: opened as the hosting role. Raises: DatabaseUnavailableError.
    """
    number = -1
    while True:
        async with database.transaction(place.role) as connection:
            cursor = await connection.execute(
                "SELECT number, sha256, bytes FROM pack WHERE number > %s ORDER BY number LIMIT %s",
                (number, SLICE_ROWS),
            )
            packs = await cursor.fetchall()
        for number, sha256, size in packs:
            yield pack_name(place.environment_id, number), sha256, size
        if len(packs) < SLICE_ROWS:
            break
    key = (b"", -1)
    while True:
        async with database.transaction(place.role) as connection:
            cursor = await connection.execute(
                "SELECT blob, number, sha256, bytes FROM blob_chunk WHERE (blob, number) > (%s, %s)"
                " ORDER BY blob, number LIMIT %s",
                (*key, SLICE_ROWS),
            )
            chunks = await cursor.fetchall()
        for blob, rank, sha256, size in chunks:
            yield chunk_name(place.environment_id, blob, rank), sha256, size
            key = (blob, rank)
        if len(chunks) < SLICE_ROWS:
            return
