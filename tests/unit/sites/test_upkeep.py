"""Scrub and catch-up on real folders."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from hygie.sites.catch_up import catch_up
from hygie.sites.copies import Fault
from hygie.sites.errors import SiteQuorumError
from hygie.sites.scrub import scrub
from tests.unit.sites.stage import expect, fill, site_set, stage


def test_a_clean_set_is_said_clean_and_all_of_it_was_read(tmp_path: Path) -> None:
    async def main() -> None:
        sites = stage(tmp_path)
        together = site_set(sites)
        packs = fill(sites, 5, 5000)
        report = await scrub(together, expect(packs))
        assert report.clean
        assert (report.checked, report.bytes) == (5, 5 * 5000 * 3)
        await together.close()

    asyncio.run(main())


def test_a_missing_copy_is_named_and_mended_and_without_repair_only_named(tmp_path: Path) -> None:
    async def main() -> None:
        sites = stage(tmp_path)
        together = site_set(sites)
        packs = fill(sites)
        gone = list(packs)[2]
        sites["lyon"].inner.delete(gone)
        report = await scrub(together, expect(packs), repair=False)
        assert report.missing == [Fault("lyon", gone, "absent")]
        assert report.mended == []
        report = await scrub(together, expect(packs))
        assert report.mended == [Fault("lyon", gone, "absent")]
        assert sites["lyon"].inner.get(gone) == packs[gone]
        assert (await scrub(together, expect(packs))).clean
        await together.close()

    asyncio.run(main())


def test_an_object_without_an_intact_copy_is_lost_and_nothing_is_overwritten(tmp_path: Path) -> None:
    async def main() -> None:
        sites = stage(tmp_path)
        together = site_set(sites)
        packs = fill(sites, 2)
        name = next(iter(packs))
        for number, staged in enumerate(sites.values()):
            staged.inner.replace(name, b"damaged %d" % number)
        report = await scrub(together, expect(packs))
        assert report.lost == [name]
        assert len(report.damaged) == 3
        assert report.mended == []
        assert sites["lyon"].inner.get(name) == b"damaged 1"
        await together.close()

    asyncio.run(main())


def test_a_site_that_is_away_is_unknown_not_clean_and_not_damaged(tmp_path: Path) -> None:
    async def main() -> None:
        sites = stage(tmp_path)
        together = site_set(sites)
        packs = fill(sites)
        (tmp_path / "lille").rename(tmp_path / "away")
        report = await scrub(together, expect(packs))
        assert report.unreachable == {"lille": 5}
        assert report.damaged == report.missing == []
        assert not report.clean
        await together.close()

    asyncio.run(main())


def test_scrub_keeps_to_its_rate(tmp_path: Path) -> None:
    async def main() -> None:
        sites = stage(tmp_path)
        together = site_set(sites)
        packs = fill(sites, 12, 10_000)
        start = time.monotonic()
        await scrub(together, expect(packs), rate_bytes_per_s=600_000)
        assert time.monotonic() - start > 0.2
        await together.close()

    asyncio.run(main())


def test_catch_up_copies_what_a_site_lacks_and_lag_is_told_before_and_after(tmp_path: Path) -> None:
    async def main() -> None:
        sites = stage(tmp_path)
        together = site_set(sites)
        packs = fill(sites)
        names = list(packs)
        for name in names[:3]:
            sites["lyon"].inner.delete(name)
        measured = await catch_up(together, expect(packs), copy=False)
        assert measured.sites["lyon"].left == names[:3]
        assert (together.lag()["lyon"].objects, together.lag()["lyon"].bytes) == (3, 15_000)
        report = await catch_up(together, expect(packs))
        assert (report.sites["lyon"].copied, report.sites["lyon"].copied_bytes) == (3, 15_000)
        assert report.sites["paris"].copied == 0
        assert together.lag()["lyon"].objects == 0
        assert all(sites["lyon"].inner.get(name) == data for name, data in packs.items())
        await together.close()

    asyncio.run(main())


def test_a_site_away_is_behind_by_what_it_cannot_show(tmp_path: Path) -> None:
    async def main() -> None:
        sites = stage(tmp_path)
        together = site_set(sites)
        packs = fill(sites)
        sites["lille"].fail_reason = "absent"
        report = await catch_up(together, expect(packs))
        assert not report.sites["lille"].reachable
        assert len(report.sites["lille"].left) == 5
        assert together.lag()["lille"].objects == 5
        await together.close()

    asyncio.run(main())


def test_a_write_that_never_counted_is_not_lag_for_ever(tmp_path: Path) -> None:
    async def main() -> None:
        sites = stage(tmp_path)
        together = site_set(sites)
        packs = fill(sites)
        sites["lyon"].fail_reason = sites["lille"].fail_reason = "full"
        with pytest.raises(SiteQuorumError):
            await together.place("packs/e1/unacknowledged", b"1")
        await together.drain(5)
        assert together.lag()["lyon"].objects == 1
        sites["lyon"].fail_reason = sites["lille"].fail_reason = ""
        report = await catch_up(together, expect(packs))
        assert report.sites["paris"].extra == ["packs/e1/unacknowledged"]
        assert together.lag()["lyon"].objects == 0
        await together.close()

    asyncio.run(main())


def test_void_packs_are_moved_aside_never_deleted_and_unknown_ones_only_named(tmp_path: Path) -> None:
    async def main() -> None:
        sites = stage(tmp_path)
        together = site_set(sites)
        packs = fill(sites)
        void, unknown = "packs/e1/000000000099.pack", "packs/e1/000000000100.pack"
        sites["paris"].inner.put(void, b"void")
        sites["lille"].inner.put(void, b"void, otherwise")
        sites["lyon"].inner.put(unknown, b"who knows")
        report = await catch_up(together, expect(packs), void=[void])
        assert sorted(report.quarantined) == [("lille", void), ("paris", void)]
        assert report.sites["lyon"].extra == [unknown]
        assert sites["lyon"].inner.get(unknown) == b"who knows"
        for site, data in (("paris", b"void"), ("lille", b"void, otherwise")):
            [(aside, _)] = sites[site].inner.list("quarantine/")
            assert aside.startswith(f"quarantine/{void}.")
            assert sites[site].inner.get(aside) == data
            assert [name for name, _ in sites[site].inner.list("packs/")] == list(packs)
        with pytest.raises(ValueError, match="only packs and blobs"):
            await catch_up(together, expect(packs), void=["journal/checkpoint"])
        await together.close()

    asyncio.run(main())


def test_catch_up_never_copies_a_damaged_object_of_the_right_size(tmp_path: Path) -> None:
    async def main() -> None:
        sites = stage(tmp_path)
        together = site_set(sites)
        packs = fill(sites, 2)
        name = next(iter(packs))
        sites["paris"].inner.replace(name, bytes(len(packs[name])))
        sites["lyon"].inner.delete(name)
        await catch_up(together, expect(packs))
        assert sites["lyon"].inner.get(name) == packs[name]
        sites["lyon"].inner.delete(name)
        sites["lille"].inner.replace(name, bytes(len(packs[name])))
        report = await catch_up(together, expect(packs))
        assert report.sites["lyon"].left == [name]
        assert [held for held, _ in sites["lyon"].inner.list("packs/")] == list(packs)[1:]
        await together.close()

    asyncio.run(main())


def test_lost_everywhere_is_told(tmp_path: Path) -> None:
    async def main() -> None:
        sites = stage(tmp_path)
        together = site_set(sites)
        packs = fill(sites, 2)
        name = list(packs)[1]
        for staged in sites.values():
            staged.inner.delete(name)
        report = await catch_up(together, expect(packs))
        assert report.lost == [name]
        await together.close()

    asyncio.run(main())
