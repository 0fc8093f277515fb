"""One backup from end to end: intent, snapshot, outcome, measurement. Run by ``hygie backup run`` and ``hygie work``.

The journal holds the number and the digest of every snapshot that was taken: the target alone cannot know that its
newest ones were removed.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from time import monotonic
from typing import Any

from hygie.backups.check import Head, TargetReport, check_target, purge_target
from hygie.backups.copy import CopyReport, Progress, newest_snapshot, put_snapshot
from hygie.backups.errors import ManifestReplayedError, SnapshotAbsentError
from hygie.backups.gather import Cut, Gathered, Source, gather, take_cut
from hygie.backups.keys import KmsSigner, public_keys
from hygie.backups.retention import RetentionPolicy
from hygie.backups.snapshot import SignedSnapshot, Snapshot, manifest_name
from hygie.backups.target import BackupTarget, holding
from hygie.base.actions import Action
from hygie.base.clock import Clock
from hygie.base.errors import HygieError
from hygie.database.pool import Database
from hygie.journal.entry import PLATFORM, Entry
from hygie.journal.reader import JournalReader
from hygie.journal.writer import JournalWriter

MEASUREMENT = "backup"
AHEAD_MS = 28 * 86_400_000  # a clock set back over the end of a month must not hide what was recorded after it
HEAD_MONTHS = 13  # a platform that took no backup for a year has a worse problem than an unknown head


@dataclass(frozen=True, slots=True)
class BackupRooms:
    """What a backup works with. operator: who acts, as the journal names him."""

    source: Source
    target: BackupTarget
    journal: JournalWriter
    clock: Clock
    operator: str


@dataclass(slots=True)
class BackupReport:
    """What was taken. replayed: the target showed less than the journal recorded (the backup was taken all the same);
    before: the number of the newest snapshot that it showed, 0 when none."""

    snapshot: str
    number: int
    sha256: str
    created_at_ms: int
    environments: int
    packs: int
    objects: int
    journal_size: int
    copy: CopyReport = field(default_factory=CopyReport)
    duration_s: float = 0.0
    replayed: bool = False
    before: int = 0
    purged: tuple[int, int] = (0, 0)

    def facts(self) -> dict[str, Any]:
        """As a machine reads it."""
        return asdict(self)


async def run_backup(
    rooms: BackupRooms, *, rpo_s: int, purge: RetentionPolicy | None = None, progress: Progress | None = None
) -> BackupReport:
    """Take one snapshot, durably recorded before (intent) and after (outcome).

    Args: rpo_s: the promised recovery point, written in the manifest; purge: also remove what this policy drops.
    Raises: TargetUnavailableError: away, full, or somebody else is at work on it; ManifestBrokenError: the newest
    snapshot is not intact (``hygie backup check`` says which); UnavailableError; IntegrityError: no intact copy of an
    object on the sites. Each is journaled as ``unknown`` before it is raised. As ``purge_backups``: the purge failed,
    the snapshot is taken and recorded.
    """
    began_s = monotonic()
    await record_act(rooms, Action.BACKUP_RUN, "intent", {})
    try:
        cut = await take_cut(rooms.source)
        async with holding(rooms.target):
            report = await _take(rooms, cut, rpo_s, progress)
    except HygieError as error:
        await record_act(rooms, Action.BACKUP_RUN, "unknown", {"code": error.code})
        await measure(rooms.source.records, rooms.clock.now_ms(), MEASUREMENT, passed=False, facts={"code": error.code})
        raise
    except asyncio.CancelledError as error:  # the process stops: no failure to measure, and an outcome all the same
        await asyncio.shield(record_act(rooms, Action.BACKUP_RUN, "unknown", {"code": type(error).__name__}))
        raise
    report.duration_s = round(monotonic() - began_s, 3)
    detail = {"number": str(report.number), "sha256": report.sha256, "snapshot": report.snapshot}
    await record_act(rooms, Action.BACKUP_RUN, "done", detail)
    failure: HygieError | None = None
    if purge is not None:  # an act of its own: the snapshot stands whatever becomes of it
        try:
            gone = await purge_backups(rooms, purge)
            report.purged = (len(gone[0]), len(gone[1]))
        except HygieError as error:
            failure = error
    facts = report.facts() | ({"purge": failure.code} if failure else {})
    await measure(rooms.source.records, rooms.clock.now_ms(), MEASUREMENT, passed=not report.replayed, facts=facts)
    if failure is not None:
        raise failure
    return report


async def check_backups(rooms: BackupRooms, policy: RetentionPolicy) -> TargetReport:
    """Read the whole target against what the journal recorded. Raises: as ``check_target``."""
    keys = await public_keys(rooms.source.kms, "backup")
    recorded = await recorded_head(rooms.source.reader, rooms.clock.now_ms())
    return await check_target(
        rooms.target, public_keys=keys, policy=policy, now_ms=rooms.clock.now_ms(), recorded=recorded
    )


async def purge_backups(rooms: BackupRooms, policy: RetentionPolicy) -> tuple[list[str], list[str]]:
    """Remove what the policy does not keep, on record, ``unknown`` if it fails. As ``purge_target``."""
    try:
        keys = await public_keys(rooms.source.kms, "backup")
        gone = await purge_target(rooms.target, public_keys=keys, policy=policy, now_ms=rooms.clock.now_ms())
    except HygieError as error:
        await record_act(rooms, Action.BACKUP_RUN, "unknown", {"step": "purge", "code": error.code})
        raise
    if gone[0] or gone[1]:
        detail = {"purged": str(len(gone[0])), "objects": str(len(gone[1]))}
        await record_act(rooms, Action.BACKUP_RUN, "done", detail)
    return gone


async def recorded_head(reader: JournalReader, now_ms: int) -> Head | None:
    """The newest snapshot that the published journal knows; None: none was ever recorded.

    Raises: IntegrityError: the journal is damaged; SiteUnavailableError.
    """
    for month in _months_back(now_ms + AHEAD_MS, HEAD_MONTHS + 1):
        found = await reader.search(
            PLATFORM, month, kinds=["platform"], actions=[Action.BACKUP_RUN.value], limit=1_000_000
        )
        heads = [
            Head(int(one.entry.detail["number"]), one.entry.detail["sha256"])
            for one in found
            if one.entry is not None and one.entry.outcome == "done" and "number" in one.entry.detail
        ]
        if heads:
            return max(heads, key=lambda head: head.number)
    return None


async def record_act(rooms: BackupRooms, action: Action, outcome: str, detail: dict[str, str]) -> None:
    """A platform entry, durable at return. Raises: JournalUnavailableError."""
    entry = Entry(
        action=action,
        outcome=outcome,
        kind="platform",
        at_ms=rooms.clock.now_ms(),
        account=rooms.operator,
        authentication="local",
        detail=detail,
    )
    await rooms.journal.append_now([entry])


async def measure(records: Database, at_ms: int, kind: str, *, passed: bool, facts: dict[str, Any]) -> None:
    """Keep a measurement; the newest of its kind is what status shows, with its age."""
    async with records.transaction() as connection:
        await connection.execute(
            "INSERT INTO hygie.measurement (kind, at_ms, passed, facts) VALUES (%s, %s, %s, %s)",
            (kind, at_ms, passed, json.dumps(facts)),
        )


async def _take(rooms: BackupRooms, cut: Cut, rpo_s: int, progress: Progress | None) -> BackupReport:
    keys = await public_keys(rooms.source.kms, "backup")
    before, replayed = await _before(rooms, keys)
    at_ms = rooms.clock.now_ms()
    found = await gather(rooms.source, cut, before=before[0])
    snapshot = Snapshot(
        snapshot_id=secrets.token_hex(16),
        number=before[1] + 1,
        previous_sha256=before[0].sha256 if before[0] else "",
        created_at_ms=at_ms,
        rpo_s=rpo_s,
        environments=found.environments,
        objects=found.objects,
        kms_state=found.kms_state,
        journal_checkpoint=found.checkpoint,
    )
    signed, copied = await put_snapshot(
        rooms.source.sites,
        rooms.target,
        snapshot,
        await KmsSigner.of(rooms.source.kms, "backup"),
        given=found.given,
        progress=progress,
    )
    report = _report(signed, found, copied, replayed=replayed)
    report.before = before[0].snapshot.number if before[0] else 0
    return report


async def _before(rooms: BackupRooms, keys: list[bytes]) -> tuple[tuple[SignedSnapshot | None, int], bool]:
    """The newest snapshot on the target and the highest number ever used; and whether the target went back.

    A target that went back must not stop the backups: the next one is taken above every number that was recorded.
    """
    newest: SignedSnapshot | None = None
    try:
        newest = await newest_snapshot(rooms.target, keys)
    except SnapshotAbsentError:
        newest = None
    recorded = await recorded_head(rooms.source.reader, rooms.clock.now_ms())
    number = newest.snapshot.number if newest else 0
    if recorded is None:
        return (newest, number), False
    same = newest is not None and number == recorded.number and newest.sha256 != recorded.sha256
    return (newest, max(number, recorded.number)), number < recorded.number or same


def _report(signed: SignedSnapshot, found: Gathered, copied: CopyReport, *, replayed: bool) -> BackupReport:
    snapshot = signed.snapshot
    lines = snapshot.journal_checkpoint.split("\n")
    return BackupReport(
        snapshot=manifest_name(snapshot),
        number=snapshot.number,
        sha256=signed.sha256,
        created_at_ms=snapshot.created_at_ms,
        environments=len(snapshot.environments),
        packs=sum(len(part.packs) for part in snapshot.environments),
        objects=len(found.objects),
        journal_size=int(lines[1]) if len(lines) > 1 else 0,
        copy=copied,
        replayed=replayed,
    )


def refuse_replayed(report: BackupReport) -> None:
    """Say that the target went back, after a backup that was taken all the same. Raises: ManifestReplayedError."""
    if report.replayed:
        raise ManifestReplayedError(found=report.before, expected=report.number - 1)


def _months_back(now_ms: int, count: int) -> list[str]:
    """``2026-11``, ``2026-10``…"""
    at = datetime.fromtimestamp(now_ms / 1000, UTC)
    first = at.year * 12 + at.month - 1
    return [f"{number // 12:04d}-{number % 12 + 1:02d}" for number in range(first, first - count, -1)]
