"""SSH bytes as OpenSSH itself reads them: certificates, revocation lists, public keys."""

from __future__ import annotations

import base64
import shutil
import subprocess
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import SSHCertificate, load_ssh_public_identity
from hypothesis import given
from hypothesis import strategies as st

from hygie.base.ssh import (
    CERTIFICATE_OF,
    ED25519,
    SECURITY_KEY,
    CertificateBody,
    PublicKey,
    SshFormatError,
    certificate_line,
    public_line,
    read_body,
    read_public_line,
    revocation_list,
    string,
    text,
)

AUTHORITY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = AUTHORITY.public_key().public_bytes_raw()
SOMEBODY = Ed25519PrivateKey.from_private_bytes(b"p" * 32).public_key().public_bytes_raw()
BODY = CertificateBody(
    key=PublicKey(ED25519, string(SOMEBODY)),
    nonce=b"n" * 32,
    serial=7,
    key_id="INT-0042",
    principals=("paul",),
    valid_after_s=1_800_000_000,
    valid_before_s=1_800_001_800,
    critical={"force-command": "/bin/true", "source-address": "192.0.2.0/24"},
    authority=PUBLIC,
    extensions=("permit-pty",),
)
needs_openssh = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="no ssh-keygen on this machine")


def signed(body: CertificateBody = BODY) -> str:
    return certificate_line(body.encoded(), AUTHORITY.sign(body.encoded()), "paul@INT-0042")


def test_a_certificate_is_one_for_an_independent_reader() -> None:
    found = load_ssh_public_identity(signed().encode())
    assert isinstance(found, SSHCertificate)
    found.verify_cert_signature()
    assert (found.serial, found.key_id, found.valid_principals) == (7, b"INT-0042", [b"paul"])
    assert (found.valid_after, found.valid_before) == (BODY.valid_after_s, BODY.valid_before_s)
    assert found.critical_options == {b"force-command": b"/bin/true", b"source-address": b"192.0.2.0/24"}
    assert found.extensions == {b"permit-pty": b""}


@needs_openssh
def test_openssh_reads_it_and_its_revocation(tmp_path: Path) -> None:
    path, revoked = tmp_path / "key-cert.pub", tmp_path / "krl"
    path.write_text(signed())
    shown = subprocess.run(["ssh-keygen", "-L", "-f", str(path)], capture_output=True, text=True, check=True).stdout
    for words in ("user certificate", 'Key ID: "INT-0042"', "Serial: 7", "paul", "force-command", "permit-pty"):
        assert words in shown

    def state(*key_ids: str, authority: bytes = PUBLIC) -> str:
        revoked.write_bytes(revocation_list(authority, key_ids, version=3, at_s=1_800_000_000))
        done = subprocess.run(["ssh-keygen", "-Q", "-f", str(revoked), str(path)], capture_output=True, check=False)
        return "revoked" if b"REVOKED" in done.stdout else f"{done.returncode}"

    assert state() == state("INT-0041", "INT-00421") == "0"
    assert state("INT-0041", "INT-0042") == "revoked"
    assert state("INT-0042", authority=SOMEBODY) == "0", "of another authority"


def test_a_body_is_read_back_and_only_from_its_own_bytes() -> None:
    data = BODY.encoded()
    assert read_body(data) == BODY
    for at in range(0, len(data), 3):
        try:
            found = read_body(data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :])
        except SshFormatError:
            continue
        assert found != BODY
    for wrong in (data[:-1], data + b"\0", b"", data[4:], b"\xff" * 40):
        with pytest.raises(SshFormatError):
            read_body(wrong)
    a, b = text("force-command") + string(text("/bin/true")), text("source-address") + string(text("192.0.2.0/24"))
    with pytest.raises(SshFormatError):  # options out of order are another encoding of the same
        read_body(data.replace(a + b, b + a))


@given(st.binary(max_size=400))
def test_nothing_else_is_read(data: bytes) -> None:
    head = text(CERTIFICATE_OF[ED25519])
    for whole in (data, head + data):
        with suppress(SshFormatError):
            assert read_body(whole).encoded() == whole


def test_public_keys_of_people_are_read_and_others_refused() -> None:
    line = public_line(SOMEBODY, "paul@poste")
    assert read_public_line(line.encode()) == BODY.key
    assert read_public_line(line.encode() + b"\n") == BODY.key
    token = PublicKey(SECURITY_KEY, string(SOMEBODY) + text("ssh:"))
    encoded = base64.b64encode(token.blob).decode()
    assert read_public_line(f"{SECURITY_KEY} {encoded}".encode()) == token
    assert read_body(replace(BODY, key=token).encoded()).key == token
    blob = base64.b64encode(text(ED25519) + string(SOMEBODY + b"x")).decode()
    for wrong in (
        b"",
        b"ssh-rsa AAAA",
        b"ssh-ed25519",
        b"ssh-ed25519 ????",
        f"ssh-ed25519 {blob}".encode(),
        f"ssh-ed25519 {encoded}".encode(),
        line.encode() + b"\n" + line.encode(),
        line.encode() + b"\0",
        signed().encode(),
        b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA",
        line.encode() + b" " * 5_000,
    ):
        with pytest.raises(SshFormatError):
            read_public_line(wrong)
