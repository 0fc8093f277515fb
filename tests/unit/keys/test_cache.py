"""The cache of compartment keys: a minute, a cap, and forgetting at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from hygie.keys.cache import KEPT_S_MAX, CompartmentKeys
from hygie.keys.errors import KeyDestroyedError
from hygie.keys.in_process import InProcessKms
from tests.contract.kms_stage import PERMIT, REASON, make_state, opened

TENANT = b"t" * 16
ENVIRONMENT = b"e" * 16
OTHER = b"o" * 16


class SlowKms(InProcessKms):
    """The real KMS, whose answer may be held back."""

    gate: asyncio.Event | None = None
    unwraps = 0

    async def unwrap(
        self,
        tenant_id: bytes,
        environment_id: bytes,
        items: Sequence[tuple[bytes, int, bytes]],
        *,
        permit_id: bytes,
        reason: str,
    ) -> list[bytes]:
        self.unwraps += len(items)
        keys = await super().unwrap(tenant_id, environment_id, items, permit_id=permit_id, reason=reason)
        if self.gate is not None:
            await self.gate.wait()
        return keys


class Stage:
    """A KMS with ten compartments, a cache and a clock."""

    def __init__(self, folder: Path) -> None:
        make_state(folder)
        self.kms = SlowKms(opened(folder))
        self.now_s = 1000.0
        self.keys = [(bytes((rank,)) * 16, bytes((100 + rank,)) * 32) for rank in range(10)]
        self.items: list[tuple[bytes, int, bytes]] = []

    async def furnish(self) -> None:
        await self.kms.create_tenant(TENANT)
        for environment in (ENVIRONMENT, OTHER):
            await self.kms.create_environment(TENANT, environment)
        epoch, wraps = await self.kms.wrap(TENANT, ENVIRONMENT, self.keys)
        self.items = [(name, epoch, wrap) for (name, _), wrap in zip(self.keys, wraps, strict=True)]

    def cache(self, **settings: float) -> CompartmentKeys:
        return CompartmentKeys(self.kms, monotonic=lambda: self.now_s, **settings)  # type: ignore[arg-type]


async def ask(cache: CompartmentKeys, items: list[tuple[bytes, int, bytes]]) -> list[bytes]:
    return await cache.open(TENANT, ENVIRONMENT, items, permit_id=PERMIT, reason=REASON)


def test_a_key_is_fetched_once_a_minute(tmp_path: Path) -> None:
    async def main() -> None:
        stage = Stage(tmp_path / "kms")
        await stage.furnish()
        cache = stage.cache()
        expected = [key for _, key in stage.keys]
        assert await ask(cache, [*stage.items, stage.items[0]]) == [*expected, expected[0]]
        assert stage.kms.unwraps == 10
        stage.now_s += KEPT_S_MAX - 1
        assert await ask(cache, stage.items[::-1]) == expected[::-1]
        assert stage.kms.unwraps == 10
        stage.now_s += 1
        assert cache.get(TENANT, ENVIRONMENT, stage.keys[0][0]) is None
        assert await ask(cache, stage.items) == expected
        assert stage.kms.unwraps == 20
        await stage.kms.close()

    asyncio.run(main())


def test_reading_a_kept_key_does_not_lengthen_its_minute(tmp_path: Path) -> None:
    async def main() -> None:
        stage = Stage(tmp_path / "kms")
        await stage.furnish()
        cache = stage.cache()
        name, key = stage.keys[0]
        cache.put(TENANT, ENVIRONMENT, name, key)
        for _ in range(6):
            assert cache.get(TENANT, ENVIRONMENT, name) == key
            cache.put(TENANT, ENVIRONMENT, name, key)
            stage.now_s += 10
        assert cache.get(TENANT, ENVIRONMENT, name) is None
        await stage.kms.close()

    asyncio.run(main())


def test_the_least_recently_used_goes_first(tmp_path: Path) -> None:
    async def main() -> None:
        stage = Stage(tmp_path / "kms")
        await stage.furnish()
        cache = stage.cache(keys_max=3)
        assert await ask(cache, stage.items) == [key for _, key in stage.keys]
        assert len(cache) == 3
        cache.clear()
        for name, key in stage.keys[:3]:
            cache.put(TENANT, ENVIRONMENT, name, key)
        cache.get(TENANT, ENVIRONMENT, stage.keys[0][0])
        cache.put(TENANT, ENVIRONMENT, *stage.keys[3])
        assert [cache.get(TENANT, ENVIRONMENT, name) is not None for name, _ in stage.keys[:4]] == [
            True, False, True, True,
        ]  # fmt: skip
        await stage.kms.close()

    asyncio.run(main())


def test_a_key_leaves_memory_though_nobody_asks_for_it_again(tmp_path: Path) -> None:
    async def main() -> None:
        stage = Stage(tmp_path / "kms")
        await stage.furnish()
        cache = CompartmentKeys(stage.kms, kept_s=0.1)
        await ask(cache, stage.items[:5])
        await asyncio.sleep(0.06)
        await ask(cache, stage.items[5:])
        await asyncio.sleep(0.06)
        assert 0 < len(cache) <= 10
        async with asyncio.timeout(5):
            while len(cache):
                await asyncio.sleep(0.02)
        assert await ask(cache, stage.items[:1]) == [stage.keys[0][1]]
        async with asyncio.timeout(5):
            while len(cache):
                await asyncio.sleep(0.02)
        await stage.kms.close()

    asyncio.run(main())


@pytest.mark.parametrize("how", ["compartment", "all"])
def test_forgetting_acts_on_what_is_kept_and_on_what_is_being_fetched(tmp_path: Path, how: str) -> None:
    async def main() -> None:
        stage = Stage(tmp_path / "kms")
        await stage.furnish()
        cache = stage.cache()
        erased = stage.keys[0][0]

        def forget() -> None:
            if how == "compartment":
                cache.forget(TENANT, ENVIRONMENT, erased)
            else:
                cache.clear()

        await ask(cache, stage.items)
        cache.put(TENANT, OTHER, erased, b"k" * 32)
        forget()
        assert cache.get(TENANT, ENVIRONMENT, erased) is None
        assert (cache.get(TENANT, OTHER, erased) is None) == (how == "all")
        cache.clear()
        stage.kms.gate = asyncio.Event()
        fetch = asyncio.create_task(ask(cache, stage.items))
        bystander = asyncio.create_task(ask(cache, stage.items[1:2]))
        await asyncio.sleep(0.05)
        forget()
        stage.kms.gate.set()
        with pytest.raises(KeyDestroyedError):
            await fetch
        if how == "compartment":
            assert await bystander == [stage.keys[1][1]]
        else:
            with pytest.raises(KeyDestroyedError):
                await bystander
        assert cache.get(TENANT, ENVIRONMENT, erased) is None
        await stage.kms.close()

    asyncio.run(main())


def test_no_cache_keeps_over_a_minute(tmp_path: Path) -> None:
    make_state(tmp_path / "kms")
    kms = InProcessKms(opened(tmp_path / "kms"))
    for kept_s, keys_max in ((61, 1), (-1, 1), (1, 0)):
        with pytest.raises(ValueError, match="60 s"):
            CompartmentKeys(kms, kept_s=kept_s, keys_max=keys_max)
    asyncio.run(kms.close())
