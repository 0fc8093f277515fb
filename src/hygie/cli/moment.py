"""An instant or a date as a person types it."""

from __future__ import annotations

import contextlib
from datetime import UTC, date, datetime
from typing import TypeVar

import typer

from hygie.base.civil import end_of_day_ms
from hygie.base.language import say

D = TypeVar("D", bound=date)
YEAR_MIN, YEAR_MAX = 1970, 2200  # instants are counted from 1970; registers hold no later date


def moment_ms(text: str) -> int:
    """Milliseconds UTC of ``2026-11-27`` (the end of that day in Paris) or ``2026-11-27T08:15`` (UTC unless it says
    otherwise).

    Raises: typer.BadParameter.
    """
    text = text.strip()
    with contextlib.suppress(ValueError):
        return end_of_day_ms(_dated(date.fromisoformat(text)))
    with contextlib.suppress(ValueError):
        found = _dated(datetime.fromisoformat(text))
        return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)
    raise typer.BadParameter(
        say(
            fr="une date est attendue : 2026-11-27 ou 2026-11-27T08:15",
            en="a date is expected: 2026-11-27 or 2026-11-27T08:15",
        )
    )


def _dated(found: D) -> D:
    """The same. Raises: ValueError: of no year that the platform may speak of."""
    if not YEAR_MIN <= found.year <= YEAR_MAX:
        raise ValueError(found.year)
    return found
