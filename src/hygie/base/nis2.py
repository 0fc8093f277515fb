"""Whether NIS 2 binds this host: settings. Source: docs/reference/settings.md; Directive (EU) 2022/2555, art. 2, 3."""

from __future__ import annotations

from typing import Literal

import msgspec


class Nis2Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """entity: what this host is; ``unknown`` counts as in scope until somebody has looked."""

    entity: Literal["unknown", "none", "important", "essential"] = "unknown"

    @property
    def in_scope(self) -> bool:
        """Whether its significant incidents are to be reported."""
        return self.entity != "none"
