"""The MAC of each row that gives a right: who writes the tables without the keys gives nobody anything.

Source: docs/adr/0014-rights-carry-a-mac.md.  The key is a purpose of the platform's own scope in the KMS.  The command
line makes a MAC with each account, token and habilitation; the gate checks it whenever it loads the rights.  A right
that is withdrawn loses its MAC, and one that is suspended has another, which says so: a row which lives again by SQL is
passed over, and one that was altered meanwhile is not taken up again.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, LiteralString

import psycopg
from psycopg import sql

from hygie.base.actions import Action
from hygie.base.canonical import Field, canonical
from hygie.gate.errors import ForgedRightsError
from hygie.journal.entry import Entry
from hygie.keys.kms import Kms, platform_key

PURPOSE = "rights"
CONTEXT = "hygie right v1"
LIMITED = "hygie limited right v1"
SUSPENDED = "hygie suspended right v1"
SUSPENDED_LIMITED = "hygie suspended limited right v1"
PRINT_BYTES = 16
NAMES_MAX = 20  # told in one entry or one sentence; the count says them all
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")

Connection = psycopg.AsyncConnection[Any]

# What the MAC covers, in order; the column ``mac`` itself comes after.
COVERED: Final[Mapping[str, tuple[str, ...]]] = {
    "account": ("id", "kind", "label", "professional_id", "created_ms", "ends_ms"),
    "token": ("id", "hash", "account", "environment", "created_ms", "expires_ms"),
    "habilitation": ("id", "account", "environment", "role", "reason", "approver", "starts_ms", "ends_ms"),
    "client_key": ("id", "account", "kind", "value", "created_ms", "ends_ms"),
    "authenticator": (
        *("id", "account", "kind", "value", "label", "delivered_how", "delivered_by", "created_ms", "ends_ms"),
    ),
    "allowance": ("id", "kind", "subject", "name", "value", "reason", "created_ms", "ends_ms"),
    "network": ("id", "cidr", "country", "whose", "label", "created_ms", "ends_ms"),
    "country_rule": (
        *("id", "kind", "subject", "countries", "basis", "reference", "told_on"),
        *("reason", "created_ms", "ends_ms"),
    ),
}
# What narrows a right, or says whose it is: covered too, under a label of its own, when it says something. So one taken
# away by SQL is seen, and the MAC of a right without any is the one it had before they were. Likewise those at the end
# that say nothing are left out: one that is added here leaves the MACs of before as they are.
LIMITS: Final[Mapping[str, tuple[str, ...]]] = {
    "account": ("tenant",),
    "habilitation": ("types", "patients", "purposes"),
}
_LIVE: Final[Mapping[str, str]] = {
    "account": "state = 'open' AND ends_ms > %s",
    "token": "revoked_ms IS NULL AND expires_ms > %s",
    "habilitation": "revoked_ms IS NULL AND suspended_ms IS NULL AND ends_ms > %s",
    "client_key": "revoked_ms IS NULL AND ends_ms > %s",
    "authenticator": "revoked_ms IS NULL AND ends_ms > %s",
    "allowance": "revoked_ms IS NULL AND ends_ms > %s",
    "network": "revoked_ms IS NULL AND ends_ms > %s",
    "country_rule": "revoked_ms IS NULL AND ends_ms > %s",
}


@dataclass(frozen=True, slots=True)
class Right:
    """A live row of a table that gives rights. values: the columns of ``COVERED`` and ``LIMITS``, by name."""

    table: str
    values: Mapping[str, Any]
    mac: bytes | None

    @property
    def id(self) -> str:
        """Its id, as the journal names it."""
        return str(self.values["id"])

    @property
    def name(self) -> str:
        """Table and id, for people; an id that no command makes is not repeated."""
        return f"{self.table} {self.id if _NAME.fullmatch(self.id) else '?'}"

    @property
    def print(self) -> str:
        """What the journal keeps of its MAC: enough to compare, nothing to use. Empty without a MAC."""
        return print_of(self.mac) if self.mac is not None else ""


async def rights_key(kms: Kms) -> bytes:
    """The key of the MACs; the platform's own scope is made at first use."""
    return await platform_key(kms, PURPOSE)


def mac_over(key: bytes, *fields: Field) -> bytes:
    """HMAC-SHA256 of ``canonical(*fields)``. Raises: as :func:`hygie.base.canonical.canonical`."""
    return hmac.digest(key, canonical(*fields), hashlib.sha256)


def mac_holds(mac: bytes | None, key: bytes, *fields: Field) -> bool:
    """Whether a row with this MAC is one that Hygie wrote; it raises nothing, whatever somebody planted in the row.

    Args: fields: as they were read. Time: about 3 microseconds.
    """
    if mac is None:
        return False
    try:
        return hmac.compare_digest(mac, mac_over(key, *fields))
    except (OverflowError, TypeError):  # a negative number, or nothing, where the tables' own rules were dropped
        return False


def mac_of(key: bytes, table: str, values: Mapping[str, Any]) -> bytes:
    """The MAC (32 bytes) of one row. Raises: OverflowError: a negative number, which no command writes."""
    return mac_over(key, *_covered(table, values))


def suspended_mac(key: bytes, values: Mapping[str, Any], suspended_ms: int) -> bytes:
    """The MAC (32 bytes) of a suspended habilitation: it covers the instant too, and opens nothing at the gate."""
    fields: list[Field] = [values[name] for name in COVERED["habilitation"]]
    limits = _limits("habilitation", values)
    label = SUSPENDED_LIMITED if limits else SUSPENDED
    return mac_over(key, label, *fields, suspended_ms, *limits)


def _covered(table: str, values: Mapping[str, Any]) -> list[Field]:
    limits = _limits(table, values)
    return [LIMITED if limits else CONTEXT, table, *(values[name] for name in COVERED[table]), *limits]


def _limits(table: str, values: Mapping[str, Any]) -> list[Field]:
    """What narrows this right; nothing when nothing does."""
    found: list[Field] = [values.get(name) or "" for name in LIMITS.get(table, ())]
    while found and found[-1] == "":
        found.pop()
    return found


def print_of(mac: bytes) -> str:
    """The first half of the MAC's SHA-256, in hexadecimal: shown to an auditor, it lets nobody write a row again."""
    return hashlib.sha256(mac).digest()[:PRINT_BYTES].hex()


def is_ours(right: Right, key: bytes) -> bool:
    """Whether the row is one that Hygie wrote, unchanged. About 3 microseconds."""
    return mac_holds(right.mac, key, *_covered(right.table, right.values))


async def live_rights(connection: Connection, now_ms: int, tables: Iterable[str] = COVERED) -> list[Right]:
    """Every row of these tables of ``COVERED`` that is neither ended nor withdrawn, true or not; accounts first."""
    found: list[Right] = []
    for table in tables:
        found += await _rights(connection, table, " WHERE " + _LIVE[table], (now_ms,))
    return found


async def rights_kept(connection: Connection, table: str) -> list[Right]:
    """Every row of one of the tables of ``COVERED``, those of the past too, true or not."""
    return await _rights(connection, table, "", ())


async def _rights(connection: Connection, table: str, where: LiteralString, facts: tuple[int, ...]) -> list[Right]:
    columns = (*COVERED[table], *LIMITS.get(table, ()))
    statement = sql.SQL("SELECT {}, mac FROM {}").format(
        sql.SQL(", ").join(map(sql.Identifier, columns)), sql.Identifier("hygie", table)
    ) + sql.SQL(where)
    cursor = await connection.execute(statement, facts)
    return [Right(table, dict(zip(columns, row, strict=False)), row[-1]) async for row in cursor]


def told(rights: Sequence[Right]) -> list[str]:
    """The names of a few of them, for a sentence or an entry."""
    return sorted(right.name for right in rights)[:NAMES_MAX]


def forged_entry(rights: Sequence[Right], at_ms: int) -> Entry:
    """What the journal says of rows that were written without the keys."""
    return Entry(
        action=Action.RIGHT_REFUSED,
        outcome="refused",
        kind="security",
        at_ms=at_ms,
        count=len(rights),
        detail={"code": ForgedRightsError.code, "rights": ", ".join(told(rights))},
    )


async def adopt(connection: Connection, key: bytes, now_ms: int) -> int:
    """Give the live rows that have no MAC theirs: once, when an installation of a former version is upgraded.

    Returns how many. What the tables say at that moment is believed; ``hygie journal reconcile`` compares it.
    """
    count = 0
    for right in await live_rights(connection, now_ms):
        if right.mac is None:
            await set_mac(connection, right.table, right.id, mac_of(key, right.table, right.values))
            count += 1
    return count


async def set_mac(connection: Connection, table: str, id_: str, mac: bytes) -> None:
    """Write one row's MAC."""
    statement = sql.SQL("UPDATE {} SET mac = %s WHERE id = %s").format(sql.Identifier("hygie", table))
    await connection.execute(statement, (mac, id_))
