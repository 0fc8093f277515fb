"""How often each address was refused in this minute, in a bounded memory; what counts as one address."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network, ip_address

from hygie.base.clock import SteadyClock

ADDRESSES_MAX = 10_000  # counted apart in one minute; who comes after shares one count
_MINUTE_MS = 60_000
_OTHERS = ""


def neighbourhood(address: str) -> str:
    """What is counted as one address: of IPv6 its /64, which one subscriber has whole (RFC 6177) and walks at will."""
    try:
        number = ip_address(address)
    except ValueError:
        return address
    if not isinstance(number, IPv6Address):
        return address
    return str(number.ipv4_mapped or IPv6Network((int(number) >> 64 << 64, 64)))


class Refusals:
    """One per gate. A date set back does not make a minute last: the clock is the process's own."""

    def __init__(self) -> None:
        self._steady = SteadyClock()
        self._counts: dict[str, int] = {}
        self._from_ms = self._steady.now_ms()

    def count(self, address: str) -> int:
        """One more refusal of this address. Returns: how many it got in this minute."""
        now_ms, address = self._steady.now_ms(), neighbourhood(address)
        if now_ms - self._from_ms > _MINUTE_MS:
            self._counts.clear()
            self._from_ms = now_ms
        if address not in self._counts and len(self._counts) >= ADDRESSES_MAX:
            address = _OTHERS
        count = self._counts[address] = self._counts.get(address, 0) + 1
        return count
