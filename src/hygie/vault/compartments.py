"""Compartments and their keys, as one process knows them.

A compartment's key is random, wrapped by the environment's epoch key in the KMS.  Unwraps are batched, named by the
permit that asked, and kept at most 60 seconds; an erasure seen by the catalogue stops reading at once whatever is
cached, because every lookup joins the compartment's state.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from hygie.base.errors import UnavailableError
from hygie.base.permit import Place
from hygie.keys.cache import CompartmentKeys
from hygie.keys.errors import KeyDestroyedError
from hygie.keys.kms import Kms
from hygie.vault import catalogue

ID_BYTES = 16
KEY_BYTES = 32


class CompartmentRow(NamedTuple):
    """One live compartment. pack: the pack that carries its wrap, 0 while none does."""

    compartment: bytes
    subject: bytes
    epoch: int
    wrap: bytes
    pack: int = 0
    kind: int = 0


@dataclass(slots=True)
class NewCompartment:
    """A compartment whose wrap travels in the next pack. fresh: its row is not in the catalogue yet."""

    row: CompartmentRow
    members: list[bytes]
    fresh: bool = True


class Compartments:
    """The compartments of one environment."""

    def __init__(self, place: Place, kms: Kms, cache: CompartmentKeys) -> None:
        self._place = place
        self._kms = kms
        self._cache = cache

    async def live(self, connection: catalogue.Reading, subjects: Iterable[bytes]) -> dict[bytes, CompartmentRow]:
        """Live compartments by subject; a subject without one is absent."""
        rows = await catalogue.live_compartments(connection, subjects)
        return {row[1]: CompartmentRow(*row) for row in rows}

    async def by_id(self, connection: catalogue.Reading, ids: Iterable[bytes]) -> dict[bytes, CompartmentRow]:
        """Live compartments by id."""
        rows = await catalogue.compartments_by_id(connection, ids)
        return {row[0]: CompartmentRow(*row) for row in rows}

    async def keys(self, rows: Sequence[CompartmentRow], *, permit_id: bytes, reason: str) -> dict[bytes, bytes]:
        """Keys by compartment id; those not kept in memory are unwrapped in one call.

        Raises: KmsUnavailableError; UnavailableError: an epoch ended since the rows were read, which say now another
        wrap: the same request succeeds; KeyDestroyedError: erased meanwhile.
        """
        if not rows:
            return {}
        try:
            keys = await self._cache.open(
                self._place.tenant_id,
                self._place.environment_id,
                [(row.compartment, row.epoch, row.wrap) for row in rows],
                permit_id=permit_id,
                reason=reason,
            )
        except KeyDestroyedError as error:
            if error.facts.get("part") != "epoch":
                raise
            raise UnavailableError(part="epoch") from error
        return {row.compartment: key for row, key in zip(rows, keys, strict=True)}

    async def wrap(self, keys: Sequence[tuple[bytes, bytes]]) -> tuple[int, Sequence[bytes]]:
        """Wrap fresh keys under the current epoch: (epoch, wraps)."""
        return await self._kms.wrap(self._place.tenant_id, self._place.environment_id, list(keys))

    async def create(self, connection: catalogue.Connection, subject: bytes, *, kind: int) -> CompartmentRow:
        """Make a compartment now (a stream needs its key before any pack is written); the next pack carries its wrap.

        The caller holds the subject's lock.
        """
        compartment, key = os.urandom(ID_BYTES), os.urandom(KEY_BYTES)
        epoch, (wrap,) = await self.wrap([(compartment, key)])
        row = CompartmentRow(compartment, subject, epoch, wrap, kind=kind)
        await catalogue.insert_compartments(connection, [NewCompartment(row, [])], 0)
        return row

    def forget(self, compartment: bytes) -> None:
        """Drop a key from memory at once."""
        self._cache.forget(self._place.tenant_id, self._place.environment_id, compartment)
