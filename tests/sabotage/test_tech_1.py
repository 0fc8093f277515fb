"""tech-1: plaintext, weak TLS, swap in clear, keys beside the data, old keys."""

from __future__ import annotations

import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from hygie.base.hardening import swap_state
from hygie.base.settings import default_settings
from hygie.probes.tls import probe_tls
from hygie.proof.checks import tech_1
from hygie.proof.facts import KeyFacts
from hygie.proof.model import Context
from tests.acceptance.conftest import free_port
from tests.sabotage.conftest import Broken

CONTEXT = Context(default_settings(), now_ms=int(datetime.now(UTC).timestamp() * 1000))
DAY_MS = 86_400_000


def test_plaintext_in_a_log_is_red(broken: Broken) -> None:
    assert broken.verdict("tech-1.plaintext") == "satisfied"
    leak = broken.made.data / "logs" / "leak.log"
    leak.write_text('{"resourceType":"Patient","name":[{"family":"Durand"}]}')
    try:
        assert broken.verdict("tech-1.plaintext") == "unsatisfied"
    finally:
        leak.unlink()


def test_weak_tls_is_red(broken: Broken, tmp_path: Path) -> None:
    assert broken.verdict("tech-1.flows") == "satisfied"
    certificate = _rsa_certificate(tmp_path)
    port = free_port()
    stop = _weak_server(certificate, port)
    try:
        outcome = tech_1.flows(probe_tls("127.0.0.1", port, certificate), CONTEXT)
    finally:
        stop()
    assert outcome.verdict.value == "unsatisfied"


def test_swap_in_clear_is_red(tmp_path: Path) -> None:
    (tmp_path / "swaps").write_text(
        "Filename\tType\tSize\tUsed\tPriority\n/dev/sda2                               partition\t999\t0\t-2\n"
    )
    state = swap_state(proc=tmp_path, sys_folder=tmp_path)
    assert tech_1.swap(state, CONTEXT).verdict.value == "unsatisfied"
    (tmp_path / "swaps").write_text("Filename\tType\tSize\tUsed\tPriority\n")
    assert tech_1.swap(swap_state(proc=tmp_path, sys_folder=tmp_path), CONTEXT).verdict.value == "satisfied"


def test_a_passphrase_beside_the_data_is_red(broken: Broken) -> None:
    finding = broken.finding("tech-1.custody")
    assert finding.verdict.value == "unsatisfied"
    assert "passe" in finding.outcome.why.fr


def test_an_old_key_is_red(broken: Broken) -> None:
    assert broken.verdict("tech-1.rotation") == "satisfied"
    old = _keys(root_at_ms=CONTEXT.now_ms - 400 * DAY_MS, epoch_at_ms=CONTEXT.now_ms)
    assert tech_1.key_age(old, CONTEXT).verdict.value == "unsatisfied"
    late = _keys(root_at_ms=CONTEXT.now_ms, epoch_at_ms=CONTEXT.now_ms - 30 * DAY_MS)
    assert tech_1.key_age(late, CONTEXT).verdict.value == "unsatisfied"


def _keys(*, root_at_ms: int, epoch_at_ms: int) -> KeyFacts:
    return KeyFacts("hsm", False, "shares", True, False, root_at_ms, 1, root_at_ms, epoch_at_ms, "typed")


def _rsa_certificate(folder: Path) -> Path:
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .sign(key, hashes.SHA256())
    )
    path = folder / "weak.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(secret + made.public_bytes(serialization.Encoding.PEM))
    return path


def _weak_server(certificate: Path, port: int):
    """A server that takes key exchange without forward secrecy."""
    import socket

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AES128-GCM-SHA256:ECDHE+AESGCM")
    listener = socket.create_server(("127.0.0.1", port))

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

    def stop() -> None:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)

    return stop
