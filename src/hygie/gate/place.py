"""From which country a request comes, how that is known, and whether data may be reached from there.

Source: docs/adr/0026-place.md; HDS v2, EXI 29.  Declared networks come first; then the table that comes with Hygie,
which infers and proves nothing.  The address is the connection's own: no header is believed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from hygie.base.permit import Place
from hygie.gate.countries import EEA, countries
from hygie.gate.rights import Right

DECLARED, INFERRED, ASSUMED, UNKNOWN = "declared", "inferred", "assumed", "unknown"
# The Union reaches where ISO 3166 has other letters: the French outermost regions (TFUE, article 349) and Åland.
OUTERMOST: Final = frozenset({"GF", "GP", "MF", "MQ", "RE", "YT", "AX"})
WITHIN: Final = EEA | OUTERMOST  # from where data may be reached unless a client's own list says less
FOR_EVER: Final = 1 << 62  # ms
ADDRESSES_KEPT_MAX = 10_000  # located by one process since rights last changed

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Located:
    """A country, "" when nobody knows, and how it is known: ``declared`` by a network, ``inferred`` from the table,
    ``assumed`` of an address that no other network can have (private, loopback), or ``unknown``."""

    country: str
    how: str

    @property
    def told(self) -> str:
        """As entries say it: ``FR declared``, or ``unknown``."""
        return f"{self.country} {self.how}" if self.country else self.how


@dataclass(frozen=True, slots=True)
class Declared:
    """One declared network."""

    network: Network
    country: str
    ends_ms: int


@dataclass(frozen=True, slots=True)
class Rule:
    """Countries of a client or environment: its own list, or an exception."""

    kind: str
    countries: frozenset[str]
    ends_ms: int


@dataclass(frozen=True, slots=True)
class Geography:
    """Declared networks, the narrowest first; rules by subject."""

    networks: tuple[Declared, ...] = ()
    rules: Mapping[str, Sequence[Rule]] | None = None


def geography_of(rights: Iterable[Right], forged: Iterable[Right] = ()) -> Geography:
    """What was declared, of rows whose MAC holds.

    Args: forged: rows whose MAC does not: a list among them lets nobody in, for it was narrower before it was altered.
    """
    networks: list[Declared] = []
    rules: dict[str, list[Rule]] = {}
    for right in rights:
        one = right.values
        if right.table == "network":
            networks.append(Declared(ip_network(one["cidr"]), one["country"], one["ends_ms"]))
        elif right.table == "country_rule":
            rule = Rule(one["kind"], frozenset(one["countries"].split()), one["ends_ms"])
            rules.setdefault(one["subject"], []).append(rule)
    for right in forged:
        if right.table == "country_rule" and right.values["kind"] == "list":
            rules.setdefault(right.values["subject"], []).append(Rule("list", frozenset(), FOR_EVER))
    networks.sort(key=lambda found: found.network.prefixlen, reverse=True)
    return Geography(tuple(networks), rules)


class Whereabouts:
    """One per gate. Args: own: the installation's own country."""

    def __init__(self, own: str) -> None:
        self._own = own
        self._of: Geography | None = None
        self._kept: dict[str, tuple[Located, int]] = {}  # address -> where, and until when that counts

    def locate(self, geography: Geography, address: str, now_ms: int) -> Located:
        """Where an address is. Time: 1 microsecond once it was asked."""
        if geography is not self._of:
            self._of, self._kept = geography, {}
        found = self._kept.get(address)
        if found is None or now_ms >= found[1]:
            if len(self._kept) >= ADDRESSES_KEPT_MAX:
                self._kept.clear()
            found = self._kept[address] = self._locate(geography, address, now_ms)
        return found[0]

    def allows(self, geography: Geography, place: Place, address: str, now_ms: int) -> bool:
        """Whether data of an environment may be reached from there. What nobody knows is not within."""
        country = self.locate(geography, address, now_ms).country
        if not country:
            return False
        within = WITHIN
        for subject in (place.tenant_id.hex(), place.environment_id.hex()):  # the environment's own list counts last
            for rule in (geography.rules or {}).get(subject, ()):
                if now_ms >= rule.ends_ms:
                    continue
                if rule.kind == "list":
                    within = rule.countries
                elif country in rule.countries:
                    return True
        return country in within

    def _locate(self, geography: Geography, address: str, now_ms: int) -> tuple[Located, int]:
        try:
            number: IPv4Address | IPv6Address = ip_address(address.partition("%")[0])
        except ValueError:
            # no address: a socket of this machine, or a drill within the house
            return (Located(self._own, ASSUMED) if not address else Located("", UNKNOWN)), FOR_EVER
        if isinstance(number, IPv6Address) and number.ipv4_mapped is not None:
            number = number.ipv4_mapped
        for one in geography.networks:
            if number.version == one.network.version and number in one.network and now_ms < one.ends_ms:
                return Located(one.country, DECLARED), one.ends_ms
        if number.is_loopback or number.is_private or number.is_link_local:
            return Located(self._own, ASSUMED), FOR_EVER
        country = countries().of(number)
        return Located(country, INFERRED if country else UNKNOWN), FOR_EVER
