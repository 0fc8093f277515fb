"""What the system shows of this installation's processes, of its private files and of its clock. Linux's /proc."""

from __future__ import annotations

import ctypes
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from hygie.base.hardening import Proof
from hygie.base.layout import DataFolder
from hygie.base.settings import SYSTEMD_PREFIX, Settings
from hygie.probes.sockets import LISTENING, holders, socket_inodes, tcp_sockets
from hygie.proof.facts import ClockFacts, FileFacts, FlowFacts, ProcessesFacts, ProcessFacts

SERVICES = ("kms", "witness", "work", "watch", "serve")
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_UNSYNCHRONISED = 0x40  # STA_UNSYNC, adjtimex(2)


def probe_processes(settings: Settings, folder: DataFolder, *, proc: Path = Path("/proc")) -> ProcessesFacts:
    """Every process of the installation in this data folder. Raises: OSError: the system shows none (not Linux)."""
    found = [_process(proc, pid, name) for pid, name in sorted(hygie_processes(folder, proc=proc).items())]
    expected = [name for name in SERVICES if name != "witness" or settings.witness.url is None]
    pattern = (proc / "sys/kernel/core_pattern").read_text()
    return ProcessesFacts(tuple(one for one in found if one), tuple(expected), cores_piped=pattern.startswith("|"))


def probe_flows(folder: DataFolder, *, proc: Path = Path("/proc")) -> FlowFacts:
    """The TCP ports that these processes, and the embedded database, listen on.

    Hygie's processes let nobody but root look into them, not even their own account: then what that account listens on
    and no process that can be read holds is told apart, without a name.
    """
    processes = hygie_processes(folder, proc=proc)
    postmaster = postmaster_of(folder, proc=proc)
    if postmaster is not None:
        processes[postmaster] = "postgres"
    listening = {one.inode: one for one in tcp_sockets(proc) if one.state == LISTENING}
    found: set[tuple[str, str, int]] = set()
    unreadable: set[str] = set()
    accounts: set[int] = set()
    for pid, name in processes.items():
        try:
            held = [listening[inode] for inode in socket_inodes(proc / str(pid) / "fd") if inode in listening]
            found.update((name, one.address, one.port) for one in held)
        except PermissionError:
            unreadable.add(name)
            accounts.add(account_of(proc / str(pid)))
        except FileNotFoundError:
            continue  # it has just ended
    held_elsewhere = holders(proc) if unreadable else {}
    unnamed = {
        (one.address, one.port) for one in listening.values() if one.uid in accounts and one.inode not in held_elsewhere
    }
    return FlowFacts(tuple(sorted(found)), tuple(sorted(unreadable)), tuple(sorted(unnamed)))


def hygie_processes(folder: DataFolder, *, proc: Path = Path("/proc")) -> dict[int, str]:
    """pid → name of the services that run on this data folder, and of the ``hygie up`` that started them."""
    found: dict[int, str] = {}
    for entry in proc.iterdir():
        if not entry.name.isdigit():
            continue
        words = words_of(entry)
        if "hygie" in words and "--data" in words[:-1] and words[words.index("--data") + 1] == str(folder.path):
            name = next((word for word in words if word in SERVICES), None)
            if name is not None:
                found[int(entry.name)] = name
    parents = {parent_of(proc / str(pid)) for pid in found}
    for pid in parents - {0, 1, None}:
        if pid is not None and "up" in words_of(proc / str(pid)):
            found[pid] = "up"
    return found


def postmaster_of(folder: DataFolder, *, proc: Path = Path("/proc")) -> int | None:
    """The embedded database's first process, when it runs."""
    postmaster = _first_line(folder.postgres / "postmaster.pid")
    return int(postmaster) if postmaster.isdigit() and (proc / postmaster).is_dir() else None


def probe_files(settings: Settings, folder: DataFolder) -> tuple[FileFacts, ...]:
    """Every file and folder that only its owner may open."""
    keys: list[Path] = [folder.postgres_secrets, folder.witness / "witness.key"]
    keys += [path for path in _below(folder.kms) if path.is_file()]
    keys += [path for path in _below(folder.tls) if path.suffix == ".key"]
    for named in (settings.host.key, settings.kms.credential):
        if named is not None and not named.startswith(SYSTEMD_PREFIX):
            keys.append(folder.resolve(named))
    places = [folder.path, folder.kms, folder.witness, folder.tls, folder.logs, folder.run, folder.settings_file]
    places += [
        folder.postgres,
        folder.connection_file,
        folder.path / "probe.token",
        folder.path / "availability.targets",
        folder.resolve(settings.backups.path),
    ]
    places += [folder.resolve(site.path) for site in settings.sites]
    return tuple(_files(folder, keys, "key")) + tuple(_files(folder, places, "place"))


def kernel_clock() -> tuple[int, int]:
    """adjtimex(2) in reading: (status bits, largest error in microseconds). Raises: OSError: the system has none."""
    if not sys.platform.startswith("linux"):
        raise OSError("adjtimex")
    timex = _Timex()
    library = ctypes.CDLL(None, use_errno=True)
    if library.adjtimex(ctypes.byref(timex)) < 0:
        raise OSError(ctypes.get_errno(), "adjtimex")
    return timex.status, timex.maxerror


def probe_clock(source: Callable[[], tuple[int, int]] = kernel_clock) -> ClockFacts:
    """The kernel's own word. Raises: OSError: the system has no such word."""
    status, max_error_us = source()
    disciplined: Proof = "unknown" if status & _UNSYNCHRONISED else "yes"
    return ClockFacts(disciplined, max_error_us / 1000)


class _Timex(ctypes.Structure):
    """``struct timex``: up to the fields that are read, then room for the rest."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_long * 48),
    )


def _process(proc: Path, pid: int, name: str) -> ProcessFacts | None:
    """None when it has ended meanwhile."""
    folder = proc / str(pid)
    try:
        status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines() if ":" in line)
        uid = int(status["Uid"].split()[1])
        return ProcessFacts(
            name=name,
            pid=pid,
            uid=uid,
            core_limit=_core_limit(folder / "limits"),
            traceable=_traceable(folder, uid),
            no_new_privileges=status["NoNewPrivs"].strip() == "1",
        )
    except (FileNotFoundError, ProcessLookupError):
        return None


def _traceable(folder: Path, uid: int) -> Proof:
    """Whether another process of its account may read its memory: the kernel gives the entries of one that may not be
    dumped to root. Of a process of root nothing can be told: root's entries are root's."""
    if uid == 0:
        return "unknown"
    return "yes" if (folder / "environ").stat().st_uid == uid else "no"


def _core_limit(path: Path) -> int | None:
    try:
        for line in path.read_text().splitlines():
            if line.startswith("Max core file size"):
                soft = line[len("Max core file size") :].split()[0]
                return -1 if soft == "unlimited" else int(soft)
    except PermissionError:
        return None
    return None


def words_of(folder: Path) -> list[str]:
    """The command line of a process, its programs by their base names; nothing when it has ended."""
    try:
        return [word.rsplit("/", 1)[-1] if i < 2 else word for i, word in enumerate(_cmdline(folder))]
    except OSError:
        return []


def _cmdline(folder: Path) -> list[str]:
    return (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")


def parent_of(folder: Path) -> int | None:
    """The process that started it; None when it has ended."""
    try:
        return int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return None


def account_of(folder: Path) -> int:
    """The user a process acts as: its entries are root's when it lets nobody look. -1: it has just ended."""
    try:
        lines = (folder / "status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return -1
    return next(int(line.split()[2]) for line in lines if line.startswith("Uid:"))


def _below(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _files(folder: DataFolder, paths: Iterable[Path], kind: str) -> Iterator[FileFacts]:
    for path in paths:
        try:
            status = path.stat()
        except FileNotFoundError:
            continue
        shown = str(path.relative_to(folder.path)) if path.is_relative_to(folder.path) else str(path)
        exposed = bool(status.st_mode & _OTHERS) or status.st_uid not in {os.geteuid(), 0}
        yield FileFacts(shown, "key" if kind == "key" else "place", stat.S_IMODE(status.st_mode), exposed)


def _first_line(path: Path) -> str:
    try:
        return path.read_text().split("\n", 1)[0].strip()
    except OSError:
        return ""
