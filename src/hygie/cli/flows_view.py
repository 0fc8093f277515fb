"""The flow matrix for people: one line a flow, then what no line declares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hygie.base.language import say
from hygie.cli.console import Console
from hygie.proof.flows.compare import said
from hygie.proof.flows.model import PARTIES, Compared, LineState


def draw(out: Console, states: Sequence[LineState], compared: Compared | None, *, failure: str) -> None:
    """The table and the findings. Args: failure: why nothing could be seen, or nothing."""
    columns = (
        say(fr="qui", en="who"),
        say(fr="appelle", en="calls"),
        say(fr="où", en="where"),
        say(fr="écoute", en="listens"),
        say(fr="connectés", en="connected"),
        say(fr="pour", en="for"),
    )
    out.table(columns, [_cells(one) for one in states])
    if compared is None:
        out.warn(
            say(
                fr=f"Rien n'a pu être observé sur cette machine ({failure}).",
                en=f"Nothing could be seen on this machine ({failure}).",
            )
        )
        return
    for one in compared.undeclared:
        out.line(f"✗ {said(one)} : {say(fr='sur aucune ligne', en='on no line')}", style="red")
    for one in compared.unnamed:
        out.line(f"? {said(one)} : {say(fr='seul root peut dire qui', en='only root can tell who')}", style="yellow")
    if not compared.undeclared and not compared.unnamed:
        out.line(say(fr="Tout ce qui se voit est déclaré.", en="All that is seen is declared."))
    told = say(
        fr="Se voient : TCP et sockets Unix de cette machine. Les fichiers et l'UDP ne se voient pas ainsi.",
        en="What is seen: TCP and Unix sockets of this machine. Files and UDP are not seen this way.",
    )
    out.line(told, style="italic")


def as_row(one: LineState) -> dict[str, Any]:
    """One line for machines."""
    return {
        "caller": one.line.caller,
        "called": one.line.called,
        "over": sorted({end.over for end in one.line.endpoints}),
        "where": [end.name for end in one.line.endpoints],
        "purpose": one.line.purpose.said(),
        "listens": one.listens,
        "links": one.links,
    }


def _cells(one: LineState) -> tuple[str, ...]:
    line = one.line
    if line.at == "system":
        where = say(fr="sockets du système", en="system sockets")
    else:
        where = ", ".join(end.name for end in line.endpoints) or say(fr="rien de réglé", en="nothing set")
    listens = {"yes": say(fr="oui", en="yes"), "no": say(fr="non", en="no"), "unknown": "—"}[one.listens]
    who, called = PARTIES[line.caller].said(), PARTIES[line.called].said()
    return who, called, where, listens, str(one.links or "—"), line.purpose.said()
