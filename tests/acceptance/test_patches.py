"""Patches on a running installation: a feed is brought, what runs is found in it, a patch is planned and verified."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from hygie.app import open_house
from hygie.base.civil import paris_date
from hygie.base.layout import DataFolder
from hygie.cli.acts import operator_name
from hygie.evaluation import Evaluator
from hygie.proving import with_proof
from tests.acceptance.conftest import Installation
from tests.attack.installation import attacked, entries
from tests.unit.patching.feeds import CRITICAL, lines, osv, sha256, tracker, written, zipped

PERSON = ("employer=Hygie", "function=Exploitation", "starts_on=2026-01-05")
SERVER = osv("BIT-postgresql-2026-1", "Bitnami", "postgresql", {"introduced": "18.0.0"}, {"fixed": "18.0.1"})
OLD, NEW = "2026-06-01T00:00:00Z", "2026-06-02T00:00:00Z"


def library(fixed: str, modified: str) -> bytes:
    """The feed of PyPI: one vulnerability of what Hygie runs with, and one of nothing here."""
    mine = osv("PYSEC-2026-1", "PyPI", "cryptography", {"introduced": "0"}, {"fixed": fixed}, modified=modified,
               published=OLD, aliases=["CVE-2026-1"], severity=[{"type": "CVSS_V3", "score": CRITICAL}])  # fmt: skip
    return zipped(mine, osv("PYSEC-2026-2", "PyPI", "unheard-of", {"introduced": "0"}, modified=modified))


@pytest.fixture(scope="module")
def made() -> Iterator[Installation]:
    with attacked() as made:
        yield made


def bring(made: Installation, folder: Path, content: bytes, **more: Any) -> Any:
    path = written(folder, content)
    return made.hygie("patch", "feed", str(path), "--sha256", sha256(content), **more)


def record(made: Installation, key: str) -> Any:
    """The fields of a change as it is now."""
    [told, *_] = made.hygie("register", "show", "change", key)
    return told["fields"]


def judged(made: Installation) -> dict[str, str]:
    """What the checks of patches say now; what is new of it is kept, as ``hygie work`` does."""

    async def main() -> dict[str, str]:
        async with open_house(made.data) as house:
            await Evaluator(house, "system:test").run()
            known = await with_proof(house, "system:test", lambda plane: plane.evidence.known())
        return {name: run.verdict.value for name, run in known.runs.items() if name.startswith("cross.patch-")}

    return asyncio.run(main())


def test_what_runs_is_told_in_cyclonedx(made: Installation, tmp_path: Path) -> None:
    told = made.hygie("patch", "sbom", "--out", str(tmp_path / "sbom.json"))
    bom = json.loads((tmp_path / "sbom.json").read_text())
    named = {one["name"]: one["version"] for one in bom["components"]}
    assert (bom["specVersion"], told["components"]) == ("1.6", len(bom["components"]) + 1)
    assert named["cryptography"] == version("cryptography")
    assert named["postgresql"].startswith("18.")


def test_a_feed_that_does_not_hold_changes_nothing_and_is_journaled(made: Installation, tmp_path: Path) -> None:
    assert judged(made)["cross.patch-due"] == "unknown"
    bring(made, tmp_path, library("9999", NEW))
    before = made.hygie("patch", "list")
    path = written(tmp_path, library("1", NEW), "other")
    refused = made.hygie("patch", "feed", str(path), "--sha256", "0" * 64, exit_code=10)
    assert refused["error"]["code"] == "HYG-1M0"
    assert bring(made, tmp_path, library("1", NEW)[:-9], exit_code=10)["error"]["code"] == "HYG-1M1"
    assert bring(made, tmp_path, library("1", OLD), exit_code=10)["error"]["code"] == "HYG-1M2"
    assert made.hygie("patch", "list") == before
    assert len(list(DataFolder.at(made.data).patching.glob("*.zst"))) == 1
    told = [(one.outcome, one.detail.get("code"), one.count) for one in entries(made, action="feed:import")]
    codes = ("HYG-1M0", "HYG-1M1", "HYG-1M2")
    assert [one for one in told if one[0] != "intent"] == [("done", None, 2), *(("unknown", code, 0) for code in codes)]


def test_from_a_feed_to_a_patch_that_took(made: Installation, tmp_path: Path) -> None:
    person = made.hygie("register", "add", "person", "name=Paul Durand", *PERSON)["key"]
    bring(made, tmp_path, library("9999", NEW))
    bring(made, tmp_path, lines(SERVER))
    told = bring(made, tmp_path, tracker(dpkg={"CVE-2026-9": {"bookworm": {"status": "open"}}}))
    [row] = [one for one in made.hygie("patch", "list")["open"] if one["vulnerability"] == "CVE-2026-1"]
    assert (row["component"], row["severity"], row["fixed_in"]) == ("pypi/cryptography", "critical", "9999")
    assert (row["since"], row["due"], told["feeds"]) == ("2026-06-01", "2026-06-08", {"tracker": 1})
    assert judged(made)["cross.patch-due"] == "unsatisfied"
    made.wait_for(lambda: any("past its due date" in one["title"] for one in made.hygie("finding", "list")))

    until = ("--reason", "not reached", "--requester", person, "--approver", "Claire Petit")
    named = ("CVE-2026-1", "pypi/cryptography")
    assert (
        made.hygie("patch", "except", *named, "--until", "2030-01-01", *until, exit_code=10)["error"]["code"]
        == "HYG-1M3"
    )
    soon = ("--until", paris_date(time.time_ns() // 1_000_000 + 30 * 86_400_000).isoformat())
    own = (*until[:-1], operator_name())
    assert made.hygie("patch", "except", *named, *soon, *own, exit_code=20)["error"]["code"] == "HYG-2A0"
    made.hygie("patch", "except", *named, *soon, *until)
    [row] = [one for one in made.hygie("patch", "list")["open"] if one["vulnerability"] == "CVE-2026-1"]
    assert (row["late_days"], soon[1] in row["exception"]) == ("", True)
    assert judged(made)["cross.patch-due"] != "unsatisfied"  # unknown, where packages are not those of Debian
    assert made.hygie("patch", "plan", "CVE-0", "--requester", person, exit_code=30)["error"]["code"] == "HYG-3M0"

    [plan] = made.hygie("patch", "plan", "CVE-2026-1", "--requester", person)
    held = record(made, plan["key"])
    assert (held["severity"], held["components"], held["due_on"]) == ("critical", ["pypi/cryptography"], "2026-06-08")
    approver = ("--approver", "Claire Petit")
    amend = ("register", "amend", "change", plan["key"])
    done = ("done_at=2026-06-05T10:00:00Z", f"done_by={person}", "result=success", "risk_analysis=none")
    made.hygie(*amend, "--state", "emergency", *approver)
    made.hygie(*amend, "--state", "done", *done, "tested_on=2026-06-04", "rollback=former version")
    assert made.hygie("patch", "verify", plan["key"], exit_code=10)["error"]["code"] == "HYG-1M4"
    assert judged(made)["cross.patch-effective"] == "unsatisfied"

    bring(made, tmp_path, library(version("cryptography"), NEW))  # what runs is now the version that is fixed
    made.hygie("patch", "verify", plan["key"])
    assert f"pypi/cryptography {version('cryptography')}" in record(made, plan["key"])["check"]
    verdicts = judged(made)
    assert (verdicts["cross.patch-effective"], verdicts["cross.patch-feed"]) == ("satisfied", "unsatisfied")
