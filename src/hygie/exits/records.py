"""What the platform keeps of exits: orders and exports, consents, destructions. The only file of the room with SQL.

Args ``owner`` everywhere: a pool of the owner role.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import psycopg

from hygie.database.pool import Database
from hygie.exits.model import Covered, ExitInstruction

Connection = psycopg.AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class ExportRecord:
    """An export as the host knows it. ended_ms, manifest_sha256, code_sha256, covered: None or empty until it ended;
    covered: by environment id (hex)."""

    id: str
    tenant_id: bytes
    instruction: ExitInstruction
    ended_ms: int | None
    complete: bool
    manifest_sha256: bytes | None
    code_sha256: bytes | None
    covered: dict[str, Covered]


@dataclass(frozen=True, slots=True)
class ConsentRecord:
    """A consent on record, with the export that it is about."""

    id: str
    export: ExportRecord
    given_by: str
    statement_sha256: bytes
    recorded_by: str
    recorded_ms: int


@dataclass(frozen=True, slots=True)
class DestructionRecord:
    """A destruction on record. certificate: as it was last signed; None: it was cut before the first."""

    id: str
    consent: ConsentRecord
    requested_by: str
    approver: str
    requested_ms: int
    certificate: bytes | None
    final_ms: int | None


async def add_export(connection: Connection, instruction: ExitInstruction) -> None:
    """An order, in the transaction of its intent."""
    await connection.execute(
        "INSERT INTO hygie.exit_export (id, tenant, instruction, ordered_ms) VALUES (%s, %s, %s, %s)",
        (
            instruction.export_id,
            bytes.fromhex(instruction.tenant_id),
            msgspec.json.encode(instruction).decode(),
            instruction.ordered_ms,
        ),
    )


async def end_export(
    owner: Database,
    export_id: str,
    *,
    ended_ms: int,
    complete: bool,
    manifest_sha256: bytes,
    code_sha256: bytes,
    covered: dict[str, Covered],
) -> None:
    """What an export turned out to be."""
    async with owner.transaction() as connection:
        await connection.execute(
            "UPDATE hygie.exit_export SET ended_ms = %s, complete = %s, manifest_sha256 = %s, code_sha256 = %s,"
            " covered = %s WHERE id = %s",
            (ended_ms, complete, manifest_sha256, code_sha256, msgspec.json.encode(covered).decode(), export_id),
        )


_EXPORT = "x.id, x.tenant, x.instruction, x.ended_ms, x.complete, x.manifest_sha256, x.code_sha256, x.covered"
_EXPORT_COLUMNS = 8


def _export(row: tuple[Any, ...]) -> ExportRecord:
    id_, tenant, instruction, ended_ms, complete, manifest, code, covered = row
    return ExportRecord(
        id_,
        bytes(tenant),
        msgspec.json.decode(instruction, type=ExitInstruction),
        ended_ms,
        complete,
        manifest,
        code,
        msgspec.json.decode(covered, type=dict[str, Covered]) if covered is not None else {},
    )


async def exports_of(owner: Database, tenant_id: bytes) -> list[ExportRecord]:
    """Exports of one client, newest first."""
    async with owner.transaction() as connection:
        cursor = await connection.execute(
            f"SELECT {_EXPORT} FROM hygie.exit_export x WHERE x.tenant = %s ORDER BY x.ordered_ms DESC, x.id",  # noqa: S608
            (tenant_id,),
        )
        return [_export(row) for row in await cursor.fetchall()]


async def add_consent(connection: Connection, consent: ConsentRecord) -> None:
    """A consent, in the transaction of its entry."""
    await connection.execute(
        "INSERT INTO hygie.exit_consent (id, export, given_by, statement_sha256, recorded_by, recorded_ms)"
        " VALUES (%s, %s, %s, %s, %s, %s)",
        (
            consent.id,
            consent.export.id,
            consent.given_by,
            consent.statement_sha256,
            consent.recorded_by,
            consent.recorded_ms,
        ),
    )


async def consents_of(owner: Database, tenant_id: bytes) -> list[ConsentRecord]:
    """Consents of one client, newest first."""
    async with owner.transaction() as connection:
        cursor = await connection.execute(
            f"SELECT {_EXPORT}, c.id, c.given_by, c.statement_sha256, c.recorded_by, c.recorded_ms"  # noqa: S608
            " FROM hygie.exit_consent c JOIN hygie.exit_export x ON x.id = c.export WHERE x.tenant = %s"
            " ORDER BY c.recorded_ms DESC, c.id",
            (tenant_id,),
        )
        return [_consent(row) for row in await cursor.fetchall()]


def _consent(row: tuple[Any, ...]) -> ConsentRecord:
    id_, given_by, statement, recorded_by, recorded_ms = row[_EXPORT_COLUMNS : _EXPORT_COLUMNS + 5]
    return ConsentRecord(id_, _export(row[:_EXPORT_COLUMNS]), given_by, bytes(statement), recorded_by, recorded_ms)


async def add_destruction(connection: Connection, record: DestructionRecord) -> None:
    """A destruction that begins, in the transaction of its intent."""
    await connection.execute(
        "INSERT INTO hygie.exit_destruction (id, consent, requested_by, approver, requested_ms)"
        " VALUES (%s, %s, %s, %s, %s)",
        (record.id, record.consent.id, record.requested_by, record.approver, record.requested_ms),
    )


async def keep_certificate(owner: Database, destruction_id: str, certificate: bytes, final_ms: int | None) -> bool:
    """Keep the certificate as it was last signed. Returns False where a final one is: that one stays."""
    async with owner.transaction() as connection:
        cursor = await connection.execute(
            "UPDATE hygie.exit_destruction SET certificate = %s, final_ms = %s WHERE id = %s AND final_ms IS NULL",
            (certificate, final_ms, destruction_id),
        )
        return cursor.rowcount == 1


async def keep_keys_since(owner: Database, destruction_id: str, since_ms: int) -> None:
    """From which snapshot on the backup target may hold copies of keys."""
    async with owner.transaction() as connection:
        await connection.execute(
            "UPDATE hygie.exit_destruction SET keys_since_ms = %s WHERE id = %s", (since_ms, destruction_id)
        )


async def keys_since(records: Database) -> int:
    """The latest of these instants; 0: none. Args: records: any pool that reads these tables."""
    async with records.transaction() as connection:
        cursor = await connection.execute("SELECT coalesce(max(keys_since_ms), 0) FROM hygie.exit_destruction")
        row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def destructions(owner: Database, *, tenant_id: bytes | None = None) -> list[DestructionRecord]:
    """Destructions, newest first. Args: tenant_id: of one client; None: of all."""
    async with owner.transaction() as connection:
        cursor = await connection.execute(
            f"SELECT {_EXPORT}, c.id, c.given_by, c.statement_sha256, c.recorded_by, c.recorded_ms,"  # noqa: S608
            " d.id, d.requested_by, d.approver, d.requested_ms, d.certificate, d.final_ms"
            " FROM hygie.exit_destruction d JOIN hygie.exit_consent c ON c.id = d.consent"
            " JOIN hygie.exit_export x ON x.id = c.export WHERE x.tenant = %s OR %s"
            " ORDER BY d.requested_ms DESC, d.id",
            (tenant_id or b"", tenant_id is None),
        )
        return [_destruction(row) for row in await cursor.fetchall()]


def _destruction(row: tuple[Any, ...]) -> DestructionRecord:
    id_, requested_by, approver, requested_ms, certificate, final_ms = row[_EXPORT_COLUMNS + 5 :]
    return DestructionRecord(id_, _consent(row), requested_by, approver, requested_ms, certificate, final_ms)
