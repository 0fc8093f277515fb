"""What is promised, what others do, and what was measured: printed as it comes, kept in ``results.json``."""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.machine import description

RESULTS = Path(__file__).resolve().parent / "results.json"
SHARED_FROM = 0.10  # of the machine taken by others: a figure says so above


@dataclass(frozen=True, slots=True)
class Promise:
    """What is asked of a figure. most: the lower the better; peers: others, on such a machine."""

    work: str
    unit: str
    must: float | None = None
    aim: float | None = None
    most: bool = False
    peers: str = ""
    limit: str = ""

    def verdict(self, value: float) -> str:
        """In words."""
        if self.must is None or self.aim is None:
            return ""
        for bound, word in ((self.aim, "aim reached"), (self.must, "must reached")):
            if value <= bound if self.most else value >= bound:
                return word
        return "SHORT"


PROMISES: dict[str, Promise] = {
    "bare": Promise("`bare` reference of the import run", "resources/s", peers="a prototype on one process: 9,000"),
    "import": Promise(
        "import of transaction Bundles, 2 clients", "resources/s", 2_000, 4_000,
        peers="Medplum 143 (measured); Aidbox 335, HAPI 277 per core (published)",
    ),
    "import-ratio": Promise("the same, of `bare`", "", 0.25, 0.5),
    "read": Promise("read by id, 8 clients", "/s", 2_000, 4_000, peers="Medplum 686"),
    "read-p99": Promise("its 99th percentile", "ms", 20, 20, most=True, peers="Medplum 24"),
    "read-importing": Promise("read by id, 8 clients, during an import", "/s"),
    "read-importing-p99": Promise("its 99th percentile", "ms", 60, 60, most=True),
    "search": Promise("search patient + code, 8 clients", "/s", 1_000, 2_500, peers="Medplum 322"),
    "search-p99": Promise("its 99th percentile", "ms"),
    "cost-encryption": Promise("cost of encryption, of an import", "%", 20, 8, most=True),
    "cost-journal": Promise("cost of the journal, of an import", "%", 15, 5, most=True),
    "cost-sites": Promise("cost of the second and third site, of an import", "%", 30, 15, most=True),
    "cost-encryption-read": Promise("cost of encryption, of a read by id", "%"),
    "cost-journal-read": Promise("cost of the journal, of a read by id", "%"),
    "erase-small": Promise("erase a patient of 10 resources", "ms", 1_000, 50, most=True),
    "erase-large": Promise("erase a patient of 10,000 resources", "ms", 1_000, 50, most=True),
    "seal": Promise("journal: entries indexed, signed, cosigned, on the sites", "entries/s"),
    "verify": Promise("verify a journal with `hygie-verify`", "entries/s", 100_000, 500_000),
    "exit-export": Promise("return of a client: read, journaled, encrypted, traces included", "versions/s"),
    "exit-verify": Promise("its verification by the client", "versions/s"),
    "exit-memory": Promise("peak of memory of the larger of both", "MiB"),
    "copy": Promise("copy production de-identified into a test environment, start included", "resources/s"),
    "copy-memory": Promise("its peak of memory", "MiB"),
    "rebuild": Promise("rebuild a catalogue from one site", "resources/s", 5_000, 15_000),
    "restore": Promise("restore from the backup target", "resources/s", 5_000, 15_000),
    "referential-import": Promise("import a CISO Assistant library of 1,000 requirements", "s", 2, 0.5, most=True),
    "dossier-write": Promise("write a dossier of 100,000 runs", "s", 60, 20, most=True),
    "dossier-verify": Promise("verify it with `hygie-verify`, one core", "s", 20, 10, most=True),
    "posture": Promise("posture over 1,000,000 runs", "ms", 300, 100, most=True),
    "time-travel-p95": Promise("posture at a past date, 95th percentile", "ms", 500, 200, most=True),
    "evidence-add": Promise("keep and journal an evaluation of 100 runs, after 100,000 evaluations", "ms"),
    "evidence-verify": Promise("follow 100,000 evaluations and hold them to the journal", "s"),
    "dossier-batches-write": Promise("write a dossier of 100,000 evaluations", "s", 60, 20, most=True),
    "dossier-batches-verify": Promise("verify it with `hygie-verify`, one core", "s", 20, 10, most=True),
    "read-cold": Promise("read by id, of patients nobody read in the last minute", "/s"),
    "register-import": Promise("import 50,000 rows of a CSV into a register", "s"),
    "register-again": Promise("the same file again, which changes nothing", "s"),
    "register-export-csv": Promise("export 50,000 records to CSV", "s"),
    "register-import-csv": Promise("import that file, which changes nothing", "s"),
    "register-export-xlsx": Promise("export 50,000 records to XLSX", "s"),
    "register-import-xlsx": Promise("import that file, which changes nothing", "s"),
    "register-export-json": Promise("export 50,000 records to JSON", "s"),
    "register-import-json": Promise("import that file, which changes nothing", "s"),
    "register-export-pdf": Promise("export 2,000 records to PDF/A", "s"),
    "controls": Promise("judge every check on registers", "s", 10, 1, most=True),
    "controls-person": Promise("the same, with 50,000 people", "s"),
    "controls-asset": Promise("the same, with 50,000 assets", "s"),
    "controls-contract": Promise("the same, with 50,000 contracts", "s"),
    "fair-reads-p50": Promise("read by id beside a flood of reads of another client, longer by", "times"),
    "fair-reads-p99": Promise("its 99th percentile", "times", 1.25, 1.1, most=True),
    "fair-searches-p50": Promise("the same beside a flood of searches", "times"),
    "fair-searches-p99": Promise("its 99th percentile", "times", 1.25, 1.1, most=True),
    "fair-imports-p50": Promise("the same beside a flood of Bundles", "times"),
    "fair-imports-p99": Promise("its 99th percentile", "times", 1.25, 1.1, most=True),
    "gate": Promise("the gate's decision, an application", "µs", 100, 50, most=True),
    "gate-limited": Promise("the same, a person with eight limited habilitations", "µs", 100, 50, most=True),
    "watch-cost-read": Promise("cost of the watch and of an export to a SOC, of a read by id", "%", 3, 1, most=True),
    "watch-cost-import": Promise("the same, of an import", "%", 3, 1, most=True),
    "flat-import": Promise("import into many, slower than into none by", "%", 25, 25, most=True),
    "flat-search": Promise("search among many, slower than among few by", "%", 25, 25, most=True),
    "flat-read": Promise("read among many, slower than among few by", "%", 25, 25, most=True),
}  # fmt: skip


@dataclass(slots=True)
class Figure:
    """One measured value.

    bare: ratio to the reference of the same run, for rates; cpu_us: CPU microseconds an operation by group of
    processes; others: part of the machine's cores that other work took.
    """

    name: str
    value: float
    bare: float | None = None
    cpu_us: Mapping[str, float] = field(default_factory=dict)
    others: float = 0.0
    note: str = ""
    at: str = ""

    @property
    def promise(self) -> Promise:
        """What was asked."""
        return PROMISES[self.name]


def tell(figure: Figure) -> None:
    """Print a figure, and keep it for the report."""
    promise = figure.promise
    words = [f"{promise.work}: {number(figure.value)} {promise.unit}".rstrip()]
    if promise.must is not None:
        words.append(f"must {number(promise.must)}, aim {number(promise.aim)}: {promise.verdict(figure.value)}")
    if figure.bare is not None:
        words.append(f"{figure.bare:.2f} of bare")
    if promise.peers:
        words.append(promise.peers)
    print("  " + " | ".join(words))
    if figure.note:
        print(f"      {figure.note}")
    if figure.cpu_us:
        print(f"      CPU an operation: {cpu(figure.cpu_us)}")
    if figure.others >= SHARED_FROM:
        print(f"      {figure.others:.0%} of the machine was taken by other work")
    figure.at = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    kept = load()
    kept["machine"] = description()
    kept.setdefault("figures", {})[figure.name] = asdict(figure)
    fresh = RESULTS.with_suffix(".new")
    fresh.write_text(json.dumps(kept, indent=1) + "\n")
    fresh.replace(RESULTS)


def load() -> dict[str, Any]:
    """Everything kept so far."""
    return dict(json.loads(RESULTS.read_text())) if RESULTS.exists() else {}


def number(value: float | None) -> str:
    """A value with the digits that mean something."""
    if value is None:
        return ""
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 1 else f"{value:.2f}"


def cpu(groups: Mapping[str, float]) -> str:
    """CPU time by group, the largest first."""
    told = sorted(((us, name) for name, us in groups.items() if us >= 0.5), reverse=True)
    return ", ".join(f"{name} {us:,.0f} µs" for us, name in told)


def seconds(default: float) -> float:
    """The length of a measurement; ``HYGIE_BENCH_LENGTH`` multiplies it."""
    return default * float(os.environ.get("HYGIE_BENCH_LENGTH", "1"))
