"""An intervention allows what two people agreed on, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from hygie.proof.interventions import (
    Granted,
    NotGrantedError,
    People,
    ending_accounts,
    granted,
    window_of,
    withdrawn,
)
from hygie.registers.chain import RecordVersion

NOW_MS = int(datetime(2027, 3, 15, 10, tzinfo=UTC).timestamp() * 1000)
HOUR_MS = 3_600_000
FIELDS: dict[str, Any] = {
    "title": "Disque", "kind": "maintenance", "requested_by": "Paul Durand", "operator": "PER-paul",
    "begins_after": "2027-03-15T09:30:00Z", "ends_before": "2027-03-15", "ends_at": "2027-03-15T11:00:00Z",
}  # fmt: skip


def person(account: str, **fields: Any) -> RecordVersion:
    whole = {"name": f"{account.title()} Durand", "account": account, "starts_on": "2020-01-06"} | fields
    return RecordVersion(1, "person", f"PER-{account}", 1, 0, "local:rh", "", "", "present", "", whole)


PEOPLE = [person("paul"), person("anne", name="Anne Martin"), person("zoe", name="Zoé Roux")]


def version(state: str, number: int = 1, *, author: str = "local:anne", approver: str = "", **fields: Any) -> Any:
    whole = FIELDS | fields
    held = {name: value for name, value in whole.items() if value is not None}
    return RecordVersion(number, "intervention", "INT-1", number, NOW_MS, author, approver, "chu", state, "", held)


def approved(**changed: Any) -> list[RecordVersion]:
    return [version("requested"), version("validated", 2, **({"approver": "zoe"} | changed))]


def reason(history: list[RecordVersion], people: list[RecordVersion] = PEOPLE) -> str:
    try:
        granted(history, People.of(people))
    except NotGrantedError as error:
        return error.reason
    return ""


def test_an_approved_intervention_allows_its_operator_within_its_window() -> None:
    begins, ends = (int(datetime(2027, 3, 15, hour, minute, tzinfo=UTC).timestamp() * 1000)
                    for hour, minute in ((9, 30), (11, 0)))  # fmt: skip
    assert granted(approved(), People.of(PEOPLE)) == Granted("INT-1", "chu", "PER-paul", "paul", begins, ends)
    started = [*approved(), version("in-progress", 3, author="local:paul")]
    assert granted(started, People.of(PEOPLE)).over_ms is None
    assert granted([*started, version("done", 4)], People.of(PEOPLE)).over_ms == NOW_MS
    by_name = approved(approver="zoé roux")
    assert reason(by_name) == reason(approved(approver="PER-zoe")) == ""


@pytest.mark.parametrize(
    "changed",
    [
        {"approver": "paul"},  # who asked, and who acts
        {"approver": "LOCAL:Paul "},
        {"approver": "Paul Durand"},
        {"approver": "PER-paul"},
        {"approver": "anne"},  # who wrote it
        {"approver": "quelqu'un"},  # nobody of the register
        {"approver": ""},
        {"approver": "zoe", "author": "local:paul"},  # who acts wrote that somebody agreed
        {"approver": "zoe", "requested_by": "Zoé Roux"},
        {"approver": "zoe", "operator": "PER-zoe"},
    ],
)
def test_nobody_approves_for_himself_by_whichever_name(changed: dict[str, Any]) -> None:
    assert reason(approved(**changed)) == "approval"


def test_an_approver_who_had_left_or_shares_a_name_does_not_count() -> None:
    gone = [PEOPLE[0], PEOPLE[1], person("zoe", ends_on="2027-03-15")]
    assert reason(approved(), gone) == "approval"
    same = [*PEOPLE, person("other", name="Paul Durand")]
    assert reason(approved(approver="other"), same) == "approval", "the name that asked is also this one's"


@pytest.mark.parametrize(
    ("history", "why"),
    [
        ([version("requested")], "state"),
        ([version("requested"), version("refused", 2)], "state"),
        ([*approved(), version("refused", 3)], "state"),
        ([version("in-progress")], "approval"),
        ([version("done")], "approval"),
        ([*approved(), version("in-progress", 3, operator="PER-anne")], "changed"),
        ([*approved(), version("in-progress", 3, ends_at="2027-03-15T23:00:00Z")], "changed"),
        ([*approved(), version("in-progress", 3, addresses=["0.0.0.0/0"])], "changed"),
        ([*approved(), replace(version("in-progress", 3), tenant="other")], "changed"),
        (approved(operator="PER-nobody"), "operator"),
        (approved(begins_after=None), "window"),
        (approved(ends_before="2027-03-14", ends_at=None), "window"),
    ],
)
def test_what_was_not_agreed_on_allows_nothing(history: list[RecordVersion], why: str) -> None:
    assert reason(history) == why


def test_an_operator_whose_account_became_another_one_allows_nothing() -> None:
    later = [*PEOPLE, replace(person("mallory"), key="PER-paul", seq=3, version=2)]
    assert reason(approved(), later) == "changed"
    assert withdrawn([approved()], People.of(later), NOW_MS) == ["INT-1"]
    again = [*approved(), version("validated", 4, approver="zoe")]
    assert granted(again, People.of(later)).account == "mallory", "somebody agreed to this one"
    moved = [*PEOPLE, replace(person("paul", name="Paul Durand-Roux"), seq=3, version=2)]
    assert reason(approved(), moved) == "", "what else changes of a person is no matter of machines"


def test_a_window_ends_with_its_day_in_paris_or_before() -> None:
    day_ms = int(datetime(2027, 3, 15, 23, tzinfo=UTC).timestamp() * 1000)
    assert window_of(FIELDS | {"ends_at": None})[1] == day_ms - 1
    assert window_of(FIELDS | {"ends_at": "2027-03-18T00:00:00Z"})[1] == day_ms - 1
    assert window_of({}) == (0, 0)


def test_what_allows_nothing_any_more_is_revoked() -> None:
    def revoked(history: list[RecordVersion], people: list[RecordVersion] = PEOPLE, now_ms: int = NOW_MS) -> bool:
        return withdrawn([history], People.of(people), now_ms) == ["INT-1"]

    assert not revoked(approved())
    assert revoked(approved(), now_ms=NOW_MS + 2 * HOUR_MS)
    assert revoked([*approved(), version("done", 3)])
    assert revoked([*approved(), version("refused", 3)])
    assert revoked(approved(approver="paul"))
    assert not revoked([version("requested")]), "it has no certificate yet, and the first one counts at once"
    assert revoked(approved(), [person("paul", ends_on="2027-03-15"), *PEOPLE[1:]])


def test_accounts_opened_for_an_intervention_end_with_it() -> None:
    people = [*PEOPLE, person("rssi", duties=["rssi"])]

    def ending(*records: RecordVersion, now_ms: int = NOW_MS) -> dict[str, str]:
        return ending_accounts(lambda name: people if name == "person" else list(records), now_ms)

    opened = {"kind": "pentest", "ending_accounts": ["pentest-1", "rssi"]}
    assert ending(version("validated", **opened)) == {}
    assert ending(version("validated", **opened), now_ms=NOW_MS + 2 * HOUR_MS) == {"pentest-1": "INT-1"}
    for state in ("done", "reviewed", "refused"):
        assert ending(version(state, **opened)) == {"pentest-1": "INT-1"}, "and never an officer's own account"
    assert ending(version("requested", **opened), now_ms=NOW_MS + 2 * HOUR_MS) == {}
    again = replace(version("validated", **opened), key="INT-2")
    assert ending(version("done", **opened), again) == {}, "a second campaign uses it"
