"""What a sign-in carries between its pages, and what a stranger makes of it."""

from __future__ import annotations

import secrets

import pytest

from hygie.gate.proofs import Proven
from hygie.gate.sign_in import CODE_MEANING, Code, close_code, close_text, open_code
from hygie.oauth.errors import SignInLostError
from hygie.oauth.pages import Place as PagePlace
from hygie.oauth.pages import csp, sign_in_page
from hygie.oauth.transactions import (
    LIFE_MS,
    Asked,
    Away,
    SignIn,
    browser_of,
    close_away,
    close_sign_in,
    cookie,
    cookies_of,
    new_browser,
    open_away,
    open_sign_in,
)

KEY = secrets.token_bytes(32)
NOW = 1_800_000_000_000
ASKED = Asked("chu", "prod", "dpi", "https://dpi.example/", "state", "c" * 43, ("user/*.rs",), NOW)
CODE = Code(b"i" * 16, "dpi", "r", "https://a/", "c", True, b"t" * 16, b"e" * 16, "jeanne", "a", "m", "", (), NOW, NOW)


def test_a_sign_in_opens_in_its_browser_only_and_for_ten_minutes() -> None:
    browser = new_browser()
    proven = Proven("jeanne", "a1", "webauthn", "phr", NOW)
    for value in (SignIn(ASKED), SignIn(ASKED, proven)):
        text = close_sign_in(value, key=KEY, browser=browser)
        assert open_sign_in(text, key=KEY, browser=browser, now_ms=NOW + LIFE_MS - 1) == value
        for key, other, now_ms in (
            (KEY, new_browser(), NOW),
            (KEY, "", NOW),
            (secrets.token_bytes(32), browser, NOW),
            (KEY, browser, NOW + LIFE_MS),
            (KEY, browser, NOW - 1),
        ):
            with pytest.raises(SignInLostError):
                open_sign_in(text, key=key, browser=other, now_ms=now_ms)


def test_no_text_is_taken_for_another() -> None:
    browser = new_browser()
    page = close_sign_in(SignIn(ASKED), key=KEY, browser=browser)
    away = close_away(Away(SignIn(ASKED), "psc", "s", "n", "v"), key=KEY, browser=browser)
    code = close_code(CODE, KEY)
    assert open_away(away, key=KEY, browser=browser, now_ms=NOW).provider == "psc"
    assert open_code(code, KEY) == CODE
    for text in (page, away, "", "x", code[:-2], code + "AA", "é", "A" * 9_000):
        assert open_code(text, KEY) is None
    for text in (away, code, "", "x"):
        with pytest.raises(SignInLostError):
            open_sign_in(text, key=KEY, browser=browser, now_ms=NOW)
    with pytest.raises(SignInLostError):
        open_away(page, key=KEY, browser=browser, now_ms=NOW)
    assert open_code(close_text([1, 2], key=KEY, meaning=CODE_MEANING), KEY) is None  # of another version


def test_a_cookie_says_what_keeps_it_ours() -> None:
    _, line = cookie("__Host-hygie-sign-in", "x")
    assert line == b"__Host-hygie-sign-in=x; Path=/; Max-Age=600; Secure; HttpOnly; SameSite=Lax"
    assert b"Max-Age=0" in cookie("__Host-hygie-sign-in", "")[1]
    with pytest.raises(SignInLostError):
        cookie("a", "x" * 4_000)
    secret = new_browser()
    assert browser_of(cookies_of(f"a=b; __Host-hygie-sign-in={secret}".encode())) == secret
    for junk in (b"", b"=;=", b"__Host-hygie-sign-in=short", b"__Host-hygie-sign-in=" + b"!" * 43, b"\xff\xfe=\x00"):
        assert browser_of(cookies_of(junk)) == ""


def test_the_longest_sign_in_fits_in_a_cookie() -> None:
    long = Asked(
        "t" * 63, "e" * 63, "c" * 63, "https://" + secrets.token_hex(240), secrets.token_hex(250), "c" * 43, (), NOW
    )
    scopes = tuple(f"user/{secrets.token_hex(10)}.cruds" for _ in range(30))
    long = Asked(*[getattr(long, name) for name in long.__struct_fields__[:6]], scopes, NOW)
    away = Away(SignIn(long), "psc", "s" * 43, "n" * 43, "v" * 43)
    cookie("__Host-hygie-provider", close_away(away, key=KEY, browser=new_browser()))


def test_what_others_typed_is_text_in_a_page() -> None:
    nasty = '"><script>alert(1)</script>'
    place = PagePlace(f"/{nasty}", nasty, nasty, nasty)
    page = sign_in_page(place, "fr", providers=[(nasty, nasty)], error=None, account=nasty)
    assert "<script" not in page
    assert csp(["https://a.example"]).endswith(b"form-action 'self' https://a.example")
