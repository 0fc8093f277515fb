"""Who is to be told of which finding, by which channel, and what became of it: the rows of ``hygie.notice``.

A row is made when it is due, so that settings that change count for all that is not.  Every instant is given in UTC
milliseconds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import psycopg

from hygie.base.actions import Action
from hygie.base.channels import ROTA, STEPS_MAX, StepSettings
from hygie.journal.entry import Entry
from hygie.watch.findings import LEVELS, WATCH_ACCOUNT, Finding
from hygie.watch.messages import CHANNEL_CARD

BACK_OFF_S: Final = (5, 30, 120, 600)  # after the first failure, the second…; the last one again and again
FAILURES_MAX = 3  # in a row: then nobody waits for this channel any more
GIVEN_UP_MS = 24 * 3_600_000
GONE = "HYG-300"  # the channel is in the settings no more
PAGE_ROWS = 20
AT_ONCE = 0  # the step of what a channel's own finding tells by all the others
REPEATS_MAX = 42  # of the last step: a week of them, every four hours

Connection = psycopg.AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class Notice:
    """One row. sent_ms: when its receiver accepted it; code: what came of the last try; state: ``waiting``, ``sent``,
    ``given-up``, ``cancelled``."""

    finding: str
    step: int
    channel: str
    planned_ms: int
    due_ms: int
    sent_ms: int | None
    tries: int
    code: str
    state: str

    @property
    def key(self) -> tuple[str, int, str]:
        """By which it is told from others."""
        return (self.finding, self.step, self.channel)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one try. code: the receiver's word, or that of the error."""

    delivered: bool
    code: str
    at_ms: int


_COLUMNS = "finding, step, channel, planned_ms, due_ms, sent_ms, tries, code, state"
_CANCEL = (
    "UPDATE hygie.notice AS n SET state = 'cancelled' FROM hygie.finding AS f"
    " WHERE n.state = 'waiting' AND f.id = n.finding AND f.state <> 'open'"
)
_GONE = f"""
UPDATE hygie.notice SET state = 'given-up', code = %s WHERE state = 'waiting' AND channel <> ALL(%s)
RETURNING {_COLUMNS}
"""  # noqa: S608 (constants)
# A channel's own finding is not told by that channel, and not twice at once by the others: see ``tell_others``.
_PLAN = """
INSERT INTO hygie.notice (finding, step, channel, planned_ms, due_ms)
SELECT f.id, %(step)s, c.name, %(now)s, %(now)s
FROM hygie.finding AS f CROSS JOIN unnest(%(channels)s::text[]) AS c (name)
WHERE f.state = 'open' AND f.level = %(level)s
  AND NOT (f.rule = %(own)s AND (%(after)s = 0 OR f.grouping = '{"channel":"' || c.name || '"}'))
  AND (f.opened_ms <= %(now)s - %(after)s OR EXISTS (
      SELECT FROM hygie.notice AS n
      WHERE n.finding = f.id AND n.step IN (0, %(before)s)
        AND (n.tries >= %(failures)s AND n.state IN ('waiting', 'given-up')
             OR n.state = 'waiting' AND n.channel = ANY(%(failing)s))
  ))
ON CONFLICT DO NOTHING
"""
# What the last step told is told again, by whoever it names now, as steps beyond those that settings may have; not by a
# channel for which it still waits.
_REPEAT = f"""
INSERT INTO hygie.notice (finding, step, channel, planned_ms, due_ms)
SELECT f.id, t.step + 1, c.name, %(now)s, %(now)s
FROM hygie.finding AS f CROSS JOIN unnest(%(channels)s::text[]) AS c (name)
CROSS JOIN LATERAL (
    SELECT greatest(max(n.step), {STEPS_MAX}) AS step, max(n.planned_ms) AS told_ms FROM hygie.notice AS n
    WHERE n.finding = f.id
      AND (n.step = %(step)s OR n.step > {STEPS_MAX} OR n.step = {AT_ONCE} AND %(after)s = 0)
) AS t
WHERE f.state = 'open' AND f.level = %(level)s AND t.told_ms <= %(now)s - %(every)s
  AND t.step < {STEPS_MAX + REPEATS_MAX}
  AND NOT (f.rule = %(own)s AND f.grouping = '{{"channel":"' || c.name || '"}}')
  AND NOT EXISTS (
      SELECT FROM hygie.notice AS n WHERE n.finding = f.id AND n.channel = c.name AND n.state = 'waiting'
  )
ON CONFLICT DO NOTHING
"""  # noqa: S608 (constants)
_TELL_OTHERS = (
    "INSERT INTO hygie.notice (finding, step, channel, planned_ms, due_ms)"
    " SELECT %s, 0, name, %s, %s FROM unnest(%s::text[]) AS c (name) ON CONFLICT DO NOTHING"
)
# What was tried least comes first: one notice that is refused again and again holds up no other.
_DUE = f"""
SELECT {", ".join(f"n.{one}" for one in _COLUMNS.split(", "))}
FROM hygie.notice AS n JOIN hygie.finding AS f ON f.id = n.finding
WHERE n.state = 'waiting' AND n.channel = %s AND n.due_ms <= %s AND f.state = 'open'
ORDER BY n.tries, array_position(ARRAY['critical','high','medium','low','informational'], f.level), n.planned_ms
LIMIT {PAGE_ROWS}
"""  # noqa: S608 (constants)
_SENT = (
    "UPDATE hygie.notice SET state = 'sent', sent_ms = %s, code = %s, tries = tries + 1"
    " WHERE finding = %s AND step = %s AND channel = %s"
)
_FAILED = (
    "UPDATE hygie.notice SET due_ms = %s, code = %s, tries = tries + 1,"
    " state = CASE WHEN state = 'waiting' AND %s THEN 'given-up' ELSE state END"
    " WHERE finding = %s AND step = %s AND channel = %s"
)


async def cancel_handled(connection: Connection) -> None:
    """What somebody took in charge, or closed, is told no more."""
    await connection.execute(_CANCEL)


async def give_up_gone(connection: Connection, channels: Collection[str]) -> list[Notice]:
    """Give up what waits for channels that are in the settings no more. Returns: what was given up."""
    rows = await (await connection.execute(_GONE.encode(), (GONE, list(channels)))).fetchall()
    return [Notice(*row) for row in rows]


async def plan(
    connection: Connection, escalation: Sequence[StepSettings], failing: Collection[str], now_ms: int
) -> None:
    """Make the rows that are due: a step's time came, or a channel of the step before does not deliver.

    Args: failing: channels that failed three times in a row. A step in its quiet hours makes its rows after them.
    """
    for level, number, before in _ladder(escalation):
        step = escalation[number - 1]
        if step.waits(now_ms):
            continue
        values = {
            "step": number,
            "before": before,
            "channels": list(dict.fromkeys(step.channels)),
            "level": level,
            "after": step.after_minutes * 60_000,
            "now": now_ms,
            "own": CHANNEL_CARD.id,
            "failures": FAILURES_MAX,
            "failing": list(failing),
        }
        await connection.execute(_PLAN, values)


async def repeat(connection: Connection, escalation: Sequence[StepSettings], every_ms: int, now_ms: int) -> None:
    """Make the rows of what was told by the last step of its level and that nobody took in charge since.

    Args: every_ms: between two times. ``REPEATS_MAX`` times at most; in its quiet hours, the step waits.
    """
    last = {level: number for level, number, _ in _ladder(escalation)}
    for level, number in last.items():
        step = escalation[number - 1]
        if step.waits(now_ms):
            continue
        values = {
            "step": number,
            "channels": list(dict.fromkeys(step.channels)),
            "level": level,
            "after": step.after_minutes,
            "every": every_ms,
            "now": now_ms,
            "own": CHANNEL_CARD.id,
        }
        await connection.execute(_REPEAT.encode(), values)


async def on_duty(connection: Connection, names: Sequence[str], now_ms: int) -> list[str]:
    """The channels of whoever is on duty now; all of them when nobody is, or by none that the settings have: a rota
    with a hole silences nobody. Args: names: of the channels of the settings."""
    query = "SELECT DISTINCT channel FROM hygie.duty WHERE from_ms <= %s AND to_ms > %s"
    rows = await (await connection.execute(query, (now_ms, now_ms))).fetchall()
    duty = {row[0] for row in rows}
    return [one for one in names if one in duty] or list(names)


def resolved(escalation: Sequence[StepSettings], duty: Sequence[str]) -> list[StepSettings]:
    """The steps, the rota replaced by the channels of now. Args: duty: of ``on_duty``."""
    return [
        msgspec.structs.replace(
            one, channels=tuple(each for name in one.channels for each in (duty if name == ROTA else (name,)))
        )
        for one in escalation
    ]


def _ladder(escalation: Sequence[StepSettings]) -> Iterator[tuple[str, int, int]]:
    """(level, step, the step before it for this level), in the order in which their times come. Steps count from 1;
    nothing comes before the first one (-1)."""
    for level in LEVELS:
        before = -1
        numbers = [number for number, step in enumerate(escalation, 1) if level in step.levels]
        for number in sorted(numbers, key=lambda one: escalation[one - 1].after_minutes):
            yield level, number, before
            before = number


async def tell_others(connection: Connection, finding: str, channels: Collection[str], now_ms: int) -> None:
    """A channel's own finding is told by all the others, at once and whatever the hour."""
    await connection.execute(_TELL_OTHERS, (finding, now_ms, now_ms, list(channels)))


async def due(connection: Connection, channel: str, now_ms: int) -> list[Notice]:
    """What one channel is to tell now: what was tried least first, then the gravest."""
    return [Notice(*row) for row in await (await connection.execute(_DUE.encode(), (channel, now_ms))).fetchall()]


async def settle(connection: Connection, notice: Notice, outcome: Outcome) -> bool:
    """Keep what came of a try. Returns: whether it is over: sent, or given up after a day of failures."""
    if outcome.delivered:
        await connection.execute(_SENT, (outcome.at_ms, outcome.code[:100], *notice.key))
        return True
    pause_s = BACK_OFF_S[min(notice.tries, len(BACK_OFF_S) - 1)]
    over = outcome.at_ms - notice.planned_ms >= GIVEN_UP_MS
    due_ms = outcome.at_ms + pause_s * 1_000
    await connection.execute(_FAILED, (due_ms, outcome.code[:100], over, *notice.key))
    return over


async def notices_of(connection: Connection, finding: str) -> list[Notice]:
    """Who was told of one finding, and who will be."""
    query = f"SELECT {_COLUMNS} FROM hygie.notice WHERE finding = %s ORDER BY planned_ms, step, channel"  # noqa: S608 (constants)
    return [Notice(*row) for row in await (await connection.execute(query.encode(), (finding,))).fetchall()]


def entry_of(notice: Notice, finding: Finding, outcome: Outcome) -> Entry:
    """What the journal keeps of a notice that is over."""
    return Entry(
        action=Action.FINDING_TELL,
        outcome="done" if outcome.delivered else "refused",
        kind="security",
        at_ms=outcome.at_ms,
        tenant_id=finding.tenant,
        environment_id=finding.environment,
        account=WATCH_ACCOUNT,
        count=notice.tries + 1,
        detail={
            "finding": notice.finding,
            "step": str(notice.step),
            "channel": notice.channel,
            "code": outcome.code[:100],
        },
    )
