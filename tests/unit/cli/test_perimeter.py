"""``hygie perimeter scope`` at a terminal, with no installation behind it."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from hygie.cli import main as module


class Terminal(io.StringIO):
    """What a person types."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("typed", ["trois", "7", "3-5"])
def test_what_names_no_activity_is_a_mistake_of_usage(
    typed: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal("oui\nhealth\noui\nnon\nnon\n" + typed + "\n"))
    with pytest.raises(SystemExit) as left:
        module.main(["--data", str(tmp_path / "data"), "--lang", "fr", "perimeter", "scope", "chu"])
    said = capsys.readouterr()
    assert left.value.code == 2, said.err
    assert "1 2 3" in said.err
    assert not (tmp_path / "data").exists()
