"""A story fits its terminal and never cuts what must be pasted."""

from __future__ import annotations

import pytest

from hygie.cli.console import Console
from hygie.cli.telling import StoryTeller, wrapped
from hygie.demo.story import Proved, Table


def test_lines_are_wrapped_and_units_stay_with_their_numbers() -> None:
    line = "Restauré en 1.9 s : tous les dossiers y sont ; 74 Mo relus."
    for width in range(12, 60):
        parts = wrapped(line, width)
        assert " ".join(part.strip() for part in parts) == line
        assert all(len(part) <= width for part in parts)
        assert not any(part.strip().startswith(("s ", ":", ";", "Mo")) for part in parts)


def test_a_path_is_never_cut() -> None:
    path = "paris/packs/" + "a" * 90 + "/000000000001.pack"
    assert any(path in part for part in wrapped(f"The scrub names it: {path}", 40))


def test_a_step_shows_its_time_what_it_proved_and_how_to_do_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    teller = StoryTeller(Console())
    teller.begin(3, 9, "Records come in")
    teller.note("loading")
    with teller.progress("patients", 2) as advance:
        advance(2)
    teller.end(1.26, Proved(["All of them."], ["hygie x"], table=Table(("a", "b"), ((1, "[bold]x"),))))
    teller.fail()
    lines = capsys.readouterr().out.split("\n")
    assert lines[0].startswith("✓  3  Records come in ")
    assert lines[0].endswith(" 1.3 s")
    assert len(lines[0]) == 60
    assert [line.strip() for line in lines[1:5]] == ["All of them.", "a  b", "1  [bold]x", "$ hygie x"]
    assert lines[5].strip() == "✗  3  Records come in"


def test_a_machine_reads_nothing_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    teller = StoryTeller(Console(json_mode=True))
    teller.begin(1, 1, "x")
    teller.end(0.1, Proved(["y"], table=Table(("a",), ((1,),))))
    assert capsys.readouterr().out == ""
