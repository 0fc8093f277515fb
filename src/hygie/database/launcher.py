"""Become an identity that PostgreSQL accepts, then become PostgreSQL.

Run as ``python -m hygie.database.launcher IDENTITY PROGRAM ARGUMENT…`` where IDENTITY is

- ``plain``: stay who we are (a normal user);
- ``namespace``: a user namespace in which root is uid 1000. PostgreSQL refuses uid 0 because of what uid 0 may do;
  inside the namespace it has none of that, files stay root's, and a data folder under /root stays reachable;
- ``UID:GID``: become that account (where user namespaces are forbidden).

The program keeps this process's id, so that the supervisor may signal it. No core dumps in any case.
Only the standard library, and no import of the other rooms: it runs at each start and each probe.
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys
from pathlib import Path
from typing import NoReturn

PLAIN = "plain"
NAMESPACE = "namespace"
CLONE_NEWUSER = 0x10000000
UID_INSIDE = 1000
EXIT_IDENTITY_REFUSED = 90


def enter_namespace() -> None:
    """Enter a user namespace where this uid and gid are 1000.

    Raises: OSError: user namespaces are forbidden here (kernel setting, seccomp, container).
    """
    uid, gid = os.getuid(), os.getgid()
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "unshare"):
        raise OSError("no user namespaces on this system")
    if libc.unshare(CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{UID_INSIDE} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{UID_INSIDE} {gid} 1")


def become_account(identity: str) -> None:
    """Drop root for ``UID:GID``, for good.

    Raises: OSError: not root; ValueError: malformed.
    """
    uid, gid = (int(part) for part in identity.split(":"))
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def main(arguments: list[str]) -> NoReturn:
    """Take the identity, then replace this process by the program. Exits with 90 when refused."""
    identity, program = arguments[0], arguments[1]
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.umask(0o077)
    try:
        if identity == NAMESPACE:
            enter_namespace()
        elif identity != PLAIN:
            become_account(identity)
    except OSError as error:
        print(f"identity {identity} refused: {error.strerror or error}", file=sys.stderr)
        sys.exit(EXIT_IDENTITY_REFUSED)
    os.execv(program, arguments[1:])  # noqa: S606 (an absolute path given by the supervisor, no shell)


if __name__ == "__main__":
    main(sys.argv[1:])
