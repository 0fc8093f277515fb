"""Which logs of machines the watch follows, and who may send it theirs; refused when they cannot be told apart.

Sources: docs/reference/settings.md, docs/adr/0031-host-logs.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec

from hygie.base.errors import SettingsError

Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9-]{0,31}$")]
Machine = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]{0,62}[A-Za-z0-9])?$")]
Host = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9.:_-]{1,255}$")]
FilePath = Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Minutes = Annotated[int, msgspec.Meta(ge=1, le=10_080)]
Format = Literal["syslog", "journald", "audit", "postgresql"]

LOGS_MAX = 50
SENDERS_MAX = 1_000
OWN = ("postgresql", "received")  # names of what is followed without being listed


class HostLogSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file that another program writes. host: the machine it speaks of; silent_minutes: its rhythm, after which its
    silence is a finding."""

    name: Name
    path: FilePath
    format: Format
    host: Machine
    silent_minutes: Minutes | None = None


class SyslogReceiverSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where other machines send their syslog, over TLS (RFC 5425). authority: a PEM file of who signs the senders'
    certificates, and nothing else; senders: the names of these certificates; silent_minutes: the rhythm of each."""

    address: Host
    port: Port = 6514
    certificate: FilePath
    key: FilePath
    authority: FilePath
    senders: Annotated[tuple[Machine, ...], msgspec.Meta(min_length=1, max_length=SENDERS_MAX)]
    silent_minutes: Minutes = 60


def check_host_logs(logs: Sequence[HostLogSettings], receiver: SyslogReceiverSettings | None) -> None:
    """Refuse names that would mix two logs, and senders named twice.

    Raises: SettingsError.
    """
    names = [one.name for one in logs]
    if len(set(names)) != len(names) or len(names) > LOGS_MAX:
        raise SettingsError(setting="host_logs", reason=f"each name once, {LOGS_MAX} at most")
    for name in names:
        if name in OWN:
            raise SettingsError(setting=f"host_logs.{name}", reason=f"{' and '.join(OWN)} are names of Hygie's own")
    if receiver is not None and len({one.lower() for one in receiver.senders}) != len(receiver.senders):
        raise SettingsError(setting="syslog_receiver.senders", reason="each name once")
