"""What ``hygie work`` measures for the watch alone: what fills up, changes, is gone of the backup, listens, runs.

Each is a measurement (docs/formats/watch-events.md): its own state is in those of before, so that a restart forgets
nothing.  ``each`` in its facts is a list: the watch makes an event of every part.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hygie import __version__
from hygie.app import House
from hygie.backups.errors import TargetUnavailableError
from hygie.backups.kept import SNAPSHOTS_MAX, look_at_target
from hygie.backups.keys import public_keys
from hygie.backups.run import MEASUREMENT, measure
from hygie.custody import new_target
from hygie.database.pool import Database
from hygie.loops import every
from hygie.probes.capacity import QUOTA, rooms
from hygie.probes.machine import probe_flows
from hygie.probes.program import ROOT, Manifest, altered_packages, changed, digest_of, manifest, shown
from hygie.probes.samples import altered_objects
from hygie.proof.facts import FlowFacts
from hygie.retentions import backups_kept
from hygie.sites.catch_up import CatchUpReport

CAPACITY, SAMPLES, LISTENING, PROGRAM = "capacity", "samples", "listening", "program"
BACKUP_KEPT = "backup-kept"
CAPACITY_EVERY_S = 300.0
SAMPLES_EVERY_S = 300.0
BACKUP_KEPT_EVERY_S = 300.0
LISTENING_EVERY_S = 20.0  # a port that opens is a finding within the minute
PROGRAM_EVERY_S = 3_600.0
PACKAGES_EVERY = 24  # turns of the program: some seconds of reading, once a day
LISTENING_AFTER_S = 15.0
AFTER_S = 25.0  # a start has enough to do
SURVEYS_KEPT = {  # runs of a kind; what is usual is told from a week, and the newest list of files must stay
    CAPACITY: 5_760,
    SAMPLES: 5_760,
    BACKUP_KEPT: 2_016,
    LISTENING: 5_760,
    PROGRAM: 20_000,
}
FULL_PERCENT = 85
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
WEEK_MS = 7 * DAY_MS
USUAL_RUNS_MIN = 288  # a day of them: what is usual cannot be told before
USUAL_MIN = 100  # versions an hour: an environment where nothing happens is not woken by a first morning
KNOWN_MAX = 500
VERSIONS = ".versions"

_OLDEST = "SELECT at_ms, facts FROM hygie.measurement WHERE kind = %s AND at_ms >= %s ORDER BY at_ms LIMIT 1"
_NEWEST = "SELECT facts FROM hygie.measurement WHERE kind = %s ORDER BY id DESC LIMIT 1"
_TAKEN = (
    "SELECT facts->>'snapshot' FROM hygie.measurement WHERE kind = %s AND facts ? 'snapshot' ORDER BY id DESC LIMIT 1"
)
_USUAL = (
    "SELECT one->>'name', percentile_cont(0.5) WITHIN GROUP (ORDER BY (one->>'written')::bigint)::bigint, count(*)"
    " FROM hygie.measurement, jsonb_array_elements(facts->'each') AS one"
    " WHERE kind = %s AND at_ms >= %s AND at_ms < %s AND one ? 'written' GROUP BY 1"
)
_MANIFEST = (
    "SELECT facts->'manifest' FROM hygie.measurement WHERE kind = %s AND facts->>'version' = %s"
    " AND facts ? 'manifest' ORDER BY id DESC LIMIT 1"
)


async def survey(stop: asyncio.Event, house: House, records: Database, hosting: Database, files: Manifest) -> None:
    """All of them, again and again until ``stop``. Args: files: Hygie's own at the start of this process."""
    await asyncio.gather(
        every(stop, CAPACITY_EVERY_S, lambda: run_capacity(house, records, hosting), after_s=AFTER_S),
        every(stop, SAMPLES_EVERY_S, lambda: run_samples(house, records, hosting), after_s=AFTER_S),
        every(stop, BACKUP_KEPT_EVERY_S, lambda: run_backup_kept(house, records), after_s=AFTER_S),
        every(stop, LISTENING_EVERY_S, lambda: run_listening(house, records), after_s=LISTENING_AFTER_S),
        every(stop, PROGRAM_EVERY_S, Program(house, records, files).run, after_s=AFTER_S),
    )


async def run_capacity(house: House, records: Database, hosting: Database) -> bool:
    """How full each thing is, and how fast environments change. Returns whether all have room."""
    now_ms = house.clock.now_ms()
    found = await rooms(house, records, hosting)
    async with records.transaction() as connection:
        week = await (await connection.execute(_OLDEST, (CAPACITY, now_ms - WEEK_MS))).fetchone()
        hour = await (await connection.execute(_OLDEST, (CAPACITY, now_ms - HOUR_MS))).fetchone()
        rows = await (await connection.execute(_USUAL, (CAPACITY, now_ms - WEEK_MS, now_ms - HOUR_MS))).fetchall()
    usual = {name: median for name, median, runs in rows if runs >= USUAL_RUNS_MIN}
    before, since_ms = (_held(week[1]), now_ms - week[0]) if week else ({}, 0)
    lately = _held(hour[1]) if hour else {}
    each = []
    for one in found:
        facts = one.facts(before, since_ms)
        if one.what == QUOTA and one.name.endswith(VERSIONS) and one.name in lately:
            facts |= rate(one.held - lately[one.name], usual.get(one.name))
        each.append(facts)
    passed = all(one.used < FULL_PERCENT for one in found)
    await measure(records, now_ms, CAPACITY, passed=passed, facts={"each": each})
    return passed


def rate(written: int, usual: int | None) -> dict[str, int]:
    """What changed within the hour. Args: written: versions more than an hour ago (fewer: they were erased); usual:
    the median of it, None where that cannot be told yet. Returns: facts; ``times`` is how often the usual."""
    facts = {"written": max(written, 0)} | ({"erased": -written} if written < 0 else {})
    return facts if usual is None else facts | {"usual": usual, "times": abs(written) // max(usual, USUAL_MIN)}


async def run_samples(house: House, records: Database, hosting: Database) -> bool:
    """A few objects everywhere. Returns whether none was altered."""
    target = await asyncio.to_thread(new_target, house)
    try:
        checked, altered = await altered_objects(house, records, hosting, target)
    finally:
        await asyncio.to_thread(target.close)
    each = [{"place": place, "altered": count} for place, count in sorted(altered.items())]
    facts = {"checked": checked, "each": each}
    await measure(records, house.clock.now_ms(), SAMPLES, passed=not each, facts=facts)
    return not each


async def run_backup_kept(house: House, records: Database) -> bool:
    """Whether the backup target still holds what backups left there. A target that is away keeps what was known."""
    now_ms = house.clock.now_ms()
    async with records.transaction() as connection:
        known = await (await connection.execute(_NEWEST, (BACKUP_KEPT,))).fetchone()
        taken = await (await connection.execute(_TAKEN, (MEASUREMENT,))).fetchone()
    before = sorted({*(known[0]["snapshots"] if known else ()), *(taken or ())})[-SNAPSHOTS_MAX:]
    keys, policy = await public_keys(house.kms, "backup"), await backups_kept(house)
    target = await asyncio.to_thread(new_target, house)
    facts: dict[str, Any]
    try:
        found = await asyncio.to_thread(
            look_at_target, target, public_keys=keys, policy=policy, before=before, now_ms=now_ms
        )
        lost = {"snapshot": found.lost_snapshots, "object": found.lost_objects}
        each = [{"what": what, "gone": count} for what, count in lost.items() if count]
        facts = {"snapshots": found.snapshots, "objects": found.objects, "each": each}
    except TargetUnavailableError as error:
        each, facts = [], {"snapshots": before, "away": str(error.facts.get("reason"))}
    finally:
        await asyncio.to_thread(target.close)
    passed = not each and "away" not in facts
    await measure(records, now_ms, BACKUP_KEPT, passed=passed, facts=facts)
    return passed


async def run_listening(
    house: House, records: Database, look: Callable[[], FlowFacts] | None = None
) -> list[dict[str, Any]]:
    """What Hygie's processes listen on that they never did here; the very first look learns. Returns those.

    Raises: OSError: the system shows no socket (not Linux).
    """
    seen = await asyncio.to_thread(look or (lambda: probe_flows(house.folder)))
    ports = {(name, port) for name, _, port in seen.listening} | {("unnamed", port) for _, port in seen.unnamed}
    ports = {one for one in ports if one[1] != house.settings.host.port}  # the door's own is in the flow matrix
    async with records.transaction() as connection:
        row = await (await connection.execute(_NEWEST, (LISTENING,))).fetchone()
    known = set(row[0]["known"]) if row else {f"{name}:{port}" for name, port in ports}
    new = [{"program": name, "port": port} for name, port in sorted(ports) if f"{name}:{port}" not in known]
    kept = sorted(known | {f"{one['program']}:{one['port']}" for one in new})[:KNOWN_MAX]
    facts = {"known": kept, "each": new[:KNOWN_MAX]}
    await measure(records, house.clock.now_ms(), LISTENING, passed=not new, facts=facts)
    return new


class Program:
    """Hygie's own files, from the start of a process on. Args: at_start: what they were then."""

    def __init__(self, house: House, records: Database, at_start: Manifest, root: Path = ROOT) -> None:
        self._house = house
        self._records = records
        self._at_start = at_start
        self._root = root
        self._turns = 0

    async def run(self) -> list[dict[str, Any]]:
        """One turn. Returns: what changed, and how: ``running`` since this process started, ``stopped`` before it, at
        the same version; ``library``: other than its installer wrote it."""
        now = await asyncio.to_thread(manifest, self._root)
        async with self._records.transaction() as connection:
            row = await (await connection.execute(_MANIFEST, (PROGRAM, __version__))).fetchone()
        before = _manifest_of(row[0]) if row else {}
        found = {"running": changed(self._at_start, now)}
        if not self._turns:
            found["stopped"] = changed(before, self._at_start) if before else []
        if self._turns % PACKAGES_EVERY == 0:
            found["library"] = await asyncio.to_thread(altered_packages)
        each = [{"how": how, "count": len(paths), "files": shown(paths)} for how, paths in found.items() if paths]
        facts: dict[str, Any] = {"version": __version__, "digest": digest_of(now), "files": len(now), "each": each}
        if before != now:
            facts["manifest"] = [f"{digest} {path}" for path, digest in now.items()]
        await measure(self._records, self._house.clock.now_ms(), PROGRAM, passed=not each, facts=facts)
        self._turns += 1
        return each


class Vanished:
    """How many objects left a site that had them all, from one comparison of listings to the next."""

    def __init__(self) -> None:
        self._whole: set[str] = set()
        self._expected = 0

    def count(self, report: CatchUpReport) -> int:
        """At least so many, over all sites: what was written since is allowed for."""
        new = max(report.expected - self._expected, 0)
        gone = sum(
            max(part.lacking - new, 0) for site, part in report.sites.items() if part.reachable and site in self._whole
        )
        self._whole = {site for site, part in report.sites.items() if part.reachable and not part.left}
        self._expected = report.expected
        return gone


def _held(facts: Mapping[str, Any]) -> dict[str, int]:
    return {one["name"]: one["held"] for one in facts["each"]}


def _manifest_of(lines: list[str]) -> Manifest:
    return {path: digest for digest, _, path in (line.partition(" ") for line in lines)}
