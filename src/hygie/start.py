"""Start everything on one machine, in order, and keep it running: what ``hygie up`` does.

PostgreSQL → migrations → KMS → journal's key → witness → work → one hosting process per core.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg

from hygie.app import dsns_of, embedded_postgres, initialise_sites, kms_socket, open_house
from hygie.base.errors import HygieError, SettingsError, UnavailableError
from hygie.base.files import write_durably
from hygie.base.layout import DataFolder
from hygie.base.settings import Settings, check_machine, load_settings, read_credential
from hygie.database.embedded import EmbeddedPostgres
from hygie.database.environments import create_environment_schema
from hygie.database.external import prepare_external
from hygie.database.migrate import migrate, pending_migrations
from hygie.database.pool import Database
from hygie.gate.platform_ledger import platform_keys
from hygie.keys.client import KmsClient
from hygie.keys.file_kms import FileKms
from hygie.keys.sealing import Passphrase, SharePlan
from hygie.processes import READY_FD, SECRET_FD, Service, Supervisor
from hygie.server.server import listen
from hygie.services import FORMER_KEYS, LOG_KEY, certificate_files

CREDENTIAL_NAME = "kms.credential"
CREDENTIAL_BYTES = 24
OFFLINE = ("kms", "witness")
SERVE = "serve-"
SERVER_LOOK_S = 0.25
SERVER_RETRY_S_MAX = 30.0

_log = logging.getLogger("hygie.start")

Tell = Callable[[str], None]


class UpgradeNeededError(SettingsError):
    """The database of a production installation is of an earlier version."""

    code = "HYG-693"
    fr = "La base est d'une version antérieure : lancez hygie upgrade, qui la copie d'abord."
    en = "The database is of an earlier version: run hygie upgrade, which copies it first."


class PortTakenError(UnavailableError):
    """Something listens where Hygie would: itself, most of the time."""

    code = "HYG-494"
    fr = "L'adresse {address}:{port} est déjà prise : arrêtez d'abord hygie up (ou le programme qui l'occupe)."
    en = "The address {address}:{port} is taken already: stop hygie up first (or the program that holds it)."


def take_port(settings: Settings) -> socket.socket:
    """The listening socket of the settings. Raises: PortTakenError; OSError: no such address, no right."""
    try:
        return listen(settings.host.address, settings.host.port)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise PortTakenError(address=settings.host.address, port=settings.host.port) from error


def draw_credential(folder: DataFolder) -> Path:
    """A random passphrase in a private file of the data folder: an unattended start for a trial machine.

    Whoever can read the folder can open the keys; ``hygie status`` says so.
    """
    path = folder.path / CREDENTIAL_NAME
    if not path.exists():
        write_durably(path, secrets.token_urlsafe(CREDENTIAL_BYTES).encode())
    return path


def create_keys(settings: Settings, folder: DataFolder, passphrase: str | None) -> list[str]:
    """Make the key state if there is none. Returns the shares to hand out, once, when keys are sealed by shares.

    Raises: WeakPassphraseError (production); KmsSettingsError.
    """
    if any(folder.kms.iterdir()):
        return []
    how: Passphrase | SharePlan
    if settings.kms.sealing == "shares":
        how = SharePlan(needed=settings.kms.threshold, made=settings.kms.shares)
    else:
        how = Passphrase(passphrase or "")
    return FileKms.create(folder.kms, how, production=settings.production)


def services(settings: Settings, folder: DataFolder, passphrase: str | None, listener: socket.socket) -> list[Service]:
    """The child processes, in starting order; hosting processes share the listener."""
    data = ("--data", str(folder.path))
    secret = passphrase.encode() if passphrase is not None else None
    secret_arguments = ("--secret-fd", SECRET_FD) if secret is not None else ()
    listed = [
        Service("kms", (*data, "kms", "--ready-fd", READY_FD, *secret_arguments), secret=secret),
        Service("witness", (*data, "witness", "--ready-fd", READY_FD)),
        Service("work", (*data, "work", "--ready-fd", READY_FD)),
    ]
    accept = ("--listen-fd", str(listener.fileno()))
    for number in range(settings.host.processes):
        serve = (*data, "serve", "--ready-fd", READY_FD, *accept)
        listed.append(Service(f"{SERVE}{number + 1}", serve, pass_fds=(listener.fileno(),)))
    return listed


@asynccontextmanager
async def running(
    data: Path,
    *,
    passphrase: str | None = None,
    tell: Tell = lambda _: None,
    only: Collection[str] = (),
    upgrade: bool = False,
) -> AsyncIterator[Supervisor]:
    """Everything up, until the context ends.

    Args: passphrase: typed by a person; else the credential of the settings; only: the processes wanted beside the
    database (``OFFLINE`` for repairs: nobody is served), all of them if none is named; upgrade: migrate a production
    database, of which a copy was taken.
    Raises: SettingsError: refused to start; ServiceFailedError; DatabaseUnavailableError.
    """
    folder = DataFolder.at(data)
    settings = load_settings(folder.path)
    check_machine(settings, folder)
    passphrase = passphrase if passphrase is not None else read_credential(settings, folder)
    folder.create_run()
    initialise_sites(settings, folder)
    certificate_files(settings, folder)
    listener = take_port(settings)  # now: whoever serves already is told at once
    server = embedded_postgres(settings, folder)
    keeping: asyncio.Task[None] | None = None
    if server is not None:
        tell("postgres")
        await asyncio.to_thread(server.start)
        keeping = asyncio.create_task(_keep_server(server), name="keep postgres")
    else:
        assert settings.database.dsn is not None
        await asyncio.to_thread(prepare_external, settings.database.dsn, folder.postgres_secrets)
    try:
        await _migrate(settings, folder, upgrade=upgrade)
        create_keys(settings, folder, passphrase)
        listed = services(settings, folder, passphrase, listener)
        wanted = [service for service in listed if not only or service.name in only]
        supervisor = Supervisor(wanted, logs=folder.logs)
        try:
            await _start(supervisor, data, settings, tell)
            yield supervisor
        finally:
            await supervisor.stop()
    finally:
        listener.close()
        if keeping is not None:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
        if server is not None:  # also one found running: the supervisor that started it was killed
            await asyncio.to_thread(server.stop)


async def _keep_server(server: EmbeddedPostgres) -> None:
    """Start the database again when it is gone (killed, out of memory): nobody else watches over it."""
    pause_s = SERVER_LOOK_S
    while True:
        await asyncio.sleep(pause_s)
        if await asyncio.to_thread(server.pid) is not None:
            pause_s = SERVER_LOOK_S
            continue
        _log.warning("postgres is gone: starting it again")
        try:
            await asyncio.to_thread(server.start)
        except (HygieError, OSError, psycopg.Error) as error:  # tried again, later and later
            _log.error("postgres: %s", error if isinstance(error, HygieError) else type(error).__name__)
            pause_s = min(pause_s * 2, SERVER_RETRY_S_MAX)


async def _start(supervisor: Supervisor, data: Path, settings: Settings, tell: Tell) -> None:
    names = [status.name for status in supervisor.status()]
    for name in names:
        if name.startswith(SERVE):
            continue
        tell(name)
        await supervisor.start_one(name)
        if name == "kms":
            await _after_kms(data, settings)
    hosting = [name for name in names if name.startswith(SERVE)]
    if hosting:
        tell(f"{len(hosting)} × serve")
    await asyncio.gather(*(supervisor.start_one(name) for name in hosting))


async def _after_kms(data: Path, settings: Settings) -> None:
    """What needs the keys once: the platform's own month keys, and the journal's public key for its witness."""
    folder = DataFolder.at(data)
    kms = KmsClient(kms_socket(settings, folder))
    try:
        await platform_keys(kms)
    finally:
        await kms.close()
    async with open_house(data, settings) as house:
        key, *former = await house.log_keys()
    write_durably(folder.witness / LOG_KEY, f"{key.encode()}\n".encode(), mode=0o644)
    write_durably(folder.witness / FORMER_KEYS, "".join(f"{one.encode()}\n" for one in former).encode(), mode=0o644)


async def _migrate(settings: Settings, folder: DataFolder, *, upgrade: bool) -> None:
    """Bring the platform's schema, then each environment's, up to date.

    Raises: UpgradeNeededError: a production database is of an earlier version, and nobody asked to migrate it.
    """
    dsns = dsns_of(settings, folder)
    if settings.production and not upgrade and await pending_migrations(dsns.owner):
        raise UpgradeNeededError()
    await migrate(dsns.owner)
    database = Database(dsns.owner, size=1)
    await database.open()
    try:
        async with database.transaction() as connection:
            cursor = await connection.execute("SELECT role FROM hygie.environment WHERE state <> 'destroyed'")
            roles = [row[0] for row in await cursor.fetchall()]
    finally:
        await database.close()
    for role in roles:
        await create_environment_schema(dsns.owner, role)
