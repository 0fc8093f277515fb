"""The eight technical obligations: complete, in both languages, and those of the domain's own page."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from hygie.proof.model import Status
from hygie.proof.obligations import technical_obligations

DOMAIN = Path(os.environ.get("HYGIE_DOMAIN", Path(__file__).parents[4] / "shared" / "domain")) / "obligations.yaml"
REFERENCE = {"exi": r"EXI-\d\d", "iso27001": r"A\.\d\.\d+", "rgpd": r"\d+(\.\d+(\.[a-z])?)?"}


def test_there_are_eight_in_order() -> None:
    assert [one.id for one in technical_obligations()] == [f"tech-{number}" for number in range(1, 9)]


def test_each_is_said_in_both_languages_and_refers_to_its_texts() -> None:
    for one in technical_obligations():
        assert all((one.title.fr, one.title.en, one.proof.fr, one.proof.en))
        for name, form in REFERENCE.items():
            references = getattr(one, name)
            assert references
            assert all(re.fullmatch(form, reference) for reference in references), (one.id, name)


def test_what_the_law_says_is_told_from_what_we_promise() -> None:
    assert {one.status for one in technical_obligations()} == set(Status)


@pytest.mark.skipif(not DOMAIN.exists(), reason="the domain's page is not beside this repository")
def test_the_references_are_those_of_the_domain() -> None:
    text = DOMAIN.read_text()
    for one in technical_obligations():
        row = text.split(f"- id: {one.id}\n", 1)[1].split("\n  - id:", 1)[0]
        assert f"status: {one.status.value}" in row
        assert f"exi: [{', '.join(one.exi)}]" in row
        assert f"iso27001: [{', '.join(one.iso27001)}]" in row
        written = re.search(r"rgpd: \[(.*)\]", row)
        assert written is not None
        assert tuple(part.strip(' "') for part in written[1].split(",")) == one.rgpd
