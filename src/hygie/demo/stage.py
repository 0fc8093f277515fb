"""What the steps hand to one another."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from hygie.base.errors import Language
from hygie.base.language import current_language, say
from hygie.demo.client import FhirClient
from hygie.demo.errors import DemoLateError, DemoStepError
from hygie.demo.people import APPLICATION, DEMONSTRATION, TENANT, People
from hygie.demo.platform import Platform
from hygie.demo.story import Teller

POLL_S = 0.1
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Asked:
    """What the person asked for. patients: synthetic ones; load: a folder of anyone's Bundles."""

    patients: int
    load: Path | None = None
    port: int | None = None


@dataclass(slots=True)
class Stage:
    """The installation, its people, and what earlier steps left for later ones.

    patients: synthetic seed to logical id; remembered: records as read before anything went wrong, by path; snapshot:
    the backup taken before the erasure; erased: the seed of the erased patient, -1 before.
    """

    platform: Platform
    asked: Asked
    teller: Teller
    language: Language = field(default_factory=current_language)
    people: People | None = None
    patients: dict[int, str] = field(default_factory=dict)
    remembered: dict[str, Any] = field(default_factory=dict)
    snapshot: str = ""
    erased: int = -1

    @property
    def base_url(self) -> str:
        """Of the demonstration environment."""
        return f"{self.platform.root_url}/{TENANT}/{DEMONSTRATION}/fhir"

    @property
    def here(self) -> People:
        """The people, once they are settled."""
        assert self.people is not None
        return self.people

    def client(self, account: str = APPLICATION) -> FhirClient:
        """A client with an account's token; the caller closes it."""
        return self.client_with(self.here.tokens[account])

    def client_with(self, token: str) -> FhirClient:
        """Likewise, with any token."""
        return FhirClient(self.base_url, self.platform.ca_file, token, language=self.language)

    async def ask(self, act: Callable[[FhirClient], T], account: str = APPLICATION) -> T:
        """Run blocking requests in a thread, with a client of their own."""
        return await self.ask_with(self.here.tokens[account], act)

    async def ask_with(self, token: str, act: Callable[[FhirClient], T]) -> T:
        """Likewise, with any token."""

        def with_client() -> T:
            with self.client_with(token) as client:
                return act(client)

        return await asyncio.to_thread(with_client)

    async def read_all(self) -> dict[str, Any]:
        """Every Patient of the story and its Conditions and Observations, as an application reads them."""
        paths = [f"Patient/{id_}" for seed, id_ in self.patients.items() if seed != self.erased]

        def read(client: FhirClient) -> dict[str, Any]:
            found: dict[str, Any] = {}
            for path in paths:
                found[path] = _body(client, path)
                for one in _body(client, f"{path}/Observation?_count=50").get("entry", []):
                    found[f"Observation/{one['resource']['id']}"] = one["resource"]
            return found

        return await self.ask(read)


def _body(client: FhirClient, path: str) -> Any:
    answer = client.get(path)
    check(
        answer.status == 200,
        fr=f"une lecture attendue a reçu {answer.status} {answer.code}",
        en=f"an expected read was answered {answer.status} {answer.code}",
    )
    return answer.json


def check(holds: object, *, fr: str, en: str) -> None:
    """What a step claims. Raises: DemoStepError: it is not so. fr, en: what was seen instead, no full stop."""
    if not holds:
        raise DemoStepError(reason=say(fr=fr, en=en))


async def wait_until(what: str, act: Callable[[], object], *, seconds: float) -> None:
    """Ask again until it is so. Raises: DemoLateError. what: a few words."""
    end = time.monotonic() + seconds
    while not await asyncio.to_thread(act):
        if time.monotonic() > end:
            raise DemoLateError(seconds=seconds, what=what)
        await asyncio.sleep(POLL_S)


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Paths whose content is not the same."""
    return sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
