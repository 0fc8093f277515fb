"""How patches are watched. The delays themselves are promises of the register of changes."""

from __future__ import annotations

from typing import Annotated

import msgspec


class PatchSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """feed_days: a vulnerability feed older than this says nothing of today; exception_days: the longest exception."""

    feed_days: Annotated[int, msgspec.Meta(ge=1, le=90)] = 14
    exception_days: Annotated[int, msgspec.Meta(ge=1, le=366)] = 90
