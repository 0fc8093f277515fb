"""How a posture is drawn for people: counts by référentiel, what is not satisfied, or one requirement whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text as Drawn

from hygie.base.language import current_language, say
from hygie.cli.acts import instant
from hygie.cli.status_view import MARKS, PLAIN_MARKS, STYLES, words
from hygie.proof.model import Verdict
from hygie.registers.holes import ranges

Row = Mapping[str, Any]
EVIDENCE = {
    "measured": ("mesuré", "measured"),
    "attested": ("attesté", "attested"),
    "external": ("pièce externe", "external"),
    "declared": ("déclaré", "declared"),
    "none": ("sans preuve", "no evidence"),
}


def draw(posture: Row, *, chosen: Sequence[Row], plain: bool) -> Group:
    """The page. Args: chosen: requirements to list under the counts."""
    marks = PLAIN_MARKS if plain else MARKS
    page: list[Any] = [_summary(posture), Drawn("")]
    page += [_line(row, marks) for row in chosen]
    if chosen:
        page.append(Drawn(""))
    page.append(Drawn(_foot(posture), style="dim"))
    return Group(*page)


def draw_requirement(posture: Row, row: Row, *, plain: bool) -> Group:
    """One requirement: its controls, and each check with what was observed beside what is required."""
    marks = PLAIN_MARKS if plain else MARKS
    controls = {one["id"]: one for one in posture["controls"]}
    checks = {one["id"]: one for one in posture["checks"]}
    page: list[Any] = [_line(row, marks)]
    if row["why"][0]:
        page.append(Drawn(f"  {_said(row['why'])}"))
    for name in row["controls"]:
        control = controls[name]
        page += [Drawn(""), _line(control, marks), Drawn(f"  {say(fr='répond', en='owner')}: {control['owner']}")]
        for check in control["checks"]:
            page += _check(checks[check], marks)
    for below in (one for one in posture["requirements"] if one["parent"] == row["ref"] and one["asked"]):
        page.append(_line(below, marks))
    page += [Drawn(""), Drawn(_foot(posture), style="dim")]
    return Group(*page)


def _said(pair: Sequence[str]) -> str:
    return pair[0] if current_language() == "fr" else pair[1]


def _summary(posture: Row) -> Table:
    """Counts by verdict, and by whom what is decided is decided. Never one figure for all."""
    table = Table(box=None, pad_edge=False)
    table.add_column(say(fr="référentiel", en="référentiel"), no_wrap=True)
    for verdict, word in words().items():
        table.add_column(word, justify="right", style=STYLES[verdict])
    for fr, en in (("machine", "machine"), ("mixte", "mixed"), ("personnes", "people")):
        table.add_column(say(fr=fr, en=en), justify="right", style="dim")
    for name, counts in posture["summary"].items():
        cells = [counts[verdict.value] for verdict in words()] + [counts[one] for one in ("machine", "mixed", "people")]
        table.add_row(f"{name} ({counts['total']})", *map(str, cells))
    return table


def _line(row: Row, marks: Mapping[Verdict, str]) -> Drawn:
    verdict = Verdict(row["verdict"])
    return Drawn.assemble(
        (f"{marks[verdict]} ", STYLES[verdict]),
        (f"{row['id']} ", "bold"),
        f"{_said(row['title'])} ",
        (_evidence(row), "dim"),
    )


def _evidence(row: Row) -> str:
    split = row["evidence"]
    if not isinstance(split, Mapping):
        return ""
    parts = [f"{count} {say(fr=EVIDENCE[name][0], en=EVIDENCE[name][1])}" for name, count in split.items() if count]
    return f"({', '.join(parts)})" if parts else ""


def _check(check: Row, marks: Mapping[Verdict, str]) -> Iterator[Drawn]:
    verdict = Verdict(check["verdict"])
    kind = EVIDENCE[check["evidence"]]
    yield Drawn.assemble(
        f"  {marks[verdict]} ", (_said(check["title"]), "bold"), f" — {_said(check['why'])} ",
        (f"[{say(fr=kind[0], en=kind[1])}, {check['source']}]", "dim"),
    )  # fmt: skip
    if check["ran_ms"] is None:
        return
    observed, required = say(fr="observé", en="observed"), say(fr="exigé", en="required")
    yield Drawn(f"    {observed}: {_said(check['observed'])} · {required}: {_said(check['declared'])}")
    yield Drawn(
        say(
            fr=f"    ainsi depuis le {instant(check['since_ms'])}, vaut jusqu'au {instant(check['fresh_until_ms'])}",
            en=f"    so since {instant(check['since_ms'])}, holds until {instant(check['fresh_until_ms'])}",
        ),
        style="dim",
    )
    if check["remedy"] and verdict is not Verdict.SATISFIED:
        yield Drawn(f"    → {_said(check['remedy'])}")


def _foot(posture: Row) -> str:
    trial = say(
        fr=" Installation d'essai : rien n'y vaut preuve.", en=" A trial installation: nothing here is evidence."
    )
    told = say(
        fr=f"Au {instant(posture['at_ms'])}, évaluation n° {posture['batch']}. Hygie ne certifie pas.",
        en=f"At {instant(posture['at_ms'])}, evaluation {posture['batch']}. Hygie certifies nothing.",
    ) + (trial if posture["mode"] == "trial" else "")
    if numbers := ranges(posture["lost"]):
        told += say(fr=f" Évaluations perdues : {numbers}.", en=f" Evaluations lost: {numbers}.")
    return told
