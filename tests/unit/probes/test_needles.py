"""The search for clear text finds every planted spelling, wherever it is, and nothing by chance."""

from __future__ import annotations

import base64
import random
from pathlib import Path

import pytest

from hygie.probes import needles as scan
from hygie.probes.needles import compile_needles, scan_folder
from hygie.synthetic.patients import bundle_bytes, needles, planted_words

NEEDLES = needles(tuple(word for seed in range(6) for word in planted_words(seed)))


def test_every_needle_is_found_at_any_place() -> None:
    pattern, longest = compile_needles(NEEDLES)
    draw = random.Random(7)
    assert longest == max(map(len, NEEDLES))
    for needle in NEEDLES:
        data = draw.randbytes(draw.randrange(40)) + needle + draw.randbytes(3)
        assert pattern.search(data), needle


def test_a_needle_that_is_the_beginning_of_another_is_found() -> None:
    pattern, _ = compile_needles([b"Vauqeli", b"Vauqelinac", b"Vauqana"])
    assert pattern.search(b"..Vauqelizan")
    assert not pattern.search(b"..Vauqel")


@pytest.mark.parametrize(
    "spelt",
    [
        lambda word: word.encode(),
        lambda word: word.upper().encode("latin-1"),
        lambda word: word.encode("utf-16-le"),
        lambda word: word.encode("utf-16-be"),
        lambda word: base64.b64encode(f"M. {word}, Rennes".encode()),
    ],
)
def test_a_word_is_found_in_any_file_of_any_folder(tmp_path: Path, spelt) -> None:
    word = planted_words(3)[0]
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "clean").write_bytes(random.Random(1).randbytes(200_000))
    (tmp_path / "a" / "b" / "leak").write_bytes(bytes(5_000) + spelt(word) + bytes(9))
    found = scan_folder(tmp_path, NEEDLES)
    assert found.found == ["a/b/leak"]
    assert (found.files, found.bytes) == (2, 200_000 + 5_000 + len(spelt(word)) + 9)


def test_a_word_across_two_chunks_and_after_zeros_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "CHUNK_BYTES", 4096)
    word = planted_words(1)[2].encode()
    for cut in range(1, len(word)):
        (tmp_path / f"{cut}").write_bytes(b"\x01" * (4096 - cut) + word)
    (tmp_path / "zeros").write_bytes(bytes(4096) + word)
    (tmp_path / "half").write_bytes(bytes(8000) + word)
    assert len(scan_folder(tmp_path, NEEDLES).found) == len(word) + 1


def test_a_word_in_the_name_of_a_file_is_found(tmp_path: Path) -> None:
    (tmp_path / f"{planted_words(2)[0]}.json").touch()
    assert len(scan_folder(tmp_path, NEEDLES).found) == 1


def test_a_bundle_betrays_its_patient_and_another_one_does_not(tmp_path: Path) -> None:
    (tmp_path / "mine").write_bytes(bundle_bytes(0))
    (tmp_path / "other").write_bytes(bundle_bytes(500))
    assert scan_folder(tmp_path, NEEDLES).found == ["mine"]


def test_a_file_that_vanishes_meanwhile_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A running database removes files between their listing and their reading."""
    (tmp_path / "stays").write_bytes(bytes(10))
    listed = [tmp_path / "gone", tmp_path / "stays"]
    monkeypatch.setattr(scan, "files_below", lambda _folder: iter(listed))
    assert scan.bytes_below(tmp_path) == 10
    assert scan_folder(tmp_path, NEEDLES).files == 1


@pytest.mark.parametrize("bad", [[], [b"short"]])
def test_needles_that_would_be_found_by_chance_are_refused(bad: list[bytes]) -> None:
    with pytest.raises(ValueError, match="needles"):
        compile_needles(bad)
