"""Evidence: a dossier of 100,000 runs written and verified, the posture and time travel over a million."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import psycopg

from benchmarks.figures import Figure, tell
from benchmarks.installation import Installation, running
from hygie import __version__
from hygie.app import House, opened
from hygie.dossiers import Wanted, Written, write_dossier
from hygie.proof.catalogue import build_catalogue
from hygie.proof.controls.read import shipped_controls
from hygie.proof.model import Evidence, Text, Verdict, same
from hygie.proof.posture import build_posture, encode_posture
from hygie.proof.referentials.shipped import SHIPPED, shipped
from hygie.proof.runs import Batch, Run, encode_catalogue
from hygie.proving import ProofPlane, with_proof
from tools.build_verifier import build

CHECKS = 100  # of an installation: the 53 obligations and the sub-items of HDS, about
RUNS, RUNS_AFTER = 100_000, 1_000_000
TURNS, TRAVELS = 20, 100
AUTHOR = "local:bench"
SAID = " ".join(["ce qui a été observé se dit en une phrase"] * 2)


def catalogue() -> dict[str, Any]:
    """The shipped requirements, answered by controls of made-up checks."""
    made = build_catalogue([shipped(one) for one in SHIPPED], shipped_controls(), applicability={}, version=__version__)
    words = {"title": ["un", "one"], "proves": ["x", "x"], "source": "fact:x", "owner": "rssi", "evidence": "measured"}
    made["checks"] = [
        {"id": name, "cadence_s": 3_600.0, "fresh_s": 7_200.0, "sabotage": "", **words} for name in _names()
    ]
    for rank, control in enumerate(made["controls"]):
        control["checks"] = [f"bench.{(rank * 2 + step) % CHECKS}" for step in range(2)]
    return made


def _names() -> list[str]:
    return [f"bench.{rank}" for rank in range(CHECKS)]


def runs_at(ran_ms: int, draw: random.Random) -> list[Run]:
    """One evaluation."""
    words = {"why": Text(SAID, SAID), "observed": same(SAID), "declared": same("1")}
    return [
        Run(
            check=name,
            verdict=draw.choice((Verdict.SATISFIED, Verdict.SATISFIED, Verdict.SATISFIED, Verdict.UNSATISFIED)),
            evidence=Evidence.MEASURED,
            at_ms=ran_ms,
            ran_ms=ran_ms,
            fresh_until_ms=ran_ms + 7_200_000,
            source="fact:x",
            **words,
        )
        for name in _names()
    ]


def fill(installation: Installation) -> None:
    """100,000 runs through the door of the log, each batch journaled."""
    draw, made, cadences = random.Random(1), catalogue(), dict.fromkeys(_names(), 0.0)

    def act(plane: ProofPlane) -> None:
        for _ in range(RUNS // CHECKS):
            now_ms = plane.evidence.clock.now_ms()
            plane.evidence.add(runs_at(now_ms, draw), made, cause="cadence", mode="trial", cadences=cadences)

    async def add(house: House) -> None:
        await with_proof(house, AUTHOR, act)

    installation.inside(add)


def grow(installation: Installation) -> tuple[int, int]:
    """The same log up to a million runs, an hour apart, written as the owner of the database can. Returns its span."""
    draw, digest = random.Random(2), encode_catalogue(catalogue())[0]
    with psycopg.connect(installation.dsns().owner) as owner, owner.cursor() as cursor:
        found = cursor.execute("SELECT seq, at_ms, digest FROM hygie_proof.head WHERE log = 'batches'").fetchone()
        assert found is not None
        seq, start_ms, before = found[0], found[1], bytes(found[2])
        batches: list[Batch] = []

        def made() -> Iterator[Batch]:
            nonlocal seq, before
            at_ms = start_ms
            for _ in range((RUNS_AFTER - RUNS) // CHECKS):
                seq, at_ms = seq + 1, at_ms + 3_600_000
                bodies = tuple(run.body for run in runs_at(at_ms, draw))
                batch = Batch(seq, at_ms, "cadence", "trial", digest, bodies).linked(before)
                before = batch.digest
                batches.append(Batch(seq, at_ms, "cadence", "trial", digest, (), before))
                yield batch

        cursor.execute("ALTER TABLE hygie_proof.run DROP CONSTRAINT run_batch_fkey")
        with cursor.copy("COPY hygie_proof.run FROM STDIN") as copy:
            for batch in made():
                for place, body in enumerate(batch.bodies):
                    run = json.loads(body)
                    said = [
                        run[name] for name in ("check", "at_ms", "fresh_until_ms", "since_ms", "verdict", "evidence")
                    ]
                    copy.write_row((batch.seq, place, *said, body))
        with cursor.copy("COPY hygie_proof.batch FROM STDIN") as copy:
            for one in batches:
                copy.write_row((one.seq, one.at_ms, one.cause, one.mode, CHECKS, one.catalogue, one.digest))
        owner.commit()
        owner.autocommit = True
        cursor.execute("VACUUM ANALYZE hygie_proof.run, hygie_proof.batch")
    return start_ms, batches[-1].at_ms


def postures(installation: Installation, instants: list[int]) -> list[float]:
    """Milliseconds of each posture, to its last byte."""

    def act(plane: ProofPlane) -> list[float]:
        spent = []
        for at_ms in instants:
            began = time.perf_counter()
            known = plane.evidence.known(at_ms)
            last = known.batch
            posture = build_posture(
                *(known.catalogue, known.runs), at_ms=at_ms, batch=last.seq, digest=last.digest, mode=last.mode
            )
            encode_posture(posture)
            spent.append((time.perf_counter() - began) * 1_000)
        return spent

    async def ask(house: House) -> list[float]:
        return await with_proof(house, AUTHOR, act)

    return installation.inside(ask)


def verify(path: Path, folder: Path) -> tuple[float, dict[str, Any]]:
    """Seconds of the shipped file on one core, and what it answers."""
    program = folder / "hygie-verify.py"
    build(program)
    core = {min(os.sched_getaffinity(0))}
    line = [sys.executable, "-I", str(program), str(path), "--json"]
    began = time.perf_counter()
    done = subprocess.run(line, check=True, capture_output=True, preexec_fn=lambda: os.sched_setaffinity(0, core))
    return time.perf_counter() - began, json.loads(done.stdout)


def main() -> None:
    """Fill, write, verify, grow, ask."""
    with running() as installation, tempfile.TemporaryDirectory() as name:
        began = time.perf_counter()
        fill(installation)
        print(f"  {RUNS:,} runs kept and journaled in {time.perf_counter() - began:.0f} s")
        path = Path(name, "dossier-demonstration-bench.zip")

        async def write(house: House) -> Written:
            async with opened(house.dsns.sealer, size=2) as records:
                return await write_dossier(house, records, Wanted(path, demonstration=True), author=AUTHOR)

        written = installation.inside(write)
        note = f"{written.runs:,} runs, {written.entries:,} entries of the journal, {written.bytes / 1e6:.1f} MB"
        tell(Figure("dossier-write", written.seconds, note=note))
        seconds, answer = verify(path, Path(name))
        assert answer["held"]["runs"] == written.runs
        digest = sha256(path.read_bytes()).hexdigest()[:8]
        tell(Figure("dossier-verify", seconds, note=f"the shipped file alone, one core; dossier {digest}"))
        start_ms, end_ms = grow(installation)
        spent = postures(installation, [end_ms] * TURNS)
        tell(Figure("posture", median(spent), note=f"{RUNS_AFTER:,} runs; longest of {TURNS}: {max(spent):.0f} ms"))
        draw = random.Random(3)
        spent = postures(installation, [draw.randrange(start_ms, end_ms) for _ in range(TRAVELS)])
        tell(
            Figure(
                "time-travel-p95", quantiles(spent, n=20)[-1], note=f"{TRAVELS} dates; median {median(spent):.0f} ms"
            )
        )


if __name__ == "__main__":
    main()
