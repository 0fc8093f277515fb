"""A TLS context that lives as long as the process: new files are taken without a restart, bad ones are refused."""

from __future__ import annotations

import asyncio
import logging
import ssl
import stat
from collections.abc import Callable
from pathlib import Path
from time import monotonic

from hygie.server.certificates import CertificateFiles
from hygie.server.errors import TlsFileError

WATCH_INTERVAL_S = 2.0
RENEW_INTERVAL_S = 86_400.0
# TLS 1.2: forward secrecy and authenticated encryption only (ANSSI, TLS guide v1.2, R8 and R9); 1.3 has no other kind.
CIPHERS_TLS12 = "ECDHE+AESGCM:ECDHE+CHACHA20"
OTHERS_MAY_READ = stat.S_IRGRP | stat.S_IROTH

_log = logging.getLogger("hygie.server.tls")


class LiveTls:
    """An ``SSLContext`` and the files it was loaded from.

    ``context`` is handed to the listener once; ``reload_if_changed`` loads new files into the same object, so that
    handshakes that follow use them and open connections go on.
    """

    def __init__(
        self,
        files: CertificateFiles,
        *,
        renew: Callable[[], object] | None = None,
        client_authorities: Path | None = None,
    ) -> None:
        """Load the files.

        Args: client_authorities: a PEM file of who signs clients' certificates: a client may then show one, and one
        that does not verify ends the handshake; renew: called once a day by ``watch`` in a thread: ``own_certificate``
        again, for a certificate of ours.
        Raises: TlsFileError: missing or unreadable file, key readable by others, certificate and key that differ.
        """
        self.files = files
        self.reloads = 0
        self._renew = renew
        self._client_authorities = client_authorities
        self.context = _load(files, client_authorities)
        self._marks = _marks(files)

    def reload_if_changed(self, *, force: bool = False) -> bool:
        """Load the files again when they changed (or when asked to).

        Returns: whether they were loaded.  A pair that does not load leaves the old one in service.
        Raises: TlsFileError: the new files cannot be used.
        """
        marks = _marks(self.files)
        if marks == self._marks and not force:
            return False
        _load(self.files, None)  # on a context apart: a pair that fails half way must not spoil the one in service
        _load_chain(self.context, self.files)
        self._marks = marks
        self.reloads += 1
        return True

    async def watch(self) -> None:
        """Look at the files for ever, every two seconds; run it as a task."""
        refused: tuple[float, ...] | None = None
        renew_at = monotonic() + RENEW_INTERVAL_S
        while True:
            await asyncio.sleep(WATCH_INTERVAL_S)
            if self._renew is not None and monotonic() > renew_at:
                renew_at += RENEW_INTERVAL_S
                await self._renew_once(self._renew)
            marks = await asyncio.to_thread(_marks, self.files)
            if marks in (self._marks, refused):
                continue
            try:
                await asyncio.to_thread(self.reload_if_changed)
                _log.info("TLS certificate reloaded")
            except TlsFileError as error:
                refused = marks  # said once for each state of the files: the two are rarely replaced in one instant
                _log.warning("%s", error)

    @staticmethod
    async def _renew_once(renew: Callable[[], object]) -> None:
        """Renew; a full disk or a spoilt file must not end the watch: the certificate in service has days left."""
        try:
            await asyncio.to_thread(renew)
        except Exception as error:
            _log.warning("TLS certificate not renewed: %s", type(error).__name__)


def _load(files: CertificateFiles, client_authorities: Path | None) -> ssl.SSLContext:
    _check_private(files.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS_TLS12)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols(["http/1.1"])
    _load_chain(context, files)
    if client_authorities is not None:
        _ask_certificate(context, client_authorities)
    return context


def _ask_certificate(context: ssl.SSLContext, authorities: Path) -> None:
    """Let clients show a certificate; who shows none is a client like any other until a token is bound to one."""
    try:
        context.load_verify_locations(cafile=authorities)
    except (OSError, ssl.SSLError) as error:
        raise TlsFileError(file=authorities.name, reason="not PEM certificates") from error
    context.verify_mode = ssl.CERT_OPTIONAL
    context.verify_flags |= ssl.VERIFY_X509_STRICT


def _load_chain(context: ssl.SSLContext, files: CertificateFiles) -> None:
    try:
        context.load_cert_chain(files.certificate, files.key, password="")  # an encrypted key fails instead of asking
    except ssl.SSLError as error:
        raise TlsFileError(file=files.certificate.name, reason="certificate and key do not load together") from error
    except OSError as error:
        raise TlsFileError(file=files.certificate.name, reason="cannot be read") from error


def _check_private(key: Path) -> None:
    try:
        mode = key.stat().st_mode
    except OSError as error:
        raise TlsFileError(file=key.name, reason="cannot be read") from error
    if mode & OTHERS_MAY_READ:
        raise TlsFileError(file=key.name, reason="readable by others than its owner")


def _marks(files: CertificateFiles) -> tuple[float, ...]:
    """What tells that a file was replaced: modification time, size and inode; zeros when it is missing."""
    marks: list[float] = []
    for path in (files.certificate, files.key):
        try:
            status = path.stat()
        except OSError:
            marks += [0, 0, 0]
        else:
            marks += [status.st_mtime_ns, status.st_size, status.st_ino]
    return tuple(marks)
