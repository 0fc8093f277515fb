"""The desk of the KMS: what fails is told to those who asked it, and the next are served."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from hygie.base.errors import HygieError
from hygie.keys.errors import KmsUnavailableError
from hygie.keys.file_kms import UnwrapAsk
from hygie.keys.in_process import InProcessKms
from tests.contract.kms_stage import PERMIT, REASON, make_state, opened

TENANT = bytes(range(16))
ENVIRONMENT = bytes(range(16, 32))


def test_a_state_that_cannot_be_read_is_told_to_all_who_wait_and_the_next_are_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_state(tmp_path / "kms")
    kms = opened(tmp_path / "kms")
    kms.create_tenant(TENANT)
    kms.create_environment(TENANT, ENVIRONMENT)
    compartment, key = os.urandom(16), os.urandom(32)
    epoch, (wrap,) = kms.wrap(TENANT, ENVIRONMENT, [(compartment, key)])
    item = (compartment, epoch, wrap)
    real = kms.unwrap_many
    failures = [OSError(5, "i/o"), RuntimeError("a mistake")]

    def failing(asks: Sequence[UnwrapAsk]) -> list[list[bytes] | HygieError]:
        time.sleep(0.05)  # the others wait behind
        if failures:
            raise failures.pop(0)
        return real(asks)

    monkeypatch.setattr(kms, "unwrap_many", failing)

    async def main() -> None:
        service = InProcessKms(kms)

        async def ask() -> list[bytes]:
            return await service.unwrap(TENANT, ENVIRONMENT, [item] * 4096, permit_id=PERMIT, reason=REASON)

        async with asyncio.timeout(20):
            outcomes = await asyncio.gather(*(ask() for _ in range(9)), return_exceptions=True)
            failed = [type(one) for one in outcomes if isinstance(one, BaseException)]
            assert failed == [KmsUnavailableError] * 4 + [RuntimeError] * 4
            assert outcomes[8] == [key] * 4096
            await service.close()

    asyncio.run(main())
