"""Findings wake somebody, and the next one after him, until somebody acknowledges.

Source: docs/adr/0030-escalation.md.  A notice is told at least once: what was delivered and could not be written down
is not delivered again by this process, and may be by the one after a kill.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from hygie.base.channels import StepSettings
from hygie.base.clock import Clock
from hygie.base.errors import HygieError
from hygie.database.pool import Database
from hygie.journal.entry import Entry
from hygie.journal.writer import JournalWriter
from hygie.watch import findings, notices
from hygie.watch.couriers import Courier
from hygie.watch.engine import Hit
from hygie.watch.messages import CHANNEL_CARD, OWN_CARDS, message_of
from hygie.watch.notices import FAILURES_MAX, GONE, Notice, Outcome
from hygie.watch.sigma import Card

SOURCE = "watch"  # of the findings that the watch opens by itself

log = logging.getLogger("hygie.watch")


class Escalation:
    """The steps of one installation.

    Args: database: opened as ``hygie_watch``; couriers: one for each channel of the settings; cards: of the rules, by
    id; repeat_minutes: after which the last step is told again. The couriers are closed by whoever made them.
    """

    def __init__(
        self,
        database: Database,
        journal: JournalWriter,
        clock: Clock,
        *,
        steps: Sequence[StepSettings],
        couriers: Sequence[Courier],
        cards: Mapping[str, Card],
        repeat_minutes: int,
    ) -> None:
        self._database = database
        self._journal = journal
        self._clock = clock
        self._steps = steps
        self._repeat_ms = repeat_minutes * 60_000
        self.couriers = couriers
        self._cards = {**cards, **OWN_CARDS}
        self._failures = {one.name: 0 for one in couriers}  # in a row
        self._down: set[str] = set()  # channels whose failures were made a finding
        self._unwritten: dict[str, dict[tuple[str, int, str], tuple[Notice, Outcome]]] = {
            one.name: {} for one in couriers
        }

    async def plan(self) -> None:
        """See what is due, and what need not be told any more. Raises: UnavailableError; psycopg.Error."""
        now_ms = self._clock.now_ms()
        names = [one.name for one in self.couriers]
        failing = [name for name, count in self._failures.items() if count >= FAILURES_MAX]
        async with self._database.transaction() as connection:
            await notices.cancel_handled(connection)
            duty = await notices.on_duty(connection, names, now_ms)
            steps = notices.resolved(self._steps, duty)
            await notices.plan(connection, steps, failing, now_ms)
            await notices.repeat(connection, steps, self._repeat_ms, now_ms)
        async with self._database.transaction() as connection:  # apart: its entries need a key, what is due does not
            gone = await notices.give_up_gone(connection, names)
            told = Outcome(delivered=False, code=GONE, at_ms=now_ms)
            entries = [notices.entry_of(one, await findings.find(connection, one.finding), told) for one in gone]
            await self._journal.append(connection, entries)

    async def deliver(self, courier: Courier) -> None:
        """Tell by one channel all that is due. Raises: UnavailableError; psycopg.Error: what was not written down is at
        the next turn, before anything is told again."""
        unwritten = self._unwritten[courier.name]
        async with self._database.transaction() as connection:
            waiting = await notices.due(connection, courier.name, self._clock.now_ms())
        for notice in waiting:
            if notice.key in unwritten or courier.closed:
                continue
            async with self._database.transaction() as connection:
                finding = await findings.find(connection, notice.finding)
            if finding.state != findings.OPEN:
                continue  # taken in charge while others were told
            unwritten[notice.key] = (notice, await self._carry(courier, notice, finding))
            await self._write_down(courier)
        if unwritten:
            await self._write_down(courier)

    async def _carry(self, courier: Courier, notice: Notice, finding: findings.Finding) -> Outcome:
        message = message_of(finding, notice.step, self._cards.get(finding.rule))
        try:
            answer = await courier.carry(message)
        except (HygieError, OSError) as error:
            code = _code(error)
            self._failures[courier.name] += 1
            log.warning("notice of %s by %s failed: %s", notice.finding, courier.name, code)
            return Outcome(delivered=False, code=code, at_ms=self._clock.now_ms())
        self._failures[courier.name] = 0
        self._down.discard(courier.name)
        log.info("notice of %s by %s: %s", notice.finding, courier.name, answer)
        return Outcome(delivered=True, code=answer, at_ms=self._clock.now_ms())

    async def _write_down(self, courier: Courier) -> None:
        unwritten = self._unwritten[courier.name]
        down = self._failures[courier.name] >= FAILURES_MAX and courier.name not in self._down
        written = list(unwritten.items())
        async with self._database.transaction() as connection:
            entries: list[Entry] = []
            for _, (notice, outcome) in written:
                if await notices.settle(connection, notice, outcome):
                    finding = await findings.find(connection, notice.finding)
                    entries.append(notices.entry_of(notice, finding, outcome))
            if down:
                entries += await self._open_own(connection, courier.name)
            await self._journal.append(connection, entries)
        if down:
            self._down.add(courier.name)
        for key, _ in written:
            del unwritten[key]

    async def _open_own(self, connection: findings.Connection, channel: str) -> list[Entry]:
        """A channel that does not deliver is a finding, which the others tell."""
        now_ms = self._clock.now_ms()
        hit = Hit(CHANNEL_CARD, {"channel": channel}, now_ms, SOURCE, (), {})
        opened, entries = await findings.keep_hits(connection, [hit], {}, now_ms)
        for one in opened:
            others = [each.name for each in self.couriers if each.name != channel]
            await notices.tell_others(connection, one.id, others, now_ms)
            log.warning("finding %s opened: channel %s does not deliver", one.id, channel)
        return entries


def _code(error: HygieError | OSError) -> str:
    if not isinstance(error, HygieError):
        return type(error).__name__
    reason = error.facts.get("reason")
    return f"{error.code} {reason}" if reason else error.code
