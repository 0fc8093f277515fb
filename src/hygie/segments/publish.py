"""Publish what is new in the logs to the sites, and keep the objects few.

Source: docs/formats/proof-segments.md v1.  Several processes may publish: what is written never changes, rows of one
chain give one content, and the key (log, first number) of ``hygie.proof_object`` lets one row in.  From the bytes to
their row a process is alone on its log (``rows.alone``): each sealing gives other bytes, and sites must hold those
whose digest the row has.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from hygie.base.clock import Clock
from hygie.base.errors import HygieError
from hygie.database.pool import Database
from hygie.keys.kms import Kms, platform_key
from hygie.segments import rows
from hygie.segments.errors import LogWentBackError, SegmentBrokenError
from hygie.segments.format import (
    CATALOGUES,
    DOCUMENTS,
    LOGS,
    PREFIX,
    Keys,
    Row,
    Segment,
    check_rows,
    file_name,
    open_file,
    open_segment,
    read_name,
    seal_file,
    seal_segment,
    to_sign,
)
from hygie.segments.rows import End, Stored
from hygie.sites.copies import on_upkeep
from hygie.sites.errors import ObjectExistsError, SiteUnavailableError
from hygie.sites.placement import SiteSet
from hygie.sites.site import Site

PURPOSE = "proof-log"
MERGE_FROM = 16  # adjacent small segments: each write is merged three times in its life, and few objects stay
MERGE_TIERS_BYTES = (16 << 10, 256 << 10, 4 << 20)
MERGED_BYTES_MAX = 8 << 20  # of plain rows: opened whole in memory by whoever reads it
KEPT_MS = 86_400_000  # a backup that listed the small ones has read them by then

log = logging.getLogger(__name__)


async def proof_keys(kms: Kms) -> Keys:
    """Ask the KMS; the platform's own scope is made at first use. Raises: KmsUnavailableError."""
    status = await kms.status()
    public_keys = [key.public_key for key in status.signing_keys if key.purpose == "backup"]
    return Keys(await platform_key(kms, PURPOSE), public_keys)


@dataclass(frozen=True, slots=True)
class _Object:
    """What is to be put: its name, its bytes, and the digests that another copy of that name must have too."""

    name: str
    data: bytes
    said: tuple[bytes, bytes]


class _SwapLostError(Exception):
    """Another process merged meanwhile: nothing was changed."""


class Publisher:
    """Publishes the logs of one installation.

    Args: records: opened as the sealer (or the owner).
    """

    def __init__(self, records: Database, *, kms: Kms, sites: SiteSet, clock: Clock) -> None:
        self._records = records
        self._kms = kms
        self._sites = sites
        self._clock = clock
        self._keys: Keys | None = None
        self._ends: dict[str, End] = {}
        self._refused: set[str] = set()  # documents and catalogues that are not what their name says

    async def publish(self, upto: Mapping[str, int] | None = None) -> int:
        """Put what is new on a quorum of sites. Returns how many objects.

        Args: upto: the last number of each log that the published journal names. What it does not name yet waits: a
        database lost in between would leave writes on the sites that nothing names. None: everything.
        Raises: LogWentBackError: the database does not continue what is published; SiteQuorumError: on too few sites;
        SiteUnavailableError, DatabaseUnavailableError, KmsUnavailableError. The next call begins again.
        SegmentBrokenError, once all else is published: a document or a catalogue is not what its digest says.
        """
        count = 0
        for kind in (DOCUMENTS, CATALOGUES):
            while found := await self._new_files(kind):
                for sha256 in found:
                    count += await self._publish_file(kind, sha256)
        for name in LOGS:
            while await self._publish_rows(name, upto[name] if upto is not None else None):
                count += 1
        for name in sorted(self._refused)[:1]:
            raise SegmentBrokenError(name=name, reason="chain")
        return count

    async def merge(self) -> int:
        """Make one of many adjacent small segments. Returns how many were made.

        Raises: ObjectDamagedError, ObjectAbsentError: no intact copy of a part; and as ``publish``.
        """
        count = 0
        for name in LOGS:
            for limit in MERGE_TIERS_BYTES:
                async with self._records.transaction() as connection:
                    found = await rows.segments_of(connection, name)
                for run in rows.runs_of(found, limit):
                    parts = _within(run)
                    if len(run) >= MERGE_FROM and len(parts) > 1:
                        count += await self._merge(name, parts)
        return count

    async def tidy(self) -> int:
        """Remove from each site the small segments that a merged one replaced long enough ago. Returns how many copies.

        Only where the merged one stands; a site that is away is tidied once back. Raises: DatabaseUnavailableError.
        """
        known: set[str] = set()
        merged: list[Stored] = []
        async for one in rows.stored(self._records):
            known.add(one.name)
            if one.merged_ms is not None and one.merged_ms + KEPT_MS <= self._clock.now_ms():
                merged.append(one)
        removed = 0
        for site, listing in (await self._sites.list_sites(PREFIX)).items() if merged else ():
            held = [one for one in merged if (listing or {}).get(one.name) == one.bytes]
            for name in listing or ():
                if name in known or not any(_replaces(one, name) for one in held):
                    continue
                try:
                    await on_upkeep(self._sites.link(site), partial(_delete, name))
                except HygieError:
                    break  # away: at the next turn
                removed += 1
        return removed

    # -- documents and catalogues

    async def _new_files(self, kind: str) -> list[bytes]:
        async with self._records.transaction() as connection:
            found = await rows.new_files(connection, kind)
        return [sha256 for sha256 in found if file_name(kind, sha256) not in self._refused]

    async def _publish_file(self, kind: str, sha256: bytes) -> int:
        """One document or catalogue. Returns how many were put: none when it is not what its digest says."""
        async with self._records.transaction() as connection:
            body = await rows.read_file(connection, kind, sha256)
        if hashlib.sha256(body.content).digest() != sha256:
            self._refused.add(file_name(kind, sha256))
            return 0
        keys = await self._known_keys()
        sealed = await asyncio.to_thread(seal_file, kind, body, key=keys.key)
        wanted = _Object(file_name(kind, sha256), await self._signed(sealed), (bytes(32), sha256))
        async with self._records.transaction() as connection:
            await rows.alone(connection, kind)
            if await rows.is_stored(connection, wanted.name):
                return 0
            data = await self._put(wanted)
            await rows.add(connection, _stored(wanted.name, kind, data, digest=sha256, plain=len(body.content)))
        return 1

    # -- rows of the logs

    async def _publish_rows(self, name: str, upto: int | None) -> bool:
        """One segment of new rows, ``upto`` included. Returns whether there were any."""
        async with self._records.transaction() as connection:
            stored = await rows.stored_end(connection, name)
        if name not in self._ends or self._ends[name].seq != stored.seq:
            self._ends[name] = await self._end_on_sites(name, stored)
        end = self._ends[name]
        async with self._records.transaction() as connection:
            known, head = await rows.stored_end(connection, name), await rows.head_of(connection, name)
            hole = await rows.hole_at(connection, name, end.seq)
            there = await rows.digest_at(connection, name, end.seq) if end.seq else end.digest
            # a site may bring back what was declared lost: it waits for the next start to be taken back
            if head.seq < end.seq or (there != end.digest and (there is not None or hole is None)):
                raise LogWentBackError(log=name, seq=min(head.seq + 1, end.seq))
            start = hole if hole is not None and (there is None or hole.seq > end.seq) else end
            found = await rows.new_rows(connection, name, start)
            found = [row for row in found if upto is None or row.seq <= upto]
            segment = Segment(name, start.digest, _adjacent(found), await rows.named_documents(connection, found))
        if not found:
            return False
        try:
            check_rows(name, segment.rows, seq=start.seq, before=start.digest)
        except SegmentBrokenError as error:
            raise LogWentBackError(log=name, seq=end.seq + 1) from error
        async with self._records.transaction() as connection:
            await rows.alone(connection, name)
            # ``known`` is past ``end`` when another one noted its segment between the two looks above
            free = known.seq <= end.seq and await rows.stored_end(connection, name) == known
            added = free and await rows.add(connection, await self._place(segment))
        if added:
            self._ends[name] = End(segment.last, segment.digest)
        else:  # another process was quicker, with fewer or more rows
            del self._ends[name]
        return True

    async def _end_on_sites(self, name: str, stored: End) -> End:
        """Where the published log ends: what the sites show, verified, wins over what the database says.

        Segments without a row (their writer died, or the database is older) are taken over.
        """
        self._keys = None  # a key may have a successor
        listings = await self._sites.list_sites(f"{PREFIX}{name}/")
        if all(listing is None for listing in listings.values()):
            raise SiteUnavailableError(site="*", reason="absent")
        union = {one for listing in listings.values() for one in listing or ()}
        named = [(one, said) for one in union if (said := read_name(one)) is not None]
        end = stored
        for full, said in sorted(named, key=lambda pair: (pair[1].first, -pair[1].last)):
            if said.last > end.seq:
                end = await self._take_over(full, end)
        if end.seq and end == stored:  # the database alone said so
            last = [full for full, said in named if said.last == end.seq]
            for full in last:
                segment, _ = await self._read(full)
                end = End(segment.last, segment.digest) if segment is not None else end
        return end

    async def _take_over(self, full: str, end: End) -> End:
        """Note a segment that no row knows, on a quorum. Returns the end with it; the same one if it is not intact."""
        segment, data = await self._read(full)
        if segment is None:
            return end
        async with self._records.transaction() as connection:
            before = (
                await rows.digest_at(connection, segment.log, segment.first - 1) if segment.first > 1 else bytes(32)
            )
        if before not in (None, segment.before):
            log.error("a published segment contradicts the database and is passed over: %s", full)
            return end
        async with self._records.transaction() as connection:
            await rows.alone(connection, segment.log)
            if not await rows.is_stored(connection, full):
                await rows.replace_inside(connection, await self._place(segment, data))
        return End(segment.last, segment.digest)

    async def _read(self, full: str) -> tuple[Segment | None, bytes]:
        """A segment and its bytes from the first site whose copy is intact."""
        keys = await self._known_keys()
        async for site, data in self._sites.copies(full):
            try:
                return await asyncio.to_thread(open_segment, data, keys, name=full), data
            except SegmentBrokenError as error:
                log.error("passed over on %s: %s, %s", site, full, error.facts["reason"])
        return None, b""

    async def _merge(self, name: str, parts: Sequence[Stored]) -> bool:
        keys = await self._known_keys()
        opened: list[Segment] = []
        for part in parts:
            segment = await self._sites.read_valid(part.name, 0, None, partial(_checked, part, keys))
            if opened and segment.before != opened[-1].digest:
                raise SegmentBrokenError(name=part.name, reason="chain")
            opened.append(segment)
        documents = sorted({one for segment in opened for one in segment.documents})
        whole = Segment(name, opened[0].before, [row for one in opened for row in one.rows], documents)
        try:
            async with self._records.transaction() as connection:
                await rows.alone(connection, name)
                if await rows.is_stored(connection, whole.name):
                    return False
                merged = await self._place(whole, merged_ms=self._clock.now_ms())
                if not await rows.swap(connection, merged, parts):
                    raise _SwapLostError
        except _SwapLostError:
            return False
        return True

    # -- bytes

    async def _place(self, segment: Segment, data: bytes = b"", *, merged_ms: int | None = None) -> Stored:
        """Put a segment on a quorum. Args: data: its bytes, when it is published already."""
        if not data:
            keys = await self._known_keys()
            data = await self._signed(await asyncio.to_thread(seal_segment, segment, key=keys.key))
        data = await self._put(_Object(segment.name, data, (segment.before, segment.digest)))
        return _stored(
            *(segment.name, segment.log, data),
            digest=segment.digest,
            plain=segment.plain,
            numbers=(segment.first, segment.last),
            merged_ms=merged_ms,
        )

    async def _put(self, wanted: _Object) -> bytes:
        """Put it on a quorum; or settle on the bytes that another process put under that name. Returns the bytes.

        Raises: LogWentBackError: what stands there is ours and says something else.
        """
        try:
            await self._sites.place(wanted.name, wanted.data)
        except ObjectExistsError:
            keys = await self._known_keys()
            intact = [wanted.data]
            async for _, copy in self._sites.copies(wanted.name):
                said = await asyncio.to_thread(_said, copy, keys, wanted.name)
                if said == wanted.said:
                    intact.append(copy)
                elif said is not None:
                    named = read_name(wanted.name)
                    raise LogWentBackError(log=wanted.name, seq=named.first if named else 0) from None
            chosen = min(intact, key=lambda one: hashlib.sha256(one).digest())
            await self._sites.replace(wanted.name, chosen)
            return chosen
        return wanted.data

    async def _signed(self, sealed: bytes) -> bytes:
        return sealed + await self._kms.sign("backup", to_sign(sealed))

    async def _known_keys(self) -> Keys:
        self._keys = self._keys or await proof_keys(self._kms)
        return self._keys


def _said(data: bytes, keys: Keys, name: str) -> tuple[bytes, bytes] | None:
    """The digests before and after, of an intact copy; None of a damaged one."""
    named = read_name(name)
    try:
        if named is not None and named.log in LOGS:
            segment = open_segment(data, keys, name=name)
            return segment.before, segment.digest
        return bytes(32), hashlib.sha256(open_file(data, keys, name=name).content).digest()
    except SegmentBrokenError:
        return None


def _checked(part: Stored, keys: Keys, data: bytes) -> Segment:
    if hashlib.sha256(data).digest() != part.sha256:
        raise SegmentBrokenError(name=part.name, reason="signature")
    return open_segment(data, keys, name=part.name)


def _stored(
    name: str,
    log_: str,
    data: bytes,
    *,
    digest: bytes,
    plain: int,
    numbers: tuple[int | None, int | None] = (None, None),
    merged_ms: int | None = None,
) -> Stored:
    return Stored(name, log_, *numbers, digest, plain, merged_ms, hashlib.sha256(data).digest(), len(data))


def _within(run: Sequence[Stored]) -> list[Stored]:
    """The beginning of a run that one merged segment holds."""
    parts: list[Stored] = []
    for one in run:
        if sum(part.plain for part in parts) + one.plain > MERGED_BYTES_MAX:
            break
        parts.append(one)
    return parts


def _adjacent(found: Sequence[Row]) -> list[Row]:
    """The rows up to the first number that lacks."""
    return [row for rank, row in enumerate(found) if row.seq == found[0].seq + rank]


def _replaces(merged: Stored, name: str) -> bool:
    said = read_name(name)
    if said is None or said.log != merged.log or merged.first is None or merged.last is None:
        return False
    return bool(said.first) and merged.first <= said.first and said.last <= merged.last


def _delete(name: str, site: Site) -> None:
    site.delete(name)
