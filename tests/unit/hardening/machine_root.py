"""The files of a machine on which every point is kept, under a folder: to look at, then to break one by one."""

from __future__ import annotations

import os
from pathlib import Path

from hygie.hardening.points import points

MOUNTS = """\
24 1 0:22 / / rw,relatime - ext4 /dev/mapper/root rw
25 24 0:23 / /tmp rw,nosuid,nodev,noexec,relatime - tmpfs tmpfs rw
26 24 0:24 / /var/tmp rw,nosuid,nodev,noexec,relatime - tmpfs tmpfs rw
27 24 0:25 / /dev/shm rw,nosuid,nodev,noexec - tmpfs tmpfs rw
28 24 0:26 / /home rw,nosuid,nodev,relatime - ext4 /dev/mapper/home rw
"""
PASSWD = """\
root:x:0:0:root:/root:/bin/bash
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
hygie:x:990:990::/srv/hygie:/usr/sbin/nologin
paul:x:1000:1000::/home/paul:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
"""
FILES = {
    "proc/1/mountinfo": MOUNTS,
    "proc/self/mountinfo": MOUNTS,
    "proc/swaps": "Filename\tType\tSize\tUsed\tPriority\n",
    "proc/sys/kernel/core_pattern": "core\n",
    "proc/net/tcp": "  sl  local_address rem_address   st\n",
    "sys/kernel/security/lsm": "lockdown,capability,landlock,yama,apparmor\n",
    "sys/devices/system/cpu/vulnerabilities/meltdown": "Not affected\n",
    "sys/devices/system/cpu/vulnerabilities/spectre_v2": "Mitigation: Retpolines\n",
    "etc/passwd": PASSWD,
    "etc/shadow": "root:!:20000:0:99999:7:::\npaul:$y$j9T$x:20000:0:99999:7:::\n",
    "etc/login.defs": "# comment\nUID_MIN\t\t\t 1000\n",
    "etc/sudoers": "Defaults use_pty\n",
    "usr/bin/sudo": "",
    "etc/systemd/system/multi-user.target.wants/ssh.service": "",
    "run/systemd/system/x": "",
}
MODES = {"etc/shadow": 0o640, "etc/sudoers": 0o440, "usr/bin/sudo": 0o4755}
SECURE_BOOT = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"


def good_machine(root: Path, device: int = 0) -> Path:
    """Write them. Args: device: of the places that hold data, which lie on dm-crypt. Returns root."""
    for path, text in FILES.items():
        put(root, path, text)
        (root / path).chmod(MODES.get(path, 0o644))
    for point in points().values():
        for name in point.asks.get("sysctl", ()):
            put(root, sysctl_path(name), f"{point.asks.get('at_least', point.asks.get('is'))}\n")
    for folder in ("tmp", "var/tmp", "dev/shm"):
        (root / folder).mkdir(parents=True)
        (root / folder).chmod(0o1777)
    (root / SECURE_BOOT).parent.mkdir(parents=True)
    (root / SECURE_BOOT).write_bytes(b"\6\0\0\0\1")
    disk = root / "sys/devices/virtual/block/dm-0"
    put(disk, "dm/uuid", "CRYPT-LUKS2-0123-data\n")
    link = root / "sys/dev/block" / f"{os.major(device)}:{os.minor(device)}"
    link.parent.mkdir(parents=True)
    link.symlink_to(disk)
    return root


def put(root: Path, path: str, text: str) -> None:
    """A file with its folders."""
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def sysctl_path(name: str) -> str:
    """Where the kernel shows a setting."""
    return "proc/sys/" + name.replace(".", "/")
