"""Papers for a spreadsheet: the workbook of the posture, and the statement of applicability. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hygie.proof.documents.figures import register_figures
from hygie.proof.documents.model import Inputs
from hygie.proof.documents.sheets import Workbook, moment
from hygie.proof.documents.statement import Line, statement_lines, totals
from hygie.proof.documents.words import EVIDENCE, Words
from hygie.proof.referentials.model import NODE_MARK
from hygie.registers.holes import ranges

Row = list[Any]


def statement_workbook(inputs: Inputs) -> bytes:
    """``declaration-applicabilite.xlsx``: a line for each control of annex A, a line for each piece of evidence."""
    words = Words(inputs.language)
    lines = statement_lines(inputs)
    book = Workbook(inputs, words.say("Déclaration d'applicabilité", "Statement of applicability"))
    _about(book, inputs, words, _statement_facts(words, totals(lines)))
    _statement(book, words, lines)
    _statement_evidence(book, words, lines)
    return book.done()


def posture_workbook(inputs: Inputs) -> bytes:
    """``classeur.xlsx``: requirements, controls, checks, registers, what is late, statement of applicability."""
    words = Words(inputs.language)
    lines = statement_lines(inputs)
    book = Workbook(inputs, words.say("Posture de conformité", "Posture of conformity"))
    _about(book, inputs, words, [])
    book.sheet(
        words.say("Exigences", "Requirements"),
        [(words.say("Référentiel", "Référentiel"), 20), ("Id", 14), (words.say("Exigence", "Requirement"), 50),
         (words.say("Évaluable", "Assessable"), 10), (words.say("Nature", "Standing"), 10),
         (words.say("Verdict", "Verdict"), 16), (words.say("Pourquoi", "Why"), 30), *_split_columns(words),
         (words.say("Mesures", "Controls"), 30), (words.say("Depuis (UTC)", "Since (UTC)"), 17),
         (words.say("Jusqu'au (UTC)", "Until (UTC)"), 17)],
        _requirements(inputs, words),
        verdicts=5,
    )  # fmt: skip
    book.sheet(
        words.say("Mesures", "Controls"),
        [("Id", 22), (words.say("Mesure", "Control"), 45), (words.say("Répond", "Owner"), 14),
         (words.say("Verdict", "Verdict"), 16), *_split_columns(words), (words.say("Contrôles", "Checks"), 40),
         (words.say("Répond à", "Answers"), 50)],
        _controls(inputs, words),
        verdicts=3,
    )  # fmt: skip
    book.sheet(
        words.say("Contrôles et preuves", "Checks and evidence"),
        [("Id", 26), (words.say("Contrôle", "Check"), 40), (words.say("Verdict", "Verdict"), 16),
         (words.say("Preuve", "Evidence"), 18), (words.say("Pourquoi", "Why"), 45),
         (words.say("Constaté", "Observed"), 30), (words.say("Déclaré", "Declared"), 30),
         (words.say("Remède", "Remedy"), 40), (words.say("Répond", "Owner"), 14), (words.say("Source", "Source"), 22),
         (words.say("Preuve du (UTC)", "Evidence of (UTC)"), 17), (words.say("Depuis (UTC)", "Since (UTC)"), 17),
         (words.say("Valable jusqu'au (UTC)", "Valid until (UTC)"), 17)],
        _checks(inputs, words),
        verdicts=2,
    )  # fmt: skip
    _registers(book, inputs, words)
    _statement(book, words, lines)
    _statement_evidence(book, words, lines)
    return book.done()


def _about(book: Workbook, inputs: Inputs, words: Words, more: list[Row]) -> None:
    posture, place = inputs.posture, inputs.installation
    rows: list[Row] = [
        [words.say("État au", "As of"), words.instant(inputs.at_ms)],
        [words.say("Installation", "Installation"), place.origin],
        [words.say("Version d'Hygie", "Version of Hygie"), place.version],
        [words.say("Dernière évaluation", "Last evaluation"), posture["batch"]],
        [words.say("Empreinte de cette évaluation", "Digest of that evaluation"), posture["digest"]],
        [words.say("Évaluations, contrôles joués", "Evaluations, runs of checks"),
         f"{inputs.batches.count}, {inputs.batches.runs}"],
        *([[words.say("Évaluations perdues", "Evaluations lost"), ranges(posture["lost"])]] if posture["lost"] else []),
        *[[words.say("Référentiel", "Référentiel"), f"{name}, sha256 {digest}"]
          for name, digest in posture["referentials"].items()],
        *more,
        [words.say("Ce que ce classeur ne dit pas", "What this workbook does not say"),
         words.say(
             "Aucun certificat : seul un organisme accrédité en délivre. Inconnu n'est jamais compté comme satisfait.",
             "No certificate: an accredited body alone delivers one. Unknown never counts as satisfied.")],
    ]  # fmt: skip
    book.sheet(words.say("À lire", "Read me"), [("", 34), ("", 80)], [[name, str(value)] for name, value in rows])


def _statement_facts(words: Words, found: Mapping[str, int]) -> list[Row]:
    return [
        [words.say("Mesures de l'annexe A", "Controls of annex A"), found["total"]],
        [words.say("Retenues", "Kept"), found["applicable"]],
        [words.say("Écartées", "Left out"), found["excluded"]],
        [words.say("Décision approuvée", "Decision approved"), found["decided"]],
        *[
            [f"{words.say('Retenues', 'Kept')}, {words.verdict(one)}", found[one]]
            for one in ("satisfied", "unsatisfied", "unknown")
        ],
    ]


def _split_columns(words: Words) -> list[tuple[str, int]]:
    return [(words.evidence(name), 10) for name in EVIDENCE]


def _split(row: Mapping[str, Any]) -> Row:
    return [row["evidence"][name] or None for name in EVIDENCE]


def _requirements(inputs: Inputs, words: Words) -> Iterator[Row]:
    for row in inputs.posture["requirements"]:
        yield [
            row["ref"].partition(NODE_MARK)[0], row["id"], words.of(row["title"]), words.yes(row["assessable"]),
            words.standing(row["standing"]), row["verdict"], words.of(row["why"]), *_split(row),
            ", ".join(row["controls"]), moment(row["since_ms"]), moment(row["until_ms"]),
        ]  # fmt: skip


def _controls(inputs: Inputs, words: Words) -> Iterator[Row]:
    answers = {one["id"]: one.get("answers", ()) for one in inputs.catalogue["controls"]}
    for row in inputs.posture["controls"]:
        yield [
            row["id"], words.of(row["title"]), words.owner(row["owner"]), row["verdict"], *_split(row),
            ", ".join(row["checks"]), ", ".join(answers.get(row["id"], ())),
        ]  # fmt: skip


def _checks(inputs: Inputs, words: Words) -> Iterator[Row]:
    for row in inputs.posture["checks"]:
        known = row["verdict"] != "unknown"
        yield [
            row["id"], words.of(row["title"]), row["verdict"], words.evidence(row["evidence"] if known else "none"),
            words.of(row["why"]), words.of(row.get("observed")), words.of(row.get("declared")),
            words.of(row.get("remedy")), words.owner(row["owner"]), row["source"], moment(row.get("at_ms")),
            moment(row.get("since_ms")), moment(row.get("fresh_until_ms")),
        ]  # fmt: skip


def _registers(book: Workbook, inputs: Inputs, words: Words) -> None:
    figures = register_figures(inputs)
    book.sheet(
        words.say("Registres", "Registers"),
        [("Id", 22), (words.say("Registre", "Register"), 40), (words.say("Répond", "Owner"), 16),
         (words.say("Fiches", "Records"), 9), (words.say("Ouvertes", "Open"), 9), (words.say("En retard", "Late"), 9),
         (words.say("Faits trop tard", "Done too late"), 9), (words.say("Par état", "By state"), 50)],
        (
            [one.id, one.title, one.owner, one.records, one.open, len(one.late), one.missed,
             ", ".join(f"{name} : {count}" for name, count in one.by_state.items())]
            for one in figures
        ),
    )  # fmt: skip
    book.sheet(
        words.say("En retard", "Late"),
        [(words.say("Échéance", "Due"), 22), (words.say("Registre", "Register"), 22),
         (words.say("Fiche", "Record"), 16), (words.say("Attendu", "Expected"), 45),
         (words.say("Client", "Client"), 16), (words.say("Texte", "Text"), 45)],
        (
            [late.due, one.title, late.key, words.say(late.fr, late.en), late.tenant,
             words.say(late.source_fr, late.source_en)]
            for one in figures
            for late in one.late
        ),
    )  # fmt: skip


def _statement(book: Workbook, words: Words, lines: list[Line]) -> None:
    book.sheet(
        words.say("Applicabilité (annexe A)", "Applicability (annex A)"),
        [(words.say("Mesure", "Control"), 9), (words.say("Thème", "Theme"), 20), (words.say("Intitulé", "Title"), 38),
         (words.say("Applicable", "Applicable"), 11), (words.say("Motif", "Reason"), 45),
         (words.say("Demandée par", "Asked by"), 22), (words.say("Application", "How"), 38),
         (words.say("Risques traités", "Risks treated"), 30), (words.say("Décision", "Decision"), 14),
         (words.say("Approuvée par", "Approved by"), 16), (words.say("Décidée le", "Decided on"), 12),
         (words.say("État", "State"), 16), *_split_columns(words),
         (words.say("Mesures d'Hygie", "Hygie's controls"), 38), (words.say("Contrôles", "Checks"), 38)],
        (
            [one.control, one.theme, one.title, words.yes(one.applicable), one.reason, one.basis, one.how,
             "\n".join(one.risks), one.decision, one.approver, one.decided_on, one.verdict,
             *(one.evidence[name] or None for name in EVIDENCE),
             "\n".join(f"{name} : {title}" for name, title in one.answers),
             "\n".join(link.check for link in one.links)]
            for one in lines
        ),
        verdicts=11,
    )  # fmt: skip


def _statement_evidence(book: Workbook, words: Words, lines: list[Line]) -> None:
    book.sheet(
        words.say("Preuves (annexe A)", "Evidence (annex A)"),
        [(words.say("Mesure", "Control"), 9), (words.say("Contrôle", "Check"), 26),
         (words.say("Intitulé", "Title"), 45), (words.say("Verdict", "Verdict"), 16),
         (words.say("Preuve", "Evidence"), 18), (words.say("Jouée le (UTC)", "Run on (UTC)"), 17),
         (words.say("Depuis (UTC)", "Since (UTC)"), 17),
         (words.say("Valable jusqu'au (UTC)", "Valid until (UTC)"), 17)],
        (
            [one.control, link.check, link.title, link.verdict, words.evidence(link.evidence), moment(link.ran_ms),
             moment(link.since_ms), moment(link.until_ms)]
            for one in lines
            for link in one.links
        ),
        verdicts=3,
    )  # fmt: skip
