"""How old the oldest copy of keys on the target is: while one is older than the destruction of an epoch key, who holds
the target and the passphrase could still open what was erased under it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from hygie.backups.check import Head
from hygie.backups.errors import ManifestReplayedError
from hygie.backups.snapshot import key_refs, lasting_refs, verify_manifest
from hygie.backups.target import BackupTarget, holding


async def oldest_key_copy(target: BackupTarget, *, public_keys: Sequence[bytes]) -> int | None:
    """When the oldest snapshot whose ledgers or key state are still on the target was taken; None: no copy is there.

    0 (as old as can be) when an object is there that no manifest names: a backup that was cut may have left a copy of
    the key state, and the next purge removes it.  Nobody may write meanwhile: a backup under way holds a key state that
    no manifest names yet.
    Raises: TargetUnavailableError: away, or somebody is at work on it; ManifestBrokenError, BackupDamagedError: what
    it holds cannot be told.
    """
    async with holding(target):
        there = set(await asyncio.to_thread(target.objects))
        named: set[str] = set()
        oldest_ms: int | None = None
        for name in await asyncio.to_thread(target.manifests):
            raw = await asyncio.to_thread(target.get_manifest, name)
            snapshot = verify_manifest(raw, public_keys=public_keys, name=name).snapshot
            keys = {ref.sha256 for ref in key_refs(snapshot)}
            named |= keys | {ref.sha256 for ref in lasting_refs(snapshot)}
            if keys & there and (oldest_ms is None or snapshot.created_at_ms < oldest_ms):
                oldest_ms = snapshot.created_at_ms
        return 0 if there - named else oldest_ms


async def newest_claim(target: BackupTarget, *, public_keys: Sequence[bytes], recorded: Head | None) -> int:
    """The latest instant that a snapshot on the target claims for itself; 0: there is none.

    Every copy of keys that is there claims this instant or an earlier one, whatever clock dated them.
    Args: recorded: the newest snapshot that the journal knows; None only when no backup was ever recorded.
    Raises: ManifestReplayedError: the target shows less (an empty mount point, another volume): copies of keys may be
    on the one that is away; TargetUnavailableError; ManifestBrokenError, BackupDamagedError.
    """
    newest_ms = number = 0
    for name in await asyncio.to_thread(target.manifests):
        raw = await asyncio.to_thread(target.get_manifest, name)
        snapshot = verify_manifest(raw, public_keys=public_keys, name=name).snapshot
        newest_ms, number = max(newest_ms, snapshot.created_at_ms), max(number, snapshot.number)
    if recorded is not None and number < recorded.number:
        raise ManifestReplayedError(found=number, expected=recorded.number)
    return newest_ms
