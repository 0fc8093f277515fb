"""When each habilitation lived, in the past too: its row as it was granted, and what the journal says of it since.

A row that is withdrawn has no MAC any more, but the entry of its grant keeps the print of the one it had: the row has
to give it again.  So neither a row that SQL planted, nor one whose dates it moved, says that anybody ever had a right.
"""

from __future__ import annotations

from dataclasses import dataclass

from hygie.base.actions import Action
from hygie.gate.rights import Right, is_ours, mac_of, print_of
from hygie.journal.entry import Entry
from hygie.journal.leaf import Head

_GIVES = frozenset({Action.HABILITATION_GRANT, Action.HABILITATION_RESUME})
_WITHDRAWS = frozenset({Action.HABILITATION_REVOKE, Action.HABILITATION_SUSPEND})


@dataclass(frozen=True, slots=True)
class _Event:
    """Given or withdrawn, when. print: of the row's MAC, empty in entries of former versions."""

    at_ms: int
    gives: bool
    account: str
    environment: bytes
    role: str
    print: str


class Lives:
    """What the journal says of accounts and habilitations, entry after entry from its beginning."""

    def __init__(self) -> None:
        self.accounts: set[str] = set()  # that were ever made
        self._events: dict[str, list[_Event]] = {}
        self._unread_ms = -1

    def hear(self, head: Head, entry: Entry | None) -> None:
        """The next entry that is of administration. entry: None when its month key is destroyed."""
        if entry is None:
            self._unread_ms = max(self._unread_ms, head.at_ms)
            return
        if entry.outcome != "done":
            return
        said = entry.detail
        if entry.action is Action.ACCOUNT_CREATE:
            self.accounts.add(said.get("account", ""))
        elif entry.action in _GIVES or entry.action in _WITHDRAWS:
            whose = (said.get("account", ""), entry.environment_id, said.get("role", ""), said.get("print", ""))
            event = _Event(entry.at_ms, entry.action in _GIVES, *whose)
            self._events.setdefault(said.get("habilitation", ""), []).append(event)

    def spans(self, right: Right, key: bytes) -> list[tuple[int, int]]:
        """From when until when (ms, UTC, the end exclusive) a row of ``habilitation`` gave its right; nothing for one
        that was not granted as it is.

        Args: key: of the MACs.
        """
        starts_ms, ends_ms = right.values["starts_ms"], right.values["ends_ms"]
        events = self._events.get(right.id, [])
        given = [one for one in events if one.gives]
        if not given:  # its grant may be in an entry that opens no more: then its own MAC has to say so
            unread = not events and starts_ms <= self._unread_ms
            return [(starts_ms, ends_ms)] if unread and is_ours(right, key) else []
        if not all(_bears_out(one, right, key) for one in given):
            return []
        found: list[tuple[int, int]] = []
        since_ms: int | None = starts_ms
        for event in events:
            if event.gives:
                since_ms = event.at_ms if since_ms is None else since_ms
            elif since_ms is not None:
                found.append((since_ms, min(event.at_ms, ends_ms)))
                since_ms = None
        return [*found, (since_ms, ends_ms)] if since_ms is not None else found


def _bears_out(event: _Event, right: Right, key: bytes) -> bool:
    """Whether a row is the one that an entry says was given."""
    values = right.values
    if not event.print:
        return (event.account, event.environment, event.role) == (
            values["account"],
            values["environment"],
            values["role"],
        )
    try:
        return event.print == print_of(mac_of(key, right.table, values))
    except (OverflowError, TypeError):  # a negative number, or nothing, which no command writes
        return False
