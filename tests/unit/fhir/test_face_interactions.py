"""One resource over HTTPS: create, read, update, delete, versions, conditions, headers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.unit.fhir.face_stage import START_MS, Stage, observation, patient, staged


def test_what_was_written_is_read_back_equal_decimals_included(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        made = await stage.ask("POST", "/Observation", observation("Patient/p1"))
        assert made.status == 201
        id_ = made.json["id"]
        assert re.fullmatch(r"[0-9a-f]{32}", id_)
        assert made.headers["location"] == f"https://localhost/acme/prod/fhir/Observation/{id_}/_history/1"
        assert made.headers["etag"] == 'W/"1"'
        read = await stage.ask("GET", f"/Observation/{id_}")
        assert read.status == 200
        assert read.body == made.body
        assert read.headers["content-type"] == "application/fhir+json; charset=utf-8"
        assert read.headers["last-modified"] == "Tue, 14 Nov 2023 22:13:20 GMT"
        assert read.json["meta"] == {"versionId": "1", "lastUpdated": "2023-11-14T22:13:20.123Z"}
        assert b'"value":1.50,' in read.body
        head = await stage.ask("HEAD", f"/Observation/{id_}")
        assert head.headers["content-length"] == str(len(read.body))
        assert head.body == b""

    staged(tmp_path, scenario)


def test_client_meta_is_kept_without_its_version(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        meta = {"versionId": "9", "lastUpdated": "2001-01-01T00:00:00Z", "tag": [{"code": "x"}]}
        made = await stage.ask("POST", "/Patient", patient(id="mine", meta=meta))
        assert made.json["id"] != "mine"
        assert made.json["meta"]["versionId"] == "1"
        assert made.json["meta"]["tag"] == [{"code": "x"}]
        only = await stage.ask("POST", "/Patient", patient(meta={"versionId": "9"}))
        assert only.json["meta"] == {"versionId": "1", "lastUpdated": only.json["meta"]["lastUpdated"]}
        assert all(b"versionId" not in row.stored.body for row in stage.vault.rows)

    staged(tmp_path, scenario)


def test_update_versions_and_if_match(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        first = await stage.ask("PUT", "/Patient/p1", patient(id="p1"))
        assert first.status == 201
        second = await stage.ask("PUT", "/Patient/p1", patient(id="p1", active=True), headers={"if-match": 'W/"1"'})
        assert (second.status, second.headers["etag"]) == (200, 'W/"2"')
        late = await stage.ask("PUT", "/Patient/p1", patient(id="p1"), headers={"if-match": 'W/"1"'})
        assert (late.status, late.code) == (412, "HYG-150")
        never = await stage.ask("PUT", "/Patient/p1", patient(id="p1"), headers={"if-none-match": "*"})
        assert never.status == 412
        bad = await stage.ask("PUT", "/Patient/p1", patient(id="p1"), headers={"if-match": "yesterday"})
        assert (bad.status, bad.code) == (400, "HYG-174")
        other = await stage.ask("PUT", "/Patient/p1", patient(id="p2"))
        assert (other.status, other.code) == (400, "HYG-174")
        assert (await stage.ask("PUT", "/Patient/p1", patient())).status == 400
        old = await stage.ask("GET", "/Patient/p1/_history/1")
        assert "active" not in old.json
        assert (await stage.ask("GET", "/Patient/p1/_history/3")).status == 404

    staged(tmp_path, scenario)


def test_delete_then_gone_then_back(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        await stage.ask("PUT", "/Patient/p1", patient(id="p1"))
        gone = await stage.ask("DELETE", "/Patient/p1")
        assert (gone.status, gone.headers["etag"], gone.body) == (204, 'W/"2"', b"")
        read = await stage.ask("GET", "/Patient/p1")
        assert (read.status, read.code) == (410, "HYG-350")
        assert (await stage.ask("DELETE", "/Patient/p1")).status == 204
        assert (await stage.ask("DELETE", "/Patient/never")).status == 204
        assert (await stage.ask("GET", "/Patient/p1/_history/2")).status == 410
        assert (await stage.ask("GET", "/Patient/p1/_history/1")).status == 200
        assert (await stage.ask("PUT", "/Patient/p1", patient(id="p1"))).headers["etag"] == 'W/"3"'

    staged(tmp_path, scenario)


def test_not_modified_by_tag_and_by_date(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        await stage.ask("PUT", "/Patient/p1", patient(id="p1"))
        same = await stage.ask("GET", "/Patient/p1", headers={"if-none-match": 'W/"7", W/"1"'})
        assert (same.status, same.body) == (304, b"")
        assert (await stage.ask("GET", "/Patient/p1", headers={"if-none-match": 'W/"2"'})).status == 200
        date = "Tue, 14 Nov 2023 22:13:20 GMT"
        assert START_MS // 1000 == 1_700_000_000
        assert (await stage.ask("GET", "/Patient/p1", headers={"if-modified-since": date})).status == 304
        before = date.replace(":20 ", ":19 ")
        assert (await stage.ask("GET", "/Patient/p1", headers={"if-modified-since": before})).status == 200
        assert (await stage.ask("GET", "/Patient/p1", headers={"if-modified-since": "soon"})).status == 200

    staged(tmp_path, scenario)


def test_conditional_create_update_and_delete(tmp_path: Path) -> None:
    identifier = [{"system": "urn:s", "value": "42"}]
    condition = "identifier=urn:s|42"

    async def scenario(stage: Stage) -> None:
        header = {"if-none-exist": condition}
        made = await stage.ask("POST", "/Patient", patient(identifier=identifier), headers=header)
        assert made.status == 201
        id_ = made.json["id"]
        again = await stage.ask("POST", "/Patient", patient(identifier=identifier), headers=header)
        assert (again.status, again.body) == (200, b"")
        assert again.headers["location"].endswith(f"/Patient/{id_}")
        put = await stage.ask("PUT", f"/Patient?{condition}", patient(identifier=identifier, active=True))
        assert (put.status, put.json["id"], put.headers["etag"]) == (200, id_, 'W/"2"')
        wrong = await stage.ask("PUT", f"/Patient?{condition}", patient(id="other", identifier=identifier))
        assert wrong.status == 400
        upsert = await stage.ask("PUT", "/Patient?identifier=urn:s|43", patient(id="chosen"))
        assert (upsert.status, upsert.json["id"]) == (201, "chosen")
        assert (await stage.ask("PUT", "/Patient?identifier=urn:s|44", patient())).status == 201
        await stage.ask("POST", "/Patient", patient(identifier=identifier))
        assert (await stage.ask("PUT", f"/Patient?{condition}", patient())).code == "HYG-151"
        assert (await stage.ask("DELETE", f"/Patient?{condition}")).status == 412
        await stage.ask("DELETE", f"/Patient/{id_}")
        assert (await stage.ask("DELETE", f"/Patient?{condition}")).status == 204
        assert (await stage.ask("DELETE", f"/Patient?{condition}")).status == 204
        assert (await stage.ask("DELETE", "/Patient")).status == 400
        assert (await stage.ask("DELETE", "/Patient?_id=chosen")).status == 400

    staged(tmp_path, scenario)


@pytest.mark.parametrize(
    ("prefer", "kind"),
    [("return=minimal", ""), ("return=OperationOutcome", "OperationOutcome"), ("return=representation", "Patient")],
)
def test_prefer_chooses_what_comes_back(tmp_path: Path, prefer: str, kind: str) -> None:
    async def scenario(stage: Stage) -> None:
        made = await stage.ask("POST", "/Patient", patient(), headers={"prefer": f"respond-async; {prefer}"})
        assert made.status == 201
        assert (made.json["resourceType"] if made.body else "") == kind

    staged(tmp_path, scenario)


def test_refusals_name_the_place_in_both_languages_and_are_journaled(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        bad = patient(birthDate="not-a-date-Martin")
        french = await stage.ask("POST", "/Patient", bad)
        assert (french.status, french.json["issue"][0]["expression"]) == (422, ["Patient.birthDate"])
        assert "n'est pas conforme" in french.json["issue"][0]["details"]["text"]
        english = await stage.ask("POST", "/Patient", bad, headers={"accept-language": "de, en;q=0.8, fr;q=0.1"})
        assert "does not conform" in english.json["issue"][0]["details"]["text"]
        assert b"Martin" not in french.body
        assert stage.vault.refusals == ["HYG-173", "HYG-173"]
        assert (await stage.ask("POST", "/Patient", b"{")).status == 400
        assert (await stage.ask("POST", "/Observation", patient())).status == 422
        assert not stage.vault.rows

    staged(tmp_path, scenario)


def test_nobody_stranger_and_reader(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        await stage.ask("PUT", "/Patient/p1", patient(id="p1"))
        nobody = await stage.ask("GET", "/Patient/p1", token=None)
        assert (nobody.status, nobody.headers["www-authenticate"]) == (401, 'Bearer realm="hygie"')
        assert (await stage.ask("GET", "/Patient/p1", token="stolen")).status == 401
        other = await stage.ask("GET", "/Patient/p1", base="/other/prod/fhir")
        absent = await stage.ask("GET", "/Patient/none")
        assert (other.status, other.body) == (absent.status, absent.body)
        denied = await stage.ask("PUT", "/Patient/p1", patient(id="p1"), token="reader")
        assert (denied.status, denied.code) == (403, "HYG-200")
        assert (await stage.ask("GET", "/Patient/p1", token="reader")).status == 200

    staged(tmp_path, scenario)


def test_the_gate_gets_purpose_address_and_a_bounded_device(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        headers = {"x-purpose-of-use": "TREAT", "user-agent": "probe/1 " + "x" * 500}
        await stage.ask("GET", "/Patient/p1", headers=headers)
        permit = stage.gate.admitted[-1]
        assert (permit.purpose, permit.address) == ("TREAT", "127.0.0.1")
        assert permit.device.startswith("probe/1 xxx")
        assert len(permit.device) == 128

    staged(tmp_path, scenario)
