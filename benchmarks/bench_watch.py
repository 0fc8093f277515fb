"""The watch: from an act to its finding, events a second through every rule on one core, and false alarms on a
hospital's thirty days.

The seeds are not those with which a rule was ever looked at: tune on others (``HYGIE_SEEDS``).
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter

from benchmarks.hospital_life import DAY_MS, life
from benchmarks.installation import running
from hygie.app import House, opened
from hygie.base.actions import Action
from hygie.database.pool import Database
from hygie.journal.entry import Entry
from hygie.journal.writer import JournalWriter
from hygie.watch.engine import Engine
from hygie.watch.ruleset import load_rules
from hygie.watch.sigma import Rule, read_rules

SEEDS = tuple(int(one) for one in os.environ.get("HYGIE_SEEDS", "20261128 4711 31337").split())
ACTS = 40
GOAL_DELAY_S = 2
GOAL_EVENTS_S = 10_000
GOAL_ALARMS = 1.0  # a day, medium and above: what somebody is to look at
OWN_RULES = 1_000
OWN_RULE = """
title: Rule {number}
id: 11111111-2222-4333-8444-{number:012d}
logsource: {{product: hygie, service: journal}}
detection: {{one: {{action: "own:{number}", outcome: done}}, condition: one}}
"""
LOOKED_AT = frozenset({"medium", "high", "critical"})


def main() -> None:
    """Print the figures."""
    with running() as installation:
        installation.inside(_delay)
    _many()
    _life()


async def _delay(house: House) -> None:
    """From an entry that is durable to the finding that it opens, on a running installation."""
    found: list[float] = []
    async with opened(house.dsns.owner, size=2) as owner:
        journal = JournalWriter(owner, house.month_keys, house.clock)
        for number in range(ACTS):
            account = f"local:bench{number}"
            detail = {"act": "right:raise", "emergency": "yes"}
            now_ms = house.clock.now_ms()
            entry = Entry(Action.APPROVAL_ASK, "done", "administration", now_ms, account=account, detail=detail)
            await journal.append_now([entry])
            began = time.perf_counter()
            while not await _is_told(owner, account):
                await asyncio.sleep(0.02)
            found.append(time.perf_counter() - began)
            await asyncio.sleep(number % 7 / 10)  # at whatever moment of the turns
        await journal.close()
    found.sort()
    middle, longest = found[ACTS // 2], found[-1]
    print(f"from an act to its finding: median {middle:.2f} s, longest {longest:.2f} s (goal {GOAL_DELAY_S} s)")


async def _is_told(owner: Database, account: str) -> bool:
    async with owner.transaction() as connection:
        query = "SELECT 1 FROM hygie.finding WHERE grouping::jsonb ->> 'account' = %s"
        return await (await connection.execute(query, (account,))).fetchone() is not None


def _many() -> None:
    """The same with a SOC's own rules on actions that do not come: what is not met should not cost."""
    rules: list[Rule] = [*load_rules().rules]
    for number in range(OWN_RULES):
        text = OWN_RULE.format(number=number)
        rules += read_rules(text.encode(), "own.yml")
    events = list(life(SEEDS[0], days=3))
    began = time.perf_counter()
    Engine(rules, {}).take(events)
    rate = len(events) / (time.perf_counter() - began)
    print(f"with {OWN_RULES:,} more rules of a SOC's own: {rate:,.0f} events/s (goal {GOAL_EVENTS_S:,})")


def _life() -> None:
    rules = load_rules().rules
    for seed in SEEDS:
        events = list(life(seed))
        engine, said, days = Engine(rules, {}), Counter[tuple[str, str]](), set()
        began = time.perf_counter()
        hits = [hit for event in events for hit in engine.take((event,))]
        took = time.perf_counter() - began
        for hit in hits:  # closed at the end of the day: what comes back the next one is told again
            key = (hit.card.name, hit.grouping, hit.at_ms // DAY_MS)
            if key not in days:
                days.add(key)
                said[hit.card.level, hit.card.name] += 1
        alarms = sum(count for (level, _), count in said.items() if level in LOOKED_AT) / 30
        rate = len(events) / took
        print(f"seed {seed}: {len(events)} events, {rate:,.0f} events/s, {len(rules)} rules (goal {GOAL_EVENTS_S:,})")
        print(f"  false alarms a day, medium and above: {alarms:.2f} (goal at most {GOAL_ALARMS:.0f})")
        for (level, name), count in sorted(said.items()):
            print(f"    {count / 30:6.2f} a day  {level:<8} {name}")


if __name__ == "__main__":
    main()
