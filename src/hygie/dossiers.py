"""Write the dossier of a running installation: what an auditor checks alone. Source: docs/formats/dossier.md v1.

The logs first, in a thread, each held to its chain; then the journal at a checkpoint that covers the date; drill
reports and certificates from the data folder; papers; and the signed manifest.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path

from hygie import __version__
from hygie.app import House
from hygie.base.errors import UnavailableError
from hygie.base.language import current_language
from hygie.database.pool import Database
from hygie.journal.checkpoint import Checkpoint, VerifierKey, verify_cosignature
from hygie.journal.entry import PLATFORM
from hygie.journal.errors import (
    CheckpointInvalidError,
    EntryNotFoundError,
    JournalUnavailableError,
    TimestampInvalidError,
)
from hygie.journal.published import verified
from hygie.journal.reader import JournalReader
from hygie.journal.stamps import Stamp, check_stamp, keep_stamp, last_stamp, new_stamp, stamps_from
from hygie.proof.documents import dsse
from hygie.proof.documents.model import PAPERS, Inputs, Installation, SitePlace
from hygie.proof.dossier.archive import Archive
from hygie.proof.dossier.journaled import Shown, drawn, own_seed
from hygie.proof.dossier.logs import Logs, add_logs, settled_ms
from hygie.proof.dossier.manifest import DEMONSTRATION, DOSSIER, Loss, Manifest, dossier_key, signature_file, to_sign
from hygie.proof.errors import EvidenceTamperedError, ScopeUnknownError
from hygie.proving import ProofPlane, with_proof
from hygie.registers.errors import RegisterTamperedError
from hygie.registers.holes import Hole
from hygie.segments.format import BATCHES, RECORDS
from hygie.segments.named import NamedWrites, declares

COVER_S_MAX = 30.0  # the sealer publishes within a second, or the journal is in trouble
COVER_POLL_S = 0.2
SAMPLE = 100  # traces: an auditor reads some dozens
SAMPLE_MAX = 10_000
INDEX_ROWS = 10_000
SEEN_BEFORE_MS_MAX = 300_000  # clocks of witness and host differ by less; the verifier allows twice as much
NOTES_MAX = 10  # after the date: the first ones may not hold the last entries of evidence yet
log = logging.getLogger("hygie.dossiers")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked. at_ms: now when None; scope: référentiels by id, or its part before ``@``, all when empty;
    tenant_id: whose traces are sampled, the platform's when None; seed: of the sample, its own when empty; whole: with
    every entry of the journal, sealed."""

    path: Path
    at_ms: int | None = None
    scope: Sequence[str] = ()
    tenant_id: bytes | None = None
    demonstration: bool = False
    sample: int = SAMPLE
    seed: bytes = b""
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Written:
    """What was written. entries: of the journal in it; seconds: spent."""

    path: Path
    at_ms: int
    batches: int
    runs: int
    writes: int
    entries: int
    sampled: int
    files: int
    bytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class _Cover:
    """A checkpoint that holds every entry of evidence up to the date, and that the witness saw then; stamp: its
    timestamp."""

    note: bytes
    head: Checkpoint
    stamp: Stamp | None = None


async def write_dossier(house: House, records: Database, wanted: Wanted, *, author: str) -> Written:
    """Write one dossier.

    Args: records: a pool opened as the sealer's role; author: who asks, as the journal names him.
    Raises: FileExistsError; TrialEvidenceError; ScopeUnknownError; NothingKnownError; EvidenceTamperedError,
    RegisterTamperedError, JournalTamperedError: what is stored does not hold, nothing is written; UnavailableError.
    """
    began_s = time.monotonic()
    with await asyncio.to_thread(Archive, wanted.path) as archive:

        def act(plane: ProofPlane) -> tuple[int, Sequence[str], Logs]:
            settled = settled_ms(plane.evidence)
            at_ms = settled if wanted.at_ms is None else min(wanted.at_ms, settled)
            scope = _scope(wanted.scope, plane.evidence.known(at_ms).catalogue["referentials"])
            logs = add_logs(
                *(archive, plane.evidence, plane.registers),
                at_ms=at_ms,
                scope=scope,
                demonstration=wanted.demonstration,
            )
            return at_ms, scope, logs

        at_ms, scope, logs = await with_proof(house, author, act)
        manifest = Manifest(
            what=DEMONSTRATION if wanted.demonstration else DOSSIER,
            at_ms=at_ms,
            origin=await house.origin(),
            version=__version__,
            scope=scope or list(logs.catalogue["referentials"]),
            tenant=wanted.tenant_id.hex() if wanted.tenant_id is not None else "",
            batches=logs.batches,
            writes=logs.writes,
            documents=logs.documents,
            lost=await _lost(house, records, logs.holes),
        )
        entries = await _add_journal(house, records, wanted, archive, manifest)
        await asyncio.to_thread(_add_reports, archive, house.folder.path, at_ms)
        papers = await asyncio.to_thread(_papers, house, manifest, logs)
        papers |= await dsse.enveloped(
            papers, partial(house.kms.sign, "dossier"), await house.kms.public_key("dossier")
        )
        await asyncio.to_thread(_add_papers, archive, papers)
        await _sign(house, archive, manifest)
    return Written(
        *(wanted.path, at_ms, logs.figures.count, logs.figures.runs, logs.writes[0], entries),
        *(len(manifest.sample["indexes"]), len(archive.files), wanted.path.stat().st_size),
        seconds=round(time.monotonic() - began_s, 3),
    )


async def _add_journal(house: House, records: Database, wanted: Wanted, archive: Archive, manifest: Manifest) -> int:
    """The journal at a checkpoint that covers the date. Returns how many of its entries are in the archive."""
    reader = await house.journal_reader(records)
    declared = manifest.lost[0].entry if manifest.lost else None
    cover = await _stamped(house, await _cover(house, reader, records, manifest.at_ms, declared))
    seed = wanted.seed or own_seed(cover.head.root, manifest.at_ms)
    tenant_id = wanted.tenant_id if wanted.tenant_id is not None else PLATFORM
    sample: list[int] = []
    async for indexes in _population(records, tenant_id, cover.head.size):
        sample = drawn([*sample, *indexes], seed=seed, wanted=min(wanted.sample, SAMPLE_MAX))
    shown = Shown(manifest.at_ms, sample, declared)
    done, head = await reader.fill(
        archive.folder("journal/"), wanted.path, shown, note=cover.note, selected=not wanted.whole
    )
    if cover.stamp is not None:
        archive.add("timestamp.tsr", cover.stamp.token)
        archive.add("timestamp.pem", cover.stamp.roots)
        manifest.timestamp = True
    manifest.journal = {"size": head.size, "root": head.root.hex(), "whole": wanted.whole}
    # Of evaluations, what follows the last one that is there too: whether it was before the date is not known any more.
    found_lost = [one for one in manifest.lost if one.log == "batches" or shown.names(one.log, one.first)]
    manifest.lost = [*shown.losses, *found_lost]
    manifest.sample = {
        **{"seed": seed.hex(), "tenant": manifest.tenant, "wanted": wanted.sample},
        **{"indexes": sample, "closed": sorted(shown.closed)},
    }
    return done.entries


async def _lost(house: House, records: Database, holes: Mapping[str, Sequence[Hole]]) -> list[Loss]:
    """Numbers that were found lost, each with the entry of the journal that declares it.

    Raises: EvidenceTamperedError, RegisterTamperedError: none does: somebody removed what was there.
    """
    if not any(holes.values()):
        return []
    entry, heard = await _declared(await house.journal_reader(records), records)
    for log, name in (("batches", BATCHES), ("writes", RECORDS)):
        for hole in holes[log]:
            if any(first <= hole.first and hole.last <= last for first, last in heard.declared[name]):
                continue
            if log == "batches":
                raise EvidenceTamperedError(batch=hole.first, reason="missing")
            raise RegisterTamperedError(seq=hole.first, reason="missing")
    return [Loss(log, *one[:2], entry, one.digest) for log, found in holes.items() for one in found]


async def _declared(reader: JournalReader, records: Database) -> tuple[int, NamedWrites]:
    """What the journal says was lost, and the index of the last entry that says it."""
    index, heard, after = -1, NamedWrites(), -1
    while True:
        async with records.transaction() as connection:
            cursor = await connection.execute(
                "SELECT index, leaf FROM hygie.journal_entry WHERE tenant_id = %s AND kind = ANY(%s) AND index > %s"
                " ORDER BY index LIMIT %s",
                (PLATFORM, ["administration", "platform"], after, INDEX_ROWS),
                binary=True,
            )
            rows = await cursor.fetchall()
        for after, leaf in rows:
            entry = (await reader.open(after, leaf)).entry
            if entry is not None and declares(entry):
                index = after
                heard.hear(entry)
        if len(rows) < INDEX_ROWS:
            return index, heard


async def run_stamp(house: House, records: Database) -> Stamp | None:
    """Have the published checkpoint stamped, if an authority is set and the journal has grown since the last one.

    Raises: EntryNotFoundError: nothing is published; TimestampUnavailableError; TimestampInvalidError.
    """
    authority = house.authority()
    if authority is None:
        return None
    head, note = await (await house.journal_reader(records)).checkpoint()
    last = await asyncio.to_thread(last_stamp, house.folder.timestamps)
    if last is not None and last.size == head.size:
        return None
    stamp = await asyncio.to_thread(new_stamp, authority, note, head.size, house.clock.now_ms())
    await asyncio.to_thread(keep_stamp, house.folder.timestamps, stamp)
    return stamp


async def _stamped(house: House, cover: _Cover) -> _Cover:
    """The cover with a timestamp, asked now when none was kept; without one when nobody stamps."""
    authority = house.authority()
    if cover.stamp is not None or authority is None:
        return cover
    try:
        stamp = await asyncio.to_thread(new_stamp, authority, cover.note, cover.head.size, house.clock.now_ms())
        await asyncio.to_thread(keep_stamp, house.folder.timestamps, stamp)
    except UnavailableError as error:  # the dossier says that it has none
        log.warning("dossier without a timestamp: %s", error.code)
        return cover
    return replace(cover, stamp=stamp)


async def _cover(house: House, reader: JournalReader, records: Database, at_ms: int, declared: int | None) -> _Cover:
    """The first stamped, else the first kept checkpoint after the date that holds all evidence up to it, else the
    present one, awaited.

    Args: declared: an entry that it must hold too. Raises: JournalUnavailableError: the sealer does not publish.
    """
    keys, witness = await house.log_keys(), house.witness()
    witness_key = witness.key if witness is not None else None
    end_s = time.monotonic() + COVER_S_MAX
    while True:
        last, waiting, kept = await _indexed(records, at_ms)
        last = max(last, -1 if declared is None else declared)
        stamps = await asyncio.to_thread(_stamps, house, at_ms)
        for note, stamp in [*((one.note, one) for one in stamps), *((one, None) for one in kept)]:
            try:
                head = verified(note, keys)
            except CheckpointInvalidError:
                continue  # a file that somebody altered; a later one serves
            if head.size > last and not waiting and _seen(note, witness_key, at_ms):
                return _Cover(note, head, stamp)
        try:
            head, note = await reader.checkpoint()
            if head.size > last and not waiting and _seen(note, witness_key, at_ms):
                return _Cover(note, head)
        except EntryNotFoundError:
            pass  # nothing is published yet
        if time.monotonic() > end_s:
            raise JournalUnavailableError(part="sealer")
        await asyncio.sleep(COVER_POLL_S)


def _seen(note: bytes, witness_key: VerifierKey | None, at_ms: int) -> bool:
    """Whether the witness saw this journal at the date, give or take what clocks differ by; an older cosignature says
    nothing of what came since, and the verifier refuses it. One that lacks is for the verifier to tell."""
    if witness_key is None:
        return True
    try:
        return verify_cosignature(note, witness_key=witness_key) * 1000 + SEEN_BEFORE_MS_MAX > at_ms
    except CheckpointInvalidError:
        return True


def _stamps(house: House, at_ms: int) -> list[Stamp]:
    """The first kept stamps after the date that still hold."""
    found: list[Stamp] = []
    for stamp in islice(stamps_from(house.folder.timestamps, at_ms), NOTES_MAX):
        try:
            check_stamp(stamp)
            found.append(stamp)
        except TimestampInvalidError:
            log.warning("a timestamp of size %d does not hold: passed over", stamp.size)
    return found


async def _indexed(records: Database, at_ms: int) -> tuple[int, bool, list[bytes]]:
    """Index of the last evidence up to the date, whether some still waits for its index, and the first checkpoints
    kept after the date."""
    async with records.transaction() as connection:
        cursor = await connection.execute(
            "SELECT coalesce(max(index), -1) FROM hygie.journal_entry"
            " WHERE tenant_id = %s AND kind = 'evidence' AND at_ms <= %s",
            (PLATFORM, at_ms),
        )
        row = await cursor.fetchone()
        # of a leaf that waits: its class (5, evidence) and its instant, where docs/formats/journal-entry.md puts them
        cursor = await connection.execute(
            "SELECT EXISTS (SELECT FROM hygie.journal_pending WHERE get_byte(leaf, 4) = 5"
            " AND substr(leaf, 25, 8) <= %s)",
            (at_ms.to_bytes(8, "big"),),
        )
        waiting = await cursor.fetchone()
        cursor = await connection.execute(
            "SELECT note FROM hygie.journal_checkpoint WHERE published_ms >= %s ORDER BY size LIMIT %s",
            (at_ms, NOTES_MAX),
        )
        notes = [bytes(one[0]) for one in await cursor.fetchall()]
    assert row is not None
    assert waiting is not None
    return row[0], waiting[0], notes


async def _population(records: Database, tenant_id: bytes, size: int) -> AsyncIterator[list[int]]:
    """Indexes that traces are drawn from, a page at a time: a client's accesses, or all of the platform's entries but
    evidence."""
    kinds = ["access"] if tenant_id != PLATFORM else ["access", "administration", "security", "platform"]
    after = -1
    while True:
        async with records.transaction() as connection:
            cursor = await connection.execute(
                "SELECT index FROM hygie.journal_entry WHERE tenant_id = %s AND kind = ANY(%s) AND index > %s"
                " AND index < %s ORDER BY index LIMIT %s",
                (tenant_id, kinds, after, size, INDEX_ROWS),
            )
            rows = await cursor.fetchall()
        yield [row[0] for row in rows]
        if len(rows) < INDEX_ROWS:
            return
        after = rows[-1][0]


def _add_reports(archive: Archive, data: Path, at_ms: int) -> None:
    """Drill reports and certificates of erasure up to the date, as they were signed."""
    for name, path, instant in _reports(data):
        raw = path.read_bytes()
        if _instant(raw, instant) <= at_ms:
            archive.add(name, raw, deflated=True)


def _reports(data: Path) -> Iterator[tuple[str, Path, tuple[str, str]]]:
    """(name in the dossier, file, where it says its instant)."""
    for path in sorted((data / "drills").glob("*/report.json")):
        yield f"drills/{path.parent.name}.json", path, ("report", "ended_at_ms")
    for path in sorted((data / "erasures").glob("*.json")):
        yield f"erasures/{path.name}", path, ("certificate", "issued_at_ms")


def _instant(raw: bytes, where: tuple[str, str]) -> int:
    """When a report was made; what cannot be read is of the end of time, and is left out."""
    try:
        return int(json.loads(raw)[where[0]][where[1]])
    except (ValueError, KeyError, TypeError):
        return 2**63


def _papers(house: House, manifest: Manifest, logs: Logs) -> dict[str, bytes]:
    inputs = Inputs(
        at_ms=manifest.at_ms,
        language=current_language(),
        demonstration=manifest.what == DEMONSTRATION,
        posture=logs.posture,
        catalogue=logs.catalogue,
        records=logs.records,
        schemas=logs.schemas,
        batches=logs.figures,
        installation=_installation(house, manifest),
    )
    return {name: make(inputs) for name, make in sorted(PAPERS.items())}


def _add_papers(archive: Archive, papers: Mapping[str, bytes]) -> None:
    for name, content in sorted(papers.items()):
        archive.add(f"papers/{name}", content)


def _installation(house: House, manifest: Manifest) -> Installation:
    settings = house.settings
    return Installation(
        origin=manifest.origin,
        version=manifest.version,
        production=settings.production,
        sites=[SitePlace(one.name, one.country, one.city, one.operator) for one in settings.sites],
        allowed_countries=settings.allowed_countries,
        rpo_s=settings.backups.rpo_minutes * 60,
        rto_s=settings.backups.rto_minutes * 60,
    )


async def _sign(house: House, archive: Archive, manifest: Manifest) -> None:
    key = dossier_key(manifest.origin, await house.kms.public_key("dossier"))
    archive.add("dossier.pub", f"{key.encode()}\n".encode())
    body = manifest.encode(archive.files)
    signature = await house.kms.sign("dossier", to_sign(body))
    last = {"manifest.json": body, "manifest.sig": signature_file(signature)}
    await asyncio.to_thread(archive.finish, last)


def _scope(asked: Sequence[str], known: Sequence[str]) -> list[str]:
    """Ids of the référentiels asked. Raises: ScopeUnknownError."""
    found = []
    for one in asked:
        matching = [name for name in known if name == one or name.partition("@")[0].removeprefix("hygie-") == one]
        if not matching:
            raise ScopeUnknownError(scope=one[:80], known=", ".join(known))
        found += matching
    return sorted(set(found))
