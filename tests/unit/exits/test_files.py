"""Files that only the client opens: encrypted as they come, cut in parts, counted when they are read again."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
import json
import threading
from pathlib import Path

import pyrage
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hygie.exits import parts, sealed
from hygie.exits.errors import ExportDamagedError, IdentityRefusedError, RecipientRefusedError
from hygie.exits.parts import Parts
from hygie.exits.reading import Tally
from hygie.exits.sealed import SealedFolder, parse_recipients
from hygie.exits.traces import TABLE
from hygie.exits.verifying import read_identities

OWN = pyrage.x25519.Identity.generate()


def recipients() -> list[object]:
    return parse_recipients([str(OWN.to_public())])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.binary(max_size=200_000), max_size=6))
def test_pieces_come_back_as_one(tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes]) -> None:
    path = tmp_path_factory.mktemp("sealed") / "out"

    async def main() -> None:
        folder = SealedFolder(path, recipients())
        stream = folder.stream("a/b")
        for piece in pieces:
            await stream.write(piece)
        await stream.close()
        await folder.close()

    asyncio.run(main())
    clear = pyrage.decrypt((path / "a" / "b.age").read_bytes(), [OWN])
    assert clear == b"".join(pieces)
    listed = pyrage.decrypt((path / "contents.sha256.age").read_bytes(), [OWN]).decode()
    assert listed == f"{hashlib.sha256(clear).hexdigest()}  a/b\n"
    sums = dict(reversed(line.split("  ")) for line in (path / "SHA256SUMS").read_text().splitlines())
    assert sums == {name: hashlib.sha256((path / name).read_bytes()).hexdigest() for name in sums}
    assert set(sums) == {"a/b.age", "contents.sha256.age"}


def test_an_export_that_stops_half_way_leaves_no_file_and_no_thread(tmp_path: Path) -> None:
    before = threading.active_count()

    async def main() -> None:
        folder = SealedFolder(tmp_path / "out", recipients())
        await folder.add("done", b"x" * 100_000)
        stream = folder.stream("half")
        await stream.write(b"y" * 100_000)
        await asyncio.to_thread(folder.abort)

    asyncio.run(main())
    assert list((tmp_path / "out").iterdir()) == []
    assert threading.active_count() <= before + 1


def test_a_file_that_is_given_up_leaves_nothing_and_the_others_go_on(tmp_path: Path) -> None:
    async def main() -> None:
        folder = SealedFolder(tmp_path / "out", recipients())
        for rank in range(12):  # more than there are threads: each is given back
            stream = folder.stream(f"part/{rank}")
            await stream.write(b"x" * 300_000 * (rank % 3))
            await asyncio.to_thread(folder.drop, stream)
        await folder.add("kept", b"y")
        await folder.close()

    asyncio.run(asyncio.wait_for(main(), 30))
    names = {path.name for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert names == {"SHA256SUMS", "contents.sha256.age", "kept.age"}


def test_a_full_disk_is_said_as_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: object, data: bytes) -> int:
        self.failure = OSError(28, "No space left on device")  # type: ignore[attr-defined]
        raise self.failure  # type: ignore[attr-defined]

    async def main() -> None:
        folder = SealedFolder(tmp_path / "out", recipients())
        monkeypatch.setattr(sealed._Hashed, "write", full)
        try:
            with pytest.raises(OSError, match="No space left"):
                await folder.add("a", b"x" * 10_000_000)
        finally:
            await asyncio.to_thread(folder.abort)

    asyncio.run(main())


@pytest.mark.parametrize("texts", [[], ["age1"], ["age1qqqq"], ["ssh-ed25519 nothing"], ["x"] * 9, [str(OWN)]])
def test_what_is_no_public_key_is_refused(texts: list[str]) -> None:
    with pytest.raises(RecipientRefusedError):
        parse_recipients(texts)
    one = str(OWN.to_public())
    with pytest.raises(RecipientRefusedError):
        parse_recipients([one, one])


@pytest.mark.parametrize("data", [b"", b"# only a comment\n", b"hello", b"\xff\xfe", b"a" * 70_000])
def test_what_is_no_private_key_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "key").write_bytes(data)
    with pytest.raises(IdentityRefusedError):
        read_identities(tmp_path / "key")
    with pytest.raises(IdentityRefusedError):
        read_identities(tmp_path / "absent")


def test_an_ssh_key_decrypts_too(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization as how
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(how.Encoding.PEM, how.PrivateFormat.OpenSSH, how.NoEncryption())
    (tmp_path / "id").write_bytes(private)
    public = key.public_key().public_bytes(how.Encoding.OpenSSH, how.PublicFormat.OpenSSH).decode()
    box = pyrage.encrypt(b"hello", parse_recipients([public]))
    assert pyrage.decrypt(box, read_identities(tmp_path / "id")) == b"hello"


def test_parts_are_cut_at_their_size_and_the_largest_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PART_BYTES", 1_000)
    monkeypatch.setattr(parts, "WAITING_BYTES_MAX", 1_500)
    saved: dict[str, bytes] = {}

    async def save(name: str, data: bytes) -> None:
        assert name not in saved
        saved[name] = data

    async def main() -> None:
        some = Parts(save)
        for number in range(12):
            await some.line(("prod", "current", "Patient"), b"p%02d" % number + b"x" * 96)
            await some.line(("prod", "current", "Observation"), b"o%02d" % number + b"x" * 46)
        for number in range(250):
            await some.entry(("prod", "history", "Patient"), b'{"n":%d}' % number)
        await some.flush()

    asyncio.run(main())
    assert max(map(len, saved.values())) < 3_000
    lines = [line for name in sorted(saved) if "current/Patient" in name for line in saved[name].splitlines()]
    assert [line[:3] for line in lines] == [b"p%02d" % number for number in range(12)]
    bundles = [json.loads(line) for name in sorted(saved) if "history" in name for line in saved[name].splitlines()]
    assert max(len(one["entry"]) for one in bundles) <= 100
    assert [entry["n"] for one in bundles for entry in one["entry"]] == list(range(250))


def test_a_bundle_of_history_holds_a_hundred_entries() -> None:
    saved: list[bytes] = []

    async def save(_: str, data: bytes) -> None:
        saved.append(data)

    async def main() -> None:
        some = Parts(save)
        for number in range(250):
            await some.entry(("prod", "history", "Patient"), b'{"n":%d}' % number)
        await some.flush()

    asyncio.run(main())
    assert [len(json.loads(line)["entry"]) for data in saved for line in data.splitlines()] == [100, 100, 50]


@given(st.lists(st.lists(st.text(max_size=8), min_size=1, max_size=4), max_size=8), st.integers(1, 7))
def test_rows_are_counted_as_csv_reads_them(rows: list[list[str]], step: int) -> None:
    held = io.StringIO()
    csv.writer(held).writerows([["head"], *rows])
    data = held.getvalue().encode("utf-8", "surrogatepass")
    tally = Tally()
    tally.begin(TABLE)
    for start in range(0, len(data), step):
        tally.take(data[start : start + step])
    tally.end(TABLE, "", len(data))
    assert tally.rows(TABLE) == len(rows)


PATIENT = b'{"resourceType":"Patient","id":"p","meta":{"versionId":"1","lastUpdated":"2026-01-01T00:00:00.000Z"}}\n'


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("prod/current/Observation.00001.ndjson", PATIENT, "of another type"),
        ("prod/current/Patient.00001.ndjson", PATIENT * 2, "there twice"),
        ("prod/current/Patient.00001.ndjson", PATIENT[:-1], "last line is cut"),
        ("prod/current/Patient.00001.ndjson", b"{}\n", "not what it should be"),
        ("prod/current/Patient.00001.ndjson", b"\xff\xff\n", "not what it should be"),
        ("prod/history/Patient.00001.ndjson", PATIENT, "not what it should be"),
        ("prod/history/Patient.00001.ndjson", b'{"resourceType":"Bundle","type":"batch","entry":[]}\n', "no Bundle"),
        ("../../etc/passwd", b"", "no file of the format"),
        ("prod/current/Patient.ndjson", b"", "no file of the format"),
    ],
)
def test_a_line_that_is_not_what_it_should_be_names_its_file(name: str, data: bytes, words: str) -> None:
    def read() -> None:
        tally = Tally()
        tally.begin(name)
        for start in range(0, len(data), 10):
            tally.take(data[start : start + 10])
        tally.end(name, "", len(data))

    with pytest.raises(ExportDamagedError) as caught:
        read()
    assert words in str(caught.value)
    assert name in str(caught.value)
