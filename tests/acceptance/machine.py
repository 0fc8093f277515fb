"""A machine of the host: a real sshd, a real sudo that records, people with accounts; nothing of it stays behind.

Everything lives in a mount namespace of its own: accounts, sudo's rules and the recorder are bound over the real files
for these processes alone. It takes root and Linux; ``scripts/test-packages`` installs sshd and sudo where it may.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from hygie.interventions.matching import SHELL
from hygie.interventions.setup import SSHD, SUDOERS
from hygie.keys.ssh_authority import RECORDER
from tests.acceptance.conftest import free_port

SYSTEM = "/usr/sbin:/usr/bin:/sbin:/bin"
PEOPLE = {"paul": (64_201, "/bin/sh"), "anne": (64_202, "/bin/sh"), "luc": (64_203, "/bin/bash")}
START_S_MAX = 20.0
COMMAND_S_MAX = 90.0  # a busy machine, and one session that is cut after half a minute


def missing() -> str:
    """What this machine lacks for these tests; nothing: they can run."""
    lacking = [one for one in ("sshd", "sudo", "ssh", "ssh-keygen", "unshare") if not shutil.which(one, path=SYSTEM)]
    if lacking:
        return f"no {', '.join(lacking)}: run scripts/test-packages as root"
    if os.geteuid() != 0:
        return "accounts of a machine take root"
    if subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode:
        return "no mount namespace here"
    return ""


@dataclass
class Machine:
    """One machine. files: what ``hygie intervention setup`` wrote; folder: its own, removed by who made it."""

    files: Path
    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    _follower: threading.Thread = field(default_factory=threading.Thread, repr=False)

    @property
    def recordings(self) -> Path:
        """Where sudo writes."""
        return self.folder / "recordings"

    @property
    def log(self) -> Path:
        """sshd's log, as journald would show it."""
        return self.folder / "sshd.log"

    def start(self) -> None:
        """Start sshd, and wait until it answers."""
        self._accounts()
        config = self.folder / "sshd_config"
        host_key = self.folder / "host_key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(host_key)], check=True)
        own = f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {host_key}\nUsePAM no\nPidFile none\n"
        config.write_text(own + (self.files / SSHD.lstrip("/")).read_text())
        script = self.folder / "start"
        script.write_text(self._script(config))
        self.process = subprocess.Popen(
            ["unshare", "-m", "--propagation", "private", "/bin/sh", str(script)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={"PATH": SYSTEM, "LC_ALL": "C.UTF-8"},
            start_new_session=True,
        )
        self._follower = threading.Thread(target=self._follow, daemon=True)
        self._follower.start()
        end = time.monotonic() + START_S_MAX
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.05)

    def stop(self) -> None:
        """End it and all that it started."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self._follower.join()

    def key(self, name: str) -> Path:
        """A new key pair; the public key's path."""
        path = self.folder / name
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path)], check=True)
        return path.with_suffix(".pub")

    def ssh(
        self, key: Path, *command: str, user: str = "paul", given: bytes = b"", typed: Sequence[str] = ()
    ) -> subprocess.CompletedProcess[bytes]:
        """A session. Args: key: the public key, beside its private half and its ``-cert.pub``; typed: lines typed on a
        terminal, one a second, as a person waits for the prompt.
        """
        private = key.with_suffix("")
        line = ["ssh", "-F", "none", "-p", str(self.port), "-i", str(private), "-tt" if typed else "-T"]
        options = {
            "BatchMode": "yes", "IdentitiesOnly": "yes", "IdentityAgent": "none", "StrictHostKeyChecking": "no",
            "UserKnownHostsFile": "/dev/null", "GlobalKnownHostsFile": "/dev/null", "LogLevel": "ERROR",
        }  # fmt: skip
        line += [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        line += [f"{user}@127.0.0.1", *command]
        if typed:
            slowly = "".join(f"sleep 1; echo {shlex.quote(one)}; " for one in typed)
            line = ["/bin/sh", "-c", f"{{ {slowly}sleep 1; }} | {shlex.join(line)}"]
        return subprocess.run(
            line,
            input=given,
            capture_output=True,
            timeout=COMMAND_S_MAX,
            check=False,
        )

    def _accounts(self) -> None:
        etc = self.folder / "etc"
        etc.mkdir()
        self.recordings.mkdir(mode=0o700)
        self.log.touch()
        for name in ("passwd", "group", "shadow"):
            shutil.copy(f"/etc/{name}", etc / name)
        for name, (uid, shell) in PEOPLE.items():
            home = self.folder / "home" / name
            home.mkdir(parents=True)
            os.chown(home, uid, uid)
            with (etc / "passwd").open("a") as passwd, (etc / "shadow").open("a") as shadow:
                passwd.write(f"{name}:x:{uid}:{uid}::{home}:{shell}\n")
                shadow.write(f"{name}:*:19000:0:99999:7:::\n")
            with (etc / "group").open("a") as group:
                group.write(f"{name}:x:{uid}:\n")
        rules = "Defaults use_pty\nDefaults secure_path=/usr/sbin:/usr/bin:/sbin:/bin\nroot ALL=(ALL) ALL\n"
        rules += (self.files / SUDOERS.lstrip("/")).read_text() + "paul ALL=(root) NOPASSWD: /usr/bin/id\n"
        (etc / "sudoers").write_text(rules)
        (etc / "sudoers").chmod(0o440)

    def _script(self, config: Path) -> str:
        bound = "".join(
            f"mount --bind {self.folder}/etc/{name} /etc/{name}\n" for name in ("passwd", "group", "shadow", "sudoers")
        )
        recorder = "".join(f"install -m 755 {self.files}{path} {path}\n" for path in (RECORDER, SHELL))
        return (
            f"set -eu\n{bound}mount -t tmpfs -o mode=755 tmpfs /run\nmkdir /run/sshd\n"
            f"mount -t tmpfs -o mode=755 tmpfs /usr/local\nmkdir /usr/local/libexec\n{recorder}"
            f"exec /usr/sbin/sshd -D -e -f {config}\n"
        )

    def _follow(self) -> None:
        assert self.process is not None
        assert self.process.stderr is not None
        host = socket.gethostname()
        with self.process.stderr, self.log.open("ab") as log:
            for line in self.process.stderr:
                at = datetime.now(UTC).isoformat()
                log.write(f"{at} {host} sshd[{self.process.pid}]: ".encode() + line.rstrip(b"\r\n") + b"\n")
                log.flush()
