"""tech-3, complete journal: freshness, publication, integrity, the witness, the clock."""

from __future__ import annotations

from hygie.proof.facts import ClockFacts, FreshFacts, HistoryFacts, JournalFacts, WitnessFacts
from hygie.proof.model import Check, Context, Outcome, Text, same, satisfied, unknown, unsatisfied

MINUTES_S = 600.0
DELAY_MS_MAX = 10_000
WAITING_MAX = 50_000  # entries: some seconds of a busy platform
CLOCK_ERROR_MS_MAX = 1_000.0


def fresh(fact: FreshFacts, _: Context) -> Outcome:
    """Refusals provoked a moment ago are in the published journal."""
    observed = same(f"{fact.found}/{fact.asked}, {fact.delay_ms} ms")
    declared = Text(f"toutes en moins de {DELAY_MS_MAX // 1000} s", f"all within {DELAY_MS_MAX // 1000} s")
    if fact.found < fact.asked:
        remedy = Text("Vérifiez que hygie work tourne.", "Check that hygie work runs.")
        return unsatisfied(
            Text("Un accès n'a pas laissé de trace à temps.", "An access left no trace in time."),
            observed,
            declared,
            remedy,
        )
    return satisfied(Text("Les accès laissent leur trace.", "Accesses leave their trace."), observed, declared)


def published(fact: JournalFacts, _: Context) -> Outcome:
    """What is indexed is signed and shown on the sites."""
    behind = [name for name, size in fact.sites.items() if size is None or size < fact.published]
    observed = same(
        f"{fact.published}/{fact.indexed}, +{fact.pending}; " + ", ".join(f"{n} {s}" for n, s in fact.sites.items())
    )
    declared = Text("tout publié sur chaque site", "all published on each site")
    remedy = Text("Vérifiez hygie work et les sites.", "Check hygie work and the sites.")
    if fact.pending > WAITING_MAX:
        why = Text("Trop d'entrées attendent leur scellement.", "Too many entries wait to be sealed.")
        return unsatisfied(why, observed, declared, remedy)
    if behind:
        why = Text(f"Journal en retard sur {', '.join(behind)}.", f"Journal behind on {', '.join(behind)}.")
        return unsatisfied(why, observed, declared, remedy)
    return satisfied(Text("Journal signé et copié.", "Journal signed and copied."), observed, declared)


def history(fact: HistoryFacts, _: Context) -> Outcome:
    """The end of the tree, read again, gives the signed root."""
    observed = Text(f"{fact.entries} entrées relues sur {fact.size}", f"{fact.entries} of {fact.size} entries re-read")
    declared = Text("racine signée retrouvée", "signed root found again")
    if fact.broken:
        why = Text(
            f"Le journal publié est altéré ({fact.broken}).", f"The published journal is altered ({fact.broken})."
        )
        return unsatisfied(
            why, observed, declared, Text("Prévenez la sécurité, à l'instant.", "Tell security, at once.")
        )
    return satisfied(Text("Le journal relu est intègre.", "The journal re-read is intact."), observed, declared)


def witness(fact: WitnessFacts, _: Context) -> Outcome:
    """Somebody else has seen the tree."""
    observed = same(f"{fact.where}, {fact.cosigned}/{fact.published}")
    declared = Text("témoin sous une autre administration, à jour", "a witness under another administrator, up to date")
    remedy = Text("Confiez le témoin à un tiers (witness.url).", "Give the witness to a third party (witness.url).")
    if fact.where == "none" or fact.cosigned is None or fact.cosigned < fact.published:
        return unsatisfied(
            Text("Le témoin n'a pas tout contresigné.", "The witness has not cosigned all."), observed, declared, remedy
        )
    if fact.where == "here":
        why = Text("Témoin sur cette machine : aucune indépendance.", "A witness on this machine: no independence.")
        return unsatisfied(why, observed, declared, remedy)
    return satisfied(Text("Un témoin tiers a tout vu.", "An independent witness has seen all."), observed, declared)


def clock(fact: ClockFacts, _: Context) -> Outcome:
    """Instants in the journal can be believed."""
    observed = same(f"{fact.disciplined}, ± {fact.max_error_ms:.0f} ms")
    declared = Text("horloge disciplinée", "a disciplined clock")
    remedy = Text("Activez NTP (chrony, systemd-timesyncd).", "Turn NTP on (chrony, systemd-timesyncd).")
    if fact.disciplined == "unknown":
        return unknown(Text("État de l'horloge inconnu.", "State of the clock unknown."), observed, declared, remedy)
    if fact.disciplined == "no" or fact.max_error_ms > CLOCK_ERROR_MS_MAX:
        why = Text("L'horloge n'est pas disciplinée.", "The clock is not disciplined.")
        return unsatisfied(why, observed, declared, remedy)
    return satisfied(Text("Horloge disciplinée.", "The clock is disciplined."), observed, declared)


_T = "tests/sabotage/test_tech_3.py::"
CHECKS = (
    Check(
        "tech-3.fresh",
        Text("Trace immédiate", "Immediate trace"),
        Text("Chaque accès laisse une trace", "Each access leaves a trace"),
        "fresh",
        MINUTES_S,
        _T + "test_a_journal_that_is_not_sealed_is_red",
        fresh,
    ),
    Check(
        "tech-3.published",
        Text("Publication", "Publication"),
        Text("Le journal est signé et copié", "The journal is signed and copied"),
        "journal",
        MINUTES_S,
        _T + "test_a_site_without_checkpoint_is_red",
        published,
    ),
    Check(
        "tech-3.history",
        Text("Relecture", "Re-reading"),
        Text("Le journal est intègre", "The journal is intact"),
        "history",
        MINUTES_S,
        _T + "test_an_altered_bundle_is_red",
        history,
    ),
    Check(
        "tech-3.witness",
        Text("Témoin", "Witness"),
        Text("Un tiers a vu le journal", "A third party saw the journal"),
        "witness",
        MINUTES_S,
        _T + "test_a_witness_of_ones_own_is_red",
        witness,
    ),
    Check(
        "tech-3.clock",
        Text("Horloge", "Clock"),
        Text("Les instants sont justes", "Instants are right"),
        "clock",
        MINUTES_S,
        _T + "test_a_free_running_clock_is_red",
        clock,
    ),
)
