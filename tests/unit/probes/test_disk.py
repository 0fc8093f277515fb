"""The eyes that look for plaintext: what they see, what they must not take for it, what they could not read."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest
import zstandard

from hygie.probes import disk
from hygie.probes.disk import WINDOW_BYTES, mark_in, scan

PATIENT = b'{"resourceType":"Patient","id":"1","name":[{"family":"Durand"}],"birthDate":"1950-03-01"}'


@pytest.mark.parametrize(
    "data",
    [
        PATIENT,
        b'<Patient xmlns="http://hl7.org/fhir">',
        b'{"subject":{"reference":"Patient/1"}}',
        b"urn:oid:1.2.250.1.213.1.4.8|260058815400233",
        os.urandom(500) + zstandard.ZstdCompressor().compress(PATIENT * 9) + os.urandom(50),
        os.urandom(500) + gzip.compress(PATIENT * 9) + os.urandom(50),
    ],
    ids=["json", "xml", "reference", "ins", "zstd", "gzip"],
)
def test_plaintext_is_seen(data: bytes) -> None:
    assert mark_in(data)


def test_noise_and_foreign_frames_are_not_plaintext() -> None:
    for _ in range(50):
        assert mark_in(os.urandom(20_000)) is None
    assert mark_in(zstandard.ZstdCompressor().compress(os.urandom(5_000))) is None
    assert mark_in(b"\x28\xb5\x2f\xfd" + os.urandom(100)) is None


def test_a_mark_cut_by_two_windows_is_seen(tmp_path: Path) -> None:
    (tmp_path / "pack").write_bytes(b"\0" * (WINDOW_BYTES - 7) + PATIENT)
    found = scan({"site": tmp_path})
    assert [(hit.area, hit.file) for hit in found.found] == [("site", "pack")]
    assert found.control


def test_a_hit_never_repeats_what_was_read(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(PATIENT)
    assert "Durand" not in repr(scan({"site": tmp_path}))


def test_what_was_not_read_is_said(tmp_path: Path) -> None:
    found = scan({"here": tmp_path, "gone": tmp_path / "gone", "remote": None})
    assert {area.name: area.error for area in found.areas} == {"here": "", "gone": "absent", "remote": "elsewhere"}


def test_the_newest_files_are_read_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hygie.probes.disk.AREA_BYTES_MAX", 1_000)
    for rank, data in enumerate((PATIENT, os.urandom(2_000))):
        path = tmp_path / f"file-{rank}"
        path.write_bytes(data)
        os.utime(path, (1_000 + rank, 1_000 + rank))
    found = scan({"site": tmp_path})
    assert found.found == ()
    assert (found.areas[0].bytes_read, found.areas[0].bytes_total) == (1_000, 2_000 + len(PATIENT))


def test_one_large_file_does_not_hide_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A segment of the database's log is written all the time, so it is always the newest, and the largest."""
    monkeypatch.setattr(disk, "AREA_BYTES_MAX", 64 << 10)
    monkeypatch.setattr(disk, "FILE_BYTES_MAX", 16 << 10)
    (tmp_path / "leak").write_bytes(PATIENT)
    (tmp_path / "segment").write_bytes(os.urandom(256 << 10))
    os.utime(tmp_path / "leak", ns=(1, 1))
    assert [hit.file for hit in disk.scan({"database": tmp_path}).found] == ["leak"]


def test_every_part_of_a_large_file_is_read_some_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "FILE_BYTES_MAX", 8 << 10)
    (tmp_path / "segment").write_bytes(os.urandom(20 << 10) + PATIENT + os.urandom(2 << 10))
    assert any(disk.scan({"database": tmp_path}).found for _ in range(200))
