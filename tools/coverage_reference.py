"""Write docs/reference/coverage.md: référentiels, controls, checks and sabotages. Run it after changing one."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hygie.proof.catalogue import LIVE_OWNER, live_cadence_s
from hygie.proof.checks import CHECKS
from hygie.proof.controls.model import Control, RegisterCheck
from hygie.proof.controls.read import shipped_controls
from hygie.proof.cross.model import Card, cards
from hygie.proof.judge import duration
from hygie.proof.model import Check
from hygie.proof.perimeter.applicability import CONTROLLERS_OWN
from hygie.proof.referentials.model import NODE_MARK, Mode, Referential, Requirement
from hygie.proof.referentials.shipped import HDS, RGPD, SHIPPED, shipped

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "coverage.md"
SABOTAGES = ROOT / "tests" / "data" / "registers" / "sabotage.toml"
HEAD = """\
# Coverage

Written by `tools/coverage_reference.py` from `hygie.proof`; do not edit by hand. What answers each requirement: the
controls, the checks they rest on, where their evidence comes from, how often it is looked at, how long it holds, who
answers for it, and the sabotage that has seen the check red. Words and rules: [controls](../formats/controls.md).
`hygie control show ID` shows one; `hygie posture` says what they give now. Nothing here certifies: an accredited body
does.

Evidence is *measured* by a machine, *attested* by a named person, *external* when it rests on a document, *declared*
when it only repeats a setting or a description. A requirement holds when every check of its controls, and of all that
stands under it, holds: a document never outweighs a red measure. What no control answers is listed: it stays *unknown*.
"""
_COLUMNS = ("check", "proves", "looks at", "evidence", "cadence", "fresh", "owner", "seen red by")
CHECK_HEAD = f"| {' | '.join(_COLUMNS)} |\n{'|---' * len(_COLUMNS)}|\n"
LEFT = """
What no control answers of the RGPD does not apply to a host in its role, and a posture says so:

"""
PEOPLE = """
## Expected of a machine, shown by people

No check on what runs answers these alone: a machine judges registers that people fill, and holds some against what runs
([cross-checks](cross-checks.md)). What is shown is mostly attested, external or declared, and every verdict says so.

| requirement | expected |
|---|---|
"""
ON_REGISTERS = """
## Checks on registers

Each is seen green on the [demonstration's records](../../src/hygie/demo/records), then red by its sabotage, played by
[test_each_check_on_registers_is_seen_red](../../tests/sabotage/test_registers.py).

"""
ACROSS = """
## Cross-checks

Registers held against what runs: [cross-checks](cross-checks.md).

"""


def page() -> str:
    """The Markdown page."""
    controls = shipped_controls()
    answering: dict[str, list[str]] = {}
    for control in controls.controls:
        for ref in control.answers:
            answering.setdefault(ref, []).append(control.id)
    sabotages = tomllib.loads(SABOTAGES.read_text())
    parts = [HEAD, *_figures(answering), *(_answers(shipped(name), answering) for name in SHIPPED)]
    parts.append(_shown_by_people())
    parts.append("\n## Controls\n\n| control | what is done | owner | checks |\n|---|---|---|---|\n")
    parts += [_control(one) for one in controls.controls]
    parts.append("\n## Checks on what runs\n\n" + CHECK_HEAD)
    parts += [_live(one) for one in CHECKS]
    parts.append(ON_REGISTERS + CHECK_HEAD)
    parts += [_on_registers(one, sabotages[one.id]) for one in controls.checks]
    parts.append(ACROSS + CHECK_HEAD)
    parts += [_cross(one) for one in cards().values()]
    return "".join(parts)


def _figures(answering: dict[str, list[str]]) -> Iterator[str]:
    yield "\n## Figures\n\n| référentiel | assessable | answered | not answered |\n|---|---|---|---|\n"
    for name in SHIPPED:
        asked = [node for node in shipped(name).nodes if node.assessable]
        left = [node.label for node in asked if f"{name}{NODE_MARK}{node.id}" not in answering]
        yield f"| {name} | {len(asked)} | {len(asked) - len(left)} | {', '.join(left) or '–'} |\n"
    yield LEFT
    for name, why in CONTROLLERS_OWN.items():
        yield f"- **{name}** {shipped(RGPD).node(name).title.en}: {why.en}\n"
    kinds: dict[str, int] = {}
    for kind in [one.evidence.value for one in (*CHECKS, *shipped_controls().checks, *cards().values())]:
        kinds[kind] = kinds.get(kind, 0) + 1
    told = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    yield f"\n{len(shipped_controls().controls)} controls, {sum(kinds.values())} checks: {told}.\n"


def _answers(referential: Referential, answering: dict[str, list[str]]) -> str:
    rows = []
    for _, node in referential.walk():
        found = answering.get(f"{referential.id}{NODE_MARK}{node.id}")
        if found:
            rests = f" {_rests_on(node)} |" if referential.id != HDS else ""
            rows.append(f"| {node.label} | {node.title.en} |{rests} {', '.join(f'`{one}`' for one in found)} |\n")
    rests, line = (" rests on |", "---|") if referential.id != HDS else ("", "")
    head = (
        f"\n## {referential.id}\n\n*{referential.title.fr}*\n\n| id | asks |{rests} controls |\n|---|---|{line}---|\n"
    )
    return head + "".join(rows)


def _shown_by_people() -> str:
    """What HDS would have a machine show, and no measure shows yet."""
    live = {check.id for check in CHECKS}
    measured = {ref for one in shipped_controls().controls if live & set(one.checks) for ref in one.answers}
    rows = []
    for node in shipped(HDS).nodes:
        for expected in node.evidence:
            left = [one for one in expected.nodes or (node.id,) if f"{HDS}{NODE_MARK}{one}" not in measured]
            if expected.mode is Mode.MACHINE and left:
                rows.append(f"| {', '.join(left)} | {expected.what.en} |\n")
    return PEOPLE + "".join(rows)


def _rests_on(node: Requirement) -> str:
    prefix = HDS + NODE_MARK
    status = node.status.value if node.status else ""
    links = [one.target.removeprefix(prefix) for one in node.links if one.target.startswith(prefix)]
    return ", ".join([status] * bool(status) + links)


def _control(one: Control) -> str:
    return f"| `{one.id}` | {one.about_en} | {one.owner} | {', '.join(f'`{check}`' for check in one.checks)} |\n"


def _live(one: Check) -> str:
    file, _, test = one.sabotage.partition("::")
    cadence, fresh = duration(live_cadence_s(one)).en, duration(one.fresh_s).en
    cells = (f"`{one.id}`", one.proves.en, f"fact `{one.fact}`", one.evidence.value, cadence, fresh, LIVE_OWNER)
    return f"| {' | '.join(cells)} | [{test}](../../{file}) |\n"


def _cross(one: Card) -> str:
    file, _, test = one.sabotage.partition("::")
    cadence, fresh = duration(one.cadence_s).en, duration(one.fresh_s).en
    looks = ", ".join([*(f"register `{name}`" for name in one.registers), *(f"fact `{name}`" for name in one.facts)])
    cells = (f"`{one.id}`", one.proves_en, looks, one.evidence.value, cadence, fresh, one.owner)
    return f"| {' | '.join(cells)} | [{test}](../../{file}) |\n"


def _on_registers(one: RegisterCheck, sabotage: dict[str, Any]) -> str:
    cadence, fresh = duration(one.cadence_s).en, duration(one.fresh_s).en
    looks = f"register `{one.register}`" + (f", for each of `{one.of}`" if one.of else "")
    cells = (f"`{one.id}`", one.proves_en, looks, one.evidence.value, cadence, fresh, one.owner)
    return f"| {' | '.join(cells)} | {_spoiled(sabotage)} |\n"


def _spoiled(sabotage: dict[str, Any]) -> str:
    said = []
    for change in sabotage.get("change", ()):
        given = [name.replace("_state", "state") for name in change if name not in ("register", "_key", "_tenant")]
        said.append(f"{change['_key']}: {', '.join(given[:4])}")
    if "days" in sabotage:
        said.append(f"{sabotage['days']} days later")
    return "; ".join(said)


if __name__ == "__main__":
    PAGE.write_text(page())
