"""A dossier through the doors: written by ``hygie``, verified by the shipped file in a Python with little else."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import Installation
from tools.build_verifier import build

ALONE = ("cryptography", "cffi", "pycparser", "_cffi_backend*")  # cryptography, and what it is made of


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bare Python: nothing but the standard library and ``cryptography``."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, with_pip=False, symlinks=True)
    program = folder / "bin" / "python"
    asked = "import sysconfig; print(sysconfig.get_path('purelib'))"
    target = Path(
        subprocess.run([program, "-I", "-c", asked], check=True, capture_output=True, text=True).stdout.strip()
    )
    for pattern in ALONE:
        for path in Path(sysconfig.get_path("platlib")).glob(pattern):
            (target / path.name).symlink_to(path)
    refused = subprocess.run([program, "-I", "-c", "import msgspec"], check=False, capture_output=True)
    assert refused.returncode != 0
    return program


@pytest.fixture(scope="module")
def written(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A dossier of an installation in use, with a record that names a file, and what the command answered."""
    folder = tmp_path_factory.mktemp("dossiers")
    patient = installation.fhir("POST", "Patient", {"resourceType": "Patient"}).json
    for _ in range(5):
        installation.fhir("GET", f"Patient/{patient['id']}")
    policy = folder / "pssi.pdf"
    policy.write_bytes(b"%PDF policy")
    digest = installation.hygie("register", "attach", str(policy))["sha256"]
    values = ("title=PSSI", "kind=policy", "edition=1", f"document={digest}")
    installation.hygie("register", "add", "policy", *values)
    installation.hygie("posture", "--now")
    path = folder / "dossier-demonstration-1.zip"
    words = ("--demonstration", "--to", str(path), "--tenant", "chu", "--sample", "3")
    return path, installation.hygie("dossier", *words)


def keys(installation: Installation) -> list[str]:
    found = installation.hygie("journal", "key")
    return ["--key", found["log"], "--witness", found["witness"], "--dossier-key", found["dossier"]]


def test_the_shipped_file_verifies_it_in_a_bare_python(
    installation: Installation, written: tuple[Path, dict[str, Any]], python: Path, tmp_path: Path
) -> None:
    path, told = written
    build(tmp_path / "hygie-verify.py")
    line = [str(python), "-I", str(tmp_path / "hygie-verify.py"), str(path), *keys(installation)]
    done = subprocess.run([*line, "--json", "--show"], check=False, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    answer = json.loads(done.stdout)
    assert (answer["what"], answer["held"]["writes"], answer["held"]["documents"]) == ("demonstration", 1, 1)
    assert answer["held"]["runs"] == told["runs"] == told["report"]["held"]["runs"]
    assert answer["dossier_key_trusted"]
    assert answer["journal"]["witness_key_trusted"]
    reads = [one for one in answer["shown"] if one["kind"] == "access"]
    assert len(reads) == 3
    assert {one["account"] for one in reads} == {"app"}
    spoilt = tmp_path / "spoilt.zip"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(spoilt, "w") as target:
        for name in source.namelist():
            target.writestr(name, source.read(name).replace(b'"edition":"1"', b'"edition":"2"'))
    french = {"LC_ALL": "fr_FR.UTF-8"}
    done = subprocess.run([*line[:3], str(spoilt)], check=False, capture_output=True, text=True, env=french)
    assert done.returncode == 50
    assert done.stderr.strip() == "REFUSÉ : Le dossier ne tient pas : écriture de registre 1, altérée."


def test_a_trial_gives_no_real_dossier_and_a_demonstration_says_so_in_its_name(
    installation: Installation, written: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    del written
    answer = installation.hygie("dossier", "--to", str(tmp_path / "dossier.zip"), exit_code=10)
    assert answer["error"]["code"] == "HYG-1B5"
    refused = installation.hygie("dossier", "--demonstration", "--to", str(tmp_path / "dossier.zip"), exit_code=10)
    assert refused["error"]["code"] == "HYG-100"
    assert list(tmp_path.iterdir()) == []
    told = installation.run("dossier", "--demonstration", "--to", str(tmp_path), "--scope", "hds", language="fr")
    assert told.returncode == 0, told.stderr
    assert "DÉMONSTRATION" in told.stdout
    assert "Aucun horodatage" in told.stdout
    assert [path.name.startswith("dossier-demonstration-") for path in tmp_path.iterdir()] == [True]


def test_it_is_journaled_and_an_existing_file_is_left_alone(
    installation: Installation, written: tuple[Path, dict[str, Any]]
) -> None:
    path, _ = written
    before = path.read_bytes()
    assert installation.run("dossier", "--demonstration", "--to", str(path)).returncode != 0
    assert path.read_bytes() == before
    installation.wait_for(lambda: _outcomes(installation) >= {"intent", "done", "unknown"})


def _outcomes(installation: Installation) -> set[str]:
    return {one["outcome"] for one in installation.hygie("journal", "show", "--action", "dossier:export")}


def test_hygie_verify_takes_a_dossier_too(installation: Installation, written: tuple[Path, dict[str, Any]]) -> None:
    path, told = written
    assert installation.hygie("verify", str(path), *keys(installation))["held"]["runs"] == told["runs"]
    done = subprocess.run(
        [sys.executable, "-m", "hygie.verify", str(path)], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0
    assert "--dossier-key" in done.stdout


def test_its_oscal_papers_are_in_envelopes_that_trestle_accepts(
    written: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    with zipfile.ZipFile(written[0]) as archive:
        names = [name for name in archive.namelist() if name.startswith("papers/")]
        archive.extractall(tmp_path, names)
    papers = [name for name in names if name.startswith("papers/oscal/") and name.endswith(".json")]
    assert len(papers) > 4
    assert {f"{name}.dsse" for name in papers} <= set(names)
    trestle = Path(__file__).parents[2] / ".tools" / "oscal" / "bin" / "trestle"
    if not trestle.exists():
        pytest.skip("scripts/oscal-tools was not run")
    for name in papers:
        words = ["-f", tmp_path / name, "--signature", tmp_path / f"{name}.dsse"]
        line = [trestle, "verify", "--beta", *words, "--public-key", tmp_path / "papers" / "dossier.pem"]
        assert subprocess.run(line, cwd=tmp_path, check=False).returncode == 0
