"""The rota of a running installation: read from the register ``duty``, told to the watch, measured."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from hygie.app import House
from hygie.backups.run import measure
from hygie.base.channels import ROTA
from hygie.database.pool import Database
from hygie.proof.incidents.rota import DAY_MS, DUTY, PERSON, WEEK_DAYS, Period, gaps, periods
from hygie.proving import ProofPlane, with_proof
from hygie.registers.engine import Asked

KIND = "rota"  # of its measurements
_CHANNEL = re.compile(r"[a-z][a-z0-9-]{0,31}")


@dataclass(frozen=True, slots=True)
class Week:
    """What is planned from now on. names: of people, by key; gaps: spans of the coming week without a French speaker;
    used: whether anybody was ever planned, or a step names the rota; unknown: channels that the settings lack."""

    periods: list[Period]
    names: dict[str, str]
    gaps: list[tuple[int, int]]
    used: bool
    unknown: list[str]


async def coming(house: House, author: str) -> Week:
    """The rota, from now on."""
    now_ms = house.clock.now_ms()
    channels = {one.name for one in house.settings.channels}
    named = any(ROTA in step.channels for step in house.settings.escalation)

    def read(plane: ProofPlane) -> Week:
        duties = list(plane.registers.current(Asked(DUTY)))
        people = list(plane.registers.current(Asked(PERSON)))
        found = periods(duties, people, now_ms)
        week = now_ms + WEEK_DAYS * DAY_MS
        return Week(
            found,
            {one.key: str(one.fields["name"]) for one in people},
            gaps(found, now_ms, week),
            named or bool(duties),
            sorted({one.channel for one in found} - channels - {""}),
        )

    return await with_proof(house, author, read)


async def keep_rota(house: House, records: Database, author: str) -> bool:
    """Tell the watch who is on duty, and record whether the coming week is covered. Returns whether it is."""
    week = await coming(house, author)
    now_ms = house.clock.now_ms()
    rows = sorted(
        {(one.begins_ms, one.ends_ms, one.channel) for one in week.periods if _CHANNEL.fullmatch(one.channel)}
    )
    async with records.transaction() as connection:
        kept = await (await connection.execute("SELECT from_ms, to_ms, channel FROM hygie.duty")).fetchall()
        if sorted(kept) != rows:
            await connection.execute("DELETE FROM hygie.duty")
            async with connection.cursor() as cursor:
                await cursor.executemany("INSERT INTO hygie.duty (from_ms, to_ms, channel) VALUES (%s, %s, %s)", rows)
    nobody = week.used and not any(one.holds(now_ms) for one in week.periods)
    facts: dict[str, Any] = {
        "gaps": len(week.gaps) if week.used else 0,
        "uncovered": int(nobody),
        "unknown": len(week.unknown),
        "planned": len(week.periods),
    }
    passed = not (facts["gaps"] or nobody or week.unknown)
    await measure(records, now_ms, KIND, passed=passed, facts=facts)
    return passed
