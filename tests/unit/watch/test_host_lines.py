"""Lines of a machine's logs: what rules may know of them, and nothing else; no bytes raise."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hygie.watch.host_lines import READERS, Said, read_line

AT = "2026-11-28T01:02:03.123456+01:00"
AT_MS = 1_795_824_123_123


def syslog(tag: str, message: str) -> bytes:
    return f"{AT} web1 {tag}[12]: {message}".encode()


def said(kind: str, raw: bytes) -> tuple[str, dict[str, object]]:
    found = read_line(kind, raw)
    assert found is not None
    return found.event, dict(found.fields)


@pytest.mark.parametrize(
    ("tag", "message", "event", "fields"),
    [
        ("sshd", "Accepted publickey for paul from 192.0.2.7 port 51000 ssh2: ED25519 SHA256:x", "login.accepted",
         {"user": "paul", "address": "192.0.2.7", "method": "publickey"}),
        ("sshd-session", "Accepted password for root from 2001:db8::7 port 5 ssh2", "login.accepted",
         {"user": "root", "address": "2001:db8::7", "method": "password"}),
        ("sshd", "Accepted publickey for ops from 192.0.2.7 port 51000 ssh2: ED25519-CERT SHA256:a ID INT-0042"
         " (serial 7) CA ED25519 SHA256:b", "login.accepted",
         {"user": "ops", "address": "192.0.2.7", "method": "publickey"}),
        ("sshd", "Failed password for paul from 192.0.2.7 port 51000 ssh2", "login.failed",
         {"user": "paul", "address": "192.0.2.7", "method": "password"}),
        ("sshd", "Failed password for invalid user hunter2 from 192.0.2.7 port 51000 ssh2", "login.failed",
         {"address": "192.0.2.7", "method": "password"}),
        ("sshd", "Failed none for invalid user a from 198.51.100.1 port 1 ssh2 from 192.0.2.7 port 2 ssh2",
         "login.failed", {"address": "192.0.2.7", "method": "none"}),
        ("sshd", "Invalid user x from 192.0.2.7 port 40", "login.unknown-user", {"address": "192.0.2.7"}),
        ("sudo", "    paul : TTY=pts/0 ; PWD=/srv ; USER=root ; COMMAND=/bin/cat /srv/x", "sudo",
         {"user": "paul", "target": "root"}),
        ("sudo", "eve : user NOT in sudoers ; TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/sh", "sudo.refused",
         {"user": "eve"}),
        ("sudo", "eve : 3 incorrect password attempts ; TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/sh",
         "sudo.failed", {"user": "eve"}),
        ("su", "FAILED SU (to root) eve on pts/1", "su.failed", {"user": "eve", "target": "root"}),
        ("useradd", "new user: name=eve, UID=1001, GID=1001, home=/home/eve, shell=/bin/bash, from=none",
         "account.added", {"user": "eve"}),
        ("usermod", "add 'eve' to group 'sudo'", "account.changed", {"user": "eve", "group": "sudo"}),
        ("userdel", "delete user 'eve'", "account.removed", {"user": "eve"}),
        ("passwd", "pam_unix(passwd:chauthtok): password changed for eve", "account.changed", {"user": "eve"}),
        ("systemd", "hygie-serve.service: Failed with result 'exit-code'.", "service.failed",
         {"unit": "hygie-serve.service"}),
        ("systemd", "hygie-serve.service: Scheduled restart job, restart counter is at 3.", "service.restarted",
         {"unit": "hygie-serve.service"}),
        ("systemd", "Stopped rsyslog.service - System Logging Service.", "log.stopped", {"unit": "rsyslog.service"}),
        ("systemd", "Stopped cron.service - Regular background program processing daemon.", "service.stopped",
         {"unit": "cron.service"}),
        ("auditd", "The audit daemon is exiting.", "log.stopped", {}),
        ("chronyd", "System clock was stepped by -3.1 seconds", "clock.stepped", {}),
        ("kernel", "[ 12.5] blk_update_request: I/O error, dev sda, sector 8 op 0x0:(READ)", "disk.error",
         {"device": "sda"}),
        ("kernel", "EXT4-fs error (device sda1): ext4_find_entry:1455: inode #2", "disk.error", {"device": "sda1"}),
        ("kernel", "Out of memory: Killed process 123 (postgres) total-vm:1kB", "memory.killed",
         {"target": "postgres"}),
        ("backup", "write: No space left on device", "disk.full", {}),
    ],
)  # fmt: skip
def test_what_programs_say(tag: str, message: str, event: str, fields: dict[str, object]) -> None:
    assert said("syslog", syslog(tag, message)) == (event, {"program": tag, **fields})


@pytest.mark.parametrize(
    ("tag", "message"),
    [
        ("evil", "Accepted password for root from 192.0.2.7 port 51000 ssh2"),  # under another name it is nothing
        ("sshd", "x Accepted password for root from 192.0.2.7 port 51000 ssh2"),
        ("sshd", "Connection closed by 192.0.2.7 port 40 [preauth]"),
        ("CRON", "pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)"),
        ("rsyslogd", '[origin software="rsyslogd" swVersion="8.2302.0"] rsyslogd was HUPed'),
    ],
)
def test_what_no_rule_looks_for_is_counted_only(tag: str, message: str) -> None:
    assert read_line("syslog", syslog(tag, message)) == Said(AT_MS)


def test_instants_and_severities_of_each_form() -> None:
    told = "Accepted password for root from 192.0.2.7 port 51000 ssh2"
    modern = f'<86>1 {AT} web9 sshd 12 - [a@1 b="\\]c"][d] \ufeff{told}'.encode()
    rsyslog = f"<86>1 {AT} web9 sshd 12 - -  {told}".encode()
    for raw in (modern, rsyslog, f"<86>{AT} web9 sshd[12]: {told}".encode()):
        found = read_line("syslog", raw)
        assert found is not None
        assert (found.at_ms, found.host) == (AT_MS, "")  # the host is not for the line to say
        assert found.fields["severity"] == "info"
    nil = read_line("syslog", b"<34>1 - - sshd - - - " + told.encode())
    assert nil is not None
    assert (nil.at_ms, nil.event) == (None, "login.accepted")


def test_journald() -> None:
    line = {
        "__REALTIME_TIMESTAMP": str(AT_MS * 1000),
        "SYSLOG_IDENTIFIER": "systemd",
        "PRIORITY": "4",
        "UNIT": "hygie-work.service",
        "MESSAGE": "hygie-work.service: Failed with result 'exit-code'.",
        "_CMDLINE": ["two", "values"],
    }
    found = read_line("journald", json.dumps(line).encode())
    fields = {"program": "systemd", "severity": "warning", "unit": "hygie-work.service"}
    assert found == Said(AT_MS, "service.failed", fields)
    kernel = {
        "__REALTIME_TIMESTAMP": "1",
        "_TRANSPORT": "kernel",
        "MESSAGE": list(b"EXT4-fs error (device sda1): \xff"),
    }
    assert said("journald", json.dumps(kernel).encode()) == ("disk.error", {"program": "kernel", "device": "sda1"})


def test_auditd() -> None:
    head = "msg=audit(1795824123.123:42): pid=1 uid=0 auid=1000 ses=1 msg='"
    login = f'type=USER_LOGIN {head}op=login acct="paul" exe="/usr/sbin/sshd" hostname=? addr=192.0.2.7 res=success\''
    assert said("audit", login.encode()) == (
        "login.accepted",
        {"program": "sshd", "user": "paul", "address": "192.0.2.7", "method": "login"},
    )
    failed = login.replace("res=success", "res=failed")
    assert "user" not in said("audit", failed.encode())[1]
    added = f'type=ADD_USER {head}op=add-user acct=6576652031 exe="/usr/sbin/useradd" res=success\''
    assert said("audit", added.encode())[1]["user"] == "eve1"
    at = "msg=audit(1795824123.123:9): "
    for line, event in (
        (f"type=CONFIG_CHANGE {at}auid=0 op=remove_rule key=(null) res=1", "audit.rule-changed"),
        (f"type=CONFIG_CHANGE {at}audit_enabled=0 old=1 auid=0 res=1", "log.stopped"),
        (f'type=DAEMON_END {at}op=terminate auid=0 res=success\x1dAUID="root"', "log.stopped"),
        (f'type=ADD_USER {at}op=add-user id=1001 res=1\x1dID="eve" res=0', "account.added"),
        (f"type=DAEMON_END {at}op=terminate auid=0 res=success", "log.stopped"),
        (f"type=SERVICE_STOP {at}msg='unit=cron comm=\"systemd\" res=success'", "service.stopped"),
    ):  # fmt: skip
        assert said("audit", line.encode())[0] == event
    assert read_line("audit", b"type=SYSCALL msg=audit(1795824123.123:9): arch=c000003e") == Said(AT_MS)


def test_postgresql_without_what_it_was_asked() -> None:
    denied = "2026-11-28 00:02:03.123 UTC [7] 42501 hygie_watch@hygie ERROR:  permission denied for table token"
    found = read_line("postgresql", denied.encode())
    fields = {
        "program": "postgres",
        "severity": "error",
        "state_class": "42",
        "role": "hygie_watch",
        "database": "hygie",
    }
    assert found == Said(AT_MS, "postgres.permission-denied", fields)
    wrong = '2026-11-28 00:02:03.123 UTC [7] 28P01 eve@hygie FATAL:  password authentication failed for user "eve"'
    assert said("postgresql", wrong.encode())[0] == "postgres.auth-failed"
    former = wrong.replace("28P01 eve@hygie ", "")
    assert said("postgresql", former.encode()) == (
        "postgres.auth-failed",
        {"program": "postgres", "severity": "critical"},
    )
    own = "2026-11-28 00:02:03.123 UTC [7] 00000 @ LOG:  database system was not properly shut down; automatic recovery"
    assert said("postgresql", own.encode())[0] == "postgres.recovered"
    quoting = '2026-11-28 00:02:03.123 UTC [7] 22P02 a@b ERROR:  invalid input syntax for type integer: "Zyglotte"'
    assert read_line("postgresql", quoting.encode()) == Said(AT_MS)
    assert read_line("postgresql", b"\tSELECT 1") == Said(None)


def test_received_lines_believe_the_certificate_only() -> None:
    line = f"<86>1 {AT} other.example sshd 12 - - Accepted password for root from 192.0.2.7 port 51000 ssh2"
    found = read_line("received", json.dumps({"at": 5, "host": "web1", "line": line}).encode())
    assert found is not None
    assert (found.host, found.event, found.at_ms) == ("web1", "login.accepted", AT_MS)
    assert said("received", json.dumps({"at": 5, "host": "web1", "line": "?"}).encode())[0] == "log.unread"


@given(kind=st.sampled_from(sorted(READERS)), raw=st.binary(max_size=300))
def test_no_bytes_raise(kind: str, raw: bytes) -> None:
    read_line(kind, raw)


@pytest.mark.parametrize("kind", sorted(READERS))
@pytest.mark.parametrize(
    "raw",
    [
        b"[" * 60_000,
        b'{"__REALTIME_TIMESTAMP": "1", "x": ' + b"[" * 60_000,
        b'{"__REALTIME_TIMESTAMP": "99999999999999999999", "MESSAGE": [1, 300, -1, "x"]}',
        b'{"at": 1, "line": "' + b"<1>" * 20_000 + b'"}',
        b"<9>1 - - a - - [" + b'x="\\"' * 12_000,
        b"type=ADD_USER msg=audit(9999999999.999:1): " + b"acct=" * 12_000,
        b"9999-12-31T23:59:59-23:59 h sshd[1]: " + b"Failed x for invalid user " * 2_000,
    ],
)
def test_hostile_lines_neither_raise_nor_last(kind: str, raw: bytes) -> None:
    found = read_line(kind, raw)
    assert found is None or found.at_ms is None or found.at_ms < 1 << 63
