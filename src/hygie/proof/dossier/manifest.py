"""The manifest of a dossier, and what its signature covers. Pure; source: docs/formats/dossier.md v1."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from hygie.base.canonical import canonical
from hygie.journal.checkpoint import ED25519, VerifierKey

FORMAT = "hygie dossier 1"
CONTEXT = "hygie dossier v1"
DOSSIER, DEMONSTRATION = "dossier", "demonstration"


@dataclass(frozen=True, slots=True)
class Loss:
    """Numbers ``first`` to ``last`` of one log that the journal names and that are gone.

    entry: of the journal, which begins the log again; or which declares the loss: then the log goes on after it, from
    ``digest``, that of the last number.
    """

    log: str
    first: int
    last: int
    entry: int
    digest: bytes = b""

    def plain(self) -> dict[str, Any]:
        """As the manifest says it."""
        said = {"log": self.log, "first": self.first, "last": self.last, "entry": self.entry}
        return said | ({"digest": self.digest.hex()} if self.digest else {})


@dataclass(slots=True)
class Manifest:
    """What a dossier says of itself; see the format. batches, writes: last number and digest."""

    what: str
    at_ms: int
    origin: str
    version: str
    scope: Sequence[str]
    tenant: str = ""
    batches: tuple[int, bytes] = (0, bytes(32))
    writes: tuple[int, bytes] = (0, bytes(32))
    journal: Mapping[str, Any] = field(default_factory=dict)
    lost: Sequence[Loss] = ()
    documents: Mapping[str, Any] = field(default_factory=dict)
    sample: Mapping[str, Any] = field(default_factory=dict)
    timestamp: bool = False

    def encode(self, files: Mapping[str, tuple[int, str]]) -> bytes:
        """Its file. Args: files: bytes and SHA-256 of every other file, by name."""
        plain = {
            "format": FORMAT,
            "what": self.what,
            "at_ms": self.at_ms,
            "origin": self.origin,
            "version": self.version,
            "scope": list(self.scope),
            "tenant": self.tenant,
            "batches": _end(self.batches),
            "writes": _end(self.writes),
            "journal": self.journal,
            "lost": [one.plain() for one in self.lost],
            "documents": self.documents,
            "sample": self.sample,
            "timestamp": self.timestamp,
            "files": {name: {"bytes": size, "sha256": digest} for name, (size, digest) in files.items()},
        }
        return msgspec.json.encode(plain, order="sorted") + b"\n"


def to_sign(manifest: bytes) -> bytes:
    """The bytes that the ``dossier`` key signs."""
    return canonical(CONTEXT, manifest)


def signature_file(signature: bytes) -> bytes:
    """The content of ``manifest.sig``."""
    return base64.b64encode(signature) + b"\n"


def dossier_key(origin: str, public_key: bytes) -> VerifierKey:
    """The public key of dossiers as verifiers take it."""
    return VerifierKey(f"{origin}/dossier", ED25519, public_key)


def _end(log: tuple[int, bytes]) -> dict[str, Any]:
    return {"last": log[0], "digest": log[1].hex()}
