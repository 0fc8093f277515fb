"""What the register of interventions allows: who may act on machines, for which client, from when until when. Pure.

An intervention allows what it said **when it was approved**, and as long as it still says so: a window that is widened,
an operator who is replaced or whose account becomes another one afterwards, without a second person, allows nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from hygie.base.civil import end_of_day_ms, paris_date
from hygie.proof.certification.from_registers import Newest
from hygie.registers.chain import RecordVersion
from hygie.registers.people import has_left, is_of_another, named

INTERVENTION = "intervention"
LIVE = ("validated", "in-progress")
OVER = ("done", "reviewed")
# What the approver saw: anything else here afterwards, and the approval is of another intervention.
_APPROVED = ("kind", "operator", "requested_by", "environments", "begins_after", "ends_before", "ends_at", "addresses")


@dataclass(frozen=True, slots=True)
class Granted:
    """An approved intervention, in terms of a machine. tenant: name of the client, empty for the host's own;
    begins_ms, ends_ms: its window, UTC; over_ms: when it was closed, None while it is live."""

    key: str
    tenant: str
    person: str
    account: str
    begins_ms: int
    ends_ms: int
    addresses: tuple[str, ...] = ()
    over_ms: int | None = None


@dataclass(frozen=True, slots=True)
class People:
    """The register of persons. newest: its records; versions: of each one, oldest first, by key."""

    newest: Sequence[RecordVersion]
    versions: Mapping[str, Sequence[RecordVersion]]

    @classmethod
    def of(cls, versions: Iterable[RecordVersion]) -> People:
        """From every version of every record, those of each in order."""
        found: dict[str, list[RecordVersion]] = {}
        for one in versions:
            found.setdefault(one.key, []).append(one)
        return cls([each[-1] for each in found.values()], found)

    def account(self, key: object, *, before: int) -> str:
        """Somebody's account at a write of the log (its number); empty when there was none."""
        known = [one for one in self.versions.get(str(key), ()) if one.seq < before]
        return str(known[-1].fields.get("account", "")) if known else ""


class NotGrantedError(Exception):
    """Why an intervention allows nothing: ``state``, ``approval``, ``changed``, ``operator`` or ``window``."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def granted(history: Sequence[RecordVersion], people: People) -> Granted:
    """What an intervention allows, or allowed until it was closed.

    Args: history: every version, oldest first. Raises: NotGrantedError.
    """
    newest = history[-1]
    if newest.state not in (*LIVE, *OVER):
        raise NotGrantedError("state")
    approved = next((one for one in reversed(history) if one.state == "validated"), None)
    if approved is None:
        raise NotGrantedError("approval")
    if _said(approved) != _said(newest):
        raise NotGrantedError("changed")
    operator = next((one for one in people.newest if one.key == approved.fields.get("operator")), None)
    account = str(operator.fields.get("account", "")) if operator else ""
    if operator is None or not account:
        raise NotGrantedError("operator")
    if account != people.account(operator.key, before=approved.seq):
        raise NotGrantedError("changed")  # of a record that nobody has to approve
    if not _by_another(approved, operator, people.newest):
        raise NotGrantedError("approval")
    begins_ms, ends_ms = window_of(approved.fields)
    if not 0 < begins_ms < ends_ms:
        raise NotGrantedError("window")
    over = next((one.at_ms for one in history if one.state in OVER), None)
    addresses = tuple(map(str, approved.fields.get("addresses", ())))
    return Granted(newest.key, approved.tenant, operator.key, account, begins_ms, ends_ms, addresses, over)


def window_of(fields: Mapping[str, Any]) -> tuple[int, int]:
    """First and last millisecond of a window, UTC; 0 for what is not said."""
    ends = [end_of_day_ms(date.fromisoformat(str(fields["ends_before"])))] if fields.get("ends_before") else []
    ends += [_instant_ms(fields["ends_at"])] if fields.get("ends_at") else []
    begins_ms = _instant_ms(fields["begins_after"]) if fields.get("begins_after") else 0
    return begins_ms, min(ends, default=0)


def withdrawn(histories: Iterable[Sequence[RecordVersion]], people: People, now_ms: int) -> list[str]:
    """Keys of interventions whose certificates count no more, whatever they say: all that allow nothing any more.

    An intervention whose operator has left counts among them; so does one that is over. One that was never approved
    has no certificate: were it listed, the first one made after the approval would be refused until the next list.
    """
    today = paris_date(now_ms)
    found = []
    for history in histories:
        if not any(version.state in LIVE for version in history):
            continue
        try:
            one = granted(history, people)
        except NotGrantedError:
            found.append(history[-1].key)
            continue
        person = people.versions[one.person][-1]
        if one.over_ms is not None or one.ends_ms < now_ms or has_left(person, today):
            found.append(one.key)
    return found


def ending_accounts(of: Newest, now_ms: int) -> dict[str, str]:
    """Accounts that were opened for an intervention which is over or whose window has passed: account → its key.

    The account of somebody who holds a duty of the host is never one of them: it was not opened for an intervention.
    An account that a live intervention also names goes on.
    """
    today = paris_date(now_ms)
    duty = {
        str(one.fields["account"])
        for one in of("person")
        if one.fields.get("account") and one.fields.get("duties") and not has_left(one, today)
    }
    over: dict[str, str] = {}
    live: set[str] = set()
    for one in of(INTERVENTION):
        named = {str(name) for name in one.fields.get("ending_accounts", ())} - duty
        if one.state in (*OVER, "refused") or (one.state in LIVE and window_of(one.fields)[1] < now_ms):
            over |= dict.fromkeys(named, one.key)
        elif one.state in LIVE:
            live |= named
    return {account: key for account, key in sorted(over.items()) if account not in live}


def _by_another(approved: RecordVersion, operator: RecordVersion, people: Sequence[RecordVersion]) -> bool:
    """Whether somebody of the register decided: neither who asked, nor who acts, nor who wrote it, by whichever name.

    Somebody who shares a name with one of these counts as that one.
    """
    concerned = (str(approved.fields.get("requested_by", "")), operator.key, approved.author)
    agreed = is_of_another(approved.approver, concerned, people, paris_date(approved.at_ms))
    return agreed and operator.key not in named(approved.author, people)


def _said(record: RecordVersion) -> tuple[object, ...]:
    return (record.tenant, *(record.fields.get(name) for name in _APPROVED))


def _instant_ms(stored: object) -> int:
    return int(datetime.fromisoformat(str(stored)).timestamp() * 1000)
