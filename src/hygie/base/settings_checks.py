"""What a weak setting is. Each check raises an error of its own, with what to change."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

from hygie.base.errors import SettingsError
from hygie.base.hardening import Swap, swap_state

SITES_MIN = 2
QUORUM_MIN = 2  # acknowledged means durable on two sites (design, invariant 3)

_EUROPEAN_UNION = "AT BE BG HR CY CZ DK EE FI FR DE GR HU IE IT LV LT LU MT NL PL PT RO SK SI ES SE"
EEA_COUNTRIES = frozenset((*_EUROPEAN_UNION.split(), "IS", "LI", "NO"))
"""European Economic Area, ISO 3166-1 alpha-2: where HDS v2 lets health data be stored (requirement 28)."""


class UnreadableSettingsError(SettingsError):
    """The settings file, or the passphrase's, is absent or not of its form, or a value has not its type or bounds."""

    code = "HYG-607"
    fr = "Le fichier de réglages {file} manque ou n'est pas valide ({detail})."
    en = "The settings file {file} is missing or not valid ({detail})."


class TooFewSitesError(SettingsError):
    """One site cannot hold data that must survive the loss of one site."""

    code = "HYG-602"
    fr = "Il faut au moins {sites_min} sites ; déclarés : {sites}."
    en = "At least {sites_min} sites are needed: {sites} declared."


class QuorumError(SettingsError):
    """The quorum is below two or above the number of sites."""

    code = "HYG-603"
    fr = "Le quorum ({quorum}) doit être compris entre {quorum_min} et le nombre de sites ({sites})."
    en = "The quorum ({quorum}) must lie between {quorum_min} and the number of sites ({sites})."


class CountryError(SettingsError):
    """A place outside the European Economic Area, or outside the countries this installation allows."""

    code = "HYG-604"
    fr = "Le pays {country} ({where}) n'est pas autorisé pour l'hébergement de données de santé."
    en = "The country {country} ({where}) is not allowed to host health data."


class ExposedFileError(SettingsError):
    """A file or folder that holds secrets can be read or changed by others, or belongs to somebody else."""

    code = "HYG-605"
    fr = (
        "{file} doit appartenir à ce compte et n'être ouvert qu'à lui (chmod 600 pour un fichier, 700 pour un dossier)."
    )
    en = "{file} must belong to this account and be open to it alone (chmod 600 for a file, 700 for a folder)."


class ClearSwapError(SettingsError):
    """Memory may be written in clear to a swap area."""

    code = "HYG-606"
    fr = "L'espace d'échange {areas} n'est pas montré chiffré : chiffrez-le (dm-crypt), ou désactivez-le (swapoff)."
    en = "The swap area {areas} is not shown to be encrypted: encrypt it (dm-crypt), or turn it off (swapoff)."


class SharedPlaceError(SettingsError):
    """Two sites, or a site and the backups, would be the same bytes."""

    code = "HYG-609"
    fr = "{first} et {second} sont dans le même dossier : la perte de l'un serait la perte de l'autre."
    en = "{first} and {second} stand in the same folder: losing one would be losing the other."


def check_quorum(sites: int, quorum: int) -> None:
    """Refuse a single site and a quorum out of range.

    Raises: TooFewSitesError, QuorumError.
    """
    if sites < SITES_MIN:
        raise TooFewSitesError(sites=sites, sites_min=SITES_MIN)
    if not QUORUM_MIN <= quorum <= sites:
        raise QuorumError(quorum=quorum, quorum_min=QUORUM_MIN, sites=sites)


def check_countries(allowed: Iterable[str], country_of_site: Mapping[str, str]) -> None:
    """Refuse an allowed country outside the EEA and a site outside the allowed countries.

    Raises: CountryError.
    """
    countries = frozenset(allowed)
    for country in sorted(countries - EEA_COUNTRIES):
        raise CountryError(country=country, where="allowed_countries")
    for site, country in country_of_site.items():
        if country not in countries:
            raise CountryError(country=country, where=site)


def check_witness_url(url: str, *, production: bool) -> None:
    """Refuse what is not the URL of a server; in production, one that another machine could answer in clear.

    Signatures authenticate both sides whatever the transport; TLS keeps a stranger from silencing the witness unseen.
    Raises: SettingsError.
    """
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound or (production and parts.scheme == "http" and not _is_loopback(parts.hostname or "")):
        reason = "https://host:port; http:// only on this machine, or outside production"
        raise SettingsError(setting="witness.url", reason=reason)


def check_public_url(url: str) -> None:
    """Refuse what is not ``https://host`` or ``https://host:port``. Raises: SettingsError."""
    try:
        parts = urlsplit(url)
        sound = parts.scheme == "https" and bool(parts.hostname) and parts.port != 0 and parts.path in {"", "/"}
    except ValueError:
        sound = False
    if not sound or "@" in url or "?" in url or "#" in url:
        raise SettingsError(setting="host.public_url", reason="https://host:port")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_places(places: Mapping[str, Path]) -> None:
    """Refuse two places of which one holds the other. Links are followed as far as they exist.

    Raises: SharedPlaceError.
    """
    real = sorted((path.resolve(), name) for name, path in places.items())
    for (path, name), (other, other_name) in pairwise(real):
        if other.is_relative_to(path):
            raise SharedPlaceError(first=name, second=other_name)


def check_secret_file(path: Path) -> None:
    """Refuse a file that group or others may open, or that belongs to an account other than ours or root.

    Raises: ExposedFileError: so it is, or it is absent.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise ExposedFileError(file=str(path)) from error
    open_to_others = stat.S_IMODE(status.st_mode) & (stat.S_IRWXG | stat.S_IRWXO)
    if open_to_others or status.st_uid not in {os.geteuid(), 0}:
        raise ExposedFileError(file=str(path))


def check_swap(swap: Swap | None = None) -> None:
    """Refuse swap in clear, and swap nobody can see.

    Args: swap: a state to judge instead of the machine's.
    Raises: ClearSwapError.
    """
    state = swap_state() if swap is None else swap
    if state.safe != "yes":
        raise ClearSwapError(areas=", ".join(state.exposed) or "?")
