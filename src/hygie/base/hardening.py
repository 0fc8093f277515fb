"""A process that holds keys or health data leaves no copy of its memory: no core dump, no tracing, no clear swap.

Each process calls :func:`harden_process` first thing: the kernel forgets the "not dumpable" mark at ``execve``.
Honest limits (docs/threat-model.md): root may still trace a process on Linux; macOS has no such mark at all.
"""

from __future__ import annotations

import ctypes
import os
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hygie.base.errors import SettingsError

PR_GET_DUMPABLE = 3
PR_SET_DUMPABLE = 4
PR_SET_NO_NEW_PRIVS = 38
_DM_CRYPT_PREFIX = "CRYPT-"

Proof = Literal["yes", "no", "unknown"]


class HardeningError(SettingsError):
    """The system refused one of the protections of memory."""

    code = "HYG-608"
    fr = "Le système refuse une protection de la mémoire ({protection}) : Hygie ne démarre pas."
    en = "The system refuses a protection of memory ({protection}): Hygie does not start."


@dataclass(frozen=True, slots=True)
class Hardening:
    """What holds now for this process; ``unknown`` is what the system gives no means to set or to see."""

    core_dumps_off: Proof
    tracing_off: Proof


def harden_process() -> Hardening:
    """Forbid core dumps and, on Linux, tracing and reading of this process's memory by its own user, and new rights.

    Raises: HardeningError: the system refused.
    """
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (OSError, ValueError) as error:
        raise HardeningError(protection="RLIMIT_CORE") from error
    if sys.platform.startswith("linux"):
        _prctl(PR_SET_DUMPABLE, 0)
        _prctl(PR_SET_NO_NEW_PRIVS, 1)  # no program that this process starts gains rights by setuid
    return process_hardening()


def process_hardening() -> Hardening:
    """Read back from the system what holds for this process."""
    cores: Proof = "yes" if resource.getrlimit(resource.RLIMIT_CORE)[0] == 0 else "no"
    if not sys.platform.startswith("linux"):
        return Hardening(core_dumps_off=cores, tracing_off="unknown")
    return Hardening(core_dumps_off=cores, tracing_off="yes" if _prctl(PR_GET_DUMPABLE, 0) == 0 else "no")


def _prctl(option: int, argument: int) -> int:
    library = ctypes.CDLL(None, use_errno=True)
    answer: int = library.prctl(option, ctypes.c_ulong(argument), 0, 0, 0)
    if answer < 0:
        raise HardeningError(protection=f"prctl {option}: errno {ctypes.get_errno()}")
    return answer


@dataclass(frozen=True, slots=True)
class Swap:
    """The state of swap: ``safe`` when there is none or every area is shown to be encrypted or in memory.

    exposed: areas not shown to be encrypted (device names), for the person who can act.
    """

    safe: Proof
    exposed: tuple[str, ...] = ()


def swap_state(*, proc: Path = Path("/proc"), sys_folder: Path = Path("/sys")) -> Swap:
    """Whether memory may reach a disk in clear.

    Linux: ``/proc/swaps``, then device mapper's own word (``CRYPT-``) down to the last slave; zram without a backing
    device stays in memory.  macOS: the kernel's ``vm.swapusage`` says whether it encrypts.  Elsewhere: unknown.
    """
    if sys.platform == "darwin":
        return swap_state_of_darwin(_sysctl_swapusage())
    try:
        lines = (proc / "swaps").read_text().splitlines()[1:]
    except OSError:
        return Swap(safe="unknown")
    areas = [line.split()[0].replace("\\040", " ") for line in lines if line.strip()]
    exposed = tuple(area for area in areas if not _area_is_safe(area, sys_folder))
    return Swap(safe="no" if exposed else "yes", exposed=exposed)


def swap_state_of_darwin(swapusage: str) -> Swap:
    """Read macOS's ``vm.swapusage`` line, e.g. ``total = 0.00M  used = 0.00M  free = 0.00M  (encrypted)``."""
    if not swapusage.strip():
        return Swap(safe="unknown")
    return Swap(safe="yes") if "(encrypted)" in swapusage else Swap(safe="no", exposed=("vm.swapusage",))


def _sysctl_swapusage() -> str:
    try:
        done = subprocess.run(
            ["/usr/sbin/sysctl", "-n", "vm.swapusage"],
            capture_output=True,
            text=True,
            check=False,
            timeout=5,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


def _area_is_safe(area: str, sys_folder: Path) -> bool:
    path = Path(area)
    try:
        if path.is_block_device() or area.startswith("/dev/"):
            name = path.resolve().name
        else:
            name = _device_under_file(path, sys_folder)
    except OSError:
        return False
    device = sys_folder / "class" / "block" / name
    if name.startswith("zram"):
        return _text(device / "backing_dev") in {"", "none"}
    return _is_encrypted(device, sys_folder)


def _device_under_file(path: Path, sys_folder: Path) -> str:
    number = path.stat().st_dev
    return (sys_folder / "dev" / "block" / f"{os.major(number)}:{os.minor(number)}").resolve().name


def _is_encrypted(device: Path, sys_folder: Path) -> bool:
    if _text(device / "dm" / "uuid").startswith(_DM_CRYPT_PREFIX):
        return True
    slaves = device / "slaves"
    names = sorted(entry.name for entry in slaves.iterdir()) if slaves.is_dir() else []
    return bool(names) and all(_is_encrypted(sys_folder / "class" / "block" / name, sys_folder) for name in names)


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
