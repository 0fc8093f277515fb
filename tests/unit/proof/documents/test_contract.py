"""The contract's draft and its check: what the law asks for, bound to what is true now."""

from __future__ import annotations

import io
import json
import re
import zipfile
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import openpyxl
import pytest

from hygie.proof.documents.bindings import bindings, client_of
from hygie.proof.documents.contacts import contact_count, contact_list_json, contact_list_sheet
from hygie.proof.documents.contract import contract_clauses, contract_draft
from hygie.proof.documents.contract_check import Checked, check_contract
from hygie.proof.documents.model import Inputs
from hygie.proof.errors import PaperRefusedError
from hygie.registers.errors import RegisterNotFoundError
from tests.unit.proof.documents.sample import sample_inputs, sample_records

WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"


def paragraphs(content: bytes) -> list[ElementTree.Element]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        return list(ElementTree.fromstring(archive.read("word/document.xml")).iter(f"{WORD}p"))


def text_of(element: ElementTree.Element) -> str:
    return "".join(one.text or "" for one in element.iter(f"{WORD}t"))


def highlighted(content: bytes) -> list[str]:
    return [
        text_of(run)
        for each in paragraphs(content)
        for run in each.iter(f"{WORD}r")
        if run.find(f".//{WORD}highlight") is not None
    ]


def without(*registers: str) -> Inputs:
    return sample_inputs(records={name: found for name, found in sample_records().items() if name not in registers})


def changed(register: str, key: str, **fields: Any) -> Inputs:
    records = dict(sample_records())
    records[register] = tuple(
        replace(one, fields={**one.fields, **fields}) if one.key == key else one for one in records[register]
    )
    return sample_inputs(records=records)


def test_the_draft_holds_the_24_clauses_with_live_values() -> None:
    text = "\n".join(map(text_of, paragraphs(contract_draft(sample_inputs(), "chu-ouest"))))
    clauses = contract_clauses()
    assert [one.id for one in clauses][:14] == [f"clause_{number}" for number in range(1, 15)]
    assert [one.id for one in clauses][14:22] == [f"rgpd_{letter}" for letter in "abcdefgh"]
    for number, clause in enumerate(clauses, 1):
        assert f"Article {number}. {clause.title}" in text
        assert clause.basis in text
    for live in (
        *("HDS-2024-118", "24 juin 2027", "99,95\u00a0%", "Paul Le Goff", "Lyon 1, Lyon (France)", "4 heures"),
        *("Northwind Support Inc.", "Décision (UE) 2023/1795", "CLOUD Act", "certificate CER-0002 v1"),
    ):
        assert live in text
    assert not re.search(r"\{[a-z_]+\}", text)
    assert "conforme HDS" not in text


def test_what_is_recorded_nowhere_is_a_marked_blank() -> None:
    assert highlighted(contract_draft(sample_inputs(), "chu-ouest")) == ["[À COMPLÉTER : Assurance ou séquestre]"]
    assert "Images médicales" in "".join(map(text_of, paragraphs(contract_draft(sample_inputs(), "chu-ouest"))))
    blanks = highlighted(contract_draft(without("contract", "certificate"), "chu-ouest"))
    assert {"[À COMPLÉTER : Numéro du certificat HDS]", "[À COMPLÉTER : Pénalités]"} <= set(blanks)
    assert "[À COMPLÉTER : Disponibilité]" not in blanks, "services still say it"


def test_every_value_that_the_template_quotes_is_bound() -> None:
    bound = set(bindings(sample_inputs(), client_of(sample_inputs(), "chu-ouest")))
    quoted = {name for one in contract_clauses() for text in one.text for name in re.findall(r"\{(\w+)\}", text)}
    assert quoted <= bound


def test_a_client_that_nothing_names_has_no_draft() -> None:
    with pytest.raises(PaperRefusedError):
        contract_draft(sample_inputs(), "inconnu")


def test_equal_inputs_give_an_equal_draft() -> None:
    assert contract_draft(sample_inputs(), "chu-ouest") == contract_draft(sample_inputs(), "chu-ouest")


def checked(inputs: Inputs) -> dict[str, Checked]:
    return {one.id: one for one in check_contract(inputs, "CTR-0001")}


def differing(inputs: Inputs) -> set[str]:
    return {one.id for one in checked(inputs).values() if not one.holds}


def test_a_signed_contract_is_held_to_what_is_true_now() -> None:
    found = checked(sample_inputs())
    assert len(found) == 24
    assert differing(sample_inputs()) == {"clause_1", "clause_3", "clause_10"}
    renewal = next(one for one in found["clause_1"].quotes if one.same is False)
    assert (renewal.quoted, renewal.live) == ("2027-06-20", "2027-06-24")
    sites = found["clause_3"].quotes[0]
    assert (sites.quoted, sites.live, sites.same) == ("SIT-0001", "SIT-0001, SIT-0002", False)


@pytest.mark.parametrize(
    ("register", "key", "fields", "clause"),
    [
        ("service", "SVC-0001", {"availability": "99.9"}, "clause_6"),
        ("client-contact", "CON-0001", {"roles": ["dpo"]}, "clause_5"),
        ("client-contact", "CON-0001", {"next_confirmation_on": "2026-11-01"}, "clause_5"),
        ("service", "SVC-0001", {"suppliers": ["SUP-0002"]}, "clause_7"),
        ("transfer", "TRF-0001", {"supplier": "SUP-0002"}, ""),
        ("foreign-law-note", "FLN-0001", {"conclusion": "none"}, "clause_foreign_law"),
        ("contract", "CTR-0001", {"clause_8": ""}, "clause_8"),
        ("contract", "CTR-0001", {"rgpd_h": ""}, "rgpd_h"),
        ("contract", "CTR-0001", {"certificate": "CER-0003"}, "clause_1"),
    ],
)
def test_each_change_is_seen(register: str, key: str, fields: dict[str, Any], clause: str) -> None:
    added = differing(changed(register, key, **fields)) - {"clause_3", "clause_10"}
    assert (clause in added) if clause else added == {"clause_1"}


def test_a_contract_that_is_not_there_is_said_absent() -> None:
    with pytest.raises(RegisterNotFoundError):
        check_contract(sample_inputs(), "CTR-9999")


def test_a_value_that_no_service_states_is_not_compared() -> None:
    records = dict(sample_records())
    records["service"] = ()
    quote = checked(sample_inputs(records=records))["clause_2"].quotes[0]
    assert (quote.quoted, quote.live, quote.same) == ("99.95", "", None)


def test_the_contact_list_holds_who_may_appoint_and_names_clients_without_one() -> None:
    records = dict(sample_records())
    service = records["service"][0]
    records["service"] = (replace(service, fields={**service.fields, "tenants": ["chu-ouest", "labo-est"]}),)
    inputs = sample_inputs(records=records)
    found = json.loads(contact_list_json(inputs))
    assert [(one["client"], one["name"], one["professional_rpps"]) for one in found["contacts"]] == [
        ("chu-ouest", "Paul Le Goff", "10999000002")
    ]
    assert found["without"] == ["labo-est"]
    assert contact_count(inputs) == 1
    assert contact_list_json(inputs) == contact_list_json(inputs)
    book = openpyxl.load_workbook(io.BytesIO(contact_list_sheet(inputs)))
    assert "Dr Anne Caradec" in {cell.value for row in book["Contacts"].iter_rows() for cell in row}
    assert [row[0].value for row in book["Clients sans contact"].iter_rows(min_row=2)] == ["labo-est"]
