"""A backup holds both logs as the journal names them; a restore brings them back, verified."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path
from typing import Any

import psycopg

from hygie.backups.restore import require_complete, restored
from tests.unit.backups.restore_stage import back_up, new_target, request_of
from tests.unit.segments.stage import BATCHES, RECORDS, logs_of
from tests.unit.vault.lifecycle_stage import patient, write


def test_a_restore_brings_both_logs_back_and_they_go_on(open_house: Any, tmp_path: Path) -> None:
    async def main() -> None:
        async with open_house() as house, logs_of(house) as logs:
            target = new_target(tmp_path)
            await write(house, patient("p1", "a"))
            digest = await logs.on_logs(
                lambda registers, _: registers.put_document("a.pdf", "application/pdf", b"%PDF")
            )
            await logs.write("A", "B")
            await logs.evaluate(2)
            old = await back_up(house, target)
            await logs.write("C")
            await logs.evaluate()
            await back_up(house, target)
            before = await logs.dump()
            async with restored(request_of(house, target, tmp_path / "new", which=old.snapshot)) as place:
                require_complete(place.report)
                assert place.report.logs.rows == {RECORDS: 3, BATCHES: 3}  # of the newest, as the journal is
                with psycopg.connect(place.dsns.owner) as owner:
                    query = "SELECT log, seq, digest FROM hygie_proof.head ORDER BY log"
                    assert owner.execute(query).fetchall() == before["head"]
                there = dataclasses.replace(logs, house=dataclasses.replace(house, dsns=place.dsns))
                await there.write("D")
                await there.on_logs(lambda registers, evidence: (registers.verify(), evidence.verify()))
                assert (await there.on_logs(lambda registers, _: registers.document(digest)))[2] == b"%PDF"

    asyncio.run(main())


def test_a_backup_without_any_write_restores_to_empty_logs(open_house: Any, tmp_path: Path) -> None:
    async def main() -> None:
        async with open_house() as house:
            target = new_target(tmp_path)
            await write(house, patient("p1", "a"))
            await back_up(house, target)
            async with restored(request_of(house, target, tmp_path / "new")) as place:
                require_complete(place.report)
                assert place.report.logs.rows == {RECORDS: 0, BATCHES: 0}

    asyncio.run(main())
