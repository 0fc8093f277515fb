"""Whether an incident of the host is significant in the sense of NIS 2, by criteria that are data.

Source: Directive (EU) 2022/2555, art. 23.3, and what ``significance.toml`` names. What a record's numbers show is told
by the platform; the rest is ticked by people. A host in scope then owes a warning, a notification and a report: the
record says so (``nis2``) from the write on that meets a criterion, unless somebody wrote why not.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from functools import cache
from importlib import resources

import msgspec

from hygie.base.civil import day_of
from hygie.base.language import say
from hygie.proof.errors import ControlsInvalidError
from hygie.registers.chain import RecordVersion
from hygie.registers.errors import RecordInvalidError
from hygie.registers.hooks import Hooks, Proposed
from hygie.registers.rules import Change

FORMAT = "hygie significance 1"
FILE = "significance.toml"
REGISTER = "incident"


class Criterion(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One criterion. field, more_than: a number of the record that meets it by itself; see the file."""

    id: str
    fr: str
    en: str
    source_fr: str
    source_en: str
    verified: bool
    valid_from: str
    valid_until: str = ""
    field: str = ""
    more_than: int = 0

    @property
    def label(self) -> str:
        """What it says, in the person's language."""
        return say(fr=self.fr, en=self.en)

    def governs(self, day: str) -> bool:
        """Whether an incident detected on that day (``2026-11-27``) falls under it."""
        return self.valid_from <= day and (not self.valid_until or day <= self.valid_until)

    def met_by(self, record: RecordVersion) -> bool:
        """Whether it was ticked, or the record's number shows it."""
        number = record.fields.get(self.field, 0) if self.field else 0
        return self.id in record.fields.get("nis2_criteria", ()) or (bool(self.field) and int(number) > self.more_than)


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    format: str
    criterion: tuple[Criterion, ...]


@cache
def criteria() -> tuple[Criterion, ...]:
    """The criteria of this version. Raises: ControlsInvalidError."""
    text = resources.files("hygie.proof.incidents").joinpath(FILE).read_text("utf-8")
    try:
        read = msgspec.convert(tomllib.loads(text), _File)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ControlsInvalidError(file=FILE, reason=str(error)) from error
    if read.format != FORMAT or len({one.id for one in read.criterion}) != len(read.criterion):
        raise ControlsInvalidError(file=FILE, reason="format, or an id twice")
    return read.criterion


def met(record: RecordVersion) -> Sequence[Criterion]:
    """The criteria in force on the day of detection that an incident meets."""
    day = str(day_of(record.fields.get("detected_at")) or "")
    return [one for one in criteria() if one.governs(day) and one.met_by(record)]


def incident_hooks(*, in_scope: bool) -> Hooks:
    """What a write of an incident is held to, and makes follow. Args: in_scope: NIS 2 binds this host, or may."""
    if not in_scope:
        return Hooks()
    return Hooks(checks={REGISTER: (_check_reason,)}, follows={REGISTER: (_now_significant,)})


def _check_reason(proposed: Proposed) -> None:
    """Who says that an incident is not significant although it meets a criterion says why.

    Raises: RecordInvalidError.
    """
    for record in proposed.written:
        said_no = record.register == REGISTER and record.fields.get("nis2") is False
        if said_no and not record.fields.get("nis2_reason") and (found := met(record)):
            raise RecordInvalidError(
                line=1,
                field="nis2_reason",
                reason_fr=f"critère réuni : {found[0].fr}",
                reason_en=f"criterion met: {found[0].en}",
            )


def _now_significant(proposed: Proposed) -> list[Change]:
    """The decision that nobody wrote yet follows from the criteria, and its clocks run from the detection."""
    return [
        Change(REGISTER, {"nis2": True}, record.key, reason=f"NIS 2: {', '.join(one.id for one in found)}")
        for record in proposed.written
        if record.register == REGISTER and "nis2" not in record.fields and (found := met(record))
    ]
