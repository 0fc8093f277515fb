"""Another PostgreSQL server than the embedded one: its owner's DSN comes from the settings, the rest is made here."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

from psycopg.conninfo import make_conninfo

from hygie.base.files import write_durably
from hygie.database.cluster import LOGIN_ROLES, OWNER, Dsns, dsns_by, set_login_passwords
from hygie.database.errors import PostgresPlaceError

PASSWORD_BYTES = 24


def external_dsns(owner_dsn: str, secrets_file: Path) -> Dsns:
    """The DSNs of the login roles, from the passwords that :func:`prepare_external` drew.

    Raises: PostgresPlaceError: the server was not prepared from this data folder, or by an earlier version.
    """
    try:
        passwords = json.loads(secrets_file.read_bytes())
    except FileNotFoundError as error:
        raise PostgresPlaceError(reason="its passwords are missing (postgres.secrets)") from error
    return dsns_by(
        lambda role: owner_dsn if role == OWNER else make_conninfo(owner_dsn, user=role, password=passwords[role])
    )


def prepare_external(owner_dsn: str, secrets_file: Path) -> Dsns:
    """Draw the login roles' passwords once, set them on the server, and return the DSNs.

    Raises: DatabaseUnavailableError; ServerTooOldError.
    """
    known = json.loads(secrets_file.read_bytes()) if secrets_file.exists() else {}
    drawn = {role: secrets.token_urlsafe(PASSWORD_BYTES) for role in LOGIN_ROLES if role != OWNER and role not in known}
    if drawn:
        write_durably(secrets_file, json.dumps(known | drawn).encode())
    set_login_passwords(owner_dsn, known | drawn)
    return external_dsns(owner_dsn, secrets_file)
