"""Steps on a real database with a clock that is set: who is told, when, by what, and until when."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from hygie.app import opened
from hygie.base.channels import PARIS, ROTA, FileSettings, StepSettings, check_channels
from hygie.base.errors import SettingsError, UnavailableError
from hygie.base.layout import DataFolder
from hygie.database.cluster import Dsns
from hygie.database.pool import Database
from hygie.journal.entry import Entry, open_entry
from hygie.journal.leaf import read_head
from hygie.journal.writer import JournalWriter
from hygie.watch import findings, notices
from hygie.watch.couriers import Courier
from hygie.watch.engine import Hit
from hygie.watch.errors import ChannelRefusedError
from hygie.watch.escalation import Escalation
from hygie.watch.findings import Act, Finding
from hygie.watch.messages import CHANNEL_CARD, Message
from hygie.watch.notices import Notice
from hygie.watch.sigma import Card
from tests.unit.journal.stage import MemoryMonthKeys

NOON = int(datetime(2026, 3, 3, 12, 0, tzinfo=PARIS).timestamp() * 1000)
MINUTE = 60_000
CARD = Card("rule-1", "rule", "A title", "Un titre", "high", "T-01", "Do this.", "Faites cela.", "x.yml")


@dataclass
class Hand:
    """A courier that a test holds by the hand: what it carried, and whether it fails."""

    name: str
    fails: bool = False
    carried: list[Message] = field(default_factory=list)
    tried: int = 0
    closed: bool = False

    async def carry(self, message: Message) -> str:
        self.tried += 1
        if self.fails:
            raise ChannelRefusedError(channel=self.name, reason="503")
        self.carried.append(message)
        return "200"

    def close(self) -> None:
        self.closed = True


@dataclass
class Stage:
    """One escalation, its clock and its channels."""

    database: Database
    keys: MemoryMonthKeys
    steps: tuple[StepSettings, ...]
    hands: dict[str, Hand]
    now: int = NOON
    escalation: Escalation = field(init=False)

    def __post_init__(self) -> None:
        self.begin()

    def now_ms(self) -> int:
        return self.now

    def begin(self) -> None:
        """As a new process would."""
        journal = JournalWriter(self.database, self.keys, self)
        couriers: Any = list(self.hands.values())
        cards = {CARD.id: CARD}
        self.escalation = Escalation(
            self.database, journal, self, steps=self.steps, couriers=couriers, cards=cards, repeat_minutes=240
        )

    async def turn(self, *, minutes: float = 0, seconds: float = 0) -> None:
        """Time passes, then each loop has its turn."""
        self.now += int(minutes * MINUTE + seconds * 1000)
        await self.escalation.plan()
        for courier in self.escalation.couriers:
            await self.escalation.deliver(courier)

    async def opens(self, *, level: str = "high", account: str = "dr-martin") -> Finding:
        hit = Hit(replace(CARD, level=level), {"account": account}, self.now, "journal", (), {})
        async with self.database.transaction() as connection:
            (one,), _ = await findings.keep_hits(connection, [hit], {}, self.now)
        return one

    async def handled(self, one: Finding, kind: str = "acknowledged") -> None:
        async with self.database.transaction() as connection:
            await findings.act(connection, one.id, Act(kind, "local:paul", "vu avec le service"), self.now)

    async def notices(self, one: Finding) -> list[Notice]:
        async with self.database.transaction() as connection:
            return await notices.notices_of(connection, one.id)

    async def listed(self) -> list[Finding]:
        async with self.database.transaction() as connection:
            return await findings.listed(connection)

    def told(self) -> dict[str, list[tuple[str, int]]]:
        return {name: [(one.id, one.step) for one in hand.carried] for name, hand in self.hands.items()}


def steps(*made: tuple[int, tuple[str, ...]], quiet: str | None = None) -> tuple[StepSettings, ...]:
    levels: Any = ("critical", "high")
    return tuple(
        StepSettings(levels=levels, after_minutes=after, channels=names, quiet=quiet if after else None)
        for after, names in made
    )


LADDER = steps((0, ("mail",)), (15, ("hook",)), (60, ("boss",)))


def on(dsns: Dsns, act: Callable[[Stage], Awaitable[None]], made: tuple[StepSettings, ...] = LADDER) -> None:
    """One act on a stage with the channels that its steps name."""

    @asynccontextmanager
    async def stage() -> AsyncIterator[Stage]:
        names = dict.fromkeys(name for step in made for name in step.channels if name != ROTA)
        async with opened(dsns.watch, size=2) as database:
            yield Stage(database, MemoryMonthKeys(), made, {name: Hand(name) for name in names})

    async def main() -> None:
        async with stage() as made_:
            await act(made_)

    asyncio.run(main())


async def journaled(dsns: Dsns, stage: Stage) -> list[Entry]:
    async with opened(dsns.owner, size=1) as owner, owner.transaction() as connection:
        rows = await (await connection.execute("SELECT leaf FROM hygie.journal_pending ORDER BY id")).fetchall()
    found = []
    for (leaf,) in rows:
        head = read_head(bytes(leaf))
        key = await stage.keys.month_key(head.tenant_id, head.kind, head.month)
        found.append(open_entry(bytes(leaf), month_key=key))
    return found


def test_silence_wakes_the_next_one_each_once(database: Dsns) -> None:
    async def act(stage: Stage) -> None:
        one = await stage.opens()
        low = await stage.opens(level="low", account="x")
        await stage.turn()
        await stage.turn(seconds=1)
        assert stage.told() == {"mail": [(one.id, 1)], "hook": [], "boss": []}
        message = stage.hands["mail"].carried[0]
        assert (message.title_fr, message.todo) == ("Un titre", "Do this.")
        await stage.turn(minutes=14)
        assert stage.told()["hook"] == []
        await stage.turn(minutes=1)
        await stage.turn(minutes=1)
        assert stage.told()["hook"] == [(one.id, 2)]
        await stage.turn(minutes=44)
        await stage.turn(minutes=60)
        assert stage.told() == {"mail": [(one.id, 1)], "hook": [(one.id, 2)], "boss": [(one.id, 3)]}
        assert await stage.notices(low) == []
        entries = [one for one in await journaled(database, stage) if one.action == "finding:tell"]
        assert [(one.outcome, one.detail["channel"], one.detail["code"]) for one in entries] == [
            ("done", "mail", "200"),
            ("done", "hook", "200"),
            ("done", "boss", "200"),
        ]

    on(database, act)


@pytest.mark.parametrize("kind", ["acknowledged", "closed", "incident"])
def test_who_takes_it_in_charge_ends_it(database: Dsns, kind: str) -> None:
    async def act(stage: Stage) -> None:
        stage.hands["mail"].fails = True
        one = await stage.opens()
        await stage.turn()
        await stage.handled(one, kind)
        stage.hands["mail"].fails = False
        await stage.turn(minutes=5)
        await stage.turn(minutes=60)
        assert stage.told() == {"mail": [], "hook": [], "boss": []}
        assert [one.state for one in await stage.notices(one)] == ["cancelled"]

    on(database, act)


def test_nothing_of_the_group_leaves_the_house(database: Dsns) -> None:
    async def act(stage: Stage) -> None:
        await stage.opens(account="dr-martin@chu")
        await stage.turn()
        (message,) = stage.hands["mail"].carried
        for told in (message.json().decode(), message.text(), message.subject):
            assert "dr-martin" not in told
            assert "account" not in told

    on(database, act)


def test_a_failure_is_tried_again_later_and_later_then_the_next_one_is_woken(database: Dsns) -> None:
    async def act(stage: Stage) -> None:
        mail = stage.hands["mail"]
        mail.fails = True
        one = await stage.opens()
        await stage.turn()
        for seconds, tried in ((4, 1), (1, 2), (29, 2), (1, 3)):
            await stage.turn(seconds=seconds)
            assert mail.tried == tried, seconds
        await stage.turn(seconds=1)
        assert (one.id, 2) in stage.told()["hook"], "three failures in a row: the next step at once"
        assert (one.id, 3) not in stage.told()["boss"]
        for minutes, tried in ((1.9, 3), (0.1, 4), (9.9, 4), (0.1, 5), (10, 6)):
            await stage.turn(minutes=minutes)
            assert mail.tried == tried, minutes
        first = (await stage.notices(one))[0]
        assert (first.state, first.tries, first.code) == ("waiting", 6, "HYG-4W2 503")
        mail.fails = False
        await stage.turn(minutes=10)
        assert mail.carried[0].id == one.id

    on(database, act)


def test_a_channel_that_does_not_deliver_is_a_finding_that_the_others_tell(database: Dsns) -> None:
    async def act(stage: Stage) -> None:
        stage.hands["mail"].fails = True
        await stage.opens()
        for seconds in (0, 5, 30, 1, 120, 600):
            await stage.turn(seconds=seconds)
        (own,) = [one for one in await stage.listed() if one.rule == CHANNEL_CARD.id]
        assert (own.level, json.loads(own.grouping), own.count) == ("high", {"channel": "mail"}, 1)
        assert (own.id, 0) in stage.told()["hook"]
        assert (own.id, 0) in stage.told()["boss"]
        assert "mail" not in {one.channel for one in await stage.notices(own)}
        opened_ = [one for one in await journaled(database, stage) if one.action == "finding:open"]
        assert [one.detail["rule"] for one in opened_] == [CHANNEL_CARD.id]
        await stage.turn(minutes=15)  # it goes on as any other, without the channel that is down
        assert (own.id, 2) in stage.told()["hook"]
        stage.hands["mail"].fails = False
        await stage.turn(minutes=10)
        stage.hands["mail"].fails = True
        await stage.opens(account="other")
        for seconds in (0, 5, 30, 1):
            await stage.turn(seconds=seconds)
        (own,) = [one for one in await stage.listed() if one.rule == CHANNEL_CARD.id]
        assert own.count == 2, "another outage adds to it"

    on(database, act)


def test_a_finding_that_comes_while_a_channel_is_down_does_not_wait_for_it(database: Dsns) -> None:
    async def act(stage: Stage) -> None:
        stage.hands["mail"].fails = True
        await stage.opens()
        for seconds in (0, 5, 30):
            await stage.turn(seconds=seconds)
        later = await stage.opens(account="other")
        await stage.turn(seconds=1)
        assert (later.id, 2) in stage.told()["hook"]

    on(database, act)


def test_one_notice_that_is_refused_again_and_again_holds_up_no_other(database: Dsns) -> None:
    async def act(stage: Stage) -> None:
        mail = stage.hands["mail"]
        mail.fails = True
        await stage.opens()
        await stage.turn()
        mail.fails = False
        second = await stage.opens(account="other")
        await stage.turn(seconds=5)
        assert mail.carried[0].id == second.id

    on(database, act)


def test_quiet_hours_put_a_step_off_until_they_are_over(database: Dsns) -> None:
    async def act(stage: Stage) -> None:
        stage.now = NOON + 9 * 60 * MINUTE + 55 * MINUTE  # 21:55
        one = await stage.opens()
        await stage.turn()
        assert stage.told()["mail"] == [(one.id, 1)], "a step without quiet hours never waits"
        await stage.turn(minutes=15)
        await stage.turn(minutes=8 * 60)
        assert stage.told()["hook"] == []
        await stage.turn(minutes=50)  # 07:00
        assert stage.told()["hook"] == [(one.id, 2)]

    on(database, act, steps((0, ("mail",)), (15, ("hook",)), quiet="22:00-07:00"))


def test_after_a_day_of_failures_it_is_given_up_and_said(database: Dsns) -> None:
    async def act(stage: Stage) -> None:
        stage.hands["mail"].fails = True
        one = await stage.opens()
        await stage.turn()
        await stage.turn(minutes=24 * 60)
        assert [each.state for each in await stage.notices(one) if each.step == 1] == ["given-up"]
        (entry,) = [
            each
            for each in await journaled(database, stage)
            if each.action == "finding:tell" and each.outcome == "refused"
        ]
        assert (entry.detail["finding"], entry.detail["channel"]) == (one.id, "mail")
        await stage.turn(minutes=1)
        assert stage.hands["mail"].tried == 2

    on(database, act)


def test_a_channel_that_the_settings_have_no_more_is_given_up(database: Dsns) -> None:
    async def act(stage: Stage) -> None:
        stage.hands["mail"].fails = True
        one = await stage.opens()
        await stage.turn()
        del stage.hands["mail"]
        stage.steps = steps((0, ("hook",)))
        stage.begin()
        await stage.turn(seconds=1)
        found = {each.channel: (each.state, each.code) for each in await stage.notices(one)}
        assert found == {"mail": ("given-up", "HYG-300"), "hook": ("sent", "200")}

    on(database, act)


def test_what_was_told_and_could_not_be_journaled_is_not_told_again(database: Dsns) -> None:
    async def act(stage: Stage) -> None:
        one = await stage.opens()
        await stage.escalation.plan()
        whole = stage.keys.month_key

        async def away(*_: object) -> bytes:
            raise UnavailableError(part="kms")

        stage.keys.month_key = away  # type: ignore[method-assign]
        (mail, *_) = stage.escalation.couriers
        for _turn in range(3):
            with pytest.raises(UnavailableError):
                await stage.escalation.deliver(mail)
        assert stage.told()["mail"] == [(one.id, 1)]
        stage.keys.month_key = whole  # type: ignore[method-assign]
        await stage.turn(seconds=1)
        assert stage.told()["mail"] == [(one.id, 1)]
        assert [each.state for each in await stage.notices(one) if each.step == 1] == ["sent"]

    on(database, act)


def test_who_is_killed_between_due_and_told_tells_at_the_next_start(database: Dsns, tmp_path: Path) -> None:
    async def act(stage: Stage) -> None:
        one = await stage.opens()
        await stage.escalation.plan()
        stage.begin()
        courier = Courier(FileSettings(name="mail", path="told"), DataFolder.at(tmp_path))
        stage.escalation.couriers = [courier]
        await stage.escalation.deliver(courier)
        assert json.loads((tmp_path / "told").read_text())["finding"] == one.id
        courier.close()

    on(database, act)


def test_what_nobody_takes_in_charge_is_told_again_by_the_last_step_until_somebody_does(database: Dsns) -> None:
    """Every four hours, whatever step was added since; by nobody else, and not by a channel that has one waiting."""

    async def act(stage: Stage) -> None:
        one = await stage.opens()
        for minutes in (0, 15, 45, 239):  # the last step at 60
            await stage.turn(minutes=minutes)
        assert [step for _, step in stage.told()["boss"]] == [3]
        for minutes in (1, 239, 1):
            await stage.turn(minutes=minutes)
        assert [step for _, step in stage.told()["boss"]] == [3, 21, 22]
        stage.hands["boss"].fails = True
        for minutes in (240, 240, 240):
            await stage.turn(minutes=minutes)
        assert [each.step for each in await stage.notices(one) if each.state == "waiting"] == [23]
        stage.hands["boss"].fails = False
        await stage.turn(minutes=10)
        await stage.handled(one)
        await stage.turn(minutes=24 * 60)
        assert [step for _, step in stage.told()["boss"]] == [3, 21, 22, 23]
        assert [step for id_, step in stage.told()["mail"] if id_ == one.id] == [1]

    on(database, act)


def test_it_is_not_told_for_ever_and_not_in_quiet_hours(database: Dsns) -> None:
    async def act(stage: Stage) -> None:
        await stage.opens()
        for _ in range(4 * notices.REPEATS_MAX):
            await stage.turn(minutes=120)  # every second hour: some of them fall into the night
        told = [step for _, step in stage.told()["hook"]]
        assert told == [2, *range(21, 21 + notices.REPEATS_MAX)]
        hours = [
            datetime.fromtimestamp(each.planned_ms / 1000, PARIS).hour
            for (finding, *_) in [await stage.listed()]
            for each in await stage.notices(finding)
            if each.channel == "hook"
        ]
        assert all(7 <= hour < 22 for hour in hours)

    on(database, act, steps((0, ("mail",)), (15, ("hook",)), quiet="22:00-07:00"))


async def on_call(dsns: Dsns, *spans: tuple[int, int, str]) -> None:
    """Who is on duty: spans in minutes from noon."""
    async with opened(dsns.sealer, size=1) as records, records.transaction() as connection:
        for first, last, channel in spans:
            values = (NOON + first * MINUTE, NOON + last * MINUTE, channel)
            await connection.execute("INSERT INTO hygie.duty VALUES (%s, %s, %s)", values)


ON_CALL = steps((0, (ROTA,)), (60, ("mail", "hook", "boss")))


def test_a_step_that_names_the_rota_tells_who_is_on_duty_and_at_the_change_who_comes(database: Dsns) -> None:
    async def act(stage: Stage) -> None:
        await on_call(database, (-60, 10, "hook"), (10, 30, "mail"))
        one = await stage.opens()
        await stage.turn()
        assert stage.told() == {"mail": [], "hook": [(one.id, 1)], "boss": []}
        await stage.turn(minutes=10)
        assert stage.told() == {"mail": [(one.id, 1)], "hook": [(one.id, 1)], "boss": []}

    on(database, act, ON_CALL)


@pytest.mark.parametrize("channel", ["", "gone"])
def test_a_hole_in_the_rota_silences_nobody(database: Dsns, channel: str) -> None:
    """Nobody is on duty, or by a channel that the settings do not have: all are told."""

    async def act(stage: Stage) -> None:
        await on_call(database, *([(-60, 10, channel)] if channel else []))
        one = await stage.opens()
        await stage.turn()
        assert stage.told() == {name: [(one.id, 1)] for name in ("mail", "hook", "boss")}

    on(database, act, ON_CALL)


def test_the_rota_is_no_channel_and_needs_one() -> None:
    channel = FileSettings(name="told", path="told.jsonl")
    check_channels((channel,), steps((0, (ROTA,))), production=True)
    for channels in ((), (channel, FileSettings(name=ROTA, path="x"))):
        with pytest.raises(SettingsError):
            check_channels(channels, steps((0, (ROTA,))), production=True)
