"""Which logs one installation follows, and where it receives: its settings, and the database's own log by default."""

from __future__ import annotations

from hygie.base.clock import Clock
from hygie.base.layout import DataFolder
from hygie.base.settings import Settings
from hygie.server.certificates import CertificateFiles
from hygie.watch.host_files import Place
from hygie.watch.host_source import FollowedLog, HostSource
from hygie.watch.syslog_receiver import SyslogReceiver
from hygie.watch.syslog_spool import PREFIX, Spool

POSTGRES_FILES = "postgres-"  # one a day of the week, as hygie.database.configuration calls them


def host_source(settings: Settings, folder: DataFolder, clock: Clock) -> HostSource:
    """The logs of the settings; that of the embedded PostgreSQL; what machines sent."""
    logs = [
        FollowedLog(one.name, Place(folder.resolve(one.path)), one.format, one.host, one.silent_minutes)
        for one in settings.host_logs
    ]
    if settings.database.dsn is None:
        place = Place(folder.logs / "postgres" / POSTGRES_FILES, family=True)
        logs.append(FollowedLog("postgresql", place, "postgresql", ""))
    receiver = settings.syslog_receiver
    if receiver is None:
        return HostSource(logs, clock)
    logs.append(FollowedLog("received", Place(folder.watch / PREFIX, family=True), "received", "", spool=True))
    return HostSource(logs, clock, senders=receiver.senders, sender_minutes=receiver.silent_minutes)


def syslog_receiver(settings: Settings, folder: DataFolder, clock: Clock) -> SyslogReceiver | None:
    """The receiver that the settings ask for."""
    asked = settings.syslog_receiver
    if asked is None:
        return None
    certificate, key, authority = (folder.resolve(one) for one in (asked.certificate, asked.key, asked.authority))
    return SyslogReceiver(asked, CertificateFiles(certificate, key, authority), Spool(folder.watch), clock)
