"""From each zone's own identity, what must be refused is tried: nothing is believed of a right that was not exercised.

The roles of the database try the catalogue of each environment and the rows that give rights; a test environment's
token knocks at other environments; another account of the machine calls the private sockets; the FHIR port is spoken to
in clear, the database over TCP. Statements that would change something are written so that they touch no row.
"""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from hygie.app import House, opened
from hygie.base.errors import HygieError
from hygie.base.settings import Settings, kms_socket
from hygie.database.pool import Database
from hygie.probes.door import knock_elsewhere
from hygie.proof.flows.declared import ANYWHERE, POSTGRES_PORT
from hygie.proof.flows.model import Crossing, ZoneFacts

ENVIRONMENTS_MAX = 8  # a sample of eight shows the rule
RIGHTS = ("account", "token", "habilitation", "client_key", "authenticator")
SEALED = ("object", "compartment", "pack")  # ciphertext and its places, wrapped keys, places of packs
ANSWER_S_MAX = 3.0
NOBODY = 65534  # an account that owns nothing, on every Linux
INTERPRETERS = (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3")
LOOPBACK = ("127.0.0.1", "::1", "localhost")

_ROLES = "SELECT role FROM hygie.environment WHERE state = 'open' ORDER BY role LIMIT %s"
_SEALED = 'SELECT 1 FROM "{}".{} LIMIT 1'
_INSERT = "INSERT INTO hygie.{0} SELECT * FROM hygie.{0} WHERE false"
_UPDATE = "UPDATE hygie.{} SET mac = mac WHERE false"
_DELETE = "DELETE FROM hygie.{} WHERE false"
_CONTROLS = {
    "hosting": "SELECT 1 FROM hygie.token LIMIT 1",
    "sealer": "SELECT 1 FROM hygie.journal_head",
    "console": "SELECT 1 FROM hygie_proof.head LIMIT 1",
}
# Another account connects. It must not get in; where the file lets it, a service that refuses it says so at once, and
# one that admits it waits for its question.
_STRANGER = """
import socket, sys
asked = socket.socket(socket.AF_UNIX)
asked.settimeout(float(sys.argv[2]))
try:
    asked.connect(sys.argv[1])
    while asked.recv(4096):
        pass
    print("refused")
except PermissionError:
    print("refused")
except TimeoutError:
    print("allowed")
except OSError as error:
    print(type(error).__name__)
"""


async def probe_zones(house: House) -> ZoneFacts:
    """Everything tried once. Raises: HygieError, OSError: nothing answers where the tries begin."""
    async with opened(house.dsns.sealer, size=1) as records, records.transaction() as connection:
        roles = [row[0] for row in await (await connection.execute(_ROLES, (ENVIRONMENTS_MAX,))).fetchall()]
    controls: list[Crossing] = []
    attempts: list[Crossing] = []
    for zone, dsn in (("hosting", house.dsns.hosting), ("sealer", house.dsns.sealer), ("console", house.dsns.console)):
        async with opened(dsn, size=1) as pool:
            controls.append(await _tried(pool, zone, "its own", _CONTROLS[zone]))
            for target, statement in _forbidden(zone, roles):
                attempts.append(await _tried(pool, zone, target, statement))
    attempts += [
        Crossing(f"token of {own}", other, "refused" if status in {401, 404} else "allowed")
        for own, other, status in await knock_elsewhere(house)
    ]
    attempts += await asyncio.to_thread(_from_outside, house)
    return ZoneFacts(len(roles), tuple(controls), tuple(attempts))


def _forbidden(zone: str, roles: list[str]) -> Iterator[tuple[str, str]]:
    """(what is aimed at, statement) of one role of the database."""
    for role in roles:
        yield from ((f"{role}.{table}", _SEALED.format(role, table)) for table in SEALED)
        if zone != "hosting":  # it becomes them, one transaction at a time
            yield f"role {role}", f'SET LOCAL ROLE "{role}"'
    for table in RIGHTS:
        yield f"hygie.{table} +", _INSERT.format(table)
        yield f"hygie.{table} ~", _UPDATE.format(table)
        yield f"hygie.{table} -", _DELETE.format(table)
    others = {"hosting", "sealer", "console", "owner"} - {zone}
    yield from ((f"role hygie_{other}", f"SET LOCAL ROLE hygie_{other}") for other in sorted(others))
    if zone != "sealer":
        yield "hygie.journal_entry", "SELECT 1 FROM hygie.journal_entry LIMIT 1"
    if zone == "console":
        yield "hygie.token.hash", "SELECT hash FROM hygie.token LIMIT 1"
        yield "hygie.token.mac", "SELECT mac FROM hygie.token LIMIT 1"
        yield "hygie.journal_pending", "SELECT 1 FROM hygie.journal_pending LIMIT 1"


async def _tried(pool: Database, zone: str, target: str, statement: str) -> Crossing:
    try:
        async with pool.transaction() as connection:
            await connection.execute(statement.encode())
    except psycopg.errors.InsufficientPrivilege:
        return Crossing(zone, target, "refused")
    except psycopg.Error as error:
        return Crossing(zone, target, error.sqlstate or "error")
    except HygieError as error:
        return Crossing(zone, target, error.code)
    return Crossing(zone, target, "allowed")


def _from_outside(house: House) -> list[Crossing]:
    """What another account of the machine, or of the network, would try. Blocks for some seconds at most."""
    settings, folder = house.settings, house.folder
    private = [("kms", kms_socket(settings, folder))]
    if settings.database.dsn is None:
        private.append(("postgres", folder.socket(f".s.PGSQL.{POSTGRES_PORT}")))
    found = [Crossing("another account", name, _stranger(path)) for name, path in private]
    found.append(Crossing("network", "host (http)", _in_clear(settings)))
    return [*found, *(Crossing("network", *one) for one in _database_over_tcp(house))]


def _stranger(path: Path) -> str:
    """Whether another account gets to a private socket. Only root can take another identity: for others, the modes of
    the folders above decide, as the kernel applies them."""
    if os.geteuid() != 0:
        return "refused" if _closed(path) else "untried"
    for program in dict.fromkeys(INTERPRETERS):
        try:
            done = subprocess.run(  # noqa: S603 (our own text, and the path of a socket)
                [program, "-I", "-c", _STRANGER, str(path), str(ANSWER_S_MAX)],
                user=NOBODY,
                group=NOBODY,
                extra_groups=[],
                cwd="/",
                capture_output=True,
                text=True,
                timeout=3 * ANSWER_S_MAX,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            continue  # an interpreter in a folder that this account may not enter
        if done.stdout.strip():
            return done.stdout.strip()
    return "untried"


def _closed(path: Path) -> bool:
    """Whether a folder on the way, or the socket itself, is closed to every account but its owner's."""
    steps = [path, *path.parents]
    modes = [stat.S_IMODE(one.stat().st_mode) for one in steps]
    return not modes[0] & 0o022 or any(not mode & 0o011 for mode in modes[1:])


def _in_clear(settings: Settings) -> str:
    """Whether the FHIR port answers HTTP without TLS."""
    host = "127.0.0.1" if settings.host.address in ANYWHERE else settings.host.address
    try:
        with socket.create_connection((host, settings.host.port), timeout=ANSWER_S_MAX) as plain:
            plain.sendall(b"GET /fhir/metadata HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return "allowed" if plain.recv(16).startswith(b"HTTP/") else "refused"
    except (ConnectionResetError, BrokenPipeError):
        return "refused"
    except OSError as error:
        return type(error).__name__


def _database_over_tcp(house: House) -> Iterator[tuple[str, str]]:
    """The embedded server has no TCP; another one takes no password in clear but on this machine."""
    told = conninfo_to_dict(house.dsns.hosting)
    if house.settings.database.dsn is None:
        for host in LOOPBACK[:2]:
            dsn = make_conninfo(house.dsns.hosting, host=host, connect_timeout=int(ANSWER_S_MAX))
            yield f"postgres {host}", _logged_in(dsn)
        return
    for host in str(told.get("host") or "").split(","):
        if host and not host.startswith("/") and host not in LOOPBACK:
            dsn = make_conninfo(
                house.dsns.hosting, host=host, hostaddr="", sslmode="disable", connect_timeout=int(ANSWER_S_MAX)
            )
            yield f"postgres {host} (no TLS)", _logged_in(dsn)


def _logged_in(dsn: str) -> str:
    try:
        psycopg.connect(dsn).close()
    except psycopg.OperationalError:
        return "refused"
    return "allowed"
