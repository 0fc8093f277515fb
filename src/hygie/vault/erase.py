"""Erase one patient's compartment on the controller's recorded instruction.

Order: intent journaled and instruction recorded → wrap destroyed (no read opens from this COMMIT on) → tombstone on
the sites (no rebuild brings it back) → keys forgotten → index purged, slice by slice → certificate.  The cost of the
act does not depend on how much the patient has: destroy first, purge later.  The last date of the certificate comes
with the next epoch, when every stale copy of the wrap dies.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import msgspec

from hygie.base.actions import Action
from hygie.base.clock import Clock
from hygie.base.errors import NotFoundError, RefusedError
from hygie.base.permit import Permit
from hygie.database.migrate import connect_owner
from hygie.database.pool import Database
from hygie.journal.entry import Entry
from hygie.journal.writer import JournalWriter
from hygie.keys.erasure import ErasureCertificate, ErasureInstruction, certify
from hygie.keys.kms import Kms
from hygie.vault import upkeep_rows
from hygie.vault.context import EnvironmentContext
from hygie.vault.entries import access_entry
from hygie.vault.ledger import tombstone_name

PURGE_ROWS = 5_000  # rows of one purge transaction: tens of milliseconds, so nobody waits for it
DAY_MS = 86_400_000
EPOCH_MS = 7 * DAY_MS  # default life of an epoch: the longest time a stale copy of a wrap can be opened


@dataclass(frozen=True, slots=True)
class Target:
    """Whose data: the patient's live compartment, and those shared with other patients (left for a decision)."""

    compartment: bytes
    epoch: int
    objects: int
    shared: list[bytes]


class Eraser:
    """Erasures of one environment.

    Args: database: the pool of the hosting role; platform: a pool of the owner role, which keeps the record.
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
    ) -> None:
        self._context = context
        self._place = context.place
        self._database = database
        self._platform = platform
        self._owner_dsn = owner_dsn
        self._kms = kms
        self._journal = journal
        self._clock = clock

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

        Raises: RefusedError; NotFoundError: erased meanwhile; UnavailableError: nothing was destroyed (or, after the
        destruction, only the tombstone is late: run again, it resumes).
        """
        if not permit.allows(Action.PATIENT_ERASE):
            raise RefusedError()
        began_ms = self._clock.now_ms()
        async with self._platform.transaction() as connection:
            await connection.execute(
                "INSERT INTO hygie.erasure (id, environment, compartment, instruction, requested_ms, epoch)"
                " VALUES (%s, %s, %s, %s, %s, %s)",
                (
                    instruction.erasure_id,
                    self._place.environment_id,
                    target.compartment,
                    json.dumps(msgspec.to_builtins(instruction)),
                    began_ms,
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
        certificate = ErasureCertificate(
            erasure_id=instruction.erasure_id,
            tenant_id=self._place.tenant_id.hex(),
            environment_id=self._place.environment_id.hex(),
            compartment_id=target.compartment.hex(),
            instruction_sha256=instruction.digest().hex(),
            legal_basis=instruction.legal_basis,
            objects=target.objects,
            unreadable_in_service_at_ms=erased_ms,
            last_epoch=last_epoch,
            unreadable_in_every_copy_due_ms=erased_ms + EPOCH_MS,
            issued_at_ms=self._clock.now_ms(),
        )
        data = await self._sign(certificate)
        await self._context.sites.replace(tombstone_name(self._place.environment_id, target.compartment), data)
        await self._record(certificate, data)
        return data

    async def purge(self, certificate: ErasureCertificate) -> ErasureCertificate:
        """Remove the index rows of an erased compartment, then vacuum their pages; dates go into the certificate."""
        compartment = bytes.fromhex(certificate.compartment_id)
        removed = 1
        while removed:
            async with self._database.transaction(self._place.role) as connection:
                removed = await upkeep_rows.purge_erased(
                    connection, compartment, self._clock.now_ms(), limit=PURGE_ROWS
                )
        purged_ms = self._clock.now_ms()
        await vacuum(self._owner_dsn, f'"{self._place.role}".object')
        certificate = msgspec.structs.replace(
            certificate,
            tokens_purged_at_ms=purged_ms,
            tokens_vacuumed_at_ms=self._clock.now_ms(),
            issued_at_ms=self._clock.now_ms(),
        )
        await self._record(certificate, await self._sign(certificate))
        return certificate

    async def close_certificates(self, destroyed: list[int]) -> int:
        """After epochs were destroyed: date the certificates whose every copy is now unreadable. Returns how many."""
        if not destroyed:
            return 0
        closed = 0
        for certificate in await self.certificates(open_only=True):
            if certificate.last_epoch > max(destroyed):
                continue
            now_ms = self._clock.now_ms()
            final = msgspec.structs.replace(
                certificate, unreadable_in_every_copy_at_ms=now_ms, issued_at_ms=self._clock.now_ms()
            )
            data = await self._sign(final)
            await self._context.sites.replace(
                tombstone_name(self._place.environment_id, bytes.fromhex(final.compartment_id)), data
            )
            await self._record(final, data)
            closed += 1
        return closed

    async def certificates(self, *, open_only: bool = False) -> list[ErasureCertificate]:
        """Certificates of this environment, oldest first; open ones still wait for their last date."""
        async with self._platform.transaction() as connection:
            cursor = await connection.execute(
                "SELECT certificate FROM hygie.erasure WHERE environment = %s AND certificate IS NOT NULL"
                + (" AND final_ms IS NULL" if open_only else "")
                + " ORDER BY requested_ms",
                (self._place.environment_id,),
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


def _read(data: bytes) -> ErasureCertificate:
    """A certificate of our own record (signed; its readers verify it)."""
    return msgspec.convert(json.loads(data)["certificate"], ErasureCertificate)


async def vacuum(owner_dsn: str, table: str) -> None:
    """Give freed rows' pages back, so that deleted tokens are overwritten (VACUUM runs outside transactions)."""
    async with await connect_owner(owner_dsn) as connection:
        await connection.execute(b"VACUUM " + table.encode())
