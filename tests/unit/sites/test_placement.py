"""Quorum, nearness, health and lag of a set of real folders."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from hygie.sites.errors import (
    ObjectAbsentError,
    ObjectDamagedError,
    ObjectExistsError,
    ObjectNameError,
    SiteQuorumError,
    SiteSettingsError,
    SiteUnavailableError,
)
from hygie.sites.placement import SiteSet
from tests.unit.sites.stage import QUICK, fill, site_set, stage

NAME = "packs/e1/000000000001.pack"


def test_an_object_is_placed_on_every_site(tmp_path: Path) -> None:
    async def main() -> None:
        sites = stage(tmp_path)
        together = site_set(sites)
        placement = await together.place(NAME, b"one")
        assert len(placement.done) >= 2
        assert await together.drain(5)
        assert [staged.inner.get(NAME) for staged in sites.values()] == [b"one"] * 3
        assert all(lag.objects == 0 for lag in together.lag().values())
        await together.close()

    asyncio.run(main())


def test_a_hung_site_delays_neither_quorum_nor_reads_and_is_tracked(tmp_path: Path) -> None:
    async def main() -> None:
        sites = stage(tmp_path)
        together = site_set(sites)
        sites["paris"].hold()
        start = time.monotonic()
        placement = await together.place(NAME, b"one")
        assert time.monotonic() - start < QUICK.write_timeout_s
        assert sorted(placement.done) == ["lille", "lyon"]
        assert placement.pending == ["paris"]
        assert together.lag()["paris"].objects == 1
        start = time.monotonic()
        assert await together.read(NAME) == b"one"
        assert time.monotonic() - start < QUICK.read_timeout_s
        sites["paris"].release()
        assert await together.drain(5)
        assert sites["paris"].inner.get(NAME) == b"one"
        assert together.lag()["paris"].objects == 0
        await together.close()

    asyncio.run(main())


def test_bytes_in_flight_to_a_hung_site_are_bounded_and_the_rest_is_known_as_behind(tmp_path: Path) -> None:
    async def main() -> None:
        sites = stage(tmp_path)
        together = site_set(sites)
        sites["lyon"].hold()
        for number in range(10):
            await together.place(f"packs/e1/{number}", bytes(300))
        health = together.health()["lyon"]
        assert health.in_flight_bytes <= QUICK.in_flight_bytes_max
        lag = together.lag()["lyon"]
        assert (lag.objects, lag.bytes) == (10, 3000)
        assert lag.oldest_s > 0
        sites["lyon"].release()
        await together.drain(5)
        assert 0 < together.lag()["lyon"].objects < 10
        assert len(list(sites["lyon"].inner.list("packs/"))) == 10 - together.lag()["lyon"].objects
        await together.close()

    asyncio.run(main())


def test_without_a_quorum_the_outcome_is_unknown_in_bounded_time(tmp_path: Path) -> None:
    async def main() -> None:
        sites = stage(tmp_path)
        together = site_set(sites)
        sites["lyon"].hold()
        sites["lille"].fail_reason = "full"
        start = time.monotonic()
        with pytest.raises(SiteQuorumError) as caught:
            await together.place(NAME, b"one")
        assert QUICK.write_timeout_s <= time.monotonic() - start < QUICK.write_timeout_s + 5
        assert caught.value.facts == {"done": 1, "quorum": 2}
        sites["lyon"].release()
        await together.close()

    asyncio.run(main())


def test_two_failed_sites_are_told_at_once_not_after_the_timeout(tmp_path: Path) -> None:
    async def main() -> None:
        sites = stage(tmp_path)
        together = site_set(sites)
        sites["lyon"].fail_reason = sites["lille"].fail_reason = "read-only"
        start = time.monotonic()
        with pytest.raises(SiteQuorumError):
            await together.place(NAME, b"one")
        assert time.monotonic() - start < QUICK.write_timeout_s
        await together.close()

    asyncio.run(main())


def test_other_bytes_under_a_taken_name_are_an_integrity_error(tmp_path: Path) -> None:
    async def main() -> None:
        together = site_set(stage(tmp_path))
        await together.place(NAME, b"one")
        await together.drain(5)
        with pytest.raises(ObjectExistsError):
            await together.place(NAME, b"two")
        assert await together.read(NAME) == b"one"
        await together.close()

    asyncio.run(main())


def test_an_unhealthy_site_rests_is_probed_and_comes_back(tmp_path: Path) -> None:
    async def main() -> None:
        sites = stage(tmp_path)
        together = site_set(sites)
        sites["lille"].fail_reason = "EIO"
        await together.place("packs/e1/1", b"1")
        await together.drain(5)
        assert together.health()["lille"].state == "cooling"
        before = len(sites["lille"].calls)
        placement = await together.place("packs/e1/2", b"2")
        assert placement.failed["lille"] == "behind"
        assert len(sites["lille"].calls) == before, "a resting site was asked"
        sites["lille"].fail_reason = ""
        await asyncio.sleep(QUICK.cool_down_s * 1.5)
        await together.place("packs/e1/3", b"3")  # its probe starts, aside
        async with asyncio.timeout(5):
            while together.health()["lille"].state != "healthy":
                await asyncio.sleep(0.01)
        assert sites["lille"].calls[-1] == "check"
        assert together.health()["lille"].state == "healthy"
        await together.place("packs/e1/4", b"4")
        await together.drain(5)
        assert [name for name, _ in sites["lille"].inner.list("packs/")] == ["packs/e1/4"]
        assert together.lag()["lille"].objects == 3
        await together.close()

    asyncio.run(main())


def test_a_resting_site_is_asked_when_the_quorum_cannot_be_without_it(tmp_path: Path) -> None:
    async def main() -> None:
        sites = stage(tmp_path)
        together = site_set(sites)
        for name in ("lyon", "lille"):
            together.link(name).note_failure(SiteUnavailableError(site=name, reason="EIO"))
        placement = await together.place(NAME, b"one")
        assert len(placement.done) == 2
        sites["paris"].fail_reason = "EIO"
        together.link("lyon").note_failure(SiteUnavailableError(site="lyon", reason="EIO"))
        together.link("lille").note_failure(SiteUnavailableError(site="lille", reason="EIO"))
        placement = await together.place("packs/e1/2", b"two")
        assert sorted(placement.done) == ["lille", "lyon"]
        await together.close()

    asyncio.run(main())


def test_reads_go_to_the_nearest_and_fall_to_the_next(tmp_path: Path) -> None:
    async def main() -> None:
        sites = stage(tmp_path, ["lyon", "paris", "lille"])
        together = site_set(sites)
        assert together.names == ["paris", "lille", "lyon"]
        fill(sites, 1, 100)
        name = "packs/e1/000000000000.pack"
        for staged in sites.values():
            staged.calls.clear()
        assert await together.read(name, 3, 4) == bytes([1]) * 4
        assert {site: staged.calls for site, staged in sites.items()} == {"paris": ["get"], "lille": [], "lyon": []}
        sites["paris"].inner.delete(name)
        assert await together.read(name) == bytes([1]) * 100
        assert sites["lille"].calls == ["get"]
        sites["lille"].fail_reason = "absent"
        assert await together.read(name) == bytes([1]) * 100
        assert sites["lyon"].calls == ["get"]
        sites["lyon"].fail_reason = "absent"
        with pytest.raises(SiteUnavailableError):
            await together.read(name)
        await together.close()

    asyncio.run(main())


def test_absent_everywhere_truncated_everywhere_and_unknown_are_three_answers(tmp_path: Path) -> None:
    async def main() -> None:
        sites = stage(tmp_path)
        together = site_set(sites)
        with pytest.raises(ObjectAbsentError):
            await together.read("packs/e1/none")
        fill(sites, 1, 100)
        name = "packs/e1/000000000000.pack"
        with pytest.raises(ObjectDamagedError):
            await together.read(name, 90, 20)
        sites["lyon"].fail_reason = "absent"
        with pytest.raises(SiteUnavailableError):
            await together.read("packs/e1/none")
        assert await together.read_many([(name, 0, 2)]) == [b"\1\1"]
        with pytest.raises(SiteUnavailableError):
            await together.read_many([(name, 0, 2), ("packs/e1/none", 0, 2)])
        sites["lyon"].fail_reason = ""
        assert await together.read_many([(name, 0, 2), ("packs/e1/none", 0, 2)]) == [b"\1\1", None]
        await together.close()

    asyncio.run(main())


def test_read_many_takes_one_call_and_asks_others_only_for_what_lacks(tmp_path: Path) -> None:
    async def main() -> None:
        sites = stage(tmp_path)
        together = site_set(sites)
        packs = fill(sites, 4, 100)
        names = list(packs)
        for staged in sites.values():
            staged.calls.clear()
        ranges = [(name, 10, 5) for name in names]
        assert await together.read_many(ranges) == [packs[name][10:15] for name in names]
        assert sites["paris"].calls == ["get_many"]
        assert sites["lyon"].calls == sites["lille"].calls == []
        sites["paris"].inner.replace(names[2], b"short")
        assert await together.read_many(ranges) == [packs[name][10:15] for name in names]
        assert sites["lille"].calls == ["get_many"]
        assert await together.read_many([]) == []
        await together.close()

    asyncio.run(main())


def test_a_copy_that_fails_its_check_is_not_the_answer(tmp_path: Path) -> None:
    from hygie.base.seal import SealBrokenError

    def check(data: bytes) -> str:
        if data != b"\1" * 100:
            raise SealBrokenError()
        return "opened"

    async def main() -> None:
        sites = stage(tmp_path)
        together = site_set(sites)
        [name] = fill(sites, 1, 100)
        sites["paris"].inner.replace(name, bytes(100))
        assert await together.read_valid(name, 0, 100, check) == "opened"
        copies = [(site, data == b"\1" * 100) async for site, data in together.copies(name, 0, 100)]
        assert copies == [("paris", False), ("lille", True), ("lyon", True)]
        for staged in sites.values():
            staged.inner.replace(name, bytes(100))
        with pytest.raises(ObjectDamagedError):
            await together.read_valid(name, 0, 100, check)
        assert together.health()["paris"].state == "healthy", "damage of an object is not illness of its site"
        await together.close()

    asyncio.run(main())


def test_replaces_land_in_order_on_a_slow_site(tmp_path: Path) -> None:
    async def main() -> None:
        sites = stage(tmp_path)
        together = site_set(sites)
        sites["lille"].next_call_slow_s = 0.1
        for number in range(5):
            await together.replace("journal/checkpoint", f"{number}".encode())
        await together.drain(5)
        assert sites["lille"].inner.get("journal/checkpoint") == b"4"
        await together.close()

    asyncio.run(main())


def test_placing_costs_the_loop_little(tmp_path: Path) -> None:
    async def main() -> None:
        together = SiteSet([staged.inner for staged in stage(tmp_path).values()], quorum=2, allowed_countries=["FR"])
        data = os.urandom(80_000)
        await together.place("packs/e1/first", data)
        start = time.thread_time()
        for number in range(40):
            await together.place(f"packs/e1/{number}", data)
        assert (time.thread_time() - start) / 40 < 0.002
        await together.close()

    asyncio.run(main())


def test_names_are_checked_before_any_site_is_reached(tmp_path: Path) -> None:
    async def main() -> None:
        sites = stage(tmp_path)
        together = site_set(sites)
        for call in (
            together.place("../a", b""),
            together.replace("/a", b""),
            together.read("a/../b"),
            together.read_many([("A", 0, 1)]),
            together.list("../"),
        ):
            with pytest.raises(ObjectNameError):
                await call
        assert [staged.calls for staged in sites.values()] == [[], [], []]
        await together.close()

    asyncio.run(main())


def test_listing_is_the_union_of_the_sites_that_answer(tmp_path: Path) -> None:
    async def main() -> None:
        sites = stage(tmp_path)
        together = site_set(sites)
        sites["paris"].inner.put("packs/e1/1", b"1")
        sites["lyon"].inner.put("packs/e1/2", b"22")
        sites["lille"].inner.put("packs/e1/1", b"1")
        assert await together.list("packs/") == [("packs/e1/1", 1), ("packs/e1/2", 2)]
        sites["lyon"].fail_reason = "absent"
        assert await together.list("packs/") == [("packs/e1/1", 1)]
        sites["paris"].fail_reason = sites["lille"].fail_reason = "absent"
        with pytest.raises(SiteUnavailableError):
            await together.list("packs/")
        await together.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("names", "quorum", "countries", "reason"),
    [
        (["paris", "lyon"], 3, ["FR"], "quorum 3 of 2 sites"),
        (["paris", "lyon"], 0, ["FR"], "quorum 0 of 2 sites"),
        (["paris", "paris"], 1, ["FR"], "two sites of one name"),
        (["paris", "lyon"], 2, ["DE"], "country FR is not allowed"),
        (["paris", "lyon"], 2, [], "country FR is not allowed"),
    ],
)
def test_a_set_that_may_not_be_is_refused(
    tmp_path: Path, names: list[str], quorum: int, countries: list[str], reason: str
) -> None:
    sites = [stage(tmp_path, [name])[name] for name in names]
    with pytest.raises(SiteSettingsError) as caught:
        SiteSet(sites, quorum=quorum, allowed_countries=countries)
    assert caught.value.facts["reason"] == reason
