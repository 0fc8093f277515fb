"""The logs of evidence and of registers up to a date, checked on the way into a dossier.

Synchronous, on the database that Django is bound to. Source: docs/formats/dossier.md v1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hygie.proof.documents.history import BatchFigures
from hygie.proof.documents.model import Batches
from hygie.proof.dossier.archive import Archive
from hygie.proof.dossier.lines import LineFiles, batch_line, write_line
from hygie.proof.errors import EvidenceTamperedError, TrialEvidenceError
from hygie.proof.evidence import TRIAL, EvidenceLog, Known
from hygie.proof.posture import Row, encode_posture, posture_at
from hygie.proof.runs import Batch, check_chain
from hygie.registers.chain import RecordVersion
from hygie.registers.chain import check_chain as check_writes
from hygie.registers.engine import Asked, Registers
from hygie.registers.errors import RegisterNotFoundError, RegisterTamperedError
from hygie.registers.holes import Hole
from hygie.registers.schema import Schemas

_DOCUMENT_TYPES = ("document", "documents")
_SEALED = frozenset({("recorded-session", "recording")})  # who reads a dossier has no key; the record tells its digest
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(slots=True)
class Logs:
    """What went into a dossier. batches, writes: last number and digest; records: the newest version of each then;
    holes: numbers up to there that were found lost, by log."""

    posture: Row
    catalogue: Mapping[str, Any]
    batches: tuple[int, bytes]
    writes: tuple[int, bytes]
    figures: Batches
    records: Mapping[str, Sequence[RecordVersion]]
    schemas: Schemas
    documents: Mapping[str, Any]
    holes: Mapping[str, Sequence[Hole]]


def settled_ms(evidence: EvidenceLog) -> int:
    """An instant up to which neither log will ever have more: a moment ago."""
    from django.db import transaction

    from hygie.registers.models import Head

    with transaction.atomic():
        list(Head.objects.select_for_update().order_by("log"))  # whoever adds now is after us
        return evidence.clock.now_ms() - 1


def add_logs(
    archive: Archive,
    evidence: EvidenceLog,
    registers: Registers,
    *,
    at_ms: int,
    scope: Sequence[str],
    demonstration: bool,
) -> Logs:
    """Put both logs, catalogues, documents and the posture into the archive.

    Args: scope: ids of référentiels, all when empty.
    Raises: NothingKnownError; TrialEvidenceError: a trial's batch, in what is no demonstration; EvidenceTamperedError,
    RegisterTamperedError: a log does not hold: nothing is made of it.
    """
    known = evidence.known(at_ms)
    figures = BatchFigures()
    written = _written(archive, evidence, known, figures, demonstration=demonstration)
    batches = check_chain(written, holes=known.lost)
    if batches != (known.batch.seq, known.batch.digest):
        raise EvidenceTamperedError(batch=batches[0] + 1, reason="missing")
    writes, documents, lost_writes = _add_writes(archive, registers, at_ms)
    posture = scoped(posture_at(known, at_ms), scope)
    archive.add("posture.json", encode_posture(posture), deflated=True)
    records = {name: list(registers.current(Asked(name, at_ms=at_ms))) for name in registers.schemas}
    holes = {"batches": known.lost, "writes": lost_writes}
    return Logs(posture, known.catalogue, batches, writes, figures.told(), records, registers.schemas, documents, holes)


def scoped(posture: Row, scope: Sequence[str]) -> Row:
    """The posture with the requirements of these référentiels only, all when none is named."""
    if not scope:
        return posture
    return posture | {
        "summary": {name: counts for name, counts in posture["summary"].items() if name in scope},
        "requirements": [row for row in posture["requirements"] if row["ref"].partition("#")[0] in scope],
    }


def _written(
    archive: Archive, evidence: EvidenceLog, known: Known, figures: BatchFigures, *, demonstration: bool
) -> Iterator[Batch]:
    """Batches on their way to the chain's check, written on the way."""
    files = LineFiles("evidence/batches", lambda name, data: archive.add(name, data, deflated=True))
    catalogues: set[bytes] = set()
    for batch in evidence.batches(last=known.batch.seq):
        if batch.mode == TRIAL and not demonstration:
            raise TrialEvidenceError(batch=batch.seq)
        if batch.catalogue not in catalogues:
            catalogues.add(batch.catalogue)
            text = evidence.catalogue(batch.seq, batch.catalogue)
            archive.add(f"evidence/catalogues/{batch.catalogue.hex()}.json", text.encode(), deflated=True)
        files.put([batch_line(batch), *(body.encode() for body in batch.bodies)])
        figures.add(batch)
        yield batch
    files.end()


def _add_writes(
    archive: Archive, registers: Registers, at_ms: int
) -> tuple[tuple[int, bytes], dict[str, Any], list[Hole]]:
    """Writes up to the date and the files they name.

    Returns: last number and digest; what the manifest says of files; numbers up to there, and right after, found lost.
    """
    holes = registers.holes()
    fields = document_fields(registers.schemas)
    named: set[str] = set()
    files = LineFiles("registers/writes", lambda name, data: archive.add(name, data, deflated=True))

    def written() -> Iterator[tuple[RecordVersion, str]]:
        for record, body in registers.log(holes):
            if record.at_ms > at_ms:
                return
            files.put([write_line(record), body.encode()])
            for one in fields.get(record.register, ()):
                named.update(_digests(record.fields.get(one)))
            yield record, body

    end = check_writes(written(), holes=holes)
    files.end()
    if (head := registers.head())[0] < end[0] or (head[0] == end[0] and head != end):
        raise RegisterTamperedError(seq=end[0], reason="head")
    absent = []
    for digest in sorted(named):
        try:
            archive.add(f"registers/documents/{digest}", registers.document(digest)[2])
        except RegisterNotFoundError:
            absent.append(digest)
    return end, {"fields": fields, "absent": absent}, [hole for hole in holes if hole.first <= end[0] + 1]


def document_fields(schemas: Schemas) -> dict[str, list[str]]:
    """Register → its fields that name files which a dossier holds."""
    found = {
        name: [one.id for one in schema.fields if one.type in _DOCUMENT_TYPES and (name, one.id) not in _SEALED]
        for name, schema in schemas.items()
    }
    return {name: fields for name, fields in found.items() if fields}


def _digests(value: object) -> Iterator[str]:
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, str) and _SHA256.fullmatch(one):
            yield one
