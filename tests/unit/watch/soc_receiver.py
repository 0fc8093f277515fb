"""A SOC's collector on this machine: mutual TLS, lines counted in octets; it can be slow, or end at once."""

from __future__ import annotations

import datetime as dt
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


@dataclass(frozen=True)
class Papers:
    """PEM files of one authority, of its server ``localhost`` and of its client."""

    authority: Path
    server: Path
    server_key: Path
    client: Path
    client_key: Path


@dataclass
class Collector:
    """What came, as raw messages. pause_s: between two reads; how: ``end`` (close_notify), ``bare`` (no word),
    ``reset`` (ends without having read), ``early`` (says the end without having read)."""

    port: int = 0
    came: list[bytes] = field(default_factory=list)
    pause_s: float = 0.0
    how: str = "end"

    def indexes(self, source: str = "journal") -> list[int]:
        """Of what came of one source, in order, duplicates too."""
        found = [re.search(rb'hygie - %s \[.*? index="(\d+)"' % source.encode(), one) for one in self.came]
        return [int(one[1]) for one in found if one is not None]


def papers(folder: Path) -> Papers:
    folder.mkdir(parents=True, exist_ok=True)
    root_key, root = _made("authority", None, None)
    files: dict[str, Path] = {"authority": folder / "authority.pem"}
    files["authority"].write_bytes(root.public_bytes(serialization.Encoding.PEM))
    for name in ("server", "client"):
        key, one = _made(name, root_key, root)
        files[name], files[f"{name}_key"] = folder / f"{name}.pem", folder / f"{name}.key"
        files[name].write_bytes(one.public_bytes(serialization.Encoding.PEM))
        plain = serialization.NoEncryption()
        pem, kind = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        files[f"{name}_key"].write_bytes(key.private_bytes(pem, kind, plain))
        files[f"{name}_key"].chmod(0o600)
    return Papers(**files)


def _made(
    name: str, signer: ec.EllipticCurvePrivateKey | None, above: x509.Certificate | None
) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    root = signer is None
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if above is None else above.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=root, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key((signer or key).public_key()), critical=False)
        .add_extension(x509.KeyUsage(not root, False, False, False, False, root, root, False, False), critical=True)
    )
    if not root:
        purpose = ExtendedKeyUsageOID.SERVER_AUTH if name == "server" else ExtendedKeyUsageOID.CLIENT_AUTH
        made = made.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    return key, made.sign(signer or key, hashes.SHA256())


@contextmanager
def collecting(files: Papers, *, port: int = 0, into: Collector | None = None) -> Iterator[Collector]:
    """A collector that runs; ``into`` keeps what an earlier one got."""
    told = into or Collector()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.server, files.server_key)
    context.load_verify_locations(files.authority)
    context.verify_mode = ssl.CERT_REQUIRED
    listener = socket.create_server(("127.0.0.1", port))
    told.port = listener.getsockname()[1]
    links: list[socket.socket] = []

    def serve(link: socket.socket) -> None:
        with (
            suppress(OSError, ValueError),
            context.wrap_socket(link, server_side=True) as secure,
        ):
            links.append(secure)
            if told.how in ("reset", "early"):
                if told.how == "early":
                    secure.settimeout(0.2)
                    with suppress(OSError):
                        secure.unwrap()
                time.sleep(0.1)
                return
            rest = b""
            while data := secure.recv(65536):
                time.sleep(told.pause_s)
                rest += data
                while (found := re.match(rb"(\d+) ", rest)) and len(rest) >= found.end() + int(found[1]):
                    end = found.end() + int(found[1])
                    told.came.append(rest[found.end() : end])
                    rest = rest[end:]
            if told.how == "end":
                secure.unwrap()

    def accept() -> None:
        with suppress(OSError):
            while True:
                link, _ = listener.accept()
                threading.Thread(target=serve, args=(link,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield told
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for link in links:
            with suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)
