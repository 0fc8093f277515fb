"""Patches: what is known against what runs, beside the due dates, exceptions and changes that people recorded. Pure.

When each is due: the clocks of the register of changes (``patch-critical``…), from the day it was published, or first
seen here where no feed tells that day. Source: docs/adr/0036-patches.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from hygie.base.civil import day_of, paris_date
from hygie.base.people import plain
from hygie.patching.model import PatchFacts, Vulnerability
from hygie.proof.cross.model import Found, Judge, Look
from hygie.registers.chain import RecordVersion
from hygie.registers.durations import add_duration, parse_duration
from hygie.registers.schema import Schema

REGISTER = "change"
DONE = ("done", "closed")
LOOK_MS_MAX = 2 * 86_400_000
UNFIXED_DUE = ("critical", "high")  # without a fix, these still ask for a decision: an exception, or to do without
_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Row:
    """One open vulnerability and what is decided of it. due: None when nothing is expected before a fix exists;
    exception: the record that puts it off, and until when."""

    one: Vulnerability
    since: date
    due: date | None
    exception: str = ""
    until: date | None = None

    def late(self, today: date) -> bool:
        """Whether it is past its due date, and no exception covers it."""
        return self.due is not None and self.due < today and not self.exception


def since_of(one: Vulnerability) -> date:
    """The day from which its delay runs, in Paris."""
    return paris_date(one.published_ms if one.published_ms is not None else one.first_ms)


def due_of(schema: Schema, one: Vulnerability) -> date | None:
    """When it is due, by the clock of its severity; None when there is no fix and nothing to decide yet."""
    if not one.fixed_in and one.severity not in UNFIXED_DUE:
        return None
    delay = next(
        clock.delay for clock in schema.clocks if clock.if_field == "severity" and one.severity in clock.values
    )
    return day_of(add_duration(since_of(one).isoformat(), parse_duration(delay)))


def rows_of(
    found: Iterable[Vulnerability], records: Sequence[RecordVersion], schema: Schema, *, today: date, days_max: int
) -> list[Row]:
    """Each open vulnerability, the soonest due first.

    Args: records: newest versions of the register of changes; days_max: of an exception.
    """
    live = [*_exceptions(records, today, days_max)]
    rows = []
    for one in found:
        held = next((record for record in live if covers(record, one)), None)
        key, until = (held.key, day_of(held.fields["exception_until"])) if held else ("", None)
        rows.append(Row(one, since_of(one), due_of(schema, one), key, until))
    return sorted(rows, key=lambda row: (row.due or date.max, row.one.name, row.one.component))


def covers(record: RecordVersion, one: Vulnerability) -> bool:
    """Whether a record is of this vulnerability, in this component where it names some."""
    components = record.fields.get("components", ())
    return one.name in record.fields.get("cves", ()) and (not components or one.component in components)


def _exceptions(records: Sequence[RecordVersion], today: date, days_max: int) -> Iterator[RecordVersion]:
    """Exceptions that hold today: with a reason, a component, an end near enough, and somebody else's approval."""
    for one in records:
        fields = one.fields
        until = day_of(fields.get("exception_until"))
        if one.state == "refused" or not fields.get("exception") or not fields.get("components") or until is None:
            continue
        approved = plain(one.approver) and plain(one.approver) != plain(one.author)
        if approved and today <= until <= paris_date(one.at_ms) + timedelta(days=days_max):
            yield one


def patch_due(look: Look) -> Found:
    """No known vulnerability of what runs is past its due date without an exception that holds."""
    known = _known(look)
    if known.looked_ms is None or not known.feeds:
        return Found()
    days_max = look.context.settings.patches.exception_days
    rows = rows_of(known.vulnerabilities, look.of(REGISTER), look.schema(REGISTER), today=look.today, days_max=days_max)
    late = [f"{row.one.name} {row.one.component}" for row in rows if row.late(look.today)]
    return Found(late, known.components, [*known.unread, *known.uncovered])


def patch_feed(look: Look) -> Found:
    """Feeds are fresh, and what runs was compared with them."""
    known = _known(look)
    if not known.feeds:
        return Found()
    oldest_ms = look.context.now_ms - look.context.settings.patches.feed_days * _DAY_MS
    wrong = [one.slot for one in known.feeds if one.as_of_ms < oldest_ms]
    if known.looked_ms is None or known.looked_ms < look.context.now_ms - LOOK_MS_MAX or known.code:
        wrong.append(f"inventory {known.code}".strip())
    return Found(wrong, len(known.feeds) + 1)


def patch_effective(look: Look) -> Found:
    """What a patch that was recorded as a success was for, is found no more in what runs."""
    known = _known(look)
    applied = [
        one
        for one in look.of(REGISTER, *DONE)
        if one.fields.get("kind") == "patch" and one.fields.get("result") == "success" and one.fields.get("cves")
    ]
    if not known.feeds:
        return Found(unclear=[one.key for one in applied])
    unclear = [one.key for one in applied if known.looked_ms is None or _done_after(one, known.looked_ms)]
    wrong = [
        one.key
        for one in applied
        if one.key not in unclear and any(covers(one, each) for each in known.vulnerabilities)
    ]
    return Found(wrong, len(applied), unclear)


def _done_after(record: RecordVersion, looked_ms: int) -> bool:
    """Nobody has looked since the patch."""
    return int(datetime.fromisoformat(str(record.fields["done_at"])).timestamp() * 1000) > looked_ms


def _known(look: Look) -> PatchFacts:
    known = look.facts.patching.value
    assert known is not None
    return known


JUDGES: Mapping[str, Judge] = {
    "cross.patch-due": patch_due,
    "cross.patch-feed": patch_feed,
    "cross.patch-effective": patch_effective,
}
