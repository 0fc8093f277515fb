"""The ASGI application at ``/{tenant}/{environment}/rights/…``.

Source: docs/reference/rights-door.md.  JSON in, JSON out, a bearer token with each request; errors are
``{"code", "message"}`` in French or English.  Whatever is not there and whatever is not the caller's get one answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

import msgspec

from hygie.base.errors import HygieError
from hygie.base.language import language_asked
from hygie.gate.gate import Whence
from hygie.gate.rights_desk import Caller, RightsDesk
from hygie.rights.errors import NoSuchRightsDoorError, RightsBodyError, incident
from hygie.server.bodies import Receive, SmallBodyError, read_small

BODY_BYTES_MAX = 16 * 1024
DOORS = ("requests", "habilitations", "break-glass", "reviews")
DEVICE_CHARS_MAX = 128
CERTIFICATE_KEY = "hygie.certificate"
ROUTE_KEY = "hygie.route"
RETRY_AFTER_S = 60  # where nothing says better

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request that is made: the act, what it is in words, why; subject: what it does not tell (``Patient/…``)."""

    act: str
    reason: str
    what: dict[str, str] = {}
    subject: str = ""


class Answered(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An answer: why, and the subject named again where the request has one that it does not tell."""

    why: str = ""
    subject: str = ""


class Opened(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A record that is opened: ``Patient/ID``, a motive of the list, for how many minutes."""

    patient: str
    motive: str
    minutes: int = 30


class Reviewed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The review of an opening."""

    verdict: str
    why: str = ""


class Campaign(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A campaign that is opened, to be ended on a day (``2027-01-31``)."""

    name: str
    due: str


class Decided(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What becomes of one right: ``keep`` or ``withdraw``."""

    decision: str
    why: str = ""


class RightsFace:
    """The ASGI application. Args: desk: behind this door."""

    def __init__(self, desk: RightsDesk) -> None:
        self._desk = desk

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """One request, to its answer. Nothing is raised but what the connection itself breaks."""
        headers = dict(scope["headers"])
        language = language_asked(headers.get(b"accept-language", b""))
        wait_s: object = None
        try:
            status, body = await self._answer(scope, headers, receive)
        except HygieError as error:
            status, body = error.http_status, {"code": error.code, "message": error.sentence(language)}
            wait_s = error.facts.get("retry_after_s")
        except ConnectionResetError:
            return
        except Exception as error:  # the last line: told to nobody, logged without what it may hold
            told = incident(error)
            status, body = told.http_status, {"code": told.code, "message": told.sentence(language)}
        retry_s = wait_s if isinstance(wait_s, int) else RETRY_AFTER_S
        await _send(send, status, body, head=scope["method"] == "HEAD", retry_s=retry_s)

    async def _answer(
        self, scope: MutableMapping[str, Any], headers: dict[bytes, bytes], receive: Receive
    ) -> tuple[int, Any]:
        _, tenant, environment, _, *parts = scope["path"].split("/")
        caller = _caller(scope, headers, tenant, environment)
        what, *rest = parts or [""]
        scope[ROUTE_KEY] = f"rights/{what if what in DOORS else '-'}"
        if scope["method"] in ("GET", "HEAD"):
            return 200, await self._look(caller, [what, *rest])
        if scope["method"] == "POST":
            await self._desk.recognise(caller)  # what strangers send is not read
            return await self._act(caller, [what, *rest], headers, receive)
        raise NoSuchRightsDoorError()

    async def _look(self, caller: Caller, path: Sequence[str]) -> Any:
        """A list."""
        match path:
            case ["requests"]:
                return {"requests": await self._desk.requests(caller)}
            case ["habilitations"]:
                return {"habilitations": await self._desk.rights(caller)}
            case ["reviews"]:
                return {"campaigns": await self._desk.campaigns(caller)}
            case ["reviews", id_]:
                return {"habilitations": await self._desk.reviewed(caller, id_)}
            case ["break-glass"]:
                return {"openings": await self._desk.openings(caller)}
        raise NoSuchRightsDoorError()

    async def _act(
        self, caller: Caller, path: Sequence[str], headers: dict[bytes, bytes], receive: Receive
    ) -> tuple[int, Any]:
        """An act: its status and what became of it."""
        match path:
            case ["requests"]:
                one = await _body(Asked, headers, receive)
                return 201, await self._desk.ask(caller, one.act, one.what, reason=one.reason, subject=one.subject)
            case ["requests", id_, verb]:
                given = await _body(Answered, headers, receive)
                return 200, await self._desk.answer(caller, id_, verb, why=given.why, subject=given.subject)
            case ["break-glass"]:
                opening = await _body(Opened, headers, receive)
                return 201, await self._desk.break_glass(caller, opening.patient, opening.motive, opening.minutes)
            case ["reviews"]:
                campaign = await _body(Campaign, headers, receive)
                return 201, await self._desk.open_campaign(caller, campaign.name, campaign.due)
        return 200, await self._end(caller, path, headers, receive)

    async def _end(
        self, caller: Caller, path: Sequence[str], headers: dict[bytes, bytes], receive: Receive
    ) -> dict[str, str]:
        """An act that says the last word on something: its id, and how it stands."""
        match path:
            case ["break-glass", id_, "review"]:
                review = await _body(Reviewed, headers, receive)
                await self._desk.review(caller, id_, review.verdict, why=review.why)
                return {"id": id_, "state": review.verdict}
            case ["reviews", id_, habilitation]:
                decided = await _body(Decided, headers, receive)
                await self._desk.decide(caller, id_, habilitation, decided.decision, why=decided.why)
                return {"id": habilitation, "state": decided.decision}
            case ["habilitations", id_, "revoke"]:
                await self._desk.revoke(caller, id_)
                return {"id": id_, "state": "revoked"}
        raise NoSuchRightsDoorError()


def _caller(scope: MutableMapping[str, Any], headers: dict[bytes, bytes], tenant: str, environment: str) -> Caller:
    authorization = headers.get(b"authorization", b"")
    is_bearer = authorization[:7].lower() == b"bearer "
    client = scope.get("client")
    where = Whence(
        client[0] if client else "",
        headers.get(b"user-agent", b"").decode("latin-1")[:DEVICE_CHARS_MAX],
        scope.get(CERTIFICATE_KEY, b""),
    )
    return Caller(authorization[7:].strip().decode("latin-1") if is_bearer else "", tenant, environment, where)


async def _body(kind: type[Any], headers: dict[bytes, bytes], receive: Receive) -> Any:
    """The JSON object of a request. Raises: RightsBodyError: not JSON, too large, too slow, unknown or wrong fields."""
    if headers.get(b"content-type", b"").split(b";")[0].strip().lower() != b"application/json":
        raise RightsBodyError(reason="content type")
    try:
        raw = await read_small(receive, BODY_BYTES_MAX)
        return msgspec.json.decode(raw or b"{}", type=kind)
    except SmallBodyError as error:
        raise RightsBodyError(reason=str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RightsBodyError(reason="json") from error


async def _send(send: Send, status: int, body: Any, *, head: bool, retry_s: int) -> None:
    data = msgspec.json.encode(body)
    headers = [
        (b"content-type", b"application/json; charset=utf-8"),
        (b"content-length", str(len(data)).encode()),
        (b"cache-control", b"no-store"),
    ]
    if status == 401:
        headers.append((b"www-authenticate", b'Bearer realm="hygie"'))
    if status in {429, 503}:
        headers.append((b"retry-after", b"%d" % retry_s))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head else data})
