"""The declaration of a copy, as the register ``data-copy`` holds it, and whether it allows this copy now. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date

from hygie.deidentify.errors import NotDeclaredError
from hygie.registers.chain import RecordVersion

REGISTER = "data-copy"
APPROVED = "approved"


@dataclass(frozen=True, slots=True)
class Declaration:
    """What was declared. key, version, digest: the record, as the journal names it; k: how many patients must be alike;
    officer: the client's entitled person who asks."""

    key: str
    version: int
    digest: bytes
    types: tuple[str, ...]
    patients_max: int
    k: int
    officer: str
    approver: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody wants to run now. operator: as the journal names him (``local:root``)."""

    tenant: str
    source: str
    target: str
    operator: str
    today: date


def declared(record: RecordVersion, wanted: Wanted, known_types: Collection[str]) -> Declaration:
    """What a record allows. Args: known_types: those that have rules.

    Raises: NotDeclaredError: not approved by somebody else, expired, of another pair of environments, or of types
    without rules.
    """
    said = record.fields
    key = record.key
    if (record.tenant, said.get("source"), said.get("target")) != (wanted.tenant, wanted.source, wanted.target):
        raise NotDeclaredError(key=key, reason="pair")
    require_approved(record, wanted.operator)
    if not str(said.get("ends_on") or "") >= wanted.today.isoformat():
        raise NotDeclaredError(key=key, reason="ended")
    types = tuple(sorted(set(said.get("types") or ())))
    if not types or not set(types) <= set(known_types) or "Patient" not in types:
        raise NotDeclaredError(key=key, reason="scope")
    return Declaration(
        key=key,
        version=record.version,
        digest=record.digest,
        types=types,
        patients_max=int(said["patients_max"]),
        k=int(said["k"]),
        officer=str(said["requested_by"]),
        approver=record.approver,
    )


def require_approved(record: RecordVersion, operator: str) -> None:
    """Somebody approved it who neither asked for it, wrote it, nor runs it: the one place that decides of approval.

    Raises: NotDeclaredError.
    """
    if record.state == "ended":
        raise NotDeclaredError(key=record.key, reason="ended")
    approver = _who(record.approver)
    others = {_who(record.author), _who(str(record.fields.get("requested_by") or ""))}
    if record.state != APPROVED or not approver or approver in others:
        raise NotDeclaredError(key=record.key, reason="approval")
    if approver == _who(operator):
        raise NotDeclaredError(key=record.key, reason="operator")


def _who(name: str) -> str:
    """A person as an account or as typed: ``local:anne`` and ``Anne`` are one."""
    return unicodedata.normalize("NFKC", name).rpartition(":")[2].strip().casefold()
