"""Each rule of the house catches its bad sample and lets a good one pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.house.rules import (
    Source,
    check_docstrings,
    check_floors,
    check_links,
    check_marks,
    check_permits,
    check_silence,
    check_sizes,
)

Rule = Callable[[Source], Iterator[str]]


def lines_of(rule: Rule, path: str, text: str) -> list[str]:
    return list(rule(Source(path, text)))


@pytest.mark.parametrize(
    ("path", "text", "words"),
    [
        ("src/hygie/vault/x.py", "from hygie.gate.gate import Gate", "lower floors only"),
        ("src/hygie/journal/x.py", "from hygie.keys.kms import Kms", "lower floors only"),
        ("src/hygie/journal/x.py", "def f():\n    import hygie.keys.kms", "x.py:2: journal (floor 1) imports keys.kms"),
        ("src/hygie/journal/x.py", "from hygie import keys", "lower floors only"),
        ("src/hygie/base/x.py", "if TYPE_CHECKING:\n    from hygie.sites import site", "lower floors only"),
        ("src/hygie/fhir/x.py", "from hygie.backups import snapshot", "lower floors only"),
        ("src/hygie/verify/x.py", "from hygie.journal.writer import W", "only base and the journal's pure files"),
        ("src/hygie/verify/x.py", "from hygie.journal.entry import Entry", "only base and the journal's pure files"),
        ("src/hygie/verify/x.py", "from hygie.database.pool import P", "only base"),
        ("src/hygie/vault/x.py", "from ..gate import gate", "relative import"),
        ("src/hygie/vault/x.py", "from hygie.nowhere import y", "no such room"),
        ("src/hygie/attic/x.py", "from hygie.base import clock", "has no floor"),
        ("src/hygie/processes.py", "from hygie.app import build", "lower floors only"),
        ("src/hygie/vault/x.py", "import hygie.cli.main as m", "lower floors only"),
    ],
)
def test_a_forbidden_import_is_named(path: str, text: str, words: str) -> None:
    found = lines_of(check_floors, path, text)
    assert len(found) == 1
    assert words in found[0]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("src/hygie/vault/x.py", "from hygie.keys.kms import Kms\nfrom hygie.vault.pack import P\nimport os"),
        ("src/hygie/verify/x.py", "from hygie.journal.merkle import root\nfrom hygie.base.errors import E"),
        ("src/hygie/verify/x.py", "from hygie.journal import merkle"),
        ("src/hygie/app.py", "from hygie.vault.vault import V\nfrom hygie.gate.gate import G"),
        ("src/hygie/cli/main.py", "from hygie import __version__\nfrom hygie.app import x\nfrom hygie.cli import y"),
    ],
)
def test_an_allowed_import_passes(path: str, text: str) -> None:
    assert lines_of(check_floors, path, text) == []


def test_long_files_and_long_functions_are_named() -> None:
    assert "501 lines" in lines_of(check_sizes, "src/hygie/a.py", "x = 1\n" * 501)[0]
    assert lines_of(check_sizes, "src/hygie/a.py", "x = 1\n" * 500) == []
    long = "class C:\n    async def f(self):\n" + "        x = 1\n" * 70
    assert "a.py:2: f has 71 lines" in lines_of(check_sizes, "src/hygie/a.py", long)[0]
    assert lines_of(check_sizes, "src/hygie/a.py", long.removesuffix("        x = 1\n")) == []


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ('"""M."""\ndef f():\n    return 1', "function f"),
        ('"""M."""\nclass C:\n    pass', "class C"),
        ('"""M."""\nclass C:\n    """C."""\n    async def m(self):\n        return 1', "function m"),
        ("x = 1", "module"),
        ('"""M."""\ndef _f():\n    return 1', None),
        ('"""M."""\nclass _C:\n    def m(self):\n        return 1', None),
        ('"""M."""\nclass P:\n    """P."""\n    def m(self) -> int: ...', None),
        ('"""M."""\ndef f():\n    """F."""\n    def inner():\n        return 1', None),
    ],
)
def test_a_public_name_without_a_docstring_is_named(text: str, missing: str | None) -> None:
    found = lines_of(check_docstrings, "src/hygie/base/x.py", text)
    assert (not found) if missing is None else (len(found) == 1 and missing in found[0])


@pytest.mark.parametrize(
    "text",
    [
        "Permit(account='a')",
        "permit.Permit(account='a')",
        "dataclasses.replace(permit, action=x)",
        "copy.replace(self.permit, action=x)",
        "object.__new__(Permit)",
        "from hygie.base.permit import Permit as P",
    ],
)
def test_a_permit_made_outside_the_gate_is_named(text: str) -> None:
    assert len(lines_of(check_permits, "src/hygie/fhir/x.py", text)) == 1
    assert lines_of(check_permits, "src/hygie/gate/gate.py", text) == []


def test_naming_the_type_of_a_permit_is_allowed() -> None:
    text = "from hygie.base.permit import Permit\ndef f(permit: Permit): g(permit); text.replace('a', 'b')"
    assert lines_of(check_permits, "src/hygie/fhir/x.py", text) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("try:\n    f()\nexcept:\n    raise", 1),
        ("try:\n    f()\nexcept Exception:\n    pass", 1),
        ("try:\n    f()\nexcept (OSError, BaseException):\n    ...", 1),
        ("for x in y:\n    try:\n        f()\n    except Exception:\n        continue", 1),
        ("with contextlib.suppress(Exception):\n    f()", 1),
        ("try:\n    f()\nexcept OSError:\n    pass", 0),
        ("try:\n    f()\nexcept Exception as error:\n    log(error)\n    raise", 0),
        ("with contextlib.suppress(OSError):\n    f()", 0),
    ],
)
def test_a_swallowed_error_is_named(text: str, found: int) -> None:
    assert len(lines_of(check_silence, "src/hygie/base/x.py", text)) == found


def test_unfinished_work_and_paths_of_a_machine_are_named() -> None:
    mark, folder = "TO" + "DO", "/wor" + "k/main"
    assert list(check_marks("a.md", f"fine\n# {mark}: later")) == ["a.md:2: a mark of unfinished work"]
    assert list(check_marks("a.md", f"see {folder}/x")) == ["a.md:1: a path of one machine"]
    assert list(check_marks("a.md", "work, framework/x, todos, hackney")) == []


def test_a_dead_link_is_named(tmp_path: Path) -> None:
    page = tmp_path / "a.md"
    page.write_text("[good](a.md#x) [web](https://example.org/x) [dead](gone.md) [here](#x)\n")
    assert list(check_links(tmp_path, page)) == ["a.md:1: link to gone.md, which does not exist"]
