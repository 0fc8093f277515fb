"""What programs of a machine say, in the few words that rules look for. Pure.

One table: the programs that may say it, how they say it, which event it is.  Sources: OpenSSH's auth.c and auth2.c,
sudo's logging.c, shadow's useradd and usermod, systemd's unit messages, the kernel's block layer and file systems,
chrony, rsyslog and auditd, at the versions of Debian 12.  A line counts only under the name of a program that writes
it; who may write under that name is for the machine to hold.  Commands, paths and words of people are not kept; nor is
the name of an account that does not exist, which may be a password typed in the wrong place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from hygie.watch.events import Value

NAME_CHARACTERS_MAX = 64
_ADDRESS = r"(?P<address>[0-9A-Fa-f.:]{2,45}(?:%[\w.-]{1,16})?|[\w.-]{1,64})"
_FROM = rf" from {_ADDRESS} port \d{{1,5}}"
LOG_UNITS: Final = frozenset(
    ("rsyslog.service", "syslog.service", "syslog-ng.service", "systemd-journald.service", "auditd.service")
)
_SSHD = ("sshd", "sshd-session", "sshd-auth")
_DISK = (
    r"(?:\[[ \d.]+\] )?(?:blk_update_request: )?(?:critical (?:medium|target) error|I/O error|Buffer I/O error on"
    r" dev(?:ice)?),? (?:dev )?(?P<device>[\w.-]{1,32})\b.*",
    r"(?:\[[ \d.]+\] )?(?:EXT4-fs error|BTRFS error) \(device (?P<device>[\w.-]{1,32})\b.*",
    r"(?:\[[ \d.]+\] )?XFS \((?P<device>[\w.-]{1,32})\): .*(?:I/O error|[Cc]orruption).*",
    r"(?:\[[ \d.]+\] )?md/raid\S*?:(?P<device>md\d+): Disk failure on .*",
)

# (programs, form, event), the first that fits; no program: any of them. Groups are fields.
_TABLE: Final[tuple[tuple[tuple[str, ...], str, str], ...]] = (
    (_SSHD, rf"Accepted (?P<method>[a-z/-]{{1,32}}) for (?P<user>\S{{1,64}}){_FROM} ssh2.*", "login.accepted"),
    (_SSHD, rf"Failed (?P<method>[a-z/-]{{1,32}}) for invalid user .*{_FROM} ssh2.*", "login.failed"),
    (_SSHD, rf"Failed (?P<method>[a-z/-]{{1,32}}) for (?P<user>\S{{1,64}}){_FROM} ssh2.*", "login.failed"),
    (_SSHD, rf"(?:error: )?maximum authentication attempts exceeded for .*{_FROM} ssh2.*", "login.failed"),
    (_SSHD, rf"Invalid user .*{_FROM}", "login.unknown-user"),
    (("login",), r"ROOT LOGIN .*", "login.root"),
    (("login",), r"FAILED LOGIN .*", "login.failed"),
    (("login",), r"LOGIN ON \S{1,32} BY (?P<user>\S{1,64}).*", "login.accepted"),
    (
        ("sudo",),
        r"\s*(?P<user>\S{1,64}) : (?:\d+ incorrect password attempts?|a password is required) ;.*",
        "sudo.failed",
    ),
    (
        ("sudo",),
        r"\s*(?P<user>\S{1,64}) : (?:user NOT in sudoers|command not allowed|user NOT authorized on host) ;.*",
        "sudo.refused",
    ),
    (("sudo",), r"\s*(?P<user>\S{1,64}) : .{0,1000}?USER=(?P<target>\S{1,64}) ;.*", "sudo"),
    (("su",), r"FAILED SU \(to (?P<target>\S{1,64})\) (?P<user>\S{1,64}) .*", "su.failed"),
    (("su",), r"\(to (?P<target>\S{1,64})\) (?P<user>\S{1,64}) .*", "su"),
    (("useradd",), r"new user: name=(?P<user>[^,\s]{1,64}),.*", "account.added"),
    (("groupadd",), r"new group: name=(?P<group>[^,\s]{1,64}),.*", "group.added"),
    (("userdel",), r"delete user '(?P<user>[^']{1,64})'.*", "account.removed"),
    (
        ("usermod", "gpasswd", "useradd"),
        r"add '(?P<user>[^']{1,64})' to (?:shadow )?group '(?P<group>[^']{1,64})'.*",
        "account.changed",
    ),
    (("gpasswd",), r"user (?P<user>\S{1,64}) added by \S{1,64} to group (?P<group>\S{1,64}).*", "account.changed"),
    (("usermod",), r"(?:change|lock|unlock) user '(?P<user>[^']{1,64})'.*", "account.changed"),
    (("passwd", "chpasswd"), r"pam_unix\(\S{1,32}\): password changed for (?P<user>\S{1,64})", "account.changed"),
    (("systemd",), r"(?P<unit>[\w@:.\\-]{1,128}): Failed with result .*", "service.failed"),
    (("systemd",), r"(?P<unit>[\w@:.\\-]{1,128}): Scheduled restart job, restart counter .*", "service.restarted"),
    (("systemd",), r"Stopped (?P<unit>[\w@:.\\-]{1,128}\.service)\b.*", "service.stopped"),
    (("rsyslogd",), r"\[origin software=\"rsyslogd\".*\] exiting on signal .*", "log.stopped"),
    (("rsyslogd",), r"\[origin software=\"rsyslogd\".*\] start.*", "log.started"),
    (("rsyslogd",), r".*(?:begins? to drop messages|messages lost due to rate-limiting).*", "log.suppressed"),
    (("systemd-journald",), r"Journal stopped.*", "log.stopped"),
    (("systemd-journald",), r"Journal started.*", "log.started"),
    (("systemd-journald",), r"Suppressed \d+ messages from .*", "log.suppressed"),
    (("auditd",), r"The audit daemon is exiting.*", "log.stopped"),
    (("auditd",), r"Audit daemon (?:is suspending logging|has no space left).*", "log.stopped"),
    (("chronyd",), r"System clock was stepped by .*", "clock.stepped"),
    (("ntpd",), r"(?:time reset|.* step-systime|CLOCK: time stepped by) .*", "clock.stepped"),
    (("systemd-resolved",), r"Clock change detected\..*", "clock.stepped"),
    (("systemd-timedated",), r"Changed local time to .*", "clock.stepped"),
    *((("kernel",), form, "disk.error") for form in _DISK),
    (("kernel",), r".*Remounting filesystem read-only.*", "disk.error"),
    (("kernel",), r".*Out of memory: Killed process \d+ \((?P<target>[\w.-]{1,32})\).*", "memory.killed"),
    (("kernel",), r".*\bdevice (?P<device>\S{1,32}) entered promiscuous mode.*", "network.promiscuous"),
    ((), r".*\b[Nn]o space left on device\b.*", "disk.full"),
)


def _compiled() -> dict[str, list[tuple[re.Pattern[str], str]]]:
    """Program → what it may say; the empty name: what anyone may."""
    found: dict[str, list[tuple[re.Pattern[str], str]]] = {}
    for programs, form, event in _TABLE:
        pattern = re.compile(form, re.ASCII)
        for program in programs or ("",):
            found.setdefault(program, []).append((pattern, event))
    return found


_FORMS: Final = _compiled()


def said_by(program: str, message: str) -> tuple[str, Mapping[str, Value]]:
    """Which event a program's message is, with its fields; nothing for any other. Args: message: within bounds."""
    first, _, _ = message.partition("\n")
    for pattern, event in (*_FORMS.get(program, ()), *_FORMS[""]):
        found = pattern.fullmatch(first)
        if found is not None:
            fields: dict[str, Value] = {name: name_of(one) for name, one in found.groupdict().items() if one}
            if event == "service.stopped" and fields.get("unit") in LOG_UNITS:
                return "log.stopped", fields
            return event, fields
    return "", {}


def unit_fields(unit: str) -> dict[str, Value]:
    """The unit that a line is about."""
    name = name_of(unit)
    return {"unit": name} if name else {}


def name_of(text: str) -> str:
    """A name as it may be shown and compared: printable, without spaces, of bounded length."""
    return "".join(one for one in text[:NAME_CHARACTERS_MAX] if one.isprintable() and not one.isspace())
