"""What carries events to a SOC and knows that they were taken: syslog over TLS, a file of JSON lines. All of it blocks.

Sources: RFC 5424, 5425.  Syslog has no answers.  So each batch has a connection of its own, that we end (close_notify):
a receiver must end it too (RFC 5425, 4.4), and can only do so after it read everything before.  One that ends it
without a word is believed when the kernel of the other side acknowledged every byte, and not when it reset it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import ssl
import struct
import termios
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hygie.base.errors import HygieError
from hygie.base.layout import DataFolder
from hygie.base.settings_checks import check_secret_file
from hygie.base.soc import ExportSettings, OcsfExport, SyslogExport
from hygie.watch.channels import Wire
from hygie.watch.errors import ExportUnreachableError, ExportUntrustedError
from hygie.watch.events import Event
from hygie.watch.ocsf import as_ocsf
from hygie.watch.syslog import message

BATCH_S = 60.0  # for one batch from end to end; whoever is slower gets smaller ones
PATIENCE_S = 0.3  # one that ended without reading all resets the connection at once
_MIB = 1024 * 1024
_TAIL_BYTES = 64 * 1024


def hand_over(export: ExportSettings, folder: DataFolder, events: Sequence[Event], origin: str, wire: Wire) -> None:
    """Carry a batch; at the return its receiver took all of it. Blocks.

    Args: origin: the journal's name; wire: cut by whoever stops.
    Raises: ExportUnreachableError: nothing is known to be taken; ExportUntrustedError; ExposedFileError.
    """
    try:
        if isinstance(export, OcsfExport):
            lines = [json.dumps(as_ocsf(one, origin=origin), separators=(",", ":")).encode() for one in events]
            _to_file(export, folder.resolve(export.path), b"".join(line + b"\n" for line in lines))
        else:
            _to_syslog(export, folder, _stream(export, events, origin), wire)
    except HygieError:
        raise
    except ssl.SSLCertVerificationError as error:
        raise ExportUntrustedError(export=export.name, reason=str(error.verify_code)) from error
    except (OSError, ValueError) as error:
        if isinstance(error, ssl.SSLError) and "ALERT" in str(error.reason or ""):  # ours does not please the receiver
            raise ExportUntrustedError(export=export.name, reason=str(error.reason)) from error
        late = wire.over or isinstance(error, TimeoutError)
        raise ExportUnreachableError(export=export.name, reason="timeout" if late else type(error).__name__) from error


def _stream(export: SyslogExport, events: Sequence[Event], origin: str) -> bytes:
    """Messages counted in octets, one after the other."""
    host = "".join(one for one in socket.gethostname() if "!" <= one <= "~")[:255] or "-"
    lines = [message(one, origin=origin, host=host, facility=export.facility) for one in events]
    return b"".join(b"%d " % len(line) + line for line in lines)


def _to_syslog(export: SyslogExport, folder: DataFolder, data: bytes, wire: Wire) -> None:
    context = _context(export, folder) if export.tls == "tls" else None
    with wire.dialled(export.host, export.port) as plain, plain.dup() as raw:
        if context is None:
            plain.settimeout(wire.left_s())
            plain.sendall(data)
            plain.shutdown(socket.SHUT_WR)
            _ended(plain, wire)
            return
        with context.wrap_socket(plain, server_hostname=export.host) as link:
            link.settimeout(wire.left_s())
            link.sendall(data)
            try:
                link.unwrap()  # ours is sent, and theirs came
                _ended(raw, wire, patience_s=PATIENCE_S)
            except (TimeoutError, ConnectionError, ssl.SSLError) as error:
                if isinstance(error, TimeoutError | ConnectionError) or not _is_end(error):
                    raise
                _ended(raw, wire)
            except OSError as error:
                if error.errno:
                    raise
                _ended(raw, wire)
        if wire.over:
            raise TimeoutError


def _is_end(error: ssl.SSLError) -> bool:
    """Whether TLS says that the other side ended the connection without a word."""
    return isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError | ssl.SSLSyscallError)


def _ended(link: socket.socket, wire: Wire, *, patience_s: float = BATCH_S) -> None:
    """Wait for the other side's end; a reset, or bytes that it never acknowledged, are none.

    Args: patience_s: one that ended TLS may wait for us to close. Raises: OSError.
    """
    link.settimeout(min(wire.left_s(), patience_s))
    try:
        if link.recv(1):
            raise ConnectionError("a word, of a receiver that says none")
    except TimeoutError:
        if patience_s >= BATCH_S or wire.over:
            raise
    unsent = struct.unpack("i", fcntl.ioctl(link, termios.TIOCOUTQ, b"\0\0\0\0"))[0]
    # our own end may still be on its way: it is one octet of the sequence
    if unsent > 1 or wire.over or link.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        raise ConnectionError("ended before it took all")


def _context(export: SyslogExport, folder: DataFolder) -> ssl.SSLContext:
    """TLS with both certificates. Raises: ExportUntrustedError: a file does not hold; ExposedFileError."""
    authority = str(folder.resolve(export.authority)) if export.authority is not None else None
    key = folder.resolve(export.key) if export.key is not None else None
    try:
        context = ssl.create_default_context(cafile=authority)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if export.certificate is not None and key is not None:
            check_secret_file(key)
            context.load_cert_chain(folder.resolve(export.certificate), key, password="")
    except OSError as error:  # ssl.SSLError is one
        raise ExportUntrustedError(export=export.name, reason="files") from error
    return context


def _to_file(export: OcsfExport, path: Path, data: bytes) -> None:
    """Lines on the disk before they count; one that a full disk or a kill cut short goes before others come."""
    _rotate(export, path)
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    with os.fdopen(os.open(path, flags, 0o600), "r+b", buffering=0) as file:
        end = _end_of_lines(file)
        file.truncate(end)
        file.seek(end)
        left = memoryview(data)
        while left:
            left = left[file.write(left) :]
        os.fsync(file.fileno())


def _end_of_lines(file: Any) -> int:
    """Where the last whole line ends."""
    at: int = file.seek(0, os.SEEK_END)
    while at > 0:
        first = max(at - _TAIL_BYTES, 0)
        file.seek(first)
        found = file.read(at - first).rfind(b"\n")
        if found >= 0:
            return int(first + found + 1)
        at = first
    return 0


def _rotate(export: OcsfExport, path: Path) -> None:
    """``PATH.1`` is the newest of those that are full; a shipper follows a file by its inode."""
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_size < export.mib * _MIB:
            return
        for number in range(export.keep - 1, 0, -1):
            with contextlib.suppress(FileNotFoundError):
                Path(f"{path}.{number}").replace(f"{path}.{number + 1}")
        path.replace(f"{path}.1")
