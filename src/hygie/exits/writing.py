"""Write one environment: every version that the vault gives, as FHIR R4, into files that only the client opens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from hygie.base.errors import IntegrityError
from hygie.base.permit import Permit
from hygie.exits.model import DAMAGED_NAMES_MAX, REFERENCE, EnvironmentPart, TypeCount
from hygie.exits.parts import Parts
from hygie.exits.sealed import SealedFolder
from hygie.fhir.answers import instant, resource_bytes
from hygie.vault.exporting import ExportBound, ExportedVersion
from hygie.vault.model import Stored
from hygie.vault.vault import Vault

CONTENTS_PER_FOLDER = 1_000
Progress = Callable[[int], None]


class _Binary(msgspec.Struct):
    contentType: str = "application/octet-stream"  # noqa: N815 (FHIR's own name)


_content_type = msgspec.json.Decoder(_Binary)


class EnvironmentWriter:
    """One environment into one sealed folder.

    part: what is known of the environment; its counts grow as it is written.
    """

    def __init__(self, vault: Vault, permit: Permit, folder: SealedFolder, part: EnvironmentPart) -> None:
        self.part = part
        self._vault = vault
        self._permit = permit
        self._folder = folder
        self._parts = Parts(folder.add)

    async def write(self, bound: ExportBound, progress: Progress) -> EnvironmentPart:
        """Everything inside the bound. Returns the counts; ``missing`` says what could not be returned.

        Raises: UnavailableError; OSError: the disk of the export is full, say.
        """
        walked = 0
        async for batch in self._vault.export(self._permit, bound):
            for one in batch:
                await self._take(one)
            walked += len(batch)
            progress(len(batch))
        await self._parts.flush()
        self.part.missing += max(bound.versions - walked, 0)
        return self.part

    async def _take(self, one: ExportedVersion) -> None:
        stored = one.stored
        if stored is None:
            if one.erased:
                self.part.erased += 1
            else:
                self._lacks(one)
            return
        if stored.blob is not None and not stored.deleted and not await self._content(stored):
            self._lacks(one)
            return
        count = self.part.resources.setdefault(stored.type, TypeCount())
        name = self.part.name
        if one.current:
            await self._parts.line((name, "names", stored.type), _name_line(one, stored))
        if stored.deleted:
            count.deleted += 1
            await self._parts.entry((name, "history", stored.type), _entry(stored))
            return
        self.part.references += len(REFERENCE.findall(stored.body))
        if one.current:
            count.current += 1
            await self._parts.line((name, "current", stored.type), resource_bytes(stored))
        else:
            count.history += 1
            await self._parts.entry((name, "history", stored.type), _entry(stored))

    async def _content(self, stored: Stored) -> bool:
        """The raw content of a Binary as a file of its own; False: no site gives it back whole."""
        number = self.part.contents + 1
        file = f"{self.part.name}/content/{number // CONTENTS_PER_FOLDER:04d}/{number:07d}"
        stream = self._folder.stream(file)
        try:
            content = await self._vault.export_content(self._permit, stored)
            if content.size_bytes:
                async for piece in content.read(0, content.size_bytes):
                    await stream.write(piece)
        except IntegrityError:
            await asyncio.to_thread(self._folder.drop, stream)
            return False
        await stream.close()
        self.part.contents = number
        told = {
            "resource": f"{stored.type}/{stored.id}",
            "version": stored.version,
            "contentType": _content_type.decode(stored.body).contentType,
            "file": file,
            "bytes": stream.size,
            "sha256": stream.sha256.hex(),
        }
        await self._parts.line((self.part.name, "contents", "Binary"), msgspec.json.encode(told))
        return True

    def _lacks(self, one: ExportedVersion) -> None:
        self.part.missing += 1
        if len(self.part.damaged) < DAMAGED_NAMES_MAX:
            self.part.damaged.append(f"{one.object_id.hex()}/{one.version}")


def _name_line(one: ExportedVersion, stored: Stored) -> bytes:
    """Which resource an opaque name of the traces stands for; of a patient, his pseudonym too."""
    return msgspec.json.encode(
        {"object": one.object_id.hex(), "is": f"{stored.type}/{stored.id}", "subject": one.compartment.hex()}
    )


def _entry(stored: Stored) -> bytes:
    """One version as FHIR's own history shows it (http://hl7.org/fhir/R4/http.html#history)."""
    url = f"{stored.type}/{stored.id}".encode()
    response = b'"response":{"status":"%s","lastModified":"%s","etag":"W/\\"%d\\""}}' % (
        b"204" if stored.deleted else b"200",
        instant(stored.at_ms),
        stored.version,
    )
    if stored.deleted:
        return b'{"request":{"method":"DELETE","url":"%s"},%s' % (url, response)
    request = b'"request":{"method":"PUT","url":"%s"},' % url
    return b"".join((b'{"resource":', resource_bytes(stored), b",", request, response))
