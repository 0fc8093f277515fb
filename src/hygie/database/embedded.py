"""Start, recover and stop the PostgreSQL that Hygie keeps in its own data folder.

The server is a child in its own session (the terminal's Ctrl-C does not reach it), on a unix socket in a private
folder, with passwords. It outlives a killed supervisor: the next ``start`` finds it and goes on with it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from hygie.base.files import fsync_folder, make_private_folder, write_durably
from hygie.database import postmaster
from hygie.database.cluster import (
    DATABASE,
    HOSTING,
    LOGIN_ROLES,
    OWNER,
    SEALER,
    Dsns,
    dsns_by,
    log_refusals,
    prepare_cluster,
    set_login_passwords,
)
from hygie.database.configuration import HBA, PORT, postgresql_conf
from hygie.database.errors import PostgresBusyError, PostgresFilesError, PostgresPlaceError, PostgresStartError
from hygie.database.programs import (
    UNFINISHED_PREFIX,
    Programs,
    account_of,
    choose_identity,
    clean_environment,
    command,
    find_programs,
    give_folder,
    reachable_programs,
)

ADMIN = "postgres"
SOCKET_PATH_BYTES_MAX = 100  # sun_path holds 107 on Linux and 103 on macOS
START_S_MAX = 600  # crash recovery of a large WAL may be long; a dead server is noticed at once
ORPHANS_S_MAX = 60  # children of a killed server leave within seconds, unless one is busy
LAUNCHES_MAX = 3  # without orphans in sight: the last one may have left between the refusal and our look
RELAUNCH_S = 0.2
STOP_S_MAX = 60
POLL_S = 0.02
LEAVING_S = 1.0
_SOCKET_NAME = f".s.PGSQL.{PORT}"


class EmbeddedPostgres:
    """The server of one data folder.

    Files: ``DATA/postgres`` (cluster), ``DATA/postgres.secrets`` (passwords, 0600), ``DATA/logs/postgres`` (its log).
    """

    def __init__(self, data: Path, run: Path, *, pg_bin_dir: Path | None = None, durable: bool = True) -> None:
        """Args: data: Hygie's data folder; run: folder of sockets; pg_bin_dir: other programs than the wheel's;
        durable: False lets the server lose its last writes on a power cut, for tests only (no setting leads here).
        """
        self._data = data.resolve()
        self._cluster = self._data / "postgres"
        self._leaving = self._data / "postgres.leaving"
        self._secrets_path = self._data / "postgres.secrets"
        self._logs = self._data / "logs" / "postgres"
        self._start_log = self._data / "logs" / "postgres-start.log"
        self._run = socket_folder(self._data, run, _SOCKET_NAME)
        self._pg_bin_dir = pg_bin_dir
        self._durable = durable
        self._child: subprocess.Popen[bytes] | None = None
        self._secrets: dict[str, str] | None = None

    @property
    def started_here(self) -> bool:
        """Whether this object started the server (False: it found it running, or it is stopped)."""
        if self._child is None or self._child.poll() is not None:
            return False
        if self.pid() is None:  # it takes its lock away some milliseconds before it ends
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(LEAVING_S)
        return self._child.poll() is None

    def pid(self) -> int | None:
        """The process id of the live server of this data folder, if any."""
        return postmaster.live_pid(self._cluster)

    def dsn(self, user: str, database: str = DATABASE) -> str:
        """How ``user`` (``postgres``, ``hygie_owner``, ``hygie_hosting``, ``hygie_sealer``) connects. Holds a password.

        Raises: PostgresPlaceError: never started, so no password yet.
        """
        passwords = self._load_secrets()
        return make_conninfo(
            host=str(self._run), port=PORT, user=user, password=passwords[user], dbname=database, connect_timeout=10
        )

    def dsns(self) -> Dsns:
        """How each login role reaches Hygie's database. Hold passwords.

        Raises: PostgresPlaceError: never started, or by an earlier version.
        """
        return dsns_by(self.dsn)

    def start(self) -> None:
        """Make the cluster where absent, start it or find it running, wait for its answer, prepare roles and database.

        Idempotent. Recovers after a kill -9 or a power cut.
        Raises: PostgresFilesError, PostgresPlaceError, PostgresBusyError, PostgresStartError.
        """
        make_private_folder(self._data)
        make_private_folder(self._data / "logs")
        make_private_folder(self._logs)
        with self._lock():
            self._end_replacement()
            passwords = self._secrets_whole() if self._cluster.exists() else self._secrets_or_new()
            try:
                self._launch_until_ready()
            except BaseException:
                self._stop()
                raise
            prepare_cluster(self.dsn(ADMIN, "postgres"), owner_password=passwords[OWNER])
            set_login_passwords(self.dsn(OWNER), passwords)
            log_refusals(self.dsn(ADMIN, "postgres"))

    def stop(self) -> None:
        """Stop the live server of this data folder, whoever started it: transactions roll back, nothing is lost.

        Returns when it is gone. No server: does nothing.
        Raises: PostgresStartError: it is still there after two minutes.
        """
        if not self._data.exists():
            return
        with self._lock():
            self._stop()

    def _stop(self) -> None:
        """``stop`` under the lock."""
        for how in (signal.SIGINT, signal.SIGQUIT):  # fast, then immediate (recovery at the next start)
            pid = self._child.pid if self.started_here and self._child else self.pid()
            if pid is None:
                break
            try:
                os.kill(pid, how)
            except ProcessLookupError:
                break
            if self._wait_until_gone(pid):
                break
        else:
            raise PostgresStartError(reason="does not stop", log=str(self._logs))
        if self._child is not None:
            self._child.wait()
            self._child = None

    # -- starting

    def _prepare_and_launch(self) -> None:
        """Everything a launch needs, then the launch."""
        programs = find_programs(self._pg_bin_dir)
        identity = choose_identity()
        if account_of(identity) is not None:
            self._data.chmod(0o711)  # the other account must pass through; every file inside stays 0600
            (self._data / "logs").chmod(0o711)
        for unfinished in self._data.glob(f"{UNFINISHED_PREFIX}*"):
            shutil.rmtree(unfinished)
        programs = reachable_programs(programs, identity, self._data)
        if not self._cluster.exists():
            self._initialise(programs, identity)
        self._check_cluster(programs)
        postmaster.remove_stale_lock(self._cluster)
        self._configure(programs, identity)
        self._launch(programs, identity)

    def replace(self, cluster: Path) -> None:
        """Set the folder of the stopped server aside, and put ``cluster``, a whole one of the same disk, in its place.

        Cut in between, the next start finds the former one again: it never makes an empty database instead.
        Raises: OSError.
        """
        with self._lock():
            self._cluster.rename(self._leaving)
            fsync_folder(self._data)
            cluster.rename(self._cluster)
            fsync_folder(self._data)
            self._end_replacement()

    def _end_replacement(self) -> None:
        """End, or take back, a replacement that was cut."""
        if self._leaving.exists():
            aside = self._data / f"postgres.before-back-{int(time.time())}"
            self._leaving.rename(aside if self._cluster.exists() else self._cluster)
            fsync_folder(self._data)

    def _initialise(self, programs: Programs, identity: str) -> None:
        """Make the cluster beside its place, then rename it: it is there whole or not at all."""
        passwords = self._secrets_or_new()
        unfinished = self._data / f"{UNFINISHED_PREFIX}{secrets.token_hex(4)}"
        make_private_folder(unfinished)
        give_folder(unfinished, identity)
        read_end, write_end = os.pipe()  # the password goes through a pipe, not through a file or an argument
        os.write(write_end, passwords[ADMIN].encode() + b"\n")
        os.close(write_end)
        account = account_of(identity)
        if account is not None:
            os.fchown(read_end, *account)  # it will be opened again by its name
        arguments = [
            *("-D", str(unfinished), "-U", ADMIN, "--auth=scram-sha-256", f"--pwfile=/dev/fd/{read_end}"),
            *("--locale-provider=libc", "--locale=C", "--encoding=UTF8", "--data-checksums"),
            *([] if self._durable else ["--no-sync"]),
        ]
        try:
            with self._start_log.open("ab") as log:
                done = subprocess.run(  # noqa: S603
                    command(identity, programs.path("initdb"), *arguments),
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
                    env=clean_environment(), pass_fds=(read_end,), check=False,
                )  # fmt: skip
        finally:
            os.close(read_end)
        if done.returncode != 0:
            shutil.rmtree(unfinished)
            raise PostgresStartError(reason=f"initdb, exit code {done.returncode}", log=str(self._start_log))
        unfinished.rename(self._cluster)
        fsync_folder(self._data)

    def _check_cluster(self, programs: Programs) -> None:
        """The folder must be ours, and made by the same major version."""
        version = (self._cluster / "PG_VERSION").read_text().strip()
        if version != str(programs.major):
            raise PostgresFilesError(reason=f"the data are of version {version}, the programs of {programs.major}")

    def _configure(self, programs: Programs, identity: str) -> None:
        """Write the configuration anew: an upgrade of Hygie may bring a better one."""
        make_private_folder(self._run)
        text = postgresql_conf(
            run=str(self._run),
            logs=str(self._logs),
            memory_bytes=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
            wal_compression=_wal_compression(programs, identity),
            durable=self._durable,
        )
        write_durably(self._cluster / "postgresql.conf", text.encode())
        write_durably(self._cluster / "pg_hba.conf", HBA.encode())
        for folder in (self._cluster, self._logs, self._run):
            give_folder(folder, identity)

    def _launch(self, programs: Programs, identity: str) -> None:
        """Start the server process and return at once."""
        with self._start_log.open("ab") as log:
            self._child = subprocess.Popen(  # noqa: S603
                command(identity, programs.path("postgres"), "-D", str(self._cluster)),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
                env=clean_environment(), start_new_session=True,
            )  # fmt: skip

    def _launch_until_ready(self) -> None:
        """Launch where no server is, wait for an answer, launch again while orphans hold a killed one's memory."""
        started = time.monotonic()
        launches = 0
        while not self._answers():
            elapsed_s = time.monotonic() - started
            if elapsed_s > START_S_MAX:
                raise PostgresStartError(reason="no answer in time", log=str(self._logs))
            # A child that lives is on its way to its lock file, be it slow: another one would take its place here.
            if (self._child is None or self._child.poll() is not None) and self.pid() is None:
                waiting = postmaster.orphans(self._cluster) and elapsed_s < ORPHANS_S_MAX
                if launches >= LAUNCHES_MAX and not waiting:
                    self._raise_not_started()
                if launches:
                    time.sleep(RELAUNCH_S)
                self._prepare_and_launch()
                launches += 1
            time.sleep(POLL_S)

    def _answers(self) -> bool:
        """Whether the server of this data folder, and no other one, answers with our password.

        Raises: PostgresBusyError: somebody else's server answers on our socket.
        """
        if not (self._run / _SOCKET_NAME).exists() or self.pid() is None:
            return False
        try:
            with psycopg.connect(self.dsn(ADMIN, "postgres"), autocommit=True) as admin:
                row = admin.execute("SELECT current_setting('data_directory')").fetchone()
        except psycopg.OperationalError as error:
            if "authentication failed" in str(error):
                raise PostgresBusyError(reason="a server with other passwords answers on the socket") from error
            return False
        if row is None or Path(row[0]) != self._cluster:
            raise PostgresBusyError(reason="a server of another folder answers on the socket")
        return True

    def _raise_not_started(self) -> None:
        """Say why the child left. Raises: PostgresBusyError, PostgresStartError."""
        code = self._child.returncode if self._child else None
        self._child = None
        if postmaster.socket_is_held(self._run / _SOCKET_NAME):
            raise PostgresBusyError(reason="a live server holds the socket")
        raise PostgresStartError(reason=f"exit code {code}", log=str(self._start_log))

    def _wait_until_gone(self, pid: int) -> bool:
        """Wait for a process to end. Returns: whether it did, in time."""
        deadline = time.monotonic() + STOP_S_MAX
        while time.monotonic() < deadline:
            if self._child is not None and self._child.pid == pid:
                if self._child.poll() is not None:
                    return True
            elif self.pid() != pid:
                return True
            time.sleep(POLL_S)
        return False

    # -- secrets and lock

    def _load_secrets(self) -> dict[str, str]:
        """The passwords. Raises: PostgresPlaceError: absent, or readable by others."""
        if self._secrets is None:
            try:
                mode = self._secrets_path.stat().st_mode
                self._secrets = json.loads(self._secrets_path.read_bytes())
            except FileNotFoundError as error:
                raise PostgresPlaceError(reason="its passwords are missing (postgres.secrets)") from error
            if stat.S_IMODE(mode) & 0o077:
                self._secrets = None
                raise PostgresPlaceError(reason="its passwords are readable by others (postgres.secrets)")
        assert self._secrets is not None
        return self._secrets

    def _secrets_or_new(self) -> dict[str, str]:
        """The passwords; drawn and written before the cluster that will know them."""
        if not self._secrets_path.exists():
            drawn = {role: secrets.token_urlsafe(32) for role in (ADMIN, *LOGIN_ROLES)}
            write_durably(self._secrets_path, json.dumps(drawn, indent=1).encode())
        return self._load_secrets()

    def _secrets_whole(self) -> dict[str, str]:
        """The passwords of an existing cluster, with those of the login roles that an earlier version did not have."""
        known = self._load_secrets()
        drawn = {role: secrets.token_urlsafe(32) for role in LOGIN_ROLES if role not in known}
        if drawn:
            self._secrets = known | drawn
            write_durably(self._secrets_path, json.dumps(self._secrets, indent=1).encode())
        return self._load_secrets()

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """One start or stop at a time on this data folder, over all processes."""
        descriptor = os.open(self._data / "postgres.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def socket_folder(data: Path, run: Path, name: str) -> Path:
    """``run`` itself, or a short private folder under the system's temporary one when ``run/name`` is too long to bind.

    Raises: PostgresPlaceError: that short folder belongs to somebody else.
    """
    run = run.resolve()
    if len(os.fsencode(run / name)) <= SOCKET_PATH_BYTES_MAX:
        return run
    digest = hashlib.sha256(os.fsencode(data.resolve())).hexdigest()[:24]
    short = Path(tempfile.gettempdir()) / f"hygie-{os.geteuid()}-{digest}"
    try:
        short.mkdir(mode=0o700)
    except FileExistsError:
        status = short.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
            raise PostgresPlaceError(reason="the temporary folder of its socket belongs to somebody else") from None
    return short


@cache
def _wal_compression(programs: Programs, identity: str) -> str:
    """The best quick compression these programs know. Full pages of ciphertext gain little from pglz's price."""
    for name in ("lz4", "zstd"):
        asked = ("-C", "wal_compression", "-c", f"wal_compression={name}", "-D", "/nonexistent")
        probe = subprocess.run(  # noqa: S603
            command(identity, programs.path("postgres"), *asked),
            capture_output=True, cwd="/", env=clean_environment(), check=False,
        )  # fmt: skip
        if b"wal_compression" not in probe.stderr:
            return name
    return "off"


__all__ = ["ADMIN", "HOSTING", "OWNER", "SEALER", "EmbeddedPostgres", "socket_folder"]
