"""What leaves for a SOC, and where metrics are read: exports and the metrics door of the settings, refused when weak.

Sources: docs/reference/settings.md, docs/adr/0033-soc-export.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from typing import Annotated, Literal

import msgspec

from hygie.base.channels import FilePath, Host, Name, Port
from hygie.base.errors import SettingsError

EXPORTS_MAX = 10
Source = Literal["journal", "findings", "measurement", "check"]
OF_A_TENANT = frozenset({"journal", "findings"})  # the others are the platform's


class _Export(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every export has. sources: what it carries, all that it may by default; tenant: the name of the only client
    whose entries it carries; since: where it begins when it is new."""

    name: Name
    sources: Annotated[tuple[Source, ...], msgspec.Meta(max_length=4)] = ()
    tenant: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] | None = None
    since: Literal["now", "beginning"] = "now"

    @property
    def carried(self) -> frozenset[str]:
        """The sources it carries."""
        every = OF_A_TENANT if self.tenant is not None else OF_A_TENANT | {"measurement", "check"}
        return frozenset(self.sources) or frozenset(every)


class SyslogExport(_Export, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="syslog"):
    """A collector of logs, by RFC 5424 over TLS (RFC 5425). certificate, key: by which we prove who we are (PEM; the
    key in a private file); authority: who signs the collector's certificate; facility: of RFC 5424, table 1."""

    host: Host
    port: Port = 6514
    tls: Literal["tls", "none"] = "tls"
    certificate: FilePath | None = None
    key: FilePath | None = None
    authority: FilePath | None = None
    facility: Annotated[int, msgspec.Meta(ge=0, le=23)] = 13


class OcsfExport(_Export, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="ocsf"):
    """A file of JSON lines that a shipper follows. mib: the size at which it becomes ``PATH.1``; keep: how many of
    those stay."""

    path: FilePath
    mib: Annotated[int, msgspec.Meta(ge=1, le=4_096)] = 64
    keep: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 16


ExportSettings = SyslogExport | OcsfExport


class MetricsSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where Prometheus reads. port: none by default, and then nothing listens; address: of this machine only."""

    address: Host = "127.0.0.1"
    port: Port | None = None


def export_keys(exports: Sequence[ExportSettings]) -> list[str]:
    """The private files that exports name."""
    return [one.key for one in exports if isinstance(one, SyslogExport) and one.key is not None]


def check_soc(exports: Sequence[ExportSettings], metrics: MetricsSettings, *, production: bool) -> None:
    """Refuse an export that others could read or answer for, and metrics that others could reach.

    Raises: SettingsError.
    """
    names = [one.name for one in exports]
    if len(set(names)) != len(names) or len(names) > EXPORTS_MAX:
        raise _weak("soc", f"each name once, {EXPORTS_MAX} at most")
    paths = [one.path for one in exports if isinstance(one, OcsfExport)]
    if len(set(paths)) != len(paths):
        raise _weak("soc", "each path once")
    for one in exports:
        where = f"soc.{one.name}"
        if one.tenant is not None and not one.carried <= OF_A_TENANT:
            raise _weak(f"{where}.sources", "of a client: journal, findings")
        if isinstance(one, SyslogExport):
            _check_syslog(one, where, production=production)
    try:
        here = ip_address(metrics.address).is_loopback
    except ValueError:
        here = False
    if not here:
        raise _weak("metrics.address", "an address of this machine only: 127.0.0.1, ::1")


def _check_syslog(one: SyslogExport, where: str, *, production: bool) -> None:
    if (one.certificate is None) != (one.key is None):
        raise _weak(f"{where}.key", "certificate and key go together")
    if production and (one.tls == "none" or one.certificate is None):
        raise _weak(f"{where}.certificate", "mutual TLS, in production")


def _weak(setting: str, reason: str) -> SettingsError:
    return SettingsError(setting=setting, reason=reason)
