"""Which intervention a session belongs to, or why none. Pure.

What is believed: sshd's log of who logged in by which certificate, as far as the journal says that this very
certificate was given, and the account that sudo read from the kernel. What a recording says beyond that, the
ticket and the connection, is the staff member's to type: it must agree.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from hygie.interventions.iolog import Header
from hygie.interventions.sshd_log import Login
from hygie.keys.ssh_authority import LIFE_S_MAX

SHELL = "/usr/local/libexec/hygie-shell"  # what the recorder of a certificate runs, recorded, as the person
# Login shells that read no file of the person before they run the recorder: dash, or what acts as sh.
LOGIN_SHELLS = frozenset({"/bin/sh", "/usr/bin/sh", "/bin/dash", "/usr/bin/dash"})
TOUCH_MS = 60_000  # between sshd's line and sudo's first event, and between two clocks
AFTER_MS = 1_000  # sshd says a login before what is done in it; its line may be dated a moment late
LIFE_MS = LIFE_S_MAX * 1000


@dataclass(frozen=True, slots=True)
class Allowed:
    """An approved intervention. account: of its operator on machines; begins_ms, ends_ms: its window, till its end."""

    key: str
    tenant: str
    person: str
    account: str
    begins_ms: int
    ends_ms: int


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate that was given. intervention, account: what it opens; key: fingerprint of the person's public key;
    until_ms: its end, UTC."""

    intervention: str
    account: str
    key: str
    until_ms: int


@dataclass(frozen=True, slots=True)
class Believed:
    """What sessions are held to.

    allowed: approved interventions by key; certificates: those that the journal says were given, by serial;
    authorities: fingerprints of the certificate authority, present and former.
    """

    allowed: Mapping[str, Allowed]
    certificates: Mapping[str, Certificate]
    authorities: Collection[str]

    def certificate_of(self, login: Login) -> Certificate | None:
        """The certificate that a login came in by; None when it is none that was given."""
        one = self.certificates.get(login.serial)
        told = (login.key_id, login.account, login.key)
        given = one is not None and (one.intervention, one.account, one.key) == told
        return one if given and login.authority in self.authorities else None


@dataclass(frozen=True, slots=True)
class Match:
    """What a session belongs to, as far as its login leaves no doubt. wrong: why it is not as it should be (a choice of
    the register), empty when it is; login: its SSH login, as far as one was found."""

    allowed: Allowed | None
    login: Login | None
    wrong: str = ""


def kind_of(header: Header) -> str:
    """``ssh``, ``psql`` or ``sudo``."""
    if header.command == SHELL:
        return "ssh"
    return "psql" if PurePosixPath(header.command).name == "psql" else "sudo"


def claims(header: Header) -> tuple[str, str]:
    """The ticket and the connection (``address port``) that an SSH recording names; empty for another."""
    if header.command != SHELL or len(header.arguments) < 2:
        return "", ""
    address, _, rest = header.arguments[1].partition(" ")
    return header.arguments[0], f"{address} {rest.partition(' ')[0]}"


def match(header: Header, ended_ms: int, logins: Iterable[Login], believed: Believed) -> Match:
    """What one recording belongs to.

    Args: ended_ms: of the recording.
    """
    here = [one for one in logins if one.account == header.account and same_machine(one.host, header.host)]
    login = _login_of(header, here, believed)
    if login is None:
        return Match(None, None, "no-login")
    wrong, one = judge_login(login, believed)
    if wrong != "no-certificate" and header.command == SHELL and claims(header)[0] != login.key_id:
        return Match(None, login, "other-ticket")
    if one is None:
        return Match(None, login, wrong)
    return Match(one, login, _wrong_within(header, ended_ms, one, believed.certificates[login.serial]))


def _wrong_within(header: Header, ended_ms: int, one: Allowed, certificate: Certificate) -> str:
    """Why a recording is not as its intervention and its certificate allow."""
    if header.command == SHELL and header.login_shell not in LOGIN_SHELLS:
        return "login-shell"  # what ran before the recorder, or beside it, nobody knows
    ends_ms = min(one.ends_ms, certificate.until_ms)  # the recorder ends a session with its certificate
    if not one.begins_ms - TOUCH_MS <= header.started_ms <= ended_ms <= ends_ms + TOUCH_MS:
        return "out-of-window"
    return ""


def judge_login(login: Login, believed: Believed) -> tuple[str, Allowed | None]:
    """The intervention of a login, or why it has none."""
    if believed.certificate_of(login) is None:
        return "no-certificate", None
    one = believed.allowed.get(login.key_id)
    if one is None:
        return "not-approved", None
    if one.account != login.account:
        return "other-account", None
    return "", one


def unrecorded(logins: Sequence[Login], recordings: Sequence[Header], *, before_ms: int) -> list[Login]:
    """Logins of before an instant that no recording, finished or under way, goes with."""
    seen = {(one.account, claims(one)[1], one.host, one.started_ms) for one in recordings if one.command == SHELL}

    def recorded(login: Login) -> bool:
        return any(
            (account, connection) == (login.account, f"{login.address} {login.port}")
            and same_machine(host, login.host)
            and abs(started_ms - login.at_ms) <= LIFE_MS
            for account, connection, host, started_ms in seen
        )

    return [one for one in logins if one.at_ms < before_ms and not recorded(one)]


def same_machine(one: str, other: str) -> bool:
    """Whether two names are of one machine: sudo says its domain where syslog leaves it out."""
    names = [name.casefold().partition(".") for name in (one, other)]
    (host, _, domain), (other_host, _, other_domain) = names
    return bool(host) and host == other_host and (not domain or not other_domain or domain == other_domain)


def _login_of(header: Header, logins: Sequence[Login], believed: Believed) -> Login | None:
    """The login that a recording came in by: by its connection for an SSH session, else the last one before it whose
    certificate had not ended; where there is none before, one that is dated a moment later."""
    _, connection = claims(header)
    if header.command == SHELL:
        same = [
            one
            for one in logins
            if f"{one.address} {one.port}" == connection and abs(header.started_ms - one.at_ms) <= TOUCH_MS
        ]
    else:
        near = [one for one in logins if one.at_ms - AFTER_MS <= header.started_ms <= one.at_ms + LIFE_MS]
        same = [one for one in near if one.at_ms <= header.started_ms] or near
        same = [one for one in same if not _had_ended(one, header.started_ms, believed)] or same
    return max(same, key=lambda one: one.at_ms, default=None)


def _had_ended(login: Login, at_ms: int, believed: Believed) -> bool:
    certificate = believed.certificate_of(login)
    return certificate is not None and certificate.until_ms + TOUCH_MS < at_ms
