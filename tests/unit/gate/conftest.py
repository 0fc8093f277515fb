"""The gate's tests stand on the vault's stage: real database, keys, sites and journal."""

from __future__ import annotations

from tests.unit.vault.conftest import open_house

__all__ = ["open_house"]
