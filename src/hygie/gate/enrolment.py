"""A person registers what he will prove himself with, against a code that was delivered to him.

At a page of the door (hosting role) or at a terminal (owner): neither needs the right to write authenticators.  The
database's function ``hygie.activate`` takes a live code, adds what is given to that code's account, and ends the code
and what it replaces, in the transaction that also journals each of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import psycopg

from hygie.base.actions import Action
from hygie.base.clock import Clock
from hygie.database.pool import Database
from hygie.gate.administration_rows import Row
from hygie.gate.authenticators import (
    ENROLMENT,
    PASSWORD,
    TOTP,
    WEBAUTHN,
    Answer,
    Authenticator,
    code_digest,
    new_id,
    plain_code,
    seal_secret,
)
from hygie.gate.errors import AuthenticatorRefusedError, EnrolmentRefusedError
from hygie.gate.gate import Whence
from hygie.gate.passwords import PasswordHashes, check_password
from hygie.gate.proofs import live_code, take
from hygie.gate.rights import mac_of, print_of, rights_key
from hygie.gate.snapshot import Account
from hygie.gate.totp import SECRET_BYTES, step_of
from hygie.journal.entry import Entry
from hygie.journal.writer import JournalWriter
from hygie.keys.kms import Kms

LABEL_CHARACTERS_MAX = 100
_ACTIVATE = (
    "SELECT hygie.activate(%s, %s, %s, %s, %s::text[], %s::text[], %s::bytea[], %s::text[], %s::bytea[])"  # one call
)


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a person signs in with from now on. secret: of ``totp.new_secret``, as it was shown to the person; shown: a
    code of it, now, so that his telephone has it."""

    password: str = field(repr=False)
    secret: bytes = field(repr=False)
    shown: str


@dataclass(frozen=True, slots=True)
class _New:
    """One authenticator to be added."""

    id: str
    kind: str
    value: bytes
    label: str


class Activation:
    """One per process. Args: key: of ``authenticators_key``; hashes: the process's queue of passwords."""

    def __init__(
        self,
        database: Database,
        journal: JournalWriter,
        clock: Clock,
        *,
        kms: Kms,
        key: bytes,
        hashes: PasswordHashes,
    ) -> None:
        self._database = database
        self._journal = journal
        self._clock = clock
        self._kms = kms
        self._key = key
        self._hashes = hashes

    def enrolment(self, account: Account | None, code: str) -> Authenticator:
        """The live enrolment of a code. Raises: EnrolmentRefusedError."""
        found = live_code(account, code_digest(code), self._clock.now_ms())
        if found is None:
            raise EnrolmentRefusedError()
        return found

    async def password(
        self, account: Account | None, code: str, chosen: Chosen, where: Whence, *, country: str = ""
    ) -> None:
        """A password and a TOTP secret, which replace the former ones and end their sessions.

        Args: account: as the rights say it now; country: as ``Gate.told`` says it, nothing at a terminal.
        Raises: EnrolmentRefusedError; PasswordRefusedError; AuthenticatorRefusedError; SignInsBusyError.
        """
        enrolment = self.enrolment(account, code)
        assert account is not None
        check_password(chosen.password, account=account.id, label=account.label)
        now_ms = self._clock.now_ms()
        step = step_of(chosen.secret, chosen.shown, now_ms) if len(chosen.secret) == SECRET_BYTES else None
        if step is None:
            raise AuthenticatorRefusedError(reason="code")
        async with self._hashes.place(where.address):
            kept = await self._hashes.make(chosen.password)
        new = [
            self._sealed(account.id, PASSWORD, kept.encode()),
            self._sealed(account.id, TOTP, chosen.secret),
        ]
        await self._activate(account, enrolment, code, new, (where, country))
        await take(self._database, new[1].id, step, now_ms)  # the code that was shown signs nobody in

    async def key(
        self, account: Account | None, code: str, answer: Answer, label: str, where: Whence, *, country: str
    ) -> None:
        """A security key or passkey, beside those that the person has.

        Args: as ``password``.
        Raises: EnrolmentRefusedError; AuthenticatorRefusedError: it is registered already, whoever's it is
        (WebAuthn level 2, 7.1: the database sees to it).
        """
        enrolment = self.enrolment(account, code)
        assert account is not None
        new = _New(new_id(), WEBAUTHN, answer.value, _printable(label)[:LABEL_CHARACTERS_MAX])
        await self._activate(account, enrolment, code, [new], (where, country))
        await take(self._database, new.id, answer.counter, self._clock.now_ms())

    def _sealed(self, account: str, kind: str, secret: bytes) -> _New:
        id_ = new_id()
        return _New(id_, kind, seal_secret(secret, self._key, id_, account, kind), "")

    async def _activate(
        self, account: Account, enrolment: Authenticator, code: str, new: Sequence[_New], where: tuple[Whence, str]
    ) -> None:
        rights = await rights_key(self._kms)
        now_ms = self._clock.now_ms()
        macs = []
        for one in new:
            row: Row = {"id": one.id, "account": account.id, "kind": one.kind, "value": one.value, "label": one.label}
            row |= {"delivered_how": enrolment.delivered_how, "delivered_by": enrolment.delivered_by}
            row |= {"created_ms": now_ms, "ends_ms": account.ends_ms}
            macs.append(mac_of(rights, "authenticator", row))
        values = (enrolment.id, plain_code(code), now_ms, account.ends_ms)
        rows = ([one.id for one in new], [one.kind for one in new], [one.value for one in new])
        try:
            async with self._database.transaction() as connection:
                cursor = await connection.execute(_ACTIVATE, (*values, *rows, [one.label for one in new], macs))
                row_ = await cursor.fetchone()
                if row_ is None or row_[0] is None:
                    raise EnrolmentRefusedError()
                ended = [(Action.AUTHENTICATOR_REVOKE, {"authenticator": id_}) for id_ in row_[0]]
                given = [
                    (Action.AUTHENTICATOR_CREATE, {"authenticator": one.id, "kind": one.kind, "print": print_of(mac)})
                    for one, mac in zip(new, macs, strict=True)
                ]
                entries = [self._entry(action, account, detail, where) for action, detail in (*ended, *given)]
                await self._journal.append(connection, entries)
        except psycopg.errors.UniqueViolation as error:
            raise AuthenticatorRefusedError(reason_fr="déjà enregistré", reason_en="registered already") from error

    def _entry(self, action: Action, account: Account, detail: dict[str, str], where: tuple[Whence, str]) -> Entry:
        whence, country = where
        return Entry(
            action=action,
            outcome="done",
            kind="administration",
            at_ms=self._clock.now_ms(),
            account=account.id,
            professional_id=account.professional_id,
            authentication=ENROLMENT,
            address=whence.address,
            device=whence.device,
            country=country,
            detail={"account": account.id, **detail},
        )


def _printable(text: str) -> str:
    return "".join(character for character in text if character.isprintable())
