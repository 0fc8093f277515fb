"""Certificates, events and findings against one another; the data files that carry the rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hygie.proof.certification.certificate import Certificate, CertificateState
from hygie.proof.certification.data import own_file
from hygie.proof.certification.delays import LEAD_DAYS_MAX, Scheme, checked_leads, own_delays, read_delays
from hygie.proof.certification.errors import (
    CertificationDataError,
    DelayAbsentError,
    RecordRefusedError,
    TransitionRefusedError,
)
from hygie.proof.certification.events import Event
from hygie.proof.certification.findings import Finding
from hygie.proof.certification.records import check_records, state_for
from hygie.proof.certification.tasks import read_tasks
from tests.unit.proof.certification.samples import (
    DELAYS,
    day,
    event,
    finding,
    finding_body,
    granted,
    hds,
    initial,
    iso,
)

NEXT = hds(id="hds-2030", renews="hds-2027", decided_on="2029-12-03", issued_on="2029-12-10", expires_on="2033-01-14")
NEXT_ISO = iso(
    id="iso-2030", renews="iso-2027", decided_on="2029-12-03", issued_on="2029-12-10", expires_on="2033-01-14"
)
TERM = ("2029-12-03", "hds-2030", "2029-12-10", "2033-01-14")
RENEWAL = [
    *initial(),
    event("renewal_audit", "2029-09-28"),
    granted(*TERM, next_cycle="c2"),
    granted(*TERM, id="opening", cycle="c2", renews="c1"),
]


def check(
    events: list[Event], *, certificates: list[Certificate] | None = None, findings: list[Finding] | None = None
) -> None:
    given_certificates = [iso(), hds(), NEXT_ISO, NEXT] if certificates is None else certificates
    check_records(given_certificates, events, [finding()] if findings is None else findings, DELAYS)


def test_records_that_agree_pass() -> None:
    check(initial())
    check(initial(), findings=[finding(actions=[finding_body()["actions"][0] | {"due_on": "2027-01-16"}])])
    check(RENEWAL)


@pytest.mark.parametrize(
    ("events", "more", "record", "field"),
    [
        ([*initial(), initial()[0]], {}, "event application-2026-06-01", "id"),
        (initial(), {"certificates": [iso()]}, "event decision-2027-01-11", "certificate"),
        (initial(), {"certificates": [iso(), hds(issued_on="2027-01-16")]}, "event decision-2027-01-11", "issued_on"),
        (initial(), {"certificates": [iso(), hds(expires_on="2030-01-13")]}, "event decision-2027-01-11", "expires_on"),
        (initial(), {"certificates": [iso(), hds(decided_on="2027-01-12")]}, "event decision-2027-01-11", "on"),
        (RENEWAL[:-1], {}, "event decision-2029-12-03", "next_cycle"),
        ([RENEWAL[-1]], {"findings": []}, "event opening", "renews"),
        (initial(), {"findings": []}, "event corrections_due-2026-10-20", "findings"),
        (initial(), {"findings": [finding(), finding()]}, "finding c1/f1", "id"),
        (initial(), {"findings": [finding(audit="application-2026-06-01")]}, "finding f1", "audit"),
        (initial(), {"findings": [finding(raised_on="2026-10-15")]}, "finding f1", "raised_on"),
        (
            initial(),
            {"findings": [finding(actions=[finding_body()["actions"][0] | {"due_on": "2027-01-17"}])]},
            "finding f1",
            "actions[0].due_on",
        ),
        (
            initial(),
            {"certificates": [iso(), hds(edition="1.1")]},
            "event decision-2027-01-11",
            "certificate",
        ),
    ],
)
def test_records_that_contradict_one_another_are_refused(
    events: list[Event], more: dict[str, Any], record: str, field: str
) -> None:
    with pytest.raises(RecordRefusedError) as caught:
        check(events, **more)
    assert (caught.value.facts["record"], caught.value.facts["field"]) == (record, field)


def test_a_history_that_cannot_have_happened_is_refused() -> None:
    with pytest.raises(TransitionRefusedError):
        check([*initial(), event("lift", "2028-01-01")])


def test_an_imported_finding_is_not_younger_than_the_last_report() -> None:
    fields: dict[str, Any] = {
        "certificate": "hds-2027",
        "decided_on": "2027-01-11",
        "issued_on": "2027-01-15",
        "expires_on": "2030-01-14",
        "audited_on": "2027-12-20",
        "report": "R-9",
        "findings": ["f1"],
    }
    events = [event("import", "2028-02-01", **fields)]
    still_open = finding_body(audit="import-2028-02-01", closed_on=None, closed_by=None, actions=[])
    check(events, findings=[finding(**still_open | {"raised_on": "2027-12-20"})])
    with pytest.raises(RecordRefusedError) as caught:
        check(events, findings=[finding(**still_open | {"raised_on": "2027-12-21"})])
    assert caught.value.facts["field"] == "raised_on"


@pytest.mark.parametrize(
    ("when", "state"),
    [
        ("2027-08-31", CertificateState.VALID),
        ("2027-09-01", CertificateState.SUSPENDED),
        ("2027-11-01", CertificateState.SUSPENDED),
        ("2027-11-02", CertificateState.VALID),
        ("2028-03-01", CertificateState.WITHDRAWN),
    ],
)
def test_where_there_is_a_cycle_it_decides_the_state_of_its_certificate(when: str, state: CertificateState) -> None:
    events = [
        *initial(),
        event("suspension", "2027-09-01"),
        event("lift", "2027-11-02"),
        event("withdrawal", "2028-03-01"),
    ]
    assert state_for(hds(), events, DELAYS, at=day(when)).state is state
    recorded = hds(id="other", state="withdrawn", state_on="2028-01-01")
    assert state_for(recorded, events, DELAYS, at=day(when)) == recorded


def test_a_renewed_certificate_stays_valid_until_its_own_last_day() -> None:
    assert state_for(hds(), RENEWAL, DELAYS, at=day("2029-12-20")).state is CertificateState.VALID
    assert state_for(NEXT, RENEWAL, DELAYS, at=day("2029-12-20")).state is CertificateState.VALID


DELAYS_TEXT = own_file("delays.toml")


def test_each_delay_says_its_source_and_whether_it_was_read() -> None:
    for rule in own_delays().rules:
        assert rule.source.fr
        assert rule.source.en
    assert [rule.id for rule in own_delays().rules if not rule.verified] == ["suspension"]


def test_a_rule_governs_the_clocks_that_start_while_it_is_in_force() -> None:
    text = DELAYS_TEXT.replace(
        'title_fr = "Corriger', 'valid_until = 2027-12-31\ntitle_fr = "Corriger', 1
    ) + DELAYS_TEXT[DELAYS_TEXT.index("[[delay]]") : DELAYS_TEXT.index('[[delay]]\nid = "validity"')].replace(
        "amount = 3", "amount = 2"
    ).replace("valid_from = 2018-04-01", "valid_from = 2028-01-01")
    delays = read_delays(text)
    assert delays.due("corrections", day("2027-12-31")) == day("2028-03-31")
    assert delays.due("corrections", day("2028-01-01")) == day("2028-03-01")
    with pytest.raises(DelayAbsentError) as caught:
        delays.due("corrections", day("2018-03-31"))
    assert "2018-03-31" in caught.value.sentence("fr")


def test_editions_end_when_their_texts_say() -> None:
    edition = own_delays().edition(Scheme.HDS, "1.1")
    assert edition is not None
    assert (edition.audits_until, edition.valid_until) == (day("2024-11-15"), day("2026-05-15"))
    assert own_delays().edition(Scheme.HDS, "2013") is None


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace('id = "suspension"', 'id = "corrections"'),
        lambda text: text.replace('id = "suspension"', 'id = "suspention"'),
        lambda text: text.replace('unit = "months"', 'unit = "moons"', 1),
        lambda text: text.replace("amount = 3", 'amount = "3"', 1),
        lambda text: text.replace("amount = 3", "amount = 1201", 1),
        lambda text: text.replace("verified = true", 'verified = "yes"', 1),
        lambda text: text.replace("verified = true\n", "", 1),
        lambda text: text.replace("valid_from = 2018-04-01", "valid_from = 2018-04-01T00:00:00", 1),
        lambda text: text.replace("valid_until = 2018-03-31", "valid_until = 1999-03-31", 1),
        lambda text: text.replace("days = [180, 90, 30]", "days = [180, 180]"),
        lambda text: text.replace("valid_until = 2018-03-31", "valid_until = 2018-04-01", 1),
        lambda text: text.replace("days = [180, 90, 30]", "days = []"),
        lambda text: text.replace("days = [180, 90, 30]", "days = [true]"),
        lambda text: text.replace("[warnings]", "[warning]"),
        lambda text: text.replace('status = "literal"', 'status = "literal"\nweight = 3', 1),
        lambda text: text + "[[delay",
        lambda text: text + "#" * 1_048_577,
    ],
)
def test_delays_that_do_not_hold_together_are_refused(change: Callable[[str], str]) -> None:
    assert change(DELAYS_TEXT) != DELAYS_TEXT
    with pytest.raises(CertificationDataError) as caught:
        read_delays(change(DELAYS_TEXT))
    assert caught.value.reason.fr in caught.value.sentence("fr")
    assert caught.value.facts["file"] == "delays.toml"


def test_leads_are_settable_within_bounds() -> None:
    assert checked_leads((7, 60, 0)) == (60, 7, 0)
    for bad in ((), (-1,), (LEAD_DAYS_MAX + 1,), (30, 30), tuple(range(13))):
        with pytest.raises(CertificationDataError):
            checked_leads(bad)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace('id = "soa-french"', 'id = "choose-body"'),
        lambda text: text.replace('owner = "rssi"', 'owner = "nobody"', 1),
        lambda text: text.replace('from = "event"', 'from = "never"', 1),
        lambda text: text.replace('on = ["application"]', 'on = ["party"]', 1),
        lambda text: text.replace("amount = 15, ", "", 1),
        lambda text: text.replace('due = { from = "event", amount = 15, unit = "days" }', 'due = "soon"', 1),
        lambda text: "[[owner]]\nid='x'\ntitle_fr='x'\ntitle_en='x'\n",
    ],
)
def test_tasks_that_do_not_hold_together_are_refused(change: Callable[[str], str]) -> None:
    text = own_file("tasks.toml")
    assert change(text) != text
    with pytest.raises(CertificationDataError):
        read_tasks(change(text))
