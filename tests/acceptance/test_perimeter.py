"""Perimeter, certification and what follows from registers, as people run them: real commands, a real installation.

The tests share the host and its service, which none of them changes; what a test writes has keys of its own.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest

from hygie.app import dsns_of, open_house
from hygie.base.layout import DataFolder
from hygie.base.settings import load_settings
from hygie.proving import ProofPlane, with_proof
from hygie.registers.rules import Change
from hygie.registers.schema import shipped_schemas
from tests.acceptance.conftest import Installation
from tests.unit.registers.filled import completed

WITHIN_S = 60.0  # a write is acted on within seconds; this machine may be busy
YEAR = 365
TERM = {"decided_on": -260, "issued_on": -255, "expires_on": 3 * YEAR - 256}  # days from today


@cache
def today() -> Any:
    """The same for every test: midnight may come meanwhile, and what was written before has the dates of before."""
    return datetime.now(UTC).astimezone(ZoneInfo("Europe/Paris")).date()


def day(days: int) -> str:
    return str(today() + timedelta(days=days))


class Books:
    """Registers through the command line, and what a test stands on in one write of an operator."""

    def __init__(self, made: Installation, document: str) -> None:
        self.made = made
        self.document = document

    def change(self, register: str, key: str, state: str = "", **fields: Any) -> Change:
        """A record with what its schema asks for beside these fields."""
        schema = shipped_schemas()[register]
        whole = completed(schema, state or schema.initial.id, fields)
        for one in schema.fields:
            if one.type in ("reference", "references") and one.id not in fields:
                whole.pop(one.id, None)
            elif one.type in ("document", "documents") and one.id in whole:
                whole[one.id] = self.document
        owner = schema.field("owner")
        if owner is not None and owner.target == "person":
            whole.setdefault("owner", "PER-anne")
        return Change(register, whole, key, state, "chu" if schema.tenant == "required" else "", "", "claire")

    def write(self, *changes: Change) -> None:
        """All of them at once."""

        def act(plane: ProofPlane) -> Sequence[object]:
            return plane.registers.write(changes)

        async def main() -> None:
            async with open_house(self.made.data) as house:
                await with_proof(house, "local:anne", act)

        asyncio.run(main())

    def add(self, register: str, key: str, state: str = "", **fields: Any) -> Any:
        """``hygie register add``."""
        one = self.change(register, key, state, **fields)
        words = [f"{name}={_cell(value)}" for name, value in one.fields.items()]
        options = ["--key", key, "--approver", "claire"] + (["--state", state] if state else [])
        return self.made.hygie("register", "add", register, *options, "--", *words)

    def amend(self, register: str, key: str, *words: str, state: str = "") -> Any:
        options = ["--state", state] if state else []
        return self.made.hygie("register", "amend", register, key, *options, "--approver", "claire", "--", *words)

    def show(self, register: str, key: str) -> dict[str, Any]:
        (found,) = self.made.hygie("register", "show", register, key)
        return dict(found)

    def host(self, name: str, *, certified: bool = True) -> list[Change]:
        """A supplier ``HOST<name>`` and what it holds: an ISO 27001 certificate ``ISO<name>``, and an HDS one
        ``HDS<name>`` that stands on it."""
        everything = {"activities": [1, 2, 3, 4, 5, 6]}
        term = {"holder": f"HOST{name}"} | {field: day(days) for field, days in TERM.items()}
        hds = {"scheme": "hds", "edition": "2.0", "depends_on": f"ISO{name}"}
        who = {"name": f"Hébergeur{name}", "role": "host", "hds": "yes", "critical": False}
        reviewed = {"last_review_on": day(-20), "next_review_on": day(100)}
        supplier = self.change("supplier", f"HOST{name}", "approved", **who, **reviewed, **everything)
        if not certified:
            return [supplier]
        return [
            supplier,
            self.change("certificate", f"ISO{name}", "valid", scheme="iso27001", edition="2022", **term),
            self.change("certificate", f"HDS{name}", "valid", **hds, **everything, **term),
        ]

    def service(self, name: str, environment: str, *, certificate: str = "") -> Change:
        """An open production service ``SVC<name>`` of one environment, performed by ``HOST<name>`` alone."""
        actors = {f"actor_{number}": f"HOST{name}" for number in range(1, 7)}
        covers = {"certificates": [certificate or f"HDS{name}"], "sites": ["SIT-paris"], "environments": [environment]}
        return self.change("service", f"SVC{name}", "open", name=f"FHIR{name}", activities=[1, 2, 3, 4, 5, 6],
                           production=True, review_on=day(100), **covers, **actors)  # fmt: skip

    def imported(self, cycle: str, **fields: str) -> None:
        """A cycle that began elsewhere, and where it stands."""
        values = [f"{name}={value}" for name, value in {**fields, "report": self.document}.items()]
        self.made.hygie("certification", "record", "import", cycle, *values, "--on", day(-90))


def _cell(value: object) -> str:
    if isinstance(value, list):
        return ";".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


@pytest.fixture(scope="module")
def books(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Books:
    """A certified host, one service, one client; the host was certified some 250 days ago."""
    page = tmp_path_factory.mktemp("papers") / "page.txt"
    page.write_text("une page")
    books = Books(installation, installation.hygie("register", "attach", str(page))["sha256"])
    duties = ["rssi", "dpo", "direction", "support", "operator", "legal"]
    books.write(
        books.change("person", "PER-anne", name="Anne Martin", account="anne", duties=duties, starts_on="2020-01-06"),
        *books.host(""),
        *(books.change("site", f"SIT-{name}", "active", name=name, health_data=True, country="FR", city=name.title(),
                       platform_site=name, activities=[1, 2], review_on=day(100))
          for name in ("paris", "lyon", "lille")),
        books.service("", "chu/prod"),
    )  # fmt: skip
    return books


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    """What the client ``chu`` answers, but for three questions."""
    path = tmp_path / "chu.toml"
    path.write_text('for_others = true\ndata = "health"\ncare_context = true\nactivities = [1, 2, 3, 4, 5, 6]\n')
    return path


def answer_all(answers: Path) -> None:
    with answers.open("a") as more:
        more.write("short_loan = false\narchiving_only = false\nremote_access_outside_eea = false\n")


def test_the_perimeter_shows_each_layer_and_what_nobody_listed(books: Books) -> None:
    found = books.made.hygie("perimeter", "show")
    service = next(one for one in found["services"] if one["key"] == "SVC")
    assert service["covered"]
    assert {layer["certificate"] for layer in service["activities"]} == {"HDS"}
    assert set(service["roles"].values()) == {"whole"}
    stores = {one["name"]: one for one in found["stores"]}
    assert stores["site:paris"]["declared"] == "site SIT-paris"
    assert stores["backup"]["unlisted"]
    assert {"process:work", f"port:{books.made.port}"} <= set(stores)
    later = books.made.hygie("perimeter", "show", "--at", day(3 * YEAR))
    assert not any(one["covered"] for one in later["services"])
    text = books.made.run("perimeter", "show", language="fr").stdout
    for word in ("couvert", "1° sites physiques", "PERSONNE NE L'A INSCRIT", "Sauvegarde externalisée"):
        assert word in text


def test_a_client_is_scoped_from_a_file_with_the_reasons(books: Books, answers: Path) -> None:
    def kept() -> dict[str, str]:
        return {one["key"]: one["state"] for one in books.made.hygie("register", "show", "scoping")}

    before = kept()
    open_ = books.made.hygie("perimeter", "scope", "chu", "--answers", str(answers))
    assert open_["concerned"] == "unknown"
    answer_all(answers)
    found = books.made.hygie("perimeter", "scope", "chu", "--answers", str(answers))
    assert (found["concerned"], found["to_certify"]) == ("yes", [1, 2, 3, 4, 5, 6])
    applies = {one["id"]: one["applies"] for one in found["requirements"]}
    assert (applies["EXI-01"], applies["EXI-29"], applies["EXI-06"]) == ("yes", "no", "unknown")
    assert sorted(state for key, state in kept().items() if key not in before) == ["answered", "replaced"]
    answers.write_text("age = 3\n")
    refused = books.made.hygie("perimeter", "scope", "chu", "--answers", str(answers), exit_code=10)
    assert refused["error"]["code"] == "HYG-1A0"
    assert books.made.hygie("perimeter", "scope", "chu", exit_code=10)["error"]["code"] == "HYG-194"


def test_the_posture_leaves_out_what_is_known_to_be_absent(books: Books, answers: Path) -> None:
    answer_all(answers)
    books.made.hygie("perimeter", "scope", "chu", "--answers", str(answers))
    books.made.hygie("posture", "--now")
    found = books.made.hygie("posture", "EXI-29")
    assert found["verdict"] == "not_applicable"
    assert found["why"][0].startswith("aucun accès à distance")
    assert books.made.hygie("posture", "EXI-28")["verdict"] != "not_applicable"


def test_events_launch_their_tasks_and_dates_go_to_a_calendar(books: Books, tmp_path: Path) -> None:
    made, report = books.made, f"report={books.document}"
    books.write(*books.host("-first"))
    made.hygie("certification", "record", "application", "first", "--on", day(-500))
    made.hygie("certification", "record", "stage1", "first", "--on", day(-400))
    refused = made.hygie("certification", "record", "decision", "first", "certificate=HDS-first", "--on", day(-260),
                         exit_code=10)  # fmt: skip
    assert refused["error"]["code"] == "HYG-1B8"
    twice = made.hygie("certification", "record", "stage2", "first", report, "kind=withdrawal", exit_code=10)
    assert (twice["error"]["code"], "kind" in twice["error"]["message"]) == ("HYG-1B7", True)
    made.hygie("certification", "record", "stage2", "first", report, "--on", day(-300))
    written = made.hygie("certification", "record", "decision", "first", "certificate=HDS-first", "--on", day(-260))
    assert written[0]["fields"]["expires_on"] == day(3 * YEAR - 256)
    tasks = [one for one in written if one["register"] == "action"]
    assert {one["fields"]["owner"] for one in tasks} == {"PER-anne"}
    found = made.hygie("certification", "show")
    assert [one["state"] for one in found["cycles"] if one["cycle"] == "first"] == ["valid"]
    assert {one["id"]: one["valid"] for one in found["certificates"]}.items() >= {("HDS-first", True)}
    dates = made.hygie("certification", "calendar", "--days", "400", "--ics", str(tmp_path / "c.ics"))
    surveillance = next(one for one in dates if one["id"] == "first/surveillance-1")
    assert surveillance["status"] == "warned"
    assert b"BEGIN:VALARM" in (tmp_path / "c.ics").read_bytes()
    checklist = made.hygie("certification", "prepare", "surveillance", "--cycle", "first")
    assert checklist["audit"] == "surveillance1"
    assert {one["presence"] for one in checklist["items"]} <= {"present", "missing", "late"}
    assert made.hygie("certification", "prepare", "--cycle", "none", exit_code=30)["error"]["code"] == "HYG-391"
    text = made.run("certification", "calendar", language="fr").stdout
    assert "audit de surveillance 1" in text


def test_the_working_process_warns_of_each_date_once(books: Books) -> None:
    made = books.made
    books.write(*books.host("-told"), *books.host("-after"))
    dates = {field: day(days) for field, days in TERM.items()}

    def warned(cycle: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = made.hygie("register", "show", "certification-warning")
        return [one for one in found if one["fields"]["alert"].startswith(f"{cycle}/surveillance-1")]

    books.imported("told", certificate="HDS-told", audited_on=day(-300), **dates)
    (first,) = made.wait_for(lambda: warned("told"), seconds=WITHIN_S)
    assert first["author"] == "system:work"
    assert first["fields"]["due_on"] > str(today())
    books.imported("after", certificate="HDS-after", audited_on=day(-300), **dates)
    made.wait_for(lambda: warned("after"), seconds=WITHIN_S)  # so another turn has looked at the first date again
    assert warned("told") == [first]
    assert made.hygie("register", "verify")["writes"] > 0


def test_who_leaves_is_closed_the_same_day_and_told_in_the_record(books: Books) -> None:
    made = books.made
    made.hygie("account", "create", "luc", "--kind", "person")
    words = ("--role", "reader", "--reason", "soins", "--approver", "anne")
    made.hygie("habilitation", "grant", "luc", "chu", "prod", *words)
    token = made.hygie("token", "create", "luc", "chu", "prod")["token"]
    books.add("person", "PER-luc", name="Luc Petit", account="luc", starts_on="2024-01-08")
    assert made.fhir("GET", "Patient/absent", token=token).status == 404
    books.amend("person", "PER-luc", f"ends_on={today()}")
    made.wait_for(lambda: made.fhir("GET", "Patient/absent", token=token).status == 401, seconds=WITHIN_S)
    made.wait_for(lambda: books.show("person", "PER-luc")["fields"].get("access_closed_on"), seconds=WITHIN_S)
    told = books.show("person", "PER-luc")
    assert (told["state"], told["author"], told["version"]) == ("left", "system:work", 3)
    asked = ("journal", "show", "--action", "account:disable")
    acts = made.wait_for(lambda: [one for one in made.hygie(*asked) if one["detail"]["account"] == "luc"])
    assert [one["account"] for one in acts] == ["system:work"]


def test_a_lapsed_training_suspends_and_its_renewal_lifts(books: Books) -> None:
    made = books.made
    made.hygie("account", "create", "zoe", "--kind", "person")
    words = ("--role", "reader", "--reason", "soins", "--approver", "anne")
    granted = made.hygie("habilitation", "grant", "zoe", "chu", "prod", *words)["habilitation"]
    token = made.hygie("token", "create", "zoe", "chu", "prod")["token"]
    books.add("person", "PER-zoe", name="Zoé Roux", account="zoe", starts_on="2024-01-08")
    books.add("training-session", "TRS-1", "held", held_on=day(-400))

    def status() -> int:
        return made.fhir("GET", "Patient/absent", token=token).status

    assert status() == 404
    books.add("training-record", "TRR-1", "valid", person="PER-zoe", session="TRS-1", passed_on=day(-400),
              valid_until=day(-1))  # fmt: skip
    made.wait_for(lambda: status() == 403, seconds=WITHIN_S)
    books.add("training-record", "TRR-2", "valid", person="PER-zoe", session="TRS-1", passed_on=day(-1),
              valid_until=day(300))  # fmt: skip
    made.wait_for(lambda: status() == 404, seconds=WITHIN_S)
    asked = ("journal", "show", "--action", "habilitation:suspend", "--action", "habilitation:resume")

    def acts() -> list[str]:
        return sorted(one["action"] for one in made.hygie(*asked) if one["detail"]["habilitation"] == granted)

    made.wait_for(lambda: len(acts()) == 2)  # shown once published
    assert acts() == ["habilitation:resume", "habilitation:suspend"]
    assert made.hygie("journal", "reconcile")["wrong"] == []


def test_an_expiry_that_time_made_happen_is_recorded_with_its_tasks(books: Books) -> None:
    made = books.made
    term = {"decided_on": day(-1100), "issued_on": day(-1095), "expires_on": day(-2)}
    books.add("certificate", "ISO-old", "valid", scheme="iso27001", edition="2022", holder="HOST", **term)
    books.imported("old", certificate="ISO-old", audited_on=day(-100), **term)

    def noted() -> Any:
        found = made.hygie("register", "show", "certification-event")
        return [one for one in found if one["key"] == "old.expiry"]

    (event,) = made.wait_for(noted, seconds=WITHIN_S)
    assert (event["author"], event["fields"]["on"]) == ("system:work", day(-1))
    origins = [one["fields"].get("origin_key", "") for one in made.hygie("register", "show", "action")]
    assert sum(origin.startswith("old/task/old.expiry/") for origin in origins) == 7


def test_trial_warns_and_production_refuses_what_no_certificate_covers(books: Books) -> None:
    made = books.made
    books.write(*books.host("-lost"), books.service("-lost", "chu/lost"))
    silent = made.run("environment", "create", "chu", "lost", "--kind", "production")
    assert (silent.returncode, silent.stderr) == (0, ""), "its service is covered"
    warned = made.run("environment", "create", "chu", "other", "--kind", "production")
    assert warned.returncode == 0
    assert "In production this is refused: no open production service names chu/other" in warned.stderr
    settings = made.data / "hygie.toml"
    held = settings.read_text()
    words = ("--role", "application", "--reason", "essai", "--approver", "chief")
    made.hygie("habilitation", "grant", "app", "chu", "lost", *words)
    settings.write_text(re.sub(r"(?m)^production = false$", "production = true", held))
    try:
        refused = made.hygie("environment", "create", "chu", "live", "--kind", "production", exit_code=20)["error"]
        assert refused["code"] == "HYG-261"
        assert "no open production service names chu/live" in refused["message"]
        bare = made.hygie("token", "create", "app", "chu", "lost", exit_code=10)["error"]
        assert (bare["code"], "exception" in bare["message"]) == ("HYG-160", True)
        why = ("--exception", "automate qui ne sait pas signer")
        assert made.hygie("token", "create", "app", "chu", "other", *why, exit_code=20)["error"]["code"] == "HYG-261"
        assert made.hygie("token", "create", "app", "chu", "lost", *why)["token"]
        assert made.hygie("token", "list")[-1]["exception"] == why[1]
        books.amend("certificate", "ISO-lost", f"state_on={day(-1)}", "state_reason=essai", state="suspended")
        lost = made.run("token", "create", "app", "chu", "lost", *why, language="fr")
        assert lost.returncode == 20
        assert "service SVC-lost, activité 1" in lost.stderr
        assert made.hygie("environment", "create", "chu", "trial", "--kind", "test")["kind"] == "test"
    finally:
        settings.write_text(held)
    (entry, *_) = made.hygie("journal", "show", "--action", "environment:create", "--outcome", "refused")
    assert (entry["outcome"], entry["detail"]["code"]) == ("refused", "HYG-261")
    with psycopg.connect(dsns_of(load_settings(made.data), DataFolder.at(made.data)).owner) as owner:
        names = {name for (name,) in owner.execute("SELECT name FROM hygie.environment").fetchall()}
    assert names & {"lost", "other", "live", "trial"} == {"lost", "other", "trial"}


def test_cross_checks_are_in_the_posture_and_the_registers_hold_together(books: Books) -> None:
    made = books.made
    books.write(
        *books.host("-bare", certified=False), books.service("-bare", "chu/none", certificate="HDS")
    )  # somebody else's
    made.hygie("posture", "--now")
    found = json.loads(made.run("--json", "posture").stdout)
    checks = {one["id"]: one for one in found["checks"] if one["id"].startswith("cross.")}
    assert len(checks) >= 30
    assert checks["cross.service-covered"]["verdict"] == "unsatisfied"
    assert checks["cross.tenant-contract"]["verdict"] == "unsatisfied"
    assert checks["cross.stores-listed"]["verdict"] == "unsatisfied"
    assert checks["cross.site-declared"]["verdict"] == "satisfied"
    assert made.hygie("register", "verify")["writes"] > 0
