"""Bring the whole published journal to a site that missed a part of it: it was away, or it was replaced.

Sealing goes on once a quorum has the tiles; the sites that did not get them take them from here.  What is written is
checked up to the signed root before, so nothing false is spread; a site's checkpoint comes last, and never goes back.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, TypeVar

from hygie.base.errors import HygieError, IntegrityError, NotFoundError
from hygie.journal.checkpoint import VerifierKey
from hygie.journal.protocols import OneSite
from hygie.journal.published import PublishedTree, verified
from hygie.journal.reader import JournalReader
from hygie.journal.tiles import BUNDLE, CHECKPOINT, PREFIX, TILE_WIDTH, Tile, encode_bundle, tile_at, tiles_of

TILES = f"{PREFIX}tile/"
T = TypeVar("T")


class Store(OneSite, Protocol):
    """A site that can be written alone; its calls block."""

    def replace(self, name: str, data: bytes) -> None: ...

    def digest(self, name: str) -> bytes: ...


@dataclass(slots=True)
class JournalSpread:
    """size: of the signed tree; lacking, copied: tiles, by site; altered: tiles that were not what was signed, by site
    (mended too); unreachable: sites that did not answer."""

    size: int = 0
    lacking: dict[str, int] = field(default_factory=dict)
    copied: dict[str, int] = field(default_factory=dict)
    altered: dict[str, list[str]] = field(default_factory=dict)
    unreachable: list[str] = field(default_factory=list)


async def spread_journal(
    reader: JournalReader, stores: Mapping[str, Store], *, log_keys: Sequence[VerifierKey], deep: bool = False
) -> JournalSpread:
    """Compare each site's listing with the signed tree, and copy what it lacks.

    Args: stores: sites by name; log_keys: the journal's public keys; deep: also compare the digest of every full tile
    that is there, and mend.
    Raises: IntegrityError: no site has an intact copy of a tile; UnavailableError: none answers.
    """
    report = JournalSpread()
    try:
        tree, note = await reader.tree()
    except NotFoundError:
        return report  # nothing was ever published
    report.size = tree.head.size
    for name, store in stores.items():
        try:
            await _Bringing(tree, note, name, store, log_keys, report).run(deep=deep)
        except _StoreFailedError:
            report.unreachable.append(name)
    return report


class _StoreFailedError(Exception):
    """One site does not answer, or refuses: the next comparison tries again."""


@dataclass(frozen=True, slots=True)
class _Bringing:
    """One site brought to one tree."""

    tree: PublishedTree
    note: bytes
    name: str
    store: Store
    log_keys: Sequence[VerifierKey]
    report: JournalSpread

    async def run(self, *, deep: bool) -> None:
        """Tiles first, the checkpoint last: what a checkpoint promises is there before it is shown."""
        listed = await _ask(partial(_names, self.store))
        behind = await _ask(self._is_behind)
        lacking = 0
        for tile in _wanted(self.tree.head.size, listed, behind=behind, deep=deep):
            full = PREFIX + tile.name
            data = await _bytes_of(self.tree, tile)
            if full in listed:
                if await _ask(partial(_digest, self.store, full)) == hashlib.sha256(data).digest():
                    continue
                self.report.altered.setdefault(self.name, []).append(full)
            else:
                lacking += 1
            await _ask(partial(self.store.replace, full, data))
            self.report.copied[self.name] = self.report.copied.get(self.name, 0) + 1
        self.report.lacking[self.name] = lacking
        if behind and await _ask(self._is_behind):
            await _ask(partial(self.store.replace, PREFIX + CHECKPOINT, self.note))

    def _is_behind(self) -> bool:
        """Whether the site shows no checkpoint, one that this journal did not sign, or one of a smaller tree."""
        try:
            shown = verified(self.store.get(PREFIX + CHECKPOINT), self.log_keys)
        except (NotFoundError, IntegrityError):
            return True
        return shown.size < self.tree.head.size


async def _ask(call: Callable[[], T]) -> T:
    """A blocking call to one site. Raises: _StoreFailedError."""
    try:
        return await asyncio.to_thread(call)
    except (HygieError, OSError) as error:
        raise _StoreFailedError from error


def _digest(store: Store, name: str) -> bytes:
    """The digest of what is there; nothing when the medium cannot read it."""
    try:
        return store.digest(name)
    except (NotFoundError, IntegrityError):
        return b""


def _wanted(size: int, listed: Collection[str], *, behind: bool, deep: bool) -> list[Tile]:
    """Tiles to look at: those absent; partial ones only of a site that is behind, for they change at each publication;
    with ``deep``, the full ones that are there too."""
    bundles = [tile_at(BUNDLE, number, size) for number in range(-(-size // TILE_WIDTH))]
    return [
        tile
        for tile in [*tiles_of(size), *bundles]
        if (tile.width == TILE_WIDTH and (deep or PREFIX + tile.name not in listed))
        or (tile.width < TILE_WIDTH and behind and PREFIX + tile.name not in listed)
    ]


async def _bytes_of(tree: PublishedTree, tile: Tile) -> bytes:
    return encode_bundle(await tree.bundle(tile.number)) if tile.level == BUNDLE else await tree.tile(tile)


def _names(store: Store) -> set[str]:
    return {name for name, _ in store.list(TILES)}
