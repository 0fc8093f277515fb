"""Conditions of Sigma rules: ``selection and not 1 of filter_*``, read into a tree.

Source: Sigma rules specification 2.1, "Condition".
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from fnmatch import fnmatchcase

CHARACTERS_MAX = 2_000
DEPTH_MAX = 50
_TOKEN = re.compile(r"\s*(?:(\(|\))|([A-Za-z0-9_*.-]+))")
_COUNTED = frozenset({"1", "any", "all"})


class ConditionError(ValueError):
    """A condition that cannot be read; its text is one clause."""


@dataclass(frozen=True, slots=True)
class Name:
    """A search identifier of the detection."""

    name: str


@dataclass(frozen=True, slots=True)
class Not:
    """What must not hold."""

    part: Condition


@dataclass(frozen=True, slots=True)
class All:
    """Parts that must all hold."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class One:
    """Parts of which one must hold."""

    parts: tuple[Condition, ...]


Condition = Name | Not | All | One


def parse_condition(text: str, names: Collection[str]) -> Condition:
    """Read a condition over these search identifiers.

    Raises: ConditionError: a word that is none, an identifier that is not there, a parenthesis that is not closed.
    """
    if len(text) > CHARACTERS_MAX:
        raise ConditionError(f"more than {CHARACTERS_MAX} characters")
    reader = _Reader(_tokens(text), names)
    found = reader.either(0)
    if reader.at < len(reader.tokens):
        raise ConditionError(f"{reader.tokens[reader.at]!r} is not expected")
    return found


def _tokens(text: str) -> list[str]:
    tokens, at = [], 0
    text = text.rstrip()
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise ConditionError(f"{text[at:].strip()[:1]!r} is no word")
        tokens.append(found[1] or found[2])
        at = found.end()
    return tokens


class _Reader:
    """Recursive descent: or < and < not."""

    def __init__(self, tokens: list[str], names: Collection[str]) -> None:
        self.tokens = tokens
        self.at = 0
        self._names = names

    def either(self, depth: int) -> Condition:
        parts = [self._both(depth)]
        while self._take("or"):
            parts.append(self._both(depth))
        return parts[0] if len(parts) == 1 else One(tuple(parts))

    def _both(self, depth: int) -> Condition:
        parts = [self._one(depth)]
        while self._take("and"):
            parts.append(self._one(depth))
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def _one(self, depth: int) -> Condition:
        if depth > DEPTH_MAX:
            raise ConditionError(f"more than {DEPTH_MAX} levels")
        if self._take("not"):
            return Not(self._one(depth + 1))
        if self._take("("):
            found = self.either(depth + 1)
            if not self._take(")"):
                raise ConditionError("a parenthesis is not closed")
            return found
        word = self._next()
        if word.lower() in _COUNTED and self._take("of"):
            return self._counted(word.lower())
        if word not in self._names:
            raise ConditionError(f"{word!r} is no selection of the rule")
        return Name(word)

    def _counted(self, how: str) -> Condition:
        pattern = self._next()
        if pattern == "them":
            chosen = sorted(name for name in self._names if not name.startswith("_"))
        else:
            chosen = sorted(name for name in self._names if fnmatchcase(name, pattern))
        if not chosen:
            raise ConditionError(f"{pattern!r} is no selection of the rule")
        parts = tuple(Name(name) for name in chosen)
        return All(parts) if how == "all" else One(parts)

    def _take(self, word: str) -> bool:
        if self.at < len(self.tokens) and self.tokens[self.at].lower() == word:
            self.at += 1
            return True
        return False

    def _next(self) -> str:
        if self.at >= len(self.tokens):
            raise ConditionError("it ends too early")
        self.at += 1
        return self.tokens[self.at - 1]
