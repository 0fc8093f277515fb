"""What correlations remember, one small state a group: never more than what its rule needs to speak.

Pure: from an event to whether the rule speaks, and to a state that JSON holds.  States live in PostgreSQL, written in
the transaction that moves the cursor: a watch that is killed neither forgets nor counts twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from hygie.watch.sigma import Correlation

EVIDENCE_MAX = 20  # events named by one finding


class State(Protocol):
    """What one group of one correlation remembers."""

    def add(self, rules: Sequence[int], at_ms: int, rank: int, value: str) -> list[int]:
        """Take one event. Args: rules: which of the correlation's rules it matches; value: of the counted field.

        Returns: the ranks of the events for which the rule speaks now; nothing when it does not.
        """

    def since_ms(self) -> int:
        """When the first of the events happened for which the rule speaks now."""

    def kept(self) -> Any:
        """As JSON holds it."""


def new_state(rule: Correlation, kept: Any = None) -> State:
    """The state of a group, new or as it was kept."""
    made: State
    match rule.kind:
        case "event_count":
            made = Count(rule.span_ms, rule.least, [(at, rank) for at, rank in kept or []])
        case "value_count":
            made = Values(rule.span_ms, rule.least, {value: (at, rank) for value, at, rank in kept or []})
        case "temporal":
            made = Together(rule.span_ms, rule.least, {number: (at, rank) for number, at, rank in kept or []})
        case _:
            made = Ordered(rule.span_ms, len(rule.rules), [tuple(one) if one else None for one in kept or []])
    return made


@dataclass(slots=True)
class Count:
    """So many events within the span: the newest of them are enough to know."""

    span_ms: int
    least: int
    newest: list[tuple[int, int]] = field(default_factory=list)

    def add(self, rules: Sequence[int], at_ms: int, rank: int, value: str) -> list[int]:
        """See :class:`State`."""
        del rules, value
        self.newest.append((at_ms, rank))
        if len(self.newest) > 1 and at_ms < self.newest[-2][0]:
            self.newest.sort()
        del self.newest[: max(0, len(self.newest) - self.least)]
        if len(self.newest) < self.least or self.newest[-1][0] - self.newest[0][0] > self.span_ms:
            return []
        return [one for _, one in self.newest[-EVIDENCE_MAX:]]

    def since_ms(self) -> int:
        """See :class:`State`."""
        return self.newest[0][0]

    def kept(self) -> Any:
        """See :class:`State`."""
        return self.newest


@dataclass(slots=True)
class Values:
    """So many different values within the span: of each, when it was last seen; the least recent make room."""

    span_ms: int
    least: int
    seen: dict[str, tuple[int, int]] = field(default_factory=dict)

    def add(self, rules: Sequence[int], at_ms: int, rank: int, value: str) -> list[int]:
        """See :class:`State`."""
        del rules
        before = self.seen.pop(value, None)  # put back at the end: the order of the dictionary is that of sight
        self.seen[value] = max(before, (at_ms, rank)) if before is not None else (at_ms, rank)
        while len(self.seen) > self.least or self._oldest() < at_ms - self.span_ms:
            self.seen.pop(next(iter(self.seen)))
        if len(self.seen) < self.least:
            return []
        return sorted(one for _, one in self.seen.values())[-EVIDENCE_MAX:]

    def since_ms(self) -> int:
        """See :class:`State`."""
        return min(at for at, _ in self.seen.values())

    def _oldest(self) -> int:
        return next(iter(self.seen.values()))[0]

    def kept(self) -> Any:
        """See :class:`State`."""
        return [(value, at, rank) for value, (at, rank) in self.seen.items()]


@dataclass(slots=True)
class Together:
    """So many of the rules within the span, in whatever order: of each, its newest event."""

    span_ms: int
    least: int
    newest: dict[int, tuple[int, int]] = field(default_factory=dict)

    def add(self, rules: Sequence[int], at_ms: int, rank: int, value: str) -> list[int]:
        """See :class:`State`."""
        del value
        for number in rules:
            self.newest[number] = max(self.newest.get(number, (at_ms, rank)), (at_ms, rank))
        latest = max(at for at, _ in self.newest.values())
        self.newest = {number: one for number, one in self.newest.items() if latest - one[0] <= self.span_ms}
        if len(self.newest) < self.least:
            return []
        return sorted(one for _, one in self.newest.values())[-EVIDENCE_MAX:]

    def since_ms(self) -> int:
        """See :class:`State`."""
        return min(at for at, _ in self.newest.values())

    def kept(self) -> Any:
        """See :class:`State`."""
        return [(number, at, rank) for number, (at, rank) in self.newest.items()]


@dataclass(slots=True)
class Ordered:
    """All the rules in their order within the span: of each, the latest beginning of a chain that has come so far, and
    that chain's events."""

    span_ms: int
    rules: int
    chains: list[Any] = field(default_factory=list)  # of (began_ms, last_ms, ranks), or nothing

    def add(self, rules: Sequence[int], at_ms: int, rank: int, value: str) -> list[int]:
        """See :class:`State`."""
        del value
        self.chains += [None] * (self.rules - len(self.chains))
        spoke: list[int] = []
        for number in sorted(rules, reverse=True):  # one event does not take two steps
            if number == 0:
                self.chains[0] = (at_ms, at_ms, [rank])
                chain = self.chains[0]
            else:
                before = self.chains[number - 1]
                if before is None or not before[1] <= at_ms or at_ms - before[0] > self.span_ms:
                    continue
                chain = self.chains[number] = (before[0], at_ms, [*before[2], rank])
            if number == self.rules - 1:
                spoke = chain[2]
        return spoke

    def since_ms(self) -> int:
        """See :class:`State`."""
        return int(self.chains[-1][0])

    def kept(self) -> Any:
        """See :class:`State`."""
        return self.chains
