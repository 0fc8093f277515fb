"""tech-5, hardening: processes, files, rights, second factor."""

from __future__ import annotations

from collections.abc import Sequence

from hygie.base.roles import ROLES
from hygie.proof.facts import AccessFacts, FileFacts, ProcessesFacts, RightsFacts
from hygie.proof.model import Check, Context, Outcome, Text, same, satisfied, unknown, unsatisfied

MINUTES_S = 600.0
REVIEW_HOURS_MAX = 72  # for who reviews an opened record, or answers for an emergency
TOKEN_DAYS_MAX = 90  # a stolen token is worth at most a season
DEFAULT_NAMES = frozenset(
    ("admin", "administrator", "administrateur", "default", "demo", "guest", "root", "test", "user")
)
DATABASE_ROLES = frozenset(("hygie_owner", "hygie_hosting", "hygie_sealer", "hygie_console", "hygie_watch", "postgres"))
SENSITIVE = frozenset(role.value for role, card in ROLES.items() if card.sensitive)
DAY_MS = 86_400_000


def processes(fact: ProcessesFacts, _: Context) -> Outcome:
    """Every process runs, without root nor a way to it, without core dumps, out of reach of a debugger."""
    accounts = {one.uid for one in fact.processes}
    observed = Text(
        f"{len(fact.processes)} processus, comptes {sorted(accounts)}, core {_cores(fact)}",
        f"{len(fact.processes)} processes, accounts {sorted(accounts)}, core {_cores(fact)}",
    )
    declared = Text("ni root, ni core, ni traçables, ni nouveaux droits", "no root, no core, no tracing, no new rights")
    dumping = [one.name for one in fact.processes if one.core_limit not in (0, None) or one.traceable == "yes"]
    rising = [one.name for one in fact.processes if not one.no_new_privileges]
    why: Text | None = None
    remedy = Text("Redémarrez ces processus.", "Restart these processes.")
    if dumping:
        why = Text(f"Mémoire exposée : {_list(dumping)}.", f"Memory exposed: {_list(dumping)}.")
    elif fact.absent:
        why = Text(f"Processus absents : {_list(fact.absent)}.", f"Processes absent: {_list(fact.absent)}.")
        remedy = same("hygie up")
    elif 0 in accounts:
        why = Text("Des processus tournent en root.", "Processes run as root.")
        remedy = Text("Lancez Hygie sous un compte à lui.", "Run Hygie under an account of its own.")
    elif rising:
        why = Text(f"Droits extensibles : {_list(rising)}.", f"May gain rights: {_list(rising)}.")
    if why is not None:
        return unsatisfied(why, observed, declared, remedy)
    if fact.cores_piped or any(one.core_limit is None or one.traceable == "unknown" for one in fact.processes):
        remedy = Text(
            "Gardez les cores hors d'un programme (core_pattern).", "Keep cores from a program (core_pattern)."
        )
        return unknown(Text("Protections non montrées.", "Protections are not shown."), observed, declared, remedy)
    return satisfied(Text("Processus durcis.", "Processes are hardened."), observed, declared)


def _cores(fact: ProcessesFacts) -> str:
    return "/".join(sorted({"?" if one.core_limit is None else str(one.core_limit) for one in fact.processes})) or "-"


def _list(names: Sequence[str]) -> str:
    return ", ".join(dict.fromkeys(names))


def files(fact: Sequence[FileFacts], _: Context) -> Outcome:
    """Secret files are readable by their owner only."""
    exposed = [one.path for one in fact if one.exposed]
    observed = Text(f"{len(fact)} lieux, exposés : {len(exposed)}", f"{len(fact)} places, exposed: {len(exposed)}")
    declared = Text("aucun exposé", "none exposed")
    if exposed:
        why = Text(f"Ouvert aux autres : {exposed[0]}.", f"Open to others: {exposed[0]}.")
        return unsatisfied(why, observed, declared, same(f"chmod go= {exposed[0]}"))
    return satisfied(Text("Fichiers secrets fermés.", "Secret files are closed."), observed, declared)


def rights(fact: AccessFacts, context: Context) -> Outcome:
    """Tokens are short, and none outlives its account or its last habilitation."""
    now = context.now_ms
    live = [one for one in fact.tokens if one["revoked_ms"] is None and one["expires_ms"] > now]
    long = [one["account"] for one in live if one["expires_ms"] - one["created_ms"] > TOKEN_DAYS_MAX * DAY_MS]
    closed = {one["id"] for one in fact.accounts if one["state"] != "open" or one["ends_ms"] <= now}
    granted = {(one["account"], one["environment"]): False for one in fact.habilitations}
    for one in fact.habilitations:
        granted[one["account"], one["environment"]] |= one["revoked_ms"] is None and one["ends_ms"] > now
    ghosts = [one["account"] for one in live if one["account"] in closed]
    overdue = [one["account"] for one in live if granted.get((one["account"], one["environment"])) is False]
    observed = Text(
        f"{len(live)} jetons : {len(long)} longs, {len(ghosts)} d'un compte clos, {len(overdue)} sans droit restant",
        f"{len(live)} tokens: {len(long)} long, {len(ghosts)} of a closed account, {len(overdue)} with no right left",
    )
    declared = Text(
        f"jetons ≤ {TOKEN_DAYS_MAX} j, clos avec le droit", f"tokens ≤ {TOKEN_DAYS_MAX} d, ended with rights"
    )
    for names, why in (
        (ghosts, Text("Un jeton survit à son compte", "A token outlives its account")),
        (overdue, Text("Un jeton survit à son dernier droit", "A token outlives its last right")),
        (long, Text("Un jeton dure trop", "A token lasts too long")),
    ):
        if names:
            told = Text(f"{why.fr} : {names[0]}.", f"{why.en}: {names[0]}.")
            return unsatisfied(told, observed, declared, same("hygie token list ; hygie token revoke"))
    return satisfied(Text("Jetons courts, tenus.", "Tokens are short and kept."), observed, declared)


def grants(fact: RightsFacts, _: Context) -> Outcome:
    """Every right in the tables was written by Hygie and said in the journal."""
    found = [*fact.forged, *fact.wrong]
    observed = Text(
        f"{fact.live} droits : {len(fact.forged)} sans MAC, {len(fact.wrong)} que le journal dément",
        f"{fact.live} rights: {len(fact.forged)} without their MAC, {len(fact.wrong)} that the journal denies",
    )
    declared = Text("chacun scellé et journalisé", "each one sealed and journaled")
    remedy = Text("hygie journal reconcile ; prévenez la sécurité", "hygie journal reconcile; tell security")
    if found:
        why = Text(f"Droit écrit hors de Hygie : {found[0]}.", f"A right written behind Hygie's back: {found[0]}.")
        return unsatisfied(why, observed, declared, remedy)
    if fact.compared_at_ms is None or not fact.complete:
        why = Text("Droits pas encore comparés au journal.", "Rights not yet compared with the journal.")
        return unknown(why, observed, declared, Text("Vérifiez hygie work.", "Check hygie work."))
    why = Text("Chaque droit a son acte au journal.", "Every right has its act in the journal.")
    return satisfied(why, observed, declared, at_ms=fact.compared_at_ms)


def accounts(fact: AccessFacts, context: Context) -> Outcome:
    """No account has a name that everybody tries, and nothing else may log in to the database."""
    default = sorted(one["id"] for one in fact.accounts if one["state"] == "open" and one["id"] in DEFAULT_NAMES)
    embedded = context.settings.database.dsn is None  # another server has accounts of its own administration
    extra = sorted(set(fact.login_roles) - DATABASE_ROLES) if embedded else []
    observed = Text(
        f"{len(fact.accounts)} comptes, base : {', '.join(fact.login_roles)}",
        f"{len(fact.accounts)} accounts, database: {', '.join(fact.login_roles)}",
    )
    declared = Text("aucun compte par défaut ni ignoré", "no default nor unknown account")
    if default or extra:
        name = (default + extra)[0]
        why = Text(f"Compte par défaut ou ignoré : {name}.", f"A default or unknown account: {name}.")
        return unsatisfied(why, observed, declared, Text("Fermez ce compte.", "Close this account."))
    return satisfied(Text("Aucun compte par défaut.", "No default account."), observed, declared)


def exceptions(fact: AccessFacts, context: Context) -> Outcome:
    """Somebody else reviewed each record opened outside a scope, and answered for each right raised in an emergency."""
    waiting = [one for one in fact.exceptions if not one["answered"]]
    late = [one for one in waiting if context.now_ms - one["at_ms"] > REVIEW_HOURS_MAX * 3_600_000]
    observed = Text(
        f"{len(fact.exceptions)} accès d'exception : {len(waiting)} à revoir, {len(late)} en retard",
        f"{len(fact.exceptions)} exceptional accesses: {len(waiting)} to review, {len(late)} late",
    )
    declared = Text(f"chacun revu en {REVIEW_HOURS_MAX} h", f"each one reviewed within {REVIEW_HOURS_MAX} h")
    if late:
        first = late[0]
        why = Text(f"Non revu : {first['kind']} {first['id']}.", f"Not reviewed: {first['kind']} {first['id']}.")
        return unsatisfied(why, observed, declared, same("rights/break-glass ; rights/requests"))
    return satisfied(Text("Accès d'exception revus.", "Exceptional accesses are reviewed."), observed, declared)


def reviews(fact: AccessFacts, context: Context) -> Outcome:
    """Each right of a campaign of reviews has its decision by the day on which it was to end."""
    late = [one for one in fact.campaigns if one["due_ms"] < context.now_ms and one["waiting"]]
    observed = Text(
        f"{len(fact.campaigns)} campagnes, {len(fact.reviews)} décisions, en retard : {len(late)}",
        f"{len(fact.campaigns)} campaigns, {len(fact.reviews)} decisions, late: {len(late)}",
    )
    declared = Text("une décision par droit, à temps", "a decision for each right, in time")
    if late:
        first = late[0]
        why = Text(
            f"{first['waiting']} droits sans décision : {first['name']}.",
            f"{first['waiting']} rights without a decision: {first['name']}.",
        )
        return unsatisfied(why, observed, declared, same("rights/reviews"))
    return satisfied(Text("Campagnes de revue tenues.", "Campaigns of reviews are kept."), observed, declared)


def second_factor(fact: AccessFacts, context: Context) -> Outcome:
    """Whoever administers proves himself by two factors, or a security key, and by nothing less."""
    people, kinds = _administrators(fact, context.now_ms), _kinds(fact, context)
    loose = [one.name for one in context.settings.identity_providers if not one.shape.acr]
    lacking = [one for one in people if not (kinds[one] & {"webauthn", "oidc"} or {"password", "totp"} <= kinds[one])]
    linked = [one for one in people if loose and "oidc" in kinds[one]]
    bare = [one for one in people if "token" in kinds[one]]
    observed = Text(
        f"{len(people)} administrent : {len(lacking)} sans second facteur, {len(linked)} par une identité sans niveau,"
        f" {len(bare)} par jeton",
        f"{len(people)} administer: {len(lacking)} without a second factor, {len(linked)} by an identity without a"
        f" level, {len(bare)} by token",
    )
    declared = Text("deux facteurs, ou une clé de sécurité", "two factors, or a security key")
    for names, wrong, remedy in (
        (lacking, Text("Sans second facteur", "Without a second factor"), "hygie person enrol"),
        (bare, Text("Un jeton suffit pour entrer", "A token is enough to enter"), "hygie token revoke"),
        (linked, Text("Son identité ne dit pas de niveau", "His identity says no level"), "identity_providers: acr"),
    ):
        if names:
            told = Text(f"{wrong.fr} : {names[0]}.", f"{wrong.en}: {names[0]}.")
            return unsatisfied(told, observed, declared, same(remedy))
    if not people:
        why = Text("Seuls des comptes de la machine administrent.", "Only accounts of the machine administer.")
        entered = Text("Montrez comment on y entre (interventions).", "Show how they are entered (interventions).")
        return unknown(why, observed, declared, entered)
    return satisfied(
        Text("Qui administre a deux facteurs.", "Whoever administers has two factors."), observed, declared
    )


def _administrators(fact: AccessFacts, now_ms: int) -> list[str]:
    """Open accounts of persons with a live right that gives power over rights or much data, by name."""
    persons = {
        one["id"]
        for one in fact.accounts
        if (one["kind"], one["state"]) == ("person", "open") and one["ends_ms"] > now_ms
    }
    return sorted(
        {
            one["account"]
            for one in fact.habilitations
            if one["account"] in persons
            and one["role"] in SENSITIVE
            and one["revoked_ms"] is None
            and one["suspended_ms"] is None
            and one["ends_ms"] > now_ms
        }
    )


def _kinds(fact: AccessFacts, context: Context) -> dict[str, set[str]]:
    """What opens a door to each account: kinds of authenticators, and ``token``."""
    vouched = any(one.shape.professional_claim for one in context.settings.identity_providers)
    kinds: dict[str, set[str]] = {
        one["id"]: {"oidc"} if vouched and one["numbered"] else set() for one in fact.accounts
    }
    for one in fact.authenticators:
        kinds.setdefault(one["account"], set()).add(one["kind"])
    for one in fact.tokens:
        if one["revoked_ms"] is None and one["expires_ms"] > context.now_ms:
            kinds.setdefault(one["account"], set()).add("token")
    return kinds


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
        "tech-5.grants",
        Text("Origine des droits", "Origin of rights"),
        Text("Aucun droit écrit hors de Hygie", "No right written behind Hygie's back"),
        "rights",
        MINUTES_S,
        _T + "test_a_right_written_by_sql_is_red",
        grants,
    ),
    Check(
        "tech-5.accounts",
        Text("Comptes", "Accounts"),
        Text("Aucun compte par défaut", "No default account"),
        "access",
        MINUTES_S,
        _T + "test_a_default_account_is_red",
        accounts,
    ),
    Check(
        "tech-5.exceptions",
        Text("Accès d'exception", "Exceptional accesses"),
        Text("Bris de glace et urgences revus par un autre", "Break-glass and emergencies reviewed by another"),
        "access",
        MINUTES_S,
        _T + "test_a_break_glass_that_nobody_reviewed_is_red",
        exceptions,
    ),
    Check(
        "tech-5.reviews",
        Text("Revues des droits", "Reviews of rights"),
        Text("Chaque droit d'une campagne a sa décision", "Each right of a campaign has its decision"),
        "access",
        MINUTES_S,
        _T + "test_a_campaign_that_is_late_is_red",
        reviews,
    ),
    Check(
        "tech-5.second-factor",
        Text("Second facteur", "Second factor"),
        Text("Deux facteurs pour administrer par Hygie", "Two factors to administer through Hygie"),
        "access",
        MINUTES_S,
        _T + "test_an_administrator_without_a_second_factor_is_red",
        second_factor,
    ),
)
