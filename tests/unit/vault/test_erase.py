"""Erasure of a patient: unreadable at once, nowhere found, dated, and the place is free again."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from hygie.base.actions import Action
from hygie.base.errors import NotFoundError, RefusedError
from hygie.vault.model import Query, WriteRequest
from tests.unit.vault.lifecycle_stage import (
    SlowSites,
    erase,
    eraser,
    history,
    new_context,
    observation,
    patient,
    read,
    rows,
    run,
    search,
    turn,
    write,
)


def test_an_erased_patient_is_gone_from_reads_searches_and_histories(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            await write(house, patient("p1", "a"), patient("p2", "b"))
            await write(house, patient("p1", "a2"), observation("o1", ["p1"], "c1"), observation("o2", ["p2"], "c1"))
            assert await search(house, "Patient", "Patient|all") == ["p1", "p2"]
            certificate = await erase(house, "p1")
            assert certificate.objects == 3
            assert not certificate.final
            for ask in (("Patient", "p1"), ("Patient", "p1", 1), ("Patient", "p1", 2), ("Observation", "o1")):
                assert await read(house, *ask) == "HYG-351", ask
            assert "p2" in await read(house, "Patient", "p2")
            assert await search(house, "Patient", "Patient|all") == ["p2"]
            assert await search(house, "Patient", "Patient|name|a2") == []
            assert await search(house, "Observation", "Observation|code|c1") == ["o2"]
            assert await history(house, "Patient", "p1") == []
            page = await house.vault.search(house.permit(Action.OBJECT_SEARCH), Query((), patient="p1"))
            assert page.items == []

    run(main)


def test_another_process_that_holds_the_key_stops_reading_at_once(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            await write(house, patient("p1", "a"))
            other = house.new_vault()
            reading = house.permit(Action.OBJECT_READ)
            assert (await other.read(reading, "Patient", "p1")).id == "p1"
            await erase(house, "p1")
            with pytest.raises(NotFoundError) as refusal:
                await other.read(reading, "Patient", "p1")
            assert refusal.value.code == "HYG-351"

    run(main)


def test_the_purge_leaves_no_token_and_keeps_the_answer(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            await write(house, patient("p1", "a"), patient("p2", "b"), observation("o1", ["p1"], "c1"))
            await write(house, patient("p1", "a2"))
            certificate = await erase(house, "p1", purge=True)
            assert certificate.tokens_purged_at_ms is not None
            assert certificate.tokens_vacuumed_at_ms is not None
            assert rows(house, "SELECT count(*) FROM object WHERE tokens IS NOT NULL") == [(1,)]
            assert rows(house, "SELECT count(*) FROM object WHERE NOT current") == [(0,)]
            assert await read(house, "Patient", "p1") == "HYG-351"
            assert await read(house, "Observation", "o1") == "HYG-351"

    run(main)


def test_a_write_under_way_leaves_no_token_behind_the_purge(open_house) -> None:
    """Its pack is on the way to the sites while the patient is erased and purged."""

    async def main() -> None:
        async with open_house() as house:
            await write(house, patient("p1", "a"))
            slow = SlowSites(house)
            other = dataclasses.replace(house, sites=slow).new_vault()
            late = WriteRequest([observation("o1", ["p1"], "c1", new=True)])
            writing = asyncio.create_task(other.write(house.writing(), late))
            await slow.reached.wait()
            erasing = asyncio.create_task(erase(house, "p1", purge=True))
            await asyncio.wait([erasing], timeout=1.0)  # it may wait for the write, or not
            slow.go.set()
            await asyncio.gather(writing, erasing)
            assert rows(house, "SELECT count(*) FROM object WHERE tokens IS NOT NULL") == [(0,)]
            for ask in (("Patient", "p1"), ("Observation", "o1")):
                assert await read(house, *ask) == "HYG-351", ask
            assert await write(house, observation("o2", ["p1"], "c1", new=True)) == [1]

    run(main)


def test_the_same_id_can_be_written_again_in_a_new_compartment(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            await write(house, patient("p1", "a"))
            await erase(house, "p1", purge=True)
            assert await write(house, patient("p1", "again"), observation("o9", ["p1"], "c1")) == [2, 1]
            assert "again" in await read(house, "Patient", "p1")
            assert await history(house, "Patient", "p1") == [2]
            assert await search(house, "Observation", "Observation|patient|p1") == ["o9"]
            assert len(rows(house, "SELECT DISTINCT compartment FROM object")) == 2
            second = await erase(house, "p1")
            assert second.objects == 2
            assert await read(house, "Patient", "p1") == "HYG-351"

    run(main)


def test_shared_data_are_listed_for_a_decision_and_stay(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            await write(house, patient("p1", "a"), patient("p2", "b"), observation("o1", ["p1", "p2"], "c1"))
            async with eraser(house) as acts:
                target = await acts.find("p1")
                assert len(target.shared) == 1
            await erase(house, "p1")
            assert "o1" in await read(house, "Observation", "o1")
            assert "p2" in await read(house, "Patient", "p2")

    run(main)


def test_nobody_is_found_twice_and_a_permit_is_needed(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            await write(house, patient("p1", "a"))
            async with eraser(house) as acts:
                target = await acts.find("p1")
                with pytest.raises(RefusedError):
                    await acts.erase(house.permit(Action.OBJECT_DELETE), None, target)  # type: ignore[arg-type]
                with pytest.raises(NotFoundError):
                    await acts.find("p7")
            await erase(house, "p1")
            async with eraser(house) as acts:
                with pytest.raises(NotFoundError):
                    await acts.find("p1")

    run(main)


def test_the_last_date_comes_with_the_end_of_the_epoch(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            await write(house, patient("p1", "a"), patient("p2", "b"))
            await erase(house, "p1", purge=True)
            async with eraser(house) as acts:
                assert await acts.close_certificates(oldest_copy_ms=None) == []
                assert await turn(house) == [1]
                (closed,) = await acts.close_certificates(oldest_copy_ms=None)
                assert closed.final
                assert closed.unreadable_in_every_copy_at_ms >= closed.unreadable_in_service_at_ms
                assert await acts.close_certificates(oldest_copy_ms=None) == []
            later = await erase(house, "p2")
            assert later.last_epoch == 2
            async with eraser(house) as acts:
                assert await acts.close_certificates(oldest_copy_ms=None) == []

    run(main)


def test_a_clock_set_back_does_not_make_copies_of_a_dead_key_look_younger_than_its_death(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            await write(house, patient("p1", "a"))
            await erase(house, "p1", purge=True)
            copied_ms = house.clock.now_ms() + 20 * 86_400_000  # this backup was dated before the clock was set back
            async with eraser(house) as acts:
                assert await turn(house) == [1]
                (dated,) = await acts.close_certificates(oldest_copy_ms=copied_ms, newest_claim_ms=copied_ms)
                assert dated.last_epoch_destroyed_at_ms == copied_ms
                assert not dated.final
                assert await acts.close_certificates(oldest_copy_ms=copied_ms, newest_claim_ms=copied_ms) == []
                (closed,) = await acts.close_certificates(oldest_copy_ms=copied_ms + 1, newest_claim_ms=copied_ms + 1)
                assert closed.final

    run(main)


def test_the_last_date_waits_for_the_copies_of_keys_on_the_backup_target(open_house) -> None:
    copies_ms = 14 * 86_400_000

    async def main() -> None:
        async with open_house() as house:
            await write(house, patient("p1", "a"), patient("p2", "b"))
            await erase(house, "p1", purge=True)
            copied_ms = house.clock.now_ms()  # a backup: its key state still has the epoch that wrapped p1
            async with eraser(house, copies_ms=copies_ms) as acts:
                assert await acts.close_certificates(oldest_copy_ms=copied_ms) == []
                assert await turn(house) == [1]
                (dated,) = await acts.close_certificates(oldest_copy_ms=copied_ms)
                destroyed_ms = dated.last_epoch_destroyed_at_ms
                assert destroyed_ms >= copied_ms
                assert dated.unreadable_in_every_copy_at_ms is None
                assert dated.unreadable_in_every_copy_due_ms == destroyed_ms + copies_ms
                for older_ms in (0, copied_ms, destroyed_ms):
                    assert await acts.close_certificates(oldest_copy_ms=older_ms) == []
                (closed,) = await acts.close_certificates(oldest_copy_ms=destroyed_ms + 1)
                assert closed.final
                assert closed.last_epoch_destroyed_at_ms == destroyed_ms
                assert await acts.close_certificates(oldest_copy_ms=destroyed_ms + 1) == []

    run(main)


def test_an_interrupted_erasure_is_finished(open_house, monkeypatch) -> None:
    async def main() -> None:
        async with open_house() as house:
            await write(house, patient("p1", "a"))

            async def died(*_: object) -> bytes:
                raise RuntimeError("killed here")

            with monkeypatch.context() as patched:
                patched.setattr("hygie.vault.erase.Eraser._certify", died)
                with pytest.raises(RuntimeError, match="killed here"):
                    await erase(house, "p1")
            assert await read(house, "Patient", "p1") == "HYG-351"
            async with eraser(house) as acts:
                assert await acts.certificates() == []
                (finished,) = await acts.finish()
                assert finished.objects == 1
                assert finished.tokens_vacuumed_at_ms is not None
                assert await acts.finish() == []
            assert list(house.folders.rglob(f"erased/**/{finished.compartment_id}"))

    run(main)


def test_an_erasure_that_was_not_carried_out_can_be_asked_again(open_house, monkeypatch) -> None:
    async def main() -> None:
        async with open_house() as house:
            await write(house, patient("p1", "a"))

            async def died(*_: object) -> None:
                raise RuntimeError("killed here")

            with monkeypatch.context() as patched:
                patched.setattr("hygie.vault.upkeep_rows.erase_compartment", died)
                with pytest.raises(RuntimeError, match="killed here"):
                    await erase(house, "p1")
            assert "p1" in await read(house, "Patient", "p1")
            async with eraser(house) as acts:
                assert await acts.finish() == []
            await erase(house, "p1")
            assert await read(house, "Patient", "p1") == "HYG-351"

    run(main)


def test_a_content_in_chunks_is_erased_with_its_patient(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:

            async def chunks():
                yield b"x" * 100_000

            await house.vault.write_stream(
                house.writing(), "Binary", "b1", chunks(), header=b"{}", patients=("p1",), new=True
            )
            reading = house.permit(Action.OBJECT_READ)
            _, stream = await house.vault.open_stream(reading, "Binary", "b1")
            assert stream.size_bytes == 100_000
            await erase(house, "p1")
            with pytest.raises(NotFoundError) as refusal:
                await house.vault.open_stream(reading, "Binary", "b1")
            assert refusal.value.code == "HYG-351"
            assert await new_context(house)

    run(main)
