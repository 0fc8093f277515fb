"""The lines of the matrix on one installation: the shipped data, with the addresses that its settings give."""

from __future__ import annotations

import socket
import tomllib
from collections.abc import Callable, Iterable
from functools import cache
from importlib import resources
from urllib.parse import urlsplit

import msgspec
from psycopg.conninfo import conninfo_to_dict

from hygie.base.channels import ChannelSettings, FileSettings, WebhookSettings
from hygie.base.layout import DataFolder
from hygie.base.settings import Settings, kms_socket, witness_socket
from hygie.base.soc import ExportSettings, OcsfExport
from hygie.proof.flows.model import Endpoint, Line
from hygie.proof.model import Text

POSTGRES_PORT = 5432
ANYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104 (a name of where one listens, not a choice)
# What the C library and systemd make any process call: its log, and who the accounts and the machines are.
SYSTEM_SOCKETS = (
    "/run/systemd/journal/stdout",
    "/run/systemd/journal/socket",
    "/run/systemd/journal/dev-log",
    "/run/systemd/notify",
    "/run/systemd/userdb/",
    "/run/systemd/resolve/",
    "/run/dbus/system_bus_socket",
    "/run/nscd/socket",
    "/var/run/nscd/socket",
    "/var/lib/sss/pipes/",
)

Resolve = Callable[[str, int], tuple[tuple[str, int], ...]]


class Flow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of the shipped matrix."""

    caller: str
    called: str
    at: str
    fr: str
    en: str


@cache
def shipped_flows() -> tuple[Flow, ...]:
    """The matrix that the product ships."""
    text = (resources.files("hygie.proof.flows") / "matrix.toml").read_text("utf-8")
    return tuple(msgspec.convert(tomllib.loads(text)["flow"], type=list[Flow]))


def resolved(host: str, port: int) -> tuple[tuple[str, int], ...]:
    """Every address of a name; any address when it has none now. Blocks: asks the resolver."""
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    except OSError:
        return (("", port),)
    return tuple(sorted((address, port) for address in found))


def declared_lines(
    settings: Settings, folder: DataFolder, *, jwks: Iterable[str] = (), resolve: Resolve = resolved
) -> tuple[Line, ...]:
    """The matrix of one installation. Args: jwks: addresses at which applications publish their keys. May block."""
    endpoints = {
        "host": (_host(settings),),
        "database": _database(settings, folder, resolve),
        "kms": (Endpoint("unix", str(kms_socket(settings, folder))),),
        "witness": (_witness(settings, folder, resolve),),
        "timestamp": _timestamp(settings, resolve),
        "syslog_receiver": _receiver(settings),
        "channels": tuple(_channel(one, folder, resolve) for one in settings.channels),
        "soc": tuple(_export(one, folder, resolve) for one in settings.soc),
        "metrics": _metrics(settings),
        "jwks": tuple(_url(one, resolve) for one in sorted(set(jwks))),
        "sites": tuple(Endpoint("files", str(folder.resolve(one.path))) for one in settings.sites),
        "backup": (Endpoint("files", str(folder.resolve(settings.backups.path))),),
        "system": tuple(Endpoint("unix", name) for name in SYSTEM_SOCKETS),
    }
    return tuple(
        Line(one.caller, one.called, one.at, endpoints[one.at], Text(one.fr, one.en)) for one in shipped_flows()
    )


def _host(settings: Settings) -> Endpoint:
    return _listening(settings.host.address, settings.host.port)


def _receiver(settings: Settings) -> tuple[Endpoint, ...]:
    one = settings.syslog_receiver
    return (_listening(one.address, one.port),) if one is not None else ()


def _listening(host: str, port: int) -> Endpoint:
    address = "" if host in ANYWHERE else host
    known = ("127.0.0.1", "::1") if address == "localhost" else (address,)
    return Endpoint("tcp", f"{host}:{port}", tuple((one, port) for one in known))


def _database(settings: Settings, folder: DataFolder, resolve: Resolve) -> tuple[Endpoint, ...]:
    """The embedded server's socket, or each server that the DSN names."""
    if settings.database.dsn is None:
        return (Endpoint("unix", str(folder.socket(f".s.PGSQL.{POSTGRES_PORT}"))),)
    named = conninfo_to_dict(settings.database.dsn)
    hosts = str(named.get("host") or "/var/run/postgresql").split(",")
    ports = str(named.get("port") or POSTGRES_PORT).split(",")
    found = []
    for at, host in enumerate(hosts):
        port = int(ports[at] if at < len(ports) else ports[-1])
        if host.startswith("/"):
            found.append(Endpoint("unix", f"{host}/.s.PGSQL.{port}"))
        else:
            found.append(Endpoint("tcp", f"{host}:{port}", resolve(host, port)))
    return tuple(found)


def _witness(settings: Settings, folder: DataFolder, resolve: Resolve) -> Endpoint:
    if settings.witness.url is None:
        return Endpoint("unix", str(witness_socket(settings, folder)))
    return _url(settings.witness.url, resolve)


def _timestamp(settings: Settings, resolve: Resolve) -> tuple[Endpoint, ...]:
    stamp = settings.timestamp
    if stamp.url is not None:
        return (_url(stamp.url, resolve),)
    return (Endpoint("program", stamp.command[0]),) if stamp.command is not None else ()


def _channel(one: ChannelSettings, folder: DataFolder, resolve: Resolve) -> Endpoint:
    if isinstance(one, FileSettings):
        return Endpoint("files", str(folder.resolve(one.path)))
    if isinstance(one, WebhookSettings):
        return _url(one.url, resolve)
    return Endpoint("tcp", f"{one.host}:{one.port}", resolve(one.host, one.port))


def _export(one: ExportSettings, folder: DataFolder, resolve: Resolve) -> Endpoint:
    if isinstance(one, OcsfExport):
        return Endpoint("files", str(folder.resolve(one.path)))
    return Endpoint("tcp", f"{one.host}:{one.port}", resolve(one.host, one.port))


def _metrics(settings: Settings) -> tuple[Endpoint, ...]:
    """Where the watch answers Prometheus, once it is set."""
    one = settings.metrics
    return () if one.port is None else (Endpoint("tcp", f"{one.address}:{one.port}", ((one.address, one.port),)),)


def _url(url: str, resolve: Resolve) -> Endpoint:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (80 if parts.scheme == "http" else 443)
    return Endpoint("tcp", f"{host}:{port}", resolve(host, port))
