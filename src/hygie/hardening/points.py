"""The points that are looked at: data of ``points.toml``, read once."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any

from hygie.hardening.model import Point

_WORDS = ("id", "fr", "en", "source", "level", "why_fr", "why_en", "look", "watched")


@cache
def points() -> dict[str, Point]:
    """Every point by its id, in the order of the file."""
    text = files("hygie.hardening").joinpath("points.toml").read_text()
    return {one["id"]: _point(one) for one in tomllib.loads(text)["point"]}


def of_the_network(point: Point) -> bool:
    """Whether what is seen depends on the network namespace of who looks."""
    return point.look == "given" or any(name.startswith("net.") for name in point.asks.get("sysctl", ()))


def expected(point: Point) -> str:
    """What is expected, as the reference page and the commands show it."""
    asks = point.asks
    if point.watched:
        return "="
    if "at_least" in asks:
        return f"≥ {asks['at_least']}"
    if "is" in asks:
        return str(asks["is"])
    return ", ".join(asks["options"]) if "options" in asks else "-"


def _point(row: dict[str, Any]) -> Point:
    words = {name: row[name] for name in _WORDS if name in row}
    return Point(**words, asks={name: value for name, value in row.items() if name not in _WORDS})
