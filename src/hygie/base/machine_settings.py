"""How the machine is held to its hardening: settings. Source: docs/reference/settings.md."""

from __future__ import annotations

from typing import Annotated

import msgspec

FilePath = Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]


class HardeningSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """look: the file of a look as root (``hygie hardening look --into``), for what Hygie's own account may not see;
    report_days: a report of Lynis, OpenSCAP or sslyze that is older is red; lynis_index: what its index must reach."""

    look: FilePath | None = None
    report_days: Annotated[int, msgspec.Meta(ge=1, le=366)] = 31
    lynis_index: Annotated[int, msgspec.Meta(ge=1, le=100)] = 65
