"""Rebuild one environment in a restored place, then compare what was rebuilt with what the manifest names."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from hygie.backups.bootstrap import OpenedBackup
from hygie.backups.published import Published
from hygie.backups.snapshot import EnvironmentPart, ObjectRef
from hygie.base.clock import Clock
from hygie.base.permit import Place
from hygie.database.cluster import Dsns
from hygie.database.environments import create_environment_schema
from hygie.database.pool import Database
from hygie.keys.cache import CompartmentKeys
from hygie.sites.placement import SiteSet
from hygie.vault.context import load_context
from hygie.vault.ledger import ledger_keys
from hygie.vault.rebuild import Rebuilder, RebuildReport

SAMPLE_PACKS = 20  # re-read from each new site, besides the whole that the rebuild reads from one


@dataclass(slots=True)
class EnvironmentReport:
    """One environment. packs, objects, compartments, erased: as rebuilt; void: packs of writes that never counted;
    later: packs that the journal names after the snapshot (restored from an older one than the newest); missing,
    damaged: named by the snapshot or the journal, and not here; differences: what does not agree with the manifest."""

    tenant_id: str
    environment_id: str
    packs: int = 0
    objects: int = 0
    compartments: int = 0
    erased: int = 0
    void: int = 0
    later: int = 0
    missing: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Rebuilding:
    """What every environment is rebuilt with.

    published: what the journal of the newest snapshot says; permit_id: of the entry that will record the restore, so
    that the key record and the journal tell the same story.
    """

    backup: OpenedBackup
    sites: SiteSet
    dsns: Dsns
    hosting: Database
    published: Published
    clock: Clock
    permit_id: bytes

    async def run(self, place: Place, progress: Callable[[int], None]) -> EnvironmentReport:
        """Fill the catalogue of one environment from the first site of the place, and compare.

        Raises: KeyDestroyedError: the environment was destroyed; LedgerStaleError; SiteUnavailableError;
        DatabaseUnavailableError.
        """
        await create_environment_schema(self.dsns.owner, place.role)
        kms = self.backup.kms
        rebuilder = Rebuilder(
            await load_context(place, kms, CompartmentKeys(kms), self.sites),
            database=self.hosting,
            owner_dsn=self.dsns.owner,
            site=self.sites.sites[0],
            keys=await ledger_keys(place, kms),
            permit_id=self.permit_id,
            clock=self.clock,
        )
        later = self._later(place)
        named = self.published.packs.get(place.environment_id, {})
        rebuilt = await rebuilder.run(
            published={number: sha256 for number, sha256 in named.items() if number not in later},
            erased=self.published.erased.get(place.environment_id, set()),
            progress=progress,
        )
        return await self._compared(place, rebuilt, len(later))

    def _later(self, place: Place) -> set[int]:
        """Packs written after the snapshot: they cannot be in it."""
        if self.backup.wanted.snapshot.number >= self.backup.newest.snapshot.number:
            return set()
        lines = self.backup.wanted.snapshot.journal_checkpoint.split("\n")
        return self.published.later(place.environment_id, int(lines[1]) if len(lines) > 1 else 0)

    async def _compared(self, place: Place, rebuilt: RebuildReport, later: int) -> EnvironmentReport:
        refs = _packs_of(place, self.backup)
        report = EnvironmentReport(
            tenant_id=place.tenant_id.hex(),
            environment_id=place.environment_id.hex(),
            packs=rebuilt.packs,
            objects=rebuilt.objects,
            compartments=rebuilt.live,
            erased=rebuilt.erased,
            void=len(rebuilt.void),
            later=later,
            missing=list(rebuilt.missing),
            damaged=list(rebuilt.damaged),
        )
        standing = rebuilt.packs + len(rebuilt.void)
        named = sum(name.startswith("packs/") for name in refs)
        if standing != named:
            report.differences.append(f"packs: {standing} of {named}")
        for what in ("lost", "unreadable", "unattached"):
            if getattr(rebuilt, what):
                report.differences.append(f"{what}: {getattr(rebuilt, what)}")
        for name in secrets.SystemRandom().sample(sorted(refs), min(SAMPLE_PACKS, len(refs))):
            for site in self.sites.sites:
                found = await asyncio.to_thread(site.digest, name)
                if found.hex() != refs[name].sha256:
                    report.differences.append(f"{site.name}: {name}")
        return report


def _packs_of(place: Place, backup: OpenedBackup) -> dict[str, ObjectRef]:
    """What the manifest names of one environment, by name; nothing if it is younger than the snapshot."""
    for part in backup.wanted.snapshot.environments:
        if _is(part, place):
            return {ref.name: ref for ref in part.packs}
    return {}


def _is(part: EnvironmentPart, place: Place) -> bool:
    return (part.tenant_id, part.environment_id) == (place.tenant_id.hex(), place.environment_id.hex())
