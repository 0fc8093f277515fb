"""The journal as published: its head, its end re-read, its witness, and whether this minute's refusals are in it."""

from __future__ import annotations

import asyncio

from hygie.app import House, opened
from hygie.base.clock import month_of
from hygie.base.errors import HygieError, IntegrityError
from hygie.journal.checkpoint import parse_note
from hygie.journal.entry import PLATFORM
from hygie.proof.facts import DoorFacts, FreshFacts, HistoryFacts, JournalFacts, WitnessFacts
from hygie.sites.copies import on_upkeep

CHECKPOINT = "journal/checkpoint"
SAMPLE_ENTRIES = 2_048  # the end of the tree, where a forger would be
FRESH_WAIT_S = 10.0
FRESH_POLL_S = 0.25
_HEAD = "SELECT (SELECT size FROM hygie.journal_head), (SELECT count(*) FROM hygie.journal_pending)"


async def probe_journal(house: House) -> JournalFacts:
    """What waits, what is indexed, and the checkpoint that each site shows."""
    async with opened(house.dsns.sealer, size=1) as database:
        reader = await house.journal_reader(database)
        head, _ = await reader.checkpoint()
        async with database.transaction() as connection:
            row = await (await connection.execute(_HEAD)).fetchone()
    assert row is not None
    sizes = await asyncio.gather(*(_size_on(house, name) for name in house.sites.names))
    return JournalFacts(
        pending=row[1], indexed=row[0], published=head.size, sites=dict(zip(house.sites.names, sizes, strict=True))
    )


async def probe_witness(house: House) -> WitnessFacts:
    """How far the witness has cosigned, and whether it is of this machine."""
    async with opened(house.dsns.sealer, size=1) as database:
        head, _ = await (await house.journal_reader(database)).checkpoint()
    witness = house.witness()
    if witness is None:
        return WitnessFacts("none", head.size, None)
    note = await witness.latest(head.origin)
    cosigned = int(parse_note(note).text.split(b"\n")[1]) if note else None
    return WitnessFacts("elsewhere" if house.settings.witness.url else "here", head.size, cosigned)


async def probe_history(house: House) -> HistoryFacts:
    """Read the end of the tree from the sites again; every entry is hashed against the signed root."""
    async with opened(house.dsns.sealer, size=1) as database:
        reader = await house.journal_reader(database)
        head, _ = await reader.checkpoint()
        count = 0
        try:
            async for _ in reader.entries(max(head.size - SAMPLE_ENTRIES, 0), head.size):
                count += 1
        except IntegrityError as error:
            return HistoryFacts(head.size, count, error.code)
    return HistoryFacts(head.size, count, "")


async def probe_fresh(house: House, door: DoorFacts) -> FreshFacts:
    """Wait until the door's refusals are published, at most ``FRESH_WAIT_S``."""
    async with opened(house.dsns.sealer, size=1) as database:
        deadline = asyncio.get_running_loop().time() + FRESH_WAIT_S
        while True:
            reader = await house.journal_reader(database)
            found = await reader.search(
                PLATFORM, month_of(door.sent_at_ms), kinds=("security",), from_ms=door.sent_at_ms - 1_000
            )
            mine = sum(1 for item in found if item.entry is not None and item.entry.device == door.agent)
            delay_ms = house.clock.now_ms() - door.sent_at_ms
            if mine >= door.asked or asyncio.get_running_loop().time() > deadline:
                return FreshFacts(door.asked, mine, delay_ms)
            await asyncio.sleep(FRESH_POLL_S)


async def _size_on(house: House, name: str) -> int | None:
    try:
        note = await on_upkeep(house.sites.link(name), lambda site: site.get(CHECKPOINT))
        return int(parse_note(note).text.split(b"\n")[1])
    except (HygieError, ValueError, IndexError):
        return None
