"""Full disk, read-only site, site gone: the quorum goes on, the caller is told, nothing half-written stays."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hygie.sites.catch_up import catch_up
from hygie.sites.errors import SiteQuorumError, SiteUnavailableError
from hygie.sites.scrub import scrub
from tests.unit.sites.stage import expect, fill, site_set, stage

LIMITED_WRITER = """
import sys
from pathlib import Path
from hygie.sites.errors import SiteUnavailableError
from hygie.sites.folder import FolderSite
from hygie.sites.site import SiteLocation
site = FolderSite(Path(sys.argv[1]), "paris", SiteLocation("FR", "Paris", 48.86, 2.35, "Hygie"))
site.put("packs/e1/small", bytes(1000))
try:
    site.put("packs/e1/big", bytes(1_000_000))
except SiteUnavailableError as error:
    print(error.facts["reason"])
"""


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte, mounted in this test only."""
    path = tmp_path / "lyon"
    path.mkdir()
    mount = shutil.which("mount")
    command = [mount or "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", path]
    if mount is None or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("mounting is not permitted here; the file size limit test covers the same code")
    yield path
    subprocess.run(["umount", "-l", path], check=True)


def test_a_full_disk_is_said_full_the_quorum_goes_on_and_the_site_catches_up(tiny_disk: Path, tmp_path: Path) -> None:
    async def main() -> None:
        sites = stage(tmp_path)
        together = site_set(sites)
        packs = {f"packs/e1/{number}": bytes([number]) * 300_000 for number in range(6)}
        failures = []
        for name, data in packs.items():
            placement = await together.place(name, data)
            assert len(placement.done) >= 2
            failures.append(placement.failed)
            await together.drain(5)
        assert "HYG-440 full" in together.health()["lyon"].last_error
        assert together.lag()["lyon"].objects >= 3
        temporary = [path for path in (tiny_disk / ".tmp").rglob("*") if path.is_file()]
        assert temporary == [], "a refused write left its temporary file"
        for name, size_bytes in sites["lyon"].inner.list("packs/"):
            assert size_bytes == 300_000
            assert sites["lyon"].inner.get(name) == packs[name]
        await asyncio.to_thread(subprocess.run, ["mount", "-o", "remount,size=16m", tiny_disk], check=True)
        report = await catch_up(together, expect(packs))
        assert report.sites["lyon"].left == []
        assert report.sites["lyon"].copied >= 3
        await together.close()

    asyncio.run(main())


def test_a_disk_remounted_read_only_is_told(tiny_disk: Path, tmp_path: Path) -> None:
    sites = stage(tmp_path)
    sites["lyon"].inner.put("packs/e1/1", b"one")
    sites["lyon"].inner.close()
    subprocess.run(["mount", "-o", "remount,ro", tiny_disk], check=True)
    with pytest.raises(SiteUnavailableError) as caught:
        sites["lyon"].inner.put("packs/e1/2", b"two")
    assert caught.value.facts["reason"] == "read-only"
    assert sites["lyon"].inner.get("packs/e1/1") == b"one"


def test_an_unmounted_site_is_absent_and_its_mount_point_stays_empty(tiny_disk: Path, tmp_path: Path) -> None:
    sites = stage(tmp_path)
    sites["lyon"].inner.put("packs/e1/1", b"one")
    subprocess.run(["umount", "-l", tiny_disk], check=True)
    try:
        with pytest.raises(SiteUnavailableError) as caught:
            sites["lyon"].inner.put("packs/e1/2", b"two")
        assert caught.value.facts["reason"] == "absent"
        assert list(tiny_disk.iterdir()) == []
    finally:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", tiny_disk], check=True)


def test_a_write_cut_by_a_limit_of_the_system_leaves_nothing(tmp_path: Path) -> None:
    stage(tmp_path)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    command = [sys.executable, "-c", LIMITED_WRITER, tmp_path / "paris"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, preexec_fn=limit)
    assert done.stdout == "full\n", done.stderr
    files = [path.name for path in (tmp_path / "paris").rglob("*") if path.is_file()]
    assert sorted(files) == ["site.json", "small"]


def test_a_file_in_place_of_a_site_or_of_its_folders_is_told(tmp_path: Path) -> None:
    async def main() -> None:
        sites = stage(tmp_path)
        together = site_set(sites)
        await together.place("packs/e1/1", b"one")
        await together.drain(5)
        shutil.rmtree(tmp_path / "lyon")
        (tmp_path / "lyon").write_bytes(b"not a folder")
        placement = await together.place("packs/e1/2", b"two")
        await together.drain(5)
        assert sorted(placement.done) == ["lille", "paris"]
        assert together.health()["lyon"].state == "cooling"
        shutil.rmtree(tmp_path / "paris" / "packs")
        (tmp_path / "paris" / "packs").write_bytes(b"not a folder")
        with pytest.raises(SiteQuorumError):
            await together.place("packs/e1/3", b"three")
        assert await together.read("packs/e1/2") == b"two"
        await together.close()

    asyncio.run(main())


def test_any_one_site_lost_loses_nothing_acknowledged(tmp_path: Path) -> None:
    async def main() -> None:
        for lost in ("paris", "lyon", "lille"):
            base = tmp_path / f"without-{lost}"
            base.mkdir()
            sites = stage(base)
            together = site_set(sites)
            sites["lille" if lost != "lille" else "lyon"].hold()  # the third never gets anything
            acknowledged = {}
            for number in range(8):
                name, data = f"packs/e1/{number}", os.urandom(60)
                await together.place(name, data)
                acknowledged[name] = data
            shutil.rmtree(base / lost)
            for name, data in acknowledged.items():
                assert await together.read(name) == data
            for staged in sites.values():
                staged.release()
            await together.close()

    asyncio.run(main())


def test_repeated_loss_of_a_site_under_load_is_mended_by_catch_up(tmp_path: Path) -> None:
    async def main() -> None:
        sites = stage(tmp_path)
        together = site_set(sites)
        packs = fill(sites, 3, 500)
        for round_number in range(3):
            (tmp_path / "lille").rename(tmp_path / "away")
            for number in range(4):
                name, data = f"packs/e1/{round_number}-{number}", os.urandom(100)
                packs[name] = data
                await together.place(name, data)
            (tmp_path / "away").rename(tmp_path / "lille")
            await together.drain(5)
            report = await catch_up(together, expect(packs))
            assert report.sites["lille"].left == []
            assert together.lag()["lille"].objects == 0
        assert all(sites["lille"].inner.get(name) == data for name, data in packs.items())
        await together.close()

    asyncio.run(main())


def test_a_hung_site_holds_up_neither_catch_up_nor_scrub_of_the_others(tmp_path: Path) -> None:
    async def main() -> None:
        sites = stage(tmp_path)
        together = site_set(sites)
        packs = fill(sites, 3, 500)
        (tmp_path / "lyon" / "packs" / "e1" / "000000000001.pack").unlink()
        sites["lille"].hold()
        report = await catch_up(together, expect(packs))
        assert not report.sites["lille"].reachable
        assert (report.sites["lyon"].copied, report.sites["lyon"].left) == (1, [])
        (tmp_path / "lyon" / "packs" / "e1" / "000000000002.pack").unlink()
        scrubbed = await scrub(together, expect(packs))
        assert scrubbed.unreachable == {"lille": 3}
        assert [fault.site for fault in scrubbed.mended] == ["lyon"]
        sites["lille"].release()
        while together.link("lille").upkeep.busy_s():
            await asyncio.sleep(0.01)
        assert (await scrub(together, expect(packs))).clean, "it is asked again once it answers"
        await together.close()

    asyncio.run(main())
