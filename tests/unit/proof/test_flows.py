"""The matrix: what settings give to its lines, and what is seen held against it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from hygie.base.channels import FileSettings, SyslogSettings, WebhookSettings
from hygie.base.layout import DataFolder
from hygie.base.settings import DatabaseSettings, Settings, TimestampSettings, WitnessSettings, default_settings
from hygie.base.soc import MetricsSettings, OcsfExport, SyslogExport
from hygie.proof.checks.tech_2 import network
from hygie.proof.facts import FlowFacts
from hygie.proof.flows.compare import compare, said
from hygie.proof.flows.declared import SYSTEM_SOCKETS, declared_lines, resolved, shipped_flows
from hygie.proof.flows.model import PARTIES, Line, Link, Listening, MatrixFacts
from hygie.proof.model import Context

FOLDER = DataFolder.at(Path("/srv/hygie"))
KMS, POSTGRES = "/srv/hygie/run/kms.sock", "/srv/hygie/run/.s.PGSQL.5432"


def lines(settings: Settings | None = None, *jwks: str) -> tuple[Line, ...]:
    return declared_lines(
        settings or default_settings(), FOLDER, jwks=jwks, resolve=lambda _, port: (("192.0.2.7", port),)
    )


def where(found: tuple[Line, ...], at: str) -> list[str]:
    return sorted({end.name for line in found if line.at == at for end in line.endpoints})


def seen(*things: Listening | Link, settings: Settings | None = None, jwks: tuple[str, ...] = ()) -> MatrixFacts:
    return MatrixFacts(
        lines(settings, *jwks),
        tuple(one for one in things if isinstance(one, Listening)),
        tuple(one for one in things if isinstance(one, Link)),
    )


def test_each_party_has_a_name_in_both_languages_and_no_line_is_told_twice() -> None:
    pairs = [(one.caller, one.called, one.at) for one in shipped_flows()]
    assert len(set(pairs)) == len(pairs)
    assert {name for one in shipped_flows() for name in (one.caller, one.called)} == set(PARTIES)


def test_the_default_settings_call_nobody_outside() -> None:
    found = lines()
    assert {end.over for line in found for end in line.endpoints if line.at not in {"host"}} == {"unix", "files"}
    assert where(found, "kms") == [KMS]
    assert where(found, "database") == [POSTGRES]
    assert where(found, "timestamp") == where(found, "jwks") == []


def test_settings_add_what_is_elsewhere() -> None:
    settings = msgspec.structs.replace(
        default_settings(),
        database=DatabaseSettings(dsn="host=a.example,/run/pg port=5433,5434 dbname=hygie"),
        witness=WitnessSettings(url="https://witness.example:7070"),
        timestamp=TimestampSettings(url="http://stamp.example/tsr", authority="/etc/ca.pem"),
        channels=(
            WebhookSettings(name="soc", url="https://soc.example/in", secret="key"),
            SyslogSettings(name="siem", host="siem.example"),
            FileSettings(name="file", path="/var/told"),
        ),
    )
    found = lines(settings, "https://app.example/jwks", "https://app.example/jwks")
    assert where(found, "database") == ["/run/pg/.s.PGSQL.5434", "a.example:5433"]
    assert where(found, "channels") == ["/var/told", "siem.example:6514", "soc.example:443"]
    assert where(found, "witness") == ["witness.example:7070"]
    assert where(found, "timestamp") == ["stamp.example:80"]
    assert where(found, "jwks") == ["app.example:443"]
    called = Link("serve", "tcp", "192.0.2.7", 443)
    assert compare(seen(called, settings=settings, jwks=("https://app.example/jwks",))).undeclared == ()
    assert compare(seen(called, settings=settings)).undeclared == (called,)
    assert where(found, "soc") == where(found, "metrics") == []
    assert [one.listens for one in compare(seen()).states if one.line.at == "metrics"] == ["unknown"]
    program = msgspec.structs.replace(settings, timestamp=TimestampSettings(command=("tsa", "-q"), authority="/x"))
    assert where(lines(program), "timestamp") == ["tsa"]


def test_a_name_that_does_not_resolve_is_any_address_at_its_port() -> None:
    assert resolved("nobody.invalid", 443) == (("", 443),)
    assert ("127.0.0.1", 80) in resolved("127.0.0.1", 80)


@pytest.mark.parametrize(
    "one",
    [
        Link("serve", "unix", KMS),
        Link("work", "unix", POSTGRES),
        Link("administration", "unix", POSTGRES),
        Link("client", "tcp", "127.0.0.1", 8443),
        Link("work", "tcp", "127.0.0.1", 8443),
        Link("kms", "unix", SYSTEM_SOCKETS[0]),
        Link("postgres", "unix", "/var/lib/sss/pipes/nss"),
        Link("", "unix", KMS),
        Listening("kms", "unix", KMS),
        Listening("serve", "tcp", "127.0.0.1", 8443),
        Listening("administration", "tcp", "127.0.0.1", 8443),
        Listening("", "tcp", "127.0.0.1", 8443),
    ],
)
def test_what_a_line_declares_is_not_found(one: Listening | Link) -> None:
    compared = compare(seen(one))
    assert (compared.undeclared, compared.unnamed) == ((), ())


@pytest.mark.parametrize(
    "one",
    [
        Link("witness", "unix", KMS),
        Link("kms", "unix", POSTGRES),
        Link("process 7 psql", "unix", POSTGRES),
        Link("serve", "unix", "/srv/hygie/run/witness.sock"),
        Link("serve", "tcp", "198.51.100.9", 443),
        Link("serve", "tcp", "127.0.0.1", 8443),
        Link("kms", "tcp", "127.0.0.1", 8443),
        Link("serve", "unix", "/var/lib/sss/pipes"),
        Listening("serve", "tcp", "127.0.0.1", 8080),
        Listening("serve", "tcp", "10.0.0.1", 8443),
        Listening("kms", "tcp", "127.0.0.1", 8443),
        Listening("process 7 python", "unix", KMS),
        Listening("serve", "unix", "@hidden"),
    ],
)
def test_what_no_line_declares_is_found(one: Listening | Link) -> None:
    compared = compare(seen(one))
    assert (compared.undeclared, compared.unnamed) == ((one,), ())


@pytest.mark.parametrize(
    "one",
    [Link("", "unix", KMS, ours=False), Link("", "tcp", "198.51.100.9", 443), Listening("", "tcp", "0.0.0.0", 22)],
)
def test_what_nobody_can_name_is_neither_declared_nor_red(one: Listening | Link) -> None:
    compared = compare(seen(one))
    assert (compared.undeclared, compared.unnamed) == ((), (one,))
    assert said(one).startswith("?")


def test_a_line_says_whether_something_listens_and_how_many_are_connected() -> None:
    compared = compare(
        seen(Listening("kms", "unix", KMS), Link("serve", "unix", KMS, count=3), Link("work", "unix", KMS))
    )
    states = {(one.line.caller, one.line.called): (one.listens, one.links) for one in compared.states}
    assert states["serve", "kms"] == ("yes", 3)
    assert states["work", "kms"] == ("yes", 1)
    assert states["serve", "postgres"] == ("no", 0)
    assert states["client", "serve"] == ("no", 0)
    assert states["serve", "sites"] == ("unknown", 0)


def test_every_address_is_listened_on_when_the_setting_says_so() -> None:
    settings = default_settings()
    wide = msgspec.structs.replace(settings, host=msgspec.structs.replace(settings.host, address="0.0.0.0"))
    facts = seen(Listening("serve", "tcp", "0.0.0.0", 8443), Link("client", "tcp", "10.1.2.3", 8443), settings=wide)
    assert compare(facts).undeclared == ()


def test_exports_and_the_metrics_port_are_declared_by_their_settings() -> None:
    exports = (SyslogExport(name="soc", host="soc.example"), OcsfExport(name="lake", path="/var/lake"))
    settings = msgspec.structs.replace(default_settings(), soc=exports, metrics=MetricsSettings(port=9464))
    found = lines(settings)
    assert where(found, "soc") == ["/var/lake", "soc.example:6514"]
    assert where(found, "metrics") == ["127.0.0.1:9464"]
    port, call = Listening("watch", "tcp", "127.0.0.1", 9464), Link("watch", "tcp", "192.0.2.7", 6514)
    read = Link("client", "tcp", "127.0.0.1", 9464)
    assert compare(seen(port, call, read, settings=settings)).undeclared == ()
    assert compare(seen(port, call)).undeclared == (port, call)
    elsewhere = Listening("watch", "tcp", "0.0.0.0", 9464)
    assert compare(seen(elsewhere, settings=settings)).undeclared == (elsewhere,)
    listening = FlowFacts((("serve", "127.0.0.1", settings.host.port), ("watch", "127.0.0.1", 9464)), (), ())
    assert network(listening, Context(settings, 0)).verdict.value == "satisfied"
    assert network(listening, Context(default_settings(), 0)).verdict.value == "unsatisfied"
