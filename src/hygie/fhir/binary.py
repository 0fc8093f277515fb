"""Binary: any content, streamed in and out up to 1 GiB, or as a FHIR resource when it is small.

Source: http://hl7.org/fhir/R4/binary.html.  A content sent with FHIR's own media type (or plain JSON) is a Binary
resource; with any other it is kept byte for byte, and the resource around it is made here.
"""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncIterator
from functools import partial
from typing import Final

import msgspec

from hygie.base.actions import Action
from hygie.fhir.answers import FHIR_JSON, Answer, Header, with_version
from hygie.fhir.doors import Content
from hygie.fhir.face_errors import BodyError, NotAcceptableError, RangeError, UnsupportedMediaError
from hygie.fhir.interactions import UPSERT, Interactions, draw_id, new_object, not_modified
from hygie.fhir.requests import Call, chunks_of, is_json_content, preferred_return, version_of_etag
from hygie.fhir.structures import parse
from hygie.vault.errors import ObjectDeletedError, ObjectTooLargeError
from hygie.vault.model import STREAM_BYTES_MAX, NewObject, Stored, Written

INLINE_BYTES_MAX: Final = 8 * 1024 * 1024  # shown inside JSON, base64: half as much again is held in memory
CONTENT_TYPE_CHARS_MAX: Final = 200
_RANGE = re.compile(rb"\s*bytes\s*=\s*(\d{0,18})\s*-\s*(\d{0,18})\s*")
_CONTENT_TYPE = re.compile(r"[!-~]+(?: [!-~]+)*")
_DATA = b',"data":"'
# A stored page must not run in a browser under this host's name.
_INERT: Final[tuple[Header, ...]] = (
    (b"accept-ranges", b"bytes"),
    (b"content-disposition", b"attachment"),
    (b"content-security-policy", b"sandbox; default-src 'none'"),
)


class Binaries:
    """The interactions on Binary that differ from those of other resources."""

    def __init__(self, interactions: Interactions) -> None:
        self._do = interactions

    async def create(self, call: Call) -> Answer:
        """POST Binary."""
        if self._is_resource(call):
            return await self._do.create(call)
        await self._do.admit(call, Action.OBJECT_CREATE)
        if b"if-none-exist" in call.headers:
            raise BodyError("raw-condition")
        return await self._stream_in(call, self._envelope(call, draw_id(), new=True))

    async def update(self, call: Call) -> Answer:
        """PUT Binary/id."""
        if self._is_resource(call):
            return await self._do.update(call)
        expected = self._do.expected_version(call)
        await self._do.admit(call, Action.OBJECT_UPDATE, if_held=UPSERT)
        return await self._stream_in(call, self._envelope(call, call.id, if_version=expected))

    @staticmethod
    def _is_resource(call: Call) -> bool:
        return call.body is not None or is_json_content(call.headers.get(b"content-type", b""))

    @staticmethod
    def _envelope(call: Call, id_: str, *, new: bool = False, if_version: int | None = None) -> NewObject:
        """The Binary resource around a raw content."""
        if call.headers.get(b"content-encoding", b"identity").strip().lower() != b"identity":
            raise UnsupportedMediaError()
        content_type = call.headers.get(b"content-type", b"application/octet-stream").decode("latin-1").strip()
        if len(content_type) > CONTENT_TYPE_CHARS_MAX or not _CONTENT_TYPE.fullmatch(content_type):
            raise BodyError("content-type")
        resource: dict[str, object] = {"resourceType": "Binary", "contentType": content_type}
        context = call.headers.get(b"x-security-context")
        if context is not None:
            resource["securityContext"] = {"reference": context.decode("latin-1")}
        parsed = parse(msgspec.json.encode(resource), expected="Binary")
        return new_object(parsed, id_, call.base, new=new, if_version=if_version)

    async def _stream_in(self, call: Call, one: NewObject) -> Answer:
        announced = call.headers.get(b"content-length")
        if announced is not None and int(announced) > STREAM_BYTES_MAX:
            raise ObjectTooLargeError(limit_bytes=STREAM_BYTES_MAX)
        assert call.permit is not None
        written = await self._do.vault.write_stream(
            call.permit,
            "Binary",
            one.id,
            chunks_of(call.receive),
            header=one.body,
            terms=one.terms,
            patients=one.patients,
            new=one.new,
            if_version=one.if_version,
            renew=partial(self._do.fresh, call),
        )
        return self._stored(call, one, written)

    @staticmethod
    def _stored(call: Call, one: NewObject, written: Written) -> Answer:
        answer = Answer(201 if written.created else 200, version=written.version, at_ms=written.at_ms)
        answer.location = f"Binary/{written.id}/_history/{written.version}"
        if preferred_return(call.headers.get(b"prefer"), "minimal") == "representation":
            answer.body = with_version("Binary", written.id, written.version, written.at_ms, one.body)
        return answer

    async def read(self, call: Call) -> Answer:
        """GET Binary/id and GET Binary/id/_history/version: the content itself, unless JSON is asked for."""
        permit = await self._do.admit(call, Action.OBJECT_READ)
        stored, content = await self._do.vault.open_stream(permit, "Binary", call.id, call.version or None)
        if stored.deleted:
            raise ObjectDeletedError(version=stored.version)
        if (b"if-none-match" in call.headers or b"if-modified-since" in call.headers) and not_modified(call, stored):
            return Answer(304, version=stored.version, at_ms=stored.at_ms)
        if wants_resource(call):
            return await self._as_resource(stored, content)
        kind = _content_type(stored)
        if content is None:
            held = base64.b64decode(_decode_view(stored).data or "")
            size_bytes = len(held)
        else:
            held, size_bytes = b"", content.size_bytes
        part = byte_range(call, stored, size_bytes)
        start, stop = part or (0, size_bytes)
        answer = Answer(206 if part else 200, version=stored.version, at_ms=stored.at_ms, kind=kind)
        answer.headers += _INERT
        if part:
            answer.headers.append((b"content-range", b"bytes %d-%d/%d" % (start, stop - 1, size_bytes)))
        if content is None:
            answer.body = held[start:stop]
        else:
            answer.headers.append((b"content-length", b"%d" % (stop - start)))
            answer.stream = self._stream_out(call, content.read(start, stop))
        return answer

    async def _stream_out(self, call: Call, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """A content, for as long as the caller may read it: who takes it slowly takes hours.

        Raises: as ``Interactions.fresh``: the answer then ends short of its length.
        """
        async for piece in pieces:
            await self._do.fresh(call)
            yield piece

    @staticmethod
    async def _as_resource(stored: Stored, content: Content | None) -> Answer:
        shown = with_version(stored.type, stored.id, stored.version, stored.at_ms, stored.body)
        if content is not None:
            if content.size_bytes > INLINE_BYTES_MAX:
                raise NotAcceptableError()
            pieces = [piece async for piece in content.read(0, content.size_bytes)] if content.size_bytes else []
            data = base64.b64encode(b"".join(pieces))
            if data:
                shown = b"".join((shown[:-1], _DATA, data, b'"}'))
        return Answer(200, shown, stored.version, stored.at_ms, kind=FHIR_JSON)


class _View(msgspec.Struct):
    """The two elements of a Binary that its raw form needs."""

    contentType: str = "application/octet-stream"  # noqa: N815 (FHIR's own name)
    data: str | None = None


_view = msgspec.json.Decoder(_View)


def _decode_view(stored: Stored) -> _View:
    return _view.decode(stored.body)


def _content_type(stored: Stored) -> bytes:
    text = _decode_view(stored).contentType
    return text.encode("ascii") if _CONTENT_TYPE.fullmatch(text) else b"application/octet-stream"


def wants_resource(call: Call) -> bool:
    """Whether the client asks for the Binary as a FHIR resource rather than for its content; in a batch it must."""
    if call.body is not None:
        return True
    if "_format=" in call.query:
        return any(name == "_format" and "json" in value for name, value in call.parameters())
    accept = call.headers.get(b"accept", b"")
    return b"fhir+json" in accept or accept.split(b";")[0].strip() == b"application/json"


def byte_range(call: Call, stored: Stored, size_bytes: int) -> tuple[int, int] | None:
    """Start (inclusive) and stop (exclusive) of the part asked for; None for the whole.

    Several ranges, another unit, or an If-Range that names another version: the whole (RFC 9110, section 14.2).
    Raises: RangeError: outside the content.
    """
    asked = call.headers.get(b"range")
    match = _RANGE.fullmatch(asked) if asked is not None else None
    condition = call.headers.get(b"if-range")
    if match is None or (condition is not None and _other_version(condition, stored)):
        return None
    first, last = match.groups()
    if not first and not last:
        return None
    if not first:
        start, stop = max(0, size_bytes - int(last)), size_bytes
    else:
        start, stop = int(first), min(int(last) + 1, size_bytes) if last else size_bytes
    if start >= stop:
        raise RangeError(size_bytes=size_bytes)
    return start, stop


def _other_version(condition: bytes, stored: Stored) -> bool:
    try:
        return version_of_etag(condition) != stored.version
    except BodyError:
        return True  # a date, weaker than our tags: send the whole
