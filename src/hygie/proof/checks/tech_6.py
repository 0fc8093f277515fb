"""tech-6, continuous monitoring: sources speak, and rules look at what they say."""

from __future__ import annotations

from hygie.proof.facts import Measurements
from hygie.proof.model import Check, Context, Outcome, Text, same, satisfied, unknown, unsatisfied

MINUTES_S = 600.0
# Source → the longest silence, ms. Catch-up compares listings: on a large installation one turn lasts minutes.
SOURCES = {"journal": 120_000, "catch-up": 1_800_000, "door": 300_000, "watch": 300_000}
WATCH_SILENT_MS = 300_000


def sources(fact: Measurements, context: Context) -> Outcome:
    """The measuring loops speak: a silent one is itself a finding."""
    silent = [kind for kind, ms in SOURCES.items() if kind in fact and context.now_ms - fact[kind].at_ms > ms]
    new = [kind for kind in SOURCES if kind not in fact]
    observed = same(", ".join(sorted(fact)) or "-")
    declared = Text("chaque boucle parle à sa cadence", "each loop speaks at its cadence")
    if silent:
        why = Text(f"Source muette : {', '.join(silent)}.", f"Silent source: {', '.join(silent)}.")
        return unsatisfied(
            why, observed, declared, Text("Vérifiez hygie work et hygie watch.", "Check hygie work and hygie watch.")
        )
    if new:  # a new installation, or a database just rebuilt
        why = Text(f"Source qui n'a pas encore parlé : {', '.join(new)}.", f"Not heard yet: {', '.join(new)}.")
        remedy = Text("Attendez une minute, puis vérifiez hygie work.", "Wait a minute, then check hygie work.")
        return unknown(why, observed, declared, remedy)
    return satisfied(Text("Les mesures arrivent.", "Measures arrive."), observed, declared)


def detection(fact: Measurements, context: Context) -> Outcome:
    """The watch looks, with every rule, each of which speaks of its own samples and is silent of the others."""
    found = fact.get("watch")
    declared = Text("toutes les règles, au fil du journal", "every rule, as the journal grows")
    if found is None:
        remedy = Text("Lancez hygie watch.", "Start hygie watch.")
        return unsatisfied(Text("Personne ne veille.", "Nobody watches."), same("-"), declared, remedy)
    rules, refused, behind = found.facts["rules"], found.facts["refused"], found.facts["behind"]
    observed = Text(f"{rules} règles, retard de {behind} entrées", f"{rules} rules, {behind} entries behind")
    if context.now_ms - found.at_ms > WATCH_SILENT_MS:
        remedy = Text("Voyez hygie watch et logs/watch.log.", "See hygie watch and logs/watch.log.")
        return unsatisfied(Text("La veille est muette.", "The watch is silent."), observed, declared, remedy)
    if not rules or refused or found.facts["wrong"]:
        names = ", ".join(refused) or "-"
        why = Text(f"Règles refusées ou fausses : {names}.", f"Rules refused or wrong: {names}.")
        return unsatisfied(why, observed, declared, same("hygie finding rules"))
    if not found.passed:
        why = Text("La veille est en retard sur le journal.", "The watch is behind the journal.")
        return unsatisfied(why, observed, declared, Text("Voyez la charge.", "See the load."))
    why = Text(
        "Chaque règle parle de ses exemples ; le journal est suivi.", "Each rule holds; the journal is followed."
    )
    return satisfied(why, observed, declared, at_ms=found.at_ms)


_T = "tests/sabotage/test_tech_6.py::"
CHECKS = (
    Check(
        "tech-6.sources",
        Text("Sources", "Sources"),
        Text("Une source muette se voit", "A silent source is seen"),
        "measurements",
        MINUTES_S,
        _T + "test_a_silent_source_is_red",
        sources,
    ),
    Check(
        "tech-6.detection",
        Text("Détection", "Detection"),
        Text("Une attaque lève une alerte", "An attack raises an alert"),
        "measurements",
        MINUTES_S,
        _T + "test_a_watch_that_sleeps_or_lacks_a_rule_is_red",
        detection,
    ),
)
