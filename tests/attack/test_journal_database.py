"""Attacks on the journal through the database: rows deleted, reordered, back-dated, altered; sealers racing."""

from __future__ import annotations

import asyncio

import pytest

from hygie.base.actions import Action
from hygie.database.cluster import Dsns
from hygie.journal.entry import Entry
from hygie.journal.errors import JournalTamperedError, SealerFencedError
from hygie.journal.leaf import HEAD_BYTES, pack_head, read_head
from hygie.journal.reader import JournalReader
from hygie.verify.check import Verifier
from hygie.verify.source import Source
from tests.unit.journal.stage import OTHER_TENANT, TENANT, World, world
from tests.unit.journal.test_sealer import the_tree


def reader_of(made: World) -> JournalReader:
    return JournalReader(made.sites, made.keys, log_keys=[made.signer.key], database=made.database)


@pytest.mark.parametrize(
    ("attack", "named"),
    [
        ("DELETE FROM hygie.journal_entry WHERE index = 300", 300),
        ("DELETE FROM hygie.journal_entry WHERE index = 399", 399),
        ("DELETE FROM hygie.journal_entry", 0),
        (
            "UPDATE hygie.journal_entry SET leaf = (SELECT leaf FROM hygie.journal_entry WHERE index = 8)"
            " WHERE index = 7",
            7,
        ),
        ("UPDATE hygie.journal_entry SET index = index + 1000 WHERE index = 256", 256),
        ("UPDATE hygie.journal_entry SET leaf = set_byte(leaf, 31, get_byte(leaf, 31) # 1) WHERE index = 123", 123),
        ("UPDATE hygie.journal_entry SET at_ms = at_ms - 86400000 WHERE index = 200", 200),
        ("UPDATE hygie.journal_entry SET tenant_id = decode(repeat('ff', 16), 'hex') WHERE index = 21", 21),
        ("UPDATE hygie.journal_entry SET month = '2020-01' WHERE index IN (22, 23)", 22),
        ("UPDATE hygie.journal_entry SET kind = 'platform' WHERE index = 24", 24),
        ("UPDATE hygie.journal_entry SET kind = 'invalid', month = '', at_ms = 0 WHERE index IN (26, 25)", 25),
    ],
)
def test_a_row_deleted_moved_altered_or_backdated_is_named(database: Dsns, attack: str, named: int) -> None:
    async def main() -> None:
        async with world(database) as made:
            await made.append(400)
            await made.sealer().seal_once()
            assert await reader_of(made).check_rows() == 400
            await made.sql(attack)
            with pytest.raises(JournalTamperedError) as caught:
                await reader_of(made).check_rows()
            assert caught.value.facts["index"] == named
            report = await exported(made)
            assert report.entries == 400  # the published journal is whole all the same

    asyncio.run(main())


def test_what_waits_for_its_index_is_read_and_bytes_that_open_as_nothing_stop_no_one(database: Dsns) -> None:
    async def main() -> None:
        async with world(database) as made:
            own = made.entries(2, kind="administration")
            await made.writer.append_now([*own, *made.entries(1), *made.entries(1, OTHER_TENANT, "administration")])
            junk = pack_head("administration", TENANT, made.clock.now_ms()) + bytes(200)
            await made.sql("INSERT INTO hygie.journal_pending (leaf) VALUES (%s), (%s)", (junk, bytes(117)))
            assert await reader_of(made).waiting(TENANT, "administration") == own
            await made.sealer().seal_once()
            assert await reader_of(made).waiting(TENANT, "administration") == []

    asyncio.run(main())


async def exported(made: World) -> object:
    path = made.folder / "export"
    await reader_of(made).export(path)
    return Verifier(Source(path), log_key=made.signer.key).run()


@pytest.mark.parametrize(
    ("attack", "named"),
    [
        ("DELETE FROM hygie.journal_entry WHERE index = 15", 15),
        ("DELETE FROM hygie.journal_entry WHERE index = 19", 19),
        ("UPDATE hygie.journal_entry SET leaf = set_byte(leaf, 31, 0) WHERE index = 15", 10),
    ],
)
def test_rows_altered_before_they_are_published_are_never_signed(database: Dsns, attack: str, named: int) -> None:
    """The sealer dies after it indexed 10 entries; somebody alters one before the next sealer publishes it."""

    async def main() -> None:
        async with world(database) as made:
            await made.append(10)
            await made.sealer().seal_once()
            await made.append(10)
            with pytest.raises(Killed):
                await made.sealer(on_step=killer("moved")).seal_once()
            await made.sql(attack)
            with pytest.raises(JournalTamperedError) as caught:
                await made.sealer().seal_once()
            assert caught.value.facts["index"] == named
            assert (await reader_of(made).checkpoint())[0].size == 10

    asyncio.run(main())


def test_a_head_that_was_altered_is_not_signed(database: Dsns) -> None:
    async def main() -> None:
        async with world(database) as made:
            await made.append(10)
            await made.sealer().seal_once()
            await made.sql("UPDATE hygie.journal_head SET root = decode(repeat('00', 32), 'hex')")
            with pytest.raises(JournalTamperedError):
                await made.sealer().seal_once()

    asyncio.run(main())


def test_two_sealers_racing_one_wins_and_nothing_is_lost_or_doubled(database: Dsns) -> None:
    async def main() -> None:
        async with world(database) as made:
            first, second = made.sealer(), made.sealer()
            await first.recover()
            await second.recover()
            await made.append(30)
            outcomes = await asyncio.gather(first.seal_once(), second.seal_once(), return_exceptions=True)
            assert sorted(map(str, map(type, outcomes))) == sorted(map(str, (int, SealerFencedError)))
            await made.append(30)
            loser = first if isinstance(outcomes[0], SealerFencedError) else second
            assert await loser.seal_once() == 30  # it recovers, and is the sealer now
            with pytest.raises(SealerFencedError):
                await (second if loser is first else first).seal_once()
            assert (await the_tree(made)).head.size == 60
            assert len(set(await made.leaves())) == 60

    asyncio.run(main())


def test_two_sealer_loops_share_the_work_without_a_fork(database: Dsns) -> None:
    async def main() -> None:
        async with world(database) as made:
            stop = asyncio.Event()
            loops = [asyncio.create_task(made.sealer().run(stop, interval_ms=20)) for _ in range(2)]
            for _ in range(10):
                await made.append(20)
                await asyncio.sleep(0.03)
            async with asyncio.timeout(20):
                while await made.sql("SELECT count(*) FROM hygie.journal_pending") != [(0,)]:
                    await asyncio.sleep(0.05)
            stop.set()
            await asyncio.gather(*loops)
            assert (await the_tree(made)).head.size == 200

    asyncio.run(main())


def test_a_backdated_entry_is_reported_with_its_index(database: Dsns) -> None:
    """Whoever holds the month key may add an entry, but not under an earlier index: its date betrays it."""

    async def main() -> None:
        async with world(database) as made:
            await made.append(50)
            at_ms = made.clock.now_ms() - 86_400_000
            forged = Entry(Action.HABILITATION_GRANT, "done", "administration", at_ms, TENANT)
            await made.writer.append_now([forged])
            await made.append(50)
            await made.sealer().seal_once()
            report = await exported(made)
            assert [index for index, _ in report.backdated] == [50]  # type: ignore[attr-defined]

    asyncio.run(main())


def test_bytes_that_are_no_entry_do_not_stop_the_journal(database: Dsns) -> None:
    async def main() -> None:
        async with world(database) as made:
            await made.append(5)
            async with made.hosting.transaction() as connection:
                await connection.execute(b"INSERT INTO hygie.journal_pending (leaf) VALUES (repeat('x', 200)::bytea)")
            await made.append(5)
            await made.sealer().seal_once()
            assert (await the_tree(made)).head.size == 11
            assert await made.sql("SELECT index FROM hygie.journal_entry WHERE kind = 'invalid'") == [(5,)]
            assert len(await reader_of(made).search(TENANT, "2026-11")) == 10
            assert await reader_of(made).check_rows() == 11  # what is no entry is called so

    asyncio.run(main())


def test_a_head_without_a_body_is_no_entry_and_stops_no_search(database: Dsns) -> None:
    """Whoever may add to the journal and holds no month key writes heads as it likes, and no body that opens."""

    async def main() -> None:
        async with world(database) as made:
            await made.append(5)
            planted = pack_head("administration", TENANT, made.clock.now_ms()) + b"HYS1\0" + bytes(200)
            async with made.hosting.transaction() as connection:
                await connection.execute("INSERT INTO hygie.journal_pending (leaf) VALUES (%s)", (planted,))
            await made.append(5)
            await made.sealer().seal_once()
            reader = reader_of(made)
            assert len(await reader.search(TENANT, "2026-11")) == 10
            opened = [await reader.open(index, leaf) async for index, leaf in reader.entries()]
            assert [one.index for one in opened if one.foreign] == [5]
            assert opened[5].head.kind == "invalid"  # nothing of it is believed
            await made.sql("UPDATE hygie.journal_entry SET leaf = set_byte(leaf, 150, 1) WHERE index = 5")
            with pytest.raises(JournalTamperedError):  # that one was changed after it was published
                await reader.search(TENANT, "2026-11")

    asyncio.run(main())


def test_a_destroyed_month_key_hides_the_body_and_keeps_the_proof(database: Dsns) -> None:
    async def main() -> None:
        async with world(database) as made:
            await made.append(20)
            await made.append(10, OTHER_TENANT)
            await made.append(10, TENANT, "administration")
            await made.sealer().seal_once()
            reader = reader_of(made)
            assert len(await reader.search(TENANT, "2026-11", account="account-3")) == 2
            made.keys.destroyed.add((TENANT, "access", "2026-11"))
            assert len(await reader.search(TENANT, "2026-11", account="account-3")) == 1
            found = await reader.search(TENANT, "2026-11", kinds=["access"])
            assert len(found) == 20
            assert {item.entry for item in found} == {None}
            assert (await exported(made)).entries == 40  # type: ignore[attr-defined]
            exported_again = await reader.export(made.folder / "again", disclose=True)
            assert exported_again.disclosed == 20
            assert await reader.search(OTHER_TENANT, "2020-01") == []

    asyncio.run(main())


def test_an_entry_of_a_month_that_has_no_key_is_foreign(database: Dsns) -> None:
    """Bytes that claim another century: the key service refuses to make a key for them."""

    async def main() -> None:
        async with world(database) as made:
            await made.append(1)
            await made.sealer().seal_once()
            reader = reader_of(made)
            (leaf,) = [leaf async for _, leaf in reader.entries()]
            forged = pack_head("access", TENANT, 0) + leaf[HEAD_BYTES:]
            made.keys.refused.add((TENANT, "access", "1970-01"))
            assert (await reader.open(0, forged)).foreign
            assert await reader.month_key_of(read_head(forged)) is None

    asyncio.run(main())


class Killed(BaseException):
    """The process died here."""


def killer(step: str):  # type: ignore[no-untyped-def]
    """A hook that kills at one step."""

    def hook(reached: str) -> None:
        if reached == step:
            raise Killed

    return hook
