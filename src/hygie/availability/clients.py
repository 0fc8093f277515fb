"""The minutes of one client, as everybody counts them: the command, the working process, the checks of the proof.

Source: docs/adr/0037-availability.md.  There is no other measure of availability.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from hygie.availability import store
from hygie.availability.minutes import MINUTE_MS, Period, Service, Span, Tally, tally
from hygie.availability.store import Connection, Served, Window
from hygie.availability.terms import Account, Terms, account
from hygie.base.civil import day_of, end_of_day_ms

TELLING_MINUTES = 1_440  # a day: less says nothing of a period


@dataclass(frozen=True, slots=True)
class ClientMinutes:
    """What is kept of one client. services: its production environments, with their runs; windows: oldest first, and
    whether each counts; until: the first minute that is not over."""

    tenant: str
    services: Sequence[Service]
    windows: Sequence[tuple[Window, bool]]
    until: int

    def counted(self, span: Span, first: int = 0) -> Tally:
        """The count of a span. Args: first: the minute before which nothing counts."""
        services = [replace(one, since=max(one.since, first)) for one in self.services]
        return tally(services, [window.span for window, counts in self.windows if counts], span, self.until)


@dataclass(frozen=True, slots=True)
class Counted:
    """One period of one client."""

    period: Period
    tally: Tally
    account: Account

    @property
    def is_telling(self) -> bool:
        """Whether it counts long enough to be held to its rate: a client that came in the last hours of a period is
        allowed less than the minute that its start takes."""
        return self.tally.up + self.tally.down + self.tally.ahead >= TELLING_MINUTES


async def client_minutes(
    connection: Connection, key: bytes, places: Sequence[Served], *, since: int, until: int
) -> ClientMinutes:
    """Read those of one client.

    Args: key: of rights; places: its environments, one at least; since: no span that is asked for begins before.
    """
    windows = await store.windows_of(connection, key, places[0].tenant_id)
    services = [Service(await store.runs_of(connection, key, one.environment_id, since), one.since) for one in places]
    return ClientMinutes(places[0].tenant, services, windows, until)


def held_to(client: ClientMinutes, terms: Terms, periods: Sequence[Period]) -> list[Counted]:
    """Each period, by a contract's terms; minutes before it starts count for nothing."""
    first = _first_minute(terms.starts_on)
    tallies = [(one, client.counted(one.span, first)) for one in periods]
    return [Counted(one, sums, account(terms, sums)) for one, sums in tallies]


def _first_minute(day: str) -> int:
    """The first minute of a stored day, 0 for none."""
    found = day_of(day)
    return (end_of_day_ms(date.fromordinal(found.toordinal() - 1)) + 1) // MINUTE_MS if found else 0
