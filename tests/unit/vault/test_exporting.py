"""Everything of an environment through the vault's door: whole, bounded, journaled, for the right permit only."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from hygie.base.actions import Action
from hygie.base.errors import RefusedError
from hygie.vault import exporting
from hygie.vault.exporting import ExportedVersion
from hygie.vault.model import NewObject, WriteRequest
from tests.unit.vault.conftest import House
from tests.unit.vault.test_vault import observation, patient

EXPORT = Action.OBJECT_EXPORT


async def walked(house: House) -> list[ExportedVersion]:
    permit = house.permit(EXPORT)
    bound = await house.vault.export_bound(permit)
    return [one async for batch in house.vault.export(permit, bound) for one in batch]


async def fill(house: House, patients: int) -> None:
    for number in range(patients):
        objects = [patient(f"p{number}", "Zoé"), observation(f"o{number}", f"p{number}", "1")]
        await house.vault.write(house.writing(), WriteRequest(objects))


def waiting(house: House) -> int:
    """Entries that are durable and wait for their index."""
    with psycopg.connect(house.dsns.owner) as connection:
        row = connection.execute("SELECT count(*) FROM hygie.journal_pending").fetchone()
    assert row is not None
    return int(row[0])


def told(found: list[ExportedVersion]) -> list[tuple[str, str, int, bool, bool]]:
    """(type, id, version, current, deleted) of each."""
    return sorted((s.type, s.id, s.version, one.current, s.deleted) for one in found if (s := one.stored) is not None)


@pytest.mark.parametrize("rows", [1, 2, 512])
def test_every_version_once_whatever_the_batch(open_house, monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr(exporting, "BATCH_ROWS", rows)

    async def main() -> None:
        async with open_house() as house:
            await fill(house, 3)
            await house.vault.write(house.writing(), WriteRequest([patient("p1", "again")]))
            gone = NewObject("Patient", "p2", b"", [], ("p2",), delete=True)
            await house.vault.write(house.writing(), WriteRequest([gone]))
            assert told(await walked(house)) == [
                *(("Observation", f"o{n}", 1, True, False) for n in range(3)),
                ("Patient", "p0", 1, True, False),
                ("Patient", "p1", 1, False, False),
                ("Patient", "p1", 2, True, False),
                ("Patient", "p2", 1, False, False),
                ("Patient", "p2", 2, True, True),
            ]

    asyncio.run(main())


def test_what_is_written_meanwhile_is_not_in_it_and_changes_nothing_of_it(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            await fill(house, 2)
            permit = house.permit(EXPORT)
            bound = await house.vault.export_bound(permit)
            await house.vault.write(house.writing(), WriteRequest([patient("p0", "later"), patient("p9", "new")]))
            found = [one async for batch in house.vault.export(permit, bound) for one in batch]
            assert ("Patient", "p0", 1, True, False) in told(found)
            assert {id_ for _, id_, _, _, _ in told(found)} == {"p0", "p1", "o0", "o1"}
            assert len(found) == bound.versions == 4

    asyncio.run(main())


def test_another_permit_opens_nothing(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            await fill(house, 1)
            bound = await house.vault.export_bound(house.permit(EXPORT))
            reader = house.permit(Action.OBJECT_READ, Action.OBJECT_HISTORY, Action.OBJECT_SEARCH)
            with pytest.raises(RefusedError):
                await house.vault.export_bound(reader)
            with pytest.raises(RefusedError):
                await anext(house.vault.export(reader, bound))

    asyncio.run(main())


def test_each_patient_has_his_entry_before_anything_is_given(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            await fill(house, 3)
            before = waiting(house)
            permit = house.permit(EXPORT)
            bound = await house.vault.export_bound(permit)
            await anext(house.vault.export(permit, bound))
            assert waiting(house) - before == 3

    asyncio.run(main())


def test_a_damaged_version_is_lost_alone(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            await fill(house, 3)
            name = sorted(path.name for path in (house.folders / "paris").rglob("*.pack"))[1]
            for path in house.folders.rglob(name):
                path.chmod(0o600)
                path.write_bytes(path.read_bytes()[:100] + bytes(path.stat().st_size - 100))
            found = [one async for batch in _fresh(house) for one in batch]
            assert len(found) == 6
            assert {s.id for one in found if (s := one.stored)} == {"p0", "o0", "p2", "o2"}
            assert not any(one.erased for one in found)

    asyncio.run(main())


async def _fresh(house: House):
    permit = house.permit(EXPORT)
    vault = house.new_vault()
    async for batch in vault.export(permit, await vault.export_bound(permit)):
        yield batch
    await vault.close()
