"""Stages that attacks share with the unit tests."""

from __future__ import annotations

from tests.unit.vault.conftest import open_house

__all__ = ["open_house"]
