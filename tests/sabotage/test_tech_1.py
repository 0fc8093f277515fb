"""tech-1: plaintext, weak TLS, swap in clear, keys beside the data, old keys."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import zstandard
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from hygie.base.hardening import swap_state
from hygie.base.settings import default_settings
from hygie.probes.tls import probe_tls
from hygie.proof.checks import tech_1
from hygie.proof.facts import Area, DiskScan, KeyFacts, TlsFacts
from hygie.proof.model import Context
from tests.sabotage.conftest import Broken

CONTEXT = Context(default_settings(), now_ms=int(datetime.now(UTC).timestamp() * 1000))
DAY_MS = 86_400_000
PATIENT = b'{"resourceType":"Patient","name":[{"family":"Durand"}]}'


def test_plaintext_in_a_log_is_red(broken: Broken) -> None:
    broken.green("tech-1.plaintext")
    for place, data in (
        ("logs/leak.log", PATIENT),
        ("sites/lyon/packs/leak.pack", b"\0" * 100 + zstandard.ZstdCompressor().compress(PATIENT * 5)),
        ("backup/objects/leak", PATIENT),
        ("postgres/base/leak", b"\0" * 8192 + PATIENT),
        ("kms/leak", PATIENT),
    ):
        leak = broken.made.data / place
        leak.parent.mkdir(exist_ok=True)
        leak.write_bytes(data)
        try:
            broken.red("tech-1.plaintext", "leak")
        finally:
            leak.unlink()
    broken.green("tech-1.plaintext")


def test_an_area_of_which_nothing_was_read_is_not_clean() -> None:
    read, unread = Area("logs", 1, 10, 10), Area("database", 0, 0, 1_000)
    assert tech_1.plaintext(DiskScan((read,), (), control=True), CONTEXT).verdict.value == "satisfied"
    assert tech_1.plaintext(DiskScan((read, unread), (), control=True), CONTEXT).verdict.value == "unknown"


def test_weak_tls_is_red(broken: Broken, tmp_path: Path) -> None:
    broken.green("tech-1.flows")
    good = _seen(tmp_path, "ECDHE+AESGCM")
    assert tech_1.flows(good, CONTEXT).verdict.value == "satisfied", good
    static = _seen(tmp_path, "AES128-GCM-SHA256:ECDHE+AESGCM")
    assert static.offers["TLS 1.2, RSA key exchange"] == "accepted"
    assert tech_1.flows(static, CONTEXT).verdict.value == "unsatisfied"
    assert _seen(tmp_path, "ECDHE+AES").offers["TLS 1.2, CBC"] == "accepted"
    old = _seen(tmp_path, "ALL:@SECLEVEL=0", oldest=ssl.TLSVersion.TLSv1)
    assert (old.offers["TLS 1.0"], old.offers["TLS 1.1"]) == ("accepted", "accepted")
    ending = _seen(tmp_path, "ECDHE+AESGCM", days=3)
    assert "ends in 3 d" in tech_1.flows(ending, CONTEXT).why.en
    stranger = _seen(tmp_path, "ECDHE+AESGCM", trusted=False)
    assert "not trust" in tech_1.flows(stranger, CONTEXT).why.en


def test_swap_in_clear_is_red(tmp_path: Path) -> None:
    (tmp_path / "swaps").write_text(
        "Filename\tType\tSize\tUsed\tPriority\n/dev/sda2                               partition\t999\t0\t-2\n"
    )
    state = swap_state(proc=tmp_path, sys_folder=tmp_path)
    assert tech_1.swap(state, CONTEXT).verdict.value == "unsatisfied"
    (tmp_path / "swaps").write_text("Filename\tType\tSize\tUsed\tPriority\n")
    assert tech_1.swap(swap_state(proc=tmp_path, sys_folder=tmp_path), CONTEXT).verdict.value == "satisfied"


def test_a_passphrase_beside_the_data_is_red(broken: Broken) -> None:
    broken.red("tech-1.custody", "beside the data")
    apart = _keys(root_at_ms=1, epoch_at_ms=1)
    assert tech_1.key_custody(apart, CONTEXT).verdict.value == "satisfied"
    for weak in (
        replace(apart, exportable=True),
        replace(apart, unwraps_recorded=False),
        replace(apart, beside="inside"),
    ):
        assert tech_1.key_custody(weak, CONTEXT).verdict.value == "unsatisfied"


def test_an_old_key_is_red(broken: Broken) -> None:
    broken.green("tech-1.rotation")
    broken.red("tech-1.rotation", "lasted too long", ahead_days=20)  # the epoch
    old = _keys(root_at_ms=CONTEXT.now_ms - 400 * DAY_MS, epoch_at_ms=CONTEXT.now_ms)
    assert tech_1.key_age(old, CONTEXT).verdict.value == "unsatisfied"
    late = _keys(root_at_ms=CONTEXT.now_ms, epoch_at_ms=CONTEXT.now_ms - 30 * DAY_MS)
    assert tech_1.key_age(late, CONTEXT).verdict.value == "unsatisfied"
    sealed = replace(_keys(root_at_ms=0, epoch_at_ms=0), sealed=True)  # it says nothing of its keys
    assert tech_1.key_age(sealed, CONTEXT).verdict.value == "unknown"


def _keys(*, root_at_ms: int, epoch_at_ms: int) -> KeyFacts:
    return KeyFacts("hsm", False, "shares", True, False, root_at_ms, 1, root_at_ms, epoch_at_ms, "typed")


def _seen(
    folder: Path, ciphers: str, *, oldest: ssl.TLSVersion | None = None, days: float = 60, trusted: bool = True
) -> TlsFacts:
    """What the probe sees of a server with these ciphers and this oldest version."""
    certificate = _rsa_certificate(folder / "server.pem", days)
    authority = certificate if trusted else _rsa_certificate(folder / "other.pem", days)
    with _server(certificate, ciphers, oldest) as port:
        return probe_tls("127.0.0.1", port, authority)


def _rsa_certificate(path: Path, days: float) -> Path:
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, path.stem)])
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=days, hours=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(secret + made.public_bytes(serialization.Encoding.PEM))
    return path


@contextmanager
def _server(certificate: Path, ciphers: str, oldest: ssl.TLSVersion | None) -> Iterator[int]:
    """A server of ours, as weak as told."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.set_ciphers(ciphers)
    if oldest is None:
        context.minimum_version = ssl.TLSVersion.TLSv1_2
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # that is the point
            context.minimum_version = oldest
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            try:
                with context.wrap_socket(connection, server_side=True) as wrapped:
                    wrapped.settimeout(2)
                    wrapped.recv(1)
            except OSError:
                connection.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)
