"""Reads by id over HTTPS: eight clients, alone and during an import; every read is journaled before its answer."""

from __future__ import annotations

from benchmarks import bare, data, load
from benchmarks.figures import Figure, seconds, tell
from benchmarks.installation import running

CONNECTIONS = 8
PRELOADED = 40  # Bundles
SECONDS = 6.0


def main() -> None:
    """Import, then read, then both at once."""
    bundles = data.bundles()
    with running() as installation:
        _, target = installation.environment("read")
        reference = bare.measure(installation, bundles)
        stored = load.import_all(installation, target, bundles[:PRELOADED]).stored
        print(f"  among {len(stored.resources):,} resources")

        def reads() -> load.Client:
            return load.reader(
                target, stored.read_paths(), connections=CONNECTIONS, seconds=seconds(SECONDS), proof=b'"versionId"'
            )

        alone = load.measure(installation, [reads()])
        _tell("read", alone, reference)
        shares = [bundles[PRELOADED + rank :: 2] for rank in range(2)]
        importers = [load.importer(target, share, seconds=seconds(SECONDS) + load.WARM_S) for share in shares]
        both = load.measure(installation, [reads(), *importers])
    reading = max(both.outcomes, key=lambda one: len(one.latencies_s))
    imported = sum(one.rate for one in both.outcomes if one is not reading)
    note = f"while {imported:,.0f} resources/s were imported"
    _tell("read-importing", load.Measured([reading], both.cost), reference, note=note, shared=True)


def _tell(name: str, found: load.Measured, reference: float, *, note: str = "", shared: bool = False) -> None:
    note = note or f"p50 {found.percentile_ms(0.5):.1f} ms"
    cpu_us = {} if shared else found.cpu_us()
    others = 0.0 if shared else found.others_share
    tell(Figure(name, found.rate, found.rate / reference, cpu_us, others, note))
    tell(Figure(f"{name}-p99", found.percentile_ms(0.99), others=others))


if __name__ == "__main__":
    main()
