"""A hostile or careless client at the FHIR face, before the real vault: never a 5xx, never a wrong answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Collection
from typing import Any

from hygie.base.actions import Action
from hygie.base.permit import Permit
from hygie.fhir.face import Face

Answer = tuple[int, Any, dict[bytes, bytes]]
BINARY = b'{"resourceType":"Patient","id":"forged"}'


class OpenGate:
    """Admits everybody: what is attacked here is behind the gate."""

    def __init__(self, house: Any) -> None:
        self._house = house

    async def admit(
        self,
        token: str,
        *,
        action: Action,
        also: Collection[Action] = (),
        if_held: Collection[Action] = (),
        **_: Any,
    ) -> Permit:
        permit: Permit = self._house.permit(action, *also, *if_held)
        return permit

    async def recognise(self, token: str, **_: Any) -> None:
        """Knows everybody."""


class Door:
    """Requests to the face, without a socket, so that their bytes are ours."""

    def __init__(self, house: Any) -> None:
        self._face = Face(OpenGate(house), house.vault, public_url="https://h.example")

    async def ask(self, method: str, path: str | bytes, body: Any = None, **headers: str) -> Answer:
        """Status, JSON (else bytes) and headers. path: below the base, bytes as they are; headers: ``_`` for ``-``."""
        place, _, query = (path.encode() if isinstance(path, str) else path).partition(b"?")
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        given = {"host": "h.example", "content-type": "application/fhir+json", "content-length": str(len(raw))}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        scope = {
            "type": "http",
            "method": method,
            "path": "/t/e/fhir" + place.decode(),
            "query_string": query,
            "headers": [(name.encode(), value.encode()) for name, value in given.items()],
            "scheme": "https",
        }
        sent: list[dict[str, Any]] = []
        waiting = [{"type": "http.request", "body": raw}]

        async def receive() -> dict[str, Any]:
            return waiting.pop() if waiting else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await self._face(scope, receive, send)
        content = b"".join(message.get("body", b"") for message in sent[1:])
        try:
            shown = json.loads(content) if content else None
        except ValueError:
            shown = content
        return sent[0]["status"], shown, dict(sent[0]["headers"])

    async def found(self, path: str | bytes) -> list[str]:
        """Ids that a search shows."""
        status, page, _ = await self.ask("GET", path)
        assert status == 200, page
        return sorted(entry["resource"]["id"] for entry in page.get("entry", ()))


def attack(open_house: Any, scenario: Callable[[Any, Door], Any]) -> None:
    async def main() -> None:
        async with open_house() as house:
            await scenario(house, Door(house))

    asyncio.run(main())


def person(id_: str | None = None, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient"} | ({"id": id_} if id_ else {}) | more


def measure(id_: str, **more: Any) -> dict[str, Any]:
    code = {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]}
    return {"resourceType": "Observation", "id": id_, "status": "final", "code": code} | more


def bundle(kind: str, *entries: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def entry(method: str, url: str, resource: Any = None, **request: str) -> dict[str, Any]:
    made: dict[str, Any] = {"request": {"method": method, "url": url, **request}}
    return made if resource is None else made | {"resource": resource}


def test_an_instant_with_many_digits_is_stored_and_breaks_no_search(open_house) -> None:
    """R4 does not bound the digits of a second; one such resource made every search by date answer 503."""

    async def scenario(_: Any, door: Door) -> None:
        at = {"o1": "2024-03-01T10:00:00.12345678901234Z", "o2": "2024-03-01T10:00:00.12345678901234+02:00"}
        for id_, instant in at.items():
            assert (await door.ask("PUT", f"/Observation/{id_}", measure(id_, effectiveDateTime=instant)))[0] == 201
        assert await door.found("/Observation?date=2024-03-01") == ["o1", "o2"]
        assert await door.found("/Observation?date=ge2024-03-01T09:00:00Z&_sort=-date") == ["o1"]

    attack(open_house, scenario)


def test_numbers_out_of_range_are_not_accidents(open_house) -> None:
    async def scenario(_: Any, door: Door) -> None:
        assert (await door.ask("PUT", "/Patient/p1", person("p1")))[0] == 201
        for version in ("0", "2147483648", "9999999999", "99999999999"):
            assert (await door.ask("GET", f"/Patient/p1/_history/{version}"))[0] == 404, version
        for since in ("0001", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"):
            for path in ("/Patient/p1/_history", "/Patient/_history", "/Patient/p1/$everything"):
                assert (await door.ask("GET", f"{path}?_since={since.replace('+', '%2B')}"))[0] == 200, (path, since)
        status, refusal, _ = await door.ask("PUT", "/Patient/p2", person("p2"), if_match='W/"0"')
        assert (status, refusal["issue"][0]["details"]["coding"][0]["code"]) == (400, "HYG-174")
        assert (await door.ask("GET", "/Patient/p2"))[0] == 404

    attack(open_house, scenario)


def test_a_batch_never_splices_a_content_into_its_answer(open_house) -> None:
    async def scenario(_: Any, door: Door) -> None:
        streamed = (await door.ask("POST", "/Binary", BINARY, content_type="text/plain"))[2]
        held = {"resourceType": "Binary", "contentType": "text/plain", "data": "eyJ4IjoxfQ=="}
        stored = (await door.ask("POST", "/Binary", held))[2]
        for headers in (streamed, stored):
            place = headers[b"location"].decode().partition("/fhir/")[2].partition("/_history")[0]
            for query in ("?_format=text/plain", "?_format=xml", ""):
                status, answer, _ = await door.ask("POST", "", bundle("batch", entry("GET", place + query)))
                assert status == 200, answer
                assert answer["entry"][0]["resource"]["resourceType"] == "Binary", answer

    attack(open_house, scenario)


def test_names_that_are_not_percent_encoded_are_read_as_utf_8(open_house) -> None:
    """A condition that was misread created a second resource."""

    async def scenario(_: Any, door: Door) -> None:
        assert (await door.ask("PUT", "/Patient/p1", person("p1", name=[{"family": "Éluard"}])))[0] == 201
        assert await door.found("/Patient?name=%C3%89luard") == ["p1"]
        assert await door.found("/Patient?name=Éluard".encode()) == ["p1"]
        assert (await door.ask("GET", b"/Patient?name=\xc9luard"))[0] == 400
        status, _, headers = await door.ask("POST", "/Patient", person(), if_none_exist="name=Éluard")
        assert (status, headers[b"location"]) == (200, b"https://h.example/t/e/fhir/Patient/p1")
        for kind in ("batch", "transaction"):
            one = entry("POST", "Patient", person(), ifNoneExist="name=Éluard")
            answer = (await door.ask("POST", "", bundle(kind, one)))[1]
            assert answer["entry"][0]["response"]["status"] == "200 OK", kind
        assert await door.found("/Patient") == ["p1"]

    attack(open_house, scenario)


def test_a_conditional_update_overwrites_nothing_that_does_not_match(open_house) -> None:
    async def scenario(_: Any, door: Door) -> None:
        known = person("p1", identifier=[{"system": "urn:s", "value": "1"}])
        assert (await door.ask("PUT", "/Patient/p1", known))[0] == 201
        other = "Patient?identifier=urn:s%7C2"
        assert (await door.ask("PUT", f"/{other}", person("p1")))[0] == 412
        assert (await door.ask("POST", "", bundle("transaction", entry("PUT", other, person("p1")))))[0] == 412
        assert (await door.ask("PUT", f"/{other}", person(), if_match='W/"3"'))[0] == 412
        assert (await door.ask("GET", "/Patient/p1"))[1]["identifier"] == known["identifier"]
        fresh = person("p2", identifier=[{"system": "urn:s", "value": "2"}])
        assert (await door.ask("PUT", f"/{other}", fresh))[0] == 201
        assert (await door.ask("PUT", f"/{other}", fresh))[0] == 200
        twice = [entry("POST", "Patient", person(), ifNoneExist=f"identifier=urn:s{bar}3") for bar in ("|", "%7C")]
        assert (await door.ask("POST", "", bundle("transaction", *twice)))[0] == 400
        assert await door.found("/Patient") == ["p1", "p2"]

    attack(open_house, scenario)


def test_what_was_asked_is_what_is_answered(open_house) -> None:
    async def scenario(_: Any, door: Door) -> None:
        for id_ in ("o1", "o2", "o3"):
            assert (await door.ask("PUT", f"/Observation/{id_}", measure(id_)))[0] == 201
        for query in ("_summary=count&_count=2", "_count=2&_summary=count", "_total=none&_summary=count"):
            page = (await door.ask("GET", f"/Observation?{query}"))[1]
            assert (page["total"], page.get("entry")) == (3, None), query
        assert (await door.ask("GET", "/Observation?_include=Observation:subject:Patient"))[0] == 200
        for include in ("Observation:subject:Nothing", "Observation:subject:", "Observation:subject:Medication"):
            assert (await door.ask("GET", f"/Observation?_include={include}"))[0] == 400, include

    attack(open_house, scenario)


def test_a_conditional_update_that_is_drafted_twice_stores_what_was_sent(open_house) -> None:
    """The vault asks for the objects again when another writer was faster."""

    async def scenario(house: Any, door: Door) -> None:
        sent = {"meta": {"versionId": "7", "profile": ["http://p"]}, "identifier": [{"system": "urn:s", "value": "1"}]}
        assert (await door.ask("PUT", "/Patient/p1", person("p1", **sent)))[0] == 201
        write = house.vault.write

        async def twice(permit: Permit, request: Any) -> Any:
            request.objects({"request": ["another"]})
            return await write(permit, request)

        house.vault.write = twice
        status, stored, _ = await door.ask("PUT", "/Patient?identifier=urn:s%7C1", person(**sent, active=True))
        assert (status, stored["id"], stored["meta"]["versionId"]) == (200, "p1", "2")
        house.vault.write = write
        read = (await door.ask("GET", "/Patient/p1"))[1]
        assert (read["active"], read["meta"]["profile"], read["id"]) == (True, ["http://p"], "p1")

    attack(open_house, scenario)
