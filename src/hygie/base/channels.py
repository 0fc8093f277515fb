"""Who is told of findings, by what, and when: channels and steps of the settings, refused when weak.

Sources: docs/reference/settings.md, docs/adr/0030-escalation.md.  Passwords and secrets are never settings: they live
in private files.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from ipaddress import ip_address
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import msgspec

from hygie.base.errors import SettingsError

Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9-]{0,31}$")]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Host = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9.:_-]{1,255}$")]
# One address, printable ASCII: nothing that could begin another line of the message.
Mailbox = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,255}$")]
FilePath = Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Level = Literal["critical", "high", "medium", "low", "informational"]
Span = Annotated[str, msgspec.Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9]$")]

CHANNELS_MAX, STEPS_MAX = 20, 20
ROTA = "rota"  # what a step names for the channels of whoever is on duty
PARIS: Final = ZoneInfo("Europe/Paris")


class MailSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="mail"):
    """A mail server that takes messages for people. secret: a private file, the password of ``user``; authority: a PEM
    file of who signs its certificate, when the system does not know them."""

    name: Name
    host: Host
    port: Port = 587
    tls: Literal["starttls", "tls", "none"] = "starttls"
    user: Text | None = None
    secret: FilePath | None = None
    authority: FilePath | None = None
    sender: Mailbox = msgspec.field(name="from")
    to: Annotated[tuple[Mailbox, ...], msgspec.Meta(min_length=1, max_length=50)]


class WebhookSettings(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="webhook"
):
    """A program of somebody else, called over HTTPS. secret: a private file, the key of the signatures it checks."""

    name: Name
    url: Annotated[str, msgspec.Meta(pattern=r"^[!-~]{1,2000}$")]
    secret: FilePath
    authority: FilePath | None = None


class SyslogSettings(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="syslog"
):
    """A collector of logs. facility: of RFC 5424, table 1; 13 is a log of audit."""

    name: Name
    host: Host
    port: Port = 6514
    tls: Literal["tls", "none"] = "tls"
    authority: FilePath | None = None
    facility: Annotated[int, msgspec.Meta(ge=0, le=23)] = 13


class FileSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="file"):
    """A file of JSON lines, which another program follows."""

    name: Name
    path: FilePath


ChannelSettings = MailSettings | WebhookSettings | SyslogSettings | FileSettings


class StepSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One step of the escalation: findings of these levels that nobody acknowledged after so long are told by these
    channels; ``rota`` among them: by those of whoever is on duty. quiet: hours in France in which this step waits."""

    levels: Annotated[tuple[Level, ...], msgspec.Meta(min_length=1)]
    after_minutes: Annotated[int, msgspec.Meta(ge=0, le=10_080)] = 0
    channels: Annotated[tuple[Name, ...], msgspec.Meta(min_length=1)]
    quiet: Span | None = None

    def waits(self, at_ms: int) -> bool:
        """Whether an instant is in the quiet hours of this step."""
        if self.quiet is None:
            return False
        begins, _, ends = self.quiet.partition("-")
        now = datetime.fromtimestamp(at_ms / 1000, PARIS).strftime("%H:%M")
        return begins <= now < ends if begins < ends else now >= begins or now < ends


def secrets_of(channels: Sequence[ChannelSettings]) -> list[str]:
    """The private files that channels name."""
    return [
        one.secret for one in channels if isinstance(one, MailSettings | WebhookSettings) and one.secret is not None
    ]


def check_channels(
    channels: Sequence[ChannelSettings], escalation: Sequence[StepSettings], *, production: bool
) -> None:
    """Refuse a channel that others could read or answer for, and a step that would tell nobody.

    Raises: SettingsError.
    """
    names = [one.name for one in channels]
    if len(set(names)) != len(names) or len(names) > CHANNELS_MAX or ROTA in names:
        raise _weak("channels", f"each name once, {CHANNELS_MAX} at most, none called {ROTA}")
    for one in channels:
        _check_channel(one, production=production)
    if len(escalation) > STEPS_MAX:
        raise _weak("escalation", f"{STEPS_MAX} steps at most")
    for number, step in enumerate(escalation, 1):
        for name in step.channels:
            if name not in names and not (name == ROTA and names):
                raise _weak(f"escalation.{number}.channels", f"{name} is no name of [[channels]]")
        begins, _, ends = (step.quiet or "-").partition("-")
        if step.quiet is not None and begins == ends:
            raise _weak(f"escalation.{number}.quiet", "two different hours: 22:00-07:00")


def _check_channel(one: ChannelSettings, *, production: bool) -> None:
    where = f"channels.{one.name}"
    if isinstance(one, MailSettings | SyslogSettings) and one.tls == "none" and production:
        raise _weak(f"{where}.tls", "TLS, in production")
    if isinstance(one, MailSettings):
        if (one.user is None) != (one.secret is None):
            raise _weak(f"{where}.secret", "user and secret go together")
        if one.user is not None and one.tls == "none":
            raise _weak(f"{where}.tls", "TLS, where a password is given")
    if isinstance(one, WebhookSettings):
        _check_url(one.url, f"{where}.url", production=production)


def _check_url(url: str, where: str, *, production: bool) -> None:
    """``https://``; outside production, ``http://`` too, on this very machine only."""
    try:
        parts = urlsplit(url)
        sound = bool(parts.hostname) and parts.port != 0 and "@" not in parts.netloc and "#" not in url
    except ValueError:
        sound = False
    if not sound or not (parts.scheme == "https" or (parts.scheme == "http" and _is_here(parts.hostname or ""))):
        raise _weak(where, "https://host…; http:// on this machine only")
    if production and parts.scheme != "https":
        raise _weak(where, "https://host… in production")


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _weak(setting: str, reason: str) -> SettingsError:
    return SettingsError(setting=setting, reason=reason)
