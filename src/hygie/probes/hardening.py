"""The machine looked at for ``hygie work`` and ``hygie hardening``: its points, its door's suites, its open ports."""

from __future__ import annotations

import asyncio
import ipaddress
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from hygie.app import House, opened
from hygie.backups.run import measure
from hygie.base.files import write_durably
from hygie.base.layout import DataFolder
from hygie.base.settings import Settings
from hygie.database.pool import Database
from hygie.gate.rights import rights_key
from hygie.hardening.drift import measured
from hygie.hardening.errors import LookInvalidError
from hygie.hardening.machine import Machine, look, names, shown
from hygie.hardening.model import MachineFacts, Seen, State
from hygie.hardening.points import of_the_network, points
from hygie.hardening.rows import KIND, MEASURED_MS_MAX, facts_of, machine_facts
from hygie.probes.sockets import LISTENING, tcp_sockets
from hygie.probes.suites import doors

MACHINE_EVERY_S = 3_600.0
MACHINE_AFTER_S = 18.0  # the door must be open
LOOK_BYTES_MAX = 1 << 18
LOOK_FILE_MODE = 0o644
_ANY = ("0.0.0.0", "::", "")  # noqa: S104 (compared, not bound)
_SLASH = Path("/")


class SavedLook(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file of a look. at_ms: when; points: id → (state, value)."""

    at_ms: int
    points: dict[str, tuple[State, str]]


def look_here(settings: Settings | None, folder: DataFolder, *, root: Path = _SLASH) -> dict[str, Seen]:
    """Every point of this machine, as this account sees it. Blocks for some seconds.

    Args: settings: None where no installation is: then no door, no place of data.
    """
    given = {"listening": listening(root / "proc")}
    devices: dict[str, int] = {}
    if settings is not None:
        address = settings.host.address
        given |= doors("127.0.0.1" if address in _ANY else address, settings.host.port)
        places = {"data": folder.path, "backups": folder.resolve(settings.backups.path)}
        places |= {f"site {site.name}": folder.resolve(site.path) for site in settings.sites}
        devices = {name: path.stat().st_dev for name, path in places.items() if path.exists()}
    return look(Machine(root, devices), given)


def listening(proc: Path) -> Seen:
    """TCP ports that other machines may reach, by number: a process is no part of it."""
    if not (proc / "net/tcp").exists():
        return Seen("cannot_tell", "absent")
    found = {
        one.port
        for one in tcp_sockets(proc)
        if one.state == LISTENING and not ipaddress.ip_address(one.address).is_loopback
    }
    return Seen("kept", shown(", ".join(map(str, sorted(found))) or names([])))


def save_look(path: Path, seen: Mapping[str, Seen], now_ms: int) -> None:
    """Write a look for ``hygie work`` to read, whole or not at all; its unit has no network, and tells none.

    Raises: OSError.
    """
    known = points()
    kept = {name: (one.state, one.value) for name, one in seen.items() if not of_the_network(known[name])}
    told = SavedLook(at_ms=now_ms, points=kept)
    write_durably(path, msgspec.json.encode(told), mode=LOOK_FILE_MODE)
    path.chmod(LOOK_FILE_MODE)


def read_look(path: Path, now_ms: int) -> dict[str, Seen]:
    """A look that root saved within two hours. Raises: LookInvalidError; OSError: absent, closed to this account."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if status.st_uid not in {0, os.geteuid()} or status.st_mode & 0o022:
            raise LookInvalidError(reason="owner")
        data = file.read(LOOK_BYTES_MAX + 1)
    try:
        told = msgspec.json.decode(data, type=SavedLook)
    except msgspec.MsgspecError as error:
        raise LookInvalidError(reason="JSON") from error
    if not now_ms - MEASURED_MS_MAX <= told.at_ms <= now_ms + MEASURED_MS_MAX:
        raise LookInvalidError(reason="age")
    return {name: Seen(state, shown(value)) for name, (state, value) in told.points.items()}


def with_root(own: Mapping[str, Seen], root: Mapping[str, Seen]) -> dict[str, Seen]:
    """What this account cannot tell, as root saw it."""
    return {name: root.get(name, one) if one.state == "cannot_tell" else one for name, one in own.items()}


async def run_machine(house: House, records: Database, *, root: Path = _SLASH) -> MachineFacts:
    """Look, hold to the baseline, keep as a measurement. Args: records: opened as the sealer; root: of the machine.

    Raises: what the KMS and the database raise. A saved look that does not hold leaves its points untold.
    """
    settings, folder = house.settings, house.folder
    seen = await asyncio.to_thread(look_here, settings, folder, root=root)
    if settings.hardening.look is not None:
        try:
            saved = await asyncio.to_thread(read_look, folder.resolve(settings.hardening.look), house.clock.now_ms())
            seen = with_root(seen, saved)
        except (LookInvalidError, OSError) as error:
            word = error.code if isinstance(error, LookInvalidError) else type(error).__name__
            seen = {
                n: Seen(one.state, f"look: {word}") if one.state == "cannot_tell" else one for n, one in seen.items()
            }
    key, now_ms = await rights_key(house.kms), house.clock.now_ms()
    async with records.transaction() as connection:
        before = await machine_facts(connection, key, now_ms)
    found = measured(seen, before.baseline, before.points, now_ms)
    facts: dict[str, Any] = facts_of(found)
    now = MachineFacts(now_ms, found, before.baseline, before.waivers, before.reports)
    passed = not facts["drifts"] and not now.left("not_kept", now_ms)
    await measure(records, now_ms, KIND, passed=passed, facts=facts)
    return now


async def probe_machine(house: House) -> MachineFacts:
    """The newest measurement, what was accepted, what other programs said."""
    key = await rights_key(house.kms)
    async with opened(house.dsns.owner, size=1) as database, database.transaction() as connection:
        return await machine_facts(connection, key, house.clock.now_ms())
