"""What a stream of bytes opens to: words at the end of long frames and within others, and what is told as unopened."""

from __future__ import annotations

import bz2
import gzip
import io
import os
import struct
import zipfile
from collections.abc import Callable

import pytest
import zstandard

from hygie.probes.canaries import stream
from hygie.probes.canaries.stream import CHANCE_BYTES_MAX, LAYERS_MAX, Finder, Stream
from tests.unit.probes.test_canaries import CANARY, stored_values

FINDER = Finder([CANARY])
WORD = stored_values(CANARY)[1].encode()
# Beyond what a sample of the beginning would see, compressed as well as opened; a text, whose letters are coded.
LONG = os.urandom(300_000).hex().encode()
NUMBERS = b" ".join(b"%d" % number for number in range(60_000))

Wrap = Callable[[bytes], bytes]


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


def far_zstd(data: bytes) -> bytes:
    """With the widest window that the format's usual programs make."""
    parameters = zstandard.ZstdCompressionParameters(window_log=30, compression_level=1)
    return zstandard.ZstdCompressor(compression_params=parameters).compress(data)


def zipped(data: bytes, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        archive.writestr("first", b"x" * 2_000)
        archive.writestr("second", data)
    return made.getvalue()


def stored(data: bytes) -> bytes:
    return zipped(data, zipfile.ZIP_STORED)


def fed(data: bytes, cut: int = 1 << 16) -> tuple[str, bool]:
    """What is found, and whether something was not opened to its end."""
    one = Stream(FINDER)
    found = (one.feed(data[at : at + cut]) for at in range(0, len(data), cut))
    return next(filter(None, found), ""), one.closed


@pytest.mark.parametrize("wrap", [gzip.compress, zstd, far_zstd, zipped, stored])
@pytest.mark.parametrize("outer", [bytes, gzip.compress, zstd, zipped])
def test_a_word_at_the_end_of_a_long_frame_is_found(wrap: Wrap, outer: Wrap) -> None:
    assert (WORD in wrap(LONG + WORD + LONG[:900])) == (wrap is stored)
    assert fed(b"head" + outer(wrap(LONG + WORD + LONG[:900]) + b"tail")) == (CANARY.name, False)
    assert fed(b"head" + outer(wrap(LONG) + b"tail")) == ("", False)


@pytest.mark.parametrize("wrap", [gzip.compress, zstd, zipped])
@pytest.mark.parametrize("cut", [1, 2, 3, 7, 31])
def test_a_frame_is_opened_wherever_its_bytes_are_cut(wrap: Wrap, cut: int) -> None:
    assert fed(b"x" * 50 + wrap(LONG[:2_000] + WORD + LONG[:900]) + b"x" * 50, cut) == (CANARY.name, False)


def test_a_member_of_any_size_is_read() -> None:
    assert fed(zipped(bytes(65 << 20) + WORD)) == (CANARY.name, False)


def test_many_small_frames_are_all_read() -> None:
    frames = b"".join(gzip.compress(b"%d" % number) for number in range(2_000))
    assert fed(frames + gzip.compress(WORD)) == (CANARY.name, False)


def test_as_many_layers_as_are_opened_are_read() -> None:
    data = WORD + b"."
    for _ in range(LAYERS_MAX):
        data = gzip.compress(data)
    assert fed(data)[0] == CANARY.name


@pytest.mark.parametrize("wrap", [gzip.compress, zstd, zipped])
def test_a_frame_that_opens_to_too_much_is_told(wrap: Wrap, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "OPENED_BYTES_MAX", 2_000_000)
    assert fed(wrap(bytes(1_900_000) + WORD)) == (CANARY.name, False)
    large, one = wrap(bytes(1 << 28) + NUMBERS + WORD + NUMBERS), Stream(FINDER)
    assert [one.feed(large), one.closed] == ["", True]
    assert one.opened < 20_000_000  # it stops there


def test_bytes_that_begin_frames_without_end_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each begins a gzip whose stored block holds all that follow."""
    monkeypatch.setattr(stream, "OPENED_BYTES_MAX", 20_000_000)
    begin = b"\x1f\x8b\x08" + bytes(7) + b"\x00\xff\xff\x00\x00"
    assert fed(begin * 20_000) == ("", True)


@pytest.mark.parametrize("wrap", [gzip.compress, zstd, zipped])
def test_a_broken_frame_is_told_and_what_comes_before_is_read(wrap: Wrap) -> None:
    data = bytearray(wrap(os.urandom(300_000) + WORD + os.urandom(300_000)))
    middle = bytes(data[: len(data) * 3 // 4]) + b"\xff" * 2_000 + bytes(data[len(data) * 3 // 4 :])
    assert fed(middle)[0] == CANARY.name
    data = bytearray(wrap(NUMBERS))
    data[50_000:51_000] = b"\xff" * 1_000
    assert fed(bytes(data)) == ("", True)


@pytest.mark.parametrize("wrap", [gzip.compress, zstd, zipped])
def test_a_frame_that_is_cut_is_read_as_far_as_it_goes(wrap: Wrap) -> None:
    whole = wrap(LONG + WORD + os.urandom(300_000).hex().encode())
    assert fed(whole[: len(whole) * 3 // 4]) == (CANARY.name, False)


def test_a_member_that_is_not_deflated_is_told_and_a_closed_one_is_not() -> None:
    assert fed(zipped(LONG, zipfile.ZIP_BZIP2)) == ("", True)
    encrypted = bytearray(zipped(b"a" * 9_000))
    at = encrypted.index(b"PK\x03\x04", 4)
    struct.pack_into("<H", encrypted, at + 6, 1)
    assert fed(bytes(encrypted)) == ("", False)  # without its password nobody reads it


def test_bytes_that_look_like_a_frame_are_not_told() -> None:
    """Three bytes of sealed ones fall on the beginning of a gzip every sixteen megabytes."""
    assert fed(b"".join(b"\x1f\x8b\x08" + os.urandom(5_000) for _ in range(300))) == ("", False)
    assert fed(bz2.compress(LONG)) == ("", False)
    assert CHANCE_BYTES_MAX < 65_536


def test_what_a_closed_or_stored_member_holds_beside_is_told() -> None:
    """Such a member holds no bytes of its own: what breaks after it is not taken for a part of it."""
    broken = bytearray(gzip.compress(NUMBERS))
    broken[50_000:51_000] = b"\xff" * 1_000
    assert fed(stored(b"x") + bytes(broken)) == ("", True)
    assert fed(gzip.compress(LONG) + bytes(broken)) == ("", True)


def test_the_control_needs_each_kind_of_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    assert FINDER.works()
    for kind in list(stream._FRAMES):
        fewer = {one: by for one, by in stream._FRAMES.items() if one != kind}
        with monkeypatch.context() as patch:
            patch.setattr(stream, "_FRAMES", fewer | {kind: (_Blind, 100)})
            assert not FINDER.works()


class _Blind:
    """Opens nothing."""

    eof = False

    def decompress(self, _: object) -> bytes:
        return b""
