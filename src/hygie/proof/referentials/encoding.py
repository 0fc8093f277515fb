"""Canonical JSON of frozen dataclasses: one value, one byte string.

Source: docs/formats/referential.md v1. Members are sorted, nothing is written that equals its default, text is UTF-8
without escapes, no space stands between tokens.
"""

from __future__ import annotations

import dataclasses
import json
from datetime import date
from typing import Any

FORMAT = "hygie-referential-1"


def plain(value: Any) -> Any:
    """Dataclasses as dictionaries without their defaults, tuples as lists, dates as ``YYYY-MM-DD``."""
    if dataclasses.is_dataclass(value):
        fields = ((one, getattr(value, one.name)) for one in dataclasses.fields(value))
        return {one.name: plain(found) for one, found in fields if found != one.default}
    if isinstance(value, tuple):
        return [plain(one) for one in value]
    if isinstance(value, date):
        return value.isoformat()
    return value


def canonical_json(value: Any) -> bytes:
    """The bytes of a référentiel, its format mark among them. Time: linear in its size."""
    members = {"format": FORMAT, **plain(value)}
    return json.dumps(members, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
