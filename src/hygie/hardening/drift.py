"""What changed since the baseline, and since when. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from hygie.hardening.model import Baseline, Measured, Seen


def differs(seen: Seen, accepted: Seen | None) -> bool:
    """Whether a point is not what was accepted. What cannot be seen is no change: it is not known.

    Args: accepted: None for a point that the baseline does not know (a newer Hygie looks at it): no change either.
    """
    if accepted is None or "cannot_tell" in (seen.state, accepted.state):
        return False
    return (seen.state, seen.value) != (accepted.state, accepted.value)


def measured(
    seen: Mapping[str, Seen], baseline: Baseline | None, before: Mapping[str, Measured], now_ms: int
) -> dict[str, Measured]:
    """Each point with the instant since which it differs from the baseline.

    A difference that was there at the measurement before goes on, whatever its value; a new one begins now. A point
    that cannot be seen keeps the difference it had: nobody saw it mended.
    """
    found: dict[str, Measured] = {}
    for name, one in seen.items():
        former = before.get(name)
        since_ms = former.drift_ms if former is not None else None
        if baseline is None or (since_ms is not None and since_ms < baseline.at_ms):
            since_ms = None  # what was accepted meanwhile is over
        accepted = baseline.points.get(name) if baseline is not None else None
        if differs(one, accepted):
            since_ms = now_ms if since_ms is None else since_ms
        elif one.state != "cannot_tell":
            since_ms = None
        found[name] = Measured(one.state, one.value, since_ms)
    return found
