"""Findings of audits (major, minor, observation), their corrective actions, each with its own clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from hygie.proof.certification.delays import Delays
from hygie.proof.certification.reading import TEXT_CHARS_MAX, Reader
from hygie.proof.model import Text


class Severity(StrEnum):
    """How grave the body finds it."""

    MAJOR = "major"
    MINOR = "minor"
    OBSERVATION = "observation"


@dataclass(frozen=True, slots=True)
class Action:
    """One corrective action. done_on: carried out; verified_on: its effect seen by somebody else than its owner."""

    id: str
    title: str
    owner: str
    due_on: date
    done_on: date | None = None
    verified_on: date | None = None
    verified_by: str | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding. raised_on: end of the audit that raised it; closed_on, closed_by: the body's own word."""

    id: str
    cycle: str
    audit: str
    severity: Severity
    raised_on: date
    statement: str
    requirements: tuple[str, ...]
    actions: tuple[Action, ...] = ()
    closed_on: date | None = None
    closed_by: str | None = None

    def due_on(self, delays: Delays) -> date:
        """The last day to have it corrected and verified. Raises: DelayAbsentError."""
        return delays.due(f"finding_{self.severity}", self.raised_on)


def parse_finding(body: object, record: str = "finding") -> Finding:
    """A finding from a plain dict, refused whole if one field is wrong.

    Raises: RecordRefusedError: unknown, missing or malformed field; an action due, done or verified out of order, or
    verified by its own owner; a non-conformity closed without an action, or with one that nobody verified.
    """
    read = Reader(record, body)
    finding = Finding(
        id=read.identifier("id"),
        cycle=read.identifier("cycle"),
        audit=read.identifier("audit"),
        severity=read.choice("severity", Severity),
        raised_on=read.day("raised_on"),
        statement=read.text("statement", chars_max=TEXT_CHARS_MAX),
        requirements=read.names("requirements", required=True),
        actions=tuple(_action(each) for each in read.parts("actions")),
        closed_on=read.optional(read.day, "closed_on"),
        closed_by=read.optional(read.text, "closed_by"),
    )
    read.done()
    _check(finding, read)
    return finding


def _action(read: Reader) -> Action:
    action = Action(
        id=read.identifier("id"),
        title=read.text("title", chars_max=TEXT_CHARS_MAX),
        owner=read.text("owner"),
        due_on=read.day("due_on"),
        done_on=read.optional(read.day, "done_on"),
        verified_on=read.optional(read.day, "verified_on"),
        verified_by=read.optional(read.text, "verified_by"),
    )
    read.done()
    if (action.verified_on is None) != (action.verified_by is None):
        reason = Text("date et nom vont ensemble", "a day and a name go together")
        raise read.refused("verified_by" if action.verified_by is None else "verified_on", reason)
    if action.verified_on is not None and action.done_on is None:
        raise read.refused("done_on", Text("vérifiée sans être faite", "verified without being done"))
    read.after("verified_on", action.verified_on, "done_on", action.done_on)
    if action.verified_by == action.owner:
        raise read.refused("verified_by", Text("le responsable ne se vérifie pas", "owners do not verify themselves"))
    return action


def _check(finding: Finding, read: Reader) -> None:
    if len({action.id for action in finding.actions}) < len(finding.actions):
        raise read.refused("actions", Text("le même identifiant deux fois", "the same identifier twice"))
    for number, action in enumerate(finding.actions):
        for name in ("due_on", "done_on"):
            read.after(f"actions[{number}].{name}", getattr(action, name), "raised_on", finding.raised_on)
    if (finding.closed_on is None) != (finding.closed_by is None):
        reason = Text("date et nom vont ensemble", "a day and a name go together")
        raise read.refused("closed_by" if finding.closed_by is None else "closed_on", reason)
    if finding.closed_on is None:
        return
    read.after("closed_on", finding.closed_on, "raised_on", finding.raised_on)
    if finding.severity is not Severity.OBSERVATION and not finding.actions:
        raise read.refused("closed_on", Text("close sans action corrective", "closed without a corrective action"))
    for action in finding.actions:
        if action.verified_on is None:
            reason = Text("close avec une action non vérifiée", "closed with an action that nobody verified")
            raise read.refused("closed_on", reason)
        read.after("closed_on", finding.closed_on, "actions.verified_on", action.verified_on)
