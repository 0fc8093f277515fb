"""Shared by the commands of administration: reach the running installation as one operator."""

from __future__ import annotations

import asyncio
import os
import pwd
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from hygie.base.language import say
from hygie.cli.frame import Frame

if TYPE_CHECKING:
    from hygie.app import House
    from hygie.base.permit import Place
    from hygie.custody import Custody
    from hygie.database.pool import Database
    from hygie.gate.administration import Administration
    from hygie.gate.local import LocalOperator
    from hygie.gate.people_administration import PeopleAdministration

T = TypeVar("T")


def operator_name() -> str:
    """Who acts, as the journal names him: the account of the machine behind this terminal."""
    return f"local:{os.environ.get('SUDO_USER') or _account_name()}"


def _account_name() -> str:
    """By the system's number of the account: ``LOGNAME`` and its like are whatever the person writes there."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # an account of a container may have no name
        return str(os.getuid())


@asynccontextmanager
async def administering(frame: Frame) -> AsyncIterator[tuple[House, PeopleAdministration]]:
    """The installation and its administration; it must be running."""
    from hygie.app import open_administration, open_house

    async with open_house(frame.folder.path) as house:

        async def allowed(tenant: str, name: str) -> Sequence[tuple[str, str]]:
            return await production_blockers(house, tenant, name)

        async with open_administration(house, operator_name(), go_live=allowed) as acts:
            yield house, acts


async def production_blockers(house: House, tenant: str, name: str) -> Sequence[tuple[str, str]]:
    """Why an environment may not be in production now, in French and English: layers that no certificate covers."""
    from hygie.perimeter import go_live  # read only when asked: registers take a moment to load

    return await go_live(house, operator_name())(tenant, name)


def run_act(frame: Frame, act: Callable[[PeopleAdministration], Awaitable[T]]) -> T:
    """Run one act and return its result."""

    async def main() -> T:
        async with administering(frame) as (_, acts):
            return await act(acts)

    return asyncio.run(main())


def run_live(
    frame: Frame, tenant: str, name: str, act: Callable[[Administration], Awaitable[T]], *, kind: str = ""
) -> T:
    """Run one act on an environment, and warn in trial mode of what production would refuse.

    Args: kind: of the environment, when it is yet to be made.
    """

    async def main() -> tuple[T, Sequence[tuple[str, str]]]:
        from hygie.gate.everywhere import EVERYWHERE

        async with administering(frame) as (house, acts):
            done = await act(acts)
            if not kind and await acts.place(tenant, name) == EVERYWHERE:
                return done, ()  # the platform itself is no environment that goes live
            found = kind or (await acts.environment(tenant, name)).kind
            trial = found == "production" and not house.settings.production
            return done, await production_blockers(house, tenant, name) if trial else ()

    done, reasons = asyncio.run(main())
    for fr, en in reasons:
        frame.out.warn(say(fr=f"En production, ce serait refusé : {fr}", en=f"In production this is refused: {en}"))
    return done


def run_custody(frame: Frame, act: Callable[[Custody, PeopleAdministration], Awaitable[T]]) -> T:
    """Run one act on keys of the running installation and return its result."""

    async def main() -> T:
        from hygie.custody import open_custody

        async with administering(frame) as (house, acts), open_custody(house, operator_name()) as custody:
            return await act(custody, acts)

    return asyncio.run(main())


def run_work(frame: Frame, act: Callable[[House, Database, Database, LocalOperator], Awaitable[T]]) -> T:
    """Run one act of upkeep: (house, pool of the sealer's role, of the hosting role, who acts)."""

    async def main() -> T:
        from hygie.app import open_house, opened, raised_for
        from hygie.gate.local import LocalOperator
        from hygie.journal.writer import JournalWriter

        async with (
            open_house(frame.folder.path) as house,
            opened(house.dsns.sealer, size=2) as records,
            opened(house.dsns.hosting, size=2) as pool,
        ):
            journal = JournalWriter(pool, house.month_keys, house.clock)
            try:
                name = operator_name()
                raised = raised_for(house, records, journal, name)
                return await act(house, records, pool, LocalOperator(journal, house.clock, name, raised=raised))
            finally:
                await journal.close()

    return asyncio.run(main())


async def place_of(records: Database, name: str) -> Place:
    """Where the entries of a client are journaled; everywhere when none is named. Raises: NotFoundError."""
    from hygie.base.errors import NotFoundError
    from hygie.base.permit import Place
    from hygie.gate.everywhere import EVERYWHERE

    if not name:
        return EVERYWHERE
    async with records.transaction() as connection:
        row = await (await connection.execute("SELECT id FROM hygie.tenant WHERE name = %s", (name,))).fetchone()
    if row is None:
        raise NotFoundError()
    return Place(bytes(row[0]), bytes(16), "")


def instant(at_ms: object) -> str:
    """An instant for people, in local time."""
    if not isinstance(at_ms, int):
        return ""
    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone().strftime("%Y-%m-%d %H:%M")


_COLUMNS = {  # as stored → as a person reads it
    "account": ("compte", "account"),
    "application": ("application", "application"),
    "applies": ("s'applique", "applies"),
    "approver": ("approbateur", "approver"),
    "basis": ("base légale", "basis"),
    "complete": ("complet", "complete"),
    "consent": ("consentement", "consent"),
    "count": ("nombre", "count"),
    "created_ms": ("créé le", "created"),
    "destruction": ("destruction", "destruction"),
    "delivered_by": ("remis par", "delivered by"),
    "delivered_how": ("remis comment", "delivered how"),
    "due_ms": ("dû le", "due"),
    "ends_ms": ("finit le", "ends"),
    "environment": ("environnement", "environment"),
    "erasure": ("effacement", "erasure"),
    "every_copy_ms": ("illisible partout le", "unreadable everywhere"),
    "export": ("export", "export"),
    "expires_ms": ("expire le", "expires"),
    "final": ("clos", "closed"),
    "group": ("groupe", "group"),
    "id": ("identifiant", "id"),
    "incident": ("incident", "incident"),
    "last_ms": ("dernier", "last"),
    "level": ("gravité", "level"),
    "in_force": ("en vigueur", "in force"),
    "key_destroyed_ms": ("clés détruites le", "keys destroyed"),
    "kind": ("genre", "kind"),
    "label": ("libellé", "label"),
    "method": ("preuve", "proof"),
    "name": ("nom", "name"),
    "opened_ms": ("ouverte le", "opened"),
    "objects": ("objets", "objects"),
    "ordered_ms": ("ordonné le", "ordered"),
    "professional_id": ("n° professionnel", "professional id"),
    "purged_ms": ("index purgé le", "index purged"),
    "reason": ("motif", "reason"),
    "request": ("demande", "request"),
    "requested_ms": ("demandé le", "requested"),
    "revoked_by": ("révoqué par", "revoked by"),
    "revoked_ms": ("révoqué le", "revoked"),
    "role": ("rôle", "role"),
    "setting": ("réglage", "setting"),
    "since_ms": ("depuis le", "since"),
    "starts_ms": ("débute le", "starts"),
    "owner": ("responsable", "owner"),
    "state": ("état", "state"),
    "suspended_ms": ("suspendu le", "suspended"),
    "tenant": ("client", "client"),
    "threat": ("menace", "threat"),
    "title": ("titre", "title"),
    "until_ms": ("jusqu'à", "until"),
    "unreadable_ms": ("illisible le", "unreadable"),
}


def column(name: str) -> str:
    """The name of a column for a person."""
    fr, en = _COLUMNS.get(name, (name.removesuffix("_ms"), name.removesuffix("_ms")))
    return say(fr=fr, en=en)


def show_rows(frame: Frame, rows: Sequence[Mapping[str, object]]) -> None:
    """A listing: a table for people, rows for machines. What one row lacks is an empty cell."""
    if rows:
        names = list(dict.fromkeys(name for row in rows for name in row))
        cells = [[_cell(name, row.get(name)) for name in names] for row in rows]
        frame.out.table([column(name) for name in names], cells)
    else:
        frame.out.line(say(fr="Rien à montrer.", en="Nothing to show."))
    frame.out.result(rows)


def _cell(name: str, value: object) -> object:
    if isinstance(value, bool):
        return say(fr="oui", en="yes") if value else say(fr="non", en="no")
    return instant(value) if name.endswith("_ms") else "" if value is None else value
