"""What a process keeps of month keys: a minute, whether they are asked again or not."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from hygie import app
from hygie.app import MONTH_KEYS_FRESH_S, MonthKeyCache

TENANT = bytes(16)


def test_a_month_key_that_nobody_asks_again_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its month may have ended, or its key been destroyed: it must not stay in memory as long as the process."""
    now_s = 0.0
    asked: list[str] = []
    monkeypatch.setattr(app, "time", SimpleNamespace(monotonic=lambda: now_s))

    class Kms:
        async def month_key(self, _tenant_id: bytes, _kind: str, month: str) -> bytes:
            asked.append(month)
            return month.encode()

    async def main() -> None:
        nonlocal now_s
        kms: Any = Kms()
        cache = MonthKeyCache(kms)
        for _ in range(2):
            assert await cache.month_key(TENANT, "access", "2026-10") == b"2026-10"
        assert asked == ["2026-10"]
        now_s = MONTH_KEYS_FRESH_S + 1
        await cache.month_key(TENANT, "access", "2026-11")
        assert [month for _, _, month in cache._kept] == ["2026-11"]

    asyncio.run(main())
