"""Each threat of the threat model names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "threat-model.md"


def untried(page: str, root: Path) -> list[str]:
    """Threats without a test, and tests that do not exist."""
    wrong: list[str] = []
    for threat in re.split(r"^### ", page, flags=re.MULTILINE)[1:]:
        number = threat.split(" ", 1)[0]
        named = re.findall(r"`(tests/[\w/]+\.py)`", threat)
        if not named:
            wrong.append(f"{number}: no test")
        wrong += [f"{number}: {name} does not exist" for name in named if not (root / name).is_file()]
    return wrong


def test_each_threat_is_tried() -> None:
    assert untried(PAGE.read_text(), ROOT) == []


def test_a_threat_without_test_is_seen() -> None:
    page = "### T-01 Nothing\nno test here\n### T-02 Something\n`tests/attack/test_nowhere.py`\n"
    assert untried(page, ROOT) == ["T-01: no test", "T-02: tests/attack/test_nowhere.py does not exist"]


def test_threats_are_numbered_in_order() -> None:
    numbers = [int(found) for found in re.findall(r"^### T-(\d+) ", PAGE.read_text(), flags=re.MULTILINE)]
    assert numbers == list(range(1, len(numbers) + 1))
