"""tech-8, availability fit for hospitals: answers now, the month's rate, the promise of recovery."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

from hygie.proof.facts import AnswerFacts, AvailabilityFacts, Measurements
from hygie.proof.judge import duration
from hygie.proof.model import Check, Context, Outcome, Text, same, satisfied, unknown, unsatisfied

MINUTES_S = 600.0
ANSWER_MS_MAX = 2_000.0
PROBE_S_MAX = 300.0  # between two probes: five minutes are down by then
RATE_MIN = 0.999
MONTH_MINUTES = 30 * 24 * 60
COVERED_MIN = 0.999  # of the minutes, to call it a month
OUTSIDE_MIN = 0.9  # of the minutes: results come by file, some days late
_DAY_S = 86_400.0
DRILL_DAYS_MAX = 90


def answers(fact: AnswerFacts, _: Context) -> Outcome:
    """The door answers now, in time, to a client that checks its certificate."""
    shown = Text("pas de réponse", "no answer") if not fact.status else same(str(fact.status))
    observed = Text(f"{shown.fr}, {fact.ms:.0f} ms", f"{shown.en}, {fact.ms:.0f} ms")
    declared = same(f"200, < {ANSWER_MS_MAX:.0f} ms")
    if not fact.status:
        why = Text("La porte FHIR ne répond pas.", "The FHIR door does not answer.")
        remedy = Text("Voyez logs/, le certificat, puis hygie up.", "See logs/, the certificate, then hygie up.")
        return unsatisfied(why, observed, declared, remedy)
    if fact.status != HTTPStatus.OK or fact.ms > ANSWER_MS_MAX:
        why = Text("La porte FHIR répond mal.", "The FHIR door answers badly.")
        return unsatisfied(why, observed, declared, Text("Voyez logs/ et la charge.", "See logs/ and the load."))
    return satisfied(Text("La porte FHIR répond.", "The FHIR door answers."), observed, declared)


def month(fact: Sequence[AvailabilityFacts], _: Context) -> Outcome:
    """The last thirty days of each client against what is promised to all, and mostly seen from outside.

    The minutes are those that contracts are held to (docs/adr/0037-availability.md): one that nobody measured is lost.
    """
    lost = max((one.month.down for one in fact), default=0)
    observed = Text(f"{len(fact)} clients, {lost} min perdues au plus", f"{len(fact)} clients, {lost} min lost at most")
    declared = Text("≥ 99,9 % sur 30 j, sonde externe", f"≥ {RATE_MIN:.1%} over 30 d, outside probe")
    remedy = same("hygie availability show")
    if not fact:
        return unknown(Text("Aucun client en production.", "No client in production."), observed, declared, remedy)
    if lost > (1 - RATE_MIN) * MONTH_MINUTES:
        why = Text("Trop de minutes perdues ce mois-ci.", "Too many minutes lost this month.")
        return unsatisfied(why, observed, declared, remedy)
    whole = [one for one in fact if one.month.before <= (1 - COVERED_MIN) * MONTH_MINUTES]
    if not whole:  # a client that came this month waits for nobody, and holds nobody up
        why = Text("Pas encore un mois complet de mesures.", "Not a full month of measures yet.")
        return unknown(why, observed, declared, remedy)
    if any(one.month.outside < OUTSIDE_MIN * MONTH_MINUTES for one in whole):
        why = Text("Mesuré d'ici seulement : pas de sonde externe.", "Measured from here only: no outside probe.")
        return unknown(why, observed, declared, same("hygie availability import"))
    return satisfied(Text("Un mois tenu, vu de l'extérieur.", "A month kept, seen from outside."), observed, declared)


def budget(fact: Measurements, context: Context) -> Outcome:
    """Every client's minutes are asked for now, and none has more of them down than its contract lets.

    The working process holds each minute to the contracts (docs/adr/0037-availability.md).
    """
    newest = fact.get("availability")
    declared = Text("une mesure par minute, budgets tenus", "a measure a minute, budgets kept")
    if newest is None:
        why = Text("Aucune minute mesurée.", "No minute was measured yet.")
        return unknown(why, same("-"), declared, same("hygie availability show"))
    age_s = (context.now_ms - newest.at_ms) / 1000
    age, spent, clients = duration(age_s), newest.facts.get("spent", 0), newest.facts.get("clients", 0)
    observed = Text(
        f"{clients} clients, {spent} hors budget, il y a {age.fr}",
        f"{clients} clients, {spent} beyond their budget, {age.en} ago",
    )
    if age_s > PROBE_S_MAX:
        why = Text("Plus personne ne mesure : ces minutes comptent.", "Nobody measures: these minutes count as down.")
        remedy = Text("Voyez si hygie work tourne, et logs/work.log.", "See that hygie work runs, and logs/work.log.")
        return unsatisfied(why, observed, declared, remedy, at_ms=newest.at_ms)
    if spent:
        why = Text("Un client a perdu plus que promis.", "A client lost more minutes than promised.")
        return unsatisfied(why, observed, declared, same("hygie availability show"), at_ms=newest.at_ms)
    why = Text("Chaque minute est mesurée, les budgets tiennent.", "Each minute is measured, budgets are kept.")
    return satisfied(why, observed, declared, at_ms=newest.at_ms)


def recovery(fact: Measurements, context: Context) -> Outcome:
    """The last loss of a site was survived within the promise (DMIA)."""
    newest = fact.get("drill-site-loss")
    declared = Text(
        f"reprise < {context.settings.backups.rto_minutes} min",
        f"recovery < {context.settings.backups.rto_minutes} min",
    )
    remedy = same("hygie drill site-loss")
    if newest is None:
        return unknown(
            Text("Aucun exercice de perte de site.", "No drill of a site's loss yet."), same("-"), declared, remedy
        )
    age = duration((context.now_ms - newest.at_ms) / 1000)
    observed = Text(
        f"{'réussi' if newest.passed else 'échoué'} il y a {age.fr}",
        f"{'passed' if newest.passed else 'failed'} {age.en} ago",
    )
    if not newest.passed:
        return unsatisfied(
            Text("Le dernier exercice a échoué.", "The last drill failed."),
            observed,
            declared,
            remedy,
            at_ms=newest.at_ms,
        )
    why = Text(f"Perte d'un site surmontée il y a {age.fr}.", f"The loss of a site was survived {age.en} ago.")
    return satisfied(why, observed, declared, at_ms=newest.at_ms)


_T = "tests/sabotage/test_tech_8.py::"
CHECKS = (
    Check(
        "tech-8.door",
        Text("Réponse", "Answer"),
        Text("La porte répond maintenant", "The door answers now"),
        "answer",
        MINUTES_S,
        _T + "test_a_slow_or_broken_door_is_red",
        answers,
    ),
    Check(
        "tech-8.month",
        Text("Taux du mois", "Month's rate"),
        Text(
            "Trente jours tenus pour chaque client, vus de l'extérieur",
            "Thirty days kept for each client, from outside",
        ),
        "availability",
        _DAY_S,
        _T + "test_lost_minutes_are_red",
        month,
    ),
    Check(
        "tech-8.budget",
        Text("Budget des clients", "Clients' budget"),
        Text("Les minutes promises par contrat sont tenues", "The minutes that contracts promise are kept"),
        "measurements",
        MINUTES_S,
        _T + "test_a_spent_budget_and_a_silent_probe_are_red",
        budget,
    ),
    Check(
        "tech-8.recovery",
        Text("Perte d'un site", "Loss of a site"),
        Text("La reprise est prouvée", "Recovery is proved"),
        "measurements",
        DRILL_DAYS_MAX * _DAY_S,
        _T + "test_a_failed_site_loss_drill_is_red",
        recovery,
        renew=same("hygie drill site-loss"),
    ),
)
