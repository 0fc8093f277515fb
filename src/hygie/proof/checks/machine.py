"""tech-5 of the machine: each point of hardening is kept or excepted, nothing drifts, other programs said so lately."""

from __future__ import annotations

from collections.abc import Sequence

from hygie.hardening.model import MachineFacts
from hygie.proof.judge import duration
from hygie.proof.model import Check, Context, Outcome, Text, same, satisfied, unknown, unsatisfied

DAY_S = 86_400.0
DAY_MS = 86_400_000
HOURS_MAX = 3  # the machine is looked at every hour
SHOWN_MAX = 3


def machine(fact: MachineFacts, context: Context) -> Outcome:
    """No point drifts from the baseline, and none is left unkept without an exception that still holds."""
    declared = Text("comme déclaré, chaque écart motivé et daté", "as declared, each exception with reason and end")
    work = Text("Vérifiez que hygie work tourne.", "Check that hygie work runs.")
    if fact.at_ms is None:
        return unknown(Text("Machine jamais mesurée.", "The machine was never measured."), same("-"), declared, work)
    now_ms, at_ms = context.now_ms, fact.at_ms
    bare, unseen = fact.left("not_kept", now_ms), fact.left("cannot_tell", now_ms)
    kept = sum(one.state == "kept" for one in fact.points.values())
    drifts = fact.drifts
    waived = sum(fact.waived(name, now_ms) for name in fact.waivers)
    fr = f"{kept}/{len(fact.points)} tenus, {len(bare)} non tenus, {len(unseen)} non vus, {waived} exceptions"
    en = f"{kept}/{len(fact.points)} kept, {len(bare)} not kept, {len(unseen)} not seen, {waived} exceptions"
    ages = {name: duration((now_ms - since) / 1000) for name, since in sorted(drifts.items(), key=lambda one: one[1])}
    observed = Text(
        f"{fr} ; écarts : {_some([f'{name} {age.fr}' for name, age in ages.items()])}",
        f"{en}; drifts: {_some([f'{name} {age.en}' for name, age in ages.items()])}",
    )
    remedy = same("hygie hardening show")
    if drifts:
        oldest, age = next(iter(ages.items()))
        why = Text(f"Écart depuis {age.fr} : {oldest}.", f"Drift for {age.en}: {oldest}.")
        return unsatisfied(why, observed, declared, remedy, at_ms=at_ms)
    if bare:
        why = Text(f"Point non tenu : {_some(bare)}.", f"A point is not kept: {_some(bare)}.")
        return unsatisfied(why, observed, declared, remedy, at_ms=at_ms)
    if unseen:
        why = Text(f"Point non vu : {_some(unseen)}.", f"A point is not seen: {_some(unseen)}.")
        look = same("hygie hardening look --into ; hardening.look")
        return unknown(why, observed, declared, look, at_ms=at_ms)
    if fact.baseline is None:
        why = Text("Aucun état de référence déclaré.", "No baseline is declared.")
        return unknown(why, observed, declared, same("hygie hardening baseline"), at_ms=at_ms)
    return satisfied(Text("Machine durcie, sans écart.", "Hardened, without drift."), observed, declared, at_ms=at_ms)


def reports(fact: MachineFacts, context: Context) -> Outcome:
    """The newest report of each program is recent, and none says that something fails."""
    days = context.settings.hardening.report_days
    declared = Text(f"passés, de moins de {days} j", f"passed, younger than {days} d")
    remedy = same("hygie hardening import")
    if not fact.reports:
        why = Text("Aucun rapport d'un autre programme.", "No report of another program.")
        return unknown(why, same("-"), declared, remedy)
    ages = {one.kind: (context.now_ms - one.at_ms) / DAY_MS for one in fact.reports}
    told = ", ".join(f"{one.kind} {'+' if one.passed else '-'} {ages[one.kind]:.0f}" for one in fact.reports)
    observed = Text(f"{told} j", f"{told} d")
    failed = [one for one in fact.reports if not one.passed]
    old = [one.kind for one in fact.reports if ages[one.kind] > days]
    if failed:
        counts = ", ".join(f"{name} {count}" for name, count in sorted(failed[0].counts.items()))
        why = Text(f"Rapport en échec : {failed[0].kind} ({counts}).", f"A report fails: {failed[0].kind} ({counts}).")
        return unsatisfied(why, observed, declared, remedy)
    if old:
        why = Text(f"Rapport trop ancien : {_some(old)}.", f"A report is too old: {_some(old)}.")
        return unsatisfied(why, observed, declared, remedy)
    why = Text("Rapports récents, sans échec.", "Reports are recent, without a failure.")
    return satisfied(why, observed, declared, at_ms=min(one.at_ms for one in fact.reports))


def _some(names: Sequence[str]) -> str:
    if not names:
        return "0"
    return ", ".join(names[:SHOWN_MAX]) + (f" +{len(names) - SHOWN_MAX}" if len(names) > SHOWN_MAX else "")


_T = "tests/sabotage/test_machine.py::"
CHECKS = (
    Check(
        "tech-5.machine",
        Text("Machine durcie", "Hardened machine"),
        Text("Chaque point tenu ou excepté, aucun écart à la référence", "Each point kept or excepted, no drift"),
        "machine",
        HOURS_MAX * 3_600.0,
        _T + "test_a_point_that_drifts_or_is_not_kept_is_red",
        machine,
    ),
    Check(
        "tech-5.reports",
        Text("Rapports d'outils", "Reports of tools"),
        Text("Lynis, OpenSCAP, sslyze passés récemment", "Lynis, OpenSCAP, sslyze passed lately"),
        "machine",
        366 * DAY_S,  # the setting says how old it may be
        _T + "test_a_report_that_fails_or_is_old_is_red",
        reports,
        renew=Text("Lancez l'outil et importez son rapport.", "Run the tool and import its report."),
    ),
)
