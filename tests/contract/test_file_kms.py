"""The file KMS keeps the contract: in the caller's process, and as a process of its own over its socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from hygie.keys.in_process import InProcessKms
from hygie.keys.kms import Kms
from tests.contract.kms_contract import KmsContract
from tests.contract.kms_stage import KmsProcess, make_state, opened


class TestFileKmsInProcess(KmsContract):
    @staticmethod
    @asynccontextmanager
    async def open_kms(folder: Path) -> AsyncIterator[Kms]:
        state = folder / "kms"
        if not state.exists():
            make_state(state)
        kms = InProcessKms(opened(state))
        try:
            yield kms
        finally:
            await kms.close()


class TestFileKmsProcess(KmsContract):
    @staticmethod
    @asynccontextmanager
    async def open_kms(folder: Path) -> AsyncIterator[Kms]:
        state = folder / "kms"
        if not state.exists():
            make_state(state)
        with KmsProcess(state) as process:
            client = process.client()
            try:
                yield client
            finally:
                await client.close()
