"""What an error of the room says in French holds no English."""

from __future__ import annotations

import re
from pathlib import Path

import hygie
from hygie.exits.errors import ExportDamagedError
from hygie.exits.reasons import FRENCH

SOURCES = [*Path(hygie.__path__[0], "exits").glob("*.py"), Path(hygie.__path__[0], "departure.py")]
LITERAL = re.compile(r'reason ?= ?"([^"]+)"(?: if [^"]+ else "([^"]+)")?')


def test_each_reason_has_its_french() -> None:
    found = {one for path in SOURCES for pair in LITERAL.findall(path.read_text()) for one in pair if one}
    assert len(found) > 30
    assert sorted(found - set(FRENCH)) == []


def test_a_french_sentence_is_french() -> None:
    error = ExportDamagedError(name="x", reason="it is missing")
    assert error.sentence("fr") == "L'export n'est pas intègre : x, absent."
    assert error.sentence("en") == "The export is not intact: x, it is missing."
    assert error.facts["reason"] == "it is missing"
