"""Open what the catalogue located: keys in one call, bytes in one hop, every object under its own meaning.

A copy that does not open is never answered and never retried on the same site: the next site's copy is tried, and
scrub mends the damaged one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from hygie.base.permit import Permit
from hygie.base.seal import SealBrokenError, open_sealed
from hygie.vault.candidates import probe
from hygie.vault.catalogue import Connection, LocatedRow
from hygie.vault.compartments import CompartmentRow
from hygie.vault.context import EnvironmentContext
from hygie.vault.errors import AmbiguousConditionError, ObjectDamagedError
from hygie.vault.model import Condition, Stored
from hygie.vault.pack import pack_name
from hygie.vault.patient_sets import is_open, opened_by
from hygie.vault.payload import PAYLOAD_BYTES_MAX, blob_of, decode_payload, object_meaning

OPEN_BATCH = 64  # opened without a pause: about 4 ms, the longest that other requests wait
CONDITION_CANDIDATES_MAX = 20  # same index terms, but not the same value: hash collisions and long strings
LIMITED_CANDIDATES_MAX = 2_000  # those of other patients included, which say nothing to a limited permit

log = logging.getLogger(__name__)


async def open_rows(
    context: EnvironmentContext, permit: Permit, rows: Sequence[LocatedRow], *, reason: str
) -> list[Stored | None]:
    """Open versions in order; None where the compartment was erased, or is not among the permit's patients.

    Raises: ObjectDamagedError: no site has a copy that opens; KmsUnavailableError; SiteUnavailableError.
    """
    if permit.patients is None:
        return await open_located(context, permit.permit_id, rows, reason=reason)
    opened = opened_by(context.index, permit.patients, 0)
    mine = [row for row in rows if is_open(context.index, opened, row.marks)]
    found = await open_located(context, permit.permit_id, mine, reason=reason)
    by_seq = dict(zip((row.seq for row in mine), found, strict=True))
    return [by_seq.get(row.seq) for row in rows]


async def open_located(
    context: EnvironmentContext, permit_id: bytes, rows: Sequence[LocatedRow], *, reason: str
) -> list[Stored | None]:
    """The same for rows that their permits open: several may have asked together, under the first one's name."""
    live = [row for row in rows if row.wrap is not None]
    if not live:
        return [None] * len(rows)
    wanted = {
        row.compartment: CompartmentRow(row.compartment, row.subject, row.epoch, row.wrap)
        for row in live
        if row.wrap is not None
    }
    keys = await context.compartments.keys(list(wanted.values()), permit_id=permit_id, reason=reason)
    environment_id = context.place.environment_id
    opened: dict[int, Stored] = {}
    for begin in range(0, len(live), OPEN_BATCH):
        part = live[begin : begin + OPEN_BATCH]
        boxes = await context.sites.read_many([(pack_name(environment_id, r.pack), r.start, r.length) for r in part])
        for row, box in zip(part, boxes, strict=True):
            key = keys[row.compartment]
            try:
                if box is None:
                    raise SealBrokenError()
                opened[row.seq] = _open(context, row, box, key)
            except SealBrokenError:
                opened[row.seq] = await _open_elsewhere(context, row, key)
        if len(part) == OPEN_BATCH:
            await asyncio.sleep(0)  # what was in memory came without a wait: others have their turn here
    return [opened.get(row.seq) if row.wrap is not None else None for row in rows]


def _open(context: EnvironmentContext, row: LocatedRow, box: bytes, key: bytes) -> Stored:
    place = context.place
    meaning = object_meaning(place.tenant_id, place.environment_id, row.compartment, row.object_id, row.version)
    head, body = decode_payload(open_sealed(box, key=key, meaning=meaning, bytes_max=PAYLOAD_BYTES_MAX))
    return Stored(head.type, head.id, head.version, head.at_ms, body, head.deleted, blob_of(head))


async def _open_elsewhere(context: EnvironmentContext, row: LocatedRow, key: bytes) -> Stored:
    """Try every site's copy in turn."""
    name = pack_name(context.place.environment_id, row.pack)
    async for site, box in context.sites.copies(name, row.start, row.length):
        try:
            stored = _open(context, row, box, key)
        except SealBrokenError:
            log.error("damaged copy: site %s, %s, offset %d", site, name, row.start)
            continue
        return stored
    raise ObjectDamagedError(part="pack")


async def find_by_condition(
    connection: Connection, context: EnvironmentContext, permit: Permit, condition: Condition, *, at_ms: int
) -> list[tuple[LocatedRow, Stored]]:
    """At most two live objects that satisfy a condition (two are enough to call it ambiguous), and where they are.

    Raises: AmbiguousConditionError: so many candidates that the condition cannot be told.
    """
    clauses = [context.index.numbers(clause) for clause in condition.clauses]
    opened = opened_by(context.index, permit.patients, at_ms)
    limit = CONDITION_CANDIDATES_MAX if opened is None else LIMITED_CANDIDATES_MAX
    rows = await probe(connection, clauses, limit=limit + 1, opened=opened)
    if len(rows) > limit:
        raise AmbiguousConditionError()
    rows = [row for row in rows if is_open(context.index, opened, row.marks)]
    if len(rows) > CONDITION_CANDIDATES_MAX:
        raise AmbiguousConditionError()
    found: list[tuple[LocatedRow, Stored]] = []
    for row, stored in zip(rows, await open_rows(context, permit, rows, reason="condition"), strict=True):
        if stored is None or stored.type != condition.type:
            continue
        if condition.matches is None or condition.matches(stored.body, stored.type):
            found.append((row, stored))
    return found[:2]
