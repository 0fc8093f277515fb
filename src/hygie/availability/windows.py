"""How many planned windows a client may be given, and those that come back from the journal when a database is rebuilt.

Source: docs/adr/0037-availability.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime

from hygie.availability import store
from hygie.availability.errors import WindowsSpentError
from hygie.availability.minutes import MINUTE_MS, Span
from hygie.availability.store import Connection, Window
from hygie.availability.terms import NOTICE_HOURS
from hygie.base.actions import Action
from hygie.base.civil import paris_date
from hygie.base.clock import iso_ms
from hygie.journal.entry import Entry

WINDOW_MINUTES_MAX = 3 * 1_440
YEAR_WINDOWS_MAX = 52  # of a client, by the civil year in which they begin, withdrawn ones among them
YEAR_MINUTES_MAX = 96 * 60  # likewise, without those withdrawn: some 1.1 % of a year
NOTICE_HOURS_MAX = 10_000
FROM_JOURNAL = "repris du journal / taken back from the journal"  # what was typed is in no entry
_ID = re.compile(r"[0-9a-f]{16}")


def check_year(tenant: str, known: Iterable[Window], new: Window) -> None:
    """Refuse a window that a client's year has no room for. Raises: WindowsSpentError."""
    year = _year_of(new)
    same = [one for one in known if _year_of(one) == year]
    spent = sum(one.span.end - one.span.start for one in (*same, new) if one.cancelled_ms is None)
    if len(same) >= YEAR_WINDOWS_MAX or spent > YEAR_MINUTES_MAX:
        raise WindowsSpentError(tenant=tenant, year=year, windows=YEAR_WINDOWS_MAX, hours=YEAR_MINUTES_MAX // 60)


def declared_detail(one: Window) -> dict[str, str]:
    """What the entry of a declaration says: all that the row needs to come back, but for what somebody typed."""
    first, last = (iso_ms(minute * MINUTE_MS) for minute in (one.span.start, one.span.end))
    return {"window": one.id, "from": first, "to": last, "notice": str(one.notice_hours)}


async def take_back(connection: Connection, key: bytes, entries: Sequence[Entry]) -> int:
    """Give a database the windows that the published journal names and it lacks, and withdraw those withdrawn since.

    Args: key: of rights; entries: of declarations and withdrawals, all of the journal's in their order; one whose words
    are not those of a declaration is passed over. Returns how many windows it lacked.
    """
    lacked = 0
    for entry in entries:
        if entry.action is Action.AVAILABILITY_CANCEL:
            await store.withdraw(connection, entry.detail.get("window", ""), entry.tenant_id, entry.at_ms)
        elif (one := _declared(entry)) is not None:
            lacked += await store.declare(connection, key, one)
    return lacked


def _declared(entry: Entry) -> Window | None:
    said = entry.detail
    try:
        first, last = (int(datetime.fromisoformat(said[name]).timestamp()) // 60 for name in ("from", "to"))
        hours = int(said.get("notice", NOTICE_HOURS))
    except (KeyError, ValueError, OverflowError):
        return None
    sound = _ID.fullmatch(said.get("window", "")) and 0 <= hours <= NOTICE_HOURS_MAX
    if not sound or first < 0 or not 0 < last - first <= WINDOW_MINUTES_MAX:
        return None
    return Window(said["window"], entry.tenant_id, Span(first, last), FROM_JOURNAL, entry.at_ms, hours)


def _year_of(one: Window) -> int:
    return paris_date(one.span.start * MINUTE_MS).year
