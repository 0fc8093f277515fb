"""The declaration of a copy, as the register ``data-copy`` holds it, and whether it allows this copy now. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date

from hygie.base.civil import paris_date
from hygie.deidentify.errors import NotDeclaredError
from hygie.registers.chain import RecordVersion
from hygie.registers.people import is_of_another, named

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


def declared(
    history: Sequence[RecordVersion], people: Sequence[RecordVersion], wanted: Wanted, known_types: Collection[str]
) -> Declaration:
    """What a record allows.

    Args: history: every version, oldest first; people: newest records of the register of persons; known_types: those
    that have rules.
    Raises: NotDeclaredError: not approved by somebody else, expired, of another pair of environments, or of types
    without rules.
    """
    record = history[-1]
    said = record.fields
    key = record.key
    if (record.tenant, said.get("source"), said.get("target")) != (wanted.tenant, wanted.source, wanted.target):
        raise NotDeclaredError(key=key, reason="pair")
    require_approved(history, people, wanted.operator)
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


def require_approved(history: Sequence[RecordVersion], people: Sequence[RecordVersion], operator: str) -> None:
    """Somebody of the register, present that day, approved it, who neither asked for it, wrote any of it, nor runs it,
    by whichever name: the one place that decides of approval.

    Raises: NotDeclaredError.
    """
    record = history[-1]
    if record.state == "ended":
        raise NotDeclaredError(key=record.key, reason="ended")
    concerned = {str(record.fields.get("requested_by") or ""), *(one.author for one in history)}
    agreed = is_of_another(record.approver, concerned, people, paris_date(record.at_ms))
    if record.state != APPROVED or not agreed:
        raise NotDeclaredError(key=record.key, reason="approval")
    if named(record.approver, people) & named(operator, people):
        raise NotDeclaredError(key=record.key, reason="operator")
