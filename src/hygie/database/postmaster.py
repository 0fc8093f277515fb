"""What the operating system says of the server of one cluster: alive, leaving orphans, or a stale lock file.

PostgreSQL's own check (does a process of that number exist?) takes any process of the same user for the server once the
number was reused, after a reboot of a container for instance. Here a process counts only if it is a ``postgres`` whose
working folder is the cluster.
"""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

LOCK_FILE = "postmaster.pid"
_PROC = Path("/proc")


def live_pid(cluster: Path) -> int | None:
    """The process id of the live server of this cluster, or None."""
    pid = _recorded_pid(cluster)
    return pid if pid is not None and _is_postgres_of(pid, cluster) else None


def orphans(cluster: Path) -> bool:
    """Whether processes of a dead server may still hold its shared memory."""
    if not _PROC.is_dir():
        return (cluster / LOCK_FILE).exists()
    return any(_is_postgres_of(int(entry.name), cluster) for entry in _PROC.iterdir() if entry.name.isdigit())


def remove_stale_lock(cluster: Path) -> None:
    """Remove a lock file that names a living process which is not a server of this cluster.

    A lock file that names no process at all is left: PostgreSQL uses it to look for orphans, then removes it.
    """
    pid = _recorded_pid(cluster)
    if pid is None:
        return
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return
    except PermissionError:
        pass
    if not orphans(cluster):
        (cluster / LOCK_FILE).unlink(missing_ok=True)


def socket_is_held(path: Path) -> bool:
    """Whether somebody listens on a unix socket."""
    if not path.exists():
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(2)
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True


def _recorded_pid(cluster: Path) -> int | None:
    """The process id in the lock file; None when absent or unreadable."""
    try:
        return abs(int((cluster / LOCK_FILE).read_text().split("\n", 1)[0]))
    except (FileNotFoundError, ValueError):
        return None


def _is_postgres_of(pid: int, cluster: Path) -> bool:
    """Whether a process is a PostgreSQL program at work in this cluster."""
    if _PROC.is_dir():
        process = _PROC / str(pid)
        try:
            return (process / "comm").read_text().strip() == "postgres" and (process / "cwd").readlink() == cluster
        except OSError:
            return False
    shown = subprocess.run(["/bin/ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)  # noqa: S603
    return "postgres" in shown.stdout
