"""T-44: whoever edits, removes, reorders, cuts or back-dates what the database holds of evidence and registers is found
by ``hygie evidence verify`` and ``hygie register verify``, and the place is named.

He owns the database: he rewrites any row and any column, chains the logs again or not, moves their heads, notes holes.
The journal, which others cosigned, is beyond him. ``HYGIE_STORE_ATTACKS`` sets how many forgeries are drawn,
``HYGIE_SEED`` from which seed.
"""

from __future__ import annotations

import asyncio
import os
import random
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psycopg

from hygie.base.errors import HygieError, IntegrityError
from hygie.database.cluster import Dsns
from hygie.logkeeping import LogWatch, hold
from hygie.segments.rows import head_of
from tests.attack.dossier_forger import Story
from tests.attack.test_dossier import BATCHES, _forged, _rewrite
from tests.unit.proof.dossier.stage import opened, story

ATTACKS = int(os.environ.get("HYGIE_STORE_ATTACKS", "120"))
SEED = int(os.environ.get("HYGIE_SEED", "44"))
WRITES = 5  # of the story
TABLES = ("catalogue", "batch", "run", "record", "head")  # in the order in which rows refer to one another
Connection = psycopg.Connection[tuple[object, ...]]
Cursor = psycopg.Cursor[tuple[object, ...]]
Spoil = Callable[[Cursor, random.Random], int]
"""Changes rows as their owner can, chain or no chain. Returns the number of the batch to be named, 0: any."""


def edit_column(cursor: Cursor, draw: random.Random) -> int:
    """What is searched says another thing than what is hashed."""
    batch, place = _a_run(cursor, draw)
    change = draw.choice(
        (
            "verdict = CASE verdict WHEN 'satisfied' THEN 'unsatisfied' ELSE 'satisfied' END",
            "evidence = 'attested'",
            "check_id = check_id || '.x'",
            *(f"{name} = {name} - {draw.choice((1, 1_000, 86_400_000))}" for name in ("at_ms", "since_ms")),
            f"fresh_until_ms = fresh_until_ms + {draw.choice((1, 60_000, 86_400_000))}",
        )
    )
    cursor.execute(f"UPDATE hygie_proof.run SET {change} WHERE (batch, place) = (%s, %s)".encode(), (batch, place))
    return batch


def move_place(cursor: Cursor, draw: random.Random) -> int:
    """A run after the others, or further after them."""
    batch, place = _a_run(cursor, draw)
    cursor.execute("UPDATE hygie_proof.run SET place = 1000 WHERE (batch, place) = (%s, %s)", (batch, place))
    return batch


def remove_run(cursor: Cursor, draw: random.Random) -> int:
    batch, place = _a_run(cursor, draw)
    cursor.execute("DELETE FROM hygie_proof.run WHERE (batch, place) = (%s, %s)", (batch, place))
    if draw.random() < 0.5:
        cursor.execute("UPDATE hygie_proof.batch SET count = count - 1 WHERE seq = %s", (batch,))
    return batch


def edit_count(cursor: Cursor, draw: random.Random) -> int:
    batch, _ = _a_run(cursor, draw)
    step = draw.choice((1, 2, 100))
    cursor.execute("UPDATE hygie_proof.batch SET count = count + %s WHERE seq = %s", (step, batch))
    return batch


def edit_catalogue(cursor: Cursor, draw: random.Random) -> int:
    word, other = draw.choice((("rssi", "dpo"), ("600.0", "900.0"), ("3600.0", "36000.0"), ("a.one", "a.two")))
    cursor.execute("UPDATE hygie_proof.catalogue SET body = replace(body, %s, %s)", (word, other))
    return 1


def date_catalogue(cursor: Cursor, draw: random.Random) -> int:
    step = draw.choice((-1, 1)) * draw.choice((1, 60_000, 86_400_000))
    cursor.execute("UPDATE hygie_proof.catalogue SET at_ms = at_ms + %s", (step,))
    return 1


def move_head(cursor: Cursor, draw: random.Random) -> int:
    """Where a log ends: a number, an instant, a digest."""
    change = draw.choice(
        (
            f"seq = {draw.randrange(WRITES)}",
            f"seq = seq + {draw.choice((1, 2, 50))}",
            f"at_ms = at_ms + {draw.choice((-86_400_000, -1, 1, 86_400_000))}",
            "digest = set_byte(digest, 3, get_byte(digest, 3) # 1)",
        )
    )
    log = draw.choice(("batches", "records"))
    cursor.execute(f"UPDATE hygie_proof.head SET {change} WHERE log = '{log}'".encode())
    return 0


def call_lost(cursor: Cursor, draw: random.Random) -> int:
    """Removed, and noted as a rebuild notes what it did not find."""
    first = draw.randrange(1, BATCHES + 1)
    last = draw.randrange(first, BATCHES + 1)
    cursor.execute(
        "INSERT INTO hygie_proof.hole SELECT 'batches', %s, seq, digest FROM hygie_proof.batch WHERE seq = %s",
        (first, last),
    )
    cursor.execute("DELETE FROM hygie_proof.run WHERE batch BETWEEN %s AND %s", (first, last))
    cursor.execute("DELETE FROM hygie_proof.batch WHERE seq BETWEEN %s AND %s", (first, last))
    return 0


def remove_write(cursor: Cursor, draw: random.Random) -> int:
    cursor.execute("DELETE FROM hygie_proof.record WHERE seq = %s", (draw.randrange(1, WRITES + 1),))
    return 0


SPOILS: tuple[Spoil, ...] = (
    *(edit_column, move_place, remove_run, edit_count, edit_catalogue, date_catalogue),
    *(move_head, call_lost, remove_write),
)


def _a_run(cursor: Cursor, draw: random.Random) -> tuple[int, int]:
    cursor.execute("SELECT batch, place FROM hygie_proof.run ORDER BY batch, place")
    batch, place = draw.choice(cursor.fetchall())
    return int(str(batch)), int(str(place))


def test_forgeries_of_the_store_are_all_found_and_named(database: Dsns, tmp_path: Path) -> None:
    draw = random.Random(SEED)
    kinds: Counter[str] = Counter()
    missed: list[str] = []

    async def main() -> None:
        async with opened(database, tmp_path) as place:
            await story(place, BATCHES)
            await place.dossier("true.zip")
            with zipfile.ZipFile(tmp_path / "true.zip") as file:
                true = Story.of({name: file.read(name) for name in file.namelist()})
            owner = psycopg.connect(place.house.dsns.owner, options="-c synchronous_commit=off")
            owner.execute(_KEEP.encode())
            watch = LogWatch(place.house, place.records)
            await watch.follow()
            assert await named(watch) is None  # what was not touched is whole
            for rank in range(ATTACKS):
                what, batch = await asyncio.to_thread(_attack, owner, place.house.dsns.owner, true, draw)
                found = await named(watch)
                if found is None or not any(found.facts.get(name) for name in ("batch", "seq", "numbers")):
                    missed.append(f"{rank}: {what}")
                elif batch and found.facts.get("batch", batch) != batch:
                    missed.append(f"{rank}: {what}: {found.facts}, batch {batch}")
                else:
                    kinds[f"{found.code} {found.facts.get('reason', '')}"] += 1
            owner.execute(_PUT_BACK.encode())
            owner.commit()
            owner.close()
            assert await named(watch) is None

    asyncio.run(main())
    assert missed == []
    assert len(kinds) > 5  # many ways to be found


def test_an_evaluation_that_was_planted_is_named_though_the_log_goes_on_after_it(
    database: Dsns, tmp_path: Path
) -> None:
    async def main() -> None:
        async with opened(database, tmp_path) as place:
            await story(place, BATCHES)
            await place.evaluate(1, first=40)  # chained, with columns and head: only its entry of the journal goes
            await place.sql("DELETE FROM hygie.journal_pending")
            for _ in range(2):
                watch = LogWatch(place.house, place.records)
                await watch.follow()
                found = await named(watch)
                assert found is not None
                assert found.facts == {"log": "batches", "numbers": f"+ {BATCHES + 1}"}
                await place.evaluate(1, first=41)
                await place.seal()

    asyncio.run(main())


async def named(watch: LogWatch) -> HygieError | None:
    """What the two verifications refuse, by its place; None: nothing."""
    for log in ("batches", "records"):
        try:
            async with watch.records.transaction() as connection:
                head = await head_of(connection, log)
            verified = await hold(watch, log, "local:anne", head.seq)
        except IntegrityError as error:
            return error
        assert verified.declared == []
    return None


def _attack(owner: Connection, dsn: str, true: Story, draw: random.Random) -> tuple[str, int]:
    """Put the true rows back, then change them. Returns what was done, and the batch to be named, 0: any."""
    while True:
        owner.execute(_PUT_BACK.encode())
        owner.commit()
        if draw.random() < 0.5:
            what, forged = _forged(true, draw)
            if _rewrite(dsn, forged):
                return what, 0
            continue
        spoil = draw.choice(SPOILS)
        try:
            with owner.transaction(), owner.cursor() as cursor:
                return spoil.__name__, spoil(cursor, draw)
        except psycopg.errors.IntegrityError:
            continue  # the database itself refuses
        finally:
            owner.commit()


_KEEP = "; ".join(f"CREATE TABLE public.kept_{one} AS SELECT * FROM hygie_proof.{one}" for one in TABLES)
_PUT_BACK = "; ".join(
    (
        "DELETE FROM hygie_proof.hole",
        *(f"DELETE FROM hygie_proof.{one}" for one in reversed(TABLES)),
        *(f"INSERT INTO hygie_proof.{one} SELECT * FROM public.kept_{one}" for one in TABLES),
    )
)
