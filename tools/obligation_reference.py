"""Write docs/reference/obligations.md from the obligations and their checks. Run it after changing one."""

from __future__ import annotations

from pathlib import Path

from hygie.proof.checks import CHECKS
from hygie.proof.judge import duration
from hygie.proof.obligations import technical_obligations

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "obligations.md"
HEAD = """\
# Obligations and checks

Written by `tools/obligation_reference.py` from `hygie.proof`; do not edit by hand. `hygie status` runs every check on
what runs now, and gives each obligation a verdict: *satisfied*, *unsatisfied*, *unknown*, *not applicable*. One red
check makes an obligation unsatisfied; else one unknown makes it unknown. A check is unknown when its fact could not
be seen, when its evidence is older than *fresh*, or when it raised; never green. Each check names the test that
breaks the real thing and sees it red, then green. The last column says which verdict was never obtained through a
probe, only by giving the check a fact made up for the test, and why. `tests/house/test_checks.py` holds both to the
tests. Nothing here certifies: an accredited body does.

Loops of `hygie work` measure by themselves: the door each minute, copies each few seconds, backups each hour. Drills
are acts of people: the check turns *unknown* 90 days after the last one, and names the command to run.

`hygie status` leaves traces on purpose. It asks the FHIR door for what it must refuse, with the token of an account
`hygie-probe-<year>` that has no habilitation (made at first use, kept in `probe.token` of the data folder), and looks
for these refusals in the published journal; it tries to read one environment with the role of another; it makes a
durable write on each site; and it journals its own verdicts (`status:read`). Exit code 0 whatever the verdicts: a
table in red is an answer; `--strict` gives 1 unless all is satisfied.

*status*: `literal`, a text asks it in these words; `derived`, from the treatment of risks; `promise`, this platform's
own.
"""


def page() -> str:
    """The Markdown page."""
    parts = [HEAD]
    for one in technical_obligations():
        references = " · ".join(
            (", ".join(one.exi), f"ISO 27001 {', '.join(one.iso27001)}", f"RGPD {', '.join(one.rgpd)}")
        )
        parts.append(f"\n## {one.id} {one.title.en}\n\n*{one.title.fr}* · {one.status.value} · {references}\n\n")
        head = "| check | proves | fresh | seen red by | on made-up facts only |\n|---|---|---|---|---|\n"
        parts.append(f"{one.proof.en}\n\n{head}")
        for check in CHECKS:
            if check.obligation == one.id:
                file, _, test = check.sabotage.partition("::")
                fresh = duration(check.fresh_s).en
                parts.append(
                    f"| `{check.id}` | {check.proves.en} | {fresh} | [{test}](../../{file}) | {check.on_facts} |\n"
                )
    return "".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page())
