"""The door of registers: every write is validated, chained, journaled and kept whole, or not at all.

One transaction a call: the log's head is locked, versions are checked, rows are added, and the entry of the journal
that names them is durable with them. Nothing is ever changed or removed. Synchronous, as Django's models are: callers
of an event loop go through a thread.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Protocol, TypeVar

from hygie.base.actions import Action
from hygie.base.clock import Clock
from hygie.base.errors import HygieError, InvalidRequestError, RefusedError
from hygie.journal.entry import Entry
from hygie.registers.chain import RecordVersion, check_chain, decode_body, linked
from hygie.registers.errors import (
    FourEyesError,
    PatientNamedError,
    RecordChangedError,
    RecordInvalidError,
    RegisterNotFoundError,
    RegisterTamperedError,
    TransitionRefusedError,
)
from hygie.registers.holes import Hole, Passing, held, holes_of
from hygie.registers.hooks import Hooks, Proposed
from hygie.registers.orm import unmoved
from hygie.registers.rules import Change, Known, check_text, next_version, wrong_values
from hygie.registers.schema import Schemas, shipped_schemas

RECORDS_MAX = 100_000  # of one call: an import of staff or assets fits; it is held in memory and in one transaction
DOCUMENT_BYTES_MAX = 25 * 1024 * 1024  # a scanned certificate or policy; larger ones belong to an archive
DOCUMENT_NAME_CHARACTERS_MAX = 255  # what file systems hold
INSERT_ROWS = 1_000
H = TypeVar("H")
_LEAF = "INSERT INTO hygie.journal_pending (leaf) VALUES (%s)"


class Journaling(Protocol):
    """Seals one entry of the journal, to be made durable in the caller's own transaction."""

    def leaf(self, entry: Entry) -> bytes:
        """Raises: JournalUnavailableError: its key cannot be had; then nothing may be written."""
        ...


@dataclass(frozen=True, slots=True)
class Asked:
    """Which records. tenant: of this client only; states: in these only; at_ms: as they were known then."""

    register: str
    tenant: str | None = None
    states: Sequence[str] = ()
    at_ms: int | None = None


@dataclass(slots=True)
class Registers:
    """The registers of one installation, on the database that Django is bound to (``orm.bound``).

    author: who acts, as the journal names him; hooks: what rooms above hold a write to.
    """

    journal: Journaling
    clock: Clock
    author: str
    schemas: Schemas = field(default_factory=shipped_schemas)
    hooks: Hooks = field(default_factory=Hooks)

    def write(self, changes: Sequence[Change]) -> list[RecordVersion]:
        """Make these changes, all or none; those that change nothing are left out of the result, what follows from the
        others comes after them.

        Raises: RecordInvalidError, PatientNamedError, TransitionRefusedError, FourEyesError, RecordChangedError,
        RegisterNotFoundError; JournalUnavailableError; what the hooks refuse.
        """
        from django.db import connection, transaction

        from hygie.registers.models import Head, Record

        if len(changes) > RECORDS_MAX:
            raise RecordInvalidError(
                line=RECORDS_MAX + 1,
                field="-",
                reason_fr=f"{RECORDS_MAX} fiches au plus par envoi",
                reason_en=f"{RECORDS_MAX} records at most at once",
            )
        with transaction.atomic():
            head = Head.objects.select_for_update().get(log="records")
            at_ms = max(self.clock.now_ms(), head.at_ms)  # never before what is already written
            new = self._decided(changes, at_ms)
            numbered = (_at(record, head.seq + rank, at_ms) for rank, record in enumerate(new, 1))
            written = list(linked(numbered, bytes(head.digest)))
            if not written:
                return []
            for start in range(0, len(written), INSERT_ROWS):
                Record.objects.bulk_create([_row(record) for record in written[start : start + INSERT_ROWS]])
            Head.objects.filter(log="records").update(seq=written[-1].seq, at_ms=at_ms, digest=written[-1].digest)
            with connection.cursor() as cursor:
                cursor.execute(_LEAF, (self.journal.leaf(self._entry(written)),))
        return written

    def rehearse(self, changes: Sequence[Change]) -> None:
        """Refuse what :meth:`write` would refuse now, and write nothing. Raises: as ``write``."""
        self._decided(changes, self.clock.now_ms())

    def _decided(self, changes: Sequence[Change], at_ms: int) -> list[RecordVersion]:
        """The versions that these changes make and what follows from them, held to every rule."""
        known = self._known(changes)
        new = self._versions(changes, known)
        new += self._versions(self._following(Proposed([one for _, one in new], known.of, at_ms)), known)
        for lost in known.lost_references(new, self.schemas):
            raise lost
        versions = [one for _, one in new]
        self._hold(Proposed(versions, known.of, at_ms))
        return versions

    def _versions(self, changes: Sequence[Change], known: Known) -> list[tuple[int, RecordVersion]]:
        """The versions that changes make, each with its line; what changes nothing makes none."""
        return [
            (line, record)
            for line, change in _lines(changes)
            if (record := next_version(change, self.schemas, known, author=self.author, line=line)) is not None
        ]

    def _following(self, proposed: Proposed) -> list[Change]:
        touched = {record.register for record in proposed.written}
        return [change for one in _called(self.hooks.follows, touched) for change in one(proposed)]

    def _hold(self, proposed: Proposed) -> None:
        for check in _called(self.hooks.checks, {record.register for record in proposed.written}):
            check(proposed)

    def faults(self, changes: Sequence[Change], *, limit: int = 50) -> list[RecordInvalidError]:
        """What is wrong in these changes, field by field, without writing: the person mends a file in one go.

        Raises: RegisterNotFoundError.
        """
        known = self._known(changes)
        found: list[RecordInvalidError] = []
        new: list[tuple[int, RecordVersion]] = []
        for line, change in _lines(changes):
            try:
                record = next_version(change, self.schemas, known, author=self.author, line=line)
            except (InvalidRequestError, RefusedError) as error:
                found += [_fault(one, line) for one in wrong_values(change, self.schemas, line)] or [
                    _fault(error, line)
                ]
            else:
                new += [] if record is None else [(line, record)]
        lost = known.lost_references(new, self.schemas)
        return sorted([*found, *islice(lost, limit)], key=lambda one: int(one.facts["line"] or 0))[:limit]

    def current(self, asked: Asked) -> Iterator[RecordVersion]:
        """The newest version of each record asked, by key. Raises: RegisterNotFoundError: no such register."""
        from hygie.registers.models import Record

        rows = Record.objects.filter(register=self.schemas[asked.register].id)
        if asked.at_ms is not None:
            rows = rows.filter(at_ms__lte=asked.at_ms)
        for row in rows.order_by("key", "-version").distinct("key").iterator(chunk_size=INSERT_ROWS):
            record = _record(row)
            if asked.tenant not in (None, record.tenant) or (asked.states and record.state not in asked.states):
                continue
            yield record

    def begun_ms(self, register: str) -> dict[str, int]:
        """When each record of a register was first written, by key. Raises: RegisterNotFoundError: no such register."""
        from django.db.models import Min

        from hygie.registers.models import Record

        rows = Record.objects.filter(register=self.schemas[register].id).values_list("key")
        return dict(rows.annotate(Min("at_ms")))

    def get(self, register: str, key: str) -> RecordVersion:
        """The newest version of one record. Raises: RegisterNotFoundError."""
        return self.history(register, key)[-1]

    def history(self, register: str, key: str) -> list[RecordVersion]:
        """Every version of one record, oldest first. Raises: RegisterNotFoundError."""
        from hygie.registers.models import Record

        rows = Record.objects.filter(register=self.schemas[register].id, key=key).order_by("version")
        if not (found := [_record(row) for row in rows]):
            raise RegisterNotFoundError(name=register)
        return found

    def log(self, holes: Sequence[Hole] = ()) -> Iterator[tuple[RecordVersion, str]]:
        """Every write in order, with its body as stored, but for those in a hole that was not filled whole."""
        from hygie.registers.models import Record

        for row in Record.objects.order_by("seq").iterator(chunk_size=INSERT_ROWS):
            if held(row.seq, holes):
                yield _record(row), row.body

    def holes(self) -> list[Hole]:
        """Numbers of writes that a rebuild or a restore found lost, in order."""
        return holes_of("records")

    def versions(self, register: str, *, at_ms: int | None = None) -> Iterator[RecordVersion]:
        """Every version of every record of a register, by key then version. Args: at_ms: those known then."""
        from hygie.registers.models import Record

        rows = Record.objects.filter(register=self.schemas[register].id)
        if at_ms is not None:
            rows = rows.filter(at_ms__lte=at_ms)
        for row in rows.order_by("key", "version").iterator(chunk_size=INSERT_ROWS):
            yield _record(row)

    def journal_export(self, asked: Asked, *, form: str, records: int, sha256: str) -> None:
        """Make the entry of an export durable: call it before the file is handed over.

        Args: form: ``csv``, ``xlsx``, ``json`` or ``pdf``; sha256: of the file, in hexadecimal.
        Raises: JournalUnavailableError: then it is not handed over.
        """
        from django.db import connection, transaction

        detail = {"register": asked.register, "format": form, "sha256": sha256, "states": ",".join(asked.states)}
        if asked.at_ms is not None:
            detail["as_of_ms"] = str(asked.at_ms)
        if asked.tenant is not None:
            detail["tenant"] = asked.tenant
        entry = Entry(
            action=Action.REGISTER_EXPORT,
            outcome="done",
            kind="evidence",
            at_ms=self.clock.now_ms(),
            account=self.author,
            authentication="local",
            count=records,
            detail=detail,
        )
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_LEAF, (self.journal.leaf(entry),))

    def verify(self, holes: Sequence[Hole] = ()) -> tuple[int, bytes]:
        """Follow the chain of all writes.

        Args: holes: numbers that were declared lost, in order.
        Returns: number and digest of the last write. Raises: RegisterTamperedError: names the first bad write.
        """
        with unmoved():
            end = Passing(holes).past(*check_chain(self.log(holes), holes=holes))
            if end != self.head():
                raise RegisterTamperedError(seq=end[0] + 1, reason="missing")
            self._check_head()
        return end

    def _check_head(self) -> None:
        """The head is dated as the last write, when that one is there. Raises: RegisterTamperedError."""
        from hygie.registers.models import Head, Record

        head = Head.objects.get(log="records")
        last = Record.objects.filter(seq=head.seq).first()
        if last is not None and last.at_ms != head.at_ms:
            raise RegisterTamperedError(seq=head.seq, reason="head")

    def head(self) -> tuple[int, bytes]:
        """Number and digest of the last write."""
        from hygie.registers.models import Head

        head = Head.objects.get(log="records")
        return head.seq, bytes(head.digest)

    def put_document(self, name: str, media_type: str, content: bytes) -> str:
        """Keep a file that records will name. Returns its SHA-256, in hexadecimal; the same file is kept once.

        Raises: RecordInvalidError: too large or empty, or a name that is no line of text; PatientNamedError: the name
        looks like an INS.
        """
        from hygie.registers.models import Document

        check_text(name, DOCUMENT_NAME_CHARACTERS_MAX, "document", 1)
        if not 0 < len(content) <= DOCUMENT_BYTES_MAX:
            limit = DOCUMENT_BYTES_MAX // 1024 // 1024
            raise RecordInvalidError(
                line=1, field="document", reason_fr=f"de 1 octet à {limit} Mio", reason_en=f"from 1 byte to {limit} MiB"
            )
        digest = hashlib.sha256(content).digest()
        document = Document(
            sha256=digest, name=name, media_type=media_type[:100], at_ms=self.clock.now_ms(), content=content
        )
        Document.objects.bulk_create([document], ignore_conflicts=True)
        return digest.hex()

    def document(self, sha256: str) -> tuple[str, str, bytes]:
        """A kept file: its name, media type and bytes. Raises: RegisterNotFoundError."""
        from hygie.registers.models import Document

        found = Document.objects.filter(sha256=bytes.fromhex(sha256)).first()
        if found is None:
            raise RegisterNotFoundError(name="document")
        return found.name, found.media_type, bytes(found.content)

    def documents(self) -> frozenset[str]:
        """The SHA-256 of every kept file, in hexadecimal."""
        from hygie.registers.models import Document

        return frozenset(bytes(one).hex() for one in Document.objects.values_list("sha256", flat=True))

    def _known(self, changes: Iterable[Change]) -> Known:
        """What is stored of the registers these changes touch."""
        names = sorted({self.schemas[one.register].id for one in changes})
        return Known({name: self._newest(name) for name in names}, self._newest)

    def _newest(self, register: str) -> dict[str, RecordVersion]:
        return {record.key: record for record in self.current(Asked(register))}

    def _entry(self, written: Sequence[RecordVersion]) -> Entry:
        first, last = written[0], written[-1]
        registers = sorted({record.register for record in written})
        detail = {
            "registers": ",".join(registers)[:1_000],
            "first": str(first.seq),
            "last": str(last.seq),
            "digest": last.digest.hex(),
        }
        if len(written) == 1:
            detail |= {"version": str(last.version), "state": last.state}
        return Entry(
            action=Action.REGISTER_WRITE,
            outcome="done",
            kind="evidence",
            at_ms=last.at_ms,
            account=self.author,
            authentication="local",
            count=len(written),
            detail=detail,
        )


def _lines(changes: Sequence[Change]) -> Iterator[tuple[int, Change]]:
    """Each change with its line: of its file, or its rank in the call."""
    return ((change.line or number, change) for number, change in enumerate(changes, 1))


_FIELD_OF = {TransitionRefusedError: "state", FourEyesError: "approver", RecordChangedError: "version"}


def _fault(error: HygieError, line: int) -> RecordInvalidError:
    """A refusal as one of a line and a field, whatever was refused."""
    if isinstance(error, RecordInvalidError):
        return error
    field = str(error.facts.get("field", _FIELD_OF.get(type(error), "key")))
    fr, en = (error.sentence(language).rstrip(".") for language in ("fr", "en"))
    if isinstance(error, PatientNamedError):
        fr, en = "ressemble à un INS : déposez-le au coffre", "looks like an INS: put it in the vault"
    return RecordInvalidError(line=line, field=field, reason_fr=fr, reason_en=en)


def _called(by_register: Mapping[str, Sequence[H]], touched: set[str]) -> list[H]:
    """What a write on these registers calls, each once."""
    return list(dict.fromkeys(one for name in sorted(touched) for one in by_register.get(name, ())))


def _at(record: RecordVersion, seq: int, at_ms: int) -> RecordVersion:
    return RecordVersion(
        *(seq, record.register, record.key, record.version, at_ms, record.author, record.approver, record.tenant),
        *(record.state, record.reason, record.fields),
    )


def _row(record: RecordVersion) -> Any:
    from hygie.registers.models import Record

    return Record(
        seq=record.seq,
        register=record.register,
        key=record.key,
        version=record.version,
        at_ms=record.at_ms,
        author=record.author,
        approver=record.approver,
        tenant=record.tenant,
        state=record.state,
        reason=record.reason,
        body=record.body,
        digest=record.digest,
    )


def _record(row: Any) -> RecordVersion:
    return RecordVersion(
        *(row.seq, row.register, row.key, row.version, row.at_ms, row.author, row.approver, row.tenant),
        *(row.state, row.reason, decode_body(row.body), bytes(row.digest)),
    )


def fields_of(record: RecordVersion) -> Mapping[str, Any]:
    """The fields of a record with what every record has: for machines."""
    return {
        "key": record.key,
        "version": record.version,
        "state": record.state,
        "tenant": record.tenant,
        "at_ms": record.at_ms,
        "author": record.author,
        "approver": record.approver,
        "reason": record.reason,
        "fields": dict(record.fields),
    }
