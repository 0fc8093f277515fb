"""The platform's own tables on the sites: clients, environments, accounts, habilitations, token hashes, erasures.

They live in the database alone, so a database that is lost takes them back from one site.  Source:
docs/formats/ledger.md v1, "Platform ledger".  Sealed under a key of the KMS that only this purpose has (names of
accounts are personal data), signed by the "backup" key (whoever only holds a site cannot grant himself a right).
"""

from __future__ import annotations

import hashlib
import logging
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import psycopg
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from psycopg import sql

from hygie.base.actions import Action
from hygie.base.canonical import canonical
from hygie.base.clock import Clock
from hygie.base.errors import HygieError
from hygie.base.seal import SealBrokenError, open_sealed, seal
from hygie.database.pool import Database
from hygie.gate.errors import PlatformKnownError, PlatformLedgerAbsentError, PlatformLedgerBrokenError
from hygie.gate.rights import COVERED, mac_of, rights_key
from hygie.journal.entry import Entry
from hygie.keys.kms import Kms, platform_key
from hygie.sites.copies import on_upkeep
from hygie.sites.placement import SiteSet
from hygie.sites.site import Site

PREFIX = "platform/"
PURPOSE = "platform-ledger"
MAGIC = b"HYGPLAT1"
KEPT = 10  # generations on each site: enough to look back, few enough to list at each change
GENERATION_MARGIN = 1_000  # changes that other sites may hold above what one shows
BYTES_MAX = 256 * 1024 * 1024  # about a million accounts
SIGNATURE_BYTES = 64
_HEAD = struct.Struct(">8sQQ")  # magic, generation, made at ms

log = logging.getLogger(__name__)

Connection = psycopg.AsyncConnection[Any]
Rows = dict[str, list[list[Any]]]

# In an order that references allow. jsonb travels as text.
TABLES: Final[Mapping[str, tuple[str, ...]]] = {
    "tenant": ("id", "name", "label", "created_ms"),
    "environment": ("id", "tenant", "name", "kind", "role", "state", "created_ms"),
    "account": ("id", "kind", "label", "professional_id", "state", "created_ms", "ends_ms", "mac", "tenant"),
    "token": ("hash", "id", "account", "environment", "created_ms", "expires_ms", "revoked_ms", "mac", "exception"),
    "habilitation": (
        *("id", "account", "environment", "role", "reason", "approver"),
        *("starts_ms", "ends_ms", "revoked_ms", "revoked_by", "mac", "suspended_ms", "types", "patients", "purposes"),
    ),
    "client_key": ("id", "account", "kind", "value", "created_ms", "ends_ms", "revoked_ms", "mac"),
    "authenticator": (
        *("id", "account", "kind", "value", "label", "delivered_how", "delivered_by"),
        *("created_ms", "ends_ms", "revoked_ms", "mac"),
    ),
    "break_glass": ("id", "account", "environment", "subject", "motive", "opened_ms", "ends_ms", "mac"),
    "break_glass_review": ("opening", "verdict", "reviewed_by", "reviewed_ms", "why", "mac"),
    "allowance": (
        *("id", "kind", "subject", "name", "value", "reason"),
        *("created_ms", "ends_ms", "revoked_ms", "mac"),
    ),
    "network": (*("id", "cidr", "country", "whose", "label"), *("created_ms", "ends_ms", "revoked_ms", "mac")),
    "country_rule": (
        *("id", "kind", "subject", "countries", "basis", "reference", "told_on", "reason"),
        *("created_ms", "ends_ms", "revoked_ms", "mac"),
    ),
    "erasure": (
        *("id", "environment", "compartment", "instruction", "requested_ms"),
        *("unreadable_ms", "purged_ms", "final_ms", "epoch", "certificate"),
    ),
    "exit_export": (
        *("id", "tenant", "instruction", "ordered_ms", "ended_ms"),
        *("complete", "manifest_sha256", "code_sha256", "covered"),
    ),
    "exit_consent": ("id", "export", "given_by", "statement_sha256", "recorded_by", "recorded_ms"),
    "exit_destruction": (
        *("id", "consent", "requested_by", "approver", "requested_ms"),
        *("certificate", "final_ms", "keys_since_ms"),
    ),
}


@dataclass(frozen=True, slots=True)
class Platform:
    """The tables at one generation. tables: rows as lists, columns as in ``TABLES``, sorted by their first column."""

    generation: int
    made_at_ms: int
    tables: Rows


@dataclass(frozen=True, slots=True)
class PlatformKeys:
    """key: seals the tables; public_keys: the "backup" keys, retired included; rights: of the MACs of rows."""

    key: bytes
    public_keys: Sequence[bytes]
    rights: bytes = b""


async def platform_keys(kms: Kms) -> PlatformKeys:
    """Ask the KMS; the platform's own scope (zero tenant, zero environment) is made at first use."""
    status = await kms.status()
    return PlatformKeys(
        await platform_key(kms, PURPOSE),
        [key.public_key for key in status.signing_keys if key.purpose == "backup"],
        await rights_key(kms),
    )


def platform_name(generation: int) -> str:
    """Where one generation is on the sites."""
    return f"{PREFIX}{generation:012d}"


async def read_platform(connection: Connection, now_ms: int) -> Platform:
    """All tables at one instant. The transaction has read nothing before."""
    await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    row = await (await connection.execute("SELECT value FROM hygie.gate_generation")).fetchone()
    assert row is not None
    tables: Rows = {}
    for table, columns in TABLES.items():
        shown = sql.SQL(", ").join(
            sql.SQL("instruction::text") if name == "instruction" else sql.Identifier(name) for name in columns
        )
        cursor = await connection.execute(
            sql.SQL("SELECT {} FROM {} ORDER BY 1").format(shown, sql.Identifier("hygie", table))
        )
        tables[table] = [list(found) for found in await cursor.fetchall()]
    return Platform(int(row[0]), now_ms, tables)


def seal_platform(platform: Platform, *, key: bytes) -> bytes:
    """Head and sealed tables, to be signed."""
    head = _HEAD.pack(MAGIC, platform.generation, platform.made_at_ms)
    return head + seal(msgspec.msgpack.encode(platform.tables), key=key, meaning=_meaning(head))


def to_sign(sealed: bytes) -> bytes:
    """What the "backup" key signs."""
    return canonical("hygie platform ledger v1", hashlib.sha256(sealed).digest())


def open_platform(data: bytes, keys: PlatformKeys) -> Platform:
    """Read a ledger back.

    Raises: PlatformLedgerBrokenError: signed by no known key, altered, or not in the format.
    """
    sealed, signature = data[:-SIGNATURE_BYTES], data[-SIGNATURE_BYTES:]
    if len(sealed) < _HEAD.size or not _signed(sealed, signature, keys.public_keys):
        raise PlatformLedgerBrokenError(reason="signature")
    magic, generation, made_at_ms = _HEAD.unpack_from(sealed)
    if magic != MAGIC:
        raise PlatformLedgerBrokenError(reason="format")
    try:
        head = sealed[: _HEAD.size]
        plain = open_sealed(sealed[_HEAD.size :], key=keys.key, meaning=_meaning(head), bytes_max=BYTES_MAX)
        tables = msgspec.msgpack.decode(plain, type=Rows)
    except (SealBrokenError, msgspec.DecodeError) as error:
        raise PlatformLedgerBrokenError(reason="seal") from error
    _complete(tables, keys.rights)
    if any(len(row) != len(TABLES.get(name, ())) for name, rows in tables.items() for row in rows):
        raise PlatformLedgerBrokenError(reason="columns")
    return Platform(generation, made_at_ms, tables)


# What a column holds in the rows of a ledger made before it was: columns are added at the end.
_BEFORE: Final[Mapping[str, Any]] = {
    "tenant": None,
    "suspended_ms": None,
    "types": "",
    "patients": "",
    "purposes": "",
    "exception": "",
}


def _complete(tables: Rows, key: bytes) -> None:
    """Give the rows of an older ledger the columns made since: its signature vouches for those without a MAC."""
    for name in COVERED:
        columns = TABLES[name]
        for row in tables.get(name, ()):
            for column in columns[len(row) :]:
                if column in _BEFORE:
                    row.append(_BEFORE[column])
                elif column == "mac":
                    values = dict(zip(columns, row, strict=False))
                    withdrawn = values.get("revoked_ms") is not None or values.get("state", "open") != "open"
                    row.append(None if withdrawn else mac_of(key, name, values))
                else:
                    break  # not a row of this table


def newest_platform(site: Site, keys: PlatformKeys) -> Platform:
    """The newest ledger that a site holds and that verifies. Blocks.

    Raises: PlatformLedgerAbsentError: none; SiteUnavailableError.
    """
    for name, _ in sorted(site.list(PREFIX), reverse=True):
        try:
            platform = open_platform(site.get(name), keys)
        except HygieError as error:
            log.error("platform ledger passed over on %s: %s, %s", site.name, name, error.code)
            continue
        if name == platform_name(platform.generation):
            return platform
    raise PlatformLedgerAbsentError(site=site.name)


class PlatformLedger:
    """Publishes the tables of one installation.

    Args: database: opened as the owner or as the sealer, who both read these tables.
    """

    def __init__(self, database: Database, *, kms: Kms, sites: SiteSet, clock: Clock) -> None:
        self._database = database
        self._kms = kms
        self._sites = sites
        self._clock = clock
        self._keys: PlatformKeys | None = None

    async def publish(self) -> bool:
        """Put the present generation on the sites that lack it. Returns whether one did.

        Raises: SiteQuorumError: on too few sites; DatabaseUnavailableError; KmsUnavailableError.
        """
        async with self._database.transaction() as connection:
            row = await (await connection.execute("SELECT value FROM hygie.gate_generation")).fetchone()
        assert row is not None
        listings = await self._sites.list_sites(PREFIX)
        name = platform_name(int(row[0]))
        if all(listing is None or name in listing for listing in listings.values()):
            return False
        async with self._database.transaction() as connection:
            platform = await read_platform(connection, self._clock.now_ms())
        self._keys = self._keys or await platform_keys(self._kms)
        sealed = seal_platform(platform, key=self._keys.key)
        data = sealed + await self._kms.sign("backup", to_sign(sealed))
        await self._sites.replace(platform_name(platform.generation), data)
        await self._prune(listings)
        return True

    async def publish_if_possible(self) -> None:
        """Publish now; what cannot be is left to the working process, which compares every few seconds.

        A right must be revocable even while sites are away.
        """
        try:
            await self.publish()
        except HygieError as error:
            log.warning("the platform's tables wait for their sites: %s", error.code)

    async def _prune(self, listings: Mapping[str, Mapping[str, int] | None]) -> None:
        for site, listing in listings.items():
            for old in sorted(listing or {})[: -KEPT + 1]:
                try:
                    await on_upkeep(self._sites.link(site), _Delete(old))
                except HygieError:
                    break  # away: at the next change


class _Delete:
    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, site: Site) -> None:
        site.delete(self._name)


async def import_platform(connection: Connection, platform: Platform) -> None:
    """Fill the empty tables of a new database, as the owner, in the caller's transaction.

    Raises: PlatformKnownError: they are not empty.
    """
    row = await (await connection.execute("SELECT EXISTS (SELECT FROM hygie.tenant)")).fetchone()
    if row is not None and row[0]:
        raise PlatformKnownError()
    async with connection.cursor() as cursor:
        for table, columns in TABLES.items():
            rows = platform.tables.get(table)
            if rows:
                statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
                    sql.Identifier("hygie", table),
                    sql.SQL(", ").join(map(sql.Identifier, columns)),
                    sql.SQL(", ").join([sql.Placeholder()] * len(columns)),
                )
                await cursor.executemany(statement, rows)
    numbers = [int(str(row[4]).removeprefix("hygie_env_")) for row in platform.tables.get("environment", ())]
    if numbers:
        await connection.execute("SELECT setval('hygie.environment_number', %s)", (max(numbers),))
    await connection.execute(
        "UPDATE hygie.gate_generation SET value = greatest(value, %s)", (platform.generation + GENERATION_MARGIN,)
    )


_REVOCATIONS: Final[Mapping[Action, tuple[str, str]]] = {
    Action.TOKEN_REVOKE: (
        "token",
        "UPDATE hygie.token SET revoked_ms = %(at)s, mac = NULL WHERE id = %(id)s AND revoked_ms IS NULL",
    ),
    Action.HABILITATION_REVOKE: (
        "habilitation",
        "UPDATE hygie.habilitation SET revoked_ms = %(at)s, revoked_by = %(by)s, mac = NULL WHERE id = %(id)s"
        " AND revoked_ms IS NULL",
    ),
    # Without its MAC it is not taken up again: a right that was suspended after the ledger was made is granted anew.
    Action.HABILITATION_SUSPEND: (
        "habilitation",
        "UPDATE hygie.habilitation SET suspended_ms = %(at)s, mac = NULL WHERE id = %(id)s AND suspended_ms IS NULL"
        " AND revoked_ms IS NULL",
    ),
    Action.CLIENT_KEY_REVOKE: (
        "client_key",
        "UPDATE hygie.client_key SET revoked_ms = %(at)s, mac = NULL WHERE id = %(id)s AND revoked_ms IS NULL",
    ),
    Action.AUTHENTICATOR_REVOKE: (
        "authenticator",
        "UPDATE hygie.authenticator SET revoked_ms = %(at)s, mac = NULL WHERE id = %(id)s AND revoked_ms IS NULL",
    ),
    Action.LIMIT_REMOVE: (
        "allowance",
        "UPDATE hygie.allowance SET revoked_ms = %(at)s, mac = NULL WHERE id = %(id)s AND revoked_ms IS NULL",
    ),
    Action.NETWORK_REMOVE: (
        "network",
        "UPDATE hygie.network SET revoked_ms = %(at)s, mac = NULL WHERE id = %(id)s AND revoked_ms IS NULL",
    ),
    Action.COUNTRY_REMOVE: (
        "country_rule",
        "UPDATE hygie.country_rule SET revoked_ms = %(at)s, mac = NULL WHERE id = %(id)s AND revoked_ms IS NULL",
    ),
    Action.ACCOUNT_DISABLE: (
        "account",
        "UPDATE hygie.account SET state = 'disabled', mac = NULL WHERE id = %(id)s AND state <> 'disabled'",
    ),
}
# Entries that are applied again, and those that say that one of them is over.
REVOKING = frozenset({*_REVOCATIONS, Action.ENVIRONMENT_DESTROY, Action.HABILITATION_RESUME})


async def apply_revocations(connection: Connection, entries: Sequence[Entry]) -> int:
    """Withdraw again what the journal says was withdrawn: a ledger may be older than the last revocation.

    Args: entries: of ``REVOKING``, all of the journal's in their order. A suspension that was ended later is not
    applied; a ledger made in between has it, and it is to be ended again.
    Returns how many rights it ended.
    """
    ended = 0
    for entry in _that_last(entries):
        if entry.action is Action.ENVIRONMENT_DESTROY:
            state = "destroyed" if entry.outcome == "done" else "closed"
            await connection.execute(
                "UPDATE hygie.environment SET state = %s WHERE id = %s AND state <> 'destroyed'",
                (state, entry.environment_id),
            )
        elif entry.outcome == "done" and entry.action in _REVOCATIONS:
            named, statement = _REVOCATIONS[entry.action]
            facts = {"at": entry.at_ms, "id": entry.detail.get(named, ""), "by": entry.account}
            ended += (await connection.execute(statement.encode(), facts)).rowcount
    return ended


def _that_last(entries: Sequence[Entry]) -> list[Entry]:
    """Without the suspensions that were ended later."""
    resumed: set[str] = set()
    found: list[Entry] = []
    for entry in reversed(entries):
        named = entry.detail.get("habilitation", "")
        if entry.outcome == "done" and entry.action is Action.HABILITATION_RESUME:
            resumed.add(named)
        elif entry.action is not Action.HABILITATION_SUSPEND or named not in resumed:
            found.append(entry)
    return found[::-1]


def _signed(sealed: bytes, signature: bytes, public_keys: Sequence[bytes]) -> bool:
    message = to_sign(sealed)
    for public_key in public_keys:
        try:
            Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
        except (InvalidSignature, ValueError):
            continue
        return True
    return False


def _meaning(head: bytes) -> bytes:
    return canonical("hygie platform ledger body v1", head)
