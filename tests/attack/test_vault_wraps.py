"""After an erasure and an epoch change, somebody takes every file and every living key: nothing of the patient opens.

The attacker holds the data folder and the process of the keys as it is now: he tries, at every byte of every file,
whether a wrap of the erased compartment stands there that any key still held opens; then every wrap that pack tables
and ledgers carry.  The same search must find the wraps of a living patient, else it proves nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from cryptography.exceptions import InvalidTag

from hygie.base.actions import Action
from hygie.base.errors import HygieError, UnavailableError
from hygie.keys.hierarchy import NONCE_BYTES, WRAP_BYTES, Environment
from hygie.vault.compartments import CompartmentRow
from hygie.vault.ledger import Verdicts, ledger_keys, ledger_prefix
from hygie.vault.rebuild_packs import PackFinder
from tests.unit.vault.lifecycle_stage import (
    erase,
    eraser,
    new_context,
    observation,
    patient,
    read,
    rebuild,
    rows,
    run,
    turn,
    write,
)

PREFIX_BYTES = 1 + NONCE_BYTES
SCANNED_BYTES_MAX = 400 * 1024 * 1024


def environment_keys(house) -> Environment:
    """All that the KMS holds of the environment, in memory."""
    kms = house.kms._kms
    return kms._open().environment(house.place.tenant_id, house.place.environment_id)


def opens(keys: Environment, compartment: bytes, wrap: bytes) -> bool:
    """Whether any living epoch key opens these bytes as a wrap of this compartment."""
    for epoch in keys.body.epochs:
        aad = keys._prefix(epoch.epoch) + len(compartment).to_bytes(4, "big") + compartment
        try:
            keys._cipher(epoch).decrypt(wrap[1:PREFIX_BYTES], wrap[PREFIX_BYTES:], aad)
        except InvalidTag:
            continue
        return True
    return False


def candidates(data: bytes) -> Iterator[int]:
    """Where a wrap may begin: its version byte, and bytes that are not all the same."""
    at = data.find(b"\1")
    while 0 <= at <= len(data) - WRAP_BYTES:
        if len(set(data[at + 1 : at + WRAP_BYTES])) > 30:  # 60 random bytes hold some 54 different values
            yield at
        at = data.find(b"\1", at + 1)


def files_of(house, postgres) -> list[Path]:
    """Every file of the database (tables, write-ahead log), of the sites and of the keys, with all that was written."""
    with psycopg.connect(postgres.dsn("postgres", "postgres"), autocommit=True) as admin:
        admin.execute("CHECKPOINT")
    with psycopg.connect(house.dsns.owner) as connection:
        ((database,),) = connection.execute("SELECT oid FROM pg_database WHERE datname = current_database()").fetchall()
    cluster = postgres._cluster
    roots = [cluster / "base" / str(database), cluster / "pg_wal", house.folders, house.folders.parent / "kms"]
    # pg_internal.init holds no row of ours, and PostgreSQL removes it at any moment
    wanted = (path for root in roots for path in sorted(root.rglob("*")) if path.name != "pg_internal.init")
    found = [path for path in wanted if path.is_file()]
    assert sum(path.stat().st_size for path in found) < SCANNED_BYTES_MAX
    return found


def places_that_open(house, postgres, compartment: bytes) -> set[str]:
    """Folders in which a wrap of this compartment stands that a living key opens."""
    keys = environment_keys(house)
    found = set()
    for path in files_of(house, postgres):
        data = path.read_bytes()
        for at in candidates(data):
            if opens(keys, compartment, data[at : at + WRAP_BYTES]):
                found.add(path.parent.name)
                break
    return found


async def compartment_of(house, patient_id: str) -> bytes:
    async with eraser(house) as acts:
        return (await acts.find(patient_id)).compartment


def test_no_copy_of_an_erased_wrap_opens_once_the_epoch_has_ended(open_house, postgres) -> None:
    async def main() -> None:
        async with open_house() as house:
            await write(house, patient("p1", "a"), patient("p2", "b"))
            erased, living = await compartment_of(house, "p1"), await compartment_of(house, "p2")
            await erase(house, "p1", purge=True)
            # the search works: stale copies of the erased wrap are there, and still open in this epoch
            assert "pg_wal" in places_that_open(house, postgres, erased)
            await turn(house)
            assert places_that_open(house, postgres, erased) == set()
            assert places_that_open(house, postgres, living)
            assert "p2" in await read(house, "Patient", "p2")

    run(main)


def test_no_wrap_of_packs_and_ledgers_opens_an_erased_patient(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            await write(house, patient("p1", "a"), patient("p2", "b"))
            erased, living = await compartment_of(house, "p1"), await compartment_of(house, "p2")
            old_ledgers = {}
            for _ in range(2):
                await turn(house)
                for path in house.folders.rglob("ledger/*/*"):
                    old_ledgers[path.name] = path.read_bytes()
            await erase(house, "p1")
            await turn(house)
            place, context = house.place, await new_context(house)
            # an attacker puts every ledger he ever saw back on a site, beside the packs, without the tombstones
            site = house.sites.link("lyon").site
            folder = house.folders / "lyon" / ledger_prefix(place.environment_id)
            for name, data in old_ledgers.items():
                (folder / name).write_bytes(data)
            for path in (house.folders / "lyon").rglob("erased/*/*"):
                path.unlink()
            keys = await ledger_keys(place, house.kms)
            verdicts = Verdicts(site, place, keys, erased=())
            finder = PackFinder(site, context, {})
            claims = finder.decide(finder.sizes(), verdicts)
            survivors = verdicts.sort(claims.carried, claims.owners)
            assert [one.compartment for one in survivors.live] == [living]
            assert [one.compartment for one in survivors.lost] == [erased]
            for _, one in claims.carried:
                assert not opens(environment_keys(house), one.compartment, one.wrap)
            (live,) = survivors.live
            assert opens(environment_keys(house), living, live.wrap)

    run(main)


def test_the_key_process_refuses_what_the_catalogue_remembers(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            await write(house, patient("p1", "a"))
            ((compartment, epoch, wrap),) = rows(house, "SELECT id, epoch, wrap FROM compartment")
            await erase(house, "p1")
            item = [(compartment, epoch, wrap)]
            ids = house.place.tenant_id, house.place.environment_id
            assert len(await house.kms.unwrap(*ids, item, permit_id=bytes(16), reason="test")) == 1
            await turn(house)
            for tried in (epoch, epoch + 1):
                with pytest.raises(HygieError, match=r"HYG-[35]"):
                    await house.kms.unwrap(*ids, [(compartment, tried, wrap)], permit_id=bytes(16), reason="test")

    run(main)


def test_an_epoch_that_ends_between_the_catalogue_and_the_keys_is_tried_again(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            await write(house, patient("p1", "a"))
            context = await new_context(house)
            ((compartment, epoch, wrap),) = rows(house, "SELECT id, epoch, wrap FROM compartment")
            await turn(house)
            with pytest.raises(UnavailableError) as stale:
                await context.compartments.keys(
                    [CompartmentRow(compartment, b"", epoch, wrap)], permit_id=bytes(16), reason="test"
                )
            assert stale.value.retryable
            assert "p1" in await read(house, "Patient", "p1")

    run(main)


def test_writers_that_create_patients_while_epochs_end_lose_nothing(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            stop = asyncio.Event()
            kept: list[str] = []
            refused: list[str] = []

            async def writer(name: str) -> None:
                number = 0
                while not stop.is_set():
                    number += 1
                    id_ = f"{name}-{number}"
                    try:
                        await write(house, patient(id_, id_), observation(f"o-{id_}", [id_], "c1", new=True))
                    except UnavailableError as error:
                        refused.append(error.code)  # told to come back: allowed, as long as it is rare
                        continue
                    kept.append(id_)

            async def reader() -> None:
                """Another process: it holds no key yet, so each reads what the catalogue said a moment ago."""
                while not stop.is_set():
                    vault = house.new_vault()
                    for id_ in kept[-5:]:
                        try:
                            await vault.read(house.permit(Action.OBJECT_READ), "Patient", id_)
                        except UnavailableError as error:
                            refused.append(error.code)
                    await asyncio.sleep(0)

            async def turner() -> None:
                for _ in range(6):
                    await asyncio.sleep(0.15)
                    assert await turn(house)
                stop.set()

            await asyncio.gather(turner(), reader(), reader(), *(writer(name) for name in "abcd"))
            assert len(kept) > 20 > len(refused)
            reads = await asyncio.gather(*(read(house, "Patient", id_) for id_ in kept))
            assert [text for text in reads if text.startswith("HYG")] == []
            assert len(rows(house, "SELECT DISTINCT epoch FROM compartment")) <= 2
            again, report = await rebuild(house, "lille")
            assert report.missing == report.damaged == []
            reads = await asyncio.gather(*(read(again, "Patient", id_) for id_ in kept))
            assert [text for text in reads if text.startswith("HYG")] == []

    run(main)
