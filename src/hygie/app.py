"""Builds the rooms from the settings: the one file that may import them all.

A ``House`` is what a process holds while it runs: where the data are, how to reach the database, the KMS, the sites.
Each ``open_…`` gives what one kind of process needs, and closes it behind.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hygie.backups.keys import log_keys_of
from hygie.backups.target import TARGET_NAME
from hygie.base.clock import SystemClock
from hygie.base.layout import DataFolder
from hygie.base.permit import Place
from hygie.base.settings import Settings, SiteSettings, kms_socket, load_settings, witness_socket
from hygie.database.cluster import Dsns
from hygie.database.embedded import EmbeddedPostgres
from hygie.database.external import external_dsns
from hygie.database.pool import Database
from hygie.gate.allowances import GIB, Defaults
from hygie.gate.people_administration import PeopleAdministration
from hygie.gate.platform_ledger import PlatformLedger
from hygie.gate.recorded import GoLive
from hygie.gate.requests import Requests
from hygie.gate.two_persons import TwoPersons
from hygie.journal.checkpoint import COSIGNATURE_V1, VerifierKey
from hygie.journal.errors import TimestampUnavailableError, WitnessKeyAbsentError
from hygie.journal.reader import JournalReader
from hygie.journal.sealer import Sealer
from hygie.journal.witness_client import WitnessClient
from hygie.journal.writer import JournalWriter
from hygie.keys.cache import CompartmentKeys
from hygie.keys.client import KmsClient
from hygie.keys.kms import Kms
from hygie.sites.errors import SiteFolderError
from hygie.sites.folder import FolderSite
from hygie.sites.placement import SiteSet
from hygie.sites.room import initialise
from hygie.sites.site import RESERVED, Site, SiteLocation
from hygie.vault.context import EnvironmentContext, load_context

if TYPE_CHECKING:  # loaded by the processes that use them: each command of administration starts without
    from hygie.journal.stamps import Authority

MONTH_KEYS_FRESH_S = 60.0  # a destroyed month key is forgotten within a minute, as compartment keys are
ADMINISTRATION_POOL = 3
PERSON_PREFIX = "local:"  # of accounts of the machine, as the journal names the people behind a terminal


class MonthKeyCache:
    """Month keys of this process, asked from the KMS once a minute each, and let go when they are old."""

    def __init__(self, kms: Kms) -> None:
        self._kms = kms
        self._kept: dict[tuple[bytes, str, str], tuple[float, bytes]] = {}

    async def month_key(self, tenant_id: bytes, kind: str, month: str) -> bytes:
        """See ``journal.protocols.MonthKeys``."""
        wanted = (tenant_id, kind, month)
        found = self._kept.get(wanted)
        if found is not None and found[0] > time.monotonic():
            return found[1]
        key = await self._kms.month_key(*wanted)
        now_s = time.monotonic()
        self._kept = {one: kept for one, kept in self._kept.items() if kept[0] > now_s}
        self._kept[wanted] = (now_s + MONTH_KEYS_FRESH_S, key)
        return key


class KmsSigner:
    """Signs checkpoints with the journal's key, which stays in the KMS."""

    def __init__(self, kms: Kms, name: str, public_key: bytes) -> None:
        self._kms = kms
        self.name = name
        self.public_key = public_key

    async def sign(self, message: bytes) -> bytes:
        """See ``journal.protocols.Signer``."""
        return await self._kms.sign("journal", message)


@dataclass(frozen=True, slots=True)
class House:
    """One installation, as one process reaches it."""

    settings: Settings
    folder: DataFolder
    dsns: Dsns
    kms: KmsClient
    sites: SiteSet
    clock: SystemClock
    month_keys: MonthKeyCache

    async def signer(self) -> KmsSigner:
        """The journal's signer; its origin names this installation for ever."""
        return KmsSigner(self.kms, await self.origin(), await self.kms.public_key("journal"))

    async def origin(self) -> str:
        """The journal's name: that of the key state it is signed from."""
        return f"hygie/{(await self.kms.status()).state_id.hex()[:16]}"

    async def log_key(self) -> VerifierKey:
        """The journal's public key, as verifiers take it."""
        return (await self.log_keys())[0]

    async def log_keys(self) -> Sequence[VerifierKey]:
        """The journal's public keys: the one that signs now, then retired ones, which verify what they signed (a
        restored place has a successor key)."""
        return log_keys_of(await self.kms.status())

    def witness(self) -> WitnessClient | None:
        """The witness, once its public key is known here.

        Raises: WitnessKeyAbsentError: one elsewhere is set, and its key was not put here.
        """
        key = witness_key(self.settings, self.folder)
        if key is None:
            return None
        set_ = self.settings.witness
        authority = self.folder.resolve(set_.authority) if set_.authority is not None else None
        return WitnessClient(set_.url or str(witness_socket(self.settings, self.folder)), key, authority=authority)

    def authority(self) -> Authority | None:
        """Who stamps checkpoints, None when nobody does. Raises: TimestampUnavailableError: no root certificate."""
        from hygie.journal.stamps import Authority

        chosen = self.settings.timestamp
        if not chosen.chosen or chosen.authority is None:
            return None
        try:
            roots = self.folder.resolve(chosen.authority).read_bytes()
        except OSError as error:
            raise TimestampUnavailableError(reason="timestamp.authority") from error
        return Authority(chosen.url, chosen.command, roots)

    async def context(self, place: Place) -> EnvironmentContext:
        """One environment's keys and tokens, for offline work."""
        return await load_context(place, self.kms, CompartmentKeys(self.kms), self.sites)

    async def sealer(self, database: Database) -> Sealer:
        """The sealer, on a pool opened as the sealer's role."""
        return Sealer(
            database=database,
            sites=self.sites,
            signer=await self.signer(),
            month_keys=self.month_keys,
            clock=self.clock,
            witness=self.witness(),
            former_keys=(await self.log_keys())[1:],
        )

    async def journal_reader(self, database: Database) -> JournalReader:
        """The journal as published on the sites."""
        witness = self.witness()
        return JournalReader(
            self.sites,
            self.month_keys,
            log_keys=await self.log_keys(),
            database=database,
            witness_key=witness.key if witness else None,
        )


def default_limits(settings: Settings) -> Defaults:
    """What accounts, clients and environments may use where nothing else was set."""
    set_ = settings.limits
    return Defaults(
        person=set_.person_points_per_s,
        application=set_.application_points_per_s,
        tenant=set_.tenant_points_per_s,
        environment_bytes=set_.environment_gib * GIB,
        environment_versions=set_.environment_versions,
    )


def embedded_postgres(settings: Settings, folder: DataFolder) -> EmbeddedPostgres | None:
    """The embedded server of this data folder, or None when settings name another one."""
    if settings.database.dsn is not None:
        return None
    programs = Path(settings.database.pg_bin_dir) if settings.database.pg_bin_dir else None
    return EmbeddedPostgres(folder.path, folder.run, pg_bin_dir=programs)


def dsns_of(settings: Settings, folder: DataFolder) -> Dsns:
    """How each role reaches the database. Holds passwords."""
    server = embedded_postgres(settings, folder)
    if server is None:
        assert settings.database.dsn is not None
        return external_dsns(settings.database.dsn, folder.postgres_secrets)
    return server.dsns()


def witness_key(settings: Settings, folder: DataFolder) -> VerifierKey | None:
    """The public key by which the witness is known here; None: the one of this machine has not made it yet.

    Raises: WitnessKeyAbsentError: one elsewhere is set, and its key was not put here; VerifierKeyError.
    """
    path = folder.witness / "witness.pub"
    try:
        key = VerifierKey.parse(path.read_text().strip())
    except FileNotFoundError:
        if settings.witness.url is not None:
            raise WitnessKeyAbsentError(file=str(path)) from None
        return None
    if key.kind != COSIGNATURE_V1:
        raise WitnessKeyAbsentError(file=str(path))
    return key


def new_site(settings: SiteSettings, folder: DataFolder) -> Site:
    """One site of the settings."""
    place = SiteLocation(settings.country, settings.city, settings.latitude, settings.longitude, settings.operator)
    return FolderSite(folder.resolve(settings.path), settings.name, place)


def initialise_stores(settings: Settings, folder: DataFolder) -> None:
    """Make and mark the folders of a new installation's sites and backup target.

    Never at a start: an empty mount point is a store away.
    Raises: SiteFolderError: there is something else in one; SiteUnavailableError: it is another store's.
    """
    for name, stored in (*((one.name, one.path) for one in settings.sites), (TARGET_NAME, settings.backups.path)):
        path = folder.resolve(stored)
        if not (path / RESERVED).exists():
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            initialise_store(path, name)
        initialise(path, name)


def initialise_store(path: Path, name: str) -> str:
    """Mark an empty folder as the one of site ``name``, or of the target TARGET_NAME. Its parent must exist.

    It is a new one, or on a new disk. Returns: its identity. Raises: SiteFolderError: it is not empty; OSError.
    """
    path.mkdir(mode=0o700, exist_ok=True)
    if any(path.iterdir()):
        raise SiteFolderError(folder=str(path), site=name)
    return initialise(path, name)


def site_set(settings: Settings, folder: DataFolder) -> SiteSet:
    """All sites of the settings, nearest first.

    Raises: SiteSettingsError: one is outside the allowed countries, or the quorum cannot be.
    """
    return SiteSet(
        [new_site(one, folder) for one in settings.sites],
        quorum=settings.quorum,
        allowed_countries=settings.allowed_countries,
    )


@asynccontextmanager
async def open_house(data: Path, settings: Settings | None = None) -> AsyncIterator[House]:
    """Reach the parts that run: KMS, database, sites. The caller opens the pools it needs."""
    folder = DataFolder.at(data)
    settings = settings or load_settings(folder.path)
    async with AsyncExitStack() as stack:
        kms = KmsClient(kms_socket(settings, folder))
        stack.push_async_callback(kms.close)
        sites = site_set(settings, folder)
        stack.push_async_callback(sites.close)
        yield House(settings, folder, dsns_of(settings, folder), kms, sites, SystemClock(), MonthKeyCache(kms))


@asynccontextmanager
async def opened(dsn: str, *, size: int) -> AsyncIterator[Database]:
    """A pool, closed behind."""
    database = Database(dsn, size=size)
    await database.open()
    try:
        yield database
    finally:
        await database.close()


async def _nothing_live(_tenant: str, _name: str) -> Sequence[tuple[str, str]]:
    return (("la couverture des certificats n'a pas été regardée", "the certificates' cover was not looked at"),)


def requests_of(house: House, database: Database, journal: JournalWriter) -> Requests:
    """What takes two persons. Args: database: opened as the owner."""
    return Requests(database, kms=house.kms, journal=journal, clock=house.clock)


def two_persons(house: House, database: Database, journal: JournalWriter) -> TwoPersons:
    """Who asks for the second one, now. Args: database: opened as the owner."""
    requests = requests_of(house, database, journal)
    return TwoPersons(requests, database, production=house.settings.production, now_ms=house.clock.now_ms())


def raised_for(
    house: House, database: Database, journal: JournalWriter, operator: str
) -> Callable[[], Awaitable[None]] | None:
    """What is asked before a person of the machine acts; None for a program, whose acts are its own.

    Args: database: opened as the owner.
    """
    if not operator.startswith(PERSON_PREFIX):
        return None

    async def ask() -> None:
        await two_persons(house, database, journal).raised(operator)

    return ask


@asynccontextmanager
async def open_administration(
    house: House, operator: str, *, go_live: GoLive | None = None
) -> AsyncIterator[PeopleAdministration]:
    """Acts of one operator, under the database's owner role.

    Args: go_live: what allows production; in production mode nothing goes live without it.
    """
    async with opened(house.dsns.owner, size=ADMINISTRATION_POOL) as database:
        journal = JournalWriter(database, house.month_keys, house.clock)
        try:
            yield PeopleAdministration(
                database,
                owner_dsn=house.dsns.owner,
                kms=house.kms,
                journal=journal,
                clock=house.clock,
                operator=operator,
                ledger=PlatformLedger(database, kms=house.kms, sites=house.sites, clock=house.clock),
                go_live=(go_live or _nothing_live) if house.settings.production else None,
                raised=raised_for(house, database, journal, operator),
            )
        finally:
            await journal.close()
