"""A timestamp authority made by ``openssl ts``: a root, a signer, and the command that stamps."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec

from hygie.base.settings import Settings, TimestampSettings

_EXTENSIONS = (
    "extendedKeyUsage=critical,timeStamping\nbasicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n"
)
_SETTINGS = """[tsa]
default_tsa = t
[t]
serial = {folder}/serial
crypto_device = builtin
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
ess_cert_id_alg = sha256
"""
_STAMP = """import subprocess, sys
folder = sys.argv[1]
open(folder + "/query", "wb").write(sys.stdin.buffer.read())
line = ["openssl", "ts", "-reply", "-config", folder + "/tsa.cnf"]
line += ["-queryfile", folder + "/query", "-out", folder + "/answer"]
subprocess.run(line, check=True, capture_output=True)
sys.stdout.buffer.write(open(folder + "/answer", "rb").read())
"""


@dataclass(frozen=True)
class TestAuthority:
    """root: its root certificate, PEM; command: that stamps a request given on its input."""

    __test__ = False

    folder: Path
    root: Path
    command: tuple[str, ...]

    def settings(self, settings: Settings) -> Settings:
        """The same with this authority."""
        stamps = TimestampSettings(command=self.command, authority=str(self.root))
        return msgspec.structs.replace(settings, timestamp=stamps)

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000


def new_authority(folder: Path, *, curve: bool = False) -> TestAuthority:
    """Make one. curve: it signs with an elliptic curve instead of RSA."""
    folder.mkdir()
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"] if curve else ["-newkey", "rsa:2048"]

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=folder)

    ca = ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign"]
    openssl(
        "req", "-x509", *key, "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "9", "-subj", "/CN=Root", *ca
    )
    openssl("req", *key, "-nodes", "-keyout", "tsa.key", "-out", "tsa.csr", "-subj", "/CN=Stamps")
    (folder / "extensions").write_text(_EXTENSIONS)
    signing = ("-CA", "ca.pem", "-CAkey", "ca.key", "-set_serial", "77", "-days", "9", "-extfile", "extensions")
    openssl("x509", "-req", "-in", "tsa.csr", "-out", "tsa.pem", *signing)
    (folder / "serial").write_text("01\n")
    (folder / "tsa.cnf").write_text(_SETTINGS.format(folder=folder))
    (folder / "stamp.py").write_text(_STAMP)
    return TestAuthority(folder, folder / "ca.pem", (sys.executable, str(folder / "stamp.py"), str(folder)))
