"""Where an address is, how that is known, and what may be reached from there."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hygie.base.permit import Place
from hygie.gate.countries import countries
from hygie.gate.place import ADDRESSES_KEPT_MAX, WITHIN, Declared, Geography, Located, Rule, Whereabouts, geography_of
from hygie.gate.rights import Right

PLACE = Place(b"t" * 16, b"e" * 16, "hygie_env_1")
TENANT, ENVIRONMENT = PLACE.tenant_id.hex(), PLACE.environment_id.hex()
EVER = 1 << 60
NETWORKS = (
    Declared(ip_network("8.8.8.0/24"), "FR", EVER),
    Declared(ip_network("8.8.0.0/16"), "DE", EVER),
    Declared(ip_network("2001:db8::/32"), "BE", EVER),
    Declared(ip_network("10.1.0.0/16"), "MA", 50),
)


def where(address: str, *, geography: Geography | None = None, now_ms: int = 10) -> str:
    return Whereabouts("FR").locate(geography or Geography(NETWORKS), address, now_ms).told


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("8.8.8.8", "FR declared"),  # the narrowest
        ("8.8.4.4", "DE declared"),
        ("::ffff:8.8.8.8", "FR declared"),  # the same host through an IPv6 socket
        ("2001:db8::1", "BE declared"),
        ("10.1.2.3", "MA declared"),
        ("10.2.0.1", "FR assumed"),
        ("127.0.0.1", "FR assumed"),
        ("::1", "FR assumed"),
        ("fe80::1%eth0", "FR assumed"),
        ("", "FR assumed"),  # a socket of this machine
        ("212.27.48.10", "FR inferred"),
        ("2001:660::1", "FR inferred"),
        ("8.9.0.1", "US inferred"),
        ("224.0.0.1", "unknown"),
        ("not an address", "unknown"),
        ("212.27.48.10, 8.8.8.8", "unknown"),  # what a header might hold is no address
        ("0212.27.48.10", "unknown"),
    ],
)
def test_an_address_is_somewhere_and_it_is_said_how_one_knows(address: str, told: str) -> None:
    assert where(address) == told


def test_a_network_that_ended_declares_nothing_even_of_an_address_that_was_kept() -> None:
    all_ = Whereabouts("FR")
    geography = Geography(NETWORKS)
    assert all_.locate(geography, "10.1.2.3", 49).told == "MA declared"
    assert all_.locate(geography, "10.1.2.3", 50).told == "FR assumed"
    assert all_.locate(Geography(), "8.8.8.8", 10).told == "US inferred"  # rights changed: what was kept is forgotten


def test_without_a_list_the_economic_area_is_within_and_nothing_else() -> None:
    all_, geography = Whereabouts("FR"), Geography(NETWORKS)
    assert all_.allows(geography, PLACE, "8.8.8.8", 10)
    assert not all_.allows(geography, PLACE, "8.9.0.1", 10)
    assert not all_.allows(geography, PLACE, "10.1.2.3", 10)
    assert not all_.allows(geography, PLACE, "224.0.0.1", 10)  # what nobody knows is not within
    assert {"RE", "GP"} <= WITHIN
    assert not {"CH", "GB", "US", "NC"} & WITHIN


def test_lists_narrow_and_exceptions_widen_for_a_time() -> None:
    all_ = Whereabouts("FR")
    rules = {
        TENANT: [Rule("list", frozenset({"FR"}), EVER), Rule("exception", frozenset({"US"}), 50)],
        ENVIRONMENT: [Rule("list", frozenset({"DE"}), EVER)],
        "else": [Rule("exception", frozenset({"MA"}), EVER)],
    }
    geography = Geography(NETWORKS, rules)
    other = Place(PLACE.tenant_id, b"o" * 16, "")
    assert all_.allows(geography, other, "8.8.8.8", 10)
    assert not all_.allows(geography, other, "8.8.4.4", 10)
    assert all_.allows(geography, PLACE, "8.8.4.4", 10)  # the environment's own list counts
    assert not all_.allows(geography, PLACE, "8.8.8.8", 10)
    assert all_.allows(geography, PLACE, "8.9.0.1", 49)
    assert not all_.allows(geography, PLACE, "8.9.0.1", 50)
    assert not all_.allows(geography, PLACE, "10.1.2.3", 10)  # another client's exception
    assert all_.allows(geography, Place(b"z" * 16, b"z" * 16, ""), "8.8.4.4", 10)


def test_addresses_kept_are_bounded() -> None:
    all_, geography = Whereabouts("FR"), Geography()
    for number in range(2 * ADDRESSES_KEPT_MAX + 10):
        all_.locate(geography, str(ip_address((1 << 32) - 1 - number)), 10)
    assert len(all_._kept) <= ADDRESSES_KEPT_MAX


@given(st.ip_addresses() | st.text(max_size=60))
def test_whatever_an_address_is_it_is_somewhere_or_unknown(address: object) -> None:
    found = Whereabouts("FR").locate(Geography(NETWORKS), str(address), 10)
    assert found == Located(found.country, found.how)
    assert bool(found.country) == (found.how != "unknown")


def test_the_table_is_recent_and_whole() -> None:
    table = countries()
    assert table.date >= "2026-10"
    assert {table.of(ip_address(one)) for one in ("80.67.169.12", "193.48.0.1", "2a01:e00::1")} == {"FR"}
    assert table.of(ip_address("0.0.0.0")) == table.of(ip_address("::")) == ""


def test_a_list_that_somebody_altered_lets_nobody_in_and_those_of_others_are_as_they_were() -> None:
    def rule(subject: str, countries: str, kind: str = "list") -> Right:
        values = {"id": "r", "kind": kind, "subject": subject, "countries": countries, "ends_ms": EVER}
        return Right("country_rule", values, b"m" * 32)

    def allows(*forged: Right, ours: tuple[Right, ...] = ()) -> bool:
        geography = geography_of(ours, forged)
        return Whereabouts("FR").allows(geography, PLACE, "127.0.0.1", 10)

    assert allows()
    assert not allows(rule(TENANT, "FR DE"))
    assert not allows(rule(ENVIRONMENT, "FR"), ours=(rule(ENVIRONMENT, "FR"),))
    assert allows(rule(TENANT, "DE"), ours=(rule(ENVIRONMENT, "FR"),))  # the environment's own list is true
    assert allows(rule("00" * 16, "DE"))
    assert allows(rule(TENANT, "CA", "exception"))
