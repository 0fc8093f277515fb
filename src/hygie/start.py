"""Start everything on one machine, in order, and keep it running: what ``hygie up`` does.

PostgreSQL → migrations → KMS → journal's key → witness → work → watch → one hosting process per core.
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
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hygie.app import dsns_of, embedded_postgres, open_house, witness_key
from hygie.base.errors import HygieError, SettingsError, UnavailableError
from hygie.base.files import write_durably
from hygie.base.layout import DataFolder
from hygie.base.settings import Settings, check_machine, kms_socket, load_settings, read_credential
from hygie.database.embedded import EmbeddedPostgres
from hygie.database.environments import create_environment_schema
from hygie.database.external import prepare_external
from hygie.database.migrate import migrate, pending_migrations
from hygie.database.pool import Database
from hygie.gate.platform_ledger import platform_keys
from hygie.journal.errors import WitnessKeyAbsentError
from hygie.keys.client import KmsClient
from hygie.keys.file_kms import FileKms
from hygie.keys.file_root import check_opens, sealing_in
from hygie.keys.sealing import Passphrase, Secret, SharePlan, Shares
from hygie.keys.secret_source import secret_bytes
from hygie.processes import READY_FD, SECRET_FD, Service, ServiceFailedError, Supervisor
from hygie.server.server import listen
from hygie.services import FORMER_KEYS, LOG_KEY, WITNESS_KEY, certificate_files

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


class CredentialNeededError(SettingsError):
    """The keys are sealed by a passphrase, or will be, and nobody gave it."""

    code = "HYG-694"
    fr = (
        "La phrase de passe des clés manque : tapez-la avec --ask, ou nommez dans kms.credential le fichier privé qui"
        " la contient."
    )
    en = (
        "The passphrase of the keys is missing: type it with --ask, or name in kms.credential the private file that"
        " holds it."
    )


class SharesNeededError(SettingsError):
    """The keys are sealed by shares, and nobody gave any."""

    code = "HYG-695"
    fr = "Les clés s'ouvrent par {needed} parts sur {made} : tapez-les avec --ask, ou --share-file pour chacune."
    en = "The keys open with {needed} shares of {made}: type them with --ask, or --share-file for each one."


class KeysNotMadeError(SettingsError):
    """The settings want shares; they are handed out when the keys are made, and no key was made yet."""

    code = "HYG-696"
    fr = "Aucune clé n'existe encore ici : hygie init --shares N --threshold K les fait, et distribue les parts."
    en = "There is no key here yet: hygie init --shares N --threshold K makes them, and hands out the shares."


class KeysAbsentError(SettingsError):
    """An installation that was started has no key any more: an unmounted folder, or keys held by another user."""

    code = "HYG-698"
    fr = "Les clés de cette installation ne sont pas dans {folder} : remettez-les ; un départ n'en fait pas d'autres."
    en = "The keys of this installation are not in {folder}: put them back; a start makes no others."


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


def check_witness_elsewhere(settings: Settings, folder: DataFolder) -> None:
    """Refuse to start for a witness elsewhere whose public key nobody brought here.

    Raises: WitnessKeyAbsentError: it is absent, or it is the key of the witness of this machine.
    """
    key = witness_key(settings, folder)
    own = folder.witness / "witness.key"
    if key is not None and own.exists():
        public = Ed25519PrivateKey.from_private_bytes(own.read_bytes()).public_key().public_bytes_raw()
        if public == key.public_key:
            raise WitnessKeyAbsentError(file=str(folder.witness / WITNESS_KEY))


def deal_shares(settings: Settings, folder: DataFolder) -> list[str]:
    """Make the keys, sealed by shares as the settings say. Returns: the shares to hand out; nobody has them again.

    Raises: KmsSettingsError: there are keys already.
    """
    plan = SharePlan(needed=settings.kms.threshold, made=settings.kms.shares)
    return FileKms.create(folder.kms, plan, production=settings.production)


def opening_secret(settings: Settings, folder: DataFolder, given: Secret | None) -> Secret:
    """What opens the keys: as given, or the credential of the settings. Makes the keys at a first start.

    Raises: CredentialNeededError, SharesNeededError: nobody gave it; KeysNotMadeError; KeysAbsentError;
    ShareRefusedError, SharesLackingError, WrongPassphraseError: these shares do not open; WeakPassphraseError
    (production).
    """
    how = sealing_in(folder.kms)
    by_shares = (how.kind if how is not None else settings.kms.sealing) == "shares"
    if how is None and (folder.postgres.exists() or folder.postgres_secrets.exists()):
        raise KeysAbsentError(folder=str(folder.kms))
    if how is None and (by_shares or isinstance(given, Shares)):
        raise KeysNotMadeError()
    if given is None and by_shares:
        assert how is not None
        raise SharesNeededError(needed=how.shares_needed, made=how.shares_made)
    if given is None:
        credential = read_credential(settings, folder)
        if credential is None:
            raise CredentialNeededError()
        given = Passphrase(credential)
    if how is None:
        assert isinstance(given, Passphrase)
        FileKms.create(folder.kms, given, production=settings.production)
    elif by_shares or isinstance(given, Shares):  # told at once; a passphrase costs 0.4 s: the KMS tries it
        check_opens(folder.kms, given)
    return given


def services(settings: Settings, folder: DataFolder, secret: Secret, listener: socket.socket) -> list[Service]:
    """The child processes, in starting order; hosting processes share the listener."""
    data = ("--data", str(folder.path))
    opening = ("--shares-fd" if isinstance(secret, Shares) else "--secret-fd", SECRET_FD)
    listed = [
        Service("kms", (*data, "kms", "--ready-fd", READY_FD, *opening), secret=secret_bytes(secret)),
    ]
    if settings.witness.url is None:
        listed.append(Service("witness", (*data, "witness", "--ready-fd", READY_FD)))
    listed.append(Service("work", (*data, "work", "--ready-fd", READY_FD)))
    listed.append(Service("watch", (*data, "watch", "--ready-fd", READY_FD)))
    accept = ("--listen-fd", str(listener.fileno()))
    for number in range(settings.host.processes):
        serve = (*data, "serve", "--ready-fd", READY_FD, *accept)
        listed.append(Service(f"{SERVE}{number + 1}", serve, pass_fds=(listener.fileno(),)))
    return listed


@asynccontextmanager
async def running(
    data: Path,
    *,
    secret: Secret | None = None,
    tell: Tell = lambda _: None,
    only: Collection[str] = (),
    upgrade: bool = False,
) -> AsyncIterator[Supervisor]:
    """Everything up, until the context ends.

    Args: secret: given by people; else the credential of the settings; only: the processes wanted beside the
    database (``OFFLINE`` for repairs: nobody is served), all of them if none is named; upgrade: migrate a production
    database, of which a copy was taken.
    Raises: SettingsError: refused to start; InvalidRequestError: the secret does not open the keys;
    ServiceFailedError; DatabaseUnavailableError.
    """
    folder = DataFolder.at(data)
    settings = load_settings(folder.path)
    check_machine(settings, folder)
    folder.create_run()
    if settings.witness.url is not None:
        check_witness_elsewhere(settings, folder)
    certificate_files(settings, folder)
    listener = take_port(settings)  # now: whoever serves already is told at once
    server = embedded_postgres(settings, folder)
    keeping: asyncio.Task[None] | None = None
    try:
        secret = await asyncio.to_thread(opening_secret, settings, folder, secret)
        if server is not None:
            tell("postgres")
            await _start_server(server)
            keeping = asyncio.create_task(_keep_server(server), name="keep postgres")
        else:
            assert settings.database.dsn is not None
            await asyncio.to_thread(prepare_external, settings.database.dsn, folder.postgres_secrets)
    except BaseException:
        listener.close()
        raise
    try:
        await _migrate(settings, folder, upgrade=upgrade)
        listed = services(settings, folder, secret, listener)
        wanted = [service for service in listed if not only or service.name in only]
        supervisor = Supervisor(wanted, logs=folder.logs)
        try:
            await _start(supervisor, folder, settings, secret, tell)
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


async def _start_server(server: EmbeddedPostgres) -> None:
    """Start the database in a thread; who is interrupted meanwhile waits for it, and leaves no server behind."""
    try:
        await asyncio.to_thread(server.start)
    except asyncio.CancelledError:
        await asyncio.to_thread(server.stop)
        raise


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
            await _start_server(server)
        except (HygieError, OSError, psycopg.Error) as error:  # tried again, later and later
            _log.error("postgres: %s", error if isinstance(error, HygieError) else type(error).__name__)
            pause_s = min(pause_s * 2, SERVER_RETRY_S_MAX)


async def _start(supervisor: Supervisor, folder: DataFolder, settings: Settings, secret: Secret, tell: Tell) -> None:
    names = [status.name for status in supervisor.status()]
    for name in names:
        if name.startswith(SERVE):
            continue
        tell(name)
        if name != "kms":
            await supervisor.start_one(name)
            continue
        try:
            await supervisor.start_one(name)
        except ServiceFailedError:
            await asyncio.to_thread(check_opens, folder.kms, secret)  # a wrong passphrase is told as one
            raise
        await _after_kms(folder, settings)
    hosting = [name for name in names if name.startswith(SERVE)]
    if hosting:
        tell(f"{len(hosting)} × serve")
    await asyncio.gather(*(supervisor.start_one(name) for name in hosting))


async def _after_kms(folder: DataFolder, settings: Settings) -> None:
    """What needs the keys once: the platform's own month keys, and the journal's public key for its witness."""
    kms = KmsClient(kms_socket(settings, folder))
    try:
        await platform_keys(kms)
    finally:
        await kms.close()
    async with open_house(folder.path, settings) as house:
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
