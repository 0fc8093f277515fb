"""The part of FHIRPath that the R4 search parameters use, parsed to alternatives of steps.

Understood: paths, ``|``, ``(x as T)``, ``x.as(T)``, ``.where(resolve() is T)``, ``.where(element='text')``, and the
truth ``x.exists() and x != false``. Anything else raises ``PathNotUnderstoodError``: a test lists what does.
Source: FHIRPath N1; FHIR R4 search-parameters.json.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

_TOKEN = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*|'[^']*'|!=|[().|=\[\]]|\d+)")


class PathNotUnderstoodError(ValueError):
    """An expression uses more than this subset. Never reaches a caller: the parameter is listed as not served."""


@dataclass(frozen=True, slots=True)
class Step:
    """One element of a path: its name, the type it was narrowed to, and what its values must satisfy."""

    name: str
    as_type: str = ""
    where: tuple[str, str] | None = None
    target: str = ""


@dataclass(frozen=True, slots=True)
class Path:
    """One alternative: the steps below the resource. truth: the value is whether the path exists and is not false."""

    steps: tuple[Step, ...]
    truth: bool = False


def parse(expression: str) -> list[Path]:
    """The alternatives of an expression, in order.

    Raises: PathNotUnderstoodError.
    """
    parser = _Parser(expression)
    paths = parser.union()
    if parser.peek():
        raise PathNotUnderstoodError(expression)
    return paths


class _Parser:
    """Recursive descent over the tokens of one expression."""

    def __init__(self, expression: str) -> None:
        self._expression = expression
        self._tokens: list[str] = []
        position = 0
        text = expression.rstrip()
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:
                raise PathNotUnderstoodError(expression)
            self._tokens.append(match.group(1))
            position = match.end()
        self._at = 0

    def peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _take(self, expected: str = "") -> str:
        token = self.peek()
        if not token or (expected and token != expected):
            raise PathNotUnderstoodError(self._expression)
        self._at += 1
        return token

    def union(self) -> list[Path]:
        paths = self._truth()
        while self.peek() == "|":
            self._take()
            paths += self._truth()
        return paths

    def _truth(self) -> list[Path]:
        """A path, or ``x.exists() and x != false`` with the same x on both sides."""
        left = self._path()
        if self.peek() != "and":
            if any(path.truth for path in left):
                raise PathNotUnderstoodError(self._expression)
            return left
        self._take("and")
        right = self._path()
        self._take("!=")
        self._take("false")
        if left != [replace(path, truth=True) for path in right]:
            raise PathNotUnderstoodError(self._expression)
        return left

    def _path(self) -> list[Path]:
        if self.peek() == "(":
            self._take()
            paths = self.union()
            if self.peek() == "as":
                self._take()
                type_ = self._take()
                paths = [self._narrow(path, type_) for path in paths]
            self._take(")")
        else:
            self._take()  # the resource type: the distillate keeps only alternatives of one type
            paths = [Path(())]
        while self.peek() == ".":
            self._take()
            name = self._take()
            paths = [self._step(path, name) for path in paths] if self.peek() != "(" else self._call(paths, name)
        return paths

    def _step(self, path: Path, name: str) -> Path:
        return Path((*path.steps, Step(name)))

    def _narrow(self, path: Path, type_: str) -> Path:
        return self._change(path, as_type=type_)

    def _change(self, path: Path, **changes: object) -> Path:
        if not path.steps:
            raise PathNotUnderstoodError(self._expression)
        return Path((*path.steps[:-1], replace(path.steps[-1], **changes)))  # type: ignore[arg-type]

    def _call(self, paths: list[Path], function: str) -> list[Path]:
        self._take("(")
        if function == "as":
            type_ = self._take()
            paths = [self._narrow(path, type_) for path in paths]
        elif function == "exists":
            paths = [replace(path, truth=True) for path in paths]
        elif function == "where":
            element = self._take()
            if element == "resolve":
                self._take("(")
                self._take(")")
                self._take("is")
                target = self._take()
                paths = [self._change(path, target=target) for path in paths]
            else:
                self._take("=")
                literal = self._take().strip("'")
                paths = [self._change(path, where=(element, literal)) for path in paths]
        else:
            raise PathNotUnderstoodError(self._expression)
        self._take(")")
        return paths
