"""An upgrade copies the database first, and goes back when nothing was written since."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import hygie
from tests.acceptance.conftest import Installation

LATER = "0099_later.sql"


@pytest.fixture
def later_version(tmp_path: Path, installation: Installation, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same program with one more migration, as a later version would bring."""
    source = Path(hygie.__file__).parent
    copied = tmp_path / "later" / "hygie"
    shutil.copytree(source, copied, ignore=shutil.ignore_patterns("__pycache__"))
    (copied / "database" / "migrations" / LATER).write_text("CREATE TABLE hygie.later (id integer PRIMARY KEY);\n")
    monkeypatch.setenv("PYTHONPATH", str(copied.parent))
    probe = [sys.executable, "-c", "import hygie; print(hygie.__file__)"]
    assert str(copied) in subprocess.run(probe, capture_output=True, text=True, check=True).stdout
    return copied


def test_an_upgrade_that_serves_is_refused(installation: Installation) -> None:
    assert installation.hygie("upgrade", exit_code=40)["error"]["code"] == "HYG-494"


def test_up_to_date_means_nothing_is_done(installation: Installation) -> None:
    installation.down()
    assert installation.hygie("upgrade")["migrations"] == []
    assert installation.hygie("upgrade", "--list") == []
    assert installation.hygie("upgrade", "--back", "--confirm", "back", exit_code=30)["error"]["code"] == "HYG-390"
    installation.up()


def test_a_later_version_upgrades_with_a_copy_and_the_former_one_comes_back(
    installation: Installation, later_version: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    created = installation.fhir("PUT", "Patient/u1", {"resourceType": "Patient", "id": "u1"})
    assert created.status == 201
    installation.down()
    assert installation.hygie("upgrade", "--check")["migrations"] == ["0099_later"]
    done = installation.hygie("upgrade")
    assert done["migrations"] == ["0099_later"]
    assert (installation.data / "upgrades" / done["copy"] / "postgres" / "PG_VERSION").exists()
    assert installation.hygie("upgrade")["migrations"] == []
    assert installation.hygie("upgrade", "--back", exit_code=10)["error"]["code"] == "HYG-190"
    # the former program does not open what the later one made
    monkeypatch.delenv("PYTHONPATH")
    refused = installation.hygie("upgrade", exit_code=60)
    assert refused["error"]["code"].startswith("HYG-6")
    assert installation.hygie("upgrade", "--back", "--confirm", "back")["version"] == hygie.__version__
    installation.up()
    assert installation.fhir("GET", "Patient/u1").status == 200
    # the keys of the copy are gone with their epoch: what nobody wrote since would not open either
    installation.hygie("rotate", "epoch", "chu", "prod", "--destroy-older", "--confirm", "chu/prod")
    installation.down()
    refused = installation.hygie("upgrade", "--back", "--confirm", "back", exit_code=10)["error"]
    assert refused["code"] == "HYG-195"
    assert "(epochs)" in refused["message"]
    installation.up()
    assert installation.fhir("GET", "Patient/u1").status == 200
    assert installation.fhir("PUT", "Patient/u2", {"resourceType": "Patient", "id": "u2"}).status == 201
    installation.down()
    refused = installation.hygie("upgrade", "--back", "--confirm", "back", exit_code=10)
    assert refused["error"]["code"] == "HYG-195"
    installation.up()
    assert installation.fhir("GET", "Patient/u2").status == 200
