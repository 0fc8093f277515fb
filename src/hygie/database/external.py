"""Another PostgreSQL server than the embedded one: its owner's DSN comes from the settings, the rest is made here."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

from psycopg.conninfo import make_conninfo

from hygie.base.files import write_durably
from hygie.database.cluster import HOSTING, SEALER, Dsns, set_login_passwords
from hygie.database.errors import PostgresPlaceError

PASSWORD_BYTES = 24


def external_dsns(owner_dsn: str, secrets_file: Path) -> Dsns:
    """The DSNs of the three roles, from the passwords that :func:`prepare_external` drew.

    Raises: PostgresPlaceError: the server was not prepared from this data folder.
    """
    try:
        passwords = json.loads(secrets_file.read_bytes())
    except FileNotFoundError as error:
        raise PostgresPlaceError(reason="its passwords are missing (postgres.secrets)") from error
    return Dsns(
        owner=owner_dsn,
        hosting=make_conninfo(owner_dsn, user=HOSTING, password=passwords[HOSTING]),
        sealer=make_conninfo(owner_dsn, user=SEALER, password=passwords[SEALER]),
    )


def prepare_external(owner_dsn: str, secrets_file: Path) -> Dsns:
    """Draw the login roles' passwords once, set them on the server, and return the DSNs.

    Raises: DatabaseUnavailableError; ServerTooOldError.
    """
    if not secrets_file.exists():
        drawn = {role: secrets.token_urlsafe(PASSWORD_BYTES) for role in (HOSTING, SEALER)}
        write_durably(secrets_file, json.dumps(drawn).encode())
    set_login_passwords(owner_dsn, json.loads(secrets_file.read_bytes()))
    return external_dsns(owner_dsn, secrets_file)
