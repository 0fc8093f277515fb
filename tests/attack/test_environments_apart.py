"""Production, pre-production and test of one client share nothing, though one application writes one record in all."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import Any, cast

import psycopg
import pytest

from hygie.app import dsns_of, open_administration, open_house, opened
from hygie.base.errors import HygieError
from hygie.base.layout import DataFolder
from hygie.base.permit import Place
from hygie.base.roles import Role
from hygie.base.seal import SealBrokenError
from hygie.base.settings import load_settings
from hygie.probes.apart import PURPOSES
from hygie.vault.errors import PackFormatError
from hygie.vault.pack import FOOTER, check_pack, pack_name, read_front, read_table
from tests.attack.installation import Installation, ask, attacked

KINDS = {"prod": "production", "pre": "pre-production", "test": "test"}
ID = "same-everywhere"
IDENTIFIER = {"system": "urn:apart", "value": "one"}
PATIENT = {"resourceType": "Patient", "id": ID, "identifier": [IDENTIFIER], "name": [{"family": "Pareille"}]}


@dataclass
class Trio:
    """One installation, a token and a place for each environment of ``chu``; each holds the same patient."""

    made: Installation
    tokens: dict[str, str]
    places: dict[str, Place]

    def fhir(self, environment: str, method: str, path: str, body: object = None, *, token: str = "") -> Any:
        """One request in an environment, with its own token unless another's is named."""
        chosen = self.tokens[token or environment]
        return ask(self.made, f"/chu/{environment}/fhir/{path}", chosen, method=method, body=body)

    def rows(self, environment: str, query: str) -> list[tuple[Any, ...]]:
        """What the owner of the database reads in one environment's schema."""
        folder = DataFolder.at(self.made.data)
        with psycopg.connect(dsns_of(load_settings(folder.path), folder).owner) as owner:
            owner.execute(f"SET search_path = {self.places[environment].role}".encode())
            return owner.execute(query.encode()).fetchall()


@pytest.fixture(scope="module")
def trio() -> Iterator[Trio]:
    with attacked() as made:

        async def main() -> tuple[dict[str, str], dict[str, Place]]:
            tokens, places = {}, {}
            async with open_house(made.data) as house, open_administration(house, "local:test") as acts:
                for name, kind in KINDS.items():
                    if name != "prod":
                        await acts.create_environment("chu", name, kind)
                        how = {"role": Role.APPLICATION, "reason": "attack", "approver": "chief", "days": 30}
                        await acts.grant("app", "chu", name, **cast("Any", how))
                    tokens[name] = (await acts.create_token("app", "chu", name, days=1))[1]
                    places[name] = (await acts.environment("chu", name)).place
            return tokens, places

        found = Trio(made, *asyncio.run(main()))
        for name in KINDS:
            assert found.fhir(name, "PUT", f"Patient/{ID}", PATIENT).status == 201
            for _ in range(3):
                body = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}}
                body |= {"subject": {"reference": f"Patient/{ID}"}}
                assert found.fhir(name, "POST", "Observation", body).status == 201
        yield found


def test_the_same_record_leaves_nothing_in_common_in_the_database(trio: Trio) -> None:
    for query in (
        "SELECT id FROM object",
        "SELECT DISTINCT unnest(tokens) FROM object",
        "SELECT compartment FROM object",
        "SELECT unnest(ARRAY[id, subject, wrap]) FROM compartment",
        "SELECT sha256 FROM pack",
    ):
        held = {name: set(trio.rows(name, query)) for name in KINDS}
        assert all(held.values()), query
        for one, other in combinations(KINDS, 2):
            assert not held[one] & held[other], (query, one, other)
    assert len({place.role for place in trio.places.values()}) == len(KINDS)
    assert len({place.environment_id for place in trio.places.values()}) == len(KINDS)


def test_a_key_of_one_opens_nothing_of_another(trio: Trio) -> None:
    wraps = {name: trio.rows(name, "SELECT id, epoch, wrap FROM compartment WHERE kind = 1") for name in KINDS}
    packs = {name: trio.rows(name, "SELECT number FROM pack")[0][0] for name in KINDS}

    async def main() -> None:
        async with open_house(trio.made.data) as house:
            keys = {
                (name, purpose): await house.kms.environment_key(place.tenant_id, place.environment_id, purpose)
                for name, place in trio.places.items()
                for purpose in PURPOSES
            }
            assert len(set(keys.values())) == len(keys)
            for one, other in permutations(KINDS, 2):
                mine, theirs = trio.places[one], trio.places[other]
                (wrap,) = wraps[other]
                asked = {"permit_id": bytes(16), "reason": "attack"}
                (opened_key,) = await house.kms.unwrap(theirs.tenant_id, theirs.environment_id, [wrap], **asked)
                assert opened_key is not None
                with pytest.raises(HygieError):
                    await house.kms.unwrap(mine.tenant_id, mine.environment_id, [wrap], **asked)
                number = packs[other]
                name = pack_name(theirs.environment_id, number)
                pack = (trio.made.data / "sites" / "paris" / name).read_bytes()
                start, length = read_front(pack[-FOOTER.size :], len(pack))
                box = pack[start : start + length]
                read_table(box, theirs, number=number, pack_key=keys[other, "pack"])
                with pytest.raises(SealBrokenError):
                    read_table(box, theirs, number=number, pack_key=keys[one, "pack"])
                with pytest.raises(SealBrokenError):  # its own key does not open it in the name of another either
                    read_table(box, mine, number=number, pack_key=keys[other, "pack"])
                with pytest.raises(PackFormatError):
                    check_pack(pack, mine, number=number)

    asyncio.run(main())


def test_a_token_of_one_is_nothing_at_the_address_of_another(trio: Trio) -> None:
    for one, other in permutations(KINDS, 2):
        for method, path, body in (
            ("GET", f"Patient/{ID}", None),
            ("GET", "Patient?family=Pareille", None),
            ("PUT", f"Patient/{ID}", PATIENT),
            ("DELETE", f"Patient/{ID}", None),
        ):
            answer = trio.fhir(other, method, path, body, token=one)
            nowhere = ask(trio.made, f"/chu/nowhere/fhir/{path}", trio.tokens[one], method=method, body=body)
            assert (answer.status, answer.body) == (nowhere.status, nowhere.body), (one, other, method)
            assert answer.status == 404
    assert {trio.fhir(name, "GET", f"Patient/{ID}").json["meta"]["versionId"] for name in KINDS} == {"1"}


def test_a_page_of_one_is_no_page_of_another(trio: Trio) -> None:
    for one, other in permutations(KINDS, 2):
        first = trio.fhir(one, "GET", "Observation?_count=1").json
        (following,) = (link["url"] for link in first["link"] if link["relation"] == "next")
        path = following.partition("/fhir/")[2]
        assert trio.fhir(one, "GET", path).status == 200
        assert trio.fhir(other, "GET", path).code == "HYG-154"


def test_a_condition_or_a_reference_does_not_look_into_another(trio: Trio) -> None:
    alone = {"resourceType": "Patient", "identifier": [{"system": "urn:apart", "value": "alone"}]}
    asked = {"method": "POST", "url": "Patient", "ifNoneExist": "identifier=urn:apart|alone"}
    entry = {"resource": alone, "request": asked}
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
    answers = [trio.fhir(name, "POST", "", bundle).json for name in KINDS]
    assert [one["entry"][0]["response"]["status"][:3] for one in answers] == ["201"] * len(KINDS)
    ids = {one["entry"][0]["response"]["location"].split("Patient/")[1].split("/")[0] for one in answers}
    assert len(ids) == len(KINDS)
    abroad = f"https://127.0.0.1:{trio.made.port}/chu/prod/fhir/Patient/{ID}"
    body = {"resourceType": "Observation", "status": "final", "code": {"text": "abroad"}}
    made = trio.fhir("test", "POST", "Observation", body | {"subject": {"reference": abroad}})
    if made.status == 201:  # a reference to elsewhere is kept as it is written, and followed by nobody
        found = trio.fhir("test", "GET", f"Observation?_id={made.json['id']}&_include=Observation:subject").json
        assert [one["resource"]["resourceType"] for one in found["entry"]] == ["Observation"]


def test_what_ends_in_one_goes_on_in_the_others(trio: Trio) -> None:
    """Last: one environment is destroyed."""
    assert trio.fhir("pre", "DELETE", f"Patient/{ID}").status in {200, 204}
    assert {name: trio.fhir(name, "GET", f"Patient/{ID}").status for name in KINDS} == {
        "prod": 200,
        "pre": 410,
        "test": 200,
    }
    trio.made.hygie("environment", "destroy", "chu", "test", "--confirm", "chu/test")
    assert trio.fhir("test", "GET", f"Patient/{ID}").status in {401, 404}
    assert trio.fhir("prod", "GET", f"Patient/{ID}").status == 200
    assert trio.fhir("prod", "PUT", f"Patient/{ID}", PATIENT | {"active": True}).status == 200
    gone = trio.places["test"]

    async def main() -> None:
        async with open_house(trio.made.data) as house, opened(house.dsns.owner, size=1) as database:
            with pytest.raises(HygieError):
                await house.kms.environment_key(gone.tenant_id, gone.environment_id, "pack")
            async with database.transaction() as connection:
                row = await (
                    await connection.execute("SELECT count(*) FROM pg_roles WHERE rolname = %s", (gone.role,))
                ).fetchone()
            assert row == (0,)

    asyncio.run(main())
