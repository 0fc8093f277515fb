"""Papers of a real installation, by their commands: published, handed over, drafted, each recorded and journaled."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import openpyxl
import pypdf
import pytest

from hygie.app import open_house
from hygie.base.clock import SystemClock
from hygie.evaluation import take_snapshot
from hygie.probes.gather import gather
from hygie.proof.cross.checks import cross_checks
from hygie.proof.cross.model import Look, judge_cross
from hygie.proof.model import Context, Outcome
from hygie.proving import ProofPlane, with_proof
from hygie.registers.rules import Change
from tests.acceptance.conftest import Installation
from tests.unit.proof.documents.sample import sample_records

HDS_FILE = b"%PDF-1.7 a certificate of the host"
AUTHORITY = "ANS, délégation au numérique en santé"


@pytest.fixture(scope="module")
def recorded(installation: Installation) -> Installation:
    """The records of the sample, written as an operator would, with the host's certificates as real files."""

    def act(plane: ProofPlane) -> None:
        registers = plane.registers
        kept = registers.put_document("hds.pdf", "application/pdf", HDS_FILE)
        changes = [
            Change(
                one.register,
                {**one.fields, "document": kept} if one.register == "certificate" else one.fields,
                *(one.key, one.state, one.tenant, "", "Paul Durand"),
            )
            for found in sample_records().values()
            for one in found
        ]
        registers.write(changes)

    async def main() -> None:
        async with open_house(installation.data) as house:
            await with_proof(house, "local:anne", act)

    asyncio.run(main())
    installation.hygie("posture", "--now")
    return installation


def records(made: Installation, register: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = made.hygie("register", "show", register)
    return found


def exports(made: Installation) -> list[dict[str, Any]]:
    """Entries of exports in the journal, once none waits."""
    made.journal_published()
    found: list[dict[str, Any]] = made.hygie("journal", "show", "--action", "register:export", "--limit", "1000")
    return found


def test_pages_are_published_recorded_and_journaled(recorded: Installation, tmp_path: Path) -> None:
    first = recorded.hygie("publish", "transfers", "--to", str(tmp_path), "--url", "https://exemple.fr/transferts")
    page, data = (Path(name) for name in first["files"])
    assert (page.name, data.name, first["form"]) == ("transferts.html", "transferts.json", "C")
    assert hashlib.sha256(page.read_bytes()).hexdigest() == first["sha256"]
    assert page.stat().st_mode & 0o777 == 0o644
    assert "DÉMONSTRATION" in page.read_text(), "it is a trial installation"
    second = recorded.hygie("publish", "transfers", "--to", str(tmp_path), "--url", "https://exemple.fr/transferts")
    assert first["sha256"] in page.read_text(), "the history names the edition before"
    states = {one["key"]: one["state"] for one in records(recorded, "publication")}
    assert (states[first["publication"]], states[second["publication"]]) == ("replaced", "online")
    table = recorded.hygie("publish", "guarantees", "--to", str(tmp_path))
    assert (tmp_path / "garanties.html").exists()
    digests = {one["detail"]["sha256"] for one in exports(recorded)}
    assert {first["sha256"], second["sha256"], table["sha256"]} <= digests
    assert "Content-Security-Policy" in recorded.run("publish", "guarantees", "--to", str(tmp_path)).stdout


def verdict(made: Installation, check: str) -> tuple[str, str]:
    """What a cross-check of the published pages says now, of editions that have settled, and why."""
    cross = next(one for one in cross_checks() if one.card.id == check)

    async def main() -> Outcome:
        async with open_house(made.data) as house:
            facts = await gather(house, {"pages"})
            facts.pages = replace(facts.pages, at_ms=facts.pages.at_ms + 3_600_000)

            def act(plane: ProofPlane) -> Outcome:
                now_ms = house.clock.now_ms()
                look = Look(take_snapshot(plane.registers, now_ms, ()), facts, Context(house.settings, now_ms), "0")
                return judge_cross(cross, look)[0]

            return cast("Outcome", await with_proof(house, "local:anne", act))

    found = asyncio.run(main())
    return found.verdict.value, found.why.en


def test_the_published_page_is_held_against_the_registers_and_the_journal(recorded: Installation) -> None:
    url = ("--url", "https://exemple.fr/transferts")
    done = recorded.hygie("publish", "transfers", *url)
    page = recorded.data / "public" / "transferts.html"
    assert [Path(name) for name in done["files"]] == [page, page.with_suffix(".json")]
    recorded.hygie("publish", "guarantees")
    exports(recorded)
    posture = recorded.hygie("posture", "--now")
    (automated,) = (one for one in posture["requirements"] if one["ref"] == "rgpd@2016-679#22")
    assert (automated["verdict"], automated["why"][1]) == ("not_applicable", "The host decides nothing about a person.")
    evaluated = {one["id"]: one["verdict"] for one in posture["checks"]}
    for check in ("cross.page-current", "cross.guarantees-current"):
        assert verdict(recorded, check)[0] == evaluated[check] == "satisfied", verdict(recorded, check)
    kept = page.read_bytes()
    page.write_bytes(kept + b"<!-- -->")
    altered = verdict(recorded, "cross.page-current")
    page.unlink()
    absent = verdict(recorded, "cross.page-current")
    page.write_bytes(kept)
    recorded.hygie("register", "amend", "supplier", "SUP-0002", "name=Autre nom", "--approver", "Paul Durand")
    stale = verdict(recorded, "cross.page-current")
    for found, word in ((altered, "(page)"), (absent, "(journal)"), (stale, "(supplier)")):
        assert found[0] == "unsatisfied", found
        assert word in found[1]
    recorded.hygie("publish", "transfers", *url)
    exports(recorded)
    assert verdict(recorded, "cross.page-current")[0] == "satisfied"


def test_an_edition_of_a_past_date_does_not_replace_the_published_one(recorded: Installation, tmp_path: Path) -> None:
    table = recorded.data / "public" / "garanties.html"
    before = table.read_bytes()
    recorded.hygie("publish", "guarantees", "--to", str(tmp_path), "--at", "2020-01-01")
    assert table.read_bytes() == before
    recorded.hygie("publish", "guarantees", "--to", str(tmp_path))
    assert table.read_bytes() == (tmp_path / "garanties.html").read_bytes() != before


class Later(SystemClock):
    """A clock that stands some days later."""

    def __init__(self, days: float) -> None:
        super().__init__()
        self._later_ms = int(days * 86_400_000)

    def now_ms(self) -> int:
        return super().now_ms() + self._later_ms


def test_exports_of_a_client_s_traces_are_seen_in_the_journal(recorded: Installation, tmp_path: Path) -> None:
    async def traces(days: float = 0) -> list[tuple[str, str, str]]:
        async with open_house(recorded.data) as house:
            acts = (await gather(replace(house, clock=Later(days)), {"acts"})).acts.value
        assert acts is not None
        return [(one.outcome, one.tenant, one.disclosed) for one in acts.traces]

    before = asyncio.run(traces())
    recorded.hygie("journal", "export", str(tmp_path / "all.zip"))
    recorded.hygie("journal", "export", str(tmp_path / "sealed.zip"), "--tenant", "chu")
    recorded.hygie("journal", "export", str(tmp_path / "traces.zip"), "--tenant", "chu", "--disclose")
    recorded.hygie("journal", "show", "--tenant", "chu")
    exports(recorded)
    new = asyncio.run(traces())[len(before) :]
    assert [one for one in new if one[0] == "done"] == [("done", "chu", "no"), ("done", "chu", "yes")]
    assert len(asyncio.run(traces(120))) == len(before) + len(new), "a quarter is looked back upon, after a restart too"
    assert asyncio.run(traces(130)) == []


def test_a_page_shows_what_was_known_on_a_date(recorded: Installation, tmp_path: Path) -> None:
    made = recorded.hygie("publish", "guarantees", "--to", str(tmp_path), "--at", "2020-01-01")
    assert json.loads((tmp_path / "garanties.json").read_text())["actors"] == []
    assert made["form"] == ""


def test_a_form_without_its_sentence_is_refused_and_leaves_nothing(recorded: Installation, tmp_path: Path) -> None:
    closings = [("SUP-0002", {}), ("SUP-0003", {})]
    for key, _ in closings:
        recorded.hygie(
            "register", "amend", "supplier", key, "ends_on=2026-11-01", "--state", "ended", "--approver", "Paul"
        )
    recorded.hygie(
        "register", "amend", "transfer", "TRF-0001", "ends_on=2026-11-01", "--state", "ended", "--approver", "Paul"
    )
    before = len(records(recorded, "publication"))
    refused = recorded.hygie("publish", "transfers", "--to", str(tmp_path / "new"), exit_code=30)
    assert refused["error"]["code"] == "HYG-3B7"
    assert not (tmp_path / "new").exists()
    assert len(records(recorded, "publication")) == before
    values = ["form=B", "sentence=Mot pour mot.", "source=arrêté", "source_on=2024-04-26", "checked_on=2026-01-01"]
    recorded.hygie("register", "add", "regulatory-wording", *values, "review_on=2027-01-01", "--state", "approved",
                   "--approver", "Paul")  # fmt: skip
    done = recorded.hygie("publish", "transfers", "--to", str(tmp_path / "new"))
    assert done["form"] == "B"
    assert "Mot pour mot." in Path(done["files"][0]).read_text()
    for key, _ in closings:
        recorded.hygie("register", "amend", "supplier", key, "ends_on=", "--state", "approved", "--approver", "Paul")


def test_certificates_are_handed_to_a_client(recorded: Installation, tmp_path: Path) -> None:
    words = ("publish", "certificates", "--tenant", "chu-ouest", "--to", str(tmp_path), "--recipient", "CHU, RSSI")
    done = recorded.hygie(*words)
    assert {Path(name).name for name in done["files"]} == {"HDS-2024-118.pdf", "ISMS-2024-118.pdf"}, "one has expired"
    assert all(Path(name).read_bytes() == HDS_FILE for name in done["files"])
    delivered = {one["key"]: one for one in records(recorded, "document-delivery")}
    fields = [delivered[key]["fields"] for key in done["deliveries"]]
    assert {one["kind"] for one in fields} == {"hds-certificate", "other"}
    assert {one["document"] for one in fields} == {hashlib.sha256(HDS_FILE).hexdigest()}
    assert {delivered[key]["tenant"] for key in done["deliveries"]} == {"chu-ouest"}
    recorded.hygie("register", "amend", "certificate", "CER-0001", "number=HDS/2024/118", "--approver", "Paul")
    again = recorded.hygie(*words[:5], str(tmp_path / "again"), *words[6:])
    assert {Path(name).name for name in again["files"]} == {"HDS-2024-118.pdf", "CER-0002-HDS-2024-118.pdf"}


def test_the_contact_list_is_signed_timed_and_recorded(recorded: Installation, tmp_path: Path) -> None:
    began = time.time()
    asked = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(began - 90))
    file = tmp_path / "contacts.json"
    words = ("contacts", "export", "--to", str(file), "--recipient", AUTHORITY, "--asked-at", asked)
    done = recorded.hygie(*words)
    assert done["count"] == 1
    assert 90 <= done["seconds"] <= 90 + time.time() - began + 1
    names = {Path(name).name for name in done["files"]}
    assert names == {"contacts.json", "contacts.json.sig", "dossier.pem"}
    verified = subprocess.run(
        ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", str(tmp_path / "dossier.pem"), "-rawin", "-in", str(file),
         "-sigfile", f"{file}.sig"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert verified.returncode == 0, verified.stderr
    assert "Dr Anne Caradec" in file.read_text()
    (key,) = done["deliveries"]
    record = next(one for one in records(recorded, "document-delivery") if one["key"] == key)
    assert record["fields"]["document"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert (record["fields"]["asked_at"], record["fields"]["recipient"]) == (asked, AUTHORITY)
    assert (
        recorded.hygie("contacts", "export", "--to", "x.doc", "--recipient", "A", exit_code=10)["error"]["code"]
        == "HYG-1B9"
    )


def test_a_contract_is_drafted_and_a_signed_one_checked(recorded: Installation, tmp_path: Path) -> None:
    file = tmp_path / "contrat.docx"
    recorded.hygie("contract", "template", "chu-ouest", "--to", str(file))
    assert file.read_bytes()[:2] == b"PK"
    assert recorded.run("contract", "template", "chu-ouest", "--to", str(file)).returncode == 10, (
        "nothing is written over"
    )
    found = {one["clause"]: one for one in recorded.hygie("contract", "check", "CTR-0001")}
    assert len(found) == 24
    assert not found["clause_1"]["holds"]
    assert recorded.run("contract", "check", "CTR-0001", "--strict").returncode == 1
    shown = recorded.run("contract", "check", "CTR-0001", language="fr").stdout
    assert "DIFFÈRE" in shown
    assert recorded.hygie("contract", "check", "CTR-9999", exit_code=30)["error"]["code"] == "HYG-3A0"
    assert (
        recorded.hygie("contract", "template", "nobody", "--to", str(tmp_path / "n.docx"), exit_code=10)["error"][
            "code"
        ]
        == "HYG-1B9"
    )


def test_every_paper_is_written_and_oscal_is_signed(recorded: Installation, tmp_path: Path) -> None:
    recorded.hygie("publish", "papers", "--to", str(tmp_path))
    names = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert {"rapport.pdf", "classeur.xlsx", "declaration-applicabilite.xlsx", "tableau-garanties.html"} <= names
    assert {f"{name}.dsse" for name in names if name.startswith("oscal/") and name.endswith(".json")} <= names
    listed = sorted(name for name in names if not name.endswith((".dsse", ".pem")))
    lines = [f"{hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()}  {name}\n" for name in listed]
    digest = hashlib.sha256("".join(lines).encode()).hexdigest()
    assert digest in {one["detail"]["sha256"] for one in exports(recorded)}
    text = "".join(page.extract_text() for page in pypdf.PdfReader(tmp_path / "rapport.pdf").pages)
    assert "DÉMONSTRATION" in text or "DEMONSTRATION" in text
    book = openpyxl.load_workbook(io.BytesIO((tmp_path / "classeur.xlsx").read_bytes()))
    assert len(book.sheetnames) == 8
    trestle = Path(__file__).parents[2] / ".tools" / "oscal" / "bin" / "trestle"
    if trestle.exists():
        results = tmp_path / "oscal" / "assessment-results.json"
        words = [
            "verify",
            "--beta",
            "-f",
            results,
            "--signature",
            f"{results}.dsse",
            "--public-key",
            tmp_path / "dossier.pem",
        ]
        assert subprocess.run([trestle, *words], cwd=tmp_path, check=False).returncode == 0
