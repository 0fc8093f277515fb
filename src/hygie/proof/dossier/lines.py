"""Batches and writes as lines of a dossier, cut into files. Pure; source: docs/formats/dossier.md v1, "Lines"."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from hygie.proof.runs import Batch
from hygie.registers.chain import RecordVersion

FILE_BYTES = 8 * 1024 * 1024  # writer and verifier hold one file at a time
_encode = msgspec.json.Encoder(order="sorted").encode


def batch_line(batch: Batch) -> bytes:
    """What stands before the bodies of its runs."""
    return _encode(
        {
            "batch": batch.seq,
            "at_ms": batch.at_ms,
            "cause": batch.cause,
            "mode": batch.mode,
            "catalogue": batch.catalogue.hex(),
            "count": len(batch.bodies),
            "digest": batch.digest.hex(),
        }
    )


def write_line(record: RecordVersion) -> bytes:
    """What stands before the body of a write of registers."""
    return _encode(
        {
            "write": record.seq,
            "register": record.register,
            "key": record.key,
            "version": record.version,
            "at_ms": record.at_ms,
            "author": record.author,
            "approver": record.approver,
            "tenant": record.tenant,
            "state": record.state,
            "reason": record.reason,
            "digest": record.digest.hex(),
        }
    )


class LineFiles:
    """Lines that go to numbered files. add: called with the name and the bytes of each."""

    def __init__(self, prefix: str, add: Callable[[str, bytes], None]) -> None:
        self._prefix = prefix
        self._add = add
        self._parts: list[bytes] = []
        self._size = self._files = 0

    def put(self, lines: Sequence[bytes]) -> None:
        """Lines that belong together: they go to one file."""
        for line in lines:
            self._parts += (line, b"\n")
            self._size += len(line) + 1
        if self._size >= FILE_BYTES:
            self.end()

    def end(self) -> None:
        """Write what waits."""
        if self._parts:
            self._files += 1
            self._add(f"{self._prefix}-{self._files:06d}.jsonl", b"".join(self._parts))
            self._parts, self._size = [], 0
