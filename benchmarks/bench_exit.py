"""Give a client everything back, encrypted to its key; verify it as the client does. Memory of each, at its peak."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyrage

from benchmarks import data, load
from benchmarks.figures import Figure, tell
from benchmarks.installation import Installation, running

ORDER = ("--controller", "bench", "--instructed-by", "dpo", "--reference", "1", "--approver", "chief")


def answered(installation: Installation, *words: str) -> tuple[dict[str, Any], float, float]:
    """(answer, seconds, peak of memory in MiB) of a command, its start included. Raises: RuntimeError: it failed."""
    command = [sys.executable, "-m", "hygie", "--data", str(installation.data), "--json", *words]
    began = time.perf_counter()
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    spent = time.perf_counter() - began
    if done.returncode:
        raise RuntimeError(f"{words}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout), spent, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def main() -> None:
    """Import, export, verify."""
    bundles = data.bundles()
    with running() as installation:
        _, target = installation.environment("exit")
        for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 1):
            load.import_all(installation, target, bundles)
        listed, _, _ = answered(installation, "environment", "list")
        tenant, name = next((one["tenant"], one["environment"]) for one in listed if one["environment"] == "exit")
        answered(installation, "account", "create", "dpo", "--kind", "person")
        words = ("--role", "privacy-officer", "--reason", "bench", "--approver", "chief")
        answered(installation, "habilitation", "grant", "dpo", tenant, name, *words)
        own = pyrage.x25519.Identity.generate()
        folder = installation.data.with_name("exported")
        key = Path(f"{folder}.key")
        key.write_text(f"{own}\n")
        asked = ("exit", "export", tenant, "--environment", name, "--to", str(folder))
        done, seconds, _ = answered(installation, *asked, "--recipient", str(own.to_public()), *ORDER)
        note = f"{done['resources']:,} versions, {done['bytes'] / 1e6:.0f} MB, {done['traces']:,} traces"
        tell(Figure("exit-export", done["resources"] / seconds, note=f"{note} in {seconds:.1f} s"))
        found, seconds, peak = answered(installation, "exit", "verify", str(folder), "--identity", str(key))
        tell(Figure("exit-verify", found["versions"] / seconds, note=f"{found['versions']:,} in {seconds:.1f} s"))
        tell(Figure("exit-memory", peak, note="peak of the larger of both commands"))


if __name__ == "__main__":
    main()
