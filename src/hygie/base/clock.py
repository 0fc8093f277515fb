"""Time is given, never taken: rooms receive a clock, so a test can set it back."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Milliseconds since 1970-01-01 UTC."""

    def now_ms(self) -> int: ...


class SystemClock:
    """The machine's clock, made monotonic inside one process: set back, it stands still until time catches up."""

    def __init__(self) -> None:
        self._last_ms = 0

    def now_ms(self) -> int:
        """Milliseconds UTC, never lower than the value before."""
        self._last_ms = max(self._last_ms, time.time_ns() // 1_000_000)
        return self._last_ms


class SteadyClock:
    """Milliseconds since nothing in particular: for spans inside one process, whatever the date becomes."""

    def now_ms(self) -> int:
        """Milliseconds that only ever pass, at their own pace."""
        return time.monotonic_ns() // 1_000_000


def iso_ms(at_ms: int) -> str:
    """An instant as FHIR and ISO 8601 write it: ``2026-11-23T08:15:30.123Z``."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at_ms % 1000:03d}Z"


def month_of(at_ms: int) -> str:
    """The UTC month of an instant, ``2026-11``."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m")
