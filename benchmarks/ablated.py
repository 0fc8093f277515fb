"""One hosting process with a part taken away, for ``bench_ablation`` alone: ``python -m benchmarks.ablated``.

The product has no setting for any of this and never will: the parts are replaced here, in this process's memory.  What
such a process writes can be opened by no other: it serves an environment of its own, of an installation that is
thrown away.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import zstandard

from hygie import app, services
from hygie.base.layout import DataFolder
from hygie.base.seal import COMPRESS_FROM_BYTES
from hygie.base.settings import Settings
from hygie.journal.writer import JournalWriter
from hygie.sites.placement import SiteSet
from hygie.vault import pack, reader, reading, sealing, search, writer
from hygie.vault.compartments import KEY_BYTES, CompartmentRow, Compartments

_WRAP = bytes(60)
_PLAIN, _PACKED = b"\0", b"\1"


def without_nothing() -> None:
    """The whole product: what the others are compared with."""


def without_encryption() -> None:
    """No seal, no key of a patient, no KMS; bodies are still compressed, blind tokens still made."""
    compressor, decompressor = zstandard.ZstdCompressor(level=1), zstandard.ZstdDecompressor()

    def seal(plaintext: bytes, *, key: bytes, meaning: bytes, compress: bool = True) -> bytes:
        del key, meaning
        if compress and len(plaintext) >= COMPRESS_FROM_BYTES:
            return _PACKED + compressor.compress(plaintext)
        return _PLAIN + plaintext

    def open_sealed(sealed: bytes, *, key: bytes, meaning: bytes, bytes_max: int) -> bytes:
        del key, meaning, bytes_max
        return decompressor.decompress(sealed[1:]) if sealed[:1] == _PACKED else sealed[1:]

    async def keys(self: Compartments, rows: Sequence[CompartmentRow], **more: Any) -> dict[bytes, bytes]:
        del self, more
        return {row.compartment: bytes(KEY_BYTES) for row in rows}

    async def wrap(self: Compartments, made: Sequence[tuple[bytes, bytes]]) -> tuple[int, Sequence[bytes]]:
        del self
        return 1, [_WRAP] * len(made)

    for room in (sealing, pack):
        _replace(room, "seal", seal)
    _replace(reading, "open_sealed", open_sealed)
    _replace(Compartments, "keys", keys)
    _replace(Compartments, "wrap", wrap)


def without_journal() -> None:
    """No entry is made, sealed or written; what is refused is not journaled either."""

    async def nothing(*some: Any, **more: Any) -> None:
        del some, more

    def no_entries(*some: Any, **more: Any) -> list[Any]:
        del some, more
        return []

    _replace(JournalWriter, "append", nothing)
    _replace(JournalWriter, "append_now", nothing)
    _replace(writer, "write_entries", no_entries)
    _replace(search, "read_entries", no_entries)
    _replace(reader, "_entry", no_entries)


def without_sites() -> None:
    """The first site alone."""

    def site_set(settings: Settings, folder: DataFolder) -> SiteSet:
        first = settings.sites[0]
        return SiteSet([app.new_site(first, folder)], quorum=1, allowed_countries=settings.allowed_countries)

    _replace(app, "site_set", site_set)


def _replace(where: Any, name: str, part: Any) -> None:
    """Put a part in the place of one that must be there: a renamed part would be measured as costing nothing."""
    if name not in vars(where):
        raise RuntimeError(f"{where} has no {name} any more")
    setattr(where, name, part)


PARTS: dict[str, Callable[[], None]] = {
    "nothing": without_nothing,
    "encryption": without_encryption,
    "journal": without_journal,
    "sites": without_sites,
}


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("without", choices=PARTS)
    parser.add_argument("listen_fd", type=int)
    parser.add_argument("ready_fd", type=int)
    options = parser.parse_args()
    PARTS[options.without]()
    services.serve(options.data, listen_fd=options.listen_fd, ready_fd=options.ready_fd)


if __name__ == "__main__":
    main()
