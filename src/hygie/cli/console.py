"""How the command line speaks: lines, steps, tables and progress for people, one JSON value for machines.

For a machine (``--json``) the standard output holds the result and nothing else; what a person would have read is
silent, warnings and errors go to the standard error.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any, TextIO

from hygie.base.errors import HygieError
from hygie.base.language import current_language, say

if TYPE_CHECKING:
    from rich.console import Console as RichConsole
    from rich.console import RenderableType

_DECIMAL = re.compile(r"(?<=\d)\.(?=\d+ (?:s|ms|Mo|%)(?!\w))")
PROGRESS_AFTER_S = 1.0  # below, a bar would only flicker


class Console:
    """The mouth of one command.

    json_mode: answer with JSON on the standard output.
    """

    def __init__(self, *, json_mode: bool = False) -> None:
        self.json_mode = json_mode
        self._out: RichConsole | None = None
        self._errors: RichConsole | None = None

    def line(self, text: str = "", *, style: str = "") -> None:
        """One line for a person."""
        if not self.json_mode:
            self._rich().print(figures(text), style=style or None, soft_wrap=True)

    def warn(self, text: str) -> None:
        """One line on the standard error, in both modes."""
        self._rich_errors().print(f"! {text}", style="yellow", soft_wrap=True)

    def result(self, value: Mapping[str, Any] | Sequence[Any]) -> None:
        """The answer for a machine; a person has read it already."""
        if self.json_mode:
            ascii_only = not (sys.stdout.encoding or "").lower().startswith("utf")
            sys.stdout.write(json.dumps(value, ensure_ascii=ascii_only, sort_keys=True, default=str) + "\n")
            sys.stdout.flush()

    def table(
        self, columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str = "", indent: int = 0
    ) -> None:
        """A table for a person; cells are plain text. Too wide for the terminal, it becomes lines or blocks.

        Without any row there is nothing to show, not even its head.
        """
        rows = list(rows)
        if self.json_mode or not rows:
            return
        from hygie.cli.tables import laid_out

        if title:
            self.line(title, style="italic")
        for line, style in laid_out(columns, rows, self.width - indent):
            self.line(f"{' ' * indent}{line}".rstrip(), style=style)

    def draw(self, drawing: RenderableType) -> None:
        """Something that Rich draws, for a person; a file gets no spaces at the ends of lines."""
        if self.json_mode:
            return
        rich = self._rich()
        if rich.is_terminal:
            rich.print(drawing)
            return
        with rich.capture() as captured:
            rich.print(drawing)
        for line in captured.get().splitlines():
            self.line(line.rstrip())

    @property
    def plain(self) -> bool:
        """Whether the terminal writes no more than plain letters: marks are then letters too."""
        return not (sys.stdout.encoding or "").lower().startswith("utf")

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        """One step of a longer story: its name while it runs, then a mark and its time. An error passes through."""
        started = time.monotonic()
        try:
            if self.json_mode:
                yield
            else:
                with self._rich().status(text) if self._rich().is_terminal else _nothing():
                    yield
        except BaseException:
            self.line(f"✗ {text}", style="bold red")
            raise
        self.line(f"✓ {text} ({time.monotonic() - started:.1f} s)", style="green")

    @property
    def width(self) -> int:
        """Columns of the terminal; 80 when there is none."""
        return self._rich().width

    def spinner(self, text: str) -> Callable[[], None]:
        """Show that something is under way; gives the function that ends it. Nothing outside a terminal."""
        if self.json_mode or not text or not self._rich().is_terminal:
            return lambda: None
        status = self._rich().status(text)
        status.start()
        return status.stop

    @contextmanager
    def progress(self, text: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
        """A bar on the standard error for what lasts more than a second; gives the function that moves it by n."""
        if self.json_mode or not self._rich_errors().is_terminal:
            yield lambda _count: None
            return
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
        bar = Progress(*columns, TimeRemainingColumn(), console=self._rich_errors(), transient=True)
        task = bar.add_task(text, total=total)
        started, shown = time.monotonic(), False

        def advance(count: int) -> None:
            nonlocal shown
            bar.advance(task, count)
            if not shown and time.monotonic() - started > PROGRESS_AFTER_S:
                bar.start()
                shown = True

        try:
            yield advance
        finally:
            if shown:
                bar.stop()

    def error(self, error: HygieError) -> None:
        """One sentence in the person's language, with its code; JSON for a machine. Never a stack trace."""
        sentence = error.sentence(current_language())
        if self.json_mode:
            answer = {"code": error.code, "message": sentence, "retryable": error.retryable, "exit": error.exit_code}
            sys.stderr.write(json.dumps({"error": answer}, ensure_ascii=False) + "\n")
        else:
            self._rich_errors().print(f"{error.code} {sentence}", style="red", soft_wrap=True)

    def unexpected(self, place: str) -> None:
        """A mistake of ours: what to report, and nothing of the data in hand."""
        self.warn(
            say(
                fr=f"Erreur inattendue ({place}). Signalez-la ; HYGIE_TRACE=1 montre le détail.",
                en=f"Unexpected error ({place}). Please report it; HYGIE_TRACE=1 shows the detail.",
            )
        )

    def _rich(self) -> RichConsole:
        if self._out is None:
            from rich.console import Console as RichConsole

            _tolerate(sys.stdout)
            self._out = RichConsole(markup=False, emoji=False, highlight=False)
        return self._out

    def _rich_errors(self) -> RichConsole:
        if self._errors is None:
            from rich.console import Console as RichConsole

            _tolerate(sys.stderr)
            self._errors = RichConsole(stderr=True, markup=False, emoji=False, highlight=False)
        return self._errors


def figures(text: str) -> str:
    """A French reader's decimals have a comma: those that stand before a unit, so that no name is touched."""
    return say(fr=_DECIMAL.sub(",", text), en=text)


def _tolerate(stream: TextIO) -> None:
    """A terminal that cannot write an accent shows a question mark instead of ending the command."""
    if isinstance(stream, TextIOWrapper):
        stream.reconfigure(errors="replace")


@contextmanager
def _nothing() -> Iterator[None]:
    yield
