"""Batches and transactions over HTTPS."""

from __future__ import annotations

import asyncio
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from hygie.base.actions import Action
from hygie.fhir.bundle import parse_bundle
from hygie.fhir.transactions import Breath, Transaction
from hygie.vault.errors import VaultBusyError
from tests.unit.fhir.face_stage import BASE, Stage, observation, patient, staged

PATIENT_URL = "urn:uuid:11111111-1111-4111-8111-111111111111"
SYNTHEA = Path(__file__).parents[3] / ".." / "shared" / "data" / "fhir" / "synthea"


def entry(method: str, url: str, resource: Any = None, full_url: str | None = None, **request: str) -> dict[str, Any]:
    made: dict[str, Any] = {"request": {"method": method, "url": url, **request}}
    if full_url:
        made["fullUrl"] = full_url
    if resource is not None:
        made["resource"] = json.loads(resource) if isinstance(resource, bytes) else resource
    return made


def bundle(kind: str, *entries: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def test_urn_references_are_resolved_to_server_ids(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        story = {
            "status": "generated",
            "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><a href="{PATIENT_URL}">p</a></div>',
        }
        same = [{"system": "urn:ietf:rfc:3986", "value": PATIENT_URL}]
        reply = await stage.ask(
            "POST", "", bundle(
                "transaction",
                entry("POST", "Observation", observation(PATIENT_URL, text=story, identifier=same)),
                entry("POST", "Patient", patient(), PATIENT_URL),
                entry("PUT", "Observation/o2", observation(PATIENT_URL, id="o2")),
            ),
        )  # fmt: skip
        assert reply.status == 200, reply.body
        assert reply.json["type"] == "transaction-response"
        first, second, third = (e["response"] for e in reply.json["entry"])
        assert (first["status"], first["etag"]) == ("201 Created", 'W/"1"')
        patient_path = second["location"].partition("/_history")[0]
        stored = await stage.ask("GET", "/" + first["location"].partition("/_history")[0])
        assert stored.json["subject"]["reference"] == patient_path
        assert f'href="{patient_path}"' in stored.json["text"]["div"]
        assert stored.json["identifier"] == same
        assert third["location"] == "Observation/o2/_history/1"
        found = await stage.ask("GET", f"/Observation?subject={patient_path}")
        assert len(found.json["entry"]) == 2
        assert {row.patients for row in stage.vault.rows} == {(patient_path.removeprefix("Patient/"),)}

    staged(tmp_path, scenario)


def document(url: str, **more: Any) -> dict[str, Any]:
    """A DocumentReference that names another entry in each way R4 has, and in a text that is none."""
    story = {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><img src="{url}"/></div>'}
    found = {"resourceType": "Basic", "id": "b", "code": {"text": "t"}, "extension": [{"url": "x:y", "valueUri": url}]}
    made = {
        "resourceType": "DocumentReference",
        "status": "current",
        "text": story,
        "contained": [found],
        "extension": [{"url": url, "valueUrl": f"{url}#page"}, {"url": "x:z", "valueString": url}],
        "identifier": [{"system": "urn:ietf:rfc:3986", "value": url}],
        "content": [{"attachment": {"url": url}, "format": {"system": "urn:s", "code": "c"}}],
    }
    return made | more


def test_links_are_resolved_by_their_type_not_by_their_text(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        url = PATIENT_URL
        binary = {"resourceType": "Binary", "contentType": "text/plain", "data": "YQ=="}
        sealed = {"resourceType": "Bundle", "type": "collection", "entry": [{"fullUrl": url, "resource": patient()}]}
        plan = {"resourceType": "CarePlan", "status": "active", "intent": "plan", "subject": {"display": "x"}}
        plan |= {"instantiatesCanonical": [f"{url}|2", "http://a/b"], "instantiatesUri": ["urn:uuid:unknown", url]}
        reply = await stage.ask(
            "POST", "", bundle(
                "transaction",
                entry("POST", "DocumentReference", document(url)),
                entry("POST", "Binary", binary, url),
                entry("POST", "Bundle", sealed),
                entry("POST", "CarePlan", plan),
            ),
        )  # fmt: skip
        assert reply.status == 200, reply.body
        paths = [e["response"]["location"].partition("/_history")[0] for e in reply.json["entry"]]
        there = paths.pop(1)
        stored, kept, care = [(await stage.ask("GET", f"/{path}")).json for path in paths]
        assert stored["content"][0]["attachment"]["url"] == there
        assert stored["extension"][0] == {"url": url, "valueUrl": f"{there}#page"}
        assert stored["extension"][1]["valueString"] == url
        assert stored["identifier"][0]["value"] == url
        assert stored["contained"][0]["extension"][0]["valueUri"] == there
        assert f'src="{there}"' in stored["text"]["div"]
        assert kept["entry"][0]["fullUrl"] == url
        assert care["instantiatesCanonical"] == [f"{there}|2", "http://a/b"]
        assert care["instantiatesUri"] == ["urn:uuid:unknown", there]
        found = await stage.ask("GET", f"/CarePlan?instantiates-uri={there}")
        assert len(found.json["entry"]) == 1

    staged(tmp_path, scenario)


def test_links_to_what_a_condition_found_name_it(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        known = patient(id="p1", identifier=[{"system": "urn:s", "value": "1"}])
        await stage.ask("PUT", "/Patient/p1", known)
        reply = await stage.ask(
            "POST", "", bundle(
                "transaction",
                entry("POST", "DocumentReference", document(PATIENT_URL)),
                entry("POST", "Patient", patient(), PATIENT_URL, ifNoneExist="identifier=urn:s|1"),
            ),
        )  # fmt: skip
        assert reply.status == 200, reply.body
        stored = (await stage.ask("GET", "/" + reply.json["entry"][0]["response"]["location"])).json
        assert stored["content"][0]["attachment"]["url"] == "Patient/p1"
        assert stored["extension"][0]["valueUrl"] == "Patient/p1#page"
        assert stored["contained"][0]["extension"][0]["valueUri"] == "Patient/p1"
        assert 'src="Patient/p1"' in stored["text"]["div"]

    staged(tmp_path, scenario)


def test_one_bad_entry_refuses_the_whole_and_is_named(tmp_path: Path) -> None:
    bad = patient(contact=[{"gender": "X"}])
    cases: list[tuple[dict[str, Any], str, int]] = [
        (entry("POST", "Patient", bad), "Bundle.entry[1].resource.contact[0].gender", 422),
        (entry("POST", "Observation", patient()), "Bundle.entry[1].resource", 422),
        (entry("POST", "Patient"), "Bundle.entry[1].resource", 400),
        (entry("POST", "Patiant", patient()), "Bundle.entry[1].request.url", 400),
        (entry("PUT", "Patient", patient()), "Bundle.entry[1].request.url", 400),
        (entry("PUT", "Patient/x", patient(id="y")), "Bundle.entry[1].resource", 400),
        (entry("PUT", "Patient/x", patient(id="x"), ifMatch="W/x"), "Bundle.entry[1].resource", 400),
        (entry("POST", "Patient", patient(), PATIENT_URL), "Bundle.entry[1].fullUrl", 400),
        (entry("PATCH", "Patient/x"), "Bundle.entry[1].request", 400),
        (entry("GET", "Nothing/x"), "Bundle.entry[1].request", 404),
        (entry("PUT", "Patient?colour=red", patient()), "Bundle.entry[1].request", 400),
        (entry("POST", "Observation", observation("Patient?identifier=no|one")), "Bundle.entry[1].resource", 400),
        (entry("DELETE", "Patient?identifier=a|b"), "", 200),
    ]

    async def scenario(stage: Stage) -> None:
        for one, place, status in cases:
            before = len(stage.vault.rows)
            reply = await stage.ask(
                "POST", "/", bundle("transaction", entry("POST", "Patient", patient(), PATIENT_URL), one)
            )
            assert reply.status == status, (one, reply.body)
            if status != 200:
                assert reply.json["issue"][0]["expression"] == [place], (one, reply.body)
                assert len(stage.vault.rows) == before
        late = await stage.ask(
            "POST", "", bundle(
                "transaction",
                entry("POST", "Patient", patient()),
                entry("PUT", "Patient/new", patient(id="new"), ifMatch='W/"4"'),
            ),
        )  # fmt: skip
        assert (late.status, late.code) == (412, "HYG-150")
        assert stage.vault.current("Patient", "new") is None

    staged(tmp_path, scenario)


def test_conditional_references_creates_updates_and_deletes(tmp_path: Path) -> None:
    doctor = {
        "resourceType": "Practitioner",
        "id": "d1",
        "identifier": [{"system": "https://rpps.esante.gouv.fr", "value": "10000000001"}],
    }
    known = patient(id="p1", identifier=[{"system": "urn:s", "value": "1"}])

    async def scenario(stage: Stage) -> None:
        await stage.ask("PUT", "/Practitioner/d1", doctor)
        await stage.ask("PUT", "/Patient/p1", known)
        await stage.ask("PUT", "/Patient/p9", patient(id="p9", identifier=[{"system": "urn:s", "value": "9"}]))
        by = [{"reference": "Practitioner?identifier=https://rpps.esante.gouv.fr|10000000001"}]
        org_url = "urn:uuid:22222222-2222-4222-8222-222222222222"
        organization = {"resourceType": "Organization", "name": "CHU", "identifier": [{"value": "750000001"}]}
        by_org = [{"reference": org_url}]
        reply = await stage.ask(
            "POST", "", bundle(
                "transaction",
                entry("POST", "Observation", observation(PATIENT_URL, performer=by)),
                entry("POST", "Patient", patient(), PATIENT_URL, ifNoneExist="identifier=urn:s|1"),
                entry("PUT", "Organization?identifier=750000001", organization, org_url),
                entry("POST", "Observation", observation("Patient?identifier=urn:s|1", performer=by_org)),
                entry("DELETE", "Patient?identifier=urn:s|9"),
            ),
        )  # fmt: skip
        assert reply.status == 200, reply.body
        responses = [e["response"] for e in reply.json["entry"]]
        assert [r["status"] for r in responses] == [
            "201 Created", "200 OK", "201 Created", "201 Created", "204 No Content",
        ]  # fmt: skip
        assert responses[1]["location"] == "Patient/p1"
        first = await stage.ask("GET", "/" + responses[0]["location"].partition("/_history")[0])
        assert first.json["subject"]["reference"] == "Patient/p1"
        assert first.json["performer"][0]["reference"] == "Practitioner/d1"
        last = await stage.ask("GET", "/" + responses[3]["location"].partition("/_history")[0])
        assert last.json["subject"]["reference"] == "Patient/p1"
        assert last.json["performer"][0]["reference"] == responses[2]["location"].partition("/_history")[0]
        for row in stage.vault.rows:
            if row.stored.type == "Observation":
                assert row.patients == ("p1",)
        found = await stage.ask("GET", "/Observation?performer=Practitioner/d1&subject=Patient/p1")
        assert len(found.json["entry"]) == 1
        again = await stage.ask(
            "POST", "", bundle("transaction", entry("PUT", "Organization?identifier=750000001", organization, org_url))
        )
        assert again.json["entry"][0]["response"]["etag"] == 'W/"2"'

    staged(tmp_path, scenario)


def test_a_conditional_reference_may_escape_a_comma(tmp_path: Path) -> None:
    """A search writes ``\\,`` for a comma inside a value, and JSON doubles the backslash."""

    async def scenario(stage: Stage) -> None:
        await stage.ask("PUT", "/Patient/p1", patient(id="p1", name=[{"family": "Le Goff, veuve Martin"}]))
        await stage.ask("PUT", "/Patient/p2", patient(id="p2", name=[{"family": "veuve Martin"}]))
        said = "Patient?family=Le Goff\\, veuve Martin"
        reply = await stage.ask("POST", "", bundle("transaction", entry("POST", "Observation", observation(said))))
        assert reply.status == 200, reply.body
        path = reply.json["entry"][0]["response"]["location"].partition("/_history")[0]
        assert (await stage.ask("GET", f"/{path}")).json["subject"]["reference"] == "Patient/p1"
        assert len((await stage.ask("GET", "/Observation?subject=Patient/p1")).json["entry"]) == 1
        lost = bundle("transaction", entry("POST", "Observation", observation("Patient?family=x\\,y")))
        assert (await stage.ask("POST", "", lost)).status == 400

    staged(tmp_path, scenario)


def test_ambiguous_conditions_refuse_the_whole(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        twin = patient(identifier=[{"system": "urn:s", "value": "1"}])
        await stage.ask("POST", "/Patient", twin)
        await stage.ask("POST", "/Patient", twin)
        for one in (
            entry("POST", "Observation", observation("Patient?identifier=urn:s|1")),
            entry("POST", "Patient", twin, ifNoneExist="identifier=urn:s|1"),
            entry("DELETE", "Patient?identifier=urn:s|1"),
        ):
            reply = await stage.ask("POST", "", bundle("transaction", entry("POST", "Patient", patient()), one))
            assert (reply.status, reply.code) == (412, "HYG-151")
            assert reply.json["issue"][0]["expression"][0].startswith("Bundle.entry[1].")
        twice = [entry("POST", "Patient", twin, ifNoneExist="identifier=urn:s|2") for _ in range(2)]
        assert (await stage.ask("POST", "", bundle("transaction", *twice))).status == 400
        assert len(stage.vault.rows) == 2

    staged(tmp_path, scenario)


def test_transaction_reads_see_its_writes_and_rights_are_asked_for_all(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        await stage.ask("PUT", "/Patient/old", patient(id="old"))
        mixed = bundle(
            "transaction",
            entry("GET", "Patient/p1"),
            entry("PUT", "Patient/p1", patient(id="p1")),
            entry("DELETE", "Patient/old"),
            entry("GET", "Patient?_id=p1"),
            entry("GET", "Patient/none"),
        )
        reply = await stage.ask("POST", "", mixed)
        entries = reply.json["entry"]
        assert entries[0]["resource"]["id"] == "p1"
        assert entries[3]["resource"]["entry"][0]["resource"]["id"] == "p1"
        assert entries[4]["response"]["status"] == "404 Not Found"
        given = stage.gate.admitted[-4]  # a PUT may turn out to create
        assert {given.action, *given.also} == {Action.OBJECT_CREATE, Action.OBJECT_DELETE, Action.OBJECT_UPDATE}
        denied = await stage.ask("POST", "", mixed, token="reader")
        assert denied.status == 403
        assert (await stage.ask("POST", "", mixed, token=None)).status == 401
        whole = await stage.ask("POST", "", mixed, headers={"prefer": "return=representation"})
        assert whole.json["entry"][1]["resource"]["meta"]["versionId"] == "2"

    staged(tmp_path, scenario)


def test_batch_entries_stand_alone(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        await stage.ask("PUT", "/Patient/old", patient(id="old"))
        reply = await stage.ask(
            "POST", "", bundle(
                "batch",
                entry("POST", "Patient", patient()),
                entry("POST", "Patient", patient(gender="X")),
                entry("GET", "Patient/old"),
                entry("GET", f"https://localhost{BASE}/Patient?_id=old"),
                entry("PUT", "Patient/old", patient(id="old"), ifMatch='W/"8"'),
                entry("GET", "Nothing/1"),
                entry("PATCH", "Patient/old"),
                entry("POST", "/", bundle("batch")),
                entry("GET", "metadata"),
            ),
        )  # fmt: skip
        assert reply.json["type"] == "batch-response"
        statuses = [e["response"]["status"][:3] for e in reply.json["entry"]]
        assert statuses == ["201", "422", "200", "200", "412", "404", "405", "400", "200"]
        outcome = reply.json["entry"][1]["response"]["outcome"]
        assert outcome["issue"][0]["expression"] == ["Bundle.entry[1].resource.gender"]
        assert reply.json["entry"][2]["resource"]["id"] == "old"
        reader = await stage.ask(
            "POST", "", bundle("batch", entry("GET", "Patient/old"), entry("DELETE", "Patient/old")), token="reader"
        )
        assert [e["response"]["status"][:3] for e in reader.json["entry"]] == ["200", "403"]

    staged(tmp_path, scenario)


def test_a_failure_shared_by_several_writes_names_each_in_its_own_place(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        stage.vault.broken = VaultBusyError(part="vault")  # as a group of writes gets it: one for all
        entries = [entry("POST", "Patient", patient()) for _ in range(3)]
        reply = await stage.ask("POST", "", bundle("batch", *entries))
        places = [e["response"]["outcome"]["issue"][0]["expression"] for e in reply.json["entry"]]
        assert places == [[f"Bundle.entry[{n}].resource"] for n in range(3)]
        alone = await stage.ask("POST", "/Patient", patient())
        assert (alone.status, "expression" in alone.json["issue"][0]) == (503, False)

    staged(tmp_path, scenario)


def test_the_answers_of_one_bundle_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hygie.fhir.bundles.ANSWERS_BYTES_MAX", 20_000)

    async def scenario(stage: Stage) -> None:
        await stage.ask("PUT", "/Patient/p1", patient(id="p1", address=[{"text": "x" * 1_000}]))
        for kind in ("batch", "transaction"):
            reply = await stage.ask("POST", "", bundle(kind, *(entry("GET", "Patient/p1") for _ in range(100))))
            issues = [e["response"].get("outcome", {"issue": [{}]})["issue"][0] for e in reply.json["entry"]]
            refused = [n for n, issue in enumerate(issues) if "HYG-376" in str(issue)]
            assert 40 < len(refused) < 90
            assert issues[refused[0]]["expression"] == [f"Bundle.entry[{refused[0]}].request"]
        late = [entry("GET", "Patient/p1") for _ in range(60)] + [entry("DELETE", "Patient/p1")]
        reply = await stage.ask("POST", "", bundle("batch", *late))
        assert reply.json["entry"][-1]["response"]["status"].startswith("413")
        assert (await stage.ask("GET", "/Patient/p1")).status == 200

    staged(tmp_path, scenario)


def test_other_bundles_and_empty_ones(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        document = await stage.ask("POST", "", bundle("collection", entry("POST", "Patient", patient())))
        assert (document.status, document.json["issue"][0]["expression"]) == (400, ["Bundle.type"])
        empty = await stage.ask("POST", "", {"resourceType": "Bundle", "type": "transaction"})
        assert (empty.status, empty.json) == (200, {"resourceType": "Bundle", "type": "transaction-response"})
        assert (await stage.ask("POST", "", patient())).status == 422
        kept = await stage.ask("POST", "/Bundle", bundle("collection", {"resource": patient()}))
        assert kept.status == 201

    staged(tmp_path, scenario)


def test_large_bundles_take_turns_and_let_reads_through(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        await stage.ask("PUT", "/Patient/p1", patient(id="p1"))
        large = bundle("transaction", *(entry("POST", "Observation", observation("Patient/p1")) for _ in range(1500)))
        posts = [asyncio.create_task(stage.ask("POST", "", large)) for _ in range(2)]
        turns = 0
        while not all(post.done() for post in posts):
            assert (await stage.ask("GET", "/Patient/p1")).status == 200
            turns += 1
        assert turns >= 2
        for post in posts:
            assert len((await post).json["entry"]) == 1500
        assert stage.vault.writes == 3

    staged(tmp_path, scenario)


def test_a_long_bundle_gives_the_loop_back(tmp_path: Path) -> None:
    text = json.dumps(
        bundle("transaction", *(entry("POST", "Observation", observation("Patient/p1")) for _ in range(1500)))
    )

    async def main() -> None:
        view = parse_bundle(text.encode())
        preparing = asyncio.create_task(Transaction("https://h").prepare(view.entries, Breath()))
        turns = 0
        while not preparing.done():
            await asyncio.sleep(0)
            turns += 1
        assert turns > 10  # some 60 ms of CPU, three turns every 2 ms

    asyncio.run(main())


@pytest.mark.skipif(not SYNTHEA.exists(), reason="the shared FHIR data are not here")
def test_a_synthea_bundle_goes_through_whole(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        raw = sorted(SYNTHEA.iterdir())[3].read_bytes()
        sent = json.loads(gzip.decompress(raw))
        reply = await stage.ask("POST", "", raw, headers={"content-encoding": "gzip"})
        assert reply.status == 200, reply.body
        assert len(reply.json["entry"]) == len(sent["entry"])
        assert not any(b'"reference":"urn:uuid:' in row.stored.body for row in stage.vault.rows)
        first = await stage.ask("GET", "/" + reply.json["entry"][0]["response"]["location"])
        assert first.json["name"] == sent["entry"][0]["resource"]["name"]

    staged(tmp_path, scenario)
