"""Production in a test environment: by a declared, de-identified copy, of which nothing leads back; by no other way."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pyrage
import pytest

from hygie.app import open_house
from hygie.base.actions import Action
from hygie.base.errors import RefusedError
from hygie.base.permit import Permit, Place
from hygie.custody import open_custody
from hygie.deidentify.rules import shipped_rules
from hygie.gate.instructed import InstructedGate
from hygie.hosting import open_hosting
from tests.attack.installation import Installation, attacked, entries, place
from tests.unit.deidentify.planted import NEEDLES, choices, planted

PATIENTS = 9
FAMILY = "Zqmark-Zephyrin"
REAL_INS = "urn:oid:1.2.250.1.213.1.4.8"
TYPES = sorted(shipped_rules().plans)
UNTIL = (date.today() + timedelta(days=30)).isoformat()  # noqa: DTZ011 (whatever the zone, it is to come)
APPLICATION = ("--role", "application", "--reason", "tests", "--approver", "chief")
GRANT = ("--role", "privacy-officer", "--reason", "copy", "--approver", "chief")


@pytest.fixture(scope="module")
def made() -> Iterator[Installation]:
    """A client ``chu`` with production full of planted values, a test and a pre-production environment; ``other``."""
    with attacked() as one:
        one.hygie("environment", "create", "chu", "recette", "--kind", "test")
        one.hygie("environment", "create", "chu", "preprod", "--kind", "pre-production")
        one.hygie("environment", "create", "chu", "demo", "--kind", "demonstration")
        one.hygie("environment", "create", "chu", "second", "--kind", "production")
        one.hygie("tenant", "create", "other")
        one.hygie("environment", "create", "other", "recette", "--kind", "test")
        for account, where in (("dpo", "chu"), ("half", "chu"), ("stranger", "other")):
            one.hygie("account", "create", account, "--kind", "person")
            places = ("prod",) if account == "half" else ("recette",) if where == "other" else ("prod", "recette")
            for name in places:
                one.hygie("habilitation", "grant", account, where, name, *GRANT)
        one.hygie("habilitation", "grant", "dpo", "other", "recette", *GRANT)  # one officer of two clients
        for name in ("demo", "second"):
            one.hygie("habilitation", "grant", "dpo", "chu", name, *GRANT)
        for account, name in (("chief", "Anne Martin"), ("dpo", "Marc Faure")):
            person = (f"name={name}", f"account={account}", "employer=Host", "function=DPO", "starts_on=2020-01-06")
            one.hygie("register", "add", "person", *person)
        plant(one)
        yield one


def plant(made: Installation) -> None:
    """Nine people with their real identity; of every type with rules, an object with a marker in each field."""
    for number in range(PATIENTS):
        body = planted("Patient") | {"id": f"zqmark-p{number}", "birthDate": "1953-07-19", "gender": "female"}
        body["identifier"] = [{"system": REAL_INS, "value": f"2530769999{number:03d}42"}]
        body["name"] = [{"family": FAMILY, "given": ["Zqmark"]}]
        body |= {"link": None, "managingOrganization": {"reference": "Organization/zqmark-org"}}
        put(made, body)
        put(made, clean(number))
    for type_ in TYPES:
        for variant in range(choices(type_)):
            if type_ != "Patient":
                put(made, owned(planted(type_, variant), f"zqmark-{type_.lower()[:12]}{variant}", variant % PATIENTS))


def clean(number: int) -> dict[str, Any]:
    """An observation as an application sends it, whose form survives."""
    return {
        "resourceType": "Observation",
        "id": f"zqmark-o{number}",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "718-7", "display": "Zqmark"}], "text": "Zqmark"},
        "subject": {"reference": f"Patient/zqmark-p{number}", "display": FAMILY},
        "effectiveDateTime": f"2024-03-0{number + 1}T08:15:42+01:00",
        "valueQuantity": {
            "value": 13.76 + number,
            "unit": "g/dL",
            "system": "http://unitsofmeasure.org",
            "code": "g/dL",
        },
        "note": [{"text": FAMILY}],
    }


def owned(body: dict[str, Any], id_: str, number: int) -> dict[str, Any]:
    """A planted resource as one patient's."""
    body["id"] = id_
    for name in ("subject", "patient"):
        if name in body and isinstance(body[name], dict):
            body[name] = {"reference": f"Patient/zqmark-p{number}", "display": FAMILY}
    return body


def put(made: Installation, body: dict[str, Any]) -> None:
    body = {name: value for name, value in body.items() if value is not None}
    answer = made.fhir("PUT", f"{body['resourceType']}/{body['id']}", body)
    assert answer.status in (200, 201), (body["resourceType"], answer.body)


def declare(made: Installation, **changes: Any) -> str:
    """A declaration, in the register. Returns its key."""
    said: dict[str, Any] = {
        **{"title": "Recette", "purpose": "Essais", "source": "prod", "target": "recette", "types": ";".join(TYPES)},
        **{"patients_max": 50, "k": 3, "requested_by": "dpo", "ends_on": UNTIL},
    }
    state, approver = changes.pop("state", "approved"), changes.pop("approver", "chief")
    tenant = changes.pop("tenant", "chu")
    words = [f"{name}={value}" for name, value in (said | changes).items()]
    if approver:
        words += ["--approver", approver]
    return str(made.hygie("register", "add", "data-copy", *words, "--state", state, "--tenant", tenant)["key"])


def copy(made: Installation, key: str, *where: str, exit_code: int = 0, cells: int = 5) -> Any:
    words = where or ("chu", "prod", "recette")
    asked = ("copy", "deidentified", *words, "--declaration", key, "--cells", str(cells))
    return made.hygie(*asked, exit_code=exit_code)


def opened(made: Installation, where: Place) -> list[dict[str, Any]]:
    """Everything that an environment's packs hold, opened with its own keys."""

    async def main() -> list[dict[str, Any]]:
        async with open_house(made.data) as house, open_hosting(house) as hosting:
            permit = Permit(
                permit_id=os.urandom(16), account="test", professional_id="", authentication="local",
                action=Action.OBJECT_EXPORT, place=where, habilitation="h", purpose="", address="", device="",
            )  # fmt: skip
            bound = await hosting.vault.export_bound(permit)
            batches = [batch async for batch in hosting.vault.export(permit, bound)]
            return [json.loads(one.stored.body) for batch in batches for one in batch if one.stored]

    return asyncio.run(main())


@pytest.fixture(scope="module")
def copied(made: Installation) -> Any:
    """A copy that was made."""
    return copy(made, declare(made))


def test_nothing_of_what_was_planted_is_in_the_copy(made: Installation, copied: Any) -> None:
    found = opened(made, place(made, "chu", "recette"))
    assert copied["patients"] == PATIENTS
    assert copied["resources"]["Observation"] >= PATIENTS
    assert len(found) == sum(copied["resources"].values())
    written = json.dumps(found, ensure_ascii=False)
    for needle in (*NEEDLES, FAMILY, "2530769999", REAL_INS, "T08:15:42", "13.76"):
        assert needle not in written, needle
    people = [one for one in found if one["resourceType"] == "Patient"]
    assert {one["birthDate"] for one in people} == {"1953"}
    assert {one["identifier"][0]["system"] for one in people} == {"urn:oid:1.2.250.1.213.1.4.10"}


def test_the_copy_is_served_as_any_test_data_under_its_own_keys(made: Installation, copied: Any) -> None:
    made.hygie("account", "create", "tester", "--kind", "application")
    made.hygie("habilitation", "grant", "tester", "chu", "recette", *APPLICATION)
    token = made.hygie("token", "create", "tester", "chu", "recette")["token"]
    answer = made.fhir("GET", "Observation?code=718-7&_count=100", token=token, place="chu/recette")
    assert answer.status == 200, answer.body
    found = [one["resource"] for one in answer.json["entry"]]
    assert len(found) == PATIENTS
    assert all(one["meta"]["security"][0]["code"] == "PSEUDED" for one in found)
    subject = found[0]["subject"]["reference"]
    assert made.fhir("GET", subject, token=token, place="chu/recette").status == 200
    assert made.fhir("GET", subject).status == 404  # the new ids mean nothing in production


def test_both_environments_have_intent_and_outcome_and_each_patient_his_entry(made: Installation, copied: Any) -> None:
    key = copied["declaration"]
    for name, other, word in (("prod", "recette", "into"), ("recette", "prod", "from")):
        here, there = place(made, "chu", name), place(made, "chu", other)
        told = [
            one
            for one in entries(made, environment_id=here.environment_id, kind="administration")
            if one.action.value == "object:copy" and one.detail.get("declaration") == key and one.outcome != "refused"
        ]
        assert [one.outcome for one in told] == ["intent", "done"]
        assert told[1].count == sum(copied["resources"].values())
        assert told[1].detail[word] == there.environment_id.hex()
        assert (told[1].detail["ordered_by"], told[1].detail["approver"]) == ("dpo", "chief")
        assert len(told[1].detail["digest"]) == 64
    read = [
        one
        for one in entries(made, environment_id=place(made).environment_id, kind="access")
        if one.action.value == "object:copy"
    ]
    assert len({one.subject for one in read}) >= PATIENTS


def test_nothing_that_is_kept_links_the_two_sides(made: Installation, copied: Any) -> None:
    """Neither the new ids nor the old ones are in journal, logs or database; no opaque id is on both sides."""
    found = opened(made, place(made, "chu", "recette"))
    names = {one["id"] for one in found} | {
        identifier["value"]
        for one in found
        for identifier in one.get("identifier") or ()
        if isinstance(identifier, dict)
    }
    assert len(names) > PATIENTS * 2
    told = "\n".join(repr(one) for one in entries(made))
    logs = "\n".join(path.read_text(errors="replace") for path in (made.data / "logs").rglob("*.log"))
    rows = dumped(made)
    for word in (*names, *NEEDLES[:3]):
        assert word not in told
        assert word not in logs
        assert word not in rows, word
    prod, recette = (place(made, "chu", name).role for name in ("prod", "recette"))
    for table, columns in (("object", ("id", "compartment", "at_ms")), ("compartment", ("id", "subject", "wrap"))):
        for column in columns:
            assert not values(made, prod, table, column) & values(made, recette, table, column), (table, column)
    for name in ("id", "subject"):
        assert len(values(made, recette, "compartment", name)) >= PATIENTS


async def dsn_of(made: Installation) -> str:
    async with open_house(made.data) as house:
        return house.dsns.owner


def dumped(made: Installation) -> str:
    """Every row of every table, as text and with its bytes in hexadecimal and in clear."""
    found: list[str] = []

    with psycopg.connect(asyncio.run(dsn_of(made))) as connection:
        tables = connection.execute(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname LIKE 'hygie%'"
        ).fetchall()
        for schema, table in tables:
            for row in connection.execute(f"SELECT * FROM {schema}.{table}".encode()):
                for value in row:
                    found.append(value.decode("latin-1") + value.hex() if isinstance(value, bytes) else str(value))
    return "\n".join(found)


def values(made: Installation, schema: str, table: str, column: str) -> set[Any]:
    with psycopg.connect(asyncio.run(dsn_of(made))) as connection:
        rows = connection.execute(f"SELECT {column} FROM {schema}.{table} WHERE {column} IS NOT NULL".encode())
        return {row[0] for row in rows}


def test_a_second_copy_gives_other_names(made: Installation, copied: Any) -> None:
    before = {one["id"]: one for one in opened(made, place(made, "chu", "recette"))}
    again = copy(made, declare(made))
    after = {one["id"]: one for one in opened(made, place(made, "chu", "recette"))}
    new = after.keys() - before.keys()
    assert len(new) == sum(again["resources"].values())
    people = [after[one] for one in new if after[one]["resourceType"] == "Patient"]
    old = [one for one in before.values() if one["resourceType"] == "Patient"]
    numbers = [{one["identifier"][0]["value"] for one in side} for side in (people, old)]
    assert not numbers[0] & numbers[1]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"state": "requested", "approver": ""}, "not approved"),
        ({"ends_on": "2026-01-01"}, "expired"),
        ({"target": "preprod"}, "other environments"),
        ({"source": "second"}, "other environments"),
        ({"tenant": "other"}, "other environments"),
        ({"approver": "dpo"}, "not approved"),
        ({"approver": "Marc Faure"}, "not approved"),  # whose account is dpo
        ({"approver": "somebody"}, "not approved"),  # nobody of the register
        ({"types": "Patient;Binary"}, "scope"),
    ],
)
def test_without_its_declaration_nothing_is_copied(made: Installation, changes: dict[str, Any], reason: str) -> None:
    error = copy(made, declare(made, **changes), exit_code=20)["error"]
    assert error["code"] == "HYG-2D0"
    assert reason in error["message"]
    zone = place(made, "chu", "recette").environment_id  # which the door's own probe is refused too, each minute
    refused = entries(made, action="object:copy", outcome="refused", environment_id=zone)
    assert refused[-1].detail["code"] == "HYG-2D0"


def test_an_unknown_declaration_is_refused(made: Installation) -> None:
    assert copy(made, "CPY-9999", exit_code=20)["error"]["code"] == "HYG-2D0"


@pytest.mark.parametrize("officer", ["half", "stranger", "nobody", "app"])
def test_an_officer_who_is_not_entitled_in_both_orders_nothing(made: Installation, officer: str) -> None:
    error = copy(made, declare(made, requested_by=officer), exit_code=20)["error"]
    assert error["code"] == "HYG-200"
    refused = [one for one in entries(made, outcome="refused") if one.detail.get("ordered_by") == officer]
    assert refused
    assert refused[-1].action.value == "object:copy"


@pytest.mark.parametrize(
    ("source", "target"), [("prod", "second"), ("recette", "prod"), ("prod", "demo"), ("prod", "prod")]
)
def test_a_copy_goes_from_production_to_tests_and_no_other_way(made: Installation, source: str, target: str) -> None:
    error = copy(made, declare(made, source=source, target=target), "chu", source, target, exit_code=20)["error"]
    assert error["code"] == "HYG-200"


def test_another_clients_environment_is_no_target(made: Installation) -> None:
    """Whatever the command is told, the gate asks the platform's own tables whose an environment is."""
    mine, theirs = place(made), place(made, "other", "recette")

    async def main() -> None:
        async with open_house(made.data) as house, open_custody(house, "local:test") as custody:
            gate = InstructedGate(
                custody.owner, kms=house.kms, journal=custody.journal, clock=house.clock, operator="local:test"
            )
            for target in (theirs, Place(mine.tenant_id, theirs.environment_id, theirs.role, "test")):
                with pytest.raises(RefusedError):
                    await gate.admit_copy("dpo", mine, target, purpose="x")

    asyncio.run(main())


def test_too_few_alike_writes_nothing(made: Installation) -> None:
    before = len(opened(made, place(made, "chu", "recette")))
    error = copy(made, declare(made, k=50), exit_code=20)["error"]
    assert error["code"] == "HYG-2D1"
    assert len(opened(made, place(made, "chu", "recette"))) == before
    told = [one for one in entries(made, outcome="unknown") if one.action.value == "object:copy"]
    assert {one.detail["code"] for one in told} == {"HYG-2D1"}


def test_the_number_of_patients_is_a_ceiling(made: Installation) -> None:
    assert copy(made, declare(made, patients_max=4, k=2), cells=2)["patients"] == 4


# --- other ways


def program(made: Installation, name: str) -> str:
    made.hygie("account", "create", name, "--kind", "application")
    made.hygie("habilitation", "grant", name, "chu", "recette", *APPLICATION)
    return str(made.hygie("token", "create", name, "chu", "recette")["token"])


def test_real_identities_are_refused_in_tests_whatever_the_door(made: Installation) -> None:
    """What production gave back, sent again to the test environment: one by one, in a bundle, on condition."""
    token = program(made, "importer")
    real = made.fhir("GET", "Patient/zqmark-p0").json
    assert made.fhir("PUT", "Patient/zqmark-p0", real, token=token, place="chu/recette").code == "HYG-157"
    entry = {"resource": real, "request": {"method": "PUT", "url": "Patient/zqmark-p0"}}
    for kind in ("transaction", "batch"):
        body = {"resourceType": "Bundle", "type": kind, "entry": [entry]}
        answer = made.fhir("POST", "", body, token=token, place="chu/recette")
        assert b"HYG-157" in answer.body, answer.body
    hidden = {"resourceType": "Basic", "code": {"text": f"{REAL_INS}|253076999900042"}}
    assert made.fhir("POST", "Basic", hidden, token=token, place="chu/recette").code == "HYG-157"
    assert made.fhir("GET", "Patient/zqmark-p0", token=token, place="chu/recette").status == 404


def test_an_export_of_the_exit_does_not_open_for_the_host_and_its_lines_are_refused_in_tests(
    made: Installation, tmp_path: Path
) -> None:
    own = pyrage.x25519.Identity.generate()
    order = ("--controller", "CHU", "--reference", "1", "--instructed-by", "dpo", "--approver", "chief")
    order += ("--environment", "prod")
    made.hygie("exit", "export", "chu", "--to", str(tmp_path / "out"), "--recipient", str(own.to_public()), *order)
    part = next((tmp_path / "out" / "prod" / "current").glob("Patient.*"))
    assert FAMILY.encode() not in part.read_bytes()
    token = program(made, "returner")
    for line in pyrage.decrypt(part.read_bytes(), [own]).splitlines():
        body = json.loads(line)
        answer = made.fhir("PUT", f"Patient/{body['id']}", body, token=token, place="chu/recette")
        assert answer.code == "HYG-157"


def test_packs_of_production_under_the_name_of_tests_open_nothing(made: Installation, copied: Any) -> None:
    """Last: a restore, or whoever holds the sites, puts production's packs where the test environment's are."""
    prod, recette = place(made), place(made, "chu", "recette")
    before = {json.dumps(one, sort_keys=True) for one in opened(made, recette)}
    made.down()
    moved = 0
    for path in (made.data / "sites").rglob("*.pack"):
        if prod.environment_id.hex() in str(path):
            target = Path(str(path).replace(prod.environment_id.hex(), recette.environment_id.hex()))
            number = int(target.stem) + 5_000
            beyond = target.with_name(f"{number:0{len(target.stem)}d}.pack")
            beyond.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, beyond)
            moved += 1
    assert moved > 30
    words = ("--tenant", "chu", "--environment", "recette", "--discard", "--confirm", "paris")
    done = made.run("--json", "rebuild", "--from", "paris", *words)
    assert done.returncode == 50, done.stderr
    assert len(json.loads(done.stdout)["environments"][0]["damaged"]) == moved // 3  # each is named, none is opened
    made.up()
    after = {json.dumps(one, sort_keys=True) for one in opened(made, recette)}
    assert after == before
    assert base64.b64encode(FAMILY.encode()).decode() not in "".join(after)


def test_keys_of_tests_are_not_those_of_production(made: Installation) -> None:
    places = (place(made), place(made, "chu", "recette"))

    async def main() -> set[bytes]:
        async with open_house(made.data) as house:
            return {
                await house.kms.environment_key(one.tenant_id, one.environment_id, purpose)
                for one in places
                for purpose in ("id", "index", "pack")
            }

    assert len(asyncio.run(main())) == 6
