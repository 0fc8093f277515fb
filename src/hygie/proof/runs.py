"""Runs of checks in batches, and the chain that holds them together. Pure; source: docs/formats/evidence-log.md v1."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

import msgspec

from hygie.base.canonical import canonical
from hygie.proof.errors import EvidenceTamperedError
from hygie.proof.model import Evidence, Text, Verdict
from hygie.registers.holes import Hole, Passing

MARK = "hygie evidence batch v1"
START = bytes(32)
AFTER_LOSS = "loss"  # cause of the first evaluation after evidence was lost: every check is kept, every streak begins
_encode = msgspec.json.Encoder(order="sorted").encode


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of one check, as it is kept.

    at_ms: when its evidence was collected; ran_ms: when it was judged; fresh_until_ms: after it the run says nothing
    any more; since_ms: of the first run of the check with this verdict, without another one between; source: what was
    looked at; records: number of the last write of registers it knew, 0 when it read none.
    """

    check: str
    verdict: Verdict
    evidence: Evidence
    at_ms: int
    ran_ms: int
    fresh_until_ms: int
    since_ms: int = 0
    why: Text
    observed: Text
    declared: Text
    remedy: Text | None = None
    source: str = ""
    records: int = 0

    @property
    def body(self) -> str:
        """Its JSON text, keys sorted, no spaces: what is stored and hashed."""
        return _encode(self).decode()


@dataclass(frozen=True, slots=True)
class Batch:
    """One evaluation. cause: what started it (``cadence``, ``command``…), or ``loss``: the first one after evidence was
    lost, which says everything anew; mode: ``production`` or ``trial``;
    catalogue: SHA-256 of what was checked against what; bodies: of its runs, in order."""

    seq: int
    at_ms: int
    cause: str
    mode: str
    catalogue: bytes
    bodies: tuple[str, ...]
    digest: bytes = b""

    def linked(self, before: bytes) -> Batch:
        """The same with its digest. Args: before: digest of the batch before it."""
        return replace(self, digest=digest_of(self, before))

    def runs(self) -> list[Run]:
        """Its runs. Raises: EvidenceTamperedError: a body is not one."""
        return [read_run(body, self.seq) for body in self.bodies]


def read_run(body: str, seq: int) -> Run:
    """A run from its stored text. Args: seq: of its batch, for the refusal. Raises: EvidenceTamperedError."""
    try:
        return msgspec.json.decode(body, type=Run)
    except msgspec.DecodeError as error:
        raise EvidenceTamperedError(batch=seq, reason="body") from error


def digest_of(batch: Batch, before: bytes) -> bytes:
    """The digest of one batch in the chain: every byte of every run, and the batch before."""
    runs = sha256()
    for body in batch.bodies:
        raw = body.encode()
        runs.update(len(raw).to_bytes(4, "big") + raw)
    return sha256(
        canonical(
            MARK,
            before,
            *(batch.seq, batch.at_ms, batch.cause, batch.mode, batch.catalogue, len(batch.bodies)),
            runs.digest(),
        )
    ).digest()


def check_chain(batches: Iterable[Batch], *, holes: Sequence[Hole] = ()) -> tuple[int, bytes]:
    """Follow the chain of batches from its beginning.

    Args: holes: numbers that were declared lost, in order. Returns: number and digest of the last one that is there.
    Raises: EvidenceTamperedError: names the first bad batch.
    """
    seq, before, at_ms, passing = 0, START, 0, Passing(holes)
    for batch in batches:
        seq, before = passing.past(seq, before)
        if batch.seq != seq + 1:
            raise EvidenceTamperedError(batch=seq + 1, reason="missing")
        if batch.digest != digest_of(batch, before):
            raise EvidenceTamperedError(batch=batch.seq, reason="altered")
        if batch.at_ms < at_ms:
            raise EvidenceTamperedError(batch=batch.seq, reason="back-dated")
        seq, before, at_ms = batch.seq, batch.digest, batch.at_ms
    return seq, before


def worth_keeping(run: Run, last: Run | None, cadence_s: float) -> bool:
    """Whether a run says something that the last kept one of its check does not: another verdict, or that a cadence has
    passed and it still holds."""
    return last is None or run.verdict != last.verdict or run.ran_ms - last.ran_ms >= cadence_s * 1000


def follow(run: Run, last: Run | None) -> Run:
    """The run with the start of its streak: that of the last one when the verdict is the same."""
    if last is None or last.verdict != run.verdict:
        return msgspec.structs.replace(run, since_ms=run.ran_ms)
    return msgspec.structs.replace(run, since_ms=last.since_ms)


def encode_catalogue(catalogue: Mapping[str, Any]) -> tuple[bytes, str]:
    """A catalogue's SHA-256 and JSON text, keys sorted."""
    raw = _encode(catalogue)
    return sha256(raw).digest(), raw.decode()
