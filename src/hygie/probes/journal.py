"""The journal as published: its head on each site, its history re-read, its witness, this minute's refusals in it.

What is read from the sites counts only once its signature and its hashes hold.
"""

from __future__ import annotations

import asyncio
import ipaddress
import random
import socket
from collections.abc import Sequence

from hygie.app import House, opened
from hygie.base.errors import HygieError, IntegrityError
from hygie.database.pool import Database
from hygie.journal.checkpoint import Checkpoint, VerifierKey
from hygie.journal.errors import CheckpointInvalidError, JournalTamperedError
from hygie.journal.http1 import is_socket_path, parse_url
from hygie.journal.published import PublishedTree, verified
from hygie.journal.reader import JournalReader, head_of
from hygie.journal.tiles import TILE_WIDTH
from hygie.journal.witness_client import WitnessClient
from hygie.proof.facts import DoorFacts, FreshFacts, HistoryFacts, JournalFacts, WitnessFacts
from hygie.sites.copies import on_upkeep

CHECKPOINT = "journal/checkpoint"
BUNDLES_MAX = 8  # of 256 entries: the last two, where a forger would be, and others drawn at random
CHECKPOINTS_MAX = 8
ROWS_MAX = 50_000  # compared in well under a second; a larger journal is compared by ``hygie journal verify``
FRESH_WAIT_S = 10.0
POLL_S = 0.25
AGREE_TRIES = 8  # a publication under way shows on one site before the other
_HEAD = (
    "SELECT (SELECT size FROM hygie.journal_head),"
    " (SELECT count(*) FROM (SELECT 1 FROM hygie.journal_pending LIMIT 100001) AS counted),"
    " (SELECT leaf FROM hygie.journal_pending ORDER BY id LIMIT 1)"
)
_KEPT = "SELECT note FROM hygie.journal_checkpoint WHERE size <= %s ORDER BY random() LIMIT %s"


async def probe_journal(house: House) -> JournalFacts:
    """What waits, what is indexed, and what each site shows of it."""
    keys = await house.log_keys()
    async with opened(house.dsns.sealer, size=1) as database:
        reader = await house.journal_reader(database)
        for attempt in range(AGREE_TRIES):
            tree, _ = await reader.tree()
            async with database.transaction() as connection:
                row = await (await connection.execute(_HEAD, binary=True)).fetchone()
            sizes = {name: await _size_on(house, name, tree, keys) for name in house.sites.names}
            if all(size == tree.head.size for size in sizes.values()) or attempt == AGREE_TRIES - 1:
                break
            await asyncio.sleep(POLL_S)
    assert row is not None
    oldest_ms = head_of(row[2]).at_ms or None if row[2] is not None else None
    return JournalFacts(row[1], oldest_ms, row[0], tree.head.size, sizes)


async def probe_witness(house: House) -> WitnessFacts:
    """How far the witness has cosigned, whether of the same tree, and whether it is of this machine."""
    async with opened(house.dsns.sealer, size=1) as database:
        reader = await house.journal_reader(database)
        witness = house.witness()
        if witness is None:
            return WitnessFacts("none", (await reader.checkpoint())[0].size, None, agrees=False)
        return await look_at_witness(reader, witness, await house.log_keys())


async def look_at_witness(reader: JournalReader, witness: WitnessClient, keys: Sequence[VerifierKey]) -> WitnessFacts:
    """Compare the witness's latest cosigned tree with the published one.

    Raises: WitnessUnavailableError: no answer, or not its signature; CheckpointInvalidError: not this journal's.
    """
    where = await asyncio.to_thread(where_is, witness.address)
    for attempt in range(AGREE_TRIES):
        tree, _ = await reader.tree()
        note = await witness.latest(tree.head.origin)
        if note is None:
            return WitnessFacts(where, tree.head.size, None, agrees=False)
        seen = verified(note, keys)
        if seen.size <= tree.head.size or attempt == AGREE_TRIES - 1:
            break
        await asyncio.sleep(POLL_S)  # it cosigns before the sites show
    agrees = seen.size <= tree.head.size and await tree.root_at(seen.size) == seen.root
    return WitnessFacts(where, tree.head.size, seen.size, agrees=agrees)


def where_is(address: str) -> str:
    """``here`` for a unix socket or an address of this machine, else ``elsewhere``. Blocks: asks the resolver."""
    if is_socket_path(address):
        return "here"
    host = parse_url(address).host
    found = {str(info[4][0]) for info in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    return "here" if any(_is_own(one) for one in found) else "elsewhere"


async def probe_history(house: House) -> HistoryFacts:
    """Read parts of the published tree again, and compare earlier signed heads and the database's rows with it."""
    async with opened(house.dsns.sealer, size=1) as database:
        reader = await house.journal_reader(database)
        tree, _ = await reader.tree()
        checkpoints = bundles = 0
        rows: int | None = None
        try:
            checkpoints = await _recheck_heads(database, tree, await house.log_keys())
            bundles = await _reread(tree)
            if tree.head.size <= ROWS_MAX:
                rows = await reader.check_rows()
        except IntegrityError as error:
            return HistoryFacts(tree.head.size, checkpoints, bundles, rows, error.code)
    return HistoryFacts(tree.head.size, checkpoints, bundles, rows, "")


async def probe_fresh(house: House, door: DoorFacts, start: int) -> FreshFacts:
    """Wait until the door's refusals are in the published tree, at most ``FRESH_WAIT_S``.

    Args: start: the size of the published tree before the door was knocked at.
    """
    mine = 0
    async with opened(house.dsns.sealer, size=1) as database:
        reader = await house.journal_reader(database)
        deadline = asyncio.get_running_loop().time() + FRESH_WAIT_S
        while True:
            tree, _ = await reader.tree()
            async for index, leaf in reader.entries(start, tree.head.size):
                found = await reader.open(index, leaf)
                mine += found.entry is not None and found.entry.device == door.agent
            start = tree.head.size
            delay_ms = house.clock.now_ms() - door.sent_at_ms
            if mine >= door.asked or asyncio.get_running_loop().time() > deadline:
                return FreshFacts(door.asked, mine, delay_ms)
            await asyncio.sleep(POLL_S)


async def published_size(house: House) -> int:
    """Entries in the published tree."""
    async with opened(house.dsns.sealer, size=1) as database:
        head, _ = await (await house.journal_reader(database)).checkpoint()
    return head.size


async def _size_on(house: House, name: str, tree: PublishedTree, keys: Sequence[VerifierKey]) -> int | None:
    """The size that one site shows; -1 for a head that nobody signed or that is not of this tree; None: no answer."""
    try:
        note = await on_upkeep(house.sites.link(name), lambda site: site.get(CHECKPOINT))
    except HygieError:
        return None
    try:
        head: Checkpoint = verified(note, keys)
    except CheckpointInvalidError:
        return -1
    if head.size > tree.head.size:
        return head.size  # shown since: the next attempt compares it
    return head.size if await tree.root_at(head.size) == head.root else -1


async def _recheck_heads(database: Database, tree: PublishedTree, keys: Sequence[VerifierKey]) -> int:
    """Signed heads kept in the database must be prefixes of this tree. Raises: IntegrityError."""
    async with database.transaction() as connection:
        cursor = await connection.execute(_KEPT, (tree.head.size, CHECKPOINTS_MAX), binary=True)
        notes = [row[0] for row in await cursor.fetchall()]
    for note in notes:
        head = verified(note, keys)
        if await tree.root_at(head.size) != head.root:
            raise JournalTamperedError(index=head.size, reason="not the tree that was signed")
    return len(notes)


async def _reread(tree: PublishedTree) -> int:
    """Hash some bundles of entries against the signed root. Raises: IntegrityError: no site has a whole copy."""
    last = -(-tree.head.size // TILE_WIDTH)
    chosen = set(range(max(last - 2, 0), last))
    chosen |= set(random.sample(range(last), min(last, BUNDLES_MAX - len(chosen))))
    for number in sorted(chosen):
        await tree.bundle(number)
    return len(chosen)


def _is_own(address: str) -> bool:
    """Whether an address is one of this machine's: only those can be bound."""
    family = socket.AF_INET6 if ipaddress.ip_address(address).version == 6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True
