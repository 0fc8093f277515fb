"""Rebuild from one site: the same answers, what is wanting is named, what was refused or erased does not come back."""

from __future__ import annotations

import hashlib
import itertools

import pytest

from hygie.base.actions import Action
from hygie.vault.errors import CatalogueNotEmptyError, LedgerStaleError
from hygie.vault.ledger import ledger_keys, ledger_name, newest_ledger, spread_ledgers
from hygie.vault.model import NewObject
from hygie.vault.pack import pack_name
from hygie.vault.rebuild import NUMBER_MARGIN
from hygie.vault.rebuild_packs import PackReader
from tests.unit.vault.lifecycle_stage import (
    epochs,
    erase,
    history,
    lose,
    observation,
    patient,
    published,
    read,
    rebuild,
    rows,
    run,
    search,
    state,
    turn,
    write,
)

KNOWN = {"Patient": ["p1", "p2", "p3", "p4"], "Observation": ["o1", "o2", "o3", "o4", "nobody"]}


async def fill(house) -> None:
    """Several versions, a deletion, shared and unowned objects, an erased patient."""
    await write(house, patient("p1", "a"), patient("p2", "b"), observation("o1", ["p1"], "c1"))
    await write(house, patient("p1", "a2"), observation("o2", ["p1", "p2"], "c1"), observation("o3", [], "c2"))
    await write(house, NewObject("Observation", "o1", b"", (), ("p1",), delete=True))
    await write(house, patient("p3", "c"), observation("o4", ["p3"], "c1"))
    await write(house, patient("p1", "a3"))
    await erase(house, "p3")
    await write(house, patient("p4", "d"))


def test_each_site_alone_gives_the_same_answers(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            await fill(house)
            before = await state(house, KNOWN)
            assert before["Patient/p1"][1] == [3, 2, 1]
            assert before["Patient/p3"][0] == "HYG-351"
            for site in ("paris", "lyon", "lille"):
                again, report = await rebuild(house, site)
                assert report.whole, report
                assert (report.packs, report.live, report.erased) == (6, 5, 1)
                assert await state(again, KNOWN) == before, site
                query = "SELECT id, version, type, compartment, seq, start, length, at_ms, current, deleted FROM object"
                kept = f"{query} WHERE compartment NOT IN (SELECT id FROM compartment WHERE state = 1) ORDER BY 1, 2"
                assert rows(again, kept) == rows(house, kept)

    run(main)


def test_a_rebuilt_environment_goes_on(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            await fill(house)
            again, _ = await rebuild(house, "lyon")
            assert await write(again, patient("p1", "a4"), observation("o5", ["p2"], "c1")) == [4, 1]
            assert await write(again, patient("p3", "back")) == [2]
            assert await search(again, "Observation", "Observation|patient|p2") == ["o2", "o5"]
            assert min(number for number in await published(again) if number > 6) == 6 + NUMBER_MARGIN + 1
            third, report = await rebuild(again, "paris")
            assert report.whole
            assert await history(third, "Patient", "p1") == [4, 3, 2, 1]
            assert "back" in await read(third, "Patient", "p3")

    run(main)


def test_a_content_in_chunks_survives(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            content = bytes(range(256)) * 20_000

            async def chunks():
                yield content

            writing = house.writing()
            await house.vault.write_stream(writing, "Binary", "b1", chunks(), header=b"{}", patients=("p1",), new=True)
            again, report = await rebuild(house, "lille")
            assert report.whole
            reading = house.permit(Action.OBJECT_READ)
            _, stream = await again.vault.open_stream(reading, "Binary", "b1")
            assert b"".join([piece async for piece in stream.read(0, len(content))]) == content
            assert rows(again, "SELECT * FROM blob_chunk ORDER BY number") == rows(
                house, "SELECT * FROM blob_chunk ORDER BY number"
            )
            victim = sorted((house.folders / "paris").rglob("blobs/*/*/0001"))[0]
            victim.write_bytes(victim.read_bytes()[:-1] + b"?")
            _, report = await rebuild(house, "paris")
            assert report.damaged == [str(victim.relative_to(house.folders / "paris"))]

    run(main)


def test_a_site_that_was_behind_names_what_it_lacks(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            await fill(house)
            await house.sites.drain(10)
            gone = pack_name(house.place.environment_id, 2)
            (house.folders / "paris" / gone).unlink()
            again, report = await rebuild(house, "paris")
            assert report.missing == [gone]
            assert not report.whole
            assert await read(again, "Observation", "o2") == "HYG-300"
            assert "a3" in await read(again, "Patient", "p1")
            lose(house, "lyon")

    run(main)


def test_objects_of_a_patient_first_named_by_a_missing_pack_are_counted(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            await fill(house)
            await house.sites.drain(10)
            gone = pack_name(house.place.environment_id, 1)
            (house.folders / "paris" / gone).unlink()
            again, report = await rebuild(house, "paris")
            assert report.missing == [gone]
            assert report.unattached == 3
            assert await read(again, "Patient", "p1") == "HYG-300"
            assert "p4" in await read(again, "Patient", "p4")

    run(main)


def test_a_pack_whose_commit_was_never_acknowledged_is_either_and_whole(open_house, monkeypatch) -> None:
    async def main() -> None:
        async with open_house() as house:
            await write(house, patient("p1", "a"))

            async def died(*_: object) -> None:
                raise RuntimeError("killed before COMMIT")

            with monkeypatch.context() as patched:
                patched.setattr(type(house.journal), "append", died)
                with pytest.raises(Exception, match="HYG-450"):
                    await write(house, patient("p2", "b"), observation("o1", ["p2"], "c1"))
            again, report = await rebuild(house, "paris")
            assert report.void == []
            assert [
                await read(again, "Patient", "p2") != "HYG-300",
                await read(again, "Observation", "o1") != "HYG-300",
            ] in (
                [True, True],
                [False, False],
            )

    run(main)


def test_of_two_packs_that_claim_one_version_the_acknowledged_one_wins_whole(open_house, monkeypatch) -> None:
    async def main() -> None:
        async with open_house() as house:
            await write(house, patient("p1", "a"))

            async def died(*_: object) -> None:
                raise RuntimeError("killed before COMMIT")

            with monkeypatch.context() as patched:
                patched.setattr(type(house.journal), "append", died)
                with pytest.raises(Exception, match="HYG-450"):
                    await write(house, patient("p1", "lost"), observation("o1", ["p1"], "c1"))
                with pytest.raises(Exception, match="HYG-450"):
                    await write(house, patient("p9", "lost"))
            await write(house, patient("p1", "kept"))
            await write(house, observation("o9", ["p9"], "c1"))
            for names in (await published(house), {}):
                again, report = await rebuild(house, "lyon", published=names)
                assert report.void == [2, 3]
                assert "kept" in await read(again, "Patient", "p1")
                assert await history(again, "Patient", "p1") == [2, 1]
                assert await read(again, "Observation", "o1") == "HYG-300"
                assert await read(again, "Patient", "p9") == "HYG-300"
                assert "o9" in await read(again, "Observation", "o9")

    run(main)


def test_a_pack_that_the_journal_names_wins_over_a_later_one(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            await write(house, patient("p1", "a"))
            await write(house, patient("p1", "named"))
            names = await published(house)
            other, _ = await rebuild(house, "paris", published={1: names[1]}, progress=None)
            assert "named" in await read(other, "Patient", "p1")
            # the same version written again by a house that had lost the second pack: two packs claim version 2
            (house.folders / "paris" / pack_name(house.place.environment_id, 2)).unlink()
            fork, _ = await rebuild(house, "paris", published={1: names[1]})
            assert await write(fork, patient("p1", "fork")) == [2]
            again, report = await rebuild(house, "lyon", published=names)
            assert "named" in await read(again, "Patient", "p1")
            assert len(report.void) == 1
            both, report = await rebuild(house, "lyon", published={**names, **await published(fork)})
            assert "fork" in await read(both, "Patient", "p1")
            assert report.void == []

    run(main)


def test_a_damaged_pack_is_named_and_what_opens_is_kept(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            await write(house, patient("p1", "a"), observation("o1", ["p1"], "c1"))
            await house.sites.drain(10)
            name = pack_name(house.place.environment_id, 1)
            path = house.folders / "lille" / name
            ((start, length),) = rows(house, "SELECT start, length FROM object ORDER BY start LIMIT 1")
            data = bytearray(path.read_bytes())
            data[start + length // 2] ^= 1
            path.write_bytes(bytes(data))
            again, report = await rebuild(house, "lille")
            assert report.damaged == [name]
            assert report.unreadable == 1
            assert "o1" in await read(again, "Observation", "o1")
            # not found by a search, but answered from another site's copy, whose digest is the one recorded
            assert await search(again, "Patient", "Patient|all") == []
            assert '"a"' in await read(again, "Patient", "p1")
            whole = (house.folders / "paris" / name).read_bytes()
            assert rows(again, "SELECT sha256 FROM pack") == [(hashlib.sha256(whole).digest(),)]
            _, report = await rebuild(house, "lille", published={})
            assert report.damaged == [name]
            assert report.objects == 0

    run(main)


@pytest.mark.parametrize("cut", [0, 5, 40, 100])
def test_a_truncated_pack_is_named(open_house, cut: int) -> None:
    async def main() -> None:
        async with open_house() as house:
            await write(house, patient("p1", "a"))
            await write(house, patient("p2", "b"))
            await house.sites.drain(10)
            name = pack_name(house.place.environment_id, 1)
            path = house.folders / "lille" / name
            path.write_bytes(path.read_bytes()[:cut])
            again, report = await rebuild(house, "lille")
            assert report.damaged == [name]
            assert "p2" in await read(again, "Patient", "p2")
            assert await read(again, "Patient", "p1") == "HYG-300"

    run(main)


@pytest.mark.parametrize("cut", [0, 5, 40, 100])
def test_a_pack_cut_between_the_two_passes_is_named(open_house, monkeypatch, cut: int) -> None:
    """The site changes while it is read: its tables were whole, its packs are not any more."""

    async def main() -> None:
        async with open_house() as house:
            await write(house, patient("p1", "a"))
            await write(house, patient("p2", "b"))
            await house.sites.drain(10)
            name = pack_name(house.place.environment_id, 1)
            path = house.folders / "lille" / name
            real = PackReader.read

            def read_later(self, standing):
                path.write_bytes(path.read_bytes()[:cut])
                return real(self, standing)

            monkeypatch.setattr(PackReader, "read", read_later)
            again, report = await rebuild(house, "lille")
            assert name in report.damaged
            assert "p2" in await read(again, "Patient", "p2")
            assert await read(again, "Patient", "p1") == "HYG-300"

    run(main)


def test_a_rebuild_never_mixes_with_what_is_there(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            await write(house, patient("p1", "a"))
            _, _ = await rebuild(house, "paris")
            from tests.unit.vault import lifecycle_stage

            lifecycle_stage.NUMBERS = iter([1])
            try:
                with pytest.raises(CatalogueNotEmptyError):
                    await rebuild(house, "paris")
            finally:
                lifecycle_stage.NUMBERS = iter(range(5000, 10**6))

    run(main)


def test_a_rebuild_that_died_before_its_first_object_is_run_again(open_house, monkeypatch) -> None:
    async def main() -> None:
        async with open_house() as house:
            await fill(house)
            before = await state(house, KNOWN)
            from tests.unit.vault import lifecycle_stage

            monkeypatch.setattr(lifecycle_stage, "NUMBERS", itertools.repeat(4000))
            with monkeypatch.context() as patched:
                patched.setattr("hygie.vault.rebuild.PackReader.read", died)
                with pytest.raises(RuntimeError, match="killed here"):
                    await rebuild(house, "paris")
            again, report = await rebuild(house, "lyon")
            assert report.whole
            assert await state(again, KNOWN) == before

    def died(*_: object) -> None:
        raise RuntimeError("killed here")

    run(main)


def test_an_erasure_stays_after_a_rebuild_by_tombstone_by_journal_and_by_ledger(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            await write(house, patient("p1", "a"), observation("o1", ["p1"], "c1"))
            certificate = await erase(house, "p1")
            again, report = await rebuild(house, "paris")
            assert report.erased == 1
            assert await read(again, "Patient", "p1") == "HYG-351"
            assert await search(again, "Observation", "Observation|all") == []
            await house.sites.drain(10)
            for tombstone in house.folders.rglob(f"erased/**/{certificate.compartment_id}"):
                tombstone.unlink()
            erased = {bytes.fromhex(certificate.compartment_id)}
            again, report = await rebuild(house, "paris", erased=erased)
            assert report.erased == 1
            assert await read(again, "Patient", "p1") == "HYG-351"
            # neither tombstone nor journal: the epoch's end alone keeps it shut
            await turn(house)
            again, report = await rebuild(house, "paris", partial=True)
            assert (report.live, report.lost) == (0, 1)
            assert await read(again, "Patient", "p1") == "HYG-300"

    run(main)


def test_a_rebuild_after_epochs_takes_wraps_from_the_ledger(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            await fill(house)
            await turn(house)
            await write(house, patient("p5", "after"))
            before = await state(house, KNOWN | {"Patient": [*KNOWN["Patient"], "p5"]})
            for site in ("paris", "lyon", "lille"):
                again, report = await rebuild(house, site)
                assert report.whole
                assert await state(again, KNOWN | {"Patient": [*KNOWN["Patient"], "p5"]}) == before
            await turn(house)
            await turn(house)
            again, report = await rebuild(house, "lille")
            assert report.whole

    run(main)


def test_a_site_without_the_newest_ledger_is_refused_until_it_catches_up(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            await fill(house)
            place = house.place
            keys_before = await ledger_keys(place, house.kms)
            acts = await epochs(house)
            await acts.publish_ledger()
            await house.sites.drain(10)
            old = (house.folders / "lille" / ledger_name(place.environment_id, 1)).read_bytes()
            await turn(house)
            assert not (house.folders / "lille" / ledger_name(place.environment_id, 1)).exists()
            # lille comes back older than it left
            (house.folders / "lille" / ledger_name(place.environment_id, 2)).unlink()
            (house.folders / "lille" / ledger_name(place.environment_id, 1)).write_bytes(old)
            with pytest.raises(LedgerStaleError) as refused:
                await rebuild(house, "lille")
            assert refused.value.facts == {"site": "lille", "count": 4 + 1}
            keys = await ledger_keys(place, house.kms)
            assert keys.epochs == {2}
            assert keys_before.epochs == {1}
            spread = await spread_ledgers(house.sites, place, keys)
            assert spread.copied == ["lille"]
            assert spread.removed == [f"lille:{ledger_name(place.environment_id, 1)}"]
            assert (await spread_ledgers(house.sites, place, keys)).copied == []
            found = newest_ledger(house.sites.link("lille").site, place, keys)
            assert found is not None
            assert found.epoch == 2
            _, report = await rebuild(house, "lille")
            assert report.whole

    run(main)


def test_a_false_ledger_is_neither_believed_nor_spread(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            await fill(house)
            await turn(house)
            keys = await ledger_keys(house.place, house.kms)
            path = house.folders / "lyon" / ledger_name(house.place.environment_id, 2)
            forged = bytearray(path.read_bytes())
            forged[40:48] = (9).to_bytes(8, "big")  # claims epoch 9
            later = house.folders / "lyon" / ledger_name(house.place.environment_id, 9)
            later.write_bytes(bytes(forged))
            spread = await spread_ledgers(house.sites, house.place, keys)
            assert (spread.copied, spread.removed) == ([], [])
            found = newest_ledger(house.sites.link("lyon").site, house.place, keys)
            assert found is not None
            assert found.epoch == 2
            _, report = await rebuild(house, "lyon")
            assert report.whole

    run(main)


def test_a_planted_tombstone_erases_nobody(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            await write(house, patient("p1", "a"), patient("p2", "b"))
            certificate = await erase(house, "p2")
            await house.sites.drain(10)
            ((victim,),) = rows(house, "SELECT id FROM compartment WHERE state = 0")
            true = next((house.folders / "paris").rglob(f"erased/*/{certificate.compartment_id}"))
            for planted, data in (
                (true.with_name(victim.hex()), true.read_bytes()),
                (true.with_name("00" * 16), true.read_bytes().replace(certificate.compartment_id.encode(), b"00" * 16)),
            ):
                planted.write_bytes(data)
            again, report = await rebuild(house, "paris")
            assert len(report.damaged) == 2
            assert (report.live, report.erased) == (1, 1)
            assert '"a"' in await read(again, "Patient", "p1")
            assert await read(again, "Patient", "p2") == "HYG-351"

    run(main)
