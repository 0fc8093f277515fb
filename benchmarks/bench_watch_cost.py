"""What the watch with all its rules and an export to a SOC cost who reads and writes: with them and without, by turns.

Without: the process of the watch is held (SIGSTOP); it has made up for that before it is measured again.  Only rounds
side by side compare: the machine's speed changes from minute to minute.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from statistics import median, quantiles

import psycopg

from benchmarks import data, load
from benchmarks.collector import collecting
from benchmarks.figures import Figure, seconds, tell
from benchmarks.installation import Installation, running

ROUNDS = int(os.environ.get("HYGIE_ROUNDS", "12"))
READ_S = 3.0
IMPORT_S = 4.0
CONNECTIONS = 8
LOADED = 20  # Bundles
LEVEL = 200  # entries: less than one turn
WAIT_S = 120.0
_BEHIND = """
SELECT (SELECT size FROM hygie.journal_head)
    - least((SELECT position FROM hygie.watch_cursor WHERE source = 'journal'),
            (SELECT position FROM hygie.soc_cursor WHERE source = 'journal'))
"""


def main() -> None:
    """Reads, then imports."""
    bundles = data.bundles()
    with (
        tempfile.TemporaryDirectory() as name,
        collecting(Path(name) / "soc") as soc,
        running(soc=(soc.export(),)) as installation,
    ):
        _, target = installation.environment("cost")
        stored = load.import_all(installation, target, bundles[:LOADED]).stored
        paths, time_s = stored.read_paths(), seconds(READ_S)
        reads = [load.reader(target, paths, connections=CONNECTIONS, seconds=time_s, proof=b'"versionId"')]
        shares = [bundles[LOADED + rank :: 2] for rank in range(2)]
        imports = [load.importer(target, share, seconds=seconds(IMPORT_S)) for share in shares]
        with psycopg.connect(installation.dsns().owner, autocommit=True) as owner:
            _compare(installation, "read", reads, lambda: _level(owner))
            _compare(installation, "import", imports, lambda: _level(owner))


def _compare(installation: Installation, name: str, clients: Sequence[load.Client], level: Callable[[], None]) -> None:
    """Rounds in pairs: with and without, then without and with."""
    whole: list[load.Measured] = []
    without: list[load.Measured] = []
    load.measure(installation, clients)  # the first round finds everything cold
    for turn in range(ROUNDS):
        for held in (turn % 2 == 1, turn % 2 == 0):
            level()
            with installation.held("watch") if held else nullcontext():
                (without if held else whole).append(load.measure(installation, clients))
    level()
    costs = [(1 - one.rate / other.rate) * 100 for one, other in zip(whole, without, strict=True)]
    low, _, high = quantiles(costs, n=4)
    watch, ours, before = _cpu_us(whole, "watch"), _cpu_us(whole), _cpu_us(without)
    note = (
        f"median of {ROUNDS} pairs, middle half {low:.1f} to {high:.1f} %; {median(one.rate for one in whole):,.0f}/s"
        f" with, {median(one.rate for one in without):,.0f}/s without; processor time of an operation {ours:,.0f} µs"
        f" with, {before:,.0f} without, clients included; the watch's own {watch:,.0f}"
    )
    others = median(one.others_share for one in whole)
    tell(Figure(f"watch-cost-{name}", median(costs), note=note, others=others))


def _cpu_us(found: Sequence[load.Measured], *groups: str) -> float:
    """Of an operation; of all groups of processes where none is named."""
    each = [one.cpu_us() for one in found]
    return median(sum(spent for name, spent in one.items() if not groups or name in groups) for one in each)


def _level(owner: psycopg.Connection[tuple[int]]) -> None:
    """Wait until rules and export have made up for what went on without them. Raises: TimeoutError."""
    end_s = time.monotonic() + WAIT_S
    while (owner.execute(_BEHIND).fetchone() or (0,)) > (LEVEL,):
        if time.monotonic() > end_s:
            raise TimeoutError("the watch does not catch up")
        time.sleep(0.2)


if __name__ == "__main__":
    main()
