"""No core dump, no tracing, no clear swap: read back from the system, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hygie.base.hardening import swap_state, swap_state_of_darwin

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux's own means")
SWAPS_HEAD = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


@linux
def test_a_hardened_process_leaves_no_core_and_is_not_traceable() -> None:
    before = run("from hygie.base.hardening import process_hardening as h; print(h())")
    after = run("from hygie.base.hardening import harden_process as h; print(h())")
    assert "tracing_off='no'" in before.stdout
    assert after.stdout.strip() == "Hardening(core_dumps_off='yes', tracing_off='yes')"


@linux
def test_the_memory_of_a_hardened_process_is_closed_to_its_own_user() -> None:
    """Checked from the kernel's side: the files of /proc become root's; and nobody can raise the limit again."""
    code = (
        "import os, resource; from hygie.base.hardening import harden_process; {drop} {call}\n"
        "print(os.stat('/proc/self/mem').st_uid, flush=True)\n"
        "os.kill(os.getpid(), 11)"
    )
    drop = "os.setgid(65534); os.setuid(65534);" if os.geteuid() == 0 else ""
    done = run(code.format(drop=drop, call="harden_process()"))
    assert done.stdout.strip() == "0"
    assert done.returncode == -11


def machine(tmp_path: Path, swaps: str, devices: dict[str, dict[str, str]]) -> tuple[Path, Path]:
    """A fake /proc and /sys: devices -> {file under /sys/class/block/<device>: content, or a slave's name}."""
    proc, sys_folder = tmp_path / "proc", tmp_path / "sys"
    proc.mkdir()
    (proc / "swaps").write_text(SWAPS_HEAD + swaps)
    for device, entries in devices.items():
        for entry, content in ({"uevent": ""} | entries).items():
            path = sys_folder / "class" / "block" / device / entry
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
    return proc, sys_folder


@linux
@pytest.mark.parametrize(
    ("swaps", "devices", "safe"),
    [
        ("", {}, "yes"),
        ("/dev/sda2 partition 100 0 -2\n", {"sda2": {}}, "no"),
        ("/dev/dm-1 partition 100 0 -2\n", {"dm-1": {"dm/uuid": "CRYPT-PLAIN-cryptswap\n"}}, "yes"),
        ("/dev/dm-1 partition 100 0 -2\n", {"dm-1": {"dm/uuid": "LVM-abc"}}, "no"),
        (
            "/dev/dm-1 partition 100 0 -2\n",
            {"dm-1": {"dm/uuid": "LVM-abc", "slaves/dm-0": ""}, "dm-0": {"dm/uuid": "CRYPT-LUKS2-x"}},
            "yes",
        ),
        (
            "/dev/dm-1 partition 100 0 -2\n",
            {
                "dm-1": {"dm/uuid": "LVM-abc", "slaves/dm-0": "", "slaves/sdb": ""},
                "dm-0": {"dm/uuid": "CRYPT-LUKS2-x"},
                "sdb": {},
            },
            "no",
        ),
        ("/dev/zram0 partition 100 0 100\n", {"zram0": {"backing_dev": "none\n"}}, "yes"),
        ("/dev/zram0 partition 100 0 100\n", {"zram0": {"backing_dev": "/dev/sdb1\n"}}, "no"),
        ("/swap\\040file file 100 0 -2\n", {}, "no"),
        ("/dev/zram0 partition 9 0 1\n/dev/sda2 partition 9 0 1\n", {"zram0": {}, "sda2": {}}, "no"),
    ],
)
def test_swap_is_safe_only_when_each_area_is_shown_so(
    tmp_path: Path, swaps: str, devices: dict[str, dict[str, str]], safe: str
) -> None:
    proc, sys_folder = machine(tmp_path, swaps, devices)
    assert swap_state(proc=proc, sys_folder=sys_folder).safe == safe


@linux
def test_swap_that_cannot_be_seen_is_unknown(tmp_path: Path) -> None:
    assert swap_state(proc=tmp_path, sys_folder=tmp_path).safe == "unknown"


@linux
def test_a_swap_file_follows_the_device_below_it(tmp_path: Path) -> None:
    swapfile = tmp_path / "swapfile"
    swapfile.touch()
    proc, sys_folder = machine(tmp_path, f"{swapfile} file 100 0 -2\n", {"dm-9": {"dm/uuid": "CRYPT-LUKS2-y"}})
    number = swapfile.stat().st_dev
    link = sys_folder / "dev" / "block" / f"{os.major(number)}:{os.minor(number)}"
    link.parent.mkdir(parents=True)
    link.symlink_to(sys_folder / "class" / "block" / "dm-9")
    assert swap_state(proc=proc, sys_folder=sys_folder).safe == "yes"
    (sys_folder / "class" / "block" / "dm-9" / "dm" / "uuid").write_text("LVM-z")
    assert swap_state(proc=proc, sys_folder=sys_folder).exposed == (str(swapfile),)


def test_macos_says_itself_whether_swap_is_encrypted() -> None:
    said = "total = 2048.00M  used = 1024.00M  free = 1024.00M"
    assert swap_state_of_darwin(said + "  (encrypted)\n").safe == "yes"
    assert swap_state_of_darwin(said + "\n").safe == "no"
    assert swap_state_of_darwin("").safe == "unknown"
