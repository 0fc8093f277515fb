"""The search for canaries that ``hygie work`` makes again and again, and what it tells."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hygie.app import House, opened
from hygie.base.actions import Action
from hygie.database.pool import Database
from hygie.journal.entry import Entry
from hygie.journal.writer import JournalWriter
from hygie.probes.canaries.places import Files, Read, Rows, in_other_indexes
from hygie.probes.canaries.record import Canary, canaries_of
from hygie.probes.canaries.stream import Finder

KIND = "canaries"
SHOWN_MAX = 20  # places told in one measurement; its count says them all
PRODUCTION = "production"

log = logging.getLogger("hygie.canaries")


class CanaryWatch:
    """Follows the places of one installation. Args: account: who seeks, as the journal names it."""

    def __init__(self, house: House, pool: Database, account: str) -> None:
        self._house = house
        self._pool = pool
        self._account = account
        self._files = Files(_roots(house), [house.folder.postgres])
        self._rows = Rows()
        self._sought = b""
        self._told: set[tuple[str, str]] = set()

    async def run(self) -> dict[str, Any]:
        """One turn: what is measured. A canary found at a place is journaled once by each life of the process.

        Raises: UnavailableError: the database, the KMS or the journal; the next turn begins again.
        """
        async with opened(self._house.dsns.owner, size=1) as database:
            drawn = await canaries_of(self._house, database)
            planted = [one for one in drawn if one.planted_ms is not None]
            held = {one.environment.place for one in planted}
            bare = {one.environment.place: f"{one.environment.tenant}/{one.environment.name}" for one in drawn}
            lacking = [
                bare[one.environment.place]
                for one in drawn
                if one.number == 0 and one.environment.kind == PRODUCTION and one.environment.place not in held
            ]
            facts: dict[str, Any] = {"sought": len(planted), "lacking": lacking[:SHOWN_MAX]}
            if not planted:
                return facts | _told(Read(), Read(), Read(), control=True)
            finder = Finder(planted)
            self._begin_again_if_others(planted)
            places = {one.environment.place for one in drawn}
            indexes = {place.role: (await self._house.context(place)).index for place in places}
            files = await asyncio.to_thread(self._files.read, finder)
            rows = await self._rows.read(database, finder)
            others = await in_other_indexes(database, planted, indexes)
        await self._journal(planted, [*files.found, *rows.found, *others.found])
        return facts | _told(files, rows, others, control=finder.works())

    def _begin_again_if_others(self, planted: Sequence[Canary]) -> None:
        sought = hashlib.sha256("\0".join(sorted(one.name for one in planted)).encode()).digest()
        if sought != self._sought:
            self._files.forget()
            self._rows.forget()
            self._sought = sought

    async def _journal(self, planted: Sequence[Canary], found: Sequence[tuple[str, str]]) -> None:
        """A security entry of the client whose canary it is: which one, and the name of the file or table."""
        environments = {one.name: one.environment.place for one in planted}
        new = [one for one in dict.fromkeys(found) if one not in self._told]
        now_ms = self._house.clock.now_ms()
        entries = [
            Entry(
                action=Action.CANARY_FOUND,
                outcome="done",
                kind="security",
                at_ms=now_ms,
                tenant_id=environments[name].tenant_id,
                environment_id=environments[name].environment_id,
                account=self._account,
                authentication="local",
                detail={"canary": name, "where": where},
            )
            for where, name in new
        ]
        if entries:
            log.error("canaries found: %d places", len(entries))
            journal = JournalWriter(self._pool, self._house.month_keys, self._house.clock)
            try:
                await journal.append_now(entries)
            finally:
                await journal.close()
        self._told = set(found)


def _roots(house: House) -> dict[str, Path]:
    """Name for people → folder: the data folder, and what the settings put elsewhere."""
    folder = house.folder
    roots = {f"site {one.name}": folder.resolve(one.path) for one in house.settings.sites}
    roots["backup"] = folder.resolve(house.settings.backups.path)
    return {"logs": folder.logs, **roots, "data": folder.path}


def _told(files: Read, rows: Read, others: Read, *, control: bool) -> dict[str, Any]:
    found = list(dict.fromkeys([*files.found, *rows.found, *others.found]))
    failed = [*files.failed, *rows.failed]
    return {
        "files": files.count,
        "files_left": files.left,
        "tables": rows.count,
        "tables_left": rows.left,
        "bytes": files.bytes + rows.bytes,
        "environments": others.count,
        "failed": failed[:SHOWN_MAX],
        "unopened": list(dict.fromkeys([*files.closed, *rows.closed]))[:SHOWN_MAX],
        "found": [f"{where}: {name}" for where, name in found][:SHOWN_MAX],
        "count": len(found),
        "control": control,
    }
