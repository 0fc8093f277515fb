"""POST of a Bundle: a batch, each entry on its own, or a transaction, all or nothing.

Source: http://hl7.org/fhir/R4/http.html#transaction.  The answer is joined from bytes, entry by entry, in the order
sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from http import HTTPStatus
from typing import Final

from hygie.base.actions import Action
from hygie.base.errors import HygieError
from hygie.base.language import language_asked
from hygie.base.turns import OneAtATime, Single
from hygie.fhir.answers import Answer, instant, refusal, with_version
from hygie.fhir.bundle import BundleView, EntryView, parse_bundle
from hygie.fhir.face_errors import FACE_ROOM, BodyError, BundleAnswerTooLargeError, ClientGoneError, incident
from hygie.fhir.interactions import UPSERT, Interactions
from hygie.fhir.requests import (
    BUNDLE_BODY_BYTES_MAX,
    PARSE_APART_FROM_BYTES,
    Call,
    check_json_content,
    preferred_return,
)
from hygie.fhir.transactions import WRITES, Breath, Done, Transaction, locate
from hygie.vault.model import Written

BATCH_AT_ONCE: Final = 32  # entries of one batch under way: enough to fill a group commit, not to starve others
LARGE_BUNDLE_BYTES: Final = 64 * 1024  # about 20 ms of work: above, one at a time in this process
ANSWERS_BYTES_MAX: Final = 4 * BUNDLE_BODY_BYTES_MAX  # the largest batch of writes, all shown, and three times more

Handler = Callable[[Call], Awaitable[Answer]]
Find = Callable[[Call, str], Handler]

_ACTION_OF_WRITE: Final = {
    "POST": Action.OBJECT_CREATE, "PUT": Action.OBJECT_UPDATE, "DELETE": Action.OBJECT_DELETE,
}  # fmt: skip
_STATUS: Final = {status.value: f"{status.value} {status.phrase}".encode() for status in HTTPStatus}


class Bundles:
    """Batches and transactions.

    Args: find: the router, for what a batch's entries (and a transaction's reads) ask.
    """

    def __init__(self, interactions: Interactions, find: Find) -> None:
        self._do = interactions
        self._find = find
        self._large = OneAtATime()  # two large bundles at once would only hold twice the memory

    async def submit(self, call: Call) -> Answer:
        """POST of a Bundle at the base."""
        await self._do.recognise(call)  # nobody's body is read
        try:
            check_json_content(call.headers)
            raw = await self._do.bodies.read(call, limit_bytes=BUNDLE_BODY_BYTES_MAX)
            if len(raw) < LARGE_BUNDLE_BYTES:
                return await self._submit(call, raw, None)
            await self._do.turn(call)
            turn = await self._large.take(call.place)
            try:
                return await self._submit(call, raw, turn)
            finally:
                turn.end()
        except HygieError as error:
            if call.permit is None and error.code[5:6] == FACE_ROOM:
                await self._do.admit(call, Action.OBJECT_CREATE)  # its entries said nothing yet: for the journal's sake
            raise

    async def _submit(self, call: Call, raw: bytes, turn: Single | None) -> Answer:
        apart = len(raw) >= PARSE_APART_FROM_BYTES
        view = await asyncio.to_thread(parse_bundle, raw) if apart else parse_bundle(raw)
        if view.type == "transaction":
            return await self._transaction(call, view, turn)
        if view.type == "batch":
            if turn is not None:
                turn.end()  # its entries are small and wait for the vault each
            return await self._batch(call, view)
        raise BodyError("bundle-type", "Bundle.type")

    # -- transaction ----------------------------------------------------------------------------------------------

    async def _transaction(self, call: Call, view: BundleView, turn: Single | None) -> Answer:
        writes = [entry for entry in view.entries if entry.method in WRITES]
        reads = [entry for entry in view.entries if entry.method not in WRITES]
        first, *others = sorted({_ACTION_OF_WRITE[entry.method] for entry in writes} or {Action.OBJECT_READ})
        # a PUT creates what is not there; the vault looks at each type
        held = UPSERT if first is Action.OBJECT_UPDATE or Action.OBJECT_UPDATE in others else frozenset[Action]()
        await self._do.admit(call, first, frozenset(others), if_held=held, weight=max(1, len(writes)))
        await self._do.turn(call)
        handlers = [self._reader(call, entry) for entry in reads]
        transaction = Transaction(call.base)
        request = await transaction.prepare(writes, Breath(partial(self._do.turns.crowded, call.place)))
        if turn is not None:
            turn.end()  # the next large bundle is parsed while this one becomes durable
        written = await self._do.vault.write(await self._do.fresh(call), request) if writes else []
        whole = preferred_return(call.headers.get(b"prefer"), "minimal") == "representation"
        parts = dict(_write_parts(transaction.done, written, whole=whole))
        room = _Room(call)
        call.end()  # each read takes a turn of its own
        for entry, (handler, entry_call) in zip(reads, handlers, strict=True):
            parts[entry.index] = room.refusal(entry) or room.take(await self._one(entry_call, handler))
        return Answer(200, _response_bundle(b"transaction-response", [parts[e.index] for e in view.entries]))

    def _reader(self, call: Call, entry: EntryView) -> tuple[Handler, Call]:
        """What answers a read of a transaction; found before anything is written: a bad one refuses the whole."""
        try:
            if entry.method not in {"GET", "HEAD"}:
                raise BodyError("method")
            return self._route(call, entry)
        except HygieError as error:
            raise locate(error, entry.index, "request") from None

    # -- batch ----------------------------------------------------------------------------------------------------

    async def _batch(self, call: Call, view: BundleView) -> Answer:
        call.end()  # each entry takes a turn of its own
        slots = asyncio.Semaphore(BATCH_AT_ONCE)
        room = _Room(call)

        async def run(entry: EntryView) -> bytes:
            async with slots:
                return room.refusal(entry) or room.take(await self._entry(call, entry))

        parts = await asyncio.gather(*(run(entry) for entry in view.entries))
        return Answer(200, _response_bundle(b"batch-response", parts))

    async def _entry(self, call: Call, entry: EntryView) -> bytes:
        try:
            handler, entry_call = self._route(call, entry)
        except HygieError as error:
            answer = refusal(error, language_asked(call.headers.get(b"accept-language", b"")), _place(entry))
            return _answer_part(answer)
        return await self._one(entry_call, handler, entry)

    async def _one(self, call: Call, handler: Handler, entry: EntryView | None = None) -> bytes:
        """One entry to its end; its failure is its own."""
        language = language_asked(call.headers.get(b"accept-language", b""))
        try:
            answer = await handler(call)
        except HygieError as error:
            told = await self._do.record_refusal(call, error)
            if entry is not None:
                told = locate(told, entry.index, "resource" if entry.method in {"POST", "PUT"} else "request")
            answer = refusal(told, language)
        except ClientGoneError:
            raise
        except Exception as error:  # as in the face: told to nobody, logged without what it may hold
            answer = refusal(incident(error), language)
        finally:
            call.end()
        if answer.stream is not None:
            raise AssertionError("a batch entry never streams")
        return _answer_part(answer)

    def _route(self, call: Call, entry: EntryView) -> tuple[Handler, Call]:
        """The handler of an entry and the call for it.

        Raises: NoSuchRouteError; MethodNotAllowedError; BodyError: nested bundles.
        """
        url = entry.url.removeprefix(f"{call.base}/").lstrip("/")
        path, _, query = url.partition("?")
        headers = {b"accept": b"application/fhir+json", b"content-type": b"application/fhir+json"}
        for name in (b"accept-language", b"prefer"):
            if name in call.headers:
                headers[name] = call.headers[name]
        for name, value in (
            (b"if-match", entry.if_match), (b"if-none-match", entry.if_none_match),
            (b"if-none-exist", entry.if_none_exist), (b"if-modified-since", entry.if_modified_since),
        ):  # fmt: skip
            if value:
                headers[name] = value.encode()
        entry_call = call.entry(entry.method, query, headers, entry.resource_raw)
        if not path:
            raise BodyError("url")
        return self._find(entry_call, path), entry_call


class _Room:
    """What may still be held of one bundle's answers: ten thousand entries can each ask for a page of a thousand."""

    def __init__(self, call: Call) -> None:
        self._language = language_asked(call.headers.get(b"accept-language", b""))
        self._bytes = 0

    def take(self, part: bytes) -> bytes:
        """Count an entry's answer, and give it back."""
        self._bytes += len(part)
        return part

    def refusal(self, entry: EntryView) -> bytes:
        """The answer of an entry that there is no room to run; nothing as long as there is some."""
        if self._bytes <= ANSWERS_BYTES_MAX:
            return b""
        error = BundleAnswerTooLargeError(limit_bytes=ANSWERS_BYTES_MAX)
        return _answer_part(refusal(error, self._language, _place(entry)))


def _place(entry: EntryView) -> str:
    return f"Bundle.entry[{entry.index}].request"


def _write_parts(done: Sequence[Done], written: Sequence[Written], *, whole: bool) -> list[tuple[int, bytes]]:
    """The response entries of a transaction's writes: index and text."""
    parts: list[tuple[int, bytes]] = []
    results = iter(written)
    for one in done:
        if one.one is None:
            location = f"{one.type}/{one.id}".encode()
            status = b"204 No Content" if one.view.method == "DELETE" else b"200 OK"
            mark = b'{"response":{"status":"%b"}}' % status
            if one.id and one.view.method != "DELETE":
                mark = b'{"response":{"status":"%b","location":"%b"}}' % (status, location)
            parts.append((one.view.index, mark))
            continue
        result = next(results)
        if one.one.delete:
            parts.append((one.view.index, b'{"response":{"status":"204 No Content"}}'))
            continue
        shown = b""
        if whole:
            body = with_version(result.type, result.id, result.version, result.at_ms, one.one.body)
            shown = b'"resource":%b,' % body
        parts.append(
            (
                one.view.index,
                b'{%b"response":{"status":"%b","location":"%b/%b/_history/%d","etag":"W/\\"%d\\"","lastModified":"%b"}}'
                % (
                    shown,
                    b"201 Created" if result.created else b"200 OK",
                    result.type.encode(),
                    result.id.encode(),
                    result.version,
                    result.version,
                    instant(result.at_ms),
                ),
            )
        )
    return parts


def _answer_part(answer: Answer) -> bytes:
    """The response entry of an interaction that went through the router."""
    fields = [b'"status":"%b"' % _STATUS.get(answer.status, b"%d" % answer.status)]
    if answer.location:
        fields.append(b'"location":"%b"' % answer.location.encode())
    if answer.version:
        fields.append(b'"etag":"W/\\"%d\\"","lastModified":"%b"' % (answer.version, instant(answer.at_ms)))
    shown = b""
    if answer.body and answer.status >= 400:
        fields.append(b'"outcome":%b' % answer.body)
    elif answer.body:
        shown = b'"resource":%b,' % answer.body
    return b'{%b"response":{%b}}' % (shown, b",".join(fields))


def _response_bundle(kind: bytes, parts: Sequence[bytes]) -> bytes:
    entries = b',"entry":[%b]' % b",".join(parts) if parts else b""
    return b'{"resourceType":"Bundle","type":"%b"%b}' % (kind, entries)
