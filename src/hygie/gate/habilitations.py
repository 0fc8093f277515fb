"""Habilitations: granted for a reason and a time, suspended, taken up again, ended; who may hold which."""

from __future__ import annotations

import hmac
import re
import secrets

from hygie.base.actions import Action
from hygie.base.people import is_same_person
from hygie.base.permit import Place
from hygie.base.roles import CLIENT, HOST, OF_RIGHTS, ROLES, Role, RoleCard
from hygie.gate.administration_rows import Row, check, one_row, touch
from hygie.gate.errors import ForgedRightsError, TwoPersonsError
from hygie.gate.everywhere import EVERYWHERE
from hygie.gate.narrowing import WHOLE, Limits
from hygie.gate.officers import officers
from hygie.gate.recorded import Recorded, Withdrawal
from hygie.gate.requests import Request, use_up
from hygie.gate.rights import mac_of, print_of, rights_key, suspended_mac

DAY_MS = 86_400_000
APP = "application"
REASON_MIN, REASON_MAX = 3, 500
HABILITATION_DAYS_MAX = max(card.days for card in ROLES.values())
ACCOUNT = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


class Habilitations(Recorded):
    """The acts on them, of one operator."""

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
        limits: Limits = WHOLE,
        request: str = "",
    ) -> str:
        """A habilitation: a role in one place, with its reason, its approver (somebody else) and its end.

        Args: tenant, environment: a client's environment, or ``hygie``, ``platform`` for a role of the host; limits:
        types, patients and purposes of use that it is limited to; request: the approved request that it carries out,
        whose id becomes its own: one request never gives two.
        Returns its id. Raises: AdministrationError; NotFoundError: no such environment; TwoPersonsError: without a
        request, where one is needed.
        """
        card = ROLES[role]
        check(0 < days <= card.days, "days")
        limits.check()
        check(REASON_MIN <= len(reason) <= REASON_MAX, "reason")
        check(ACCOUNT.fullmatch(approver) and not is_same_person(approver, account), "approver")
        place = await self.place(tenant, environment)
        check((card.side == HOST) == (place == EVERYWHERE), "role")
        await self._check_holder(account, card, place)
        succeeds = not request and await self._check_two(role, place)
        now_ms = self._clock.now_ms()
        id_ = request or secrets.token_hex(8)
        row: Row = {"id": id_, "account": account, "environment": place.environment_id, "role": role.value}
        row |= {"reason": reason, "approver": approver, "starts_ms": now_ms, "ends_ms": now_ms + days * DAY_MS}
        row |= limits.row()
        detail = {"account": account, "role": role.value, "approver": approver}
        detail |= {"succession": "yes"} if succeeds else {}
        detail |= await limits.told(self._kms, place)
        await self._write("habilitation", row, Action.HABILITATION_GRANT, place, detail, request=request)
        return id_

    async def _check_holder(self, account: str, card: RoleCard, place: Place) -> None:
        """Whether an account may hold a role there: its own client's roles, or the host's. Raises: AdministrationError.

        In a trial accounts may belong to nobody; in production that is the host, whose people read no health data.
        """
        async with self._database.transaction() as connection:
            found = await connection.execute("SELECT kind, tenant FROM hygie.account WHERE id = %s", (account,))
            row = await found.fetchone()
        check(row is not None, "no such account", fr="pas de tel compte")
        assert row is not None
        check(row[0] == "person" or not card.sensitive, "role of a person", fr="rôle d'une personne")
        # A person who held it would decide on rights without what holds for the officers of rights.
        check(row[0] == APP or card.role not in OF_RIGHTS, "role of an application", fr="rôle d'une application")
        theirs = card.side == CLIENT and row[1] is not None and bytes(row[1]) == place.tenant_id
        ours = row[1] is None and (card.side == HOST or not self.strict)
        check(theirs or ours, "account of another", fr="compte d'un autre")

    async def _check_two(self, role: Role, place: Place) -> bool:
        """Let nobody grant alone where two were ever named who approve, nor in production; but these first two are
        named without a request, since nobody could answer it, and so is a successor once both are long gone.

        Returns whether it names a successor. Raises: TwoPersonsError.
        """
        first = Role.SECURITY_OFFICER if place == EVERYWHERE else Role.RIGHTS_OFFICER
        async with self._database.transaction() as connection:
            found = await officers(connection, place, [first])
        succeeds = role is first and found.take_two and found.are_gone(self._clock.now_ms())
        named_first = role is first and not found.take_two
        if not (named_first or succeeds) and (self.strict or found.take_two):
            raise TwoPersonsError()
        return succeeds

    async def give_up(self, request: Request, code: str) -> None:
        """Say that an approved request could not be carried out, and why; it is used up."""
        detail = {"request": request.id, "code": code}
        async with self._change(
            Action.APPROVAL_USE, outcome="refused", place=request.place, detail=detail
        ) as connection:
            await use_up(connection, request.id, self._clock.now_ms(), code)

    async def revoke_habilitation(self, id_: str) -> None:
        """End a habilitation now."""
        await self._withdraw(Withdrawal("habilitation", id_, Action.HABILITATION_REVOKE))

    async def suspend_habilitation(self, id_: str) -> None:
        """Suspend a habilitation now: it gives nothing until it is taken up again.

        Raises: NotFoundError: it is not live; ForgedRightsError: its row is not what Hygie wrote.
        """
        row, key = await self._habilitation(id_, suspended=False)
        self._check_ours(id_, row["mac"], mac_of(key, "habilitation", row))
        now_ms = self._clock.now_ms()
        place = Place(row["tenant"], row["environment"], "")
        async with self._change(Action.HABILITATION_SUSPEND, place=place, detail={"habilitation": id_}) as connection:
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
                "SELECT h.*, coalesce(e.tenant, h.environment) AS tenant FROM hygie.habilitation h"
                " LEFT JOIN hygie.environment e ON e.id = h.environment"  # none: the platform, its own tenant
                " WHERE h.id = %s AND h.revoked_ms IS NULL AND (h.suspended_ms IS NOT NULL) = %s",
                id_,
                suspended,
            )
        return row, self._rights_key

    @staticmethod
    def _check_ours(id_: str, mac: bytes | None, expected: bytes) -> None:
        if mac is None or not hmac.compare_digest(mac, expected):
            raise ForgedRightsError(count=1, first=f"habilitation {id_}")
