"""A sign-in under way, between its pages: sealed, short, and bound to the browser that began it. Nothing is stored.

The browser holds a random secret in a cookie that no page can read and no other site can set (``__Host-``); each form
carries the sign-in, sealed under a meaning that holds this secret's hash.  So a sign-in that somebody else began is
nothing in this browser, and a form that another site posts is nothing here.  Source: docs/adr/0020-people-sign-in.md.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from http.cookies import CookieError, SimpleCookie
from typing import TypeVar

import msgspec

from hygie.base.canonical import canonical
from hygie.gate.proofs import Proven
from hygie.gate.sign_in import close_text, open_text
from hygie.oauth.errors import SignInLostError

BROWSER_COOKIE = "__Host-hygie-sign-in"
PROVIDER_COOKIE = "__Host-hygie-provider"
PROVEN_COOKIE = "__Host-hygie-proven"
LIFE_MS = 10 * 60_000  # to find a telephone, a card, a key
STATE_CHARACTERS_MAX = 500
COOKIE_CHARACTERS_MAX = 3_900  # browsers keep 4,096 with name and attributes
T = TypeVar("T")
_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")


class Asked(msgspec.Struct, frozen=True, array_like=True):
    """What an application asked for, checked. names: tenant, environment."""

    tenant: str
    environment: str
    client: str
    redirect_uri: str
    state: str
    challenge: str
    scopes: tuple[str, ...]
    begun_ms: int


class SignIn(msgspec.Struct, frozen=True, array_like=True):
    """Where a sign-in is. proven: who it is, once known."""

    asked: Asked
    proven: Proven | None = None


class Away(msgspec.Struct, frozen=True, array_like=True):
    """A sign-in that went to an identity provider, as the browser's cookie keeps it; see ``providers.Sent``."""

    sign_in: SignIn
    provider: str
    state: str
    nonce: str
    verifier: str


def new_browser() -> str:
    """The secret of a browser (256 bits)."""
    return secrets.token_urlsafe(32)


def browser_of(cookies: dict[str, str]) -> str:
    """The secret that a browser showed, or nothing."""
    shown = cookies.get(BROWSER_COOKIE, "")
    return shown if _SECRET.fullmatch(shown) else ""


def cookies_of(header: bytes) -> dict[str, str]:
    """The cookies of a request; none when they cannot be read."""
    found: SimpleCookie = SimpleCookie()
    try:
        found.load(header.decode("latin-1"))
    except CookieError:
        return {}
    return {name: one.value for name, one in found.items()}


def cookie(name: str, value: str) -> tuple[bytes, bytes]:
    """The header that sets a cookie, or lets it go when the value is empty. Raises: SignInLostError: too long."""
    if len(value) > COOKIE_CHARACTERS_MAX:
        raise SignInLostError()
    age = LIFE_MS // 1000 if value else 0
    return b"set-cookie", f"{name}={value}; Path=/; Max-Age={age}; Secure; HttpOnly; SameSite=Lax".encode()


def close_sign_in(value: SignIn, *, key: bytes, browser: str) -> str:
    """What a form carries, or the cookie that keeps a proof."""
    return close_text(value, key=key, meaning=meaning_in("hygie sign-in v1", browser))


def open_sign_in(text: str, *, key: bytes, browser: str, now_ms: int) -> SignIn:
    """The sign-in of a form of this browser. Raises: SignInLostError: another browser's, altered, or too old."""
    found = _open(text, SignIn, key=key, meaning=meaning_in("hygie sign-in v1", browser), browser=browser)
    _check_age(found.asked, now_ms)
    return found


def close_away(value: Away, *, key: bytes, browser: str) -> str:
    """What the cookie keeps while the person is at the provider's."""
    return close_text(value, key=key, meaning=meaning_in("hygie sign-in away v1", browser))


def open_away(text: str, *, key: bytes, browser: str, now_ms: int) -> Away:
    """The sign-in of this browser that comes back. Raises: SignInLostError."""
    found = _open(text, Away, key=key, meaning=meaning_in("hygie sign-in away v1", browser), browser=browser)
    _check_age(found.sign_in.asked, now_ms)
    return found


def _check_age(asked: Asked, now_ms: int) -> None:
    if not 0 <= now_ms - asked.begun_ms < LIFE_MS:
        raise SignInLostError()


def meaning_in(label: str, browser: str) -> bytes:
    """The meaning of what only this browser may bring back."""
    return canonical(label, hashlib.sha256(browser.encode()).digest())


def _open(text: str, kind: type[T], *, key: bytes, meaning: bytes, browser: str) -> T:
    raw = open_text(text, key=key, meaning=meaning) if browser else None
    if raw is None:
        raise SignInLostError()
    try:
        return msgspec.msgpack.decode(raw, type=kind)
    except msgspec.DecodeError as error:  # of another version
        raise SignInLostError() from error
