"""``hygie control``, as people run it: list and show, in both languages and for machines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hygie.cli import main as module


class Line:
    """The command line, with no installation behind it."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.capsys = folder, capsys

    def run(self, *words: str, code: int = 0, lang: str = "en") -> str:
        """What it says, on both outputs."""
        with pytest.raises(SystemExit) as left:
            module.main(["--data", str(self.folder), "--lang", lang, "control", *words])
        said = self.capsys.readouterr()
        assert left.value.code == code, said.err
        return said.out + said.err


@pytest.fixture
def line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Line:
    return Line(tmp_path / "data", capsys)


def test_controls_are_listed_by_what_they_answer(line: Line) -> None:
    said = line.run("list", "--requirement", "EXI-24.2")
    assert "change-consent" in said
    assert "clause-change-duties" in said
    assert "encryption" not in said
    rows = json.loads(line.run("list", "--owner", "dpo", "--json"))
    assert {row["owner"] for row in rows} == {"dpo"}
    assert not line.folder.exists()


def test_a_control_says_what_is_done_and_what_it_answers(line: Line) -> None:
    french = line.run("show", "patches", lang="fr")
    assert "Correctifs appliqués à temps" in french
    assert "A.8.8" in french
    assert "attesté" in french
    assert "attested" in line.run("show", "patches")
    row = json.loads(line.run("show", "patches", "--json"))
    assert row["answers"] == ["iso27001@2022#A.8.8", "hygie-obligations@1#org-6", "rgpd@2016-679#32.1.d"]
    assert row["checks"][0]["rule"]["clocks"] == ["patch-critical", "patch-high", "patch-medium", "patch-low"]


def test_a_check_says_its_evidence_and_its_remedy(line: Line) -> None:
    french = line.run("show", "change.consent", lang="fr")
    for word in ("pièce externe", "register:change", "hygie register amend change", "sans objet", "change-consent"):
        assert word in french
    live = line.run("show", "tech-1.flows")
    for word in ("fact:tls", "measured", "encryption"):
        assert word in live


def test_what_is_not_there_is_told(line: Line) -> None:
    assert "HYG-3B9" in line.run("show", "nothing", code=30)
    assert "hygie control list" in line.run("list", "--requirement", "EXI-99", code=30, lang="fr")
