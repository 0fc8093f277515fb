"""A fresh place to restore into: its own folders, settings, sites and database. Production is not reached."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from hygie.backups.errors import RestoreRefusedError
from hygie.backups.target import TARGET_NAME
from hygie.base.layout import DataFolder
from hygie.base.settings import Settings, write_settings
from hygie.database.cluster import Dsns
from hygie.database.embedded import EmbeddedPostgres
from hygie.database.migrate import migrate
from hygie.database.pool import Database
from hygie.sites.folder import FolderSite
from hygie.sites.placement import SiteSet
from hygie.sites.room import initialise
from hygie.sites.site import SiteLocation


def prepare_folder(into: Path, settings: Settings) -> DataFolder:
    """Make the data folder of a fresh place, with its settings and its empty sites. Blocks.

    Raises: RestoreRefusedError: there is something in it, or in one of its sites; SettingsError; SiteUnavailableError:
    one cannot be made. Nothing of it stays then.
    """
    folder = DataFolder.at(into)
    if settings.database.dsn is not None:
        raise RestoreRefusedError(reason="a fresh place has the embedded database: leave database.dsn out")
    for path in (folder.path, *(folder.resolve(site.path) for site in settings.sites)):
        if path.exists() and any(path.iterdir()):
            raise RestoreRefusedError(reason=f"{path} is not empty")
    try:
        folder.create()
        for site in settings.sites:
            initialise(folder.resolve(site.path), site.name)
        target = folder.resolve(settings.backups.path)
        if target.is_relative_to(folder.path):  # one elsewhere is marked already, or is marked by a person
            initialise(target, TARGET_NAME)
        write_settings(folder.path, settings)
    except BaseException:
        clear(folder, settings)
        raise
    return folder


def clear(folder: DataFolder, settings: Settings) -> None:
    """Remove a fresh place that came to nothing, its sites elsewhere included: all were empty. Blocks."""
    for path in (*(folder.resolve(site.path) for site in settings.sites), folder.path):
        shutil.rmtree(path, ignore_errors=True)


def open_sites(settings: Settings, folder: DataFolder) -> SiteSet:
    """The sites of a place."""
    sites = [
        FolderSite(
            folder.resolve(one.path),
            one.name,
            SiteLocation(one.country, one.city, one.latitude, one.longitude, one.operator),
        )
        for one in settings.sites
    ]
    return SiteSet(sites, quorum=settings.quorum, allowed_countries=settings.allowed_countries)


@asynccontextmanager
async def running_database(settings: Settings, folder: DataFolder) -> AsyncIterator[Dsns]:
    """The place's own PostgreSQL, migrated, stopped at the end."""
    programs = Path(settings.database.pg_bin_dir) if settings.database.pg_bin_dir else None
    server = EmbeddedPostgres(folder.path, folder.run, pg_bin_dir=programs)
    await asyncio.to_thread(server.start)
    try:
        dsns = server.dsns()
        await migrate(dsns.owner)
        yield dsns
    finally:
        await asyncio.to_thread(server.stop)


@asynccontextmanager
async def opened(dsn: str, *, size: int) -> AsyncIterator[Database]:
    """A pool, closed behind."""
    database = Database(dsn, size=size)
    await database.open()
    try:
        yield database
    finally:
        await database.close()
