"""Canaries: what is drawn, and what a search sees, follows and leaves for later."""

from __future__ import annotations

import asyncio
import base64
import gzip
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from hygie.base.permit import Place
from hygie.database.cluster import Dsns
from hygie.database.environments import create_environment_schema
from hygie.database.pool import Database
from hygie.gate.administration import Environment
from hygie.probes.canaries import places
from hygie.probes.canaries.places import Files, Finder, Read, Rows, in_other_indexes
from hygie.probes.canaries.record import PER_ENVIRONMENT_MAX, Canary, draw
from hygie.synthetic.patients import needles
from hygie.vault.tokens import BlindIndex

PROD = Environment("chu", "prod", "production", "open", Place(b"t" * 16, b"p" * 16, "hygie_env_31"))
TEST = Environment("chu", "test", "test", "open", Place(b"t" * 16, b"q" * 16, "hygie_env_32"))
KEY = bytes(range(32))
CANARY = draw(KEY, PROD, 0)


def test_a_canary_is_drawn_from_its_key_and_its_number_alone() -> None:
    assert draw(KEY, PROD, 0) == CANARY
    many = [draw(key, PROD, number) for key in (KEY, bytes(32)) for number in range(PER_ENVIRONMENT_MAX)]
    words = [word for one in many for word in (*one.words, one.id)]
    assert len(set(words)) == len(words)
    assert all(len(word) == 20 and word.isalpha() and word.islower() for one in many for word in one.words)
    assert "canar" not in str(CANARY.resource).lower()
    assert "hygie" not in str(CANARY.resource).lower()


def stored_values(canary: Canary) -> list[str]:
    """Its words as the record has them, one value each."""
    (name,), (address,), (telecom,) = (canary.resource[one] for one in ("name", "address", "telecom"))
    return [name["family"], *name["given"], *address["line"], telecom["value"]]


def test_its_terms_are_those_of_its_words_only() -> None:
    terms = CANARY.terms()
    assert len(terms) >= len(CANARY.words)
    assert not set(terms) & set(draw(KEY, PROD, 1).terms())
    assert not [term for term in terms if "1900" in term]


@pytest.mark.parametrize("wrap", [bytes, gzip.compress, lambda data: os.urandom(9) + gzip.compress(data * 50)])
def test_every_word_is_seen_and_named(wrap: Callable[[bytes], bytes]) -> None:
    other = draw(KEY, TEST, 3)
    finder = Finder([CANARY, other])
    assert finder.works()
    for canary in (CANARY, other):
        for needle in needles(canary.words):
            assert finder.seek(wrap(b".." + needle + b"..")) == canary.name
        for stored in stored_values(canary):
            for encoding in ("utf-8", "latin-1", "utf-16-le"):
                assert finder.seek(wrap(b".." + stored.encode(encoding) + b"..")) == canary.name, stored
            assert finder.seek(wrap(base64.b64encode(b"..." + stored.encode() + b"..."))) == canary.name, stored
    assert finder.seek(wrap(b"nothing to see here")) is None


def test_files_are_read_when_they_change_and_again_while_they_hold_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "packs").mkdir()
    (tmp_path / "sealed").mkdir()
    (tmp_path / "logs").mkdir()
    leak = stored_values(CANARY)[2].encode()
    for name in ("packs/a", "sealed/a"):
        (tmp_path / name).write_bytes(leak)
    for number in range(5):
        (tmp_path / "logs" / f"{number}").write_bytes(b"x" * 100)
    files, finder = Files({"data": tmp_path}, [tmp_path / "sealed"]), Finder([CANARY])
    first = files.read(finder)
    assert (first.count, first.found, first.left) == (5, [], 0)
    assert files.read(finder).count == 0
    (tmp_path / "logs" / "3").write_bytes(b"y" * 100 + leak)
    assert files.read(finder).found == [("data/logs/3", CANARY.name)]
    assert files.read(finder).found == [("data/logs/3", CANARY.name)]
    (tmp_path / "logs" / "3").unlink()
    assert files.read(finder).found == []
    files.forget()
    monkeypatch.setattr(places, "FILES_BYTES_MAX", 150)
    assert [files.read(finder).left for _ in range(3)] == [2, 0, 0]


def test_a_word_across_two_chunks_and_inside_an_archive_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "CHUNK_BYTES", 512)
    leak = stored_values(CANARY)[1].encode()
    for cut in range(1, len(leak)):
        (tmp_path / f"cut-{cut}").write_bytes(b"x" * (512 - cut) + leak + b"x" * 9)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("clean", b"x" * 2000)
        archive.writestr("leak", b"x" * 2000 + leak)
    (tmp_path / "no.zip").write_bytes(b"PK no archive " + leak)
    assert len(Files({"d": tmp_path}, []).read(Finder([CANARY])).found) == len(leak) - 1 + 2


def test_a_folder_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root reads all")
    (tmp_path / "closed").write_bytes(b"x")
    (tmp_path / "closed").chmod(0)
    assert Files({"d": tmp_path}, []).read(Finder([CANARY])).failed == ["d/closed: PermissionError"]


@pytest.fixture(scope="module")
def dsns(new_database: Callable[[], Dsns]) -> Dsns:
    made = new_database()
    for one in (PROD, TEST):
        asyncio.run(create_environment_schema(made.owner, one.place.role))
    return made


def _with(dsns: Dsns, act: Callable[[Database], object]) -> Read:
    async def main() -> Read:
        pool = Database(dsns.owner, size=1)
        await pool.open()
        try:
            return await act(pool)  # type: ignore[misc, no-any-return]
        finally:
            await pool.close()

    return asyncio.run(main())


def test_rows_are_read_by_parts_and_again_while_they_hold_a_word(dsns: Dsns, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "PAGES_AT_ONCE", 2)
    rows, finder, word = Rows(), Finder([CANARY]), CANARY.words[0]
    with psycopg.connect(dsns.owner, autocommit=True) as owner:
        owner.execute("CREATE TABLE hygie_env_31.notes (n int, kept bytea, note text)")
        owner.execute(
            "INSERT INTO hygie_env_31.notes SELECT n, '\\x00', repeat('x', 900) FROM generate_series(1, 60) n"
        )
        assert _with(dsns, lambda pool: rows.read(pool, finder)).found == []
        owner.execute("UPDATE hygie_env_31.notes SET kept = %s WHERE n = 44", (b"\x01" + word.upper().encode(),))
        monkeypatch.setattr(places, "ROWS_BYTES_MAX", 1)  # one part a table and a turn
        turns = [_with(dsns, lambda pool: rows.read(pool, finder)) for _ in range(12)]
        assert all(turn.left for turn in turns)
        monkeypatch.setattr(places, "ROWS_BYTES_MAX", 1 << 20)
        assert _with(dsns, lambda pool: rows.read(pool, finder)).found == [("hygie_env_31.notes", CANARY.name)]
        assert _with(dsns, lambda pool: rows.read(pool, finder)).found == [("hygie_env_31.notes", CANARY.name)]
        owner.execute("DROP TABLE hygie_env_31.notes")
        assert _with(dsns, lambda pool: rows.read(pool, finder)).found == []
        # A table that the owner may not read is told, not passed over.
        owner.execute("CREATE TABLE hygie_env_31.closed (note text)")
        owner.execute("REVOKE ALL ON hygie_env_31.closed FROM hygie_owner")
        assert _with(dsns, lambda pool: rows.read(pool, finder)).failed == ["hygie_env_31.closed: 42501"]
        owner.execute("DROP TABLE hygie_env_31.closed")


def test_another_environments_index_tells_by_its_own_tokens(dsns: Dsns) -> None:
    indexes = {
        one.place.role: BlindIndex(id_key=bytes(32), index_key=key * 32) for one, key in ((PROD, b"a"), (TEST, b"b"))
    }

    def found() -> list[tuple[str, str]]:
        return _with(dsns, lambda pool: in_other_indexes(pool, [CANARY], indexes)).found

    def index(owner: psycopg.Connection, role: str, canary: Canary, by: BlindIndex) -> None:
        statement = f"INSERT INTO {role}.object VALUES (%s, 1, 1, 'c', %s, 0, 1, 1, true, false, %s)"
        owner.execute(statement.encode(), (os.urandom(16), int.from_bytes(os.urandom(4)), by.numbers(canary.terms())))

    with psycopg.connect(dsns.owner, autocommit=True) as owner:
        index(owner, "hygie_env_31", CANARY, indexes["hygie_env_31"])  # at home
        index(owner, "hygie_env_32", draw(bytes(32), TEST, 0), indexes["hygie_env_32"])  # another one
        index(owner, "hygie_env_32", CANARY, indexes["hygie_env_31"])  # tokens of another key mean nothing there
        assert found() == []
        index(owner, "hygie_env_32", CANARY, indexes["hygie_env_32"])
        assert found() == [("index hygie_env_32", CANARY.name)]
