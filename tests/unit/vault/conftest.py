"""A vault on real parts: PostgreSQL, an in-process file KMS, three folder sites, a journal."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from hygie.base.actions import Action
from hygie.base.clock import SystemClock
from hygie.base.permit import Permit, Place
from hygie.database.cluster import Dsns
from hygie.database.environments import create_environment_schema
from hygie.database.hot import HotConnections
from hygie.database.pool import Database
from hygie.journal.writer import JournalWriter
from hygie.keys.file_kms import FileKms
from hygie.keys.in_process import InProcessKms
from hygie.keys.sealing import Passphrase
from hygie.sites.folder import FolderSite
from hygie.sites.placement import SiteSet
from hygie.sites.room import initialise
from hygie.sites.site import SiteLocation
from hygie.vault.vault import Vault

CITIES = {"paris": (48.85, 2.35), "lyon": (45.76, 4.83), "lille": (50.63, 3.06)}


@dataclass
class House:
    """Everything a test may want to look at or break."""

    dsns: Dsns
    database: Database
    kms: InProcessKms
    sites: SiteSet
    folders: Path
    journal: JournalWriter
    clock: SystemClock
    place: Place
    hot: HotConnections
    vault: Vault

    def new_vault(self) -> Vault:
        """Another process's vault: nothing cached."""
        return Vault(
            database=self.database, hot=self.hot, kms=self.kms, sites=self.sites, journal=self.journal, clock=self.clock
        )

    def permit(self, action: Action, *also: Action, place: Place | None = None) -> Permit:
        return Permit(
            permit_id=secrets.token_bytes(16),
            account="nurse",
            professional_id="",
            authentication="token",
            action=action,
            place=place or self.place,
            habilitation="h1",
            purpose="TREAT",
            address="127.0.0.1",
            device="test",
            also=frozenset(also),
        )

    def writing(self) -> Permit:
        return self.permit(Action.OBJECT_CREATE, Action.OBJECT_UPDATE, Action.OBJECT_DELETE)


@pytest.fixture
def open_house(database: Dsns, tmp_path: Path) -> Callable[[], AbstractAsyncContextManager[House]]:
    """A context that opens the house inside the test's event loop."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[House]:
        kms = new_kms(tmp_path / "kms")
        place = Place(secrets.token_bytes(16), secrets.token_bytes(16), "hygie_env_1")
        await kms.create_tenant(place.tenant_id)
        await kms.create_environment(place.tenant_id, place.environment_id)
        await create_environment_schema(database.owner, place.role)
        sites = SiteSet(
            [new_site(tmp_path / "sites" / name, name) for name in CITIES],
            quorum=2,
            allowed_countries=["FR"],
        )
        clock = SystemClock()
        pool = Database(database.hosting)
        await pool.open()
        journal = JournalWriter(pool, kms, clock)
        hot = HotConnections(database.hosting)
        vault = Vault(database=pool, hot=hot, kms=kms, sites=sites, journal=journal, clock=clock)
        try:
            yield House(database, pool, kms, sites, tmp_path / "sites", journal, clock, place, hot, vault)
        finally:
            await vault.close()
            await journal.close()
            await sites.close()
            await hot.close()
            await pool.close()
            await kms.close()

    return opened


def new_kms(folder: Path) -> InProcessKms:
    """A file KMS with cheap sealing."""
    passphrase = Passphrase("cheval pile agrafe 9 correct")
    FileKms.create(folder, passphrase, scrypt_n=2**4)
    kms = FileKms(folder)
    kms.open()
    kms.unseal(passphrase)
    return InProcessKms(kms)


def new_site(folder: Path, name: str) -> FolderSite:
    """An initialised folder site in France."""
    initialise(folder, name)
    return FolderSite(folder, name, SiteLocation("FR", name, *CITIES[name], "us"))
