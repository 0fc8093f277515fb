"""The journal entries of the vault: who did what to whose data, never a value."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from hygie.base.actions import Action
from hygie.base.errors import HygieError
from hygie.base.permit import Permit, Place
from hygie.journal.entry import Entry
from hygie.vault.model import Stored

if TYPE_CHECKING:
    from hygie.vault.planning import Plan

ITEMS_MAX = 32  # listed in one entry; a larger write is named by its pack, whose table lists every object

Item = tuple[str, bytes, int]
Notable = Callable[[Permit, Stored], Mapping[str, str]]  # what deserves a word in the entry of a read; pure
NOTHING: Mapping[int, Mapping[str, str]] = {}


def nothing_notable(_permit: Permit, _stored: Stored) -> Mapping[str, str]:
    """For a vault whose reads nobody watches."""
    return {}


def notes_on(notable: Notable, permit: Permit, shown: Iterable[Stored]) -> dict[int, Mapping[str, str]]:
    """What is notable of what is shown, by rank."""
    found = ((rank, notable(permit, stored)) for rank, stored in enumerate(shown))
    return {rank: note for rank, note in found if note}


def access_entry(
    permit: Permit,
    at_ms: int,
    *,
    action: Action | None = None,
    outcome: str = "done",
    subject: bytes = b"",
    items: Sequence[Item] = (),
    count: int | None = None,
    detail: dict[str, str] | None = None,
) -> Entry:
    """An entry of class *access* for what a permit was used for."""
    return Entry(
        action=action or permit.action,
        outcome=outcome,
        kind="access",
        at_ms=at_ms,
        tenant_id=permit.place.tenant_id,
        environment_id=permit.place.environment_id,
        account=permit.account,
        professional_id=permit.professional_id,
        authentication=permit.authentication,
        on_behalf_of=permit.on_behalf_of,
        subject=subject,
        items=tuple(items[:ITEMS_MAX]),
        count=len(items) if count is None else count,
        address=permit.address,
        device=permit.device,
        site="",
        country=permit.country,
        purpose=permit.purpose,
        habilitation=permit.habilitation,
        permit_id=permit.permit_id,
        detail=detail or {},
    )


def read_entries(
    permit: Permit,
    at_ms: int,
    items: Iterable[tuple[bytes, Item]],
    *,
    action: Action | None = None,
    total: int | None = None,
    notes: Mapping[int, Mapping[str, str]] = NOTHING,
) -> list[Entry]:
    """One entry for each compartment that was read; one without subject if nothing was shown.

    Args: total: how many match, when the caller is told so: a count is an answer too; notes: what is notable, by rank
    of the item.
    """
    told = {} if total is None else {"total": str(total)}
    by_subject: dict[bytes, list[Item]] = {}
    noted: dict[bytes, dict[str, str]] = {}
    for rank, (compartment, item) in enumerate(items):
        by_subject.setdefault(compartment, []).append(item)
        if rank in notes:
            noted.setdefault(compartment, {}).update(notes[rank])
    if not by_subject:
        return [access_entry(permit, at_ms, outcome="done" if total else "absent", count=0, detail=told)]
    return [
        access_entry(permit, at_ms, action=action, subject=subject, items=listed, detail=told | noted.get(subject, {}))
        for subject, listed in by_subject.items()
    ]


def refusal_entry(permit: Permit, error: HygieError, place: Place, at_ms: int, *, count: int = 0) -> Entry:
    """A request that was entitled but refused for what it asked: conflict, invalid content, limit.

    Args: count: of refusals that this entry stands for, when it stands for several.
    """
    assert permit.place == place
    return access_entry(permit, at_ms, outcome="refused", count=count, detail={"code": error.code})


def write_entries(plan: Plan, place: Place, pack_sha256: bytes) -> list[Entry]:
    """One entry for each request, compartment and kind of change, naming the pack that holds it."""
    detail = {"pack": str(plan.number), "sha256": pack_sha256.hex()}
    grouped: dict[tuple[bytes, bytes, Action], tuple[Permit, list[Item]]] = {}
    for version in plan.versions:
        assert version.permit.place == place
        key = (version.permit.permit_id, version.compartment, version.change)
        _, items = grouped.setdefault(key, (version.permit, []))
        items.append((version.source.type, version.object_id, version.version))
    return [
        access_entry(permit, plan.at_ms, action=change, subject=compartment, items=items, detail=detail)
        for (_, compartment, change), (permit, items) in grouped.items()
    ]


def told_entries(plan: Plan) -> list[Entry]:
    """What accepted requests learn beside what they store, so that none is answered without an entry.

    A condition is a search: what it found is named, unless the request writes to that very compartment, whose entry is
    there already.  A request that neither stores nor finds anything leaves one entry, *absent*.
    """
    written = {(version.permit.permit_id, version.compartment) for version in plan.versions}
    entries: list[Entry] = []
    for told in plan.told:
        found = [pair for pair in told.found if (told.permit.permit_id, pair[0]) not in written]
        if found:
            entries += read_entries(told.permit, plan.at_ms, found, action=Action.OBJECT_SEARCH)
        elif not told.stores and not told.found:
            entries.append(access_entry(told.permit, plan.at_ms, outcome="absent", items=told.absent, count=0))
    return entries
