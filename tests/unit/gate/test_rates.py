"""Rates on a real database: what two processes let through together, and what that costs."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from hygie.base.actions import Action
from hygie.base.errors import UnavailableError
from hygie.base.permit import Place
from hygie.gate import rates as rates_room
from hygie.gate.allowances import BURST_S, Defaults
from hygie.gate.errors import RateLimitedError
from hygie.gate.rates import Rates, _Purse
from hygie.gate.refusals import ADDRESSES_MAX, Refusals
from hygie.gate.snapshot import Account, Bearer, Snapshot

WHERE = ("192.0.2.1", "test", "FR declared")
RATE = 20


def bearer(house: Any, account: str) -> Bearer:
    return Bearer(account, "", house.place, 1 << 60, ())


def snapshot(*accounts: str, kind: str = "application") -> Snapshot:
    return Snapshot(1, {one: Account(one, kind, "", 1 << 60, {}, ()) for one in accounts})


def process(house: Any, **defaults: int) -> Rates:
    """One process's rates."""
    return Rates(house.hot, house.journal, house.clock, replace(Defaults(), **defaults))


async def flood(rates: Rates, who: Bearer, seconds: float, action: Action = Action.OBJECT_READ) -> tuple[int, int]:
    """Ask all the time. Returns: how many were let through, and refused."""
    passed = refused = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            await rates.charge(snapshot(who.account), who, action, WHERE)
            passed += 1
        except RateLimitedError as error:
            refused += int(str(error.facts["retry_after_s"])) >= 1
        await asyncio.sleep(0)
    return passed, refused


def test_two_processes_let_through_what_one_may(open_house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates_room, "HELD_S", 0.0)

    async def main() -> None:
        async with open_house() as house:
            both = [process(house, application=RATE) for _ in range(2)]
            who = bearer(house, "app")
            began = time.monotonic()
            found = await asyncio.gather(*(flood(one, who, 3.0) for one in both for _ in range(4)))
            took = time.monotonic() - began
            passed = sum(one for one, _ in found)
            may = RATE * BURST_S + RATE * took
            assert 0.9 * may <= passed <= may * 1.1 + 2 * _Purse("account", "app", RATE).overdraft
            assert sum(one for _, one in found) > 100
            await asyncio.gather(*(one.close() for one in both))

    asyncio.run(main())


def test_many_accounts_of_one_client_share_its_points(open_house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates_room, "HELD_S", 0.0)

    async def main() -> None:
        async with open_house() as house:
            rates = process(house, tenant=RATE)
            found = await asyncio.gather(*(flood(rates, bearer(house, f"app{n}"), 1.0) for n in range(20)))
            assert sum(one for one, _ in found) <= (RATE * BURST_S + RATE) * 1.1 + 20
            other = replace(bearer(house, "else"), place=Place(b"t" * 16, b"e" * 16, ""))
            await rates.charge(snapshot("else"), other, Action.OBJECT_READ, WHERE)  # another client is not slowed
            await rates.close()

    asyncio.run(main())


def test_a_search_and_a_bundle_cost_more_than_a_read(open_house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates_room, "HELD_S", 0.0)

    async def main() -> None:
        async with open_house() as house:
            rates = process(house, application=RATE)
            passed, _ = await flood(rates, bearer(house, "searcher"), 1.0, Action.OBJECT_SEARCH)
            assert passed <= (RATE * BURST_S + RATE) * 1.1 / 5 + 5
            who, known = bearer(house, "bundler"), snapshot("bundler")
            await rates.charge(known, who, Action.OBJECT_CREATE, WHERE, weight=10 * RATE * BURST_S)
            with pytest.raises(RateLimitedError) as caught:
                await rates.charge(known, who, Action.OBJECT_CREATE, WHERE)
            assert caught.value.facts["limit"] == "account"
            assert int(str(caught.value.facts["retry_after_s"])) >= 8 * BURST_S
            await rates.close()

    asyncio.run(main())


def test_what_is_let_through_asks_the_database_a_few_times_a_second(open_house: Any) -> None:
    async def main() -> None:
        async with open_house() as house:
            rates, asked = process(house), 0
            fetch = house.hot.fetch

            async def counted(*words: Any) -> Any:
                nonlocal asked
                asked += 1
                return await fetch(*words)

            house.hot.fetch = counted
            passed, refused = await flood(rates, bearer(house, "app"), 1.0)
            assert (passed > 2_000, refused) == (True, 0)
            assert asked <= 25
            await rates.close()
            house.hot.fetch = fetch

    asyncio.run(main())


def test_refusals_are_told_at_once_then_by_their_number(open_house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates_room, "HELD_S", 0.0)

    async def main() -> None:
        async with open_house() as house:
            told: list[Any] = []
            append = house.journal.append_now

            async def noted(entries: Any) -> None:
                told.extend(entries)
                await append(entries)

            house.journal.append_now = noted
            rates = process(house, application=1)
            _, refused = await flood(rates, bearer(house, "app"), 0.5)
            assert refused > 10
            assert [(one.outcome, one.account, one.count, one.detail) for one in told] == [
                ("refused", "app", 1, {"code": "HYG-461", "limit": "account"})
            ]
            await rates.close()
            assert [one.count for one in told] == [1, refused - 1]

    asyncio.run(main())


def test_a_clock_set_back_neither_opens_nor_shuts(open_house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates_room, "HELD_S", 0.0)

    async def main() -> None:
        async with open_house() as house:
            rates, who = process(house, application=RATE), bearer(house, "app")
            passed, _ = await flood(rates, who, 1.0)
            house.clock._last_ms += 3_600_000  # the process's date has no say
            assert passed + (await flood(rates, who, 0.5))[0] <= RATE * (BURST_S + 1.5) * 1.1 + 20
            await rates.close()
            async with await psycopg.AsyncConnection.connect(house.dsns.owner, autocommit=True) as owner:
                # the database's own clock was an hour ahead, and is set right
                await owner.execute("UPDATE hygie.rate_level SET level = 0, at_ms = at_ms + 3600000")
            again = process(house, application=RATE)
            passed, _ = await flood(again, who, 1.5)
            assert 0.5 * RATE <= passed <= 4 * RATE  # it fills at its own pace from there
            await again.close()

    asyncio.run(main())


def test_ten_thousand_accounts_leave_nothing_behind(open_house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates_room, "IDLE_MS", 0)

    async def main() -> None:
        async with open_house() as house:
            rates = process(house)
            accounts = [f"app{n}" for n in range(10_000)]
            known = snapshot(*accounts)
            for one in accounts:
                await rates.charge(known, bearer(house, one), Action.OBJECT_READ, WHERE)
            await asyncio.sleep(2.5)
            assert len(rates._purses) == 0
            assert len(rates._dirty) == 0
            await rates.close()

    asyncio.run(main())


def test_a_dead_database_keeps_nobody_waiting(open_house: Any) -> None:
    async def main() -> None:
        async with open_house() as house:
            rates, who, known = process(house, application=1), bearer(house, "app"), snapshot("app")

            async def broken(*_: Any) -> Any:
                raise psycopg.OperationalError("gone")

            house.hot.fetch = broken
            await rates.charge(known, who, Action.OBJECT_READ, WHERE)  # on what it lets through unasked
            with pytest.raises(UnavailableError):
                await asyncio.wait_for(rates.charge(known, who, Action.OBJECT_READ, WHERE), 5)
            await rates.close()

    asyncio.run(main())


def test_addresses_counted_apart_are_bounded() -> None:
    refusals = Refusals()
    for number in range(3 * ADDRESSES_MAX):
        refusals.count(f"2001:db8:0:{number:x}::1")
    assert len(refusals._counts) <= ADDRESSES_MAX + 1
    assert refusals.count("2001:db8:0:1::2") == 2
    assert refusals.count("2001:db8:1::1") > ADDRESSES_MAX
