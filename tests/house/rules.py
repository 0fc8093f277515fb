"""The rules of the house, as functions from a source file to what is wrong in it: ``path:line: sentence``.

Each rule has a bad sample in ``test_rules.py`` that it must catch, and is run on the whole tree in ``test_house.py``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70

# A room imports lower floors only, never a room of its own floor. Floors 0 to 5 are those of docs/architecture.md; the
# files of assembly above them (one file each) stand in the order in which they use one another.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("base",),
    ("database", "journal", "keys", "sites", "server", "synthetic"),
    ("vault", "segments"),
    ("gate",),
    (
        "fhir",
        "oauth",
        "rights",
        "dicomweb",
        "s3",
        "backups",
        "watch",
        "registers",
        "hardening",
        "patching",
        "availability",
    ),
    ("proof", "console", "exits", "deidentify", "interventions"),
    ("app", "processes"),
    ("patchkeeping",),
    ("custody", "hosting", "probes", "proving"),
    ("retentions", "rota"),
    ("evaluation", "logkeeping", "departure", "copying", "dossiers", "papers", "perimeter"),
    ("machines", "incidents"),
    ("preserving",),
    ("recordings",),
    ("replays", "uptime"),
    ("effects", "grants", "loops"),
    ("surveys",),
    ("trimming",),
    ("upkeep", "feeding", "metering"),
    ("watching",),
    ("handling",),
    ("noticing",),
    ("services",),
    ("start",),
    ("recover", "upgrade"),
    ("demo",),
    ("scenarios",),
    ("cli",),
    ("__main__",),
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
# The offline verifier shares only what touches no network, no database, no key store.
VERIFY_MAY_IMPORT = {"base", "verify"} | {
    f"journal.{name}" for name in ("merkle", "tiles", "checkpoint", "leaf", "errors")
}
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Source:
    """One Python file: its path inside the repository (posix) and its text."""

    path: str
    text: str

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def module(self) -> str:
        """Dotted name under ``hygie`` (``vault.pack``), or nothing for a file outside ``src``."""
        if not self.path.startswith("src/hygie/"):
            return ""
        return ".".join(Path(self.path).relative_to("src/hygie").with_suffix("").parts).removesuffix(".__init__")

    @property
    def room(self) -> str:
        return self.module.split(".")[0]

    def at(self, node: ast.AST, sentence: str) -> str:
        return f"{self.path}:{getattr(node, 'lineno', 1)}: {sentence}"


def sources(root: Path, *folders: str) -> list[Source]:
    """Every Python file under these folders of the repository."""
    files = [path for folder in folders for path in sorted((root / folder).rglob("*.py"))]
    return [Source(path.relative_to(root).as_posix(), path.read_text()) for path in files if "/." not in str(path)]


def imports(source: Source) -> Iterator[tuple[ast.AST, str]]:
    """What a file imports of Hygie, dotted under ``hygie``; ``from hygie.x import y`` counts as ``x.y``."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "hygie":
                    yield node, alias.name.removeprefix("hygie").removeprefix(".")
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                yield node, "." * node.level
            elif node.module and node.module.split(".")[0] == "hygie":
                base = node.module.removeprefix("hygie").removeprefix(".")
                for alias in node.names:
                    yield node, f"{base}.{alias.name}".removeprefix(".")


def check_floors(source: Source) -> Iterator[str]:
    """A room imports lower floors and itself; ``verify`` only what is pure; relative imports hide the room."""
    for node, name in imports(source):
        room = name.split(".")[0]
        if name.startswith("."):
            yield source.at(node, "relative import: write the room's name")
        elif source.room == "verify":
            pure = room in VERIFY_MAY_IMPORT or ".".join(name.split(".")[:2]) in VERIFY_MAY_IMPORT
            if not pure:
                yield source.at(node, f"verify imports {name}: only base and the journal's pure files")
        elif room in {"", "__version__", source.room}:
            continue
        elif source.room not in FLOOR:
            yield source.at(node, f"room {source.room} has no floor")
            return
        elif room == "verify" and source.room in {"cli", "app", "backups", "exits"}:
            continue
        elif room not in FLOOR:
            yield source.at(node, f"{source.room} imports {name}: no such room on any floor")
        elif FLOOR[room] >= FLOOR[source.room]:
            yield source.at(
                node,
                f"{source.room} (floor {FLOOR[source.room]}) imports {name} (floor {FLOOR[room]}): lower floors only",
            )


def check_sizes(source: Source) -> Iterator[str]:
    """Files and functions that one can hold in mind."""
    lines = source.text.count("\n")
    if lines > FILE_LINES_MAX:
        yield f"{source.path}:1: {lines} lines, at most {FILE_LINES_MAX}"
    for function in functions(source.tree):
        length = (function.end_lineno or function.lineno) - function.lineno + 1
        if length > FUNCTION_LINES_MAX:
            yield source.at(function, f"{function.name} has {length} lines, at most {FUNCTION_LINES_MAX}")


def functions(tree: ast.AST) -> Iterator[Function]:
    """Every function, nested ones included."""
    for node in ast.walk(tree):
        if isinstance(node, Function):
            yield node


def check_docstrings(source: Source) -> Iterator[str]:
    """Modules, public classes and public functions say what they are; bodies of ``...`` (protocols) may be silent."""
    if not ast.get_docstring(source.tree):
        yield source.at(source.tree, "module without a docstring")
    yield from _undocumented(source, source.tree)


def _undocumented(source: Source, parent: ast.Module | ast.ClassDef) -> Iterator[str]:
    for node in parent.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            if not ast.get_docstring(node):
                yield source.at(node, f"class {node.name} without a docstring")
            yield from _undocumented(source, node)
        elif isinstance(node, Function) and not node.name.startswith("_"):
            decorators = {ast.unparse(d).split(".")[-1] for d in node.decorator_list}
            if decorators & {"setter", "overload", "override"} or _is_only_dots(node.body):
                continue
            if not ast.get_docstring(node):
                yield source.at(node, f"function {node.name} without a docstring")


def _is_only_dots(body: list[ast.stmt]) -> bool:
    return all(isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant) and s.value.value is ... for s in body)


def check_permits(source: Source) -> Iterator[str]:
    """Only the gate makes a permit: no call, no copy with changes, no alias that would hide one."""
    if source.room == "gate":
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name == "Permit":
                yield source.at(node, "a Permit is made outside the gate")
            elif name in {"replace", "copy", "deepcopy", "__replace__", "__new__"} and any(
                "permit" in ast.unparse(argument).lower() for argument in node.args[:1]
            ):
                yield source.at(node, "a Permit is copied outside the gate")
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if alias.name == "Permit" and alias.asname not in {None, "Permit"}:
                    yield source.at(node, "Permit imported under another name")


def check_silence(source: Source) -> Iterator[str]:
    """No error is swallowed: no bare ``except``, no ``except Exception`` that does nothing, no ``suppress`` of all."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ExceptHandler):
            caught = {ast.unparse(node.type)} if node.type and not isinstance(node.type, ast.Tuple) else set()
            if isinstance(node.type, ast.Tuple):
                caught = {ast.unparse(each) for each in node.type.elts}
            if node.type is None:
                yield source.at(node, "bare except")
            elif caught & {"Exception", "BaseException"} and all(_does_nothing(s) for s in node.body):
                yield source.at(node, "an error is swallowed")
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "suppress":
            everything = {ast.unparse(argument) for argument in node.args} & {"Exception", "BaseException"}
            yield from [source.at(node, "an error is swallowed")] if everything else []


def _does_nothing(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Pass | ast.Continue) or _is_only_dots([statement])


_MARKS = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b|raise NotImplemented" + r"Error")
_MACHINE = re.compile(r"/(?:wor[k]|far[m])/|\.librar[y]")


def check_marks(path: str, text: str) -> Iterator[str]:
    """Nothing unfinished and no path of somebody's machine."""
    for number, line in enumerate(text.splitlines(), 1):
        if _MARKS.search(line):
            yield f"{path}:{number}: a mark of unfinished work"
        if _MACHINE.search(line):
            yield f"{path}:{number}: a path of one machine"


_LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")


def check_links(root: Path, path: Path) -> Iterator[str]:
    """Every relative link of a page leads to a file."""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        for target in _LINK.findall(line):
            if "://" not in target and not target.startswith("mailto:") and not (path.parent / target).exists():
                yield f"{path.relative_to(root).as_posix()}:{number}: link to {target}, which does not exist"


def gather(found: Iterable[Iterable[str]]) -> list[str]:
    """All sentences, sorted, for one assertion that shows them all."""
    return sorted(sentence for each in found for sentence in each)


def assert_none(found: list[str]) -> None:
    """Fail with every sentence on a line of its own."""
    if found:
        raise AssertionError(f"{len(found)} against the rules of the house:\n" + "\n".join(found))
