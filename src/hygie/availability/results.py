"""What a probe elsewhere saw, as a file: one signed line a minute and place, each naming the line before it.

Source: docs/formats/probe-results.md v1.  A line cannot be altered, taken out or put in without the probe's key; the
end of a file can be cut off, and the minutes that it lacks are then those of the platform's own probe.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from hygie.availability.ask import Seen
from hygie.availability.errors import ProbeTargetError, ResultsInvalidError
from hygie.base.canonical import canonical
from hygie.base.files import write_durably

FILE_BYTES_MAX = 256 * 1024 * 1024  # a year of some places
LINE_BYTES_MAX = 1_024
SEED_BYTES = 32
FIRST = "0" * 64
LABEL = "hygie probe result v1"

Hex64 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]


class Line(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One place in one minute. door: ``host:port`` as the probe was told; previous: SHA-256 of what the line before
    signed, zeros in the first; signature: Ed25519, in hexadecimal."""

    v: Literal[1] = 1
    door: Annotated[str, msgspec.Meta(max_length=300)]
    place: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,62}/[a-z0-9][a-z0-9-]{0,62}$")]
    minute: Annotated[int, msgspec.Meta(ge=0, le=2**40)]
    state: Literal["up", "slow", "down"]
    reason: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]{1,40}$")]
    ms: Annotated[int, msgspec.Meta(ge=0, le=10**7)]
    previous: Hex64
    signature: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{128}$")] = "0" * 128

    def signed(self) -> bytes:
        """What the signature is over."""
        return canonical(
            LABEL, self.door, self.place, self.minute, self.state, self.reason, self.ms, bytes.fromhex(self.previous)
        )


@dataclass(frozen=True, slots=True)
class Results:
    """What a file says. source: the probe's name; digest: SHA-256 of the file; minutes: (minute, state, reason, ms), by
    place, in the order of the file."""

    source: str
    digest: bytes
    minutes: Mapping[str, Sequence[tuple[int, str, str, int]]]


class ResultsWriter:
    """Adds lines to a file, going on where it ends.

    Raises: ProbeTargetError: the key's file is none, or others may read it; ResultsInvalidError: the file's last line
    is none; OSError.
    """

    def __init__(self, path: Path, key: Path) -> None:
        self._path = path
        self._key = _load_key(key)
        self._previous = _end_of(path)

    @property
    def public_key(self) -> str:
        """In hexadecimal, as settings take it."""
        return self._key.public_key().public_bytes_raw().hex()

    def add(self, door: str, place: str, minute: int, seen: Seen) -> None:
        """Write one line, durably. Raises: OSError."""
        line = Line(
            door=door,
            place=place,
            minute=minute,
            state=seen.state,  # type: ignore[arg-type]  # of the three
            reason=seen.reason,
            ms=seen.ms,
            previous=self._previous,
        )
        message = line.signed()
        line = msgspec.structs.replace(line, signature=self._key.sign(message).hex())
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, msgspec.json.encode(line) + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self._previous = hashlib.sha256(message).hexdigest()


def read_results(path: Path, keys: Mapping[str, str], *, now_minute: int) -> Results:
    """A whole file, checked. Args: keys: public keys in hexadecimal, by the probe's name.

    Raises: ResultsInvalidError: by line: none of these keys signed it, it does not follow the one before, it is of a
    minute that is not over; OSError. A last line without its end, which a probe was writing, is left.
    """
    whole = hashlib.sha256()
    minutes: dict[str, list[tuple[int, str, str, int]]] = {}
    source, previous = "", FIRST
    for number, raw in _lines(path):
        whole.update(raw)
        try:
            line = msgspec.json.decode(raw, type=Line)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise ResultsInvalidError(line=number, reason="format") from None
        message = line.signed()
        if line.previous != previous:
            raise ResultsInvalidError(line=number, reason="chain")
        candidates = {source: keys[source]} if source else keys
        source = next((name for name, key in candidates.items() if _signed(key, line, message)), "")
        if not source:
            raise ResultsInvalidError(line=number, reason="signature")
        if line.minute >= now_minute:
            raise ResultsInvalidError(line=number, reason="future")
        previous = hashlib.sha256(message).hexdigest()
        minutes.setdefault(line.place, []).append((line.minute, line.state, line.reason, line.ms))
    return Results(source, whole.digest(), minutes)


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    read = 0
    with path.open("rb") as file:
        number = 0
        while raw := file.readline(LINE_BYTES_MAX + 1):
            number += 1
            read += len(raw)
            if len(raw) > LINE_BYTES_MAX or read > FILE_BYTES_MAX:
                raise ResultsInvalidError(line=number, reason="size")
            if not raw.endswith(b"\n"):
                return
            yield number, raw


def _signed(key: str, line: Line, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)).verify(bytes.fromhex(line.signature), message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _end_of(path: Path) -> str:
    """What the next line names. A torn end of a file, of a probe that was killed, is cut off first."""
    try:
        with path.open("r+b") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - 2 * LINE_BYTES_MAX, 0))
            tail = file.read()
            whole = tail[: tail.rfind(b"\n") + 1]
            file.truncate(size - len(tail) + len(whole))
    except FileNotFoundError:
        return FIRST
    if not whole:
        return FIRST
    try:
        line = msgspec.json.decode(whole.splitlines()[-1], type=Line)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise ResultsInvalidError(line="last", reason="format") from None
    return hashlib.sha256(line.signed()).hexdigest()


def _load_key(path: Path) -> Ed25519PrivateKey:
    try:
        seed = path.read_bytes()
    except FileNotFoundError:
        key = Ed25519PrivateKey.generate()
        write_durably(path, key.private_bytes_raw())
        return key
    if len(seed) != SEED_BYTES or path.stat().st_mode & 0o077:
        raise ProbeTargetError(reason="key")
    return Ed25519PrivateKey.from_private_bytes(seed)
