"""Evidence of 100,000 evaluations, each named by an entry of the journal: one more, the whole chain, a dossier.

``bench_proof`` has as many runs in a hundredth of the evaluations; here chain and journal are as long as they get in
two months of one kept evaluation a minute.
"""

from __future__ import annotations

import asyncio
import os
import random
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import psycopg

from benchmarks.bench_proof import AUTHOR, _names, catalogue, runs_at, verify
from benchmarks.figures import Figure, tell
from benchmarks.installation import Installation, running
from hygie.app import House, opened
from hygie.base.actions import Action
from hygie.dossiers import Wanted, Written, write_dossier
from hygie.journal.entry import PLATFORM, Entry, seal_entry
from hygie.journal.leaf import month_at
from hygie.logkeeping import Verified, verify_log
from hygie.proof.runs import Batch, Run, encode_catalogue, follow
from hygie.proving import ProofPlane, with_proof
from hygie.segments.format import BATCHES

COUNT = int(os.environ.get("HYGIE_BENCH_BATCHES", "100000"))
TURNS = 20
PUBLISHED_S_MAX = 600.0


def fill(installation: Installation) -> None:
    """So many evaluations of one run each, written as the owner of the database can, and journaled."""
    made = catalogue()
    digest, text = encode_catalogue(made)
    draw, names = random.Random(4), _names()

    async def add(house: House) -> None:
        at_ms = house.clock.now_ms()
        key = await house.month_keys.month_key(PLATFORM, "evidence", month_at(at_ms))
        with psycopg.connect(house.dsns.owner) as owner, owner.cursor() as cursor:
            found = cursor.execute("SELECT seq, at_ms, digest FROM hygie_proof.head WHERE log = 'batches' FOR UPDATE")
            seq, last_ms, before = found.fetchone() or (0, 0, bytes(32))
            at_ms = max(at_ms, last_ms)
            sample = {run.check: run for run in runs_at(at_ms, draw)}
            last: dict[str, Run] = {}

            def batches() -> Iterator[tuple[Batch, Run]]:
                nonlocal before
                for number in range(seq + 1, seq + COUNT + 1):
                    run = follow(sample[names[number % len(names)]], last.get(names[number % len(names)]))
                    last[run.check] = run
                    batch = Batch(number, at_ms, "cadence", "trial", digest, (run.body,)).linked(before)
                    before = batch.digest
                    yield batch, run

            kept = list(batches())
            cursor.execute(
                "INSERT INTO hygie_proof.catalogue VALUES (%s, %s, %s) ON CONFLICT DO NOTHING", (digest, at_ms, text)
            )
            with cursor.copy("COPY hygie_proof.batch FROM STDIN") as copy:
                for batch, _ in kept:
                    copy.write_row((batch.seq, at_ms, batch.cause, batch.mode, 1, digest, batch.digest))
            with cursor.copy("COPY hygie_proof.run FROM STDIN") as copy:
                for batch, run in kept:
                    said = (run.check, run.at_ms, run.fresh_until_ms, run.since_ms, run.verdict.value)
                    copy.write_row((batch.seq, 0, *said, run.evidence.value, run.body))
            with cursor.copy("COPY hygie.journal_pending (leaf) FROM STDIN (FORMAT BINARY)") as copy:
                copy.set_types(["bytea"])
                for batch, _ in kept:
                    copy.write_row((seal_entry(_entry(batch), month_key=key),))
            cursor.execute(
                "UPDATE hygie_proof.head SET seq = %s, at_ms = %s, digest = %s WHERE log = 'batches'",
                (seq + COUNT, at_ms, before),
            )

    installation.inside(add)


def _entry(batch: Batch) -> Entry:
    """As ``EvidenceLog.add`` writes it."""
    detail = {"batch": str(batch.seq), "digest": batch.digest.hex(), "cause": batch.cause, "mode": batch.mode}
    return Entry(Action.CHECK_RUN, "done", "evidence", batch.at_ms, account=AUTHOR, count=1, detail=detail)


def published(installation: Installation) -> float:
    """Wait until the journal is published. Returns the seconds that it took."""
    began = time.perf_counter()

    async def wait(house: House) -> None:
        async with opened(house.dsns.sealer, size=1) as records:
            reader = await house.journal_reader(records)
            while (await reader.checkpoint())[0].size <= COUNT and time.perf_counter() - began < PUBLISHED_S_MAX:
                await asyncio.sleep(0.2)

    installation.inside(wait)
    return time.perf_counter() - began


def one_more(installation: Installation) -> list[float]:
    """Milliseconds of an evaluation of 100 runs, kept and journaled."""
    draw, made, cadences = random.Random(5), catalogue(), dict.fromkeys(_names(), 0.0)

    def act(plane: ProofPlane) -> list[float]:
        spent = []
        for _ in range(TURNS):
            runs = runs_at(plane.evidence.clock.now_ms(), draw)
            began = time.perf_counter()
            plane.evidence.add(runs, made, cause="cadence", mode="trial", cadences=cadences)
            spent.append((time.perf_counter() - began) * 1_000)
        return spent

    async def ask(house: House) -> list[float]:
        return await with_proof(house, AUTHOR, act)

    return installation.inside(ask)


def main() -> None:
    """Fill, add, follow, write, verify."""
    with running() as installation, tempfile.TemporaryDirectory() as name:
        began = time.perf_counter()
        fill(installation)
        print(f"  {COUNT:,} evaluations written in {time.perf_counter() - began:.0f} s")
        print(f"  published within {published(installation):.0f} s")
        spent = one_more(installation)
        tell(Figure("evidence-add", median(spent), note=f"longest of {TURNS}: {max(spent):.0f} ms"))

        async def follow_all(house: House) -> Verified:
            return await verify_log(house, BATCHES, AUTHOR)

        began = time.perf_counter()
        verified = installation.inside(follow_all)
        note = f"{verified.seq:,} evaluations, {verified.named:,} named by the journal"
        tell(Figure("evidence-verify", time.perf_counter() - began, note=note))
        path = Path(name, "dossier-demonstration-batches.zip")

        async def write(house: House) -> Written:
            async with opened(house.dsns.sealer, size=2) as records:
                return await write_dossier(house, records, Wanted(path, demonstration=True), author=AUTHOR)

        written = installation.inside(write)
        note = f"{written.entries:,} entries of the journal, {written.bytes / 1e6:.1f} MB"
        tell(Figure("dossier-batches-write", written.seconds, note=note))
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds, answer = verify(path, Path(name))
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        assert answer["held"]["batches"] == written.batches
        tell(
            Figure("dossier-batches-verify", seconds, note=f"the shipped file alone, one core; {cpu_s:.1f} s of it CPU")
        )


if __name__ == "__main__":
    main()
