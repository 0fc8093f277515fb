"""Rows that a hosting process, or who took it, plants with numbers and words that no act writes: they stop nothing."""

from __future__ import annotations

import asyncio
import json
import secrets
from typing import Any

import psycopg
import pytest

from hygie.app import opened
from hygie.base.actions import Action
from hygie.base.permit import Place
from hygie.gate.break_glass import BreakGlass, openings_kept
from hygie.gate.everywhere import EVERYWHERE
from hygie.gate.requests import LISTED_MAX, RequestReader, Requests, emergencies
from hygie.gate.retentions import in_force
from hygie.gate.reviews import Reviews, decisions
from hygie.gate.rights import rights_key
from hygie.gate.snapshot import load_snapshot
from hygie.gate.two_persons import TwoPersons
from tests.unit.gate.test_requests import permit
from tests.unit.vault.conftest import open_house  # noqa: F401 (a fixture)

# Rows of these tables carry numbers that a MAC covers, and nobody holds a key of theirs below zero.
NUMBERS = {
    "break_glass": ("opened_ms",),
    "break_glass_review": ("reviewed_ms",),
    "request": ("asked_ms",),
    "decision": ("decided_ms",),
    "request_use": ("used_ms",),
    "review_campaign": ("opened_ms",),
    "right_review": ("decided_ms",),
    "retention": ("since_ms",),
}
ASKED = (
    "INSERT INTO hygie.request (id, act, tenant, environment, what, subject, reason, asked_by, asked_ms, ends_ms, mac)"
    " VALUES (%s, %s, %s, %s, %s, '', 'soins', 'rita', %s, %s, %s)"
)
OPENED = (
    "INSERT INTO hygie.break_glass (id, account, environment, subject, motive, opened_ms, ends_ms, mac)"
    " VALUES (%s, 'lea', %s, %s, 'on-call', %s, %s, %s)"
)
FUTURE_MS = 1 << 50


def without_rules(owner: psycopg.Connection[Any]) -> None:
    """The tables as before their numbers had a floor, or as who owns the database leaves them."""
    for table in NUMBERS:
        found = owner.execute(
            "SELECT conname FROM pg_constraint WHERE conrelid = %s::regclass AND contype = 'c'", (f"hygie.{table}",)
        )
        for (name,) in found.fetchall():
            owner.execute(f"ALTER TABLE hygie.{table} DROP CONSTRAINT {name}".encode())


def planted(place: Place, act: str, what: str, at_ms: int = 10) -> tuple[Any, ...]:
    """A request that nobody asked for."""
    where = (place.tenant_id, place.environment_id)
    return (secrets.token_hex(8), act, *where, what, at_ms, FUTURE_MS + 1, secrets.token_bytes(32))


BAD = (
    ("no:such-act", "{}", 10),
    ("right:raise", "no JSON", 10),
    ("right:raise", "[1]", 10),
    ("right:raise", '{"a\\u0000":"x"}', 10),
    ("right:raise", "{}", -1),
    ("habilitation:grant", "{", -1),
)


@pytest.mark.parametrize(("act", "what", "at_ms"), BAD)
def test_a_planted_request_stops_no_request(open_house: Any, act: str, what: str, at_ms: int) -> None:  # noqa: F811
    async def main() -> None:
        async with open_house() as house, opened(house.dsns.owner, size=2) as owner:
            requests = Requests(owner, kms=house.kms, journal=house.journal, clock=house.clock)
            words = {"account": "local:op", "ticket": "T-1", "minutes": "10", "emergency": "yes"}
            true = await requests.ask(
                permit("local:op", Action.RIGHT_RAISE, EVERYWHERE), Action.RIGHT_RAISE, words, reason="disk"
            )
            row = planted(EVERYWHERE, act, what, at_ms)
            with psycopg.connect(house.dsns.owner, autocommit=True) as plain:
                without_rules(plain)
                plain.execute(ASKED, row)
                decided = "INSERT INTO hygie.decision VALUES (%s, 'approved', 'remi', -1, '', %s)"
                plain.execute(decided, (row[0], secrets.token_bytes(32)))
            assert [one.id for one in await requests.listing(EVERYWHERE)] == [true.id]
            for one in (Action.HABILITATION_GRANT, Action.RIGHT_RAISE):
                assert await requests.approved(one) == []
            two = TwoPersons(requests, owner, production=True, now_ms=house.clock.now_ms())
            assert await two.raised("local:op") is not None
            async with owner.transaction() as connection:
                told = await emergencies(connection, await rights_key(house.kms))
            assert true.id in [one[0] for one in told]
            # One that may have been an emergency before somebody altered it is not passed over in silence.
            assert (row[0] in [one[0] for one in told]) == (act == "right:raise")
            assert not any(answered for *_, answered in told)

    asyncio.run(main())


def test_planted_requests_hide_no_true_one(open_house: Any) -> None:  # noqa: F811
    async def main() -> None:
        async with open_house() as house, opened(house.dsns.owner, size=2) as owner:
            requests = Requests(owner, kms=house.kms, journal=house.journal, clock=house.clock)
            asking = permit("rita", Action.APPROVAL_ASK, house.place)
            true = await requests.ask(asking, Action.HABILITATION_GRANT, {"account": "marie"}, reason="soins")
            with psycopg.connect(house.dsns.hosting) as plain, plain.cursor() as cursor:
                rows = [planted(house.place, "habilitation:grant", "{}", FUTURE_MS) for _ in range(LISTED_MAX)]
                cursor.executemany(ASKED, rows)
            reader = RequestReader(owner, kms=house.kms, clock=house.clock)
            assert [one.id for one in await reader.listing(house.place)] == [true.id]

    asyncio.run(main())


def test_a_word_that_no_table_takes_is_no_word_of_a_request(open_house: Any) -> None:  # noqa: F811
    async def main() -> None:
        async with open_house() as house, opened(house.dsns.owner, size=2) as owner:
            requests = Requests(owner, kms=house.kms, journal=house.journal, clock=house.clock)
            for name in ("account\0", "acc\nount", "\ud800"):
                with pytest.raises(Exception, match="HYG-165"):
                    await requests.ask(
                        permit("rita", Action.APPROVAL_ASK, house.place),
                        *(Action.HABILITATION_GRANT, {name: "x"}),
                        reason="soins",
                    )

    asyncio.run(main())


def test_a_planted_opening_stops_no_right(open_house: Any) -> None:  # noqa: F811
    """Everybody would be refused, and the hosting role could not take the row away."""

    async def main() -> None:
        async with open_house() as house, opened(house.dsns.owner, size=2) as owner:
            key, place = await rights_key(house.kms), house.place
            rows = [
                (secrets.token_hex(8), place.environment_id, bytes(16), at_ms, FUTURE_MS + 1, secrets.token_bytes(32))
                for at_ms in (-1, *[FUTURE_MS] * LISTED_MAX)
            ]
            with psycopg.connect(house.dsns.owner, autocommit=True) as plain:
                without_rules(plain)
                plain.execute("INSERT INTO hygie.account VALUES ('lea', 'person', '', '', 'open', 10, 20)")
                with plain.cursor() as cursor:
                    cursor.executemany(OPENED, rows)
                reviewed = "INSERT INTO hygie.break_glass_review VALUES (%s, 'justified', 'remi', -1, '', %s)"
                plain.execute(reviewed, (rows[1][0], bytes(32)))
            glass = BreakGlass(owner, kms=house.kms, journal=house.journal, clock=house.clock)
            true = await glass.open(permit("lea", Action.BREAK_GLASS_OPEN, place), "Patient/x", "on-call", 10)
            async with owner.transaction() as connection:
                await load_snapshot(connection, house.clock.now_ms(), key)
                assert not any(one.verdict for one in await openings_kept(connection, key))
            assert [one.id for one in await glass.listing(place)] == [true.id]

    asyncio.run(main())


def test_a_planted_campaign_decision_or_retention_stops_nothing(open_house: Any) -> None:  # noqa: F811
    async def main() -> None:
        async with open_house() as house, opened(house.dsns.owner, size=2) as owner:
            key, place = await rights_key(house.kms), house.place
            reviews = Reviews(owner, kms=house.kms, journal=house.journal, clock=house.clock)
            now_ms = house.clock.now_ms()
            asking = permit("rita", Action.HABILITATION_REVIEW, place)
            true = await reviews.open(asking, "revue annuelle", now_ms + 1_000_000)
            with psycopg.connect(house.dsns.owner, autocommit=True) as plain:
                without_rules(plain)
                plain.execute("INSERT INTO hygie.account VALUES ('lea', 'person', '', '', 'open', 10, 20)")
                plain.execute(
                    "INSERT INTO hygie.habilitation (id, account, environment, role, reason, approver, starts_ms,"
                    " ends_ms) VALUES ('h1', 'lea', %s, 'reader', 'soins', 'remi', 10, %s)",
                    (place.environment_id, FUTURE_MS),
                )
                plain.execute(
                    "INSERT INTO hygie.review_campaign VALUES (%s, %s, %s, 'planted', 'rita', -1, 5, %s)",
                    (secrets.token_hex(8), place.tenant_id, place.environment_id, bytes(32)),
                )
                plain.execute(
                    "INSERT INTO hygie.right_review VALUES (%s, 'h1', 'keep', 'remi', -1, '', %s)", (true.id, bytes(32))
                )
                plain.execute("INSERT INTO hygie.retention VALUES ('years', 1, -1, -1, '', %s)", (bytes(32),))
            assert [one.id for one in await reviews.listing(place)] == [true.id]
            assert [one["decision"] for one in await reviews.rights(place, true.id)] == [None]
            async with owner.transaction() as connection:
                assert await decisions(connection, key) == []
                assert await in_force(connection, key) == {}

    asyncio.run(main())


@pytest.mark.parametrize(("table", "column"), [(table, name) for table, names in NUMBERS.items() for name in names])
def test_the_tables_take_no_number_below_zero(database: Any, table: str, column: str) -> None:
    with psycopg.connect(database.owner) as owner:
        found = owner.execute(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = %s::regclass AND contype = 'c'",
            (f"hygie.{table}",),
        )
        assert any(f"{column} >= 0" in rule for (rule,) in found.fetchall())


def test_the_words_of_a_request_are_kept_as_their_mac_covers_them(open_house: Any) -> None:  # noqa: F811
    """Another order of the same words is another text: nobody wrote it."""

    async def main() -> None:
        async with open_house() as house, opened(house.dsns.owner, size=2) as owner:
            requests = Requests(owner, kms=house.kms, journal=house.journal, clock=house.clock)
            words = {"account": "marie", "role": "reader"}
            asking = permit("rita", Action.APPROVAL_ASK, house.place)
            one = await requests.ask(asking, Action.HABILITATION_GRANT, words, reason="soins")
            assert (await requests.find(house.place, one.id)).what == words
            with psycopg.connect(house.dsns.owner) as plain:
                plain.execute("UPDATE hygie.request SET what = %s", (json.dumps(words),))
            assert await requests.listing(house.place) == []

    asyncio.run(main())
