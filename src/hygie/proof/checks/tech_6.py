"""tech-6, continuous monitoring: what this version does not do is said, and is not green."""

from __future__ import annotations

from hygie.proof.facts import Measurements
from hygie.proof.model import Check, Context, Outcome, Text, same, satisfied, unknown, unsatisfied

MINUTES_S = 600.0
# Source → the longest silence, ms. Catch-up compares listings: on a large installation one turn lasts minutes.
SOURCES = {"journal": 120_000, "catch-up": 1_800_000, "door": 300_000}


def sources(fact: Measurements, context: Context) -> Outcome:
    """The measuring loops speak: a silent one is itself a finding."""
    silent = [kind for kind, ms in SOURCES.items() if kind in fact and context.now_ms - fact[kind].at_ms > ms]
    new = [kind for kind in SOURCES if kind not in fact]
    observed = same(", ".join(sorted(fact)) or "-")
    declared = Text("chaque boucle parle à sa cadence", "each loop speaks at its cadence")
    if silent:
        why = Text(f"Source muette : {', '.join(silent)}.", f"Silent source: {', '.join(silent)}.")
        return unsatisfied(why, observed, declared, Text("Vérifiez hygie work.", "Check hygie work."))
    if new:  # a new installation, or a database just rebuilt
        why = Text(f"Source qui n'a pas encore parlé : {', '.join(new)}.", f"Not heard yet: {', '.join(new)}.")
        remedy = Text("Attendez une minute, puis vérifiez hygie work.", "Wait a minute, then check hygie work.")
        return unknown(why, observed, declared, remedy)
    return satisfied(Text("Les mesures arrivent.", "Measures arrive."), observed, declared)


def detection(_: Measurements, __: Context) -> Outcome:
    """Attacks raise alerts."""
    return unsatisfied(
        Text("Détection et alertes pas encore construites.", "Detection and alerts are not built yet."),
        Text("aucune règle", "no rule"),
        Text("règles, alertes, relève par un SOC", "rules, alerts, a SOC that takes them"),
        Text(
            "Exportez le journal vers votre SIEM (hygie journal export).",
            "Export the journal to your SIEM (hygie journal export).",
        ),
    )


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
        _T + "test_no_detection_is_red",
        detection,
        on_facts="satisfied: never given, detection is not built",
    ),
)
