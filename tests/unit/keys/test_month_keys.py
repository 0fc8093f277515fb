"""Month keys under a clock that goes wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from hygie.keys.errors import KmsRequestError
from hygie.keys.file_kms import FileKms
from hygie.keys.sealing import Passphrase
from tests.contract.kms_stage import PASSPHRASE, SCRYPT_N_TEST, opened

TENANT = bytes(range(16))


class Clock:
    def __init__(self, at_ms: int) -> None:
        self.at_ms = at_ms

    def now_ms(self) -> int:
        return self.at_ms


def test_a_clock_that_was_ahead_when_the_keys_were_made_stops_no_journal(tmp_path: Path) -> None:
    """Month keys are of the time since the keys were made: put right, the clock is in a month before that."""
    clock = Clock(1_900_000_000_000)
    FileKms.create(tmp_path / "kms", Passphrase(PASSPHRASE), clock=clock, scrypt_n=SCRYPT_N_TEST)
    kms = opened(tmp_path / "kms", clock=clock)
    kms.create_tenant(TENANT)
    ahead = kms.month_key(TENANT, "access", "2030-04")
    clock.at_ms = 1_800_000_000_000
    now = kms.month_key(TENANT, "access", "2027-01")
    assert kms.month_key(TENANT, "access", "2030-04") == ahead != now
    with pytest.raises(KmsRequestError):
        kms.month_key(TENANT, "access", "2026-12")
    kms.close()
