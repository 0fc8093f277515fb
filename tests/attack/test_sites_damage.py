"""Somebody, or a disk, changes what a site holds: scrub names each damage and mends it; nothing damaged is read."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from hygie.sites.catch_up import catch_up
from hygie.sites.copies import Fault
from hygie.sites.errors import ForeignEntryError, SiteSettingsError, SiteUnavailableError
from hygie.sites.folder import FolderSite
from hygie.sites.placement import SiteSet
from hygie.sites.scrub import scrub
from hygie.sites.site import SiteLocation
from tests.unit.sites.stage import expect, fill, site_set, stage

FIRST = "packs/e1/000000000000.pack"
SECOND = "packs/e1/000000000001.pack"
Damage = Callable[[Path], list[Fault]]


def flip_a_byte(site: Path) -> list[Fault]:
    path = site / FIRST
    data = bytearray(path.read_bytes())
    data[1234] ^= 1
    path.write_bytes(data)
    return [Fault("lyon", FIRST, "altered")]


def flip_a_byte_and_set_the_time_back(site: Path) -> list[Fault]:
    before = (site / FIRST).stat()
    faults = flip_a_byte(site)
    os.utime(site / FIRST, ns=(before.st_atime_ns, before.st_mtime_ns))
    return faults


def truncate(site: Path) -> list[Fault]:
    os.truncate(site / FIRST, 100)
    return [Fault("lyon", FIRST, "altered")]


def lengthen(site: Path) -> list[Fault]:
    with (site / FIRST).open("ab") as file:
        file.write(b"more")
    return [Fault("lyon", FIRST, "altered")]


def swap_two(site: Path) -> list[Fault]:
    (site / FIRST).rename(site / "kept")
    (site / SECOND).rename(site / FIRST)
    (site / "kept").rename(site / SECOND)
    return [Fault("lyon", FIRST, "altered"), Fault("lyon", SECOND, "altered")]


def remove(site: Path) -> list[Fault]:
    (site / FIRST).unlink()
    return [Fault("lyon", FIRST, "absent")]


def plant_a_link(site: Path) -> list[Fault]:
    secret = site.parent / "secret"
    secret.write_bytes((site / FIRST).read_bytes())
    (site / FIRST).unlink()
    (site / FIRST).symlink_to(secret)
    return [Fault("lyon", FIRST, "foreign")]


def plant_a_pipe(site: Path) -> list[Fault]:
    (site / FIRST).unlink()
    os.mkfifo(site / FIRST)
    return [Fault("lyon", FIRST, "foreign")]


@pytest.mark.parametrize(
    "damage",
    [flip_a_byte, flip_a_byte_and_set_the_time_back, truncate, lengthen, swap_two, remove, plant_a_link, plant_a_pipe],
)
def test_scrub_names_the_damage_and_mends_it(tmp_path: Path, damage: Damage) -> None:
    async def main() -> None:
        together = site_set(stage(tmp_path))
        packs = fill(stage(tmp_path))
        for name in packs:
            await together.read(name)  # descriptors are open before the damage is done
        faults = damage(tmp_path / "lyon")
        report = await scrub(together, expect(packs))
        assert sorted(report.damaged + report.missing, key=lambda fault: fault.name) == faults
        assert sorted(report.mended, key=lambda fault: fault.name) == faults
        assert (await scrub(together, expect(packs))).clean
        for name, data in packs.items():
            assert (tmp_path / "lyon" / name).read_bytes() == data
            assert not (tmp_path / "lyon" / name).is_symlink()
        await together.close()

    asyncio.run(main())


def test_a_truncated_nearest_copy_is_passed_over(tmp_path: Path) -> None:
    async def main() -> None:
        together = site_set(stage(tmp_path))
        packs = fill(stage(tmp_path))
        assert await together.read(FIRST, 4000, 10) == packs[FIRST][4000:4010]
        os.truncate(tmp_path / "paris" / FIRST, 100)
        assert await together.read(FIRST, 4000, 10) == packs[FIRST][4000:4010]
        assert await together.read_many([(FIRST, 4000, 10)]) == [packs[FIRST][4000:4010]]
        await together.close()

    asyncio.run(main())


def test_a_site_that_comes_back_older_is_brought_up_to_date(tmp_path: Path) -> None:
    async def main() -> None:
        sites = stage(tmp_path)
        together = site_set(sites)
        packs = fill(sites, 3)
        shutil.copytree(tmp_path / "lyon", tmp_path / "old copy", symlinks=True)
        for number in range(3, 8):
            name, data = f"packs/e1/{number:012d}.pack", bytes([number + 1]) * 5000
            packs[name] = data
            await together.place(name, data)
            await together.drain(5)
        (tmp_path / "lyon").rename(tmp_path / "lost")
        (tmp_path / "old copy").rename(tmp_path / "lyon")
        assert together.lag()["lyon"].objects == 0, "nothing in memory knows that the site is older"
        report = await catch_up(together, expect(packs))
        assert report.sites["lyon"].copied == 5
        assert (await scrub(together, expect(packs))).clean
        await together.close()

    asyncio.run(main())


def test_a_folder_link_planted_in_a_site_leads_nowhere(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    site = stage(tmp_path)["paris"].inner
    site.put("packs/e1/1", b"one")
    (tmp_path / "paris" / "packs" / "e2").symlink_to(outside)
    (tmp_path / "paris" / "evil").symlink_to(outside)
    for name in ("packs/e2/secret", "evil/secret"):
        for call in (
            lambda name=name: site.get(name),
            lambda name=name: site.put(name, b"x"),
            lambda name=name: site.replace(name, b"x"),
            lambda name=name: site.digest(name),
            lambda name=name: site.delete(name),
        ):
            with pytest.raises(ForeignEntryError):
                call()
    assert list(site.list("")) == [("packs/e1/1", 3)]
    assert (outside / "secret").read_bytes() == b"secret"
    assert list(outside.iterdir()) == [outside / "secret"]


def test_links_planted_where_temporary_files_go_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_bytes(b"kept")
    site = stage(tmp_path)["paris"].inner
    (tmp_path / "paris" / ".tmp").mkdir()
    (tmp_path / "paris" / ".tmp" / "feedbeef").symlink_to(outside)
    site.put("packs/e1/1", b"one")
    assert (outside / "kept").read_bytes() == b"kept"
    site.close()
    shutil.rmtree(tmp_path / "paris" / ".tmp")
    (tmp_path / "paris" / ".tmp").symlink_to(outside)
    with pytest.raises(SiteUnavailableError):
        FolderSite(tmp_path / "paris", "paris", site.place).put("packs/e1/2", b"two")
    assert list(outside.iterdir()) == [outside / "kept"]


def test_a_site_outside_the_allowed_countries_is_refused(tmp_path: Path) -> None:
    inside = [staged.inner for staged in stage(tmp_path).values()]
    outside = FolderSite(tmp_path / "x", "virginia", SiteLocation("US", "Ashburn", 39.04, -77.49, "Elsewhere"))
    SiteSet(inside, quorum=2, allowed_countries=["FR"])
    with pytest.raises(SiteSettingsError) as caught:
        SiteSet([*inside, outside], quorum=2, allowed_countries=["FR"])
    assert caught.value.facts["site"] == "virginia"


@pytest.mark.parametrize(
    "identity",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"7" * 4096,
        b"\xff\xfe",
        b"[" * 4096,
        b'{"format":' * 400,
        b'{"format": "hygie-site-1"}',
    ],
    ids=["empty", "object", "list", "null", "number", "bytes", "deep list", "deep object", "half"],
)
def test_whatever_a_site_says_it_is_the_others_serve(tmp_path: Path, identity: bytes) -> None:
    """Who runs one site writes its identity: nonsense makes it another site, and fails no write of ours."""

    async def main() -> None:
        packs = fill(stage(tmp_path))
        together = site_set(stage(tmp_path))
        (tmp_path / "paris" / "site.json").write_bytes(identity)
        placement = await together.place("packs/e1/new.pack", b"new")
        await together.drain(5)
        assert sorted(placement.done) == ["lille", "lyon"]
        assert "other-site" in together.health()["paris"].last_error
        for name, data in packs.items():
            assert await together.read(name) == data
        assert not (await scrub(together, expect(packs))).damaged
        await together.close()

    asyncio.run(main())
