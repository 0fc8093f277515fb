"""The checks that a decoder cannot express, generated once per type that needs one.

msgspec calls ``__post_init__`` at the end of each object and turns its ``ValueError`` into a ``ValidationError`` that
carries the path; the text is ``problem|member``, never a value.  Straight-line code is generated because a loop over
descriptions costs three times as much per object; the source is made of element names of the distillate only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from msgspec.structs import astuple

WIDE = 12  # from this many types, counting ``None`` in a tuple is faster than testing attributes one by one


class Choice(NamedTuple):
    """A ``value[x]``: its attributes, each with its sibling's (primitives) or None."""

    name: str
    members: list[tuple[str, str | None]]
    required: bool


class Needed(NamedTuple):
    """A required primitive: the value or its sibling must be there."""

    member: str
    attribute: str
    sibling: str


class Repeated(NamedTuple):
    """A primitive that repeats: ``null`` may stand in its array only where its sibling's array has something."""

    member: str
    attribute: str
    sibling: str


def post_init(
    fields: list[str], choices: list[Choice], needed: list[Needed], repeated: list[Repeated]
) -> Callable[[Any], None] | None:
    """A ``__post_init__`` for one type, or None when its decoder checks everything.

    Args: fields: all attributes in Struct order.
    """
    lines = [
        f"if self.{attribute} is None and self.{sibling} is None: raise ValueError('required|{member}')"
        for member, attribute, sibling in needed
    ]
    for choice in choices:
        if len(choice.members) > 1 or choice.required:
            lines += _choice_lines(fields, choice)
    for member, attribute, sibling in repeated:
        for one, other in ((attribute, sibling), (sibling, attribute)):
            lines.append(
                f"if self.{one} is not None and None in self.{one}: check_nulls('{member}', self.{one}, self.{other})"
            )
    if not lines:
        return None
    source = "def __post_init__(self):\n" + "".join(f"    {line}\n" for line in lines)
    scope: dict[str, Any] = {"astuple": astuple, "check_nulls": _check_nulls}
    exec(compile(source, "<hygie.fhir.checks>", "exec"), scope)  # noqa: S102 (own element names, no input)
    made: Callable[[Any], None] = scope["__post_init__"]
    return made


def _check_nulls(member: str, values: list[Any], others: list[Any] | None) -> None:
    for index, value in enumerate(values):
        if value is None and (others is None or index >= len(others) or others[index] is None):
            raise ValueError(f"null|{member}[{index}]")


def _choice_lines(fields: list[str], choice: Choice) -> list[str]:
    terms = [
        f"(self.{value} is not None or self.{sibling} is not None)" if sibling else f"(self.{value} is not None)"
        for value, sibling in choice.members
    ]
    several = f"if count > 1: raise ValueError('choice|{choice.name}')"
    none = [f"if count == 0: raise ValueError('required|{choice.name}')"] if choice.required else []
    count = "count = " + " + ".join(terms)
    if len(terms) <= WIDE:
        return [count, several, *none]
    values = [fields.index(value) for value, _ in choice.members]
    siblings = [fields.index(sibling) for _, sibling in choice.members if sibling]
    first, last = values[0], values[-1] + 1
    first_sibling, last_sibling = siblings[0], siblings[-1] + 1
    assert last - first == len(values)
    assert last_sibling - first_sibling == len(siblings)
    return [
        "state = astuple(self)",
        f"count = {len(values)} - state[{first}:{last}].count(None)",
        f"if count > 1 or state[{first_sibling}:{last_sibling}].count(None) != {len(siblings)}: {count}",
        several,
        *none,
    ]
