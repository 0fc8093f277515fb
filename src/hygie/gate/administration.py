"""Tenants, environments, accounts, tokens and habilitations: made, ended and journaled, in one transaction each.

Run by the command line under the database's owner role; the hosting role can only read what this file writes.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import psycopg
from psycopg import sql

from hygie.base.actions import Action, Role
from hygie.base.clock import Clock
from hygie.base.errors import NotFoundError
from hygie.base.identifiers import parse_professional
from hygie.base.permit import Place
from hygie.database.environments import create_environment_schema, destroy_environment_schema
from hygie.database.pool import Database
from hygie.gate.administration_rows import Connection, Row, check, one_row, touch
from hygie.gate.clients import check_value
from hygie.gate.errors import AdministrationError, ForgedRightsError, ProductionBlockedError
from hygie.gate.listings import LISTINGS
from hygie.gate.platform_ledger import PlatformLedger
from hygie.gate.rights import COVERED, LIMITS, mac_of, print_of, rights_key, suspended_mac
from hygie.journal.entry import PLATFORM, Entry
from hygie.journal.writer import JournalWriter
from hygie.keys.kms import Kms

TOKEN_PREFIX = "hyg_"  # noqa: S105 (lets secret scanners recognise a leaked token)
TOKEN_RANDOM_BYTES = 32
DAY_MS = 86_400_000
HABILITATION_DAYS_MAX = 366  # the yearly review must meet every right
ACCOUNT_DAYS_MAX = 1_100
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
TYPE = re.compile(r"[A-Z][A-Za-z]{1,63}")
TYPES_MAX = 30
EXCEPTION_MIN, EXCEPTION_MAX = 10, 500  # characters: a reason that somebody can review
ACCOUNT = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
APP = "application"
PRODUCTION = "production"
REASONS_MAX = 5  # told in one sentence; ``hygie perimeter show`` tells all
KINDS = ("production", "pre-production", "test", "demonstration")

EVERYWHERE = Place(PLATFORM, PLATFORM, "")  # what belongs to no environment

# Why an environment (client, name) may not be in production, in French and English; nothing: it may.
GoLive = Callable[[str, str], Awaitable[Sequence[tuple[str, str]]]]


@dataclass(frozen=True, slots=True)
class Environment:
    """An environment as administration sees it."""

    tenant: str
    name: str
    kind: str
    state: str
    place: Place


class Administration:
    """Acts of one operator.

    Args: database: opened with the owner's DSN; operator: who acts, as the journal names him; ledger: takes every
    change to the sites as soon as it is committed; go_live: asked before anything is opened in production, None where
    nothing is evidence (a trial).
    """

    def __init__(
        self,
        database: Database,
        *,
        owner_dsn: str,
        kms: Kms,
        journal: JournalWriter,
        clock: Clock,
        operator: str,
        ledger: PlatformLedger | None = None,
        go_live: GoLive | None = None,
    ) -> None:
        self._database = database
        self._owner_dsn = owner_dsn
        self._kms = kms
        self._journal = journal
        self._clock = clock
        self._operator = operator
        self._ledger = ledger
        self._go_live = go_live
        self._rights_key: bytes | None = None

    async def create_tenant(self, name: str, label: str) -> bytes:
        """A client, that is a controller of data. Returns its id.

        Raises: AdministrationError: name taken, or not a name.
        """
        check(NAME.fullmatch(name), "name")
        tenant_id = secrets.token_bytes(16)
        async with self._change(Action.TENANT_CREATE, place=Place(tenant_id, PLATFORM, "")) as connection:
            taken = await (await connection.execute("SELECT 1 FROM hygie.tenant WHERE name = %s", (name,))).fetchone()
            check(taken is None, "name taken")
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
            check(taken is None, "name taken")
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

    async def create_account(self, account: str, *, kind: str, label: str, professional_id: str, days: int) -> None:
        """A person or an application. It can do nothing until it holds a habilitation and a token.

        Args: professional_id: RPPS or ADELI number, empty for an application or for who has none.
        Raises: AdministrationError; InvalidIdentifierError.
        """
        check(ACCOUNT.fullmatch(account), "account")
        if professional_id:
            parse_professional(professional_id)
        check(kind in ("person", "application"), "kind")
        check(0 < days <= ACCOUNT_DAYS_MAX, "days")
        now_ms = self._clock.now_ms()
        row: Row = {"id": account, "kind": kind, "label": label[:200], "professional_id": professional_id}
        row |= {"created_ms": now_ms, "ends_ms": now_ms + days * DAY_MS}
        await self._write("account", row, Action.ACCOUNT_CREATE)

    async def disable_account(self, account: str) -> None:
        """Close an account: every token of it stops at once."""
        async with self._change(Action.ACCOUNT_DISABLE, detail={"account": account}) as connection:
            await touch(connection, "UPDATE hygie.account SET state = 'disabled', mac = NULL WHERE id = %s", account)

    async def grant(
        self,
        account: str,
        tenant: str,
        environment: str,
        *,
        role: Role,
        reason: str,
        approver: str,
        days: int,
        types: Sequence[str] = (),
    ) -> str:
        """A habilitation: a role in one environment, with its reason, its approver (somebody else) and its end.

        Args: types: of resources that it is limited to, all when empty.
        Returns its id. Raises: AdministrationError; NotFoundError: no such environment.
        """
        check(0 < days <= HABILITATION_DAYS_MAX, "days")
        check(len(types) <= TYPES_MAX and all(map(TYPE.fullmatch, types)), "types")
        check(3 <= len(reason) <= 500, "reason")
        check(ACCOUNT.fullmatch(approver) and approver != account, "approver")
        place = (await self.environment(tenant, environment)).place
        now_ms = self._clock.now_ms()
        id_ = secrets.token_hex(8)
        row: Row = {"id": id_, "account": account, "environment": place.environment_id, "role": role.value}
        row |= {"reason": reason, "approver": approver, "starts_ms": now_ms, "ends_ms": now_ms + days * DAY_MS}
        row["types"] = " ".join(sorted(set(types)))
        detail = {"account": account, "role": role.value, "approver": approver}
        detail |= {"types": row["types"]} if types else {}
        await self._write("habilitation", row, Action.HABILITATION_GRANT, place, detail)
        return id_

    async def revoke_habilitation(self, id_: str) -> None:
        """End a habilitation now."""
        async with self._change(Action.HABILITATION_REVOKE, detail={"habilitation": id_}) as connection:
            await touch(
                connection,
                "UPDATE hygie.habilitation SET revoked_ms = %s, revoked_by = %s, mac = NULL"
                " WHERE id = %s AND revoked_ms IS NULL",
                self._clock.now_ms(),
                self._operator,
                id_,
            )

    async def suspend_habilitation(self, id_: str) -> None:
        """Suspend a habilitation now: it gives nothing until it is taken up again.

        Raises: NotFoundError: it is not live; ForgedRightsError: its row is not what Hygie wrote.
        """
        row, key = await self._habilitation(id_, suspended=False)
        self._check_ours(id_, row["mac"], mac_of(key, "habilitation", row))
        now_ms = self._clock.now_ms()
        async with self._change(Action.HABILITATION_SUSPEND, detail={"habilitation": id_}) as connection:
            await touch(
                connection,
                "UPDATE hygie.habilitation SET suspended_ms = %s, mac = %s"
                " WHERE id = %s AND revoked_ms IS NULL AND suspended_ms IS NULL",
                now_ms,
                suspended_mac(key, row, now_ms),
                id_,
            )

    async def resume_habilitation(self, id_: str) -> None:
        """Take up a suspended habilitation again, as it was granted.

        Raises: NotFoundError: it is not suspended; ForgedRightsError: its row changed meanwhile.
        """
        row, key = await self._habilitation(id_, suspended=True)
        self._check_ours(id_, row["mac"], suspended_mac(key, row, row["suspended_ms"]))
        mac = mac_of(key, "habilitation", row)
        told = {"account": row["account"], "role": row["role"], "habilitation": id_, "print": print_of(mac)}
        place = Place(row["tenant"], row["environment"], "")
        async with self._change(Action.HABILITATION_RESUME, place=place, detail=told) as connection:
            await touch(
                connection,
                "UPDATE hygie.habilitation SET suspended_ms = NULL, mac = %s"
                " WHERE id = %s AND revoked_ms IS NULL AND suspended_ms = %s",
                mac,
                id_,
                row["suspended_ms"],
            )

    async def _habilitation(self, id_: str, *, suspended: bool) -> tuple[Row, bytes]:
        """The row of a habilitation that is not revoked, and the key of MACs. Raises: NotFoundError."""
        self._rights_key = self._rights_key or await rights_key(self._kms)
        async with self._database.transaction() as connection:
            row = await one_row(
                connection,
                "SELECT h.*, e.tenant FROM hygie.habilitation h JOIN hygie.environment e ON e.id = h.environment"
                " WHERE h.id = %s AND h.revoked_ms IS NULL AND (h.suspended_ms IS NOT NULL) = %s",
                id_,
                suspended,
            )
        return row, self._rights_key

    @staticmethod
    def _check_ours(id_: str, mac: bytes | None, expected: bytes) -> None:
        if mac is None or not hmac.compare_digest(mac, expected):
            raise ForgedRightsError(count=1, first=f"habilitation {id_}")

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
        Raises: AdministrationError; NotFoundError; ProductionBlockedError: as ``create_environment``.
        """
        check(0 < days <= HABILITATION_DAYS_MAX, "days")
        one = await self.environment(tenant, environment)
        place = one.place
        if one.kind == PRODUCTION and not probe:
            check(self._go_live is None or len(exception) >= EXCEPTION_MIN, "exception")
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
        async with self._database.transaction() as connection:
            found = await connection.execute("SELECT 1 FROM hygie.account WHERE id = %s AND kind = %s", (account, APP))
            check(await found.fetchone(), "no such application")
        now_ms = self._clock.now_ms()
        row: Row = {"id": secrets.token_hex(8), "account": account, "kind": kind, "value": value}
        row |= {"created_ms": now_ms, "ends_ms": now_ms + days * DAY_MS}
        await self._write("client_key", row, Action.CLIENT_KEY_CREATE, detail={"account": account, "kind": kind})
        return str(row["id"])

    async def revoke_client_key(self, id_: str) -> None:
        """End a key now, and every session that it opened."""
        async with self._change(Action.CLIENT_KEY_REVOKE, detail={"client_key": id_}) as connection:
            await touch(
                connection,
                "UPDATE hygie.client_key SET revoked_ms = %s, mac = NULL WHERE id = %s AND revoked_ms IS NULL",
                self._clock.now_ms(),
                id_,
            )

    async def revoke_token(self, id_: str) -> None:
        """End a token now."""
        async with self._change(Action.TOKEN_REVOKE, detail={"token": id_}) as connection:
            await touch(
                connection,
                "UPDATE hygie.token SET revoked_ms = %s, mac = NULL WHERE id = %s AND revoked_ms IS NULL",
                self._clock.now_ms(),
                id_,
            )

    async def tenant_id(self, name: str) -> bytes:
        """A client by name. Raises: NotFoundError."""
        async with self._database.transaction() as connection:
            found = await one_row(connection, "SELECT id FROM hygie.tenant WHERE name = %s", name)
        return bytes(found["id"])

    async def environment(self, tenant: str, name: str) -> Environment:
        """An environment by names. Raises: NotFoundError."""
        for one in await self.environments():
            if (one.tenant, one.name) == (tenant, name) and one.state != "destroyed":
                return one
        raise NotFoundError()

    async def environments(self) -> list[Environment]:
        """Every environment, destroyed ones included."""
        async with self._database.transaction() as connection:
            cursor = await connection.execute(
                "SELECT t.name, e.name, e.kind, e.state, e.tenant, e.id, e.role FROM hygie.environment e"
                " JOIN hygie.tenant t ON t.id = e.tenant ORDER BY t.name, e.name"
            )
            return [Environment(r[0], r[1], r[2], r[3], Place(r[4], r[5], r[6])) for r in await cursor.fetchall()]

    async def listing(self, what: str) -> list[Row]:
        """Rows of ``tenant``, ``account``, ``habilitation``, ``client_key`` or ``token``, for people."""
        async with self._database.transaction() as connection:
            cursor = await connection.execute(LISTINGS[what].encode())
            names = [column.name for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in await cursor.fetchall()]

    async def _write(
        self, table: str, row: Row, action: Action, place: Place = EVERYWHERE, detail: dict[str, str] | None = None
    ) -> None:
        """One new row that gives a right, with its MAC, and its entry, with the print of that MAC."""
        self._rights_key = self._rights_key or await rights_key(self._kms)
        mac = mac_of(self._rights_key, table, row)
        columns = (*COVERED[table], *LIMITS.get(table, ()), *(["exception"] if table == "token" else []))
        statement = sql.SQL("INSERT INTO {} ({}, mac) VALUES ({}, %s)").format(
            sql.Identifier("hygie", table),
            sql.SQL(", ").join(map(sql.Identifier, columns)),
            sql.SQL(", ").join([sql.Placeholder()] * len(columns)),
        )
        told = {**(detail or {}), table: row["id"], "print": print_of(mac)}
        async with self._change(action, place=place, detail=told) as connection:
            await connection.execute(statement, [*(row[name] for name in columns), mac])

    @asynccontextmanager
    async def _change(
        self,
        action: Action,
        *,
        outcome: str = "done",
        place: Place = EVERYWHERE,
        detail: dict[str, str] | None = None,
    ) -> AsyncIterator[Connection]:
        """One administrative change and its entry, in one transaction.

        Raises: AdministrationError: the database's own rules refused it.
        """
        try:
            async with self._database.transaction() as connection:
                yield connection
                entry = Entry(
                    action=action,
                    outcome=outcome,
                    kind="administration",
                    at_ms=self._clock.now_ms(),
                    tenant_id=place.tenant_id,
                    environment_id=place.environment_id,
                    account=self._operator,
                    authentication="local",
                    detail=detail or {},
                )
                await self._journal.append(connection, [entry])
        except psycopg.errors.UniqueViolation as error:
            raise AdministrationError(reason="already exists") from error
        except psycopg.errors.ForeignKeyViolation as error:
            raise AdministrationError(reason="no such account") from error
        except psycopg.errors.CheckViolation as error:
            raise AdministrationError(reason="rule of the table") from error
        await self.publish()

    async def _check_live(self, tenant: str, name: str, action: Action, place: Place) -> None:
        """Refuse production without certified layers, durably. Raises: ProductionBlockedError."""
        reasons = await self._go_live(tenant, name) if self._go_live is not None else ()
        if not reasons:
            return
        error = ProductionBlockedError(
            place=f"{tenant}/{name}",
            reason_fr=" ; ".join(fr for fr, _ in reasons[:REASONS_MAX]),
            reason_en="; ".join(en for _, en in reasons[:REASONS_MAX]),
        )
        entry = Entry(
            action=action,
            outcome="refused",
            kind="administration",
            at_ms=self._clock.now_ms(),
            tenant_id=place.tenant_id,
            environment_id=place.environment_id,
            account=self._operator,
            authentication="local",
            count=len(reasons),
            detail={"code": error.code, "environment": name},
        )
        await self._journal.append_now([entry])
        raise error

    async def publish(self) -> None:
        """Take the platform's tables to the sites; what cannot be now is left to the working process."""
        if self._ledger is not None:
            await self._ledger.publish_if_possible()
