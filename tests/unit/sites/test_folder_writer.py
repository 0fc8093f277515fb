"""The order of the writer's calls is what makes it durable: flush the file, then name it, then flush the folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from hygie.sites import folder
from hygie.sites.errors import ReadBackError
from hygie.sites.folder import FolderSite
from hygie.sites.room import initialise
from tests.unit.sites.stage import PLACES


@pytest.fixture
def site(tmp_path: Path) -> FolderSite:
    initialise(tmp_path / "paris", "paris")
    return FolderSite(tmp_path / "paris", "paris", PLACES["paris"])


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the system is asked, in order: flushes with the path flushed, links and renames with the name given."""
    made: list[str] = []
    real_fsync, real_link, real_replace = os.fsync, os.link, os.replace

    def fsync(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        made.append("flush temporary" if ".tmp" in path.parts else f"flush {path.name}")
        real_fsync(descriptor)

    def link(source: str, target: str, **options: Any) -> None:
        made.append(f"link {target}")
        real_link(source, target, **options)

    def replace(source: str, target: str, **options: Any) -> None:
        made.append(f"rename {target}")
        real_replace(source, target, **options)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "link", link)
    monkeypatch.setattr(os, "replace", replace)
    return made


def test_a_first_put_flushes_new_folders_the_file_then_its_name(site: FolderSite, calls: list[str]) -> None:
    site.put("packs/e1/1.pack", b"one")
    assert calls == ["flush paris", "flush packs", "flush temporary", "link 1.pack", "flush e1"]
    calls.clear()
    site.put("packs/e1/2.pack", b"two")
    assert calls == ["flush temporary", "link 2.pack", "flush e1"]


def test_folders_another_process_has_just_made_are_flushed_too(
    site: FolderSite, calls: list[str], tmp_path: Path
) -> None:
    (tmp_path / "paris" / "packs" / "e1").mkdir(parents=True)
    site.put("packs/e1/1.pack", b"one")
    assert calls[:2] == ["flush paris", "flush packs"]


def test_folders_known_to_be_flushed_are_bounded_and_forgotten_ones_flushed_again(
    site: FolderSite, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "FOLDERS_MAX", 3)
    for number in range(10):
        site.put(f"blobs/e1/b{number}/0000", b"one")
    room = site._room
    assert room is not None
    assert len(room.durable_folders) <= 3
    calls.clear()
    site.put("blobs/e1/b0/0001", b"two")
    assert calls == ["flush paris", "flush blobs", "flush e1", "flush temporary", "link 0001", "flush b0"]


def test_the_same_bytes_again_are_flushed_again(site: FolderSite, calls: list[str]) -> None:
    site.put("packs/e1/1.pack", b"one")
    calls.clear()
    site.put("packs/e1/1.pack", b"one")
    assert calls == ["flush temporary", "link 1.pack", "flush 1.pack", "flush e1"]


def test_replace_flushes_then_renames_then_flushes_the_folder(site: FolderSite, calls: list[str]) -> None:
    site.replace("journal/checkpoint", b"one")
    calls.clear()
    site.replace("journal/checkpoint", b"two")
    assert calls == ["flush temporary", "rename checkpoint", "flush journal"]


def test_a_delete_is_flushed(site: FolderSite, calls: list[str]) -> None:
    site.put("packs/e1/1.pack", b"one")
    calls.clear()
    site.delete("packs/e1/1.pack")
    assert calls == ["flush e1"]


def test_bytes_that_come_back_changed_are_never_given_a_name(
    site: FolderSite, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    real_pread = os.pread
    monkeypatch.setattr(os, "pread", lambda *asked: bytes([real_pread(*asked)[0] ^ 1]) + real_pread(*asked)[1:])
    for write in (site.put, site.replace):
        with pytest.raises(ReadBackError):
            write("packs/e1/1.pack", b"one")
    assert not (tmp_path / "paris" / "packs" / "e1" / "1.pack").exists()
    unchecked = FolderSite(tmp_path / "paris", "paris", PLACES["paris"], read_back=False)
    unchecked.put("packs/e1/1.pack", b"one")


def test_a_write_that_fails_leaves_no_temporary_file(
    site: FolderSite, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def no_link(*_: object, **__: object) -> None:
        raise OSError(5, "input/output error")

    monkeypatch.setattr(os, "link", no_link)
    with pytest.raises(Exception, match="HYG-440"):
        site.put("packs/e1/1.pack", b"one")
    assert [path for path in (tmp_path / "paris" / ".tmp").rglob("*") if path.is_file()] == []
