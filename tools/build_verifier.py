"""Build ``hygie-verify.py``: the offline verifier as one readable file, for Python 3.11 and ``cryptography``.

Usage: python tools/build_verifier.py [TARGET]      (default: dist/hygie-verify.py)
Then:  python -I hygie-verify.py DOSSIER --key log.pub --witness witness.pub

The files below are put one after another, without what the verifier does not reach. The same sources give the same
bytes, so anyone can rebuild and compare.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent / "src" / "hygie"
FILES = (
    "base/actions.py",
    "base/errors.py",
    "base/canonical.py",
    "journal/errors.py",
    "journal/checkpoint.py",
    "journal/merkle.py",
    "journal/tiles.py",
    "journal/leaf.py",
    "verify/errors.py",
    "verify/source.py",
    "verify/check.py",
    "verify/logs.py",
    "verify/posture.py",
    "verify/timestamp.py",
    "verify/dossier.py",
    "verify/main.py",
)
ENTRANCE = "main"
# Methods whose name is that of another one: the verifier reads trees and keys, it makes none.
LEFT_OUT = {
    *("Edge.append", "Edge._append", "Edge.partial", "Edge.copy"),
    *("VerifierKey.encode", "Tile.whole", "HygieError.__str__"),
}
KEPT = {"fr", "en"}  # said by the language's name
LINE_MAX = 120
LINES_MAX = 1_500  # what an auditor reads in an afternoon
HEAD = '''#!/usr/bin/env python3
"""hygie-verify: checks a dossier or a journal export of Hygie offline, with public keys and nothing else.

One file, Python 3.11 and ``cryptography``:  python -I hygie-verify.py FILE --key log.pub --witness witness.pub
Put together by tools/build_verifier.py from the files named below; the formats are docs/formats/dossier.md and
docs/formats/journal-export.md. Licence: Apache-2.0.
"""
'''
TAIL = f'\n\nif __name__ == "__main__":\n    {ENTRANCE}()\n'


class NotOneFileError(Exception):
    """The sources cannot become one file."""


@dataclass
class Piece:
    """One top-level statement. names: what it defines; lines: of its source; words: names and attributes it uses."""

    node: ast.stmt
    names: frozenset[str]
    lines: list[str]
    first: int
    words: set[str] = field(default_factory=set)


@dataclass
class Part:
    """One source file: what it says it is, its pieces, and its imports of other packages."""

    name: str
    title: str
    pieces: list[Piece]
    imports: list[ast.Import | ast.ImportFrom]


def assemble() -> str:
    """The text of the file. Raises: NotOneFileError: two parts give one name two meanings, or it is too long."""
    parts = [read_part(name) for name in FILES]
    defined: dict[str, Piece] = {}
    for part in parts:
        for piece in part.pieces:
            for name in piece.names:
                if name in defined:
                    raise NotOneFileError(f"{part.name}: {name} has two meanings")
                defined[name] = piece
    kept, words = reach(defined)
    chunks = [HEAD, *import_lines(parts, words)]
    for part in parts:
        pieces = [piece for piece in part.pieces if id(piece) in kept]
        if pieces:
            chunks.append(f"\n# --- {part.name}: {part.title}"[:LINE_MAX])
            chunks += spaced(pieces, words)
    whole = "\n".join(chunks) + TAIL
    if whole.count("\n") >= LINES_MAX:
        raise NotOneFileError(f"{whole.count(chr(10))} lines, fewer than {LINES_MAX} wanted")
    return whole


def read_part(name: str) -> Part:
    """One file, cut into its statements, each with the comments above it."""
    source = (SOURCE / name).read_text(encoding="utf-8")
    tree, lines = ast.parse(source), source.splitlines()
    title = (ast.get_docstring(tree) or "").splitlines()[0]
    pieces, imports, end = [], [], 0
    for node in tree.body:
        first = _first_line(node)
        while first - 2 >= end and lines[first - 2].startswith("#"):
            first -= 1
        end = node.end_lineno or node.lineno
        if isinstance(node, ast.Import | ast.ImportFrom):
            if not (isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "hygie"):
                imports.append(node)
        elif not isinstance(node, ast.Expr | ast.If):  # docstrings, and what only runs the module
            pieces.append(Piece(node, frozenset(_defines(node)), lines[first - 1 : end], first))
    return Part(f"hygie/{name}", title, pieces, imports)


def reach(defined: dict[str, Piece]) -> tuple[set[int], set[str]]:
    """Which pieces the entrance needs, and every word that they use. A method is needed when a needed piece says it."""
    kept: dict[int, Piece] = {}
    words = {ENTRANCE}
    while True:
        before = (len(kept), len(words))
        for name in list(words & defined.keys()):
            kept[id(defined[name])] = defined[name]
        for piece in kept.values():
            words |= _words(piece.node, words)
        if (len(kept), len(words)) == before:
            return set(kept), words


def text(piece: Piece, words: set[str]) -> str:
    """Its source: without the methods and class variables that nobody uses, with the first paragraph of each docstring
    (the formats say the rest), and no empty line."""
    gone: set[int] = set()
    for node in ast.walk(piece.node):
        if isinstance(node, ast.ClassDef):
            for one in node.body:
                if not _needed(node, one, words):
                    gone |= set(range(_first_line(one), (one.end_lineno or 0) + 1))
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
            said = node.body[0]
            first = said.lineno if node.name == "__init__" else _paragraph_end(piece, said) + 1
            gone |= set(range(first, (said.end_lineno or 0) + 1))
    lines = [line for number, line in enumerate(piece.lines, piece.first) if number not in gone and line.strip()]
    return "\n".join(lines)


def _paragraph_end(piece: Piece, said: ast.stmt) -> int:
    """The line on which the first paragraph of a docstring ends; its closing quotes are put there."""
    first, last = said.lineno, said.end_lineno or said.lineno
    for number in range(first, last):
        if not piece.lines[number + 1 - piece.first].strip() or (number == last - 1 and _only_quotes(piece, last)):
            if not piece.lines[number - piece.first].endswith('"""'):
                piece.lines[number - piece.first] += '"""'
            return number
    return last


def _only_quotes(piece: Piece, number: int) -> bool:
    return piece.lines[number - piece.first].strip() == '"""'


def _first_line(node: ast.stmt) -> int:
    return min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", ()))])


def spaced(pieces: Sequence[Piece], words: set[str]) -> Iterator[str]:
    """Each piece after an empty line; constants of one line stand together."""
    short = True
    for piece in pieces:
        lines = text(piece, words)
        was, short = short, isinstance(piece.node, ast.Assign | ast.AnnAssign)
        yield lines if was and short else "\n" + lines


def import_lines(parts: Sequence[Part], words: set[str]) -> Iterator[str]:
    """The imports that are used, each module once, in order."""
    plain, named = set(), {}
    for part in parts:
        for node in part.imports:
            if isinstance(node, ast.Import):
                plain |= {one.name for one in node.names if one.name.split(".")[0] in words}
            elif node.module != "__future__":
                named.setdefault(node.module or "", set()).update(one.name for one in node.names if one.name in words)
    yield "from __future__ import annotations\n"
    yield "\n".join(f"import {name}" for name in sorted(plain))
    for module, names in sorted(named.items(), key=lambda one: (one[0].startswith("cryptography"), one[0])):
        if names:
            line = f"from {module} import {', '.join(sorted(names))}"
            yield line if len(line) <= 120 else f"from {module} import (\n    {', '.join(sorted(names))},\n)"


def _needed(of: ast.ClassDef, one: ast.stmt, words: set[str]) -> bool:
    """Whether a statement of a class is used: a method, or a class variable."""
    if isinstance(one, ast.FunctionDef):
        said = one.name in words or bool(re.fullmatch(r"__\w+__", one.name))
        return said and f"{of.name}.{one.name}" not in LEFT_OUT
    constant = isinstance(one, ast.Assign) or (isinstance(one, ast.AnnAssign) and "ClassVar" in ast.unparse(one))
    return not constant or bool(set(_defines(one)) & (words | KEPT))


def _defines(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        yield node.name
    for target in node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]:
        yield from (one.id for one in ast.walk(target) if isinstance(one, ast.Name)) if target is not None else ()


def _words(node: ast.AST, words: set[str]) -> set[str]:
    """Names and attributes said in a statement, methods that nobody calls left out."""
    found: set[str] = set()
    below = list(ast.iter_child_nodes(node))
    while below:
        one = below.pop()
        if isinstance(node, ast.ClassDef) and isinstance(one, ast.stmt) and not _needed(node, one, words):
            continue
        if isinstance(one, ast.Name):
            found.add(one.id)
        elif isinstance(one, ast.Attribute):
            found.add(one.attr)
        below += ast.iter_child_nodes(one)
    return found


def build(target: Path) -> None:
    """Write the file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(assemble(), encoding="utf-8")
    target.chmod(0o755)


if __name__ == "__main__":
    build(Path(sys.argv[1]) if len(sys.argv) > 1 else SOURCE.parent.parent / "dist" / "hygie-verify.py")
