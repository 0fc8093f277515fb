"""The pages where a person registers what to sign in with, against a code that was delivered: ``/sign-in/enrol``.

What is chosen travels sealed in the form, bound to the browser; the code is judged where it is used up, and nowhere
before, so that these pages tell nobody which codes there are.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from hygie.base.clock import Clock
from hygie.base.errors import HygieError
from hygie.gate.enrolment import Chosen
from hygie.gate.people import PeopleDoor
from hygie.gate.person_desk import PersonDesk
from hygie.gate.sign_in import close_text, open_text
from hygie.gate.totp import address_of, new_secret, typed_form
from hygie.oauth import enrolment_pages as pages
from hygie.oauth.errors import SignInLostError, SignInRequestError
from hygie.oauth.transactions import BROWSER_COOKIE, LIFE_MS, cookie, meaning_in, new_browser
from hygie.oauth.visits import Answer, Visit

NAME = "enrol"  # below /sign-in, where no identity provider may have this name
_LABEL = "hygie enrolment v1"


class Enrolling(msgspec.Struct, frozen=True, array_like=True):
    """An enrolment under way. secret: of the telephone's codes, or nothing."""

    account: str
    code: str
    secret: bytes
    begun_ms: int


class EnrolmentPages:
    """One per hosting process."""

    def __init__(self, people: PeopleDoor, desk: PersonDesk, clock: Clock) -> None:
        self._people = people
        self._desk = desk
        self._clock = clock
        self._steps: Mapping[str, Callable[[Visit], Awaitable[Answer]]] = {
            "password": self._choose,
            "set": self._set,
            "key": self._ask_key,
            "credential": self._register,
        }

    async def answer(self, visit: Visit) -> Answer:
        """One request. Raises: HygieError: what stops it, for a page that says so."""
        if visit.method == "GET":
            browser = visit.browser or new_browser()
            return Answer(pages.first_page(visit.language), cookies=(cookie(BROWSER_COOKIE, browser),))
        visit.require_ours()
        step = self._steps.get(visit.fields.get("step", ""))
        if step is None:
            raise SignInRequestError(reason="step")
        if not visit.browser:
            raise SignInLostError()
        return await step(visit)

    async def _choose(self, visit: Visit) -> Answer:
        return await self._choosing(visit, self._begun(visit, new_secret()))

    async def _choosing(self, visit: Visit, one: Enrolling, error: HygieError | None = None) -> Answer:
        secret, address = typed_form(one.secret), address_of(one.secret, one.account)
        token = await self._close(visit, one)
        page = pages.password_page(visit.language, token=token, secret=secret, address=address, error=error)
        return Answer(page, error.http_status if error is not None else 200)

    async def _set(self, visit: Visit) -> Answer:
        one = await self._open(visit)
        fields = visit.fields
        try:
            chosen = Chosen(fields.get("password", ""), one.secret, fields.get("shown", ""))
            await self._people.activate_password(one.account, one.code, chosen, visit.where)
        except HygieError as error:
            return await self._choosing(visit, one, error)
        return Answer(pages.done_page(visit.language))

    async def _ask_key(self, visit: Visit) -> Answer:
        one = self._begun(visit, b"")
        try:
            options = await self._people.registration_options(one.account, one.code, visit.where)
        except HygieError as error:
            return Answer(pages.first_page(visit.language, error=error), error.http_status)
        token = await self._close(visit, one)
        return Answer(pages.key_page(visit.language, token=token, options=json.dumps(options)))

    async def _register(self, visit: Visit) -> Answer:
        one = await self._open(visit)
        try:
            response = msgspec.json.decode(visit.fields.get("credential", ""), type=dict[str, Any])
        except (msgspec.DecodeError, RecursionError) as error:
            raise SignInRequestError(reason="credential") from error
        label = visit.fields.get("label", "")
        try:
            await self._people.activate_key(one.account, one.code, response, label, visit.where)
        except HygieError as error:
            return Answer(pages.first_page(visit.language, error=error), error.http_status)
        return Answer(pages.done_page(visit.language))

    def _begun(self, visit: Visit, secret: bytes) -> Enrolling:
        account = visit.fields.get("account", "").strip().lower()[:100]
        return Enrolling(account, visit.fields.get("code", "")[:100], secret, self._clock.now_ms())

    async def _close(self, visit: Visit, one: Enrolling) -> str:
        return close_text(one, key=await self._desk.key(), meaning=meaning_in(_LABEL, visit.browser))

    async def _open(self, visit: Visit) -> Enrolling:
        text = visit.fields.get("enrolling", "")
        raw = open_text(text, key=await self._desk.key(), meaning=meaning_in(_LABEL, visit.browser))
        if raw is None:
            raise SignInLostError()
        try:
            found = msgspec.msgpack.decode(raw, type=Enrolling)
        except msgspec.DecodeError as error:  # of another version
            raise SignInLostError() from error
        if not 0 <= self._clock.now_ms() - found.begun_ms < LIFE_MS:
            raise SignInLostError()
        return found
