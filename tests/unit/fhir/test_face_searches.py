"""Searches, histories and whole records over HTTPS: pages, links, totals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.unit.fhir.face_stage import BASE, Reply, Stage, observation, patient, staged

HOST = "https://localhost"


def link(reply: Reply, relation: str) -> str | None:
    return next((one["url"] for one in reply.json["link"] if one["relation"] == relation), None)


async def walk(stage: Stage, path: str) -> list[dict[str, Any]]:
    """All entries, following next links."""
    entries: list[dict[str, Any]] = []
    url: str | None = f"{HOST}{BASE}{path}"
    while url:
        reply = await stage.ask("GET", url.removeprefix(HOST + BASE))
        assert reply.status == 200, reply.body
        entries += reply.json.get("entry", [])
        url = link(reply, "next")
    return entries


async def fill(stage: Stage) -> None:
    for n in range(3):
        await stage.ask("PUT", f"/Patient/p{n}", patient(id=f"p{n}"))
        for m in range(4):
            more = {"id": f"o{n}{m}", "effectiveDateTime": f"2024-0{m + 1}-05"}
            await stage.ask("PUT", f"/Observation/o{n}{m}", observation(f"Patient/p{n}", f"{m}.50", **more))


def test_search_by_get_and_by_post(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        await fill(stage)
        got = await stage.ask("GET", "/Observation?subject=Patient/p1&code=http://loinc.org|718-7")
        assert got.json["type"] == "searchset"
        assert [e["resource"]["id"] for e in got.json["entry"]] == ["o13", "o12", "o11", "o10"]
        assert got.json["entry"][0]["fullUrl"] == f"{HOST}{BASE}/Observation/o13"
        assert got.json["entry"][0]["search"] == {"mode": "match"}
        assert "total" not in got.json
        form = {"content-type": "application/x-www-form-urlencoded"}
        posted = await stage.ask(
            "POST", "/Observation/_search", b"subject=Patient%2Fp1&value-quantity=lt2", headers=form
        )
        assert [e["resource"]["id"] for e in posted.json["entry"]] == ["o11", "o10"]
        assert (await stage.ask("POST", "/Observation/_search", b"{}")).status == 415
        inside = await stage.ask("GET", "/Patient/p2/Observation?_sort=date&_count=2&_total=accurate")
        assert [e["resource"]["id"] for e in inside.json["entry"]] == ["o20", "o21"]
        assert inside.json["total"] == 4
        count = await stage.ask("GET", "/Observation?_summary=count")
        assert (count.json["total"], "entry" in count.json) == (12, False)

    staged(tmp_path, scenario)


def test_pages_follow_and_end(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        await fill(stage)
        entries = await walk(stage, "/Observation?code=718-7&_count=5")
        assert len({e["resource"]["id"] for e in entries}) == len(entries) == 12
        assert (await stage.ask("GET", "/Observation?_cursor=forged")).code == "HYG-154"

    staged(tmp_path, scenario)


def test_include_and_decimals_in_a_page(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        await fill(stage)
        reply = await stage.ask("GET", "/Observation?_id=o11&_include=Observation:subject")
        modes = {e["resource"]["id"]: e["search"]["mode"] for e in reply.json["entry"]}
        assert modes == {"o11": "match", "p1": "include"}
        assert b'"value":1.50,' in reply.body

    staged(tmp_path, scenario)


def test_unknown_parameters_are_refused_or_left_out_as_preferred(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        strict = await stage.ask("GET", "/Observation?colour=red")
        assert (strict.status, strict.code) == (400, "HYG-175")
        assert stage.vault.refusals == ["HYG-175"]
        assert (await stage.ask("GET", "/Observation?colour=red", headers={"prefer": "handling=lenient"})).status == 200
        many = "&".join(f"a{n}=1" for n in range(300))
        assert (await stage.ask("GET", f"/Observation?{many}")).status == 400
        assert (await stage.ask("GET", "/Observation?code=%ff%fe")).status == 400

    staged(tmp_path, scenario)


def test_a_patient_is_found_by_the_patient_it_is_linked_to(tmp_path: Path) -> None:
    """It belongs to itself alone: looking among what belongs to the other one found nothing."""

    async def scenario(stage: Stage) -> None:
        await stage.ask("PUT", "/Patient/old", patient(id="old"))
        linked = [{"other": {"reference": "Patient/old"}, "type": "replaces"}]
        await stage.ask("PUT", "/Patient/new", patient(id="new", link=linked))
        assert [e["resource"]["id"] for e in await walk(stage, "/Patient?link=Patient/old")] == ["new"]

    staged(tmp_path, scenario)


def test_links_say_what_was_searched_and_can_be_followed(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        await fill(stage)
        asked = "/Observation?colour=red&code:text=x&code=718-7&_count=5"
        page = await stage.ask("GET", asked, headers={"prefer": "handling=lenient"})
        assert link(page, "self") == f"{HOST}{BASE}/Observation?code=718-7&_count=5"
        following = link(page, "next")
        assert following is not None
        assert len(page.json["entry"] + await walk(stage, following.removeprefix(HOST + BASE))) == 12

    staged(tmp_path, scenario)


def test_history_of_an_object_a_type_and_all(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        await fill(stage)
        await stage.ask("PUT", "/Patient/p1", patient(id="p1", active=True))
        await stage.ask("DELETE", "/Patient/p1")
        entries = await walk(stage, "/Patient/p1/_history?_count=2")
        assert [(e["request"]["method"], e["response"]["status"]) for e in entries] == [
            ("DELETE", "204"), ("PUT", "200"), ("PUT", "201"),
        ]  # fmt: skip
        assert [e["response"]["etag"] for e in entries] == ['W/"3"', 'W/"2"', 'W/"1"']
        assert "resource" not in entries[0]
        assert entries[1]["resource"]["meta"]["versionId"] == "2"
        assert len(await walk(stage, "/Patient/_history?_count=2")) == 5
        assert len(await walk(stage, "/_history?_count=7")) == 17
        since = entries[1]["response"]["lastModified"]
        assert len(await walk(stage, f"/_history?_since={since}")) == 2
        assert (await stage.ask("GET", "/Patient/none/_history")).status == 404
        assert (await stage.ask("GET", "/Patient/p1/_history?_since=soon")).code == "HYG-176"
        assert (await stage.ask("GET", "/Patient/p1/_history?_at=2024")).code == "HYG-175"
        assert (await stage.ask("GET", "/Patient/p1/_history?_count=0")).status == 400

    staged(tmp_path, scenario)


def test_everything_of_a_patient_by_pages(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        await fill(stage)
        entries = await walk(stage, "/Patient/p1/$everything?_count=2")
        assert {e["resource"]["id"] for e in entries} == {"p1", "o10", "o11", "o12", "o13"}
        typed = await walk(stage, "/Patient/p1/%24everything?_type=Observation")
        assert len(typed) == 4
        assert (await stage.ask("GET", "/Patient/none/$everything")).status == 404
        assert (await stage.ask("GET", "/Patient/p1/$everything?start=2024")).status == 400

    staged(tmp_path, scenario)
