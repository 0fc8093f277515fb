"""Tables for people, whatever the width: columns while they fit, then the longest one folded or under its row, then one
block a row. Pure.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from rich.cells import cell_len

GAP = 2
FOLDED_MIN = 24  # columns: a text folded into less is no longer read
HEAD = "bold"
UNDER = 4  # indentation of what stands under its row

Line = tuple[str, str]  # text, style


def laid_out(columns: Sequence[str], rows: Iterable[Sequence[object]], width: int) -> Iterator[Line]:
    """The lines of a table, each with its style. Columns without any value are left out."""
    cells = [[str(cell) for cell in row] for row in rows]
    kept = [at for at in range(len(columns)) if not cells or any(row[at] for row in cells)]
    names = [columns[at] for at in kept]
    cells = [[row[at] for at in kept] for row in cells]
    widths = [max([cell_len(name), *(cell_len(row[at]) for row in cells)]) for at, name in enumerate(names)]
    over = sum(widths) + GAP * (len(widths) - 1) - width
    longest = max(range(len(widths)), key=widths.__getitem__, default=0)
    if over <= 0:
        yield from _columns(names, cells, widths)
    elif _foldable(cells, longest, widths[longest] - over, width):
        widths[longest] -= over
        yield from _columns(names, cells, widths)
    elif over <= widths[longest] and len(names) > 2:
        yield from _longest_under(names, cells, widths, longest, width)
    else:
        yield from _blocks(names, cells, width)


def _foldable(rows: Sequence[Sequence[str]], at: int, left: int, width: int) -> bool:
    """Whether a column may be folded into what is left: a name that somebody pastes is never cut."""
    words = [word for row in rows for word in row[at].split()]
    whole = at == len(rows[0]) - 1 == 1 or max(map(cell_len, words), default=0) <= left
    return whole and left >= min(FOLDED_MIN, width // 3)


def _columns(names: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[int]) -> Iterator[Line]:
    if any(names):
        yield _row(names, widths), HEAD
    for row in rows:
        parts = [_folded(cell, width) for cell, width in zip(row, widths, strict=True)]
        for at in range(max(map(len, parts))):
            yield _row([part[at] if at < len(part) else "" for part in parts], widths), ""


def _longest_under(
    names: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[int], longest: int, width: int
) -> Iterator[Line]:
    """Every row on one line but for its longest cell, which follows."""
    others = [at for at in range(len(names)) if at != longest]
    kept = [widths[at] for at in others]
    yield f"{_row([names[at] for at in others], kept)}", HEAD
    for row in rows:
        yield _row([row[at] for at in others], kept), ""
        for part in _folded(row[longest], width - UNDER) if row[longest] else []:
            yield f"{' ' * UNDER}{part}", ""


def _blocks(names: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> Iterator[Line]:
    """One value a line, under the first one."""
    label = max(map(cell_len, names), default=0)
    for number, row in enumerate(rows):
        if number:
            yield "", ""
        yield row[0], HEAD
        for name, cell in zip(names[1:], row[1:], strict=True):
            for at, part in enumerate(_folded(cell, width - label - GAP - UNDER) if cell else []):
                yield f"{' ' * UNDER}{_padded(name if at == 0 else '', label)}{' ' * GAP}{part}", ""


def _folded(text: str, width: int) -> list[str]:
    """A cell on lines of at most ``width``; a longer word stays whole."""
    return textwrap.wrap(text, max(width, 8), break_on_hyphens=False, break_long_words=False) or [""]


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    return (" " * GAP).join(_padded(cell, width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _padded(text: str, width: int) -> str:
    return text + " " * (width - cell_len(text))
