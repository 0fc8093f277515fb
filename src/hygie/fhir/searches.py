"""Answers of several resources: searches, histories, a patient's whole record; pages joined from bytes.

Source: http://hl7.org/fhir/R4/search.html, http.html#history, patient-operation-everything.html.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote

import msgspec

from hygie.base.actions import Action
from hygie.fhir.answers import Answer, instant, resource_bytes
from hygie.fhir.face_errors import BodyError, UnsupportedMediaError
from hygie.fhir.interactions import Interactions
from hygie.fhir.queries import CURSOR, compile_search, everything_query, page_count, since_of_history
from hygie.fhir.requests import Call, parse_parameters
from hygie.vault.model import Page, Query, Stored

FORM_BYTES_MAX = 256 * 1024  # a search by POST: a few thousand values
FORM = b"application/x-www-form-urlencoded"

Link = tuple[str, str]


class Searches:
    """The interactions that answer a Bundle of pages."""

    def __init__(self, interactions: Interactions) -> None:
        self._do = interactions

    async def search(self, call: Call) -> Answer:
        """GET Type?query."""
        return await self._search(call, call.type, call.parameters(), call.type)

    async def search_by_post(self, call: Call) -> Answer:
        """POST Type/_search: the same, with values that stay out of addresses."""
        await self._do.admit(call, Action.OBJECT_SEARCH)
        in_address = call.parameters()
        if call.body is None and call.headers.get(b"content-type", FORM).split(b";")[0].strip().lower() != FORM:
            raise UnsupportedMediaError()
        raw = await self._do.bodies.read(call, limit_bytes=FORM_BYTES_MAX)
        try:
            form = parse_parameters(raw.decode("ascii"))
        except UnicodeDecodeError as error:
            raise BodyError("form") from error
        return await self._search(call, call.type, in_address + form, call.type)

    async def compartment_search(self, call: Call) -> Answer:
        """GET Patient/id/Type?query: a search inside one patient's record."""
        patient, type_ = call.id, call.type
        return await self._search(call, type_, call.parameters(), f"Patient/{patient}/{type_}", patient=patient)

    async def _search(
        self, call: Call, type_: str, parameters: list[tuple[str, str]], path: str, *, patient: str | None = None
    ) -> Answer:
        if call.permit is None:
            await self._do.admit(call, Action.OBJECT_SEARCH)
        await self._do.turn(call)
        lenient = b"handling=lenient" in call.headers.get(b"prefer", b"")
        query, used = compile_search(type_, parameters, call.base, patient=patient, lenient=lenient)
        page = await self._do.vault.search(await self._do.fresh(call), query)
        # a link says what was searched: what was left out shows, and who follows it need not be lenient
        used += [(name, value) for name, value in parameters if name == CURSOR]
        return Answer(200, searchset(call.base, page, _links(call.base, path, used, page), query))

    async def everything(self, call: Call) -> Answer:
        """GET Patient/id/$everything: the patient and all that belongs to its compartment, by pages."""
        permit = await self._do.admit(call, Action.OBJECT_SEARCH, frozenset({Action.OBJECT_READ}), types=["Patient"])
        parameters = call.parameters()
        query = everything_query(call.id, parameters)
        if query.cursor is None:
            await self._do.vault.read(permit, "Patient", call.id)  # absent, deleted or erased: said, not an empty page
        page = await self._do.vault.search(permit, query)
        links = _links(call.base, f"Patient/{call.id}/$everything", parameters, page)
        return Answer(200, searchset(call.base, page, links, query))

    async def instance_history(self, call: Call) -> Answer:
        """GET Type/id/_history."""
        return await self._history(call, call.type, call.id, f"{call.type}/{call.id}/_history")

    async def type_history(self, call: Call) -> Answer:
        """GET Type/_history."""
        return await self._history(call, call.type, None, f"{call.type}/_history")

    async def system_history(self, call: Call) -> Answer:
        """GET _history."""
        return await self._history(call, None, None, "_history")

    async def _history(self, call: Call, type_: str | None, id_: str | None, path: str) -> Answer:
        permit = await self._do.admit(call, Action.OBJECT_HISTORY)
        parameters = call.parameters()
        since_ms = since_of_history(parameters)
        page = await self._do.vault.history(
            permit, type_, id_, count=page_count(parameters), cursor=_value(parameters, CURSOR), since_ms=since_ms
        )
        if id_ is not None and not page.items and page.next is None and _value(parameters, CURSOR) is None:
            # An empty history is "never existed", "not yours", "erased" or "nothing since": a read tells which.
            permit = await self._do.admit(call, Action.OBJECT_READ)
            await self._do.vault.read(permit, str(type_), id_)
        return Answer(200, history_bundle(call.base, page, _links(call.base, path, parameters, page)))


def _value(parameters: list[tuple[str, str]], name: str) -> str | None:
    return next((value for key, value in parameters if key == name), None)


def _links(base: str, path: str, parameters: list[tuple[str, str]], page: Page) -> list[Link]:
    kept = [(name, value) for name, value in parameters if name != CURSOR]
    links = [("self", _address(base, path, parameters))]
    if page.next is not None:
        links.append(("next", _address(base, path, [*kept, (CURSOR, page.next)])))
    return links


def _address(base: str, path: str, parameters: Iterable[tuple[str, str]]) -> str:
    query = "&".join(f"{quote(name, safe=':_-.')}={quote(value, safe='/|:,-_.~')}" for name, value in parameters)
    return f"{base}/{path}?{query}" if query else f"{base}/{path}"


def searchset(base: str, page: Page, links: list[Link], query: Query) -> bytes:
    """A searchset Bundle, its resources spliced as they were stored."""
    entries = [_search_entry(base, item, b"match") for item in page.items]
    entries += [_search_entry(base, item, b"include") for item in page.included]
    return _bundle(b"searchset", page.total if query.total or query.count == 0 else None, links, entries)


def _search_entry(base: str, item: Stored, mode: bytes) -> bytes:
    full_url = f"{base}/{item.type}/{item.id}".encode()
    return b'{"fullUrl":"%b","resource":%b,"search":{"mode":"%b"}}' % (full_url, resource_bytes(item), mode)


def history_bundle(base: str, page: Page, links: list[Link]) -> bytes:
    """A history Bundle: each version with the request that replays it."""
    return _bundle(b"history", page.total, links, [_history_entry(base, item) for item in page.items])


def _history_entry(base: str, item: Stored) -> bytes:
    name = f"{item.type}/{item.id}".encode()
    shown = b"" if item.deleted else b'"resource":%b,' % resource_bytes(item)
    method, status = (b"DELETE", b"204") if item.deleted else (b"PUT", b"201" if item.version == 1 else b"200")
    return (
        b'{"fullUrl":"%b/%b",%b"request":{"method":"%b","url":"%b"},'
        b'"response":{"status":"%b","etag":"W/\\"%d\\"","lastModified":"%b"}}'
    ) % (base.encode(), name, shown, method, name, status, item.version, instant(item.at_ms))


def _bundle(kind: bytes, total: int | None, links: list[Link], entries: list[bytes]) -> bytes:
    listed = msgspec.json.encode([{"relation": relation, "url": url} for relation, url in links])
    parts = [b'{"resourceType":"Bundle","type":"', kind, b'"']
    if total is not None:
        parts.append(b',"total":%d' % total)
    parts += [b',"link":', listed]
    if entries:
        parts += [b',"entry":[', b",".join(entries), b"]"]
    parts.append(b"}")
    return b"".join(parts)
