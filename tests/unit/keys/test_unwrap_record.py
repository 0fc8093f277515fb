"""The unwrap record: its chain, its files, and each way to break it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from hygie.base.clock import SystemClock
from hygie.keys import unwrap_record
from hygie.keys.errors import UnwrapRecordBrokenError
from hygie.keys.kms import UnwrapLine
from hygie.keys.unwrap_record import UnwrapRecord, verify_unwrap_record


def line(number: int, outcome: str = "done") -> UnwrapLine:
    return UnwrapLine(
        line=0, at_ms=0, pid=1, uid=2, tenant="aa", environment="bb", permit="cc", reason="object:read",
        outcome=outcome, compartments=[f"{number:032x}"],
    )  # fmt: skip


def fill(folder: Path, batches: int, file_bytes_max: int = 1 << 20) -> UnwrapRecord:
    folder.mkdir(exist_ok=True)
    record = UnwrapRecord(folder, SystemClock(), file_bytes_max=file_bytes_max)
    record.open()
    for number in range(batches):
        record.append([line(2 * number), line(2 * number + 1)])
    return record


def test_lines_are_numbered_dated_and_read_back_from_any_rank(tmp_path: Path) -> None:
    record = fill(tmp_path, 20, file_bytes_max=1500)
    assert len(list(tmp_path.glob("unwraps-*.log"))) > 3
    for after in (-1, 0, 7, 38, 39, 100):
        found = record.read(after, 1000)
        assert [each.line for each in found] == list(range(after + 1, 40))
    assert [each.line for each in record.read(4, 3)] == [5, 6, 7]
    assert all(each.at_ms > 1_700_000_000_000 for each in record.read(-1, 1000))
    record.close()
    assert verify_unwrap_record(tmp_path) == (40, record.head)


def test_the_chain_goes_on_over_restarts_and_files(tmp_path: Path) -> None:
    for _ in range(4):
        fill(tmp_path, 3, file_bytes_max=900).close()
    record = fill(tmp_path, 0)
    assert (record.lines, record.unwraps) == (24, 24)
    assert verify_unwrap_record(tmp_path) == (24, record.head)
    record.append([line(0, "HYG-531")])
    assert (record.lines, record.unwraps) == (25, 24)
    record.close()


@pytest.mark.parametrize("torn", [b"x", b"0" * 64, b"0" * 64 + b' {"line":2,"at'])
def test_a_line_cut_by_a_crash_is_cut_off_at_the_next_start(tmp_path: Path, torn: bytes) -> None:
    fill(tmp_path, 1).close()
    with (tmp_path / "unwraps.log").open("ab") as file:
        file.write(torn)
    record = fill(tmp_path, 1)
    assert [each.line for each in record.read(-1, 10)] == [0, 1, 2, 3]
    record.close()
    verify_unwrap_record(tmp_path)


@pytest.mark.parametrize("left", ["nothing", "half_header", "no_file"])
def test_a_crash_while_a_file_is_opened_is_mended(tmp_path: Path, left: str) -> None:
    fill(tmp_path, 5, file_bytes_max=600).close()
    current = tmp_path / "unwraps.log"
    lines = UnwrapRecord(tmp_path, SystemClock())
    lines.open()
    known = lines.lines
    lines.close()
    # as if the current file had just been closed, and the next one not yet begun
    number = len(list(tmp_path.glob("unwraps-*.log")))
    current.rename(tmp_path / f"unwraps-{number:06d}.log")
    if left != "no_file":
        current.write_bytes(b"" if left == "nothing" else b"ab12")
    record = fill(tmp_path, 1)
    assert record.lines == known + 2
    record.close()
    verify_unwrap_record(tmp_path)


def _edit(change: Callable[[list[bytes]], list[bytes]]) -> Callable[[Path], None]:
    def edit(path: Path) -> None:
        path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))

    return edit


TAMPERED: dict[str, tuple[Callable[[Path], None], int]] = {
    "altered": (_edit(lambda lines: [*lines[:3], lines[3].replace(b'"uid":2', b'"uid":3'), *lines[4:]]), 4),
    "removed": (_edit(lambda lines: lines[:3] + lines[4:]), 4),
    "reordered": (_edit(lambda lines: [*lines[:3], lines[4], lines[3], *lines[5:]]), 4),
    "repeated": (_edit(lambda lines: [*lines[:4], lines[3], *lines[4:]]), 5),
    "no_header": (_edit(lambda lines: lines[1:]), 1),
    "noise": (_edit(lambda lines: [*lines[:2], b"noise\n", *lines[2:]]), 3),
    "empty_line": (_edit(lambda lines: [*lines[:2], b"\n", *lines[2:]]), 3),
}


@pytest.mark.parametrize("name", ["unwraps.log", "unwraps-000000.log"])
@pytest.mark.parametrize("tamper", TAMPERED)
def test_the_first_bad_line_is_named(tmp_path: Path, tamper: str, name: str) -> None:
    fill(tmp_path, 5, file_bytes_max=1 << 20 if name == "unwraps.log" else 2000).close()
    if name != "unwraps.log":
        fill(tmp_path, 5, file_bytes_max=2000).close()
    change, number = TAMPERED[tamper]
    change(tmp_path / name)
    with pytest.raises(UnwrapRecordBrokenError) as caught:
        verify_unwrap_record(tmp_path)
    assert (caught.value.facts["file"], caught.value.facts["line"]) == (name, number)
    if name == "unwraps.log":
        with pytest.raises(UnwrapRecordBrokenError):
            UnwrapRecord(tmp_path, SystemClock()).open()


def test_a_file_dropped_or_swapped_is_named(tmp_path: Path) -> None:
    fill(tmp_path, 20, file_bytes_max=1500).close()
    first, second = tmp_path / "unwraps-000000.log", tmp_path / "unwraps-000001.log"
    data = second.read_bytes()
    second.unlink()
    with pytest.raises(UnwrapRecordBrokenError, match=r"unwraps-000001\.log"):
        verify_unwrap_record(tmp_path)
    second.write_bytes(first.read_bytes())
    with pytest.raises(UnwrapRecordBrokenError, match=r"unwraps-000001\.log"):
        verify_unwrap_record(tmp_path)
    second.write_bytes(data)
    verify_unwrap_record(tmp_path)
    (tmp_path / "unwraps.log").unlink()
    with pytest.raises(UnwrapRecordBrokenError, match=r"unwraps\.log"):
        verify_unwrap_record(tmp_path)


def test_a_cut_at_the_very_end_shows_only_against_the_anchored_head(tmp_path: Path) -> None:
    """The limit of a chain without a key; the journal anchors (lines, head)."""
    record = fill(tmp_path, 5)
    record.close()
    path = tmp_path / "unwraps.log"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    assert verify_unwrap_record(tmp_path) != (10, record.head)


def test_the_heads_that_the_chain_has_had_are_told_at_any_length(tmp_path: Path) -> None:
    """What the record said at each length, the moments around the start of a new file included, it says for ever."""
    record = fill(tmp_path, 0, file_bytes_max=1500)
    seen = [(record.lines, record.head)]
    for number in range(30):
        record.append([line(number)])
        seen.append((record.lines, record.head))
    assert len(list(tmp_path.glob("unwraps-*.log"))) > 3
    record.close()
    again = fill(tmp_path, 0)
    for wanted in ([length for length, _ in seen], [0], [30], [13, 4], [29, 30, 31]):
        heads = dict(zip(wanted, again.heads(wanted), strict=True))
        for length, head in seen:
            assert length not in heads or head in heads[length], length
    assert again.heads([31, 1000]) == [[], []]
    assert again.heads([]) == []
    again.close()


def test_a_file_taken_away_breaks_what_is_asked_through_it(tmp_path: Path) -> None:
    record = fill(tmp_path, 30, file_bytes_max=1500)
    assert len(list(tmp_path.glob("unwraps-*.log"))) > 3
    (tmp_path / "unwraps-000001.log").unlink()
    with pytest.raises(UnwrapRecordBrokenError, match="does not continue"):
        record.heads([0, 60])
    record.close()


def test_a_reader_misses_no_line_of_a_file_that_is_closed_meanwhile(tmp_path: Path) -> None:
    record = fill(tmp_path, 0, file_bytes_max=1)  # a file for each batch
    writer = threading.Thread(target=lambda: [record.append([line(number)]) for number in range(400)])
    writer.start()
    while writer.is_alive():
        after = max(record.lines - 3, -1)
        found = [each.line for each in record.read(after, 1000)]
        assert found == list(range(after + 1, after + 1 + len(found)))
    writer.join()
    record.close()


def test_lines_that_name_very_many_compartments_are_told_in_several_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unwrap_record, "READ_COMPARTMENTS_MAX", 5)
    record = fill(tmp_path, 10)
    told: list[int] = []
    while some := record.read(told[-1] if told else -1, 1000):
        assert len(some) <= 5
        told += [each.line for each in some]
    assert told == list(range(20))
    record.close()
