"""tech-1, systematic encryption: raw bytes, flows, memory, keys."""

from __future__ import annotations

from hygie.base.hardening import Swap
from hygie.proof.facts import DiskScan, KeyFacts, TlsFacts
from hygie.proof.model import Check, Context, Outcome, Text, same, satisfied, unknown, unsatisfied

MINUTES_S = 600.0
DAY_MS = 86_400_000
ROTATION_DAYS_MAX = 366  # a key is renewed at least once a year
EPOCH_DAYS_MAX = 14  # twice the life of an epoch: one change may be late, not two
CERTIFICATE_DAYS_MIN = 14  # renewal starts at 30 days: below this it has failed for two weeks
OFFERS_FR = {"refused": "refusé", "accepted": "ACCEPTÉ", "unclear": "pas de refus net"}


def plaintext(fact: DiskScan, _: Context) -> Outcome:
    """No file that holds health data shows any."""
    files = sum(area.files for area in fact.areas)
    read, total = (sum(sizes) / 1e6 for sizes in zip(*((a.bytes_read, a.bytes_total) for a in fact.areas), strict=True))
    observed = Text(
        f"textes clairs : {len(fact.found)} ; {files} fichiers, {read:.0f} Mo lus sur {total:.0f}",
        f"plaintexts: {len(fact.found)}; {files} files, {read:.0f} MB read of {total:.0f}",
    )
    declared = Text("aucun texte clair", "no plaintext")
    if fact.found:
        hit = fact.found[0]
        return unsatisfied(
            Text(f"Texte clair dans {hit.area} ({hit.file}).", f"Plaintext in {hit.area} ({hit.file})."),
            observed,
            declared,
            Text("Isolez ce fichier, traitez l'incident.", "Set this file apart, handle the incident."),
        )
    away = [area.name for area in fact.areas if area.error or (area.bytes_total and not area.bytes_read)]
    if away or not fact.control:
        return unknown(
            Text(f"Lieux non relus : {', '.join(away) or 'contrôle'}.", f"Not read: {', '.join(away) or 'control'}."),
            observed,
            declared,
            Text("Relisez-les là où ils sont.", "Have them read where they are."),
        )
    return satisfied(Text("Les octets bruts sont chiffrés.", "Raw bytes are ciphertext."), observed, declared)


def flows(fact: TlsFacts, context: Context) -> Outcome:
    """The served port negotiates TLS 1.2 or 1.3 with forward secrecy, and refuses what is weaker."""
    accepted = [name for name, answer in fact.offers.items() if answer == "accepted"]
    days = (fact.ends_ms - context.now_ms) / DAY_MS if fact.ends_ms else None
    left = same("?") if days is None else Text(f"{days:.0f} j", f"{days:.0f} d")
    observed = Text(
        f"{fact.version} {fact.cipher}, certificat {left.fr} ; "
        + ", ".join(f"{name} : {OFFERS_FR[answer]}" for name, answer in fact.offers.items()),
        f"{fact.version} {fact.cipher}, certificate {left.en}; "
        + ", ".join(f"{name}: {answer}" for name, answer in fact.offers.items()),
    )
    declared = Text(
        f"TLS 1.2+ ECDHE AEAD, certificat reconnu > {CERTIFICATE_DAYS_MIN} j",
        f"TLS 1.2+ ECDHE AEAD, a trusted certificate > {CERTIFICATE_DAYS_MIN} d",
    )
    remedy = Text("Vérifiez le certificat et ce qui termine TLS.", "Check the certificate and what ends TLS.")
    why: Text | None = None
    if accepted:
        why = Text(f"Offre faible acceptée : {accepted[0]}.", f"A weak offer is accepted: {accepted[0]}.")
    elif not fact.forward_secret:
        why = Text("Pas de confidentialité persistante.", "No forward secrecy.")
    elif not fact.trusted:
        why = Text("Certificat non reconnu par un client.", "A client does not trust the certificate.")
    elif days is not None and days < CERTIFICATE_DAYS_MIN:
        why = Text(f"Le certificat finit dans {left.fr}.", f"The certificate ends in {left.en}.")
    if why is not None:
        return unsatisfied(why, observed, declared, remedy)
    if any(answer != "refused" for answer in fact.offers.values()):
        why = Text("Une offre faible sans refus net.", "A weak offer not clearly refused.")
        return unknown(why, observed, declared, remedy)
    why = Text("TLS moderne, offres faibles refusées.", "Modern TLS, weak offers refused.")
    return satisfied(why, observed, declared)


def swap(fact: Swap, _: Context) -> Outcome:
    """Memory never reaches a disk in clear."""
    shown = {"yes": Text("aucun en clair", "none in clear"), "unknown": Text("non montré", "not shown")}
    observed = shown.get(fact.safe, same(", ".join(fact.exposed)))
    declared = Text("absent ou chiffré", "none or encrypted")
    if fact.safe == "yes":
        return satisfied(Text("Pas de swap en clair.", "No swap in clear."), observed, declared)
    if fact.safe == "no":
        remedy = Text("Coupez ou chiffrez le swap.", "Turn swap off, or encrypt it.")
        return unsatisfied(Text("Du swap en clair.", "Swap in clear."), observed, declared, remedy)
    remedy = Text("Coupez le swap, ou montrez qu'il est chiffré.", "Turn swap off, or show that it is encrypted.")
    why = Text("L'état du swap n'est pas montré.", "The state of swap is not shown.")
    return unknown(why, observed, declared, remedy)


_BESIDE = {
    "inside": Text("phrase de passe dans le dossier de données", "passphrase inside the data folder"),
    "same-device": Text("phrase de passe sur le disque des données", "passphrase on the disk of the data"),
    "elsewhere": Text("phrase de passe sur un autre disque", "passphrase on another disk"),
    "systemd": Text("phrase de passe remise par systemd", "passphrase handed by systemd"),
    "typed": Text("aucune phrase de passe sur disque", "no passphrase on disk"),
}


def key_custody(fact: KeyFacts, _: Context) -> Outcome:
    """Keys are out of reach of whoever holds the data."""
    beside = _BESIDE[fact.beside]
    observed = Text(f"{fact.driver}, {fact.sealing}, {beside.fr}", f"{fact.driver}, {fact.sealing}, {beside.en}")
    declared = Text("clés hors d'atteinte de qui tient les données", "keys out of reach of whoever holds the data")
    remedy = Text("Parts k sur n, ou phrase tapée (hygie up --ask).", "k of n shares, or a typed one (hygie up --ask).")
    if fact.beside in {"inside", "same-device"}:
        why = Text("La phrase de passe est à côté des données.", "The passphrase lies beside the data.")
        return unsatisfied(why, observed, declared, remedy)
    if not fact.unwraps_recorded:
        why = Text("L'usage des clés n'est pas consigné.", "The use of keys is not recorded.")
        return unsatisfied(why, observed, declared, remedy)
    if fact.exportable:
        why = Text("Clés en fichier, exportables : pas de HSM.", "Keys in files, exportable: no HSM.")
        later = Text("Un HSM, dans une version à venir.", "An HSM, in a version to come.")
        return unsatisfied(why, observed, declared, later)
    return satisfied(Text("Clés tenues à part.", "Keys are held apart."), observed, declared)


def key_age(fact: KeyFacts, context: Context) -> Outcome:
    """Keys and epochs are renewed in time."""
    root, key, epoch = (
        (context.now_ms - at_ms) / DAY_MS if at_ms else 0.0
        for at_ms in (fact.root_at_ms, fact.oldest_key_at_ms, fact.oldest_epoch_at_ms)
    )
    observed = Text(
        f"racine {root:.0f} j, environnement {key:.0f} j, époque {epoch:.0f} j",
        f"root {root:.0f} d, environment {key:.0f} d, epoch {epoch:.0f} d",
    )
    declared = Text(
        f"clés < {ROTATION_DAYS_MAX} j, époque < {EPOCH_DAYS_MAX} j",
        f"keys < {ROTATION_DAYS_MAX} d, epoch < {EPOCH_DAYS_MAX} d",
    )
    if fact.sealed:  # it says nothing of its keys
        why = Text("Le service des clés est scellé.", "The key service is sealed.")
        return unknown(why, same("—"), declared, same("hygie unseal"))
    if max(root, key) > ROTATION_DAYS_MAX or epoch > EPOCH_DAYS_MAX:
        remedy = same("hygie rotate root / hygie rotate epoch --destroy-older")
        return unsatisfied(Text("Une clé a trop duré.", "A key has lasted too long."), observed, declared, remedy)
    return satisfied(Text("Clés renouvelées à temps.", "Keys are renewed in time."), observed, declared)


_T = "tests/sabotage/test_tech_1.py::"
CHECKS = (
    Check(
        "tech-1.plaintext",
        Text("Octets bruts", "Raw bytes"),
        Text("Aucun texte clair au repos", "No plaintext at rest"),
        "disk",
        MINUTES_S,
        _T + "test_plaintext_in_a_log_is_red",
        plaintext,
    ),
    Check(
        "tech-1.flows",
        Text("Flux TLS", "TLS flows"),
        Text("Chiffrement en transit", "Encryption in transit"),
        "tls",
        MINUTES_S,
        _T + "test_weak_tls_is_red",
        flows,
    ),
    Check(
        "tech-1.swap",
        Text("Mémoire sur disque", "Memory on disk"),
        Text("Rien ne fuit par le swap", "Nothing leaks by swap"),
        "swap",
        MINUTES_S,
        _T + "test_swap_in_clear_is_red",
        swap,
    ),
    Check(
        "tech-1.custody",
        Text("Garde des clés", "Custody of keys"),
        Text("Les clés sont à part", "Keys are apart"),
        "keys",
        MINUTES_S,
        _T + "test_a_passphrase_beside_the_data_is_red",
        key_custody,
        on_facts="satisfied: needs keys that cannot be exported (HSM), not built",
    ),
    Check(
        "tech-1.rotation",
        Text("Âge des clés", "Age of keys"),
        Text("Les clés tournent", "Keys rotate"),
        "keys",
        MINUTES_S,
        _T + "test_an_old_key_is_red",
        key_age,
    ),
)
