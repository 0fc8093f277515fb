"""The machine as it shows itself: files of /proc, /sys and /etc under one root, each read within bounds.

Judges are functions from a machine to what was seen of a point; what cannot be read is told as such, never as kept.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any

from hygie.base.hardening import swap_state
from hygie.hardening.model import Point, Seen, State
from hygie.hardening.points import points

TEXT_BYTES_MAX = 1 << 20  # the largest of these files, a mount table of a busy machine, is some tens of kilobytes
ENTRIES_MAX = 400_000  # programs and libraries of a full server are some hundred thousand files
DEPTH_MAX = 40  # trees of code go down thirty
SLAVES_MAX = 12  # devices below devices
SHOWN_MAX = 12  # names in a value; more are counted
VALUE_CHARACTERS_MAX = 400
SYSTEM_UID_MAX = 999  # login.defs, where it says nothing
NOBODY = 65_534
PROGRAMS = ("usr/bin", "usr/sbin", "usr/local/bin", "usr/local/sbin", "usr/lib", "usr/libexec", "opt")
WRITABLE_IN = ("etc", "usr/bin", "usr/sbin", "usr/local/bin", "usr/local/sbin")
SHARED = ("tmp", "var/tmp", "dev/shm")
# The highest mode each may have; what is not there is passed by.
SENSITIVE = {
    "etc/passwd": 0o644, "etc/group": 0o644, "etc/shadow": 0o640, "etc/gshadow": 0o640, "etc/shadow-": 0o640,
    "etc/gshadow-": 0o640, "etc/sudoers": 0o440, "etc/sudoers.d": 0o755, "etc/crypttab": 0o644, "etc/ssh": 0o755,
    "etc/ssh/sshd_config": 0o644, "etc/sysctl.conf": 0o644, "etc/fstab": 0o644, "etc/crontab": 0o644,
}  # fmt: skip
CLOSED_SHELLS = frozenset({"/usr/sbin/nologin", "/sbin/nologin", "/bin/false", "/usr/bin/false", "/bin/sync", ""})
CRYPT = "CRYPT-"
_SECURE_BOOT = "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
_ESCAPES = {"\\040": " ", "\\011": "\t", "\\012": "\n", "\\134": "\\"}
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class TooManyFilesError(Exception):
    """More, or deeper, than one look goes through."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine to look at. root: where its file system begins; devices: name of a place that holds data → the number
    of the device it lies on, as ``stat`` gives it."""

    root: Path = Path("/")
    devices: Mapping[str, int] = field(default_factory=dict)

    def text(self, path: str) -> str:
        """A small file. Raises: OSError: absent, closed to this account."""
        with (self.root / path).open("rb") as file:
            return file.read(TEXT_BYTES_MAX).decode(errors="replace")

    def accounts(self) -> list[list[str]]:
        """Lines of /etc/passwd by field. Raises: OSError."""
        return [line.split(":") for line in self.text("etc/passwd").splitlines() if line.count(":") == 6]

    def mounts(self) -> dict[str, set[str]]:
        """Mount point → options, of the machine's first process: a unit may see other mounts than the machine has.

        Raises: OSError: that process is hidden from this account.
        """
        return {point: set(options.split(",")) for point, _, options in self._mounted(1)}

    def sees(self, path: str) -> bool:
        """Whether a folder is the machine's own one to this process, and not one that its unit put there.

        Raises: OSError: as :meth:`mounts`.
        """
        here, there = self._below_what(path, "self"), self._below_what(path, 1)
        return here is not None and here == there

    def _below_what(self, path: str, process: object) -> str | None:
        """What is mounted where a folder lies: the longest mount point, the last one of those alike."""
        under, found, longest = PurePosixPath(path), None, 0
        for point, what, _ in self._mounted(process):
            if under.is_relative_to(point) and len(point) >= longest:
                found, longest = what, len(point)
        return found

    def _mounted(self, process: object) -> Iterator[tuple[str, str, str]]:
        """Mount point, what is mounted there (device and folder of it), options; the last one of a point covers."""
        for line in self.text(f"proc/{process}/mountinfo").splitlines():
            fields = line.split(" ")
            if len(fields) > 5:
                yield _plain_path(fields[4]), f"{fields[2]} {fields[3]}", fields[5]


Look = Callable[[Machine, Mapping[str, Any]], Seen]


def look(machine: Machine, given: Mapping[str, Seen] | None = None) -> dict[str, Seen]:
    """Every point, in order. Blocks for a second or two. Args: given: points that others look at, by id."""
    known = given or {}
    return {name: known[name] if name in known else see(machine, point) for name, point in points().items()}


def see(machine: Machine, point: Point) -> Seen:
    """One point; whatever the machine shows, there is an answer."""
    if point.look not in LOOKS:
        return Seen("cannot_tell", "not looked at")
    try:
        seen = LOOKS[point.look](machine, point.asks)
    except FileNotFoundError:
        return Seen("cannot_tell", "absent")
    except TooManyFilesError:
        return Seen("cannot_tell", "too many files")
    except (OSError, ValueError) as error:  # a permission, a file system that answers oddly, a figure that is none
        return Seen("cannot_tell", type(error).__name__)
    return Seen(seen.state, shown(seen.value))


def shown(value: str) -> str:
    """A value as it may be kept and shown: bounded, without control characters."""
    return _CONTROLS.sub("?", value)[:VALUE_CHARACTERS_MAX]


def names(found: Sequence[str]) -> str:
    """Some names and how many more, sorted: the same as long as they are the same."""
    ordered = sorted(found)
    more = f" +{len(ordered) - SHOWN_MAX}" if len(ordered) > SHOWN_MAX else ""
    return ", ".join(ordered[:SHOWN_MAX]) + more if ordered else "none"


def sysctl(machine: Machine, asks: Mapping[str, Any]) -> Seen:
    """Kernel settings, all of them as asked."""
    values: list[int] = []
    for name in asks["sysctl"]:
        try:
            values.append(int(machine.text("proc/sys/" + name.replace(".", "/")).split()[0]))
        except FileNotFoundError:
            return Seen(asks.get("absent", "cannot_tell"), "absent")
        except IndexError as error:
            raise ValueError from error
    good = all(one >= asks["at_least"] if "at_least" in asks else one == asks["is"] for one in values)
    return Seen("kept" if good else "not_kept", " ".join(map(str, values)))


def processor_flaws(machine: Machine, _: Mapping[str, Any]) -> Seen:
    """Flaws of the processor that the kernel says it leaves open."""
    told = (machine.root / "sys/devices/system/cpu/vulnerabilities").iterdir()
    bare = [one.name for one in told if machine.text(str(one)).startswith("Vulnerable")]
    return Seen("not_kept" if bare else "kept", names(bare))


def core_pattern(machine: Machine, _: Mapping[str, Any]) -> Seen:
    """No program is handed the memory of a process that died."""
    pattern = machine.text("proc/sys/kernel/core_pattern").strip()
    handed = pattern.startswith("|") and not pattern.startswith(("|/bin/false", "|/usr/bin/false"))
    return Seen("not_kept" if handed else "kept", pattern.split(" ")[0] or "none")


def swap(machine: Machine, _: Mapping[str, Any]) -> Seen:
    """Swap is absent, encrypted or in memory."""
    found = swap_state(proc=machine.root / "proc", sys_folder=machine.root / "sys")
    states: dict[str, State] = {"yes": "kept", "no": "not_kept", "unknown": "cannot_tell"}
    return Seen(states[found.safe], names(found.exposed))


def secure_boot(machine: Machine, _: Mapping[str, Any]) -> Seen:
    """The firmware's own variable; its last byte is the value."""
    efi = machine.root / "sys/firmware/efi"
    if not efi.is_dir():
        return Seen("not_applicable", "no UEFI")
    data = (efi / "efivars" / _SECURE_BOOT).read_bytes()[:16]
    on = data[-1:] == b"\1"
    return Seen("kept" if on else "not_kept", "on" if on else "off")


def access_control(machine: Machine, _: Mapping[str, Any]) -> Seen:
    """AppArmor or SELinux among the kernel's modules, SELinux enforcing."""
    modules = machine.text("sys/kernel/security/lsm").strip().split(",")
    active = [one for one in ("apparmor", "selinux") if one in modules]
    if active == ["selinux"] and machine.text("sys/fs/selinux/enforce").strip() != "1":
        return Seen("not_kept", "selinux permissive")
    return Seen("kept" if active else "not_kept", names(active))


def mount(machine: Machine, asks: Mapping[str, Any]) -> Seen:
    """A mount of its own with these options."""
    options = machine.mounts().get(asks["mount"])
    if options is None:
        return Seen("not_kept", "not a mount of its own")
    lacking = [one for one in asks["options"] if one not in options]
    return Seen("not_kept" if lacking else "kept", f"lacks {names(lacking)}" if lacking else "as asked")


def data_encrypted(machine: Machine, _: Mapping[str, Any]) -> Seen:
    """dm-crypt somewhere under each place that holds data, by the kernel's device tree."""
    bare, hidden = [], []
    for place, number in machine.devices.items():
        device = machine.root / "sys/dev/block" / f"{os.major(number)}:{os.minor(number)}"
        if not device.exists():  # a network file system, an overlay: the disk is elsewhere
            hidden.append(place)
        elif not _is_crypt(device):
            bare.append(place)
    if bare:
        return Seen("not_kept", names(bare))
    if hidden or not machine.devices:
        return Seen("cannot_tell", names(hidden))
    return Seen("kept", names(list(machine.devices)))


def _is_crypt(device: Path, depth: int = 0) -> bool:
    """Itself, or all that it lies on (LVM over dm-crypt); of a partition, the disk it is of has no such mark."""
    try:
        if (device / "dm/uuid").read_text().startswith(CRYPT):
            return True
    except OSError:
        pass  # not of device mapper
    try:
        below = sorted((device / "slaves").iterdir())
    except OSError:
        return False
    return depth < SLAVES_MAX and bool(below) and all(_is_crypt(one.resolve(), depth + 1) for one in below)


def uid_zero(machine: Machine, _: Mapping[str, Any]) -> Seen:
    """Accounts of number 0 beside root."""
    others = [one[0] for one in machine.accounts() if int(one[2]) == 0 and one[0] != "root"]
    return Seen("not_kept" if others else "kept", names(others))


def empty_passwords(machine: Machine, _: Mapping[str, Any]) -> Seen:
    """Accounts that need no password; /etc/shadow is root's to read."""
    bare = [
        one[0] for line in machine.text("etc/shadow").splitlines() if len(one := line.split(":")) > 1 and not one[1]
    ]
    return Seen("not_kept" if bare else "kept", names(bare))


def service_accounts(machine: Machine, _: Mapping[str, Any]) -> Seen:
    """Accounts of services by which a person could get a shell."""
    most = SYSTEM_UID_MAX
    try:
        told = re.search(r"^\s*UID_MIN\s+(\d{1,9})", machine.text("etc/login.defs"), re.MULTILINE)
        most = int(told[1]) - 1 if told else most
    except OSError:
        pass  # musl's and small images have none
    found = [
        one[0]
        for one in machine.accounts()
        if (0 < int(one[2]) <= most or int(one[2]) == NOBODY) and one[6] not in CLOSED_SHELLS
    ]
    return Seen("not_kept" if found else "kept", names(found))


def sensitive_files(machine: Machine, _: Mapping[str, Any]) -> Seen:
    """Files that may not be more open than this, and are root's."""
    open_ = []
    for path, most in SENSITIVE.items():
        try:
            status = (machine.root / path).stat()
        except FileNotFoundError:
            continue
        mode = stat.S_IMODE(status.st_mode)
        if mode & ~most or status.st_uid != machine.root.stat().st_uid:
            open_.append(f"/{path} {mode:04o}")
    return Seen("not_kept" if open_ else "kept", names(open_))


def open_files(machine: Machine, _: Mapping[str, Any]) -> Seen:
    """Files that everybody may write among programs and settings."""
    found = [
        f"/{path}"
        for path, status in _below(machine, WRITABLE_IN)
        if status.st_mode & stat.S_IWOTH and not (stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX)
    ]
    return Seen("not_kept" if found else "kept", names(found))


def shared_folders(machine: Machine, _: Mapping[str, Any]) -> Seen:
    """Folders that everybody may write have their sticky bit; a unit's private ones are not the machine's."""
    found = []
    for path in SHARED:
        if not machine.sees(f"/{path}"):
            return Seen("cannot_tell", "private")
        mode = (machine.root / path).stat().st_mode
        found += [f"/{path}"] if mode & stat.S_IWOTH and not mode & stat.S_ISVTX else []
    return Seen("not_kept" if found else "kept", names(found))


def setuid_programs(machine: Machine, _: Mapping[str, Any]) -> Seen:
    """Programs that run with the rights of their owner; the whole list counts, its digest tells a change."""
    found = [
        f"/{path}"
        for path, status in _below(machine, PROGRAMS)
        if stat.S_ISREG(status.st_mode) and status.st_mode & (stat.S_ISUID | stat.S_ISGID)
    ]
    return Seen("kept", _counted(found))


def enabled_units(machine: Machine, _: Mapping[str, Any]) -> Seen:
    """Units that systemd starts, by the links of its configuration."""
    if not (machine.root / "run/systemd/system").is_dir():
        return Seen("not_applicable", "no systemd")
    folder = machine.root / "etc/systemd/system"
    return Seen("kept", _counted({one.name for one in folder.glob("*.wants/*")}))


def _counted(found: Sequence[str] | set[str]) -> str:
    """A list of any length as a value: how many, which (some), and a digest of all."""
    digest = sha256("\n".join(sorted(found)).encode(errors="surrogateescape")).hexdigest()[:16]
    return f"{len(found)} ({digest}): {names(list(found))}"


def _below(machine: Machine, folders: Sequence[str]) -> Iterator[tuple[str, os.stat_result]]:
    """What lies below these folders, links not followed. Raises: TooManyFilesError."""
    count = 0
    waiting = [(folder, 0) for folder in folders if not (machine.root / folder).is_symlink()]
    while waiting:
        folder, depth = waiting.pop()
        try:
            entries = list(os.scandir(machine.root / folder))
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            continue  # closed to this account, and so to the others who are not root
        for entry in entries:
            count += 1
            if count > ENTRIES_MAX or depth > DEPTH_MAX:
                raise TooManyFilesError
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            if stat.S_ISLNK(status.st_mode):
                continue
            yield f"{folder}/{entry.name}", status
            if stat.S_ISDIR(status.st_mode):
                waiting.append((f"{folder}/{entry.name}", depth + 1))


def _plain_path(text: str) -> str:
    for escape, plain in _ESCAPES.items():
        text = text.replace(escape, plain)
    return text


LOOKS: Mapping[str, Look] = {
    "sysctl": sysctl,
    "processor-flaws": processor_flaws,
    "core-pattern": core_pattern,
    "swap": swap,
    "secure-boot": secure_boot,
    "access-control": access_control,
    "mount": mount,
    "data-encrypted": data_encrypted,
    "uid-zero": uid_zero,
    "empty-passwords": empty_passwords,
    "service-accounts": service_accounts,
    "sensitive-files": sensitive_files,
    "open-files": open_files,
    "shared-folders": shared_folders,
    "setuid-programs": setuid_programs,
    "enabled-units": enabled_units,
}
