"""How a long story with steps is shown: a spinner while a step runs, then what it proved, to the terminal's width."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hygie.cli.console import Console

if TYPE_CHECKING:
    from hygie.demo.story import Advance, Proved

MARGIN = "     "
_KEPT = re.compile(r" (?=(?:s|ms|MB|Mo|kB)\b|[:;!?»])|(?<=«) ")  # no line ends before a unit or such a mark
_HELD = "\0"
WIDTH_MAX = 120  # longer lines are hard to read


class StoryTeller:
    """See ``demo.story.Teller``."""

    def __init__(self, out: Console) -> None:
        self._out = out
        self._width = min(out.width, WIDTH_MAX)
        self._head = ""
        self._stop = out.spinner("")

    def begin(self, number: int, total: int, title: str) -> None:
        """Show the step that runs."""
        self._head = f"{number:>2}  {title}"
        self._stop = self._out.spinner(f"{number}/{total}  {title}")

    def note(self, text: str) -> None:
        """Show what the step does."""
        self._stop()
        self._stop = self._out.spinner(f"{self._head} · {text}")

    @contextmanager
    def progress(self, text: str, total: int) -> Iterator[Advance]:
        """A bar in the place of the spinner."""
        self._stop()
        with self._out.progress(f"{self._head} · {text}", total) as advance:
            yield advance
        self._stop = self._out.spinner(self._head)

    def end(self, seconds: float, proved: Proved) -> None:
        """What the step proved."""
        self._stop()
        self._line("✓", self._head, f"{seconds:.1f} s", "bold green")
        for line in proved.lines:
            for part in wrapped(line, self._width - len(MARGIN)):
                self._out.line(f"{MARGIN}{part}")
        if proved.table is not None:
            self._out.table(proved.table.columns, proved.table.rows, indent=len(MARGIN) + 2)
        for command in proved.commands:
            self._out.line(f"{MARGIN}$ {command}", style="cyan")

    def fail(self) -> None:
        """The step that did not hold."""
        self._stop()
        self._line("✗", self._head, "", "bold red")

    def _line(self, mark: str, text: str, right: str, style: str) -> None:
        gap = max(1, self._width - len(mark) - len(text) - len(right) - 1)
        self._out.line(f"{mark} {text}{' ' * gap}{right}", style=style)


def wrapped(line: str, width: int) -> list[str]:
    """A sentence on lines of at most ``width`` columns, the following ones indented; long paths are not cut."""
    held = _KEPT.sub(_HELD, line)
    parts = textwrap.wrap(
        held, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False, drop_whitespace=True
    )
    return [part.replace(_HELD, " ") for part in parts] or [""]
