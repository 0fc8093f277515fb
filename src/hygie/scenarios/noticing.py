"""From an act to the finding, its first notice, and somebody who takes it in charge: waited for, and timed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from hygie.handling import cards, handle
from hygie.scenarios.model import NOTICED_S_MAX, TOLD_S_MAX, UNSEEN, Answer, Attack
from hygie.scenarios.sandbox import OPERATOR, Sandbox
from hygie.watch import findings
from hygie.watch.findings import Act, Finding
from hygie.watch.notices import notices_of

POLL_S = 0.1
PATIENCE = 2.0  # what comes late is still seen, and how late is said
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Eye:
    """Who looks. rules: ids by the rules' names; people_s: how long somebody is waited for to take a finding in charge;
    0: the drill itself does."""

    sandbox: Sandbox
    rules: Mapping[str, str]
    people_s: float

    async def answer_to(self, attack: Attack) -> Answer:
        """Do it, and time the answer. Raises: as the act does."""
        before = {one.id for one in await self._findings(attack.rule)}
        await attack.act(self.sandbox)

        async def noticed() -> Finding | None:
            new = [one for one in await self._findings(attack.rule) if one.id not in before]
            return new[0] if new else None

        finding = await _seen(noticed, NOTICED_S_MAX * PATIENCE)
        if finding is None:
            return UNSEEN
        told_ms = await _seen(lambda: self._told_ms(finding.id), TOLD_S_MAX * PATIENCE)
        if not self.people_s:
            await handle(self.sandbox.custody, finding.id, Act("acknowledged", OPERATOR))
        taken_ms = await _seen(lambda: self._taken_ms(finding.id), max(self.people_s, POLL_S))
        async with self.sandbox.custody.owner.transaction() as connection:
            spoke_ms = await findings.spoke_ms(connection, finding.id) or finding.first_ms
        began_ms = finding.opened_ms
        waited = (_seconds(spoke_ms, began_ms), _seconds(began_ms, told_ms), _seconds(began_ms, taken_ms))
        return Answer(finding.id, *waited)

    async def _findings(self, rule: str) -> list[Finding]:
        async with self.sandbox.custody.owner.transaction() as connection:
            return [one for one in await findings.listed(connection) if one.rule == self.rules[rule]]

    async def _told_ms(self, id_: str) -> int | None:
        async with self.sandbox.custody.owner.transaction() as connection:
            sent = [one.sent_ms for one in await notices_of(connection, id_) if one.sent_ms is not None]
        return min(sent, default=None)

    async def _taken_ms(self, id_: str) -> int | None:
        async with self.sandbox.custody.owner.transaction() as connection:
            acts = await findings.acts_of(connection, id_)
        return next((one.at_ms for one in acts if one.kind in ("acknowledged", "incident", "closed")), None)


def rules_of(sandbox: Sandbox) -> Mapping[str, str]:
    """Ids of the loaded rules, by name. Blocks."""
    return {card.name: id_ for id_, card in cards(sandbox.custody.house).items()}


async def _seen(look: Callable[[], Awaitable[T | None]], seconds: float) -> T | None:
    """What comes of looking again and again, for so long at most."""
    end = time.monotonic() + seconds
    while True:
        found = await look()
        if found is not None or time.monotonic() > end:
            return found
        await asyncio.sleep(POLL_S)


def _seconds(from_ms: int, to_ms: int | None) -> float | None:
    return None if to_ms is None else max(to_ms - from_ms, 0) / 1000
