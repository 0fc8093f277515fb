"""What goes back: resources with their version spliced in, outcomes for every error, headers.

Nothing here re-encodes a resource: the vault hands out canonical bytes, and the version and instant are inserted
after the prefix that the canonical order guarantees (``resourceType``, ``id``, ``meta``).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Final

import msgspec

from hygie.base.clock import iso_ms
from hygie.base.errors import HygieError, Language
from hygie.base.language import language_asked
from hygie.fhir.requests import Receive
from hygie.vault.model import Stored

FHIR_JSON: Final = b"application/fhir+json; charset=utf-8"
ERROR_SYSTEM: Final = "urn:hygie:error"
GZIP_FROM_BYTES: Final = 4096  # a lone resource is read faster plain: level 1 costs 30 us for 2 kB
GZIP_APART_FROM_BYTES: Final = 256 * 1024  # some 2 ms of the loop: a thread packs the rest beside it
RETRY_AFTER_S: Final = b"1"

Header = tuple[bytes, bytes]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

# FHIR's own words for kinds of issues (http://hl7.org/fhir/R4/valueset-issue-type.html).
_ISSUE_OF_STATUS: Final = {
    400: "invalid", 401: "login", 403: "forbidden", 404: "not-found", 405: "not-supported", 406: "not-supported",
    409: "conflict", 410: "deleted", 412: "conflict", 413: "too-long", 415: "not-supported", 416: "value",
    422: "processing", 429: "throttled", 431: "too-long", 408: "timeout", 503: "transient",
}  # fmt: skip


@dataclass(slots=True)
class Answer:
    """One answer, to an HTTP request or to an entry of a batch.

    version, at_ms: of the resource, 0 when there is none; location: relative to the base, "" when there is none;
    stream: a body too large to hold, with its ``Content-Length`` among ``headers``.
    """

    status: int
    body: bytes = b""
    version: int = 0
    at_ms: int = 0
    location: str = ""
    kind: bytes = FHIR_JSON
    headers: list[Header] = field(default_factory=list)
    stream: AsyncIterator[bytes] | None = None


def with_version(type_: str, id_: str, version: int, at_ms: int, body: bytes) -> bytes:
    """The resource a client sees: ``meta.versionId`` and ``meta.lastUpdated`` inserted into the canonical bytes."""
    prefix_bytes = len(type_) + len(id_) + 26  # {"resourceType":"…","id":"…"
    mark = b'"versionId":"%d","lastUpdated":"%s"' % (version, instant(at_ms))
    if body.startswith(b',"meta":{', prefix_bytes):
        cut = prefix_bytes + 9
        joint = b"" if body[cut : cut + 1] == b"}" else b","
        return b"".join((body[:cut], mark, joint, body[cut:]))
    return b"".join((body[:prefix_bytes], b',"meta":{', mark, b"}", body[prefix_bytes:]))


def resource_bytes(stored: Stored) -> bytes:
    """A stored version as a client sees it."""
    return with_version(stored.type, stored.id, stored.version, stored.at_ms, stored.body)


@lru_cache(maxsize=4096)
def instant(at_ms: int) -> bytes:
    """An instant as FHIR writes it, UTC, milliseconds."""
    return iso_ms(at_ms).encode()


@lru_cache(maxsize=4096)
def http_date(at_s: int) -> bytes:
    """An instant as HTTP writes it, seconds."""
    return formatdate(at_s, usegmt=True).encode()


def outcome(error: HygieError, language: Language, expression: str = "") -> bytes:
    """An OperationOutcome for an error: its code, one sentence, where in the request; never a value."""
    place = expression or str(error.facts.get("expression") or "")
    issue: dict[str, Any] = {
        "severity": "fatal" if error.http_status >= 500 and not error.retryable else "error",
        "code": getattr(error, "issue_code", None) or _ISSUE_OF_STATUS.get(error.http_status, "exception"),
        "details": {
            "coding": [{"system": ERROR_SYSTEM, "code": error.code}],
            "text": error.sentence(language),
        },
    }
    if place:
        issue["expression"] = [place]
    return msgspec.json.encode({"resourceType": "OperationOutcome", "issue": [issue]})


@lru_cache(maxsize=8)
def success_outcome(language: Language) -> bytes:
    """An OperationOutcome for a client that prefers one to the resource."""
    text = "Enregistré." if language == "fr" else "Stored."
    issue = {"severity": "information", "code": "informational", "details": {"text": text}}
    return msgspec.json.encode({"resourceType": "OperationOutcome", "issue": [issue]})


def refusal(error: HygieError, language: Language, expression: str = "") -> Answer:
    """The answer to a request that failed with an error of the house."""
    answer = Answer(error.http_status, outcome(error, language, expression))
    if error.http_status == 401:
        answer.headers.append((b"www-authenticate", b'Bearer realm="hygie"'))
    if error.retryable:
        wait_s = error.facts.get("retry_after_s")
        answer.headers.append((b"retry-after", b"%d" % wait_s if isinstance(wait_s, int) else RETRY_AFTER_S))
    allow = error.facts.get("allow")
    if error.http_status == 405 and isinstance(allow, str):
        answer.headers.append((b"allow", allow.encode()))
    size_bytes = error.facts.get("size_bytes")
    if error.http_status == 416 and isinstance(size_bytes, int):
        answer.headers.append((b"content-range", b"bytes */%d" % size_bytes))
    return answer


def server_refusal(status: int, accept_language: bytes) -> tuple[bytes, bytes]:
    """An OperationOutcome for what the server refuses before any face runs: deadlines, sizes, saturation."""
    english = language_asked(accept_language) == "en"
    sentence = "Request refused by the server's limits." if english else "Requête refusée par les limites du serveur."
    issue = {
        "severity": "error",
        "code": _ISSUE_OF_STATUS.get(status, "exception"),
        "details": {"coding": [{"system": ERROR_SYSTEM, "code": f"HTTP-{status}"}], "text": sentence},
    }
    return FHIR_JSON, msgspec.json.encode({"resourceType": "OperationOutcome", "issue": [issue]})


# What a browser must never do with health data: keep it, guess its type, frame it, tell where it came from.
_ALWAYS: Final[tuple[Header, ...]] = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
)


def head_of(answer: Answer, base: str) -> list[Header]:
    """The headers of an answer, all but those about its body."""
    headers: list[Header] = [*_ALWAYS, *answer.headers]
    if answer.version:
        headers.append((b"etag", b'W/"%d"' % answer.version))
        headers.append((b"last-modified", http_date(answer.at_ms // 1000)))
    if answer.location:
        headers.append((b"location", f"{base}/{answer.location}".encode()))
    return headers


async def send_answer(
    send: Send, receive: Receive, answer: Answer, *, base: str, gzip_level: int = 0, head: bool = False
) -> None:
    """Send an answer over ASGI.

    Args: receive: tells that the client left; gzip_level: 0 leaves the body as it is; head: the headers alone, as for
    GET.
    """
    headers = head_of(answer, base)
    body = answer.body
    if answer.stream is not None:
        headers.append((b"content-type", answer.kind))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        if head or await _send_pieces(send, receive, answer.stream):
            await send({"type": "http.response.body", "body": b""})
        return
    if body:
        headers.append((b"content-type", answer.kind))
        # A part is named by its bytes in the whole (RFC 9110, section 14.4): packed, they would be others.
        if gzip_level and len(body) >= GZIP_FROM_BYTES and answer.status != 206:
            large = len(body) >= GZIP_APART_FROM_BYTES
            body = await asyncio.to_thread(_gzip, body, gzip_level) if large else _gzip(body, gzip_level)
            headers.append((b"content-encoding", b"gzip"))
            headers.append((b"vary", b"accept-encoding"))
    if answer.status not in {204, 304}:
        headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head else body})


async def _send_pieces(send: Send, receive: Receive, pieces: AsyncIterator[bytes]) -> bool:
    """All of a stream, or what the client stayed for: what nobody takes is neither read nor opened. Whether all: nor is
    it when the client's rights were withdrawn meanwhile, which the gate has written."""
    gone = asyncio.ensure_future(_until_gone(receive))
    try:
        async for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            if gone.done():
                return False
    except HygieError as error:
        if error.http_status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise
        return False
    else:
        return True
    finally:
        gone.cancel()


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _gzip(body: bytes, level: int) -> bytes:
    import gzip

    return gzip.compress(body, level, mtime=0)
