"""Search over ciphertext: candidates by blind tokens, opened, filtered exactly, journaled, answered.

The code picks the plan, not PostgreSQL's guess (design: *search over ciphertext*):

- ids given: the primary key;
- one patient without a rarer term: the patient's compartment;
- some term is rare: the token index, materialised and capped;
- every term is frequent: walk rows in order under a budget, short pages if few match.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

import msgspec

from hygie.base.actions import Action
from hygie.base.canonical import canonical
from hygie.base.clock import Clock
from hygie.base.errors import HygieError, UnavailableError
from hygie.base.permit import SEEING, Permit
from hygie.base.seal import SealBrokenError, open_sealed, seal
from hygie.database.hot import HotConnections
from hygie.journal.entry import Entry
from hygie.journal.writer import JournalWriter
from hygie.vault import candidates, catalogue, set_rows
from hygie.vault.candidates import WHOLE, Window
from hygie.vault.catalogue import LocatedRow, Reading
from hygie.vault.context import EnvironmentContext
from hygie.vault.entries import Item, Notable, notes_on, nothing_notable, read_entries, refusal_entry
from hygie.vault.errors import CursorError, SearchTooBroadError
from hygie.vault.grouping import Grouping
from hygie.vault.model import Page, Query, Stored
from hygie.vault.patient_sets import Opened, is_open, opened_by
from hygie.vault.reading import OPEN_BATCH, open_rows
from hygie.vault.tokens import type_code

PROBE_ROWS_MAX = 2_000  # candidates taken from the token index; a term with more is called frequent
SORT_ROWS_MAX = 2_000  # a sort by content opens all its candidates: 2,000 take about 100 ms
WALK_ROWS_MAX = 20_000  # rows one page may walk: about 50 ms
GLANCE_ROWS = 300  # walked first for a limited permit: a set of many patients fills its page here
OPENED_ROWS_MAX = 2_000  # candidates one page opens, when an exact filter refuses nearly all: then a short page
PAGE_MAX = 1_000
INCLUDED_MAX = 1_000
FREQUENT_FRESH_S = 60.0
GROUP_MAX = 8  # searches in one transaction: a broad one delays at most seven others
_CURSOR_BYTES_MAX = 512


class _Cursor(msgspec.Struct, array_like=True, frozen=True):
    """Where the next page starts: after this seq, or at this rank of a sorted list."""

    query: bytes
    position: int


@dataclass(frozen=True, slots=True)
class _Waiting:
    permit: Permit
    query: Query
    digest: bytes
    position: _Cursor | None


class Searcher:
    """Searches of one environment in one process."""

    def __init__(
        self,
        context: EnvironmentContext,
        *,
        database: HotConnections,
        journal: JournalWriter,
        clock: Clock,
        notable: Notable = nothing_notable,
    ) -> None:
        self._context = context
        self._database = database
        self._journal = journal
        self._clock = clock
        self._notable = notable
        self._frequent: frozenset[int] = frozenset()
        self._frequent_at = -FREQUENT_FRESH_S
        self._group: Grouping[_Waiting, Page] = Grouping(self._serve, size=GROUP_MAX)

    async def search(self, permit: Permit, query: Query, *, digest: bytes) -> Page:
        """One page.

        Args: digest: what identifies the query, so that a cursor serves no other.
        Raises: CursorError; SearchTooBroadError; ObjectDamagedError; UnavailableError: not journaled, so not answered.
        """
        position = self._open_cursor(query.cursor, digest)
        return await self._group.submit(_Waiting(permit, query, digest, position))

    async def _serve(self, group: list[_Waiting]) -> list[Page | HygieError]:
        """Several searches in one transaction; each fails alone as long as the database answers."""
        pages: list[Page | HygieError] = []
        entries: list[Entry] = []
        async with self._database.transaction(self._context.place.role) as connection:
            for waiting in group:
                opened = opened_by(self._context.index, waiting.permit.patients, self._clock.now_ms())
                run = _Run(self, connection, waiting.permit, waiting.query, opened)
                try:
                    page = await self._page(run, waiting)
                except UnavailableError:
                    raise
                except HygieError as error:
                    pages.append(error)
                    entries.append(refusal_entry(waiting.permit, error, self._context.place, self._clock.now_ms()))
                else:
                    pages.append(page)
                    notes = notes_on(self._notable, waiting.permit, (*page.items, *page.included))
                    at_ms = self._clock.now_ms()
                    entries += read_entries(waiting.permit, at_ms, run.shown, total=page.total, notes=notes)
            await self._journal.append(connection, entries)
        return pages

    async def _page(self, run: _Run, waiting: _Waiting) -> Page:
        query, position = waiting.query, waiting.position
        count = min(query.count, PAGE_MAX)
        await run.prepare(position)
        page = await (run.page(count) if query.sort_key is None else run.sorted_page(count, position))
        if page.next is not None:
            page.next = self._seal_cursor(waiting.digest, int(page.next))
        if query.total or query.count == 0:
            page.total = await run.total()
        if query.include is not None and page.items:
            page.included = await run.included(page.items)
        return page

    async def history(
        self,
        permit: Permit,
        *,
        type_: str | None,
        id_: str | None,
        count: int,
        cursor: str | None,
        since_ms: int = 0,
    ) -> Page:
        """Versions, newest first; an erased compartment's versions are left out.

        Raises: CursorError; UnavailableError.
        """
        digest = hashlib.sha256(canonical("history", type_ or "", id_ or "", since_ms)).digest()[:16]
        position = self._open_cursor(cursor, digest)
        count = min(count, PAGE_MAX)
        index = self._context.index
        async with self._database.transaction(self._context.place.role) as connection:
            rows, walked_to = await candidates.history(
                connection,
                object_id=index.object_id(type_, id_) if type_ and id_ else None,
                type_=type_code(type_) if type_ and not id_ else None,
                limit=count + 1,
                before=position.position if position else WHOLE.before,
                since_ms=since_ms,
                opened=opened_by(index, permit.patients, self._clock.now_ms()),
                budget=WALK_ROWS_MAX,
            )
            more, rows = len(rows) > count, rows[:count]
            opened = await open_rows(self._context, permit, rows, reason="history")
            pairs = [
                (row, stored)
                for row, stored in zip(rows, opened, strict=True)
                if stored is not None and permit.reaches(Action.OBJECT_HISTORY, stored.type)
            ]
            shown = [(row.compartment, _item(row, stored)) for row, stored in pairs]
            notes = notes_on(self._notable, permit, (stored for _, stored in pairs))
            entries = read_entries(permit, self._clock.now_ms(), shown, notes=notes)
            await self._journal.append(connection, entries)
        position_after = rows[-1].seq if more else walked_to
        following = self._seal_cursor(digest, position_after) if position_after is not None else None
        return Page([stored for _, stored in pairs], next=following)

    async def frequent(self, connection: Reading) -> frozenset[int]:
        """Tokens too frequent for the token index, refreshed from PostgreSQL's statistics every minute."""
        if monotonic() - self._frequent_at > FREQUENT_FRESH_S:
            self._frequent = await candidates.frequent_tokens(connection, PROBE_ROWS_MAX)
            self._frequent_at = monotonic()
        return self._frequent

    @property
    def context(self) -> EnvironmentContext:
        """The environment searched."""
        return self._context

    def _meaning(self) -> bytes:
        return canonical("cursor", self._context.place.tenant_id, self._context.place.environment_id)

    def _seal_cursor(self, digest: bytes, position: int) -> str:
        plain = msgspec.msgpack.encode(_Cursor(digest, position))
        box = seal(plain, key=self._context.cursor_key, meaning=self._meaning(), compress=False)
        return base64.urlsafe_b64encode(box).decode().rstrip("=")

    def _open_cursor(self, cursor: str | None, digest: bytes) -> _Cursor | None:
        if cursor is None:
            return None
        if len(cursor) > _CURSOR_BYTES_MAX:
            raise CursorError()
        try:
            box = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
            plain = open_sealed(box, key=self._context.cursor_key, meaning=self._meaning(), bytes_max=256)
            opened = msgspec.msgpack.decode(plain, type=_Cursor)
        except (binascii.Error, ValueError, SealBrokenError) as error:
            raise CursorError() from error
        if opened.query != digest:
            raise CursorError()
        return opened


class _Run:
    """One search inside its transaction. ``shown`` collects what the journal must say was disclosed: items, then
    what they include, in the order of the page."""

    def __init__(
        self, searcher: Searcher, connection: Reading, permit: Permit, query: Query, opened: Opened | None
    ) -> None:
        self._opened = opened
        self._searcher = searcher
        self._context = searcher.context
        self._connection = connection
        self._permit = permit
        self._query = query
        self._clauses = [self._context.index.numbers(clause) for clause in query.clauses]
        self._types = [type_code(type_) for type_ in query.types]
        self._window = WHOLE
        self._walked_to: int | None = None
        self._kept_to = 0
        self.shown: list[tuple[bytes, Item]] = []

    async def prepare(self, position: _Cursor | None) -> None:
        """Bounds on seq, from `_lastUpdated` and from the cursor."""
        query = self._query
        if query.updated != (None, None):
            self._window = await candidates.packs_near(self._connection, *query.updated)
        if position is not None and query.sort_key is None:
            after, before = self._window
            if query.ascending:
                self._window = Window(max(after, position.position), before)
            else:
                self._window = Window(after, min(before, position.position))

    async def page(self, count: int) -> Page:
        """Matches in order of their last update; fewer than asked, and where to go on, when looking further costs more
        than a page may."""
        page = Page([])
        if count == 0:
            return page
        opened = 0
        while True:
            rows, exhausted = await self._candidates(count + 1 - len(page.items) + OPEN_BATCH)
            await self._take(rows, page, count)
            if len(page.items) > count:
                page.items.pop()
                self.shown.pop()
                page.next = str(self._kept_to)
                return page
            if exhausted:
                return page
            opened += len(rows)
            if self._walked_to is not None or opened >= OPENED_ROWS_MAX:
                page.next = str(rows[-1].seq if self._walked_to is None else self._walked_to)
                return page
            self._narrow(rows[-1].seq)

    async def _take(self, rows: Sequence[LocatedRow], page: Page, count: int) -> None:
        """Open candidates until one more than the page is found; remember the last one that the page keeps."""
        for begin in range(0, len(rows), OPEN_BATCH):
            part = rows[begin : begin + OPEN_BATCH]
            opened = await open_rows(self._context, self._permit, part, reason="search")
            for row, stored in zip(part, opened, strict=True):
                if stored is None or not self._is_match(stored):
                    continue
                page.items.append(stored)
                self.shown.append((row.compartment, _item(row, stored)))
                if len(page.items) > count:
                    return
                self._kept_to = row.seq

    async def sorted_page(self, count: int, position: _Cursor | None) -> Page:
        """Matches ordered by what they say; all candidates are opened, so their number is bounded."""
        rows, exhausted = await self._candidates(SORT_ROWS_MAX + 1)
        if len(rows) > SORT_ROWS_MAX or not exhausted:
            raise SearchTooBroadError(limit=SORT_ROWS_MAX)
        kept: list[tuple[LocatedRow, Stored]] = []
        for begin in range(0, len(rows), OPEN_BATCH):
            part = rows[begin : begin + OPEN_BATCH]
            opened = await open_rows(self._context, self._permit, part, reason="search")
            kept += [(row, s) for row, s in zip(part, opened, strict=True) if s is not None and self._is_match(s)]
        sort_key = self._query.sort_key
        assert sort_key is not None

        def order(pair: tuple[LocatedRow, Stored]) -> tuple[bool, Any]:
            value = sort_key(pair[1].body, pair[1].type)
            return (value is None) is not self._query.ascending, value if value is not None else 0

        kept.sort(key=lambda pair: pair[0].seq)
        kept.sort(key=order, reverse=not self._query.ascending)
        begin = position.position if position else 0
        chosen = kept[begin : begin + count]
        self.shown += [(row.compartment, _item(row, stored)) for row, stored in chosen]
        page = Page([stored for _, stored in chosen])
        if begin + count < len(kept) and count:
            page.next = str(begin + count)
        return page

    async def total(self) -> int:
        """How many match: exact when an exact filter must run and few are candidates, else by tokens alone."""
        query = self._query
        if (
            not query.types
            or query.matches is not None
            or query.patient
            or query.ids is not None
            or query.updated != (None, None)
        ):
            self._window = WHOLE
            if query.updated != (None, None):
                self._window = await candidates.packs_near(self._connection, *query.updated)
            rows, exhausted = await self._candidates(SORT_ROWS_MAX + 1)
            if not exhausted:
                raise SearchTooBroadError(limit=SORT_ROWS_MAX)
            opened = await open_rows(self._context, self._permit, rows, reason="search")
            return sum(1 for stored in opened if stored is not None and self._is_match(stored))
        if self._opened is not None:
            self._window = WHOLE
            if await self._is_small():
                return sum(map(self._is_open, await self._of_set(WALK_ROWS_MAX + 1)))
        return await candidates.count_matches(self._connection, self._types, self._clauses, self._opened)

    async def included(self, items: Sequence[Stored]) -> list[Stored]:
        """What the page refers to, once each, at most ``INCLUDED_MAX``; what is not there is left out."""
        include = self._query.include
        assert include is not None
        wanted: dict[bytes, None] = {}
        present = {self._context.index.object_id(item.type, item.id) for item in items}
        for item in items:
            for type_, id_ in include(item.body, item.type):
                object_id = self._context.index.object_id(type_, id_)
                if object_id not in present:
                    wanted[object_id] = None
        found = await catalogue.located_current(self._connection, list(wanted)[:INCLUDED_MAX], self._opened)
        rows = [row for row in found.values() if not row.deleted]
        opened = await open_rows(self._context, self._permit, rows, reason="include")
        pairs = [
            (row, stored)
            for row, stored in zip(rows, opened, strict=True)
            if stored is not None and any(self._permit.reaches(action, stored.type) for action in SEEING)
        ]
        self.shown += [(row.compartment, _item(row, stored)) for row, stored in pairs]
        return [stored for _, stored in pairs]

    async def _candidates(self, wanted: int) -> tuple[list[LocatedRow], bool]:
        """Located candidates in order, and whether these are the last ones."""
        query = self._query
        self._walked_to = None
        if query.ids is not None:
            ids = [self._context.index.object_id(type_, id_) for type_ in query.types for id_ in query.ids]
            found = await catalogue.located_current(self._connection, ids, self._opened)
            mine = [r for r in found.values() if not r.deleted and self._in_window(r) and self._is_open(r)]
            return self._ordered(mine), True
        frequent = await self._searcher.frequent(self._connection)
        rare = any(len(c) == 1 and c[0] not in frequent for c in self._clauses) or any(
            len(c) > 1 and not frequent.intersection(c) for c in self._clauses
        )
        if query.patient is not None and not rare:
            subject = self._context.index.subject("patient", (query.patient,))
            rows = await candidates.of_patient(
                self._connection,
                subject,
                self._types,
                self._clauses,
                limit=wanted,
                window=self._window,
                ascending=query.ascending,
                opened=self._opened,
            )
            return rows, len(rows) < wanted
        if rare:
            rows = await candidates.probe(
                self._connection, self._clauses, limit=PROBE_ROWS_MAX + 1, opened=self._opened
            )
            if len(rows) <= PROBE_ROWS_MAX:
                return self._ordered([row for row in rows if self._in_window(row) and self._is_open(row)]), True
        return await self._in_order(wanted)

    async def _in_order(self, wanted: int) -> tuple[list[LocatedRow], bool]:
        """Candidates when every term is frequent."""
        if self._opened is None:
            return await self._walked(wanted, WALK_ROWS_MAX)
        if wanted <= GLANCE_ROWS:
            rows, exhausted = await self._walked(wanted, GLANCE_ROWS)
            if exhausted or self._walked_to is None:
                return rows, exhausted
        if await self._is_small():
            rows, self._walked_to = await self._of_set(wanted), None
            return rows, len(rows) < wanted
        return await self._walked(wanted, WALK_ROWS_MAX)

    async def _walked(self, wanted: int, budget: int) -> tuple[list[LocatedRow], bool]:
        rows, self._walked_to = await candidates.walk(
            self._connection,
            self._types,
            self._clauses,
            limit=wanted,
            budget=budget,
            window=self._window,
            ascending=self._query.ascending,
            opened=self._opened,
        )
        return rows, len(rows) < wanted and self._walked_to is None

    async def _is_small(self) -> bool:
        """Whether the permit opens so little that all of it may be looked at."""
        assert self._opened is not None
        return await set_rows.is_small(
            self._connection, self._opened, self._environment, window=self._window, rows_max=WALK_ROWS_MAX
        )

    async def _of_set(self, wanted: int) -> list[LocatedRow]:
        assert self._opened is not None
        return await candidates.of_set(
            self._connection,
            self._opened,
            self._environment,
            self._types,
            self._clauses,
            limit=wanted,
            window=self._window,
            ascending=self._query.ascending,
        )

    @property
    def _environment(self) -> bytes:
        """Whose compartment holds what is no patient's."""
        return self._context.index.owner(())[1]

    def _is_open(self, row: LocatedRow) -> bool:
        return is_open(self._context.index, self._opened, row.marks)

    def _ordered(self, rows: list[LocatedRow]) -> list[LocatedRow]:
        return sorted(rows, key=lambda row: row.seq, reverse=not self._query.ascending)

    def _in_window(self, row: LocatedRow) -> bool:
        return self._window.after < row.seq < self._window.before

    def _narrow(self, seq: int) -> None:
        after, before = self._window
        self._window = Window(seq, before) if self._query.ascending else Window(after, seq)

    def _is_match(self, stored: Stored) -> bool:
        query = self._query
        if stored.deleted or (query.types and stored.type not in query.types):
            return False
        if not self._permit.reaches(Action.OBJECT_SEARCH, stored.type):
            return False
        from_ms, to_ms = query.updated
        if (from_ms is not None and stored.at_ms < from_ms) or (to_ms is not None and stored.at_ms >= to_ms):
            return False
        return query.matches is None or query.matches(stored.body, stored.type)


def _item(row: LocatedRow, stored: Stored) -> Item:
    return (stored.type, row.object_id, row.version)
