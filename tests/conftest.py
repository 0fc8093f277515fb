"""A real PostgreSQL for the tests: one cluster per test process, a fresh migrated database in some 50 ms.

def test_x(database):                # database: Dsns of a fresh migrated database, dropped afterwards
    async def main():
        async with opened(Database(database.hosting)) as pool: ...

@pytest.fixture(scope="module")      # or share one database in a module
def dsns(new_database): return new_database()
"""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import settings

from hygie.base.language import set_language
from hygie.database.cluster import Dsns, prepare_cluster
from hygie.database.embedded import EmbeddedPostgres
from hygie.database.migrate import migrate

# Each command of these tests is a process of its own: without bytecode it compiles six hundred modules again.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# The tests read English where they choose no language, whatever the machine of who runs them speaks.
for _variable in ("LC_ALL", "LC_MESSAGES"):
    os.environ.pop(_variable, None)
os.environ["LANG"] = "C.UTF-8"

settings.register_profile("house", deadline=None)  # a busy machine is no fault of what is tested
settings.load_profile("house")

TEMPLATE = "hygie_template"
ROLES = "hygie_hosting, hygie_sealer, hygie_console, hygie_watch"
_numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def _language() -> Iterator[None]:
    """A test that chose a language, or ran a command that did, leaves none to the next."""
    yield
    set_language(None)


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """A running embedded server. Not durable: the data die with the tests."""
    folder = Path(tempfile.mkdtemp(prefix="hygie-t-"))
    server = EmbeddedPostgres(folder, folder / "run", durable=False)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


def dsns_of(server: EmbeddedPostgres, name: str) -> Dsns:
    """The ways into one database of the test server."""
    return Dsns(
        owner=server.dsn("hygie_owner", name),
        hosting=server.dsn("hygie_hosting", name),
        sealer=server.dsn("hygie_sealer", name),
        console=server.dsn("hygie_console", name),
        watch=server.dsn("hygie_watch", name),
    )


@pytest.fixture(scope="session")
def _template(postgres: EmbeddedPostgres) -> str:
    """A migrated database to copy."""
    password = psycopg.conninfo.conninfo_to_dict(postgres.dsn("hygie_owner"))["password"]
    prepare_cluster(postgres.dsn("postgres", "postgres"), owner_password=str(password), database=TEMPLATE)
    asyncio.run(migrate(postgres.dsn("hygie_owner", TEMPLATE)))
    return TEMPLATE


@pytest.fixture(scope="session")
def new_database(postgres: EmbeddedPostgres, _template: str) -> Callable[[], Dsns]:
    """Makes a fresh migrated database at each call; kept until the session ends."""

    def make() -> Dsns:
        name = f"hygie_test_{next(_numbers)}"
        with psycopg.connect(postgres.dsn("postgres", "postgres"), autocommit=True) as admin:
            admin.execute(f"CREATE DATABASE {name} OWNER hygie_owner TEMPLATE {_template}".encode())
            admin.execute(f"REVOKE ALL ON DATABASE {name} FROM PUBLIC".encode())
            admin.execute(f"GRANT CONNECT ON DATABASE {name} TO {ROLES}".encode())
        return dsns_of(postgres, name)

    return make


@pytest.fixture
def database(postgres: EmbeddedPostgres, new_database: Callable[[], Dsns]) -> Iterator[Dsns]:
    """A fresh migrated database for one test."""
    dsns = new_database()
    yield dsns
    name = psycopg.conninfo.conninfo_to_dict(dsns.owner)["dbname"]
    with psycopg.connect(postgres.dsn("postgres", "postgres"), autocommit=True) as admin:
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
