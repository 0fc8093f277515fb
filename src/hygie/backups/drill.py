"""What a drill reports: measured against the promise, signed, for machines and for people. Pure, no I/O.

Source: docs/formats/drill.md v1.  A drill that did not measure something says nothing about it: an absent figure never
passes for a kept promise.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection
from typing import Literal

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hygie.backups.errors import DrillReportForgedError
from hygie.base.canonical import canonical

CONTEXT = "hygie drill report v1"
FORMAT = "hygie-drill-1"
REPORT_BYTES_MAX = 1 << 20

RecoveryKind = Literal["restore", "site-loss", "key-loss", "journal-tamper"]
RECOVERIES: tuple[RecoveryKind, ...] = ("restore", "site-loss", "key-loss", "journal-tamper")
ScenarioKind = Literal["intrusion", "ransomware", "breach"]
SCENARIOS: tuple[ScenarioKind, ...] = ("intrusion", "ransomware", "breach")
Kind = RecoveryKind | ScenarioKind


class DrillCheck(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that the drill did and looked at. detail: counts and codes, never health data."""

    name: str
    passed: bool
    detail: str = ""


class DrillReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One drill. rto_s, rpo_s: measured, None when this drill cannot measure it; snapshot: what it started from."""

    format: str = FORMAT
    drill_id: str
    kind: Kind
    operator: str
    started_at_ms: int
    ended_at_ms: int
    snapshot: str = ""
    snapshot_number: int = 0
    rto_s: float | None = None
    rpo_s: float | None = None
    promised_rto_s: int | None = None
    promised_rpo_s: int | None = None
    figures: dict[str, float] = {}
    checks: list[DrillCheck]

    def __post_init__(self) -> None:
        """A figure has one encoding: 5 is written 5.0."""
        msgspec.structs.force_setattr(self, "figures", {name: float(value) for name, value in self.figures.items()})

    @property
    def passed(self) -> bool:
        """Every check passed, and there was one at least."""
        return bool(self.checks) and all(check.passed for check in self.checks)

    @property
    def first_failure(self) -> str:
        """The first check that failed, with its detail."""
        return next((f"{check.name} ({check.detail})" for check in self.checks if not check.passed), "")


class _Signed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    report: DrillReport
    public_key: str
    signature: str


def promise_checks(
    *, rto_s: float | None, rpo_s: float | None, promised_rto_s: int | None, promised_rpo_s: int | None
) -> list[DrillCheck]:
    """The measured figures against the promised ones; a promise that was not measured fails."""
    checks = []
    for name, measured, promised in (("rto", rto_s, promised_rto_s), ("rpo", rpo_s, promised_rpo_s)):
        if promised is not None:
            kept = measured is not None and measured <= promised
            shown = "not measured" if measured is None else f"{measured:.1f} s"
            checks.append(DrillCheck(f"{name} kept", kept, f"{shown}, promised {promised} s"))
    return checks


def to_sign(report: DrillReport) -> bytes:
    """The bytes that the ``drill`` key signs."""
    return canonical(CONTEXT, msgspec.json.encode(report, order="deterministic"))


def attach(report: DrillReport, *, signature: bytes, public_key: bytes) -> bytes:
    """The report's file, verified once before it is handed out. Raises: DrillReportForgedError."""
    signed = _Signed(report, public_key.hex(), base64.b64encode(signature).decode())
    data = _encode(signed)
    verify_report(data, public_keys=[public_key])
    return data


def verify_report(data: bytes, *, public_keys: Collection[bytes]) -> DrillReport:
    """Read a report back. Raises: DrillReportForgedError: not canonical, unknown key, false signature."""
    if len(data) > REPORT_BYTES_MAX:
        raise DrillReportForgedError(reason="too long")
    try:
        signed = msgspec.json.decode(data, type=_Signed)
        signature, key = base64.b64decode(signed.signature, validate=True), bytes.fromhex(signed.public_key)
    except (msgspec.DecodeError, ValueError, binascii.Error) as error:
        raise DrillReportForgedError(reason="not in the format") from error
    if _encode(signed) != data or signed.report.format != FORMAT:
        raise DrillReportForgedError(reason="not in the canonical format")
    if key not in public_keys:
        raise DrillReportForgedError(reason="signed by an unknown key")
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, to_sign(signed.report))
    except (InvalidSignature, ValueError) as error:
        raise DrillReportForgedError(reason="the signature does not match") from error
    return signed.report


def _encode(signed: _Signed) -> bytes:
    return msgspec.json.format(msgspec.json.encode(signed, order="deterministic"), indent=2) + b"\n"
