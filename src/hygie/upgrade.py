"""Bring an installation to this version, after a copy of its database; or go back to such a copy.

The copy is the embedded database's own folder, taken while the server is stopped: nothing is simpler to put back.  Keys
are not copied (a copy would outlive erasures); sites and journal are not touched: going back is refused when anything
was written, erased, granted or revoked since, because the database would forget what was acknowledged.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import psycopg
from psycopg import sql

from hygie import __version__
from hygie.app import dsns_of, embedded_postgres, open_house
from hygie.base.actions import Action
from hygie.base.errors import InvalidRequestError, NotFoundError, SettingsError
from hygie.base.files import fsync_folder, make_private_folder, write_durably
from hygie.base.layout import DataFolder
from hygie.base.settings import Settings, load_settings
from hygie.custody import open_custody
from hygie.database.embedded import EmbeddedPostgres
from hygie.database.external import prepare_external
from hygie.database.migrate import pending_migrations
from hygie.gate.rights import adopt, rights_key
from hygie.keys.sealing import Secret
from hygie.start import OFFLINE, Tell, running, take_port

FACTS_FILE = "facts.json"
COPIES_KEPT = 2
RIGHTS_MIGRATION = "0005_rights_mac"  # after it, and only then, the rows that were there get their MAC
UNFINISHED = ".unfinished"


class ManagedDatabaseError(SettingsError):
    """The database is another server's: its own administrators copy it."""

    code = "HYG-692"
    fr = "La base n'est pas celle de Hygie ({setting}) : sauvegardez-la avec ses outils, puis lancez --no-copy."
    en = "The database is not Hygie's own ({setting}): back it up with its own tools, then run with --no-copy."


class WrittenSinceError(InvalidRequestError):
    """Going back would forget what was acknowledged since the copy."""

    code = "HYG-195"
    fr = (
        "Des données ou des droits ont changé depuis cette copie ({what}) : installez l'ancienne version, déplacez le "
        "dossier postgres, puis lancez hygie rebuild, qui ne perd rien."
    )
    en = (
        "Data or rights have changed since that copy ({what}): install the former version, move the folder postgres "
        "away, then run hygie rebuild, which loses nothing."
    )


class CopyAbsentError(NotFoundError):
    """No copy of the database to go back to."""

    code = "HYG-390"
    fr = "Aucune copie de la base dans {folder}."
    en = "No copy of the database in {folder}."


class CopyFacts(msgspec.Struct, frozen=True):
    """What the database held when it was copied. version: the one that took the copy, not the former one; packs,
    epochs: by environment's role, the highest number committed, the newest epoch that wraps a key (None: a copy of
    before that was noted); erased: compartments without key, all environments; generation: changes of rights; logs:
    writes of registers and of evidence that no site has yet."""

    version: str
    at_ms: int
    packs: dict[str, int]
    erased: int
    generation: int
    epochs: dict[str, int] | None = None
    logs: int = 0


@dataclass(slots=True)
class Upgraded:
    """pending: migrations that were not applied yet; copy: the copy taken before."""

    version: str
    pending: list[str] = field(default_factory=list)
    copy: str = ""
    seconds: float = 0.0


async def pending(data: Path) -> list[str]:
    """What an upgrade would apply. The installation is stopped.

    Raises: PortTakenError: it serves; DatabaseUnavailableError; MigrationUnknownError: the database is of a later
    version.
    """
    folder, settings = _stopped(data)
    server = embedded_postgres(settings, folder)
    if server is None:
        assert settings.database.dsn is not None
        # an earlier version knew fewer roles: theirs are made and get their passwords before anything is asked
        dsns = await asyncio.to_thread(prepare_external, settings.database.dsn, folder.postgres_secrets)
        return await pending_migrations(dsns.owner)
    await asyncio.to_thread(server.start)
    try:
        return await pending_migrations(dsns_of(settings, folder).owner)
    finally:
        await asyncio.to_thread(server.stop)


async def upgrade(
    data: Path, *, operator: str, secret: Secret | None = None, copy: bool = True, tell: Tell = lambda _: None
) -> Upgraded:
    """Copy the database, migrate it, journal the act; everything is left stopped.

    Args: copy: False when another server's administrators took one.
    Raises: PortTakenError: it serves; OSError: the disk is full (nothing was migrated); ManagedDatabaseError; and the
    errors of ``migrate``, after which the copy can be put back.
    """
    began = time.monotonic()
    folder, settings = _stopped(data)
    done = Upgraded(__version__, await pending(data))
    if not done.pending:
        return done
    if copy:
        server = embedded_postgres(settings, folder)
        if server is None:
            raise ManagedDatabaseError(setting="database.dsn")
        tell("copy")
        done.copy = (await _copy(folder, settings, server)).name
    async with (
        running(data, secret=secret, tell=tell, only=OFFLINE, upgrade=True),
        open_house(data) as house,
        open_custody(house, operator) as custody,
    ):
        detail = {"version": __version__, "migrations": str(len(done.pending)), "copy": done.copy}
        if RIGHTS_MIGRATION in done.pending:
            key = await rights_key(house.kms)
            async with custody.owner.transaction() as connection:
                detail["adopted"] = str(await adopt(connection, key, house.clock.now_ms()))
        await custody.operator.record(Action.PLATFORM_UPGRADE, detail=detail)
    done.seconds = round(time.monotonic() - began, 3)
    return done


async def go_back(data: Path, *, name: str | None = None) -> CopyFacts:
    """Put a copy of the database back in the place of the present one, which is set aside beside it.

    Args: name: of the copy, the newest by default.
    Raises: CopyAbsentError; WrittenSinceError: data, rights or keys changed since; PortTakenError: it serves.
    """
    folder, settings = _stopped(data)
    server = embedded_postgres(settings, folder)
    if server is None:
        raise ManagedDatabaseError(setting="database.dsn")
    copies = sorted(path for path in folder.upgrades.glob("*") if (path / FACTS_FILE).exists())
    chosen = [path for path in copies if name in (None, path.name)]
    if not chosen:
        raise CopyAbsentError(folder=str(folder.upgrades))
    facts = msgspec.json.decode((chosen[-1] / FACTS_FILE).read_bytes(), type=CopyFacts)
    now = await _facts(folder, settings, server)
    # generation: a right withdrawn since would live again; epochs: nothing opens under a key destroyed since
    for what in ("packs", "erased", "generation", "epochs"):
        if getattr(facts, what) not in (getattr(now, what), None):
            raise WrittenSinceError(what=what)
    if now.logs:  # the sites give back what was published; this they could not
        raise WrittenSinceError(what="logs")
    await asyncio.to_thread(_swap, folder, server, chosen[-1] / "postgres")
    return facts


def copies_of(data: Path) -> list[tuple[str, CopyFacts]]:
    """The copies that can be put back, oldest first."""
    folder = DataFolder.at(data)
    return [
        (path.parent.name, msgspec.json.decode(path.read_bytes(), type=CopyFacts))
        for path in sorted(folder.upgrades.glob(f"*/{FACTS_FILE}"))
    ]


def _stopped(data: Path) -> tuple[DataFolder, Settings]:
    """The installation, which must not serve. Raises: PortTakenError: it does."""
    folder = DataFolder.at(data)
    settings = load_settings(folder.path)
    take_port(settings).close()
    return folder, settings


async def _copy(folder: DataFolder, settings: Settings, server: EmbeddedPostgres) -> Path:
    """A durable copy of the stopped server's folder; older copies than ``COPIES_KEPT`` go.

    What an interrupted or a refused one left goes first: it may be what fills the disk.
    """
    facts = await _facts(folder, settings, server)
    make_private_folder(folder.upgrades)
    for path in folder.upgrades.iterdir():
        if path.is_dir() and not (path / FACTS_FILE).exists():
            await asyncio.to_thread(shutil.rmtree, path)
    moment = datetime.fromtimestamp(facts.at_ms / 1000, UTC).strftime("%Y%m%dT%H%M%SZ")
    target = folder.upgrades / f"{moment}-{facts.version}"
    await asyncio.to_thread(_copy_folder, folder.postgres, target)
    write_durably(target / FACTS_FILE, msgspec.json.encode(facts))
    for old in sorted(path for path in folder.upgrades.iterdir() if path.is_dir())[:-COPIES_KEPT]:
        await asyncio.to_thread(shutil.rmtree, old)
    return target


async def _facts(folder: DataFolder, settings: Settings, server: EmbeddedPostgres) -> CopyFacts:
    """Read the database once; the server is stopped again when this returns."""
    await asyncio.to_thread(server.start)
    try:
        async with await psycopg.AsyncConnection.connect(dsns_of(settings, folder).owner) as connection:
            roles = await (
                await connection.execute("SELECT role FROM hygie.environment WHERE state <> 'destroyed' ORDER BY role")
            ).fetchall()
            generation = await (await connection.execute("SELECT value FROM hygie.gate_generation")).fetchone()
            packs: dict[str, int] = {}
            epochs: dict[str, int] = {}
            erased = 0
            for (role,) in roles:
                statement = sql.SQL(
                    "SELECT (SELECT coalesce(max(number), 0) FROM {}), count(*) FILTER (WHERE state <> 0),"
                    " coalesce(max(epoch) FILTER (WHERE state = 0), 0) FROM {}"
                ).format(sql.Identifier(role, "pack"), sql.Identifier(role, "compartment"))
                row = await (await connection.execute(statement)).fetchone()
                assert row is not None
                packs[role] = int(row[0])
                erased += int(row[1])
                epochs[role] = int(row[2])
            assert generation is not None
            made_ms, logs = time.time_ns() // 1_000_000, await _unpublished(connection)
            return CopyFacts(__version__, made_ms, packs, erased, int(generation[0]), epochs, logs)
    finally:
        await asyncio.to_thread(server.stop)


async def _unpublished(connection: psycopg.AsyncConnection) -> int:
    """Writes of both logs that are in the database alone; none where an earlier version has no such logs."""
    row = await (
        await connection.execute("SELECT to_regclass('hygie_proof.head'), to_regclass('hygie.proof_object')")
    ).fetchone()
    if row is None or row[0] is None:
        return 0
    published = "(SELECT coalesce(max(last), 0) FROM hygie.proof_object o WHERE o.log = h.log)" if row[1] else "0"
    statement = f"SELECT coalesce(sum(greatest(h.seq - {published}, 0)), 0) FROM hygie_proof.head h"  # noqa: S608
    found = await (await connection.execute(statement.encode())).fetchone()
    return int(found[0]) if found is not None else 0


def _copy_folder(source: Path, target: Path) -> None:
    """Copy with owners and modes, durably; an interrupted copy has another name, a refused one leaves nothing."""
    unfinished = target.with_name(target.name + UNFINISHED)
    shutil.rmtree(unfinished, ignore_errors=True)
    make_private_folder(unfinished)
    try:
        shutil.copytree(source, unfinished / "postgres", symlinks=True)
        _make_durable(source, unfinished)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)  # the disk may be full of it
        raise
    unfinished.rename(target)
    fsync_folder(target.parent)


def _make_durable(source: Path, unfinished: Path) -> None:
    """Give every file its owner, and flush it."""
    for root, _, files in os.walk(unfinished):
        for name in files:
            path = Path(root) / name
            if path.is_symlink():
                continue
            _like(source / path.relative_to(unfinished / "postgres"), path)
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        here = Path(root)
        if here != unfinished:
            _like(source / here.relative_to(unfinished / "postgres"), here)
        fsync_folder(here)


def _like(source: Path, copied: Path) -> None:
    """The server may run under an account of its own: keep its files its own."""
    status = source.stat()
    if (status.st_uid, status.st_gid) != (copied.stat().st_uid, copied.stat().st_gid):
        os.chown(copied, status.st_uid, status.st_gid)


def _swap(folder: DataFolder, server: EmbeddedPostgres, copy: Path) -> None:
    """Set the present database aside, and put a copy of the copy in its place (it can be used again)."""
    fresh = folder.upgrades / f"back{UNFINISHED}"
    shutil.rmtree(fresh, ignore_errors=True)
    _copy_folder(copy, fresh)
    server.replace(fresh / "postgres")
    shutil.rmtree(fresh, ignore_errors=True)
