"""The sealer: from pending rows to cosigned checkpoints, with real Postgres, sites and witness."""

from __future__ import annotations

import asyncio

import pytest

from hygie.database.cluster import Dsns
from hygie.journal import merkle
from hygie.journal import sealer as sealer_module
from hygie.journal.checkpoint import verify_checkpoint, verify_cosignature
from hygie.journal.published import PublishedTree
from tests.unit.journal.stage import World, world


async def the_tree(made: World) -> PublishedTree:
    """The published tree, opened from the sites and compared with the database's leaves."""
    head = verify_checkpoint(await made.checkpoint_on("paris"), log_key=made.signer.key)
    tree = PublishedTree(made.sites, head)
    await tree.open()
    leaves = await made.leaves()
    assert head.root == merkle.root_of([merkle.leaf_hash(leaf) for leaf in leaves[: head.size]])
    assert [leaf async for _, some in tree.bundles(0, head.size) for leaf in some] == leaves[: head.size]
    return tree


def test_entries_are_indexed_published_signed_and_cosigned(database: Dsns) -> None:
    async def main() -> None:
        async with world(database) as made:
            sealer = made.sealer()
            assert await sealer.seal_once() == 0
            for count in (1, 254, 1, 1, 700, 2000):
                await made.append(count)
                assert await sealer.seal_once() == count
                note = await made.checkpoint_on("lyon")
                head = verify_checkpoint(note, log_key=made.signer.key)
                assert made.witness is not None
                verify_cosignature(note, witness_key=made.witness.key)
                assert sealer.status().cosigned_size == head.size == sealer.status().size
            tree = await the_tree(made)
            leaves = await made.leaves()
            for index in (0, 255, 256, 2956):
                proof = await tree.inclusion_proof(index)
                merkle.verify_inclusion(merkle.leaf_hash(leaves[index]), index, 2957, proof, tree.head.root)
            for old in (1, 255, 256, 257, 957, 2957):
                root = merkle.root_of([merkle.leaf_hash(leaf) for leaf in leaves[:old]])
                assert await tree.root_at(old) == root
                proof = await tree.consistency_proof(old)
                merkle.verify_consistency(old, 2957, root, tree.head.root, proof)
            assert await made.sql("SELECT * FROM hygie.journal_pending") == []

    asyncio.run(main())


def test_partial_tiles_go_when_full_ones_are_there(database: Dsns) -> None:
    async def main() -> None:
        async with world(database) as made:
            sealer = made.sealer()
            for count in (100, 100, 100):
                await made.append(count)
                await sealer.seal_once()
            await made.sites.drain(5)
            names = [name for name, _ in made.staged["paris"].inner.list("journal/tile/")]
            assert sorted(names) == [
                "journal/tile/0/000",
                "journal/tile/0/001.p/44",
                "journal/tile/1/000.p/1",
                "journal/tile/entries/000",
                "journal/tile/entries/001.p/44",
            ]

    asyncio.run(main())


def test_a_silent_witness_does_not_stop_the_journal_and_catches_up(database: Dsns) -> None:
    async def main() -> None:
        async with world(database) as made:
            assert made.witness is not None
            sealer = made.sealer()
            await made.append(5)
            await sealer.seal_once()
            address, made.witness.address = made.witness.address, str(made.folder / "nobody.sock")
            await made.append(400)
            await sealer.seal_once()
            assert (sealer.status().published_size, sealer.status().cosigned_size) == (405, 5)
            made.witness.address = address
            await made.append(1)
            await sealer.seal_once()
            assert sealer.status().cosigned_size == 406
            verify_cosignature(await made.checkpoint_on("paris"), witness_key=made.witness.key)

    asyncio.run(main())


def test_the_loop_seals_within_a_second(database: Dsns) -> None:
    async def main() -> None:
        async with world(database) as made:
            stop = asyncio.Event()
            sealer = made.sealer()
            running = asyncio.create_task(sealer.run(stop, interval_ms=100))
            for _ in range(5):
                await made.append(300)
            async with asyncio.timeout(10):
                while sealer.status().published_size < 1500:
                    await asyncio.sleep(0.02)
            stop.set()
            await running
            await the_tree(made)

    asyncio.run(main())


def test_a_lost_site_does_not_stop_the_journal_and_two_do(database: Dsns) -> None:
    async def main() -> None:
        async with world(database) as made:
            stop = asyncio.Event()
            sealer = made.sealer()
            made.staged["lille"].fail_reason = "away"
            running = asyncio.create_task(sealer.run(stop, interval_ms=50))
            await made.append(10)
            async with asyncio.timeout(10):
                while sealer.status().published_size < 10:
                    await asyncio.sleep(0.02)
            made.staged["lyon"].fail_reason = "away"
            await made.append(10)
            await asyncio.sleep(0.5)
            assert sealer.status().published_size == 10
            made.staged["lyon"].fail_reason = ""
            async with asyncio.timeout(20):
                while sealer.status().published_size < 20:
                    await asyncio.sleep(0.02)
            stop.set()
            await running
            await the_tree(made)

    asyncio.run(main())


def test_a_sealer_that_stands_by_takes_over_when_the_other_stops(
    database: Dsns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealer_module, "STANDBY_MS", 50)

    async def main() -> None:
        async with world(database) as made:
            stop, stop_other = asyncio.Event(), asyncio.Event()
            first = asyncio.create_task(made.sealer().run(stop_other, interval_ms=20))
            await made.append(5)
            await asyncio.sleep(0.3)
            standby = made.sealer()
            await standby.recover()
            await made.append(5)
            await asyncio.sleep(0.3)
            second = asyncio.create_task(standby.run(stop, interval_ms=20))
            await asyncio.sleep(0.2)
            stop_other.set()
            await first
            await made.append(5)
            async with asyncio.timeout(10):
                while standby.status().published_size < 15:
                    await asyncio.sleep(0.02)
            stop.set()
            await second
            assert (await the_tree(made)).head.size == 15

    asyncio.run(main())
