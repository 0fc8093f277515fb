"""Compartment keys kept in a hosting process for at most a minute, so that a patient being read costs one unwrap."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

from hygie.keys.errors import KeyDestroyedError
from hygie.keys.kms import Kms

KEPT_S_MAX = 60.0  # design, "Keys and erasure": an unwrap is cached at most 60 s
SWEEP_S = 1.0  # a key that nobody asks for is out of memory so long after its minute, at most
KEYS_MAX = 20_000  # about 6 MB; a busy minute of one process touches fewer patients

_Name = tuple[bytes, bytes, bytes]


class CompartmentKeys:
    """A capped least-recently-used cache over :meth:`Kms.unwrap`. One per process; one event loop.

    A key is given again without a new line in the unwrap record for as long as it is kept: the journal, not this
    record, holds every access.  ``forget`` acts at once in this process, on fetches under way too; in other processes
    the catalogue, which every read joins with the compartment's state, is what stops them.
    """

    def __init__(
        self,
        kms: Kms,
        *,
        kept_s: float = KEPT_S_MAX,
        keys_max: int = KEYS_MAX,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        if not 0 <= kept_s <= KEPT_S_MAX or keys_max < 1:
            raise ValueError("a key is kept 0 to 60 s, and the cache holds at least one")
        self._kms = kms
        self._kept_s = kept_s
        self._keys_max = keys_max
        self._monotonic = monotonic
        self._kept: OrderedDict[_Name, tuple[float, bytes]] = OrderedDict()
        self._fetches: list[_Fetch] = []
        self._sweep: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, tenant_id: bytes, environment_id: bytes, compartment_id: bytes) -> bytes | None:
        """The key if it is kept and young enough."""
        name = (tenant_id, environment_id, compartment_id)
        found = self._kept.get(name)
        if found is None:
            return None
        if found[0] <= self._monotonic():
            del self._kept[name]
            return None
        self._kept.move_to_end(name)
        return found[1]

    def put(self, tenant_id: bytes, environment_id: bytes, compartment_id: bytes, key: bytes) -> None:
        """Keep a key just made and wrapped; a key kept already keeps its own end."""
        if self.get(tenant_id, environment_id, compartment_id) is None:
            self._keep((tenant_id, environment_id, compartment_id), key, self._monotonic())

    async def open(
        self,
        tenant_id: bytes,
        environment_id: bytes,
        items: Sequence[tuple[bytes, int, bytes]],
        *,
        permit_id: bytes,
        reason: str,
    ) -> list[bytes]:
        """Keys of (compartment id, epoch, wrap) items, in order; those not kept are unwrapped in one batch.

        Raises: as Kms.unwrap; KeyDestroyedError: one was forgotten while it was fetched.
        """
        found: dict[bytes, bytes] = {}
        missing: list[tuple[bytes, int, bytes]] = []
        for item in {item[0]: item for item in items}.values():
            key = self.get(tenant_id, environment_id, item[0])
            if key is None:
                missing.append(item)
            else:
                found[item[0]] = key
        if missing:
            asked_at = self._monotonic()  # the minute runs from the question, not from the answer
            fetch = _Fetch({(tenant_id, environment_id, item[0]) for item in missing})
            self._fetches.append(fetch)
            try:
                keys = await self._kms.unwrap(tenant_id, environment_id, missing, permit_id=permit_id, reason=reason)
            finally:
                self._fetches.remove(fetch)
            if fetch.forgotten:
                raise KeyDestroyedError(part="compartment")
            for item, key in zip(missing, keys, strict=True):
                found[item[0]] = key
                self._keep((tenant_id, environment_id, item[0]), key, asked_at)
        return [found[item[0]] for item in items]

    def forget(self, tenant_id: bytes, environment_id: bytes, compartment_id: bytes) -> None:
        """Drop a compartment's key at once."""
        name = (tenant_id, environment_id, compartment_id)
        self._kept.pop(name, None)
        for fetch in self._fetches:
            fetch.forgotten = fetch.forgotten or name in fetch.names

    def clear(self) -> None:
        """Drop everything, fetches under way included."""
        self._kept.clear()
        for fetch in self._fetches:
            fetch.forgotten = True

    def _keep(self, name: _Name, key: bytes, since_s: float) -> None:
        self._kept[name] = (since_s + self._kept_s, key)
        self._kept.move_to_end(name)
        while len(self._kept) > self._keys_max:
            self._kept.popitem(last=False)
        if self._sweep is None:
            self._sweep_later()

    def _sweep_later(self) -> None:
        self._sweep = asyncio.get_running_loop().call_later(min(SWEEP_S, self._kept_s), self._drop_old)

    def _drop_old(self) -> None:
        """Drop what is over its time though nobody asks for it any more. About 2 ms for a full cache."""
        now_s = self._monotonic()
        for name in [name for name, (until_s, _) in self._kept.items() if until_s <= now_s]:
            del self._kept[name]
        self._sweep = None
        if self._kept:
            self._sweep_later()


class _Fetch:
    """An unwrap under way. forgotten: one of its keys was erased meanwhile."""

    def __init__(self, names: set[_Name]) -> None:
        self.names = names
        self.forgotten = False
