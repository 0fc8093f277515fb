"""Set how much an account, a client or an environment may use: a row with a MAC, an end and a reason, journaled.

A part of ``Administration``, in a file of its own: it writes rights as the others do.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING

from psycopg import sql

from hygie.base.actions import Action
from hygie.base.permit import Place
from hygie.gate.administration_rows import Row, check, one_row
from hygie.gate.allowances import ACCOUNT, ENVIRONMENT, NAMES, TENANT
from hygie.gate.recorded import Withdrawal
from hygie.journal.entry import PLATFORM
from hygie.vault.catalogue import held

if TYPE_CHECKING:
    from hygie.gate.administration import Administration

DAY_MS = 86_400_000
DAYS_MAX = 1_100  # as accounts: nobody set a limit for ever
VALUE_MAX = 1 << 53  # what every reader of JSON counts exactly
_LIVE = "SELECT id FROM hygie.allowance WHERE kind = %s AND subject = %s AND name = %s AND revoked_ms IS NULL"
_LISTING = (
    "SELECT a.id, a.kind, coalesce(t.name, u.name || '/' || e.name, a.subject) AS subject, a.name, a.value, a.reason,"
    " a.created_ms, a.ends_ms, a.revoked_ms FROM hygie.allowance a"
    " LEFT JOIN hygie.tenant t ON a.kind = 'tenant' AND encode(t.id, 'hex') = a.subject"
    " LEFT JOIN hygie.environment e ON a.kind = 'environment' AND encode(e.id, 'hex') = a.subject"
    " LEFT JOIN hygie.tenant u ON u.id = e.tenant ORDER BY a.created_ms"
)


class AllowanceActs:
    """Acts on limits of one operator."""

    def __init__(self, acts: Administration) -> None:
        self._acts = acts

    async def set(self, kind: str, subject: str, name: str, value: int, *, reason: str, days: int) -> str:
        """Let an account, a client or an environment use ``value`` instead of the default or of what was set before.

        Args: subject: an account, a client, ``client/environment``; name: ``points`` (a second), ``bytes`` or
        ``versions``.
        Returns its id. Raises: AdministrationError; NotFoundError: no such subject.
        """
        check(kind in NAMES and name in NAMES[kind], "limit")
        check(0 < value <= VALUE_MAX, "value")
        check(3 <= len(reason) <= 500, "reason")
        check(0 < days <= DAYS_MAX, "days")
        id_, place = await self._subject(kind, subject)
        async with self._acts._database.transaction() as connection:
            found = await (await connection.execute(_LIVE.encode(), (kind, id_, name))).fetchall()
        now_ms = self._acts._clock.now_ms()
        row: Row = {"id": secrets.token_hex(8), "kind": kind, "subject": id_, "name": name, "value": value}
        row |= {"reason": reason, "created_ms": now_ms, "ends_ms": now_ms + days * DAY_MS}
        told = {"kind": kind, "subject": id_, "name": name, "value": str(value)}
        old = [Withdrawal("allowance", one, Action.LIMIT_REMOVE) for (one,) in found]
        await self._acts._write("allowance", row, Action.LIMIT_SET, place, told, instead=old)
        return str(row["id"])

    async def remove(self, id_: str) -> None:
        """Let the default count again, at once. Raises: NotFoundError."""
        await self._acts._withdraw(Withdrawal("allowance", id_, Action.LIMIT_REMOVE))

    async def listing(self) -> Sequence[Row]:
        """What was set, the oldest first."""
        async with self._acts._database.transaction() as connection:
            cursor = await connection.execute(_LISTING.encode())
            names = [column.name for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in await cursor.fetchall()]

    async def used(self) -> Sequence[Row]:
        """What each open environment holds: bytes on each site, versions."""
        rows: list[Row] = []
        for one in await self._acts.environments():
            if one.state != "open":
                continue
            async with self._acts._database.transaction() as connection:
                schema = sql.Identifier(one.place.role)
                await connection.execute(sql.SQL("SET LOCAL search_path TO {}").format(schema))
                bytes_, versions = await held(connection)
            rows.append({"environment": f"{one.tenant}/{one.name}", "bytes": bytes_, "versions": versions})
        return rows

    async def _subject(self, kind: str, subject: str) -> tuple[str, Place]:
        """The id of a row's subject, and where its entry belongs. Raises: NotFoundError; AdministrationError."""
        if kind == ACCOUNT:
            async with self._acts._database.transaction() as connection:
                found = await one_row(connection, "SELECT id FROM hygie.account WHERE id = %s", subject)
            return str(found["id"]), Place(PLATFORM, PLATFORM, "")
        if kind == TENANT:
            tenant_id = await self._acts.tenant_id(subject)
            return tenant_id.hex(), Place(tenant_id, PLATFORM, "")
        tenant, mark, name = subject.partition("/")
        check(kind == ENVIRONMENT and mark, "environment")
        place = (await self._acts.environment(tenant, name)).place
        return place.environment_id.hex(), place
