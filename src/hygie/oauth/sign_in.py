"""The pages where people sign in, and the way back to the application: ``/{tenant}/{environment}/oauth2/authorize`` and
``…/sign-in``, ``/sign-in/{provider}`` where identity providers send people back.

Source: SMART App Launch 2.2.0 (standalone launch); RFC 6749, 4.1; RFC 9207; RFC 9700.  Nobody is sent to an address
that the application did not register.  A proof is kept in a cookie until the person goes on, so that no page of the
browser's history holds it, nor a password; what is done with it is asked for by a form that only this browser's pages
have.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec

from hygie.base.clock import Clock
from hygie.base.errors import HygieError
from hygie.base.language import language_asked
from hygie.gate.errors import ScopeError, SignInRefusedError
from hygie.gate.people import PeopleDoor
from hygie.gate.person_desk import PersonDesk, Registered, is_challenge, person_scopes
from hygie.gate.proofs import Proven
from hygie.oauth import enrolment, pages
from hygie.oauth.enrolment import EnrolmentPages
from hygie.oauth.errors import (
    IdentityRefusedError,
    NoSuchDoorError,
    SignInLostError,
    SignInRequestError,
    UnknownIdentityError,
    incident,
)
from hygie.oauth.pages import Place, Shown
from hygie.oauth.providers import Provider, Sent, new_sent
from hygie.oauth.transactions import (
    BROWSER_COOKIE,
    PROVEN_COOKIE,
    PROVIDER_COOKIE,
    STATE_CHARACTERS_MAX,
    Asked,
    Away,
    SignIn,
    close_away,
    close_sign_in,
    cookie,
    new_browser,
    open_away,
    open_sign_in,
)
from hygie.oauth.visits import Answer, Send, Visit, refusal, send_asset, send_page, visit_of
from hygie.server.bodies import Receive

ROUTE_KEY = "hygie.route"
DOORS = frozenset({"authorize", "sign-in"})


class _AppError(Exception):
    """What is told to the application rather than to the person (RFC 6749, 4.1.2.1)."""

    def __init__(self, error: str) -> None:
        super().__init__(error)
        self.error = error


class SignInFace:
    """The ASGI application. Args: origins: scheme and authority of this installation, the first one being told."""

    def __init__(
        self, people: PeopleDoor, desk: PersonDesk, providers: Sequence[Provider], origins: Sequence[str], clock: Clock
    ) -> None:
        self._people = people
        self._desk = desk
        self._providers = {one.settings.name: one for one in providers}
        self._origins = [one.rstrip("/") for one in origins]
        self._clock = clock
        self._enrolment = EnrolmentPages(people, desk, clock)
        self._steps: Mapping[str, Callable[[Visit, SignIn], Awaitable[Answer]]] = {
            "password": self._by_password,
            "key": self._ask_key,
            "credential": self._by_key,
            "again": self._again,
            "continue": self._continue,
            "cancel": self._cancel,
            "end": self._end,
        }

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """One request, to its answer. Nothing is raised but what the connection itself breaks."""
        language = language_asked(dict(scope["headers"]).get(b"accept-language", b""))
        try:
            path = scope["path"].split("/")
            if len(path) == 3 and path[2] in pages.ASSETS and scope["method"] in {"GET", "HEAD"}:
                scope[ROUTE_KEY] = "sign-in/asset"
                await send_asset(send, path[2], head=scope["method"] == "HEAD")
                return
            answer = await self._answer(scope, await visit_of(scope, receive, language))
        except HygieError as error:
            answer = refusal(error, language)
        except ConnectionResetError:
            return
        except Exception as error:  # the last line: told to nobody, logged without what it may hold
            answer = refusal(incident(error), language)
        await send_page(send, answer)

    async def _answer(self, scope: MutableMapping[str, Any], visit: Visit) -> Answer:
        path = visit.path
        if len(path) == 3 and path[2] == enrolment.NAME:
            scope[ROUTE_KEY] = "sign-in/enrol"
            return await self._enrolment.answer(visit)
        if len(path) == 3:
            scope[ROUTE_KEY] = "sign-in/provider"
            return await self._back(visit, path[2])
        if len(path) != 5:
            raise NoSuchDoorError()
        scope[ROUTE_KEY] = f"oauth2/{path[4]}"
        if path[4] == "authorize":
            return await self._authorize(visit)
        if visit.method == "GET":
            return await (self._leave(visit) if "provider" in visit.fields else self._confirm(visit))
        visit.require_ours()
        step = self._steps.get(visit.fields.get("step", ""))
        if step is None:
            raise SignInRequestError(reason="step")
        return await step(visit, await self._opened(visit))

    # -- the application asks ---------------------------------------------------------------------------------------

    async def _authorize(self, visit: Visit) -> Answer:
        names = (visit.path[1], visit.path[2])
        fields = visit.fields
        redirect_uri = fields.get("redirect_uri", "")
        registered = await self._desk.registered(names, fields.get("client_id", ""), redirect_uri, visit.where)
        state = fields.get("state", "")
        try:
            scopes = self._checked(fields, names)
        except _AppError as error:
            kept = state if len(state) <= STATE_CHARACTERS_MAX else ""
            return self._sent_back(names, redirect_uri, {"error": error.error, "state": kept})
        asked = Asked(
            *names,
            registered.application.id,
            redirect_uri,
            state,
            fields["code_challenge"],
            scopes,
            self._clock.now_ms(),
        )
        browser = visit.browser or new_browser()
        visit = replace(visit, browser=browser)
        return await self._first_page(visit, SignIn(asked), registered)

    def _checked(self, fields: Mapping[str, str], names: tuple[str, str]) -> tuple[str, ...]:
        """The scopes of a request that can be followed. Raises: _AppError."""
        if "request" in fields or "request_uri" in fields:
            raise _AppError("request_not_supported")
        if fields.get("response_type") != "code":
            raise _AppError("unsupported_response_type")
        bases = {f"{origin}/{names[0]}/{names[1]}/fhir" for origin in self._origins}
        sound = (
            fields.get("code_challenge_method") == "S256"
            and is_challenge(fields.get("code_challenge", ""))
            and 0 < len(fields.get("state", "")) <= STATE_CHARACTERS_MAX
            and fields.get("aud", "").rstrip("/") in bases
            and fields.get("response_mode", "query") == "query"
        )
        if not sound:
            raise _AppError("invalid_request")
        if "none" in fields.get("prompt", "").split():
            raise _AppError("login_required")
        try:
            return person_scopes(fields.get("scope", ""))
        except ScopeError as error:
            raise _AppError("invalid_scope") from error

    # -- the person proves -------------------------------------------------------------------------------------------

    async def _by_password(self, visit: Visit, sign_in: SignIn) -> Answer:
        fields = visit.fields
        account = fields.get("account", "")
        try:
            proven = await self._people.by_password(
                account, fields.get("password", ""), fields.get("code", ""), visit.where
            )
        except HygieError as error:
            return await self._first_page(visit, sign_in, error=error, account=account)
        return await self._proven(visit, sign_in, proven)

    async def _ask_key(self, visit: Visit, sign_in: SignIn) -> Answer:
        account = visit.fields.get("account", "")
        try:
            options = await self._people.webauthn_options(account, visit.where)
        except HygieError as error:
            return await self._first_page(visit, sign_in, error=error, account=account)
        place = await self._place(visit, sign_in, await self._registered(visit, sign_in))
        return Answer(pages.key_page(place, visit.language, options=json.dumps(options)))

    async def _by_key(self, visit: Visit, sign_in: SignIn) -> Answer:
        try:
            response = msgspec.json.decode(visit.fields.get("credential", ""), type=dict[str, Any])
        except (msgspec.DecodeError, RecursionError) as error:
            raise SignInRequestError(reason="credential") from error
        try:
            proven = await self._people.by_webauthn(response, visit.where)
        except HygieError as error:
            return await self._first_page(visit, sign_in, error=error)
        return await self._proven(visit, sign_in, proven)

    async def _again(self, visit: Visit, sign_in: SignIn) -> Answer:
        return await self._first_page(visit, sign_in)

    async def _leave(self, visit: Visit) -> Answer:
        """On to an identity provider, what comes back being bound to this browser."""
        sign_in = await self._opened(visit)
        provider = self._provider(visit.fields["provider"])
        sent = new_sent()
        try:
            location = await provider.address(sent)
        except HygieError as error:
            return await self._first_page(visit, sign_in, error=error)
        away = Away(sign_in, provider.settings.name, sent.state, sent.nonce, sent.verifier)
        kept = close_away(away, key=await self._desk.key(), browser=visit.browser)
        return Answer(status=303, location=location, cookies=(cookie(PROVIDER_COOKIE, kept),))

    async def _back(self, visit: Visit, name: str) -> Answer:
        """Back from an identity provider."""
        provider = self._provider(name)
        kept = visit.cookies.get(PROVIDER_COOKIE, "")
        away = open_away(kept, key=await self._desk.key(), browser=visit.browser, now_ms=self._clock.now_ms())
        shown = visit.fields.get("state", "").encode("utf-8", "replace")
        if away.provider != name or not hmac.compare_digest(shown, away.state.encode()):
            raise SignInLostError()
        over = cookie(PROVIDER_COOKIE, "")
        try:
            proven = await self._vouched(visit, provider, away)
        except SignInRefusedError:
            answer = await self._first_page(visit, away.sign_in, error=UnknownIdentityError())
        except HygieError as error:
            answer = await self._first_page(visit, away.sign_in, error=error)
        else:
            answer = await self._proven(visit, away.sign_in, proven)
        return replace(answer, cookies=(*answer.cookies, over))

    async def _vouched(self, visit: Visit, provider: Provider, away: Away) -> Proven:
        """Who came back, by the word of his provider. Raises: HygieError: refusals are in the journal."""
        try:
            if "code" not in visit.fields:
                raise IdentityRefusedError(reason_fr="pas de code", reason_en="no code")
            sent = Sent(away.state, away.nonce, away.verifier)
            identity = await provider.identity(visit.fields["code"], visit.fields.get("iss", ""), sent)
        except IdentityRefusedError as error:
            await self._people.refuse_identity(error, visit.where)
            raise AssertionError("unreachable") from error
        return await self._people.by_identity(
            identity.issuer,
            identity.subject,
            professional_id=identity.professional_id,
            acr=identity.acr,
            method=f"oidc:{provider.settings.name}",
            where=visit.where,
        )

    def _provider(self, name: str) -> Provider:
        if name not in self._providers:
            raise NoSuchDoorError()
        return self._providers[name]

    async def _proven(self, visit: Visit, sign_in: SignIn, proven: Proven) -> Answer:
        """Keep the proof aside, and show the next page by an address of its own."""
        key = await self._desk.key()
        kept = close_sign_in(SignIn(sign_in.asked, proven), key=key, browser=visit.browser)
        path = f"{_path(sign_in.asked)}/sign-in"
        return Answer(status=303, location=path, cookies=(cookie(PROVEN_COOKIE, kept),))

    # -- the person goes on ------------------------------------------------------------------------------------------

    async def _confirm(self, visit: Visit) -> Answer:
        sign_in, proven = await self._kept(visit)
        registered = await self._registered(visit, sign_in)
        open_ = await self._desk.sessions(proven.account)
        shown = [Shown(one.application, "/".join(one.names), one.opened_ms, one.until_ms) for one in open_]
        place = await self._place(visit, SignIn(sign_in.asked), registered)
        name = self._desk.name_of(proven.account)
        page = pages.confirm_page(place, visit.language, account=name, how=self._how(proven.method), sessions=shown)
        return Answer(page, targets=(_origin(sign_in.asked.redirect_uri),))

    def _how(self, method: str) -> str:
        """A way to prove, for people: a provider by its label."""
        provider = self._providers.get(method.partition(":")[2])
        return provider.settings.label if provider is not None else method

    async def _continue(self, visit: Visit, sign_in: SignIn) -> Answer:
        _, proven = await self._kept(visit, sign_in)
        asked = sign_in.asked
        registered = await self._registered(visit, sign_in)
        over = (cookie(PROVEN_COOKIE, ""),)
        told = {"state": asked.state}
        try:
            told["code"] = await self._desk.code(
                registered, proven, challenge=asked.challenge, scopes=asked.scopes, where=visit.where
            )
        except ScopeError:
            told["error"] = "invalid_scope"
        return replace(self._sent_back((asked.tenant, asked.environment), asked.redirect_uri, told), cookies=over)

    async def _cancel(self, visit: Visit, sign_in: SignIn) -> Answer:
        await self._kept(visit, sign_in)
        asked = sign_in.asked
        await self._registered(visit, sign_in)
        told = {"error": "access_denied", "state": asked.state}
        answer = self._sent_back((asked.tenant, asked.environment), asked.redirect_uri, told)
        return replace(answer, cookies=(cookie(PROVEN_COOKIE, ""),))

    async def _end(self, visit: Visit, sign_in: SignIn) -> Answer:
        _, proven = await self._kept(visit, sign_in)
        await self._desk.end_all(proven, await self._registered(visit, sign_in), visit.where)
        answer = await self._first_page(visit, sign_in, account=proven.account)
        return replace(answer, cookies=(*answer.cookies, cookie(PROVEN_COOKIE, "")))

    # -- common ------------------------------------------------------------------------------------------------------

    async def _opened(self, visit: Visit) -> SignIn:
        """The sign-in that a form carries, of this browser and of this place. Raises: SignInLostError."""
        key, now_ms = await self._desk.key(), self._clock.now_ms()
        found = open_sign_in(visit.fields.get("sign_in", ""), key=key, browser=visit.browser, now_ms=now_ms)
        if [found.asked.tenant, found.asked.environment] != visit.path[1:3]:
            raise SignInLostError()
        return found

    async def _kept(self, visit: Visit, sign_in: SignIn | None = None) -> tuple[SignIn, Proven]:
        """The sign-in whose proof this browser keeps; the one of the form, when there is a form. Raises:
        SignInLostError."""
        key, now_ms = await self._desk.key(), self._clock.now_ms()
        kept = open_sign_in(visit.cookies.get(PROVEN_COOKIE, ""), key=key, browser=visit.browser, now_ms=now_ms)
        same = sign_in is None or sign_in.asked == kept.asked
        if kept.proven is None or not same or [kept.asked.tenant, kept.asked.environment] != visit.path[1:3]:
            raise SignInLostError()
        return kept, kept.proven

    async def _registered(self, visit: Visit, sign_in: SignIn) -> Registered:
        asked = sign_in.asked
        names = (asked.tenant, asked.environment)
        return await self._desk.registered(names, asked.client, asked.redirect_uri, visit.where)

    async def _first_page(
        self,
        visit: Visit,
        sign_in: SignIn,
        registered: Registered | None = None,
        *,
        error: HygieError | None = None,
        account: str = "",
    ) -> Answer:
        registered = registered or await self._registered(visit, sign_in)
        place = await self._place(visit, SignIn(sign_in.asked), registered)
        names = [(name, one.settings.label) for name, one in self._providers.items()]
        page = pages.sign_in_page(place, visit.language, providers=names, error=error, account=account[:100])
        status = error.http_status if error is not None else 200
        return Answer(page, status, cookies=(cookie(BROWSER_COOKIE, visit.browser),), retry=status in {429, 503})

    async def _place(self, visit: Visit, sign_in: SignIn, registered: Registered) -> Place:
        asked = sign_in.asked
        token = close_sign_in(sign_in, key=await self._desk.key(), browser=visit.browser)
        label = registered.application.label or registered.application.id
        return Place(_path(asked), label, f"{asked.tenant}/{asked.environment}", token)

    def _sent_back(self, names: tuple[str, str], redirect_uri: str, told: Mapping[str, str]) -> Answer:
        """Back to the application, at the address that it registered."""
        issuer = f"{self._origins[0]}/{names[0]}/{names[1]}/oauth2"
        query = urlencode({name: value for name, value in {**told, "iss": issuer}.items() if value})
        joint = "&" if urlsplit(redirect_uri).query else "?"
        return Answer(status=303, location=f"{redirect_uri}{joint}{query}")


def _path(asked: Asked) -> str:
    return f"/{asked.tenant}/{asked.environment}/oauth2"


def _origin(uri: str) -> str:
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc}"
