"""Registers and files: 50,000 rows in, out and in again, by the commands that people type."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.figures import Figure, tell
from benchmarks.installation import Installation, running

ROWS = 50_000
PDF_ROWS = 2_000
HEADERS = "name,kind,health_data,identifier,environment,encryption,hardening,criticality,owner,in_service_on,review_on"


def write_rows(path: Path, rows: int, mark: str = "") -> None:
    """An inventory: eleven columns, one owner."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(HEADERS.split(","))
        for number in range(rows):
            writer.writerow(
                [f"srv-{number:06d}{mark}", "Serveur", "non", f"vm-{number}", "prod", "LUKS, AES-256", "CIS niveau 1",
                 1 + number % 4, "PER-0001", "2026-01-05", f"2027-{1 + number % 12:02d}-05"]
            )  # fmt: skip


def timed(installation: Installation, *words: str) -> tuple[float, float]:
    """Seconds and largest resident memory (MiB) of one command, its start included. Raises: RuntimeError."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "hygie", "--data", str(installation.data), "register", *words]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{words}: exit {process.returncode}")
    return time.perf_counter() - began, used.ru_maxrss / 1024


def main() -> None:
    """Import, the same again, exports, imports of exports."""
    with running() as installation, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows, few = folder / "rows.csv", folder / "few.csv"
        write_rows(rows, ROWS)
        person = ("name=Anne Martin", "employer=Hygie", "function=RSSI", "starts_on=2026-01-05")
        nothing, _ = timed(installation, "add", "person", *person)
        print(f"  a command that writes one record: {nothing:.1f} s")
        steps = [
            ("register-import", ("import", "asset", str(rows), "--state", "in-service")),
            ("register-again", ("import", "asset", str(rows), "--state", "in-service")),
        ]
        for form in ("csv", "xlsx", "json"):
            made = str(folder / f"made.{form}")
            steps += [
                (f"register-export-{form}", ("export", "asset", made)),
                (f"register-import-{form}", ("import", "asset", made)),
            ]
        for figure, words in steps:
            took, memory = timed(installation, *words)
            tell(Figure(figure, took, note=f"{ROWS:,} rows of 11 fields; {memory:,.0f} MiB at most"))
        write_rows(few, PDF_ROWS, "-pdf")
        timed(installation, "import", "asset", str(few))
        took, memory = timed(installation, "export", "asset", str(folder / "made.pdf"), "--state", "planned")
        tell(Figure("register-export-pdf", took, note=f"{PDF_ROWS:,} records; {memory:,.0f} MiB at most"))


if __name__ == "__main__":
    main()
