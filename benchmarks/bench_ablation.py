"""What encryption, the journal and the other sites cost: each taken away in turn, in one run of one installation.

Variants take turns, so that what else the machine does weighs on all; each has its own hosting processes (see
``ablated``) and environment, over one database, one KMS and the same disk.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median

from benchmarks import data, load
from benchmarks.ablated import PARTS
from benchmarks.client import Target
from benchmarks.data import Bundle
from benchmarks.figures import Figure, seconds, tell
from benchmarks.installation import Installation, running
from hygie.server.server import listen

ROUNDS = 5
IMPORT_S = 2.5
READ_S = 1.5
CONNECTIONS = 8
WARM = 2  # Bundles
READ_PARTS = ("nothing", "encryption", "journal")  # reads come from one site, whatever their number
WHOLE = "nothing"


@dataclass
class Variant:
    """The product without a part. rates, cpu_us: one of each round."""

    part: str
    target: Target
    stored: data.Stored = field(default_factory=data.Stored)
    rates: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    read_rates: list[float] = field(default_factory=list)
    read_cpu_us: list[float] = field(default_factory=list)


def main() -> None:
    """Measure each variant in turn, several times."""
    bundles = data.bundles()
    with running() as installation, _variants(installation) as variants:
        for one in variants.values():
            one.stored.merge(load.import_all(installation, one.target, bundles[:WARM]).stored)
        for turn in range(ROUNDS):
            for part in _rotated(list(variants), turn):
                _import(installation, variants[part], bundles)
        for turn in range(ROUNDS):
            for part in _rotated(list(READ_PARTS), turn):
                _read(installation, variants[part])
    whole = variants[WHOLE]
    print(f"  whole: imports {_told(whole.rates)} resources/s, reads {_told(whole.read_rates)}/s")
    for part in PARTS:
        if part != WHOLE:
            _tell(part, whole, variants[part])


@contextmanager
def _variants(installation: Installation) -> Iterator[Mapping[str, Variant]]:
    """Hosting processes of every variant, each with an environment."""
    processes: list[subprocess.Popen[bytes]] = []
    found: dict[str, Variant] = {}
    settings = installation.settings
    try:
        for part in PARTS:
            _, target = installation.environment(f"without-{part}")
            listener = listen(settings.host.address, 0)
            target = installation.target(f"without-{part}", target.token, port=listener.getsockname()[1])
            for _ in range(settings.host.processes):
                processes.append(_serve(installation, part, listener.fileno()))
            listener.close()
            found[part] = Variant(part, target)
        yield found
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(30)


def _serve(installation: Installation, part: str, listener: int) -> subprocess.Popen[bytes]:
    """One hosting process, ready."""
    ready, told = os.pipe()
    words = ("-m", "benchmarks.ablated", str(installation.data), part, str(listener), str(told))
    log = (installation.folder.logs / f"without-{part}.log").open("ab")
    process = subprocess.Popen([sys.executable, *words], pass_fds=(listener, told), stderr=log)
    os.close(told)
    log.close()
    with os.fdopen(ready, "rb") as waiting:
        if not waiting.read(1):
            raise RuntimeError(f"without {part}: did not start\n{installation.logs()}")
    installation.count(process.pid, "serve")
    return process


def _import(installation: Installation, variant: Variant, bundles: Sequence[Bundle]) -> None:
    shares = [bundles[WARM + rank :: 2] for rank in range(2)]
    clients = [load.importer(variant.target, share, seconds=seconds(IMPORT_S)) for share in shares]
    found = load.measure(installation, clients)
    variant.stored.merge(found.stored)
    variant.rates.append(found.rate)
    variant.cpu_us.append(sum(found.cpu_us().values()))


def _read(installation: Installation, variant: Variant) -> None:
    paths = variant.stored.read_paths()
    client = load.reader(
        variant.target, paths, connections=CONNECTIONS, seconds=seconds(READ_S), proof=b'"versionId"', warm_s=0.3
    )
    found = load.measure(installation, [client])
    variant.read_rates.append(found.rate)
    variant.read_cpu_us.append(sum(found.cpu_us().values()))


def _tell(part: str, whole: Variant, without: Variant) -> None:
    cost = _paired(whole.rates, without.rates)
    note = f"median of {ROUNDS} rounds, side by side; without it: {_told(without.rates)} resources/s"
    if min(whole.cpu_us) > 0:
        note += f"; in CPU {_lost(min(without.cpu_us), min(whole.cpu_us)):.0f} %"
    tell(Figure(f"cost-{part}", cost, note=note))
    if without.read_rates:
        note = f"without it: {_told(without.read_rates)}/s"
        if min(whole.read_cpu_us) > 0:
            note += f"; in CPU {_lost(min(without.read_cpu_us), min(whole.read_cpu_us)):.0f} %"
        tell(Figure(f"cost-{part}-read", _paired(whole.read_rates, without.read_rates), note=note))


def _paired(whole: Sequence[float], without: Sequence[float]) -> float:
    """The median loss of a round: only neighbours in time compare, on a machine whose speed changes."""
    return median(_lost(one, other) for one, other in zip(whole, without, strict=True))


def _lost(less: float, more: float) -> float:
    """Percents by which one is below the other."""
    return (1 - less / more) * 100


def _rotated(parts: list[str], turn: int) -> list[str]:
    return parts[turn % len(parts) :] + parts[: turn % len(parts)]


def _told(rates: Sequence[float]) -> str:
    return ", ".join(f"{rate:,.0f}" for rate in rates)


if __name__ == "__main__":
    main()
