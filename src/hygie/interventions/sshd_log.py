"""Logins that sshd accepted, from its log as journald or rsyslog writes it. Pure.

A line: ``2026-11-28T01:02:03.123456+01:00 host sshd[123]: Accepted publickey for paul from 192.0.2.7 port 51000 ssh2:
ED25519-CERT SHA256:… ID INT-0042 (serial 7) CA ED25519 SHA256:…`` (OpenSSH's auth.c, auth_log; at LogLevel INFO).
Other lines are passed over: names that strangers choose stand in lines that begin otherwise. Who may write such a line
is for the machine to hold: the file must have what sshd itself sent (docs/howto/interventions.md), not what any account
may send under its name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from hygie.interventions.naming import short_name

LINE_BYTES_MAX = 4_096
_LINE = re.compile(
    r"(?P<at>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:?\d\d)) (?P<host>[A-Za-z0-9._-]{1,64})"
    r" sshd(?:-session)?\[\d{1,10}\]: Accepted (?P<method>[a-z/-]{1,32}) for (?P<account>[A-Za-z0-9._-]{1,64})"
    r" from (?P<address>[0-9A-Fa-f.:%a-z]{2,64}) port (?P<port>\d{1,5}) ssh2(?:: (?P<key>.+))?",
    re.ASCII,
)
_CERTIFICATE = re.compile(
    r"[A-Z0-9-]{1,32}-CERT (?P<key>SHA256:\S{1,64}) ID (?P<id>.{1,200}) \(serial (?P<serial>\d{1,20})\)"
    r" CA [A-Z0-9-]{1,32} (?P<authority>SHA256:\S{1,64})",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Login:
    """One login. at_ms: UTC; key_id, serial: of its certificate; authority: that certificate's signer, its fingerprint;
    key: fingerprint of the key it was given for; all four empty for a login by anything else."""

    host: str
    account: str
    address: str
    port: int
    at_ms: int
    key_id: str = ""
    serial: str = ""
    authority: str = ""
    key: str = ""

    @property
    def name(self) -> str:
        """A name of this login alone, for a record."""
        told = f"{self.host} {self.account} {self.address} {self.port} {self.at_ms} {self.serial}"
        return short_name(told.encode())


def logins(log: bytes) -> Iterator[Login]:
    """The logins of a piece of log, in order; lines that are not of this form are passed over."""
    for raw in log.splitlines():
        if len(raw) > LINE_BYTES_MAX:
            continue
        found = _LINE.fullmatch(raw.decode("utf-8", "replace").rstrip())
        at_ms = _instant_ms(found["at"]) if found else None
        if found is None or at_ms is None:
            continue
        certificate = _CERTIFICATE.fullmatch(found["key"] or "")
        told = certificate.group("id", "serial", "authority", "key") if certificate else ()
        yield Login(found["host"], found["account"], found["address"], int(found["port"]), at_ms, *told)


def _instant_ms(text: str) -> int | None:
    try:
        return int(datetime.fromisoformat(text).astimezone(UTC).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None
