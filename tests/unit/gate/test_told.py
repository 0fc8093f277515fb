"""What the journal says of rights, against rows that say something else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hygie.base.actions import Action
from hygie.gate.errors import ForgedRightsError
from hygie.gate.rights import COVERED, Right, is_ours, mac_of
from hygie.gate.told import Told, require_told
from hygie.journal.entry import Entry
from hygie.journal.leaf import Head

KEY = bytes(range(32))
PLACE = b"e" * 16
ROW: dict[str, dict[str, Any]] = {
    "account": {"id": "marie", "kind": "person", "label": "M", "professional_id": "8", "created_ms": 10, "ends_ms": 99},
    "token": {
        **{"id": "t1", "hash": b"h" * 32, "account": "marie", "environment": PLACE},
        **{"created_ms": 10, "expires_ms": 99},
    },
    "habilitation": {
        **{"id": "h1", "account": "marie", "environment": PLACE, "role": "reader", "reason": "why"},
        **{"approver": "paul", "starts_ms": 10, "ends_ms": 99, "types": "Observation"},
    },
    "client_key": {
        **{"id": "c1", "account": "marie", "kind": "jwks", "value": "{}", "created_ms": 10, "ends_ms": 99},
    },
    "authenticator": {
        **{
            "id": "a1",
            "account": "marie",
            "kind": "webauthn",
            "value": b"v",
            "label": "key",
            "delivered_how": "by hand",
        },
        **{"delivered_by": "paul", "created_ms": 10, "ends_ms": 99},
    },
    "network": {
        **{"id": "n1", "cidr": "192.0.2.0/24", "country": "FR", "whose": "chu", "label": "exit"},
        **{"created_ms": 10, "ends_ms": 99},
    },
    "country_rule": {
        **{"id": "r1", "kind": "exception", "subject": "ab" * 16, "countries": "CA", "basis": "rgpd-45"},
        **{"reference": "2002/2", "told_on": "2026-01-02", "reason": "why", "created_ms": 10, "ends_ms": 99},
    },
    "allowance": {
        **{"id": "l1", "kind": "account", "subject": "marie", "name": "points", "value": 7, "reason": "why"},
        **{"created_ms": 10, "ends_ms": 99},
    },
}
PRINTED = {"allowance", "network", "country_rule"}  # tables younger than prints: an entry without one bears no row out
GIVEN = {
    "account": Action.ACCOUNT_CREATE,
    "token": Action.TOKEN_CREATE,
    "habilitation": Action.HABILITATION_GRANT,
    "client_key": Action.CLIENT_KEY_CREATE,
    "authenticator": Action.AUTHENTICATOR_CREATE,
    "allowance": Action.LIMIT_SET,
    "network": Action.NETWORK_ADD,
    "country_rule": Action.COUNTRY_SET,
}
WITHDRAWN = {
    "account": Action.ACCOUNT_DISABLE,
    "token": Action.TOKEN_REVOKE,
    "habilitation": Action.HABILITATION_REVOKE,
    "client_key": Action.CLIENT_KEY_REVOKE,
    "authenticator": Action.AUTHENTICATOR_REVOKE,
    "allowance": Action.LIMIT_REMOVE,
    "network": Action.NETWORK_REMOVE,
    "country_rule": Action.COUNTRY_REMOVE,
}


def right(table: str, **other: Any) -> Right:
    values = ROW[table] | other
    return Right(table, values, mac_of(KEY, table, values))


def hear(told: Told, action: Action, place: bytes = PLACE, *, outcome: str = "done", **detail: str) -> None:
    entry = Entry(action, outcome, "administration", 20, environment_id=place, detail=detail)
    told.hear(Head("administration", "2026-11", bytes(16), 20), entry)


def given(told: Told, one: Right, **other: str) -> None:
    """The entry of one right, as a version that kept no print of its MAC wrote it unless told otherwise."""
    detail = {one.table: one.id, "account": "marie"} | ({"role": "reader"} if one.table == "habilitation" else {})
    detail |= {"print": one.print} if one.table in PRINTED else {}
    hear(told, GIVEN[one.table], **(detail | other))


def reasons(told: Told, *rights: Right, complete: bool = True) -> list[str]:
    return [wrong.reason for wrong in told.wrong(rights, KEY, complete=complete)]


@pytest.mark.parametrize("table", list(COVERED))
def test_each_word_of_a_row_is_under_its_mac(table: str) -> None:
    true = right(table)
    assert is_ours(true, KEY)
    assert not is_ours(true, bytes(32))
    assert not is_ours(replace(true, mac=None), KEY)
    for name, value in true.values.items():
        more = {int: 1, bytes: b"x", str: "x"}[type(value)]
        assert not is_ours(replace(true, values={**true.values, name: value + more}), KEY), name
        for nothing in (None, -1):
            assert not is_ours(replace(true, values={**true.values, name: nothing}), KEY), name


@pytest.mark.parametrize("table", list(COVERED))
def test_a_right_has_its_act_and_no_later_withdrawal(table: str) -> None:
    told, one = Told(), right(table)
    assert reasons(told, one) == ["unsaid"]
    assert reasons(told, one, complete=False) == []
    given(told, one)
    assert reasons(told, one) == []
    hear(told, WITHDRAWN[table], outcome="refused", **{table: one.id})
    assert reasons(told, one) == []
    hear(told, WITHDRAWN[table], **{table: one.id})
    assert reasons(told, one) == ["withdrawn"]
    assert reasons(told, replace(one, mac=bytes(32))) == ["mac"]
    with pytest.raises(ForgedRightsError, match=f"{table} {one.id} \\(withdrawn\\)"):
        require_told(told.wrong([one], KEY))


def test_a_row_that_is_not_the_one_that_was_said_differs() -> None:
    told, one = Told(), right("habilitation")
    given(told, one)
    assert reasons(told, right("habilitation", role="application")) == ["differs"]
    assert reasons(told, right("habilitation", account="other")) == ["differs"]
    assert reasons(told, right("habilitation", environment=b"o" * 16)) == ["differs"]
    assert reasons(told, right("habilitation", ends_ms=999)) == []  # entries of former versions do not say it
    given(told, one, print=one.print)
    assert reasons(told, one) == []
    assert reasons(told, right("habilitation", ends_ms=999)) == ["differs"]


@pytest.mark.parametrize("table", sorted(PRINTED))
def test_an_entry_without_a_print_bears_out_no_row_of_a_young_table(table: str) -> None:
    told, one = Told(), right(table)
    given(told, one, print="")
    assert reasons(told, one) == ["differs"]


def test_a_right_older_than_what_opens_no_more_is_not_judged() -> None:
    told, one = Told(), right("token")
    told.hear(Head("administration", "2020-01", bytes(16), 10), None)
    assert reasons(told, one) == []
    assert reasons(told, right("token", created_ms=11)) == ["unsaid"]


def test_an_id_that_no_command_makes_is_not_repeated() -> None:
    for id_ in ("'; DROP TABLE x", "t1\n", ""):
        assert right("token", id=id_).name == "token ?"


NARROWING = ("allowance", "network", "country_rule")
FIRST, SECOND = "n1", "n2"


def narrowed(told: Told, table: str, id_: str, ends_ms: int, **other: str) -> None:
    hear(told, GIVEN[table], **{table: id_, "print": "p", "ends_ms": str(ends_ms), "kind": "list"} | other)


def absent(told: Told, *there: str, table: str, now_ms: int = 50) -> list[str]:
    return [one.name for one in told.absent([right(table, id=id_) for id_ in there], now_ms)]


@pytest.mark.parametrize("table", NARROWING)
def test_what_narrows_and_was_taken_away_is_named(table: str) -> None:
    told = Told()
    narrowed(told, table, FIRST, 99)
    assert absent(told, FIRST, table=table) == []
    assert absent(told, table=table) == absent(told, SECOND, table=table) == [f"{table} {FIRST} (absent)"]
    assert absent(told, table=table, now_ms=99) == []  # ended
    narrowed(told, table, SECOND, 99)  # in its stead: a row lost with a database is set again
    assert absent(told, SECOND, table=table) == []
    narrowed(told, table, "n3", 99, subject="another", cidr="another")
    assert absent(told, SECOND, table=table) == [f"{table} n3 (absent)"]
    hear(told, WITHDRAWN[table], outcome="refused", **{table: "n3"})
    assert absent(told, SECOND, table=table) == [f"{table} n3 (absent)"]
    hear(told, WITHDRAWN[table], **{table: "n3"})
    assert absent(told, SECOND, table=table) == []


def test_what_widens_or_was_said_by_a_former_version_is_not_missed() -> None:
    told = Told()
    narrowed(told, "country_rule", FIRST, 99, kind="exception")
    given(told, right("network"))
    given(told, right("account"))
    assert absent(told, table="network") == []
