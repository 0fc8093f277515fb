"""The machine's own certificate: a local authority and a server certificate, for a first start without paperwork.

The operator's own certificate replaces it by two settings.  Clients trust ``ca.pem``; the authority's key signs
nothing but this server and never leaves the folder (0600).
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import ipaddress
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hygie.base.files import make_private_folder, write_durably
from hygie.server.errors import TlsFileError

PUBLIC_FILE = 0o644
AUTHORITY_DAYS = 3650
SERVER_DAYS = 397  # the longest that browsers accept for a server certificate
RENEW_BEFORE_DAYS = 30
CLOCK_SKEW = dt.timedelta(minutes=5)  # a client whose clock is a little late must still accept a new certificate


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """Where the server's certificate chain (PEM), its private key (PEM) and, if ours, the authority to trust are."""

    certificate: Path
    key: Path
    authority: Path | None = None


def own_certificate(folder: Path, names: Sequence[str], *, now: dt.datetime | None = None) -> CertificateFiles:
    """Make, renew or find the machine's own certificate in ``folder``.

    Args: names: host names and IP addresses clients use; ``localhost``, loopback addresses and this host's name are
    added.
    Returns: the files; the certificate is replaced when it ends within 30 days, lacks one of ``names`` or is not of the
    key beside it.
    Side effects: writes ``ca.pem``, ``ca.key``, ``server.pem``, ``server.key`` durably, keys readable by their owner
    only.
    Raises: TlsFileError: a file of the folder is not what was written.
    """
    at = now or dt.datetime.now(dt.UTC)
    make_private_folder(folder)
    files = CertificateFiles(folder / "server.pem", folder / "server.key", folder / "ca.pem")
    wanted = _alternative_names(names)
    with _alone(folder):
        authority, authority_key = _authority(folder, at)
        if not _still_good(files, authority, wanted, at):
            key = ec.generate_private_key(ec.SECP256R1())
            certificate = _server_certificate(authority, authority_key, key, wanted, at)
            write_durably(files.key, _key_pem(key))
            write_durably(files.certificate, _pem(certificate) + _pem(authority), mode=PUBLIC_FILE)
    return files


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time: several hosting processes start at once and must agree on one authority."""
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _authority(folder: Path, at: dt.datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    certificate_path, key_path = folder / "ca.pem", folder / "ca.key"
    if certificate_path.exists() and key_path.exists():
        try:
            certificate = x509.load_pem_x509_certificate(certificate_path.read_bytes())
            key = serialization.load_pem_private_key(key_path.read_bytes(), password=None)
        except (ValueError, TypeError) as error:  # TypeError: the key is encrypted
            raise TlsFileError(file="ca", reason="not a PEM certificate and key") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TlsFileError(file="ca.key", reason="not an elliptic curve key")
        own = key.public_key() == certificate.public_key()  # a power cut between their writes leaves a new key alone
        if own and certificate.not_valid_after_utc - at > dt.timedelta(days=SERVER_DAYS):
            return certificate, key
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _authority_certificate(key, at)
    write_durably(key_path, _key_pem(key))
    write_durably(certificate_path, _pem(certificate), mode=PUBLIC_FILE)
    return certificate, key


def _authority_certificate(key: ec.EllipticCurvePrivateKey, at: dt.datetime) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Hygie local authority")])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(at - CLOCK_SKEW)
        .not_valid_after(at + dt.timedelta(days=AUTHORITY_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(sign_certificates=True), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(key, hashes.SHA256())
    )


def _server_certificate(
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
    key: ec.EllipticCurvePrivateKey,
    names: list[x509.GeneralName],
    at: dt.datetime,
) -> x509.Certificate:
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Hygie")]))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(at - CLOCK_SKEW)
        .not_valid_after(at + dt.timedelta(days=SERVER_DAYS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _alternative_names(names: Sequence[str]) -> list[x509.GeneralName]:
    texts = dict.fromkeys([*names, "localhost", "127.0.0.1", "::1", socket.gethostname()])
    general: list[x509.GeneralName] = []
    for text in texts:
        if not text or text in {"0.0.0.0", "::"}:  # noqa: S104 (a listening address, not a name clients use)
            continue
        try:
            general.append(x509.IPAddress(ipaddress.ip_address(text)))
        except ValueError:
            if text.isascii():
                general.append(x509.DNSName(text))
    return general


def _still_good(
    files: CertificateFiles, authority: x509.Certificate, wanted: list[x509.GeneralName], at: dt.datetime
) -> bool:
    if not (files.certificate.exists() and files.key.exists()):
        return False
    try:
        certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        signed_by = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    except (ValueError, x509.ExtensionNotFound) as error:
        raise TlsFileError(file="server.pem", reason="not a server certificate") from error
    if certificate.not_valid_after_utc - at < dt.timedelta(days=RENEW_BEFORE_DAYS):
        return False
    own = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    return signed_by == own and set(wanted) <= set(names) and _is_of_key(certificate, files.key)


def _is_of_key(certificate: x509.Certificate, key: Path) -> bool:
    """Whether the two belong together: a power cut between their two writes leaves a new key beside an old one."""
    try:
        held = serialization.load_pem_private_key(key.read_bytes(), password=None)
    except (ValueError, TypeError) as error:  # TypeError: it is encrypted
        raise TlsFileError(file=key.name, reason="not a PEM key") from error
    return held.public_key() == certificate.public_key()


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
