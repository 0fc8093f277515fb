"""Cost against what is stored: imports, reads and searches while an environment grows.

Long, so only on demand: ``HYGIE_BENCH_FLAT=1000000 make bench`` (a number of resources).  Writes
``docs/figures/flat.csv`` and its plot.
"""

from __future__ import annotations

import csv
import os
import random
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks import data, load, plot
from benchmarks.client import Target
from benchmarks.data import Bundle, Stored
from benchmarks.figures import Figure, tell
from benchmarks.installation import Installation, running

FOLDER = data.ROOT / "docs" / "figures"
SLICES = 25
ENDS = 3  # slices compared at each end, by their medians: one may meet a checkpoint of the database
QUERY_S = 3.0
CONNECTIONS = 8
KEPT = 10  # one resource in so many may be read: all ages alike
READS, SEARCHES = (
    400,
    200,
)  # drawn anew from all ages each time: what clients ask in a while does not grow with the past

Row = dict[str, float]


def main() -> None:
    """Grow an environment slice by slice."""
    wanted = int(os.environ.get("HYGIE_BENCH_FLAT", "0"))
    if not wanted:
        print("  skipped: HYGIE_BENCH_FLAT=1000000 runs it")
        return
    bundles = data.bundles()
    rows: list[Row] = []
    with running() as installation:
        _, target = installation.environment("flat")
        load.import_all(installation, target, bundles[:4])
        kept, stored, turn = Stored(), 0, 0
        while stored < wanted:
            part: list[Bundle] = []
            while sum(one.count for one in part) < wanted / SLICES:
                part.append(bundles[turn % len(bundles)])
                turn += 1
            found = load.import_all(installation, target, part)
            stored += found.operations
            _keep(kept, found)
            rows.append({"resources": stored, **_told("import", found), **_queries(installation, target, kept)})
            print("  " + ", ".join(f"{name} {value:,.0f}" for name, value in rows[-1].items()), flush=True)
            _write(rows)
        _tell(rows)
        _cold(installation, target, kept)


def _keep(kept: Stored, found: load.Measured) -> None:
    for one in found.outcomes:
        kept.resources += one.stored.resources[::KEPT]
        kept.pairs += one.stored.pairs[::KEPT]


def _queries(installation: Installation, target: Target, kept: Stored) -> Row:
    row: Row = {}
    draw = random.Random(len(kept.resources))
    for name, paths, proof in (
        ("read", _drawn(draw, kept.read_paths(), READS), b'"versionId"'),
        ("search", _drawn(draw, kept.search_paths(), SEARCHES), b'"Observation"'),
    ):
        client = load.reader(target, paths, connections=CONNECTIONS, seconds=QUERY_S, proof=proof)
        row |= _told(name, load.measure(installation, [client]))
    return row


def _drawn(draw: random.Random, paths: Sequence[str], count: int) -> Sequence[str]:
    return draw.sample(paths, min(count, len(paths)))


def _cold(installation: Installation, target: Target, kept: Stored) -> None:
    """Reads all over the past: most are of a patient whose key was not asked for in the last minute."""
    client = load.reader(target, kept.read_paths(), connections=CONNECTIONS, seconds=QUERY_S, proof=b'"versionId"')
    found = load.measure(installation, [client])
    tell(Figure("read-cold", found.rate, cpu_us=found.cpu_us(), others=found.others_share))


def _told(name: str, found: load.Measured) -> Row:
    return {
        f"{name}_per_s": round(found.rate, 1),
        f"{name}_cpu_us": round(sum(found.cpu_us().values()), 1),
        f"{name}_others": round(found.others_share * 100, 1),
    }


def _write(rows: Sequence[Row]) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with Path(FOLDER / "flat.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    sizes = [row["resources"] for row in rows]
    panels = [
        plot.Panel(f"{name}: CPU µs", sizes, [row[f"{name}_cpu_us"] for row in rows])
        for name in ("import", "read", "search")
    ] + [
        plot.Panel(f"{name}: per second", sizes, [row[f"{name}_per_s"] for row in rows])
        for name in ("import", "read", "search")
    ]
    (FOLDER / "flat.svg").write_text(plot.draw("Cost of an operation against resources stored", panels))


def _tell(rows: Sequence[Row]) -> None:
    first, last = rows[:ENDS], rows[-ENDS:]
    size = f"{rows[-1]['resources']:,.0f} resources"
    for name in ("import", "search", "read"):

        def middle(part: Sequence[Row], what: str, name: str = name) -> float:
            return median(row[f"{name}_{what}"] for row in part)

        slower = (1 - middle(last, "per_s") / middle(first, "per_s")) * 100
        note = f"at {size}: {middle(first, 'per_s'):,.0f} then {middle(last, 'per_s'):,.0f}/s"
        if middle(first, "cpu_us"):
            dearer = (middle(last, "cpu_us") / middle(first, "cpu_us") - 1) * 100
            note += f"; CPU {middle(first, 'cpu_us'):,.0f} then {middle(last, 'cpu_us'):,.0f} µs ({dearer:+.0f} %)"
        others = max(row[f"{name}_others"] for row in (*first, *last)) / 100
        tell(Figure(f"flat-{name}", slower, others=others, note=note))


if __name__ == "__main__":
    main()
