"""Rebuild a lost database from one site; restore a backup into a fresh place."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import time
from typing import Any

from benchmarks import data, load
from benchmarks.figures import Figure, tell
from benchmarks.installation import Installation, running
from hygie.app import open_house
from hygie.recover import Recovered, Wanted, Watcher, recover
from hygie.start import OFFLINE
from hygie.start import running as started

SITE = "lyon"


async def _rebuild(installation: Installation) -> tuple[Recovered, float]:
    """What was rebuilt, and in how many seconds once database and keys run."""
    async with started(installation.data, only=OFFLINE), open_house(installation.data) as house:
        began = time.perf_counter()
        found = await recover(house, Wanted(SITE), operator="local:bench", watcher=Watcher())
        return found, time.perf_counter() - began


def _restore(installation: Installation) -> tuple[int, float]:
    """(resources, seconds) of a restore by its command, start included."""
    into = installation.data.with_name("restored")
    began = time.perf_counter()
    words = ("--into", str(into), "--credential", str(installation.settings.kms.credential))
    answer = _hygie(installation, "restore", "latest", *words)
    spent = time.perf_counter() - began
    shutil.rmtree(into, ignore_errors=True)
    return int(answer["resources"]), float(answer.get("duration_s", spent))


def _hygie(installation: Installation, *words: str) -> dict[str, Any]:
    """What a command answers. Raises: RuntimeError: it failed; with its own words."""
    command = [sys.executable, "-m", "hygie", "--data", str(installation.data), "--json", *words]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{words}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def main() -> None:
    """Import, back up, restore; then lose the database and rebuild it."""
    bundles = data.bundles()
    with running() as installation:
        _, target = installation.environment("rebuild")
        load.import_all(installation, target, bundles)
        _hygie(installation, "backup", "run")
        resources, seconds = _restore(installation)
        tell(Figure("restore", resources / seconds, note=f"{resources:,} resources in {seconds:.1f} s"))
        installation.down()
        shutil.rmtree(installation.folder.postgres)
        found, seconds = asyncio.run(_rebuild(installation))
    objects = sum(report.objects for report in found.environments.values())
    tell(Figure("rebuild", objects / seconds, note=f"{objects:,} versions in {seconds:.1f} s from one site"))


if __name__ == "__main__":
    main()
