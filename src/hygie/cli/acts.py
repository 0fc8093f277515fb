"""Shared by the commands of administration: reach the running installation as one operator."""

from __future__ import annotations

import asyncio
import getpass
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from hygie.cli.frame import Frame

if TYPE_CHECKING:
    from hygie.app import House
    from hygie.custody import Custody
    from hygie.database.pool import Database
    from hygie.gate.administration import Administration
    from hygie.gate.local import LocalOperator

T = TypeVar("T")


def operator_name() -> str:
    """Who acts, as the journal names him: the account of the machine behind this terminal."""
    return f"local:{os.environ.get('SUDO_USER') or getpass.getuser()}"


@asynccontextmanager
async def administering(frame: Frame) -> AsyncIterator[tuple[House, Administration]]:
    """The installation and its administration; it must be running."""
    from hygie.app import open_administration, open_house

    async with open_house(frame.folder.path) as house, open_administration(house, operator_name()) as acts:
        yield house, acts


def run_act(frame: Frame, act: Callable[[Administration], Awaitable[T]]) -> T:
    """Run one act and return its result."""

    async def main() -> T:
        async with administering(frame) as (_, acts):
            return await act(acts)

    return asyncio.run(main())


def run_custody(frame: Frame, act: Callable[[Custody, Administration], Awaitable[T]]) -> T:
    """Run one act on keys of the running installation and return its result."""

    async def main() -> T:
        from hygie.custody import open_custody

        async with administering(frame) as (house, acts), open_custody(house, operator_name()) as custody:
            return await act(custody, acts)

    return asyncio.run(main())


def run_work(frame: Frame, act: Callable[[House, Database, Database, LocalOperator], Awaitable[T]]) -> T:
    """Run one act of upkeep: (house, pool of the sealer's role, of the hosting role, who acts)."""

    async def main() -> T:
        from hygie.app import open_house, opened
        from hygie.gate.local import LocalOperator
        from hygie.journal.writer import JournalWriter

        async with (
            open_house(frame.folder.path) as house,
            opened(house.dsns.sealer, size=2) as records,
            opened(house.dsns.hosting, size=2) as pool,
        ):
            journal = JournalWriter(pool, house.month_keys, house.clock)
            try:
                return await act(house, records, pool, LocalOperator(journal, house.clock, operator_name()))
            finally:
                await journal.close()

    return asyncio.run(main())


def instant(at_ms: object) -> str:
    """An instant for people, in local time."""
    if not isinstance(at_ms, int):
        return ""
    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone().strftime("%Y-%m-%d %H:%M")


def show_rows(frame: Frame, rows: Sequence[Mapping[str, object]]) -> None:
    """A listing: a table for people, rows for machines."""
    if rows:
        columns = list(rows[0])
        frame.out.table(
            [column.removesuffix("_ms") for column in columns],
            [[instant(row[c]) if c.endswith("_ms") else row[c] or "" for c in columns] for row in rows],
        )
    frame.out.result(rows)
