"""Django, bound to one installation's database as the role ``hygie_console``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from psycopg.conninfo import conninfo_to_dict

from hygie.database.errors import DatabaseUnavailableError

SCHEMA = "hygie_proof"
CONNECT_S_MAX = 10
_READ_ONLY = "25006"  # a standby, or a server that was set to read only: no mistake of the statement


def setup() -> None:
    """Load Django's applications, once a process; the console's own settings win when they are set."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hygie.registers.django_settings")
    import django

    django.setup()


@contextmanager
def bound(dsn: str) -> Iterator[None]:
    """Models reach this database within the block, in this thread; its connection is closed behind.

    Args: dsn: of the role ``hygie_console``.
    Raises: DatabaseUnavailableError: no server, it went away, or it may only be read.
    """
    setup()
    from django.db import InterfaceError, InternalError, OperationalError, connections

    parts = conninfo_to_dict(dsn)
    name, user, password = str(parts.pop("dbname")), str(parts.pop("user")), str(parts.pop("password", ""))
    host, port = str(parts.pop("host", "")), str(parts.pop("port", ""))
    options = {"options": f"-c search_path={SCHEMA}", "connect_timeout": CONNECT_S_MAX}
    wanted = {"NAME": name, "USER": user, "PASSWORD": password, "HOST": host, "PORT": port}
    default = connections["default"]
    default.close()
    default.settings_dict.update(wanted)
    default.settings_dict["OPTIONS"] = {**parts, **options}
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        raise DatabaseUnavailableError(part="registers") from error
    except InternalError as error:
        if getattr(error.__cause__, "sqlstate", None) != _READ_ONLY:
            raise
        raise DatabaseUnavailableError(part="registers, read-only") from error
    finally:
        default.close()


@contextmanager
def unmoved() -> Iterator[None]:
    """What is read within is of one instant, whoever adds meanwhile; nothing can be written."""
    from django.db import connection, transaction

    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield
