"""What ``hygie work`` does beside sealing: catch sites up, scrub, back up, measure.

Every run is recorded as a measurement, which status reads with its age.

Cadences are short because one run is cheap: catch-up compares listings, scrub reads a slice of what is stored.
"""

from __future__ import annotations

import asyncio
import hashlib
import http
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, LiteralString

import psycopg

from hygie import __version__
from hygie.app import House, opened
from hygie.backups.erasures import copy_erasures
from hygie.backups.gather import Source, places
from hygie.backups.keys import public_keys
from hygie.backups.run import BackupRooms, measure, purge_backups, run_backup
from hygie.base.actions import Action
from hygie.base.clock import SteadyClock
from hygie.base.errors import HygieError
from hygie.custody import Custody, Turn, finish_erasures, keep_ledgers, mark_first_target, new_target
from hygie.database.pool import Database
from hygie.departure import keep_exits
from hygie.dossiers import run_stamp
from hygie.effects import EFFECTS_EVERY_S, NEWS_EVERY_S, Effects, RegisterNews
from hygie.evaluation import EVALUATE_EVERY_S, Evaluator
from hygie.exits.records import keep_keys_since
from hygie.gate.anchors import Anchor, anchor_entry, cut_entry, not_in_record
from hygie.gate.local import LocalOperator
from hygie.gate.platform_ledger import PlatformLedger
from hygie.gate.rights import forged_entry
from hygie.grants import GRANT_EVERY_S, Grants
from hygie.incidents import CLOCKS_EVERY_S, look_at_incidents
from hygie.journal.sealer import Sealer
from hygie.journal.spread import JournalSpread, spread_journal
from hygie.journal.writer import JournalWriter
from hygie.keys.erasure import ErasureCertificate
from hygie.logkeeping import LogKeeper
from hygie.loops import every, or_stop
from hygie.patchkeeping import PATCHES_AFTER_S, PATCHES_EVERY_S, PatchKeeper
from hygie.probes.canaries.watch import KIND as CANARIES_KIND
from hygie.probes.canaries.watch import CanaryWatch
from hygie.probes.door import ask_door, authority_of
from hygie.probes.hardening import MACHINE_AFTER_S, MACHINE_EVERY_S, run_machine
from hygie.probes.program import Manifest, digest_of, manifest
from hygie.probes.reconcile import JournalWatch
from hygie.recordings import SESSIONS_EVERY_S, SessionKeeper
from hygie.retentions import backups_kept, lengthen
from hygie.segments.rows import published_objects
from hygie.sites.catch_up import CatchUpReport, catch_up
from hygie.sites.copies import Expected
from hygie.sites.scrub import ScrubReport, scrub
from hygie.surveys import Vanished, survey
from hygie.trimming import KEPT, TRIM_EVERY_S, run_trim
from hygie.uptime import Uptime
from hygie.vault.holdings import holdings
from hygie.vault.ledger import tombstone_name
from hygie.vault.voids import VoidWatch

CATCH_UP_EVERY_S = 5.0  # a site that comes back is complete again within seconds on a small installation
SCRUB_EVERY_S = 3_600.0
MEASURE_EVERY_S = 5.0
ERASURES_EVERY_S = 5.0  # between an erasure and its tombstone on the backup target
PLATFORM_EVERY_S = 5.0  # between a change of rights and its copy on a site that was away
SPREAD_EVERY_S = 30.0  # a site that comes back has the whole journal again within it, on a small installation
LEDGERS_EVERY_S = 60.0  # a site that missed the end of an epoch has the ledger again within it
FINISH_EVERY_S = 3_600.0  # certificates wait for days; an interrupted erasure ends within it, or at the next start
EXITS_EVERY_S = 15.0  # a site that comes back holds nothing more of a client that left within it
DOOR_EVERY_S = 60.0  # a door that does not answer is a finding within minutes
DOOR_AFTER_S = 15.0  # the hosting processes start after this one
PUBLISH_EVERY_S = 2.0  # between a write of registers and its copies on the sites; nothing new costs three small queries
STAMP_EVERY_S = 600.0  # between two timestamps of the journal, when an authority is set and it has grown
CANARIES_EVERY_S = 600.0  # a turn reads what changed since the last one, and some tables more
CANARIES_AFTER_S = 30.0
EVALUATE_AFTER_S = 20.0  # likewise, and after the door was first asked
EFFECTS_AFTER_S = 5.0  # who left overnight is closed as soon as the platform is there
COMPARE_EVERY_S = 60.0  # between a head of the key record and its anchor, a false right and its name in the journal
BACKUP_POLL_S = 30.0  # a backup that is due starts within it; one that failed is tried again after it, or its own time
OPERATOR = "system:work"
VOID_NAMES_MAX = 20  # names of one journal entry; its count says them all
ANCHORS_MAX = 4_096  # compared at a start: some days of a busy place; ``hygie journal reconcile`` compares all
ANCHORS_AGAIN = 4  # compared again at each turn: the KMS may have been started anew on another record
BACKUP_SHARE_MAX = 0.5  # backups have a cadence and a promise: one that took minutes puts off none for hours

log = logging.getLogger("hygie.upkeep")


class Upkeep:
    """Loops of the working process, each on its own; one that fails is tried again at its next turn."""

    def __init__(self, house: House, sealer: Sealer) -> None:
        self._house = house
        self._sealer = sealer

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop`` is set."""
        house = self._house
        async with opened(house.dsns.sealer, size=3) as records, opened(house.dsns.hosting, size=2) as pool:
            # a date that jumps must not make a write under way look old
            voids, gone = VoidWatch(SteadyClock()), Vanished()
            await _say_started(house, pool, files := await asyncio.to_thread(manifest))
            await lengthen(house, OPERATOR)  # settings are read at a start only
            platform = PlatformLedger(records, kms=house.kms, sites=house.sites, clock=house.clock)
            logs, evaluator = LogKeeper(house, records, OPERATOR), Evaluator(house, OPERATOR)
            news, canaries = RegisterNews(records), CanaryWatch(house, pool, OPERATOR)
            grants = Grants(house, records, OPERATOR)
            sessions = SessionKeeper(house, records, pool, OPERATOR)

            async def evaluate() -> None:
                await logs.begin()  # nothing is added to a log that is behind what was published
                await evaluator.run()

            await asyncio.gather(
                every(stop, CATCH_UP_EVERY_S, or_stop(stop, lambda: run_catch_up(house, records, pool, voids, gone))),
                every(stop, SCRUB_EVERY_S, or_stop(stop, lambda: run_scrub(house, records, pool))),
                every(stop, MEASURE_EVERY_S, lambda: self._measure(records)),
                every(
                    stop,
                    BACKUP_POLL_S,
                    or_stop(stop, lambda: run_due_backup(house, records, pool)),
                    share_max=BACKUP_SHARE_MAX,
                ),
                every(stop, ERASURES_EVERY_S, lambda: run_copy_erasures(self._house)),
                every(stop, PLATFORM_EVERY_S, platform.publish),
                every(stop, SPREAD_EVERY_S, or_stop(stop, lambda: run_spread_journal(house, records))),
                every(stop, SCRUB_EVERY_S, or_stop(stop, lambda: run_spread_journal(house, records, deep=True))),
                every(stop, LEDGERS_EVERY_S, lambda: run_keep_ledgers(self._house, records)),
                every(stop, FINISH_EVERY_S, lambda: run_finish_erasures(house, records)),
                every(stop, EXITS_EVERY_S, lambda: keep_exits(house, OPERATOR)),
                every(stop, DOOR_EVERY_S, lambda: run_door(house, records), after_s=DOOR_AFTER_S),
                Uptime(house, records, OPERATOR).run(stop, after_s=DOOR_AFTER_S),
                every(stop, CANARIES_EVERY_S, lambda: run_canaries(house, records, canaries), after_s=CANARIES_AFTER_S),
                every(stop, MACHINE_EVERY_S, lambda: run_machine(house, records), after_s=MACHINE_AFTER_S),
                survey(stop, house, records, pool, files),
                every(stop, COMPARE_EVERY_S, Comparison(house, records, pool).run),
                every(stop, NEWS_EVERY_S, news.look),
                every(stop, GRANT_EVERY_S, grants.run),
                every(
                    stop,
                    EFFECTS_EVERY_S,
                    Effects(house, OPERATOR).run,
                    after_s=EFFECTS_AFTER_S,
                    woken=news.heard,
                ),
                every(stop, SESSIONS_EVERY_S, sessions.run),
                every(stop, PATCHES_EVERY_S, PatchKeeper(house, records).run, after_s=PATCHES_AFTER_S),
                every(stop, CLOCKS_EVERY_S, lambda: look_at_incidents(house, records, OPERATOR), after_s=DOOR_AFTER_S),
                every(stop, EVALUATE_EVERY_S, evaluate, after_s=EVALUATE_AFTER_S),
                every(stop, PUBLISH_EVERY_S, logs.publish),
                every(stop, COMPARE_EVERY_S, logs.tidy),
                every(stop, COMPARE_EVERY_S, logs.compare, after_s=DOOR_AFTER_S),
                every(stop, STAMP_EVERY_S, lambda: run_stamp(house, records)),
                every(stop, TRIM_EVERY_S, lambda: run_trim(records, house.clock.now_ms())),
            )
            try:
                await logs.publish_all()  # what was written since the last turn
            except (HygieError, OSError, psycopg.Error) as error:
                log.warning(
                    "logs at the end: %s", error.code if isinstance(error, HygieError) else type(error).__name__
                )

    async def _measure(self, records: Database) -> None:
        status = self._sealer.status()
        seen = status.cosigned_size
        await record(
            records,
            self._house.clock.now_ms(),
            "journal",
            passed=status.published_size == status.size,
            facts={
                "size": status.size,
                "published": status.published_size,
                "cosigned": seen,
                "published_ms": status.published_ms,
            }
            | ({} if seen is None else {"uncosigned": max(status.published_size - seen, 0)}),
        )


class Comparison:
    """The key record anchored in the journal and compared with its anchors; rights compared with their acts.

    What is wrong is journaled once by each life of the process, and measured at each turn.
    """

    def __init__(self, house: House, records: Database, pool: Database) -> None:
        self._house = house
        self._records = records
        self._pool = pool
        self._watch = JournalWatch(house, records)
        self._cut: set[Anchor] = set()
        self._checked = 0  # anchors compared once; then the last ones only
        self._named: set[str] = set()

    async def run(self) -> None:
        """One turn. Raises: what the journal, the KMS and the database raise; the next turn begins again."""
        look = await self._watch.look_at_rights()
        names = [wrong.name for wrong in look.wrong]
        new = [wrong.right for wrong in look.wrong if wrong.name not in self._named]
        facts: dict[str, Any] = {"live": look.live, "complete": look.complete}
        facts |= {"wrong": names[:VOID_NAMES_MAX], "count": len(names), "foreign": len(look.foreign)}
        if look.foreign:
            facts |= {"foreign_at": look.foreign[-1][0], "foreign_ms": look.foreign[-1][1]}
        journal = JournalWriter(self._pool, self._house.month_keys, self._house.clock)
        try:
            if new:
                await journal.append_now([forged_entry(new, self._house.clock.now_ms())])
            self._named = set(names)
            now_ms = self._house.clock.now_ms()
            await record(self._records, now_ms, "rights", passed=not names and look.complete, facts=facts)
            await self._anchor(journal)
        finally:
            await journal.close()

    async def _anchor(self, journal: JournalWriter) -> None:
        """Compare the record with what was anchored, then anchor where it stands now."""
        house, anchors = self._house, self._watch.told.anchors
        status = await house.kms.status()
        if status.sealed:
            return
        start = max(min(self._checked, len(anchors)) - ANCHORS_AGAIN, 0)
        cut = await not_in_record(house.kms, anchors[max(start, len(anchors) - ANCHORS_MAX) :])
        now_ms = house.clock.now_ms()
        for anchor in cut:
            if anchor not in self._cut:
                await journal.append_now([cut_entry(anchor, now_ms, account=OPERATOR)])
        self._checked = len(anchors)
        self._cut = (self._cut | set(cut)) & set(anchors)
        if not anchors or (anchors[-1].lines, anchors[-1].head) != (status.unwrap_lines, status.unwrap_head):
            await journal.append_now([anchor_entry(status, now_ms, account=OPERATOR)])
        first = min(self._cut, key=lambda anchor: anchor.lines, default=None)
        facts = {
            "lines": status.unwrap_lines,
            "head": status.unwrap_head.hex(),
            "anchors": len(anchors),
            "cut": len(self._cut),
            "cut_at_ms": first.at_ms if first else None,
            "cut_lines": first.lines if first else None,
        }
        await record(self._records, now_ms, "unwraps", passed=not self._cut, facts=facts)


async def run_door(house: House, records: Database) -> bool:
    """Ask the FHIR door for what is public, as any client would, and record whether it answered. Returns that."""
    status, spent_ms = await asyncio.to_thread(ask_door, house.settings, authority_of(house))
    answered = status == http.HTTPStatus.OK
    facts = {"status": status, "ms": round(spent_ms, 1)}
    await record(records, house.clock.now_ms(), "door", passed=answered, facts=facts)
    return answered


async def run_canaries(house: House, records: Database, watch: CanaryWatch) -> bool:
    """Seek the planted canaries once, and record what was read and found. Returns whether none was found."""
    facts = await watch.run()
    clean = not facts["count"]
    await record(records, house.clock.now_ms(), CANARIES_KIND, passed=clean, facts=facts)
    return clean


async def run_catch_up(
    house: House, records: Database, pool: Database, voids: VoidWatch | None = None, vanished: Vanished | None = None
) -> CatchUpReport:
    """Bring every reachable site to what the catalogues expect, and record how far each was.

    Args: voids: what watches unexpected names; those that are surely void are set aside, on record; vanished: what
    tells how many objects a site lost since the comparison of before.
    """
    void = await voids.void(pool, await places(records)) if voids is not None else set()

    def compare() -> Awaitable[CatchUpReport]:
        expected = expected_objects(records, pool)
        return catch_up(house.sites, expected, prefixes=("packs/", "blobs/", "erased/", "proof/"), void=void)

    report = await (_setting_aside(house, pool, compare) if void else compare())
    if voids is not None:
        voids.note({name for one in report.sites.values() for name in one.extra})
    facts = {
        name: {"reachable": one.reachable, "lacking": one.lacking, "bytes": one.lacking_bytes, "copied": one.copied}
        for name, one in report.sites.items()
    }
    passed = not report.lost and all(one.reachable and not one.left for one in report.sites.values())
    told = {"sites": facts, "lost": report.lost} | ({"vanished": vanished.count(report)} if vanished else {})
    await record(records, house.clock.now_ms(), "catch-up", passed=passed, facts=told)
    return report


async def _say_started(house: House, pool: Database, files: Manifest) -> None:
    """Journal that the platform started, or its working process again, with which files. Raises: UnavailableError."""
    journal = JournalWriter(pool, house.month_keys, house.clock)
    try:
        operator = LocalOperator(journal, house.clock, OPERATOR)
        await operator.record(Action.PLATFORM_START, detail={"version": __version__, "program": digest_of(files)})
    finally:
        await journal.close()


async def _setting_aside(
    house: House, pool: Database, compare: Callable[[], Awaitable[CatchUpReport]]
) -> CatchUpReport:
    """A comparison that moves void objects to quarantine, on record; the first names are in the entry."""
    journal = JournalWriter(pool, house.month_keys, house.clock)
    try:
        async with LocalOperator(journal, house.clock, OPERATOR).act(
            Action.SITE_SCRUB, detail={"reason": "void"}
        ) as act:
            report = await compare()
            act.count = len(report.quarantined)
            act.detail["void"] = ",".join(sorted({name for _, name in report.quarantined})[:VOID_NAMES_MAX])
    finally:
        await journal.close()
    return report


async def run_scrub(
    house: House,
    records: Database,
    pool: Database,
    *,
    repair: bool = True,
    progress: Callable[[int], None] = lambda _: None,
    rate_bytes_per_s: int | None = None,
) -> ScrubReport:
    """Re-read and re-hash every copy, mend from a good one, and record what was found."""

    async def counted() -> AsyncIterator[Expected]:
        async for one in expected_objects(records, pool):
            yield one
            progress(1)

    report = await scrub(house.sites, counted(), repair=repair, rate_bytes_per_s=rate_bytes_per_s)
    facts = {
        "checked": report.checked,
        "damaged": [[one.site, one.name, one.reason] for one in report.damaged],
        "missing": [[one.site, one.name, one.reason] for one in report.missing],
        "mended": len(report.mended),
        "lost": report.lost,
        "unreachable": report.unreachable,
    }
    await record(records, house.clock.now_ms(), "scrub", passed=report.clean, facts=facts)
    return report


@asynccontextmanager
async def backup_rooms(house: House, records: Database, pool: Database, operator: str) -> AsyncIterator[BackupRooms]:
    """What a backup works with. Raises: as ``mark_first_target``."""
    target = await asyncio.to_thread(new_target, house)
    reader = await house.journal_reader(records)
    await mark_first_target(house, reader)
    journal = JournalWriter(pool, house.month_keys, house.clock)
    try:
        source = Source(house.clock, house.sites, house.kms, pool, records, reader)
        yield BackupRooms(source, target, journal, house.clock, operator)
    finally:
        await journal.close()
        await asyncio.to_thread(target.close)


async def run_due_backup(house: House, records: Database, pool: Database) -> bool:
    """Take a backup, and purge, if the last good one is older than the cadence. Returns whether one was taken."""
    settings = house.settings.backups
    last_ms = await _last_backup_ms(house, records, "at_ms")
    if last_ms is not None and house.clock.now_ms() - last_ms < settings.every_minutes * 60_000:
        return False
    async with backup_rooms(house, records, pool, OPERATOR) as rooms:
        await run_backup(rooms, rpo_s=settings.rpo_minutes * 60, purge=await backups_kept(house))
    return True


async def run_backup_after_exit(
    house: House, records: Database, pool: Database, custody: Custody, destruction_id: str
) -> int:
    """A backup that does not know the client any more, then the end of every older copy of keys on the target.

    Packs of older snapshots stay: those of other clients are restored with the newest keys. Where it fails, the next
    backup of the working process ends it. Returns the snapshot's number. Raises: as ``run_backup``, ``purge_backups``.
    """
    await keep_keys_since(custody.owner, destruction_id, house.clock.now_ms())
    async with backup_rooms(house, records, pool, custody.operator.account) as rooms:
        report = await run_backup(rooms, rpo_s=house.settings.backups.rpo_minutes * 60)
        await keep_keys_since(custody.owner, destruction_id, report.created_at_ms)
        await purge_backups(rooms, await backups_kept(house))
    return report.number


async def run_copy_erasures(house: House) -> int:
    """Bring new tombstones to the backup target, so that no restore brings back who was erased since the snapshot."""
    target = await asyncio.to_thread(new_target, house)
    try:
        return await copy_erasures(house.sites, target, await public_keys(house.kms, "erasure"))
    finally:
        await asyncio.to_thread(target.close)


async def expected_objects(records: Database, pool: Database) -> AsyncIterator[Expected]:
    """Everything the catalogues of all environments and the logs of the proof plane say the sites should hold."""
    for place in await places(records):
        async for one in holdings(pool, place):
            yield one
    async with records.transaction() as connection:
        cursor = await connection.execute(
            "SELECT environment, compartment, certificate FROM hygie.erasure WHERE certificate IS NOT NULL"
        )
        tombstones = await cursor.fetchall()
    for environment_id, compartment, certificate in tombstones:
        name = tombstone_name(environment_id, compartment)
        yield name, hashlib.sha256(certificate).digest(), len(certificate)
    async for one in published_objects(records):
        yield one


async def run_spread_journal(house: House, records: Database, *, deep: bool = False) -> JournalSpread:
    """Bring the published journal to the sites that lack a part of it, and record how far each was."""
    stores = {link.name: link.site for link in house.sites.links}
    reader = await house.journal_reader(records)
    report = await spread_journal(reader, stores, log_keys=await house.log_keys(), deep=deep)
    facts = {
        "size": report.size,
        "lacking": report.lacking,
        "copied": report.copied,
        "altered": report.altered,
        "unreachable": report.unreachable,
        "deep": deep,
    }
    passed = not (report.altered or report.unreachable)
    await record(records, house.clock.now_ms(), "journal-copies", passed=passed, facts=facts)
    return report


async def run_keep_ledgers(house: House, records: Database) -> list[Turn]:
    """Bring the newest ledgers to every site, and end the epochs that are due."""
    last_backup_ms = await _last_backup_ms(house, records, "(facts->>'created_at_ms')::bigint")
    return await keep_ledgers(house, await places(records), OPERATOR, last_backup_ms=last_backup_ms)


async def _last_backup_ms(house: House, records: Database, instant: LiteralString) -> int | None:
    """When the newest backup that passed ended, or began; None: none did.

    What claims to be of the future tells nothing: a clock that was ahead must not stop backups until it is right again.
    """
    async with records.transaction() as connection:
        cursor = await connection.execute(
            f"SELECT max({instant}) FROM hygie.measurement WHERE kind = 'backup' AND passed AND at_ms <= %s"  # noqa: S608
            f" AND {instant} <= %s",
            (house.clock.now_ms(),) * 2,
        )
        row = await cursor.fetchone()
    return row[0] if row is not None else None


async def run_finish_erasures(house: House, records: Database) -> list[ErasureCertificate]:
    """End what erasures left open: late certificates, purges, last dates."""
    return await finish_erasures(house, await places(records), OPERATOR)


async def record(records: Database, at_ms: int, kind: str, *, passed: bool, facts: dict[str, Any]) -> None:
    """Keep a measurement; the newest of its kind is what status shows, with its age.

    Raises: KeyError: a kind of which nobody said how many runs are kept.
    """
    if kind not in KEPT:
        raise KeyError(kind)
    await measure(records, at_ms, kind, passed=passed, facts=facts)
