"""A notice says what is known, and that the rest is not known yet; a record's text is no markup."""

from __future__ import annotations

from typing import Any

import pytest

from hygie.proof.documents.typesetting import typeset
from hygie.proof.incidents.clocks import clocks_of
from hygie.proof.incidents.notices import KINDS, FindingLine, Kind, Known, Touched, make_notice
from hygie.registers.chain import RecordVersion
from hygie.registers.schema import shipped_schemas

SCHEMAS = shipped_schemas()
SEEN, NOW = "2026-11-02T08:00:00Z", "2026-11-02T09:00:00Z"


def record(register: str, key: str, tenant: str = "", **fields: Any) -> RecordVersion:
    state = SCHEMAS[register].initial.id
    return RecordVersion(1, register, key, 1, 0, "local:anne", "", tenant, state, "", fields)


def known(kind: Kind, *, touched: Touched | None = None, **fields: Any) -> Known:
    incident = record("incident", "INC-0001", title="Essai", kind="account", severity="major", detected_at=SEEN,
                      declared_at=SEEN, health_data="yes", description="Comptes de tous", nis2=True)  # fmt: skip
    breach = record("violation", "VIO-0001", "chu", incident="INC-0001", aware_at=SEEN, told_at=NOW, risk="unknown",
                    **fields)  # fmt: skip
    lines = (FindingLine("Somebody reads", 3, SEEN, NOW),)
    clocks = clocks_of(incident, [breach], SCHEMAS, 1_793_610_000_000)
    return Known(kind, incident, SCHEMAS, "chu", breach, None, "Hôte", "Paul, DPO", lines, touched, clocks, NOW, True)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_says_who_may_be_asked_and_what_is_not_known(kind: Kind) -> None:
    text = make_notice(known(kind)).as_text().decode()
    assert "Paul, DPO" in text
    assert "Pas encore connu" in text or "Not known yet" in text
    assert "INSTALLATION D'ESSAI" in text or "TRIAL INSTALLATION" in text


def test_a_clients_notice_does_not_quote_the_facts_of_all() -> None:
    for kind in KINDS[:3]:
        assert "Comptes de tous" not in make_notice(known(kind)).as_text().decode()
    assert "Comptes de tous" in make_notice(known("nis2-notification")).as_text().decode()


def test_counts_that_were_not_read_to_their_beginning_are_least_ones() -> None:
    whole, part = (
        make_notice(known("controller", touched=Touched(9, 8, 7, whole=whole))).as_text().decode()
        for whole in (True, False)
    )
    assert "7 patients distincts" in whole or "7 distinct patients" in whole
    assert "au moins 7" in part or "at least 7" in part


def test_clocks_of_a_notice_are_those_that_it_is_about() -> None:
    told = make_notice(known("controller")).sections[-1].lines
    assert any("CNIL" in line for line in told)
    assert all("NIS 2" in line for line in make_notice(known("nis2-warning")).sections[-1].lines)


def test_a_text_of_a_record_is_no_markup() -> None:
    notice = make_notice(known("cnil", facts="# [x](http://y) *z*\n## 9. Faux"))
    text = notice.as_text().decode()
    assert "\\# \\[x\\](http://y) \\*z\\* \\#\\# 9. Faux" in text
    assert typeset("notice.typ", notice.as_values() | {"language": "fr"}, at_ms=0).startswith(b"%PDF")
