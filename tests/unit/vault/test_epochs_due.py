"""When an environment's epochs end, and when their keys may die: by the clock and by the backups."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from hygie.keys.kms import EpochStatus
from hygie.vault.epochs import DAY_MS, EPOCH_MS, EPOCH_RETENTION_MS, due_step

BEGAN_MS = 1_000_000
RETAINED_MS = BEGAN_MS + EPOCH_RETENTION_MS


def epochs(*created_ms: int) -> Sequence[EpochStatus]:
    return [EpochStatus(number, at_ms, 0) for number, at_ms in enumerate(created_ms, 1)]


@pytest.mark.parametrize(
    ("created_ms", "now_ms", "last_backup_ms", "step"),
    [
        ((), BEGAN_MS, None, None),
        ((BEGAN_MS,), BEGAN_MS + EPOCH_MS - 1, BEGAN_MS + 1, None),
        ((BEGAN_MS,), BEGAN_MS + EPOCH_MS, None, "advance"),
        ((0, BEGAN_MS), BEGAN_MS + EPOCH_MS, BEGAN_MS + 1, "advance"),
        ((0, BEGAN_MS), RETAINED_MS - 1, BEGAN_MS + 1, None),
        ((0, BEGAN_MS), RETAINED_MS, BEGAN_MS + 1, "destroy"),
        ((0, BEGAN_MS), RETAINED_MS, BEGAN_MS, None),
        ((0, BEGAN_MS), RETAINED_MS, None, None),
        ((BEGAN_MS,), RETAINED_MS, BEGAN_MS + 1, None),
        # an epoch from a clock that was ahead: a day is waited for, a year is not
        ((0, BEGAN_MS + DAY_MS), BEGAN_MS, None, None),
        ((0, BEGAN_MS + DAY_MS + 1), BEGAN_MS, None, "advance"),
    ],
)
def test_what_is_due(created_ms: tuple[int, ...], now_ms: int, last_backup_ms: int | None, step: str | None) -> None:
    assert due_step(epochs(*created_ms), now_ms=now_ms, last_backup_ms=last_backup_ms) == step
