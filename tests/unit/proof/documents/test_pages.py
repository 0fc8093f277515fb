"""The public pages: which form, what each actor's row says, and that anybody can read them anywhere."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from hygie.proof.documents.actors import Actor, actors, certificate_standing, page_form
from hygie.proof.documents.model import Inputs
from hygie.proof.documents.pages import guarantees_page, transfers_page, transfers_paper
from hygie.proof.errors import RegulatorySentenceAbsentError
from hygie.registers.chain import RecordVersion
from tests.unit.proof.documents.sample import AT_MS, sample_inputs, sample_records

VOID = {"meta", "br", "link"}
SENTENCE = "Phrase de l'arrêté, mot pour mot."


def with_records(**changes: Any) -> Inputs:
    """The sample with registers replaced; dashes are underscores here."""
    records = dict(sample_records())
    records |= {name.replace("_", "-"): tuple(found) for name, found in changes.items()}
    return sample_inputs(records=records)


def record(register: str, key: str, **fields: Any) -> RecordVersion:
    one = next(one for one in sample_records()[register] if one.key == key)
    return replace(one, fields={**one.fields, **fields})


def made(register: str, key: str, state: str, fields: dict[str, Any]) -> RecordVersion:
    return RecordVersion(1, register, key, 1, AT_MS, "local:anne", "Paul Durand", "", state, "", fields)


def french_host() -> Inputs:
    """The host alone: no processor, no transfer, exposure assessed as none."""
    return with_records(supplier=[record("supplier", "SUP-0001")], transfer=[])


def wording(form: str, state: str = "approved") -> RecordVersion:
    fields = {"form": form, "sentence": SENTENCE, "source": "arrêté", "source_on": "2024-04-26"}
    return made("regulatory-wording", f"RGW-{form}", state, fields | {"checked_on": "2026-01-01"})


def rows() -> dict[str, Actor]:
    return {one.key: one for one in actors(sample_inputs())}


def test_a_row_says_what_is_on_record_and_not_what_is_claimed() -> None:
    found = rows()
    assert list(found) == ["SUP-0001", "SUP-0002", "SUP-0003"]
    assert (found["SUP-0001"].certified, found["SUP-0001"].host) == (True, True)
    assert not found["SUP-0002"].certified, "its certificate expired in October"
    assert "échu" in found["SUP-0002"].certificate
    assert not found["SUP-0002"].qualified, "no qualification is on record"
    assert found["SUP-0002"].foreign is None, "nobody assessed it"
    assert "inconnu" in found["SUP-0002"].foreign_text[0]
    assert found["SUP-0003"].outside
    assert "États-Unis" in found["SUP-0003"].outside_text[0]
    assert found["SUP-0003"].foreign
    assert "CLOUD Act" in found["SUP-0003"].foreign_text[0]


def test_a_certificate_falls_with_the_one_it_hangs_on() -> None:
    base = record("certificate", "CER-0001")
    hds = record("certificate", "CER-0002")
    assert certificate_standing(hds, with_records(certificate=[base, hds]))[0]
    suspended = replace(base, state="suspended")
    assert not certificate_standing(hds, with_records(certificate=[suspended, hds]))[0]
    early = replace(hds, fields={**hds.fields, "issued_on": "2026-12-01"})
    assert not certificate_standing(early, with_records(certificate=[base, early]))[0]


def test_a_certificate_that_hangs_on_itself_or_on_no_iso_27001_one_does_not_hold() -> None:
    hds = record("certificate", "CER-0002", depends_on="CER-0002")
    assert not certificate_standing(hds, with_records(certificate=[hds]))[0]
    base = record("certificate", "CER-0001", depends_on="CER-0002")
    round_ = record("certificate", "CER-0002", depends_on="CER-0001")
    assert certificate_standing(round_, with_records(certificate=[base, round_]))[0], "what it hangs on is looked at"
    other = record("certificate", "CER-0001", scheme="secnumcloud")
    assert not certificate_standing(round_, with_records(certificate=[other, round_]))[0]
    assert not certificate_standing(round_, with_records(certificate=[round_]))[0]


def test_the_form_follows_the_rule() -> None:
    assert page_form(actors(sample_inputs())) == "C"
    assert page_form(actors(french_host())) == "B"
    assert page_form([]) == "C"
    assessed = with_records(supplier=[record("supplier", "SUP-0001")], transfer=[], foreign_law_note=[])
    assert page_form(actors(assessed)) == "C", "an exposure that nobody assessed is not an absence of risk"
    qualification = record("certificate", "CER-0002", scheme="secnumcloud", number="SNC-1")
    qualified = with_records(
        supplier=[record("supplier", "SUP-0001", secnumcloud=True)],
        transfer=[],
        certificate=[*sample_records()["certificate"], replace(qualification, key="CER-0009")],
    )
    assert page_form(actors(qualified)) == "A"
    alone = record("supplier", "SUP-0001", secnumcloud=True)
    assert page_form(actors(with_records(supplier=[alone], transfer=[]))) == "B", "qualified by word only"
    abroad = record("supplier", "SUP-0001", outside_eea=True, outside_countries=["US"], outside_basis=["adequacy"])
    assert page_form(actors(with_records(supplier=[abroad], transfer=[]))) == "C"


def test_a_fixed_form_takes_the_official_sentence_and_no_other() -> None:
    host = french_host()
    with pytest.raises(RegulatorySentenceAbsentError) as refused:
        transfers_page(host)
    assert refused.value.facts == {"form": "B"}
    assert "<table" in transfers_paper(host).decode(), "a dossier shows the table rather than nothing"
    for wrong in (wording("A"), wording("B", "pasted")):
        with pytest.raises(RegulatorySentenceAbsentError):
            transfers_page(replace(host, records={**host.records, "regulatory-wording": (wrong,)}))
    page = transfers_page(replace(host, records={**host.records, "regulatory-wording": (wording("B"),)}))
    assert page.form == "B"
    assert "Phrase de l&#x27;arrêté, mot pour mot." in page.html.decode()
    assert 'class="actors"' not in page.html.decode()
    assert json.loads(page.data)["sentence"] == SENTENCE


class Reader(HTMLParser):
    """What a page is made of; fails on what is not closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def read(content: bytes) -> Reader:
    reader = Reader()
    reader.feed(content.decode())
    reader.close()
    assert reader.open == []
    return reader


@pytest.mark.parametrize("make", [transfers_page, guarantees_page])
def test_a_page_is_accessible_and_fetches_nothing(make: Any) -> None:
    page = make(sample_inputs())
    reader = read(page.html)
    names = [tag for tag, _ in reader.tags]
    assert not {"script", "img", "link", "iframe", "form", "object"} & set(names)
    text = page.html.decode()
    assert not re.search(r"""(?:src|href)=|url\(|@import|\sstyle=|\son\w+=""", text)
    assert dict(reader.tags)["html"]["lang"] == "fr"
    assert [attributes["lang"] for tag, attributes in reader.tags if tag == "section"] == ["en"]
    heads = [attributes for tag, attributes in reader.tags if tag == "th"]
    assert heads
    assert all(attributes.get("scope") in ("col", "row") for attributes in heads)
    table = [attributes for tag, attributes in reader.tags if attributes.get("role") == "columnheader"]
    assert len(table) == 7 * 2
    cells = [attributes for tag, attributes in reader.tags if tag == "td"]
    assert all(attributes["data-label"] for attributes in cells)
    assert text.index("Raison sociale") < text.index("Legal name"), "French first"


def test_the_policy_allows_the_style_of_the_page_and_nothing_else() -> None:
    page = guarantees_page(sample_inputs())
    style = re.search(r"<style>(.*?)</style>", page.html.decode(), re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"'sha256-{digest}'" in page.policy
    assert page.policy.startswith("default-src 'none';")
    assert "unsafe" not in page.policy


def test_colours_of_text_stand_out_as_wcag_aa_asks() -> None:
    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    text = guarantees_page(sample_inputs()).html.decode()
    colours = set(re.findall(r"(?<![-\w])color: (#[0-9a-f]{6})", text))
    assert len(colours) >= 4
    for colour in colours:
        for ground in ("#ffffff", "#eef2f6"):
            high, low = sorted((luminance(colour), luminance(ground)), reverse=True)
            assert (high + 0.05) / (low + 0.05) >= 4.5, colour


def test_the_history_lists_what_was_published_newest_first() -> None:
    def edition(key: str, as_of: str, kind: str, state: str = "made") -> RecordVersion:
        fields = {"kind": kind, "form": "C", "as_of": as_of, "actors": 3, "page": key.ljust(64, "0"), "data": "ab" * 32}
        return made("publication", key, state, fields)

    editions = [
        edition("aa", "2026-01-05T08:00:00Z", "transfers", "replaced"),
        edition("bb", "2026-06-05T08:00:00Z", "transfers", "online"),
        edition("cc", "2026-06-06T08:00:00Z", "guarantees"),
        edition("dd", "2026-06-07T08:00:00Z", "transfers", "dropped"),
    ]
    text = transfers_page(with_records(publication=editions)).html.decode()
    shown = re.findall(r"<code>(\w\w)0{62}</code>", text)
    assert shown == ["bb", "aa", "bb", "aa"], "each language lists them"
    assert "Première édition." in transfers_page(sample_inputs()).html.decode()


def test_the_data_say_what_the_page_says() -> None:
    data = json.loads(guarantees_page(sample_inputs("en")).data)
    assert data["format"] == "hygie guarantees 1"
    assert data["as_of"] == "2026-11-23T10:00:00.000Z"
    assert [one["name"] for one in data["actors"]] == [one.name for one in rows().values()]
    assert [one["foreign"] for one in data["actors"]] == [False, None, True]
