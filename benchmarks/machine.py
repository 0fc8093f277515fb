"""What the processes of an installation cost, and what else the machine was doing: read from ``/proc``.

Rates depend on the neighbours of a run; CPU seconds an operation hardly do.  On a system without ``/proc`` nothing is
measured and figures say so.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

PROC = Path("/proc")
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
OTHERS = "others"


@dataclass(frozen=True, slots=True)
class Sample:
    """One instant. groups: CPU seconds of each group so far; busy_s: of the whole machine."""

    at_s: float
    groups: Mapping[str, float]
    busy_s: float


@dataclass(frozen=True, slots=True)
class Cost:
    """What a stretch of time cost. groups: CPU seconds; others_s: of processes that are not ours."""

    elapsed_s: float
    groups: Mapping[str, float] = field(default_factory=dict)
    others_s: float = 0.0

    @property
    def others_share(self) -> float:
        """Part of the machine's cores that other work took."""
        return self.others_s / self.elapsed_s / (os.cpu_count() or 1) if self.elapsed_s else 0.0


class Meter:
    """Counts CPU time of groups of processes.

    Args: roots: process id -> its group's name; a process that is no root belongs to its nearest ancestor that is one.
    """

    def __init__(self, roots: Mapping[int, str]) -> None:
        self.roots = dict(roots)

    def sample(self) -> Sample:
        """Where every group is now."""
        if not PROC.joinpath("self/stat").exists():
            return Sample(time.perf_counter(), {}, 0.0)
        parents: dict[int, int] = {}
        spent: dict[int, float] = {}
        for folder in PROC.iterdir():
            if not folder.name.isdigit():
                continue
            try:
                fields = (folder / "stat").read_bytes().rpartition(b")")[2].split()
            except OSError:  # it ended meanwhile; its parent has its time
                continue
            pid = int(folder.name)
            parents[pid] = int(fields[1])
            spent[pid] = sum(int(ticks) for ticks in fields[11:15]) * _TICK_S  # with children that ended
        groups: dict[str, float] = dict.fromkeys(self.roots.values(), 0.0)
        for pid, seconds in spent.items():
            name = self._group(pid, parents)
            if name is not None:
                groups[name] += seconds
        return Sample(time.perf_counter(), groups, _busy_s())

    def since(self, before: Sample) -> Cost:
        """What was spent from a sample until now."""
        now = self.sample()
        groups = {name: now.groups[name] - before.groups.get(name, 0.0) for name in now.groups}
        others_s = max(0.0, now.busy_s - before.busy_s - sum(groups.values()))
        return Cost(now.at_s - before.at_s, groups, others_s)

    def _group(self, pid: int, parents: Mapping[int, int]) -> str | None:
        while pid:
            if pid in self.roots:
                return self.roots[pid]
            pid = parents.get(pid, 0)
        return None


def children_of(parent: int) -> dict[int, str]:
    """Process ids of a process's own children, with their command lines."""
    found: dict[int, str] = {}
    for folder in PROC.iterdir() if PROC.exists() else ():
        if not folder.name.isdigit():
            continue
        try:
            fields = (folder / "stat").read_bytes().rpartition(b")")[2].split()
            if int(fields[1]) == parent:
                found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
    return found


def description() -> str:
    """The machine, in one line."""
    model = platform.processor() or platform.machine()
    memory = ""
    if PROC.joinpath("cpuinfo").exists():
        for line in PROC.joinpath("cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
        kilobytes = int(PROC.joinpath("meminfo").read_text().split()[1])
        memory = f", {kilobytes / 2**20:.0f} GiB"
    python = platform.python_version()
    return f"{os.cpu_count()} cores of {model}{memory}, {platform.system()}, Python {python}"


def _busy_s() -> float:
    """CPU seconds of the machine that were not idle, waiting or taken by another guest of the same host."""
    user, nice, system, _, _, irq, softirq = map(int, PROC.joinpath("stat").read_text().split("\n", 1)[0].split()[1:8])
    return (user + nice + system + irq + softirq) * _TICK_S
