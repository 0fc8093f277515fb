"""Evidence of an incident, kept apart in one file that ``hygie-verify`` checks alone: the entries that findings name
with their proofs, what was done about the findings, the measurements and verdicts they rest on, some of the logs.

The file's SHA-256 is in the journal and in the register; one that changed or is gone is seen (``cross.evidence-kept``).
Source: docs/formats/incident-evidence.md v1.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hygie.base.actions import Action
from hygie.base.errors import HygieError
from hygie.base.files import fsync_folder, make_private_folder
from hygie.custody import Custody
from hygie.incidents import read_incident
from hygie.journal.entry import Entry
from hygie.journal.errors import JournalUnavailableError
from hygie.journal.export import FileSink
from hygie.journal.newest import Asked as Entries
from hygie.journal.newest import newest_first
from hygie.journal.reader import JournalReader
from hygie.proof.incidents.clocks import INCIDENT
from hygie.proving import ProofPlane, with_proof
from hygie.registers.chain import RecordVersion
from hygie.registers.rules import Change
from hygie.watch import findings
from hygie.watch.events import CHECK, JOURNAL, MEASUREMENT
from hygie.watch.findings import Finding
from hygie.watch.notices import notices_of

FORMAT = "hygie incident evidence 1"
PUBLISHED_S_MAX = 15.0  # from an entry to its publication: a second on a quiet machine
PUBLISHED_POLL_S = 0.2
RUNS_OF_BATCH = 10_000  # how the watch numbers verdicts: batch and place
LOGS_BEFORE_MS = 3_600_000  # of the first finding
LOG_BYTES_MAX = 20 * 1024 * 1024
STAMP = "%Y-%m-%d %H:%M:%S"
_STAMP_CHARACTERS = len("2026-11-28 10:00:00")

log = logging.getLogger("hygie.preserving")


@dataclass(frozen=True, slots=True)
class Preserved:
    """One archive. entries: of the journal in it."""

    file: Path
    sha256: str
    entries: int


class _Indexes:
    """Chooses entries by their index, and discloses them all."""

    silent = False

    def __init__(self, indexes: set[int]) -> None:
        self._indexes = indexes

    def may(self, index: int, leaf: bytes) -> bool:
        """See ``journal.export.Chooser``."""
        del leaf
        return index in self._indexes

    def takes(self, index: int, entry: Entry) -> bool:
        """See ``journal.export.Chooser``."""
        del index, entry
        return True


async def preserve(custody: Custody, key: str, *, logs: bool = False) -> Preserved:
    """Make one more archive of an incident's evidence. Args: logs: with what Hygie's processes logged meanwhile.

    Raises: RegisterNotFoundError; JournalUnavailableError: what is named is not published in time; RecordInvalidError,
    TransitionRefusedError: the register refuses (a closed incident takes an approver); OSError.
    """
    house = custody.house

    def read(plane: ProofPlane) -> RecordVersion:
        return read_incident(house, plane, key).record

    record: RecordVersion = await with_proof(house, custody.operator.account, read)
    now_ms = house.clock.now_ms()
    folder = house.folder.incidents / key.replace("/", "_")
    file = folder / f"{now_ms}.zip"
    detail = {"act": "evidence", "incident": key}
    async with custody.operator.act(Action.INCIDENT_HANDLE, detail=detail) as acting:
        await asyncio.to_thread(make_private_folder, house.folder.incidents)
        await asyncio.to_thread(make_private_folder, folder)
        try:
            acting.count = await _write(custody, record, file, now_ms, logs=logs)
            acting.detail["sha256"] = sha256 = await asyncio.to_thread(_sha256, file)
            await with_proof(house, custody.operator.account, lambda plane: _record(plane, key, file, sha256))
        except BaseException:  # what no record names is no evidence
            with suppress(OSError):
                file.unlink(missing_ok=True)
            raise
    return Preserved(file, sha256, acting.count)


async def preserved(custody: Custody, key: str) -> Preserved | None:
    """The same for an incident that was just declared, which stays declared when its evidence cannot be kept now."""
    try:
        return await preserve(custody, key)
    except (HygieError, OSError) as error:
        log.warning("evidence of %s: %s", key, error.code if isinstance(error, HygieError) else type(error).__name__)
        return None


async def _write(custody: Custody, record: RecordVersion, file: Path, now_ms: int, *, logs: bool) -> int:
    """Write the archive. Returns: entries of the journal in it."""
    async with custody.owner.transaction() as connection:
        found = await findings.of_incident(connection, record.key)
        told = [await _told(connection, one) for one in found]
        measurements, verdicts = await _rows(connection, told)
    reader = await custody.house.journal_reader(custody.owner)
    indexes = {each["rank"] for one in told for each in one["evidence"] if each["source"] == JOURNAL}
    indexes |= await _telling(reader, found)
    note = await _published(reader, indexes)
    first_ms = min([now_ms, *(one.first_ms for one in found)])
    papers = {
        "incident/about.json": {"format": FORMAT, "incident": record.key, "at_ms": now_ms, "findings": len(found)},
        "incident/record.json": {"key": record.key, "version": record.version, "state": record.state, **record.fields},
        "incident/findings.json": told,
        "incident/measurements.json": measurements,
        "incident/verdicts.json": verdicts,
    }
    sink = await asyncio.to_thread(FileSink, file)
    try:
        for name, content in papers.items():
            await asyncio.to_thread(sink.add, name, json.dumps(content, ensure_ascii=False, indent=1).encode() + b"\n")
        if logs:
            since_ms = first_ms - LOGS_BEFORE_MS
            await asyncio.to_thread(_add_logs, sink, custody.house.folder.logs, since_ms)
        done, _ = await reader.fill(sink, file, _Indexes(indexes), note=note, selected=True)
    finally:
        await asyncio.to_thread(sink.close)
    await asyncio.to_thread(_durable, file)
    return done.entries


async def _told(connection: findings.Connection, one: Finding) -> dict[str, Any]:
    """A finding, what people did about it, who was told, and what it rests on."""
    plain = asdict(one) | {"tenant": one.tenant.hex(), "environment": one.environment.hex()}
    evidence = await findings.evidence_of(connection, one.id)
    return plain | {
        "acts": [asdict(each) for each in await findings.acts_of(connection, one.id)],
        "notices": [asdict(each) for each in await notices_of(connection, one.id)],
        "evidence": [{"source": source, "rank": rank, "sha256": digest.hex()} for source, rank, digest in evidence],
    }


async def _rows(
    connection: findings.Connection, told: Sequence[dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The measurements and the verdicts that findings name, as they stand now."""
    ranks = {(each["source"], each["rank"]) for one in told for each in one["evidence"]}
    measured = sorted(rank for source, rank in ranks if source == MEASUREMENT)
    batches = sorted({rank // RUNS_OF_BATCH for source, rank in ranks if source == CHECK})
    query = "SELECT id, kind, at_ms, passed, facts FROM hygie.measurement WHERE id = ANY(%s) ORDER BY id"
    rows = await (await connection.execute(query, (measured,))).fetchall()
    names = ("id", "kind", "at_ms", "passed", "facts")
    measurements = [dict(zip(names, row, strict=True)) for row in rows]
    query = "SELECT batch, place, check_id, at_ms, verdict FROM hygie_proof.run WHERE batch = ANY(%s) ORDER BY 1, 2"
    rows = await (await connection.execute(query, (batches,))).fetchall()
    names = ("batch", "place", "check", "at_ms", "verdict")
    named = [row for row in rows if (CHECK, row[0] * RUNS_OF_BATCH + row[1]) in ranks]
    return measurements, [dict(zip(names, row, strict=True)) for row in named]


async def _telling(reader: JournalReader, found: Sequence[Finding]) -> set[int]:
    """Entries that tell of the findings: their opening, each act on them, each notice."""
    if not found:
        return set()
    ids = {one.id for one in found}
    asked = Entries(actions=(Action.FINDING_OPEN, Action.FINDING_HANDLE, Action.FINDING_TELL),
                    since_ms=min(one.opened_ms for one in found))  # fmt: skip
    return {
        one.index
        async for one in newest_first(reader, asked)
        if one.entry is not None and one.entry.detail.get("finding") in ids
    }


async def _published(reader: JournalReader, indexes: set[int]) -> bytes:
    """The note of a checkpoint that covers these entries. Raises: JournalUnavailableError: none comes in time."""
    end_s = time.monotonic() + PUBLISHED_S_MAX
    while True:
        head, note = await reader.checkpoint()
        if head.size > max(indexes, default=-1):
            return note
        if time.monotonic() > end_s:
            raise JournalUnavailableError(part="sealer")
        await asyncio.sleep(PUBLISHED_POLL_S)


def _record(plane: ProofPlane, key: str, file: Path, sha256: str) -> None:
    """Name the archive in the register. Raises: as ``Registers.write``."""
    fields = plane.registers.get(INCIDENT, key).fields
    line = f"{file.parent.name}/{file.name} sha256:{sha256}"
    evidence = "\n".join(filter(None, [str(fields.get("evidence", "")), line]))
    digests = [*fields.get("evidence_sha256", ()), sha256]
    plane.registers.write([Change(INCIDENT, {"evidence": evidence, "evidence_sha256": digests}, key)])


def _add_logs(sink: FileSink, folder: Path, since_ms: int) -> None:
    """The newest lines of each log since an instant, a bounded number of bytes in all; a line without an instant goes
    with the one before it."""
    left = LOG_BYTES_MAX
    for path in sorted(folder.glob("*.log*")):
        kept: list[bytes] = []
        size = 0
        for line in reversed(list(_since(path, since_ms))):
            size += len(line)
            if size > left:
                break
            kept.append(line)
        left -= min(size, left)
        if kept:
            sink.add(f"incident/logs/{path.name}", b"".join(reversed(kept)))


def _since(path: Path, since_ms: int) -> Iterator[bytes]:
    """Lines from an instant on. Hygie's processes write the local time of the machine."""
    begin = time.strftime(STAMP, time.localtime(since_ms / 1000)).encode()
    taken = False
    with path.open("rb") as lines:
        for line in lines:
            stamp = line[:_STAMP_CHARACTERS]
            if stamp[:2] == b"20" and stamp[4:5] == b"-" and len(stamp) == _STAMP_CHARACTERS:
                taken = stamp >= begin
            if taken:
                yield line


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _durable(file: Path) -> None:
    """Nobody writes it again by mistake, and it is on the disk."""
    file.chmod(0o400)
    with file.open("rb") as written:
        os.fsync(written.fileno())
    fsync_folder(file.parent)
