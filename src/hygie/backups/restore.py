"""Restore into a fresh place, from the backup target and the passphrase (or shares) alone.

Packs come from the snapshot that was asked for; **ledgers, key state, erasures, platform and journal always come from
the newest snapshot**, and tombstones that reached the target after it are added.  So what was erased, revoked or
journaled since stays so.  The journal goes on without a fork: its entries, checked up to the signed root, are on the
new sites, and the restored key state draws a *successor* signing key, so that nothing the place signs can be mistaken
for production's journal.  Nothing of production is reached or changed.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

from hygie.backups.bootstrap import LATEST, OpenedBackup, open_backup
from hygie.backups.copy import AT_ONCE, read_object
from hygie.backups.erasures import read_erasures
from hygie.backups.errors import RestoreIncompleteError
from hygie.backups.keys import PlainMonthKeys, keys_in, log_keys_of
from hygie.backups.place import clear, open_sites, opened, prepare_folder, running_database
from hygie.backups.platform import apply_platform
from hygie.backups.published import Published, read_published
from hygie.backups.rebuilding import EnvironmentReport, Rebuilding
from hygie.backups.run import measure
from hygie.backups.snapshot import ObjectRef, Snapshot, manifest_name
from hygie.backups.target import BackupTarget
from hygie.base.actions import Action
from hygie.base.clock import Clock
from hygie.base.layout import DataFolder
from hygie.base.settings import Settings
from hygie.database.cluster import Dsns
from hygie.database.pool import Database
from hygie.gate.anchors import anchor_entry
from hygie.journal.entry import Entry
from hygie.journal.reader import JournalReader
from hygie.journal.tiles import CHECKPOINT, PREFIX
from hygie.journal.writer import JournalWriter
from hygie.keys.in_process import InProcessKms
from hygie.keys.sealing import Secret
from hygie.segments.named import declaration
from hygie.segments.publish import proof_keys
from hygie.segments.taking_back import TakenBack, Taking
from hygie.sites.catch_up import catch_up
from hygie.sites.copies import Expected
from hygie.sites.placement import SiteSet

MEASUREMENT = "restore"
SITE_PREFIXES = ("packs/", "blobs/", "erased/", "journal/", "ledger/", "platform/", "proof/")

Progress = Callable[[str, int, int], None]
"""(step: copy, journal or rebuild; how many more were done; total, 0 when unknown)"""


@dataclass(frozen=True, slots=True)
class RestoreRequest:
    """What to restore, and where.

    secret: opens the backed-up key state; into: an empty or absent folder; settings: of the fresh place; operator: who
    acts, as the restored journal names him; which, keys_of: see ``open_backup``.
    """

    target: BackupTarget
    secret: Secret
    into: Path
    settings: Settings
    clock: Clock
    operator: str
    which: str = LATEST
    keys_of: str | None = None


@dataclass(slots=True)
class RestoreReport:
    """What was restored. journal_foreign: indexes of what is no entry in the journal, passed over; complete:
    nothing that the snapshot or the journal names is missing or damaged."""

    into: str
    snapshot: str
    number: int
    sha256: str
    created_at_ms: int
    keys_number: int
    broken_manifests: list[str] = field(default_factory=list)
    objects: int = 0
    bytes: int = 0
    erasures: int = 0
    journal_entries: int = 0
    journal_foreign: list[int] = field(default_factory=list)
    environments: list[EnvironmentReport] = field(default_factory=list)
    logs: TakenBack = field(default_factory=TakenBack)
    open_s: float = 0.0
    copy_s: float = 0.0
    journal_s: float = 0.0
    rebuild_s: float = 0.0
    duration_s: float = 0.0

    @property
    def resources(self) -> int:
        """Versions in the rebuilt catalogues."""
        return sum(one.objects for one in self.environments)

    @property
    def complete(self) -> bool:
        """Whether nothing lacks."""
        return self.logs.whole and not any(one.missing or one.damaged or one.differences for one in self.environments)

    @property
    def resources_per_s(self) -> int:
        """Over the whole restore but the opening of keys and database, which does not grow."""
        return round(self.resources / max(self.copy_s + self.journal_s + self.rebuild_s, 0.001))

    def facts(self) -> dict[str, Any]:
        """As a machine reads it."""
        more = {"resources": self.resources, "complete": self.complete, "resources_per_s": self.resources_per_s}
        return asdict(self) | more


@dataclass(frozen=True, slots=True)
class RestoredPlace:
    """A restored place while its parts are open. hosting: a pool of the hosting role; permit_id: of the restore."""

    folder: DataFolder
    settings: Settings
    backup: OpenedBackup
    kms: InProcessKms
    sites: SiteSet
    dsns: Dsns
    hosting: Database
    reader: JournalReader
    report: RestoreReport
    permit_id: bytes


def require_complete(report: RestoreReport) -> None:
    """Say what a restore lacks. Raises: RestoreIncompleteError."""
    if report.complete:
        return
    missing = [name for one in report.environments for name in one.missing] + report.logs.shown()
    damaged = [name for one in report.environments for name in (*one.damaged, *one.differences)]
    raise RestoreIncompleteError(missing=len(missing), damaged=len(damaged), name=[*missing, *damaged][0])


@asynccontextmanager
async def restored(request: RestoreRequest, progress: Progress = lambda *_: None) -> AsyncIterator[RestoredPlace]:
    """Restore, and give the place with its parts open; they are closed at the end, the folder stays.

    Raises: RestoreRefusedError: not a fresh place; what ``open_backup`` raises; BackupDamagedError: an object on the
    target is not what the manifest names; IntegrityError: the journal is not what was signed. What the rebuilt
    catalogues lack is in the report (:func:`require_complete`).
    """
    began_s = monotonic()
    folder = await asyncio.to_thread(prepare_folder, request.into, request.settings)
    standing = False  # what a restore that failed has copied is removed, so that it can be begun again
    async with AsyncExitStack() as stack:
        stack.callback(lambda: None if standing else clear(folder, request.settings))
        backup = await open_backup(
            request.target,
            secret=request.secret,
            kms_folder=folder.kms,
            clock=request.clock,
            which=request.which,
            keys_of=request.keys_of,
        )
        stack.push_async_callback(backup.kms.close)
        report = _new_report(request, backup)
        sites = open_sites(request.settings, folder)
        stack.push_async_callback(sites.close)
        dsns = await stack.enter_async_context(running_database(request.settings, folder))
        hosting = await stack.enter_async_context(opened(dsns.hosting, size=4))
        reader = JournalReader(sites, PlainMonthKeys(backup.kms), log_keys=log_keys_of(backup.status))
        report.open_s = round(monotonic() - began_s, 3)
        place = RestoredPlace(
            folder, request.settings, backup, backup.kms, sites, dsns, hosting, reader, report, secrets.token_bytes(16)
        )
        await _fill(place, request, progress)
        report.duration_s = round(monotonic() - began_s, 3)
        await _record(place, request)
        standing = True
        yield place


async def _fill(place: RestoredPlace, request: RestoreRequest, progress: Progress) -> None:
    report, backup = place.report, place.backup
    began_s = monotonic()
    await _copy(place, progress)
    report.copy_s = round(monotonic() - began_s, 3)
    began_s = monotonic()
    published = Published()
    if backup.newest.snapshot.journal_checkpoint:
        published = await read_published(place.reader, lambda count: progress("journal", count, 0))
    report.journal_entries = published.entries
    report.journal_foreign = published.foreign
    report.journal_s = round(monotonic() - began_s, 3)
    began_s = monotonic()
    rebuilding = Rebuilding(backup, place.sites, place.dsns, place.hosting, published, request.clock, place.permit_id)
    total = sum(ref.name.startswith("packs/") for part in backup.wanted.snapshot.environments for ref in part.packs)
    async with opened(place.dsns.owner, size=1) as owner:
        places = await apply_platform(place.sites, backup.kms, owner, published.revocations)
        keys = await proof_keys(backup.kms)
        report.logs = await Taking(owner, place.sites.sites, keys, now_ms=request.clock.now_ms()).run(published.logs)
    for one in places:
        report.environments.append(await rebuilding.run(one, lambda count: progress("rebuild", count, total)))
    report.rebuild_s = round(monotonic() - began_s, 3)


async def _copy(place: RestoredPlace, progress: Progress) -> None:
    """Every object onto every site, each checked against the manifest on its way."""
    backup, report = place.backup, place.report
    newest = backup.newest.snapshot
    refs = wanted_refs(backup.wanted.snapshot, newest)
    queue = list(refs)

    async def work() -> None:
        while queue:
            ref = queue.pop()
            await place.sites.place(ref.name, await read_object(backup.target, ref))
            report.objects += 1
            report.bytes += ref.bytes
            progress("copy", 1, len(refs))

    workers = [asyncio.create_task(work()) for _ in range(AT_ONCE)]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
    if newest.journal_checkpoint:
        await place.sites.replace(PREFIX + CHECKPOINT, newest.journal_checkpoint.encode())
    later = await asyncio.to_thread(read_erasures, backup.target, keys_in(backup.status, "erasure"))
    for name, data in later.items():
        await place.sites.replace(name, data)
    report.erasures = len({ref.name for ref in refs if ref.name.startswith("erased/")} | set(later))
    await place.sites.drain(60.0)
    await catch_up(place.sites, _expected([ref for ref in refs if ref.name not in later]), prefixes=SITE_PREFIXES)


def wanted_refs(wanted: Snapshot, newest: Snapshot) -> list[ObjectRef]:
    """Objects to put on the sites of a restored place.

    Environments that the newest snapshot does not know any more were destroyed since, with their keys: they stay gone.
    """
    alive = {(part.tenant_id, part.environment_id) for part in newest.environments}
    refs = [ref for p in wanted.environments if (p.tenant_id, p.environment_id) in alive for ref in p.packs]
    ledgers = [part.ledger for part in newest.environments if part.ledger is not None]
    return [*refs, *newest.objects, *ledgers]


async def _expected(refs: Sequence[ObjectRef]) -> AsyncIterator[Expected]:
    for ref in refs:
        yield ref.name, bytes.fromhex(ref.sha256), ref.bytes


async def _record(place: RestoredPlace, request: RestoreRequest) -> None:
    """The place's own journal and measurements say where it comes from; its journal gets a successor key."""
    report = place.report
    await place.kms.rotate_signing_key("journal")
    journal = JournalWriter(place.hosting, PlainMonthKeys(place.kms), request.clock)
    entry = Entry(
        action=Action.BACKUP_RESTORE,
        outcome="done" if report.complete else "unknown",
        kind="platform",
        at_ms=request.clock.now_ms(),
        account=request.operator,
        authentication="local",
        count=report.resources,
        permit_id=place.permit_id,
        detail={"snapshot": report.snapshot, "number": str(report.number), "sha256": report.sha256}
        | declaration(report.logs.lacking),
    )
    # The place's KMS begins a record of its own: what was anchored of production's is not asked of it.
    anchor = anchor_entry(await place.kms.status(), request.clock.now_ms(), account=request.operator, anew="restore")
    await journal.append_now([entry, anchor])
    await journal.close()
    async with opened(place.dsns.sealer, size=1) as records:
        facts = report.facts()
        await measure(records, request.clock.now_ms(), MEASUREMENT, passed=report.complete, facts=facts)


def _new_report(request: RestoreRequest, backup: OpenedBackup) -> RestoreReport:
    return RestoreReport(
        into=str(request.into),
        snapshot=manifest_name(backup.wanted.snapshot),
        number=backup.wanted.snapshot.number,
        sha256=backup.wanted.sha256,
        created_at_ms=backup.wanted.snapshot.created_at_ms,
        keys_number=backup.newest.snapshot.number,
        broken_manifests=backup.broken,
    )
