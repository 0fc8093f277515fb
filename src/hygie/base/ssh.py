"""OpenSSH's bytes: public keys, user certificates and revocation lists, read and written. Pure, no key, no clock.

Sources: RFC 4251, section 5 (data types); OpenSSH PROTOCOL.certkeys (certificates) and PROTOCOL.krl (revocation lists).
A certificate is a *body* (everything that is signed) and a signature. Only what Hygie makes is read: user certificates
of Ed25519 keys, held in software or on a security key, signed by an Ed25519 authority.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

ED25519 = "ssh-ed25519"
SECURITY_KEY = "sk-ssh-ed25519@openssh.com"
CERTIFICATE_OF = {
    ED25519: "ssh-ed25519-cert-v01@openssh.com",
    SECURITY_KEY: "sk-ssh-ed25519-cert-v01@openssh.com",
}
USER = 1  # SSH2_CERT_TYPE_USER
NONCE_BYTES = 32
KEY_BYTES = 32
LINE_BYTES_MAX = 4_096  # of a public key file: an Ed25519 key with its comment is under 200
BODY_BYTES_MAX = 16_384
FORCE_COMMAND = "force-command"
SOURCE_ADDRESS = "source-address"
PERMIT_PTY = "permit-pty"
_KRL_MAGIC = 0x5353484B524C0A00
_KRL_CERTIFICATES = 1
_KRL_KEY_IDS = 0x23


class SshFormatError(ValueError):
    """Bytes that are not of these formats. Its text names the part, never the value."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A person's public key. fields: its SSH strings after the type, as they stand in a certificate."""

    type: str
    fields: bytes

    @property
    def blob(self) -> bytes:
        """The key as SSH writes it."""
        return text(self.type) + self.fields

    @property
    def print(self) -> str:
        """Its fingerprint, as ``ssh-keygen -l`` shows it."""
        return fingerprint(self.blob)


@dataclass(frozen=True, slots=True)
class CertificateBody:
    """What the authority signs. valid_after_s, valid_before_s: UTC seconds, the end excluded; critical: options by
    name; extensions: names without a value; authority: its Ed25519 public key, 32 bytes."""

    key: PublicKey
    nonce: bytes
    serial: int
    key_id: str
    principals: tuple[str, ...]
    valid_after_s: int
    valid_before_s: int
    critical: Mapping[str, str]
    authority: bytes
    extensions: tuple[str, ...] = ()
    kind: int = field(default=USER)

    def encoded(self) -> bytes:
        """The bytes that are signed (PROTOCOL.certkeys, "New public key formats")."""
        critical = b"".join(text(name) + string(text(self.critical[name])) for name in sorted(self.critical))
        extensions = b"".join(text(name) + string(b"") for name in sorted(self.extensions))
        return b"".join(
            (
                text(CERTIFICATE_OF[self.key.type]),
                string(self.nonce),
                self.key.fields,
                struct.pack(">QI", self.serial, self.kind),
                text(self.key_id),
                string(b"".join(map(text, self.principals))),
                struct.pack(">QQ", self.valid_after_s, self.valid_before_s),
                string(critical),
                string(extensions),
                string(b""),
                string(authority_blob(self.authority)),
            )
        )


def string(value: bytes) -> bytes:
    """An SSH ``string``."""
    return struct.pack(">I", len(value)) + value


def text(value: str) -> bytes:
    """The same of text."""
    return string(value.encode())


def fingerprint(blob: bytes) -> str:
    """``SHA256:…`` of a key's blob, without padding."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def authority_blob(public_key: bytes) -> bytes:
    """An Ed25519 public key as SSH writes it."""
    return text(ED25519) + string(public_key)


def public_line(public_key: bytes, comment: str) -> str:
    """An Ed25519 public key as a line of ``TrustedUserCAKeys`` or of a ``.pub`` file."""
    return f"{ED25519} {base64.b64encode(authority_blob(public_key)).decode()} {comment}"


def read_public_line(line: bytes) -> PublicKey:
    """The key of a ``.pub`` file.

    Raises: SshFormatError: too long, more than one line, another type, a certificate, or bytes that do not add up.
    """
    if len(line) > LINE_BYTES_MAX or b"\0" in line:
        raise SshFormatError("length")
    words = line.strip().split(None, 2)
    if len(words) < 2 or b"\n" in line.strip() or words[0].decode("ascii", "replace") not in CERTIFICATE_OF:
        raise SshFormatError("type")
    try:
        blob = base64.b64decode(words[1], validate=True)
    except binascii.Error as error:
        raise SshFormatError("base64") from error
    reader = _Reader(blob)
    if reader.string() != words[0]:
        raise SshFormatError("type")
    key = _key(words[0].decode(), reader)
    reader.end()
    return key


def read_body(data: bytes) -> CertificateBody:
    """The body of a certificate, and only the bytes that ``encoded`` makes of it.

    Raises: SshFormatError: anything else.
    """
    if len(data) > BODY_BYTES_MAX:
        raise SshFormatError("length")
    reader = _Reader(data)
    types = {name: key for key, name in CERTIFICATE_OF.items()}
    type_ = types.get(reader.text())
    if type_ is None:
        raise SshFormatError("type")
    nonce = reader.string()
    key = _key(type_, reader)
    serial, kind = reader.number(8), reader.number(4)
    key_id = reader.text()
    principals = tuple(each.decode() for each in _Reader(reader.string()).strings())
    after_s, before_s = reader.number(8), reader.number(8)
    critical = _options(reader.string())
    extensions = _options(reader.string())
    reserved, authority = reader.string(), _Reader(reader.string())
    reader.end()
    if reserved or authority.text() != ED25519:
        raise SshFormatError("authority")
    public = authority.string()
    body = CertificateBody(
        *(key, nonce, serial, key_id, principals, after_s, before_s),
        {name: _Reader(value).text() for name, value in critical.items()},
        public,
        tuple(extensions),
        kind,
    )
    if len(public) != KEY_BYTES or body.encoded() != data:
        raise SshFormatError("canonical")
    return body


def certificate_line(body: bytes, signature: bytes, comment: str) -> str:
    """A certificate as a ``-cert.pub`` file. Args: body: signed bytes; signature: Ed25519, 64 bytes."""
    blob = body + string(text(ED25519) + string(signature))
    return f"{_Reader(body).text()} {base64.b64encode(blob).decode()} {comment}\n"


def revocation_list(authority: bytes, key_ids: Sequence[str], *, version: int, at_s: int) -> bytes:
    """A key revocation list that refuses every certificate of this authority with one of these key ids.

    Source: PROTOCOL.krl, sections 1 to 3. Not signed: sshd trusts the file, as it trusts the list of authorities.
    """
    head = struct.pack(">QIQQQ", _KRL_MAGIC, 1, version, at_s, 0) + string(b"") + text("hygie")
    if not key_ids:
        return head
    ids = b"".join(map(text, sorted(set(key_ids))))
    section = string(authority_blob(authority)) + string(b"") + bytes((_KRL_KEY_IDS,)) + string(ids)
    return head + bytes((_KRL_CERTIFICATES,)) + string(section)


def _key(type_: str, reader: _Reader) -> PublicKey:
    key = reader.string()
    if len(key) != KEY_BYTES:
        raise SshFormatError("key")
    fields = string(key)
    if type_ == SECURITY_KEY:
        application = reader.string()
        if not application.startswith(b"ssh:") or len(application) > 255:
            raise SshFormatError("application")
        fields += string(application)
    return PublicKey(type_, fields)


def _options(data: bytes) -> dict[str, bytes]:
    items = _Reader(data).strings()
    if len(items) % 2:
        raise SshFormatError("options")
    return {name.decode(): value for name, value in zip(items[::2], items[1::2], strict=True)}


class _Reader:
    """SSH data types from the front of some bytes. Every method raises SshFormatError when they are too short."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def number(self, size: int) -> int:
        return int.from_bytes(self._take(size), "big")

    def string(self) -> bytes:
        return self._take(self.number(4))

    def text(self) -> str:
        try:
            return self.string().decode()
        except UnicodeDecodeError as error:
            raise SshFormatError("text") from error

    def strings(self) -> list[bytes]:
        found = []
        while self._at < len(self._data):
            found.append(self.string())
            _as_text(found[-1])
        return found

    def end(self) -> None:
        if self._at != len(self._data):
            raise SshFormatError("length")

    def _take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._data):
            raise SshFormatError("length")
        taken, self._at = self._data[self._at : end], end
        return taken


def _as_text(value: bytes) -> None:
    try:
        value.decode()
    except UnicodeDecodeError as error:
        raise SshFormatError("text") from error
