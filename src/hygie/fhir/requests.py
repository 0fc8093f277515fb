"""A request, from its bytes: headers looked up once, body read within bounds, nothing decided."""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, quote_from_bytes

from hygie.base.language import quality
from hygie.base.permit import Permit
from hygie.base.turns import Turn
from hygie.fhir.face_errors import (
    BodiesBusyError,
    BodyError,
    BodyTooLargeError,
    ClientGoneError,
    NotAcceptableError,
    UnsupportedMediaError,
)

MIB = 1024 * 1024
RESOURCE_BODY_BYTES_MAX = 16 * MIB  # the vault's own bound on one object
BUNDLE_BODY_BYTES_MAX = 64 * MIB  # ten thousand resources of the usual size
BODIES_BYTES_MAX = 256 * MIB  # bodies this process holds at once: a quarter of the smallest machine
PARSE_APART_FROM_BYTES = 256 * 1024  # some 5 ms when all is well, 150 ms in the exact comparison: beside the loop
RATIO_MAX = 100  # FHIR JSON compresses 5 to 20 times; above 100 it is a bomb
RATIO_FROM_BYTES = MIB  # small bodies may be as repetitive as they like
INFLATE_STEP_BYTES = 256 * 1024
DEVICE_CHARS_MAX = 128
PURPOSE_CHARS_MAX = 64
QUERY_PARAMETERS_MAX = 200

CERTIFICATE_KEY = "hygie.certificate"  # where the server puts the SHA-256 of a verified client certificate
FHIR_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII)
_JSON_KINDS = frozenset({"application/fhir+json", "application/json", "text/json", "json", "application/json+fhir"})
_ANY_KINDS = frozenset({"*/*", "application/*"})
_ETAG = re.compile(rb'\s*(?:W/)?"?([1-9]\d{0,17})"?\s*')  # versions begin at 1
_HOST = re.compile(rb"[A-Za-z0-9.\-]{1,253}(?::\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](?::\d{1,5})?")
_ASCII = bytes(range(128))
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class Call:
    """One interaction asked for: an HTTP request, or one entry of a batch that borrows its caller.

    base: this environment's own FHIR address; type, id, version: filled by the router; body: a batch entry's resource,
    text; certificate: SHA-256 of the one that the client showed, if any; permit: what the gate gave, None until then;
    turn: its environment's, None until it has one; readmit: asks the gate the same again; asked_s: when it was asked
    last, by the machine's steady clock.
    """

    __slots__ = (
        "address", "asked_s", "base", "body", "certificate", "device", "environment", "headers", "id", "method",
        "permit", "purpose", "query", "readmit", "receive", "tenant", "token", "turn", "type", "version",
    )  # fmt: skip

    def __init__(self, method: str, query: str, headers: dict[bytes, bytes], receive: Receive) -> None:
        self.method = method
        self.query = query
        self.headers = headers
        self.receive = receive
        self.tenant = self.environment = self.token = self.purpose = self.address = self.device = self.base = ""
        self.type = self.id = ""
        self.version = 0
        self.certificate = b""
        self.body: bytes | None = None
        self.permit: Permit | None = None
        self.turn: Turn | None = None
        self.readmit: Callable[[], Awaitable[Permit]] | None = None
        self.asked_s = 0.0

    @property
    def place(self) -> str:
        """Whose share of the process it takes; true once the gate knows the caller."""
        return f"{self.tenant}/{self.environment}"

    def end(self) -> None:
        """Give its turn back."""
        if self.turn is not None:
            self.turn.end()

    def entry(self, method: str, query: str, headers: dict[bytes, bytes], body: bytes | None) -> Call:
        """The same caller asking for something else: one entry of a batch."""
        call = Call(method, query, headers, self.receive)
        call.tenant, call.environment, call.token, call.purpose = (
            self.tenant, self.environment, self.token, self.purpose,
        )  # fmt: skip
        call.address, call.device, call.base = self.address, self.device, self.base
        call.certificate = self.certificate
        call.body = body
        return call

    def parameters(self) -> list[tuple[str, str]]:
        """The query's names and values, in order.

        Raises: BodyError: too many, or not UTF-8.
        """
        return parse_parameters(self.query)


def parse_parameters(query: str) -> list[tuple[str, str]]:
    """Names and values of a query string or of a form.

    Raises: BodyError: too many of them, or not UTF-8.
    """
    if not query:
        return []
    try:
        return parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=QUERY_PARAMETERS_MAX)
    except (ValueError, UnicodeDecodeError) as error:
        raise BodyError("query") from error


def query_text(raw: bytes) -> str:
    """A query as it came, its bytes outside ASCII percent-encoded: they are read as UTF-8 or refused, as the others."""
    return raw.decode("ascii") if raw.isascii() else quote_from_bytes(raw, safe=_ASCII)


def make_call(scope: MutableMapping[str, Any], receive: Receive, public_url: str) -> Call:
    """The call behind an ASGI scope, path left to the router.

    Args: public_url: scheme and authority clients use, or "" to take the Host header.
    """
    headers = dict(scope["headers"])
    call = Call(scope["method"], query_text(scope["query_string"]), headers, receive)
    authorization = headers.get(b"authorization", b"")
    if authorization[:7].lower() == b"bearer ":
        call.token = authorization[7:].strip().decode("latin-1")
    client = scope.get("client")
    call.address = client[0] if client else ""
    call.device = bounded_text(headers.get(b"user-agent", b""), DEVICE_CHARS_MAX)
    purpose = headers.get(b"x-purpose-of-use")
    call.purpose = bounded_text(purpose, PURPOSE_CHARS_MAX) if purpose else ""
    call.certificate = scope.get(CERTIFICATE_KEY, b"")
    call.base = public_url or _authority(scope, headers)
    return call


def _authority(scope: MutableMapping[str, Any], headers: dict[bytes, bytes]) -> str:
    host = headers.get(b"host", b"")
    if not _HOST.fullmatch(host):
        name, port = scope.get("server") or ("localhost", None)
        name = f"[{name}]" if ":" in name else name  # an IPv6 address (RFC 3986, section 3.2.2)
        return f"{scope['scheme']}://{name}" + (f":{port}" if port else "")
    return f"{scope['scheme']}://{host.decode('ascii')}"


@lru_cache(maxsize=1024)
def bounded_text(value: bytes, limit: int) -> str:
    """A header's value fit for a journal entry: no control character, no more than ``limit`` characters."""
    return _CONTROL.sub(" ", value.decode("latin-1"))[:limit]


def check_accept(call: Call) -> None:
    """Refuse a client that reads neither JSON nor R4.

    Raises: NotAcceptableError.
    """
    if "_format=" in call.query:
        for name, value in call.parameters():
            if name == "_format":
                if not accepts_json(value.replace(" ", "+").encode("latin-1", "replace")):
                    raise NotAcceptableError()
                return
    accept = call.headers.get(b"accept")
    if accept is not None and not accepts_json(accept):
        raise NotAcceptableError()


@lru_cache(maxsize=1024)
def accepts_json(accept: bytes) -> bool:
    """Whether an Accept header admits FHIR R4 as JSON."""
    for item in accept.decode("latin-1").lower().split(","):
        kind, *parameters = (part.strip() for part in item.split(";"))
        if kind not in _JSON_KINDS and kind not in _ANY_KINDS:
            continue
        facts = dict(part.partition("=")[::2] for part in parameters)
        if facts.get("fhirversion", "4.0") not in {"4.0", "4.0.1"}:
            continue
        if quality("q=" + facts["q"] if "q" in facts else "") > 0.0:
            return True
    return not accept.strip()


@lru_cache(maxsize=1024)
def accepts_gzip(accept_encoding: bytes) -> bool:
    """Whether an Accept-Encoding header names gzip and does not refuse it."""
    for item in accept_encoding.decode("latin-1").lower().split(","):
        name, _, weight = item.partition(";")
        if name.strip() == "gzip":
            return quality(weight) > 0.0
    return False


def check_json_content(headers: dict[bytes, bytes]) -> None:
    """Refuse a body that does not say it is JSON in UTF-8.

    Raises: UnsupportedMediaError.
    """
    if not is_json_content(headers.get(b"content-type", b"")):
        raise UnsupportedMediaError()


@lru_cache(maxsize=1024)
def is_json_content(content_type: bytes) -> bool:
    """Whether a Content-Type is FHIR's JSON (or plain JSON), in UTF-8, for R4."""
    kind, *parameters = (part.strip() for part in content_type.decode("latin-1").lower().split(";"))
    facts = {name: value.strip('"') for name, _, value in (part.partition("=") for part in parameters)}
    if facts.get("charset", "utf-8") not in {"utf-8", "utf8"} or facts.get("fhirversion", "4.0") not in {
        "4.0",
        "4.0.1",
    }:
        return False
    return kind in _JSON_KINDS


@lru_cache(maxsize=4096)
def version_of_etag(value: bytes | None) -> int | None:
    """The version an If-Match or If-None-Match header names; None without a header or for several tags.

    Raises: BodyError: not an entity tag of ours.
    """
    if value is None:
        return None
    match = _ETAG.fullmatch(value)
    if match is None:
        raise BodyError("etag")
    return int(match[1])


@lru_cache(maxsize=256)
def preferred_return(prefer: bytes | None, default: str) -> str:
    """What the client wants back: ``minimal``, ``representation`` or ``OperationOutcome``."""
    for item in (prefer or b"").decode("latin-1").replace(";", ",").split(","):
        name, _, value = item.strip().partition("=")
        if name.strip().lower() == "return":
            for known in ("minimal", "representation", "OperationOutcome"):
                if value.strip().strip('"').lower() == known.lower():
                    return known
    return default


class BodyReader:
    """Reads bodies within bounds: per body, per process, and per ratio of compression."""

    def __init__(self, *, held_bytes_max: int = BODIES_BYTES_MAX) -> None:
        self._held_bytes = 0
        self._held_bytes_max = held_bytes_max
        self._held_of: dict[str, int] = {}  # environment -> bytes

    async def read(self, call: Call, *, limit_bytes: int) -> bytes:
        """The whole body, decompressed.

        Raises: BodyTooLargeError: over ``limit_bytes`` sent or inflated, or a ratio over 100; BodiesBusyError: this
        process holds too many; UnsupportedMediaError: an encoding other than gzip; BodyError: broken gzip;
        ClientGoneError: the connection closed before the end.
        """
        if call.body is not None:
            return call.body
        encoding = call.headers.get(b"content-encoding", b"identity").strip().lower()
        if encoding not in {b"identity", b"gzip", b"x-gzip", b""}:
            raise UnsupportedMediaError()
        announced = call.headers.get(b"content-length")
        if announced is not None and int(announced) > limit_bytes:
            raise BodyTooLargeError(limit_bytes=limit_bytes)
        inflater = _Inflater(limit_bytes) if encoding.endswith(b"gzip") else None
        parts: list[bytes] = []
        held_bytes = received_bytes = 0
        try:
            async for piece in chunks_of(call.receive):
                received_bytes += len(piece)
                if received_bytes > limit_bytes:
                    raise BodyTooLargeError(limit_bytes=limit_bytes)
                made = [piece] if inflater is None else await inflater.feed(piece)
                parts += made
                grown = sum(map(len, made))
                held_bytes += grown
                self._held_bytes += grown
                whose = self._held_of[call.place] = self._held_of.get(call.place, 0) + grown
                # one environment may hold as much as it leaves to others
                if self._held_bytes + whose > self._held_bytes_max + held_bytes:
                    raise BodiesBusyError(part="http")
            if inflater is not None:
                inflater.end()
            return parts[0] if len(parts) == 1 else b"".join(parts)
        finally:
            self._held_bytes -= held_bytes
            left = self._held_of.pop(call.place, 0) - held_bytes
            if left > 0:
                self._held_of[call.place] = left


async def chunks_of(receive: Receive) -> Any:
    """The body as it arrives.

    Raises: ClientGoneError: the connection closed before the end.
    """
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        body = message.get("body", b"")
        if body:
            yield body
        if not message.get("more_body", False):
            return


class _Inflater:
    """gzip, a step at a time, so that a bomb is seen while it is small and the loop breathes."""

    def __init__(self, limit_bytes: int) -> None:
        self._stream = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        self._limit_bytes = limit_bytes
        self._in_bytes = self._out_bytes = 0

    async def feed(self, piece: bytes) -> list[bytes]:
        self._in_bytes += len(piece)
        made: list[bytes] = []
        while piece:
            try:
                out = self._stream.decompress(piece, INFLATE_STEP_BYTES)
            except zlib.error as error:
                raise BodyError("gzip") from error
            piece = self._stream.unconsumed_tail
            self._out_bytes += len(out)
            over_ratio = self._out_bytes > RATIO_FROM_BYTES and self._out_bytes > RATIO_MAX * self._in_bytes
            if self._out_bytes > self._limit_bytes or over_ratio:
                raise BodyTooLargeError(limit_bytes=self._limit_bytes)
            if self._stream.unused_data:
                raise BodyError("gzip")
            made.append(out)
            if piece:
                await asyncio.sleep(0)
        return made

    def end(self) -> None:
        if not self._stream.eof:
            raise BodyError("gzip")
