"""The shape of the story: steps in order, what each one proved, and who tells it. Pure."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Generic, Protocol, TypeVar

Facts = dict[str, Any]
Advance = Callable[[int], None]
S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Table:
    """Rows for people."""

    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]


@dataclass(slots=True)
class Proved:
    """What a step saw. lines: sentences for people; commands: how to do it oneself; facts: for machines."""

    lines: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    facts: Facts = field(default_factory=dict)
    table: Table | None = None


@dataclass(frozen=True, slots=True)
class Step(Generic[S]):
    """One step. title: in the person's language, said before; act: does it, checks it, raises when it is not so."""

    name: str
    title: str
    act: Callable[[S], Awaitable[Proved]]


class Teller(Protocol):
    """Who tells the story: a terminal, or nobody for a machine."""

    def begin(self, number: int, total: int, title: str) -> None:
        """A step begins."""
        ...

    def note(self, text: str) -> None:
        """What the step is doing now."""
        ...

    def progress(self, text: str, total: int) -> AbstractContextManager[Advance]:
        """A bar for a longer part of the step."""
        ...

    def end(self, seconds: float, proved: Proved) -> None:
        """The step holds."""
        ...

    def fail(self) -> None:
        """The step does not hold; the error follows by itself."""
        ...


async def tell(steps: list[Step[S]], stage: S, teller: Teller) -> list[Facts]:
    """Run the steps in order; the first that raises ends the story. Returns each step's name, seconds and facts."""
    told: list[Facts] = []
    for number, step in enumerate(steps, 1):
        teller.begin(number, len(steps), step.title)
        began_s = monotonic()
        try:
            proved = await step.act(stage)
        except BaseException:
            teller.fail()
            raise
        seconds = monotonic() - began_s
        teller.end(seconds, proved)
        told.append({"step": step.name, "seconds": round(seconds, 3), **proved.facts})
    return told
