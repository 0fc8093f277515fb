"""Failed sign-ins, counted in the database for every process: a lock after three, an alert at the third lock of a day.

Source: PGSSI-S, "Référentiel d'authentification", 5.2.3: at least one minute after three failures, traced, an alert at
the third lock of the day.  What is counted (docs/adr/0019):

- an account from one address (of IPv6, one /64): three tries, then a lock;
- an account from everywhere: ten tries, then a lock, which an address where the person signed in lately does not meet.
  So a stranger slows guessing down for strangers, and does not shut the person out of his own place.

A try is counted before the password is verified, and taken back when it succeeds: guesses made at once on several
processes are no more than guesses made in turn.  Names are kept as keyed hashes, known or not: what people type where a
name is asked may be a password.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, replace
from typing import Any

import psycopg

from hygie.base.canonical import canonical
from hygie.database.pool import Database
from hygie.gate.refusals import neighbourhood

TRIES, TRIES_EVERYWHERE = 3, 10
LOCK_MS = 120_000  # counted from the try, so above a minute from its answer on a machine that is busy
THIRD_LOCK_MS, LATER_LOCK_MS = 15 * 60_000, 60 * 60_000  # of one day
ALERT_AT = 3  # locks of one day
KNOWN_MS = 30 * 86_400_000  # how long an address stays the person's own after a success
DAY_MS = 86_400_000
FAILED_MS = 2 * DAY_MS  # how long a count is kept where nobody ever signed in: tries and locks are of one day


Connection = psycopg.AsyncConnection[Any]

_MAKE = "INSERT INTO hygie.sign_in VALUES (%s, 0, 0, 0, 0, 0, 0) ON CONFLICT DO NOTHING"
_READ = "SELECT day, tries, locks, until_ms, good_ms FROM hygie.sign_in WHERE scope = %s FOR UPDATE"
_KEEP = (
    "UPDATE hygie.sign_in SET day = %s, tries = %s, locks = %s, until_ms = %s, good_ms = %s, seen_ms = %s"
    " WHERE scope = %s"
)


@dataclass(frozen=True, slots=True)
class Count:
    """What is known of one scope. day: since 1970, UTC; tries: since the last lock or success; locks: of that day;
    until_ms: end of the lock; good_ms: the last success."""

    day: int = 0
    tries: int = 0
    locks: int = 0
    until_ms: int = 0
    good_ms: int = 0


@dataclass(frozen=True, slots=True)
class Try:
    """One try that is let through. locks: of this day, when its failure is a lock; nothing otherwise."""

    name: str
    address: str
    everywhere: bool
    locks: int = 0


def tried(count: Count, now_ms: int, tries_max: int) -> Count | None:
    """The count after one more try; None: locked. The try that reaches the bound locks at once, and only its success
    unlocks: none made meanwhile gets through. Pure."""
    if count.until_ms > now_ms:
        return None
    day = now_ms // DAY_MS
    if day != count.day:
        count = replace(count, day=day, tries=0, locks=0)
    if count.tries + 1 < tries_max:
        return replace(count, tries=count.tries + 1)
    locks = count.locks + 1
    lasts_ms = LOCK_MS if locks < ALERT_AT else THIRD_LOCK_MS if locks == ALERT_AT else LATER_LOCK_MS
    return replace(count, tries=0, locks=locks, until_ms=now_ms + lasts_ms)


class Lockout:
    """Args: key: of the hashes of names."""

    def __init__(self, database: Database, key: bytes) -> None:
        self._database = database
        self._key = key

    async def begin(self, name: str, address: str, now_ms: int) -> Try | None:
        """Count a try before its password is verified; None: it is locked."""
        here, everywhere = self._scopes(name, address)
        async with self._database.transaction() as connection:
            before = await _read(connection, here)
            after = tried(before, now_ms, TRIES)
            if after is None:
                return None
            locks = after.locks if after.until_ms > now_ms else 0
            known = before.good_ms > now_ms - KNOWN_MS
            if not known:
                whole_before = await _read(connection, everywhere)
                whole = tried(whole_before, now_ms, TRIES_EVERYWHERE)
                if whole is None:
                    return None
                locks = max(locks, whole.locks if whole.until_ms > now_ms else 0)
                await _keep(connection, everywhere, whole, now_ms)
            await _keep(connection, here, after, now_ms)
        return Try(name, address, not known, locks)

    async def succeed(self, one: Try, now_ms: int) -> None:
        """The person is who he says: what was counted from his address is forgotten, and a lock that this try made."""
        here, everywhere = self._scopes(one.name, one.address)
        async with self._database.transaction() as connection:
            before = await _read(connection, here)
            locks = before.locks - (before.until_ms > now_ms)
            await _keep(connection, here, Count(before.day, 0, locks, 0, now_ms), now_ms)
            if one.everywhere:
                whole = await _read(connection, everywhere)
                mine = one.locks > 0 and whole.until_ms > now_ms and whole.tries == 0
                back = (
                    replace(whole, locks=whole.locks - 1, until_ms=0, tries=TRIES_EVERYWHERE - 1)
                    if mine
                    else replace(whole, tries=max(whole.tries - 1, 0))
                )
                await _keep(connection, everywhere, back, now_ms)

    def _scopes(self, name: str, address: str) -> tuple[bytes, bytes]:
        return self._hash("here", name, neighbourhood(address)), self._hash("everywhere", name)

    def _hash(self, *words: str) -> bytes:
        return hmac.digest(self._key, canonical("hygie sign-in scope v1", *words), hashlib.sha256)


async def _read(connection: Connection, scope: bytes) -> Count:
    """The count of a scope, which nobody else changes until this transaction ends."""
    await connection.execute(_MAKE, (scope,))
    row = await (await connection.execute(_READ, (scope,))).fetchone()
    assert row is not None
    return Count(*row)


async def _keep(connection: Connection, scope: bytes, count: Count, now_ms: int) -> None:
    values = (count.day, count.tries, count.locks, count.until_ms, count.good_ms, now_ms, scope)
    await connection.execute(_KEEP, values)
