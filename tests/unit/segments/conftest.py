"""Django's applications are loaded before a test imports their models."""

from __future__ import annotations

from hygie.registers.orm import setup
from tests.unit.vault.conftest import open_house

setup()

__all__ = ["open_house"]
