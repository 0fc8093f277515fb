"""Whether somebody is a person of this installation, by password and TOTP code: the same at the door and at a terminal.

Whatever does not hold, the same is refused and the same time is taken: an unknown account's password is verified too,
against the hash of nobody.  What verifies lives sealed in the rights as the gate reads them, so a row that somebody
planted or brought back without its MAC proves nothing.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from hygie.base.actions import Action
from hygie.base.clock import Clock
from hygie.base.permit import Place
from hygie.database.pool import Database
from hygie.gate.authenticators import PASSWORD, TOTP, Authenticator, derived_key, open_secret
from hygie.gate.errors import SignInRefusedError
from hygie.gate.gate import Whence
from hygie.gate.lockout import ALERT_AT, Lockout
from hygie.gate.passwords import PasswordHashes
from hygie.gate.snapshot import Account, Bearer
from hygie.gate.totp import step_of
from hygie.journal.entry import PLATFORM, Entry

PERSON = "person"
NAME_CHARACTERS_MAX = 64
BY_PASSWORD, BY_WEBAUTHN, BY_IDENTITY = "password+totp", "webauthn", "oidc"
# RFC 8176 ("mfa"); OpenID Connect Extended Authentication Profile, ACR Values 1.0 ("phr": phishing-resistant).
ACR_PASSWORD, ACR_WEBAUTHN = "mfa", "phr"

# A code, or a count of signatures, is taken once whichever process it is shown to, and nothing below it ever after.
_TAKE = (
    "INSERT INTO hygie.authenticator_use AS u (authenticator, counter, used_ms) VALUES (%s, %s, %s)"
    " ON CONFLICT (authenticator) DO UPDATE SET counter = excluded.counter, used_ms = excluded.used_ms"
    " WHERE u.counter < excluded.counter"
)
_LAST = "SELECT counter FROM hygie.authenticator_use WHERE authenticator = %s"


@dataclass(frozen=True, slots=True)
class Proven:
    """A person who proved who he is, a moment ago. authenticator: id of its row (of the password, when a code went with
    it): a session that stands on it ends with it; method, acr: how, and how strongly; at_ms: UTC."""

    account: str
    authenticator: str
    method: str
    acr: str
    at_ms: int


class PasswordProofs:
    """One per process. Args: key: of ``authenticators_key``."""

    def __init__(self, database: Database, clock: Clock, key: bytes) -> None:
        self._database = database
        self._clock = clock
        self._key = key
        self._hashes = PasswordHashes()
        self._lockout = Lockout(database, derived_key(key, "sign-in"))

    @property
    def hashes(self) -> PasswordHashes:
        """Makes hashes, in the same queue."""
        return self._hashes

    async def check(self, name: str, account: Account | None, password: str, code: str, address: str) -> Proven:
        """A person who shows a password and a code.

        Args: name: as typed; account: of that name, if there is one.
        Raises: SignInRefusedError: its ``reason`` is for the journal, its ``locks`` says that the failure was a lock
        (the how manyth of the day); SignInsBusyError.
        """
        async with self._hashes.place(address):
            one = await self._lockout.begin(name[:NAME_CHARACTERS_MAX], address, self._clock.now_ms())
            if one is None:
                raise SignInRefusedError(reason="locked", locks=0)
            reason = await self._wrong(account, password, code)
            now_ms = self._clock.now_ms()
            if reason:
                raise SignInRefusedError(reason=reason, locks=one.locks)
            await self._lockout.succeed(one, now_ms)
        assert account is not None
        kept = live(account, PASSWORD, now_ms)
        assert kept is not None
        return Proven(account.id, kept.id, BY_PASSWORD, ACR_PASSWORD, now_ms)

    async def _wrong(self, account: Account | None, password: str, code: str) -> str:
        """What does not hold; nothing when all does."""
        now_ms = self._clock.now_ms()
        kept = live(account, PASSWORD, now_ms)
        second = live(account, TOTP, now_ms)
        hashed = open_secret(kept, self._key) if kept is not None else None
        secret = open_secret(second, self._key) if second is not None else None
        right = await self._hashes.verify(password, hashed.decode() if hashed is not None else None)
        if account is None or account.kind != PERSON or now_ms >= account.ends_ms:
            return "account"
        if hashed is None or secret is None or second is None:
            return "no password"
        if not right:
            return "password"
        step = step_of(secret, code, self._clock.now_ms())
        if step is None:
            return "code"
        return "" if await take(self._database, second.id, step, now_ms) else "replayed"


def live(account: Account | None, kind: str, now_ms: int) -> Authenticator | None:
    """The authenticator of this kind, of which a person has one."""
    held = account.authenticators if account is not None else ()
    return next((one for one in held if one.kind == kind and now_ms < one.ends_ms), None)


def live_code(account: Account | None, digest: bytes, now_ms: int) -> Authenticator | None:
    """The enrolment of this code."""
    one = live(account, "enrolment", now_ms)
    return one if one is not None and hmac.compare_digest(one.value, digest) else None


async def take(database: Database, authenticator: str, counter: int, now_ms: int) -> bool:
    """Use up a step or a count, for every process; False: it, or a later one, was taken already.

    A security key that does not count says 0 for ever (WebAuthn level 2, 6.1.1).
    """
    async with database.transaction() as connection:
        if counter == 0:
            row = await (await connection.execute(_LAST, (authenticator,))).fetchone()
            return row is None or row[0] == 0
        return (await connection.execute(_TAKE, (authenticator, counter, now_ms))).rowcount == 1


def bearer_of_person(account: Account | None, method: str = "") -> Bearer | None:
    """Whom the journal is to name in a refusal: nobody when there is no such person."""
    if account is None or account.kind != PERSON:
        return None
    return Bearer(account.id, account.professional_id, Place(PLATFORM, PLATFORM, ""), 0, (), method)


def proven_entry(proven: Proven, account: Account, where: Whence, country: str = "") -> Entry:
    """What the journal says of a sign-in. Args: country: as ``Gate.told`` says it; nothing at a terminal."""
    detail = {"authenticator": proven.authenticator, "acr": proven.acr[:100]}
    return _entry(Action.PERSON_PROVE, proven.at_ms, account, (proven.method, where, country), detail)


def lock_entries(
    error: SignInRefusedError, account: Account | None, where: Whence, now_ms: int, country: str = ""
) -> list[Entry]:
    """What the journal says of a failure that locks; an alert too, from the third lock of a day on."""
    locks = int(error.facts.get("locks") or 0)
    if not locks:
        return []
    detail = {"code": error.code, "locks": str(locks)}
    actions = [Action.PERSON_LOCK, *([Action.PERSON_ALERT] if locks >= ALERT_AT else [])]
    return [_entry(action, now_ms, account, (BY_PASSWORD, where, country), detail) for action in actions]


def _entry(
    action: Action, at_ms: int, account: Account | None, who: tuple[str, Whence, str], detail: dict[str, str]
) -> Entry:
    method, where, country = who
    known = account if account is not None and account.kind == PERSON else None
    return Entry(
        action=action,
        outcome="done",
        kind="security",
        at_ms=at_ms,
        account=known.id if known is not None else "",
        professional_id=known.professional_id if known is not None else "",
        authentication=method,
        address=where.address,
        device=where.device,
        country=country,
        detail=detail,
    )
