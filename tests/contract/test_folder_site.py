"""The folder site keeps the contract, and what only a folder can get wrong."""

from __future__ import annotations

import hashlib
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hygie.sites.descriptors import SITES_FULL, allow_many_files, descriptors_max
from hygie.sites.errors import ObjectAbsentError, SiteUnavailableError
from hygie.sites.folder import FolderSite
from hygie.sites.room import initialise
from hygie.sites.site import Site, SiteLocation
from tests.contract.site_contract import NAME, SiteContract

FEW_FILES = 1024
PARIS = SiteLocation("FR", "Paris", 48.86, 2.35, "Hygie")

WRITER = """
import sys
from pathlib import Path
from hygie.sites.folder import FolderSite
from hygie.sites.site import SiteLocation
site = FolderSite(Path(sys.argv[1]), "paris", SiteLocation("FR", "Paris", 48.86, 2.35, "Hygie"))
number = int(sys.argv[2])
while True:
    number += 1
    data = number.to_bytes(8, "big") * 40_000
    site.put(f"packs/e/{number:012d}.pack", data)
    site.replace("journal/checkpoint", data)
    sys.stdout.write(f"{number}\\n")
    sys.stdout.flush()
"""


class TestFolderSite(SiteContract):
    @pytest.fixture
    def make_site(self, tmp_path: Path) -> Callable[[], Site]:
        def make() -> Site:
            initialise(tmp_path / "paris", "paris")
            return FolderSite(tmp_path / "paris", "paris", PARIS)

        return make


def test_kill_9_of_a_writer_leaves_no_half_object_and_loses_none_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "paris"
    initialise(path, "paris")
    acknowledged = 0
    for round_number in range(6):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(acknowledged + 1000 * round_number)], stdout=subprocess.PIPE
        )
        assert writer.stdout is not None
        first = writer.stdout.readline()
        assert first, "the writer wrote nothing"
        time.sleep(0.013 * (round_number + 1))
        writer.send_signal(signal.SIGKILL)
        told = (first + writer.stdout.read()).decode().split("\n")[:-1]
        writer.wait()
        writer.stdout.close()
        site = FolderSite(path, "paris", PARIS)
        for number in map(int, told):
            assert site.get(f"packs/e/{number:012d}.pack") == number.to_bytes(8, "big") * 40_000
        for name, size_bytes in site.list("packs/"):
            number = int(name.rsplit("/", 1)[1].removesuffix(".pack"))
            assert size_bytes == 320_000
            assert site.get(name) == number.to_bytes(8, "big") * 40_000
        checkpoint = site.get("journal/checkpoint")
        assert checkpoint == checkpoint[:8] * 40_000
        site.close()


def test_temporary_files_of_a_killed_writer_are_swept_and_those_of_a_living_one_are_not(tmp_path: Path) -> None:
    path = tmp_path / "paris"
    initialise(path, "paris")
    dead = path / ".tmp" / "0123456789abcdef"
    dead.mkdir(parents=True)
    (dead / "feedbeef").write_bytes(b"half")
    living = FolderSite(path, "paris", PARIS)
    living.put(NAME, b"one")
    assert not dead.exists()
    [own] = (path / ".tmp").iterdir()
    other = FolderSite(path, "paris", PARIS)
    other.put(NAME, b"one")
    assert own.exists(), "a second opening swept the folder of a living writer"
    living.put("packs/e/2", b"two")
    assert living.get("packs/e/2") == b"two"


def test_an_empty_mount_point_is_an_absent_site_not_an_empty_one(tmp_path: Path) -> None:
    path = tmp_path / "paris"
    path.mkdir()
    site = FolderSite(path, "paris", PARIS)
    for call in (lambda: site.get(NAME), lambda: site.put(NAME, b""), lambda: list(site.list("")), site.check):
        with pytest.raises(SiteUnavailableError) as caught:
            call()
        assert caught.value.facts["reason"] == "absent"
    assert list(path.iterdir()) == []


def test_a_folder_of_another_site_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "paris"
    initialise(path, "lyon")
    with pytest.raises(SiteUnavailableError) as caught:
        FolderSite(path, "paris", PARIS).put(NAME, b"")
    assert caught.value.facts["reason"] == "other-site"
    with pytest.raises(SiteUnavailableError):
        initialise(path, "paris")


def test_a_site_taken_away_and_put_back_is_noticed_while_open(tmp_path: Path) -> None:
    path = tmp_path / "paris"
    initialise(path, "paris")
    site = FolderSite(path, "paris", PARIS)
    site.put(NAME, b"one")
    assert site.get(NAME) == b"one"
    path.rename(tmp_path / "away")
    with pytest.raises(SiteUnavailableError):
        site.put("packs/e/2", b"two")
    with pytest.raises(SiteUnavailableError):
        site.get(NAME)
    path.mkdir()
    with pytest.raises(SiteUnavailableError):
        site.get(NAME)
    path.rmdir()
    (tmp_path / "away").rename(path)
    assert site.get(NAME) == b"one"
    with pytest.raises(ObjectAbsentError):
        site.get("packs/e/2")


def test_a_folder_removed_inside_a_site_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "paris"
    initialise(path, "paris")
    site = FolderSite(path, "paris", PARIS)
    site.put("packs/e/1", b"one")
    (path / "packs/e/1").unlink()
    (path / "packs/e").rmdir()
    site.put("packs/e/2", b"two")
    assert site.get("packs/e/2") == b"two"


def test_an_object_mended_by_another_process_is_read_new_not_from_an_open_descriptor(tmp_path: Path) -> None:
    path = tmp_path / "paris"
    initialise(path, "paris")
    reader, mender = FolderSite(path, "paris", PARIS), FolderSite(path, "paris", PARIS)
    mender.put(NAME, b"damaged")
    assert reader.get(NAME) == b"damaged"
    mender.replace(NAME, b"mended!")
    assert reader.get(NAME) == b"mended!"


def test_many_files_do_not_use_up_descriptors(tmp_path: Path, few_files: None) -> None:
    path = tmp_path / "paris"
    initialise(path, "paris")
    site = FolderSite(path, "paris", PARIS)
    kept = descriptors_max()
    assert kept * SITES_FULL < FEW_FILES
    for number in range(kept + 60):
        site.put(f"packs/e/{number:03d}", b"x")
    before = _descriptors_open()
    for number in range(kept + 60):
        assert site.get(f"packs/e/{number:03d}") == b"x"
    assert _descriptors_open() - before == kept
    site.close()
    assert _descriptors_open() < before


def test_files_and_folders_are_private(tmp_path: Path) -> None:
    path = tmp_path / "paris"
    initialise(path, "paris")
    FolderSite(path, "paris", PARIS).put(NAME, b"one")
    for entry in [path, *path.rglob("*")]:
        assert entry.stat().st_mode & 0o077 == 0, entry
    assert hashlib.sha256((path / NAME).read_bytes()).digest() == hashlib.sha256(b"one").digest()


def test_a_process_asks_for_more_files_than_it_was_given(few_files: None) -> None:
    few = descriptors_max()
    allow_many_files()
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > FEW_FILES
    assert descriptors_max() > few


@pytest.fixture
def few_files() -> Iterator[None]:
    """As many systems start a process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (FEW_FILES, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _descriptors_open() -> int:
    return sum(1 for _ in Path("/dev/fd").iterdir())
