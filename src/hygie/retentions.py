"""What is kept and for how long: what the settings say, or what was in force where that is longer.

Source: docs/adr/0028-retentions.md.  To write a longer retention in ``hygie.toml`` is enough; a shorter one changes
nothing until two persons agreed to it (``hygie retention shorten``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hygie.app import House, opened
from hygie.backups.retention import RetentionPolicy
from hygie.base.actions import Action
from hygie.base.settings import Settings
from hygie.custody import Custody
from hygie.database.pool import Database
from hygie.exits import records
from hygie.gate.everywhere import EVERYWHERE
from hygie.gate.local import LocalOperator
from hygie.gate.retentions import Retention, Retentions, check_shorter
from hygie.journal.writer import JournalWriter

DAILY, WEEKLY, MONTHLY, TRACES = "backups-daily", "backups-weekly", "backups-monthly", "traces-years"


def wanted(settings: Settings) -> dict[str, int]:
    """What the settings ask for, by name: snapshots of backups, years of access traces."""
    backups = settings.backups
    return {DAILY: backups.daily, WEEKLY: backups.weekly, MONTHLY: backups.monthly, TRACES: settings.exit.traces_years}


def longest(settings: Settings, known: Mapping[str, Retention]) -> dict[str, int]:
    """What applies, by name."""
    return {name: max(value, known[name].value if name in known else 0) for name, value in wanted(settings).items()}


async def applied(house: House, database: Database) -> dict[str, int]:
    """What applies now, by name. Args: database: of the owner's or the sealer's role."""
    return longest(house.settings, await Retentions(database, kms=house.kms, clock=house.clock).kept())


async def backups_kept(house: House) -> RetentionPolicy:
    """The retention of backups that applies, with the instant before which no copy of keys may stay."""
    async with opened(house.dsns.sealer, size=1) as sealer:
        since_ms, now = await records.keys_since(sealer), await applied(house, sealer)
    return replace(policy_of(now), keys_since_ms=since_ms)


def policy_of(values: Mapping[str, int]) -> RetentionPolicy:
    """The rule of backups. Args: values: by name, as :func:`longest` gives them."""
    return RetentionPolicy(daily=values[DAILY], weekly=values[WEEKLY], monthly=values[MONTHLY])


async def lengthen(house: House, operator: str) -> list[str]:
    """Put in force what the settings lengthened, in the name of a program. Returns the names."""
    async with opened(house.dsns.owner, size=1) as owner:
        rows = Retentions(owner, kms=house.kms, clock=house.clock)
        known = await rows.kept()
        longer = {name: value for name, value in wanted(house.settings).items()
                  if name not in known or known[name].value < value}  # fmt: skip
        if not longer:
            return []
        journal = JournalWriter(owner, house.month_keys, house.clock)
        try:
            told = {name: str(value) for name, value in longer.items()}
            async with LocalOperator(journal, house.clock, operator).act(Action.RETENTION_SET, detail=told) as act:
                await rows.lengthen(act.permit, longer)
        finally:
            await journal.close()
    return list(longer)


async def shorten(custody: Custody, name: str, value: int) -> str:
    """Put a shorter retention in force, with the approval that it takes. Returns the request's id, if one was needed.

    Raises: RequestRefusedError: none of that name, or it is not longer; NotRaisedError; TwoPersonsError.
    """
    rows = Retentions(custody.owner, kms=custody.house.kms, clock=custody.house.clock)
    check_shorter(await rows.kept(), name, value)
    async with custody.operator.act(Action.RETENTION_SET, detail={name: str(value)}) as act:
        what = {"name": name, "value": str(value)}
        request = await custody.require_two(Action.RETENTION_SET, EVERYWHERE, what)
        act.detail["request"] = request
        await rows.shorten(act.permit, name, value, request=request)
    return request
