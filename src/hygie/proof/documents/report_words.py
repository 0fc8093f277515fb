"""Every fixed sentence of the report, in both languages; the template shows them under these names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hygie.proof.documents.words import EVIDENCE, VERDICTS, Words

_SENTENCES: Mapping[str, tuple[str, str]] = {
    "demonstration": ("DÉMONSTRATION", "DEMONSTRATION"),
    "demonstration_means": (
        "Données inventées, installation d'essai : ce document ne prouve rien d'une production.",
        "Made-up data, trial installation: this document proves nothing of a production.",
    ),
    "as_of": ("Ce que l'on savait au", "What was known on"),
    "what_title": ("Ce que ce rapport n'est pas", "What this report is not"),
    "what_it_is": (
        "Ce rapport n'est pas un certificat et n'en tient pas lieu : seul un organisme accrédité certifie un hébergeur. Il dit, exigence par exigence, ce qui est prouvé, attesté, déclaré ou inconnu, par quelles preuves, et qui en répond.",
        "This report is no certificate and stands for none: an accredited body alone certifies a host. It says, requirement by requirement, what is proved, attested, declared or unknown, by which evidence, and who answers for it.",
    ),
    "contents": ("Sommaire", "Contents"),
    "guide_title": ("Comment lire ce rapport", "How to read this report"),
    "guide_intro": (
        "Une exigence est servie par des mesures ; une mesure est vérifiée par des contrôles ; un contrôle laisse une preuve datée, signée, qui périme. Un seul contrôle rouge rend l'exigence rouge ; à défaut, un seul contrôle inconnu la rend inconnue.",
        "A requirement is served by controls; a control is verified by checks; a check leaves evidence that is dated, signed, and expires. One red check makes the requirement red; failing that, one unknown check makes it unknown.",
    ),
    "guide_word": ("Preuve", "Evidence"),
    "guide_sense": ("Ce que cela veut dire", "What it means"),
    "guide_verdict": ("Verdict", "Verdict"),
    "guide_standing": (
        "Une obligation d'Hygie peut être la lettre d'un texte, le résultat du traitement d'un risque, ou une promesse de la plateforme : le rapport ne les confond pas. Les dates sont celles de Paris.",
        "An obligation of Hygie may be the letter of a text, the outcome of a risk treatment, or a promise of the platform: the report keeps them apart. Dates are those of Paris.",
    ),
    "summary_title": ("Vue d'ensemble", "Overview"),
    "summary_intro": (
        "Exigences évaluables de chaque référentiel, par verdict. Aucun pourcentage n'est donné : une exigence rouge ne se compense pas.",
        "Assessable requirements of each référentiel, by verdict. No percentage is given: nothing makes up for a red requirement.",
    ),
    "referential": ("Référentiel", "Référentiel"),
    "total": ("Total", "Total"),
    "split_title": ("D'où viennent les preuves", "Where evidence comes from"),
    "split_intro": (
        "Contrôles qui servent chaque référentiel, par nature de preuve. Ce qu'une machine mesure n'a pas plus de valeur qu'une attestation : la répartition est dite, ce n'est pas un objectif.",
        "Checks that serve each référentiel, by kind of evidence. What a machine measures is worth no more than an attestation: the split is told, it is no target.",
    ),
    "history_title": ("Évolution des verdicts", "Verdicts over time"),
    "history_intro": (
        "À la fin de chaque jour évalué, nombre de contrôles par verdict de leur dernier passage.",
        "At the end of each evaluated day, number of checks by the verdict of their last run.",
    ),
    "history_none": (
        "Pas encore d'historique : moins de deux jours évalués.",
        "No history yet: fewer than two evaluated days.",
    ),
    "ages_title": ("Âge des preuves", "Age of evidence"),
    "ages_intro": (
        "Ancienneté de la dernière preuve de chaque contrôle. Chaque contrôle dit combien de temps la sienne vaut ; passé ce délai, il devient inconnu.",
        "Age of each check's last evidence. Each check says how long its own is worth; past that, it becomes unknown.",
    ),
    "first_title": ("À traiter d'abord", "To deal with first"),
    "first_intro": (
        "Ce qui est rouge, puis ce que l'on ignore, avec la raison, le remède et qui en répond.",
        "What is red, then what is not known, with the reason, the remedy and who answers for it.",
    ),
    "red_title": ("Contrôles rouges", "Red checks"),
    "red_none": ("Aucun contrôle n'est rouge.", "No check is red."),
    "unknown_title": ("Contrôles inconnus", "Unknown checks"),
    "unknown_none": ("Aucun contrôle n'est inconnu.", "No check is unknown."),
    "uncovered_title": ("Exigences sans mesure", "Requirements without a control"),
    "uncovered_intro": (
        "Aucune mesure ne les sert dans Hygie : rien n'est su d'elles ici.",
        "No control of Hygie serves them: nothing is known of them here.",
    ),
    "uncovered_none": ("Chaque exigence évaluable a une mesure.", "Each assessable requirement has a control."),
    "observed": ("Constaté :", "Observed:"),
    "declared": ("Déclaré :", "Declared:"),
    "remedy": ("Remède :", "Remedy:"),
    "owner": ("Répond :", "Owner:"),
    "since": ("Depuis le", "Since"),
    "touches": ("Exigences touchées :", "Requirements touched:"),
    "id": ("Id", "Id"),
    "requirement": ("Exigence", "Requirement"),
    "hds_title": ("Exigences HDS, mesures et contrôles", "HDS requirements, controls and checks"),
    "hds_intro": (
        "Chaque exigence du référentiel HDS, dans l'ordre, avec les mesures qui la servent. Le nombre qui suit chaque couleur est celui des contrôles de cette nature.",
        "Each requirement of the HDS référentiel, in order, with the controls that serve it. The number after each colour is that of checks of this kind.",
    ),
    "control": ("Mesure", "Control"),
    "check": ("Contrôle", "Check"),
    "verdict": ("Verdict", "Verdict"),
    "evidence_kind": ("Preuve", "Evidence"),
    "until": ("Valable jusqu'au", "Valid until"),
    "others_title": ("Autres référentiels", "Other référentiels"),
    "others_intro": (
        "Exigences évaluables, verdict et répartition des preuves.",
        "Assessable requirements, verdict and split of evidence.",
    ),
    "split": ("Preuves", "Evidence"),
    "registers_title": ("Registres", "Registers"),
    "registers_intro": (
        "Fiches tenues à cette date ; une fiche est en retard quand une échéance est passée. Un registre vide ne montre pas qu'il n'y avait rien à écrire.",
        "Records kept at that date; a record is late when something due is past. An empty register does not show that there was nothing to write.",
    ),
    "register": ("Registre", "Register"),
    "owner_head": ("Répond", "Owner"),
    "records": ("Fiches", "Records"),
    "open": ("Ouvertes", "Open"),
    "late": ("En retard", "Late"),
    "late_title": ("Échéances dépassées", "Past due"),
    "late_none": ("Rien n'est en retard.", "Nothing is late."),
    "due": ("Échéance", "Due"),
    "expected": ("Attendu", "Expected"),
    "record": ("Fiche", "Record"),
    "places_title": ("Lieux et certificats", "Places and certificates"),
    "sites_title": ("Sites de stockage de la plateforme", "Storage sites of the platform"),
    "sites_intro": (
        "Là où la plateforme écrit vraiment, d'après ses réglages.",
        "Where the platform really writes, by its settings.",
    ),
    "site": ("Site", "Site"),
    "city": ("Ville", "City"),
    "operator": ("Exploitant", "Operator"),
    "country": ("Pays", "Country"),
    "countries_allowed": ("Pays permis :", "Countries allowed:"),
    "site_records_title": ("Sites inscrits au registre", "Sites in the register"),
    "activities": ("Activités", "Activities"),
    "certificates": ("Certificats", "Certificates"),
    "certificates_title": ("Certificats inscrits au registre", "Certificates in the register"),
    "certificates_intro": (
        "Recopiés de documents : la liste officielle, tenue par l'Agence du Numérique en Santé, fait foi.",
        "Copied from documents: the official list, kept by the Agence du Numérique en Santé, prevails.",
    ),
    "holder": ("Titulaire", "Holder"),
    "number": ("Numéro", "Number"),
    "scheme": ("Référentiel", "Scheme"),
    "issued": ("Délivré", "Issued"),
    "expires": ("Expire", "Expires"),
    "state": ("État", "State"),
    "none_recorded": ("Rien n'est inscrit.", "Nothing is recorded."),
    "soa_title": ("Déclaration d'applicabilité", "Statement of applicability"),
    "soa_intro": (
        "Les 93 mesures de référence de l'annexe A de l'ISO/IEC 27001:2022, sous nos propres intitulés. Une mesure sans décision approuvée est retenue par défaut.",
        "The 93 reference controls of annex A of ISO/IEC 27001:2022, under our own titles. A control without an approved decision is kept by default.",
    ),
    "soa_name": ("Intitulé", "Title"),
    "applicable": ("Applicable", "Applicable"),
    "reason": ("Motif", "Reason"),
    "answered": ("Mesures d'Hygie", "Hygie's controls"),
    "yes": ("oui", "yes"),
    "no": ("non", "no"),
}
_MANY: Mapping[str, tuple[str, str]] = {
    "satisfied": ("satisfaites", "satisfied"),
    "unsatisfied": ("non satisfaites", "not satisfied"),
    "unknown": ("inconnues", "unknown"),
    "not_applicable": ("sans objet", "not applicable"),
}
_GUIDE: Mapping[str, tuple[str, str]] = {
    "measured": (
        "Une machine l'a constaté sur ce qui tourne ; le contrôle a été vu rouge quand on casse ce qu'il surveille.",
        "A machine saw it on what runs; the check has been seen red when what it watches is broken.",
    ),
    "attested": (
        "Une personne nommée l'a écrit dans un registre daté, journalisé, souvent approuvé par une autre.",
        "A named person wrote it in a register, dated, journaled, often approved by another.",
    ),
    "external": (
        "Cela repose sur un document d'un tiers, gardé avec son empreinte.",
        "It rests on a third party's document, kept with its digest.",
    ),
    "declared": (
        "Un réglage ou une fiche le dit ; rien ne l'a vérifié.",
        "A setting or a record says so; nothing verified it.",
    ),
    "none": (
        "On ne sait pas : jamais contrôlé, preuve périmée, ou source muette. Jamais compté comme bon.",
        "Not known: never checked, evidence expired, or a silent source. Never counted as good.",
    ),
}
_GUIDE_VERDICTS: Mapping[str, tuple[str, str]] = {
    "satisfied": ("Tous les contrôles qui la servent sont verts et frais.", "All checks that serve it are green and fresh."),
    "unsatisfied": ("Un contrôle au moins est rouge.", "One check at least is red."),
    "unknown": (
        "Aucun n'est rouge, mais un au moins est inconnu, ou aucune mesure ne la sert.",
        "None is red, but one at least is unknown, or no control serves it.",
    ),
    "not_applicable": ("Elle ne s'applique pas à ce périmètre ; la raison est donnée.", "It does not apply to this perimeter; the reason is given."),
}  # fmt: skip


def labels(words: Words) -> dict[str, Any]:
    """The sentences, with the words of verdicts and of evidence."""
    said: dict[str, Any] = {name: words.of(pair) for name, pair in _SENTENCES.items()}
    said["verdicts"] = {name: words.of(pair) for name, pair in VERDICTS.items()}
    said["verdicts_many"] = {name: words.of(pair) for name, pair in _MANY.items()}
    said["evidence"] = {name: words.of(pair) for name, pair in EVIDENCE.items()}
    return said


def guide(words: Words) -> list[dict[str, str]]:
    """What each kind of evidence means."""
    return [{"name": name, "word": words.evidence(name), "sense": words.of(pair)} for name, pair in _GUIDE.items()]


def guide_verdicts(words: Words) -> list[dict[str, str]]:
    """What each verdict means."""
    return [{"name": name, "sense": words.of(pair)} for name, pair in _GUIDE_VERDICTS.items()]
