"""Whether an act takes two persons here, and the approval that it uses up; rights of the machine's people, raised for
a ticket and a time.

Source: docs/adr/0018-two-persons.md.  In production no act of ``ASKING`` is one person's.  In a trial it is, until
two are named who could approve: from then on it takes two there too, whether or not these two are still there.
"""

from __future__ import annotations

from collections.abc import Mapping

from hygie.base.actions import Action
from hygie.base.permit import Permit, Place
from hygie.base.roles import ROLES, Role
from hygie.database.pool import Database
from hygie.gate.errors import NotRaisedError
from hygie.gate.everywhere import EVERYWHERE
from hygie.gate.officers import officers
from hygie.gate.requests import ANSWERING, APPROVED, Request, Requests

RAISE_MINUTES_MAX = 480
EMERGENCY_MINUTES_MAX = 60  # without an approval before; it is asked for all the same, and its absence is a finding

# Daily work of officers on the machine, which needs no right raised for it: to look, to write registers, to prove.
DAILY = frozenset(
    {
        *(Action.APPROVAL_ASK, Action.APPROVAL_USE, Action.APPROVAL_WITHDRAW, Action.RIGHT_RAISE),
        *(Action.FEED_IMPORT, Action.FINDING_HANDLE, Action.HARDENING_IMPORT, Action.INCIDENT_HANDLE),
        *(Action.CHECK_RUN, Action.DOSSIER_EXPORT, Action.JOURNAL_EXPORT, Action.JOURNAL_READ),
        *(Action.REGISTER_EXPORT, Action.REGISTER_WRITE, Action.REFERENTIAL_IMPORT, Action.STATUS_READ),
    }
)


class TwoPersons:
    """Asks for the second person. Args: requests, database: opened as the owner; production: of the installation."""

    def __init__(self, requests: Requests, database: Database, *, production: bool, now_ms: int) -> None:
        self._requests = requests
        self._database = database
        self._production = production
        self._now_ms = now_ms

    async def needed(self, act: Action, place: Place) -> bool:
        """Whether an act takes two persons in a place."""
        return self._production or await self._take_two(ANSWERING[act], place)

    async def require(self, permit: Permit, act: Action, what: Mapping[str, str], *, subject: str = "") -> str:
        """Use up the approval of exactly this act in the permit's place. Returns its id, nothing where none is needed.

        Args: permit: to ``approval:use`` there. Raises: TwoPersonsError.
        """
        if not await self.needed(act, permit.place):
            return ""
        return (await self._requests.spend(permit, act, what, subject=subject)).id

    async def raised(self, account: str) -> Request | None:
        """The request under which the rights of a person of the machine are raised now.

        None until two were named who could approve one: the installation is being set up, or is a trial.
        Raises: NotRaisedError.
        """
        for one in await self._requests.listing(EVERYWHERE):
            if one.act is Action.RIGHT_RAISE and one.what.get("account") == account and self._is_live(one):
                return one
        if await self._take_two(Action.RIGHT_RAISE_APPROVE, EVERYWHERE):
            raise NotRaisedError()
        return None

    def _is_live(self, one: Request) -> bool:
        return any(begins_ms <= self._now_ms < ends_ms for begins_ms, ends_ms in raised_spans(one))

    async def _take_two(self, action: Action, place: Place) -> bool:
        answering = [role for role in Role if action in ROLES[role].actions]
        async with self._database.transaction() as connection:
            return (await officers(connection, place, answering)).take_two


def raised_spans(one: Request) -> list[tuple[int, int]]:
    """From when until when (ms, UTC, the end exclusive) a request raised rights: in an emergency since it was asked
    for, until it was answered; else, and anew, since it was approved, unless that was when the request was over."""
    long_ms, given = raised_minutes(one.what) * 60_000, one.decision
    found = []
    if one.is_emergency:
        ends_ms = one.asked_ms + long_ms
        found.append((one.asked_ms, ends_ms if given is None else min(ends_ms, given.at_ms)))
    if given is not None and given.verdict == APPROVED and given.at_ms < one.ends_ms:
        found.append((given.at_ms, given.at_ms + long_ms))
    return found


def raised_minutes(what: Mapping[str, str]) -> int:
    """For how long rights are raised; 0 where the words hold no such number."""
    text = what.get("minutes", "")
    most = EMERGENCY_MINUTES_MAX if what.get("emergency") == "yes" else RAISE_MINUTES_MAX
    return min(int(text), most) if text.isascii() and text.isdigit() and len(text) < 5 else 0
