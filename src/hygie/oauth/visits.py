"""A browser's request, and the page or the way on that answers it, with the headers that every page has."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from hygie.base.errors import HygieError, Language
from hygie.gate.errors import ClientRefusedError
from hygie.gate.gate import Whence
from hygie.oauth import pages
from hygie.oauth.errors import PostOnlyError, SignInLostError, SignInRequestError
from hygie.oauth.forms import parse_fields, read_form
from hygie.oauth.transactions import browser_of, cookies_of
from hygie.server.bodies import Receive

DEVICE_CHARS_MAX = 128
RETRY_AFTER_S = b"60"

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Visit:
    """One request of a browser. fields: of its query, or of its form; browser: its secret, or nothing; ours: whether a
    page of ours made it, as far as the browser says."""

    method: str
    path: list[str]
    fields: Mapping[str, str]
    cookies: dict[str, str]
    browser: str
    language: Language
    where: Whence
    ours: bool

    def require_ours(self) -> None:
        """A page of another site posts nothing here. Raises: SignInLostError."""
        if not self.ours:
            raise SignInLostError()


@dataclass(frozen=True, slots=True)
class Answer:
    """A page, or a way on. targets: where its forms may lead in the end; allow: the methods that apply, if it says."""

    body: str = ""
    status: int = 200
    location: str = ""
    cookies: tuple[tuple[bytes, bytes], ...] = ()
    targets: tuple[str, ...] = ()
    retry: bool = False
    allow: str = ""


async def visit_of(scope: MutableMapping[str, Any], receive: Receive, language: Language) -> Visit:
    """A request, read within bounds.

    Raises: PostOnlyError: neither GET nor POST; GrantTypeError: not a form; ConnectionResetError.
    """
    method, headers = scope["method"], dict(scope["headers"])
    if method not in {"GET", "POST"}:
        raise PostOnlyError(allow="GET, POST")
    fields = await read_form(headers, receive) if method == "POST" else parse_fields(scope["query_string"])
    cookies = cookies_of(headers.get(b"cookie", b""))
    client = scope.get("client")
    device = headers.get(b"user-agent", b"").decode("latin-1")[:DEVICE_CHARS_MAX]
    where = Whence(client[0] if client else "", device)
    ours = headers.get(b"sec-fetch-site", b"same-origin") in {b"same-origin", b"none"}
    return Visit(method, scope["path"].split("/"), fields, cookies, browser_of(cookies), language, where, ours)


def refusal(error: HygieError, language: Language) -> Answer:
    """The page of an error: nothing about which applications, addresses or places there are."""
    told = SignInRequestError(reason="client_id, redirect_uri") if isinstance(error, ClientRefusedError) else error
    allow = error.facts.get("allow")
    return Answer(
        pages.error_page(told, language),
        error.http_status,
        retry=error.http_status in {429, 503},
        allow=allow if isinstance(allow, str) else "",
    )


async def send_page(send: Send, answer: Answer) -> None:
    """Answer with a page, or a way on."""
    data = answer.body.encode()
    headers = [
        (b"content-type", b"text/html; charset=utf-8"),
        (b"content-length", str(len(data)).encode()),
        (b"cache-control", b"no-store"),
        (b"content-security-policy", pages.csp(answer.targets)),
        (b"permissions-policy", b"publickey-credentials-get=(self), publickey-credentials-create=(self)"),
        (b"referrer-policy", b"no-referrer"),
        (b"x-content-type-options", b"nosniff"),
        (b"x-frame-options", b"DENY"),
        *answer.cookies,
    ]
    if answer.retry:
        headers.append((b"retry-after", RETRY_AFTER_S))
    if answer.allow:
        headers.append((b"allow", answer.allow.encode("ascii")))
    if answer.location:
        headers.append((b"location", answer.location.encode("ascii")))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": data})


async def send_asset(send: Send, name: str, *, head: bool) -> None:
    """Answer with our style or our script."""
    data = pages.asset(name)
    headers = [
        (b"content-type", pages.ASSETS[name]),
        (b"content-length", str(len(data)).encode()),
        (b"cache-control", b"public, max-age=3600"),
        (b"x-content-type-options", b"nosniff"),
        (b"cross-origin-resource-policy", b"same-origin"),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head else data})
