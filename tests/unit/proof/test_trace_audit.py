"""The sample of an audit of traces is the auditor's, and each access without its right or its reason is named."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hygie.base.actions import Action
from hygie.journal.entry import Entry
from hygie.proof.trace_audit import Known, Span, draw, to_explain

HERE, ELSEWHERE = b"e" * 16, b"o" * 16
READ = Entry(
    Action.OBJECT_READ, "done", "access", 50, environment_id=HERE, account="marie", purpose="TREAT", habilitation="h1"
)
KNOWN = Known(
    accounts={"marie", "luc"},
    rights={
        "h1": [Span("marie", HERE, 10, 80), Span("marie", HERE, 90, 100)],  # suspended in between
        "h2": [Span("luc", HERE, 10, 100)],
        "h3": [Span("marie", ELSEWHERE, 10, 100)],
        "h4": [],  # that nobody granted
    },
    raised=[Span("local:anne", b"", 40, 60)],
    openings=[
        (Span("marie", HERE, 45, 55), True),
        (Span("luc", HERE, 45, 55), False),
        (Span("marie", ELSEWHERE, 60, 80), True),
    ],
)


def test_an_access_with_its_right_and_its_reason_is_justified() -> None:
    assert to_explain(READ, KNOWN) == []
    assert to_explain(replace(READ, purpose="BTG"), KNOWN) == []
    assert to_explain(replace(READ, account="system:work", habilitation="local", purpose=""), KNOWN) == []
    assert to_explain(replace(READ, account="local:anne", kind="administration", purpose=""), KNOWN) == []
    assert to_explain(replace(READ, account="local:paul", action=Action.JOURNAL_READ), KNOWN) == []  # daily work


@pytest.mark.parametrize(
    ("changed", "reasons"),
    [
        ({"account": "ghost"}, ["account"]),
        ({"habilitation": "h9"}, ["habilitation"]),
        ({"habilitation": "h2"}, ["habilitation"]),  # somebody else's
        ({"environment_id": ELSEWHERE}, ["habilitation"]),
        ({"at_ms": 9}, ["habilitation"]),
        ({"at_ms": 100}, ["habilitation"]),
        ({"at_ms": 85}, ["habilitation"]),
        ({"habilitation": "h4"}, ["habilitation"]),
        ({"purpose": ""}, ["purpose"]),
        ({"purpose": "BTG", "at_ms": 70}, ["opening"]),  # the one that was open was another place's
        ({"purpose": "BTG", "environment_id": ELSEWHERE, "habilitation": "h3"}, ["opening"]),
        ({"purpose": "BTG", "account": "luc", "habilitation": "h2"}, ["review"]),
        ({"account": "local:anne", "at_ms": 60}, ["raised"]),
        ({"account": "local:paul"}, ["raised"]),
        ({"account": "local:paul", "action": Action.BACKUP_RESTORE}, ["raised"]),
        ({"account": "ghost", "action": Action.JOURNAL_READ}, ["account"]),
    ],
)
def test_what_lacks_a_right_or_a_reason_is_named(changed: dict[str, object], reasons: list[str]) -> None:
    assert to_explain(replace(READ, **changed), KNOWN) == reasons  # type: ignore[arg-type]


@given(st.sets(st.integers(0, 10**9), max_size=300), st.text(max_size=20), st.integers(1, 50))
def test_the_same_words_draw_the_same_sample_whatever_the_order(ranks: set[int], seed: str, size: int) -> None:
    drawn = draw(sorted(ranks), seed, size)
    assert drawn == sorted(set(drawn))
    assert len(drawn) == min(size, len(ranks))
    assert set(drawn) <= ranks
    assert draw(sorted(ranks, reverse=True), seed, size) == drawn


def test_other_words_draw_another_sample() -> None:
    assert draw(range(1000), "one", 20) != draw(range(1000), "two", 20)
