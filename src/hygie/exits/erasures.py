"""Certificates of erasure that a destruction overtakes: every key is gone, so each gets its last dates at once."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from hygie.base.errors import UnavailableError
from hygie.base.files import write_durably
from hygie.database.pool import Database
from hygie.exits.certificate import DestructionCertificate
from hygie.keys.erasure import ErasureCertificate, certify
from hygie.keys.kms import Kms
from hygie.sites.placement import SiteSet
from hygie.vault.ledger import tombstone_name

SIGNING = "erasure"


async def close_erasures(
    owner: Database, kms: Kms, sites: SiteSet, certificate: DestructionCertificate, *, papers: Path, now_ms: int
) -> int:
    """Date, sign again, record and place what the client's erasures left open. Returns how many.

    Args: owner: a pool of the owner role; certificate: with its date of every copy; papers: where certificates are
    files, those that are there are written again.
    """
    every_copy_ms = certificate.unreadable_in_every_copy_ms
    assert every_copy_ms is not None
    closed = 0
    for one in certificate.environments:
        environment_id = bytes.fromhex(one.id)
        async with owner.transaction() as connection:
            cursor = await connection.execute(
                "SELECT id, certificate FROM hygie.erasure WHERE environment = %s AND certificate IS NOT NULL"
                " AND final_ms IS NULL ORDER BY id",
                (environment_id,),
            )
            rows = await cursor.fetchall()
        for erasure_id, paper in rows:
            before = msgspec.convert(json.loads(paper)["certificate"], ErasureCertificate)
            after = msgspec.structs.replace(
                before,
                tokens_purged_at_ms=before.tokens_purged_at_ms or one.catalogue_dropped_ms,
                tokens_vacuumed_at_ms=before.tokens_vacuumed_at_ms or one.catalogue_dropped_ms,
                last_epoch_destroyed_at_ms=before.last_epoch_destroyed_at_ms or one.keys_destroyed_ms,
                unreadable_in_every_copy_at_ms=every_copy_ms,
                issued_at_ms=max(now_ms, every_copy_ms, before.issued_at_ms),
            )
            signature = await kms.sign(SIGNING, after.to_sign())
            data = certify(after, signature=signature, public_key=await kms.public_key(SIGNING))
            async with owner.transaction() as connection:
                await connection.execute(
                    "UPDATE hygie.erasure SET certificate = %s, purged_ms = %s, final_ms = %s WHERE id = %s",
                    (data, after.tokens_purged_at_ms, after.unreadable_in_every_copy_at_ms, erasure_id),
                )
            await _place(sites, tombstone_name(environment_id, bytes.fromhex(after.compartment_id)), data)
            path = papers / f"{erasure_id}.json"
            if path.exists():
                write_durably(path, data)
            closed += 1
    return closed


async def _place(sites: SiteSet, name: str, data: bytes) -> None:
    """On the sites that answer; catch-up places it on the others."""
    try:
        await sites.replace(name, data)
    except UnavailableError:
        return
