"""Write docs/reference/referentials.md from the référentiels of the package. Run it after changing one."""

from __future__ import annotations

from pathlib import Path

from hygie.proof.referentials.model import Link, Referential, Requirement
from hygie.proof.referentials.shipped import HDS, ISO27001, OBLIGATIONS, RGPD, SHIPPED, shipped

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "referentials.md"
SHORT = {HDS: "HDS", OBLIGATIONS: "", ISO27001: "ISO 27001", RGPD: "RGPD"}
HEAD = """\
# Référentiels

Written by `tools/referential_reference.py` from `src/hygie/proof/referentials/data`; do not edit by hand. Wording is
Hygie's own and stands for no official text; ids and mappings are those of the texts. `hygie referential list`, `show`
and `import` reach the same data, and those that people import ([format](../formats/referential.md)).

A mapping says that two requirements speak of the same thing, or that one rests on the other. **It never makes anything
conform**: verdicts come from checks and evidence. Relations: `related`, `basis` (the text it rests on); imported ones
also know `equal`, `subset`, `superset`, `intersect`, `required`, `replaced`.

*activities*: of CSP R.1111-9: 1 physical sites, 2 hardware, 3 virtual infrastructure, 4 application platform,
5 administration and operation, 6 backup. *evidence*: what would show a requirement met; gathered by a `machine`, a
`human`, or both (`mixed`); stale after so many days (Hygie's own limits, except the three years of EXI-15.2).
*status* of an obligation: `literal`, a text asks it in so many words; `derived`, from the treatment of risks;
`promise`, this platform's own; `scope`, who is concerned.

| référentiel | title | publisher | in force since | nodes | assessable | mappings | sha256 |
|---|---|---|---|---|---|---|---|
"""


def page() -> str:
    """The Markdown page."""
    all_ = [shipped(one) for one in SHIPPED]
    parts = [HEAD, *(_row(one) for one in all_)]
    for one, body in zip(all_, (_hds, _obligations, _titles, _titles), strict=True):
        parts.append(f"\n## {one.id} {one.title.en}\n\n*{one.title.fr}*. {one.summary.en} Source: {one.source}.\n")
        parts.append(body(one))
    return "".join(parts)


def _row(one: Referential) -> str:
    assessable = sum(node.assessable for node in one.nodes)
    links = sum(len(node.links) for node in one.nodes)
    return (
        f"| `{one.id}` | {one.title.en} | {one.publisher} | {one.effective_from} | {len(one.nodes)} | {assessable}"
        f" | {links} | `{one.digest[:16]}…` |\n"
    )


def _hds(one: Referential) -> str:
    parts = []
    for node in one.nodes:
        if not node.parent:
            parts.append(f"\n### {node.title.en}\n\n*{node.title.fr}*\n")
        elif not one.node(node.parent).parent:
            parts.append(_requirement(one, node))
    return "".join(parts)


def _requirement(one: Referential, node: Requirement) -> str:
    activities = ", ".join(map(str, one.activities_of(node.id)))
    facts = [f"chapter {node.locator}", ", ".join(node.natures), f"activities {activities}"]
    facts += [node.condition.en] if node.condition.en else []
    parts = [f"\n#### {node.id} {node.title.en}\n\n*{node.title.fr}* · {' · '.join(facts)}\n\n{node.summary.en}\n"]
    texts = [_mapped(node.links), "; ".join(node.references)]
    parts.append(f"\n{' · '.join(text for text in texts if text)}\n")
    below = _below(one, node)
    if below:
        rows = "".join(f"| {item.id} | {item.title.en} | {item.title.fr} |\n" for item in below)
        parts.append(f"\n| sub-item | English | français |\n|---|---|---|\n{rows}")
    parts.append("\n| expected evidence | by | days | of |\n|---|---|---|---|\n")
    for each in node.evidence:
        parts.append(f"| {each.what.en} | {each.mode.value} | {each.max_age_days or ''} | {', '.join(each.nodes)} |\n")
    return "".join(parts)


def _below(one: Referential, node: Requirement) -> list[Requirement]:
    """Every node under one, in order."""
    return [inner for child in one.children(node.id) for inner in (child, *_below(one, child))]


def _obligations(one: Referential) -> str:
    parts = []
    for group in one.children(""):
        parts.append(f"\n### {group.title.en}\n\n*{group.title.fr}*\n\n| id | obligation | status | proof | texts |\n")
        parts.append("|---|---|---|---|---|\n")
        for node in one.children(group.id):
            title = f"{node.title.en}<br>*{node.title.fr}*"
            status = node.status.value if node.status else ""
            proof = f"{node.summary.en} {node.note.en}".strip()
            parts.append(f"| {node.id} | {title} | {status} | {proof} | {_mapped(node.links)} |\n")
    return "".join(parts)


def _titles(one: Referential) -> str:
    rows = (
        f"| {'&nbsp;&nbsp;' * depth}{f'**{node.id}**' if not node.assessable else node.id} | {node.title.en}"
        f" | {node.title.fr} |\n"
        for depth, node in one.walk()
    )
    head = "| id | English | français |\n|---|---|---|\n"
    return f"\nIn bold: headings, and what binds neither a controller nor a host.\n\n{head}{''.join(rows)}"


def _mapped(links: tuple[Link, ...]) -> str:
    """``ISO 27001 4.1, A.5.1 · RGPD 32``."""
    found: dict[str, list[str]] = {}
    for link in links:
        name, _, node = link.target.partition("#")
        found.setdefault(name, []).append(node)
    return " · ".join(f"{SHORT[name]} {', '.join(nodes)}" for name, nodes in found.items())


if __name__ == "__main__":
    PAGE.write_text(page())
