"""What is imported: transaction Bundles from a folder of Synthea files, or else invented here.

``HYGIE_BENCH_DATA`` names a folder (``.json``, ``.json.gz``); without it ``../shared/data/fhir/synthea`` beside the
clone is taken if it is there, and without that the patients of ``hygie.synthetic``.
"""

from __future__ import annotations

import gzip
import os
import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT.parent / "shared" / "data" / "fhir" / "synthea"
INVENTED = 400  # patients when there is no folder: some 20 resources each
LOCATION = re.compile(rb'"location":"([A-Za-z]+)/([A-Za-z0-9.\-]+)')


@dataclass(frozen=True, slots=True)
class Bundle:
    """One transaction. types, codes: of each entry in order; a code only where search by patient and code finds it."""

    raw: bytes
    types: tuple[str, ...]
    codes: tuple[str, ...]

    @property
    def count(self) -> int:
        """Resources in it."""
        return len(self.types)


@dataclass(slots=True)
class Stored:
    """What an import left: (type, id) of each resource, and (patient id, code) pairs that Observations answer."""

    resources: list[tuple[str, str]] = field(default_factory=list)
    pairs: list[tuple[str, str]] = field(default_factory=list)

    def take(self, bundle: Bundle, answer: bytes) -> None:
        """Note the ids that the answer to a Bundle gave."""
        located = [(kind.decode(), id_.decode()) for kind, id_ in LOCATION.findall(answer)]
        assert len(located) == bundle.count, "every entry of the transaction is answered by its location"
        self.resources += located
        patients = [id_ for kind, id_ in located if kind == "Patient"]
        if len(patients) == 1:
            found = {(patients[0], code) for code in bundle.codes if code}
            self.pairs += sorted(found)

    def merge(self, other: Stored) -> None:
        """Add what another client stored."""
        self.resources += other.resources
        self.pairs += other.pairs

    def read_paths(self, seed: int = 1) -> list[str]:
        """Paths of reads by id, in a random order that is the same at each run."""
        paths = [f"/{kind}/{id_}" for kind, id_ in self.resources]
        random.Random(seed).shuffle(paths)
        return paths

    def search_paths(self, seed: int = 2) -> list[str]:
        """Paths of searches by patient and code."""
        paths = [f"/Observation?patient={patient}&code={code}" for patient, code in self.pairs]
        random.Random(seed).shuffle(paths)
        return paths


def source() -> str:
    """Which data these are, in words."""
    folder = _folder()
    return f"Synthea files of {folder.name}/" if folder is not None else f"{INVENTED} invented patients"


def bundles() -> list[Bundle]:
    """Every transaction Bundle, in an order that is the same at each run."""
    folder = _folder()
    texts = _files(folder) if folder is not None else _invented()
    made = [bundle_of(raw) for raw in texts]
    random.Random(0).shuffle(made)
    return made


def summary(some: Sequence[Bundle]) -> str:
    """How many, how large."""
    counts, sizes = sorted(one.count for one in some), sorted(len(one.raw) for one in some)
    middle = len(some) // 2
    return f"{len(some)} Bundles, {sum(counts)} resources, median {counts[middle]} resources and {sizes[middle]} bytes"


def _folder() -> Path | None:
    named = os.environ.get("HYGIE_BENCH_DATA")
    if named:
        return Path(named)
    return FOLDER if FOLDER.is_dir() else None


def _files(folder: Path) -> Iterable[bytes]:
    for path in sorted(folder.iterdir()):
        if path.name.endswith((".json", ".json.gz")):
            raw = path.read_bytes()
            yield gzip.decompress(raw) if path.name.endswith(".gz") else raw


def _invented() -> Iterable[bytes]:
    from hygie.synthetic.patients import bundle_bytes

    return (bundle_bytes(seed) for seed in range(INVENTED))


def bundle_of(raw: bytes) -> Bundle:
    """A transaction Bundle from its text."""
    entries = msgspec.json.decode(raw)["entry"]
    resources = [entry["resource"] for entry in entries]
    codes = tuple(_code(one) if one["resourceType"] == "Observation" else "" for one in resources)
    return Bundle(raw, tuple(one["resourceType"] for one in resources), codes)


def _code(observation: dict[str, object]) -> str:
    code = observation.get("code")
    codings = code.get("coding") if isinstance(code, dict) else None
    return str(codings[0].get("code", "")) if codings else ""
