"""Which country an address is probably in: a table that comes with Hygie, never proof.

IP Geolocation by DB-IP (https://db-ip.com), CC BY 4.0; see data/ORIGIN.md.  Nothing is asked of anybody.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_right
from functools import cache
from importlib.resources import files
from ipaddress import IPv4Address, IPv6Address
from typing import Final

import msgspec
import zstandard

from hygie.base.settings_checks import EEA_COUNTRIES

TABLE = "data/countries.zst"
ATTRIBUTION: Final = "IP Geolocation by DB-IP (https://db-ip.com), CC BY 4.0"
EEA: Final = EEA_COUNTRIES
_HOST_BITS = 64  # of an IPv6 address: networks are told apart by the other half


class _Table(msgspec.Struct):
    date: str
    countries: list[str]
    v4_starts: bytes
    v4_ranks: bytes
    v6_starts: bytes
    v6_ranks: bytes


class Countries:
    """The table, open: 6 MB. ``date``: of its edition, ``2026-10``."""

    def __init__(self, data: bytes) -> None:
        table = msgspec.msgpack.decode(zstandard.ZstdDecompressor().decompress(data), type=_Table)
        self.date = table.date
        self._countries = table.countries
        self._v4 = (_numbers("I", table.v4_starts), table.v4_ranks)
        self._v6 = (_numbers("Q", table.v6_starts), table.v6_ranks)

    def of(self, address: IPv4Address | IPv6Address) -> str:
        """ISO 3166-1 alpha-2, or nothing. Time: 1 microsecond."""
        if isinstance(address, IPv4Address):
            (starts, ranks), number = self._v4, int(address)
        else:
            (starts, ranks), number = self._v6, int(address) >> _HOST_BITS
        at = bisect_right(starts, number) - 1
        rank = ranks[at] if at >= 0 else 0
        return self._countries[rank - 1] if rank else ""


def _numbers(code: str, raw: bytes) -> array[int]:
    numbers = array(code)
    numbers.frombytes(raw)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


@cache
def countries() -> Countries:
    """The table of this version, read at first use (some 20 ms)."""
    return Countries(files("hygie.gate").joinpath(TABLE).read_bytes())
