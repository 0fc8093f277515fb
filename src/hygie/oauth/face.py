"""The ASGI application at ``/{tenant}/{environment}/oauth2/…``, and the SMART configuration beside the FHIR face.

Source: SMART App Launch 2.2.0; RFC 6749, 7009, 7523, 7636, 7662, 8705.  Errors are
those of RFC 6749 section 5.2, with the house's code, in ASCII as it wants: a client that did not prove itself is told
nothing more.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from hygie.base.errors import HygieError, Language
from hygie.base.language import language_asked
from hygie.gate.assertions import ASSERTION_TYPE
from hygie.gate.authenticators import base64url
from hygie.gate.clients import ALGORITHMS
from hygie.gate.desk import Proof
from hygie.gate.errors import ClientRefusedError, CodeRefusedError, ElsewhereError, GrantTypeError, ScopeError
from hygie.gate.gate import Whence
from hygie.gate.snapshot import Bearer
from hygie.oauth.doors import Desk, Exchange
from hygie.oauth.errors import GrantUnknownError, NoSuchDoorError, PostOnlyError, TokenKindError, incident
from hygie.oauth.forms import read_form
from hygie.server.bodies import Receive

CERTIFICATE_KEY = "hygie.certificate"
ROUTE_KEY = "hygie.route"
CONFIGURATION = ".well-known/smart-configuration"
DEVICE_CHARS_MAX = 128
RETRY_AFTER_S = b"60"
_NAMES: Sequence[tuple[type[HygieError], str]] = (
    (ClientRefusedError, "invalid_client"),
    (CodeRefusedError, "invalid_grant"),
    (ScopeError, "invalid_scope"),
    (GrantTypeError, "invalid_request"),
    (GrantUnknownError, "unsupported_grant_type"),
    (TokenKindError, "unsupported_token_type"),
    (ElsewhereError, "access_denied"),
)

# What no decomposition makes of it: French quotes and apostrophes, dashes, ligatures.
_TYPOGRAPHY = str.maketrans({"«": "'", "»": "'", "’": "'", "–": "-", "—": "-", "œ": "oe", "Œ": "OE"})

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Ask:
    """One request. base: ``https://host/tenant/environment``."""

    tenant: str
    environment: str
    form: dict[str, str]
    proof: Proof


class TokenFace:
    """The ASGI application.

    Args: desk: opens sessions of applications; persons: changes the codes of people for sessions; origins: scheme and
    authority by which clients reach this installation, the first one being told in its configuration; an assertion
    made for another address is refused.
    """

    def __init__(self, desk: Desk, persons: Exchange, origins: Sequence[str]) -> None:
        self._desk = desk
        self._persons = persons
        self._origins = [one.rstrip("/") for one in origins]
        self._doors: dict[str, Callable[[_Ask], Awaitable[Json]]] = {
            "token": self._token,
            "introspect": self._introspect,
            "revoke": self._revoke,
        }

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """One request, to its answer. Nothing is raised but what the connection itself breaks."""
        headers = dict(scope["headers"])
        language = language_asked(headers.get(b"accept-language", b""))
        more: list[tuple[bytes, bytes]] = []
        try:
            status, body = 200, await self._answer(scope, headers, receive)
        except HygieError as error:
            status, body, more = _refusal(error, language)
        except ConnectionResetError:
            return
        except Exception as error:  # the last line: told to nobody, logged without what it may hold
            status, body, more = _refusal(incident(error), language)
        await _send(send, status, body, more, head=scope["method"] == "HEAD")

    async def _answer(self, scope: MutableMapping[str, Any], headers: dict[bytes, bytes], receive: Receive) -> Json:
        parts = scope["path"].split("/")
        tenant, environment = parts[1], parts[2]
        if parts[3] == "fhir":
            scope[ROUTE_KEY] = CONFIGURATION
            if scope["method"] not in {"GET", "HEAD"}:
                raise PostOnlyError(allow="GET, HEAD")
            return self._configuration(tenant, environment)
        door = self._doors.get(parts[4]) if len(parts) == 5 else None
        if door is None:
            raise NoSuchDoorError()
        scope[ROUTE_KEY] = f"oauth2/{parts[4]}"
        if scope["method"] != "POST":
            raise PostOnlyError(allow="POST")
        form = await read_form(headers, receive)
        client = scope.get("client")
        where = Whence(
            client[0] if client else "",
            headers.get(b"user-agent", b"").decode("latin-1")[:DEVICE_CHARS_MAX],
            scope.get(CERTIFICATE_KEY, b""),
        )
        return await door(_Ask(tenant, environment, form, self._proof(form, tenant, environment, where)))

    def _proof(self, form: dict[str, str], tenant: str, environment: str, where: Whence) -> Proof:
        assertion = form.get("client_assertion", "")
        if assertion and form.get("client_assertion_type") != ASSERTION_TYPE:
            raise GrantTypeError(reason="client_assertion_type")
        audiences = [f"{origin}/{tenant}/{environment}/oauth2/token" for origin in self._origins]
        return Proof(form.get("client_id", ""), assertion, where, frozenset(audiences))

    async def _token(self, ask: _Ask) -> Json:
        grant = _needed(ask.form, "grant_type")
        if grant == "client_credentials":
            opened = await self._desk.open(ask.tenant, ask.environment, ask.proof, ask.form.get("scope", ""))
        elif grant == "authorization_code":
            opened = await self._persons.exchange(
                (ask.tenant, ask.environment),
                ask.proof,
                code=_needed(ask.form, "code"),
                verifier=_needed(ask.form, "code_verifier"),
                redirect_uri=_needed(ask.form, "redirect_uri"),
            )
        else:
            raise GrantUnknownError()
        session = opened.session
        return {
            "access_token": opened.token,
            "token_type": "bearer",
            "expires_in": max((session.expires_ms - session.issued_ms) // 1000, 0),
            "scope": " ".join(session.scopes),
        }

    async def _introspect(self, ask: _Ask) -> Json:
        bearer = await self._desk.look(ask.proof, _needed(ask.form, "token"))
        return _told(bearer) if bearer is not None else {"active": False}

    async def _revoke(self, ask: _Ask) -> Json:
        if not await self._desk.close(ask.proof, _needed(ask.form, "token")):
            raise TokenKindError()
        return {}

    def _configuration(self, tenant: str, environment: str) -> Json:
        """The same for every name: it tells nobody which environments there are."""
        base = f"{self._origins[0]}/{tenant}/{environment}/oauth2"
        told = {"issuer": base, "authorization_endpoint": f"{base}/authorize"}
        methods = ["private_key_jwt", "tls_client_auth"]
        algorithms = sorted({name for names in ALGORITHMS.values() for name in names})
        return told | {
            "token_endpoint": f"{base}/token",
            "introspection_endpoint": f"{base}/introspect",
            "revocation_endpoint": f"{base}/revoke",
            "grant_types_supported": ["authorization_code", "client_credentials"],
            "token_endpoint_auth_methods_supported": [*methods, "none"],
            "token_endpoint_auth_signing_alg_values_supported": algorithms,
            "introspection_endpoint_auth_methods_supported": methods,
            "revocation_endpoint_auth_methods_supported": [*methods, "none"],
            "scopes_supported": ["system/*.cruds", "system/*.rs", "user/*.cruds", "user/*.rs"],
            "response_types_supported": ["code"],
            "authorization_response_iss_parameter_supported": True,
            "code_challenge_methods_supported": ["S256"],
            "tls_client_certificate_bound_access_tokens": True,
            "capabilities": [
                "launch-standalone",
                "authorize-post",
                "client-public",
                "client-confidential-asymmetric",
                "permission-user",
                "permission-v1",
                "permission-v2",
            ],
        }


def _needed(form: dict[str, str], name: str) -> str:
    if name not in form:
        raise GrantTypeError(reason=name)
    return form[name]


def _told(bearer: Bearer) -> Json:
    """What is said of a live token (RFC 7662, 2.2)."""
    found: Json = {
        "active": True,
        "client_id": bearer.held_by,
        "sub": bearer.account,
        "exp": bearer.expires_ms // 1000,
        "token_type": "bearer",
    }
    if bearer.scopes:
        found["scope"] = " ".join(bearer.scopes)
    if bearer.binding:
        found["cnf"] = {"x5t#S256": base64url(bearer.binding)}
    return found


def _in_ascii(text: str) -> str:
    """A sentence in the characters of an ``error_description`` (RFC 6749, 5.2): without accents, quotes, reverse
    slashes."""
    plain = unicodedata.normalize("NFKD", text.translate(_TYPOGRAPHY)).encode("ascii", "ignore").decode()
    return plain.replace('"', "'").replace("\\", "/")


def _refusal(error: HygieError, language: Language) -> tuple[int, Json, list[tuple[bytes, bytes]]]:
    name = next((name for kind, name in _NAMES if isinstance(error, kind)), "")
    if not name:
        name = "temporarily_unavailable" if error.retryable else "invalid_request"
    told = type(error)(reason="-") if isinstance(error, ClientRefusedError | CodeRefusedError) else error
    body: Json = {"error": name, "error_description": _in_ascii(f"{told.code}: {told.sentence(language)}")}
    more: list[tuple[bytes, bytes]] = []
    allow = error.facts.get("allow")
    if isinstance(allow, str):
        more.append((b"allow", allow.encode()))
    if error.http_status in {429, 503}:
        wait_s = error.facts.get("retry_after_s")
        more.append((b"retry-after", b"%d" % wait_s if isinstance(wait_s, int) else RETRY_AFTER_S))
    return error.http_status, body, more


async def _send(send: Send, status: int, body: Json, more: list[tuple[bytes, bytes]], *, head: bool) -> None:
    data = msgspec.json.encode(body)
    headers = [
        (b"content-type", b"application/json;charset=UTF-8"),
        (b"content-length", str(len(data)).encode()),
        (b"cache-control", b"no-store"),
        (b"pragma", b"no-cache"),
        *more,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head else data})
