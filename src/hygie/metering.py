"""Metrics of the platform, read from the database by the watch's role when Prometheus asks. This machine only.

No health data, no account, no address: numbers, and names of checks, levels, kinds, sites and exports.  Looked at once
in five seconds at most, whoever asks how often.  Source: docs/formats/soc-export.md.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path
from time import monotonic
from typing import Any, Final

import psycopg
from cryptography import x509

from hygie import __version__
from hygie.app import House
from hygie.base.clock import Clock
from hygie.base.errors import HygieError
from hygie.base.soc import SyslogExport
from hygie.database.pool import Database
from hygie.server.server import HttpServer, Receive, Scope, Send, listen
from hygie.watch import exports, memory
from hygie.watch.events import JOURNAL
from hygie.watch.exposition import CONTENT_TYPE, Family, exposed
from hygie.watch.findings import LEVELS

FRESH_S = 5.0
AGAIN_S = 30.0  # when the port is taken
CHECKS_MAX = 500
KINDS: Final = (
    *("journal", "catch-up", "journal-copies", "rights", "unwraps", "door", "canaries", "scrub", "backup", "sessions"),
    *("watch", "exports", "logs", "drill-restore", "drill-site-loss", "drill-key-loss", "drill-journal-tamper"),
)
_NEWEST = """
SELECT k.kind, m.at_ms, m.passed, m.facts FROM unnest(%s::text[]) AS k (kind) CROSS JOIN LATERAL (
    SELECT at_ms, passed, facts FROM hygie.measurement WHERE kind = k.kind ORDER BY at_ms DESC LIMIT 1) AS m
"""
_BACKUP = "SELECT at_ms FROM hygie.measurement WHERE kind = 'backup' AND passed ORDER BY at_ms DESC LIMIT 1"
# One step of the index for each check, however many runs it has.
_VERDICTS = """
WITH RECURSIVE ids AS (
    (SELECT check_id FROM hygie_proof.run ORDER BY check_id LIMIT 1)
    UNION ALL
    SELECT (SELECT check_id FROM hygie_proof.run WHERE check_id > ids.check_id ORDER BY check_id LIMIT 1)
    FROM ids WHERE ids.check_id IS NOT NULL
)
SELECT i.check_id, r.verdict FROM (SELECT check_id FROM ids WHERE check_id IS NOT NULL LIMIT %s) AS i
CROSS JOIN LATERAL (SELECT verdict FROM hygie_proof.run WHERE check_id = i.check_id ORDER BY batch DESC LIMIT 1) AS r
"""
_OPEN = "SELECT level, count(*) FROM hygie.finding WHERE state = 'open' GROUP BY level"

log = logging.getLogger("hygie.watch")


class Meter:
    """What is shown. Args: database: opened as ``hygie_watch``; seen: entries by (action, outcome) since the start."""

    def __init__(self, house: House, database: Database, seen: Mapping[tuple[str, str], int]) -> None:
        self._house = house
        self._database = database
        self._seen = seen
        self._text = b""
        self._until_s = 0.0
        self._looking = asyncio.Lock()

    async def text(self) -> bytes:
        """The metrics. Raises: UnavailableError; psycopg.Error."""
        async with self._looking:
            if monotonic() >= self._until_s:
                self._text = exposed(await self._families())
                self._until_s = monotonic() + FRESH_S
            return self._text

    async def _families(self) -> list[Family]:
        clock: Clock = self._house.clock
        now_ms = clock.now_ms()
        async with self._database.transaction() as connection:
            newest = await _rows(connection, _NEWEST, list(KINDS))
            backup = await _rows(connection, _BACKUP)
            verdicts = await _rows(connection, _VERDICTS, CHECKS_MAX)
            waiting = dict(await _rows(connection, _OPEN))
            size = await memory.journal_size(connection)
            cursors = await memory.cursors(connection)
            states = await exports.states(connection, self._house.settings.soc, now_ms)
        built = Family("hygie_build_info", "gauge", "The version that runs.")
        built.add(1, version=__version__)
        found = [built, *_journal(size, cursors[JOURNAL][0] if JOURNAL in cursors else 0, newest)]
        found += [*_measured(newest), *_sites(newest, self._house)]
        aged = Family("hygie_backup_age_seconds", "gauge", "Since the newest backup that passed.")
        for (at_ms,) in backup:
            aged.add(max(now_ms - at_ms, 0) / 1_000)
        opened = Family("hygie_findings_open", "gauge", "Findings that nobody took in charge.")
        for level in LEVELS:
            opened.add(waiting.get(level, 0), level=level)
        checked = Family("hygie_check_verdict", "gauge", "1 for the last verdict of each check.")
        for check, verdict in verdicts:
            checked.add(1, check=check, verdict=verdict)
        entries = Family("hygie_journal_events", "counter", "Entries that the watch read since it started.")
        for (action, outcome), count in sorted(self._seen.items()):
            entries.add(count, action=action, outcome=outcome)
        return [*found, aged, opened, checked, entries, *_exports(states), await asyncio.to_thread(self._certificates)]

    def _certificates(self) -> Family:
        """When ours end. Blocks."""
        family = Family("hygie_certificate_expiry_timestamp_seconds", "gauge", "When a certificate of ours ends.")
        settings, folder = self._house.settings, self._house.folder
        own = settings.host.certificate
        paths: dict[str, Path] = {"host": folder.resolve(own) if own is not None else folder.tls / "server.pem"}
        for one in settings.soc:
            if isinstance(one, SyslogExport) and one.certificate is not None:
                paths[f"soc.{one.name}"] = folder.resolve(one.certificate)
        for name, path in paths.items():
            try:
                ends = x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
            except (OSError, ValueError):
                continue  # what cannot be read has no end to tell; whoever uses it says so
            family.add(ends.timestamp(), certificate=name)
        return family


async def run_metrics(meter: Meter, house: House, stop: asyncio.Event) -> None:
    """Answer on the port of the settings until ``stop``; a port that is taken is tried again."""
    settings = house.settings.metrics
    if settings.port is None:
        return
    while not stop.is_set():
        try:
            listener = listen(settings.address, settings.port)
        except OSError as error:
            log.error("metrics: %s:%d, %s", settings.address, settings.port, type(error).__name__)
            await _either(stop, AGAIN_S)
            continue
        server = HttpServer(application(meter), tls=None)
        serving = asyncio.create_task(server.serve([listener]))
        await _either(stop, None, serving)
        server.stop()
        await asyncio.gather(serving, return_exceptions=True)
        listener.close()


def application(meter: Meter) -> Any:
    """An ASGI application of one page."""

    async def answer(scope: Scope, _: Receive, send: Send) -> None:
        status, body, kind = 404, b"", "text/plain"
        if scope["path"] == "/metrics" and scope["method"] in ("GET", "HEAD"):
            try:
                status, body, kind = 200, await meter.text(), CONTENT_TYPE
            except (HygieError, psycopg.Error) as error:
                log.warning("metrics: %s", error.code if isinstance(error, HygieError) else type(error).__name__)
                status = 503
        headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body if scope["method"] != "HEAD" else b""})

    return answer


async def _rows(connection: exports.Connection, query: str, *values: object) -> list[Any]:
    return await (await connection.execute(query.encode(), values)).fetchall()


async def _either(stop: asyncio.Event, seconds: float | None, *others: asyncio.Task[None]) -> None:
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait((stopping, *others), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()


def _journal(size: int, followed: int, newest: list[Any]) -> list[Family]:
    entries = Family("hygie_journal_entries", "gauge", "Entries that have an index.")
    entries.add(size)
    published = Family("hygie_journal_published_entries", "gauge", "Entries published on the sites, as measured.")
    behind = Family("hygie_watch_behind_entries", "gauge", "Entries that the watch has not read yet.")
    behind.add(max(size - followed, 0))
    for kind, _, _, facts in newest:
        if kind == "journal" and isinstance(facts.get("published"), int):
            published.add(facts["published"])
    return [entries, published, behind]


def _measured(newest: list[Any]) -> list[Family]:
    passed = Family("hygie_measurement_passed", "gauge", "Whether the last measurement of a kind passed.")
    at = Family("hygie_measurement_timestamp_seconds", "gauge", "When a kind was last measured.")
    for kind, at_ms, good, _ in newest:
        passed.add(bool(good), kind=kind)
        at.add(at_ms / 1_000, kind=kind)
    return [passed, at]


def _sites(newest: list[Any], house: House) -> list[Family]:
    """Sites of the settings, as the last comparison saw them."""
    reachable = Family("hygie_site_reachable", "gauge", "Whether a site answered.")
    lacking = Family("hygie_site_lacking_objects", "gauge", "Objects that a site lacks.")
    told: Any = next((facts.get("sites", {}) for kind, _, _, facts in newest if kind == "catch-up"), {})
    for site in house.settings.sites:
        one = told.get(site.name) if isinstance(told, dict) else None
        if isinstance(one, dict):
            reachable.add(bool(one.get("reachable")), site=site.name)
            lacks = one.get("lacking")
            lacking.add(len(lacks) if isinstance(lacks, list) else int(lacks or 0), site=site.name)
    return [reachable, lacking]


def _exports(states: list[exports.State]) -> list[Family]:
    behind = Family("hygie_export_behind_entries", "gauge", "Entries that an export's receiver has not taken.")
    waits = Family("hygie_export_waiting_seconds", "gauge", "How long the oldest event of an export has waited.")
    failing = Family("hygie_export_failing", "gauge", "Whether the last try of an export failed.")
    sent = Family("hygie_export_sent_events", "counter", "Events that an export's receiver took.")
    for one in states:
        behind.add(one.behind, export=one.name)
        waits.add(one.waiting_ms / 1_000, export=one.name)
        failing.add(bool(one.code) or not one.positions, export=one.name)
        sent.add(one.sent, export=one.name)
    return [behind, waits, failing, sent]
