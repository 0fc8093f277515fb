"""Look at the running platform: every fact by its own probe, so that one that fails leaves the others.

Probes read, with exceptions that leave traces on purpose: requests without any right at the FHIR door (their refusals
must appear in the journal; the account and the token of ``door`` are made at first use), attempts of one environment's
role on another (the database must refuse them), what each zone must be refused elsewhere (``zones``), and a durable
write on each site.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from hygie.app import House
from hygie.backups.target import FolderTarget
from hygie.base.errors import HygieError
from hygie.base.hardening import swap_state
from hygie.base.settings import SYSTEMD_PREFIX
from hygie.probes import journal as journal_probes
from hygie.probes import rows
from hygie.probes.acts import ActsWatch
from hygie.probes.apart import probe_apart
from hygie.probes.archives import probe_archives
from hygie.probes.disk import scan
from hygie.probes.door import authority_of, probe_answer, probe_door
from hygie.probes.flows import probe_matrix
from hygie.probes.hardening import probe_machine
from hygie.probes.machine import probe_clock, probe_files, probe_flows, probe_processes
from hygie.probes.pages import PagesWatch
from hygie.probes.patching import probe_patching
from hygie.probes.stores import probe_stores
from hygie.probes.tls import probe_tls
from hygie.probes.zones import probe_zones
from hygie.proof.facts import Facts, KeyFacts, SiteFacts, TargetFacts
from hygie.proof.judge import code_of
from hygie.proof.model import Observed
from hygie.sites.copies import on_upkeep
from hygie.sites.errors import SiteUnavailableError

T = TypeVar("T")
SITE_S_MAX = 10.0  # a site that hangs is named, the others are told all the same
PROBE_S_MAX = 20.0  # the disk scan bounds itself below this; anything slower is unknown


async def gather(
    house: House, only: Collection[str] = (), *, acts: ActsWatch | None = None, pages: PagesWatch | None = None
) -> Facts:
    """Every fact, or only those named; what could not be seen says why, by a code.

    Args: acts: what follows the journal from one look to the next; without it the journal is read from its beginning;
    pages: what remembers which entries of it name a published page.
    """
    facts = Facts()
    settings, folder = house.settings, house.folder
    probes: dict[str, Callable[[], Awaitable[Any]]] = {
        "disk": partial(asyncio.to_thread, scan, _areas(house)),
        "tls": partial(asyncio.to_thread, probe_tls, settings.host.address, settings.host.port, authority_of(house)),
        "swap": partial(asyncio.to_thread, swap_state),
        "processes": partial(asyncio.to_thread, probe_processes, settings, folder),
        "flows": partial(asyncio.to_thread, probe_flows, folder),
        "matrix": partial(probe_matrix, house),
        "apart": partial(probe_apart, house),
        "zones": partial(probe_zones, house),
        "machine": partial(probe_machine, house),
        "files": partial(asyncio.to_thread, probe_files, settings, folder),
        "keys": partial(_keys, house),
        "segmentation": partial(rows.probe_segmentation, house),
        "answer": partial(probe_answer, house),
        "journal": partial(journal_probes.probe_journal, house),
        "witness": partial(journal_probes.probe_witness, house),
        "history": partial(journal_probes.probe_history, house),
        "clock": partial(asyncio.to_thread, probe_clock),
        "target": partial(asyncio.to_thread, _target, house),
        "sites": partial(_sites, house),
        "access": partial(rows.probe_access, house),
        "rights": partial(rows.probe_rights, house),
        "unwraps": partial(rows.probe_unwraps, house),
        "logs": partial(rows.probe_logs, house),
        "measurements": partial(rows.probe_measurements, house),
        "availability": partial(rows.probe_availability, house),
        "stores": partial(asyncio.to_thread, probe_stores, house),
        "patching": partial(probe_patching, house),
        "archives": partial(asyncio.to_thread, probe_archives, folder.incidents),
        "places": partial(rows.probe_places, house),
        "erasures": partial(rows.probe_erasures, house),
        "drills": partial(rows.probe_drills, house),
        "acts": (acts or ActsWatch(house)).look,
        "pages": (pages or PagesWatch(house)).look,
    }
    wanted = frozenset(only) or frozenset(probes) | {"door", "fresh"}
    await asyncio.gather(*(_observe(house, facts, name, probe) for name, probe in probes.items() if name in wanted))
    if wanted & {"door", "fresh"}:
        await _knock(house, facts)
    return facts


async def _knock(house: House, facts: Facts) -> None:
    """Knock at the door, then look for the trace in what was published since."""
    before: Observed[int] = await _seen(house, partial(journal_probes.published_size, house))
    facts.door = await _seen(house, partial(probe_door, house))
    if facts.door.value is None or before.value is None:
        facts.fresh = Observed(failure=before.failure if before.value is None else facts.door.failure)
    else:
        facts.fresh = await _seen(house, partial(journal_probes.probe_fresh, house, facts.door.value, before.value))


async def _observe(house: House, facts: Facts, name: str, probe: Callable[[], Awaitable[Any]]) -> None:
    setattr(facts, name, await _seen(house, probe))


async def _seen(house: House, probe: Callable[[], Awaitable[T]]) -> Observed[T]:
    try:
        async with asyncio.timeout(PROBE_S_MAX):
            value = await probe()
    except Exception as error:  # whatever stopped a probe, its fact is unknown and says by which code
        return Observed(failure=code_of(error))
    return Observed(value, at_ms=house.clock.now_ms())


def _areas(house: House) -> dict[str, Path | None]:
    """Where health data rest on this machine."""
    folder = house.folder
    places = {f"site {site.name}": folder.resolve(site.path) for site in house.settings.sites}
    own: dict[str, Path | None] = {"logs": folder.logs, "backup": folder.resolve(house.settings.backups.path)}
    own |= {"kms": folder.kms, "witness": folder.witness}
    drills = folder.path / "drills"
    if drills.is_dir():
        own["drills"] = drills
    own["database"] = folder.postgres if house.settings.database.dsn is None else None
    return {**places, **own}


async def _keys(house: House) -> KeyFacts:
    status = await house.kms.status()
    keys = [one.key_at_ms for one in status.environments if not one.destroyed]
    epochs = [epoch.created_at_ms for one in status.environments if not one.destroyed for epoch in one.epochs]
    return KeyFacts(
        driver=status.properties.driver,
        exportable=status.properties.key_exportable,
        sealing=status.properties.sealing,
        unwraps_recorded=status.properties.unwraps_recorded,
        sealed=status.sealed,
        root_at_ms=status.root_at_ms,
        environments=len(keys),
        oldest_key_at_ms=min(keys, default=0),
        oldest_epoch_at_ms=min(epochs, default=0),
        beside=await asyncio.to_thread(_beside, house),
    )


def _beside(house: House) -> str:
    """Where the passphrase of an unattended start lies, seen from the data folder."""
    name = house.settings.kms.credential
    if name is None:
        return "typed"
    if name.startswith(SYSTEMD_PREFIX):
        return "systemd"
    path = house.folder.resolve(name)
    if path.is_relative_to(house.folder.path):
        return "inside"
    return "same-device" if path.stat().st_dev == house.folder.path.stat().st_dev else "elsewhere"


def _target(house: House) -> TargetFacts:
    backups = house.settings.backups
    target = FolderTarget(house.folder.resolve(backups.path), administrator=backups.operator)
    properties = target.properties
    return TargetFacts(
        snapshots=len(target.manifests()),
        locked=properties.locked,
        administrator=properties.administrator,
        same_disk=house.folder.resolve(backups.path).stat().st_dev == house.folder.path.stat().st_dev,
    )


async def _sites(house: House) -> tuple[SiteFacts, ...]:
    """Every site asked now for a durable write."""

    async def look(name: str) -> str:
        try:
            async with asyncio.timeout(SITE_S_MAX):
                await on_upkeep(house.sites.link(name), lambda site: site.check())
        except TimeoutError:
            return f"{SiteUnavailableError.code} timeout"
        except HygieError as error:
            return f"{error.code} {error.facts.get('reason', '')}".strip()  # full, absent…: what to do depends on it
        return ""

    sites = house.sites.sites
    errors = await asyncio.gather(*(look(site.name) for site in sites))
    return tuple(
        SiteFacts(site.name, site.place.country, site.place.city, site.properties.failure_domain, error)
        for site, error in zip(sites, errors, strict=True)
    )
