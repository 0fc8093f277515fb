"""systemd units: nothing that a unit cannot hold gets in, and systemd itself measures what they give up."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from hygie.hardening.errors import UnitInvalidError
from hygie.hardening.units import APART, LOOKING, TOGETHER, Place, units

MOST = 20  # 2.0
PLACE = Place(
    hygie="/usr/bin/true",  # systemd looks for the program
    user="daemon",
    data="/srv/hygie",
    sites=["/srv/hygie/sites/paris", "/mnt/lyon/hygie"],
    others=["/mnt/backup/hygie"],
    channels=["/var/log/soc"],
    port=8443,
    processes=2,
    apart=True,
    witness=True,
    credential="kms",
)
SCORE = re.compile(r"exposure level for \S+: (\d+\.\d)")


def test_each_process_has_its_unit_and_the_target_starts_them() -> None:
    made = units(PLACE)
    assert set(made) == {*APART, *LOOKING, "hygie.target"}
    assert "hygie-serve@1.service hygie-serve@2.service" in made["hygie.target"]
    assert not re.search("@[A-Z_]+@", "".join(made.values()))
    assert set(units(replace(PLACE, witness=False))) == set(made) - {"hygie-witness.service"}
    assert set(units(replace(PLACE, apart=False))) == {*TOGETHER, *LOOKING}


def test_keys_and_data_are_out_of_reach_of_each_other() -> None:
    made = units(PLACE)
    kms = made["hygie-kms.service"]
    assert "ReadWritePaths=-/srv/hygie/kms -/srv/hygie/run\n" in kms
    assert "InaccessiblePaths=-/srv/hygie/sites/paris -/mnt/lyon/hygie -/mnt/backup/hygie\n" in kms
    assert "PrivateNetwork=yes\n" in kms
    assert [name for name, text in made.items() if "LoadCredential" in text] == ["hygie-kms.service"]
    for name in ("hygie-serve@.service", "hygie-watch.service", "hygie-witness.service"):
        assert "InaccessiblePaths=-/srv/hygie/kms" in made[name]
    assert "CAP_NET_BIND_SERVICE" not in "".join(made.values())
    low = units(replace(PLACE, port=443))
    assert [name for name, text in low.items() if "CAP_NET_BIND_SERVICE" in text] == ["hygie-serve@.service"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"user": "root"},
        {"user": "hygie\nExecStart=/bin/sh"},
        {"data": "/srv/hygie %i"},
        {"data": "srv"},
        {"hygie": "/opt/$x/hygie"},
        {"sites": ["/mnt/../etc"]},
        {"others": ["/mnt/a b"]},
        {"channels": ["/var/\nUser=root"]},
        {"credential": "kms:/etc/shadow"},
    ],
)
def test_what_a_unit_cannot_hold_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UnitInvalidError):
        units(replace(PLACE, **wrong))  # type: ignore[arg-type]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_each_unit_gives_up_what_systemd_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, text in (units(PLACE) | units(replace(PLACE, apart=False))).items():
        (tmp_path / name).write_text(text)
    scores = {}
    for file in sorted(tmp_path.glob("*.service")):
        asked = ["systemd-analyze", "security", "--offline=true", "--no-pager", f"--threshold={MOST}", str(file)]
        done = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=60)
        found = SCORE.search(done.stdout)
        assert found is not None, done.stderr
        scores[file.name] = found[1]
        assert done.returncode == 0, (file.name, found[1])
        assert "Unknown" not in done.stderr, done.stderr  # a line that this systemd does not know
    with capsys.disabled():
        print(" ".join(f"{name} {score}" for name, score in scores.items()))
    assert set(scores) == {*APART, *TOGETHER, "hygie-look.service"}


def called(group: str) -> set[str]:
    """The system calls of one of systemd's groups, by its own word."""
    asked = ["systemd-analyze", "--no-pager", "syscall-filter", group]
    lines = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()[1:]
    words = [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]
    return {call for word in words for call in (called(word) if word.startswith("@") else {word})}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_the_filters_let_through_what_each_process_calls() -> None:
    recorded = tomllib.loads((Path(__file__).parent / "system_calls.toml").read_text())
    made = units(PLACE)
    for name in ("kms", "witness", "watch", "serve", "work"):
        text = next(text for unit, text in made.items() if unit.startswith(f"hygie-{name}") and "service" in unit)
        allowed = called("@default")
        for line in re.findall(r"^SystemCallFilter=(.*)$", text, re.MULTILINE):
            words = line.removeprefix("~").split()
            calls = {call for word in words for call in (called(word) if word.startswith("@") else {word})}
            allowed = allowed - calls if line.startswith("~") else allowed | calls
        assert {*recorded["every"], *recorded[name]} - allowed == set(), name
        assert not {"ptrace", "mount", "init_module", "reboot", "setuid", "bpf"} & allowed


def test_the_guide_says_the_figures_that_are_measured() -> None:
    page = (Path(__file__).parents[3] / "docs" / "howto" / "hardening.md").read_text()
    for name in (*APART, *TOGETHER, "hygie-look.service"):
        assert re.search(rf"^\| `{re.escape(name)}` \| \d\.\d \|", page, re.MULTILINE), name
