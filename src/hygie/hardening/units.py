"""systemd units of Hygie: data files with every restriction that its processes bear, filled in for one machine. Pure.

Each scores 2.0 or less in ``systemd-analyze security`` (tests/unit/hardening/test_units.py measures them); why each
restriction is harmless: docs/howto/hardening.md.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import PurePosixPath

from hygie.hardening.errors import UnitInvalidError

TOGETHER = ("hygie.service",)
APART = (
    "hygie-kms.service",
    "hygie-witness.service",
    "hygie-work.service",
    "hygie-watch.service",
    "hygie-serve@.service",
)
LOOKING = ("hygie-look.service", "hygie-look.timer")
TARGET = "hygie.target"
SANDBOX = "sandbox.conf"
LOOK_FILE = "/var/lib/hygie-look/machine.json"
CREDENTIALS = "/etc/credstore.encrypted"
PRIVILEGED_PORTS = 1024
_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_PATH = re.compile(r"/[A-Za-z0-9._/+@-]{1,400}")  # no space, no specifier, no quote: nothing systemd reads otherwise
_HOLE = re.compile(r"@([A-Z_]+)@")


@dataclass(frozen=True, slots=True)
class Place:
    """What the units of one machine are filled in with.

    hygie: the program; sites, others: folders of sites, and of backups; channels: folders of the watch's files;
    apart: one unit a process, PostgreSQL being elsewhere; witness: it runs on this machine; credential: the name of an
    encrypted credential; look: the file of root's look.
    """

    hygie: str
    user: str
    data: str
    sites: Sequence[str]
    others: Sequence[str]
    channels: Sequence[str]
    port: int
    processes: int
    apart: bool
    witness: bool
    credential: str | None = None


def units(place: Place) -> dict[str, str]:
    """Text of each unit by its file name. Raises: UnitInvalidError: a name or path that a unit cannot hold."""
    _check(place)
    chosen = (
        [one for one in APART if place.witness or one != "hygie-witness.service"] if place.apart else list(TOGETHER)
    )
    sandbox, values = _text(SANDBOX).rstrip("\n"), _values(place)
    made = {name: _fill(_text(name).replace("@SANDBOX@", sandbox), values) for name in (*chosen, *LOOKING)}
    if place.apart:
        started = [one for one in chosen if "@" not in one] + [
            f"hygie-serve@{n + 1}.service" for n in range(place.processes)
        ]
        made[TARGET] = _fill(_text(TARGET), {"UNITS": " ".join(started)})
    return made


def _values(place: Place) -> dict[str, str]:
    sites = [f"-{one}" for one in place.sites]
    channels = "".join(f" -{one}" for one in place.channels)
    name = place.credential
    return {
        "HYGIE": place.hygie,
        "USER": place.user,
        "DATA": place.data,
        "SITES": " ".join(sites),
        "STORES": " ".join([*sites, *(f"-{one}" for one in place.others)]),
        "CHANNELS": channels,
        "CREDENTIAL": f"LoadCredentialEncrypted={name}:{CREDENTIALS}/{name}" if name else "",
        "PORT_CAPABILITY": "CAP_NET_BIND_SERVICE" if place.port < PRIVILEGED_PORTS else "",
        "LOOK": LOOK_FILE,
    }


def _fill(text: str, values: dict[str, str]) -> str:
    filled = _HOLE.sub(lambda found: values[found[1]], text)
    return re.sub(r"\n\n\n+", "\n\n", re.sub(r"(?m)^ExecStart=.*\n\n", lambda found: found[0][:-1], filled))


def _text(name: str) -> str:
    return files("hygie.hardening").joinpath("units", name).read_text()


def _check(place: Place) -> None:
    if not _NAME.fullmatch(place.user) or place.user == "root":
        raise UnitInvalidError(reason="user")
    if place.credential is not None and not _NAME.fullmatch(place.credential):
        raise UnitInvalidError(reason="kms.credential")
    for path in (place.hygie, place.data, *place.sites, *place.others, *place.channels):
        if not _PATH.fullmatch(path) or ".." in PurePosixPath(path).parts:
            raise UnitInvalidError(reason="path")
