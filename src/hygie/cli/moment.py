"""An instant or a date as a person types it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import typer

from hygie.base.language import say


def moment_ms(text: str) -> int:
    """Milliseconds UTC of ``2026-11-27`` (the end of that day) or ``2026-11-27T08:15`` (UTC unless it says otherwise).

    Raises: typer.BadParameter.
    """
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise typer.BadParameter(
            say(
                fr="une date est attendue : 2026-11-27 ou 2026-11-27T08:15",
                en="a date is expected: 2026-11-27 or 2026-11-27T08:15",
            )
        ) from None
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    if len(text.strip()) == len("2026-11-27"):
        found += timedelta(days=1, milliseconds=-1)
    return int(found.timestamp() * 1000)
