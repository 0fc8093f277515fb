"""A file of results: nothing of it can be altered, taken out or put in, and a probe that was killed goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from hygie.availability.ask import Seen
from hygie.availability.errors import ProbeTargetError, ResultsInvalidError
from hygie.availability.results import ResultsWriter, read_results

UP, DOWN = Seen("up", "200", 12), Seen("down", "timeout", 10_000)


def written(folder: Path, *minutes: int) -> tuple[Path, dict[str, str]]:
    writer = ResultsWriter(folder / "out", folder / "key")
    for minute in minutes:
        writer.add("h:443", "chu/prod", minute, DOWN if minute % 2 else UP)
    return folder / "out", {"lyon": writer.public_key}


def test_what_was_written_is_read_and_a_killed_probe_goes_on(tmp_path: Path) -> None:
    path, keys = written(tmp_path, 1, 2)
    with path.open("ab") as file:
        file.write(b'{"v":1,"door":"h')  # killed while it wrote
    assert [one[0] for one in read_results(path, keys, now_minute=9).minutes["chu/prod"]] == [1, 2]
    written(tmp_path, 3)
    results = read_results(path, keys, now_minute=9)
    assert results.source == "lyon"
    assert results.minutes["chu/prod"] == [
        (1, "down", "timeout", 10_000),
        (2, "up", "200", 12),
        (3, "down", "timeout", 10_000),
    ]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda lines: [lines[0], lines[2]], "chain"),
        (lambda lines: lines[1:], "chain"),
        (lambda lines: [lines[1], lines[0], lines[2]], "chain"),
        (lambda lines: [lines[0].replace(b"down", b"up"), *lines[1:]], "signature"),
        (lambda lines: [lines[0].replace(b'"minute":1', b'"minute":4'), *lines[1:]], "signature"),
        (lambda lines: [b"\xff\n", *lines], "format"),
        (lambda lines: [b"[" * 900 + b"\n"], "format"),
        (lambda lines: [b"x" * 5_000 + b"\n"], "size"),
        (lambda lines: [lines[0].replace(b'"v":1', b'"v":2')], "format"),
    ],
)
def test_a_file_that_was_touched_is_refused(tmp_path: Path, change, reason: str) -> None:  # type: ignore[no-untyped-def]
    path, keys = written(tmp_path, 1, 2, 3)
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))
    with pytest.raises(ResultsInvalidError) as refused:
        read_results(path, keys, now_minute=9)
    assert refused.value.facts["reason"] == reason


def test_of_another_key_of_the_future_or_with_an_open_key_is_refused(tmp_path: Path) -> None:
    path, keys = written(tmp_path, 1, 2)
    for known, now in (({"lyon": "0" * 64}, 9), ({}, 9), (keys, 2)):
        with pytest.raises(ResultsInvalidError):
            read_results(path, known, now_minute=now)
    (tmp_path / "key").chmod(0o644)
    with pytest.raises(ProbeTargetError):
        ResultsWriter(path, tmp_path / "key")
    path.write_bytes(b"no line\n")
    (tmp_path / "key").chmod(0o600)
    with pytest.raises(ResultsInvalidError):
        ResultsWriter(path, tmp_path / "key")
