"""Erase one patient's compartment on the controller's recorded instruction.

Order: intent journaled and instruction recorded → wrap destroyed, its entry in the same COMMIT (no read opens from here
on, and no rebuild that reads the journal brings it back) → certificate recorded → tombstone on the sites → index
purged, slice by slice.  The cost of the act does not depend on how much the patient has: destroy first, purge later.
The last dates of the certificate come with the end of the epoch, when every stale copy of the wrap dies, and with the
end of the copies of that epoch's key that a backup target keeps for its short retention.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
from psycopg import sql

from hygie.base.actions import Action
from hygie.base.clock import Clock
from hygie.base.errors import NotFoundError, RefusedError, UnavailableError
from hygie.base.permit import Permit, Place
from hygie.database.migrate import connect_owner
from hygie.database.pool import Database
from hygie.journal.entry import Entry
from hygie.journal.writer import JournalWriter
from hygie.keys.erasure import ErasureCertificate, ErasureInstruction, certify
from hygie.keys.kms import Kms
from hygie.vault import upkeep_rows
from hygie.vault.context import EnvironmentContext
from hygie.vault.entries import access_entry
from hygie.vault.epochs import EPOCH_MS, EPOCH_RETENTION_MS
from hygie.vault.ledger import ledger_keys, tombstone_name

PURGE_ROWS = 5_000  # rows of one purge transaction: tens of milliseconds, so nobody waits for it

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Target:
    """Whose data: the patient's live compartment, and those shared with other patients (left for a decision)."""

    compartment: bytes
    epoch: int
    objects: int
    shared: list[bytes]


class Eraser:
    """Erasures of one environment.

    Args: database: the pool of the hosting role; platform: a pool of the owner role, which keeps the record;
    copies_ms: how long a backup target keeps copies of the key state.
    """

    def __init__(
        self,
        context: EnvironmentContext,
        *,
        database: Database,
        platform: Database,
        owner_dsn: str,
        kms: Kms,
        journal: JournalWriter,
        clock: Clock,
        copies_ms: int = 0,
    ) -> None:
        self._copies_ms = copies_ms
        self._context = context
        self._place = context.place
        self._database = database
        self._platform = platform
        self._owner_dsn = owner_dsn
        self._kms = kms
        self._journal = journal
        self._clock = clock

    @property
    def place(self) -> Place:
        """The environment."""
        return self._place

    async def find(self, patient_id: str) -> Target:
        """The compartment of a patient. Raises: NotFoundError: no live one."""
        subject = self._context.index.subject("patient", (patient_id,))
        async with self._database.transaction(self._place.role) as connection:
            live = await self._context.compartments.live(connection, [subject])
            if subject not in live:
                raise NotFoundError()
            row = live[subject]
            objects = await upkeep_rows.count_objects(connection, row.compartment)
            shared = await upkeep_rows.shared_compartments(connection, subject)
        return Target(row.compartment, row.epoch, objects, shared)

    async def erase(self, permit: Permit, instruction: ErasureInstruction, target: Target) -> bytes:
        """Destroy the key. Returns the signed certificate, whose last dates are still to come.

        Raises: RefusedError; NotFoundError: erased meanwhile; UnavailableError: before the destruction, nothing was
        done; after it, ``finish`` writes what is late.
        """
        if not permit.allows(Action.PATIENT_ERASE):
            raise RefusedError()
        async with self._platform.transaction() as connection:
            await connection.execute(
                "INSERT INTO hygie.erasure (id, environment, compartment, instruction, requested_ms, epoch)"
                " VALUES (%s, %s, %s, %s, %s, %s)",
                (
                    instruction.erasure_id,
                    self._place.environment_id,
                    target.compartment,
                    json.dumps(msgspec.to_builtins(instruction)),
                    self._clock.now_ms(),
                    target.epoch,
                ),
            )
            await self._journal.append(connection, [self._entry(permit, "intent", instruction, target)])
        erased_ms = self._clock.now_ms()
        async with self._database.transaction(self._place.role) as connection:
            last_epoch = await upkeep_rows.erase_compartment(connection, target.compartment, erased_ms)
            if last_epoch is None:
                raise NotFoundError()
            await self._journal.append(connection, [self._entry(permit, "done", instruction, target)])
        self._context.compartments.forget(target.compartment)
        return await self._certify(instruction, upkeep_rows.Erased(erased_ms, last_epoch, target.objects))

    async def finish(self) -> list[ErasureCertificate]:
        """Write what an interrupted erasure left unwritten, with its tombstone, and purge what is not purged.

        Returns the certificates that changed. An erasure that was recorded but not carried out stays as it is.
        """
        for instruction, compartment in await self._uncertified():
            async with self._database.transaction(self._place.role) as connection:
                erased = await upkeep_rows.erased_compartment(connection, compartment)
            if erased is not None:
                await self._certify(instruction, erased)
        return [await self.purge(one) for one in await self.certificates() if one.tokens_purged_at_ms is None]

    async def _certify(self, instruction: ErasureInstruction, erased: upkeep_rows.Erased) -> bytes:
        certificate = ErasureCertificate(
            erasure_id=instruction.erasure_id,
            tenant_id=self._place.tenant_id.hex(),
            environment_id=self._place.environment_id.hex(),
            compartment_id=instruction.compartment_id,
            instruction_sha256=instruction.digest().hex(),
            legal_basis=instruction.legal_basis,
            objects=erased.objects,
            unreadable_in_service_at_ms=erased.at_ms,
            last_epoch=erased.epoch,
            unreadable_in_every_copy_due_ms=erased.at_ms + EPOCH_MS + EPOCH_RETENTION_MS + self._copies_ms,
            issued_at_ms=self._clock.now_ms(),
        )
        return await self._issue(certificate)

    async def _issue(self, certificate: ErasureCertificate) -> bytes:
        """Sign, record, place as tombstone. Sites that cannot take it now get it from the working process."""
        data = await self._sign(certificate)
        await self._record(certificate, data)
        name = tombstone_name(self._place.environment_id, bytes.fromhex(certificate.compartment_id))
        try:
            await self._context.sites.replace(name, data)
        except UnavailableError as error:  # recorded and journaled: catch-up places it
            log.warning("a tombstone waits for its sites: %s", error.code)
        return data

    async def purge(
        self, certificate: ErasureCertificate, *, progress: Callable[[int], None] | None = None
    ) -> ErasureCertificate:
        """Remove the index rows of an erased compartment, then vacuum their pages; dates go into the certificate.

        Args: progress: told how many rows each slice removed.
        """
        compartment = bytes.fromhex(certificate.compartment_id)
        removed = 1
        while removed:
            async with self._database.transaction(self._place.role) as connection:
                removed = await upkeep_rows.purge_erased(
                    connection, compartment, self._clock.now_ms(), limit=PURGE_ROWS
                )
            if progress is not None:
                progress(removed)
        purged_ms = self._clock.now_ms()
        await vacuum(self._owner_dsn, self._place.role)
        certificate = msgspec.structs.replace(
            certificate,
            tokens_purged_at_ms=purged_ms,
            tokens_vacuumed_at_ms=self._clock.now_ms(),
            issued_at_ms=self._clock.now_ms(),
        )
        await self._issue(certificate)
        return certificate

    async def close_certificates(
        self, *, oldest_copy_ms: int | None, newest_claim_ms: int = 0
    ) -> list[ErasureCertificate]:
        """Date the certificates whose last epoch key is gone from the KMS, and close those of which no copy is left.

        Args: oldest_copy_ms: when the oldest copy of keys that is still on the backup target was taken; None: there is
        none; newest_claim_ms: the latest instant that a copy claims there. Returns those that changed; a closed one is
        ``final``.
        """
        epochs = (await ledger_keys(self._place, self._kms)).epochs
        changed: list[ErasureCertificate] = []
        for certificate in await self.certificates(open_only=True):
            if not epochs or min(epochs) <= certificate.last_epoch:
                continue
            dated = self._dated(certificate, oldest_copy_ms, max(self._clock.now_ms(), newest_claim_ms))
            if dated is not None:
                await self._issue(dated)
                changed.append(dated)
        return changed

    def _dated(
        self, certificate: ErasureCertificate, oldest_copy_ms: int | None, now_ms: int
    ) -> ErasureCertificate | None:
        """A certificate with what is known once its epoch keys are destroyed; None: nothing new is.

        The destruction counts from when it is first seen here, which is never before it was: a copy of the key state
        that was taken between the two is waited for all the same.  Nor is it dated before any copy that is there: with
        a clock that was set back since, copies of the destroyed key would seem to be younger than its destruction.
        """
        dated = certificate
        if dated.last_epoch_destroyed_at_ms is None:
            dated = msgspec.structs.replace(
                dated,
                last_epoch_destroyed_at_ms=now_ms,
                unreadable_in_every_copy_due_ms=now_ms + (0 if oldest_copy_ms is None else self._copies_ms),
            )
        destroyed_ms = dated.last_epoch_destroyed_at_ms
        if oldest_copy_ms is None or (destroyed_ms is not None and oldest_copy_ms > destroyed_ms):
            dated = msgspec.structs.replace(dated, unreadable_in_every_copy_at_ms=now_ms)
        return None if dated is certificate else msgspec.structs.replace(dated, issued_at_ms=now_ms)

    async def _uncertified(self) -> list[tuple[ErasureInstruction, bytes]]:
        async with self._platform.transaction() as connection:
            cursor = await connection.execute(
                "SELECT instruction, compartment FROM hygie.erasure WHERE environment = %s AND certificate IS NULL"
                " ORDER BY requested_ms",
                (self._place.environment_id,),
            )
            rows = await cursor.fetchall()
        return [(msgspec.convert(row[0], ErasureInstruction), row[1]) for row in rows]

    async def papers(self) -> dict[str, bytes]:
        """The signed certificates of this environment, by erasure id, as they were last issued."""
        async with self._platform.transaction() as connection:
            cursor = await connection.execute(
                "SELECT id, certificate FROM hygie.erasure WHERE environment = %s AND certificate IS NOT NULL",
                (self._place.environment_id,),
            )
            return dict(await cursor.fetchall())

    async def certificates(self, *, open_only: bool = False) -> list[ErasureCertificate]:
        """Certificates of this environment, oldest first; open ones still wait for their last date."""
        async with self._platform.transaction() as connection:
            cursor = await connection.execute(
                "SELECT certificate FROM hygie.erasure WHERE environment = %s AND certificate IS NOT NULL"
                " AND (final_ms IS NULL OR NOT %s) ORDER BY requested_ms",
                (self._place.environment_id, open_only),
            )
            rows = await cursor.fetchall()
        return [_read(row[0]) for row in rows]

    async def _sign(self, certificate: ErasureCertificate) -> bytes:
        signature = await self._kms.sign("erasure", certificate.to_sign())
        return certify(certificate, signature=signature, public_key=await self._kms.public_key("erasure"))

    async def _record(self, certificate: ErasureCertificate, data: bytes) -> None:
        async with self._platform.transaction() as connection:
            await connection.execute(
                "UPDATE hygie.erasure SET certificate = %s, unreadable_ms = %s, purged_ms = %s, final_ms = %s"
                " WHERE id = %s",
                (
                    data,
                    certificate.unreadable_in_service_at_ms,
                    certificate.tokens_purged_at_ms,
                    certificate.unreadable_in_every_copy_at_ms,
                    certificate.erasure_id,
                ),
            )

    def _entry(self, permit: Permit, outcome: str, instruction: ErasureInstruction, target: Target) -> Entry:
        detail = {"erasure": instruction.erasure_id, "basis": instruction.legal_basis.value}
        if target.shared:
            detail["shared"] = ",".join(one.hex() for one in target.shared[:20])
        return access_entry(
            permit,
            self._clock.now_ms(),
            action=Action.PATIENT_ERASE,
            outcome=outcome,
            subject=target.compartment,
            count=target.objects,
            detail=detail,
        )


@dataclass(frozen=True, slots=True)
class Recorded:
    """An erasure on record. certificate: None while it was not carried out, or its certificate waits to be written."""

    tenant: str
    environment: str
    erasure_id: str
    requested_ms: int
    certificate: ErasureCertificate | None


async def recorded_erasures(platform: Database) -> list[Recorded]:
    """Every instruction of every environment, newest first. Args: platform: a pool of the owner role."""
    async with platform.transaction() as connection:
        cursor = await connection.execute(
            "SELECT t.name, e.name, x.id, x.requested_ms, x.certificate FROM hygie.erasure x"
            " JOIN hygie.environment e ON e.id = x.environment JOIN hygie.tenant t ON t.id = e.tenant"
            " ORDER BY x.requested_ms DESC, x.id"
        )
        rows = await cursor.fetchall()
    return [
        Recorded(tenant, environment, erasure_id, requested_ms, _read(paper) if paper is not None else None)
        for tenant, environment, erasure_id, requested_ms, paper in rows
    ]


def _read(data: bytes) -> ErasureCertificate:
    """A certificate of our own record (signed; its readers verify it)."""
    return msgspec.convert(json.loads(data)["certificate"], ErasureCertificate)


async def vacuum(owner_dsn: str, role: str) -> None:
    """Give back the pages of rows that an environment no longer has, so that deleted tokens are overwritten.

    Outside any transaction, as VACUUM must be. Raises: DatabaseUnavailableError.
    """
    async with await connect_owner(owner_dsn) as connection:
        await connection.execute(sql.SQL("VACUUM (ANALYZE) {}").format(sql.Identifier(role, "object")))
