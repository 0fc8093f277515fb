"""What people read, and what machines read."""

from __future__ import annotations

import json

import pytest

from hygie.cli.console import Console


def test_a_machine_reads_one_value_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    out = Console(json_mode=True)
    out.line("for people")
    out.table(["a"], [["b"]])
    with out.step("a step"), out.progress("bar", 10) as advance:
        advance(3)
    out.result({"été": 1})
    said = capsys.readouterr()
    assert json.loads(said.out) == {"été": 1}
    assert said.err == ""


def test_people_read_lines_steps_and_tables_as_they_are_written(capsys: pytest.CaptureFixture[str]) -> None:
    out = Console()
    out.line("[bold]not markup[/bold] :smile:")
    out.table(["name", "état"], [["[red]", "à jour"]], title="Sites")
    with out.step("places on two sites"):
        pass
    out.result({"ignored": True})
    said = capsys.readouterr().out
    assert "[bold]not markup[/bold] :smile:" in said
    assert "[red]" in said
    assert "à jour" in said
    assert "✓ places on two sites" in said
    assert "ignored" not in said


def test_a_failed_step_is_marked_and_its_error_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    out = Console()
    with pytest.raises(ValueError, match="x"), out.step("scrub"):
        raise ValueError("x")
    assert "✗ scrub" in capsys.readouterr().out


def test_a_step_writes_where_only_ascii_passes() -> None:
    import os
    import subprocess
    import sys

    code = "from hygie.cli.console import Console\nout = Console()\nwith out.step('é'):\n    out.line('à')"
    environ = os.environ | {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, env=environ)
    assert done.returncode == 0, done.stderr
