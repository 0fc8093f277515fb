"""What the journal names of the logs, when somebody put there an entry that is of no form."""

from __future__ import annotations

import pytest

from hygie.base.actions import Action
from hygie.journal.entry import Entry
from hygie.segments.format import BATCHES, RECORDS
from hygie.segments.named import NamedWrites

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
