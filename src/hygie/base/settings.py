"""The settings of one installation: ``DATA/hygie.toml``, read once at start, refused when weak.

Source: docs/reference/settings.md.  Paths are absolute, or relative to the data folder.  Passwords and passphrases are
never settings: they live in private files.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import tomli_w

from hygie.base.channels import ChannelSettings, StepSettings, check_channels, secrets_of
from hygie.base.errors import Language, SettingsError
from hygie.base.files import write_durably
from hygie.base.hardening import Swap
from hygie.base.host_logs import HostLogSettings, SyslogReceiverSettings, check_host_logs
from hygie.base.identity_providers import IdentityProviderSettings, check_providers
from hygie.base.language import say
from hygie.base.layout import DataFolder
from hygie.base.machine_settings import HardeningSettings
from hygie.base.nis2 import Nis2Settings
from hygie.base.outside_probes import OutsideProbeSettings
from hygie.base.passphrase import check_passphrase, read_passphrase, systemd_credential
from hygie.base.patches import PatchSettings
from hygie.base.settings_checks import (
    ClearSwapError,
    UnreadableSettingsError,
    check_countries,
    check_places,
    check_public_url,
    check_quorum,
    check_secret_file,
    check_swap,
    check_witness_url,
)
from hygie.base.soc import ExportSettings, MetricsSettings, check_soc, export_keys

SETTINGS_BYTES_MAX = 1 << 20  # a settings file is a page; anything larger is not one
SYSTEMD_PREFIX = "systemd:"
PROCESSES_DEFAULT_MAX = 2  # the default machine is a laptop: leave cores to the database and the client

_LOOPBACK = ("127.0.0.1", "::1", "localhost", "0.0.0.0")  # noqa: S104 (a name of where one listens, not a choice)

Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9-]{0,31}$")]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
FilePath = Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]
# names hosts, a socket's folder and the files of certificates, each as long as a path may be
ConnectionString = Annotated[str, msgspec.Meta(min_length=1, max_length=16_384)]
Points = Annotated[int, msgspec.Meta(ge=1, le=10_000_000)]
Country = Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{2}$")]


class HostSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the FHIR face listens. Without certificate and key, Hygie makes its own under ``tls/``.

    public_url: scheme and authority by which clients reach it, when a front or a name stands before it;
    client_authorities: a PEM file of who signs the certificates that applications show; country: of the installation,
    that of private addresses which no declared network holds.
    """

    address: Text = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 8443
    processes: Annotated[int, msgspec.Meta(ge=1, le=256)] = 1
    certificate: FilePath | None = None
    key: FilePath | None = None
    public_url: Text | None = None
    client_authorities: FilePath | None = None
    country: Country = "FR"

    @property
    def origins(self) -> tuple[str, ...]:
        """Scheme and authority of this installation, as clients may write it; the first one is told them."""
        if self.public_url is not None:
            return (self.public_url.rstrip("/"),)
        names = dict.fromkeys(("localhost", "127.0.0.1") if self.address in _LOOPBACK else (self.address,))
        return tuple(f"https://{f'[{name}]' if ':' in name else name}:{self.port}" for name in names)


class SessionSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long an access token lives: an application's (SMART Backend Services asks for five minutes at most), and a
    person's, who signs in again after that."""

    application_minutes: Annotated[int, msgspec.Meta(ge=1, le=5)] = 5
    person_minutes: Annotated[int, msgspec.Meta(ge=1, le=60)] = 15


class ApprovalSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What takes two persons. export_versions: an export of more versions of objects needs the client's approval."""

    export_versions: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 1_000


class LimitSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What counts where ``hygie limit set`` says nothing: points a second, and what an environment may hold.

    A read by id, and each entry of a bundle, is a point; a search, a page of history or a new session five. Twenty
    seconds' worth may be used at once. The defaults are above what one machine of the benchmarks serves: sharing it
    between environments is the work of turns, not of these.
    """

    person_points_per_s: Points = 200
    application_points_per_s: Points = 20_000
    tenant_points_per_s: Points = 40_000
    environment_gib: Annotated[int, msgspec.Meta(ge=1, le=10_000_000)] = 10_240
    environment_versions: Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000_000)] = 1_000_000_000


class DatabaseSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The embedded PostgreSQL, unless ``dsn`` names another server (15 or later)."""

    dsn: ConnectionString | None = None
    pg_bin_dir: FilePath | None = None


class SiteSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One object store and where it stands. Latitude and longitude in degrees, country by ISO 3166-1."""

    name: Name
    path: FilePath
    country: Country
    city: Text
    latitude: Annotated[float, msgspec.Meta(ge=-90, le=90)]
    longitude: Annotated[float, msgspec.Meta(ge=-180, le=180)]
    operator: Text
    driver: Literal["folder"] = "folder"


class KmsSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the root key is sealed.

    credential: a private file that holds the passphrase for an unattended start, or ``systemd:NAME`` for a credential
    that systemd hands to the unit.
    """

    sealing: Literal["passphrase", "shares"] = "passphrase"
    socket: FilePath | None = None
    credential: FilePath | None = None
    shares: Annotated[int, msgspec.Meta(ge=2, le=8)] = 5
    threshold: Annotated[int, msgspec.Meta(ge=2, le=8)] = 3


class WitnessSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The witness: a unix socket on this machine, or the URL of one under another administrator.

    authority: a PEM file of who signs that one's certificate, when the system does not know them.
    """

    socket: FilePath | None = None
    url: Text | None = None
    authority: FilePath | None = None


class BackupSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The backup target, who administers it, how often it is fed, and what is promised.

    The promise concerns the loss of *all* sites; the loss of one costs neither data nor time. rpo_minutes (PDMA): twice
    the cadence by default, so that one backup that fails does not break it. rto_minutes (DMIA): at 5,000 resources/s,
    four hours bring back 72 million. daily, weekly, monthly: how many snapshots are kept, the newest of each day, week
    and month that has one; a smaller number counts once two persons agreed (``hygie retention shorten``).
    """

    path: FilePath = "backup"
    operator: Text = "this machine's administrator"
    every_minutes: Annotated[int, msgspec.Meta(ge=5, le=10_080)] = 60
    rpo_minutes: Annotated[int, msgspec.Meta(ge=5, le=43_200)] = 120
    rto_minutes: Annotated[int, msgspec.Meta(ge=1, le=43_200)] = 240
    daily: Annotated[int, msgspec.Meta(ge=1, le=366)] = 7
    weekly: Annotated[int, msgspec.Meta(ge=0, le=520)] = 4
    monthly: Annotated[int, msgspec.Meta(ge=0, le=360)] = 12


class ExitSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What contracts promise of an exit (R.1111-11 CSP, 12° to 14°); repeated in every manifest and certificate.

    cost: in words; export_days, destruction_days: from the order, and from the consent; traces_years: how long access
    traces stay after the end, whatever was destroyed; likewise, a smaller number takes two persons.
    """

    cost: Text = "included in the hosting price"
    export_days: Annotated[int, msgspec.Meta(ge=1, le=365)] = 30
    destruction_days: Annotated[int, msgspec.Meta(ge=1, le=365)] = 30
    traces_years: Annotated[int, msgspec.Meta(ge=1, le=30)] = 3


class InterventionSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the host's staff leave behind on machines, read by ``hygie work``; nothing is by default.

    recordings: the folder of sudo's I/O logs; logins: sshd's log, as journald or rsyslog writes it.
    """

    recordings: FilePath | None = None
    logins: FilePath | None = None


class WatchSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the watch looks for. rules: a folder of Sigma rules of one's own, beside those that come with Hygie; drill:
    the name of the drill that made this installation, which each notice then says; repeat_minutes: after which a
    finding that nobody took in charge is told again, by the last step of its level."""

    rules: FilePath | None = None
    drill: Text | None = None
    repeat_minutes: Annotated[int, msgspec.Meta(ge=15, le=10_080)] = 240


class JournalSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often the sealer publishes a checkpoint when entries wait, milliseconds."""

    publish_interval_ms: Annotated[int, msgspec.Meta(ge=50, le=10_000)] = 500


class TimestampSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who stamps the journal's checkpoints (RFC 3161); nobody by default, and nothing leaves the installation.

    url: of an authority; or command: a program that reads a request on its input and writes the answer; authority: a
    PEM file of its root certificate.
    """

    url: Text | None = None
    command: Annotated[tuple[Text, ...], msgspec.Meta(min_length=1)] | None = None
    authority: FilePath | None = None

    @property
    def chosen(self) -> bool:
        """Whether somebody stamps."""
        return self.url is not None or self.command is not None


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything an operator may choose."""

    production: bool = False
    language: Language | None = None
    allowed_countries: tuple[Country, ...] = ("FR",)
    quorum: int = 2
    sites: tuple[SiteSettings, ...]
    host: HostSettings = HostSettings()
    database: DatabaseSettings = DatabaseSettings()
    kms: KmsSettings = KmsSettings()
    witness: WitnessSettings = WitnessSettings()
    backups: BackupSettings = BackupSettings()
    journal: JournalSettings = JournalSettings()
    exit: ExitSettings = ExitSettings()
    timestamp: TimestampSettings = TimestampSettings()
    sessions: SessionSettings = SessionSettings()
    approvals: ApprovalSettings = ApprovalSettings()
    limits: LimitSettings = LimitSettings()
    identity_providers: tuple[IdentityProviderSettings, ...] = ()
    interventions: InterventionSettings = InterventionSettings()
    watch: WatchSettings = WatchSettings()
    hardening: HardeningSettings = HardeningSettings()
    patches: PatchSettings = PatchSettings()
    channels: tuple[ChannelSettings, ...] = ()
    escalation: tuple[StepSettings, ...] = ()
    nis2: Nis2Settings = Nis2Settings()
    host_logs: tuple[HostLogSettings, ...] = ()
    syslog_receiver: SyslogReceiverSettings | None = None
    soc: tuple[ExportSettings, ...] = ()
    metrics: MetricsSettings = MetricsSettings()
    probes: tuple[OutsideProbeSettings, ...] = ()


# City centres: where a folder of one laptop pretends to be, until an operator writes its real places. ``hygie status``
# says that three folders of one disk are not three datacentres.
_DEFAULT_SITES = (
    ("paris", "Paris", 48.8566, 2.3522),
    ("lyon", "Lyon", 45.764, 4.8357),
    ("lille", "Lille", 50.6292, 3.0573),
)


def default_settings(*, production: bool = False, language: Language | None = None, port: int = 8443) -> Settings:
    """The settings of one machine: three folders as sites, quorum of two, everything in the data folder."""
    operator = "l'administrateur de cette machine" if language == "fr" else BackupSettings().operator
    sites = tuple(
        SiteSettings(
            name=name, path=f"sites/{name}", country="FR", city=city, latitude=north, longitude=east, operator=operator
        )
        for name, city, north, east in _DEFAULT_SITES
    )
    processes = max(1, min(os.cpu_count() or 1, PROCESSES_DEFAULT_MAX))
    host = HostSettings(port=port, processes=processes)
    backups = BackupSettings(operator=operator)
    leaving = ExitSettings(cost="compris dans le prix de l'hébergement") if language == "fr" else ExitSettings()
    return Settings(production=production, language=language, sites=sites, host=host, backups=backups, exit=leaving)


def check_settings(settings: Settings, folder: DataFolder) -> None:
    """Refuse what would host health data badly whatever the machine.

    Raises: SettingsError (HYG-602, 603, 604, 609): one site, a quorum out of range, a country outside the EEA or not
    allowed, two sites or a site and the backup in one place.
    """
    check_quorum(len(settings.sites), settings.quorum)
    check_countries(settings.allowed_countries, {site.name: site.country for site in settings.sites})
    places = {site.name: folder.resolve(site.path) for site in settings.sites}
    if len(places) != len(settings.sites):
        raise UnreadableSettingsError(file=folder.settings_file.name, detail="sites: a name is used twice")
    check_places(places | {"backups": folder.resolve(settings.backups.path)})
    if settings.backups.rpo_minutes < settings.backups.every_minutes:
        raise UnreadableSettingsError(file=folder.settings_file.name, detail="backups: rpo_minutes below every_minutes")
    if settings.kms.threshold > settings.kms.shares:
        raise UnreadableSettingsError(file=folder.settings_file.name, detail="kms: threshold above shares")
    if settings.witness.url is not None:
        check_witness_url(settings.witness.url, production=settings.production)
    stamp = settings.timestamp
    if (stamp.url is not None and stamp.command is not None) or stamp.chosen != (stamp.authority is not None):
        detail = "timestamp: url or command, with authority"
        raise UnreadableSettingsError(file=folder.settings_file.name, detail=detail)
    if stamp.url is not None and not stamp.url.startswith(("https://", "http://")):
        raise UnreadableSettingsError(file=folder.settings_file.name, detail="timestamp.url: http(s)://")
    check_providers(settings.identity_providers, production=settings.production)
    check_channels(settings.channels, settings.escalation, production=settings.production)
    check_host_logs(settings.host_logs, settings.syslog_receiver)
    check_soc(settings.soc, settings.metrics, production=settings.production)
    if (settings.interventions.recordings is None) != (settings.interventions.logins is None):
        detail = "interventions: recordings and logins go together"
        raise UnreadableSettingsError(file=folder.settings_file.name, detail=detail)
    if settings.host.public_url is not None:
        check_public_url(settings.host.public_url)
    if (settings.host.certificate is None) != (settings.host.key is None):
        raise UnreadableSettingsError(file=folder.settings_file.name, detail="host: certificate and key go together")


def load_settings(data: Path) -> Settings:
    """Read and check ``DATA/hygie.toml``.

    Raises: ExposedFileError (HYG-605): others may read or write it. Also what :func:`read_settings` raises.
    """
    folder = DataFolder.at(data)
    if folder.settings_file.exists():
        check_secret_file(folder.settings_file)
    return read_settings(folder.settings_file, folder)


def read_settings(path: Path, folder: DataFolder) -> Settings:
    """Read and check a settings file that may lie elsewhere, for the installation in ``folder``.

    Raises: UnreadableSettingsError (HYG-607): absent, too large, not TOML, unknown or ill-typed value.
    SettingsError: see :func:`check_settings`.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(SETTINGS_BYTES_MAX + 1)
    except FileNotFoundError as error:
        hint = say(
            fr="absent ; hygie init en prépare un, --data dit où",
            en="absent; hygie init prepares one, --data says where",
        )
        raise UnreadableSettingsError(file=str(path), detail=hint) from error
    except OSError as error:
        raise UnreadableSettingsError(file=str(path), detail=type(error).__name__) from error
    if len(raw) > SETTINGS_BYTES_MAX:
        raise UnreadableSettingsError(file=path.name, detail=f"> {SETTINGS_BYTES_MAX} bytes")
    try:
        settings = msgspec.toml.decode(raw, type=Settings)
    except UnicodeDecodeError as error:
        raise UnreadableSettingsError(file=path.name, detail="UTF-8") from error
    except msgspec.MsgspecError as error:  # its texts name types and paths, never a value
        raise UnreadableSettingsError(file=path.name, detail=str(error)) from error
    check_settings(settings, folder)
    return settings


def write_settings(data: Path, settings: Settings) -> Path:
    """Check, then write ``DATA/hygie.toml`` durably, readable by its owner only; the path is given back.

    Raises: SettingsError: see :func:`check_settings`. OSError: no such folder, disk full.
    """
    folder = DataFolder.at(data)
    check_settings(settings, folder)
    head = "# Settings of this Hygie installation. Each one is explained in docs/reference/settings.md.\n\n"
    told = _without_none(msgspec.to_builtins(settings))
    for name in ("identity_providers", "channels", "escalation", "host_logs", "soc", "probes"):
        if not told[name]:
            del told[name]  # an empty one would stand in the way of the [[tables]] that somebody adds
    write_durably(folder.settings_file, (head + tomli_w.dumps(told)).encode())
    return folder.settings_file


def _without_none(table: dict[str, Any]) -> dict[str, Any]:
    """TOML has no null: an unset value is left out."""
    return {k: _told(v) for k, v in table.items() if v is not None}


def _told(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_told(one) for one in value]
    return _without_none(value) if isinstance(value, dict) else value


def check_machine(settings: Settings, folder: DataFolder, *, swap: Swap | None = None) -> list[SettingsError]:
    """Refuse a machine that would leak secrets: exposed key or credential file, swap in clear.

    Outside production, swap that is not shown to be encrypted is given back as a warning: a laptop may try Hygie.
    Args: swap: a state to judge instead of the machine's.
    Raises: ExposedFileError (HYG-605), ClearSwapError (HYG-606, in production).
    """
    received = settings.syslog_receiver.key if settings.syslog_receiver is not None else None
    secrets = (
        *(one.secret for one in settings.identity_providers),
        *secrets_of(settings.channels),
        *export_keys(settings.soc),
    )
    for path in (settings.host.key, settings.kms.credential, received, *secrets):
        if path is not None and not path.startswith(SYSTEMD_PREFIX):
            check_secret_file(folder.resolve(path))
    try:
        check_swap(swap)
    except ClearSwapError as error:
        if settings.production:
            raise
        return [error]
    return []


def read_credential(settings: Settings, folder: DataFolder) -> str | None:
    """The passphrase of an unattended start, or ``None`` when a person types it.

    Raises: ExposedFileError (HYG-605): others may read it, or it is absent. WeakPassphraseError (HYG-601, in
    production). UnreadableSettingsError (HYG-607): not one line of UTF-8.
    """
    name = settings.kms.credential
    if name is None:
        return None
    if name.startswith(SYSTEMD_PREFIX):
        passphrase = read_passphrase(systemd_credential(name.removeprefix(SYSTEMD_PREFIX)), guarded=True)
    else:
        passphrase = read_passphrase(folder.resolve(name))
    if settings.production:
        check_passphrase(passphrase)
    return passphrase


def kms_socket(settings: Settings, folder: DataFolder) -> Path:
    """The KMS's unix socket."""
    return Path(settings.kms.socket) if settings.kms.socket else folder.socket("kms.sock")


def witness_socket(settings: Settings, folder: DataFolder) -> Path:
    """The witness's unix socket, when it runs on this machine."""
    return Path(settings.witness.socket) if settings.witness.socket else folder.socket("witness.sock")
