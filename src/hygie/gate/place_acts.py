"""Declare networks, and from which countries a client's data may be reached: rows with a MAC, an end and a reason.

A part of ``Administration``, in a file of its own: it writes rights as the others do.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import date
from ipaddress import ip_network
from typing import TYPE_CHECKING

from hygie.base.actions import Action
from hygie.base.permit import Place
from hygie.gate.administration_rows import Row, check
from hygie.gate.place import WITHIN
from hygie.gate.recorded import Withdrawal
from hygie.journal.entry import PLATFORM

if TYPE_CHECKING:
    from hygie.gate.administration import Administration

DAY_MS = 86_400_000
DAYS_MAX = 1_100
EXCEPTION_DAYS_MAX = 366  # a basis is looked at each year at least
WIDEST = {4: 8, 6: 19}  # nobody declares half the world; providers hold no more
BASES = ("rgpd-45", "rgpd-46")  # an adequacy decision; appropriate safeguards
_LISTINGS = {
    "network": "SELECT id, cidr, country, whose, label, created_ms, ends_ms, revoked_ms FROM hygie.network"
    " ORDER BY created_ms",
    "country_rule": "SELECT r.id, r.kind, coalesce(t.name, u.name || '/' || e.name, r.subject) AS subject, r.countries,"
    " r.basis, r.reference, r.told_on, r.reason, r.created_ms, r.ends_ms, r.revoked_ms FROM hygie.country_rule r"
    " LEFT JOIN hygie.tenant t ON encode(t.id, 'hex') = r.subject"
    " LEFT JOIN hygie.environment e ON encode(e.id, 'hex') = r.subject"
    " LEFT JOIN hygie.tenant u ON u.id = e.tenant ORDER BY r.created_ms",
}


class PlaceActs:
    """Acts on networks and countries of one operator."""

    def __init__(self, acts: Administration) -> None:
        self._acts = acts

    async def add_network(self, cidr: str, *, country: str, label: str, whose: str = "", days: int = 366) -> str:
        """Say where a network is, for entries and for what is allowed.

        Args: whose: a site or a client, by name, or nothing.
        Returns its id. Raises: AdministrationError: no network, one too wide, declared already, no country.
        """
        try:
            network = ip_network(cidr)
        except ValueError:
            network = None
        check(network is not None and network.prefixlen >= WIDEST[network.version], "network")
        check(_is_country(country), "country")
        check(3 <= len(label) <= 200 and len(whose) <= 100, "label")
        check(0 < days <= DAYS_MAX, "days")
        row = self._row(days, cidr=str(network), country=country, whose=whose, label=label)
        await self._acts._write("network", row, Action.NETWORK_ADD, detail={"cidr": str(network), "country": country})
        return str(row["id"])

    async def remove_network(self, id_: str) -> None:
        """Let its addresses be looked up again, at once. Raises: NotFoundError."""
        await self._acts._withdraw(Withdrawal("network", id_, Action.NETWORK_REMOVE))

    async def allow(self, subject: str, countries: Sequence[str], *, reason: str, days: int) -> str:
        """Let a client's (or an environment's: ``client/environment``) data be reached from these countries only.

        Returns its id. Raises: AdministrationError: one outside the European Economic Area; NotFoundError.
        """
        check(countries and set(countries) <= WITHIN, "countries")
        check(0 < days <= DAYS_MAX, "days")
        place, id_ = await self._subject(subject)
        old = [
            Withdrawal("country_rule", str(one["id"]), Action.COUNTRY_REMOVE)
            for one in await self.rules()
            if one["kind"] == "list" and one["subject"] == subject and one["revoked_ms"] is None
        ]
        rule = {"kind": "list", "countries": " ".join(sorted(set(countries))), "basis": "", "reference": ""}
        return await self._write_rule(place, self._row(days, **rule, told_on="", subject=id_, reason=reason), old)

    async def make_exception(
        self, subject: str, country: str, *, basis: str, reference: str, told_on: str, reason: str, days: int
    ) -> str:
        """Let data be reached from one more country, for a time (EXI 29).

        Args: basis: of ``BASES``; reference: the adequacy decision, or the document of safeguards and measures;
        told_on: day on which the client was told, ``YYYY-MM-DD``, required without an adequacy decision.
        Returns its id. Raises: AdministrationError; NotFoundError.
        """
        check(_is_country(country), "country")
        check(basis in BASES, "basis")
        check(3 <= len(reference) <= 500, "reference")
        check(_is_day(told_on) or (basis == "rgpd-45" and not told_on), "told on")
        check(0 < days <= EXCEPTION_DAYS_MAX, "days")
        place, id_ = await self._subject(subject)
        rule = {"kind": "exception", "countries": country, "basis": basis, "reference": reference, "told_on": told_on}
        return await self._write_rule(place, self._row(days, **rule, subject=id_, reason=reason))

    async def remove_rule(self, id_: str) -> None:
        """Withdraw a list or an exception, at once. Raises: NotFoundError."""
        await self._acts._withdraw(Withdrawal("country_rule", id_, Action.COUNTRY_REMOVE))

    async def networks(self) -> Sequence[Row]:
        """Every network that was declared, the oldest first."""
        return await self._listing("network")

    async def rules(self) -> Sequence[Row]:
        """Every list and exception, the oldest first."""
        return await self._listing("country_rule")

    def _row(self, days: int, **values: str) -> Row:
        now_ms = self._acts._clock.now_ms()
        times = {"created_ms": now_ms, "ends_ms": now_ms + days * DAY_MS}
        return {"id": secrets.token_hex(8), **values, **times}

    async def _write_rule(self, place: Place, row: Row, instead: Sequence[Withdrawal] = ()) -> str:
        check(3 <= len(row["reason"]) <= 500, "reason")
        told = {"kind": row["kind"], "countries": row["countries"], "basis": row["basis"]}
        await self._acts._write("country_rule", row, Action.COUNTRY_SET, place, told, instead=instead)
        return str(row["id"])

    async def _listing(self, table: str) -> Sequence[Row]:
        async with self._acts._database.transaction() as connection:
            cursor = await connection.execute(_LISTINGS[table].encode())
            names = [column.name for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in await cursor.fetchall()]

    async def _subject(self, subject: str) -> tuple[Place, str]:
        """Where the entry belongs, and the id that a row names. Raises: NotFoundError."""
        tenant, mark, name = subject.partition("/")
        if mark:
            place = (await self._acts.environment(tenant, name)).place
            return place, place.environment_id.hex()
        tenant_id = await self._acts.tenant_id(tenant)
        return Place(tenant_id, PLATFORM, ""), tenant_id.hex()


def _is_country(text: str) -> bool:
    return len(text) == 2 and text.isascii() and text.isalpha() and text.isupper()


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
