"""A file appears whole or not at all, readable by its owner only."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hygie.base import files
from hygie.base.files import TEMPORARY_PREFIX, make_private_folder, write_durably

CRASH = """
import os, sys
from pathlib import Path
from hygie.base.files import write_durably
original = getattr({owner}, "{name}")
def crash(*args, **kwargs):
    os._exit(9)
setattr({owner}, "{name}", crash)
write_durably(Path(sys.argv[1]), b"new" * 1000)
"""


@pytest.mark.parametrize(("owner", "name"), [("os", "write"), ("os", "fsync"), ("Path", "replace")])
def test_a_crash_before_the_rename_leaves_the_old_file_whole(tmp_path: Path, owner: str, name: str) -> None:
    path = tmp_path / "state"
    write_durably(path, b"old")
    done = subprocess.run([sys.executable, "-c", CRASH.format(owner=owner, name=name), str(path)], check=False)
    assert done.returncode == 9, "the crash must happen"
    assert path.read_bytes() == b"old"


def test_the_new_content_replaces_the_old_and_leaves_nothing_beside(tmp_path: Path) -> None:
    path = tmp_path / "state"
    for content in (b"old", b"", b"x" * 3_000_000):
        write_durably(path, content)
        assert path.read_bytes() == content
    assert [p.name for p in tmp_path.iterdir()] == ["state"]


def test_content_is_on_disk_before_the_name_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    real_fsync, real_replace = os.fsync, Path.replace

    def fsync(descriptor: int) -> None:
        calls.append("folder" if Path(f"/proc/self/fd/{descriptor}").is_dir() else "file")
        real_fsync(descriptor)

    def replace(self: Path, target: Path) -> Path:
        calls.append("rename")
        return real_replace(self, target)

    monkeypatch.setattr(files.os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    write_durably(tmp_path / "state", b"x")
    if sys.platform.startswith("linux"):
        assert calls == ["file", "rename", "folder"]


def test_a_failed_write_leaves_no_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int, _data: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "write", full)
    with pytest.raises(OSError, match="No space left"):
        write_durably(tmp_path / "state", b"x")
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(TEMPORARY_PREFIX)]


def test_short_writes_of_the_system_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(files.os, "write", lambda descriptor, data: real(descriptor, bytes(data[:7])))
    write_durably(tmp_path / "state", b"0123456789" * 10)
    assert (tmp_path / "state").read_bytes() == b"0123456789" * 10


def test_files_and_folders_are_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write_durably(tmp_path / "state", b"x")
        make_private_folder(tmp_path / "a" / "b")
    finally:
        os.umask(before)
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
