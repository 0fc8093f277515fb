"""A feed comes whole or not at all: wrong digests, cut files, bombs, depth and junk are refused by name."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hygie.patching import reading
from hygie.patching.errors import FeedDamagedError, FeedDigestError, FeedInvalidError
from hygie.patching.reading import FeedReader, check_digest
from hygie.patching.store import Feed, Shelf
from tests.unit.patching.feeds import lines, osv, sha256, tracker, zipped

GOOD = osv("PYSEC-1", "PyPI", "Django", {"introduced": "0"}, {"fixed": "2.0"})
DEEP = b"[" * 100_000
KEY = b"pypi//django"


def take(shelf: Shelf, content: bytes) -> list[Feed]:
    return shelf.take(io.BytesIO(content), sha256(content), 1_800_000_000_000)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "patching")


def test_three_shapes_fill_their_slots(shelf: Shelf) -> None:
    of_debian = osv("DSA-1", "Debian:12", "openssl", {"introduced": "0"})
    of_nobody = osv("GO-1", "Go", "x", {"introduced": "0"})
    assert [(one.slot, one.advisories) for one in take(shelf, zipped(GOOD, of_debian, of_nobody))] == [
        ("PyPI", 1), ("Debian", 1)
    ]  # fmt: skip
    assert [one.slot for one in take(shelf, lines(GOOD))] == ["PyPI"]
    told = tracker(openssl={"CVE-2026-1": {"bookworm": {"status": "open"}, "sid": {"status": "open"}}})
    [feed] = take(shelf, json.dumps(json.loads(told), indent=1).encode())
    assert (feed.slot, feed.releases) == ("tracker", ("bookworm", "sid"))


def test_what_was_kept_is_read_back_and_is_private(shelf: Shelf) -> None:
    [feed] = take(shelf, zipped(GOOD))
    [(key, advisory)] = shelf.advisories(feed, {KEY})
    assert (key, advisory.id, advisory.ranges) == (KEY, "PYSEC-1", ((("introduced", "0"), ("fixed", "2.0")),))
    assert list(shelf.advisories(feed, {b"pypi//other"})) == []
    assert all(path.stat().st_mode & 0o077 == 0 for path in (shelf.folder, *shelf.folder.iterdir()))
    shelf.keep_only([])
    with pytest.raises(FeedDamagedError):
        list(shelf.advisories(feed, {KEY}))


def test_a_kept_feed_that_was_exchanged_is_named(shelf: Shelf) -> None:
    [feed] = take(shelf, zipped(GOOD))
    [path] = shelf.folder.iterdir()
    [other] = take(shelf, lines(osv("PYSEC-2", "PyPI", "other", {"introduced": "0"})))
    [new] = [one for one in shelf.folder.iterdir() if one != path]
    path.write_bytes(new.read_bytes())
    with pytest.raises(FeedDamagedError):
        list(shelf.advisories(feed, {KEY}))
    assert other.content != feed.content


def bomb() -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.json", b" " * (reading.RECORD_BYTES_MAX + 2))
    return held.getvalue()


def lying() -> bytes:
    """A directory that claims to be small."""
    content = bytearray(zipped(GOOD))
    at = content.rfind(b"PK\x01\x02")
    content[at + 24 : at + 28] = (1).to_bytes(4, "little")
    return bytes(content)


def crowded() -> bytes:
    content = bytearray(zipped(GOOD))
    at = content.rfind(b"PK\x05\x06")
    content[at + 12 : at + 16] = (reading.DIRECTORY_BYTES_MAX + 1).to_bytes(4, "little")
    return bytes(content)


@pytest.mark.parametrize(
    "make",
    [
        lambda: b"", lambda: b"junk", lambda: zipped(GOOD)[:-30], lambda: zipped(GOOD)[:60], bomb, lying, crowded,
        lambda: DEEP, lambda: lines(GOOD) + b'{"id": "x", "affected": ' + DEEP, lambda: b'{"a": {"b": ' + DEEP,
        lambda: lines(GOOD)[:-20], lambda: lines(GOOD | {"id": "a\tb"}), lambda: lines(GOOD | {"affected": 3}),
        lambda: lines(osv("A-1", "PyPI", "a\tb", {"introduced": "0"})), lambda: lines(GOOD | {"id": None}),
        lambda: lines(osv("A-1", "Debian:12\n", "a", {"introduced": "0"})),
        lambda: tracker(**{"a\nb": {"CVE-1": {"sid": {"status": "open"}}}}),
        lambda: b'{"openssl": {"CVE-1": {"releases": {"sid": {"status": 3}}}}}', lambda: b'{"a": {}}',
        lambda: lines(osv("GO-1", "Go", "x", {"introduced": "0"})),
    ],
)  # fmt: skip
def test_what_does_not_hold_is_refused_and_nothing_is_left(shelf: Shelf, make: Callable[[], bytes]) -> None:
    [feed] = take(shelf, zipped(GOOD))
    before = sorted(shelf.folder.iterdir())
    with pytest.raises(FeedInvalidError):
        take(shelf, make())
    assert sorted(shelf.folder.iterdir()) == before
    assert len(list(shelf.advisories(feed, {KEY}))) == 1


def test_limits_count_what_comes_out(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, content in (("RECORDS_MAX", zipped(GOOD, GOOD | {"id": "B-1"})), ("TOTAL_BYTES_MAX", zipped(GOOD))):
        with monkeypatch.context() as patch:
            patch.setattr(reading, name, 1)
            with pytest.raises(FeedInvalidError):
                take(shelf, content)


def test_the_digest_is_checked_before_anything_is_read() -> None:
    content = zipped(GOOD)
    check_digest(io.BytesIO(content), f" {sha256(content).upper()}\n")
    for wrong in ("", sha256(b""), sha256(content)[:-1], "é" * 64):
        with pytest.raises(FeedDigestError):
            check_digest(io.BytesIO(content), wrong)


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=200),
        st.builds(
            lambda at, one: mutated(zipped(GOOD), at, one), st.integers(0, 5_000), st.binary(min_size=1, max_size=4)
        ),
    )
)
def test_junk_is_refused_or_read_and_nothing_else(content: bytes) -> None:
    try:
        list(FeedReader(io.BytesIO(content)).told())
    except FeedInvalidError:
        return


def mutated(content: bytes, at: int, put: bytes) -> bytes:
    at %= len(content)
    return content[:at] + put + content[at + len(put) :]
