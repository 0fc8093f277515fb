"""Files of others, followed: each line once, whatever rotation does; what was cut, replaced or lost is told."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hygie.watch import host_files
from hygie.watch.host_files import LINE_BYTES_MAX, LOST, PAGE_BYTES, ROTATED, TRUNCATED, Mark, Place, end_of, read


class Follower:
    """A log and its reader, who may be replaced by another one at any time: only the mark is kept."""

    def __init__(self, path: Path, *, family: bool = False) -> None:
        self.path = path
        self.place = Place(path, family=family)
        self.lines: list[bytes] = []
        self.told: list[str] = []
        self.cut = 0
        self.mark: Mark | None = end_of(self.place)

    def write(self, data: bytes, *, at: Path | None = None) -> None:
        with (at or self.path).open("ab") as file:
            file.write(data)

    def read(self) -> list[bytes]:
        """All there is. Returns: what is new."""
        before = len(self.lines)
        more = True
        while more:
            piece = read(self.place, self.mark)
            self.lines += piece.lines
            self.told += piece.told
            self.cut += piece.cut
            self.mark, more = piece.mark, piece.more
        return self.lines[before:]


@pytest.fixture
def followed(tmp_path: Path) -> Follower:
    path = tmp_path / "auth.log"
    path.write_bytes(b"before\n")
    return Follower(path)


def test_what_comes_is_read_once_and_half_a_line_waits(followed: Follower) -> None:
    assert followed.read() == []
    followed.write(b"one\ntw")
    assert followed.read() == [b"one"]
    followed.write(b"o\n\xff\xfe\n")
    assert followed.read() == [b"two", b"\xff\xfe"]
    assert followed.read() == []


def test_a_file_that_was_not_there_is_read_from_its_beginning(tmp_path: Path) -> None:
    one = Follower(tmp_path / "late.log")
    with pytest.raises(FileNotFoundError):
        one.read()
    one.write(b"one\n")
    assert one.read() == [b"one"]


def test_rotation_by_renaming_loses_nothing_even_twice_while_nobody_looks(followed: Follower) -> None:
    followed.write(b"one\n")
    followed.read()
    followed.write(b"two\n")
    followed.path.rename(followed.path.with_name("auth.log.1"))
    followed.write(b"three\n", at=followed.path.with_name("auth.log.1"))  # whoever writes has not left it yet
    assert followed.read() == [b"two", b"three"]
    followed.write(b"four\n")
    followed.path.with_name("auth.log.1").rename(followed.path.with_name("auth.log.2"))
    followed.path.rename(followed.path.with_name("auth.log.1"))
    for number, at_s in ((2, 1_000), (1, 2_000)):
        os.utime(followed.path.with_name(f"auth.log.{number}"), (at_s, at_s))
    followed.write(b"five\n")
    assert followed.read() == [b"four", b"five"]
    assert set(followed.told) == {ROTATED}


def test_rotation_by_copying_loses_nothing(followed: Follower) -> None:
    followed.write(b"one\n")
    followed.read()
    followed.write(b"two\n")
    shutil.copy(followed.path, followed.path.with_name("auth.log.1"))
    os.truncate(followed.path, 0)
    assert followed.read() == [b"two"]
    followed.write(b"three\n")
    assert followed.read() == [b"three"]
    assert followed.told == [ROTATED]


def test_a_copy_that_somebody_keeps_is_not_followed(followed: Follower) -> None:
    followed.write(b"one\n")
    followed.read()
    shutil.copy(followed.path, followed.path.with_name("auth.log.1"))
    followed.write(b"two\n")
    assert followed.read() == [b"two"]
    assert followed.told == []


@pytest.mark.parametrize("again", [b"", b"b\n", b"something that is longer than what stood there before\n"])
def test_a_file_that_is_cut_is_told(followed: Follower, again: bytes) -> None:
    followed.write(b"one\n")
    followed.read()
    os.truncate(followed.path, 0)
    followed.write(again)
    assert followed.read() == [again.strip()] * bool(again)
    assert followed.told == [TRUNCATED]


def test_a_line_that_is_taken_out_is_told(followed: Follower) -> None:
    followed.write(b"one\nsomebody\n")
    followed.read()
    other = followed.path.with_name("edited")
    other.write_bytes(followed.path.read_bytes().replace(b"somebody\n", b""))
    other.replace(followed.path)
    followed.write(b"two\nthree\n")
    followed.read()
    assert followed.told == [LOST]


def test_a_file_that_is_gone_is_told_and_the_next_one_is_read(followed: Follower) -> None:
    followed.write(b"one\n")
    followed.read()
    followed.path.unlink()
    with pytest.raises(FileNotFoundError):
        followed.read()
    followed.write(b"two\n")
    assert followed.read() == [b"two"]
    assert followed.told in ([LOST], [TRUNCATED])  # a file system may give the new one the number of the old one


def test_a_line_that_is_too_long_is_cut_and_counted(followed: Follower) -> None:
    followed.write(b"x" * (LINE_BYTES_MAX + 10) + b"\n" + b"y" * (2 * PAGE_BYTES))
    assert [len(one) for one in followed.read()] == [LINE_BYTES_MAX, LINE_BYTES_MAX]
    followed.write(b"the end of it\nnext\n")
    assert followed.read() == [b"next"]
    assert followed.cut == 2


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileNotFoundError):
        read(Place(tmp_path / "pipe"), None)
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError):  # noqa: PT011 (whichever)
        read(Place(tmp_path / "folder"), None)


def test_parts_of_a_family_follow_one_another(tmp_path: Path) -> None:
    followed = Follower(tmp_path / "postgres-", family=True)
    for number, day in enumerate(("Sat", "Sun", "Mon")):
        path = tmp_path / f"postgres-{day}.log"
        followed.write(f"{day} one\n".encode(), at=path)
        os.utime(path, (1_000_000 + number, 1_000_000 + number))
    assert followed.read()[-1] == b"Mon one"
    saturday = tmp_path / "postgres-Sat.log"
    saturday.write_bytes(b"Sat two\n")  # a week later
    assert followed.read() == [b"Sat two"]
    assert followed.told == []


@settings(max_examples=60, deadline=None)
@given(
    acts=st.lists(st.sampled_from(["write", "half", "read", "rename", "copy", "kill", "long"]), min_size=1, max_size=30)
)
def test_each_line_comes_once_and_in_order(acts: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("log") / "syslog"
    followed = Follower(path)
    followed.write(b"")
    written = 0
    rest = b""
    for number, act in enumerate(acts):
        aside = path.with_name(f"syslog-{number:05d}")
        if act in ("write", "half", "long"):
            whole = f"line {written} {'x' * (300 if act == 'long' else 0)}\n".encode()
            written += 1
            followed.write(rest + (whole[:3] if act == "half" else whole))
            rest = whole[3:] if act == "half" else b""
        elif act == "rename" and not rest and path.stat().st_size:
            followed.read()  # the clock of a file system is coarse: rotations of one instant have no order
            path.rename(aside)
            path.touch()
        elif act == "copy" and not rest and path.stat().st_size:
            followed.read()
            shutil.copy(path, aside)
            os.truncate(path, 0)
        elif act == "kill":
            piece = read(followed.place, followed.mark)  # read and never written down
            assert piece is not None
        else:
            followed.read()
    followed.write(rest)
    followed.read()
    assert [int(one.split()[1]) for one in followed.lines] == list(range(written))
    assert not {TRUNCATED, LOST} & set(followed.told)


def test_pages_are_bounded(followed: Follower) -> None:
    followed.write(b"a line of some length\n" * 50_000)
    piece = host_files.read(followed.place, followed.mark)
    assert sum(map(len, piece.lines)) <= PAGE_BYTES
    assert piece.more
    assert len(followed.read()) == 50_000
