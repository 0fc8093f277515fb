"""What every act of administration stands on: one change with its entry in one transaction, and what is looked up."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final

import psycopg
from psycopg import sql

from hygie.base.actions import Action
from hygie.base.clock import Clock
from hygie.base.errors import NotFoundError
from hygie.base.permit import Place
from hygie.database.pool import Database
from hygie.gate.administration_rows import Connection, Row, one_row, said, touch
from hygie.gate.errors import ProductionBlockedError
from hygie.gate.everywhere import EVERYWHERE, HOST_PLACE, HOST_TENANT
from hygie.gate.listings import LISTINGS
from hygie.gate.platform_ledger import PlatformLedger
from hygie.gate.requests import use_up
from hygie.gate.rights import COVERED, LIMITS, mac_of, print_of, rights_key
from hygie.journal.entry import PLATFORM, Entry
from hygie.journal.writer import JournalWriter
from hygie.keys.kms import Kms

NARROWING = frozenset({"allowance", "network", "country_rule"})  # entries say until when they have to be there
REASONS_MAX = 5  # told in one sentence; ``hygie perimeter show`` tells all

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


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """The end of one row that gives a right. table: of ``COVERED``, one that has ``revoked_ms``."""

    table: str
    id: str
    action: Action


# Whose a row is, for its entry. Nothing found: a row of the platform's own.
_OF_ENVIRONMENT = (
    "SELECT e.tenant, e.id AS environment FROM hygie.{} x LEFT JOIN hygie.environment e ON e.id = x.environment"
    " WHERE x.id = %s"
)
_OF_SUBJECT = (
    "SELECT coalesce(e.tenant, t.id) AS tenant, e.id AS environment FROM hygie.{} x"
    " LEFT JOIN hygie.tenant t ON x.kind <> 'account' AND encode(t.id, 'hex') = x.subject"
    " LEFT JOIN hygie.environment e ON x.kind <> 'account' AND encode(e.id, 'hex') = x.subject WHERE x.id = %s"
)
_PLACES: Final[Mapping[str, str]] = {
    **{table: _OF_ENVIRONMENT.format(table) for table in ("token", "habilitation")},
    **{table: _OF_SUBJECT.format(table) for table in ("allowance", "country_rule")},
}


class Recorded:
    """Acts of one operator.

    Args: database: opened with the owner's DSN; operator: who acts, as the journal names him; ledger: takes every
    change to the sites as soon as it is committed; go_live: asked before anything is opened in production, None where
    nothing is evidence (a trial); raised: asked before each change, raises where a person's rights are not raised.
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
        raised: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._database = database
        self._owner_dsn = owner_dsn
        self._kms = kms
        self._journal = journal
        self._clock = clock
        self._operator = operator
        self._ledger = ledger
        self._go_live = go_live
        self._raised = raised
        self._rights_key: bytes | None = None

    @property
    def strict(self) -> bool:
        """Whether what happens here is evidence: an installation in production, not a trial."""
        return self._go_live is not None

    async def tenant_id(self, name: str) -> bytes:
        """A client by name. Raises: NotFoundError."""
        async with self._database.transaction() as connection:
            found = await one_row(connection, "SELECT id FROM hygie.tenant WHERE name = %s", name)
        return bytes(found["id"])

    async def place(self, tenant: str, name: str) -> Place:
        """An environment, or the platform itself (``hygie``, ``platform``), by names. Raises: NotFoundError."""
        if (tenant, name) == (HOST_TENANT, HOST_PLACE):
            return EVERYWHERE
        return (await self.environment(tenant, name)).place

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
        """Rows of a table of ``LISTINGS``, for people."""
        async with self._database.transaction() as connection:
            cursor = await connection.execute(LISTINGS[what].encode())
            names = [column.name for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in await cursor.fetchall()]

    async def _write(
        self,
        table: str,
        row: Row,
        action: Action,
        place: Place = EVERYWHERE,
        detail: dict[str, str] | None = None,
        *,
        request: str = "",
        instead: Sequence[Withdrawal] = (),
    ) -> None:
        """One new row that gives a right, with its MAC, and its entry, with the print of that MAC.

        Args: request: the approved request that it uses up; instead: of which rows, withdrawn with it or not at all.
        """
        self._rights_key = self._rights_key or await rights_key(self._kms)
        mac = mac_of(self._rights_key, table, row)
        columns = (*COVERED[table], *LIMITS.get(table, ()), *(["exception"] if table == "token" else []))
        statement = sql.SQL("INSERT INTO {} ({}, mac) VALUES ({}, %s)").format(
            sql.Identifier("hygie", table),
            sql.SQL(", ").join(map(sql.Identifier, columns)),
            sql.SQL(", ").join([sql.Placeholder()] * len(columns)),
        )
        told = {**(detail or {}), table: row["id"], "print": print_of(mac)}
        told |= {"ends_ms": str(row["ends_ms"])} if table in NARROWING else {}
        async with self._change(action, place=place, detail=told) as connection:
            for one in instead:
                await self._end_row(connection, one)
                entry = self._entry(one.action, "done", place, {one.table: one.id})
                await self._journal.append(connection, [entry])
            await connection.execute(statement, [*(row[name] for name in columns), mac])
            if request:
                await use_up(connection, request, self._clock.now_ms(), "done")

    async def _withdraw(self, one: Withdrawal) -> None:
        """Withdraw one row, at once; the entry belongs where the row's own does. Raises: NotFoundError."""
        place = await self._place_of(one)
        async with self._change(one.action, place=place, detail={one.table: one.id}) as connection:
            await self._end_row(connection, one)

    async def _end_row(self, connection: Connection, one: Withdrawal) -> None:
        by = ", revoked_by = %s" if one.table == "habilitation" else ""
        statement = f"UPDATE hygie.{one.table} SET revoked_ms = %s{by}, mac = NULL WHERE id = %s AND revoked_ms IS NULL"  # noqa: S608 (of COVERED)
        await touch(connection, statement, self._clock.now_ms(), *([self._operator] if by else []), one.id)

    async def _place_of(self, one: Withdrawal) -> Place:
        """Whose a row is: an environment's, a client's, or the platform's. Raises: NotFoundError."""
        if one.table not in _PLACES:
            return EVERYWHERE
        async with self._database.transaction() as connection:
            row = await one_row(connection, _PLACES[one.table], one.id)
        return Place(row["tenant"] or PLATFORM, row["environment"] or PLATFORM, "")

    def _entry(self, action: Action, outcome: str, place: Place, detail: dict[str, str]) -> Entry:
        return Entry(
            action=action,
            outcome=outcome,
            kind="administration",
            at_ms=self._clock.now_ms(),
            tenant_id=place.tenant_id,
            environment_id=place.environment_id,
            account=self._operator,
            authentication="local",
            detail=detail,
        )

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

        Raises: NotRaisedError; AdministrationError: the database's own rules refused it.
        """
        if self._raised is not None:
            await self._raised()
        try:
            async with self._database.transaction() as connection:
                yield connection
                await self._journal.append(connection, [self._entry(action, outcome, place, detail or {})])
        except psycopg.errors.UniqueViolation as error:
            raise said("already exists", "existe déjà") from error
        except psycopg.errors.ForeignKeyViolation as error:
            raise said("no such account", "pas de tel compte") from error
        except psycopg.errors.CheckViolation as error:
            raise said("rule of the table", "règle de la table") from error
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
        entry = self._entry(action, "refused", place, {"code": error.code, "environment": name})
        await self._journal.append_now([replace(entry, count=len(reasons))])
        raise error

    async def publish(self) -> None:
        """Take the platform's tables to the sites; what cannot be now is left to the working process."""
        if self._ledger is not None:
            await self._ledger.publish_if_possible()
