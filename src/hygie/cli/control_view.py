"""Controls for people: the list, one of them, one check."""

from __future__ import annotations

from hygie.base.language import say
from hygie.cli.console import Console
from hygie.cli.posture_view import EVIDENCE
from hygie.proof.controls.find import CheckCard, ControlCard
from hygie.proof.controls.model import OWNERS
from hygie.proof.judge import duration
from hygie.proof.model import Evidence
from hygie.proof.referentials.model import NODE_MARK


def show_list(out: Console, found: list[ControlCard]) -> None:
    """One line each."""
    columns = (
        say(fr="mesure", en="control"),
        say(fr="ce qui est fait", en="what is done"),
        say(fr="répond", en="owner"),
        say(fr="contrôles", en="checks"),
    )
    out.table(
        columns, [(one.control.id, one.control.title.said(), one.control.owner, len(one.checks)) for one in found]
    )


def show_control(out: Console, found: ControlCard) -> None:
    """What is done, what it answers, and its checks."""
    one = found.control
    out.line(f"{one.id}  {one.title.said()}", style="bold")
    out.line(one.about.said())
    by_referential: dict[str, list[str]] = {}
    for ref in one.answers:
        name, _, node = ref.partition(NODE_MARK)
        by_referential.setdefault(name, []).append(node)
    rows = [(say(fr="répond", en="owner"), OWNERS[one.owner].said())]
    out.table(("", ""), [*rows, *((name, ", ".join(nodes)) for name, nodes in by_referential.items())])
    columns = (
        say(fr="contrôle", en="check"),
        say(fr="ce qu'il montre", en="what it shows"),
        say(fr="preuve", en="evidence"),
        say(fr="fraîcheur", en="fresh"),
    )
    rows_of_checks = [
        (check.id, check.proves.said(), _evidence(check.evidence), duration(check.fresh_s).said())
        for check in found.checks
    ]
    out.table(columns, rows_of_checks)


def show_check(out: Console, one: CheckCard) -> None:
    """What it shows, of what, how often, and what to do when it is not green."""
    out.line(f"{one.id}  {one.title.said()}", style="bold")
    out.line(one.proves.said())
    rows = [
        (say(fr="regarde", en="looks at"), one.looks_at),
        (say(fr="preuve", en="evidence"), _evidence(one.evidence)),
        (say(fr="répond", en="owner"), OWNERS[one.owner].said()),
        (say(fr="cadence", en="cadence"), duration(one.cadence_s).said()),
        (say(fr="fraîcheur", en="fresh"), duration(one.fresh_s).said()),
        (say(fr="remède", en="remedy"), one.remedy.said()),
        (say(fr="sans objet", en="not applicable"), one.rule.nothing.said() if one.rule else ""),
        (say(fr="sert", en="serves"), ", ".join(one.controls)),
    ]
    out.table(("", ""), [row for row in rows if row[1]])


def _evidence(kind: Evidence) -> str:
    fr, en = EVIDENCE[kind.value]
    return say(fr=fr, en=en)
