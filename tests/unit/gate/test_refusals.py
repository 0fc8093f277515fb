"""What counts as one address where refusals and tries are counted."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hygie.gate import passwords
from hygie.gate.errors import SignInsBusyError
from hygie.gate.lockout import TRIES, Lockout
from hygie.gate.passwords import PasswordHashes
from hygie.gate.refusals import Refusals, neighbourhood

ONE, OTHER, NEXT = "2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:fffe", "2001:db8:0:2::1"


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        (ONE, "2001:db8:0:1::/64"),
        (OTHER, "2001:db8:0:1::/64"),
        (NEXT, "2001:db8:0:2::/64"),
        ("10.0.0.7", "10.0.0.7"),
        ("::ffff:10.0.0.7", "10.0.0.7"),
        ("::ffff:10.0.0.8", "10.0.0.8"),
        ("fe80::1%eth0", "fe80::/64"),
        ("local", "local"),
        ("", ""),
    ],
)
def test_a_subscriber_of_ipv6_is_one_address(address: str, counted: str) -> None:
    assert neighbourhood(address) == counted


def test_who_walks_through_his_network_is_counted_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    refusals = Refusals()
    assert [refusals.count(one) for one in (ONE, OTHER, NEXT, ONE)] == [1, 2, 1, 3]
    monkeypatch.setattr(passwords, "WAITING_OF_ONE_MAX", 1)

    async def main() -> None:
        hashes = PasswordHashes()
        async with hashes.place(ONE), hashes.place(NEXT):
            with pytest.raises(SignInsBusyError):
                await hashes.place(OTHER).__aenter__()

    asyncio.run(main())


def test_who_walks_through_his_network_is_locked_out_of_it(open_house: Any) -> None:
    async def main() -> None:
        async with open_house() as house:
            lockout, now_ms = Lockout(house.database, bytes(32)), house.clock.now_ms()
            for rank in range(TRIES):
                assert await lockout.begin("marie", f"2001:db8:0:1::{rank}", now_ms) is not None
            assert await lockout.begin("marie", OTHER, now_ms) is None
            assert await lockout.begin("marie", NEXT, now_ms) is not None

    asyncio.run(main())
