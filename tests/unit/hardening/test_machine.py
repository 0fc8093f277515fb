"""Each point on a machine where it is kept, on one where it is not, and where nothing can be seen."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hygie.hardening import machine
from hygie.hardening.machine import Machine, look, see
from hygie.hardening.model import Seen
from hygie.hardening.points import points
from tests.unit.hardening.machine_root import MOUNTS, SECURE_BOOT, good_machine, put, sysctl_path

Break = Callable[[Path], object]
SHADOW = "root::20000:0:99999:7:::\n"


def mounts(old: str, new: str) -> Break:
    def act(root: Path) -> None:
        for process in ("1", "self"):
            put(root, f"proc/{process}/mountinfo", MOUNTS.replace(old, new))

    return act


def text(path: str, words: str) -> Break:
    return lambda root: put(root, path, words)


def sysctl(name: str) -> Break:
    """A value that no point asks for."""
    return text(sysctl_path(name), "-7\n")


def mode(path: str, bits: int) -> Break:
    return lambda root: (root / path).chmod(bits)


def added(words: str) -> Break:
    def act(root: Path) -> None:
        with (root / "etc/passwd").open("a") as file:
            file.write(words)

    return act


BROKEN: list[tuple[str, Break, str]] = [
    *((name, sysctl(one), "-7") for name, point in points().items() for one in point.asks.get("sysctl", ())),
    ("processor-flaws", text("sys/devices/system/cpu/vulnerabilities/mds", "Vulnerable: no microcode\n"), "mds"),
    ("core-pattern", text("proc/sys/kernel/core_pattern", "|/usr/lib/systemd/systemd-coredump %P\n"), "|/usr/lib/"),
    ("swap", text("proc/swaps", "Filename Type\n/dev/sda2 partition 1 0 -2\n"), "/dev/sda2"),
    ("secure-boot", lambda root: (root / SECURE_BOOT).write_bytes(b"\6\0\0\0\0"), "off"),
    ("access-control", text("sys/kernel/security/lsm", "lockdown,capability\n"), "none"),
    ("mount-tmp", mounts(" /tmp rw,nosuid,nodev,noexec", " /tmp rw,nosuid,nodev"), "noexec"),
    ("mount-var-tmp", mounts("/var/tmp", "/var/other"), "not a mount"),
    ("mount-shm", mounts("/dev/shm rw,nosuid,nodev,noexec", "/dev/shm rw,noexec,nodev"), "nosuid"),
    ("mount-home", mounts("/home rw,nosuid,nodev", "/home rw"), "nodev, nosuid"),
    ("data-encrypted", lambda root: (root / "sys/devices/virtual/block/dm-0/dm/uuid").write_text("LVM-x"), "data"),
    ("uid-zero", added("toor:x:0:0::/root:/bin/sh\n"), "toor"),
    ("empty-passwords", text("etc/shadow", SHADOW), "root"),
    ("service-accounts", added("backup:x:34:34::/var:/bin/bash\n"), "backup"),
    ("sensitive-files", mode("etc/shadow", 0o644), "/etc/shadow 0644"),
    ("sensitive-files", mode("etc/passwd", 0o664), "/etc/passwd 0664"),
    ("open-files", mode("usr/bin/sudo", 0o4757), "/usr/bin/sudo"),
    ("shared-folders", mode("tmp", 0o777), "/tmp"),
]


@pytest.fixture
def good(tmp_path: Path) -> Machine:
    return Machine(good_machine(tmp_path / "root", 64_769), {"data": 64_769})


def test_a_hardened_machine_keeps_every_point(good: Machine) -> None:
    given = {name: Seen("kept", "as told") for name, point in points().items() if point.look == "given"}
    assert {name: one for name, one in look(good, given).items() if one.state != "kept"} == {}


@pytest.mark.parametrize(("name", "act", "value"), BROKEN, ids=[f"{one[0]}-{n}" for n, one in enumerate(BROKEN)])
def test_a_point_that_is_broken_is_seen(good: Machine, name: str, act: Break, value: str) -> None:
    before = look(good)
    act(good.root)
    after = look(good)
    assert after[name].state == "not_kept", after[name]
    assert value in after[name].value
    others = {"setuid-programs"} if name == "open-files" else set()
    assert {one for one in before if before[one] != after[one]} - others == {name}


def test_every_point_that_has_a_better_value_was_seen_broken() -> None:
    judged = {name for name, point in points().items() if not point.watched and point.look != "given"}
    assert {name for name, _, _ in BROKEN} == judged
    assert {point.look for point in points().values()} == {*machine.LOOKS, "given"}


def test_what_is_watched_tells_a_change(good: Machine) -> None:
    before = look(good)
    put(good.root, "usr/bin/thing", "")
    (good.root / "usr/bin/thing").chmod(0o4755)
    put(good.root, "etc/systemd/system/timers.target.wants/thing.timer", "")
    after = look(good)
    assert {name for name in before if before[name] != after[name]} == {"setuid-programs", "enabled-units"}
    assert "/usr/bin/thing" in after["setuid-programs"].value


def test_a_machine_that_shows_nothing_keeps_nothing(tmp_path: Path) -> None:
    told = look(Machine(tmp_path))
    kept = {name for name, one in told.items() if one.state == "kept"}
    assert kept <= {"sensitive-files", "open-files", "setuid-programs"}  # nothing is there, so nothing is open
    assert {told[name].state for name in ("tracing", "syn-cookies")} == {"not_kept"}  # a kernel without them
    assert told["secure-boot"].state == told["bpf-jit"].state == "not_applicable"
    assert (
        told["shared-folders"].state
        == told["mount-tmp"].state
        == told["uid-zero"].state
        == told["data-encrypted"].state
        == "cannot_tell"
    )


@pytest.mark.parametrize(
    ("name", "path", "words"),
    [
        ("tracing", sysctl_path("kernel.yama.ptrace_scope"), "\n"),
        ("tracing", sysctl_path("kernel.yama.ptrace_scope"), "one\n"),
        ("uid-zero", "etc/passwd", "root:x:zero:0:::/bin/sh\n"),
    ],
)
def test_what_reads_oddly_is_not_told(good: Machine, name: str, path: str, words: str) -> None:
    put(good.root, path, words)
    assert look(good)[name] == Seen("cannot_tell", "ValueError")


def test_a_value_is_bounded_and_plain(good: Machine) -> None:
    put(good.root, "etc/passwd", "".join(f"a\x1b[31m{n}:x:0:0::/:/bin/sh\n" for n in range(2_000)))
    seen = look(good)["uid-zero"]
    assert len(seen.value) <= machine.VALUE_CHARACTERS_MAX
    assert "\x1b" not in seen.value
    assert seen.value.endswith("+1988")


def test_encryption_is_found_below_a_volume_and_not_said_of_a_hidden_disk(good: Machine) -> None:
    block = good.root / "sys/devices/virtual/block"
    (block / "dm-0/dm/uuid").write_text("LVM-abc")
    put(block / "dm-1", "dm/uuid", "CRYPT-LUKS2-x")
    (block / "dm-0/slaves").mkdir()
    (block / "dm-0/slaves/dm-1").symlink_to(block / "dm-1")
    point = points()["data-encrypted"]
    assert see(good, point).state == "kept"
    (block / "dm-1/dm/uuid").write_text("LVM-def")
    assert see(good, point) == Seen("not_kept", "data")
    network = Machine(good.root, {"data": os.makedev(0, 77)})
    assert see(network, point) == Seen("cannot_tell", "data")


def test_the_private_folder_of_a_unit_is_not_the_machines(good: Machine) -> None:
    private = MOUNTS + "99 25 0:23 /systemd-private-x/tmp /tmp rw,nosuid - tmpfs tmpfs rw\n"
    put(good.root, "proc/self/mountinfo", private)
    assert look(good)["shared-folders"] == Seen("cannot_tell", "private")
    assert look(good)["mount-tmp"].state == "kept"  # that of the machine's first process


@pytest.mark.parametrize("bound", ["ENTRIES_MAX", "DEPTH_MAX"])
def test_more_files_than_one_look_goes_through_are_not_said_closed(
    good: Machine, bound: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(good.root, "etc/a/b/c/d/e/f", "")
    monkeypatch.setattr(machine, bound, 3)
    assert look(good)["open-files"] == Seen("cannot_tell", "too many files")


def test_links_are_not_followed_out_of_what_is_looked_at(good: Machine, tmp_path: Path) -> None:
    put(tmp_path, "elsewhere/open", "")
    (tmp_path / "elsewhere/open").chmod(0o666)
    (good.root / "etc/link").symlink_to(tmp_path / "elsewhere")
    (good.root / "etc/loop").symlink_to(good.root / "etc")
    assert look(good)["open-files"].state == "kept"
