"""A hosting contract to start from, in French: our own wording of each clause that the law asks for, bound to live
values, blanks marked. Pure, as DOCX: a jurist edits it. The check of a signed one is in ``contract_check.py``."""

from __future__ import annotations

import io
import re
import tomllib
import zipfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import Any

import msgspec

from hygie.proof.documents.bindings import Bound, Client, bindings, client_of
from hygie.proof.documents.model import Inputs
from hygie.proof.documents.words import Words
from hygie.proof.errors import PaperRefusedError

FORMAT = "hygie contract template 1"
CLAUSES = 14 + 8 + 2  # R.1111-11, RGPD 28.3, transfers and foreign law
_PLACE = re.compile(r"\{([a-z_]+)\}")
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)


class Clause(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One clause. id: its field in register ``contract``; basis: the texts that ask for it; text: its paragraphs."""

    id: str
    title: str
    basis: str
    text: tuple[str, ...]


class _Template(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The file of the template."""

    format: str
    title: str
    annex_title: str
    annex: tuple[str, ...]
    clause: tuple[Clause, ...]


@cache
def _template() -> _Template:
    text = resources.files("hygie.proof.documents").joinpath("templates", "contract.toml").read_text("utf-8")
    found = msgspec.convert(tomllib.loads(text), _Template)
    assert found.format == FORMAT
    assert len(found.clause) == CLAUSES
    return found


def contract_clauses() -> tuple[Clause, ...]:
    """The clauses that the law asks for, in the order of the contract."""
    return _template().clause


def contract_draft(inputs: Inputs, tenant: str) -> bytes:
    """A contract for one client, as DOCX.

    Raises: PaperRefusedError: nothing names this client, neither a service, a contact nor a contract.
    """
    client = client_of(inputs, tenant)
    if not (client.services or client.contacts or client.contract):
        raise PaperRefusedError(
            reason_fr=f"aucun service, contact ni contrat ne nomme le client {tenant[:63]}",
            reason_en=f"no service, contact or contract names client {tenant[:63]}",
        )
    return _Draft(inputs, client).file()


class _Draft:
    """One document being written."""

    def __init__(self, inputs: Inputs, client: Client) -> None:
        import docx

        self._inputs = inputs
        self._client = client
        self._bound: Mapping[str, Bound] = bindings(inputs, client)
        self._document: Any = docx.Document()

    def file(self) -> bytes:
        template = _template()
        self._set_up(template.title)
        self._opening(template.title)
        for number, clause in enumerate(template.clause, 1):
            self._document.add_heading(f"Article {number}. {clause.title}", level=2)
            for paragraph in clause.text:
                self._paragraph(paragraph)
            self._note(clause.basis)
        self._signatures()
        self._document.add_page_break()
        self._document.add_heading(template.annex_title, level=2)
        for paragraph in template.annex:
            self._paragraph(paragraph)
        self._sources([*template.annex, *(text for clause in template.clause for text in clause.text)])
        buffer = io.BytesIO()
        self._document.save(buffer)
        return _repacked(buffer.getvalue())

    def _set_up(self, title: str) -> None:
        from docx.oxml.ns import qn
        from docx.shared import Cm, Pt

        about = self._document.core_properties
        about.title, about.author, about.language, about.comments = title, "Hygie", "fr-FR", ""
        about.last_modified_by, about.revision = "Hygie", 1
        at = datetime.fromtimestamp(self._inputs.at_ms // 1000, UTC)
        about.created = about.modified = at
        section = self._document.sections[0]
        section.page_width, section.page_height = Cm(21), Cm(29.7)
        section.left_margin = section.right_margin = Cm(2.3)
        style = self._document.styles["Normal"]
        style.font.name, style.font.size = "Liberation Serif", Pt(11)
        language = style.element.get_or_add_rPr().makeelement(qn("w:lang"), {qn("w:val"): "fr-FR"})
        style.element.get_or_add_rPr().append(language)
        self._stamp(section)

    def _stamp(self, section: Any) -> None:
        said = f"Projet établi le {Words('fr').date(self._inputs.at_ms)}, à relire par un juriste"
        if self._inputs.demonstration:
            said = f"DÉMONSTRATION, données inventées. {said}"
        section.header.paragraphs[0].text = said

    def _opening(self, title: str) -> None:
        self._document.add_heading(title, level=1)
        self._paragraph("Entre {client}, responsable de traitement ou agissant pour lui, ci-après le client,")
        self._paragraph("et {host}, ci-après l'hébergeur,")
        self._paragraph(
            "il est convenu ce qui suit. Les passages [À COMPLÉTER] surlignés attendent une décision des parties ; les "
            "autres valeurs viennent des registres et des réglages de l'hébergeur, cités en annexe."
        )

    def _paragraph(self, text: str) -> None:
        """Text with its values in bold, its blanks highlighted."""
        from docx.enum.text import WD_COLOR_INDEX

        paragraph = self._document.add_paragraph()
        after = 0
        for found in _PLACE.finditer(text):
            paragraph.add_run(text[after : found.start()])
            after = found.end()
            bound = self._bound[found[1]]
            if bound.text:
                paragraph.add_run(bound.text).bold = True
            else:
                blank = paragraph.add_run(f"[À COMPLÉTER : {bound.label}]")
                blank.bold, blank.font.highlight_color = True, WD_COLOR_INDEX.YELLOW
        paragraph.add_run(text[after:])

    def _note(self, text: str) -> None:
        from docx.shared import Pt

        run = self._document.add_paragraph().add_run(text)
        run.italic, run.font.size = True, Pt(9)

    def _signatures(self) -> None:
        self._document.add_heading("Signatures", level=2)
        table = self._document.add_table(rows=2, cols=2)
        table.style = "Table Grid"
        for cell, said in zip(table.rows[0].cells, ("Pour le client", "Pour l'hébergeur"), strict=True):
            cell.text = said
        for cell in table.rows[1].cells:
            cell.text = "Nom, qualité, date, signature :\n\n\n"

    def _sources(self, texts: Sequence[str]) -> None:
        self._document.add_heading("Annexe : d'où viennent les valeurs", level=2)
        used = [name for text in texts for name in _PLACE.findall(text)]
        table = self._document.add_table(rows=1, cols=3)
        table.style = "Table Grid"
        for cell, said in zip(table.rows[0].cells, ("Valeur", "Dans ce contrat", "Source"), strict=True):
            cell.text = said
        for name in dict.fromkeys(["client", "host", *used]):
            bound = self._bound[name]
            row = table.add_row().cells
            row[0].text, row[1].text = bound.label, bound.text or "[À COMPLÉTER]"
            row[2].text = ", ".join(bound.sources) if bound.text else ""


def _repacked(content: bytes) -> bytes:
    """The same archive with fixed times: equal contracts give equal bytes."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as given, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as out:
        for name in given.namelist():
            out.writestr(zipfile.ZipInfo(name, _ZIP_TIME), given.read(name), zipfile.ZIP_DEFLATED)
    return made.getvalue()
