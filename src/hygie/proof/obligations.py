"""The technical obligations of this version, read from ``obligations.toml`` beside this file."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import Any

from hygie.proof.model import Obligation, Status, Text


@cache
def technical_obligations() -> tuple[Obligation, ...]:
    """tech-1 to tech-8, in order."""
    raw = tomllib.loads(resources.files("hygie.proof").joinpath("obligations.toml").read_text(encoding="utf-8"))
    return tuple(_obligation(row) for row in raw["obligation"])


def _obligation(row: dict[str, Any]) -> Obligation:
    return Obligation(
        id=row["id"],
        title=Text(row["title_fr"], row["title_en"]),
        proof=Text(row["proof_fr"], row["proof_en"]),
        status=Status(row["status"]),
        exi=tuple(row["exi"]),
        iso27001=tuple(row["iso27001"]),
        rgpd=tuple(row["rgpd"]),
    )
