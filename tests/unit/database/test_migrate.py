"""Migrations: once each, in order, whole; history must match."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from hygie.database import migrate as module
from hygie.database.cluster import Dsns
from hygie.database.environments import create_environment_schema, destroy_environment_schema
from hygie.database.errors import DatabaseUnavailableError, MigrationChangedError, MigrationUnknownError
from hygie.database.migrate import load_migrations, migrate


def rows(dsn: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        return connection.execute(query.encode()).fetchall()


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Copies of the two folders of migrations, to alter."""
    platform = Path(shutil.copytree(module.MIGRATIONS, tmp_path / "platform"))
    environment = Path(shutil.copytree(module.ENVIRONMENT_MIGRATIONS, tmp_path / "environment"))
    monkeypatch.setattr(module, "MIGRATIONS", platform)
    monkeypatch.setattr(module, "ENVIRONMENT_MIGRATIONS", environment)
    return platform, environment


def test_a_second_run_does_nothing(database: Dsns) -> None:
    assert asyncio.run(migrate(database.owner)) == []
    recorded = [name for (name,) in rows(database.owner, "SELECT name FROM hygie.migration ORDER BY name")]
    assert recorded == [migration.name for migration in load_migrations(module.MIGRATIONS)]


def test_an_upgrade_reaches_the_platform_and_every_environment(database: Dsns, folders: tuple[Path, Path]) -> None:
    asyncio.run(create_environment_schema(database.owner, "hygie_env_11"))
    (folders[0] / "0900_more.sql").write_text("CREATE TABLE hygie.more (n int);")
    (folders[1] / "0900_more.sql").write_text("CREATE TABLE more (n int); CREATE SEQUENCE more_n;")
    assert asyncio.run(migrate(database.owner)) == ["0900_more", "hygie_env_11/0900_more"]
    assert rows(database.owner, "SELECT has_table_privilege('hygie_env_11', 'hygie_env_11.more', 'INSERT')") == [
        (True,)
    ]
    assert rows(database.owner, "SELECT has_sequence_privilege('hygie_env_11', 'hygie_env_11.more_n', 'USAGE')") == [
        (True,)
    ]
    assert rows(database.owner, "SELECT has_table_privilege('hygie_env_11', 'hygie.more', 'SELECT')") == [(False,)]
    asyncio.run(destroy_environment_schema(database.owner, "hygie_env_11"))
    assert rows(database.owner, "SELECT 1 FROM pg_namespace WHERE nspname = 'hygie_env_11'") == []
    assert asyncio.run(migrate(database.owner)) == []


def test_an_environment_of_before_sets_of_patients_gets_them(database: Dsns, folders: tuple[Path, Path]) -> None:
    """And from then on its role no longer says whose a compartment is."""
    sets = folders[1] / "0002_patient_sets.sql"
    text = sets.read_text()
    sets.unlink()
    asyncio.run(create_environment_schema(database.owner, "hygie_env_12"))
    kept = "INSERT INTO hygie_env_12.compartment (id, kind, subject, epoch, wrap, pack) VALUES ('a', 1, 's', 1, 'w', 1)"
    with psycopg.connect(database.owner, autocommit=True) as owner:
        owner.execute(kept.encode())
    sets.write_text(text)
    assert asyncio.run(migrate(database.owner)) == ["hygie_env_12/0002_patient_sets"]
    with psycopg.connect(database.hosting, autocommit=True) as hosting:
        hosting.execute("SET ROLE hygie_env_12; SET search_path = hygie_env_12")
        hosting.execute("INSERT INTO group_member VALUES ('s', 'g', 0, 1, 'm')")
        hosting.execute("DELETE FROM group_member")
        hosting.execute("UPDATE compartment SET epoch = 2, wrap = 'x'")
        for statement in (
            "UPDATE compartment SET kind = 0",
            "DELETE FROM compartment",
            "DELETE FROM compartment_member",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                hosting.execute(statement.encode())
    asyncio.run(destroy_environment_schema(database.owner, "hygie_env_12"))


def test_a_failing_migration_leaves_nothing_of_itself(database: Dsns, folders: tuple[Path, Path]) -> None:
    (folders[0] / "0900_more.sql").write_text("CREATE TABLE hygie.half (n int); SELECT 1 / 0;")
    with pytest.raises(psycopg.errors.DivisionByZero):
        asyncio.run(migrate(database.owner))
    assert rows(database.owner, "SELECT to_regclass('hygie.half')::text") == [(None,)]
    assert rows(database.owner, "SELECT 1 FROM hygie.migration WHERE name = '0900_more'") == []


def test_an_environment_whose_tables_fail_does_not_exist(database: Dsns, folders: tuple[Path, Path]) -> None:
    (folders[1] / "0900_more.sql").write_text("SELECT 1 / 0;")
    with pytest.raises(psycopg.errors.DivisionByZero):
        asyncio.run(create_environment_schema(database.owner, "hygie_env_12"))
    assert rows(database.owner, "SELECT 1 FROM pg_roles WHERE rolname = 'hygie_env_12'") == []
    assert rows(database.owner, "SELECT 1 FROM pg_namespace WHERE nspname = 'hygie_env_12'") == []


def test_a_changed_or_unknown_or_inserted_file_is_refused(database: Dsns, folders: tuple[Path, Path]) -> None:
    platform = folders[0]
    original = (platform / "0001_base.sql").read_text()
    (platform / "0001_base.sql").write_text(original + "\n-- changed\n")
    with pytest.raises(MigrationChangedError):
        asyncio.run(migrate(database.owner))
    (platform / "0001_base.sql").write_text(original)
    (platform / "0000_before.sql").write_text("SELECT 1;")
    with pytest.raises(MigrationUnknownError):
        asyncio.run(migrate(database.owner))
    (platform / "0000_before.sql").unlink()
    last = max(platform.glob("*.sql"))
    last.unlink()
    with pytest.raises(MigrationUnknownError):
        asyncio.run(migrate(database.owner))


def test_two_migrations_at_once_apply_once(new_database: Callable[[], Dsns], folders: tuple[Path, Path]) -> None:
    dsn = new_database().owner
    (folders[0] / "0900_more.sql").write_text("SELECT pg_sleep(0.2); CREATE TABLE hygie.more (n int);")

    async def main() -> list[list[str]]:
        return list(await asyncio.gather(migrate(dsn), migrate(dsn)))

    assert sorted(asyncio.run(main())) == [[], ["0900_more"]]


@pytest.mark.parametrize("role", ["postgres", "hygie_owner", "hygie_env_", "hygie_env_1; --", 'hygie_env_1"'])
def test_only_environment_roles_are_made_or_destroyed(role: str) -> None:
    for act in (create_environment_schema, destroy_environment_schema):
        with pytest.raises(ValueError, match="environment"):
            asyncio.run(act("unused", role))


def test_an_absent_server_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnavailableError):
        asyncio.run(migrate(f"host={tmp_path} user=x dbname=x"))
    with pytest.raises(DatabaseUnavailableError):
        asyncio.run(create_environment_schema(f"host={tmp_path} user=x dbname=x", "hygie_env_1"))


def test_destroying_what_a_transaction_uses_says_try_again_then_works(
    database: Dsns, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hygie.database import environments

    monkeypatch.setattr(environments, "LOCK_WAIT", "100ms")
    asyncio.run(create_environment_schema(database.owner, "hygie_env_13"))
    with psycopg.connect(database.owner) as reader:
        reader.execute("SELECT * FROM hygie_env_13.pack")
        with pytest.raises(DatabaseUnavailableError):
            asyncio.run(destroy_environment_schema(database.owner, "hygie_env_13"))
    assert rows(database.owner, "SELECT count(*) FROM hygie_env_13.pack") == [(0,)]
    asyncio.run(destroy_environment_schema(database.owner, "hygie_env_13"))
    asyncio.run(destroy_environment_schema(database.owner, "hygie_env_13"))
    assert rows(database.owner, "SELECT 1 FROM pg_roles WHERE rolname = 'hygie_env_13'") == []
