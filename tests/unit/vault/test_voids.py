"""What a write that never counted left on the sites is set aside, never deleted, and never too early."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hygie.sites.catch_up import CatchUpReport, catch_up
from hygie.vault.blobs import chunk_name
from hygie.vault.holdings import holdings
from hygie.vault.pack import pack_name
from hygie.vault.voids import CHUNK_VOID_AFTER_MS, PACK_VOID_AFTER_MS, VoidWatch
from tests.unit.vault.lifecycle_stage import patient, read, rows, run, write

BYTES = b"left by a write that never counted"


@dataclass
class HandClock:
    """A clock that a test turns."""

    at_ms: int = 1_000_000

    def now_ms(self) -> int:
        return self.at_ms


async def turn(house: Any, watch: VoidWatch) -> CatchUpReport:
    """One comparison, as the working process makes it."""
    void = await watch.void(house.database, [house.place])
    report = await catch_up(
        house.sites, holdings(house.database, house.place), prefixes=("packs/", "blobs/"), void=void
    )
    watch.note({name for one in report.sites.values() for name in one.extra})
    return report


async def waste_number(house: Any) -> int:
    """A number that a write drew and never committed, below one that was."""
    number: int = rows(house, "SELECT nextval('pack_number')")[0][0]
    await write(house, patient("after", "x"))
    return number


def test_a_void_pack_is_set_aside_after_ten_minutes_and_its_bytes_stay(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            await write(house, patient("p1", "a"))
            name = pack_name(house.place.environment_id, await waste_number(house))
            await house.sites.place(name, BYTES)
            await house.sites.drain(10)
            clock = HandClock()
            watch = VoidWatch(clock)
            assert (await turn(house, watch)).quarantined == []
            clock.at_ms += PACK_VOID_AFTER_MS - 1
            assert (await turn(house, watch)).quarantined == []
            clock.at_ms += 1
            assert sorted((await turn(house, watch)).quarantined) == [(s, name) for s in sorted(house.sites.names)]
            for site in house.sites.names:
                kept = list(house.folders.joinpath(site).rglob("quarantine/**/*.pack.*"))
                assert [path.read_bytes() for path in kept] == [BYTES]
            assert (await turn(house, watch)).quarantined == []
            assert "p1" in await read(house, "Patient", "p1")

    run(main)


def test_a_pack_committed_meanwhile_or_gone_from_one_run_is_not_void(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            await write(house, patient("p1", "a"))
            number = await waste_number(house)
            name = pack_name(house.place.environment_id, number)
            clock = HandClock()
            watch = VoidWatch(clock)
            watch.note([name])
            clock.at_ms += PACK_VOID_AFTER_MS
            assert await watch.void(house.database, [house.place]) == {name}
            watch.note([])
            watch.note([name])
            assert await watch.void(house.database, [house.place]) == set()
            clock.at_ms += PACK_VOID_AFTER_MS
            async with house.database.transaction(house.place.role) as connection:
                await connection.execute("INSERT INTO pack VALUES (%s, %s, 1, 1, 0)", (number, b"x" * 32))
            assert await watch.void(house.database, [house.place]) == set()

    run(main)


def test_a_catalogue_that_was_lost_makes_nothing_void(open_house) -> None:
    """Packs above the highest committed number, or of another environment, are left alone however long."""

    async def main() -> None:
        async with open_house() as house:
            clock = HandClock()
            watch = VoidWatch(clock)
            mine = [pack_name(house.place.environment_id, 1), chunk_name(house.place.environment_id, b"b" * 16, 0)]
            watch.note([*mine, pack_name(b"o" * 16, 1), "erased/x/y", "packs/odd"])
            clock.at_ms += 10 * CHUNK_VOID_AFTER_MS
            assert await watch.void(house.database, [house.place]) == set()
            await write(house, patient("p1", "a"))
            assert await watch.void(house.database, [house.place]) == {mine[1]}

    run(main)


def test_a_chunk_waits_a_day_and_a_known_one_is_never_void(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:

            async def chunks():
                yield b"x" * 100_000

            await house.vault.write_stream(
                house.writing(), "Binary", "b1", chunks(), header=b"{}", patients=("p1",), new=True
            )
            left = chunk_name(house.place.environment_id, b"l" * 16, 0)
            known = chunk_name(house.place.environment_id, bytes(rows(house, "SELECT blob FROM blob_chunk")[0][0]), 0)
            clock = HandClock()
            watch = VoidWatch(clock)
            watch.note([left, known])
            clock.at_ms += CHUNK_VOID_AFTER_MS - 1
            assert await watch.void(house.database, [house.place]) == set()
            clock.at_ms += 1
            assert await watch.void(house.database, [house.place]) == {left}

    run(main)
