"""The long-running processes: what ``hygie serve``, ``work``, ``watch``, ``kms`` and ``witness`` do, each in its own.

Each loads what it needs and no more: the process that holds the keys has neither the faces nor the registers in memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvloop

from hygie.base.errors import UnavailableError
from hygie.base.hardening import harden_process
from hygie.base.incidents import place_of
from hygie.base.layout import DataFolder
from hygie.base.settings import Settings, kms_socket, load_settings, witness_socket
from hygie.server.certificates import CertificateFiles, own_certificate
from hygie.sites.descriptors import allow_many_files

if TYPE_CHECKING:
    from hygie.keys.sealing import Secret
    from hygie.keys.secret_source import SecretSource

WITNESS_NAME = "hygie/witness"
LOG_KEY = "log.key"  # in the witness's folder: the journal's public key
WITNESS_KEY = "witness.pub"  # beside it: its own public key
FORMER_KEYS = "former.keys"  # beside it: those it had before, one a line
SEALER_POOL = 3
COLLECT_AFTER = (20_000, 20, 50)  # objects; Python's 700 would look through a large bundle again and again

_log = logging.getLogger("hygie.services")


def begin(name: str) -> None:
    """What every process does first: no core dump, no tracing, room for open files, its log on the standard error."""
    harden_process()
    allow_many_files()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Discreet(f"%(asctime)s {name} %(name)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("fido2").setLevel(logging.WARNING)  # below, it names the credential of each ceremony


class Discreet(logging.Formatter):
    """An exception is logged by its type and its line, whoever logs it: its text and its frames may quote values."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without what another handler may have kept of the exception."""
        record.exc_text = record.stack_info = None
        return super().format(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802 (logging's own name)
        """``CheckViolation at …/writer.py:131``."""
        return place_of(ei[1]) if ei[1] is not None else ""


def discreet_loop(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """The loop's own last line: asyncio's default prints the task with its exception's text."""
    error = context.get("exception")
    _log.error("%s: %s", context["message"], place_of(error) if isinstance(error, BaseException) else "-")


def say_ready(ready_fd: int | None) -> None:
    """Tell the supervisor that this process serves."""
    if ready_fd is not None:
        os.write(ready_fd, b"\n")
        os.close(ready_fd)


def certificate_files(settings: Settings, folder: DataFolder) -> CertificateFiles:
    """The operator's certificate, or the one that Hygie makes for itself."""
    if settings.host.certificate is not None and settings.host.key is not None:
        return CertificateFiles(folder.resolve(settings.host.certificate), folder.resolve(settings.host.key))
    return own_certificate(folder.tls, [settings.host.address])


def serve(data: Path, *, listen_fd: int | None = None, ready_fd: int | None = None) -> None:
    """One hosting process, until SIGTERM. Blocks."""
    begin("serve")
    from hygie.server.server import listen

    settings = load_settings(data)
    if listen_fd is None:
        listener = listen(settings.host.address, settings.host.port, share=settings.host.processes > 1)
    else:
        listener = socket.socket(fileno=listen_fd)
    _run(_serve(data, settings, listener, ready_fd))


async def _serve(data: Path, settings: Settings, listener: socket.socket, ready_fd: int | None) -> None:
    from hygie.app import open_house
    from hygie.fhir.answers import server_refusal
    from hygie.hosting import open_hosting
    from hygie.server.server import HttpServer
    from hygie.server.tls import LiveTls

    async with open_house(data, settings) as house, open_hosting(house) as hosting:
        authorities = settings.host.client_authorities
        tls = LiveTls(
            certificate_files(settings, house.folder),
            renew=lambda: certificate_files(settings, house.folder),
            client_authorities=house.folder.resolve(authorities) if authorities is not None else None,
        )
        server = HttpServer(hosting.face(), tls=tls, refusal=server_refusal)
        telling = asyncio.create_task(_tell_when(server.started, ready_fd))
        _calm_collector()
        await server.serve_until_signal([listener])
        await telling


def _calm_collector() -> None:
    """What start-up made lives as long as the process, and requests make few cycles: look for them less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


async def _tell_when(started: asyncio.Event, ready_fd: int | None) -> None:
    await started.wait()
    say_ready(ready_fd)


def work(data: Path, *, ready_fd: int | None = None) -> None:
    """The working process: the sealer, catch-up, scrub and measurements, until SIGTERM. Blocks."""
    begin("work")
    _run(_work(data, ready_fd))


async def _work(data: Path, ready_fd: int | None) -> None:
    from hygie.app import open_house, opened
    from hygie.upkeep import Upkeep

    stop, ending = _stop_event(), asyncio.Event()
    async with open_house(data) as house, opened(house.dsns.sealer, size=SEALER_POOL) as database:
        sealer = await house.sealer(database)
        await sealer.recover()
        upkeep = Upkeep(house, sealer)
        say_ready(ready_fd)
        tasks = [
            asyncio.create_task(sealer.run(ending, interval_ms=house.settings.journal.publish_interval_ms)),
            asyncio.create_task(upkeep.run(stop)),
        ]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        stop.set()
        ending.set()
        await asyncio.gather(*tasks)  # the first error ends the process: the other task may have hours to go
        # What the upkeep wrote last is on the sites; the journal that names it must be there too.
        with contextlib.suppress(UnavailableError, OSError):  # it waits in the database, as after a kill
            await sealer.seal_once()


def watch(data: Path, *, ready_fd: int | None = None) -> None:
    """The watch's process, until SIGTERM. Blocks."""
    begin("watch")
    _run(_watch(data, ready_fd))


async def _watch(data: Path, ready_fd: int | None) -> None:
    from hygie.app import open_house
    from hygie.watching import run_watch

    ready = asyncio.Event()
    async with open_house(data) as house:
        telling = asyncio.create_task(_tell_when(ready, ready_fd))
        try:
            await run_watch(house, _stop_event(), ready)
        finally:
            telling.cancel()


def kms(
    data: Path,
    *,
    secret_fd: int | None = None,
    shares_fd: int | None = None,
    ready_fd: int | None = None,
    allowed_uids: Sequence[int] = (),
    admin_gids: Sequence[int] = (),
) -> None:
    """The key process. Blocks. Without a secret it waits, sealed, for shares or the passphrase.

    Args: allowed_uids: users who host; admin_gids: groups in which they administer too, as ``hygie work`` must.
    """
    begin("kms")
    from hygie.keys.secret_source import SecretSource, read_shares
    from hygie.keys.server import run_kms

    folder = DataFolder.at(data)
    settings = load_settings(folder.path)
    secret: Secret | None
    if shares_fd is not None:
        secret = read_shares(shares_fd)
    else:
        secret = (SecretSource(fd=secret_fd) if secret_fd is not None else _credential(settings, folder)).read()
    run_kms(
        folder.kms,
        kms_socket(settings, folder),
        secret=secret,
        production=settings.production,
        allowed_uids=allowed_uids,
        admin_gids=admin_gids,
        ready_fd=ready_fd,
    )


def _credential(settings: Settings, folder: DataFolder) -> SecretSource:
    from hygie.keys.secret_source import SecretSource

    name = settings.kms.credential
    if name is None:
        return SecretSource()
    if name.startswith("systemd:"):
        return SecretSource(credential=name.removeprefix("systemd:"))
    return SecretSource(file=folder.resolve(name))


@dataclass(frozen=True, slots=True)
class WitnessPlace:
    """How a witness stands elsewhere than beside its journal. listen: ``host:port`` or a socket's path, None: the
    socket of the settings; log_keys: files of the journals' public keys, none: the ones in its folder; certificate:
    to answer ``https``."""

    listen: str | None = None
    log_keys: tuple[Path, ...] = ()
    name: str = WITNESS_NAME
    certificate: CertificateFiles | None = None


def witness(
    data: Path,
    *,
    place: WitnessPlace = WitnessPlace(),
    ready_fd: int | None = None,
    tell: Callable[[str, str], None] | None = None,
) -> None:
    """The witness's process; only one beside its journal needs an installation in ``data``. Blocks.

    Args: tell: called with its public key and its address once it answers.
    Raises: WitnessSettingsError; VerifierKeyError; TlsFileError; OSError: the address is taken.
    """
    begin("witness")
    from hygie.journal.checkpoint import VerifierKey
    from hygie.journal.witness import run_witness
    from hygie.server.tls import LiveTls

    folder = DataFolder.at(data)
    listen = place.listen or str(witness_socket(load_settings(folder.path), folder))
    # former: what it cosigned before the journal's key was replaced
    files = place.log_keys or (folder.witness / LOG_KEY, folder.witness / FORMER_KEYS)
    lines = [line for file in files if file.exists() or file.name != FORMER_KEYS for line in _lines(file)]
    logs = [VerifierKey.parse(line) for line in lines]
    tls = LiveTls(place.certificate) if place.certificate is not None else None

    async def run() -> None:
        ready = asyncio.Event()
        telling = [asyncio.create_task(_tell_when(ready, ready_fd)), asyncio.create_task(introduce(ready))]
        watching = asyncio.create_task(tls.watch()) if tls is not None else None
        try:
            await run_witness(
                folder.witness,
                listen,
                name=place.name,
                logs=logs,
                stop=_stop_event(),
                ready=ready,
                tls=tls.context if tls is not None else None,
            )
            await asyncio.gather(*telling)
        finally:
            if watching is not None:
                watching.cancel()

    async def introduce(ready: asyncio.Event) -> None:
        await ready.wait()
        if tell is not None:
            tell(_lines(folder.witness / WITNESS_KEY)[0], listen)

    _run(run())


def _lines(file: Path) -> list[str]:
    return [line.strip() for line in file.read_text().splitlines() if line.strip()]


def _stop_event() -> asyncio.Event:
    """Set by SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def _run(main: Coroutine[None, None, None]) -> None:
    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(discreet_loop)
        await main

    uvloop.run(run())
