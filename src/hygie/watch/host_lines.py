"""Lines of a machine's logs, read format by format: when, which program, how grave, and what rules may know of it.

Sources: RFC 5424 (severities, section 6.2.1; message, section 6); rsyslog's RSYSLOG_FileFormat; ``journalctl -o json``
(systemd.journal-fields(7)); auditd's ``type=… msg=audit(…)``; PostgreSQL's ``%m [%p] %e %u@%d``.  Bytes are anybody's:
what is not of its format is told apart, and nothing raises.  The free message goes no further than this room.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import msgspec

from hygie.watch.events import Value
from hygie.watch.host_programs import name_of, said_by, unit_fields

SEVERITIES: Final = ("emergency", "alert", "critical", "error", "warning", "notice", "info", "debug")
MESSAGE_CHARACTERS_MAX = 2_000
AT_MS_MAX = 253_402_300_799_999  # the year 9999

_INSTANT = r"(?P<at>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:?\d\d))"
_PLAIN = re.compile(
    rf"(?:<(?P<pri>\d{{1,3}})>)?{_INSTANT} \S{{1,255}} (?P<tag>[^\s:\[]{{1,48}})(?:\[[^\]\s]{{0,128}}\])?: ?"
    r"(?P<message>.*)",
    re.ASCII | re.DOTALL,
)
_RFC5424 = re.compile(
    rf"<(?P<pri>\d{{1,3}})>1 (?:-|{_INSTANT}) \S{{1,255}} (?P<tag>\S{{1,48}}) \S{{1,128}} \S{{1,32}}"
    r' (?:-|(?:\[[^\]"]{1,100}(?:"(?:[^"\\]|\\.)*"[^\]"]{0,100})*\])+)(?: \ufeff?(?P<message>.*))?',
    re.ASCII | re.DOTALL,
)
_AUDIT = re.compile(
    r"(?:node=\S{1,255} )?type=(?P<type>[A-Z0-9_]{1,40}) msg=audit\((?P<at>\d{1,12}\.\d{3}):\d{1,20}\): ?(?P<rest>.*)"
)
_PAIR = re.compile(r"([a-z0-9_-]{1,40})=(?:\"([^\"]*)\"|'?([^\s'\"]*))", re.ASCII)
_POSTGRESQL = re.compile(
    r"(?P<at>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}) (?:UTC|GMT) \[\d{1,10}\] (?:(?P<state>[0-9A-Z]{5}) "
    r"(?P<role>[^@\s]*)@(?P<database>\S*) )?(?P<severity>DEBUG\d?|INFO|NOTICE|WARNING|ERROR|LOG|FATAL|PANIC):  ?"
    r"(?P<message>.*)",
    re.DOTALL,
)
_POSTGRESQL_MORE = re.compile(r"(?:\t|.{0,200}? (?:DETAIL|HINT|CONTEXT|STATEMENT|QUERY|LOCATION):  )", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Said:
    """What one line says. at_ms: UTC, None when it does not tell; event: empty when no rule could look for it; host:
    when the line itself is to be believed about it."""

    at_ms: int | None
    event: str = ""
    fields: Mapping[str, Value] = field(default_factory=dict)
    host: str = ""


def read_line(kind: str, raw: bytes) -> Said | None:
    """One line of a format. Returns: None when it is not of it. Time: some 5 microseconds."""
    return READERS[kind](raw)


def _syslog(raw: bytes) -> Said | None:
    return read_syslog(raw.decode("utf-8", "replace"))


def read_syslog(text: str) -> Said | None:
    """One message of syslog, as RFC 5424 has it or with an instant, a host and a tag."""
    found = _RFC5424.fullmatch(text) or _PLAIN.fullmatch(text)
    if found is None:
        return None
    pri = found["pri"]
    severity = SEVERITIES[int(pri) % 8] if pri is not None and int(pri) < 192 else ""
    return _of_program(_instant_ms(found["at"]), found["tag"], severity, found["message"] or "")


def _of_program(
    at_ms: int | None, program: str, severity: str, message: str, more: Mapping[str, Value] | None = None
) -> Said:
    program = name_of(program.rpartition("/")[2])
    event, fields = said_by(program, message[:MESSAGE_CHARACTERS_MAX].lstrip())  # rsyslog keeps the space after a tag
    if not event:
        return Said(at_ms)
    told = {"program": program} | ({"severity": severity} if severity else {})
    return Said(at_ms, event, told | dict(more or {}) | dict(fields))


_Field = str | list[int | str] | None  # bytes that are no text are a list of numbers, what is there twice one of texts


class _Journald(msgspec.Struct, frozen=True):
    """The fields that are read; others are passed over."""

    at: str = msgspec.field(name="__REALTIME_TIMESTAMP")
    identifier: _Field = msgspec.field(name="SYSLOG_IDENTIFIER", default=None)
    comm: _Field = msgspec.field(name="_COMM", default=None)
    priority: _Field = msgspec.field(name="PRIORITY", default=None)
    message: _Field = msgspec.field(name="MESSAGE", default=None)
    transport: _Field = msgspec.field(name="_TRANSPORT", default=None)
    unit: _Field = msgspec.field(name="UNIT", default=None)


_journald = msgspec.json.Decoder(_Journald)


def _read_journald(raw: bytes) -> Said | None:
    try:
        found = _journald.decode(raw)
        at_ms = int(found.at[:20]) // 1000
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
        return None
    program = _text(found.identifier) or _text(found.comm) or ("kernel" if found.transport == "kernel" else "")
    severity = SEVERITIES[int(_text(found.priority))] if found.priority in tuple("01234567") else ""
    return _of_program(min(at_ms, AT_MS_MAX), program, severity, _text(found.message), unit_fields(_text(found.unit)))


def _text(value: _Field) -> str:
    if isinstance(value, list):
        texts = [one for one in value if isinstance(one, str)]
        numbers = bytes(one for one in value if isinstance(one, int) and 0 <= one < 256)
        return texts[0] if texts else numbers.decode("utf-8", "replace")
    return value or ""


# Type of a record → what it is when it went well, and when it did not.
_AUDITED: Final[Mapping[str, tuple[str, str]]] = {
    "USER_LOGIN": ("login.accepted", "login.failed"),
    "ADD_USER": ("account.added", ""),
    "ADD_GROUP": ("group.added", ""),
    "DEL_USER": ("account.removed", ""),
    "DEL_GROUP": ("group.removed", ""),
    "USER_MGMT": ("account.changed", ""),
    "GRP_MGMT": ("account.changed", ""),
    "USER_CHAUTHTOK": ("account.changed", ""),
    "CONFIG_CHANGE": ("audit.rule-changed", "audit.rule-changed"),
    "DAEMON_START": ("log.started", ""),
    "DAEMON_END": ("log.stopped", "log.stopped"),
    "DAEMON_ABORT": ("log.stopped", "log.stopped"),
    "SERVICE_STOP": ("service.stopped", "service.failed"),
    "SERVICE_START": ("service.started", "service.failed"),
    "TIME_INJOFFSET": ("clock.stepped", "clock.stepped"),
    "SYSTEM_BOOT": ("host.started", ""),
    "ANOM_ABEND": ("program.crashed", "program.crashed"),
    "ANOM_PROMISCUOUS": ("network.promiscuous", "network.promiscuous"),
}


def _read_audit(raw: bytes) -> Said | None:
    found = _AUDIT.fullmatch(raw.decode("utf-8", "replace")[: 4 * MESSAGE_CHARACTERS_MAX])
    if found is None:
        return None
    at_ms = min(int(float(found["at"]) * 1000), AT_MS_MAX)
    rest, _, _ = found["rest"].partition("\x1d")  # what follows says the same in names (log_format = ENRICHED)
    told = _PAIR.findall(rest.replace("msg='", "", 1))
    pairs = {name: quoted or (_hexed(plain) if name == "acct" else plain) for name, quoted, plain in told}
    done, failed = _AUDITED.get(found["type"], ("", ""))
    event = done if pairs.get("res", "success") in ("success", "1") else failed
    if found["type"] == "CONFIG_CHANGE" and pairs.get("audit_enabled") == "0":
        event = "log.stopped"
    if not event:
        return Said(at_ms)
    fields: dict[str, Value] = {"program": name_of(pairs.get("exe", "").rpartition("/")[2]) or "audit"}
    if event != "login.failed":  # the name that a stranger typed may be a password
        fields |= _named("user", pairs.get("acct") or pairs.get("id", ""))
    fields |= unit_fields(f"{pairs['unit']}.service") if "unit" in pairs else {}
    return Said(at_ms, event, fields | _named("address", pairs.get("addr", "")) | _named("method", pairs.get("op", "")))


def _hexed(text: str) -> str:
    """auditd writes a name that has odd characters in hexadecimal, without quotes."""
    if re.fullmatch(r"(?:[0-9A-F]{2}){1,64}", text):
        return binascii.unhexlify(text).decode("utf-8", "replace")
    return text


def _named(name: str, text: str) -> dict[str, Value]:
    kept = name_of(text)
    return {name: kept} if kept not in ("", "?") else {}


# SQLSTATE → event (PostgreSQL, appendix A).
_STATES: Final[Mapping[str, str]] = {
    "28P01": "postgres.auth-failed",
    "28000": "postgres.not-admitted",
    "42501": "postgres.permission-denied",
    "53100": "disk.full",
    "53300": "postgres.full",
    "XX001": "postgres.corrupted",
    "XX002": "postgres.corrupted",
}
_TOLD: Final = (  # of a message in English that holds nothing of a statement
    (re.compile(r"connection authorized: "), "postgres.connected"),
    (re.compile(r"server process \(PID \d+\) (?:was terminated by signal|exited with exit code)"), "postgres.crashed"),
    (re.compile(r"database system was not properly shut down"), "postgres.recovered"),
    (re.compile(r"database system is ready to accept"), "postgres.started"),
    (re.compile(r"received (?:smart|fast|immediate) shutdown request"), "postgres.stopped"),
    (re.compile(r"password authentication failed for "), "postgres.auth-failed"),
    (re.compile(r"permission denied for "), "postgres.permission-denied"),
)
_SEVERITY: Final = {"PANIC": "emergency", "FATAL": "critical", "ERROR": "error", "WARNING": "warning", "LOG": "info"}


def _read_postgresql(raw: bytes) -> Said | None:
    text = raw.decode("utf-8", "replace")
    found = _POSTGRESQL.fullmatch(text)
    if found is None:
        return Said(None) if _POSTGRESQL_MORE.match(text) else None
    at_ms = _instant_ms(f"{found['at']}Z")
    state, severity, message = found["state"] or "", found["severity"], found["message"][:200]
    event = _STATES.get(state) or next((one for pattern, one in _TOLD if pattern.match(message)), "")
    if not event and severity == "PANIC":
        event = "postgres.panic"
    if not event and severity == "FATAL":
        event = "postgres.refused"
    if not event:
        return Said(at_ms)
    fields: dict[str, Value] = {"program": "postgres", "severity": _SEVERITY.get(severity, "notice")}
    if state:
        fields["state_class"] = state[:2]
    return Said(
        at_ms, event, fields | _named("role", found["role"] or "") | _named("database", found["database"] or "")
    )


class _Received(msgspec.Struct, frozen=True):
    """A line of the spool (:mod:`hygie.watch.syslog_spool`): a message, or what happened to a sender."""

    at: int
    host: str = ""
    line: str = ""
    event: str = ""
    reason: str = ""
    address: str = ""
    count: int = 0


_received = msgspec.json.Decoder(_Received)


def _read_received(raw: bytes) -> Said | None:
    try:
        found = _received.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    host = name_of(found.host)
    if found.event:
        told: dict[str, Value] = {"program": "hygie", "method": name_of(found.reason), "count": found.count}
        return Said(found.at, found.event, told | _named("address", found.address), host)
    said = read_syslog(found.line)
    if said is None:
        return Said(found.at, "log.unread", {"program": "hygie", "count": 1}, host)
    return Said(said.at_ms if said.at_ms is not None else found.at, said.event, said.fields, host)


READERS: Final[Mapping[str, Callable[[bytes], Said | None]]] = {
    "syslog": _syslog,
    "journald": _read_journald,
    "audit": _read_audit,
    "postgresql": _read_postgresql,
    "received": _read_received,
}


def _instant_ms(text: str | None) -> int | None:
    try:
        return int(datetime.fromisoformat(text).astimezone(UTC).timestamp() * 1000) if text else None
    except (ValueError, OverflowError):
        return None
