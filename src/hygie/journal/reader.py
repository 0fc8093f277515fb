"""Read the published journal: entries, proofs, searches, exports. All that is read from the sites is checked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from hygie.base.errors import InvalidRequestError, NotFoundError
from hygie.journal import sequence
from hygie.journal.checkpoint import Checkpoint, VerifierKey, verify_checkpoint
from hygie.journal.entry import Entry, open_entry
from hygie.journal.errors import CheckpointInvalidError, EntryNotFoundError, JournalTamperedError, LeafInvalidError
from hygie.journal.export import Chooser, Disclose, Exported, ExportWriter, FileSink, OwnSink, Sink
from hygie.journal.leaf import Head, read_head
from hygie.journal.merkle import HASH_BYTES, leaf_hash
from hygie.journal.protocols import MonthKeys, Sites, Transactions
from hygie.journal.published import EarlierTree, PublishedTree, checkpoints_on_sites, verified
from hygie.journal.tiles import TILE_WIDTH, tile_at


@dataclass(frozen=True, slots=True)
class Found:
    """One entry of the journal. entry: None when its month key is destroyed (it is still proven), or when it is
    foreign: bytes that no holder of the month key sealed, which whoever may add to the journal can put there. They tell
    nothing, not even by their head."""

    index: int
    head: Head
    entry: Entry | None
    foreign: bool = False


_NO_HEAD = Head("invalid", "", bytes(16), 0)


def head_of(leaf: bytes) -> Head:
    """The head of a leaf; that of nothing for bytes that have none."""
    try:
        return read_head(leaf)
    except LeafInvalidError:
        return _NO_HEAD


class JournalReader:
    """Reads what is published; ``database`` (opened as hygie_sealer) makes searches by month quick."""

    def __init__(
        self,
        sites: Sites,
        month_keys: MonthKeys,
        *,
        log_keys: Sequence[VerifierKey],
        database: Transactions | None = None,
        witness_key: VerifierKey | None = None,
    ) -> None:
        self._sites = sites
        self._month_keys = month_keys
        self._log_keys = log_keys
        self._database = database
        self._witness_key = witness_key
        self._tree: PublishedTree | None = None

    async def checkpoint(self) -> tuple[Checkpoint, bytes]:
        """The highest signed tree head on the sites, and its note.

        Raises: EntryNotFoundError: nothing is published yet.
        """
        found, _, _ = await checkpoints_on_sites(self._sites, self._log_keys)
        if not found:
            raise EntryNotFoundError(index=0)
        return max(found, key=lambda item: item[0].size)

    async def tree(self) -> tuple[PublishedTree, bytes]:
        """The tree of the highest checkpoint, opened, and the checkpoint's note."""
        head, note = await self.checkpoint()
        if self._tree is None or self._tree.head != head:
            tree = PublishedTree(self._sites, head)
            await tree.open()
            self._tree = tree
        return self._tree, note

    async def entries(self, start: int = 0, end: int | None = None) -> AsyncIterator[tuple[int, bytes]]:
        """(index, leaf) of the published entries in [start, end), each checked against the tree."""
        tree, _ = await self.tree()
        async for first, leaves in tree.bundles(start, tree.head.size if end is None else end):
            for index, leaf in enumerate(leaves, first):
                yield index, leaf

    async def open(self, index: int, leaf: bytes) -> Found:
        """Open one leaf; the entry is None when its month key is destroyed, or when it is foreign.

        Args: leaf: proven by the tree: so one that does not open is what was put there, not an entry that changed.
        """
        head = head_of(leaf)
        try:
            key = await self._month_keys.month_key(head.tenant_id, head.kind, head.month)
            return Found(index, head, open_entry(leaf, month_key=key))
        except NotFoundError:
            return Found(index, head, None)
        except (LeafInvalidError, InvalidRequestError):  # no body, or no month, that a key goes with
            return Found(index, _NO_HEAD, None, foreign=True)

    async def search(
        self,
        tenant_id: bytes,
        month: str,
        *,
        kinds: Collection[str] = (),
        actions: Collection[str] = (),
        account: str | None = None,
        subject: bytes | None = None,
        from_ms: int = 0,
        to_ms: int = 2**63 - 1,
        limit: int = 1000,
    ) -> list[Found]:
        """Entries of one tenant in one month (``2026-11``), oldest first, opened and filtered.

        Args: kinds, actions: all by default. Entries whose key is destroyed match no action, account or subject.

        Raises: JournalTamperedError: an entry of the database does not open, and is not what was published.
        """
        found: list[Found] = []
        async for index, leaf in self._of_month(tenant_id, month, kinds):
            item = await self.open(index, leaf)
            if item.foreign:
                await self._require_published(index, leaf)
                continue
            if not from_ms <= item.head.at_ms < to_ms:
                continue
            if actions or account is not None or subject is not None:
                entry = item.entry
                if (
                    entry is None
                    or (actions and entry.action.value not in actions)
                    or (account is not None and entry.account != account)
                    or (subject is not None and entry.subject != subject)
                ):
                    continue
            found.append(item)
            if len(found) >= limit:
                break
        return found

    async def waiting(self, tenant_id: bytes, kind: str) -> list[Entry]:
        """Entries of one tenant and class that are durable and have no index yet, oldest first. Bytes that open as none
        are passed over."""
        assert self._database is not None
        async with self._database.transaction() as connection:
            leaves = await sequence.waiting_of(connection, tenant_id, kind)
        opened = [await self.open(-1, leaf) for leaf in leaves]
        return [one.entry for one in opened if one.entry is not None]

    async def _require_published(self, index: int, leaf: bytes) -> None:
        """A row that does not open was put there as it is, or was altered since: the tree tells which.

        Raises: JournalTamperedError: it is not the published leaf.
        """
        tree, _ = await self.tree()
        if index < tree.head.size:
            tile = await tree.tile(tile_at(0, index // TILE_WIDTH, tree.head.size))
            at = index % TILE_WIDTH * HASH_BYTES
            if tile[at : at + HASH_BYTES] != leaf_hash(leaf):
                raise JournalTamperedError(index=index, reason="not what was published")

    async def check_rows(self) -> int:
        """Compare the database's rows with the published journal: how many were compared.

        Raises: JournalTamperedError: a row is missing, altered, moved or back-dated; names the first.
        """
        assert self._database is not None
        tree, _ = await self.tree()
        expected, tile = 0, b""
        async with self._database.transaction() as connection:
            async for index, found in sequence.hashes_between(connection, 0, tree.head.size):
                if index != expected:
                    break
                if index % TILE_WIDTH == 0:
                    tile = await tree.tile(tile_at(0, index // TILE_WIDTH, tree.head.size))
                at = index % TILE_WIDTH * HASH_BYTES
                if tile[at : at + HASH_BYTES] != found:
                    raise JournalTamperedError(index=index, reason="not what was published")
                expected += 1
            if expected < tree.head.size:
                raise JournalTamperedError(index=expected, reason="missing from the database")
            wrong = await sequence.first_wrong_column(connection)
        if wrong is not None:
            raise JournalTamperedError(index=wrong, reason="columns are not the leaf's")
        return expected

    async def export(
        self,
        to: Path | OwnSink,
        start: int = 0,
        end: int | None = None,
        *,
        tenant_id: bytes | None = None,
        disclose: Disclose = False,
    ) -> Exported:
        """Write what ``hygie-verify`` checks alone (docs/formats/journal-export.md).

        Args: to: a new folder, a new file ending in ``.zip``, or what takes the files one by one; tenant_id: only that
        tenant's entries (with their indexes; other tenants' are not in the export); disclose: True, or which opened
        entries to disclose.
        Raises: FileExistsError; EntryNotFoundError: nothing is published.
        """
        tree, note = await self.tree()
        writer, kept = await self._writer(tree, note)
        size = tree.head.size
        end = size if end is None else min(end, size)
        if not 0 <= start < end:
            raise EntryNotFoundError(index=start)
        sink = await asyncio.to_thread(FileSink, to) if isinstance(to, Path) else to
        return await writer.write(sink, start, end, tenant_id=tenant_id, disclose=disclose, earlier=kept)

    def log_key_of(self, note: bytes) -> VerifierKey:
        """Which of the journal's keys, present or former, signed a checkpoint that was verified."""
        return next(key for key in self._log_keys if _is_signed(note, key))

    async def fill(
        self, sink: Sink, path: Path, chooser: Chooser, *, note: bytes, selected: bool
    ) -> tuple[Exported, Checkpoint]:
        """The same files for the whole journal at one of its checkpoints, into a sink that is left open.

        Args: note: of that checkpoint; path: told in the result; selected: only the entries that ``chooser`` chooses.
        Raises: CheckpointInvalidError: no key of this journal signed the note; TileInvalidError: it is no prefix.
        """
        tree, present = await self.tree()
        head = verified(note, self._log_keys)
        if head.size > tree.head.size:
            raise EntryNotFoundError(index=head.size - 1)
        if note != present:
            tree = EarlierTree(self._sites, head, tree)
            await tree.open()
        writer, kept = await self._writer(tree, note)
        done = await writer.fill(sink, path, (0, head.size), chooser, selected=selected, earlier=kept)
        return done, head

    async def _writer(self, tree: PublishedTree, note: bytes) -> tuple[ExportWriter, list[tuple[int, bytes]]]:
        log_key = self.log_key_of(note)
        writer = ExportWriter(tree, note, log_key=log_key, witness_key=self._witness_key, reader=self)
        return writer, [one for one in await self._kept_checkpoints(tree.head.size) if _is_signed(one[1], log_key)]

    async def month_key_of(self, head: Head) -> bytes | None:
        """The key that opens a leaf of this head; None: it is destroyed, or the head names a month without one."""
        try:
            return await self._month_keys.month_key(head.tenant_id, head.kind, head.month)
        except (NotFoundError, InvalidRequestError):
            return None

    async def _kept_checkpoints(self, size: int) -> list[tuple[int, bytes]]:
        if self._database is None:
            return []
        async with self._database.transaction() as connection:
            cursor = await connection.execute(
                "SELECT size, note FROM hygie.journal_checkpoint WHERE size < %s ORDER BY size", (size,), binary=True
            )
            return [(row[0], row[1]) for row in await cursor.fetchall()]

    async def _of_month(self, tenant_id: bytes, month: str, kinds: Collection[str]) -> AsyncIterator[tuple[int, bytes]]:
        if self._database is None:
            async for index, leaf in self.entries():
                head = head_of(leaf)
                if head.tenant_id == tenant_id and head.month == month and (not kinds or head.kind in kinds):
                    yield index, leaf
            return
        after = -1
        while True:
            async with self._database.transaction() as connection:
                rows = await sequence.page_of_month(connection, tenant_id, month, list(kinds), after=after)
            for index, leaf in rows:
                yield index, leaf
            if len(rows) < sequence.READ_ROWS:
                return
            after = rows[-1][0]


def _is_signed(note: bytes, key: VerifierKey) -> bool:
    """Whether this key of the journal, present or former, signed a checkpoint."""
    try:
        verify_checkpoint(note, log_key=key)
    except CheckpointInvalidError:
        return False
    return True
