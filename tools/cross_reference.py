"""Write docs/reference/cross-checks.md from the cards of cross-checks. Run it after changing one."""

from __future__ import annotations

from pathlib import Path

from hygie.proof.controls.read import shipped_controls
from hygie.proof.cross.model import Card, cards

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "cross-checks.md"
HEAD = """\
# Cross-checks

Written by `tools/cross_reference.py` from `src/hygie/proof/cross/cards.toml`; do not edit by hand. A cross-check
compares what the [registers](registers.md) say with what the platform shows, or registers with one another; `hygie
posture` shows what each found. *red when*: what it then names. Nothing to compare is *unknown* unless the last column
says otherwise; a fact that was not observed is unknown, with its code. *measured*: the platform's own facts or settings
decide; *attested*: records that people wrote do. Each has been seen red by `tests/sabotage/test_cross.py`, on a host
and a platform that agree on everything else (but `cross.assets-connected`, which is unknown, never red: what nothing
observes is unknown).

A check tells; [what follows by itself](certification.md#what-follows-by-itself) acts.
"""
EMPTY = {"unknown": "unknown", "satisfied": "satisfied", "not_applicable": "not applicable"}


def page() -> str:
    """The Markdown page."""
    known = cards()
    parts = [HEAD]
    for control in shipped_controls().controls:
        chosen = [known[name] for name in control.checks if name in known]
        if not chosen:
            continue
        answers = ", ".join(f"`{one.partition('#')[2]}`" for one in control.answers)
        parts.append(f"\n## {control.en}\n\n{control.about_en} *{control.fr}.* Serves {answers}.\n\n")
        parts.append(
            "| check | red when | compares | owner | evidence | nothing to compare |\n|---|---|---|---|---|---|\n"
        )
        parts += map(_row, chosen)
    return "".join(parts)


def _row(card: Card) -> str:
    compared = ", ".join((*card.registers, *(f"*{one}*" for one in card.facts)))
    return (
        f"| `{card.id}` | {card.en}. *{card.fr}.* | {compared} | {card.owner} | {card.evidence.value} |"
        f" {EMPTY[card.empty]} |\n"
    )


if __name__ == "__main__":
    PAGE.write_text(page())
