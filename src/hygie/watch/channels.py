"""What carries a message to its receiver: a file, a webhook, a mail server, a collector of logs. All of it blocks.

Sources: RFC 5321, 3207 (mail), RFC 9110 (HTTP), RFC 5424, 5425, 6587 3.4.1 (syslog).  A message is delivered when its
receiver accepted it; of syslog, which answers nothing, when it was written and the connection did not break at once.
What a receiver says is never quoted: its numbers only.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import hmac
import http.client
import os
import smtplib
import socket
import ssl
import time
from collections.abc import Iterator
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate
from http import HTTPStatus
from pathlib import Path
from threading import Timer
from typing import IO, Any, Final
from urllib.parse import urlsplit

from hygie.base.channels import ChannelSettings, FileSettings, MailSettings, SyslogSettings, WebhookSettings
from hygie.base.clock import iso_ms
from hygie.base.errors import HygieError
from hygie.base.layout import DataFolder
from hygie.base.settings_checks import check_secret_file
from hygie.watch.errors import ChannelRefusedError, ChannelSecretError, ChannelUnreachableError, ChannelUntrustedError
from hygie.watch.messages import Message

DEADLINE_S = 10.0
SECRET_BYTES_MIN, SECRET_BYTES_MAX = 8, 4096
REPLIES_BYTES_MAX = 64 * 1024  # of a mail server, before TLS and after
SIGNATURE_HEADER = "Hygie-Signature"
SYSLOG_ALERT_S = 0.3  # a receiver that refuses our TLS or our line says so at once
SYSLOG_SEVERITY: Final = {"critical": 2, "high": 3, "medium": 4, "low": 5, "informational": 6}  # RFC 5424, table 2
SYSLOG_ID = "hygie@32473"  # the enterprise number of examples (RFC 5612): Hygie has none of its own


class Wire:
    """The connection of one delivery, cut when its time is over or by whoever stops, wherever it waits."""

    def __init__(self, seconds: float = DEADLINE_S) -> None:
        self._end_s = time.monotonic() + seconds
        self._held: socket.socket | None = None
        self._over = False

    @property
    def over(self) -> bool:
        """Whether it was cut, or its time is over."""
        return self._over or time.monotonic() >= self._end_s

    def left_s(self) -> float:
        """Seconds left. Raises: TimeoutError: none."""
        if self.over:
            raise TimeoutError
        return max(self._end_s - time.monotonic(), 0.001)  # none at all would mean not to wait

    @contextlib.contextmanager
    def dialled(self, host: str, port: int) -> Iterator[socket.socket]:
        """A TCP connection. Raises: OSError."""
        # Wrapping a socket in TLS takes its descriptor away: a second one of the same connection cuts it all the same.
        with self._connect(host, port) as link, link.dup() as held:
            timer = Timer(self.left_s(), self.cut)
            timer.daemon = True
            self._held = held
            timer.start()
            try:
                yield link
            finally:
                timer.cancel()
                self._held = None

    def cut(self) -> None:
        """End it now, from another thread."""
        self._over = True
        held = self._held
        if held is not None:
            with contextlib.suppress(OSError):
                held.shutdown(socket.SHUT_RDWR)

    def _connect(self, host: str, port: int) -> socket.socket:
        failed: OSError | None = None
        for family, kind, proto, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            link = socket.socket(family, kind, proto)
            try:
                link.settimeout(self.left_s())
                link.connect(address)
            except OSError as error:
                failed = error
                link.close()
            else:
                return link
        raise failed or OSError("no address")


def deliver(channel: ChannelSettings, folder: DataFolder, message: Message, wire: Wire) -> str:
    """Carry one message; what the receiver answered, in a word. Blocks, ten seconds at most but for the resolver.

    Raises: ChannelUnreachableError; ChannelUntrustedError; ChannelRefusedError; ChannelSecretError; ExposedFileError.
    """
    try:
        wire.left_s()  # behind one that hung, its time may be over: it was said not to be delivered
        if isinstance(channel, FileSettings):
            return _to_file(folder.resolve(channel.path), message)
        if isinstance(channel, WebhookSettings):
            return _to_webhook(channel, folder, message, wire)
        if isinstance(channel, MailSettings):
            return _to_mail(channel, folder, message, wire)
        return _to_syslog(channel, folder, message, wire)
    except HygieError as error:
        if wire.over:  # what was read of a connection that was cut is no answer
            raise ChannelUnreachableError(channel=channel.name, reason="timeout") from error
        raise
    except ssl.SSLCertVerificationError as error:
        raise ChannelUntrustedError(channel=channel.name, reason=str(error.verify_code)) from error
    except (OSError, ValueError, http.client.HTTPException, smtplib.SMTPException) as error:  # a name can be no name
        late = wire.over or isinstance(error, TimeoutError)
        raise ChannelUnreachableError(
            channel=channel.name, reason="timeout" if late else type(error).__name__
        ) from error


def _to_file(path: Path, message: Message) -> str:
    """One line, on the disk before it counts."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    with os.fdopen(os.open(path, flags, 0o600), "ab") as file:
        file.write(message.json() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    return "written"


def _to_webhook(channel: WebhookSettings, folder: DataFolder, message: Message, wire: Wire) -> str:
    """``POST``; 2xx accepts, anything else refuses, a redirect too: nobody signed for another address."""
    parts = urlsplit(channel.url)
    secure = parts.scheme == "https"
    host, port = parts.hostname or "", parts.port or (443 if secure else 80)
    body, key = message.json(), _secret(channel.name, folder.resolve(channel.secret))
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "Hygie",
        SIGNATURE_HEADER: signature(key, int(time.time()), body),
    }
    context = _trust(channel.name, channel.authority, folder) if secure else None
    with wire.dialled(host, port) as link:
        connection = http.client.HTTPConnection(host, port)
        connection.sock = context.wrap_socket(link, server_hostname=host) if context is not None else link
        with contextlib.closing(connection):
            connection.request("POST", (parts.path or "/") + (f"?{parts.query}" if parts.query else ""), body, headers)
            status = connection.getresponse().status
    if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        raise ChannelRefusedError(channel=channel.name, reason=str(status))
    return str(status)


def signature(key: bytes, at_s: int, body: bytes) -> str:
    """What a webhook checks: ``t=1764313200,v1=…``, HMAC-SHA256 of ``t.body`` in hexadecimal."""
    told = hmac.new(key, b"%d." % at_s + body, hashlib.sha256).hexdigest()
    return f"t={at_s},v1={told}"


class _Smtp(smtplib.SMTP):
    """A client on a connection that is there already, so that whoever made it can cut it."""

    def __init__(self, link: socket.socket, host: str, port: int) -> None:
        self._given = link
        here = str(link.getsockname()[0])
        # by its address (RFC 5321, 4.1.3): asking the resolver for a name may take longer than there is
        super().__init__(host, port, local_hostname=f"[IPv6:{here}]" if ":" in here else f"[{here}]")

    def _get_socket(self, *_: Any) -> socket.socket:
        return self._given

    def getreply(self) -> tuple[int, bytes]:
        """See ``smtplib``. Before TLS anybody on the way may answer, and an answer may have any number of lines."""
        if self.file is None and self.sock is not None:
            self.file = _Bounded(self.sock.makefile("rb"))
        return super().getreply()


class _Bounded:
    """Lines of a file until they are too many."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._left = REPLIES_BYTES_MAX

    def readline(self, size: int = -1) -> bytes:
        line = self._file.readline(size)
        self._left -= len(line)
        if self._left < 0:
            raise OSError(errno.EMSGSIZE, "too many lines")
        return line

    def close(self) -> None:
        self._file.close()


def _to_mail(channel: MailSettings, folder: DataFolder, message: Message, wire: Wire) -> str:
    """One message to all recipients; accepted when the server took it for one of them at least."""
    context = _trust(channel.name, channel.authority, folder) if channel.tls != "none" else None
    mail = _mail(channel, message)
    try:
        with wire.dialled(channel.host, channel.port) as plain:
            link: socket.socket = plain
            if context is not None and channel.tls == "tls":
                link = context.wrap_socket(plain, server_hostname=channel.host)
            client = _Smtp(link, channel.host, channel.port)
            try:
                if context is not None and channel.tls == "starttls":
                    client.starttls(context=context)
                if channel.user is not None and channel.secret is not None:
                    password = _secret(channel.name, folder.resolve(channel.secret))
                    client.login(channel.user, password.decode("utf-8", "strict"))
                refused = client.send_message(mail, channel.sender, list(channel.to))
                with contextlib.suppress(OSError, smtplib.SMTPException):  # accepted is accepted
                    client.quit()
            finally:
                client.close()
    except smtplib.SMTPRecipientsRefused as error:
        raise ChannelRefusedError(channel=channel.name, reason="recipients") from error
    except smtplib.SMTPResponseException as error:
        raise ChannelRefusedError(channel=channel.name, reason=str(error.smtp_code)) from error
    except smtplib.SMTPNotSupportedError as error:  # no STARTTLS, or no way to give the password
        raise ChannelRefusedError(channel=channel.name, reason="unsupported") from error
    except UnicodeDecodeError as error:
        raise ChannelSecretError(channel=channel.name, reason="UTF-8") from error
    return f"250, {len(refused)} of {len(channel.to)} refused" if refused else "250"


def _mail(channel: MailSettings, message: Message) -> EmailMessage:
    mail = EmailMessage(policy=SMTP)
    mail["Subject"] = message.subject
    mail["From"] = channel.sender
    mail["To"] = ", ".join(channel.to)
    mail["Date"] = formatdate()
    # The same for each try of the same notice: whoever gets it twice sees that it is one.
    mail["Message-ID"] = f"<{message.id}.{message.step}.{channel.name}@{channel.sender.partition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(message.text())
    return mail


def _to_syslog(channel: SyslogSettings, folder: DataFolder, message: Message, wire: Wire) -> str:
    """One line, counted in octets."""
    line = syslog_line(channel, message)
    context = _trust(channel.name, channel.authority, folder) if channel.tls == "tls" else None
    with wire.dialled(channel.host, channel.port) as plain:
        link = context.wrap_socket(plain, server_hostname=channel.host) if context is not None else plain
        with contextlib.closing(link):
            link.settimeout(wire.left_s())
            link.sendall(b"%d " % len(line) + line)
            link.settimeout(min(SYSLOG_ALERT_S, wire.left_s()))
            with contextlib.suppress(TimeoutError):
                link.recv(1)
            if wire.over:
                raise TimeoutError
    return "written"


def syslog_line(channel: SyslogSettings, message: Message) -> bytes:
    """A message of RFC 5424, without its count."""
    head = f"<{channel.facility * 8 + SYSLOG_SEVERITY[message.level]}>1 {iso_ms(message.last_ms)}"
    host = "".join(one for one in socket.gethostname() if "!" <= one <= "~")[:255] or "-"
    facts = message.facts()
    pairs = " ".join(f'{name}="{_param(facts[name])}"' for name in ("finding", "step", "level", "opened", "count"))
    told = f"{message.title_fr} / {message.title}. {message.look}"
    return f"{head} {host} hygie - finding [{SYSLOG_ID} {pairs}] ".encode() + b"\xef\xbb\xbf" + told.encode()


def _param(value: object) -> str:
    return str(value).replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")


def _trust(channel: str, authority: str | None, folder: DataFolder) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=str(folder.resolve(authority)) if authority is not None else None)
    except OSError as error:  # ssl.SSLError is one
        raise ChannelUntrustedError(channel=channel, reason="authority") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _secret(channel: str, path: Path) -> bytes:
    """What a private file holds, without the end of its line. Raises: ExposedFileError; ChannelSecretError."""
    check_secret_file(path)
    with path.open("rb") as file:
        found = file.read(SECRET_BYTES_MAX + 1).rstrip(b"\r\n")
    if not SECRET_BYTES_MIN <= len(found) <= SECRET_BYTES_MAX:
        raise ChannelSecretError(channel=channel, reason=f"{SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} bytes")
    return found
