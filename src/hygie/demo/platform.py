"""The installation that the demonstration works on: its own folder, started and stopped as ``hygie up`` does."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from hygie.app import House, embedded_postgres, initialise_stores, open_administration, open_house, opened
from hygie.base.files import make_private_folder, write_durably
from hygie.base.language import current_language
from hygie.base.layout import DataFolder
from hygie.base.settings import Settings, default_settings, load_settings, write_settings
from hygie.database.pool import Database
from hygie.demo.errors import DemoFolderError
from hygie.gate.administration import Administration
from hygie.processes import Supervisor
from hygie.proving import ProofPlane, with_proof
from hygie.recover import Recovered, Wanted, rebuild_installation
from hygie.services import certificate_files
from hygie.start import CREDENTIAL_NAME, draw_credential, running

MARKER_NAME = "demonstration.json"  # written first: without it, a folder is somebody's data
LOST_NAME = "database.lost"  # between the loss of the database and its rebuild
OPERATOR = "demo:operator"
PORTS_TRIED = 20
Tell = Callable[[str], None]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Pools:
    """The installation's rooms and the pools that its working process uses."""

    house: House
    records: Database
    hosting: Database


class Platform:
    """One data folder of the demonstration, and what runs on it."""

    def __init__(self, data: Path) -> None:
        self.folder = DataFolder.at(data)
        self._stack: AsyncExitStack | None = None
        self.supervisor: Supervisor | None = None

    @property
    def settings(self) -> Settings:
        """As written in the folder."""
        return load_settings(self.folder.path)

    def prepare(self, port: int | None) -> bool:
        """Make the folder and its settings, or take it up again. Returns whether it is new.

        Args: port: the HTTPS port; None: as before, or the first free one from 8443.
        Raises: DemoFolderError: something else lives there; SettingsError; OSError.
        """
        folder, marker = self.folder, self.folder.path / MARKER_NAME
        if not marker.exists():
            if folder.path.exists() and any(folder.path.iterdir()):
                raise DemoFolderError(folder=str(folder.path))
            make_private_folder(folder.path)
            write_durably(marker, json.dumps({"format": "hygie-demonstration-1"}).encode())
        new = not folder.settings_file.exists()
        settings = default_settings(language=current_language(), port=port or free_port()) if new else self.settings
        if not new and port is not None:
            settings = msgspec.structs.replace(settings, host=msgspec.structs.replace(settings.host, port=port))
        if settings.production or settings.database.dsn is not None:
            raise DemoFolderError(folder=str(folder.path))
        folder.create()
        self._bring_sites_back(settings)
        draw_credential(folder)
        kms = msgspec.structs.replace(settings.kms, credential=CREDENTIAL_NAME)
        write_settings(folder.path, msgspec.structs.replace(settings, kms=kms))
        return new

    def _bring_sites_back(self, settings: Settings) -> None:
        """A demonstration that was interrupted may have left a site away; a new one begins with marked folders."""
        for site in settings.sites:
            path = self.folder.resolve(site.path)
            if away_of(path).exists() and not path.exists():
                away_of(path).rename(path)
        initialise_stores(settings, self.folder)

    async def start(self, tell: Tell = lambda _: None) -> Supervisor:
        """Start everything; ``tell`` hears each part's name. Raises: as ``start.running``."""
        assert self._stack is None
        stack = AsyncExitStack()
        self.supervisor = await stack.enter_async_context(running(self.folder.path, tell=tell))
        self._stack = stack
        return self.supervisor

    def log_here(self) -> None:
        """What the rooms log in this process goes to a private file beside the other logs, not into the story."""
        path = self.folder.logs / "demo.log"
        path.touch(mode=0o600)
        logging.basicConfig(
            level=logging.INFO, format="%(asctime)s demo %(name)s %(levelname)s %(message)s", filename=path
        )

    async def lose_database(self) -> None:
        """Stop everything and delete the database; :meth:`rebuild` must follow, here or in the next run."""
        await self.stop()
        server = embedded_postgres(self.settings, self.folder)
        if server is not None:
            await asyncio.to_thread(server.stop)  # one that was found running is not ours to stop, but goes too
        await asyncio.to_thread(write_durably, self._lost, b"")
        await asyncio.to_thread(shutil.rmtree, self.folder.postgres)

    @contextmanager
    def alone(self, site: str) -> Iterator[None]:
        """Every other site away, until the context ends."""
        others = [self.folder.resolve(one.path) for one in self.settings.sites if one.name != site]
        for path in others:
            path.rename(away_of(path))
        try:
            yield
        finally:
            for path in others:
                away_of(path).rename(path)

    @property
    def lost(self) -> bool:
        """Whether the database was thrown away and not rebuilt yet."""
        return self._lost.exists()

    async def rebuild(self, site: str) -> Recovered:
        """Rebuild the lost database from one site. Raises: as ``recover.rebuild_installation``."""
        await asyncio.to_thread(shutil.rmtree, self.folder.postgres, ignore_errors=True)  # one begun and interrupted
        found = await rebuild_installation(self.folder.path, Wanted(site), operator=OPERATOR)
        if found.whole:
            self._lost.unlink()
        return found

    @property
    def _lost(self) -> Path:
        return self.folder.path / LOST_NAME

    async def stop(self) -> None:
        """Stop everything; the data stay."""
        stack, self._stack, self.supervisor = self._stack, None, None
        if stack is not None:
            await stack.aclose()

    @asynccontextmanager
    async def administration(self) -> AsyncIterator[Administration]:
        """Acts of the demonstration's operator."""
        async with open_house(self.folder.path) as house, open_administration(house, OPERATOR) as acts:
            yield acts

    async def proof(self, act: Callable[[ProofPlane], T]) -> T:
        """One act of the demonstration's operator on registers and evidence. Raises: what the act raises."""
        async with open_house(self.folder.path) as house:
            return await with_proof(house, OPERATOR, act)

    @asynccontextmanager
    async def rooms(self) -> AsyncIterator[Pools]:
        """What the commands that look after the data work with."""
        async with (
            open_house(self.folder.path) as house,
            opened(house.dsns.sealer, size=2) as records,
            opened(house.dsns.hosting, size=2) as hosting,
        ):
            yield Pools(house, records, hosting)

    @property
    def root_url(self) -> str:
        """``https://HOST:PORT``."""
        host = self.settings.host
        return f"https://{host.address}:{host.port}"

    @property
    def ca_file(self) -> Path:
        """The certificate that a client trusts."""
        files = certificate_files(self.settings, self.folder)
        return files.authority or files.certificate


def away_of(site: Path) -> Path:
    """Where the demonstration moves a site's folder to while it is away."""
    return site.with_name(f"{site.name}.away")


def free_port(first: int = 8443) -> int:
    """The first port from ``first`` on which nobody listens, or one that the system chooses."""
    for port in [*range(first, first + PORTS_TRIED), 0]:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does: one closed lately is free
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    return first
