"""tech-7, several French datacentres: where the sites are, what they would fall with, how far each is."""

from __future__ import annotations

from collections.abc import Sequence

from hygie.proof.facts import Measurements, SiteFacts
from hygie.proof.model import Check, Context, Outcome, Text, same, satisfied, unknown, unsatisfied

MINUTES_S = 600.0
_DAY_S = 86_400.0
SITES_MIN = 2


def placement(fact: Sequence[SiteFacts], context: Context) -> Outcome:
    """Sites are in allowed countries, at least two in France in different cities, and all take writes now."""
    outside = [one.name for one in fact if one.country not in context.settings.allowed_countries]
    away = [one.name for one in fact if one.error]
    cities = {one.city for one in fact if one.country == "FR"}
    observed = same(", ".join(f"{one.name} {one.city} {one.country} {one.error or '✓'}" for one in fact))
    declared = Text("deux villes de France ou plus, tous joignables", "two French cities or more, all reachable")
    remedy = Text("Ramenez le site, ou remplacez-le.", "Bring the site back, or replace it.")
    why: Text | None = None
    if outside:
        why = Text(
            f"Hors des pays admis : {', '.join(outside)}.", f"Outside the allowed countries: {', '.join(outside)}."
        )
    elif away:
        why = Text(f"Site injoignable : {', '.join(away)}.", f"A site is out of reach: {', '.join(away)}.")
    elif len(cities) < SITES_MIN:
        why = Text("Moins de deux villes françaises.", "Fewer than two French cities.")
    if why is not None:
        return unsatisfied(why, observed, declared, remedy)
    return satisfied(Text("Sites en place et joignables.", "Sites are in place and reachable."), observed, declared)


def independence(fact: Sequence[SiteFacts], _: Context) -> Outcome:
    """No accident takes two sites."""
    domains = {one.domain for one in fact}
    observed = Text(
        f"{len(fact)} sites, domaines de panne : {len(domains)}", f"{len(fact)} sites, failure domains: {len(domains)}"
    )
    declared = Text("un centre de données par site", "one datacentre per site")
    if len(domains) < max(len(fact), SITES_MIN):
        remedy = Text("Placez chaque site dans un autre centre de données.", "Place each site in another datacentre.")
        why = Text(
            "Des dossiers d'un même disque ne sont pas des centres de données.",
            "Folders of one disk are not datacentres.",
        )
        return unsatisfied(why, observed, declared, remedy)
    return satisfied(Text("Domaines de panne séparés.", "Failure domains are apart."), observed, declared)


def lag(fact: Measurements, _: Context) -> Outcome:
    """Each site holds everything, by its own listing."""
    newest = fact.get("catch-up")
    declared = Text("aucun retard", "no lag")
    if newest is None:
        remedy = Text("Vérifiez que hygie work tourne.", "Check that hygie work runs.")
        return unknown(Text("Aucun rattrapage mesuré.", "No catch-up measured."), same("-"), declared, remedy)
    sites = newest.facts.get("sites", {})
    observed = same(", ".join(f"{name} {one.get('lacking', '?')}" for name, one in sites.items()) or "-")
    if not newest.passed:
        remedy = Text("Laissez le rattrapage finir, ou remplacez le site.", "Let catch-up end, or replace the site.")
        why = Text("Un site est en retard ou injoignable.", "A site is behind or unreachable.")
        return unsatisfied(why, observed, declared, remedy, at_ms=newest.at_ms)
    return satisfied(Text("Chaque site a tout.", "Each site has everything."), observed, declared, at_ms=newest.at_ms)


def scrubbed(fact: Measurements, _: Context) -> Outcome:
    """Every copy was re-read and is intact."""
    newest = fact.get("scrub")
    declared = Text("chaque copie relue, intacte", "each copy re-read, intact")
    remedy = same("hygie scrub")
    if newest is None:
        return unknown(Text("Aucune relecture encore.", "No scrub yet."), same("-"), declared, remedy)
    damaged = len(newest.facts.get("damaged", [])) + len(newest.facts.get("missing", []))
    checked = newest.facts.get("checked", 0)
    observed = Text(f"{checked} relus, défauts : {damaged}", f"{checked} re-read, faults: {damaged}")
    if not newest.passed:
        why = Text("La relecture a trouvé des copies altérées.", "The scrub found altered copies.")
        return unsatisfied(why, observed, declared, remedy, at_ms=newest.at_ms)
    return satisfied(Text("Copies relues intactes.", "Copies re-read intact."), observed, declared, at_ms=newest.at_ms)


_T = "tests/sabotage/test_tech_7.py::"
CHECKS = (
    Check(
        "tech-7.placement",
        Text("Lieux", "Places"),
        Text("Sites en France, joignables", "Sites in France, reachable"),
        "sites",
        MINUTES_S,
        _T + "test_a_site_away_is_red",
        placement,
    ),
    Check(
        "tech-7.independence",
        Text("Indépendance", "Independence"),
        Text("Aucun accident commun", "No common accident"),
        "sites",
        MINUTES_S,
        _T + "test_folders_of_one_disk_are_red",
        independence,
        on_facts="satisfied: needs sites on several machines",
    ),
    Check(
        "tech-7.lag",
        Text("Retard", "Lag"),
        Text("Chaque site a tout", "Each site has everything"),
        "measurements",
        MINUTES_S,
        _T + "test_a_site_that_lags_is_red",
        lag,
    ),
    Check(
        "tech-7.scrub",
        Text("Relecture", "Scrub"),
        Text("Chaque copie est intacte", "Each copy is intact"),
        "measurements",
        7 * _DAY_S,
        _T + "test_a_flipped_byte_is_red",
        scrubbed,
        renew=same("hygie scrub"),
    ),
)
