"""What the journal says of rights and of the key record, entry after entry, to be compared with what there is.

A right that lives in the tables has its act in the journal, and no later one that withdraws it.  The MAC of its row
(``gate.rights``) shows that Hygie wrote it; this shows that it was said, and that nobody brought back a row of before
its withdrawal, nor took away one that narrows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hygie.base.actions import Action
from hygie.gate.anchors import Anchor, anchor_of
from hygie.gate.errors import ForgedRightsError
from hygie.gate.rights import Right, is_ours
from hygie.journal.entry import Entry
from hygie.journal.leaf import Head

KINDS = frozenset({"administration", "platform"})  # of the entries that tell of rights and anchors
_GIVES = {
    Action.ACCOUNT_CREATE: "account",
    Action.TOKEN_CREATE: "token",
    Action.HABILITATION_GRANT: "habilitation",
    Action.HABILITATION_RESUME: "habilitation",
    Action.CLIENT_KEY_CREATE: "client_key",
    Action.AUTHENTICATOR_CREATE: "authenticator",
    Action.LIMIT_SET: "allowance",
    Action.NETWORK_ADD: "network",
    Action.COUNTRY_SET: "country_rule",
}
_WITHDRAWS = {
    Action.ACCOUNT_DISABLE: "account",
    Action.TOKEN_REVOKE: "token",
    Action.HABILITATION_REVOKE: "habilitation",
    Action.HABILITATION_SUSPEND: "habilitation",
    Action.CLIENT_KEY_REVOKE: "client_key",
    Action.AUTHENTICATOR_REVOKE: "authenticator",
    Action.LIMIT_REMOVE: "allowance",
    Action.NETWORK_REMOVE: "network",
    Action.COUNTRY_REMOVE: "country_rule",
}
# What narrows while it is there: its absence opens, so it is looked for. What of an entry says in whose stead it is.
_NARROWING = frozenset({Action.LIMIT_SET, Action.NETWORK_ADD, Action.COUNTRY_SET})
_STEAD = ("kind", "subject", "name", "cidr")
_BEGINS = {"habilitation": "starts_ms"}  # the others: created_ms


@dataclass(frozen=True, slots=True)
class Wrong:
    """A live right that the journal does not bear out. reason: ``mac``, ``unsaid``, ``withdrawn`` or ``differs``; or a
    limit, a network or a list of countries that should live and is not there: ``absent``."""

    right: Right
    reason: str

    @property
    def name(self) -> str:
        """For people and entries."""
        return f"{self.right.name} ({self.reason})"


@dataclass(frozen=True, slots=True)
class _Given:
    """print: of the row's MAC, empty in entries of former versions."""

    account: str
    environment: bytes
    role: str
    print: str


class Told:
    """The last word of the journal on each right; the anchors of the key record since the last new one."""

    def __init__(self) -> None:
        self._given: dict[tuple[str, str], _Given | None] = {}  # None: withdrawn
        self._narrowing: dict[tuple[object, ...], tuple[str, str, int]] = {}  # in whose stead -> table, id, end (ms)
        self._unread_ms = 0
        self.anchors: list[Anchor] = []

    def hear(self, head: Head, entry: Entry | None) -> None:
        """The next entry of the published journal. entry: None when its month key is destroyed."""
        if entry is None:
            self._unread_ms = max(self._unread_ms, head.at_ms)
            return
        if entry.outcome != "done":
            return
        detail = entry.detail
        if entry.action in _GIVES:
            table = _GIVES[entry.action]
            self._given[table, detail.get(table, "")] = _Given(
                detail.get("account", ""), entry.environment_id, detail.get("role", ""), detail.get("print", "")
            )
            if entry.action in _NARROWING and detail.get("kind") != "exception" and "ends_ms" in detail:
                stead = (table, entry.tenant_id, entry.environment_id, *map(detail.get, _STEAD))
                self._narrowing[stead] = (table, detail.get(table, ""), int(detail["ends_ms"]))
        elif entry.action in _WITHDRAWS:
            table = _WITHDRAWS[entry.action]
            named = (table, detail.get(table, ""))
            self._given[named] = None
            self._narrowing = {stead: one for stead, one in self._narrowing.items() if one[:2] != named}
        anchor = anchor_of(entry)
        if anchor is not None:
            self.anchors = [anchor] if anchor.anew else [*self.anchors, anchor]

    def wrong(self, rights: Iterable[Right], key: bytes, *, complete: bool = True) -> list[Wrong]:
        """The live rights that it does not bear out.

        Args: key: of the MACs; complete: everything committed when the rights were read has been heard; else one
        without any entry is not judged.
        """
        found: list[Wrong] = []
        for right in rights:
            reason = self._reason(right, complete=complete) if is_ours(right, key) else "mac"
            if reason:
                found.append(Wrong(right, reason))
        return sorted(found, key=lambda one: one.name)

    def absent(self, rights: Iterable[Right], now_ms: int) -> list[Wrong]:
        """What narrows, was neither withdrawn nor replaced, has not ended and is not there.

        Args: rights: those that live, before and after the journal was read to its end; now_ms: after both.
        """
        there = {(right.table, right.id) for right in rights}
        found = [
            Wrong(Right(table, {"id": id_}, None), "absent")
            for table, id_, ends_ms in self._narrowing.values()
            if now_ms < ends_ms and (table, id_) not in there
        ]
        return sorted(found, key=lambda one: one.name)

    def _reason(self, right: Right, *, complete: bool) -> str:
        named = (right.table, right.id)
        if named not in self._given:
            begins_ms = right.values[_BEGINS.get(right.table, "created_ms")]
            unread = begins_ms <= self._unread_ms  # its entry may be one that opens no more
            return "unsaid" if complete and not unread else ""
        given = self._given[named]
        if given is None:
            return "withdrawn"
        if given.print:
            return "" if given.print == right.print else "differs"
        values = right.values
        if right.table == "account":
            return ""
        if "account" not in values:
            return "differs"  # the entries of these always had a print
        place = values.get("environment", given.environment)  # a client key counts everywhere
        return (
            ""
            if (given.account, given.environment) == (values["account"], place) and given.role == values.get("role", "")
            else "differs"
        )


def require_told(wrong: Sequence[Wrong]) -> None:
    """Say that rights were written behind Hygie's back. Raises: ForgedRightsError."""
    if wrong:
        raise ForgedRightsError(count=len(wrong), first=wrong[0].name)
