"""``hygie verify``: what somebody hands over is checked, and what was altered is refused."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import Installation


@pytest.fixture(scope="module")
def certificate(installation: Installation) -> Path:
    """The certificate of an erased patient."""
    body = {"resourceType": "Patient", "id": "p0", "name": [{"family": "Zephyrin"}]}
    assert installation.fhir("PUT", "Patient/p0", body).status == 201
    words = ("--controller", "CHU", "--instructed-by", "dpo", "--basis", "rgpd-17-1-b", "--reference", "2026-17")
    checked = ("--retention-checked-by", "chief", "--confirm", "p0")
    answer = installation.hygie("erase", "chu", "prod", "p0", *words, *checked)
    return Path(answer["certificate"])


def signed(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_an_export_is_checked(installation: Installation, tmp_path: Path) -> None:
    path = tmp_path / "journal.zip"
    installation.hygie("journal", "export", str(path))
    keys = installation.hygie("journal", "key")
    answer = installation.hygie("verify", str(path), "--key", keys["log"], "--witness", keys["witness"])
    assert answer["whole"]
    assert answer["cosigned_s"] is not None
    altered = tmp_path / "altered.zip"
    flip_one_bit(path, altered)
    refused = installation.run("verify", str(altered), "--key", keys["log"])
    assert refused.returncode == 50
    assert "REFUSED" in refused.stderr
    assert installation.run("verify", str(path), "--key", keys["witness"]).returncode == 50  # another one's key
    assert installation.run("verify", str(path), "--key", "no key").returncode == 60


def flip_one_bit(path: Path, altered: Path) -> None:
    """A copy of an export with one bit of its entries changed."""
    with zipfile.ZipFile(path) as before, zipfile.ZipFile(altered, "x") as after:
        for name in before.namelist():
            data = bytearray(before.read(name))
            if name.startswith("tile/entries"):
                data[len(data) // 2] ^= 1
            after.writestr(name, bytes(data))


def test_a_certificate_is_checked_with_the_installation_s_keys_or_a_given_one(
    installation: Installation, certificate: Path, tmp_path: Path
) -> None:
    answer = installation.hygie("verify", str(certificate))
    assert answer["whole"]
    assert answer["certificate"]["legal_basis"] == "rgpd-17-1-b"
    key = signed(certificate)["public_key"]
    elsewhere = Installation(tmp_path / "nothing-here", 1)
    assert elsewhere.hygie("verify", str(certificate), "--key", key)["whole"]
    file = tmp_path / "erasure.pub"
    file.write_text(key + "\n")
    assert elsewhere.hygie("verify", str(certificate), "--key", str(file))["whole"]
    assert "AUTHENTIQUE" in installation.run("verify", str(certificate), language="fr").stdout


def test_an_altered_certificate_or_a_foreign_key_is_refused(
    installation: Installation, certificate: Path, tmp_path: Path
) -> None:
    forged = tmp_path / "forged.json"
    paper = signed(certificate)
    count = paper["certificate"]["objects"]
    forged.write_text(certificate.read_text().replace(f'"objects": {count}', f'"objects": {count + 1}'))
    assert forged.read_bytes() != certificate.read_bytes()
    code = installation.hygie("verify", str(forged), exit_code=50)["error"]["code"]
    assert code.startswith("HYG-53")
    assert installation.hygie("verify", str(certificate), "--key", "00" * 32, exit_code=50)["error"]["code"] == code
    assert installation.hygie("verify", str(certificate), "--key", "xyz", exit_code=10)["error"]["code"] == "HYG-100"
