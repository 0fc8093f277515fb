"""Every threat of the threat model is tried: it names at least one test file, and that file exists and tests."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tests.house.rules import assert_none

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "threat-model.md"
HEADING = re.compile(r"^### (T-\d\d) (.+)$", re.MULTILINE)
TEST_LINK = re.compile(r"\]\((\.\./tests/[^)#]+\.py)\)")
MENTION = re.compile(r"\bT-\d\d\b")


def threats(text: str) -> list[tuple[str, str]]:
    """(number, what the page says of it), in order."""
    headings = list(HEADING.finditer(text))
    ends = [*(heading.start() for heading in headings[1:]), len(text)]
    return [(heading[1], text[heading.end() : end]) for heading, end in zip(headings, ends, strict=True)]


def wrong_in(text: str, folder: Path) -> Iterator[str]:
    """What is wrong with a threat model that stands in ``folder``."""
    found = threats(text)
    numbers = [number for number, _ in found]
    if numbers != sorted(set(numbers)) or (numbers and numbers[0] != "T-01"):  # a number keeps its threat: gaps stay
        yield f"threats are not in order, each once: {', '.join(numbers)}"
    for mention in sorted(set(MENTION.findall(text)) - set(numbers)):
        yield f"{mention} is named and is no threat"
    for number, body in found:
        links = TEST_LINK.findall(body)
        if not links:
            yield f"{number} names no test"
        for link in links:
            path = folder / link
            if not path.is_file():
                yield f"{number} names {link}, which does not exist"
            elif not re.search(r"^\s*(?:async )?def test_", path.read_text(), re.MULTILINE):
                yield f"{number} names {link}, which tests nothing"


def test_each_threat_has_its_test() -> None:
    text = PAGE.read_text()
    assert len(threats(text)) > 20
    assert_none(list(wrong_in(text, PAGE.parent)))


def test_other_pages_name_threats_that_exist() -> None:
    known = {number for number, _ in threats(PAGE.read_text())}
    pages = [*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")]
    named = {(page.name, number) for page in pages for number in MENTION.findall(page.read_text())}
    assert [(page, number) for page, number in sorted(named) if number not in known] == []


def test_the_check_catches_bad_pages(tmp_path: Path) -> None:
    tests = tmp_path / "tests"
    docs = tmp_path / "docs"
    tests.mkdir()
    docs.mkdir()
    (tests / "test_a.py").write_text("def test_a() -> None: ...\n")
    (tests / "empty.py").write_text("x = 1\n")
    good = "### T-01 A thief cannot read\n\nTests: [a](../tests/test_a.py).\n"
    assert list(wrong_in(good, docs)) == []
    bad = {
        "names no test": "### T-01 A thief cannot read\n\nNothing tries it.\n",
        "does not exist": "### T-01 A thief cannot read\n\n[a](../tests/test_gone.py)\n",
        "tests nothing": "### T-01 A thief cannot read\n\n[a](../tests/empty.py)\n",
        "not in order": good.replace("T-01", "T-02") + good,
        "each once": good + good,
        "is no threat": good + "See T-07.\n",
    }
    for words, text in bad.items():
        assert any(words in sentence for sentence in wrong_in(text, docs)), words
