"""One export from end to end: order, intent, every environment, the traces, the signed manifest, outcome.

Nothing is read before the order and its intent are durable; each environment is read under a permit of its own, given
on the habilitation of the officer who ordered it.  An export that fails leaves no file.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hygie.base.actions import Action
from hygie.base.clock import Clock, iso_ms
from hygie.base.files import write_durably
from hygie.base.permit import Permit, Place
from hygie.database.pool import Database
from hygie.exits import records
from hygie.exits.errors import ExitInstructionError
from hygie.exits.model import (
    MANIFEST,
    PUBLIC_KEY,
    RECEIPT,
    SIGNATURE,
    Covered,
    EnvironmentPart,
    ExitInstruction,
    ExitManifest,
    Terms,
    check_hands,
    code_digest,
    order,
    pem_of,
)
from hygie.exits.sealed import SealedFolder, parse_recipients
from hygie.exits.traces import write_traces
from hygie.exits.writing import EnvironmentWriter, Progress
from hygie.gate.instructed import InstructedGate
from hygie.gate.local import LocalOperator
from hygie.gate.recorded import Environment
from hygie.journal.checkpoint import VerifierKey
from hygie.journal.reader import JournalReader
from hygie.keys.kms import Kms
from hygie.vault.exporting import ExportBound
from hygie.vault.upkeep_rows import count_versions
from hygie.vault.vault import Vault

SIGNING = "erasure"  # the key of the papers that a controller is given
PURPOSE = "EXIT"
README = "README.txt"
HELP = """\
FR  Cet export est chiffré à votre clé. Pour le vérifier : hygie exit verify DOSSIER --identity CLE, ou, sans Hygie :
      openssl pkeyutl -verify -pubin -inkey hygie.pem -rawin -in manifest.json -sigfile manifest.sig
      sha256sum --check --quiet SHA256SUMS
      find . -name '*.age' -exec sh -c 'age -d -i CLE -o "${1%.age}" "$1"' _ {} \\;
      sha256sum --check --quiet contents.sha256
    La clé hygie.pem doit être celle que votre hébergeur a publiée. Le code de vérification est dans
    verification-code.txt : donnez-le avec votre consentement à la destruction.
EN  This export is encrypted to your key. To check it: hygie exit verify FOLDER --identity KEY, or, without Hygie: the
    commands above. The key hygie.pem must be the one that your host published. The verification code is in
    verification-code.txt: give it with your consent to the destruction.
"""


@dataclass(frozen=True, slots=True)
class ExitRooms:
    """What an export works with.

    owner, sealer, hosting: pools of these roles; operator: who acts; installation: its name, that of its journal.
    """

    owner: Database
    sealer: Database
    kms: Kms
    clock: Clock
    vault: Vault
    gate: InstructedGate
    operator: LocalOperator
    reader: JournalReader
    witness: VerifierKey | None
    installation: str
    terms: Terms
    hosting: Database

    async def versions(self, environments: Sequence[Environment]) -> int:
        """How many versions there are to return, for a progress bar."""
        total = 0
        for one in environments:
            async with self.hosting.transaction(one.place.role) as connection:
                total += await count_versions(connection)
        return total


@dataclass(frozen=True, slots=True)
class ExportAsk:
    """What is asked.

    asked: controller, instructed_by, approver, basis, reference; requester: who asks, as the journal names him.
    """

    tenant: str
    tenant_id: bytes
    environments: Sequence[Environment]
    recipients: Sequence[str]
    to: Path
    asked: dict[str, str]
    requester: str


async def export_tenant(rooms: ExitRooms, ask: ExportAsk, progress: Progress) -> ExitManifest:
    """Write a client's export. Returns its manifest; ``complete`` says whether everything is in it.

    Args: progress: told how many more versions were written.

    Raises: RecipientRefusedError, ExitInstructionError, SameHandsError, ExportFolderError: nothing was done;
    RefusedError: the officer is not entitled in one environment (journaled); UnavailableError, OSError: no file stays.
    """
    recipients = parse_recipients(ask.recipients)
    check_hands(ask.requester, ask.asked["approver"])
    if not ask.environments:
        raise ExitInstructionError(reason="no environment")
    instruction = order(
        export_id=secrets.token_hex(8),
        tenant_id=ask.tenant_id.hex(),
        recipients=tuple(ask.recipients),
        environments=tuple(one.name for one in ask.environments),
        ordered_ms=rooms.clock.now_ms(),
        **ask.asked,
    )
    permits = [
        await rooms.gate.admit(instruction.instructed_by, Action.OBJECT_EXPORT, one.place, purpose=PURPOSE)
        for one in ask.environments
    ]
    folder = await asyncio.to_thread(SealedFolder, ask.to.absolute(), recipients)
    try:
        return await _Export(rooms, ask, instruction, folder, progress).run(permits)
    except BaseException:
        await asyncio.to_thread(folder.abort)
        raise


@dataclass(slots=True)
class _Export:
    rooms: ExitRooms
    ask: ExportAsk
    instruction: ExitInstruction
    folder: SealedFolder
    progress: Progress

    async def run(self, permits: Sequence[Permit]) -> ExitManifest:
        """Everything, in order; the manifest last."""
        rooms = self.rooms
        began_ms = rooms.clock.now_ms()
        async with rooms.owner.transaction() as connection:
            await records.add_export(connection, self.instruction)
        bounds = [await rooms.vault.export_bound(permit) for permit in permits]
        parts = [
            await self._environment(one, permit, bound)
            for one, permit, bound in zip(self.ask.environments, permits, bounds, strict=True)
        ]
        tenant = Place(self.ask.tenant_id, bytes(16), "")
        detail = self._detail() | {"disclosed": "yes"}
        async with rooms.operator.act(Action.JOURNAL_EXPORT, tenant, detail=detail) as act:
            journal = await write_traces(
                rooms.reader,
                rooms.sealer,
                self.folder,
                tenant_id=self.ask.tenant_id,
                environments={one.place.environment_id: one.name for one in self.ask.environments},
                witness=rooms.witness,
            )
            act.count = journal.entries
        code = secrets.token_hex(32)
        await self.folder.add(RECEIPT, f"{code}\n".encode())
        sums = await self.folder.close()
        manifest = ExitManifest(
            export_id=self.instruction.export_id,
            installation=rooms.installation,
            tenant=self.ask.tenant,
            tenant_id=self.instruction.tenant_id,
            controller=self.instruction.controller,
            instructed_by=self.instruction.instructed_by,
            approver=self.instruction.approver,
            basis=self.instruction.basis,
            reference=self.instruction.reference,
            recipients=list(self.instruction.recipients),
            began_at=iso_ms(began_ms),
            ended_at=iso_ms(rooms.clock.now_ms()),
            complete=not any(part.missing for part in parts),
            environments=parts,
            journal=journal,
            files=self.folder.files,
            encrypted_bytes=self.folder.bytes,
            sums_sha256=sums.hex(),
            code_sha256=code_digest(code).hex(),
            terms=rooms.terms,
        )
        await self._seal(manifest)
        return manifest

    async def _environment(self, one: Environment, permit: Permit, bound: ExportBound) -> EnvironmentPart:
        part = EnvironmentPart(
            name=one.name,
            id=one.place.environment_id.hex(),
            kind=one.kind,
            pack=bound.pack,
            packs=bound.packs,
            versions=bound.versions,
        )
        async with self.rooms.operator.acting(permit, detail=self._detail()) as act:
            writer = EnvironmentWriter(self.rooms.vault, permit, self.folder, part)
            await writer.write(bound, self.progress)
            act.count = part.returned
            act.detail["missing"] = str(part.missing)
        return part

    def _detail(self) -> dict[str, str]:
        """What the journal says of the order: codes and public keys, no text of a caller."""
        instruction = self.instruction
        return {
            "export": instruction.export_id,
            "basis": instruction.basis.value,
            "ordered_by": instruction.instructed_by,
            "approver": instruction.approver,
            "instruction": instruction.digest().hex(),
            "recipients": ",".join(hashlib.sha256(one.encode()).hexdigest()[:32] for one in instruction.recipients),
        }

    async def _seal(self, manifest: ExitManifest) -> None:
        """Sign, write, record: from here on the export exists."""
        data = manifest.encode()
        signature = await self.rooms.kms.sign(SIGNING, data)
        papers: dict[str, bytes] = {
            README: HELP.encode(),
            PUBLIC_KEY: pem_of(await self.rooms.kms.public_key(SIGNING)),
            SIGNATURE: signature,
            MANIFEST: data,
        }
        for name, content in papers.items():
            await asyncio.to_thread(write_durably, self.folder.path / name, content)
        covered = {one.id: Covered(one.pack, one.packs, one.versions) for one in manifest.environments}
        digest = hashlib.sha256(data).digest()
        await records.end_export(
            self.rooms.owner,
            manifest.export_id,
            ended_ms=self.rooms.clock.now_ms(),
            complete=manifest.complete,
            manifest_sha256=digest,
            code_sha256=bytes.fromhex(manifest.code_sha256),
            covered=covered,
        )


def summary(manifest: ExitManifest) -> dict[str, Any]:
    """What a machine is told of an export."""
    return {
        "export": manifest.export_id,
        "complete": manifest.complete,
        "files": manifest.files,
        "bytes": manifest.encrypted_bytes,
        "resources": sum(part.returned for part in manifest.environments),
        "missing": sum(part.missing for part in manifest.environments),
        "erased": sum(part.erased for part in manifest.environments),
        "traces": manifest.journal.entries,
        "manifest_sha256": hashlib.sha256(manifest.encode()).hexdigest(),
    }
