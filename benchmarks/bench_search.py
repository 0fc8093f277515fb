"""Search by patient and code over HTTPS: eight clients; what a page discloses is journaled before its answer."""

from __future__ import annotations

from benchmarks import bare, data, load
from benchmarks.figures import Figure, seconds, tell
from benchmarks.installation import running

CONNECTIONS = 8
PRELOADED = 40  # Bundles
SECONDS = 8.0


def main() -> None:
    """Import, then search."""
    bundles = data.bundles()
    with running() as installation:
        _, target = installation.environment("search")
        reference = bare.measure(installation, bundles)
        stored = load.import_all(installation, target, bundles[:PRELOADED]).stored
        print(f"  among {len(stored.resources):,} resources, {len(stored.pairs):,} pairs of patient and code")
        client = load.reader(
            target, stored.search_paths(), connections=CONNECTIONS, seconds=seconds(SECONDS), proof=b'"Observation"'
        )
        found = load.measure(installation, [client])
    note = f"p50 {found.percentile_ms(0.5):.1f} ms"
    tell(Figure("search", found.rate, found.rate / reference, found.cpu_us(), found.others_share, note))
    tell(Figure("search-p99", found.percentile_ms(0.99), others=found.others_share))


if __name__ == "__main__":
    main()
