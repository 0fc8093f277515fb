"""A recording is read as it stands, or refused: cut, altered, huge, linked, lying."""

from __future__ import annotations

import gzip
import os
import socket
import zlib
from pathlib import Path
from typing import Any

import pytest

from hygie.interventions import iolog
from hygie.interventions.errors import RecordingDamagedError
from hygie.interventions.iolog import TooLargeError, open_archive, read_header, read_recording, waiting
from hygie.interventions.matching import SHELL
from hygie.interventions.showing import plain, shown
from tests.unit.interventions.stage import FILES, START_MS, log, recording


def test_a_finished_recording_is_read_whole(tmp_path: Path) -> None:
    folder = recording(tmp_path)
    (found,) = waiting(tmp_path, at_most=9)
    assert (found.name, found.finished) == (folder.name, True)
    got = read_recording(tmp_path, folder.name)
    assert (got.header.account, got.header.host, got.header.command) == ("paul", "vm-1", SHELL)
    assert (got.header.arguments[0], got.header.login_shell) == ("INT-1", "/bin/sh")
    assert (got.header.started_ms, got.ended_ms) == (START_MS + 5, START_MS + 2_005)
    first, *rest = [(round(at, 2), piece) for at, piece in shown(got)]
    assert first == (0.0, f"$ {SHELL} INT-1 '192.0.2.7 51000 192.0.2.1 22' 1800000600 ''\n")
    assert rest == [(0.5, "$ ls\n"), (2.0, "vide\n")]
    assert open_archive(got.archive) == got


def test_a_recording_under_way_is_not_finished(tmp_path: Path) -> None:
    folder = recording(tmp_path)
    (folder / "timing").chmod(0o600)
    (found,) = waiting(tmp_path, at_most=9)
    assert not found.finished
    assert read_header(tmp_path, folder.name).account == "paul"


DAMAGED: dict[str, dict[str, Any]] = {
    "cut stream": {"ttyout": b"$ ls\r\nvid"},
    "longer stream": {"ttyout": FILES["ttyout"] + b"x"},
    "stream without its time": {"stdout": b"x"},
    "lost stream": {"ttyin": None},
    "cut timing": {"timing": FILES["timing"][:-3]},
    "line lost": {"timing": FILES["timing"].replace(b"3 0.250000000 2\n", b"")},
    "no timing line": {"timing": b"4 0.5 6 rm\n"},
    "time backwards": {"timing": FILES["timing"].replace(b"0.250000000", b"-1.0")},
    "a day in one step": {"timing": FILES["timing"].replace(b"0.250000000", b"99999999")},
    "no header": {"log_json": None},
    "nested header": {"log_json": b"[" * 100_000},
    "junk header": {"log_json": b"\xff\x00{"},
    "header of another shape": {"log_json": b"[]"},
    "no user": {"log_json": log(submituser="")},
    "a user with a line": {"log_json": log(submituser="paul\nroot")},
    "before 1970": {"log_json": log(timestamp={"seconds": -5})},
    "after all": {"log_json": log(timestamp={"seconds": 2**62})},
    "compressed by sudo": {"timing": gzip.compress(FILES["timing"]), "ttyout": gzip.compress(FILES["ttyout"])},
}


@pytest.mark.parametrize("how", sorted(DAMAGED))
def test_a_recording_that_is_not_as_it_was_written_is_refused(tmp_path: Path, how: str) -> None:
    folder = recording(tmp_path, **DAMAGED[how])
    with pytest.raises(RecordingDamagedError):
        read_recording(tmp_path, folder.name)


def decoy(secret: bytes) -> bytes:
    """A gzip file of the person's own: what must be lost stands in its header, and it opens to its own length."""
    fixed = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff" + len(secret).to_bytes(2, "little") + secret
    packed = zlib.compressobj(9, zlib.DEFLATED, -15)
    size = len(fixed) + 9 + 8  # of zeros, which deflate to 9 bytes
    body = packed.compress(bytes(size)) + packed.flush()
    whole = fixed + body + zlib.crc32(bytes(size)).to_bytes(4, "little") + size.to_bytes(4, "little")
    assert len(gzip.decompress(whole)) == len(whole), len(body)
    return whole


def test_what_a_command_printed_is_kept_as_it_stood_even_where_it_looks_compressed(tmp_path: Path) -> None:
    hidden = decoy(b"cat /etc/shadow; " * 40)
    for name, printed in (("decoy", hidden), ("gzip -c", gzip.compress(b"journal " * 90)), ("junk", b"\x1f\x8bjunk")):
        timing = f"1 0.5 {len(printed)}\n".encode()
        folder = recording(tmp_path, name.replace(" ", "-"), timing=timing, stdout=printed, ttyin=None, ttyout=None)
        assert read_recording(tmp_path, folder.name).files["stdout"] == printed


def test_what_a_header_says_in_other_characters_is_dropped(tmp_path: Path) -> None:
    folder = recording(tmp_path, log_json=log(submithost="vm\x1b[2J", runuser="a b"))
    found = read_header(tmp_path, folder.name)
    assert (found.host, found.run_as) == ("", "")


def test_an_argument_that_is_no_utf_8_hides_nobody(tmp_path: Path) -> None:
    odd = log(command="/bin/ls", runargv=["/bin/ls", "cafe"]).replace(b"cafe", b"caf\xe9")
    got = read_recording(tmp_path, recording(tmp_path, log_json=odd).name)
    assert (got.header.account, got.header.arguments) == ("paul", ("caf\ufffd",))
    assert got.files["log.json"] == odd, "kept as it stood"
    assert next(shown(got)) == (0.0, "$ /bin/ls 'caf\ufffd'\n")


def test_huge_files_are_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(iolog, "BYTES_MAX", 1_000)
    for name, content in (("a", b"x" * 1_001), ("c", b"x" * 900)):
        recording(tmp_path, name, ttyout=content, ttyin=b"y" * 200)
        with pytest.raises(TooLargeError):
            read_recording(tmp_path, name)
    recording(tmp_path, "d", log_json=log(runargv=["x" * iolog.LOG_BYTES_MAX]))
    with pytest.raises(TooLargeError):
        read_header(tmp_path, "d")


def test_links_pipes_and_other_things_are_never_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(FILES["ttyout"])
    spool = tmp_path / "spool"
    spool.mkdir()
    (spool / "linked").symlink_to(recording(tmp_path / "elsewhere"))
    (spool / "file").write_text("x")
    (spool / "empty").mkdir()
    (spool / "..odd").mkdir()
    assert waiting(spool, at_most=9) == []
    with pytest.raises(OSError, match=r"."):
        read_recording(spool, "linked")
    for name in ("ttyout", "log.json", "timing"):
        folder = recording(spool, f"link-{name}")
        (folder / name).unlink()
        (folder / name).symlink_to(secret)
        with pytest.raises(RecordingDamagedError):
            read_recording(spool, folder.name)
    pipe = recording(spool, "pipe", ttyout=None)
    os.mkfifo(pipe / "ttyout")
    with pytest.raises(RecordingDamagedError):  # and does not wait for a writer
        read_recording(spool, "pipe")
    held = recording(spool, "s", ttyout=None)
    with socket.socket(socket.AF_UNIX) as listening:
        os.chdir(held)
        listening.bind("ttyout")
        os.chdir("/")
    with pytest.raises(RecordingDamagedError):
        read_recording(spool, "s")
    assert len(waiting(spool, at_most=2)) == 2


def test_an_archive_of_another_shape_is_refused(tmp_path: Path) -> None:
    got = read_recording(tmp_path, recording(tmp_path).name)
    for wrong in (b"", b"\xc1", got.archive[:-1], got.archive + b"\0", b"\x80", b"\x91\x92\xa6timing\xc4\x00"):
        with pytest.raises(RecordingDamagedError):
            open_archive(wrong)


def test_nothing_of_a_recording_acts_on_the_terminal_of_its_reader() -> None:
    hostile = b"a\x1b[2Jb\x1b]0;title\x07c\x1bPq#0\x1b\\d\x9b31me\x1b(0f\x1bc\x08\x07\xe2\x80\xaeg\x1b"
    assert not {"\x1b", "\x9b", "\x07", "\x08", "\u202e"} & set(plain(hostile))
    assert plain(b"\x1b[1;31mrouge\x1b[0m\tet\r\nreste") == "rouge\tet\nreste"


def test_what_a_command_was_given_without_a_terminal_shows(tmp_path: Path) -> None:
    script = b"grep Dupont /srv/a\nrm \x1b[8m-rf\x1b[0m /srv/a\n"
    asked = ["/bin/bash", "-s", "a\x1b]0;x\x07b", "c\nd"]
    timing = f"0 0.1 {len(script)}\n1 0.2 3\n".encode()
    files = {"stdin": script, "stdout": b"ok\n", "ttyin": b"", "ttyout": b""}
    header = log(command="/bin/bash", runargv=asked)
    got = read_recording(tmp_path, recording(tmp_path, timing=timing, log_json=header, **files).name)
    assert "".join(text for _, text in shown(got)) == (
        "$ /bin/bash -s 'ab' 'c d'\n< grep Dupont /srv/a\n< rm -rf /srv/a\nok\n"
    )
