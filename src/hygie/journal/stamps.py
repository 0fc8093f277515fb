"""Timestamps of checkpoints by an authority of another house (RFC 3161): asked, verified, kept.

Source: docs/formats/dossier.md v1, "Timestamps". Nothing is asked unless an authority is set.
"""

from __future__ import annotations

import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
from cryptography import x509

from hygie.base.clock import month_of
from hygie.base.files import make_private_folder, write_durably
from hygie.journal.errors import TimestampInvalidError, TimestampUnavailableError

FORMAT = "hygie timestamp 1"
ANSWER_BYTES_MAX = 64 * 1024  # a token with its certificates is some 5 kB
AUTHORITY_S_MAX = 20.0
_QUERY = "application/timestamp-query"


class Stamp(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A stamped checkpoint. at_ms: when it was asked, UTC; note: the signed note; token: TimeStampResp, DER; roots:
    PEM, what it was verified with."""

    format: str
    at_ms: int
    size: Annotated[int, msgspec.Meta(ge=0)]
    note: bytes
    token: bytes
    roots: bytes


@dataclass(frozen=True, slots=True)
class Authority:
    """Who stamps. url: over HTTP (RFC 3161, section 3.4); or command: a program that reads a request on its input and
    writes the answer; roots: root certificates, PEM."""

    url: str | None
    command: Sequence[str] | None
    roots: bytes

    def stamp(self, data: bytes) -> bytes:
        """Have these bytes stamped. Returns TimeStampResp, DER, verified.

        Raises: TimestampUnavailableError: nobody answers; TimestampInvalidError: the answer does not hold.
        """
        from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

        builder = TimestampRequestBuilder().data(data).hash_algorithm(HashAlgorithm.SHA256)
        request = builder.nonce(nonce=True).cert_request(cert_request=True).build()
        answer = self._ask(request.as_bytes())
        if len(answer) > ANSWER_BYTES_MAX:
            raise TimestampInvalidError(reason="too long")
        _verify(answer, data, self.roots, request.nonce)
        return answer

    def _ask(self, request: bytes) -> bytes:
        if self.command is not None:
            return _ask_command(self.command, request)
        assert self.url is not None
        asked = urllib.request.Request(self.url, data=request, headers={"Content-Type": _QUERY})  # noqa: S310 (a setting)
        try:
            with urllib.request.urlopen(asked, timeout=AUTHORITY_S_MAX) as answer:  # noqa: S310
                return bytes(answer.read(ANSWER_BYTES_MAX + 1))
        except (OSError, urllib.error.URLError, ValueError) as error:
            raise TimestampUnavailableError(reason=type(error).__name__) from error


def _verify(answer: bytes, data: bytes, roots: bytes, nonce: int | None) -> None:
    from rfc3161_client import VerificationError, VerifierBuilder, decode_timestamp_response

    try:
        builder = VerifierBuilder()
        for root in x509.load_pem_x509_certificates(roots):
            builder = builder.add_root_certificate(root)
        if nonce is not None:
            builder = builder.nonce(nonce)
        builder.build().verify_message(decode_timestamp_response(answer), data)
    except (VerificationError, ValueError) as error:
        raise TimestampInvalidError(reason=type(error).__name__) from error


def _ask_command(command: Sequence[str], request: bytes) -> bytes:
    try:
        done = subprocess.run(  # noqa: S603 (a setting of the operator)
            list(command), input=request, capture_output=True, timeout=AUTHORITY_S_MAX, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise TimestampUnavailableError(reason=type(error).__name__) from error
    return done.stdout


def keep_stamp(folder: Path, stamp: Stamp) -> Path:
    """Write one stamp under its month. Returns its file. Raises: OSError."""
    place = folder / month_of(stamp.at_ms)
    make_private_folder(place)
    path = place / f"{stamp.at_ms:016d}-{stamp.size}.json"
    write_durably(path, msgspec.json.encode(stamp) + b"\n")
    return path


def stamps_from(folder: Path, at_ms: int) -> Iterator[Stamp]:
    """The stamps asked at an instant or after it, oldest first; what cannot be read is passed over."""
    if not folder.is_dir():
        return
    for month in sorted(one for one in folder.iterdir() if one.name >= month_of(at_ms)):
        for path in sorted(month.glob("*-*.json")):
            if path.name >= f"{at_ms:016d}" and (stamp := _read(path)) is not None:
                yield stamp


def last_stamp(folder: Path) -> Stamp | None:
    """The newest stamp, None when there is none."""
    if not folder.is_dir():
        return None
    for month in sorted(folder.iterdir(), reverse=True):
        for path in sorted(month.glob("*-*.json"), reverse=True):
            if (stamp := _read(path)) is not None:
                return stamp
    return None


def new_stamp(authority: Authority, note: bytes, size: int, at_ms: int) -> Stamp:
    """Have a checkpoint's note stamped. Raises: as :meth:`Authority.stamp`."""
    return Stamp(FORMAT, at_ms, size, note, authority.stamp(note), authority.roots)


def check_stamp(stamp: Stamp) -> None:
    """Verify a kept stamp again. Raises: TimestampInvalidError."""
    _verify(stamp.token, stamp.note, stamp.roots, None)


def _read(path: Path) -> Stamp | None:
    try:
        stamp = msgspec.json.decode(path.read_bytes(), type=Stamp)
    except (OSError, msgspec.DecodeError):
        return None
    return stamp if stamp.format == FORMAT else None
