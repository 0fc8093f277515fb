"""Who is on duty, and at which hours nobody who speaks French is. Pure.

Source: HDS v2, EXI 07 (first-level support in French) and EXI 20 (an incident contact who can be reached).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from hygie.base.civil import day_of, end_of_day_ms
from hygie.registers.chain import RecordVersion

DUTY, PERSON = "duty", "person"
FRENCH = "fr"
DAY_MS = 86_400_000
NEVER_MS = 2**62
AHEAD_DAYS = 30  # that must be covered
WEEK_DAYS = 7  # that are shown, and told when a gap comes near


@dataclass(frozen=True, slots=True)
class Period:
    """One period, in UTC milliseconds, the last one not included."""

    key: str
    person: str
    begins_ms: int
    ends_ms: int
    languages: Sequence[str]
    channel: str

    def holds(self, at_ms: int) -> bool:
        """Whether somebody is on duty by it at an instant."""
        return self.begins_ms <= at_ms < self.ends_ms


def periods(duties: Iterable[RecordVersion], people: Iterable[RecordVersion], now_ms: int) -> list[Period]:
    """The periods that are not over, of people who are there, in order. Args: both registers, whole."""
    there = {one.key: one for one in people if one.state != "left"}
    found = [
        Period(
            one.key,
            str(one.fields["person"]),
            _ms(one.fields["from_at"]),
            min(_ms(one.fields["to_at"]), _leaves_ms(there[one.fields["person"]])),
            tuple(one.fields["languages"]),
            str(one.fields.get("channel", "")),
        )
        for one in duties
        if one.state == "planned" and one.fields["person"] in there
    ]
    return sorted((one for one in found if one.ends_ms > now_ms), key=lambda one: (one.begins_ms, one.key))


def gaps(found: Sequence[Period], from_ms: int, to_ms: int, *, language: str = FRENCH) -> list[tuple[int, int]]:
    """The spans of [from, to) in which nobody on duty speaks a language.

    Args: found: in the order of their beginnings.
    """
    missing, covered_ms = [], from_ms
    for one in found:
        if language not in one.languages or one.ends_ms <= covered_ms:
            continue
        if one.begins_ms >= to_ms:
            break
        if one.begins_ms > covered_ms:
            missing.append((covered_ms, one.begins_ms))
        covered_ms = one.ends_ms
    return [*missing, (covered_ms, to_ms)] if covered_ms < to_ms else missing


def _leaves_ms(person: RecordVersion) -> int:
    """When somebody is there no more: as their last day begins, like their accesses."""
    ends_on = day_of(person.fields.get("ends_on"))
    return NEVER_MS if ends_on is None else end_of_day_ms(ends_on - timedelta(days=1)) + 1


def _ms(stored: object) -> int:
    return int(datetime.fromisoformat(str(stored)).timestamp() * 1_000)
