"""An export taken back by programs that know nothing of Hygie: another age, an unrelated FHIR store (tests/foreign)."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pyrage
import pytest

from hygie.synthetic.patients import bundle_bytes
from tests.acceptance.conftest import Installation

FOREIGN = Path(__file__).parents[1] / "foreign"
PATIENTS = 6
NODE = shutil.which("node")

pytestmark = pytest.mark.skipif(
    NODE is None or not (FOREIGN / "node_modules").is_dir(), reason="no Node.js, or make foreign was not run"
)


@pytest.fixture(scope="module")
def returned(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, Any]]:
    """(export, private key, what Hygie says of it) of invented patients, some changed, some deleted."""
    made = installation
    made.hygie("account", "create", "dpo", "--kind", "person")
    words = ("--role", "privacy-officer", "--reason", "exit", "--approver", "chief")
    made.hygie("habilitation", "grant", "dpo", "chu", "prod", *words)
    places: set[str] = set()  # some are shared: created once, then found
    for seed in range(PATIENTS):
        answer = made.fhir("POST", "", bundle_bytes(seed).replace(b"213.1.4.10", b"213.1.4.8"))  # as in production
        assert answer.status == 200
        places |= {entry["response"]["location"].partition("/_history")[0] for entry in answer.json["entry"]}
    patient = made.fhir("GET", "Patient?_count=1").json["entry"][0]["resource"]
    for gender in ("other", "unknown"):
        assert made.fhir("PUT", f"Patient/{patient['id']}", patient | {"gender": gender}).status == 200
    folder = tmp_path_factory.mktemp("client")
    own = pyrage.x25519.Identity.generate()
    (folder / "key.txt").write_text(f"{own}\n")
    order = ("--controller", "CHU", "--instructed-by", "dpo", "--reference", "1", "--approver", "chief")
    asked = ("exit", "export", "chu", "--to", str(folder / "export"), "--recipient", str(own.to_public()))
    done = made.hygie(*asked, *order)
    assert done["complete"]
    found = made.hygie("exit", "verify", str(folder / "export"), "--identity", str(folder / "key.txt"))
    assert found["resources"]["prod"] == Counter(place.split("/")[-2] for place in places)
    return folder / "export", folder / "key.txt", found


def test_an_unrelated_store_takes_every_resource_back(returned: tuple[Path, Path, dict[str, Any]]) -> None:
    export, key, found = returned
    assert NODE is not None
    done = subprocess.run(
        [NODE, str(FOREIGN / "take_back.mjs"), str(export), str(key)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout)
    expected = found["resources"]["prod"]
    assert told["strict"]
    assert told["refused"] == []
    assert told["told"] == expected
    assert told["counts"] == expected  # as the store itself counts, asked by search
    assert told["same"] == sum(expected.values())  # read back from it, equal to what was exported
    assert told["sums"] == found["files"]
    assert told["dangling"] == found["unresolved"] == 0
    assert told["resolved"] > PATIENTS
    assert told["observations"] > 0
    assert told["replayed"] == 2  # the two superseded versions of one patient
