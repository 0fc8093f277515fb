"""People's browsers: pages, cookies, sign-ins of others, security keys, identity providers that lie or are down."""

from __future__ import annotations

import asyncio
import html
import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from hygie.app import open_administration, open_house
from hygie.gate.errors import EnrolmentRefusedError, SignInRefusedError
from hygie.gate.people_administration import Delivery
from tests.attack.browser import Browser
from tests.attack.installation import entries
from tests.attack.sign_in_ward import Ward, honest, is_lost, ward
from tests.telephone import code_at
from tests.unit.gate.peoples_stage import Key

COOKIES = {"__Host-hygie-sign-in", "__Host-hygie-proven", "__Host-hygie-provider"}
PASSWORD = "cheval pile agrafe 9 correct"

__all__ = ["honest", "ward"]


def test_pages_hold_nothing_inline_and_nothing_frames_them(ward: Ward) -> None:
    with ward.browser("fr-FR,fr;q=0.9,en;q=0.8") as browser:
        browser.go("GET", ward.launch().address())
        pages = [(browser.answer, browser.page)]
        assert "Mot de passe" in browser.page.text
        ward.proven(browser, ward.launch())
        pages.append((browser.answer, browser.page))
        assert "Continuer" in browser.page.text
        browser.go("GET", ward.launch().address(redirect_uri="https://attacker.example/"))
        pages.append((browser.answer, browser.page))
        for answer, page in pages:
            assert not page.inline
            policy = answer.headers["content-security-policy"]
            assert policy.startswith("default-src 'none';")
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["x-content-type-options"] == "nosniff"
        assert "form-action 'self' http://127.0.0.1:9" in pages[1][0].headers["content-security-policy"]
        for name in ("style.css", "security-key.js"):
            found = browser.go("GET", f"https://localhost:{ward.made.port}/sign-in/{name}")
            assert found.status_code == 200
    with ward.browser() as browser:
        answer = browser.go("GET", ward.launch().address())
        assert "Password" in browser.page.text
        for line in answer.headers.get_list("set-cookie"):
            assert line.split("=")[0] in COOKIES
            assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= set(line.split("; "))


def test_a_sign_in_that_somebody_else_began_is_nothing_in_this_browser(ward: Ward) -> None:
    """Session fixation: the victim would enter the attacker's application, or the attacker's account."""
    launch = ward.launch()
    with ward.browser() as attacker, ward.browser() as victim:
        attacker.go("GET", launch.address())
        back = ward.back(attacker)
        victim.go("GET", back)  # the victim follows the attacker's way back from the provider
        is_lost(victim)
        victim.go("GET", ward.launch().address())
        victim.go("GET", back)
        is_lost(victim)
        token = attacker.page.forms or []
        attacker.go("GET", launch.address())
        stolen = attacker.page.form("password").fields["sign_in"]
        victim.go("GET", ward.launch().address())
        fields = {"sign_in": stolen, "step": "password", "account": "jeanne", "password": "x", "code": "1"}
        victim.go("POST", f"{launch.base}/oauth2/sign-in", data=fields)
        is_lost(victim)
        assert token is not None


def test_another_site_cannot_make_a_browser_go_on(ward: Ward) -> None:
    """CSRF: the browser has a proof, and a page of another site posts."""
    launch = ward.launch()
    url = f"{launch.base}/oauth2/sign-in"
    with ward.browser() as browser:
        ward.proven(browser, launch)
        form = browser.page.form("continue").fields
        for fields in ({"step": "continue"}, {"step": "continue", "sign_in": "x"}, {"step": "end"}):
            browser.go("POST", url, data=fields)
            is_lost(browser)
        browser.go("POST", url, data={**form, "step": "continue"}, headers={"sec-fetch-site": "cross-site"})
        is_lost(browser)
        browser.go("POST", url, data={**form, "step": "anything"})
        is_lost(browser)
        other = ward.launch()
        browser.go("GET", other.address())  # a second sign-in of this browser, not proven yet
        begun = browser.page.form("password").fields["sign_in"]
        browser.go("POST", url, data={"sign_in": begun, "step": "continue"})
        is_lost(browser)
        browser.go(
            "POST", f"https://localhost:{ward.made.port}/other/prod/oauth2/sign-in", data={**form, "step": "continue"}
        )
        is_lost(browser)
        browser.go("GET", url)
        browser.submit("continue")
        assert browser.told["code"]
        browser.go("GET", url)  # the proof is gone: the next person at this machine is nobody
        is_lost(browser)


def test_who_says_no_gives_nothing(ward: Ward) -> None:
    with ward.browser() as browser:
        ward.proven(browser, ward.launch()).submit("cancel")
        assert browser.told["error"] == "access_denied"
        assert "code" not in browser.told


# --- identity providers that lie, and those that are down


@pytest.mark.parametrize(
    "lie",
    [
        {"iss": "https://elsewhere.example"},
        {"aud": "another"},
        {"nonce": "another"},
        {"exp": 1},
        {"acr": "low"},
        {"number": "810000000012"},
    ],
)
def test_what_a_provider_says_and_does_not_hold_proves_nobody(ward: Ward, lie: dict[str, Any]) -> None:
    with ward.browser() as browser:
        browser.go("GET", ward.launch().address())
        back = ward.back(browser)
        ward.provider.claims |= lie
        browser.go("GET", back)
        assert browser.answer.status_code == 403
        assert "HYG-2F0" in browser.page.text
        browser.go("GET", f"{ward.launch().base}/oauth2/sign-in")
        is_lost(browser)
    assert [one for one in entries(ward.made) if one.detail.get("code") == "HYG-2F0"][-1].outcome == "refused"


def test_id_tokens_of_no_key_or_another_prove_nobody(ward: Ward) -> None:
    stranger = ECKey.generate_key("P-256", private=True)
    forges: list[Callable[[dict[str, Any]], str]] = [
        ward.provider.unsigned,
        ward.provider.by_hmac,
        lambda claims: jwt.encode({"alg": "ES256", "kid": "one"}, claims, stranger),
        lambda claims: jwt.encode({"alg": "RS256", "kid": "two"}, claims, ward.provider.key),
    ]
    for forge in forges:
        with ward.browser() as browser:
            browser.go("GET", ward.launch().address())
            back = ward.back(browser)
            ward.provider.forge = forge
            browser.go("GET", back)
            assert "HYG-2F0" in browser.page.text


def test_somebody_whom_the_provider_knows_and_nobody_admitted_is_nobody(ward: Ward) -> None:
    with ward.browser() as browser:
        browser.go("GET", ward.launch().address())
        browser.go("GET", ward.back(browser, "10000000033"))
        assert browser.answer.status_code == 403
        assert "HYG-2F1" in browser.page.text
        assert not any("continue" in one.steps for one in browser.page.forms)


def test_an_answer_of_one_provider_is_not_another_s(ward: Ward) -> None:
    """The mix-up: the way back of one issuer is taken with the answer of another; state, nonce and code replayed."""
    with ward.browser() as browser:
        browser.go("GET", ward.launch().address())
        back = ward.back(browser)
        browser.go("GET", back.replace("/sign-in/chu?", "/sign-in/psc?"))
        is_lost(browser)
        query = parse_qs(urlsplit(back).query)
        browser.go("GET", back.replace(query["state"][0], "x" * 43))
        is_lost(browser)
        browser.go("GET", back + "&iss=https://elsewhere.example")
        assert "HYG-2F0" in browser.page.text
        browser.go("GET", back)  # and it is over
        is_lost(browser)


def test_a_provider_that_is_down_leaves_the_other_ways(ward: Ward) -> None:
    with ward.browser() as browser:
        browser.go("GET", ward.launch().address())
        back = ward.back(browser)
        ward.provider.down = True
        browser.go("GET", back)
        assert browser.answer.status_code == 503
        assert browser.answer.headers["retry-after"]
        assert "HYG-4F0" in browser.page.text
        assert any("password" in one.steps for one in browser.page.forms)
        assert any("provider=psc" in one for one in browser.page.links)


# --- local accounts


def _enrolment(ward: Ward, name: str) -> str:
    """The code that an administrator hands over."""

    async def main() -> str:
        async with open_house(ward.made.data) as house, open_administration(house, "local:test") as acts:
            return await acts.enrol(name, Delivery("en main propre", "paul.martin"), hours=1)

    return asyncio.run(main())


def _secret(browser: Browser) -> bytes:
    """The secret that the page shows for the telephone."""
    import base64

    link = next(one for one in browser.page.links if one.startswith("otpauth:"))
    text = parse_qs(urlsplit(html.unescape(link)).query)["secret"][0]
    return base64.b32decode(text + "=" * (-len(text) % 8))


def test_a_person_enrols_and_signs_in_with_a_password_and_a_code(ward: Ward) -> None:
    ward.person("lea", "10000000066")
    code = _enrolment(ward, "lea")
    enrol = f"https://localhost:{ward.made.port}/sign-in/enrol"
    with ward.browser() as browser:
        browser.go("GET", enrol)
        browser.submit("password", account="lea", code=code)
        secret = _secret(browser)
        assert not browser.page.inline
        browser.submit("set", password="short", shown=code_at(secret, _now_ms()))
        assert browser.answer.status_code == 400
        assert secret == _secret(browser)  # the telephone need not be set again
        browser.submit("set", password=PASSWORD, shown=code_at(secret, _now_ms() - 30_000))
        assert browser.answer.status_code == 200, browser.page.text
        assert not browser.page.forms
    with ward.browser() as browser:
        browser.go("GET", enrol)
        browser.submit("password", account="lea", code=code)
        browser.submit("set", password=PASSWORD, shown=code_at(_secret(browser), _now_ms()))
        assert browser.answer.status_code == 401  # the code worked once
        assert EnrolmentRefusedError.code in browser.page.text
    launch = ward.launch()
    with ward.browser() as browser:
        browser.go("GET", launch.address())
        browser.submit("password", account="lea", password="wrong horse battery", code="000000")
        assert browser.answer.status_code == 401
        assert SignInRefusedError.code in browser.page.text
        assert browser.page.form("password").fields["account"] == "lea"
        assert not browser.page.form("password").fields["password"]
        browser.submit("password", account="lea", password=PASSWORD, code=code_at(secret, _now_ms()))
        assert "password and code" in browser.page.text, browser.page.text
        browser.submit("continue")
        token = launch.exchange(browser.told["code"]).json()["access_token"]
    assert ward.read(token) == 404
    opened = [one for one in entries(ward.made, account="lea") if one.action.value == "session:open"]
    assert opened[-1].authentication == "password+totp acr=mfa"
    held = opened[-1].detail["key"]
    _withdraw(ward, held)
    assert ward.read(token) == 401


def test_a_person_enrols_and_signs_in_with_a_security_key(ward: Ward) -> None:
    ward.person("marc", "10000000074")
    code, key, origin = _enrolment(ward, "marc"), Key(rp_id="localhost"), f"https://localhost:{ward.made.port}"
    with ward.browser() as browser:
        browser.go("GET", f"{origin}/sign-in/enrol")
        browser.submit("key", account="marc", code=code)
        options = json.loads(browser.page.form("credential").data["data-options"])
        said = json.dumps(key.register(options, origin=origin))
        browser.submit("credential", credential=said, label="ma clé")
        assert browser.answer.status_code == 200, browser.page.text
        browser.go("GET", f"{origin}/sign-in/enrol")
        browser.submit("key", account="marc", code=code)
        assert browser.answer.status_code == 401
    launch = ward.launch()
    for account in ("marc", ""):
        with ward.browser() as browser:
            browser.go("GET", launch.address())
            browser.submit("key", account=account)
            assert not browser.page.inline
            options = json.loads(browser.page.form("credential").data["data-options"])
            stolen = json.dumps(key.sign(options, origin="https://attacker.example"))
            browser.submit("credential", credential=stolen)
            assert browser.answer.status_code == 401
            browser.submit("key", account=account)
            options = json.loads(browser.page.form("credential").data["data-options"])
            said = json.dumps(key.sign(options, origin=origin))
            browser.submit("credential", credential=said)
            assert "security key" in browser.page.text, browser.page.text
            browser.submit("continue")
            answer = launch.exchange(browser.told["code"])
            assert ward.read(answer.json()["access_token"]) == 404
    with ward.browser() as browser:  # the answer of another browser, shown again
        browser.go("GET", launch.address())
        browser.submit("key", account="marc")
        browser.submit("credential", credential=said)
        assert browser.answer.status_code == 401
        browser.submit("key", account="marc")
        browser.submit("credential", credential="not json")
        is_lost(browser)


def test_an_enrolment_of_another_browser_is_nothing_here(ward: Ward) -> None:
    enrol = f"https://localhost:{ward.made.port}/sign-in/enrol"
    with ward.browser() as attacker, ward.browser() as victim:
        for browser in (attacker, victim):
            browser.go("GET", enrol)
            browser.submit("password", account="jeanne", code="x")
        stolen = attacker.page.form("set").fields["enrolling"]
        victim.submit("set", enrolling=stolen, password=PASSWORD, shown="000000")
        is_lost(victim)
        victim.go("POST", enrol, data={"step": "password"}, headers={"sec-fetch-site": "cross-site"})
        is_lost(victim)


def _withdraw(ward: Ward, authenticator: str) -> None:
    async def main() -> None:
        async with open_house(ward.made.data) as house, open_administration(house, "local:test") as acts:
            await acts.revoke_authenticator(authenticator)

    asyncio.run(main())


def _now_ms() -> int:
    return int(time.time() * 1000)
