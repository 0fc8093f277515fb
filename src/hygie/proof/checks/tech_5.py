"""tech-5, hardening: processes, files, rights, second factor."""

from __future__ import annotations

from collections.abc import Sequence

from hygie.proof.facts import AccessFacts, FileFacts, ProcessesFacts
from hygie.proof.model import Check, Context, Outcome, Text, same, satisfied, unknown, unsatisfied

MINUTES_S = 600.0
TOKEN_DAYS_MAX = 366
DAY_MS = 86_400_000


def processes(fact: ProcessesFacts, _: Context) -> Outcome:
    """Every process runs, without root, without core dumps, out of reach of a debugger."""
    observed = same(", ".join(f"{one.name} uid {one.uid}" for one in fact.processes) or "-")
    declared = Text("sans root, sans core, non traçables", "no root, no core, not traceable")
    weak = [one.name for one in fact.processes if one.core_limit not in (0, None) or one.traceable == "yes"]
    if weak:
        why = Text(f"Mémoire exposée : {', '.join(weak)}.", f"Memory exposed: {', '.join(weak)}.")
        return unsatisfied(why, observed, declared, Text("Redémarrez ces processus.", "Restart these processes."))
    if fact.absent:
        why = Text(f"Processus absents : {', '.join(fact.absent)}.", f"Processes absent: {', '.join(fact.absent)}.")
        return unsatisfied(why, observed, declared, same("hygie up"))
    if any(one.uid == 0 for one in fact.processes):
        why = Text("Des processus tournent en root.", "Processes run as root.")
        remedy = Text("Lancez Hygie sous un compte à lui.", "Run Hygie under an account of its own.")
        return unsatisfied(why, observed, declared, remedy)
    if any(one.core_limit is None or one.traceable == "unknown" for one in fact.processes):
        return unknown(Text("Protections non montrées.", "Protections are not shown."), observed, declared)
    return satisfied(Text("Processus durcis.", "Processes are hardened."), observed, declared)


def files(fact: Sequence[FileFacts], _: Context) -> Outcome:
    """Secret files are readable by their owner only."""
    exposed = [one.path for one in fact if one.exposed]
    observed = Text(f"{len(fact)} lieux, {len(exposed)} exposé(s)", f"{len(fact)} places, {len(exposed)} exposed")
    declared = Text("aucun exposé", "none exposed")
    if exposed:
        why = Text(f"Ouvert aux autres : {exposed[0]}.", f"Open to others: {exposed[0]}.")
        return unsatisfied(why, observed, declared, same(f"chmod go= {exposed[0]}"))
    return satisfied(Text("Fichiers secrets fermés.", "Secret files are closed."), observed, declared)


def rights(fact: AccessFacts, context: Context) -> Outcome:
    """Accounts, tokens and habilitations all end, and those that ended are gone."""
    now = context.now_ms
    live = [one for one in fact.tokens if one["revoked_ms"] is None and one["expires_ms"] > now]
    long = [one for one in live if one["expires_ms"] - one["created_ms"] > TOKEN_DAYS_MAX * DAY_MS]
    ended = {one["id"] for one in fact.accounts if one["state"] != "open" or one["ends_ms"] <= now}
    ghosts = [one for one in live if one["account"] in ended]
    observed = Text(
        f"{len(fact.accounts)} comptes, {len(live)} jetons vifs, {len(ghosts)} d'un compte clos",
        f"{len(fact.accounts)} accounts, {len(live)} live tokens, {len(ghosts)} of a closed account",
    )
    declared = Text("tout droit finit", "every right ends")
    if long or ghosts:
        why = Text("Un jeton survit à son compte ou dure trop.", "A token outlives its account, or lasts too long.")
        return unsatisfied(why, observed, declared, same("hygie token revoke"))
    return satisfied(Text("Droits datés et tenus.", "Rights are dated and kept."), observed, declared)


def second_factor(_: AccessFacts, __: Context) -> Outcome:
    """Administration asks for two factors."""
    return unsatisfied(
        Text("Pas encore de second facteur pour administrer.", "No second factor for administration yet."),
        Text("compte local de la machine", "local account of the machine"),
        Text("deux facteurs", "two factors"),
        Text(
            "Protégez l'accès à la machine (SSH par clé et second facteur).",
            "Protect the machine's access (SSH key and second factor).",
        ),
    )


_T = "tests/sabotage/test_tech_5.py::"
CHECKS = (
    Check(
        "tech-5.processes",
        Text("Processus", "Processes"),
        Text("Mémoire et droits réduits", "Memory and rights reduced"),
        "processes",
        MINUTES_S,
        _T + "test_a_process_that_dumps_core_is_red",
        processes,
    ),
    Check(
        "tech-5.files",
        Text("Fichiers secrets", "Secret files"),
        Text("Lisibles par leur seul compte", "Readable by their account only"),
        "files",
        MINUTES_S,
        _T + "test_an_exposed_key_file_is_red",
        files,
    ),
    Check(
        "tech-5.rights",
        Text("Droits", "Rights"),
        Text("Tout droit finit", "Every right ends"),
        "access",
        MINUTES_S,
        _T + "test_a_live_token_of_a_closed_account_is_red",
        rights,
    ),
    Check(
        "tech-5.second-factor",
        Text("Second facteur", "Second factor"),
        Text("Administration à deux facteurs", "Two factors to administer"),
        "access",
        MINUTES_S,
        _T + "test_no_second_factor_is_red",
        second_factor,
    ),
)
