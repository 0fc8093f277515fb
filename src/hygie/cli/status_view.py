"""How the state of the obligations is drawn for people: marks and words together, readable without colours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text as Drawn

from hygie.base.language import say
from hygie.proof.judge import duration
from hygie.proof.model import Verdict

if TYPE_CHECKING:
    from hygie.proof.model import Finding, ObligationResult

STYLES = {
    Verdict.SATISFIED: "green",
    Verdict.UNSATISFIED: "red",
    Verdict.UNKNOWN: "yellow",
    Verdict.NOT_APPLICABLE: "dim",
}
MARKS = {Verdict.SATISFIED: "✓", Verdict.UNSATISFIED: "✗", Verdict.UNKNOWN: "?", Verdict.NOT_APPLICABLE: "–"}
INDENT = 7  # under the verdict: an obligation's id and a space
PLAIN_MARKS = {**MARKS, Verdict.SATISFIED: "+", Verdict.UNSATISFIED: "x", Verdict.NOT_APPLICABLE: "-"}


def draw(results: Sequence[ObligationResult], *, verbose: bool = False, plain: bool = False) -> Group:
    """The whole page. Args: verbose: each check too; plain: letters instead of marks."""
    marks = PLAIN_MARKS if plain else MARKS
    page: list[Any] = []
    if verbose:
        for one in results:
            page += [_table([one], marks), *(_check(finding, marks) for finding in one.findings), Drawn("")]
    else:
        for one in results:
            page += [_table([one], marks), _reasons(one, marks)]
        page.append(Drawn(""))
    oldest = say(fr=" — à droite : âge de la plus vieille preuve", en=" — right: age of the oldest evidence")
    page.append(Drawn(_counts(results) + oldest))
    if not verbose:
        page.append(Drawn(say(fr="Chaque contrôle : hygie status --verbose", en="Each check: hygie status --verbose")))
    page.append(
        Drawn(
            say(
                fr="Mesuré à l'instant sur cette machine. Hygie ne certifie pas : un organisme accrédité le fait.",
                en="Measured now on this machine. Hygie certifies nothing: an accredited body does.",
            ),
            style="dim",
        )
    )
    return Group(*page)


def words() -> dict[Verdict, str]:
    """Each verdict in the person's language."""
    return {
        Verdict.SATISFIED: say(fr="satisfaite", en="satisfied"),
        Verdict.UNSATISFIED: say(fr="non satisfaite", en="unsatisfied"),
        Verdict.UNKNOWN: say(fr="inconnue", en="unknown"),
        Verdict.NOT_APPLICABLE: say(fr="sans objet", en="not applicable"),
    }


def age_of(seconds: float | None) -> str:
    """The age of evidence."""
    return "-" if seconds is None else duration(seconds).said()


def _table(results: Sequence[ObligationResult], marks: dict[Verdict, str]) -> Table:
    """Which obligation, its verdict, and the age of its oldest evidence."""
    table = Table(box=None, pad_edge=False, show_header=False, expand=True)
    table.add_column(no_wrap=True, width=6)
    table.add_column(no_wrap=True, width=2 + max(map(len, words().values())))
    table.add_column(ratio=1, overflow="fold")
    table.add_column(no_wrap=True, justify="right")
    for one in results:
        verdict = Drawn(f"{marks[one.verdict]} {words()[one.verdict]}", style=STYLES[one.verdict])
        title = Drawn(one.obligation.title.said(), style="bold")
        table.add_row(one.obligation.id, verdict, title, Drawn(age_of(one.age_s), style="dim"))
    return table


def _reasons(one: ObligationResult, marks: dict[Verdict, str]) -> Padding:
    """Why, what to do next, and which other checks do not pass: nothing that is not green is hidden by a worse one."""
    text = Drawn()
    if one.leading is None:
        text.append(say(fr="Rien ne le contrôle.", en="Nothing checks it."))
    elif one.verdict is Verdict.SATISFIED:
        count = len(one.findings)
        text.append(say(fr=f"{count} contrôles sur {count} passent.", en=f"{count} checks of {count} pass."))
    else:
        outcome = one.leading.outcome
        text.append(outcome.why.said())
        if outcome.remedy is not None:
            text.append(f" → {outcome.remedy.said()}" if marks is MARKS else f" -> {outcome.remedy.said()}")
    others = [finding for finding in one.findings[1:] if finding.verdict in {Verdict.UNSATISFIED, Verdict.UNKNOWN}]
    if others:
        listed = ", ".join(f"{marks[finding.verdict]} {finding.check.title.said()}" for finding in others)
        text.append(say(fr=f"\nAussi : {listed}", en=f"\nAlso: {listed}"), style="dim")
    return Padding(text, (0, 0, 0, INDENT))


def _check(finding: Finding, marks: dict[Verdict, str]) -> Padding:
    """One check: what was observed beside what is declared, and what to do."""
    outcome = finding.outcome
    head = Drawn.assemble(
        (f"{marks[finding.verdict]} ", STYLES[finding.verdict]),
        (finding.check.title.said(), "bold"),
        f" — {outcome.why.said()}",
    )
    table = Table(box=None, pad_edge=False, show_header=False, expand=True)
    table.add_column(no_wrap=True, style="dim")
    table.add_column(ratio=1, overflow="fold")
    for label, text in _rows(finding):
        table.add_row(label, Drawn(text))
    return Padding(Group(head, Padding(table, (0, 0, 0, 2))), (0, 0, 0, INDENT))


def _rows(finding: Finding) -> Iterator[tuple[str, str]]:
    outcome = finding.outcome
    yield say(fr="observé", en="observed"), f"{outcome.observed.said()} ({age_of(finding.age_s)})"
    yield say(fr="attendu", en="declared"), outcome.declared.said()
    if outcome.remedy is not None:
        yield say(fr="remède", en="remedy"), outcome.remedy.said()


def _counts(results: Sequence[ObligationResult]) -> str:
    """How many of each: counts, never one figure for all."""
    parts = []
    for verdict, word in words().items():
        count = sum(one.verdict is verdict for one in results)
        if count:
            plural = count > 1 and verdict is not Verdict.NOT_APPLICABLE  # « sans objet » has none
            parts.append(f"{count} {word}" + (say(fr="s", en="") if plural else ""))
    return ", ".join(parts)
