"""Turn a plan into a pack: CPU work, yielding to the event loop every few milliseconds."""

from __future__ import annotations

import asyncio
from time import perf_counter

from hygie.base.seal import seal
from hygie.vault.catalogue import ObjectRow
from hygie.vault.context import EnvironmentContext
from hygie.vault.pack import HEADER, PackedCompartment, PackedObject, PackTable, build_pack
from hygie.vault.patient_sets import pack_members
from hygie.vault.payload import Head, SetHead, encode_payload, object_meaning
from hygie.vault.planning import Plan
from hygie.vault.tokens import type_code

SLICE_S_MAX = 0.004  # longest time other requests wait for a group being sealed


async def seal_group(context: EnvironmentContext, plan: Plan) -> tuple[bytes, bytes, list[ObjectRow]]:
    """Seal every version of a plan: (pack bytes, SHA-256, catalogue rows in pack order)."""
    place, index = context.place, context.index
    sealed: list[bytes] = []
    rows: list[ObjectRow] = []
    start = HEADER.size
    slice_began = perf_counter()
    for version in plan.versions:
        one = version.source
        tokens = [] if one.delete else index.terms(one.terms)
        blob = one.blob
        facts = (
            one.type,
            one.id,
            version.version,
            version.at_ms,
            one.delete,
            b"".join(tokens),
            (blob.blob_id, blob.compartment, blob.size_bytes, blob.chunks) if blob else None,
        )
        head = SetHead(*facts, pack_members(index, one.members)) if one.members else Head(*facts)
        meaning = object_meaning(
            place.tenant_id, place.environment_id, version.compartment, version.object_id, version.version
        )
        box = seal(encode_payload(head, one.body), key=plan.keys[version.compartment], meaning=meaning)
        packed = PackedObject(
            version.object_id,
            version.version,
            type_code(one.type),
            version.compartment,
            start,
            len(box),
            version.at_ms,
            one.delete,
        )
        sealed.append(box)
        rows.append(ObjectRow(packed, tokens))
        start += len(box)
        if perf_counter() - slice_began > SLICE_S_MAX:
            await asyncio.sleep(0)
            slice_began = perf_counter()
    table = PackTable(
        plan.number,
        plan.at_ms,
        [row.packed for row in rows],
        [
            PackedCompartment(
                new.row.compartment, new.row.kind, new.row.subject, new.members, new.row.epoch, new.row.wrap
            )
            for new in plan.created
        ],
    )
    pack, digest = build_pack(place, table, sealed, pack_key=context.pack_key)
    return pack, digest, rows
