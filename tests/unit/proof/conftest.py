"""Django's applications are loaded before a test imports their models."""

from __future__ import annotations

from hygie.registers.orm import setup

setup()
