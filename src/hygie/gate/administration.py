"""Tenants, environments, accounts, tokens and habilitations: made, ended and journaled, in one transaction each.

Run by the command line under the database's owner role; the hosting role can only read what this file writes.
"""

from __future__ import annotations

import hashlib
import re
import secrets

from psycopg import sql

from hygie.base.actions import Action
from hygie.base.identifiers import parse_professional
from hygie.base.permit import Place
from hygie.database.environments import create_environment_schema, destroy_environment_schema
from hygie.gate.administration_rows import Row, check, one_row, touch
from hygie.gate.clients import check_value
from hygie.gate.everywhere import EVERYWHERE, HOST_TENANT
from hygie.gate.habilitations import ACCOUNT, APP, DAY_MS, HABILITATION_DAYS_MAX, Habilitations
from hygie.gate.recorded import Environment, Withdrawal
from hygie.journal.entry import PLATFORM

TOKEN_PREFIX = "hyg_"  # noqa: S105 (lets secret scanners recognise a leaked token)
TOKEN_RANDOM_BYTES = 32
ACCOUNT_DAYS_MAX = 1_100
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
EXCEPTION_MIN, EXCEPTION_MAX = 10, 500  # characters: a reason that somebody can review
PRODUCTION = "production"
KINDS = ("production", "pre-production", "test", "demonstration")


class Administration(Habilitations):
    """Acts of one operator on clients, environments, accounts and tokens, beside those on habilitations."""

    async def create_tenant(self, name: str, label: str) -> bytes:
        """A client, that is a controller of data. Returns its id.

        Raises: AdministrationError: name taken, or not a name.
        """
        check(NAME.fullmatch(name) and name != HOST_TENANT, "name")
        tenant_id = secrets.token_bytes(16)
        async with self._change(Action.TENANT_CREATE, place=Place(tenant_id, PLATFORM, "")) as connection:
            taken = await (await connection.execute("SELECT 1 FROM hygie.tenant WHERE name = %s", (name,))).fetchone()
            check(taken is None, "name taken", fr="nom déjà pris")
            await connection.execute(
                "INSERT INTO hygie.tenant (id, name, label, created_ms) VALUES (%s, %s, %s, %s)",
                (tenant_id, name, label[:200], self._clock.now_ms()),
            )
            # After the row, which waits for another creation of this name under way: a refusal leaves no key.
            await self._kms.create_tenant(tenant_id)
        return tenant_id

    async def create_environment(self, tenant: str, name: str, kind: str) -> Environment:
        """An environment of a tenant, with its keys, its schema and its role.

        Raises: AdministrationError: name taken, not a name, unknown kind; NotFoundError: no such tenant;
        ProductionBlockedError: a layer of its service is not certified; the refusal is journaled.
        """
        check(NAME.fullmatch(name), "name")
        check(kind in KINDS, "kind")
        async with self._database.transaction() as connection:
            tenant_row = await one_row(connection, "SELECT id FROM hygie.tenant WHERE name = %s", tenant)
            taken = await (
                await connection.execute(
                    "SELECT 1 FROM hygie.environment WHERE tenant = %s AND name = %s", (tenant_row["id"], name)
                )
            ).fetchone()
            check(taken is None, "name taken", fr="nom déjà pris")
        if kind == PRODUCTION:
            await self._check_live(tenant, name, Action.ENVIRONMENT_CREATE, Place(tenant_row["id"], PLATFORM, ""))
        async with self._database.transaction() as connection:
            number = await one_row(connection, "SELECT nextval('hygie.environment_number') AS value")
        place = Place(tenant_row["id"], secrets.token_bytes(16), f"hygie_env_{number['value']}")
        async with self._change(Action.ENVIRONMENT_CREATE, place=place) as connection:
            await connection.execute(
                "INSERT INTO hygie.environment (id, tenant, name, kind, role, created_ms)"
                " VALUES (%s, %s, %s, %s, %s, %s)",
                (place.environment_id, place.tenant_id, name, kind, place.role, self._clock.now_ms()),
            )
            # After the row, which waits for another creation of this name under way: a refusal leaves no key.
            await self._kms.create_environment(place.tenant_id, place.environment_id)
            await create_environment_schema(self._owner_dsn, place.role)
        return Environment(tenant, name, kind, "open", place)

    async def close_environment(self, one: Environment) -> None:
        """Serve nobody there any more, from this COMMIT on; its data stay until they are destroyed."""
        async with self._change(Action.ENVIRONMENT_DESTROY, outcome="intent", place=one.place) as connection:
            await connection.execute(
                "UPDATE hygie.environment SET state = 'closed' WHERE id = %s AND state = 'open'",
                (one.place.environment_id,),
            )

    async def end_rights(self, place: Place) -> None:
        """Revoke every live token and habilitation of an environment, each on record."""
        async with self._database.transaction() as connection:
            found: dict[str, list[str]] = {}
            for table in ("token", "habilitation"):
                cursor = await connection.execute(
                    sql.SQL("SELECT id FROM {} WHERE environment = %s AND revoked_ms IS NULL ORDER BY id").format(
                        sql.Identifier("hygie", table)
                    ),
                    (place.environment_id,),
                )
                found[table] = [row[0] for row in await cursor.fetchall()]
        for id_ in found["token"]:
            await self.revoke_token(id_)
        for id_ in found["habilitation"]:
            await self.revoke_habilitation(id_)

    async def destroy_environment(self, tenant: str, name: str) -> None:
        """End of contract: destroy every key of an environment, then its catalogue. Irreversible.

        An *intent* entry is durable before, an outcome after.
        """
        one = await self.environment(tenant, name)
        place = one.place
        async with self._change(Action.ENVIRONMENT_DESTROY, outcome="intent", place=place) as connection:
            await connection.execute(
                "UPDATE hygie.environment SET state = 'closed' WHERE id = %s", (place.environment_id,)
            )
        await self._kms.destroy_environment(place.tenant_id, place.environment_id, repeated=place.environment_id)
        await destroy_environment_schema(self._owner_dsn, place.role)
        async with self._change(Action.ENVIRONMENT_DESTROY, place=place) as connection:
            await connection.execute(
                "UPDATE hygie.environment SET state = 'destroyed' WHERE id = %s", (place.environment_id,)
            )

    async def create_account(
        self, account: str, *, kind: str, label: str, professional_id: str, days: int, tenant: str = ""
    ) -> None:
        """A person or an application. It can do nothing until it holds a habilitation and proves itself.

        Args: professional_id: RPPS or ADELI number, empty for an application or for who has none; tenant: the client
        whose person or program it is, empty for the host's own.
        Raises: AdministrationError; InvalidIdentifierError; NotFoundError: no such client.
        """
        check(ACCOUNT.fullmatch(account), "account")
        if professional_id:
            parse_professional(professional_id)
        check(kind in ("person", "application"), "kind")
        check(0 < days <= ACCOUNT_DAYS_MAX, "days")
        now_ms = self._clock.now_ms()
        row: Row = {"id": account, "kind": kind, "label": label[:200], "professional_id": professional_id}
        row |= {"created_ms": now_ms, "ends_ms": now_ms + days * DAY_MS}
        row["tenant"] = await self.tenant_id(tenant) if tenant else None
        await self._write("account", row, Action.ACCOUNT_CREATE)

    async def disable_account(self, account: str) -> None:
        """Close an account: every token of it stops at once."""
        async with self._change(Action.ACCOUNT_DISABLE, detail={"account": account}) as connection:
            await touch(connection, "UPDATE hygie.account SET state = 'disabled', mac = NULL WHERE id = %s", account)

    async def create_token(
        self,
        account: str,
        tenant: str,
        environment: str,
        *,
        days: float,
        exception: str = "",
        probe: bool = False,
    ) -> tuple[str, str]:
        """A bearer token of an account in one environment: (token id, the token, shown once and kept as a hash).

        Args: exception: why this account cannot prove itself at the token door, required in production; probe: the
        platform's own, which holds no habilitation and is refused everything.
        Raises: AdministrationError: a person's too, in production: who makes a token can act as its account, and a
        person acts when he proves himself; NotFoundError; ProductionBlockedError: as ``create_environment``.
        """
        check(0 < days <= HABILITATION_DAYS_MAX, "days")
        if self.strict:
            await self._check_application(account)
        place = await self.place(tenant, environment)
        kind = PRODUCTION if place == EVERYWHERE else (await self.environment(tenant, environment)).kind
        if kind == PRODUCTION and not probe:
            check(not self.strict or len(exception) >= EXCEPTION_MIN, "exception")
            if place != EVERYWHERE:
                await self._check_live(tenant, environment, Action.TOKEN_CREATE, place)
        check(len(exception) <= EXCEPTION_MAX, "exception")
        token = TOKEN_PREFIX + secrets.token_urlsafe(TOKEN_RANDOM_BYTES)
        id_ = secrets.token_hex(8)
        now_ms = self._clock.now_ms()
        row: Row = {"id": id_, "hash": hashlib.sha256(token.encode()).digest(), "account": account}
        row |= {"environment": place.environment_id, "created_ms": now_ms, "expires_ms": now_ms + int(days * DAY_MS)}
        row["exception"] = exception
        await self._write("token", row, Action.TOKEN_CREATE, place, {"account": account})
        return id_, token

    async def add_client_key(self, account: str, *, kind: str, value: str, days: int) -> str:
        """One more way for an application to prove itself, or one more address where it may get people back; those
        before go on, so that they rotate with an overlap.

        Args: value: as ``gate.clients.ClientKey`` says.
        Returns its id. Raises: ClientKeyError; AdministrationError: no such account, or a person's.
        """
        check(0 < days <= ACCOUNT_DAYS_MAX, "days")
        check_value(kind, value)
        await self._check_application(account)
        now_ms = self._clock.now_ms()
        row: Row = {"id": secrets.token_hex(8), "account": account, "kind": kind, "value": value}
        row |= {"created_ms": now_ms, "ends_ms": now_ms + days * DAY_MS}
        await self._write("client_key", row, Action.CLIENT_KEY_CREATE, detail={"account": account, "kind": kind})
        return str(row["id"])

    async def _check_application(self, account: str) -> None:
        async with self._database.transaction() as connection:
            found = await connection.execute("SELECT 1 FROM hygie.account WHERE id = %s AND kind = %s", (account, APP))
            check(await found.fetchone(), "no such application", fr="pas de telle application")

    async def revoke_client_key(self, id_: str) -> None:
        """End a key now, and every session that it opened."""
        await self._withdraw(Withdrawal("client_key", id_, Action.CLIENT_KEY_REVOKE))

    async def revoke_token(self, id_: str) -> None:
        """End a token now."""
        await self._withdraw(Withdrawal("token", id_, Action.TOKEN_REVOKE))
