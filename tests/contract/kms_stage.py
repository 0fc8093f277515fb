"""A real KMS process for tests: its folder, its socket, its passphrase given through a pipe."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from hygie.keys.client import KmsClient
from hygie.keys.file_kms import FileKms
from hygie.keys.sealing import Passphrase, SharePlan

PASSPHRASE = "cheval pile agrafe 9 correct"
SCRYPT_N_TEST = 2**4  # tests only: the production cost is tested once, in test_sealing
PERMIT = b"p" * 16
REASON = "object:read"
KMS_MAIN = Path(__file__).with_name("kms_main.py")


def make_state(folder: Path, how: Passphrase | SharePlan | None = None) -> list[str]:
    """A fresh key state at the tests' scrypt cost."""
    return FileKms.create(folder, how or Passphrase(PASSPHRASE), scrypt_n=SCRYPT_N_TEST)


def opened(folder: Path, **settings: object) -> FileKms:
    """The file KMS of a folder, unsealed."""
    kms = FileKms(folder, **settings)  # type: ignore[arg-type]
    kms.open()
    kms.unseal(Passphrase(PASSPHRASE))
    return kms


class KmsProcess:
    """A KMS process on a folder. ``with KmsProcess(folder) as kms: kms.client()``."""

    def __init__(self, state: Path, *arguments: str, passphrase: str | None = PASSPHRASE) -> None:
        self.state = state
        self.run = Path(tempfile.mkdtemp(prefix="hygie-k-"))
        self.socket = self.run / "kms.sock"
        self._arguments = arguments
        self._passphrase = passphrase
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start and wait until it listens."""
        ready, told = os.pipe()
        command = [sys.executable, str(KMS_MAIN), "--state", str(self.state), "--socket", str(self.socket)]
        command += ["--ready-fd", str(told), *self._arguments]
        passed = [told]
        if self._passphrase is not None:
            secret, writer = os.pipe()
            os.write(writer, self._passphrase.encode())
            os.close(writer)
            passed.append(secret)
            command += ["--passphrase-fd", str(secret)]
        with (self.run / "log").open("ab") as log:
            self.process = subprocess.Popen(command, pass_fds=passed, stderr=log, stdout=log)
        for descriptor in passed:
            os.close(descriptor)
        try:
            if os.read(ready, 1) != b"\n":
                raise RuntimeError(f"the KMS did not start: {self.log()}")
        finally:
            os.close(ready)

    def stop(self) -> int:
        """SIGTERM, and its exit status."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(20)

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(20)

    def client(self, **settings: float) -> KmsClient:
        """A client of this process."""
        return KmsClient(self.socket, **settings)

    def log(self) -> str:
        """What it logged."""
        return (self.run / "log").read_text()

    def __enter__(self) -> KmsProcess:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.stop()
        shutil.rmtree(self.run)
