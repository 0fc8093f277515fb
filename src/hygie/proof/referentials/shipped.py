"""The référentiels of the package, read from ``data/*.toml`` beside this file.

Our own words throughout; ids and mappings are those of the texts. The files hold no official wording.
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import Any

from hygie.proof.model import Text
from hygie.proof.referentials.encoding import FORMAT
from hygie.proof.referentials.model import (
    NODE_MARK,
    NOTHING,
    Expected,
    Kind,
    Link,
    Mode,
    Referential,
    Relation,
    Requirement,
    Standing,
)
from hygie.proof.referentials.tree import Placed, accept, ordered

HDS = "hds@2.0"
OBLIGATIONS = "hygie-obligations@1"
ISO27001 = "iso27001@2022"
RGPD = "rgpd@2016-679"
SHIPPED = (HDS, OBLIGATIONS, ISO27001, RGPD)


@cache
def shipped(referential: str) -> Referential:
    """One of ``SHIPPED``. Raises: KeyError, FileNotFoundError: a programming mistake in a name or in a file."""
    file = resources.files("hygie.proof.referentials").joinpath("data", f"{referential.replace('@', '-')}.toml")
    return _referential(tomllib.loads(file.read_text(encoding="utf-8")))


def _referential(raw: dict[str, Any]) -> Referential:
    assert raw["format"] == FORMAT
    return accept(
        Referential(
            name=raw["id"],
            version=raw["version"],
            title=_text(raw, "title"),
            origin="hygie",
            nodes=ordered([Placed(_node(row)) for row in raw["nodes"]]),
            summary=_text(raw, "summary"),
            publisher=raw["publisher"],
            source=raw["source"],
            published_on=raw["published_on"],
            effective_from=raw["effective_from"],
            languages=tuple(raw["languages"]),
        )
    )


def _node(row: dict[str, Any]) -> Requirement:
    return Requirement(
        id=row["id"],
        kind=Kind(row["kind"]),
        title=_text(row, "title"),
        parent=row.get("parent", ""),
        summary=_text(row, "summary"),
        note=_text(row, "note"),
        assessable=row.get("assessable", False),
        status=Standing(row["status"]) if "status" in row else None,
        activities=tuple(row.get("activities", ())),
        condition=_text(row, "condition"),
        natures=tuple(row.get("natures", ())),
        locator=row.get("locator", ""),
        references=tuple(row.get("references", ())),
        links=tuple(
            Link(Relation(each["as"]), f"{each['to']}{NODE_MARK}{node}")
            for each in row.get("maps", ())
            for node in each["nodes"]
        ),
        evidence=tuple(
            Expected(
                Text(each["fr"], each["en"]), Mode(each["mode"]), each.get("max_age_days"), tuple(each.get("nodes", ()))
            )
            for each in row.get("evidence", ())
        ),
    )


def _text(row: dict[str, Any], name: str) -> Text:
    return Text(row[f"{name}_fr"], row[f"{name}_en"]) if f"{name}_fr" in row else NOTHING
