"""The platform's own tables in a backup: clients, environments, accounts, habilitations, tokens (hashes), erasures.

Sealed under a key of the KMS that only this purpose has: names of accounts and professional identifiers are personal
data.  A restore applies the newest copy: a right that was revoked since the snapshot does not come back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from hygie.backups.errors import BackupDamagedError
from hygie.base.canonical import canonical
from hygie.base.permit import Place
from hygie.base.seal import SealBrokenError, open_sealed, seal
from hygie.database.migrate import connect_owner
from hygie.database.pool import Database
from hygie.journal.entry import PLATFORM
from hygie.keys.kms import Kms
from hygie.sites.placement import SiteSet

NAME = "platform/tables"
PURPOSE = "platform-ledger"
BYTES_MAX = 256 << 20  # about a million accounts
_MEANING = canonical("hygie platform tables v1")
_ENVIRONMENT = b"platform tables\0"  # a scope of its own under the platform's tenant, so that it has its own key

# In an order that references allow. jsonb travels as text.
_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "tenant": ("id", "name", "label", "created_ms"),
    "environment": ("id", "tenant", "name", "kind", "role", "state", "created_ms"),
    "account": ("id", "kind", "label", "professional_id", "state", "created_ms", "ends_ms"),
    "token": ("hash", "id", "account", "environment", "created_ms", "expires_ms", "revoked_ms"),
    "habilitation": (
        *("id", "account", "environment", "role", "reason", "approver"),
        *("starts_ms", "ends_ms", "revoked_ms", "revoked_by"),
    ),
    "erasure": (
        *("id", "environment", "compartment", "instruction", "requested_ms"),
        *("unreadable_ms", "purged_ms", "final_ms", "epoch", "certificate"),
    ),
}


async def collect_platform(hosting: Database, records: Database, kms: Kms) -> bytes:
    """The tables as one sealed object. Args: hosting, records: the roles that may read them."""
    tables: dict[str, list[list[Any]]] = {}
    for table, columns in _COLUMNS.items():
        shown = ", ".join("instruction::text" if column == "instruction" else column for column in columns)
        async with (records if table == "erasure" else hosting).transaction() as connection:
            cursor = await connection.execute(f"SELECT {shown} FROM hygie.{table} ORDER BY 1".encode())  # noqa: S608
            tables[table] = [list(row) for row in await cursor.fetchall()]
    return seal(msgspec.msgpack.encode(tables), key=await _key(kms), meaning=_MEANING)


async def apply_platform(sites: SiteSet, kms: Kms, owner_dsn: str) -> list[Place]:
    """Fill the empty tables of a fresh place. Returns the environments that were not destroyed.

    Raises: ObjectAbsentError: no platform tables in the backup; BackupDamagedError: they do not open.
    """
    try:
        raw = open_sealed(await sites.read(NAME), key=await _key(kms), meaning=_MEANING, bytes_max=BYTES_MAX)
        tables = msgspec.msgpack.decode(raw, type=dict[str, list[list[Any]]])
    except (SealBrokenError, msgspec.DecodeError) as error:
        raise BackupDamagedError(name=NAME, reason="altered") from error
    if set(tables) != set(_COLUMNS):
        raise BackupDamagedError(name=NAME, reason="foreign")
    async with await connect_owner(owner_dsn) as connection, connection.transaction(), connection.cursor() as cursor:
        for table, columns in _COLUMNS.items():
            marks = ", ".join(["%s"] * len(columns))
            sql = f"INSERT INTO hygie.{table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608
            if tables[table]:
                await cursor.executemany(sql.encode(), tables[table])
        numbers = [int(row[4].removeprefix("hygie_env_")) for row in tables["environment"]]
        if numbers:
            await cursor.execute("SELECT setval('hygie.environment_number', %s)", (max(numbers),))
    return [Place(row[1], row[0], row[4]) for row in tables["environment"] if row[5] != "destroyed"]


async def _key(kms: Kms) -> bytes:
    await kms.create_tenant(PLATFORM)
    await kms.create_environment(PLATFORM, _ENVIRONMENT)
    return await kms.environment_key(PLATFORM, _ENVIRONMENT, PURPOSE)
