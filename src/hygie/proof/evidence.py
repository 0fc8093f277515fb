"""The log of evidence: each evaluation is chained, journaled and kept whole, or not at all; nothing is ever removed.

Synchronous, on the database that Django is bound to (``registers.orm.bound``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import msgspec

from hygie.base.actions import Action
from hygie.base.clock import Clock
from hygie.journal.entry import Entry
from hygie.proof.errors import EvidenceTamperedError, NothingKnownError
from hygie.proof.runs import START, Batch, Run, check_chain, encode_catalogue, follow, read_run, worth_keeping
from hygie.registers.engine import Journaling

PRODUCTION, TRIAL = "production", "trial"
INSERT_ROWS = 1_000
READ_BATCHES = 500
_LEAF = "INSERT INTO hygie.journal_pending (leaf) VALUES (%s)"
# One index look-up a check, whatever the log holds.
_LAST = """
SELECT found.* FROM unnest(%s::text[]) WITH ORDINALITY AS wanted (check_id, rank)
CROSS JOIN LATERAL (
    SELECT body, batch FROM run WHERE run.check_id = wanted.check_id AND batch <= %s ORDER BY batch DESC LIMIT 1
) AS found ORDER BY wanted.rank
"""
_WRONG_COLUMNS = """
SELECT min(batch) FROM run
WHERE (check_id, verdict, evidence, at_ms, fresh_until_ms, since_ms) IS DISTINCT FROM (
    body::jsonb ->> 'check', body::jsonb ->> 'verdict', body::jsonb ->> 'evidence', (body::jsonb ->> 'at_ms')::bigint,
    (body::jsonb ->> 'fresh_until_ms')::bigint, (body::jsonb ->> 'since_ms')::bigint
)
"""


@dataclass(frozen=True, slots=True)
class Known:
    """What was known at an instant: the last batch, its catalogue, and the last run of each check of it."""

    batch: Batch
    catalogue: Mapping[str, Any]
    runs: Mapping[str, Run]


@dataclass(slots=True)
class EvidenceLog:
    """The evidence of one installation. author: who evaluates, as the journal names him."""

    journal: Journaling
    clock: Clock
    author: str

    def add(
        self, runs: Sequence[Run], catalogue: Mapping[str, Any], *, cause: str, mode: str, cadences: Mapping[str, float]
    ) -> Batch | None:
        """Keep what says something new of these runs; None when none does.

        Args: runs: of one evaluation, one a check; cadences: seconds after which a check's run is kept though it says
        nothing new, by check; mode: of the installation. Raises: JournalUnavailableError.
        """
        from django.db import connection, transaction

        from hygie.proof import models
        from hygie.registers.models import Head

        digest, text = encode_catalogue(catalogue)
        with transaction.atomic():
            head = Head.objects.select_for_update().get(log="batches")
            last = {run.check: run for run, _ in self._last([run.check for run in runs], head.seq)}
            kept = [
                follow(run, last.get(run.check))
                for run in runs
                if worth_keeping(run, last.get(run.check), cadences[run.check])
            ]
            if not kept:
                return None
            at_ms = max(self.clock.now_ms(), head.at_ms)
            batch = Batch(head.seq + 1, at_ms, cause, mode, digest, tuple(run.body for run in kept))
            batch = batch.linked(bytes(head.digest))
            kept_text = models.Catalogue(sha256=digest, at_ms=at_ms, body=text)
            models.Catalogue.objects.bulk_create([kept_text], ignore_conflicts=True)
            models.Batch.objects.create(
                seq=batch.seq,
                at_ms=at_ms,
                cause=cause,
                mode=mode,
                count=len(kept),
                catalogue=digest,
                digest=batch.digest,
            )
            rows = [_row(batch.seq, place, run) for place, run in enumerate(kept)]
            models.Run.objects.bulk_create(rows, batch_size=INSERT_ROWS)
            Head.objects.filter(log="batches").update(seq=batch.seq, at_ms=at_ms, digest=batch.digest)
            with connection.cursor() as cursor:
                cursor.execute(_LEAF, (self.journal.leaf(self._entry(batch)),))
        return batch

    def known(self, at_ms: int | None = None) -> Known:
        """What was known at an instant, now by default. Raises: NothingKnownError; EvidenceTamperedError."""
        from hygie.proof import models

        rows = models.Batch.objects.order_by("-at_ms", "-seq")
        if at_ms is not None:
            rows = rows.filter(at_ms__lte=at_ms)
        if (row := rows.first()) is None:
            raise NothingKnownError()
        text = models.Catalogue.objects.get(sha256=row.catalogue).body
        if encode_catalogue(catalogue := msgspec.json.decode(text))[0] != bytes(row.catalogue):
            raise EvidenceTamperedError(batch=row.seq, reason="catalogue")
        checks = [one["id"] for one in catalogue["checks"]]
        runs = {run.check: run for run, _ in self._last(checks, row.seq)}
        return Known(_batch(row, ()), catalogue, runs)

    def batches(self, first: int = 1, last: int | None = None) -> Iterator[Batch]:
        """Batches in order with their runs' bodies. Args: first, last: numbers, both included."""
        from hygie.proof import models

        end = last if last is not None else self.head()[0]
        for start in range(first, end + 1, READ_BATCHES):
            span = (start, min(start + READ_BATCHES - 1, end))
            bodies: dict[int, list[str]] = {}
            for seq, body in (
                models.Run.objects.filter(batch__range=span).order_by("batch", "place").values_list("batch", "body")
            ):
                bodies.setdefault(seq, []).append(body)
            for row in models.Batch.objects.filter(seq__range=span).order_by("seq"):
                yield _batch(row, tuple(bodies.get(row.seq, ())))

    def head(self) -> tuple[int, bytes]:
        """Number and digest of the last batch."""
        from hygie.registers.models import Head

        head = Head.objects.get(log="batches")
        return head.seq, bytes(head.digest)

    def catalogue(self, sha256: bytes) -> str:
        """A catalogue's JSON text. Raises: EvidenceTamperedError: it is gone."""
        from hygie.proof import models

        row = models.Catalogue.objects.filter(sha256=sha256).first()
        if row is None:
            raise EvidenceTamperedError(batch=0, reason="catalogue")
        return row.body

    def verify(self, holes: Sequence[tuple[int, int, bytes]] = ()) -> tuple[int, bytes]:
        """Follow the chain, and hold catalogues, columns and head to it.

        Args: holes: numbers that were declared lost: first, last, digest of the last, in order.
        Returns: number and digest of the last batch. Raises: EvidenceTamperedError: names the first bad batch.
        """
        seen: set[bytes] = set()
        end = (0, START)
        for first, last, digest in holes:
            end = self._follow(end, first - 1, seen)
            if end[0] != first - 1:
                raise EvidenceTamperedError(batch=end[0] + 1, reason="missing")
            end = (last, digest)
        end = self._follow(end, self._highest(), seen)
        if end != self.head():
            raise EvidenceTamperedError(batch=end[0], reason="head")
        self._check_columns()
        return end

    def _follow(self, end: tuple[int, bytes], last: int, seen: set[bytes]) -> tuple[int, bytes]:
        """The chain from one batch on. Args: end: that batch; last: number of the last one to read."""
        batches = (self._checked(batch, seen) for batch in self.batches(end[0] + 1, last))
        return check_chain(batches, seq=end[0], before=end[1])

    def _checked(self, batch: Batch, seen: set[bytes]) -> Batch:
        """The batch, its catalogue held to its digest once."""
        if batch.catalogue not in seen:
            if sha256(self.catalogue(batch.catalogue).encode()).digest() != batch.catalogue:
                raise EvidenceTamperedError(batch=batch.seq, reason="catalogue")
            seen.add(batch.catalogue)
        return batch

    def _highest(self) -> int:
        from hygie.proof import models

        return models.Batch.objects.order_by("-seq").values_list("seq", flat=True).first() or 0

    def _check_columns(self) -> None:
        """The searched columns say what the bodies say. Raises: EvidenceTamperedError."""
        from django.db import connection

        with connection.cursor() as cursor:
            cursor.execute(_WRONG_COLUMNS)
            wrong = cursor.fetchone()
        if wrong is not None and wrong[0] is not None:
            raise EvidenceTamperedError(batch=wrong[0], reason="columns")

    def _last(self, checks: Sequence[str], batch: int) -> list[tuple[Run, int]]:
        from django.db import connection

        with connection.cursor() as cursor:
            cursor.execute(_LAST, (list(checks), batch))
            return [(read_run(body, seq), seq) for body, seq in cursor.fetchall()]

    def _entry(self, batch: Batch) -> Entry:
        return Entry(
            action=Action.CHECK_RUN,
            outcome="done",
            kind="evidence",
            at_ms=batch.at_ms,
            account=self.author,
            authentication="local",
            count=len(batch.bodies),
            detail={"batch": str(batch.seq), "digest": batch.digest.hex(), "cause": batch.cause, "mode": batch.mode},
        )


def _row(seq: int, place: int, run: Run) -> Any:
    from hygie.proof import models

    return models.Run(
        batch=seq,
        place=place,
        check_id=run.check,
        at_ms=run.at_ms,
        fresh_until_ms=run.fresh_until_ms,
        since_ms=run.since_ms,
        verdict=run.verdict.value,
        evidence=run.evidence.value,
        body=run.body,
    )


def _batch(row: Any, bodies: tuple[str, ...]) -> Batch:
    return Batch(row.seq, row.at_ms, row.cause, row.mode, bytes(row.catalogue), bodies, bytes(row.digest))
