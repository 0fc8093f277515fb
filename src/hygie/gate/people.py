"""The people's door: a person proves who he is, and sessions are opened for him by who called.

By password and TOTP code, by a security key or passkey, or by an identity provider's word for an identity that is
linked to the account.  A password alone proves nothing.  Each sign-in, done or refused, is in the journal before it is
answered; a refusal says the same whatever was wrong (docs/adr/0019).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hygie.base.actions import Action
from hygie.base.clock import Clock
from hygie.base.errors import HygieError
from hygie.base.identifiers import bare_number
from hygie.database.pool import Database
from hygie.gate.authenticators import OIDC, WEBAUTHN, Answer, authenticators_key, derived_key, identity
from hygie.gate.enrolment import Activation, Chosen
from hygie.gate.errors import AuthenticatorRefusedError, EnrolmentRefusedError, SignInRefusedError
from hygie.gate.gate import Gate, Whence
from hygie.gate.proofs import (
    ACR_WEBAUTHN,
    BY_PASSWORD,
    BY_WEBAUTHN,
    PERSON,
    PasswordProofs,
    Proven,
    bearer_of_person,
    lock_entries,
    proven_entry,
    take,
)
from hygie.gate.snapshot import Account, proof_by_number
from hygie.gate.webauthn import WebAuthn, credential_of, has_credential
from hygie.journal.writer import JournalWriter
from hygie.keys.kms import Kms

_USE_UP = "INSERT INTO hygie.assertion (digest, until_ms) VALUES (%s, %s) ON CONFLICT DO NOTHING"


@dataclass(frozen=True, slots=True)
class _Parts:
    """What needs the KMS's key."""

    proofs: PasswordProofs
    webauthn: WebAuthn
    activation: Activation


class PeopleDoor:
    """One per hosting process, beside its gate.

    Args: origins: scheme and authority by which browsers reach this installation, the first one being its own name.
    """

    def __init__(
        self, gate: Gate, database: Database, journal: JournalWriter, clock: Clock, *, kms: Kms, origins: Sequence[str]
    ) -> None:
        self._gate = gate
        self._database = database
        self._journal = journal
        self._clock = clock
        self._kms = kms
        self._origins = origins
        self._made: _Parts | None = None

    async def by_password(self, account: str, password: str, code: str, where: Whence) -> Proven:
        """By password and TOTP code.

        Raises: SignInRefusedError: whatever was wrong, or a lock; SignInsBusyError: try again; TooManyRefusalsError;
        UnavailableError. Every refusal but a full queue is in the journal.
        """
        parts = await self._parts()
        name = account.strip().lower()
        found = self._gate.snapshot.accounts.get(name)
        try:
            proven = await parts.proofs.check(name, found, password, code, where.address)
        except SignInRefusedError as error:
            await self._refuse(error, found, where)
            raise AssertionError("unreachable") from error
        assert found is not None
        return await self._admit(proven, found, where)

    async def webauthn_options(self, account: str, where: Whence) -> dict[str, Any]:  # noqa: ARG002 (one shape for all)
        """What the browser is asked for a sign-in by security key or passkey, as JSON values.

        The answer is taken once, within five minutes, by whichever process.

        Args: account: the only one that may answer, or nothing: whoever the key is of.
        """
        return (await self._parts()).webauthn.options(account.strip().lower(), self._clock.now_ms())

    async def by_webauthn(self, response: Mapping[str, Any], where: Whence) -> Proven:
        """By the browser's answer (``AuthenticationResponseJSON``): its person was verified, here, just now.

        Raises: as ``by_password``, without its queue.
        """
        parts = await self._parts()
        found = self._whose(credential_of(response))
        try:
            now_ms = self._clock.now_ms()
            held = [one for one in found.authenticators if one.kind == WEBAUTHN] if found is not None else []
            held = [one for one in held if found is not None and now_ms < min(one.ends_ms, found.ends_ms)]
            answer = parts.webauthn.signed(response, held, now_ms, found.id if found is not None else "")
            await self._use_up(answer)
            if not await take(self._database, answer.authenticator, answer.counter, now_ms):
                raise SignInRefusedError(reason="sign count", locks=0)  # two keys sign as one: it was copied
        except SignInRefusedError as error:
            await self._refuse(error, found, where, BY_WEBAUTHN)
            raise AssertionError("unreachable") from error
        assert found is not None
        return await self._admit(
            Proven(found.id, answer.authenticator, BY_WEBAUTHN, ACR_WEBAUTHN, now_ms), found, where
        )

    async def by_identity(
        self, issuer: str, subject: str, *, acr: str, method: str, where: Whence, professional_id: str = ""
    ) -> Proven:
        """By an identity that its provider vouched for, to somebody who checked his word.

        Args: professional_id: RPPS or ADELI number that this provider vouches for too: it names the one account that
        has it, when no link names another.
        Raises: SignInRefusedError: it is linked to no open account.
        """
        await self._parts()
        now_ms = self._clock.now_ms()
        try:
            found, linked = self._linked(identity(issuer, subject), professional_id, now_ms)
        except (SignInRefusedError, AuthenticatorRefusedError) as error:
            await self._refuse(SignInRefusedError(reason=str(error.facts["reason"]), locks=0), None, where, method)
            raise AssertionError("unreachable") from error
        return await self._admit(Proven(found.id, linked, method, acr, now_ms), found, where)

    async def refuse_identity(self, error: HygieError, where: Whence) -> None:
        """Journal, durably, that what an identity provider said of somebody does not hold, then raise it.

        Args: error: its ``reason`` is one of our own words. Raises: it; TooManyRefusalsError.
        """
        await self._gate.refresh()
        reason = str(error.facts.get("reason") or error.facts.get("reason_en") or "")
        await self._gate.refuse(error, Action.PERSON_PROVE, None, where, reason=reason)

    async def activate_password(self, account: str, code: str, chosen: Chosen, where: Whence) -> None:
        """A person with an enrolment code takes a password and a TOTP secret.

        Raises: EnrolmentRefusedError; PasswordRefusedError; AuthenticatorRefusedError; TooManyRefusalsError.
        """
        parts, name = await self._parts(), account.strip().lower()
        found = self._gate.snapshot.accounts.get(name)
        try:
            await parts.activation.password(found, code, chosen, where, country=self._gate.told(where)[2])
        except EnrolmentRefusedError as error:
            await self._gate.refuse(error, Action.AUTHENTICATOR_CREATE, bearer_of_person(found), where)

    async def registration_options(self, account: str, code: str, where: Whence) -> dict[str, Any]:
        """What the browser is asked for a new security key or passkey. Raises: EnrolmentRefusedError."""
        parts, name = await self._parts(), account.strip().lower()
        found = self._gate.snapshot.accounts.get(name)
        try:
            parts.activation.enrolment(found, code)
        except EnrolmentRefusedError as error:
            await self._gate.refuse(error, Action.AUTHENTICATOR_CREATE, bearer_of_person(found), where)
        assert found is not None
        return parts.webauthn.registration_options(found.id, found.id, found.authenticators, self._clock.now_ms())

    async def activate_key(
        self, account: str, code: str, response: Mapping[str, Any], label: str, where: Whence
    ) -> None:
        """A person with an enrolment code registers a security key or a passkey (``RegistrationResponseJSON``).

        Args: label: the person's own name for it.
        Raises: EnrolmentRefusedError; SignInRefusedError: the answer does not hold; AuthenticatorRefusedError.
        """
        parts, name = await self._parts(), account.strip().lower()
        found = self._gate.snapshot.accounts.get(name)
        try:
            parts.activation.enrolment(found, code)
            answer = parts.webauthn.registered(response, name, self._clock.now_ms())
            await self._use_up(answer)
            await parts.activation.key(found, code, answer, label, where, country=self._gate.told(where)[2])
        except (EnrolmentRefusedError, SignInRefusedError) as error:
            await self._gate.refuse(error, Action.AUTHENTICATOR_CREATE, bearer_of_person(found, BY_WEBAUTHN), where)

    async def _parts(self) -> _Parts:
        """Rights as they are now, and what needs the KMS's key."""
        await self._gate.refresh()
        if self._made is None:
            key = await authenticators_key(self._kms)
            proofs = PasswordProofs(self._database, self._clock, key)
            self._made = _Parts(
                proofs,
                WebAuthn(self._origins, derived_key(key, "webauthn")),
                Activation(self._database, self._journal, self._clock, kms=self._kms, key=key, hashes=proofs.hashes),
            )
        return self._made

    def _whose(self, credential: bytes) -> Account | None:
        """The open account that a key is registered for."""
        for one in self._gate.snapshot.accounts.values():
            if any(has_credential(held, credential) for held in one.authenticators):
                return one
        return None

    def _linked(self, value: bytes, professional_id: str, now_ms: int) -> tuple[Account, str]:
        """The open account of an identity, and the id of their link. Raises: SignInRefusedError."""
        number = bare_number(professional_id) if professional_id else ""
        numbered: list[Account] = []
        for one in self._gate.snapshot.accounts.values():
            for held in one.authenticators:
                if held.kind == OIDC and held.value == value and now_ms < min(held.ends_ms, one.ends_ms):
                    return one, held.id
            known = one.kind == PERSON and now_ms < one.ends_ms and one.professional_id
            if number and known and bare_number(one.professional_id) == number:
                numbered.append(one)
        if len(numbered) != 1:  # a number that two accounts have names neither
            raise SignInRefusedError(reason="identity", locks=0)
        return numbered[0], proof_by_number(number)

    async def _use_up(self, answer: Answer) -> None:
        """A challenge is answered once, whichever process gets it. Raises: SignInRefusedError."""
        async with self._database.transaction() as connection:
            taken = await connection.execute(_USE_UP, (answer.challenge, answer.until_ms))
        if taken.rowcount != 1:
            raise SignInRefusedError(reason="replayed", locks=0)

    async def _admit(self, proven: Proven, account: Account, where: Whence) -> Proven:
        await self._journal.append_now([proven_entry(proven, account, where, self._gate.told(where)[2])])
        return proven

    async def _refuse(
        self, error: SignInRefusedError, account: Account | None, where: Whence, method: str = BY_PASSWORD
    ) -> None:
        locked = lock_entries(error, account, where, self._clock.now_ms(), self._gate.told(where)[2])
        if locked:
            await self._journal.append_now(locked)
        await self._gate.refuse(error, Action.PERSON_PROVE, bearer_of_person(account, method), where)
