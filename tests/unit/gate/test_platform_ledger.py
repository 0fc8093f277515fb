"""Clients, environments and rights survive the loss of the database, on one site, for whoever holds the keys."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from hygie.backups.published import Published
from hygie.base.actions import Action
from hygie.base.roles import Role
from hygie.database.pool import Database
from hygie.gate.administration import Administration
from hygie.gate.errors import (
    AdministrationError,
    PlatformKnownError,
    PlatformLedgerAbsentError,
    PlatformLedgerBrokenError,
)
from hygie.gate.platform_ledger import (
    GENERATION_MARGIN,
    KEPT,
    PREFIX,
    Platform,
    PlatformLedger,
    apply_revocations,
    import_platform,
    newest_platform,
    open_platform,
    platform_keys,
    platform_name,
    read_platform,
    seal_platform,
    to_sign,
)
from hygie.gate.rights import COVERED, is_ours, live_rights, rights_key
from hygie.journal.entry import Entry
from hygie.sites.errors import SiteQuorumError

TABLES = ("tenant", "environment", "account", "token", "habilitation", "erasure")


@asynccontextmanager
async def administered(house: Any) -> AsyncIterator[tuple[Administration, Database, PlatformLedger]]:
    """The owner's pool, its administration and what it publishes."""
    owner = Database(house.dsns.owner, size=2)
    await owner.open()
    try:
        ledger = PlatformLedger(owner, kms=house.kms, sites=house.sites, clock=house.clock)
        acts = Administration(
            owner,
            owner_dsn=house.dsns.owner,
            kms=house.kms,
            journal=house.journal,
            clock=house.clock,
            operator="local:test",
            ledger=ledger,
        )
        yield acts, owner, ledger
    finally:
        await owner.close()


async def populate(acts: Administration, owner: Database) -> tuple[str, str, str]:
    """Some of everything. Returns a token id, a habilitation and a bearer token."""
    await acts.create_tenant("chu", "CHU de Test")
    async with owner.transaction() as connection:  # hygie_env_1 is the stage's own
        await connection.execute("SELECT setval('hygie.environment_number', 40)")
    place = (await acts.create_environment("chu", "prod", "production")).place
    await acts.create_account("marie", kind="person", label="Marie", professional_id="10001234565", days=30)
    granted = await acts.grant("marie", "chu", "prod", role=Role.CAREGIVER, reason="soins", approver="paul", days=30)
    token_id, token = await acts.create_token("marie", "chu", "prod", days=3)
    async with owner.transaction() as connection:
        await connection.execute(
            "INSERT INTO hygie.erasure (id, environment, compartment, instruction, requested_ms) VALUES"
            " ('e1', %s, '\\x01', '{\"reference\": \"é\"}', 5)",
            (place.environment_id,),
        )
    return token_id, granted, token


async def everything(database: Database) -> dict[str, list[Any]]:
    async with database.transaction() as connection:
        return {
            table: await (await connection.execute(f"SELECT * FROM hygie.{table} ORDER BY 1".encode())).fetchall()
            for table in TABLES
        }


def run(main: Any) -> None:
    asyncio.run(main())


def test_each_change_is_on_every_site_and_comes_back_into_an_empty_database(open_house, new_database) -> None:
    async def main() -> None:
        async with open_house() as house, administered(house) as (acts, owner, ledger):
            _, _, token = await populate(acts, owner)
            assert await ledger.publish()  # the erasure, which came from elsewhere
            await house.sites.drain(10)  # a quorum is enough to answer: the third copy may come later
            assert not await ledger.publish()
            before = await everything(owner)
            empty = Database(new_database().owner, size=1)
            await empty.open()
            try:
                for site in ("paris", "lyon", "lille"):
                    platform = newest_platform(house.sites.link(site).site, await platform_keys(house.kms))
                async with empty.transaction() as connection:
                    await import_platform(connection, platform)
                assert await everything(empty) == before
                async with empty.transaction() as connection:
                    number = await (await connection.execute("SELECT nextval('hygie.environment_number')")).fetchone()
                    generation = await (await connection.execute("SELECT value FROM hygie.gate_generation")).fetchone()
                assert number == (42,)
                assert generation[0] >= platform.generation + GENERATION_MARGIN
                async with empty.transaction() as connection:
                    with pytest.raises(PlatformKnownError):
                        await import_platform(connection, platform)
            finally:
                await empty.close()
            hashes = [row[0] for row in before["token"]]
            assert hashes == [hashlib.sha256(token.encode()).digest()]

    run(main)


def test_a_client_that_is_refused_leaves_no_key(open_house) -> None:
    async def main() -> None:
        async with open_house() as house, administered(house) as (acts, _, _):
            await acts.create_tenant("chu", "CHU de Test")
            tenants = (await house.kms.status()).tenants
            for name in ("chu", "chu\n", "CHU", ""):
                with pytest.raises(AdministrationError):
                    await acts.create_tenant(name, "another one")
            assert (await house.kms.status()).tenants == tenants

    run(main)


def test_what_lies_on_a_site_shows_no_name(open_house) -> None:
    async def main() -> None:
        async with open_house() as house, administered(house) as (acts, owner, _):
            await populate(acts, owner)
            await house.sites.drain(10)
            files = list(house.folders.rglob(f"{PREFIX}*"))
            assert files
            for path in files:
                for word in (b"marie", b"Marie", b"chu", b"801", b"soins"):
                    assert word not in path.read_bytes()

    run(main)


def test_a_ledger_that_was_not_signed_by_us_gives_nobody_a_right(open_house) -> None:
    async def main() -> None:
        async with open_house() as house, administered(house) as (acts, owner, _):
            await populate(acts, owner)
            await house.sites.drain(10)
            site, keys = house.sites.link("paris").site, await platform_keys(house.kms)
            true = newest_platform(site, keys)
            data = site.get(platform_name(true.generation))
            for at in (0, 9, 20, 60, len(data) // 2, len(data) - 1):
                altered = bytearray(data)
                altered[at] ^= 1
                with pytest.raises(PlatformLedgerBrokenError):
                    open_platform(bytes(altered), keys)
            for cut in (0, 10, 64, len(data) - 1):
                with pytest.raises(PlatformLedgerBrokenError):
                    open_platform(data[:cut], keys)
            # somebody who has the sealing key, not the signing key; and a true one under a higher name
            forged = seal_platform(true, key=keys.key) + data[-64:]
            site.put(platform_name(true.generation + 5), forged)
            site.put(platform_name(true.generation + 6), data)
            assert newest_platform(site, keys).generation == true.generation
            for path in (house.folders / "paris" / "platform").iterdir():
                path.unlink()
            with pytest.raises(PlatformLedgerAbsentError):
                newest_platform(site, keys)

    run(main)


def test_a_site_that_was_away_gets_the_newest_and_old_ones_go(open_house) -> None:
    async def main() -> None:
        async with open_house() as house, administered(house) as (acts, _, ledger):
            for number in range(KEPT + 4):
                await acts.create_tenant(f"t{number}", "t")
                await house.sites.drain(10)  # a copy under way at the next change is pruned one later
            for site in ("paris", "lyon", "lille"):
                assert len(list((house.folders / site / "platform").iterdir())) == KEPT
            newest = max((house.folders / "lille" / "platform").iterdir())
            newest.unlink()
            assert await ledger.publish()
            await house.sites.drain(10)
            assert newest.exists()
            assert len(newest_platform(house.sites.link("lille").site, await platform_keys(house.kms)).tables["tenant"])

    run(main)


def test_a_right_can_be_withdrawn_while_sites_are_away(open_house, monkeypatch) -> None:
    async def main() -> None:
        async with open_house() as house, administered(house) as (acts, owner, ledger):
            token_id, _, _ = await populate(acts, owner)

            async def away(*_: object) -> None:
                raise SiteQuorumError(done=0, quorum=2)

            with monkeypatch.context() as patched:
                patched.setattr(type(house.sites), "replace", away)
                await acts.revoke_token(token_id)
            (token,) = await acts.listing("token")
            assert token["revoked_ms"] is not None
            assert await ledger.publish()

    run(main)


def test_a_ledger_of_before_rows_had_macs_gives_them_theirs(open_house) -> None:
    """Its signature vouches for it; what is forged in a ledger of today stays forged."""

    async def main() -> None:
        async with open_house() as house, administered(house) as (acts, owner, _):
            await populate(acts, owner)
            await acts.create_account("paul", kind="person", label="Paul", professional_id="", days=30)
            await acts.disable_account("paul")
            keys = await platform_keys(house.kms)
            async with owner.transaction() as connection:
                now = await read_platform(connection, 1)
            cut = {"account": 2, "habilitation": 5, "token": 2}  # these columns came later than the MAC
            former = {
                name: [row[: -cut.get(name, 1)] if name in COVERED else row for row in rows]
                for name, rows in now.tables.items()
            }

            async def signed(tables: Any) -> bytes:
                sealed = seal_platform(replace(now, tables=tables), key=keys.key)
                return sealed + await house.kms.sign("backup", to_sign(sealed))

            assert open_platform(await signed(former), keys).tables == now.tables  # paul, who is closed, gets none
            for later in (1, 2):
                former["habilitation"] = [row[:-later] for row in now.tables["habilitation"]]
                assert open_platform(await signed(former), keys).tables == now.tables
            assert [row[-2] is None for row in now.tables["account"]] == [False, True]
            now.tables["token"][0][-2] = None
            assert open_platform(await signed(now.tables), keys).tables["token"][0][-2] is None
            with pytest.raises(PlatformLedgerBrokenError):
                open_platform(await signed({"token": [now.tables["token"][0][:-3]]}), keys)

    run(main)


def test_what_the_journal_withdrew_stays_withdrawn(open_house, new_database) -> None:
    async def main() -> None:
        async with open_house() as house, administered(house) as (acts, owner, _):
            token_id, granted, _ = await populate(acts, owner)
            async with owner.transaction() as connection:
                old = await read_platform(connection, 1)
            place = (await acts.environment("chu", "prod")).place

            def said(action: Action, outcome: str = "done", **detail: str) -> Entry:
                return Entry(
                    action,
                    outcome,
                    "administration",
                    99,
                    environment_id=place.environment_id,
                    account="chief",
                    detail=detail,
                )

            entries = [
                said(Action.TOKEN_REVOKE, token=token_id),
                said(Action.HABILITATION_SUSPEND, habilitation=granted),
                said(Action.HABILITATION_REVOKE, habilitation=granted),
                said(Action.ACCOUNT_DISABLE, account="marie"),
                said(Action.TOKEN_REVOKE, outcome="refused", token="other"),
                said(Action.ENVIRONMENT_DESTROY, outcome="intent"),
            ]
            empty = Database(new_database().owner, size=1)
            await empty.open()
            try:
                async with empty.transaction() as connection:
                    await import_platform(connection, old)
                    assert await apply_revocations(connection, entries) == 4
                    assert await apply_revocations(connection, entries[:2]) == 0
                    rows = await (
                        await connection.execute(
                            "SELECT (SELECT revoked_ms FROM hygie.token), (SELECT revoked_by FROM hygie.habilitation),"
                            " (SELECT state FROM hygie.account), (SELECT state FROM hygie.environment)"
                        )
                    ).fetchone()
                assert rows == (99, "chief", "disabled", "closed")
                async with empty.transaction() as connection:
                    await apply_revocations(connection, [said(Action.ENVIRONMENT_DESTROY)])
                    state = await (await connection.execute("SELECT state FROM hygie.environment")).fetchone()
                assert state == ("destroyed",)
            finally:
                await empty.close()

    run(main)


def test_a_right_that_was_suspended_and_taken_up_again_outlives_a_rebuild(open_house, new_database) -> None:
    """Whenever the ledger was made; one whose suspension was the last word does not."""

    async def main() -> None:
        async with open_house() as house, administered(house) as (acts, owner, _):
            _, granted, _ = await populate(acts, owner)
            said = [
                Entry(action, outcome, "administration", at_ms, detail={"habilitation": granted})
                for at_ms, (action, outcome) in enumerate(
                    [
                        (Action.HABILITATION_SUSPEND, "done"),
                        (Action.HABILITATION_RESUME, "refused"),
                        (Action.HABILITATION_RESUME, "done"),
                        (Action.HABILITATION_SUSPEND, "done"),
                        (Action.HABILITATION_RESUME, "done"),
                    ]
                )
            ]
            ledgers = []
            for act in (None, acts.suspend_habilitation, acts.resume_habilitation):
                if act is not None:
                    await act(granted)
                async with owner.transaction() as connection:
                    ledgers.append(await read_platform(connection, 1))
            key = await rights_key(house.kms)
            published = Published()
            for index, entry in enumerate(said):
                published.take(index, entry)

            async def lives(ledger: Platform, entries: Sequence[Entry]) -> bool:
                empty = Database(new_database().owner, size=1)
                await empty.open()
                try:
                    async with empty.transaction() as connection:
                        await import_platform(connection, ledger)
                        await apply_revocations(connection, entries)
                        rights = await live_rights(connection, house.clock.now_ms())
                        return any(one.id == granted and is_ours(one, key) for one in rights)
                finally:
                    await empty.close()

            assert [await lives(one, published.revocations) for one in ledgers] == [True, False, True]
            assert not any([await lives(one, said[:4]) for one in ledgers])
            assert not any([await lives(one, said[:2]) for one in ledgers])

    run(main)
