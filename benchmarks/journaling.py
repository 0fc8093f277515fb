"""Entries of the journal as reads of a hospital make them, written without the reads."""

from __future__ import annotations

import asyncio

from hygie.app import House
from hygie.base.actions import Action
from hygie.database.pool import Database
from hygie.journal.entry import Entry
from hygie.journal.writer import JournalWriter
from hygie.watch import memory

ACCOUNTS = 430  # people of a hospital of 300 beds
PATIENTS = 40_000


async def appended(journal: JournalWriter, house: House, start: int, count: int) -> None:
    """So many entries, durable. Args: start: the number of the first, from which whom and what follow."""
    now_ms = house.clock.now_ms()
    made = [
        Entry(
            Action.OBJECT_READ,
            "done",
            "access",
            now_ms,
            account=f"dr-{number % ACCOUNTS}",
            address="192.0.2.1",
            subject=(number * 7_919 % PATIENTS).to_bytes(16, "big"),
            items=(("Patient", number.to_bytes(16, "big"), 1),),
            count=1,
        )
        for number in range(start, start + count)
    ]
    await journal.append_now(made)


async def sealed(database: Database) -> int:
    """Wait until the sealer gave each entry its index. Returns: the size of the journal."""
    query = "SELECT count(*) FROM hygie.journal_pending"
    while True:
        async with database.transaction() as connection:
            row = await (await connection.execute(query)).fetchone()
            size = await memory.journal_size(connection)
        if row is not None and row[0] == 0:
            return size
        await asyncio.sleep(0.2)
