"""What the journal names of the logs: a write that nothing names was planted, unless the journal has a gap there."""

from __future__ import annotations

import pytest

from hygie.base.actions import Action
from hygie.journal.entry import Entry
from hygie.segments.format import BATCHES, RECORDS
from hygie.segments.named import NamedWrites


def batch(number: int) -> Entry:
    detail = {"batch": str(number), "digest": f"{number:064x}"}
    return Entry(Action.CHECK_RUN, "done", "evidence", number, detail=detail)


def write(first: int, last: int) -> Entry:
    detail = {"first": str(first), "last": str(last), "digest": f"{last:064x}"}
    return Entry(Action.REGISTER_WRITE, "done", "evidence", last, detail=detail)


GAP = Entry(Action.JOURNAL_GAP, "unknown", "platform", 0)


@pytest.mark.parametrize(
    ("entries", "planted"),
    [
        ([batch(1), batch(2), batch(3)], []),
        ([batch(1), batch(2), batch(4)], [4]),
        ([batch(1), batch(2), GAP, batch(4)], []),  # 3 came back from a site, its entry did not
        ([batch(1), GAP, batch(2), batch(4)], [4]),  # that gap was before
        ([batch(1), batch(2), GAP, batch(5), batch(7)], [7]),
        ([batch(5), batch(6)], []),  # the keys of older entries are destroyed
    ],
)
def test_a_write_that_follows_one_that_nothing_names(entries: list[Entry], planted: list[int]) -> None:
    heard = NamedWrites()
    for one in entries:
        heard.hear(one)
    writes = heard.writes[BATCHES]
    assert [number for number, said in writes.items() if heard.follows_unnamed(BATCHES, said)] == planted


def test_writes_of_several_records_follow_one_another() -> None:
    heard = NamedWrites()
    for one in (write(1, 3), write(4, 4), write(6, 9)):
        heard.hear(one)
    writes = heard.writes[RECORDS]
    assert [number for number, said in writes.items() if heard.follows_unnamed(RECORDS, said)] == [9]


DIGEST = "ab" * 32


def entry(action: Action, **detail: str) -> Entry:
    return Entry(
        action=action, outcome="done", kind="evidence", at_ms=1, account="local:anne", authentication="local",
        count=1, detail=detail,
    )  # fmt: skip


@pytest.mark.parametrize(
    "bad",
    [
        entry(Action.REGISTER_WRITE),
        entry(Action.REGISTER_WRITE, first="1", last="x", digest=DIGEST),
        entry(Action.REGISTER_WRITE, first="1", last="2", digest="zz"),
        entry(Action.REGISTER_WRITE, first="3", last="2", digest=DIGEST),
        entry(Action.REGISTER_WRITE, first="1", last=str(2**63), digest=DIGEST),
        entry(Action.CHECK_RUN, batch="0", digest=DIGEST),
        entry(Action.VAULT_REBUILD, lacking_records="1-x"),
    ],
)
def test_an_entry_of_no_form_blinds_nobody(bad: Entry) -> None:
    heard = NamedWrites()
    heard.hear(entry(Action.REGISTER_WRITE, first="1", last="2", digest=DIGEST))
    heard.hear(entry(Action.VAULT_REBUILD, lacking_records="1-2"))
    heard.hear(bad)
    heard.hear(entry(Action.CHECK_RUN, batch="7", digest=DIGEST))
    assert (list(heard.writes[RECORDS]), list(heard.writes[BATCHES])) == ([2], [7])
    assert heard.declared[RECORDS] == [(1, 2)]
