"""The FHIR door, knocked at without any right: refusals must tell nothing, and must leave their trace.

A probe account holds a token of one environment and no habilitation at all: with it, the probe knocks at its own
environment (refused: the token lives), at another one and at one that exists nowhere (the two must be answered alike).
Its token is made once, kept in a private file of the data folder, and made again when it ends: it opens nothing.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import secrets
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import hygie.fhir.errors
import hygie.fhir.face_errors
import hygie.fhir.search.errors  # noqa: F401 (what a client may meet: their classes are looked at)
from hygie.app import House, open_administration
from hygie.base.errors import HygieError
from hygie.base.files import write_durably
from hygie.base.settings import Settings
from hygie.gate.administration import Administration
from hygie.gate.errors import AuthenticationError
from hygie.gate.recorded import Environment
from hygie.proof.facts import AnswerFacts, DoorFacts

TIMEOUT_S = 5.0
OPERATOR = "system:status"
ACCOUNT = "hygie-probe"
TOKEN_FILE = "probe.token"  # noqa: S105 (a file's name)
TOKEN_DAYS = 30.0
ACCOUNT_DAYS = 1_000
PLACES_MAX = 8  # other environments that the probe's token is shown to: a sample shows the rule
NOWHERE = "hygie-probe-nowhere/nowhere"
METADATA = "/fhir/metadata"
ASKED = "/fhir/Patient/hygie-probe"
VOLATILE_HEADERS = frozenset({"date"})

Told = tuple[int, tuple[tuple[str, str], ...], bytes]  # status, headers that do not vary by themselves, body


@dataclass(frozen=True, slots=True)
class Doors:
    """Places to knock at, ``tenant/environment``, and the probe's token. own: of the token; other: another one."""

    own: str = NOWHERE
    other: str | None = None
    token: str | None = None


def authority_of(house: House) -> Path | None:
    """The PEM that clients of Hygie's own certificate trust; None for an operator's certificate: the system's own."""
    return None if house.settings.host.certificate is not None else house.folder.tls / "ca.pem"


def ask_door(settings: Settings, authority: Path | None) -> tuple[int, float]:
    """What is public, asked once: (status, milliseconds). Status 0: no answer in time, or not one to trust. Blocks."""
    began = time.perf_counter()
    connection = open_connection(settings, authority)
    try:
        status = _ask(connection, NOWHERE, "hygie-measure", None, METADATA)[0]
    except (OSError, http.client.HTTPException):
        status = 0
    finally:
        connection.close()
    return status, (time.perf_counter() - began) * 1000


async def probe_answer(house: House) -> AnswerFacts:
    """Ask as any client would. A door that nobody answers at is an answer too."""
    return AnswerFacts(*await asyncio.to_thread(ask_door, house.settings, authority_of(house)))


async def probe_door(house: House) -> DoorFacts:
    """Knock.

    Raises: OSError: nobody answers; HygieError: the probe's account cannot be read or made.
    """
    authority = authority_of(house)
    doors = await _doors(house)
    facts = await asyncio.to_thread(knock, house.settings, authority, doors)
    if facts.own == http.HTTPStatus.UNAUTHORIZED and doors.token is not None:  # ended, revoked, or of another place
        await asyncio.to_thread((house.folder.path / TOKEN_FILE).unlink, missing_ok=True)
        facts = await asyncio.to_thread(knock, house.settings, authority, await _doors(house))
    return facts


def knock(settings: Settings, authority: Path | None, doors: Doors) -> DoorFacts:
    """The requests themselves, on one connection. Blocks."""
    agent = f"hygie-status/{secrets.token_hex(6)}"
    connection = open_connection(settings, authority)
    sent_at_ms = time.time_ns() // 1_000_000
    stranger = f"hyg_{secrets.token_urlsafe(32)}"
    try:
        nobody = [_ask(connection, place, agent, None) for place in (doors.own, NOWHERE)]
        unknown = [_ask(connection, place, agent, stranger) for place in (doors.own, NOWHERE)]
        own = _ask(connection, doors.own, agent, doors.token) if doors.token else None
        absent = _ask(connection, NOWHERE, agent, doors.token) if doors.token else None
        other = _ask(connection, doors.other, agent, doors.token) if doors.token and doors.other else None
    finally:
        connection.close()
    refused = [*nobody, *unknown]
    alike = nobody[0] == nobody[1] and unknown[0] == unknown[1] and (other is None or other == absent)
    return DoorFacts(
        agent=agent,
        asked=4 + sum(one is not None for one in (own, absent, other)),
        sent_at_ms=sent_at_ms,
        without_token=nobody[0][0],
        unknown_token=unknown[0][0],
        own=own[0] if own else None,
        other=other[0] if other else None,
        absent=absent[0] if absent else None,
        same_answer=alike,
        french=all(_text(body) == AuthenticationError.fr for _, _, body in refused),
        untranslated=untranslated(),
    )


async def knock_elsewhere(house: House, *, places_max: int = PLACES_MAX) -> list[tuple[str, str, int]]:
    """The probe's token shown at the other environments: (its own, the other, status); a test environment's at a
    production address first.

    Raises: OSError: nobody answers; HygieError: the probe's account cannot be read or made.
    """
    async with open_administration(house, OPERATOR) as acts:
        opened = [one for one in await acts.environments() if one.state == "open"]
        own = _own(opened)
        if own is None:
            return []
        token = await _token(acts, house.folder.path / TOKEN_FILE, own)
    others = sorted((one for one in opened if one != own), key=lambda one: (one.kind != "production", _path(one)))

    def knock_all() -> list[tuple[str, str, int]]:
        connection = open_connection(house.settings, authority_of(house))
        agent = f"hygie-status/{secrets.token_hex(6)}"
        try:
            return [
                (_path(own), _path(one), _ask(connection, _path(one), agent, token)[0]) for one in others[:places_max]
            ]
        finally:
            connection.close()

    return await asyncio.to_thread(knock_all)


def untranslated(root: type[HygieError] = HygieError) -> tuple[str, ...]:
    """Codes of errors that have no French sentence of their own, sorted. Args: root: it and its subclasses."""
    found, waiting = set(), [root]
    while waiting:
        one = waiting.pop()
        waiting += one.__subclasses__()
        if not one.fr.strip() or one.fr == one.en:
            found.add(one.code)
    return tuple(sorted(found))


def _text(body: bytes) -> str:
    """The sentence of an OperationOutcome, nothing when it is not one."""
    try:
        return str(json.loads(body)["issue"][0]["details"]["text"])
    except (ValueError, LookupError, TypeError):
        return ""


async def _doors(house: House) -> Doors:
    async with open_administration(house, OPERATOR) as acts:
        opened = [one for one in await acts.environments() if one.state == "open"]
        own = _own(opened)
        if own is None:
            return Doors()
        others = [one for one in opened if one.tenant != own.tenant] + [one for one in opened if one != own]
        token = await _token(acts, house.folder.path / TOKEN_FILE, own)
    return Doors(_path(own), _path(others[0]) if others else None, token)


def _own(opened: Sequence[Environment]) -> Environment | None:
    """The environment of the probe's token: one for tests where there is one, none when nothing is open."""
    return next((one for one in opened if one.kind == "test"), opened[0] if opened else None)


async def _token(acts: Administration, file: Path, place: Environment) -> str:
    """The probe's token: the kept one of this place, or a new one."""
    where = _path(place)
    try:
        kept, _, token = (await asyncio.to_thread(file.read_text)).strip().partition(" ")
        if kept == where:
            return token
    except FileNotFoundError:
        pass
    account = f"{ACCOUNT}-{datetime.now(UTC).year}"  # accounts end: each year has its own
    if account not in {row["id"] for row in await acts.listing("account")}:
        await acts.create_account(
            account, kind="application", label="hygie status", professional_id="", days=ACCOUNT_DAYS
        )
    _, token = await acts.create_token(account, place.tenant, place.name, days=TOKEN_DAYS, probe=True)
    await asyncio.to_thread(write_durably, file, f"{where} {token}\n".encode())
    return token


def _path(one: Environment) -> str:
    return f"{one.tenant}/{one.name}"


def open_connection(settings: Settings, authority: Path | None) -> http.client.HTTPSConnection:
    """A connection to the FHIR door, not yet open, that trusts what a client would."""
    context = ssl.create_default_context(cafile=str(authority) if authority else None)
    host = "127.0.0.1" if settings.host.address in {"0.0.0.0", "::"} else settings.host.address  # noqa: S104
    return http.client.HTTPSConnection(host, settings.host.port, timeout=TIMEOUT_S, context=context)


def _ask(connection: http.client.HTTPSConnection, place: str, agent: str, token: str | None, path: str = ASKED) -> Told:
    headers = {"User-Agent": agent, "Accept": "application/fhir+json", "Accept-Language": "fr"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    connection.request("GET", f"/{place}{path}", headers=headers)
    answer = connection.getresponse()
    kept = tuple((name, value) for name, value in answer.getheaders() if name.lower() not in VOLATILE_HEADERS)
    return answer.status, kept, answer.read()
