"""Import of transaction Bundles over HTTPS: two clients, journal and encryption on, three sites."""

from __future__ import annotations

from benchmarks import bare, data, load
from benchmarks.figures import Figure, seconds, tell
from benchmarks.installation import running

CLIENTS = 2
SECONDS = 12.0


def main() -> None:
    """Measure ``bare``, then the import, in one installation."""
    bundles = data.bundles()
    print(f"  {data.source()}: {data.summary(bundles)}")
    with running() as installation:
        print(f"  {installation.settings.host.processes} hosting processes")
        _, target = installation.environment("import")
        reference = bare.measure(installation, bundles)
        tell(Figure("bare", reference))
        load.import_all(installation, target, bundles[:4])  # compiles types and extractors, opens pools
        shares = [bundles[rank::CLIENTS] for rank in range(CLIENTS)]
        clients = [load.importer(target, share, seconds=seconds(SECONDS)) for share in shares]
        found = load.measure(installation, clients)
    middle, most = found.percentile_ms(0.5), found.percentile_ms(0.99)
    note = f"a Bundle: p50 {middle:.0f} ms, p99 {most:.0f} ms; {found.operations:,} resources"
    tell(Figure("import", found.rate, found.rate / reference, found.cpu_us(), found.others_share, note))
    tell(Figure("import-ratio", found.rate / reference))


if __name__ == "__main__":
    main()
