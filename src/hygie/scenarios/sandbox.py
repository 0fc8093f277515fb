"""The installation that is attacked: a whole one, made for the drill, with invented patients and people."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from hygie.app import open_house
from hygie.base.channels import ChannelSettings, FileSettings, Level, StepSettings
from hygie.base.errors import UnavailableError
from hygie.base.layout import DataFolder
from hygie.base.settings import Settings, WatchSettings, write_settings
from hygie.custody import Custody, open_custody
from hygie.demo.client import FhirClient
from hygie.demo.load import load_synthetic
from hygie.demo.people import APPLICATION, DEMONSTRATION, TENANT, People, settle
from hygie.demo.platform import Platform
from hygie.synthetic.patients import identity

RECORDS = 15  # patients with a whole record, some forty resources each
LEVELS: tuple[Level, ...] = ("critical", "high", "medium", "low", "informational")
PATIENTS = 160  # with those: somewhat more than a person may read at once without being noticed
FILE_CHANNEL = "hygie-drill"
TOLD_NAME = "told.jsonl"
OPERATOR = "drill:operator"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Sandbox:
    """One running installation. patients: logical ids; custody: of its keys, findings and registers."""

    platform: Platform
    people: People
    patients: list[str]
    custody: Custody

    def client(self, account: str, *, token: str | None = None, source: str = "") -> FhirClient:
        """A FHIR client with an account's token, or any other; source: the address it comes from."""
        chosen = self.people.tokens[account] if token is None else token
        base_url = f"{self.platform.root_url}/{TENANT}/{DEMONSTRATION}/fhir"
        return FhirClient(base_url, self.platform.ca_file, chosen, source=source)

    async def ask(
        self, act: Callable[[FhirClient], T], account: str, *, token: str | None = None, source: str = ""
    ) -> T:
        """Blocking requests in a thread, with a client of their own."""

        def with_client() -> T:
            with self.client(account, token=token, source=source) as client:
                return act(client)

        return await asyncio.to_thread(with_client)


@asynccontextmanager
async def sandbox(
    folder: Path, drill: str, channels: Sequence[ChannelSettings] = (), tell: Callable[[str], None] = lambda _: None
) -> AsyncIterator[Sandbox]:
    """Make it, start it, fill it; stopped at the end, and left in its folder.

    Args: folder: does not exist yet; drill: its name, which notices say; channels: of production, told of every finding
    besides the drill's own file; tell: hears what is being done. Raises: as ``hygie up``.
    """
    platform = Platform(folder)
    await asyncio.to_thread(platform.prepare, None)
    await asyncio.to_thread(_tell_all, platform, drill, channels)
    try:
        await platform.start(tell)
        people = await settle(platform)
        async with open_house(folder) as house, open_custody(house, OPERATOR) as custody:
            made = Sandbox(platform, people, [], custody)
            made.patients.extend(await asyncio.to_thread(_fill, made))
            yield made
    finally:
        await platform.stop()


def _fill(made: Sandbox) -> list[str]:
    """Whole records, and patients of whom nothing is known but the name. Returns: logical ids. Blocks."""
    loaded = load_synthetic(lambda: made.client(APPLICATION), range(RECORDS), lambda _: None)
    people = [identity(seed) for seed in range(RECORDS, PATIENTS)]
    entries = [
        {
            "resource": {"resourceType": "Patient", "name": [{"family": one.family, "given": [one.given]}]},
            "request": {"method": "POST", "url": "Patient"},
        }
        for one in people
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    with made.client(APPLICATION) as client:
        answer = client.request("POST", body=json.dumps(bundle).encode())
        if answer.status != 200:
            raise UnavailableError(part="fhir")
        places = [one["response"]["location"] for one in answer.json["entry"]]
    return [*loaded.patients.values(), *(one.partition("Patient/")[2].partition("/")[0] for one in places)]


def in_the_open(channel: ChannelSettings, folder: DataFolder) -> ChannelSettings:
    """A channel of one installation, as another one may use it: its files by their whole path."""
    named = {name: getattr(channel, name, None) for name in ("secret", "authority", "path")}
    whole = {name: str(folder.resolve(path)) for name, path in named.items() if path is not None}
    return msgspec.structs.replace(channel, **whole)


def _tell_all(platform: Platform, drill: str, channels: Sequence[ChannelSettings]) -> None:
    """Everything is told at once, to a file and to whom the drill names. Blocks."""
    own = FileSettings(name=FILE_CHANNEL, path=str(platform.folder.path / TOLD_NAME))
    told = (own, *channels)
    steps = (StepSettings(levels=LEVELS, channels=tuple(one.name for one in told)),)
    watch = WatchSettings(drill=drill)
    settings: Settings = msgspec.structs.replace(platform.settings, channels=told, escalation=steps, watch=watch)
    write_settings(platform.folder.path, settings)
