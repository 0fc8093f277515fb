"""When a habilitation lived: what the journal says, of a row that it bears out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hygie.base.actions import Action
from hygie.gate.lived import Lives
from hygie.gate.rights import Right, mac_of, print_of
from hygie.journal.entry import Entry
from hygie.journal.leaf import Head

KEY = bytes(range(32))
PLACE = b"e" * 16
ROW: dict[str, Any] = {
    **{"id": "h1", "account": "marie", "environment": PLACE, "role": "reader", "reason": "why", "approver": "paul"},
    **{"starts_ms": 10, "ends_ms": 99, "types": "Observation"},
}
MAC = mac_of(KEY, "habilitation", ROW)
LIVE = Right("habilitation", ROW, MAC)
ENDED = replace(LIVE, mac=None)  # a row that is withdrawn loses its MAC
GRANT, REVOKE = Action.HABILITATION_GRANT, Action.HABILITATION_REVOKE
SUSPEND, RESUME = Action.HABILITATION_SUSPEND, Action.HABILITATION_RESUME
TOLD = {"habilitation": "h1", "account": "marie", "role": "reader"}


def lives(*events: tuple[Action, int], print_: str = print_of(MAC), outcome: str = "done", unread_ms: int = 0) -> Lives:
    found = Lives()
    if unread_ms:
        found.hear(Head("administration", "2019-01", bytes(16), unread_ms), None)
    for action, at_ms in events:
        detail = TOLD | {"print": print_} if action in (GRANT, RESUME) else {"habilitation": "h1"}
        entry = Entry(action, outcome, "administration", at_ms, environment_id=PLACE, detail=detail)
        found.hear(Head("administration", "2026-11", bytes(16), at_ms), entry)
    return found


@pytest.mark.parametrize(
    ("right", "events", "spans"),
    [
        (LIVE, [(GRANT, 11)], [(10, 99)]),
        (ENDED, [(GRANT, 11), (REVOKE, 40)], [(10, 40)]),
        (ENDED, [(GRANT, 11), (SUSPEND, 20), (RESUME, 30), (REVOKE, 40)], [(10, 20), (30, 40)]),
        (ENDED, [(GRANT, 11), (SUSPEND, 20), (REVOKE, 40)], [(10, 20)]),
        (LIVE, [(GRANT, 11), (SUSPEND, 20), (RESUME, 30)], [(10, 20), (30, 99)]),
        (ENDED, [(GRANT, 11), (REVOKE, 140)], [(10, 99)]),  # it had ended by itself
        (LIVE, [(GRANT, 11), (REVOKE, 40)], [(10, 40)]),  # a row of before, brought back
        (LIVE, [], []),  # nobody said that it was granted
        (ENDED, [(REVOKE, 40)], []),
    ],
)
def test_it_lived_while_the_journal_says_so(
    right: Right, events: list[tuple[Action, int]], spans: list[tuple[int, int]]
) -> None:
    assert lives(*events).spans(right, KEY) == spans


@pytest.mark.parametrize(
    "changed",
    [{"account": "luc"}, {"environment": b"o" * 16}, {"ends_ms": 999}, {"starts_ms": 1}, {"types": None},
     {"starts_ms": -1}, {"reason": None}],
)  # fmt: skip
@pytest.mark.parametrize("right", [LIVE, ENDED])
def test_a_row_that_is_not_as_it_was_granted_never_lived(right: Right, changed: dict[str, Any]) -> None:
    assert lives((GRANT, 11), (REVOKE, 40)).spans(replace(right, values=ROW | changed), KEY) == []


def test_an_act_that_was_not_done_gives_nothing() -> None:
    assert lives((GRANT, 11), outcome="refused").spans(LIVE, KEY) == []


def test_a_grant_that_opens_no_more_leaves_the_word_to_the_mac() -> None:
    old = lives(unread_ms=10)
    assert old.spans(LIVE, KEY) == [(10, 99)]
    assert old.spans(ENDED, KEY) == []
    assert old.spans(replace(LIVE, mac=bytes(32)), KEY) == []
    assert lives(unread_ms=9).spans(LIVE, KEY) == []
    assert lives((SUSPEND, 20), (RESUME, 30), unread_ms=10).spans(ENDED, KEY) == [(10, 20), (30, 99)]


def test_a_grant_of_a_former_version_has_no_print_and_names_who_where_and_what() -> None:
    former = lives((GRANT, 11), (REVOKE, 40), print_="")
    assert former.spans(ENDED, KEY) == [(10, 40)]
    for changed in ({"account": "luc"}, {"environment": b"o" * 16}, {"role": "caregiver"}):
        assert former.spans(replace(ENDED, values=ROW | changed), KEY) == []


def test_accounts_that_were_made_are_known() -> None:
    found = Lives()
    made = Entry(Action.ACCOUNT_CREATE, "done", "administration", 5, detail={"account": "marie"})
    found.hear(Head("administration", "2026-11", bytes(16), 5), made)
    assert found.accounts == {"marie"}
