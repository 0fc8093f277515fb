"""Addresses, methods, formats, encodings, incidents: what every interaction has in common."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from hygie.fhir.answers import server_refusal
from hygie.fhir.requests import accepts_json, is_json_content, make_call
from tests.unit.fhir.face_stage import Stage, observation, patient, staged


def test_addresses_that_name_nothing(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        for path in (
            "/Patiant/1", "/Patient/a_b", "/Patient/1/2", "/Patient/1/_history/x", "/Patient/1/_history/1/2",
            "/Patient/1/$nothing", "/Observation/1/$everything", "/Patient/" + "a" * 65, "/$export", "/_history/1",
            "/Patient/1%2F2/_history",
        ):  # fmt: skip
            reply = await stage.ask("GET", path)
            assert (path, reply.status, reply.code) == (path, 404, "HYG-370")
        for base in ("", "/acme", "/acme/prod", "/acme/prod/other"):
            assert (await stage.ask("GET", "/Patient/1", base=base)).status == 404

    staged(tmp_path, scenario)


def test_methods_that_do_not_apply_say_which_do(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        for method, path, allow in (
            ("POST", "/Patient/1", "DELETE, GET, HEAD, OPTIONS, PUT"),
            ("PATCH", "/Patient/1", "DELETE, GET, HEAD, OPTIONS, PUT"),
            ("GET", "/", "OPTIONS, POST"),
            ("PUT", "/Patient/1/_history/1", "GET, HEAD, OPTIONS"),
            ("GET", "/Patient/_search", "OPTIONS, POST"),
        ):
            reply = await stage.ask(method, path)
            assert (reply.status, reply.code, reply.headers["allow"]) == (405, "HYG-371", allow)
        options = await stage.ask("OPTIONS", "/Patient", token=None)
        assert (options.status, options.headers["allow"]) == (204, "DELETE, GET, HEAD, OPTIONS, POST, PUT")

    staged(tmp_path, scenario)


def test_only_json_is_served_and_read(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        await stage.ask("PUT", "/Patient/p1", patient(id="p1"))
        for accept in ("application/fhir+xml", "text/html", "application/fhir+json; fhirVersion=3.0", "x/y, */*;q=0"):
            assert (await stage.ask("GET", "/Patient/p1", headers={"accept": accept})).code == "HYG-372"
        for accept in ("application/fhir+json;fhirVersion=4.0", "text/html, */*;q=0.1", "application/json"):
            assert (await stage.ask("GET", "/Patient/p1", headers={"accept": accept})).status == 200
        assert (await stage.ask("GET", "/Patient/p1?_format=xml")).status == 406
        assert (await stage.ask("GET", "/Patient/p1?_format=json", headers={"accept": "text/html"})).status == 200
        for kind in ("application/fhir+xml", "text/plain", "application/fhir+json; charset=latin-1"):
            reply = await stage.ask("POST", "/Patient", patient(), headers={"content-type": kind})
            assert (reply.status, reply.code) == (415, "HYG-374")
        reply = await stage.ask("POST", "/Patient", patient(), headers={"content-encoding": "br"})
        assert reply.status == 415

    staged(tmp_path, scenario)


def test_pretty_keeps_decimals(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        made = await stage.ask("POST", "/Observation", observation("Patient/p1", "0.010"))
        shown = await stage.ask("GET", f"/Observation/{made.json['id']}?_pretty=true")
        assert b'\n  "status": "final"' in shown.body
        assert b'"value": 0.010,' in shown.body
        assert shown.json == made.json

    staged(tmp_path, scenario)


def test_gzip_both_ways(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        big = patient(id="p1", contact=[{"name": {"family": f"Proche {n}"}} for n in range(200)])
        raw = gzip.compress(json.dumps(big).encode())
        made = await stage.ask("PUT", "/Patient/p1", raw, headers={"content-encoding": "gzip"})
        assert made.status == 201
        shown = await stage.ask("GET", "/Patient/p1", headers={"accept-encoding": "br, gzip"})
        assert shown.headers["content-encoding"] == "gzip"
        assert gzip.decompress(shown.body) == made.body
        for refused in (None, "gzip;q=0", "x-not-gzip"):
            plain = await stage.ask("GET", "/Patient/p1", headers={"accept-encoding": refused} if refused else {})
            assert "content-encoding" not in plain.headers
        broken = await stage.ask("PUT", "/Patient/p1", raw[:-10], headers={"content-encoding": "gzip"})
        assert (broken.status, broken.code) == (400, "HYG-174")
        huge = patient(id="p2", text={"status": "empty", "div": "x" * 600_000})
        made = await stage.ask("PUT", "/Patient/p2", huge, headers={"accept-encoding": "gzip"})
        assert json.loads(gzip.decompress(made.body))["text"] == huge["text"]
        trailing = await stage.ask("PUT", "/Patient/p1", raw + b"x", headers={"content-encoding": "gzip"})
        assert trailing.status == 400

    staged(tmp_path, scenario)


def test_accident_tells_a_number_and_logs_no_data(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(stage: Stage) -> None:
        stage.vault.broken = ValueError("Dupont Élise")
        reply = await stage.ask("POST", "/Patient?name=Dupont", patient())
        assert (reply.status, reply.code) == (500, "HYG-070")
        assert b"Dupont" not in reply.body
        number = reply.json["issue"][0]["details"]["text"].split("incident ")[1][:16]
        assert number in caplog.text

    with caplog.at_level("DEBUG"):
        staged(tmp_path, scenario)
    assert "ValueError" in caplog.text
    assert "face_stage.py" in caplog.text
    assert "Dupont" not in caplog.text
    assert "POST Patient 500" in caplog.text


def test_capability_statement_tells_what_works_without_a_token(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        reply = await stage.ask("GET", "/metadata", token=None)
        assert reply.status == 200
        statement = reply.json
        assert statement["implementation"]["url"] == "https://localhost/acme/prod/fhir"
        assert statement["fhirVersion"] == "4.0.1"
        resources = {one["type"]: one for one in statement["rest"][0]["resource"]}
        assert len(resources) > 140
        observation_ = {one["name"]: one["type"] for one in resources["Observation"]["searchParam"]}
        assert observation_["code"] == "token"
        assert observation_["date"] == "date"
        assert "Observation:subject" in resources["Observation"]["searchInclude"]
        assert resources["Patient"]["operation"][0]["name"] == "everything"
        # what it lists, the router serves; PATCH is not listed and answers 405
        for one in statement["rest"][0]["resource"][:150:15]:
            for parameter in one["searchParam"][:50]:
                if parameter["type"] == "token":
                    answer = await stage.ask("GET", f"/{one['type']}?{parameter['name']}=x")
                    assert answer.status == 200, (one["type"], parameter)

    staged(tmp_path, scenario)


def test_nothing_is_cached_nor_sniffed(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        reply = await stage.ask("GET", "/Patient/none")
        assert reply.headers["cache-control"] == "no-store"
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert "server" not in reply.headers

    staged(tmp_path, scenario)


def test_accept_and_content_type() -> None:
    assert accepts_json(b"")
    assert accepts_json(b"application/*")
    assert not accepts_json(b"application/fhir+json;q=0")
    assert is_json_content(b'application/fhir+json; charset="UTF-8"')
    assert not is_json_content(b"")


def test_a_refusal_of_the_server_speaks_the_language_of_the_face() -> None:
    for header, text in (
        (b"fr;q=0.1, en", b"refused"),
        (b"english-ish, fr", "refusée".encode()),
        (b"", "refusée".encode()),
    ):
        assert text in server_refusal(408, header)[1]


@pytest.mark.parametrize(
    ("server", "base"),
    [
        (("::1", 8443), "https://[::1]:8443"),
        (("127.0.0.1", 8443), "https://127.0.0.1:8443"),
        (None, "https://localhost"),
    ],
)
def test_without_a_host_the_address_is_the_server_s_own(server: Any, base: str) -> None:
    scope = {"headers": [], "method": "GET", "query_string": b"", "scheme": "https", "server": server}
    assert make_call(scope, None, "").base == base  # type: ignore[arg-type]
