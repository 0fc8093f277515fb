"""Errors of the HTTPS server: all of them stop a start, none of them reaches a client."""

from __future__ import annotations

from hygie.base.errors import SettingsError


class TlsFileError(SettingsError):
    """A certificate or a key cannot be used."""

    code = "HYG-670"
    fr = "Certificat ou clé TLS refusé ({file}) : {reason}."
    en = "TLS certificate or key refused ({file}): {reason}."
