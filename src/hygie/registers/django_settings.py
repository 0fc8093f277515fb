"""Django's settings for the proof plane without pages: models, and nothing that a web server needs."""

from __future__ import annotations

from typing import Any

INSTALLED_APPS = ["hygie.registers", "hygie.proof"]
DATABASES: dict[str, dict[str, Any]] = {"default": {"ENGINE": "django.db.backends.postgresql"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"
