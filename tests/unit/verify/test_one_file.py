"""The offline verifier as one file: short, the same each time, and made of what it needs and nothing else."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tools import build_verifier
from tools.build_verifier import NotOneFileError, assemble, build


def test_it_is_one_file_that_one_can_read_in_an_afternoon(tmp_path: Path) -> None:
    build(tmp_path / "one.py")
    build(tmp_path / "two.py")
    text = (tmp_path / "one.py").read_text()
    assert text == (tmp_path / "two.py").read_text()
    assert text.count("\n") < 1_500
    assert max(map(len, text.splitlines())) <= 121


def test_it_imports_the_standard_library_and_cryptography_alone() -> None:
    import sys

    roots = set()
    for node in ast.walk(ast.parse(assemble())):
        if isinstance(node, ast.Import):
            roots |= {one.name.split(".")[0] for one in node.names}
        elif isinstance(node, ast.ImportFrom):
            roots.add((node.module or "").split(".")[0])
    assert roots - sys.stdlib_module_names == {"cryptography"}


def test_every_name_that_it_uses_is_defined() -> None:
    tree = ast.parse(assemble())
    top = {one.id for node in tree.body for one in ast.walk(node) if isinstance(one, ast.Name) and _stored(one)}
    top |= {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    for name in ("DossierVerifier", "Verifier", "check_timestamp", "check_posture", "check_named", "REASONS"):
        assert name in top
    assert "write_dossier" not in assemble()


def _stored(name: ast.Name) -> bool:
    return isinstance(name.ctx, ast.Store)


def test_two_meanings_of_one_name_and_too_many_lines_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_verifier, "FILES", (*build_verifier.FILES, "journal/stamps.py"))  # another FORMAT
    with pytest.raises(NotOneFileError, match="two meanings"):
        assemble()
    monkeypatch.undo()
    monkeypatch.setattr(build_verifier, "LINES_MAX", 100)
    with pytest.raises(NotOneFileError, match="fewer than"):
        assemble()
