"""The rules of the house, on the whole tree. A failure lists every place, ``path:line: sentence``."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.rules import (
    assert_none,
    check_docstrings,
    check_floors,
    check_links,
    check_marks,
    check_permits,
    check_silence,
    check_sizes,
    gather,
    sources,
)

ROOT = Path(__file__).parents[2]
HOUSE = sources(ROOT, "src")
EVERYTHING = HOUSE + sources(ROOT, "tests", "tools", "benchmarks")
OUTSIDE_PYTHON = {".md", ".sql", ".toml", ".yml", ".yaml", ".sh", ""}


def test_there_is_a_house_to_check() -> None:
    assert len(HOUSE) > 20
    assert {"base", "cli"} <= {source.room for source in HOUSE}


def test_rooms_import_lower_floors_only() -> None:
    assert_none(gather(check_floors(source) for source in HOUSE))


def test_files_and_functions_are_short() -> None:
    assert_none(gather(check_sizes(source) for source in EVERYTHING))


def test_public_names_have_docstrings() -> None:
    assert_none(gather(check_docstrings(source) for source in HOUSE))


def test_only_the_gate_makes_permits() -> None:
    assert_none(gather(check_permits(source) for source in HOUSE))


def test_no_error_is_swallowed() -> None:
    assert_none(gather(check_silence(source) for source in EVERYTHING))


def test_nothing_is_left_unfinished() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split(
        "\n"
    )
    texts = [ROOT / name for name in listed if Path(name).suffix in OUTSIDE_PYTHON and (ROOT / name).is_file()]
    if not listed[0]:  # outside a repository (a release archive)
        texts = sorted((ROOT / "docs").rglob("*.md"))
    others = (
        check_marks(str(p.relative_to(ROOT)), p.read_text(errors="replace")) for p in texts if p.suffix != ".lock"
    )
    python = (check_marks(source.path, source.text) for source in EVERYTHING)
    assert_none(gather([*python, *others]))


def test_links_of_the_pages_lead_somewhere() -> None:
    pages = [*sorted((ROOT / "docs").rglob("*.md")), *sorted(ROOT.glob("*.md"))]
    assert_none(gather(check_links(ROOT, page) for page in pages))


VERIFIER = [source.module for source in HOUSE if source.room == "verify" and "__main__" not in source.module]
VERIFIER_MAY_LOAD = {"hygie", "cryptography", "cffi", "_cffi_backend", "pycparser"}


@pytest.mark.parametrize("module", VERIFIER)
def test_the_offline_verifier_loads_the_standard_library_and_cryptography_only(module: str) -> None:
    code = f"import sys; before = set(sys.modules); import hygie.{module}; print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    foreign = {name for name in loaded - VERIFIER_MAY_LOAD if not _is_standard(name)}
    assert foreign == set()


def _is_standard(name: str) -> bool:
    return name in sys.stdlib_module_names or name.startswith("_") or importlib.util.find_spec(name) is None
