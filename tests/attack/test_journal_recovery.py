"""Crashes, lost memory and lies: whatever happens to the sealer, its database or a site, one history goes on."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable

import pytest

from hygie.base.actions import Action
from hygie.database.cluster import Dsns
from hygie.database.pool import Database
from hygie.journal.checkpoint import Checkpoint, note_text, signature_line, signed_note, verify_checkpoint
from hygie.journal.errors import (
    CheckpointInvalidError,
    JournalForkError,
    JournalUnavailableError,
    TileInvalidError,
    WitnessRefusedError,
)
from hygie.journal.reader import JournalReader
from hygie.journal.writer import JournalWriter
from tests.unit.journal.stage import LIMITS, World, start_witness, world
from tests.unit.journal.test_sealer import the_tree
from tests.unit.sites.stage import site_set, stage

STEPS = ("moving", "moved", "tiles", "signed", "cosigned", "shown")


class Killed(BaseException):
    """The process died here."""


def killer(step: str) -> Callable[[str], None]:
    def hook(reached: str) -> None:
        if reached == step:
            raise Killed

    return hook


async def swap_database(made: World, dsns: Dsns) -> None:
    """From now on the world's database is another one (a restored or an empty one)."""
    await made.database.close()
    await made.hosting.close()
    made.dsns = dsns
    made.database, made.hosting = Database(dsns.sealer, size=3), Database(dsns.hosting, size=2)
    await made.database.open()
    await made.hosting.open()
    made.writer = JournalWriter(made.hosting, made.keys, made.clock)


async def copy_journal(source: World, target: Dsns) -> None:
    """Yesterday's backup: the journal's tables as they are now, in another database."""
    import psycopg

    async with (
        await psycopg.AsyncConnection.connect(source.dsns.owner) as old,
        await psycopg.AsyncConnection.connect(target.owner) as new,
    ):
        await new.execute("DELETE FROM hygie.journal_head")
        for table in ("journal_pending (leaf)", "journal_head", "journal_entry"):
            columns = "" if "(" in table else " "
            async with (
                old.cursor().copy(f"COPY hygie.{table}{columns} TO STDOUT".encode()) as reading,
                new.cursor().copy(f"COPY hygie.{table}{columns} FROM STDIN".encode()) as writing,
            ):
                async for data in reading:
                    await writing.write(data)


async def gaps(made: World) -> list[dict[str, str]]:
    """The details of the gap entries of the published journal."""
    reader = JournalReader(made.sites, made.keys, log_keys=[made.signer.key])
    found = []
    async for index, leaf in reader.entries():
        entry = (await reader.open(index, leaf)).entry
        if entry is not None and entry.action is Action.JOURNAL_GAP:
            found.append(entry.detail)
    return found


@pytest.mark.parametrize("step", STEPS)
def test_a_sealer_killed_after_any_step_is_resumed(database: Dsns, step: str) -> None:
    async def main() -> None:
        async with world(database) as made:
            await made.append(250)
            await made.sealer().seal_once()
            await made.append(300)
            before = verify_checkpoint(await made.checkpoint_on("paris"), log_key=made.signer.key)
            with pytest.raises(Killed):
                await made.sealer(on_step=killer(step)).seal_once()
            await made.append(7)
            await made.sealer().seal_once()
            tree = await the_tree(made)
            assert tree.head.size == 557
            assert len(set(await made.leaves())) == 557
            assert await tree.root_at(before.size) == before.root
            assert await gaps(made) == []

    asyncio.run(main())


@pytest.mark.parametrize("step", STEPS)
def test_a_sealer_killed_at_its_first_batch_is_resumed(database: Dsns, step: str) -> None:
    async def main() -> None:
        async with world(database) as made:
            await made.append(10)
            with pytest.raises(Killed):
                await made.sealer(on_step=killer(step)).seal_once()
            await made.append(1)
            await made.sealer().seal_once()
            assert (await the_tree(made)).head.size == 11

    asyncio.run(main())


def test_postgres_lost_is_taken_back_from_the_sites(database: Dsns, new_database: Callable[[], Dsns]) -> None:
    async def main() -> None:
        async with world(database) as made:
            await made.append(600)
            await made.sealer().seal_once()
            before = await made.leaves()
            await swap_database(made, new_database())
            await made.append(3)
            await made.sealer().seal_once()
            assert (await made.leaves())[:600] == before
            assert (await the_tree(made)).head.size == 604
            assert await gaps(made) == [{"reason": "database-behind", "database_size": "0", "published_size": "600"}]
            assert (
                await JournalReader(
                    made.sites, made.keys, log_keys=[made.signer.key], database=made.database
                ).check_rows()
                == 604
            )

    asyncio.run(main())


def test_postgres_restored_to_yesterday_follows_the_published_journal(
    database: Dsns, new_database: Callable[[], Dsns]
) -> None:
    """The backup holds 300 indexed entries and 20 waiting ones, which were indexed and published since."""

    async def main() -> None:
        async with world(database) as made:
            await made.append(300)
            await made.sealer().seal_once()
            await made.append(20)
            yesterday = new_database()
            await copy_journal(made, yesterday)
            await made.append(230)
            await made.sealer().seal_once()
            head = (await the_tree(made)).head
            await swap_database(made, yesterday)
            await made.append(4)
            await made.sealer().seal_once()
            tree = await the_tree(made)
            assert tree.head.size == 300 + 250 + 4 + 1
            assert await tree.root_at(head.size) == head.root
            assert len(set(await made.leaves())) == 555
            assert [gap["database_size"] for gap in await gaps(made)] == ["300"]

    asyncio.run(main())


def test_postgres_restored_under_the_witness_alone_is_refused(database: Dsns, new_database: Callable[[], Dsns]) -> None:
    """Every site was put back to yesterday with the database: the witness remembers, nothing smaller is signed."""

    async def main() -> None:
        async with world(database) as made:
            await made.append(300)
            await made.sealer().seal_once()
            await made.sites.drain(5)
            yesterday = new_database()
            await copy_journal(made, yesterday)
            shutil.copytree(made.folder / "sites", made.folder / "old")
            await made.append(100)
            await made.sealer().seal_once()
            await made.sites.drain(5)
            await swap_database(made, yesterday)
            for name, staged in made.staged.items():
                for object_name, _ in list(staged.inner.list("")):
                    source = made.folder / "old" / name / object_name
                    if source.exists():
                        staged.inner.replace(object_name, source.read_bytes())
                    else:
                        staged.inner.delete(object_name)
            await made.append(150)
            with pytest.raises(TileInvalidError):  # the witness's tree is the journal, and no site holds it any more
                await made.sealer().seal_once()
            assert verify_checkpoint(await made.checkpoint_on("paris"), log_key=made.signer.key).size == 300

    asyncio.run(main())


def test_a_database_that_went_its_own_way_gives_its_entries_back(
    database: Dsns, new_database: Callable[[], Dsns]
) -> None:
    """Restored to yesterday, then other entries were indexed: the published journal wins, none is lost."""

    async def main() -> None:
        async with world(database) as made:
            await made.append(300)
            await made.sealer().seal_once()
            yesterday = new_database()
            await copy_journal(made, yesterday)
            stale = made.sealer()
            await stale.recover()
            await made.append(50)
            await made.sealer().seal_once()
            published = await made.leaves()
            await swap_database(made, yesterday)
            stale._database = made.database
            await made.append(80)
            stale._step = killer("moved")
            with pytest.raises(Killed):
                await stale.seal_once()
            await made.sealer().seal_once()
            tree = await the_tree(made)
            leaves = await made.leaves()
            assert leaves[:350] == published
            assert tree.head.size == 350 + 80 + 1 == len(set(leaves))
            assert [gap["requeued"] for gap in await gaps(made)] == ["80"]

    asyncio.run(main())


def test_an_old_checkpoint_replayed_on_sites_is_passed_over(database: Dsns) -> None:
    async def main() -> None:
        async with world(database) as made:
            await made.append(10)
            await made.sealer().seal_once()
            old = await made.checkpoint_on("paris")
            await made.append(10)
            await made.sealer().seal_once()
            await made.sites.drain(5)
            for name in ("paris", "lyon"):
                made.staged[name].inner.replace("journal/checkpoint", old)
            made.witness = None
            sealer = made.sealer()
            await sealer.recover()
            assert sealer.status().published_size == 20
            assert verify_checkpoint(await made.checkpoint_on("paris"), log_key=made.signer.key).size == 20

    asyncio.run(main())


def test_an_old_checkpoint_on_every_site_is_passed_over_thanks_to_the_witness(database: Dsns) -> None:
    async def main() -> None:
        async with world(database) as made:
            await made.append(10)
            await made.sealer().seal_once()
            old = await made.checkpoint_on("paris")
            await made.append(10)
            await made.sealer().seal_once()
            await made.sites.drain(5)
            for staged in made.staged.values():
                staged.inner.replace("journal/checkpoint", old)
            sealer = made.sealer()
            await sealer.recover()
            assert sealer.status().published_size == 20

    asyncio.run(main())


def test_a_fork_signed_with_the_stolen_key_stops_the_sealer(database: Dsns) -> None:
    async def main() -> None:
        async with world(database) as made:
            await made.append(10)
            await made.sealer().seal_once()
            await made.sites.drain(5)
            text = note_text(Checkpoint(made.signer.name, 8, bytes(32)))
            fork = signed_note(text, signature_line(made.signer.name, made.signer.key.key_id, made.signer.sign(text)))
            made.staged["lille"].inner.replace("journal/checkpoint", fork)
            with pytest.raises(JournalForkError):
                await made.sealer().seal_once()

    asyncio.run(main())


def test_the_witness_refuses_what_a_rewritten_world_would_sign(
    database: Dsns, new_database: Callable[[], Dsns]
) -> None:
    """Database and sites are replaced by an invented journal of the same size; the witness's memory is not."""

    async def main() -> None:
        async with world(database) as made:
            await made.append(10)
            await made.sealer().seal_once()
            await made.sites.drain(5)
            await swap_database(made, new_database())
            for staged in made.staged.values():
                for name, _ in list(staged.inner.list("")):
                    staged.inner.delete(name)
            witness, made.witness = made.witness, None
            await made.append(10)
            await made.sealer().seal_once()
            await made.sites.drain(5)
            made.witness = witness
            await made.append(1)
            with pytest.raises((JournalForkError, WitnessRefusedError)):
                await made.sealer().seal_once()

    asyncio.run(main())


def test_a_checkpoint_nobody_signed_stops_the_start(database: Dsns) -> None:
    async def main() -> None:
        async with world(database, witness=False) as made:
            await made.append(10)
            await made.sealer().seal_once()
            await made.sites.drain(5)
            for staged in made.staged.values():
                staged.inner.replace("journal/checkpoint", b"anything")
            with pytest.raises(CheckpointInvalidError):
                await made.sealer().recover()

    asyncio.run(main())


def test_too_few_sites_to_know_the_highest_checkpoint_wait(database: Dsns) -> None:
    async def main() -> None:
        async with world(database, witness=False) as made:
            await made.append(10)
            await made.sealer().seal_once()
            await made.sites.drain(5)
            for name in ("paris", "lyon"):
                made.staged[name].fail_reason = "away"
            with pytest.raises(JournalUnavailableError):
                await made.sealer().recover()

    asyncio.run(main())


def test_a_new_witness_does_not_make_up_for_sites_that_are_away(
    database: Dsns, new_database: Callable[[], Dsns]
) -> None:
    """It knows nothing, the database is of yesterday: what they would sign is not what was published."""

    async def main() -> None:
        async with world(database, witness=False) as made:
            await made.append(10)
            await made.sealer().seal_once()
            yesterday = new_database()
            await copy_journal(made, yesterday)
            await made.append(10)
            await made.sealer().seal_once()
            await made.sites.drain(5)
            await swap_database(made, yesterday)
            running = await start_witness(made)
            sealer = made.sealer()
            for staged in made.staged.values():
                staged.fail_reason = "away"
            with pytest.raises(JournalUnavailableError):
                await sealer.recover()
            for staged in made.staged.values():
                staged.fail_reason = ""
            await made.append(5)
            await sealer.seal_once()
            assert (await the_tree(made)).head.size == 20 + 5 + 1  # and a gap
            running.cancel()

    asyncio.run(main())


def test_a_witness_that_was_silent_does_not_make_up_for_sites_that_are_away(
    database: Dsns, new_database: Callable[[], Dsns]
) -> None:
    """The database, the witness and the one site that answers all stand where the witness fell silent."""

    async def main() -> None:
        async with world(database) as made:
            await made.append(10)
            await made.sealer().seal_once()
            await made.sites.drain(5)
            yesterday = new_database()
            await copy_journal(made, yesterday)
            witness, made.witness = made.witness, None
            made.staged["lille"].fail_reason = "away"
            await made.append(10)
            await made.sealer().seal_once()
            await made.sites.drain(5)
            signed = verify_checkpoint(await made.checkpoint_on("paris"), log_key=made.signer.key)
            await swap_database(made, yesterday)
            made.witness = witness
            made.staged["lille"].fail_reason = ""
            for name in ("paris", "lyon"):
                made.staged[name].fail_reason = "away"
            await made.append(5)
            with pytest.raises(JournalUnavailableError):
                await made.sealer().recover()
            made.staged["paris"].fail_reason = ""
            await made.sealer().seal_once()
            tree = await the_tree(made)
            assert tree.head.size == 20 + 5 + 1  # and a gap
            assert await tree.root_at(20) == signed.root

    asyncio.run(main())


def test_with_five_sites_and_a_quorum_of_two_four_must_be_read(
    database: Dsns, new_database: Callable[[], Dsns]
) -> None:
    """The three that answer may be just those that lack the highest checkpoint."""

    async def main() -> None:
        async with world(database, witness=False) as made:
            made.staged |= stage(made.folder / "sites", ("nantes", "nice"))
            await made.sites.close()
            made.sites = site_set(made.staged, limits=LIMITS)
            assert (len(made.sites.links), made.sites.quorum) == (5, 2)
            running = made.sealer()
            await made.append(10)
            await running.seal_once()
            await made.sites.drain(5)
            yesterday = new_database()
            await copy_journal(made, yesterday)
            for name in ("lille", "nantes", "nice"):
                made.staged[name].fail_reason = "away"
            await made.append(10)
            await running.seal_once()
            await made.sites.drain(5)
            await swap_database(made, yesterday)
            for name, staged in made.staged.items():
                staged.fail_reason = "away" if name in ("paris", "lyon") else ""
            with pytest.raises(JournalUnavailableError):
                await made.sealer().recover()
            made.staged["paris"].fail_reason = ""
            await made.append(1)
            await made.sealer().seal_once()
            assert (await the_tree(made)).head.size == 20 + 1 + 1  # and a gap

    asyncio.run(main())


def test_a_site_with_a_false_checkpoint_does_not_count_as_read(database: Dsns) -> None:
    async def main() -> None:
        async with world(database) as made:
            await made.append(10)
            await made.sealer().seal_once()
            await made.sites.drain(5)
            made.staged["lyon"].inner.replace("journal/checkpoint", b"anything")
            made.staged["paris"].fail_reason = "away"
            with pytest.raises(JournalUnavailableError):
                await made.sealer().recover()
            made.staged["paris"].fail_reason = ""
            await made.append(1)
            await made.sealer().seal_once()
            assert (await the_tree(made)).head.size == 11

    asyncio.run(main())


def test_damaged_tiles_of_one_site_are_read_from_another(database: Dsns) -> None:
    async def main() -> None:
        async with world(database) as made:
            await made.append(700)
            await made.sealer().seal_once()
            await made.sites.drain(5)
            for name, size in list(made.staged["paris"].inner.list("journal/tile/")):
                made.staged["paris"].inner.replace(name, bytes(size))
            await made.append(1)
            await made.sealer().seal_once()
            reader = JournalReader(made.sites, made.keys, log_keys=[made.signer.key])
            assert len([leaf async for _, leaf in reader.entries()]) == 701

    asyncio.run(main())


def test_leftovers_of_a_tree_never_signed_are_overwritten(database: Dsns, new_database: Callable[[], Dsns]) -> None:
    """Tiles were uploaded, nothing was signed, and the database lost those entries: the next tree takes their place."""

    async def main() -> None:
        async with world(database) as made:
            await made.append(10)
            await made.sealer().seal_once()
            yesterday = new_database()
            await copy_journal(made, yesterday)
            await made.append(600)
            with pytest.raises(Killed):
                await made.sealer(on_step=killer("tiles")).seal_once()
            await swap_database(made, yesterday)
            await made.append(700)
            await made.sealer().seal_once()
            assert (await the_tree(made)).head.size == 710
            assert await gaps(made) == []

    asyncio.run(main())
