"""Where a person who was proven lets an application act for a while: authorization codes, sessions, their end.

Source: SMART App Launch 2.2.0 (standalone launch); OAuth 2.1: codes are exact, short, used once and bound (RFC 6749,
4.1; RFC 7636; RFC 9700); docs/adr/0020-people-sign-in.md.  A session gives what the person's live habilitations give,
narrowed by its scopes and by what the application itself is entitled to in this environment; each is looked up at each
request.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass

from hygie.base.actions import Action
from hygie.base.clock import Clock
from hygie.base.errors import HygieError
from hygie.base.permit import Place
from hygie.database.pool import Database
from hygie.gate.clients import REDIRECT_PUBLIC, REDIRECTS, ClientKey
from hygie.gate.desk import APPLICATION, Opened, Proof, SessionDesk
from hygie.gate.errors import ClientRefusedError, CodeRefusedError, ElsewhereError, ScopeError
from hygie.gate.gate import Gate, Whence
from hygie.gate.proofs import Proven
from hygie.gate.scopes import RIGHTS, parse_scopes
from hygie.gate.sessions import CUT, CUT_KEPT_MS, SCOPE_BYTES_MAX, Session, new_id, seal_session
from hygie.gate.sign_in import CODE_LIFE_MS, Code, close_code, open_code, sign_in_key
from hygie.gate.snapshot import Account, Bearer, held_of, lent_by, through
from hygie.journal.entry import Entry
from hygie.journal.writer import JournalWriter
from hygie.keys.kms import Kms

PERSON = "person"
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")  # base64url of a SHA-256 (RFC 7636, 4.2)
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")
_TAKE = "INSERT INTO hygie.assertion (digest, until_ms) VALUES (%s, %s) ON CONFLICT DO NOTHING"
_END = "INSERT INTO hygie.session_end (id, until_ms, ended_ms) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING"
_GAVE = "SELECT FROM hygie.person_session WHERE id = %s"
_SHOW = (
    "INSERT INTO hygie.person_session (id, account, application, environment, method, opened_ms, until_ms)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s)"
)
_SHOWN = (
    "SELECT s.id, s.application, s.environment, s.method, s.opened_ms, s.until_ms FROM hygie.person_session s"
    " WHERE s.account = %s AND s.until_ms > %s ORDER BY s.opened_ms DESC LIMIT 100"
)


@dataclass(frozen=True, slots=True)
class Registered:
    """An application and the address that it may get people back at, in an environment where it is entitled."""

    application: Account
    redirect: ClientKey
    place: Place

    @property
    def public(self) -> bool:
        """Whether it has nothing to prove itself with there."""
        return self.redirect.kind == REDIRECT_PUBLIC


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A person's session under way. application: its label; names: (tenant, environment)."""

    application: str
    names: tuple[str, str]
    method: str
    opened_ms: int
    until_ms: int


class PersonDesk:
    """One per hosting process, beside its gate. Args: life_ms: of a session."""

    def __init__(
        self,
        gate: Gate,
        database: Database,
        journal: JournalWriter,
        clock: Clock,
        *,
        kms: Kms,
        applications: SessionDesk,
        life_ms: int,
    ) -> None:
        self._gate = gate
        self._database = database
        self._journal = journal
        self._clock = clock
        self._kms = kms
        self._applications = applications
        self._life_ms = life_ms
        self._key: bytes | None = None

    async def key(self) -> bytes:
        """The key of what a sign-in carries. Raises: UnavailableError."""
        self._key = self._key or await sign_in_key(self._kms)
        return self._key

    async def registered(self, names: tuple[str, str], client: str, redirect_uri: str, where: Whence) -> Registered:
        """The application that sends somebody here, if this address is one of its own, character by character.

        Raises: ClientRefusedError: anything else, told alike; it is in the journal, and nobody is sent anywhere.
        """
        await self._gate.refresh()
        place = self._gate.snapshot.places.get(names)
        try:
            return self._registered(place, client, redirect_uri)
        except HygieError as error:
            await self._gate.refuse(error, Action.SESSION_OPEN, None, where)
            raise AssertionError("unreachable") from error

    def _registered(self, place: Place | None, client: str, redirect_uri: str) -> Registered:
        now_ms = self._clock.now_ms()
        account = self._gate.snapshot.accounts.get(client)
        if account is None or account.kind != APPLICATION or now_ms >= account.ends_ms:
            raise ClientRefusedError(reason="client")
        for key in account.keys:
            if key.kind in REDIRECTS and key.value == redirect_uri and now_ms < key.ends_ms:
                if place is None or not lent_by(account, place, now_ms):
                    raise ClientRefusedError(reason="place")
                return Registered(account, key, place)
        raise ClientRefusedError(reason="redirect")

    async def code(
        self, registered: Registered, proven: Proven, *, challenge: str, scopes: Sequence[str], where: Whence
    ) -> str:
        """A code for this application, which it must change for a session within a minute, once.

        Raises: ScopeError: nothing of it is borne out by the person's and the application's habilitations;
        ElsewhereError: the person is where data may not be reached from; the refusal is in the journal.
        """
        await self._gate.refresh()
        now_ms = self._clock.now_ms()
        person = self._gate.snapshot.accounts.get(proven.account)
        if not self._is_within(registered.place, where):
            known = self._bearer(person, proven, registered)
            await self._gate.refuse(ElsewhereError(), Action.SESSION_OPEN, known, where)
        kept = self._borne_out(person, registered.application, registered.place, scopes, now_ms)
        if person is None or not kept:
            await self._gate.refuse(ScopeError(), Action.SESSION_OPEN, self._bearer(person, proven, registered), where)
            raise AssertionError("unreachable")
        made = Code(
            id=new_id(),
            application=registered.application.id,
            redirect=registered.redirect.id,
            redirect_uri=registered.redirect.value,
            challenge=challenge,
            public=registered.public,
            tenant_id=registered.place.tenant_id,
            environment_id=registered.place.environment_id,
            account=person.id,
            authenticator=proven.authenticator,
            method=proven.method,
            acr=proven.acr,
            scopes=kept,
            proven_ms=proven.at_ms,
            expires_ms=now_ms + CODE_LIFE_MS,
        )
        return close_code(made, await self.key())

    async def exchange(
        self, names: tuple[str, str], proof: Proof, *, code: str, verifier: str, redirect_uri: str
    ) -> Opened:
        """The session of a code; it is in the journal before its token is given.

        A code that is shown again, however late, ends the session that it gave: one of the two who had it stole it
        (RFC 6749, 4.1.2).
        Raises: ClientRefusedError; CodeRefusedError: its reason is for the journal; ElsewhereError;
        TooManyRefusalsError; UnavailableError. Every refusal is in the journal.
        """
        bearer: Bearer | None = None
        try:
            await self._gate.refresh()
            said = open_code(code, await self.key())
            if said is None:
                raise CodeRefusedError(reason="code")
            await self._client(said, proof)
            place = self._gate.snapshot.places.get(names)
            if place is None or place.environment_id != said.environment_id:
                raise CodeRefusedError(reason="place")
            session = self._session(said, verifier, redirect_uri, proof.where.certificate)
            if session.issued_ms >= said.expires_ms:
                await self._end_given(said)
                raise CodeRefusedError(reason="expired")
            bearer = self._gate.snapshot.bearer_of(session, self._clock.now_ms())
            if bearer is None:  # the person, the proof or the application was closed meanwhile
                raise CodeRefusedError(reason="closed")
            if not self._is_within(place, proof.where):
                raise ElsewhereError()
            await self._take(said)
        except HygieError as error:
            await self._gate.refuse(error, Action.SESSION_OPEN, bearer, proof.where)
            raise AssertionError("unreachable") from error
        await self._open(session, bearer, proof.where)
        return Opened(seal_session(session, self._gate.sessions_key), session)

    async def _client(self, said: Code, proof: Proof) -> None:
        """Be sure that it is the application that the code was made for. Raises: ClientRefusedError."""
        if said.public and not proof.assertion:
            if proof.client != said.application:
                raise ClientRefusedError(reason="client")
            return
        proved = await self._applications.prove(proof)
        if proved.account.id != said.application:
            raise ClientRefusedError(reason="client")

    def _session(self, said: Code, verifier: str, redirect_uri: str, certificate: bytes) -> Session:
        """The session that a code stands for. Raises: CodeRefusedError."""
        now_ms = self._clock.now_ms()
        if redirect_uri != said.redirect_uri:
            raise CodeRefusedError(reason="redirect")
        if not _VERIFIER.fullmatch(verifier) or not hmac.compare_digest(challenge_of(verifier), said.challenge):
            raise CodeRefusedError(reason="verifier")
        return Session(
            id=said.id,
            account=said.account,
            key=said.authenticator,
            tenant_id=said.tenant_id,
            environment_id=said.environment_id,
            issued_ms=now_ms,
            expires_ms=now_ms + self._life_ms,
            method=said.method,
            scopes=said.scopes,
            binding=b"" if said.public else certificate,
            application=said.application,
            acr=said.acr,
            proven_ms=said.proven_ms,
            redirect=said.redirect,
        )

    async def _take(self, said: Code) -> None:
        """Use a code up, for every process. Raises: CodeRefusedError: it was; what it gave is ended."""
        now_ms = self._clock.now_ms()
        digest = hashlib.sha256(b"code\0" + said.id).digest()
        async with self._database.transaction() as connection:
            taken = (await connection.execute(_TAKE, (digest, said.expires_ms))).rowcount == 1
            if not taken:
                ends_ms = said.expires_ms + self._life_ms
                await connection.execute(_END, (said.id, ends_ms, now_ms))
        if not taken:
            raise CodeRefusedError(reason="replayed")

    async def _end_given(self, said: Code) -> None:
        """End what a code gave in its minute, if it gave something that lives."""
        async with self._database.transaction() as connection:
            given = await (await connection.execute(_GAVE, (said.id,))).fetchone()
            if given is not None and said.id not in self._gate.snapshot.ended:
                await connection.execute(_END, (said.id, said.expires_ms + self._life_ms, self._clock.now_ms()))

    async def _open(self, session: Session, bearer: Bearer, where: Whence) -> None:
        scope = " ".join(session.scopes)[:SCOPE_BYTES_MAX]
        detail = {"session": session.id.hex(), "key": session.key, "scope": scope}
        row = (session.id, session.account, session.application, session.environment_id)
        async with self._database.transaction() as connection:
            times = (session.authentication[:200], session.issued_ms, session.expires_ms)
            await connection.execute(_SHOW, (*row, *times))
            await self._journal.append(
                connection, [self._entry(Action.SESSION_OPEN, bearer, session.issued_ms, where, detail)]
            )

    def name_of(self, account: str) -> str:
        """A person as her account is labelled, with its id."""
        found = self._gate.snapshot.accounts.get(account)
        return f"{found.label} ({account})" if found is not None and found.label not in {"", account} else account

    async def sessions(self, account: str) -> list[OpenSession]:
        """The sessions of a person under way, newest first. Raises: UnavailableError."""
        await self._gate.refresh()
        snapshot, now_ms = self._gate.snapshot, self._clock.now_ms()
        async with self._database.transaction() as connection:
            rows = await (await connection.execute(_SHOWN, (account, now_ms))).fetchall()
        names = {place.environment_id: pair for pair, place in snapshot.places.items()}
        found: list[OpenSession] = []
        for id_, application, environment, method, opened_ms, until_ms in rows:
            known = snapshot.accounts.get(application)
            ended = id_ in snapshot.ended or opened_ms < snapshot.cuts.get(account, 0)
            if known is not None and environment in names and not ended:
                found.append(OpenSession(known.label or known.id, names[environment], method, opened_ms, until_ms))
        return found

    async def end_all(self, proven: Proven, registered: Registered, where: Whence) -> None:
        """End whatever this person opened up to now, codes included, at once on every process. Raises:
        UnavailableError."""
        await self._gate.refresh()
        now_ms = self._clock.now_ms()
        person = self._gate.snapshot.accounts.get(proven.account)
        bearer = self._bearer(person, proven, registered)
        entry = self._entry(Action.SESSION_CLOSE, bearer, now_ms, where, {"sessions": "all"})
        async with self._database.transaction() as connection:
            await connection.execute(CUT, (proven.account, now_ms, now_ms + CUT_KEPT_MS))
            await self._journal.append(connection, [entry])

    def _borne_out(
        self, person: Account | None, application: Account, place: Place, scopes: Sequence[str], now_ms: int
    ) -> tuple[str, ...]:
        """What of the scopes both the person and the application may have there."""
        if person is None or person.kind != PERSON or now_ms >= person.ends_ms:
            return ()
        held = [one for one in person.habilitations.get(place.environment_id, ()) if one.is_live(now_ms)]
        kept = through(held_of(scopes, held), lent_by(application, place, now_ms))
        return kept if sum(map(len, kept)) <= SCOPE_BYTES_MAX else ()

    def _bearer(self, person: Account | None, proven: Proven, registered: Registered) -> Bearer:
        """Whom the journal is to name."""
        number = person.professional_id if person is not None else ""
        how = f"{proven.method} acr={proven.acr}" if proven.acr else proven.method
        return Bearer(proven.account, number, registered.place, 0, (), how, application=registered.application.id)

    def _is_within(self, place: Place, where: Whence) -> bool:
        """Whether data of a place may be reached from there."""
        geography = self._gate.snapshot.geography
        return self._gate.whereabouts.allows(geography, place, where.address, self._clock.now_ms())

    def _entry(self, action: Action, bearer: Bearer, at_ms: int, where: Whence, detail: dict[str, str]) -> Entry:
        address, device, country = self._gate.told(where)
        return Entry(
            action=action,
            outcome="done",
            kind="security",
            at_ms=at_ms,
            tenant_id=bearer.place.tenant_id,
            environment_id=bearer.place.environment_id,
            account=bearer.account,
            professional_id=bearer.professional_id,
            authentication=bearer.authentication,
            on_behalf_of=bearer.application,
            address=address,
            device=device,
            country=country,
            detail=detail,
        )


def challenge_of(verifier: str) -> str:
    """The PKCE S256 challenge of a verifier."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


def is_challenge(text: str) -> bool:
    """Whether it can be the S256 challenge of anything."""
    return _CHALLENGE.fullmatch(text) is not None


def person_scopes(text: str) -> tuple[str, ...]:
    """The scopes of a person that an application asks for (``user/Observation.rs``), in version 2's words.

    What Hygie does not give (``openid``, ``launch``, ``offline_access``, ``patient/…``) is left out, as OAuth lets it
    be.
    Raises: ScopeError: nothing is left, or one of ``user/`` is no scope.
    """
    asked = " ".join(word for word in text.split() if word.startswith("user/") or word == RIGHTS)
    try:
        return parse_scopes(asked)
    except ValueError as error:
        raise ScopeError() from error
