"""Canaries: what is drawn, and what a search sees, follows and leaves for later."""

from __future__ import annotations

import asyncio
import base64
import gzip
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from hygie.base.permit import Place
from hygie.database.cluster import Dsns
from hygie.database.environments import create_environment_schema
from hygie.database.pool import Database
from hygie.gate.administration import Environment
from hygie.probes.canaries import places, stream
from hygie.probes.canaries.places import Files, Read, Rows, in_other_indexes
from hygie.probes.canaries.record import PER_ENVIRONMENT_MAX, Canary, draw
from hygie.probes.canaries.stream import Finder
from hygie.synthetic.patients import needles
from hygie.vault.tokens import BlindIndex

PROD = Environment("chu", "prod", "production", "open", Place(b"t" * 16, b"p" * 16, "hygie_env_31"))
TEST = Environment("chu", "test", "test", "open", Place(b"t" * 16, b"q" * 16, "hygie_env_32"))
KEY = bytes(range(32))
CANARY = draw(KEY, PROD, 0)
NOBODY = 65534


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
    assert finder.seek(wrap(b"nothing to see here")) == ""


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


@contextmanager
def without_root() -> Iterator[None]:
    """As an account that modes stop: root reads all."""
    own = os.geteuid()
    if own == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(own)


def test_a_folder_and_a_file_that_cannot_be_read_are_told() -> None:
    folder = Path(tempfile.mkdtemp(prefix="hygie-t-"))
    try:
        folder.chmod(0o755)
        for name in ("closed", "open"):
            (folder / name).mkdir()
            (folder / name / "inside").write_bytes(stored_values(CANARY)[0].encode())
        (folder / "shut").write_bytes(b"x")
        for name in ("closed", "shut"):
            (folder / name).chmod(0)
        files, finder = Files({"d": folder}, []), Finder([CANARY])
        with without_root():
            turns = [files.read(finder) for _ in range(2)]
        for turn in turns:
            assert sorted(turn.failed) == ["d/closed: PermissionError", "d/shut: PermissionError"]
            assert turn.found == [("d/open/inside", CANARY.name)]
    finally:
        (folder / "closed").chmod(0o755)
        shutil.rmtree(folder)


def test_a_folder_that_nobody_reaches_by_its_name_is_told(tmp_path: Path) -> None:
    """Deeper than the longest path that the system takes: root does not read it either."""
    at = os.open(tmp_path, os.O_RDONLY)
    for _ in range(18):
        os.mkdir("d" * 250, dir_fd=at)
        below = os.open("d" * 250, os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)
    (told,) = Files({"d": tmp_path}, []).read(Finder([CANARY])).failed
    assert told.startswith("d/ddd")
    assert told.endswith(": OSError")


def test_a_name_of_any_bytes_is_told_as_text(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff")).write_bytes(stored_values(CANARY)[0].encode())
    ((place, _),) = Files({"d": tmp_path}, []).read(Finder([CANARY])).found
    assert place == "d/\\udcff"


def test_an_archive_that_does_not_open_is_told_at_each_turn_until_it_changes(tmp_path: Path) -> None:
    path, finder, files = tmp_path / "left.zip", Finder([CANARY]), Files({"d": tmp_path}, [])
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("one", "two"):
            archive.writestr(name, b" ".join(b"%d" % number for number in range(3_000)))
    sound = path.read_bytes()
    path.write_bytes(sound[:500] + b"\xff" * 100 + sound[600:])
    first, second = files.read(finder), files.read(finder)
    assert (first.count, second.count) == (1, 0)
    for turn in (first, second):
        assert (turn.left, turn.closed, turn.found, turn.failed) == (1, ["d/left.zip"], [], [])
    path.write_bytes(sound)
    turn = files.read(finder)
    assert (turn.left, turn.closed) == (0, [])


def test_what_held_a_word_is_not_forgotten_for_want_of_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "old").write_bytes(stored_values(CANARY)[0].encode())
    files, finder = Files({"d": tmp_path}, []), Finder([CANARY])
    assert files.read(finder).found == [("d/old", CANARY.name)]
    (tmp_path / "new").write_bytes(b"x")
    monkeypatch.setattr(places, "FILES_S_MAX", -1.0)
    assert files.read(finder).found == [("d/old", CANARY.name)]


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
        turn = _with(dsns, lambda pool: rows.read(pool, finder))
        assert (turn.found, turn.left) == ([], 0)
        owner.execute("UPDATE hygie_env_31.notes SET kept = %s WHERE n = 44", (b"\x01" + word.upper().encode(),))
        assert _with(dsns, lambda pool: rows.read(pool, finder)).found == [("hygie_env_31.notes", CANARY.name)]
        assert _with(dsns, lambda pool: rows.read(pool, finder)).found == [("hygie_env_31.notes", CANARY.name)]
        owner.execute("DROP TABLE hygie_env_31.notes")
        assert _with(dsns, lambda pool: rows.read(pool, finder)).found == []
        # A table that the owner may not read is told, not passed over.
        owner.execute("CREATE TABLE hygie_env_31.closed (note text)")
        owner.execute("REVOKE ALL ON hygie_env_31.closed FROM hygie_owner")
        turn = _with(dsns, lambda pool: rows.read(pool, finder))
        assert (turn.failed, turn.left) == (["hygie_env_31.closed: 42501"], 1)
        owner.execute("DROP TABLE hygie_env_31.closed")


def test_no_table_waits_for_a_large_one_and_all_are_left_until_each_was_read_whole(
    dsns: Dsns, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a large table and a small one after it, one range a turn: what the bounds leave is never told as read."""
    monkeypatch.setattr(places, "PAGES_AT_ONCE", 2)
    monkeypatch.setattr(places, "ROWS_BYTES_MAX", 1)
    rows, finder = Rows(), Finder([CANARY])
    with psycopg.connect(dsns.owner, autocommit=True) as owner:
        owner.execute("CREATE TABLE hygie_env_31.aaa (note text)")
        owner.execute("INSERT INTO hygie_env_31.aaa SELECT repeat('x', 900) FROM generate_series(1, 2000)")
        owner.execute("CREATE TABLE hygie_env_32.zzz (note text)")
        found = owner.execute(
            "SELECT count(*), sum((greatest(pg_relation_size(c.oid) / 8192, 1) + 1) / 2)::int FROM pg_class c"
            " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND n.nspname !~ '^(pg_|information)'"
        ).fetchone()
        assert found is not None
        tables, ranges = found
        assert ranges > tables + 100

        def turns(number: int) -> list[Read]:
            return [_with(dsns, lambda pool: rows.read(pool, finder)) for _ in range(number)]

        assert all(one.left for one in turns(tables))  # one range of each: the large one is left
        owner.execute("INSERT INTO hygie_env_32.zzz VALUES (%s)", (stored_values(CANARY)[1],))
        assert [one.found for one in turns(tables + 1) if one.found][:1] == [[("hygie_env_32.zzz", CANARY.name)]]
        owner.execute("DELETE FROM hygie_env_32.zzz")
        monkeypatch.setattr(places, "ROWS_BYTES_MAX", 300_000)
        left = [one.left for one in turns(20)]
        assert left[0] == 1
        assert left[-1] == 0
        monkeypatch.setattr(places, "ROWS_BYTES_MAX", 1)
        assert [one.left for one in turns(3)] == [0, 0, 0]  # what was read whole stays so while it is read again
        rows.forget()
        assert turns(1)[0].left == tables - 1
        owner.execute("DROP TABLE hygie_env_31.aaa")
        owner.execute("DROP TABLE hygie_env_32.zzz")


def test_a_row_whose_frame_does_not_open_leaves_its_table_unread(dsns: Dsns, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "OPENED_BYTES_MAX", 300_000)
    rows, finder = Rows(), Finder([CANARY])
    with psycopg.connect(dsns.owner, autocommit=True) as owner:
        owner.execute("CREATE TABLE hygie_env_31.notes (kept bytea)")
        owner.execute("INSERT INTO hygie_env_31.notes VALUES (%s)", (gzip.compress(bytes(20_000_000)),))
        for _ in range(2):
            turn = _with(dsns, lambda pool: rows.read(pool, finder))
            assert (turn.left, turn.closed, turn.failed) == (1, ["hygie_env_31.notes"], [])
        owner.execute("DROP TABLE hygie_env_31.notes")
        assert _with(dsns, lambda pool: rows.read(pool, finder)).left == 0


def test_a_table_that_was_read_whole_is_left_as_soon_as_a_part_of_it_does_not_open(
    dsns: Dsns, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not when its reading ends, hours later."""
    monkeypatch.setattr(places, "PAGES_AT_ONCE", 2)
    monkeypatch.setattr(stream, "OPENED_BYTES_MAX", 300_000)
    rows, finder = Rows(), Finder([CANARY])
    with psycopg.connect(dsns.owner, autocommit=True) as owner:
        owner.execute("CREATE TABLE hygie_env_31.notes (kept bytea, note text)")
        many = "INSERT INTO hygie_env_31.notes SELECT '', repeat('x', 900) FROM generate_series(1, 900)"
        owner.execute(many)
        assert _with(dsns, lambda pool: rows.read(pool, finder)).left == 0
        owner.execute("TRUNCATE hygie_env_31.notes")
        owner.execute("INSERT INTO hygie_env_31.notes VALUES (%s)", (gzip.compress(bytes(20_000_000)),))
        owner.execute(many)
        monkeypatch.setattr(places, "ROWS_BYTES_MAX", 1)
        turns = [_with(dsns, lambda pool: rows.read(pool, finder)) for _ in range(200)]
        first = next(at for at, turn in enumerate(turns) if turn.closed)
        assert {turn.left for turn in turns[:first]} <= {0}
        assert {turn.left for turn in turns[first:]} == {1}
        owner.execute("DROP TABLE hygie_env_31.notes")


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
