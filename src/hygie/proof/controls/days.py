"""Civil days: deadlines are days of Paris, whatever the machine's zone. Pure."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

PARIS = ZoneInfo("Europe/Paris")
_DATE_CHARACTERS = len("2026-11-27")


def civil_day(now_ms: int) -> date:
    """The date in Paris at a UTC instant."""
    return datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(PARIS).date()


def day_of(value: object) -> date | None:
    """The civil day of a stored date (``2026-11-27``) or UTC instant (``2026-11-27T23:30:00Z``: the 28th in Paris)."""
    if not isinstance(value, str):
        return None
    try:
        if len(value) == _DATE_CHARACTERS:
            return date.fromisoformat(value)
        at = datetime.fromisoformat(value)
        return at.astimezone(PARIS).date() if at.tzinfo else None
    except ValueError:
        return None
