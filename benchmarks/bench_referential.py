"""Import of a library of 1,000 requirements, as ``hygie referential import`` does it: read, check, digest, write."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.figures import Figure, tell
from hygie.base.layout import DataFolder
from hygie.proof.referentials.importing import read_referential
from hygie.proof.referentials.shelf import Shelf

NODES = 1_000
TURNS = 7
BELOW = 8  # requirements under each heading
SAID = " ".join(["protéger les données confiées et pouvoir le montrer à qui le demande"] * 4)


def library() -> bytes:
    """A library of CISO Assistant: headings and requirements, two languages, groups, a mapping of each to another."""
    lines = ["urn: urn:bench:risk:library:bench", "locale: en", "name: Bench", "version: 1", "objects:"]
    lines += ["  framework:", "    urn: urn:bench:risk:framework:bench", "    ref_id: B"]
    lines += [
        "    implementation_groups_definition:",
        "    - ref_id: core",
        "      name: Core",
        "    requirement_nodes:",
    ]
    for rank in range(NODES):
        urn = f"urn:bench:risk:req_node:bench:{rank}"
        lines += [f"    - urn: {urn}", f"      assessable: {'false' if rank % BELOW == 0 else 'true'}"]
        if rank % BELOW:
            lines.append(f"      parent_urn: urn:bench:risk:req_node:bench:{rank - rank % BELOW}")
        lines += [
            f"      ref_id: R.{rank}",
            f"      name: Requirement {rank}",
            f"      description: {SAID}",
        ]
        lines += ["      implementation_groups:", "      - core", "      translations:", "        fr:"]
        lines += [f"          name: Exigence {rank}", f"          description: {SAID}"]
    lines += [
        "  requirement_mapping_sets:",
        "  - urn: urn:bench:risk:req_mapping_set:bench",
        "    name: Bench to other",
    ]
    lines += ["    source_framework_urn: urn:bench:risk:framework:bench"]
    lines += ["    target_framework_urn: urn:bench:risk:framework:other", "    requirement_mappings:"]
    for rank in range(NODES):
        lines += [f"    - source_requirement_urn: urn:bench:risk:req_node:bench:{rank}"]
        lines += [f"      target_requirement_urn: urn:bench:risk:req_node:other:{rank}", "      relationship: subset"]
    return "\n".join(lines).encode() + b"\n"


def main() -> None:
    """Import it into fresh folders."""
    data = library()
    times = []
    for _ in range(TURNS):
        with tempfile.TemporaryDirectory() as name:
            began = time.perf_counter()
            one = read_referential(data).referential
            Shelf(DataFolder.at(Path(name))).put(one)
            times.append(time.perf_counter() - began)
            assert len(one.nodes) == NODES
    note = f"{len(data) / 1e6:.1f} MB of YAML, {NODES:,} mappings, durable; longest of {TURNS}: {max(times):.2f} s"
    tell(Figure("referential-import", median(times), note=note))


if __name__ == "__main__":
    main()
