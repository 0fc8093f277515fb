"""From what a person says of an event to the records to write: what the certificate already says is not asked again.

A renewal is one decision of the body and two events: the end of a cycle and the start of the next; both are written at
once, since each is refused without the other. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from hygie.proof.certification.errors import RecordRefusedError
from hygie.proof.certification.events import EventKind, Outcome
from hygie.proof.certification.from_registers import EVENT
from hygie.proof.model import Text
from hygie.registers.chain import RecordVersion
from hygie.registers.rules import Change

_TERM = ("issued_on", "expires_on")
_SAID = ("cycle", "kind", "on")  # typed as a field too, one of them would silently take the place of what was asked


def recorded(
    kind: EventKind, cycle: str, on: date, given: Mapping[str, object], certificates: Sequence[RecordVersion]
) -> list[Change]:
    """The changes that record an event.

    Args: given: other fields of the register, as typed; certificates: the register of certificates. A decision without
    an outcome grants when it names a certificate, else refuses.
    Raises: RecordRefusedError: a field that the event, the cycle or the day already say.
    """
    if said := [name for name in _SAID if name in given]:
        reason = Text("déjà dit par la commande", "already said by the command")
        raise RecordRefusedError(record=EVENT, field=said[0], reason=reason)
    fields: dict[str, Any] = {"cycle": cycle, "kind": kind.value, "on": on.isoformat()} | dict(given)
    if kind is EventKind.DECISION:
        named = bool(fields.get("certificate"))
        fields.setdefault("outcome", (Outcome.GRANTED if named else Outcome.REFUSED).value)
    certificate = next((one for one in certificates if one.key == fields.get("certificate")), None)
    if certificate is not None and kind in (EventKind.DECISION, EventKind.IMPORT):
        wanted = (*_TERM, "decided_on") if kind is EventKind.IMPORT else _TERM
        fields = {name: certificate.fields[name] for name in wanted} | fields
    following = fields.get("next_cycle")
    if kind is not EventKind.DECISION or not following:
        return [Change(EVENT, fields)]
    start = {name: value for name, value in fields.items() if name != "next_cycle"}
    return [Change(EVENT, fields), Change(EVENT, start | {"cycle": following, "renews": cycle})]
