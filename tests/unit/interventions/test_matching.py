"""A session belongs to the intervention of its certificate, and to none at the least doubt."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hygie.interventions.iolog import Header
from hygie.interventions.matching import LIFE_MS, TOUCH_MS, Match, kind_of, match, same_machine, unrecorded
from hygie.interventions.sshd_log import Login, logins
from tests.unit.interventions.stage import ALLOWED, BELIEVED, LOGIN, SECOND, START_MS, header

SUDO = header(command="/usr/bin/id", run_as="root", arguments=())
END_MS = START_MS + 30_000


def found(one: Header = header(), *known: Login, ended_ms: int = END_MS) -> Match:  # noqa: B008 (frozen)
    return match(one, ended_ms, known or (LOGIN,), BELIEVED)


def test_a_session_of_an_approved_intervention_is_its_own() -> None:
    assert found() == Match(ALLOWED, LOGIN)
    assert found(SUDO) == Match(ALLOWED, LOGIN)
    assert [kind_of(one) for one in (header(), SUDO, header(command="/usr/bin/psql"))] == ["ssh", "sudo", "psql"]


@pytest.mark.parametrize(
    ("one", "login", "wrong"),
    [
        (header(account="anne"), LOGIN, "no-login"),
        (header(arguments=("INT-1", "192.0.2.7 51001 x 22")), LOGIN, "no-login"),
        (header(arguments=()), LOGIN, "no-login"),
        (header(host="vm-9"), LOGIN, "no-login"),
        (replace(SUDO, host="vm-9"), LOGIN, "no-login"),
        (replace(SUDO, host=""), LOGIN, "no-login"),
        (header(started_ms=START_MS + TOUCH_MS + 1), LOGIN, "no-login"),
        (header(arguments=("INT-2", "192.0.2.7 51000 x 22")), LOGIN, "other-ticket"),
        (header(), replace(LOGIN, key_id="", authority=""), "no-certificate"),
        (header(), replace(LOGIN, authority="SHA256:other"), "no-certificate"),
        (header(), replace(LOGIN, serial="6"), "no-certificate"),
        (header(arguments=("INT-2", "192.0.2.7 51000 x 22")), replace(LOGIN, key_id="INT-2"), "no-certificate"),
        (header(), replace(LOGIN, key="SHA256:other"), "no-certificate"),
        (
            header(arguments=("INT-9", "192.0.2.7 51000 x 22")),
            replace(LOGIN, key_id="INT-9", serial="9"),
            "not-approved",
        ),
        (SUDO, replace(LOGIN, at_ms=START_MS + 5_000), "no-login"),
        (SUDO, replace(LOGIN, at_ms=START_MS - LIFE_MS - 1), "no-login"),
    ],
)
def test_the_least_doubt_leaves_it_without(one: Header, login: Login, wrong: str) -> None:
    assert (found(one, login).allowed, found(one, login).wrong) == (None, wrong)


@pytest.mark.parametrize("shell", ["/bin/bash", "", "/usr/bin/zsh"])
def test_a_login_shell_that_could_leave_the_recorder_is_named(shell: str) -> None:
    assert found(header(login_shell=shell)) == Match(ALLOWED, LOGIN, "login-shell")


def test_another_account_and_another_time_are_refused() -> None:
    other = replace(BELIEVED, allowed={"INT-1": replace(ALLOWED, account="anne")})
    assert match(header(), END_MS, [LOGIN], other).wrong == "other-account"
    anne = replace(LOGIN, account="anne")
    assert match(header(account="anne"), END_MS, [anne], other).wrong == "no-certificate", "it was given to paul"
    assert found(ended_ms=ALLOWED.ends_ms + TOUCH_MS + 1) == Match(ALLOWED, LOGIN, "out-of-window")
    late = replace(BELIEVED, allowed={"INT-1": replace(ALLOWED, begins_ms=START_MS + TOUCH_MS + 1)})
    assert match(header(), END_MS, [LOGIN], late).wrong == "out-of-window"


def test_a_session_is_held_to_its_own_certificate() -> None:
    long = {"INT-1": replace(ALLOWED, ends_ms=START_MS + 9 * 3_600_000)}
    day = replace(BELIEVED, allowed=long)
    until_ms = BELIEVED.certificates["7"].until_ms
    for one in (header(), SUDO):
        assert match(one, until_ms + TOUCH_MS, [LOGIN], day).wrong == ""
        assert match(one, until_ms + TOUCH_MS + 1, [LOGIN], day) == Match(long["INT-1"], LOGIN, "out-of-window")


def test_sudo_does_not_go_with_a_login_whose_certificate_had_ended() -> None:
    short = replace(BELIEVED.certificates["8"], until_ms=START_MS - TOUCH_MS - 1)
    known = replace(BELIEVED, certificates=dict(BELIEVED.certificates) | {"8": short})
    assert match(SUDO, END_MS, [LOGIN, SECOND], known).allowed == ALLOWED
    assert match(SUDO, END_MS, [SECOND], known).wrong == "out-of-window"


def test_sudo_goes_with_the_last_login_before_it() -> None:
    assert found(SUDO, LOGIN, SECOND).allowed == replace(ALLOWED, key="INT-2")
    assert found(SUDO, LOGIN, replace(SECOND, key_id="", authority="")).wrong == "no-certificate"
    soon = replace(SECOND, at_ms=START_MS + 900)  # somebody logs in again within the SECOND
    assert found(SUDO, LOGIN, soon).allowed == ALLOWED
    assert found(SUDO, soon).allowed == replace(ALLOWED, key="INT-2")  # the only one, dated a moment late


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("vm-1", "vm-1", True),
        ("vm-1.hosting.example", "VM-1", True),
        ("vm-1.a.example", "vm-1.b.example", False),
        ("vm-1", "vm-10", False),
        ("", "", False),
        (".a", ".a", False),
    ],
)
def test_a_machine_is_known_with_its_domain_or_without(one: str, other: str, same: bool) -> None:
    assert (same_machine(one, other), same_machine(other, one)) == (same, same)


def test_a_login_without_a_recording_is_named() -> None:
    assert unrecorded([LOGIN], [header()], before_ms=END_MS) == []
    assert unrecorded([LOGIN], [], before_ms=LOGIN.at_ms) == [], "too early to tell"
    for lacking in (
        [],
        [SUDO],
        [header(host="vm-9")],
        [header(account="anne")],
        [header(arguments=("INT-1", "192.0.2.7 51001 x 22"))],
    ):
        assert unrecorded([LOGIN], lacking, before_ms=END_MS) == [LOGIN]


LINE = (
    "2027-01-15T09:00:00.250000+01:00 vm-1 sshd[12]: Accepted publickey for paul from 192.0.2.7 port 51000 ssh2:"
    " ED25519-CERT SHA256:abc ID INT-1 (serial 7) CA ED25519 SHA256:authority"
)


def test_logins_are_read_as_sshd_says_them() -> None:
    (one,) = logins(f"{LINE}\n".encode())
    assert one == replace(LOGIN, at_ms=START_MS + 250)
    (same,) = logins(
        LINE.replace("T09:00:00.250000+01:00", "T08:00:00.250Z").replace("sshd[", "sshd-session[").encode()
    )
    assert same.name == one.name
    (password,) = logins(b"2027-01-15T09:00:00Z vm-1 sshd[1]: Accepted password for root from ::1 port 2 ssh2")
    assert (password.account, password.key_id, password.authority) == ("root", "", "")
    (plain,) = logins(
        b"2027-01-15T09:00:00Z v sshd[1]: Accepted publickey for a from ::1 port 2 ssh2: ED25519 SHA256:x"
    )
    assert plain.key_id == ""


def test_no_stranger_writes_a_login() -> None:
    hostile = [
        "2027-01-15T09:00:00Z vm-1 sshd[1]: Failed password for invalid user x from 1.1.1.1 port 2 ssh2: " + LINE[43:],
        "2027-01-15T09:00:00Z vm-1 sshd[1]: Invalid user Accepted password for root from 1.1.1.1 port 2 ssh2",
        "2027-01-15T09:00:00Z vm-1 other[1]: Accepted password for root from 1.1.1.1 port 2 ssh2",
        "Accepted password for root from 1.1.1.1 port 2 ssh2",
        "2027-99-15T09:00:00Z vm-1 sshd[1]: Accepted password for root from 1.1.1.1 port 2 ssh2",
        LINE + "x" * 5_000,
        "\x00\xff" * 50,
    ]
    assert list(logins("\n".join(hostile).encode("latin-1"))) == []
    named = LINE.replace("ID INT-1 ", "ID INT-2 (serial 9) CA ED25519 SHA256:authority ID INT-1 ")
    (one,) = logins(named.encode())
    assert one.key_id != "INT-2", "a key id that holds a whole certificate's words is no other one"
