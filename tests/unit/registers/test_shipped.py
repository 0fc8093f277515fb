"""The registers that ship: a filled record enters each state; what a fact or somebody must allow waits for it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from hygie.registers.chain import RecordVersion
from hygie.registers.errors import FourEyesError, RecordInvalidError, TransitionRefusedError
from hygie.registers.rules import Change, Known, next_version
from hygie.registers.schema import SchemaInvalidError, read_schema, shipped_schemas
from tests.unit.registers.filled import filled_record
from tests.unit.registers.stage import CONTRACT, SUPPLIER

SCHEMAS = shipped_schemas()
STATES = [(schema.id, state.id) for schema in SCHEMAS.values() for state in schema.states]
# What ``proves`` may name: HDS v2, annex A, clauses of ISO 27001, articles of the RGPD, obligations of the platform.
PROVED = re.compile(
    r"EXI-(0[1-9]|[12]\d|3[01])(\.[A-H1-5](\.[a-d])?)?"
    r"|A\.(5\.([1-9]|[12]\d|3[0-7])|6\.[1-8]|7\.([1-9]|1[0-4])|8\.([1-9]|[12]\d|3[0-4]))"
    r"|iso27001:([4-9]|10)(\.\d){1,2}|rgpd:[1-9]\d?(\.\d{1,2}(\.[a-z])?)?"
    r"|(scope|role|actor|tech|org|comp|guarantee-ops|guarantee-comp|risk|cycle|statement)-[1-8]"
)
NAMED = {
    *("context", "interested-party", "legal-watch", "objective", "indicator-value", "management-review"),
    *("internal-audit", "policy", "policy-acknowledgement", "person", "undertaking", "training-session"),
    *("training-record", "habilitation-review", "responsibility-matrix", "risk-source", "feared-event", "risk"),
    *("continuity-plan", "drill", "action", "incident", "change", "asset", "site", "service", "medium", "supplier"),
    *("supplier-change", "client-contact", "contract", "processing", "dpia", "rights-request", "violation"),
    *(
        "intervention",
        "recorded-session",
        "audit",
        "finding",
        "ticket",
        "certificate",
        "certification-event",
        "foreign-law-note",
    ),
    *("transfer", "document-delivery", "complaint", "mark-use", "referential-import"),
    *("applicability", "publication", "regulatory-wording"),
    *("scoping", "certification-warning", "data-copy", "duty"),
}


def write(
    register: str, state: str, fields: Mapping[str, object], *, approver: str = "", before: RecordVersion | None = None
) -> RecordVersion:
    """The version that a change makes, on a register that holds nothing or one record."""
    schema = SCHEMAS[register]
    known = Known({register: {before.key: before} if before else {}}, lambda _: {})
    tenant = "chu-x" if schema.tenant == "required" else ""
    change = Change(register, fields, before.key if before else "", state, tenant, approver=approver)
    made = next_version(change, SCHEMAS, known, author="local:anne", line=1)
    assert made is not None
    return made


def refused(register: str, state: str, fields: Mapping[str, object]) -> tuple[str, str]:
    """The field and the English reason of a refusal."""
    with pytest.raises(RecordInvalidError) as found:
        write(register, state, fields, approver="paul")
    facts: dict[str, Any] = found.value.facts
    return facts["field"], facts["reason_en"]


def test_every_register_ships() -> None:
    assert set(SCHEMAS) == NAMED


@pytest.mark.parametrize(("register", "state"), STATES)
def test_a_filled_record_enters_each_state_and_none_without_its_facts(register: str, state: str) -> None:
    schema = SCHEMAS[register]
    fields = filled_record(schema, state)
    assert write(register, state, fields, approver="paul").state == state
    for one in schema.fields:
        if one.required or state in one.required_in:
            assert refused(register, state, {**fields, one.id: None}) == (one.id, "no value")
    if schema.state(state).approval:
        with pytest.raises(TransitionRefusedError):
            write(register, state, fields)
        with pytest.raises(FourEyesError):
            write(register, state, fields, approver="anne")


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=list(SCHEMAS))
def test_a_register_is_fit_for_people(schema: Any) -> None:
    assert schema.proves
    assert [one for one in schema.proves if not PROVED.fullmatch(one)] == []
    reached, waiting = {schema.initial.id}, [schema.initial]
    while waiting:
        new = set(waiting.pop().to) - reached
        reached |= new
        waiting += [schema.state(one) for one in new]
    assert reached == {one.id for one in schema.states}
    assert all(one.to or one.closed for one in schema.states), "an open state that nothing follows"
    texts = [schema.fr, schema.about_fr, *(one.fr for one in schema.fields), *(one.fr for one in schema.rules)]
    assert not [one for one in texts if re.search(r"[.!?]$", one) and one != schema.about_fr]
    assert all("’" not in one and "  " not in one for one in texts)


@pytest.mark.parametrize(
    ("register", "state", "fields", "field"),
    [
        ("change", "approved", {"degrading": True, "degradation": "x", "clients": ["chu-x"]}, "consent_on"),
        ("change", "emergency", {"degrading": True, "degradation": "x", "clients": ["chu-x"]}, "consent_on"),
        ("incident", "closed", {"health_data": "unknown"}, "health_data"),
        ("incident", "closed", {"is_violation": "yes", "violations": None}, "violations"),
        ("incident", "closed", {"health_data": "yes", "clients": None}, "clients"),
        ("incident", "closed", {"nis2": True, "nis2_reported_at": None}, "nis2_reported_at"),
        ("incident", "closed", {"source": "monitoring", "evidence_sha256": None}, "evidence_sha256"),
        ("internal-audit", "reported", {"auditor_person": "PER-1", "audited": ["PER-1"]}, "auditor_person"),
        ("internal-audit", "closed", {"kind": "traces"}, "sample_size"),
        ("action", "verified", {"owner": "PER-1", "verified_by": "PER-1"}, "owner"),
        ("habilitation-review", "decided", {"reviewer": "PER-1", "person": "PER-1"}, "reviewer"),
        ("risk", "treated", {"gravity": 2, "residual_gravity": 3}, "gravity"),
        ("supplier", "candidate", {"outside_eea": True}, "outside_countries"),
        ("supplier", "candidate", {"hds": "exempted"}, "hds_reason"),
        ("supplier-change", "notified", {"clients_told_on": "2026-03-01", "objection_ends_on": "2026-03-30"},
         "objection_ends_on"),
        ("supplier-change", "accepted", {"clients_concerned": True}, "clients_told_on"),
        ("certificate", "valid", {"issued_on": "2026-01-05", "expires_on": "2026-01-05"}, "expires_on"),
        ("certificate", "valid", {"issued_on": "2026-01-05", "expires_on": "2030-01-06"}, "expires_on"),
        ("certificate", "valid", {"scheme": "hds", "depends_on": None}, "depends_on"),
        ("asset", "in-service", {"health_data": True, "site": "SIT-1"}, "key_id"),
        ("service", "open", {"production": True}, "certificates"),
        ("client-contact", "active", {"professional": "Dr Paul Durand"}, "professional_rpps"),
        ("rights-request", "received", {"extended": True, "extension_reason": "x", "received_on": "2026-01-31",
                                        "extension_told_on": "2026-03-01"}, "extension_told_on"),
        ("rights-request", "executed", {"right": "erasure", "retention_checked": False}, "retention_checked"),
        ("violation", "settled", {"risk": "high", "cnil_filed_at": "2026-03-01T00:00:00Z"}, "people_told_at"),
        ("drill", "reported", {"outcome": "failed", "gaps": "x"}, "actions"),
        ("continuity-plan", "draft", {"dmia_min": 60, "rto_min": 61}, "dmia_min"),
        ("transfer", "active", {"basis": "clauses", "clients_told_on": "2026-01-01"}, "safeguards"),
        ("mark-use", "approved", {"faithful": False}, "faithful"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_refused(register: str, state: str, fields: dict[str, object], field: str) -> None:
    whole = filled_record(SCHEMAS[register], state)
    write(register, state, whole, approver="paul")
    assert refused(register, state, {**whole, **fields})[0] == field


def test_a_degrading_change_waits_for_the_clients_consent_then_goes_on() -> None:
    schema = SCHEMAS["change"]
    asked = {**filled_record(schema, "requested"), "degrading": True, "degradation": "99,9 % au lieu de 99,95 %"}
    first = write("change", "requested", asked)
    facts = {**filled_record(schema, "approved"), **asked, "clients": ["chu-x"]}
    second = replace(first, state="assessed")
    with pytest.raises(RecordInvalidError, match="consent_on"):
        write("change", "approved", facts, approver="paul", before=second)
    consent = {**facts, "consent_on": "2026-02-01", "consent": "ab" * 32}
    assert write("change", "approved", consent, approver="paul", before=second).version == 2


@pytest.mark.parametrize(
    "lacking",
    [
        *("lead", "severity", "detected_at", "declared_at", "timeline", "evidence", "health_data", "cause", "lesson"),
        *("impact", "qualified_at", "resolved_at", "is_violation", "notices"),
    ],
)
def test_an_incident_is_not_closed_while_something_lacks(lacking: str) -> None:
    whole = filled_record(SCHEMAS["incident"], "closed")
    write("incident", "closed", whole, approver="paul")
    assert refused("incident", "closed", {**whole, lacking: ""}) == (lacking, "no value")


def test_a_signed_contract_says_where_each_clause_is() -> None:
    schema = SCHEMAS["contract"]
    clauses = [one.id for one in schema.fields if re.fullmatch(r"clause_.+|rgpd_[a-h]", one.id)]
    assert len(clauses) == 14 + 8 + 2
    whole = filled_record(schema, "signed")
    for one in clauses:
        assert refused("contract", "signed", {**whole, one: ""}) == (one, "no value")


def test_a_list_of_nothing_does_not_fill_a_field() -> None:
    fields = filled_record(SCHEMAS["service"], "draft")
    for nothing in ([""], " ; ", []):
        assert refused("service", "draft", {**fields, "activities": nothing}) == ("activities", "no value")


def test_capital_letters_of_a_choice_are_read() -> None:
    fields = filled_record(SCHEMAS["risk"], "identified")
    for given in ("H", "h", "H. Lois extra-européennes"):
        assert write("risk", "identified", {**fields, "event": given}).fields["event"] == "H"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('rules = [{kind="after", a="name", b="name", fr="x", en="x"}]', "rule after on name"),
        ('rules = [{kind="after", a="signed_on", b="lost", fr="x", en="x"}]', "rule after"),
        ('rules = [{kind="within", a="signed_on", b="signed_on", fr="x", en="x"}]', "rule within"),
        ('rules = [{kind="not_before", a="signed_on", b="signed_on", delay="PT1H", fr="x", en="x"}]', "rule not_b"),
        ('rules = [{kind="at_least", a="name", b="amount", fr="x", en="x"}]', "rule at_least"),
        ('rules = [{kind="never", a="big", is=["yes"], fr="x", en="x"}]', "rule never"),
        ('rules = [{kind="filled", a="name", b="big", is=["true"], states=["gone"], fr="x", en="x"}]', "rule filled"),
        ('clocks = [{id="c", from="signed_on", delay="P1X", CLOCK}]', "clock c"),
        ('clocks = [{id="c", from="signed_on", delay="PT1H", CLOCK}]', "clock c"),
        ('clocks = [{id="c", from="name", delay="P1D", CLOCK}]', "clock c"),
        ('clocks = [{id="c", from="signed_on", delay="P1D", done="amount", CLOCK}]', "clock c"),
        ('clocks = [{id="c", from="signed_on", delay="P1D", if_field="big", is=["no"], CLOCK}]', "clock c"),
        ('clocks = [{id="c", from="signed_on", CLOCK}]', "clock c"),
        ('clocks = [{id="c", from="signed_on", delay="P1D", CLOCK}, {id="c", from="signed_on", delay="P1D", CLOCK}]',
         "named twice"),
        ('due_field = "name"', "due_field"),
        ('due_states = ["draft"]', "due_states"),
        ('due_field = "signed_on"\ndue_states = ["lost"]', "due_states"),
        ('due_field = "signed_on"\ndue_states = ["closed"]', "due_states"),
    ],
)  # fmt: skip
def test_a_schema_whose_rules_or_clocks_mean_nothing_is_refused(line: str, words: str) -> None:
    clock = 'fr="x", en="x", who="host", status="promise", source_fr="x", source_en="x"'
    fields = """
fields = [
  { id = "name", type = "text", fr = "Nom", en = "Name" }, { id = "signed_on", type = "date", fr = "Le", en = "On" },
  { id = "amount", type = "decimal", fr = "Montant", en = "Amount" },
  { id = "big", type = "boolean", fr = "Grand", en = "Big" },
]
"""
    head = SUPPLIER.split("fields = [")[0]
    assert read_schema(head + fields, "good").id == "maker"
    with pytest.raises(SchemaInvalidError, match=words):
        read_schema(line.replace("CLOCK", clock) + head + fields, "bad")


def test_two_fields_of_one_name_are_refused() -> None:
    with pytest.raises(SchemaInvalidError, match="same name"):
        read_schema(CONTRACT.replace('en = "Signed on"', 'en = "Maker"'), "bad")
