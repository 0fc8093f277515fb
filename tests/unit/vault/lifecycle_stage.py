"""What the tests of erasure, epochs and rebuilds share."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import secrets
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import psycopg

from hygie.base.actions import Action
from hygie.base.errors import HygieError
from hygie.base.permit import Place
from hygie.database.environments import create_environment_schema
from hygie.database.pool import Database
from hygie.keys.cache import CompartmentKeys
from hygie.keys.erasure import ErasureCertificate, instruct, verify_certificate
from hygie.vault.context import load_context
from hygie.vault.epochs import Epochs
from hygie.vault.erase import Eraser
from hygie.vault.ledger import ledger_keys
from hygie.vault.model import NewObject, Query, WriteRequest
from hygie.vault.rebuild import Rebuilder, RebuildReport

NUMBERS = iter(range(1000, 10**6))


class SlowSites:
    """The house's sites, where a pack waits until it may go: its writer holds its locks."""

    def __init__(self, house: Any) -> None:
        self._sites = house.sites
        self.reached, self.go = asyncio.Event(), asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sites, name)

    async def place(self, name: str, data: bytes) -> Any:
        self.reached.set()
        await self.go.wait()
        return await self._sites.place(name, data)


def patient(id_: str, name: str, **more: Any) -> NewObject:
    body = json.dumps({"resourceType": "Patient", "id": id_, "name": name}).encode()
    return NewObject("Patient", id_, body, [f"Patient|name|{name}", "Patient|all"], (id_,), **more)


def observation(id_: str, of: Sequence[str], code: str, **more: Any) -> NewObject:
    body = json.dumps({"resourceType": "Observation", "id": id_, "code": code}).encode()
    terms = [f"Observation|code|{code}", *(f"Observation|patient|{one}" for one in of), "Observation|all"]
    return NewObject("Observation", id_, body, terms, tuple(of), **more)


async def write(house: Any, *objects: NewObject) -> list[int]:
    """Versions written, in one request."""
    return [one.version for one in await house.vault.write(house.writing(), WriteRequest(list(objects)))]


async def read(house: Any, type_: str, id_: str, version: int | None = None) -> str:
    """The body as text, or the code of the error."""
    permit = house.permit(Action.OBJECT_READ)
    try:
        if version is None:
            return (await house.vault.read(permit, type_, id_)).body.decode()
        return (await house.vault.read_version(permit, type_, id_, version)).body.decode()
    except HygieError as error:
        return error.code


async def search(house: Any, type_: str, *terms: str) -> list[str]:
    """Ids found."""
    page = await house.vault.search(house.permit(Action.OBJECT_SEARCH), Query((type_,), [[t] for t in terms]))
    return sorted(item.id for item in page.items)


async def history(house: Any, type_: str, id_: str) -> list[int]:
    page = await house.vault.history(house.permit(Action.OBJECT_HISTORY), type_, id_, count=50)
    return [item.version for item in page.items]


async def new_context(house: Any, place: Place | None = None) -> Any:
    """A context with a cache of its own: as another process holds it."""
    return await load_context(place or house.place, house.kms, CompartmentKeys(house.kms), house.sites)


@asynccontextmanager
async def eraser(house: Any, *, copies_ms: int = 0) -> AsyncIterator[Eraser]:
    """An eraser on a registered environment."""
    platform = Database(house.dsns.owner, size=1)
    await platform.open()
    try:
        async with platform.transaction() as connection:
            await connection.execute(
                "INSERT INTO hygie.tenant VALUES (%s, 't', 't', 0) ON CONFLICT DO NOTHING", (house.place.tenant_id,)
            )
            await connection.execute(
                "INSERT INTO hygie.environment (id, tenant, name, kind, role, created_ms)"
                " VALUES (%s, %s, 'e', 'test', %s, 0) ON CONFLICT DO NOTHING",
                (house.place.environment_id, house.place.tenant_id, house.place.role),
            )
        yield Eraser(
            await new_context(house),
            database=house.database,
            platform=platform,
            owner_dsn=house.dsns.owner,
            kms=house.kms,
            journal=house.journal,
            clock=house.clock,
            copies_ms=copies_ms,
        )
    finally:
        await platform.close()


async def erase(house: Any, patient_id: str, *, purge: bool = False) -> ErasureCertificate:
    """Erase one patient on an instruction."""
    async with eraser(house) as acts:
        target = await acts.find(patient_id)
        now_ms = house.clock.now_ms()
        instruction = instruct(
            erasure_id=secrets.token_hex(8),
            tenant_id=house.place.tenant_id.hex(),
            environment_id=house.place.environment_id.hex(),
            compartment_id=target.compartment.hex(),
            controller="CHU",
            instructed_by="dpo",
            legal_basis="rgpd-17-1-b",
            reference="2026-1",
            retention_checked_by="chief",
            retention_note="none",
            instructed_at_ms=now_ms,
            decided_at_ms=now_ms,
            intent_permit=secrets.token_hex(16),
        )
        data = await acts.erase(house.permit(Action.PATIENT_ERASE), instruction, target)
        certificate = verify_certificate(data, public_keys=[await house.kms.public_key("erasure")])
        return await acts.purge(certificate) if purge else certificate


async def epochs(house: Any) -> Epochs:
    return Epochs(await new_context(house), database=house.database, kms=house.kms, clock=house.clock)


async def turn(house: Any) -> list[int]:
    """A whole epoch change: new epoch, everything wrapped anew, ledger, older keys destroyed."""
    acts = await epochs(house)
    await acts.advance()
    await acts.publish_ledger()
    destroyed = await acts.destroy_older()
    await house.sites.drain(10)
    return destroyed


async def rebuild(house: Any, site: str, **how: Any) -> tuple[Any, RebuildReport]:
    """The same environment rebuilt from one site into a schema of its own: a house that reads it, and the report."""
    await house.sites.drain(10)
    place = Place(house.place.tenant_id, house.place.environment_id, f"hygie_env_{next(NUMBERS)}")
    await create_environment_schema(house.dsns.owner, place.role)
    rebuilder = Rebuilder(
        await new_context(house, place),
        database=house.database,
        owner_dsn=house.dsns.owner,
        site=house.sites.link(site).site,
        keys=await ledger_keys(place, house.kms),
        permit_id=secrets.token_bytes(16),
        clock=house.clock,
    )
    report = await rebuilder.run(published=how.pop("published", await published(house)), **how)
    return dataclasses.replace(house, place=place, vault=house.new_vault()), report


async def published(house: Any) -> dict[int, str]:
    """What a journal that is up to date names: every committed pack."""
    async with house.database.transaction(house.place.role) as connection:
        rows = await (await connection.execute("SELECT number, sha256 FROM pack")).fetchall()
    return {number: digest.hex() for number, digest in rows}


async def state(house: Any, known: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """All that a caller can see: bodies, versions, histories, searches of the ids and terms given."""
    seen: dict[str, Any] = {}
    for type_, ids in known.items():
        for id_ in ids:
            seen[f"{type_}/{id_}"] = await read(house, type_, id_), await history(house, type_, id_)
        for term in (f"{type_}|all", "Patient|name|b", "Observation|code|c1", "Observation|patient|p1"):
            seen[f"{type_}?{term}"] = await search(house, type_, term)
    return seen


def rows(house: Any, query: str) -> list[Any]:
    """Raw rows of the environment's schema."""
    with psycopg.connect(house.dsns.owner, options=f"-c search_path={house.place.role}") as connection:
        return connection.execute(query.encode()).fetchall()


def lose(house: Any, site: str) -> None:
    """Take a site's content away."""
    shutil.rmtree(house.folders / site)


def run(main: Any) -> None:
    asyncio.run(main())
