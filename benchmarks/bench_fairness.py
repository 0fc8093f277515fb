"""A quiet environment beside another that floods: how much longer its reads take, at the median and the 99th centile.

Rounds alone and rounds beside the flood take turns, so that a machine that slows down slows both.  The flood asks as
fast as it is answered, over many connections, and heeds no Retry-After.
"""

from __future__ import annotations

import time
from typing import Any

from benchmarks import data, load
from benchmarks.client import Connection, Target, percentile
from benchmarks.figures import Figure, seconds, tell
from benchmarks.installation import Installation, running

ROUNDS = 6
ROUND_S = 5.0
PACE_S = 0.05  # one read each: a screen that somebody looks at
FLOOD_CONNECTIONS = 48
FLOOD_IMPORTERS = 4
LOADED = 20  # Bundles in each environment
MARK = {-1: b"quiet"}  # tells the outcome of the quiet client from the others


def quiet(gate: Any, answers: Any, target: Target, paths: list[str], time_s: float) -> None:
    """Reads at a pace of its own."""
    connection = Connection(target)
    for path in paths[:20]:
        connection.get(path)
    gate.wait(load.START_S_MAX)
    outcome = load.Outcome()
    began_s = time.perf_counter()
    while (now_s := time.perf_counter()) - began_s < time_s:
        status, _ = connection.get(paths[outcome.operations % len(paths)])
        if status != 200:
            raise RuntimeError(f"quiet: {status}")
        outcome.latencies_s.append(time.perf_counter() - now_s)
        outcome.operations += 1
        time.sleep(max(0.0, now_s + PACE_S - time.perf_counter()))
    outcome.elapsed_s = time.perf_counter() - began_s
    outcome.answers = MARK
    connection.close()
    answers.put(outcome)


def main() -> None:
    """Each kind of flood in turn."""
    bundles = data.bundles()
    with running() as installation:
        _, calm = installation.environment("quiet")
        _, noisy = installation.environment("noisy")
        mine = load.import_all(installation, calm, bundles[:LOADED]).stored
        theirs = load.import_all(installation, noisy, bundles[:LOADED]).stored
        time_s = seconds(ROUND_S)
        wide = {"connections": FLOOD_CONNECTIONS, "seconds": time_s}
        imports = [bundles[LOADED + rank :: FLOOD_IMPORTERS] for rank in range(FLOOD_IMPORTERS)]
        floods: dict[str, list[load.Client]] = {
            "reads": [load.reader(noisy, theirs.read_paths(), **wide, proof=b'"versionId"')],
            "searches": [load.reader(noisy, theirs.search_paths(), **wide, proof=b"searchset")],
            "imports": [load.importer(noisy, share, seconds=time_s) for share in imports],
        }
        for name, flood in floods.items():
            _compare(installation, name, (quiet, (calm, mine.read_paths(), time_s)), flood)


def _compare(installation: Installation, name: str, reader: load.Client, flood: list[load.Client]) -> None:
    alone: list[float] = []
    beside: list[float] = []
    flooded = others = 0.0
    for _ in range(ROUNDS):
        alone += load.measure(installation, [reader]).latencies_s
        both = load.measure(installation, [reader, *flood])
        mine = next(one for one in both.outcomes if one.answers == MARK)
        beside += mine.latencies_s
        flooded += sum(one.rate for one in both.outcomes if one is not mine) / ROUNDS
        others += both.others_share / ROUNDS
    for share, word in ((0.5, "p50"), (0.99, "p99")):
        before_ms, after_ms = percentile(alone, share) * 1000, percentile(beside, share) * 1000
        note = f"{before_ms:.1f} ms alone, {after_ms:.1f} ms beside {flooded:,.0f}/s of {name}"
        tell(Figure(f"fair-{name}-{word}", after_ms / before_ms, note=note, others=others))


if __name__ == "__main__":
    main()
