"""Whoever holds a site alters its packs: what opens is what was written, by whom, for whom, or nothing."""

from __future__ import annotations

import hashlib

import psycopg
import pytest

from hygie.base.permit import Place
from hygie.base.seal import SealBrokenError, open_sealed
from hygie.vault.pack import FOOTER, PackTable, build_pack, check_pack, pack_name, read_front, read_table
from hygie.vault.payload import object_meaning
from tests.unit.vault.lifecycle_stage import new_context, observation, patient, read, rebuild, rows, run, write

SITES = ("paris", "lyon", "lille")


def pack_path(house, number: int, site: str):
    return house.folders / site / pack_name(house.place.environment_id, number)


def located(house, number: int) -> list[tuple[int, int]]:
    """(start, length) of a pack's objects, in order."""
    return rows(house, f"SELECT start, length FROM object WHERE seq >> 20 = {number} ORDER BY seq")


def with_sum(data: bytes) -> bytes:
    """The same pack with its own unkeyed digest put right, as a forger would."""
    front = data[: -FOOTER.size]
    start, length, _, end = FOOTER.unpack(data[-FOOTER.size :])
    return front + FOOTER.pack(start, length, hashlib.sha256(front).digest(), end)


def spoil(house, number: int, change) -> None:
    """Alter a pack on every site."""
    for site in SITES:
        path = pack_path(house, number, site)
        path.write_bytes(change(path.read_bytes()))


async def two_patients(house) -> None:
    """Bodies of one length, so that their sealed bytes can take each other's place."""
    await write(house, patient("p1", "aaaa"), patient("p2", "bbbb"))
    await house.sites.drain(10)


def swap_objects(house, number: int):
    (a, size_a), (b, size_b) = located(house, number)
    assert size_a == size_b

    def change(data: bytes) -> bytes:
        changed = bytearray(data)
        changed[a : a + size_a], changed[b : b + size_b] = data[b : b + size_b], data[a : a + size_a]
        return with_sum(bytes(changed))

    return change


def test_a_sealed_object_in_another_patients_place_does_not_open(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            await two_patients(house)
            spoil(house, 1, swap_objects(house, 1))
            check_pack(pack_path(house, 1, "paris").read_bytes(), house.place, number=1)  # the forger was careful
            assert await read(house, "Patient", "p1") == "HYG-551"
            assert await read(house, "Patient", "p2") == "HYG-551"

    run(main)


def test_a_damaged_copy_is_passed_over_for_another_sites(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            await two_patients(house)
            change = swap_objects(house, 1)
            for site in ("paris", "lyon"):
                path = pack_path(house, 1, site)
                path.write_bytes(change(path.read_bytes()))
            assert "aaaa" in await read(house, "Patient", "p1")
            assert "bbbb" in await read(house, "Patient", "p2")

    run(main)


@pytest.mark.parametrize("columns", ["start, length", "start, length, compartment"])
def test_a_catalogue_that_points_at_another_patients_object_opens_nothing(open_house, columns: str) -> None:
    async def main() -> None:
        async with open_house() as house:
            await two_patients(house)
            one, other = rows(house, "SELECT id FROM object ORDER BY start")
            names = [f"{name.strip()} = o.{name.strip()}" for name in columns.split(",")]
            with psycopg.connect(house.dsns.owner, options=f"-c search_path={house.place.role}") as forger:
                forger.execute(
                    f"UPDATE object t SET {', '.join(names)} FROM object o WHERE t.id = %s AND o.id = %s",
                    (one[0], other[0]),
                )
            assert await read(house, "Patient", "p1") == "HYG-551"
            assert "bbbb" in await read(house, "Patient", "p2")

    run(main)


def test_an_older_version_in_the_place_of_the_newest_does_not_open(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            await write(house, patient("p1", "aaaa"))
            await write(house, patient("p1", "bbbb"))
            await house.sites.drain(10)
            ((start, length),) = located(house, 1)
            assert located(house, 2) == [(start, length)]
            old = pack_path(house, 1, "paris").read_bytes()[start : start + length]
            spoil(house, 2, lambda data: with_sum(data[:start] + old + data[start + length :]))
            assert await read(house, "Patient", "p1") == "HYG-551"
            assert "aaaa" in await read(house, "Patient", "p1", 1)

    run(main)


def test_an_object_of_another_environment_does_not_open(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            await two_patients(house)
            context = await new_context(house)
            neighbour = Place(house.place.tenant_id, bytes(15) + b"\1", "hygie_env_9")
            await house.kms.create_environment(neighbour.tenant_id, neighbour.environment_id)
            ((compartment, epoch, wrap),) = rows(
                house,
                "SELECT c.id, epoch, wrap FROM compartment c JOIN object o ON o.compartment = c.id"
                " ORDER BY o.seq LIMIT 1",
            )
            ((object_id,),) = rows(house, "SELECT id FROM object ORDER BY seq LIMIT 1")
            (key,) = await house.kms.unwrap(
                house.place.tenant_id,
                house.place.environment_id,
                [(compartment, epoch, wrap)],
                permit_id=bytes(16),
                reason="test",
            )
            (start, length), _ = located(house, 1)
            box = pack_path(house, 1, "paris").read_bytes()[start : start + length]
            own = object_meaning(house.place.tenant_id, house.place.environment_id, compartment, object_id, 1)
            assert b"aaaa" in open_sealed(box, key=key, meaning=own, bytes_max=10_000)
            for meaning in (
                object_meaning(neighbour.tenant_id, neighbour.environment_id, compartment, object_id, 1),
                object_meaning(bytes(16), house.place.environment_id, compartment, object_id, 1),
                object_meaning(house.place.tenant_id, house.place.environment_id, bytes(16), object_id, 1),
                object_meaning(house.place.tenant_id, house.place.environment_id, compartment, bytes(16), 1),
                object_meaning(house.place.tenant_id, house.place.environment_id, compartment, object_id, 2),
            ):
                with pytest.raises(SealBrokenError):
                    open_sealed(box, key=key, meaning=meaning, bytes_max=10_000)
            assert context.pack_key != (await new_context(house, neighbour)).pack_key

    run(main)


def test_packs_swapped_on_a_site_serve_nothing_wrong_and_rebuild_nothing_wrong(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            await write(house, patient("p1", "aaaa"))
            await write(house, patient("p2", "bbbb"))
            await house.sites.drain(10)
            first, second = pack_path(house, 1, "paris"), pack_path(house, 2, "paris")
            one, other = first.read_bytes(), second.read_bytes()
            assert len(one) == len(other)
            first.write_bytes(other)
            second.write_bytes(one)
            assert "aaaa" in await read(house, "Patient", "p1")
            assert "bbbb" in await read(house, "Patient", "p2")
            again, report = await rebuild(house, "paris")
            assert len(report.damaged) == 2
            assert await read(again, "Patient", "p1") == "HYG-300"

    run(main)


def test_a_truncated_pack_is_served_from_another_site(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            await two_patients(house)
            for site, kept in (("paris", 0), ("lyon", 90)):
                path = pack_path(house, 1, site)
                path.write_bytes(path.read_bytes()[:kept])
            assert "aaaa" in await read(house, "Patient", "p1")
            assert "bbbb" in await read(house, "Patient", "p2")

    run(main)


def test_every_flipped_byte_of_a_pack_is_seen(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            await write(house, patient("p1", "aaaa"), observation("o1", ["p1"], "c1"))
            await house.sites.drain(10)
            data = pack_path(house, 1, "paris").read_bytes()
            context = await new_context(house)
            check_pack(data, house.place, number=1)
            for at in range(len(data)):
                flipped = bytearray(data)
                flipped[at] ^= 1
                with pytest.raises(Exception, match="HYG-5"):
                    check_pack(bytes(flipped), house.place, number=1)
            start, length = read_front(data[-FOOTER.size :], len(data))
            for at in range(start, start + length):
                flipped = bytearray(data)
                flipped[at] ^= 1
                with pytest.raises(SealBrokenError):
                    read_table(bytes(flipped[start : start + length]), house.place, number=1, pack_key=context.pack_key)

    run(main)


def test_a_pack_made_without_the_environments_key_is_no_pack(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            await write(house, patient("p1", "aaaa"))
            await house.sites.drain(10)
            forged, _ = build_pack(house.place, PackTable(2, 0, [], []), [], pack_key=bytes(32))
            moved = pack_path(house, 1, "lille").read_bytes()
            (house.folders / "lille" / pack_name(house.place.environment_id, 2)).write_bytes(forged)
            (house.folders / "lille" / pack_name(house.place.environment_id, 3)).write_bytes(moved)
            again, report = await rebuild(house, "lille")
            assert len(report.damaged) == 2
            assert "aaaa" in await read(again, "Patient", "p1")

    run(main)
