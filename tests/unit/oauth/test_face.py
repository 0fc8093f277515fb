"""What the token door answers in the words of RFC 6749, 7009 and 9110; what pages answer to another method."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, cast
from urllib.parse import urlencode

import pytest

from hygie.base.clock import SystemClock
from hygie.gate.errors import SignInRefusedError
from hygie.gate.gate import Whence
from hygie.gate.people import PeopleDoor
from hygie.gate.person_desk import PersonDesk
from hygie.oauth.doors import Desk
from hygie.oauth.enrolment import EnrolmentPages
from hygie.oauth.errors import SignInRequestError
from hygie.oauth.face import TokenFace
from hygie.oauth.sign_in import SignInFace
from hygie.oauth.transactions import new_browser
from hygie.oauth.visits import Visit
from hygie.server import bodies

ORIGIN = "https://hygie.example"
Application = Callable[..., Awaitable[None]]


class Desks:
    """Whose every token is a stored one, and who knows nobody."""

    async def close(self, *_: object) -> bool:
        return False

    async def open(self, *_: object) -> object:
        raise SignInRefusedError(reason="x", locks=0)

    async def key(self) -> bytes:
        return bytes(32)


def tokens() -> TokenFace:
    return TokenFace(cast("Desk", Desks()), cast("Any", Desks()), [ORIGIN])


def asked(
    app: Application, path: str, form: dict[str, str] | None, *, method: str = "POST", language: bytes = b"en"
) -> tuple[int, dict[bytes, bytes], bytes]:
    """Status, headers and body of an answer; a form of None never comes."""
    sent: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    async def receive() -> MutableMapping[str, Any]:
        if form is None:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": urlencode(form or {}).encode()}

    headers = [(b"content-type", b"application/x-www-form-urlencoded"), (b"accept-language", language)]
    scope = {"method": method, "path": path, "headers": headers, "client": ("127.0.0.1", 1), "query_string": b""}
    asyncio.run(app(scope, receive, send))  # type: ignore[arg-type]
    return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"]


@pytest.mark.parametrize(
    ("door", "form", "error"),
    [
        ("token", {"grant_type": "password"}, "unsupported_grant_type"),
        ("token", {"scope": "system/*.rs"}, "invalid_request"),
        ("revoke", {"token": "hyg_x", "client_id": "lab"}, "unsupported_token_type"),
        ("revoke", {"client_id": "lab"}, "invalid_request"),
    ],
)
def test_errors_have_the_names_of_the_protocols(door: str, form: dict[str, str], error: str) -> None:
    status, _, body = asked(tokens(), f"/chu/prod/oauth2/{door}", form)
    assert (status, json.loads(body)["error"]) == (400, error)


@pytest.mark.parametrize(
    ("form", "language"),
    [({"grant_type": "x"}, b"fr"), ({}, b"fr"), ({"grant_type": "client_credentials"}, b"fr"), ({}, b"en")],
)
def test_a_description_is_in_the_characters_that_the_protocol_allows(form: dict[str, str], language: bytes) -> None:
    _, _, body = asked(tokens(), "/chu/prod/oauth2/token", form, language=language)
    told = json.loads(body)["error_description"]
    assert all(" " <= one <= "~" and one not in '"\\' for one in told)  # RFC 6749, 5.2
    assert ("demande" in told.lower() or "connexion" in told.lower()) == (language == b"fr")


def test_a_form_that_never_comes_holds_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "SMALL_BODY_S_MAX", 0.05)
    status, _, body = asked(tokens(), "/chu/prod/oauth2/token", None)
    assert (status, json.loads(body)["error"]) == (400, "invalid_request")


def test_a_page_says_which_methods_it_takes() -> None:
    app = SignInFace(cast("PeopleDoor", None), cast("PersonDesk", None), [], [ORIGIN], SystemClock())
    status, headers, _ = asked(app, "/chu/prod/oauth2/authorize", {}, method="DELETE")
    assert (status, headers[b"allow"]) == (405, b"GET, POST")


NESTED = '{"a":' + "[" * 20_000


def test_an_answer_of_a_key_that_is_nested_without_end_is_no_accident() -> None:
    desk = cast("PersonDesk", Desks())
    where = Whence("127.0.0.1", "")
    fields = {"step": "credential", "credential": NESTED}
    visit = Visit("POST", ["", "sign-in", "enrol"], fields, {}, new_browser(), "fr", where, ours=True)
    face = SignInFace(cast("PeopleDoor", None), desk, [], [ORIGIN], SystemClock())
    pages = EnrolmentPages(cast("PeopleDoor", None), desk, SystemClock())

    async def opened(*_: object) -> None:
        return None

    pages._open = opened  # type: ignore[method-assign, assignment]
    for call in (face._by_key(visit, cast("Any", None)), pages.answer(visit)):
        with pytest.raises(SignInRequestError):
            asyncio.run(call)  # type: ignore[arg-type]
