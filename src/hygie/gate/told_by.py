"""What the journal says of an act on rights that somebody did under a permit: who, for whom, from where, under what."""

from __future__ import annotations

from hygie.base.actions import Action
from hygie.base.permit import Permit
from hygie.journal.entry import Entry


def act_entry(
    permit: Permit,
    at_ms: int,
    detail: dict[str, str],
    *,
    action: Action | None = None,
    kind: str = "administration",
    purpose: str = "",
    count: int = 0,
) -> Entry:
    """The entry of an act that was done. Args: action: when it is not the permit's own; detail: codes and ids only."""
    return Entry(
        action=action or permit.action,
        outcome="done",
        kind=kind,
        at_ms=at_ms,
        tenant_id=permit.place.tenant_id,
        environment_id=permit.place.environment_id,
        account=permit.account,
        professional_id=permit.professional_id,
        authentication=permit.authentication,
        on_behalf_of=permit.on_behalf_of,
        address=permit.address,
        device=permit.device,
        country=permit.country,
        purpose=purpose,
        habilitation=permit.habilitation,
        permit_id=permit.permit_id,
        count=count,
        detail=detail,
    )
