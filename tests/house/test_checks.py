"""A check that was never seen red proves nothing: each names its sabotage test, which exists."""

from __future__ import annotations

from pathlib import Path

from hygie.proof.checks import CHECKS
from hygie.proof.obligations import technical_obligations

ROOT = Path(__file__).parents[2]


def test_each_check_has_its_sabotage_test() -> None:
    lacking = []
    for check in CHECKS:
        file, _, function = check.sabotage.partition("::")
        path = ROOT / file
        if not path.is_file() or f"def {function}(" not in path.read_text():
            lacking.append(check.sabotage)
    assert lacking == []


def test_each_obligation_has_checks() -> None:
    assert {check.obligation for check in CHECKS} == {one.id for one in technical_obligations()}
    assert len({check.id for check in CHECKS}) == len(CHECKS)
