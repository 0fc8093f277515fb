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
from hygie.proof.runs import AFTER_LOSS, Batch, Run, check_chain, encode_catalogue, follow, read_run, worth_keeping
from hygie.registers.engine import Journaling
from hygie.registers.holes import Hole, Passing, held, holes_of
from hygie.registers.orm import unmoved

PRODUCTION, TRIAL = "production", "trial"
INSERT_ROWS = 1_000
READ_BATCHES = 500
_LEAF = "INSERT INTO hygie.journal_pending (leaf) VALUES (%s)"
# One index look-up a check, whatever the log holds. What was before a hole says nothing after it.
_LAST = """
SELECT found.* FROM unnest(%s::text[]) WITH ORDINALITY AS wanted (check_id, rank)
CROSS JOIN LATERAL (
    SELECT body, batch FROM run WHERE run.check_id = wanted.check_id AND batch > %s AND batch <= %s
    ORDER BY batch DESC LIMIT 1
) AS found ORDER BY wanted.rank
"""
_WRONG_COLUMNS = """
SELECT min(batch) FROM run
WHERE (check_id, verdict, evidence, at_ms, fresh_until_ms, since_ms) IS DISTINCT FROM (
    body::jsonb ->> 'check', body::jsonb ->> 'verdict', body::jsonb ->> 'evidence', (body::jsonb ->> 'at_ms')::bigint,
    (body::jsonb ->> 'fresh_until_ms')::bigint, (body::jsonb ->> 'since_ms')::bigint
)
"""
# Every run of a batch is there, each in its place, and no other.
_WRONG_COUNT = """
SELECT min(seq) FROM batch LEFT JOIN (
    SELECT run.batch, count(*) AS runs, max(place) AS last FROM run GROUP BY run.batch
) AS found ON found.batch = seq WHERE (count, count - 1) IS DISTINCT FROM (coalesce(runs, 0), coalesce(last, -1))
"""
# A catalogue is dated as the first batch that it serves, unless that one was lost.
_WRONG_CATALOGUE = """
SELECT min(seq) FROM (SELECT catalogue, min(seq) AS seq, min(at_ms) AS at_ms FROM batch GROUP BY catalogue) AS first
JOIN catalogue ON sha256 = first.catalogue WHERE catalogue.at_ms <> first.at_ms AND NOT EXISTS (
    SELECT FROM hole WHERE log = 'batches' AND hole.first <= seq
)
"""


@dataclass(frozen=True, slots=True)
class Known:
    """What was known at an instant: the last batch, its catalogue, and the last run of each check of it.

    lost: numbers up to then that were found lost; the last hole may begin right after the batch: what was known then
    is not known any more, and there are no runs.
    """

    batch: Batch
    catalogue: Mapping[str, Any]
    runs: Mapping[str, Run]
    lost: Sequence[Hole] = ()


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
            last: dict[str, Run] = {}
            if self._follows_loss():
                cause = AFTER_LOSS  # nobody knows what the lost ones said: every check is kept, every streak begins
            else:
                last = {run.check: run for run in self._last([run.check for run in runs], head.seq)}
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

        holes = self.holes()
        rows = models.Batch.objects.order_by("-at_ms", "-seq")
        for hole in holes:
            rows = rows.exclude(seq__range=(hole.first, hole.last))
        if at_ms is not None:
            rows = rows.filter(at_ms__lte=at_ms)
        if (row := rows.first()) is None:
            raise NothingKnownError()
        catalogue = msgspec.json.decode(self.catalogue(row.seq, bytes(row.catalogue)))
        lost = [hole for hole in holes if hole.first <= row.seq + 1]
        checks = [one["id"] for one in catalogue["checks"]]
        runs = self._last(checks, row.seq, after=lost[-1].last if lost else 0)
        return Known(_batch(row, ()), catalogue, {run.check: run for run in runs}, lost)

    def holes(self) -> list[Hole]:
        """Numbers of batches that a rebuild or a restore found lost, in order."""
        return holes_of("batches")

    def batches(self, first: int = 1, last: int | None = None) -> Iterator[Batch]:
        """Batches in order with their runs' bodies, but for those in a hole that was not filled whole.

        Args: first, last: numbers, both included.
        """
        from hygie.proof import models

        holes = self.holes()
        end = last if last is not None else self.head()[0]
        for start in range(first, end + 1, READ_BATCHES):
            span = (start, min(start + READ_BATCHES - 1, end))
            bodies: dict[int, list[str]] = {}
            for seq, body in (
                models.Run.objects.filter(batch__range=span).order_by("batch", "place").values_list("batch", "body")
            ):
                bodies.setdefault(seq, []).append(body)
            for row in models.Batch.objects.filter(seq__range=span).order_by("seq"):
                if held(row.seq, holes):
                    yield _batch(row, tuple(bodies.get(row.seq, ())))

    def head(self) -> tuple[int, bytes]:
        """Number and digest of the last batch."""
        from hygie.registers.models import Head

        head = Head.objects.get(log="batches")
        return head.seq, bytes(head.digest)

    def catalogue(self, batch: int, digest: bytes) -> str:
        """A catalogue's JSON text. Args: batch: that names it. Raises: EvidenceTamperedError: it is gone, altered."""
        from hygie.proof import models

        row = models.Catalogue.objects.filter(sha256=digest).first()
        if row is None or sha256(row.body.encode()).digest() != digest:
            raise EvidenceTamperedError(batch=batch, reason="catalogue")
        return row.body

    def verify(self, holes: Sequence[Hole] = ()) -> tuple[int, bytes]:
        """Follow the chain, and hold catalogues, columns and head to it.

        Args: holes: numbers that were declared lost, in order.
        Returns: number and digest of the last batch. Raises: EvidenceTamperedError: names the first bad batch.
        """
        with unmoved():
            seen: set[bytes] = set()
            batches = (self._checked(batch, seen) for batch in self.batches(last=self._highest()))
            end = Passing(holes).past(*check_chain(batches, holes=holes))
            if (head := self.head())[0] > end[0]:
                raise EvidenceTamperedError(batch=end[0] + 1, reason="missing")
            if head != end:
                raise EvidenceTamperedError(batch=end[0], reason="head")
            self._check_columns()
            self._check_head()
        return end

    def _checked(self, batch: Batch, seen: set[bytes]) -> Batch:
        """The batch, its catalogue held to its digest once."""
        if batch.catalogue not in seen:
            self.catalogue(batch.seq, batch.catalogue)
            seen.add(batch.catalogue)
        return batch

    def _highest(self) -> int:
        from hygie.proof import models

        return models.Batch.objects.order_by("-seq").values_list("seq", flat=True).first() or 0

    def _check_columns(self) -> None:
        """The columns beside the chain say what it says. Raises: EvidenceTamperedError."""
        from django.db import connection

        with connection.cursor() as cursor:
            for query in (_WRONG_COLUMNS, _WRONG_COUNT, _WRONG_CATALOGUE):
                cursor.execute(query)
                wrong = cursor.fetchone()
                if wrong is not None and wrong[0] is not None:
                    raise EvidenceTamperedError(batch=wrong[0], reason="columns")

    def _check_head(self) -> None:
        """The head is dated as the last batch, when that one is there. Raises: EvidenceTamperedError."""
        from hygie.proof import models
        from hygie.registers.models import Head

        head = Head.objects.get(log="batches")
        last = models.Batch.objects.filter(seq=head.seq).first()
        if last is not None and last.at_ms != head.at_ms:
            raise EvidenceTamperedError(batch=head.seq, reason="head")

    def _follows_loss(self) -> bool:
        """Whether evidence was lost, and no evaluation has said everything anew since."""
        from hygie.proof import models

        holes = self.holes()
        return bool(holes) and not models.Batch.objects.filter(seq__gt=holes[-1].last, cause=AFTER_LOSS).exists()

    def _last(self, checks: Sequence[str], batch: int, *, after: int = 0) -> list[Run]:
        """The newest run of each check among the batches up to one. Args: after: number of the batch before them."""
        from django.db import connection

        with connection.cursor() as cursor:
            cursor.execute(_LAST, (list(checks), after, batch))
            return [read_run(body, seq) for body, seq in cursor.fetchall()]

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
