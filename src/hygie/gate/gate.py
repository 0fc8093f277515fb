"""The gate: authenticate, authorise by a live habilitation, journal what is refused, make the permit.

Rights are read from memory, but never stale: each admission asks the database for the generation of rights (those
that wait share one question), so a revocation counts from the moment it is committed.  A row without its MAC gives
nothing, and is named in the journal.

What proves who somebody is stands before it (``desk.py``, ``people.py``): the gate knows tokens, stored or of a
session, and turns each into a ``Bearer``.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import hmac
import logging
import operator
import os
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import NamedTuple

import psycopg

from hygie.base.actions import Action
from hygie.base.clock import Clock
from hygie.base.errors import HygieError, NotFoundError, RefusedError, UnavailableError
from hygie.base.permit import PatientScope, Permit, reaches
from hygie.database.hot import HotConnections
from hygie.database.pool import Database
from hygie.gate import sessions
from hygie.gate.allowances import Defaults, quota
from hygie.gate.break_glass import opened_outside
from hygie.gate.errors import (
    AuthenticationError,
    ClientRefusedError,
    CodeRefusedError,
    ElsewhereError,
    SignInRefusedError,
    TooManyRefusalsError,
)
from hygie.gate.place import Whereabouts
from hygie.gate.rates import Rates
from hygie.gate.refusals import Refusals
from hygie.gate.rights import forged_entry, rights_key, told
from hygie.gate.scopes import Reach, narrowed
from hygie.gate.snapshot import GENERATION, Bearer, Habilitation, Snapshot, load_snapshot
from hygie.journal.entry import Entry
from hygie.journal.writer import JournalWriter
from hygie.keys.kms import Kms

TOKEN_CHARACTERS_MAX = 200  # of a stored token; access tokens have a bound of their own
_CLOSED = "closed"  # what a refusal says of whom nothing lets in any more
BEARERS_KEPT_MAX = 10_000  # access tokens whose MAC this process has checked since the last change of rights
TEXT_CHARACTERS_MAX = 120  # purpose, device, address as a caller states them
REFUSALS_PER_MINUTE_MAX = 300  # of one address; each costs a durable entry, so they are bounded
_NOBODY = bytes(16)


log = logging.getLogger("hygie.gate")


class Whence(NamedTuple):
    """Where a request comes from, as bounded text. permit_id: of the permit that it has, when it asks anew."""

    address: str
    device: str
    certificate: bytes = b""
    permit_id: bytes = b""


class Gate:
    """One per hosting process. There is no gate without a journal."""

    def __init__(
        self,
        database: Database,
        hot: HotConnections,
        journal: JournalWriter,
        clock: Clock,
        *,
        kms: Kms,
        defaults: Defaults | None = None,
        country: str = "FR",
    ) -> None:
        self._database = database
        self._hot = hot
        self._journal = journal
        self._clock = clock
        self._kms = kms
        self._rights_key: bytes | None = None
        self._sessions_key: bytes | None = None
        self._opened: dict[str, Bearer] = {}  # access tokens of this generation
        self._named: set[str] = set()  # forged rows that the journal has from this process
        self._snapshot = Snapshot(generation=0)
        self._current: asyncio.Task[None] | None = None
        self._next: asyncio.Task[None] | None = None
        self._refusals = Refusals()
        self.whereabouts = Whereabouts(country)
        self.rates = Rates(hot, journal, clock, defaults or Defaults())

    async def admit(
        self,
        token: str,
        *,
        tenant: str,
        environment: str,
        action: Action,
        also: Collection[Action] = (),
        if_held: Collection[Action] = (),
        types: Collection[str] = (),
        weight: int = 1,
        purpose: str = "",
        address: str = "",
        device: str = "",
        certificate: bytes = b"",
        renews: bytes = b"",
    ) -> Permit:
        """A permit for ``action`` (and each of ``also``) in one environment.

        Args: if_held: actions that the permit is for too if the bearer is entitled to them; types: of resources that
        are known to be concerned; weight: how many entries a bundle has; purpose: of use, which habilitations that are
        limited to some must find there; certificate: SHA-256 of the client's, if it showed one; renews: id of the
        permit that this one replaces while a request lasts: it keeps it, so that one request is one in every record.
        Raises: AuthenticationError: no live token, or shown by another client than its own; NotFoundError: no such
        place, or not the bearer's (one answer); ElsewhereError: from a country that is not allowed;
        RefusedError: no live habilitation for the action on these types, or scopes that leave it out; RateLimitedError;
        TooManyRefusalsError; UnavailableError: rights or journal cannot be read or written, so nobody is admitted.
        Every refusal is durable in the journal before it is raised.
        """
        where = Whence(address[:TEXT_CHARACTERS_MAX], device[:TEXT_CHARACTERS_MAX], certificate, renews)
        bearer = await self._bearer_at(token, (tenant, environment), action, where)
        now_ms = self._clock.now_ms()
        wanted = frozenset(also) | {action}
        broken = opened_outside(bearer.openings, purpose, now_ms)
        fitting: list[tuple[Habilitation, Reach | None]] = []
        for held in bearer.habilitations:
            reach, one = _reach(bearer, held), _serving(held, action, purpose, broken)
            if one is not None and one.gives(wanted) and one.is_live(now_ms) and _reaches(reach, wanted, types):
                fitting.append((one, reach))
        if not fitting:
            await self.refuse(RefusedError(), action, bearer, where)
        await self.rates.charge(self._snapshot, bearer, action, self.told(where), weight=weight)
        held, reach, patients = _widest(fitting)
        return Permit(
            permit_id=renews or os.urandom(16),
            account=bearer.account,
            professional_id=bearer.professional_id,
            authentication=bearer.authentication,
            action=action,
            place=bearer.place,
            habilitation=held.id,
            purpose=purpose[:TEXT_CHARACTERS_MAX],
            address=where.address,
            device=where.device,
            also=(frozenset(also) | _open(reach, held.actions & frozenset(if_held))) - {action},
            reach=reach,
            patients=patients | broken if patients is not None and broken is not None else patients,
            country=self.told(where)[2],
            on_behalf_of=bearer.application,
            kin=bearer.kin,
            quota=quota(self._snapshot.allowances, bearer.place.environment_id, self.rates.defaults, now_ms),
        )

    async def recognise(
        self,
        token: str,
        *,
        tenant: str,
        environment: str,
        action: Action,
        address: str = "",
        device: str = "",
        certificate: bytes = b"",
    ) -> None:
        """Be sure that a caller is somebody of this place, before reading what it sends to know what it asks.

        Args: action: what the journal is to say of a refusal.
        Raises: as ``admit``, but for what it is entitled to: ``admit`` is still to be asked.
        """
        where = Whence(address[:TEXT_CHARACTERS_MAX], device[:TEXT_CHARACTERS_MAX], certificate)
        bearer = await self._bearer_at(token, (tenant, environment), action, where)
        await self.rates.charge(self._snapshot, bearer, action, self.told(where), weight=0)

    async def _bearer_at(self, token: str, names: tuple[str, str], action: Action, where: Whence) -> Bearer:
        """Who a token stands for in a tenant's environment, or a refusal."""
        await self.refresh()
        bearer = self.bearer(token)
        if bearer is None:
            closed = self._closed(token)
            await self.refuse(
                AuthenticationError(), action, None, where, reason=_CLOSED if closed else "", whose=closed
            )
        assert bearer is not None
        if bearer.binding and not hmac.compare_digest(bearer.binding, where.certificate):
            await self.refuse(AuthenticationError(), action, bearer, where)  # stolen, or not shown over its own TLS
        place = self._snapshot.places.get(names)
        if place is None or place != bearer.place:
            await self.refuse(NotFoundError(), action, bearer, where)
            raise AssertionError("unreachable")
        if not self.whereabouts.allows(self._snapshot.geography, place, where.address, self._clock.now_ms()):
            await self.refuse(ElsewhereError(), action, bearer, where)
        return bearer

    @property
    def snapshot(self) -> Snapshot:
        """Rights as last read: call ``refresh`` first."""
        return self._snapshot

    @property
    def sessions_key(self) -> bytes:
        """The key of access tokens; known once rights were read."""
        assert self._sessions_key is not None
        return self._sessions_key

    def bearer(self, token: str) -> Bearer | None:
        """Whom a token stands for. A stored one is looked up by hash, so its time tells nothing about live tokens."""
        if not token or len(token) > sessions.TOKEN_CHARACTERS_MAX:
            return None
        if token.startswith(sessions.PREFIX):
            bearer = self._of_session(token)
        else:
            bearer = self._snapshot.bearers.get(_digest(token))
        return bearer if bearer is not None and self._clock.now_ms() < bearer.expires_ms else None

    def _of_session(self, token: str) -> Bearer | None:
        found, now_ms = self._opened.get(token), self._clock.now_ms()
        if (found is not None and now_ms < found.expires_ms) or self._sessions_key is None:
            return found
        session = sessions.open_session(token, self._sessions_key)
        bearer = self._snapshot.bearer_of(session, now_ms) if session is not None else None
        if bearer is not None and now_ms < bearer.expires_ms:
            if len(self._opened) >= BEARERS_KEPT_MAX:
                self._opened.clear()
            self._opened[token] = bearer
        return bearer

    def _closed(self, token: str) -> str:
        """The account of a token that we made and that is not over, when that account is not open any more."""
        if not token.startswith(sessions.PREFIX):
            return self._snapshot.closed.get(_digest(token), "")
        session = sessions.open_session(token, self.sessions_key)
        over = session is None or session.expires_ms <= self._clock.now_ms()
        return "" if over or session is None or session.account in self._snapshot.accounts else session.account

    async def refresh(self) -> None:
        """Be sure that the snapshot is current, by a question asked after this call began; callers share it."""
        if self._next is None:
            self._next = asyncio.create_task(self._question_after(self._current), name="gate-question")
        await asyncio.shield(self._next)

    async def _question_after(self, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])
        self._current, self._next = self._next, None  # from here on, callers wait for the next question
        try:
            if (await self._hot.fetch(GENERATION))[0][0] != self._snapshot.generation:
                self._rights_key = self._rights_key or await rights_key(self._kms)
                self._sessions_key = self._sessions_key or await sessions.sessions_key(self._kms)
                async with self._database.transaction() as connection:
                    loaded = await load_snapshot(connection, self._clock.now_ms(), self._rights_key)
                await self._name_forged(loaded)
                self._snapshot, self._opened = loaded, {}
        except psycopg.Error as error:
            raise UnavailableError(part="gate") from error

    async def _name_forged(self, loaded: Snapshot) -> None:
        """Say once, durably, which rows somebody wrote without the keys; nobody is admitted before it is said."""
        new = [right for right in loaded.forged if right.name not in self._named]
        if new:
            log.error("%d rows of rights do not carry their MAC: %s", len(new), ", ".join(told(new)))
            await self._journal.append_now([forged_entry(new, self._clock.now_ms())])
        self._named = {right.name for right in loaded.forged}

    def told(self, where: Whence) -> tuple[str, str, str]:
        """Address, device and country, as entries say them."""
        located = self.whereabouts.locate(self._snapshot.geography, where.address, self._clock.now_ms())
        return where.address, where.device, located.told

    async def close(self) -> None:
        """Settle what was let through."""
        await self.rates.close()

    async def refuse(
        self,
        error: HygieError,
        action: Action,
        bearer: Bearer | None,
        where: Whence,
        *,
        reason: str = "",
        whose: str = "",
    ) -> None:
        """Journal a refusal, durably, then raise it. Over the bound, one entry a minute says that there were more.

        Args: reason: in one of our own words, of an error that is not the gate's; whose: the account, where there is no
        bearer but it is sure.
        """
        count = self._refusals.count(where.address)
        if count > REFUSALS_PER_MINUTE_MAX:
            error = TooManyRefusalsError(part="gate", retry_after_s=60)
        if count > REFUSALS_PER_MINUTE_MAX + 1:
            raise error
        place = bearer.place if bearer else None
        if isinstance(error, ClientRefusedError | CodeRefusedError | SignInRefusedError):
            reason = str(error.facts["reason"])
        await self._journal.append_now(
            [
                Entry(
                    action=action if bearer else Action.SESSION_REFUSED,
                    outcome="refused",
                    kind="security",
                    at_ms=self._clock.now_ms(),
                    tenant_id=place.tenant_id if place else _NOBODY,
                    environment_id=place.environment_id if place else _NOBODY,
                    account=bearer.account if bearer else whose,
                    professional_id=bearer.professional_id if bearer else "",
                    authentication=bearer.authentication if bearer else "",
                    on_behalf_of=bearer.application if bearer else "",
                    address=where.address,
                    device=where.device,
                    country=self.told(where)[2],
                    permit_id=where.permit_id,
                    detail={"code": error.code} | ({"reason": reason} if reason else {}),
                )
            ]
        )
        raise error


def _digest(token: str) -> bytes:
    """By which a stored token is looked up."""
    return hashlib.sha256(token[: TOKEN_CHARACTERS_MAX + 1].encode("utf-8", "surrogatepass")).digest()


def _serving(held: Habilitation, action: Action, purpose: str, broken: PatientScope | None) -> Habilitation | None:
    """What of a habilitation counts for who states this purpose: all of it; the records that he opened outside its
    sets, whose own purposes stay; or nothing."""
    if held.serves(purpose) or not action.startswith("object:"):
        return held
    return replace(held, patients=broken) if broken is not None and held.patients is not None else None


def _reach(bearer: Bearer, held: Habilitation) -> Reach | None:
    """What is left of a habilitation once its own limits and the token's scopes have narrowed it."""
    if not held.types:
        return bearer.reach
    return narrowed(bearer.reach, held.actions, held.types)


def _widest(
    fitting: Sequence[tuple[Habilitation, Reach | None]],
) -> tuple[Habilitation, Reach | None, PatientScope | None]:
    """The habilitation to go by: the first that opens everybody's records; else the first, with the sets of those that
    give the same actions on the same types. Others are not added to it: a permit has one reach for all its patients."""
    for held, reach in fitting:
        if held.patients is None:
            return held, reach, None
    first, reach = fitting[0]
    scopes = [
        one.patients for one, other in fitting if one.patients and one.actions == first.actions and other == reach
    ]
    return first, reach, functools.reduce(operator.or_, scopes)


def _open(reach: Reach | None, actions: frozenset[Action]) -> frozenset[Action]:
    """Those of these actions that are open on some type."""
    return actions if reach is None else frozenset(action for action in actions if reach.get(action))


def _reaches(reach: Reach | None, actions: Collection[Action], types: Collection[str]) -> bool:
    """Whether every action is open, on each of these types when some are known."""
    if reach is None:
        return True
    return all(reaches(reach, action, type_) for action in actions for type_ in types) and all(
        reach.get(action) for action in actions
    )
