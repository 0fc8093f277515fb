"""tech-3, complete journal: freshness, publication, integrity, the witness, the clock."""

from __future__ import annotations

from hygie.base.clock import iso_ms
from hygie.proof.facts import (
    ClockFacts,
    FreshFacts,
    HistoryFacts,
    JournalFacts,
    LogsFacts,
    RightsFacts,
    UnwrapFacts,
    WitnessFacts,
)
from hygie.proof.model import Check, Context, Outcome, Text, same, satisfied, unknown, unsatisfied

MINUTES_S = 600.0
DELAY_MS_MAX = 10_000
WAITING_MS_MAX = 10_000  # from the entry's instant; the sealer publishes each half second
CLOCK_ERROR_MS_MAX = 1_000.0
UNPUBLISHED_MS_MAX = 60_000  # published every two seconds; a quorum that is away is no fault of the logs before that
FALSE = -1
FOREIGN_DAYS = 35  # what was planted stays in the tree for ever: its incident lasts longer than this
_STATES = {
    "yes": Text("disciplinée", "disciplined"),
    "no": Text("libre", "free"),
    "unknown": Text("non dit", "not told"),
}


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


def published(fact: JournalFacts, context: Context) -> Outcome:
    """What is indexed is signed and shown on the sites, and nothing waits long."""
    waited_ms = context.now_ms - fact.oldest_pending_ms if fact.oldest_pending_ms is not None else 0
    shown = ", ".join(
        f"{name} {'✗' if size == FALSE else '-' if size is None else size}" for name, size in _sites(fact)
    )
    observed = Text(
        f"{fact.published} sur {fact.indexed} publiées, {fact.pending} en attente ; {shown}",
        f"{fact.published} of {fact.indexed} published, {fact.pending} waiting; {shown}",
    )
    declared = Text("tête signée sur chaque site en 10 s", "signed head on each site within 10 s")
    remedy = Text("Vérifiez hygie work et les sites.", "Check hygie work and the sites.")
    false = [name for name, size in _sites(fact) if size == FALSE]
    silent = [name for name, size in _sites(fact) if size is None]
    behind = [name for name, size in _sites(fact) if size is not None and FALSE != size < fact.published]
    why: Text | None = None
    if false:
        remedy = Text("Prévenez la sécurité, à l'instant.", "Tell security, at once.")
        why = Text(f"Tête de journal fausse sur {', '.join(false)}.", f"A false journal head on {', '.join(false)}.")
    elif waited_ms > WAITING_MS_MAX:
        why = Text("Des entrées attendent leur scellement.", "Entries wait to be sealed.")
    elif silent:
        why = Text(f"Pas de journal sur {', '.join(silent)}.", f"No journal on {', '.join(silent)}.")
    elif behind:
        why = Text(f"Journal en retard sur {', '.join(behind)}.", f"Journal behind on {', '.join(behind)}.")
    if why is not None:
        return unsatisfied(why, observed, declared, remedy)
    return satisfied(Text("Journal signé et copié.", "Journal signed and copied."), observed, declared)


def _sites(fact: JournalFacts) -> list[tuple[str, int | None]]:
    return sorted(fact.sites.items())


def history(fact: HistoryFacts, _: Context) -> Outcome:
    """The tree, read again in parts, is the one that was signed."""
    rows = Text("trop pour un coup d'œil", "too many for one look") if fact.rows is None else same(str(fact.rows))
    observed = Text(
        f"{fact.size} entrées : lots relus {fact.bundles}, têtes {fact.checkpoints}, lignes comparées {rows.fr}",
        f"{fact.size} entries: bundles re-read {fact.bundles}, heads {fact.checkpoints}, rows compared {rows.en}",
    )
    declared = Text("tout mène à la racine signée", "all leads to the signed root")
    if fact.broken:
        why = Text(f"Le journal est altéré ({fact.broken}).", f"The journal is altered ({fact.broken}).")
        remedy = Text("Prévenez la sécurité, à l'instant.", "Tell security, at once.")
        return unsatisfied(why, observed, declared, remedy)
    return satisfied(Text("Le journal relu est intègre.", "The journal re-read is intact."), observed, declared)


def foreign(fact: RightsFacts, context: Context) -> Outcome:
    """Nobody puts in the journal what is no entry: a process that may add to it, and is not ours any more, could."""
    observed = Text(f"{fact.foreign} feuilles étrangères", f"{fact.foreign} foreign leaves")
    declared = Text(f"aucune depuis {FOREIGN_DAYS} j", f"none for {FOREIGN_DAYS} d")
    if fact.compared_at_ms is None:
        why = Text("Journal pas encore relu.", "The journal was not read again yet.")
        return unknown(why, observed, declared, Text("Vérifiez hygie work.", "Check hygie work."))
    if fact.foreign and context.now_ms - fact.foreign_ms < FOREIGN_DAYS * 86_400_000:
        why = Text(
            f"Le journal a reçu ce qui n'est pas une entrée (rang {fact.foreign_at}).",
            f"The journal was given what is no entry (index {fact.foreign_at}).",
        )
        remedy = Text(
            "Un processus de Hygie est détourné : prévenez la sécurité, à l'instant.",
            "A process of Hygie is hijacked: tell security, at once.",
        )
        return unsatisfied(why, observed, declared, remedy)
    why = Text("Le journal ne reçoit que des entrées.", "The journal is given entries only.")
    return satisfied(why, observed, declared, at_ms=fact.compared_at_ms)


_WHERE = {
    "here": Text("sur cette machine", "on this machine"),
    "elsewhere": Text("ailleurs", "elsewhere"),
    "none": Text("absent", "none"),
}


def witness(fact: WitnessFacts, _: Context) -> Outcome:
    """Somebody else has seen the tree."""
    where = _WHERE[fact.where]
    size = f"{fact.cosigned if fact.cosigned is not None else '-'}/{fact.published}"
    observed = Text(f"{where.fr}, {size} contresignées", f"{where.en}, {size} cosigned")
    declared = Text("témoin sous une autre administration, à jour", "a witness under another administrator, up to date")
    remedy = Text("Confiez le témoin à un tiers (witness.url).", "Give the witness to a third party (witness.url).")
    if fact.where == "none" or fact.cosigned is None:
        return unsatisfied(Text("Aucun témoin.", "No witness."), observed, declared, remedy)
    if not fact.agrees:
        why = Text("Le témoin a vu un autre journal.", "The witness has seen another journal.")
        at_once = Text("Prévenez la sécurité, à l'instant.", "Tell security, at once.")
        return unsatisfied(why, observed, declared, at_once)
    if fact.cosigned < fact.published:
        why = Text("Le témoin n'a pas tout contresigné.", "The witness has not cosigned all.")
        return unsatisfied(why, observed, declared, remedy)
    if fact.where == "here":
        why = Text("Témoin sur cette machine : aucune indépendance.", "A witness on this machine: no independence.")
        return unsatisfied(why, observed, declared, remedy)
    why = Text("À jour ; qui l'administre ne se mesure pas d'ici.", "Up to date; who runs it cannot be seen from here.")
    attested = Text("Faites attester son administrateur.", "Have its administrator attested.")
    return unknown(why, observed, declared, attested)


def unwraps(fact: UnwrapFacts, _: Context) -> Outcome:
    """The key record is the one whose heads the journal holds."""
    anchored = "-" if fact.anchored_lines is None else str(fact.anchored_lines)
    observed = Text(f"{fact.lines} lignes, {anchored} ancrées", f"{fact.lines} lines, {anchored} anchored")
    declared = Text("le registre passe par chaque tête ancrée", "the record goes through each anchored head")
    if fact.anchored_at_ms is None:
        why = Text("Registre des clés pas encore ancré.", "The key record is not anchored yet.")
        return unknown(why, observed, declared, Text("Vérifiez hygie work.", "Check hygie work."))
    at_ms = fact.cut_at_ms if fact.cut_at_ms is not None else fact.anchored_at_ms
    if fact.cut or not fact.follows:
        at = iso_ms(at_ms)
        why = Text(f"Registre des clés coupé ou altéré depuis {at}.", f"The key record was cut or altered since {at}.")
        remedy = Text("Gardez-le comme preuve, prévenez la sécurité.", "Keep it as evidence, tell security.")
        return unsatisfied(why, observed, declared, remedy)
    return satisfied(Text("Registre des clés entier.", "The key record is whole."), observed, declared, at_ms=at_ms)


_LOGS = {"records": Text("registres", "registers"), "batches": Text("évaluations", "evaluations")}


def logs(fact: LogsFacts, _: Context) -> Outcome:
    """Registers and evidence are those that the journal names, and the sites have them."""
    shown = [
        (_LOGS[one.log], f"{one.head}/{one.named}/{one.published}" + (f" (−{one.declared})" if one.declared else ""))
        for one in fact.logs
    ]
    observed = Text(
        "écrit/nommé/publié : " + ", ".join(f"{name.fr} {numbers}" for name, numbers in shown),
        "written/named/published: " + ", ".join(f"{name.en} {numbers}" for name, numbers in shown),
    )
    declared = Text("ce que le journal nomme, publié en 60 s", "what the journal names, published within 60 s")
    if fact.compared_at_ms is None:
        why = Text("Jamais comparés au journal.", "Never compared with the journal.")
        return unknown(why, observed, declared, Text("Vérifiez hygie work.", "Check hygie work."))
    for one in fact.logs:
        name = _LOGS[one.log]
        fault = one.fault or (f"{one.head + 1}-{one.named}" if one.head < one.named else "")
        if fault or one.head < one.published:
            lacking = fault or f"{one.head + 1}-{one.published}"
            why = Text(f"Le journal dément les {name.fr} : {lacking}.", f"The journal belies the {name.en}: {lacking}.")
            remedy = Text("Gardez la base comme preuve, prévenez la sécurité.", "Keep the database, tell security.")
            return unsatisfied(why, observed, declared, remedy)
        if one.waits_ms > UNPUBLISHED_MS_MAX:
            why = Text(f"Des {name.fr} ne sont que dans la base.", f"Some {name.en} are in the database alone.")
            remedy = Text("Vérifiez hygie work et les sites.", "Check hygie work and the sites.")
            return unsatisfied(why, observed, declared, remedy)
    if lost := sum(one.declared for one in fact.logs):
        why = Text(f"Perdus et déclarés : {lost} numéros.", f"Lost, and declared so: {lost} numbers.")
        remedy = Text(
            "Ramenez un site qui les aurait ; dites-le à l'auditeur.", "Bring back a site that may have them."
        )
        return unknown(why, observed, declared, remedy)
    why = Text("Registres et preuves conformes au journal.", "Registers and evidence are as the journal says.")
    return satisfied(why, observed, declared, at_ms=fact.compared_at_ms)


def clock(fact: ClockFacts, _: Context) -> Outcome:
    """Instants in the journal can be believed."""
    state = _STATES[fact.disciplined]
    observed = Text(f"{state.fr}, ± {fact.max_error_ms:.0f} ms", f"{state.en}, ± {fact.max_error_ms:.0f} ms")
    declared = Text(f"disciplinée, ± {CLOCK_ERROR_MS_MAX:.0f} ms", f"disciplined, ± {CLOCK_ERROR_MS_MAX:.0f} ms")
    remedy = Text("Activez NTP (chrony, systemd-timesyncd).", "Turn NTP on (chrony, systemd-timesyncd).")
    if fact.disciplined == "unknown":
        why = Text("Le noyau ne dit pas l'horloge synchronisée.", "The kernel does not call the clock synchronised.")
        return unknown(why, observed, declared, remedy)
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
        "tech-3.foreign",
        Text("Feuilles étrangères", "Foreign leaves"),
        Text("Le journal ne reçoit que des entrées", "The journal is given entries only"),
        "rights",
        MINUTES_S,
        _T + "test_bytes_that_are_no_entry_are_red",
        foreign,
    ),
    Check(
        "tech-3.witness",
        Text("Témoin", "Witness"),
        Text("Un tiers a vu le journal", "A third party saw the journal"),
        "witness",
        MINUTES_S,
        _T + "test_a_witness_of_ones_own_is_red",
        witness,
        on_facts="satisfied: never given, who runs a witness cannot be seen from here",
    ),
    Check(
        "tech-3.unwraps",
        Text("Registre des clés", "Key record"),
        Text("Le registre des clés est entier", "The key record is whole"),
        "unwraps",
        MINUTES_S,
        _T + "test_a_key_record_that_is_cut_is_red",
        unwraps,
    ),
    Check(
        "tech-3.logs",
        Text("Registres et preuves", "Registers and evidence"),
        Text("Rien n'en manque ni n'en est changé", "Nothing of them lacks or was changed"),
        "logs",
        MINUTES_S,
        _T + "test_logs_that_went_back_are_red",
        logs,
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
