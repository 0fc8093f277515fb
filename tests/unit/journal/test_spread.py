"""A site that missed a part of the journal, or all of it, has the whole of it again, and nothing false."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence

import pytest

from hygie.base.errors import IntegrityError
from hygie.journal.checkpoint import verify_checkpoint
from hygie.journal.reader import JournalReader
from hygie.journal.spread import JournalSpread, Store, spread_journal
from tests.unit.journal.stage import World, world


def reader_of(made: World, sites: object | None = None) -> JournalReader:
    return JournalReader(sites or made.sites, made.keys, log_keys=[made.signer.key])  # type: ignore[arg-type]


async def spread(made: World, *, deep: bool = False) -> JournalSpread:
    stores: dict[str, Store] = {link.name: link.site for link in made.sites.links}
    return await spread_journal(reader_of(made), stores, log_keys=[made.signer.key], deep=deep)


async def publish(made: World, counts: Sequence[int] = (300, 90, 200)) -> None:
    sealer = made.sealer()
    for count in counts:
        await made.append(count)
        await sealer.seal_once()
    await made.sites.drain(5)


def folder_of(made: World, site: str):
    return made.folder / "sites" / site


class OneSiteOnly:
    """The sites as they are when all the others are gone."""

    def __init__(self, made: World, site: str) -> None:
        self.links = [made.sites.link(site)]
        self.quorum = 1

    async def read_valid(self, name, offset, length, check):
        return check(await asyncio.to_thread(self.links[0].site.get, name, offset, length))


async def read_whole(made: World, site: str) -> int:
    """How many entries one site alone gives, each checked up to its signed root."""
    reader = reader_of(made, OneSiteOnly(made, site))
    return len([index async for index, _ in reader.entries()])


def names_of_sites(made: World) -> list[str]:
    return [link.name for link in made.sites.links]


def test_a_replaced_site_holds_the_whole_journal_again(database) -> None:
    async def main() -> None:
        async with world(database, witness=False) as made:
            await publish(made)
            first, *others = names_of_sites(made)
            shutil.rmtree(folder_of(made, first) / "journal")
            report = await spread(made)
            assert report.size == 590
            assert report.lacking[first] == report.copied[first] > 5
            assert all(report.lacking[site] == 0 for site in others)
            assert report.altered == {}
            assert report.unreachable == []
            assert await read_whole(made, first) == 590
            again = await spread(made)
            assert again.copied == {}

    asyncio.run(main())


def test_what_was_missed_for_a_while_is_copied_and_the_sealer_goes_on(database) -> None:
    async def main() -> None:
        async with world(database, witness=False) as made:
            await publish(made, [100])
            first = names_of_sites(made)[0]
            kept = made.folder / "kept"
            shutil.copytree(folder_of(made, first) / "journal", kept)
            await publish(made, [400, 40])
            shutil.rmtree(folder_of(made, first) / "journal")
            shutil.copytree(kept, folder_of(made, first) / "journal")  # it comes back older than it left
            await spread(made)
            assert await read_whole(made, first) == 540
            await publish(made, [10])
            assert await read_whole(made, first) == 550

    asyncio.run(main())


def test_an_altered_tile_is_found_and_mended_by_a_deep_comparison(database) -> None:
    async def main() -> None:
        async with world(database, witness=False) as made:
            await publish(made)
            first = names_of_sites(made)[0]
            victim = folder_of(made, first) / "journal" / "tile" / "entries" / "000"
            whole = victim.read_bytes()
            victim.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
            assert (await spread(made)).altered == {}
            assert (await spread(made, deep=True)).altered == {first: ["journal/tile/entries/000"]}
            assert victim.read_bytes() == whole
            assert (await spread(made, deep=True)).altered == {}

    asyncio.run(main())


def test_a_false_checkpoint_of_a_greater_tree_is_replaced_and_a_true_one_never_goes_back(database) -> None:
    async def main() -> None:
        async with world(database, witness=False) as made:
            await publish(made)
            first = names_of_sites(made)[0]
            path = folder_of(made, first) / "journal" / "checkpoint"
            true = path.read_bytes()
            path.write_bytes(true.replace(b"\n590\n", b"\n999999\n"))
            await spread(made)
            assert path.read_bytes() == true
            stale = reader_of(made)
            await stale.tree()
            stores: dict[str, Store] = {link.name: link.site for link in made.sites.links}
            tree, note = await stale.tree()
            await publish(made, [50])

            async def before():
                return tree, note

            stale.tree = before  # type: ignore[method-assign]  # it read the checkpoint before the sealer moved on
            await spread_journal(stale, stores, log_keys=[made.signer.key])
            for site in names_of_sites(made):
                shown = (folder_of(made, site) / "journal" / "checkpoint").read_bytes()
                assert verify_checkpoint(shown, log_key=made.signer.key).size == 640

    asyncio.run(main())


def test_a_tile_that_nobody_has_intact_is_told(database) -> None:
    async def main() -> None:
        async with world(database, witness=False) as made:
            await publish(made)
            first, *others = names_of_sites(made)
            (folder_of(made, first) / "journal" / "tile" / "entries" / "000").unlink()
            for site in others:
                (folder_of(made, site) / "journal" / "tile" / "entries" / "000").write_bytes(b"nothing")
            with pytest.raises(IntegrityError):
                await spread(made)

    asyncio.run(main())


def test_a_site_that_is_away_is_named(database) -> None:
    async def main() -> None:
        async with world(database, witness=False) as made:
            await publish(made)
            first = names_of_sites(made)[0]
            shutil.move(folder_of(made, first), made.folder / "away")
            report = await spread(made)
            assert report.unreachable == [first]

    asyncio.run(main())
