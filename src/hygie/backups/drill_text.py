"""A drill's report as a person reads it. The signed one keeps English words for its checks, which programs compare."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from hygie.backups.drill import DrillReport
from hygie.base.errors import Language

WORDS = {
    "answered for": "suites données",
    "controller told in time": "responsable de traitement prévenu à temps",
    "controller_told_s": "responsable de traitement prévenu, s",
    "evidence kept with proofs": "preuves conservées et vérifiables",
    "notice made of facts": "avis préparé à partir des faits",
    "the controller's 72 hours run": "les 72 heures du responsable courent",
    "a right written by SQL": "un droit écrit en SQL",
    "a site overwritten": "un site écrasé",
    "a token in two countries": "un jeton dans deux pays",
    "acknowledged_s_max": "prise en charge la plus lente, s",
    "attacks": "attaques",
    "copies mended": "copies réparées",
    "every record read": "tous les dossiers lus",
    "invented tokens": "jetons inventés",
    "noticed_s_max": "constat le plus lent, s",
    "records as before the attack": "dossiers tels qu'avant l'attaque",
    "records deleted": "dossiers supprimés",
    "records replaced": "dossiers remplacés",
    "rights raised at once": "droits levés sans attendre",
    "told_s_max": "première alerte la plus lente, s",
    "a wrong passphrase opens nothing": "une fausse phrase de passe n'ouvre rien",
    "alteration refused": "altération refusée",
    "bytes": "octets",
    "catch_up_s": "rattrapage, s",
    "carried to its end": "mené à son terme",
    "caught up": "rattrapé",
    "compartments": "compartiments",
    "complete": "complet",
    "copy_s": "copie, s",
    "entries": "entrées",
    "environments": "environnements",
    "everything read without it": "tout se lit sans lui",
    "export verified": "export vérifié",
    "found_s": "altération trouvée, s",
    "journal whole": "journal intègre",
    "registers and evidence back": "registres et preuves revenus",
    "journal_s": "journal vérifié, s",
    "keys open again from the backup": "les clés s'ouvrent de nouveau, depuis la sauvegarde",
    "keys_open_s": "ouverture des clés, s",
    "manifests intact": "manifestes intègres",
    "nothing opens without the keys": "rien ne s'ouvre sans les clés",
    "open_s": "ouverture des clés et de la base, s",
    "read_all_s": "relecture de tout, s",
    "reads through the door": "lectures par la porte",
    "records": "écritures de registres",
    "evaluations": "évaluations",
    "rebuild_s": "catalogue refait, s",
    "resources": "ressources",
    "resources_per_s": "ressources par seconde",
    "rpo kept": "PDMA tenue",
    "rto kept": "DMIA tenue",
    "same as the others": "pareil aux autres",
    "the altered entry named": "l'entrée altérée est nommée",
    "verify_entries_per_s": "entrées vérifiées par seconde",
    "what would be lost is known": "ce qui serait perdu est connu",
    "writes go on without it": "les écritures continuent sans lui",
}
PARTS = {"done": "menée", "noticed": "constatée", "told": "signalée", "taken in charge": "prise en charge"}
_DETAILS = (
    (r"never", r"jamais"),
    (r"(\d+) broken", r"\1 abîmés"),
    (r"(\d+) resources, lacking: ", r"\1 ressources, manque : "),
    (r"(\d+) of (\d+) entries", r"\1 entrées sur \2"),
    (r"(\d+) of (\d+) equal", r"\1 égales sur \2"),
    (r"(\d+) of (\d+) objects", r"\1 objets sur \2"),
    (r"(\d+) of (\d+) opened", r"\1 ouverts sur \2"),
    (r"(\d+) written", r"\1 écrites"),
    (r"(\d+) copied, (\d+) left", r"\1 copiés, \2 restants"),
    (r"(\d+) different", r"\1 différents"),
    (r"(\d+) environments, (\d+) compartments", r"\1 environnements, \2 compartiments"),
    (r"exit (\d+)", r"code \1"),
    (r"altered (\S+), named (\S+)", r"altérée \1, nommée \2"),
    (r"(\d+) entries", r"\1 entrées"),
    (r"(\d+) parts not known yet", r"\1 parties pas encore connues"),
    (r", promised ", ", promis "),
)


def text_of(report: DrillReport, language: Language) -> str:
    """The report for a person."""
    french = language == "fr"
    colon = " : " if french else ": "
    at = datetime.fromtimestamp(report.started_at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    verdict = ("RÉUSSI" if french else "PASSED") if report.passed else ("EN ÉCHEC" if french else "FAILED")
    lines = [
        f"{'Exercice' if french else 'Drill'} {report.kind} — {verdict}",
        f"{'Identifiant' if french else 'Id'} {report.drill_id}, {at}, {report.operator}",
    ]
    if report.snapshot:
        name = "Instantané n°" if french else "Snapshot number"
        lines.append(f"{name} {report.snapshot_number}{colon}{report.snapshot}")
    for label, measured, promised in (
        ("DMIA (RTO)" if french else "RTO (DMIA)", report.rto_s, report.promised_rto_s),
        ("PDMA (RPO)" if french else "RPO (PDMA)", report.rpo_s, report.promised_rpo_s),
    ):
        if measured is not None:
            against = "" if promised is None else f" / {'promis' if french else 'promised'} {promised} s"
            lines.append(f"{label}{colon}{measured:.2f} s{against}")
    lines.append("")
    for check in report.checks:
        told = f"{colon}{_detail(check.detail) if french else check.detail}" if check.detail else ""
        lines.append(f"{'✓' if check.passed else '✗'} {_word(check.name) if french else check.name}{told}")
    lines.append("")
    lines += [
        f"{_word(name) if french else name}{colon}{_figure(value, french=french)}"
        for name, value in sorted(report.figures.items())
    ]
    return "\n".join(lines).rstrip() + "\n"


def _figure(value: float, *, french: bool) -> str:
    return f"{value:g}".replace(".", ",") if french else f"{value:g}"


def _word(name: str) -> str:
    """What is said of one attack has two parts: which, and what came of it."""
    attack, _, part = name.partition(": ")
    return f"{WORDS.get(attack, attack)} : {PARTS.get(part, part)}" if part else WORDS.get(name, name)


def _detail(text: str) -> str:
    for pattern, french in _DETAILS:
        text = re.sub(pattern, french, text)
    return text
