"""Channels and steps in the settings: read back, and refused when weak or when they would tell nobody."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hygie.base.channels import (
    PARIS,
    ChannelSettings,
    FileSettings,
    MailSettings,
    StepSettings,
    SyslogSettings,
    WebhookSettings,
)
from hygie.base.errors import SettingsError
from hygie.base.layout import DataFolder
from hygie.base.settings import Settings, check_machine, default_settings, load_settings, write_settings
from hygie.base.settings_checks import ExposedFileError

TOML = """
[[channels]]
kind = "mail"
name = "mail"
host = "smtp.hopital.example"
user = "hygie"
secret = "secrets/mail"
from = "hygie@hopital.example"
to = ["astreinte@hopital.example"]

[[channels]]
kind = "webhook"
name = "soc"
url = "https://soc.example/hygie"
secret = "secrets/soc"

[[channels]]
kind = "syslog"
name = "siem"
host = "siem.hopital.example"

[[channels]]
kind = "file"
name = "file"
path = "told.jsonl"

[[escalation]]
levels = ["critical", "high"]
channels = ["mail", "soc", "siem", "file"]

[[escalation]]
levels = ["medium"]
after_minutes = 15
channels = ["mail"]
quiet = "22:00-07:00"
"""


def mail(**fields: Any) -> MailSettings:
    usual = {"name": "mail", "host": "smtp.example", "sender": "a@b.example", "to": ("c@d.example",)}
    return MailSettings(**{**usual, **fields})


def hook(**fields: Any) -> WebhookSettings:
    return WebhookSettings(**{"name": "soc", "url": "https://soc.example/", "secret": "s", **fields})


def step(*channels: str, **fields: Any) -> StepSettings:
    return StepSettings(**{"levels": ("high",), "channels": channels, **fields})


def settings_with(
    *channels: ChannelSettings, steps: tuple[StepSettings, ...] = (), production: bool = True
) -> Settings:
    settings = default_settings(production=production)
    return msgspec.structs.replace(settings, channels=channels, escalation=steps)


def test_what_a_person_writes_is_read_and_written_back_equal(tmp_path: Path) -> None:
    path = write_settings(tmp_path, default_settings(production=True))
    path.write_text(path.read_text() + TOML)
    settings = load_settings(tmp_path)
    assert [type(one) for one in settings.channels] == [MailSettings, WebhookSettings, SyslogSettings, FileSettings]
    assert settings.escalation[1] == step("mail", levels=("medium",), after_minutes=15, quiet="22:00-07:00")
    write_settings(tmp_path, settings)
    assert load_settings(tmp_path) == settings


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ('kind = "file"', 'kind = "pigeon"'),
        ('from = "hygie@hopital.example"', 'from = "hygie@hopital.example\\nBcc: x@y.example"'),
        ('to = ["astreinte@hopital.example"]', "to = []"),
        ('levels = ["medium"]', 'levels = ["grave"]'),
        ('levels = ["medium"]', "levels = []"),
        ("after_minutes = 15", "after_minutes = -1"),
        ('quiet = "22:00-07:00"', 'quiet = "22:00-24:00"'),
        ('quiet = "22:00-07:00"', 'quiet = "22-7"'),
        ('path = "told.jsonl"', 'path = "told.jsonl"\nsecret = "x"'),
    ],
)
def test_what_is_no_channel_or_step_is_refused(tmp_path: Path, was: str, becomes: str) -> None:
    path = write_settings(tmp_path, default_settings())
    assert was in TOML
    path.write_text(path.read_text() + TOML.replace(was, becomes))
    with pytest.raises(SettingsError) as caught:
        load_settings(tmp_path)
    assert caught.value.code == "HYG-607"


@pytest.mark.parametrize(
    ("channels", "steps"),
    [
        ((mail(), hook(name="mail")), ()),
        ((mail(),), (step("mial"),)),
        ((mail(),), (step("mail"), step("mail", "soc"))),
        ((mail(),), (step("mail", quiet="07:00-07:00"),)),
        ((), (step("mail"),)),
        ((mail(user="hygie"),), ()),
        ((mail(secret="s"),), ()),
        ((mail(tls="none"),), ()),
        ((SyslogSettings(name="siem", host="siem.example", tls="none"),), ()),
        ((hook(url="http://127.0.0.1/"),), ()),
        ((hook(url="http://soc.example/"),), ()),
        ((hook(url="https://user:word@soc.example/"),), ()),
        ((hook(url="https://soc.example/#part"),), ()),
        ((hook(url="https:///nowhere"),), ()),
        ((hook(url="file:///etc/passwd"),), ()),
        (tuple(hook(name=f"soc-{number}") for number in range(21)), ()),
        ((mail(),), (step("mail"),) * 21),
    ],
)
def test_what_is_weak_or_tells_nobody_is_refused_in_production(
    tmp_path: Path, channels: tuple[ChannelSettings, ...], steps: tuple[StepSettings, ...]
) -> None:
    with pytest.raises(SettingsError) as caught:
        write_settings(tmp_path, settings_with(*channels, steps=steps))
    assert caught.value.code == "HYG-600"


def test_a_trial_may_do_without_tls_but_gives_no_password_away(tmp_path: Path) -> None:
    syslog = SyslogSettings(name="siem", host="127.0.0.1", tls="none")
    plain = settings_with(mail(tls="none"), hook(url="http://127.0.0.1:9/"), syslog, production=False)
    write_settings(tmp_path, plain)
    for channel in (mail(tls="none", user="hygie", secret="s"), hook(url="http://soc.example/")):
        with pytest.raises(SettingsError):
            write_settings(tmp_path, settings_with(channel, production=False))


def test_secrets_of_channels_must_be_private(tmp_path: Path) -> None:
    settings = settings_with(mail(user="hygie", secret="word"), hook(secret="key"), production=False)
    folder = DataFolder.at(tmp_path)
    for name in ("word", "key"):
        (tmp_path / name).write_text("a secret of some length")
        (tmp_path / name).chmod(0o600)
    check_machine(settings, folder)
    for name in ("word", "key"):
        (tmp_path / name).chmod(0o644)
        with pytest.raises(ExposedFileError):
            check_machine(settings, folder)
        (tmp_path / name).chmod(0o600)


@pytest.mark.parametrize(
    ("quiet", "hour", "waits"),
    [
        ("22:00-07:00", "21:59", False),
        ("22:00-07:00", "22:00", True),
        ("22:00-07:00", "03:30", True),
        ("22:00-07:00", "07:00", False),
        ("12:00-14:00", "11:59", False),
        ("12:00-14:00", "13:59", True),
        ("12:00-14:00", "14:00", False),
        (None, "03:30", False),
    ],
)
def test_quiet_hours_are_those_of_france(quiet: str | None, hour: str, waits: bool) -> None:
    for month in (1, 7):  # winter and summer time
        at = datetime(2026, month, 5, int(hour[:2]), int(hour[3:]), tzinfo=PARIS)
        assert step("mail", quiet=quiet).waits(int(at.timestamp() * 1000)) is waits
