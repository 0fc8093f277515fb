"""Where applications exchange a proof of who they are for an access token, ask what one stands for, and end it.

Source: SMART App Launch 2.2.0, "Backend Services"; RFC 6749, 4.4 (client credentials); RFC 7009 (revocation); RFC 7662
(introspection); RFC 8705 (mutual TLS).  Whatever does not hold, a client is told the same; the journal says which.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from hygie.base.actions import Action
from hygie.base.clock import Clock
from hygie.base.errors import HygieError
from hygie.base.permit import Place
from hygie.database.pool import Database
from hygie.gate.assertions import Assertion, key_of, read_claimed, verify_assertion
from hygie.gate.clients import CERTIFICATE, JWKS, JWKS_URL, REDIRECT_PUBLIC, ClientKey, PublicJwk, parse_jwks
from hygie.gate.errors import ClientKeyError, ClientRefusedError, ElsewhereError, ScopeError
from hygie.gate.gate import Gate, Whence
from hygie.gate.jwks_source import JwksSource
from hygie.gate.scopes import granted, parse_scopes
from hygie.gate.sessions import SCOPE_BYTES_MAX, Session, new_id, open_session, seal_session
from hygie.gate.snapshot import Account, Bearer
from hygie.journal.entry import PLATFORM, Entry
from hygie.journal.writer import JournalWriter

APPLICATION = "application"
BY_ASSERTION, BY_CERTIFICATE = "private_key_jwt", "tls_client_auth"
_TAKE = "INSERT INTO hygie.assertion (digest, until_ms) VALUES (%s, %s) ON CONFLICT DO NOTHING"
_END = "INSERT INTO hygie.session_end (id, until_ms, ended_ms) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING"


@dataclass(frozen=True, slots=True)
class Proof:
    """What an application shows. client: its account; assertion: signed, or empty; where: address, device, and the
    SHA-256 of its verified certificate if it showed one; audiences: addresses by which this door is known."""

    client: str
    assertion: str
    where: Whence
    audiences: Collection[str]


@dataclass(frozen=True, slots=True)
class Opened:
    """A session that begins, and its token, said once."""

    token: str
    session: Session


@dataclass(frozen=True, slots=True)
class Proved:
    """An application that proved itself with one of its keys."""

    account: Account
    key: ClientKey
    method: str
    binding: bytes


class SessionDesk:
    """One per hosting process, beside its gate. Args: life_ms: of a session."""

    def __init__(
        self, gate: Gate, database: Database, journal: JournalWriter, clock: Clock, *, source: JwksSource, life_ms: int
    ) -> None:
        self._gate = gate
        self._database = database
        self._journal = journal
        self._clock = clock
        self._source = source
        self._life_ms = life_ms

    async def open(self, tenant: str, environment: str, proof: Proof, scope: str) -> Opened:
        """A session in one environment; it is in the journal before its token is given.

        Raises: ClientRefusedError: it is not proved, or not in this environment (one answer); ElsewhereError;
        ScopeError; RateLimitedError; TooManyRefusalsError; UnavailableError. Every refusal is in the journal.
        """
        proved: Proved | None = None
        place: Place | None = None
        try:
            proved = await self.prove(proof)
            place = self._gate.snapshot.places.get((tenant, environment))
            held = proved.account.habilitations.get(place.environment_id, ()) if place is not None else ()
            now_ms = self._clock.now_ms()
            live = [one for one in held if one.is_live(now_ms)]
            if place is None or not live:
                raise ClientRefusedError(reason="place")
            geography, address = self._gate.snapshot.geography, proof.where.address
            if not self._gate.whereabouts.allows(geography, place, address, now_ms):
                raise ElsewhereError()
            scopes = _granted(scope, [(one.actions, one.types) for one in live])
        except HygieError as error:
            await self._gate.refuse(error, Action.SESSION_OPEN, _bearer(proved, place), proof.where)
            raise AssertionError("unreachable") from error
        known = _bearer(proved, place)
        assert known is not None
        await self._gate.rates.charge(self._gate.snapshot, known, Action.SESSION_OPEN, self._gate.told(proof.where))
        ends_ms = min(now_ms + self._life_ms, proved.account.ends_ms, proved.key.ends_ms)
        session = Session(
            id=new_id(),
            account=proved.account.id,
            key=proved.key.id,
            tenant_id=place.tenant_id,
            environment_id=place.environment_id,
            issued_ms=now_ms,
            expires_ms=ends_ms,
            method=proved.method,
            scopes=scopes,
            binding=proved.binding,
        )
        detail = {"session": session.id.hex(), "key": session.key, "scope": " ".join(scopes)[:SCOPE_BYTES_MAX]}
        entry = self._entry(Action.SESSION_OPEN, session, proof.where, detail)
        await self._journal.append_now([replace(entry, country=self._gate.told(proof.where)[2])])
        return Opened(seal_session(session, self._gate.sessions_key), session)

    async def look(self, proof: Proof, token: str) -> Bearer | None:
        """Whom a token stands for, told to the application that it was given to and to no other (RFC 7662, 4).

        Raises: ClientRefusedError.
        """
        proved = await self._proved(proof, Action.SESSION_OPEN)
        bearer = self._gate.bearer(token)
        return bearer if bearer is not None and bearer.held_by == proved.account.id else None

    async def close(self, proof: Proof, token: str) -> bool:
        """End a session at once, on every process; what is over, or no session of this application, is none (RFC 7009,
        2.2).

        A public application has nothing but the token to prove itself with.

        Returns: False: it is a stored token of this application, which its operator revokes (RFC 7009, 2.2.1).
        Raises: ClientRefusedError; UnavailableError: it is not ended.
        """
        await self._gate.refresh()
        session = open_session(token, self._gate.sessions_key)
        bearer = self._gate.bearer(token)
        if session is None:
            proved = await self._proved(proof, Action.SESSION_CLOSE)
            return bearer is None or bearer.held_by != proved.account.id
        holder = session.application or session.account
        if holder != proof.client or proof.assertion or not self._is_public(session):
            proved = await self._proved(proof, Action.SESSION_CLOSE)
            if holder != proved.account.id:
                return True
        now_ms = self._clock.now_ms()
        if now_ms < session.expires_ms and session.id not in self._gate.snapshot.ended:
            await self._end(session, proof.where, now_ms)
        return True

    def _is_public(self, session: Session) -> bool:
        """Whether it was given at an address of an application that has nothing to prove itself with there."""
        application = self._gate.snapshot.accounts.get(session.application)
        held = application.keys if application is not None else ()
        return any(one.id == session.redirect and one.kind == REDIRECT_PUBLIC for one in held)

    async def _end(self, session: Session, where: Whence, now_ms: int) -> None:
        """End a session in the journal's own transaction, whether or not it gives anything at this moment: what its
        application's rights take away today they may give back tomorrow."""
        account = self._gate.snapshot.accounts.get(session.account)
        entry = Entry(
            action=Action.SESSION_CLOSE,
            outcome="done",
            kind="security",
            at_ms=now_ms,
            tenant_id=session.tenant_id,
            environment_id=session.environment_id,
            account=session.account,
            professional_id=account.professional_id if account is not None else "",
            authentication=session.authentication,
            on_behalf_of=session.application,
            address=where.address,
            device=where.device,
            country=self._gate.told(where)[2],
            detail={"session": session.id.hex()},
        )
        async with self._database.transaction() as connection:
            await connection.execute(_END, (session.id, session.expires_ms, now_ms))
            await self._journal.append(connection, [entry])

    async def _proved(self, proof: Proof, action: Action) -> Proved:
        try:
            return await self.prove(proof)
        except HygieError as error:
            await self._gate.refuse(error, action, None, proof.where)
            raise AssertionError("unreachable") from error

    async def prove(self, proof: Proof) -> Proved:
        """Who asks. Raises: ClientRefusedError: its reason is for the journal."""
        await self._gate.refresh()
        if proof.assertion:
            return await self._by_assertion(proof)
        account = self._application(proof.client)
        now_ms = self._clock.now_ms()
        for key in account.keys:
            if key.kind == CERTIFICATE and key.value == proof.where.certificate.hex() and now_ms < key.ends_ms:
                return Proved(account, key, BY_CERTIFICATE, proof.where.certificate)
        raise ClientRefusedError(reason="certificate" if proof.where.certificate else "no proof")

    async def _by_assertion(self, proof: Proof) -> Proved:
        claimed = read_claimed(proof.assertion)
        if proof.client and proof.client != claimed.client:
            raise ClientRefusedError(reason="client_id")
        account = self._application(claimed.client)
        now_ms = self._clock.now_ms()
        refused: HygieError = ClientRefusedError(reason="no key")
        for key in account.keys:
            if key.kind not in {JWKS, JWKS_URL} or now_ms >= key.ends_ms:
                continue
            if claimed.jku and claimed.jku != (key.value if key.kind == JWKS_URL else ""):
                refused = ClientRefusedError(reason="jku")
                continue
            try:
                named = key_of(claimed, await self._keys(key, claimed.kid))
            except (ClientRefusedError, ClientKeyError) as error:
                refused = error if isinstance(error, ClientRefusedError) else ClientRefusedError(reason="key set")
                continue
            assertion = await asyncio.to_thread(
                verify_assertion, proof.assertion, claimed, named, audiences=proof.audiences, now_ms=now_ms
            )
            await self._take(assertion)
            return Proved(account, key, BY_ASSERTION, proof.where.certificate)
        raise refused

    async def _keys(self, key: ClientKey, kid: str) -> Sequence[PublicJwk]:
        if key.kind == JWKS:
            return parse_jwks(key.value)
        return await self._source.keys(key.value, kid)

    async def _take(self, assertion: Assertion) -> None:
        """Use an assertion up, for every process. Raises: ClientRefusedError: it was shown before."""
        async with self._database.transaction() as connection:
            taken = await connection.execute(_TAKE, (assertion.digest, assertion.expires_ms))
        if taken.rowcount != 1:
            raise ClientRefusedError(reason="replayed")

    def _application(self, client: str) -> Account:
        account = self._gate.snapshot.accounts.get(client)
        if account is None or account.kind != APPLICATION or self._clock.now_ms() >= account.ends_ms:
            raise ClientRefusedError(reason="client")
        return account

    @staticmethod
    def _entry(action: Action, session: Session, where: Whence, detail: dict[str, str]) -> Entry:
        return Entry(
            action=action,
            outcome="done",
            kind="security",
            at_ms=session.issued_ms,
            tenant_id=session.tenant_id,
            environment_id=session.environment_id,
            account=session.account,
            authentication=session.method,
            address=where.address,
            device=where.device,
            detail=detail,
        )


def _granted(scope: str, held: Sequence[tuple[frozenset[Action], frozenset[str]]]) -> tuple[str, ...]:
    """What of the asked scopes the habilitations bear out. Raises: ScopeError: nothing, or too much for one token."""
    try:
        asked = parse_scopes(scope)
    except ValueError as error:
        raise ScopeError() from error
    kept = tuple(dict.fromkeys(one for actions, types in held for one in granted(asked, actions, types)))
    if not kept or sum(map(len, kept)) > SCOPE_BYTES_MAX:
        raise ScopeError()
    return kept


def _bearer(proved: Proved | None, place: Place | None) -> Bearer | None:
    """Whom the journal is to name in a refusal: an application that proved itself, where it asked to be."""
    if proved is None:
        return None
    somewhere = place or Place(PLATFORM, PLATFORM, "")
    known = Bearer(proved.account.id, proved.account.professional_id, somewhere, 0, (), proved.method)
    return (
        known
        if place is None or place.environment_id in proved.account.habilitations
        else replace(known, place=Place(PLATFORM, PLATFORM, ""))
    )
