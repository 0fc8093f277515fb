"""tech-2, segmentation: what one environment obtains from another, and from administration."""

from __future__ import annotations

from hygie.proof.facts import DoorFacts, FlowFacts, Measurements, SegmentationFacts
from hygie.proof.flows.compare import compare, said
from hygie.proof.flows.model import ApartFacts, MatrixFacts, ZoneFacts
from hygie.proof.model import Check, Context, Outcome, Text, same, satisfied, unknown, unsatisfied

MINUTES_S = 600.0
HOUR_S = 3_600.0
SHOWN_MAX = 5  # names in one sentence


_SECOND = Text(
    "Créez-en un second, de test (hygie environment create).",
    "Create a second one, for tests (hygie environment create).",
)


def database(fact: SegmentationFacts, _: Context) -> Outcome:
    """An environment's role reads itself, and nothing else."""
    leaks = [one for one in (*fact.across, *fact.administration) if one.outcome == "allowed"]
    odd = [one for one in (*fact.across, *fact.administration) if one.outcome not in {"allowed", "refused"}]
    blind = [one for one in fact.controls if one.outcome != "allowed"]
    tried = len(fact.across) + len(fact.administration)
    observed = Text(f"{tried} tentatives, acceptées : {len(leaks)}", f"{tried} attempts, allowed: {len(leaks)}")
    declared = Text("toutes refusées", "all refused")
    if leaks:
        one = leaks[0]
        remedy = Text(
            f"Retirez ce droit : REVOKE ALL ON {one.target} FROM {one.role}.",
            f"Withdraw this right: REVOKE ALL ON {one.target} FROM {one.role}.",
        )
        return unsatisfied(
            Text(f"{one.role} lit {one.target}.", f"{one.role} reads {one.target}."), observed, declared, remedy
        )
    if blind or odd or fact.environments < 2:
        why, remedy = Text("Moins de deux environnements à opposer.", "Fewer than two environments."), _SECOND
        if blind or odd:
            why = Text("Une sonde n'a pas pu s'exercer.", "A probe could not be tried.")
            remedy = Text("Voyez les journaux de la base (logs/).", "See the database's logs (logs/).")
        return unknown(why, observed, declared, remedy)
    return satisfied(
        Text("Chaque environnement ne voit que lui.", "Each environment sees itself only."), observed, declared
    )


def door(fact: DoorFacts, _: Context) -> Outcome:
    """Without a right, what exists and what does not are answered alike."""
    shown = ["?" if one is None else str(one) for one in (fact.own, fact.other, fact.absent)]
    strangers = f"{fact.without_token}/{fact.unknown_token}"
    observed = Text(
        f"inconnu {strangers} ; jeton sans droit : chez lui {shown[0]}, ailleurs {shown[1]}, nulle part {shown[2]}",
        f"stranger {strangers}; token without right: at home {shown[0]}, elsewhere {shown[1]}, nowhere {shown[2]}",
    )
    declared = Text("401 ; 403, 404, 404, mêmes octets", "401; 403, 404, 404, same bytes")
    as_declared = (fact.without_token, fact.unknown_token) == (401, 401) and fact.same_answer
    if (
        not as_declared
        or fact.own not in {403, None}
        or fact.other not in {404, None}
        or fact.absent not in {404, None}
    ):
        why = Text("La porte trahit ce qui existe, ou admet sans droit.", "The door tells what exists, or admits.")
        return unsatisfied(
            why, observed, declared, Text("Prévenez la sécurité, à l'instant.", "Tell security, at once.")
        )
    if fact.own is None or fact.other is None:
        why = Text("Moins de deux environnements à opposer.", "Fewer than two environments.")
        return unknown(why, observed, declared, _SECOND)
    why = Text("Le voisin est refusé comme s'il n'existait pas.", "A neighbour is refused as if it did not exist.")
    return satisfied(why, observed, declared)


def network(fact: FlowFacts, context: Context) -> Outcome:
    """Only the declared ports are listened on."""
    host, metrics = context.settings.host, context.settings.metrics
    ports = {host.port, *([metrics.port] if metrics.port is not None else [])}
    extra = [one for one in fact.listening if one[2] not in ports]
    seen = [f"{name} {address}:{port}" for name, address, port in fact.listening]
    observed = same(", ".join(seen + [f"? {address}:{port}" for address, port in fact.unnamed]) or "-")
    also = f", {metrics.address}:{metrics.port}" if metrics.port is not None else ""
    declared = same(f"{host.address}:{host.port}{also}")
    if extra:
        why = Text("Un port ouvert n'est pas déclaré.", "An open port is not declared.")
        return unsatisfied(why, observed, declared, Text("Fermez ce port.", "Close this port."))
    beside = any(port not in ports for _, port in fact.unnamed)  # Hygie's, or another program's
    if beside or not (fact.listening or fact.unnamed):
        remedy = Text("Lancez hygie status en root.", "Run hygie status as root.")
        return unknown(Text("Ports non lisibles.", "Ports could not be read."), observed, declared, remedy)
    return satisfied(Text("Seul le port déclaré est ouvert.", "Only the declared port is open."), observed, declared)


def connections(fact: MatrixFacts, _: Context) -> Outcome:
    """What listens and who is connected is on a line of the matrix."""
    compared = compare(fact)
    silent = sorted({one.line.called for one in compared.states if one.listens == "no"})
    strange = [said(one) for one in (*compared.undeclared, *compared.unnamed)]
    links = sum(one.count for one in fact.links)
    fr = f"{links} connexions, hors matrice : {', '.join(strange[:SHOWN_MAX]) or '0'}"
    en = f"{links} connections, on no line: {', '.join(strange[:SHOWN_MAX]) or '0'}"
    if silent:
        fr, en = f"{fr} ; n'écoutent pas : {', '.join(silent)}", f"{en}; not listening: {', '.join(silent)}"
    observed = Text(fr, en)
    declared = Text(f"{len(fact.lines)} lignes (hygie flows show)", f"{len(fact.lines)} lines (hygie flows show)")
    if compared.undeclared:
        why = Text("Un flux n'est pas déclaré.", "A flow is not declared.")
        remedy = Text("Voyez qui (hygie flows show) et coupez-le.", "See who (hygie flows show), and cut it.")
        return unsatisfied(why, observed, declared, remedy)
    if compared.unnamed or not fact.listening:
        remedy = Text("Lancez hygie flows show en root.", "Run hygie flows show as root.")
        return unknown(Text("Des flux n'ont pas de nom.", "Flows have no name."), observed, declared, remedy)
    return satisfied(Text("Tous les flux sont déclarés.", "All flows are declared."), observed, declared)


def zones(fact: ZoneFacts, _: Context) -> Outcome:
    """What is tried from one zone on another is refused."""
    through = [one for one in fact.attempts if one.outcome == "allowed"]
    untried = [one for one in fact.attempts if one.outcome not in {"allowed", "refused"}]
    blind = [one for one in fact.controls if one.outcome != "allowed"]
    tried = len(fact.attempts) - len(untried)
    observed = Text(f"{tried} tentatives, passées : {len(through)}", f"{tried} attempts, got through: {len(through)}")
    declared = Text("toutes refusées", "all refused")
    if through:
        one = through[0]
        why = Text(f"{one.zone} atteint {one.target}.", f"{one.zone} reaches {one.target}.")
        remedy = Text("Retirez ce droit, ou fermez ce chemin.", "Withdraw this right, or close this way.")
        return unsatisfied(why, observed, declared, remedy)
    if untried or blind:
        named = ", ".join(f"{one.zone} → {one.target}: {one.outcome}" for one in (*blind, *untried)[:SHOWN_MAX])
        why = Text(f"Une sonde n'a pas pu s'exercer ({named}).", f"A probe could not be tried ({named}).")
        remedy = Text("Lancez hygie status en root.", "Run hygie status as root.")
        return unknown(why, observed, declared, remedy)
    if fact.environments < 2:
        why = Text("Moins de deux environnements à opposer.", "Fewer than two environments.")
        return unknown(why, observed, declared, _SECOND)
    why = Text("Aucune zone n'entre chez une autre.", "No zone enters another.")
    return satisfied(why, observed, declared)


def apart(fact: ApartFacts, _: Context) -> Outcome:
    """Environments share neither role, nor right, nor key."""
    fr = f"{fact.environments} environnements, {fact.tried} clés opposées, en commun : {len(fact.faults)}"
    en = f"{fact.environments} environments, {fact.tried} keys opposed, shared: {len(fact.faults)}"
    observed, declared = Text(fr, en), Text("rien en commun", "nothing shared")
    if fact.faults:
        named = "; ".join(fact.faults[:SHOWN_MAX])
        why = Text(f"Des environnements partagent : {named}.", f"Environments share: {named}.")
        remedy = Text("Défaites ce lien, prévenez la sécurité.", "Undo this link, tell security.")
        return unsatisfied(why, observed, declared, remedy)
    if fact.own < fact.packs:
        why = Text("Un lot ne s'ouvre pas avec sa propre clé.", "A pack does not open with its own key.")
        return unknown(why, observed, declared, same("hygie scrub"))
    if fact.environments < 2:
        why = Text("Moins de deux environnements à opposer.", "Fewer than two environments.")
        return unknown(why, observed, declared, _SECOND)
    return satisfied(Text("Les environnements ne partagent rien.", "Environments share nothing."), observed, declared)


def canaries(fact: Measurements, _: Context) -> Outcome:
    """No word of a planted record is read outside its environment."""
    newest = fact.get("canaries")
    declared = Text("aucun mot de témoin lisible", "no word of a canary readable")
    work = Text("Vérifiez que hygie work tourne.", "Check that hygie work runs.")
    if newest is None:
        return unknown(Text("Aucune recherche mesurée.", "No search measured."), same("-"), declared, work)
    seen, at_ms = newest.facts, newest.at_ms
    fr = f"{seen['sought']} témoins ; lus : {seen['files']} fichiers, {seen['tables']} parts de tables"
    en = f"{seen['sought']} canaries; read: {seen['files']} files, {seen['tables']} parts of tables"
    fr = f"{fr}, {seen['environments']} autres index ; trouvés : {seen['count']}"
    en = f"{en}, {seen['environments']} other indexes; found: {seen['count']}"
    observed = Text(fr, en)
    if seen["count"]:
        first = seen["found"][0]
        why = Text(f"Un témoin est lisible : {first}.", f"A canary is readable: {first}.")
        remedy = Text(
            "Cherchez ce qui l'a écrit là, et ce qu'il a écrit d'autre.",
            "Find what wrote it there, and what else it wrote.",
        )
        return unsatisfied(why, observed, declared, remedy, at_ms=at_ms)
    if not seen["sought"] or seen["lacking"]:
        bare = ", ".join(seen["lacking"]) or "-"
        why = Text(f"Pas de témoin planté ({bare}).", f"No canary planted ({bare}).")
        return unknown(why, observed, declared, same("hygie canary plant"), at_ms=at_ms)
    if seen["failed"] or not seen["control"] or seen["files_left"] or seen["tables_left"]:
        named = ", ".join([*seen["failed"], *seen.get("unopened", ())][:SHOWN_MAX])
        files, tables = seen["files_left"], seen["tables_left"]
        why = Text(
            f"Tout n'a pas été lu ({named or f'reste {files} fichiers, {tables} tables'}).",
            f"Not all was read ({named or f'left: {files} files, {tables} tables'}).",
        )
        return unknown(why, observed, declared, work, at_ms=at_ms)
    return satisfied(
        Text("Aucun témoin ne se lit ailleurs.", "No canary reads elsewhere."), observed, declared, at_ms=at_ms
    )


_T = "tests/sabotage/test_tech_2.py::"
CHECKS = (
    Check(
        "tech-2.database",
        Text("Base", "Database"),
        Text("Un rôle par environnement", "One role per environment"),
        "segmentation",
        MINUTES_S,
        _T + "test_a_role_that_reads_another_environment_is_red",
        database,
    ),
    Check(
        "tech-2.door",
        Text("Porte FHIR", "FHIR door"),
        Text("Refus indiscernables", "Refusals alike"),
        "door",
        MINUTES_S,
        _T + "test_a_door_that_tells_is_red",
        door,
    ),
    Check(
        "tech-2.network",
        Text("Ports ouverts", "Open ports"),
        Text("Flux déclarés = flux ouverts", "Declared flows = open flows"),
        "flows",
        MINUTES_S,
        _T + "test_an_undeclared_port_is_red",
        network,
    ),
    Check(
        "tech-2.connections",
        Text("Matrice des flux", "Flow matrix"),
        Text("Qui écoute et qui est connecté est déclaré", "Who listens and who is connected is declared"),
        "matrix",
        MINUTES_S,
        _T + "test_an_undeclared_connection_is_red",
        connections,
    ),
    Check(
        "tech-2.zones",
        Text("Entre zones", "Across zones"),
        Text("Refus par défaut, exercé", "Refused by default, tried"),
        "zones",
        MINUTES_S,
        _T + "test_a_zone_that_enters_another_is_red",
        zones,
    ),
    Check(
        "tech-2.apart",
        Text("Environnements séparés", "Environments apart"),
        Text("Ni rôle, ni droit, ni clé en commun", "Neither role, right nor key shared"),
        "apart",
        MINUTES_S,
        _T + "test_environments_that_share_something_are_red",
        apart,
    ),
    Check(
        "tech-2.canaries",
        Text("Témoins plantés", "Planted canaries"),
        Text("Rien ne fuit vers journaux, base, autres zones", "Nothing leaks to logs, database, other zones"),
        "measurements",
        HOUR_S,
        _T + "test_a_canary_in_a_log_or_another_environment_is_red",
        canaries,
    ),
)
