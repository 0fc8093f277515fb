"""Certificates: strict parsing, impossible dates, the chain from HDS to ISO 27001, what one is worth on a day."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hygie.proof.certification.certificate import (
    Certificate,
    check_chain,
    parse_certificate,
    standing,
)
from hygie.proof.certification.errors import RecordRefusedError
from tests.unit.proof.certification.samples import DELAYS, day, hds, hds_body, iso, iso_body, written


def refusal(body: object) -> tuple[str, str]:
    with pytest.raises(RecordRefusedError) as caught:
        parse_certificate(body)
    error = caught.value
    assert "?" not in error.sentence("fr") + error.sentence("en")
    assert error.reason.fr in error.sentence("fr")
    return str(error.facts["field"]), error.reason.en


def test_a_certificate_is_read_field_by_field() -> None:
    for body in (iso_body(), hds_body(), hds_body(state="suspended", state_on="2028-02-29", renews="hds-2024")):
        assert written(parse_certificate(body), body) == body


@pytest.mark.parametrize("field", sorted(set(hds_body()) - {"state_on", "renews"}))
def test_each_field_is_asked_for(field: str) -> None:
    for body in ({k: v for k, v in hds_body().items() if k != field}, hds_body(**{field: None})):
        assert refusal(body)[0] == field


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"expires_on": "2027-01-14"}, "expires_on", "expiry is not after issue"),
        ({"expires_on": "2027-01-15"}, "expires_on", "expiry is not after issue"),
        ({"expires_on": "2030-01-16"}, "expires_on", "longer than the validity"),
        ({"issued_on": "2027-01-10"}, "issued_on", "earlier than decided_on"),
        ({"decided_on": "2027-02-30"}, "decided_on", "no such date"),
        ({"decided_on": "1987-02-10"}, "decided_on", "year outside"),
        ({"decided_on": "11/01/2027"}, "decided_on", "date YYYY-MM-DD"),
        ({"decided_on": "٢٠٢٧-01-11"}, "decided_on", "date YYYY-MM-DD"),
        ({"decided_on": 20270111}, "decided_on", "date YYYY-MM-DD"),
        ({"activities": []}, "activities", "at least one"),
        ({"activities": [1, 7]}, "activities", "1 to 6"),
        ({"activities": [0]}, "activities", "1 to 6"),
        ({"activities": [True]}, "activities", "1 to 6"),
        ({"activities": ["1"]}, "activities", "1 to 6"),
        ({"activities": [2, 2]}, "activities", "twice"),
        ({"activities": "123"}, "activities", "a list"),
        ({"activities": [1] * 1001}, "activities", "at most 1000"),
        ({"accreditation_reference": "  "}, "accreditation_reference", "missing"),
        ({"accreditation_country": "France"}, "accreditation_country", "two-letter"),
        ({"depends_on": "hds-2027"}, "id", "refers to itself"),
        ({"state": "expired"}, "state", "among valid, suspended, withdrawn"),
        ({"state": "suspended"}, "state_on", "only then"),
        ({"state_on": "2028-01-01"}, "state_on", "only then"),
        ({"state": "withdrawn", "state_on": "2026-01-01"}, "state_on", "earlier than issued_on"),
        ({"state": "withdrawn", "state_on": "2031-01-01"}, "state_on", "later than expiry"),
        ({"scheme": "iso9001"}, "scheme", "among hds, iso27001"),
        ({"scope": "x" * 4001}, "scope", "at most 4000"),
        ({"body": "x" * 201}, "body", "at most 200"),
        ({"body": " x"}, "body", "blank at an end"),
        ({"number": "a\x00b"}, "number", "control"),
        ({"number": 7}, "number", "a text"),
        ({"id": "HDS 2027"}, "id", "identifier"),
        ({"colour": "blue"}, "colour", "unknown field"),
        ({"A person's name": "x"}, "-", "unknown field"),
    ],
)
def test_what_cannot_be_is_refused_with_its_field(changes: dict[str, Any], field: str, words: str) -> None:
    found, reason = refusal(hds_body(**changes))
    assert found == field
    assert words in reason


def test_an_iso_27001_certificate_has_no_activities_and_hangs_on_nothing() -> None:
    assert refusal(iso_body(activities=[1]))[0] == "activities"
    assert refusal(iso_body(depends_on="other"))[0] == "depends_on"


@pytest.mark.parametrize("body", [None, [], "certificate", 3])
def test_what_is_no_object_is_refused(body: object) -> None:
    assert refusal(body)[0] == "-"


def test_three_years_to_the_day_pass_leap_day_included() -> None:
    assert iso(decided_on="2028-02-29", issued_on="2028-02-29", expires_on="2031-02-28").expires_on == day("2031-02-28")
    leap = iso_body(decided_on="2028-02-29", issued_on="2028-02-29", expires_on="2031-03-01")
    assert refusal(leap)[0] == "expires_on"


@given(
    st.dictionaries(
        st.sampled_from(sorted(hds_body())) | st.text(max_size=8),
        st.none() | st.booleans() | st.integers() | st.text(max_size=12) | st.lists(st.integers(), max_size=3),
        max_size=6,
    )
)
def test_any_change_gives_a_certificate_or_a_typed_refusal(changes: dict[str, Any]) -> None:
    try:
        certificate = parse_certificate(hds_body() | changes)
    except RecordRefusedError:
        return
    assert certificate.issued_on < certificate.expires_on
    assert (certificate.depends_on is not None) is (certificate.scheme == "hds") is bool(certificate.activities)
    assert (certificate.state == "valid") is (certificate.state_on is None)


def chain_refusal(*certificates: Certificate) -> tuple[str, str, str]:
    with pytest.raises(RecordRefusedError) as caught:
        check_chain(certificates, DELAYS)
    return str(caught.value.facts["record"]), str(caught.value.facts["field"]), caught.value.reason.en


NEXT_ISO = {
    "id": "iso-2030",
    "number": "IS-2",
    "renews": "iso-2027",
    "decided_on": "2029-11-20",
    "issued_on": "2029-12-01",
    "expires_on": "2033-01-14",
}


def test_a_chain_that_holds_together_passes() -> None:
    check_chain([iso(), hds()], DELAYS)
    check_chain([iso(), iso(**NEXT_ISO), hds(issued_on="2028-01-15", expires_on="2031-01-14")], DELAYS)


@pytest.mark.parametrize(
    ("certificates", "record", "field", "words"),
    [
        ([hds()], "certificate hds-2027", "depends_on", "no such ISO"),
        ([hds(), hds()], "certificate hds-2027", "id", "twice"),
        ([iso(holder="other"), hds()], "certificate hds-2027", "depends_on", "another holder"),
        ([iso(expires_on="2029-12-31"), hds()], "certificate hds-2027", "expires_on", "outlive"),
        ([iso(issued_on="2027-02-01"), hds(expires_on="2030-01-01")], "certificate hds-2027", "depends_on", "at issue"),
        (
            [iso(state="suspended", state_on="2027-01-15"), hds(expires_on="2030-01-01")],
            "certificate hds-2027",
            "depends_on",
            "at issue",
        ),
        ([iso(edition="2013"), hds()], "certificate hds-2027", "depends_on", "at issue"),
        ([iso(renews="iso-2024")], "certificate iso-2027", "renews", "unknown"),
        ([iso(), iso(**NEXT_ISO | {"holder": "other"})], "certificate iso-2030", "renews", "holder"),
        ([iso(), iso(**NEXT_ISO | {"expires_on": "2033-01-15"})], "certificate iso-2030", "expires_on", "longer"),
        ([iso(renews="iso-2030"), iso(**NEXT_ISO)], "certificate iso-2030", "renews", "circle"),
        (
            [
                iso(),
                iso(**NEXT_ISO | {"decided_on": "2027-01-11", "issued_on": "2027-01-15", "expires_on": "2030-01-01"}),
            ],
            "certificate iso-2030",
            "issued_on",
            "before the renewed",
        ),
    ],
)
def test_a_chain_that_does_not_is_refused(certificates: list[Certificate], record: str, field: str, words: str) -> None:
    found = chain_refusal(*certificates)
    assert found[:2] == (record, field) or words == "circle"
    assert words in found[2]


def test_hds_on_another_hds_certificate_is_refused() -> None:
    first = hds(id="hds-2024")
    assert chain_refusal(iso(), first, hds(depends_on="hds-2024"))[2] == "no such ISO 27001 certificate"


@pytest.mark.parametrize(
    ("at", "valid"),
    [("2027-01-14", False), ("2027-01-15", True), ("2030-01-14", True), ("2030-01-15", False)],
)
def test_it_is_valid_from_its_issue_to_the_evening_of_its_last_day(at: str, valid: bool) -> None:
    worth = standing(hds(), day(at), [iso(), hds()], DELAYS)
    assert worth.valid is valid
    assert bool(worth.reasons) is not valid


def test_without_its_iso_27001_certificate_it_is_worth_nothing() -> None:
    at = day("2028-06-01")
    for base in ([], [iso(state="withdrawn", state_on="2028-05-31")], [iso(state="suspended", state_on="2028-06-01")]):
        worth = standing(hds(), at, [*base, hds()], DELAYS)
        assert not worth.valid
        assert "no valid ISO 27001 certificate" in worth.reasons[-1].en
    assert standing(hds(), at, [iso(state="withdrawn", state_on="2028-06-02"), hds()], DELAYS).valid


def test_a_renewal_of_its_iso_27001_certificate_carries_it_on() -> None:
    late = hds(issued_on="2028-01-15", expires_on="2031-01-14")
    at = day("2030-06-01")
    assert not standing(late, at, [iso(), late], DELAYS).valid
    assert standing(late, at, [iso(), iso(**NEXT_ISO), late], DELAYS).valid


def test_a_renewed_certificate_does_not_outlive_what_stops_its_renewal() -> None:
    """Its own last day is weeks away, but the certification that goes on under the new one has been stopped."""
    stopped = {"state": "withdrawn", "state_on": "2029-12-20"}
    new = hds(id="hds-2030", renews="hds-2027", depends_on="iso-2030",
              decided_on="2029-11-20", issued_on="2029-12-01", expires_on="2033-01-14", **stopped)  # fmt: skip
    bases = [iso(), iso(**NEXT_ISO)]
    assert standing(hds(), day("2029-12-19"), [*bases, hds(), new], DELAYS).valid
    worth = standing(hds(), day("2029-12-20"), [*bases, hds(), new], DELAYS)
    assert [reason.en for reason in worth.reasons] == ["its renewal hds-2030 is withdrawn since 2029-12-20"]
    lost = [iso(), iso(**NEXT_ISO | stopped)]
    assert standing(hds(), day("2029-12-19"), [*lost, hds()], DELAYS).valid
    assert "no valid ISO 27001" in standing(hds(), day("2029-12-20"), [*lost, hds()], DELAYS).reasons[0].en


def test_an_edition_that_ended_is_worth_nothing_from_the_day_after() -> None:
    old = hds(edition="1.1", decided_on="2024-01-11", issued_on="2024-01-15", expires_on="2027-01-14")
    base = iso(decided_on="2024-01-11", issued_on="2024-01-15", expires_on="2027-01-14")
    assert standing(old, day("2026-05-15"), [base, old], DELAYS).valid
    assert (
        "edition worth nothing since 2026-05-16" in standing(old, day("2026-05-16"), [base, old], DELAYS).reasons[0].en
    )
    assert not standing(hds(edition="3.0"), day("2028-01-01"), [iso()], DELAYS).valid


@given(offset=st.integers(-400, 1500), stopped=st.integers(0, 1094))
def test_a_suspended_certificate_is_valid_on_no_day_from_its_suspension(offset: int, stopped: int) -> None:
    state_on = date(2027, 1, 15) + timedelta(days=stopped)
    at = date(2027, 1, 15) + timedelta(days=offset)
    certificate = hds(state="suspended", state_on=state_on.isoformat())
    assert standing(certificate, at, [iso(), certificate], DELAYS).valid is (date(2027, 1, 15) <= at < state_on)
