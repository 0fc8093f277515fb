"""Small line plots in SVG, drawn by hand: a dependency for three curves would cost more than it gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 300, 200  # of one panel, with its margins
LEFT, RIGHT, TOP, BOTTOM = 56, 14, 34, 30
COLUMNS = 3
HEAD = 40


class Panel(NamedTuple):
    """One curve. The vertical axis begins at zero: a flat cost must look flat, and a growing one grow."""

    title: str
    across: Sequence[float]
    up: Sequence[float]


def draw(title: str, panels: Sequence[Panel]) -> str:
    """All panels in one picture."""
    rows = -(-len(panels) // COLUMNS)
    width, height = WIDTH * COLUMNS, HEAD + HEIGHT * rows
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        ' font-family="sans-serif" font-size="11" fill="#222">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        f'<text x="{LEFT}" y="24" font-size="15" font-weight="bold">{escape(title)}</text>',
    ]
    for rank, panel in enumerate(panels):
        x, y = rank % COLUMNS * WIDTH, HEAD + rank // COLUMNS * HEIGHT
        parts.append(f'<g transform="translate({x} {y})">{_panel(panel)}</g>')
    return "\n".join([*parts, "</svg>\n"])


def _panel(panel: Panel) -> str:
    right, low = WIDTH - RIGHT, HEIGHT - BOTTOM
    top_value, last = _round_up(max(panel.up)), max(panel.across)
    points = " ".join(
        f"{LEFT + (right - LEFT) * x / last:.1f},{low - (low - TOP) * y / top_value:.1f}"
        for x, y in zip(panel.across, panel.up, strict=True)
    )
    parts = [f'<text x="{LEFT}" y="{TOP - 12}" font-weight="bold">{escape(panel.title)}</text>']
    for step in range(3):
        y = low - (low - TOP) * step / 2
        parts.append(f'<line x1="{LEFT}" y1="{y}" x2="{right}" y2="{y}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4}" text-anchor="end">{top_value * step / 2:,.0f}</text>')
    for x, text in ((LEFT, "0"), (right, f"{last:,.0f}")):
        parts.append(f'<text x="{x}" y="{low + 16}" text-anchor="{"start" if x == LEFT else "end"}">{text}</text>')
    parts.append(f'<polyline points="{points}" fill="none" stroke="#1f5fa8" stroke-width="2"/>')
    return "".join(parts)


def _round_up(value: float) -> float:
    """The next 1, 2 or 5 times a power of ten."""
    size = 1.0
    while size * 10 <= value:
        size *= 10
    return next(size * step for step in (1, 2, 5, 10) if size * step >= value)
