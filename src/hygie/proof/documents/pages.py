"""Two public pages: transfers and foreign law (HDS v2, EXI 31), and the guarantees table (EXI 12, chapter 8). Pure.

One file each, French first and English under it, with no script and nothing from elsewhere: its style is inside, under
a content security policy that names the style by its hash. The same data go beside it as JSON.
"""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib import resources
from typing import Any

import msgspec

from hygie.base.errors import Language
from hygie.proof.documents.actors import Actor, actors, page_form
from hygie.proof.documents.model import Inputs
from hygie.proof.documents.words import Words, utc
from hygie.proof.errors import RegulatorySentenceAbsentError

TRANSFERS, GUARANTEES = "transfers", "guarantees"
FILES = {TRANSFERS: "transferts", GUARANTEES: "garanties"}  # names of its two files, without their endings
_LANGUAGES: tuple[Language, ...] = ("fr", "en")
_FORMAT = {TRANSFERS: "hygie transfers 1", GUARANTEES: "hygie guarantees 1"}
_TITLES = {
    TRANSFERS: (
        "Transferts hors de l'Espace économique européen et lois extra-européennes",
        "Transfers outside the European Economic Area and non-European law",
    ),
    GUARANTEES: ("Présentation des garanties de l'hébergeur", "The host's guarantees"),
}
_COLUMNS = (
    ("Raison sociale", "Legal name"),
    ("Rôle", "Role"),
    ("Certifié HDS", "HDS certified"),
    ("Qualifié SecNumCloud 3.2", "SecNumCloud 3.2 qualified"),
    ("Activités (1° à 6°)", "Activities (1 to 6)"),
    ("Accès aux données depuis l'extérieur de l'EEE (EXI 29)", "Access to the data from outside the EEA (EXI 29)"),
    ("Risque d'accès imposé par le droit d'un pays tiers (EXI 30)",
     "Risk of access imposed by third-country law (EXI 30)"),
)  # fmt: skip
_ACTIVITIES = (
    ("mise à disposition et entretien des sites physiques", "provision and upkeep of physical sites"),
    ("mise à disposition et entretien du matériel", "provision and upkeep of hardware"),
    ("mise à disposition et entretien de l'infrastructure virtuelle", "provision and upkeep of virtual infrastructure"),
    ("mise à disposition et entretien de la plateforme d'hébergement d'applications",
     "provision and upkeep of the application hosting platform"),
    ("administration et exploitation du système qui contient les données",
     "administration and operation of the system that holds the data"),
    ("sauvegarde des données de santé", "backup of health data"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Page:
    """One page ready to be published. form: ``A``, ``B`` or ``C`` of the transfers page, empty for the other; data: the
    same as JSON; policy: the content security policy to serve it under."""

    form: str
    html: bytes
    data: bytes
    actors: int
    policy: str


def transfers_page(inputs: Inputs) -> Page:
    """The transfers page. Raises: RegulatorySentenceAbsentError: its form takes a sentence that nobody has recorded."""
    rows = actors(inputs)
    form = page_form(rows)
    sentence = _sentence(inputs, form) if form in ("A", "B") else ""
    return _page(inputs, TRANSFERS, form, rows, sentence)


def guarantees_page(inputs: Inputs) -> Page:
    """The guarantees table."""
    return _page(inputs, GUARANTEES, "", actors(inputs), "")


def guarantees_paper(inputs: Inputs) -> bytes:
    """``tableau-garanties.html``."""
    return guarantees_page(inputs).html


def transfers_paper(inputs: Inputs) -> bytes:
    """``page-transferts.html``: in a dossier, a form whose sentence nobody recorded gives the table, which hides
    nothing."""
    try:
        return transfers_page(inputs).html
    except RegulatorySentenceAbsentError:
        return _page(inputs, TRANSFERS, "C", actors(inputs), "").html


def make_page(kind: str, inputs: Inputs) -> Page:
    """The page of one kind. Raises: RegulatorySentenceAbsentError."""
    return transfers_page(inputs) if kind == TRANSFERS else guarantees_page(inputs)


def said_by(data: bytes) -> str:
    """SHA-256 of what the data of a page say, their date apart, in hexadecimal: equal for two editions that say the
    same; nothing for what are not such data."""
    try:
        said = msgspec.json.decode(data, type=dict[str, Any])
    except msgspec.DecodeError:
        return ""
    said.pop("as_of", None)
    return hashlib.sha256(msgspec.json.encode(said, order="sorted")).hexdigest()


def _sentence(inputs: Inputs, form: str) -> str:
    records = inputs.records.get("regulatory-wording", ())
    checked = [one for one in records if one.fields["form"] == form and one.state == "approved"]
    if not checked:
        raise RegulatorySentenceAbsentError(form=form)
    return str(max(checked, key=lambda one: (str(one.fields["checked_on"]), one.seq)).fields["sentence"])


def _page(inputs: Inputs, kind: str, form: str, rows: Sequence[Actor], sentence: str) -> Page:
    style = _style()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    parts = [_body(replace(inputs, language=language), kind, form, sentence) for language in _LANGUAGES]
    title = html.escape(_TITLES[kind][0])
    # frame-ancestors has no effect in a page: the server's header says it
    text = (
        '<!doctype html>\n<html lang="fr">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{html.escape(policy)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{style}</style>\n</head>\n<body>\n<main>\n{''.join(parts)}</main>\n</body>\n</html>\n"
    )
    data = {
        "format": _FORMAT[kind],
        "as_of": utc(inputs.at_ms),
        "demonstration": inputs.demonstration,
        "form": form,
        "sentence": sentence,
        "actors": [asdict(one) for one in actors(replace(inputs, language="fr"))],
    }
    encoded = msgspec.json.format(msgspec.json.encode(data, order="sorted"), indent=1) + b"\n"
    return Page(form, text.encode(), encoded, len(rows), f"{policy}; frame-ancestors 'none'")


@cache
def _style() -> str:
    return resources.files("hygie.proof.documents").joinpath("pages.css").read_text("utf-8").strip()


def _body(inputs: Inputs, kind: str, form: str, sentence: str) -> str:
    """The page in one language."""
    words = Words(inputs.language)
    lines = [_stamp(words)] if inputs.demonstration else []
    lines.append(f'<p class="when">{html.escape(words.say("État au", "As of"))} {words.instant(inputs.at_ms)}</p>')
    if kind == TRANSFERS and form in ("A", "B"):
        lines += _fixed(sentence, words)
    else:
        lines += _table(actors(inputs), kind, words)
    lines += _history(inputs, kind, words)
    heading = html.escape(words.of(_TITLES[kind]))
    inside = "\n".join(lines)
    if inputs.language == "fr":
        return f"<h1>{heading}</h1>\n{inside}\n"
    return f'<section lang="en" class="other">\n<h1>{heading}</h1>\n{inside}\n</section>\n'


def _stamp(words: Words) -> str:
    said = words.say(
        "DÉMONSTRATION : acteurs inventés, rien ici ne concerne un hébergeur réel.",
        "DEMONSTRATION: made-up actors, nothing here is about a real host.",
    )
    return f'<p class="stamp">{html.escape(said)}</p>'


def _fixed(sentence: str, words: Words) -> list[str]:
    """The regulatory sentence, in French: it is given word for word, and not translated."""
    lines = [f'<p class="sentence" lang="fr">{html.escape(sentence)}</p>']
    if words.language == "en":
        lines.append('<p class="note">The sentence is imposed by the French order, in French.</p>')
    return lines


def _table(rows: Sequence[Actor], kind: str, words: Words) -> list[str]:
    intro = words.say(
        "Chaque acteur de la chaîne d'hébergement : l'hébergeur, puis les sous-traitants qui participent à une "
        "activité.",
        "Each actor of the hosting chain: the host, then its processors that take part in an activity.",
    )
    lines = [f"<p>{html.escape(intro)}</p>"]
    if kind == TRANSFERS:
        risk = words.say(
            "Les deux dernières colonnes disent les transferts, les accès à distance et les lois de pays tiers "
            "auxquels les données de santé sont exposées.",
            "The last two columns tell the transfers, the remote accesses and the third-country laws that health data "
            "are exposed to.",
        )
        lines.append(f"<p>{html.escape(risk)}</p>")
    if not rows:
        lines.append(f"<p>{words.say('Aucun acteur inscrit.', 'No actor on record.')}</p>")
        return lines
    labels = [html.escape(words.of(pair)) for pair in _COLUMNS]
    head = "".join(f'<th scope="col" role="columnheader">{label}</th>' for label in labels)
    caption = words.say("Un acteur par ligne", "One actor a row")
    body = "".join(_row(one, labels, words) for one in rows)
    # Narrow screens show rows as blocks, which hides a table from screen readers: its roles are said outright.
    lines.append(
        f'<table class="actors" role="table"><caption>{caption}</caption><thead role="rowgroup">'
        f'<tr role="row">{head}</tr></thead><tbody role="rowgroup">\n{body}</tbody></table>'
    )
    numbers = words.semicolon.join(f"{place}° {words.of(pair)}" for place, pair in enumerate(_ACTIVITIES, 1))
    source = words.say(
        "Activités de l'article R.1111-9 du code de la santé publique", "Activities of CSP article R.1111-9"
    )
    lines.append(f'<p class="note">{html.escape(f"{source}{words.colon}{numbers}.")}</p>')
    return lines


def _row(one: Actor, labels: Sequence[str], words: Words) -> str:
    activities = ", ".join(f"{number}°" for number in one.activities) or words.say("aucune", "none")
    cells = [(one.role,), (one.certificate,), (one.qualification,), (activities,), one.outside_text, one.foreign_text]
    shown = "".join(
        f'<td role="cell" data-label="{label}">{_cell(texts)}</td>'
        for label, texts in zip(labels[1:], cells, strict=True)
    )
    return f'<tr role="row"><th scope="row" role="rowheader">{html.escape(one.name)}</th>{shown}</tr>\n'


def _cell(texts: Sequence[str]) -> str:
    if len(texts) == 1:
        return html.escape(texts[0])
    return "<ul>" + "".join(f"<li>{html.escape(text)}</li>" for text in texts) + "</ul>"


def _history(inputs: Inputs, kind: str, words: Words) -> list[str]:
    """Earlier editions, the newest first, each with the digest of the file that was published."""
    field = inputs.schemas["publication"].field("form")
    earlier = [
        one for one in inputs.records.get("publication", ()) if one.fields["kind"] == kind and one.state != "dropped"
    ]
    lines = [f"<h2>{words.say('Éditions précédentes', 'Earlier editions')}</h2>"]
    if not earlier or field is None:
        return [*lines, f"<p>{words.say('Première édition.', 'First edition.')}</p>"]
    heads = [words.say("Établie le", "Made on"), words.say("Acteurs", "Actors"), "SHA-256"]
    if kind == TRANSFERS:
        heads.insert(1, words.say("Forme", "Form"))
    rows = []
    for one in sorted(earlier, key=lambda one: (str(one.fields["as_of"]), one.key), reverse=True):
        cells = [words.day(str(one.fields["as_of"])), str(one.fields["actors"]), f"<code>{one.fields['page']}</code>"]
        if kind == TRANSFERS:
            cells.insert(1, html.escape(words.value(field, one.fields.get("form"))))
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>\n")
    head = "".join(f'<th scope="col">{one}</th>' for one in heads)
    return [*lines, f"<table><thead><tr>{head}</tr></thead><tbody>\n{''.join(rows)}</tbody></table>"]
