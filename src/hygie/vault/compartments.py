"""Compartments and their keys, as one process knows them.

A compartment's key is random, wrapped by the environment's epoch key in the KMS.  Unwraps are batched, named by the
permit that asked, and kept at most 60 seconds; an erasure seen by the catalogue stops reading at once whatever is
cached, because every lookup joins the compartment's state.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from hygie.base.permit import Place
from hygie.keys.cache import CompartmentKeys
from hygie.keys.kms import Kms
from hygie.vault import catalogue


class CompartmentRow(NamedTuple):
    """One live compartment."""

    compartment: bytes
    subject: bytes
    epoch: int
    wrap: bytes


class Compartments:
    """The compartments of one environment."""

    def __init__(self, place: Place, kms: Kms, cache: CompartmentKeys) -> None:
        self._place = place
        self._kms = kms
        self._cache = cache

    async def live(self, connection: catalogue.Connection, subjects: Iterable[bytes]) -> dict[bytes, CompartmentRow]:
        """Live compartments by subject; a subject without one is absent."""
        rows = await catalogue.live_compartments(connection, subjects)
        return {row[1]: CompartmentRow(*row) for row in rows}

    async def by_id(self, connection: catalogue.Connection, ids: Iterable[bytes]) -> dict[bytes, CompartmentRow]:
        """Live compartments by id."""
        rows = await catalogue.compartments_by_id(connection, ids)
        return {row[0]: CompartmentRow(*row) for row in rows}

    async def keys(
        self, rows: Sequence[CompartmentRow], *, permit_id: bytes, reason: str
    ) -> dict[bytes, bytes]:
        """Keys by compartment id; those not cached are unwrapped in one call.

        Raises: KmsUnavailableError; KeyDestroyedError: an epoch is gone.
        """
        found: dict[bytes, bytes] = {}
        missing: list[CompartmentRow] = []
        for row in rows:
            key = self._cache.get(row.compartment)
            if key is None:
                missing.append(row)
            else:
                found[row.compartment] = key
        if missing:
            keys = await self._kms.unwrap(
                self._place.tenant_id,
                self._place.environment_id,
                [(row.compartment, row.epoch, row.wrap) for row in missing],
                permit_id=permit_id,
                reason=reason,
            )
            for row, key in zip(missing, keys, strict=True):
                self._cache.put(row.compartment, key)
                found[row.compartment] = key
        return found

    async def wrap(self, keys: Sequence[tuple[bytes, bytes]]) -> tuple[int, Sequence[bytes]]:
        """Wrap fresh keys under the current epoch: (epoch, wraps)."""
        return await self._kms.wrap(self._place.tenant_id, self._place.environment_id, list(keys))

    def forget(self, compartment: bytes) -> None:
        """Drop a key from memory at once."""
        self._cache.forget(compartment)
