"""Acts on people's authenticators: codes delivered, identities linked, withdrawals, recovery by two administrators.

One operator alone gives a person his first code only.  After that the person proves himself, or two administrators do:
else whoever reaches a terminal could take any account for himself (docs/adr/0019).
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

from hygie.base.actions import Action
from hygie.base.errors import HygieError, NotFoundError, RefusedError
from hygie.base.people import is_same_person
from hygie.base.permit import Permit, Place
from hygie.gate.administration import Administration
from hygie.gate.administration_rows import Connection, Row, check, touch
from hygie.gate.authenticators import ENROLMENT, OIDC, authenticators_key, code_digest, identity, new_code, new_id
from hygie.gate.enrolment import Activation, Chosen
from hygie.gate.errors import AlreadyEnrolledError, EnrolmentRefusedError, RecoveryRefusedError, SignInRefusedError
from hygie.gate.everywhere import EVERYWHERE
from hygie.gate.gate import Whence
from hygie.gate.proofs import PERSON, PasswordProofs, Proven, lock_entries, proven_entry
from hygie.gate.rights import mac_of, print_of, rights_key
from hygie.gate.sessions import CUT, CUT_KEPT_MS
from hygie.gate.snapshot import Account, Snapshot, load_snapshot
from hygie.journal.entry import Entry

HOUR_MS = 3_600_000
CODE_HOURS_MAX = 168
HERE = Whence("local", "")
ADMINISTRATORS = 2
REASON_CHARACTERS_MAX = DELIVERY_CHARACTERS_MAX = 200
_LIVE = "SELECT id FROM hygie.authenticator WHERE account = %s AND revoked_ms IS NULL ORDER BY id"
_LIVE_CODES = _LIVE.replace(" ORDER", " AND kind = 'enrolment' ORDER")
_EVER = "SELECT EXISTS (SELECT FROM hygie.authenticator WHERE account = %s AND kind <> 'enrolment')"
# Waits for another operator who enrols at this moment, then for the person who uses a code.
_ALONE = "SELECT FROM hygie.account WHERE id = %s FOR NO KEY UPDATE"
_UNUSED = f"{_LIVE_CODES} FOR NO KEY UPDATE"
_REVOKE = "UPDATE hygie.authenticator SET revoked_ms = %s, mac = NULL WHERE id = %s AND revoked_ms IS NULL"
_ADD = (
    "INSERT INTO hygie.authenticator (id, account, kind, value, label, delivered_how, delivered_by, created_ms,"
    " ends_ms, mac) VALUES (%(id)s, %(account)s, %(kind)s, %(value)s, %(label)s, %(delivered_how)s, %(delivered_by)s,"
    " %(created_ms)s, %(ends_ms)s, %(mac)s)"
)


@dataclass(frozen=True, slots=True)
class Shown:
    """What a person at this terminal says to prove himself."""

    account: str
    password: str = field(repr=False)
    code: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Delivery:
    """In what way, and by whom, an authenticator or the code for it comes to the person."""

    how: str
    by: str


class PeopleAdministration(Administration):
    """Acts of one operator, those on people included."""

    _proofs: PasswordProofs | None = None

    async def enrol(self, account: str, delivery: Delivery, *, hours: int, proof: Shown | None = None) -> str:
        """A code with which a person registers what he will prove himself with. A code of before ends.

        Args: proof: of the person himself, when he has, or had, authenticators.
        Returns the code, said once.
        Raises: AlreadyEnrolledError; SignInRefusedError; AdministrationError; NotFoundError: no such person.
        """
        check(0 < hours <= CODE_HOURS_MAX, "hours")
        _, proved = await self._first_or_proved(account, proof)
        code = new_code()
        await self._enrol(await self._code_row(account, code, delivery, hours), proved=proved, ended=_LIVE_CODES)
        return code

    async def link(
        self, account: str, issuer: str, subject: str, delivery: Delivery, *, proof: Shown | None = None
    ) -> str:
        """An identity of a provider by which a person signs in from now on. Returns the link's id.

        Raises: as ``enrol``; AuthenticatorRefusedError: not an issuer or a subject.
        """
        value = identity(issuer, subject)
        found, proved = await self._first_or_proved(account, proof)
        row = await self._row(account, OIDC, value, delivery, found.ends_ms)
        await self._enrol(row, proved=proved)
        return str(row["id"])

    async def revoke_authenticator(self, id_: str) -> None:
        """End an authenticator now, and every session that it opened."""
        async with self._change(Action.AUTHENTICATOR_REVOKE, detail={"authenticator": id_}) as connection:
            await touch(connection, _REVOKE, self._clock.now_ms(), id_)

    async def end_sessions(self, account: str) -> None:
        """End whatever this person opened up to now, at once on every process. Raises: NotFoundError: no such
        person."""
        await self._person(account)
        now_ms = self._clock.now_ms()
        async with self._change(Action.SESSION_CLOSE, detail={"account": account, "sessions": "all"}) as connection:
            await connection.execute(CUT, (account, now_ms, now_ms + CUT_KEPT_MS))

    async def activate(self, account: str, code: str, chosen: Chosen) -> None:
        """The person, at this terminal, takes a password and a TOTP secret against his code.

        Raises: as ``Activation.password``; a code that is refused is in the journal.
        """
        key = await authenticators_key(self._kms)
        activation = Activation(
            *(self._database, self._journal, self._clock),
            kms=self._kms,
            key=key,
            hashes=(await self._proof_desk()).hashes,
        )
        try:
            await activation.password((await self._rights()).accounts.get(account), code, chosen, HERE)
        except EnrolmentRefusedError as error:
            await self._refused(error, Action.AUTHENTICATOR_CREATE, account)
            raise
        await self.publish()

    async def recover(
        self, account: str, reason: str, administrators: Sequence[Shown], delivery: Delivery, *, hours: int
    ) -> str:
        """A new code for a person who lost his authenticators: all of them end, and their sessions, in one transaction.

        Args: administrators: two persons, other than this one, who prove themselves now and may recover accounts.
        Returns the code, said once.
        Raises: RecoveryRefusedError; SignInRefusedError: one did not prove himself; both are in the journal.
        """
        check(3 <= len(reason) <= REASON_CHARACTERS_MAX, "reason")
        check(0 < hours <= CODE_HOURS_MAX, "hours")
        person = await self._person(account)
        try:
            names = [one.account for one in administrators]
            _require(len(names) == ADMINISTRATORS and not is_same_person(*names), "deux", "two")
            _require(not any(is_same_person(person.id, one) for one in names), "la personne elle-même", "the person")
            proven = [await self._prove(one) for one in administrators]
            rights = await self._rights()
            for one in proven:
                _require(_may_recover(rights, one.account, self._clock.now_ms()), "habilitation", "habilitation")
                same = rights.accounts[one.account].tenant_id == person.tenant_id
                _require(same, "d'une autre organisation", "of another organisation")
        except RecoveryRefusedError as error:
            await self._refused(error, Action.ACCOUNT_RECOVER, account)
            raise
        code = new_code()
        row = await self._code_row(account, code, delivery, hours)
        detail = {
            "account": account,
            "reason": reason,
            "asked_by": proven[0].account,
            "confirmed_by": proven[1].account,
        }
        async with self._change(Action.ACCOUNT_RECOVER, detail=detail) as connection:
            await self._end(connection, account, _LIVE)
            now_ms = self._clock.now_ms()  # those that no authenticator opened too: an identity's number did
            await connection.execute(CUT, (account, now_ms, now_ms + CUT_KEPT_MS))
            await connection.execute(_ADD.encode(), row)
            await self._journal.append(connection, [self._said(Action.AUTHENTICATOR_CREATE, _told(row))])
        return code

    async def permit(self, shown: Shown, action: Action, place: Place) -> Permit:
        """A permit for one act of somebody who proves himself at this terminal, under his own habilitation.

        Raises: SignInRefusedError; RefusedError: he holds no live habilitation for it there; both are in the journal.
        """
        proven = await self._prove(shown)
        now_ms = self._clock.now_ms()
        account = (await self._rights()).accounts[proven.account]
        held = account.habilitations.get(place.environment_id, ())
        live = next((one for one in held if one.gives(frozenset({action})) and one.is_live(now_ms)), None)
        if live is None:
            error = RefusedError()
            await self._refused(error, action, proven.account)
            raise error
        return Permit(
            permit_id=secrets.token_bytes(16),
            account=account.id,
            professional_id=account.professional_id,
            authentication=proven.method,
            action=action,
            place=place,
            habilitation=live.id,
            purpose="",
            address=HERE.address,
            device="",
        )

    async def _first_or_proved(self, account: str, proof: Shown | None) -> tuple[Account, bool]:
        """The open account of a person, and whether he proved himself: he must when he has, or had, authenticators.

        Raises: AlreadyEnrolledError; SignInRefusedError; NotFoundError.
        """
        found = await self._person(account)
        async with self._database.transaction() as connection:
            ever = await self._was_enrolled(connection, account)
        if ever:
            if proof is None or proof.account != account:
                error = AlreadyEnrolledError()
                await self._refused(error, Action.AUTHENTICATOR_CREATE, account)
                raise error
            await self._prove(proof)
        return found, ever

    async def _enrol(self, row: Row, *, proved: bool, ended: str = "") -> None:
        """Add an authenticator. Args: proved: else it must be the first of its person still; ended: those it replaces.

        Raises: AlreadyEnrolledError; the refusal is in the journal.
        """
        account = row["account"]
        try:
            async with self._change(Action.AUTHENTICATOR_CREATE, detail=_told(row)) as connection:
                await connection.execute(_ALONE, (account,))
                await connection.execute(_UNUSED.encode(), (account,))
                if not proved and await self._was_enrolled(connection, account):
                    raise AlreadyEnrolledError()
                if ended:
                    await self._end(connection, account, ended)
                await connection.execute(_ADD.encode(), row)
        except AlreadyEnrolledError as error:
            await self._refused(error, Action.AUTHENTICATOR_CREATE, account)
            raise

    @staticmethod
    async def _was_enrolled(connection: Connection, account: str) -> bool:
        row = await (await connection.execute(_EVER, (account,))).fetchone()
        return row is not None and bool(row[0])

    async def _prove(self, shown: Shown) -> Proven:
        """A person at this terminal. Raises: SignInRefusedError, journaled as at the door."""
        account = (await self._rights()).accounts.get(shown.account)
        desk = await self._proof_desk()
        try:
            proven = await desk.check(shown.account, account, shown.password, shown.code, HERE.address)
        except SignInRefusedError as error:
            locked = lock_entries(error, account, HERE, self._clock.now_ms())
            if locked:
                await self._journal.append_now(locked)
            await self._refused(error, Action.PERSON_PROVE, shown.account if account is not None else "")
            raise
        assert account is not None
        await self._journal.append_now([proven_entry(proven, account, HERE)])
        return proven

    async def _proof_desk(self) -> PasswordProofs:
        if self._proofs is None:
            self._proofs = PasswordProofs(self._database, self._clock, await authenticators_key(self._kms))
        return self._proofs

    async def _rights(self) -> Snapshot:
        key = await rights_key(self._kms)
        async with self._database.transaction() as connection:
            return await load_snapshot(connection, self._clock.now_ms(), key)

    async def _person(self, account: str) -> Account:
        found = (await self._rights()).accounts.get(account)
        if found is None or found.kind != PERSON:
            raise NotFoundError()
        return found

    async def _code_row(self, account: str, code: str, delivery: Delivery, hours: int) -> Row:
        return await self._row(account, ENROLMENT, code_digest(code), delivery, self._clock.now_ms() + hours * HOUR_MS)

    async def _row(self, account: str, kind: str, value: bytes, delivery: Delivery, ends_ms: int) -> Row:
        """A new row with its MAC."""
        check(3 <= len(delivery.how) <= DELIVERY_CHARACTERS_MAX, "delivered how")
        check(1 <= len(delivery.by) <= DELIVERY_CHARACTERS_MAX, "delivered by")
        row: Row = {"id": new_id(), "account": account, "kind": kind, "value": value, "label": ""}
        row |= {"delivered_how": delivery.how, "delivered_by": delivery.by}
        row |= {"created_ms": self._clock.now_ms(), "ends_ms": ends_ms}
        return row | {"mac": mac_of(await rights_key(self._kms), "authenticator", row)}

    async def _end(self, connection: Connection, account: str, which: str) -> None:
        """Withdraw authenticators of an account, each on record, in the caller's transaction."""
        ids = [row[0] for row in await (await connection.execute(which.encode(), (account,))).fetchall()]
        for id_ in ids:
            await connection.execute(_REVOKE.encode(), (self._clock.now_ms(), id_))
        said = [self._said(Action.AUTHENTICATOR_REVOKE, {"account": account, "authenticator": id_}) for id_ in ids]
        await self._journal.append(connection, said)

    async def _refused(self, error: HygieError, action: Action, account: str) -> None:
        """A refusal, durably, before it is said."""
        reason = error.facts.get("reason", error.facts.get("reason_en"))
        detail = {"code": error.code, "account": account} | ({"reason": str(reason)} if reason else {})
        await self._journal.append_now([self._said(action, detail, outcome="refused", kind="security")])

    def _said(
        self, action: Action, detail: dict[str, str], *, outcome: str = "done", kind: str = "administration"
    ) -> Entry:
        return Entry(
            action=action,
            outcome=outcome,
            kind=kind,
            at_ms=self._clock.now_ms(),
            tenant_id=EVERYWHERE.tenant_id,
            environment_id=EVERYWHERE.environment_id,
            account=self._operator,
            authentication="local",
            detail=detail,
        )


def _told(row: Row) -> dict[str, str]:
    """What the journal says of a new row."""
    said = {"account": row["account"], "kind": row["kind"], "authenticator": row["id"], "print": print_of(row["mac"])}
    return said | {"delivered_how": row["delivered_how"], "delivered_by": row["delivered_by"]}


def _require(holds: object, fr: str, en: str) -> None:
    if not holds:
        raise RecoveryRefusedError(reason_fr=fr, reason_en=en)


def _may_recover(rights: Snapshot, account: str, now_ms: int) -> bool:
    """Whether an account holds a live habilitation for recoveries, in any environment."""
    found = rights.accounts.get(account)
    held = found.habilitations.values() if found is not None else ()
    return any(Action.ACCOUNT_RECOVER in one.actions and one.is_live(now_ms) for many in held for one in many)
