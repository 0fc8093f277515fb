"""Settings of probes that stand elsewhere. Source: docs/reference/settings.md."""

from __future__ import annotations

from typing import Annotated

import msgspec


class OutsideProbeSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A probe of availability on another machine. key: its Ed25519 public key, in hexadecimal."""

    name: Annotated[str, msgspec.Meta(pattern=r"^(?!local$)[a-z][a-z0-9-]{0,31}$")]
    key: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]
