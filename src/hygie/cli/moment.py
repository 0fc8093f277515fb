"""An instant or a date as a person types it."""

from __future__ import annotations

from datetime import UTC, datetime

import typer

from hygie.base.civil import end_of_day_ms
from hygie.base.language import say


def moment_ms(text: str) -> int:
    """Milliseconds UTC of ``2026-11-27`` (the end of that day in Paris) or ``2026-11-27T08:15`` (UTC unless it says
    otherwise).

    Raises: typer.BadParameter.
    """
    try:
        found = datetime.fromisoformat(text.strip())
        if len(text.strip()) == len("2026-11-27"):
            return end_of_day_ms(found.date())
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            say(
                fr="une date est attendue : 2026-11-27 ou 2026-11-27T08:15",
                en="a date is expected: 2026-11-27 or 2026-11-27T08:15",
            )
        ) from None
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    return int(found.timestamp() * 1000)
