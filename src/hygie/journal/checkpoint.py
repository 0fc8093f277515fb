"""Checkpoints: C2SP signed notes over a tree head, and the witness's cosignatures.

Pure; verification needs ``cryptography`` for Ed25519.  Sources: https://c2sp.org/signed-note (text, key ids, verifier
keys), https://c2sp.org/tlog-checkpoint (the three lines), https://c2sp.org/tlog-cosignature (cosignature/v1).
Decoders refuse what is not canonical; unknown signatures are ignored, as the specifications ask.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hygie.journal.errors import CheckpointInvalidError, VerifierKeyError

ED25519 = 0x01
COSIGNATURE_V1 = 0x04
NOTE_BYTES_MAX = 64 * 1024
SIGNATURES_MAX = 64  # the specification asks for at least 16
TREE_SIZE_MAX = 2**63 - 1
TIME_S_MAX = 253_402_300_799  # 9999-12-31T23:59:59Z: no calendar goes further
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_DASH = "\u2014 "
_Message = Callable[[bytes], tuple[bytes, bytes]]


def key_id(name: str, kind: int, public_key: bytes) -> bytes:
    """The four bytes that name a key: SHA-256(name, newline, type, public key)[:4]."""
    return hashlib.sha256(name.encode() + b"\n" + bytes((kind,)) + public_key).digest()[:4]


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key as a signed note names it. kind: 0x01 a log's Ed25519, 0x04 a witness's cosignature/v1."""

    name: str
    kind: int
    public_key: bytes

    @property
    def key_id(self) -> bytes:
        """The four bytes that name this key in signature lines."""
        return key_id(self.name, self.kind, self.public_key)

    def encode(self) -> str:
        """``name+hexadecimal key id+base64(type, public key)``, as Go's note package writes it."""
        return f"{self.name}+{self.key_id.hex()}+{_b64(bytes((self.kind,)) + self.public_key)}"

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Read a verifier key.

        Raises: VerifierKeyError: malformed, unknown type, or a key id that is not the key's.
        """
        try:
            name, id_hex, raw = text.strip().split("+", 2)
            material = base64.b64decode(raw, validate=True)
            if len(material) != 33 or material[0] not in (ED25519, COSIGNATURE_V1):
                raise VerifierKeyError(reason="unknown type of key", setting="verifier key")
            key = cls(name, material[0], material[1:])
        except (ValueError, binascii.Error) as error:
            raise VerifierKeyError(reason="not a verifier key", setting="verifier key") from error
        if key.key_id.hex() != id_hex or not valid_name(name):
            raise VerifierKeyError(reason="name or key id mismatch", setting="verifier key")
        return key


class Note(NamedTuple):
    """A signed note: the text with its final newline, and (key name, key id, signature) of each line."""

    text: bytes
    signatures: list[tuple[str, bytes, bytes]]


class Checkpoint(NamedTuple):
    """A tree head: the log's name, how many leaves, their root."""

    origin: str
    size: int
    root: bytes


def valid_name(name: str) -> bool:
    """A key name: not empty, no space of any kind, no plus, no control character."""
    return bool(name) and "+" not in name and name.isprintable() and not any(letter.isspace() for letter in name)


def note_text(checkpoint: Checkpoint) -> bytes:
    """The bytes that are signed: three lines, no extension."""
    return f"{checkpoint.origin}\n{checkpoint.size}\n{_b64(checkpoint.root)}\n".encode()


def signature_line(name: str, id_: bytes, signature: bytes) -> bytes:
    """One signature line, newline included."""
    return f"{_DASH}{name} {_b64(id_ + signature)}\n".encode()


def signed_note(text: bytes, *lines: bytes) -> bytes:
    """A note from its text and its signature lines."""
    return b"".join((text, b"\n", *lines))


def cosigned_message(text: bytes, at_s: int) -> bytes:
    """What a witness signs: the header, the time in seconds, the whole text."""
    return b"cosignature/v1\ntime %d\n" % at_s + text


def cosignature_line(key: VerifierKey, at_s: int, signature: bytes) -> bytes:
    """A witness's signature line: the time on eight bytes goes before the signature."""
    return signature_line(key.name, key.key_id, at_s.to_bytes(8, "big") + signature)


def parse_note(data: bytes) -> Note:
    """Split a signed note.

    Raises: CheckpointInvalidError: too large, not UTF-8, control characters, no signature, or not canonical base64.
    """
    if len(data) > NOTE_BYTES_MAX:
        raise CheckpointInvalidError(reason="too large")
    try:
        content = data.decode()
    except UnicodeDecodeError as error:
        raise CheckpointInvalidError(reason="encoding") from error
    if any(letter < " " and letter != "\n" for letter in content):
        raise CheckpointInvalidError(reason="control character")
    text, separator, tail = content.rpartition("\n\n")
    if not separator or not tail.endswith("\n"):
        raise CheckpointInvalidError(reason="layout")
    lines = tail[:-1].split("\n")
    if len(lines) > SIGNATURES_MAX:
        raise CheckpointInvalidError(reason="too many signatures")
    return Note(text.encode() + b"\n", [parse_signature_line(line) for line in lines])


def parse_signature_line(line: str) -> tuple[str, bytes, bytes]:
    """(key name, key id, signature) of one line without its newline.

    Raises: CheckpointInvalidError.
    """
    if not line.startswith(_DASH):
        raise CheckpointInvalidError(reason="signature line")
    name, _, encoded = line[len(_DASH) :].partition(" ")
    raw = _unb64(encoded)
    if not valid_name(name) or len(raw) < 5:
        raise CheckpointInvalidError(reason="signature line")
    return name, raw[:4], raw[4:]


def parse_checkpoint(text: bytes) -> Checkpoint:
    """Read the text of a checkpoint. Trust it only once a signature is verified.

    Raises: CheckpointInvalidError: fewer than three lines, a size not canonical, a root not of 32 bytes.
    """
    lines = text.decode().split("\n")
    if len(lines) < 4 or lines[-1] or not all(lines[:-1]):
        raise CheckpointInvalidError(reason="layout")
    origin, size, root = lines[0], lines[1], _unb64(lines[2])
    if not _SIZE.fullmatch(size) or int(size) > TREE_SIZE_MAX:
        raise CheckpointInvalidError(reason="size")
    if len(root) != 32:
        raise CheckpointInvalidError(reason="root")
    return Checkpoint(origin, int(size), root)


def verify_checkpoint(note: bytes, *, log_key: VerifierKey, origin: str | None = None) -> Checkpoint:
    """The tree head of a note signed by the log.

    Args: origin: the expected first line; by default the key's name.
    Raises: CheckpointInvalidError: no signature of this key, a false one, or another log's name.
    """
    parsed = parse_note(note)
    _verify(log_key, parsed, lambda signature: (signature, parsed.text), size=64)
    checkpoint = parse_checkpoint(parsed.text)
    if checkpoint.origin != (origin or log_key.name):
        raise CheckpointInvalidError(reason="origin")
    return checkpoint


def verify_cosignature(note: bytes, *, witness_key: VerifierKey) -> int:
    """When the witness cosigned a note, seconds UTC.

    Raises: CheckpointInvalidError: no cosignature of this key, a false one, or one beyond the year 9999.
    """
    parsed = parse_note(note)

    def message(signature: bytes) -> tuple[bytes, bytes]:
        return signature[8:], cosigned_message(parsed.text, int.from_bytes(signature[:8], "big"))

    at_s = int.from_bytes(_verify(witness_key, parsed, message, size=72)[:8], "big")
    if at_s > TIME_S_MAX:
        raise CheckpointInvalidError(reason="time")
    return at_s


def _verify(key: VerifierKey, note: Note, message: _Message, *, size: int) -> bytes:
    """Verify every signature of a key (one false one refuses the note); give the first."""
    wanted = (key.name, key.key_id)
    found = [signature for name, id_, signature in note.signatures if (name, id_) == wanted]
    if not found:
        raise CheckpointInvalidError(reason="not signed by the expected key")
    public_key = Ed25519PublicKey.from_public_bytes(key.public_key)
    for raw in found:
        if len(raw) != size:
            raise CheckpointInvalidError(reason="signature length")
        signature, signed = message(raw)
        try:
            public_key.verify(signature, signed)
        except InvalidSignature as error:
            raise CheckpointInvalidError(reason="false signature") from error
    return found[0]


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _unb64(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error) as error:
        raise CheckpointInvalidError(reason="base64") from error
    if base64.b64encode(raw).decode() != text:
        raise CheckpointInvalidError(reason="base64")
    return raw
