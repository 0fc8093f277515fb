"""tech-8: a door that is slow or broken, minutes lost, a drill that failed."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from hygie.app import open_house, opened
from hygie.availability import store
from hygie.availability.minutes import MINUTE_MS, UP, Run
from hygie.base.settings import default_settings
from hygie.gate.rights import rights_key
from hygie.proof.checks import tech_8
from hygie.proof.facts import AnswerFacts
from hygie.proof.model import Context
from hygie.trimming import KEPT, run_trim
from tests.attack.installation import kill, stopped
from tests.sabotage.conftest import Broken

CONTEXT = Context(default_settings(), now_ms=1)


def test_a_slow_or_broken_door_is_red(broken: Broken) -> None:
    broken.green("tech-8.door")
    with broken.frozen("serve"):
        broken.red("tech-8.door", "does not answer")
    broken.green("tech-8.door", within_s=90)
    for status, spent_ms in ((503, 5.0), (200, 9_000.0)):
        assert tech_8.answers(AnswerFacts(status, spent_ms), CONTEXT).verdict.value == "unsatisfied"


def test_a_dead_door_is_red_until_it_is_started_again(broken: Broken) -> None:
    broken.green("tech-8.door")
    supervisor = broken.made.process
    assert supervisor is not None
    with stopped([supervisor.pid]):  # it would start another one at once
        assert kill(broken.made, "serve") > 0
        broken.red("tech-8.door", "does not answer")
    broken.green("tech-8.door", within_s=90)


@pytest.mark.parametrize(("days", "foreign"), [(-1.0, False), (300.0, True)], ids=["expired", "foreign"])
def test_a_door_with_a_bad_certificate_is_red(broken: Broken, days: float, *, foreign: bool) -> None:
    """The hosting processes load the new pair by themselves; a client that checks it then gets no answer."""
    broken.green("tech-8.door")
    with broken.certificate(days=days, foreign=foreign):
        broken.made.wait_for(lambda: broken.verdict("tech-8.door") == "unsatisfied")
        broken.red("tech-8.door", "does not answer")
        broken.red("tech-1.flows", "does not trust the certificate")
    broken.green("tech-8.door", within_s=90)
    broken.green("tech-1.flows")


def test_measurements_are_bounded(broken: Broken) -> None:
    """Two days of what is measured every few seconds; the newest stays, and nobody else may throw a run away."""
    kept = KEPT["journal-copies"]
    broken.sql(
        "INSERT INTO hygie.measurement (kind, at_ms, passed, facts)"
        " SELECT 'journal-copies', number, true, '{}' FROM generate_series(1, %s) AS number",
        kept + 500,
    )

    async def trim() -> tuple[int, int]:
        async with open_house(broken.made.data) as house, opened(house.dsns.sealer, size=1) as records:
            gone = await run_trim(records, house.clock.now_ms())
            async with records.transaction() as connection:
                found = await connection.execute("SELECT count(*) FROM hygie.measurement WHERE kind = 'journal-copies'")
                row = await found.fetchone()
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                async with records.transaction() as connection:
                    await connection.execute("DELETE FROM hygie.measurement")
        assert row is not None
        return gone, row[0]

    gone, left = asyncio.run(trim())
    assert gone >= 500
    assert kept <= left <= kept + 2  # a loop may have measured meanwhile
    broken.sql("DELETE FROM hygie.measurement WHERE kind = 'journal-copies' AND at_ms <= %s", kept + 500)


def test_lost_minutes_are_red(broken: Broken) -> None:
    """A month that an outside probe saw whole; then one that nobody measured."""
    assert broken.verdict("tech-8.month") == "unknown"  # minutes of one machine, not a month
    month_ms = 31 * 86_400_000
    broken.sql("UPDATE hygie.availability_since SET since_ms = since_ms - %s", month_ms)
    broken.sql("UPDATE hygie.environment SET created_ms = created_ms - %s", month_ms)
    try:
        broken.red("tech-8.month", "minutes lost")
        asyncio.run(seen_from_outside(broken, 31 * 1_440))
        broken.green("tech-8.month")
        broken.sql("UPDATE hygie.availability_run SET source = 'local' WHERE source = 'lyon'")  # its MAC holds no more
        broken.red("tech-8.month", "minutes lost")
    finally:
        broken.sql("DELETE FROM hygie.availability_run WHERE reason = 'outside'")
        broken.sql("UPDATE hygie.availability_since SET since_ms = since_ms + %s", month_ms)
        broken.sql("UPDATE hygie.environment SET created_ms = created_ms + %s", month_ms)
    assert broken.verdict("tech-8.month") == "unknown"


async def seen_from_outside(broken: Broken, minutes: int) -> None:
    """As the import of a probe's file keeps them, until now, in every production environment."""
    async with open_house(broken.made.data) as house, opened(house.dsns.sealer, size=1) as records:
        now, key = house.clock.now_ms() // MINUTE_MS, await rights_key(house.kms)
        async with records.transaction() as connection:
            for one in await store.served(connection):
                runs = [Run("lyon", now - minutes, now, UP, "outside")]
                await store.keep(connection, key, one.environment_id, runs)


def test_a_spent_budget_and_a_silent_probe_are_red(broken: Broken) -> None:
    """As the working process measured it, of real minutes: the budget of a month is 44 of them at most."""
    broken.green("tech-8.budget", within_s=90)  # the working process measures within its first minute
    broken.red("tech-8.budget", "Nobody measures", ahead_days=0.01)
    broken.sql("UPDATE hygie.availability_since SET since_ms = since_ms - 48 * 3600000")
    broken.sql("UPDATE hygie.environment SET created_ms = created_ms - 48 * 3600000")
    try:  # two days that nobody measured
        with broken.frozen("work"):  # what it saw before does not come after
            broken.count_minutes()
            broken.red("tech-8.budget", "lost more minutes")
    finally:
        broken.sql("UPDATE hygie.availability_since SET since_ms = since_ms + 48 * 3600000")
        broken.sql("UPDATE hygie.environment SET created_ms = created_ms + 48 * 3600000")
    broken.count_minutes()
    broken.green("tech-8.budget", within_s=90)


def test_a_failed_site_loss_drill_is_red(broken: Broken) -> None:
    assert broken.verdict("tech-8.recovery") == "unknown"  # none was run
    broken.made.hygie("backup", "run")
    broken.made.hygie("drill", "site-loss")
    broken.green("tech-8.recovery")
    with broken.altered_snapshot():
        assert broken.made.run("drill", "site-loss").returncode != 0
        broken.red("tech-8.recovery", "failed")
    broken.made.hygie("drill", "site-loss")
    broken.green("tech-8.recovery")
    finding = broken.finding("tech-8.recovery", ahead_days=91)
    assert finding.verdict.value == "unknown"
    assert finding.outcome.remedy is not None
    assert finding.outcome.remedy.en == "hygie drill site-loss"
