"""Cost against what is stored: an environment that grows, compared at each age with one that was just made.

Both are asked in turn, several times, so that whatever else the machine does weighs on both: only their ratio tells.
Long, so only on demand: ``HYGIE_BENCH_FLAT=1000000 make bench`` (a number of resources).  Writes
``docs/figures/flat.csv`` and its plot.
"""

from __future__ import annotations

import csv
import os
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from benchmarks import data, load, plot
from benchmarks.client import Target
from benchmarks.data import Bundle, Stored
from benchmarks.figures import Figure, tell
from benchmarks.installation import Installation, running

FOLDER = data.ROOT / "docs" / "figures"
SLICES = 12
ENDS = 3  # ages compared at each end, by their medians: one may meet a checkpoint of the database
TURNS = 3
QUERY_S = 1.5
WARM_S = 0.4
CONNECTIONS = 8
WARM, IMPORTED = 4, 24  # Bundles: what prepares an environment's statements; what is measured
KEPT = 10  # one resource in so many may be read: all ages alike
READS, SEARCHES = (
    400,
    200,
)  # drawn anew from all ages each time: what clients ask in a while does not grow with the past
ASKED = ("import", "read", "search")
PROOFS = {"read": b'"versionId"', "search": b'"Observation"'}

Row = dict[str, float]


@dataclass
class Place:
    """An environment, what may be asked of it, and the rates seen at one age."""

    target: Target
    stored: Stored = field(default_factory=Stored)
    rates: dict[str, list[float]] = field(default_factory=dict)

    def note(self, name: str, found: load.Measured) -> None:
        """Keep the rate of one turn."""
        self.rates.setdefault(name, []).append(found.rate)


def main() -> None:
    """Grow an environment slice by slice."""
    wanted = int(os.environ.get("HYGIE_BENCH_FLAT", "0"))
    if not wanted:
        print("  skipped: HYGIE_BENCH_FLAT=1000000 runs it")
        return
    bundles = data.bundles()
    rows: list[Row] = []
    with running() as installation:
        grown = Place(installation.environment("grown")[1])
        stored = turn = 0
        while stored < wanted:
            part: list[Bundle] = []
            while sum(one.count for one in part) < wanted / SLICES:
                part.append(bundles[turn % len(bundles)])
                turn += 1
            found = load.import_all(installation, grown.target, part)
            stored += found.operations
            _keep(grown.stored, found)
            rows.append({"resources": stored, **_compared(installation, grown, bundles, age=len(rows))})
            print("  " + ", ".join(f"{name} {value:,.2f}" for name, value in rows[-1].items()), flush=True)
            _write(rows)
        _tell(rows)
        _cold(installation, grown)


def _compared(installation: Installation, grown: Place, bundles: Sequence[Bundle], *, age: int) -> Row:
    """Rates of both environments at one age, and how many times the grown one is slower."""
    fresh = Place(installation.environment(f"fresh-{age}")[1])
    places = {"fresh": fresh, "grown": grown}
    grown.rates.clear()
    for place in places.values():
        load.import_all(installation, place.target, bundles[:WARM])
    for turn in range(TURNS):
        part = bundles[WARM + turn * IMPORTED :][:IMPORTED]
        for place in _in_turn(places, turn):
            found = load.import_all(installation, place.target, part)
            place.note("import", found)
            if place is fresh:
                place.stored.merge(found.stored)
    draw = random.Random(age)
    for turn in range(TURNS):
        for place in _in_turn(places, turn):
            for name, paths in (
                ("read", _drawn(draw, place.stored.read_paths(), READS)),
                ("search", _drawn(draw, place.stored.search_paths(), SEARCHES)),
            ):
                place.note(name, _ask(installation, place, paths, PROOFS[name]))
    row: Row = {}
    for name in ASKED:
        rates = {where: max(place.rates[name]) for where, place in places.items()}
        row |= {f"{name}_{where}_per_s": round(rate, 1) for where, rate in rates.items()}
        row[f"{name}_times"] = round(rates["fresh"] / rates["grown"], 3)
    return row


def _in_turn(places: Mapping[str, Place], turn: int) -> list[Place]:
    found = list(places.values())
    return found[::-1] if turn % 2 else found


def _ask(installation: Installation, place: Place, paths: Sequence[str], proof: bytes) -> load.Measured:
    client = load.reader(place.target, paths, connections=CONNECTIONS, seconds=QUERY_S, proof=proof, warm_s=WARM_S)
    return load.measure(installation, [client])


def _keep(kept: Stored, found: load.Measured) -> None:
    for one in found.outcomes:
        kept.resources += one.stored.resources[::KEPT]
        kept.pairs += one.stored.pairs[::KEPT]


def _drawn(draw: random.Random, paths: Sequence[str], count: int) -> Sequence[str]:
    return draw.sample(paths, min(count, len(paths)))


def _cold(installation: Installation, grown: Place) -> None:
    """Reads all over the past: most are of a patient whose key was not asked for in the last minute."""
    found = _ask(installation, grown, grown.stored.read_paths(), PROOFS["read"])
    tell(Figure("read-cold", found.rate, cpu_us=found.cpu_us(), others=found.others_share))


def _write(rows: Sequence[Row]) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "flat.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    sizes = [row["resources"] for row in rows]
    panels = [plot.Panel(name, sizes, [row[f"{name}_times"] for row in rows]) for name in ASKED]
    (FOLDER / "flat.svg").write_text(plot.draw("Times the cost in a new environment, against resources stored", panels))


def _tell(rows: Sequence[Row]) -> None:
    size = f"{rows[-1]['resources']:,.0f} resources"
    for name in ASKED:

        def middle(what: str, part: Sequence[Row], name: str = name) -> float:
            return median(row[f"{name}_{what}"] for row in part)

        times = middle("times", rows[-ENDS:])
        note = (
            f"at {size}: {middle('grown_per_s', rows[-ENDS:]):,.0f}/s, in a new environment beside it"
            f" {middle('fresh_per_s', rows[-ENDS:]):,.0f}/s; at the first age {middle('times', rows[:ENDS]):.2f} times"
        )
        tell(Figure(f"flat-{name}", (1 - 1 / times) * 100, note=note))


if __name__ == "__main__":
    main()
