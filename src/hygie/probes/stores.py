"""What holds data on this machine: the stores that the settings name, and those that nobody told Hygie of.

The scan looks into every mounted file system for folders that bear Hygie's marks (a data folder's settings, a site's
identity): a copy of a site left behind is health data, sealed as it may be. It looks twelve folders deep, passes by the
system's programs and trees of code, and says when folders or time ran out.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import psycopg

from hygie.app import House
from hygie.base.layout import DataFolder
from hygie.base.settings import Settings
from hygie.probes.machine import hygie_processes
from hygie.proof.facts import StoreFacts, StoresFacts
from hygie.sites.site import RESERVED

SCAN_S_MAX = 4.0
SCAN_FOLDERS_MAX = 40_000  # some seconds on a slow disk
SCAN_DEPTH_MAX = 12  # /srv/clients/chu/hygie/sites/paris is six deep; deeper trees are caches and code
SETTINGS_FILE = "hygie.toml"
KEYS_FOLDER = "kms"
# File systems that hold files of people; the others are the kernel's own views.
FILE_SYSTEMS = frozenset({
    "ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "jfs", "reiserfs", "bcachefs", "overlay", "tmpfs", "9p",
    "nfs", "nfs4", "cifs", "smb3", "ceph", "glusterfs", "virtiofs", "vfat", "exfat", "ntfs", "ntfs3", "fuseblk",
})  # fmt: skip
# The system's own programs, and trees of code: tens of thousands of folders where nobody keeps data.
PASSED_BY = frozenset({"/proc", "/sys", "/dev", "/usr", "/snap", "/nix"})
PASSED_NAMES = frozenset({"node_modules", "site-packages", "__pycache__", ".git"})
_LOOKING = threading.Lock()  # a mount that hangs keeps one thread, not one more at each turn
_DATABASES = "SELECT datname FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres' ORDER BY datname"
_ESCAPES = {"\\040": " ", "\\011": "\t", "\\012": "\n", "\\134": "\\"}


def probe_stores(house: House) -> StoresFacts:
    """Everything that holds data or serves it here. Blocks for some seconds at most, but for a mount that hangs.

    Raises: OSError; TimeoutError: the look before has not come back; psycopg.Error.
    """
    if not _LOOKING.acquire(blocking=False):
        raise TimeoutError
    try:
        settings, folder = house.settings, house.folder
        found = [*declared_stores(settings, folder), *_databases(house), *_services(settings, folder)]
        elsewhere = marked_folders(mounted(), own_folders(settings, folder))
        return replace(elsewhere, stores=(*found, *elsewhere.stores))
    finally:
        _LOOKING.release()


def declared_stores(settings: Settings, folder: DataFolder) -> list[StoreFacts]:
    """The stores that the settings name."""
    sites = [StoreFacts(f"site:{one.name}", "site", str(folder.resolve(one.path)), True) for one in settings.sites]
    return [
        *sites,
        StoreFacts("backup", "backup", str(folder.resolve(settings.backups.path)), True),
        StoreFacts("kms", "kms", str(folder.kms), True),
        StoreFacts("logs", "logs", str(folder.logs), False),
    ]


def own_folders(settings: Settings, folder: DataFolder) -> list[Path]:
    """Where this installation keeps what it has: the scan does not look there."""
    places = [folder.resolve(one.path) for one in settings.sites]
    return [folder.path, folder.resolve(settings.backups.path), *places]


def mounted(table: Path = Path("/proc/self/mounts")) -> list[Path]:
    """Where file systems that hold files are mounted, each device once. Raises: OSError: the system tells none."""
    found: dict[str, Path] = {}
    for line in table.read_text(errors="replace").splitlines():
        device, point, kind, *_ = line.split(" ")
        if kind in FILE_SYSTEMS:
            for escape, character in _ESCAPES.items():
                point = point.replace(escape, character)
            path = Path(point)
            named = device if device.startswith("/") or ":" in device else f"{kind} {point}"
            if path.is_dir():
                found.setdefault(named, path)
    return sorted(found.values())


def marked_folders(roots: Sequence[Path], own: Iterable[Path]) -> StoresFacts:
    """Folders under the roots that bear Hygie's marks, but for those of this installation."""
    deadline = time.monotonic() + SCAN_S_MAX
    tops = {os.path.realpath(root) for root in roots}
    passed = {os.path.realpath(path) for path in own} | tops
    waiting = deque((top, 0) for top in sorted(tops))  # no link is followed from there: what is below is real as well
    found: list[StoreFacts] = []
    looked, closed = 0, 0
    while waiting:
        path, depth = waiting.popleft()
        looked += 1
        if looked > SCAN_FOLDERS_MAX or time.monotonic() > deadline:
            return StoresFacts(tuple(found), len(roots), whole=False, closed=closed)
        try:
            names, below = _listed(path)
        except OSError:
            closed += 1
            continue
        if _is_marked(names, below):
            found.append(StoreFacts(f"folder:{path}", "folder", path, True))
        elif depth < SCAN_DEPTH_MAX:
            waiting.extend((one, depth + 1) for one in below if one not in passed)
    return StoresFacts(tuple(found), len(roots), whole=True, closed=closed)


def _is_marked(names: set[str], below: Sequence[str]) -> bool:
    """A data folder has settings and a folder of keys; a site or a backup target has its identity."""
    return RESERVED in names or (SETTINGS_FILE in names and any(one.endswith(f"/{KEYS_FOLDER}") for one in below))


def _listed(path: str) -> tuple[set[str], list[str]]:
    """Names of the files of a folder that may be marks, and the folders under it, links left aside."""
    names: set[str] = set()
    below: list[str] = []
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.name in (RESERVED, SETTINGS_FILE):
                names.add(entry.name)
            elif entry.is_dir(follow_symlinks=False) and entry.name not in PASSED_NAMES and entry.path not in PASSED_BY:
                below.append(entry.path)
    return names, sorted(below)


def _databases(house: House) -> Iterator[StoreFacts]:
    """Databases of the embedded server, which is Hygie's alone; of another server, Hygie's own."""
    embedded = house.settings.database.dsn is None
    with psycopg.connect(house.dsns.owner) as connection:
        own = connection.info.dbname
        rows = connection.execute(_DATABASES).fetchall() if embedded else [(own,)]
    for (name,) in rows:
        yield StoreFacts(f"database:{name}", "database", str(house.folder.postgres) if embedded else "", True)


def _services(settings: Settings, folder: DataFolder) -> Iterator[StoreFacts]:
    """Processes of this installation and the port they answer on: they hold nothing, they are assets all the same."""
    try:
        running = sorted(set(hygie_processes(folder).values()))
    except OSError:
        running = []  # not Linux: no list of processes
    for name in running:
        yield StoreFacts(f"process:{name}", "process", "", False)
    yield StoreFacts(f"port:{settings.host.port}", "port", f"{settings.host.address}:{settings.host.port}", False)
