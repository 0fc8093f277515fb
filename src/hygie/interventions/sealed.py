"""A recording under its seal: it opens as itself, for its own client, under the key of its class and month.

A terminal may have shown health data, so a recording is held as such. The key is the month key of the journal's class
of its entry (``base.seal`` derives a fresh one from it): when that class's retention ends and the key is destroyed, the
recording ends with its entry, in every copy. It is not the entry's own seal: the meaning differs.
"""

from __future__ import annotations

from hygie.base.canonical import canonical
from hygie.base.seal import SealBrokenError, open_sealed, seal
from hygie.interventions.errors import RecordingDamagedError
from hygie.interventions.iolog import BYTES_MAX, LOG_BYTES_MAX, Recording, open_archive
from hygie.interventions.naming import digest_of

ARCHIVE_BYTES_MAX = BYTES_MAX + LOG_BYTES_MAX + 1024


def meaning_of(tenant_id: bytes, kind: str, month: str, key: str) -> bytes:
    """What a sealed recording is: of which client, class, month and session."""
    return canonical("hygie session recording v1", tenant_id, kind, month, key)


def seal_recording(archive: bytes, *, month_key: bytes, meaning: bytes) -> bytes:
    """The archive, compressed and sealed."""
    return seal(archive, key=month_key, meaning=meaning)


def open_recording(sealed: bytes, *, month_key: bytes, meaning: bytes, sha256: str) -> Recording:
    """A recording, held to the digest that its record tells. Raises: RecordingDamagedError."""
    try:
        archive = open_sealed(sealed, key=month_key, meaning=meaning, bytes_max=ARCHIVE_BYTES_MAX)
    except SealBrokenError as error:
        raise RecordingDamagedError(reason="seal") from error
    if digest_of(archive) != sha256:
        raise RecordingDamagedError(reason="sha256")
    return open_archive(archive)
