"""Assertions and access tokens, as pure functions: each claim that does not hold, each byte that was edited."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey

from hygie.gate.assertions import LIFE_S_MAX, SKEW_S_MAX, key_of, read_claimed, verify_assertion
from hygie.gate.clients import PublicJwk, parse_jwks
from hygie.gate.errors import ClientKeyError, ClientRefusedError
from hygie.gate.sessions import Session, new_id, open_session, seal_session

NOW_S = 1_800_000_000
DOOR = "https://hygie.example/chu/prod/oauth2/token"
SECRET = ECKey.generate_key("P-384", private=True)
KEY = bytes(range(32))


def keys() -> list[PublicJwk]:
    return list(parse_jwks(json.dumps({"keys": [{**SECRET.as_dict(private=False), "kid": "one"}]})))


def assertion(**claims: Any) -> str:
    said = {"iss": "lab", "sub": "lab", "aud": DOOR, "exp": NOW_S + 100, "jti": "once"} | claims
    return jwt.encode({"alg": "ES384", "kid": "one"}, said, SECRET, algorithms=["ES384"])


def verified(text: str) -> bytes:
    claimed = read_claimed(text)
    return verify_assertion(text, claimed, key_of(claimed, keys()), audiences={DOOR}, now_ms=NOW_S * 1000).digest


def test_one_that_holds_is_known_again_by_its_jti_and_its_client() -> None:
    assert verified(assertion()) == verified(assertion(exp=NOW_S + 10))
    assert verified(assertion()) != verified(assertion(jti="twice"))


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"aud": DOOR + "/"}, "aud"),
        ({"aud": [DOOR]}, "aud"),
        ({"iss": "other"}, "iss"),
        ({"exp": NOW_S - SKEW_S_MAX}, "exp"),
        ({"exp": NOW_S + LIFE_S_MAX + SKEW_S_MAX + 1}, "exp"),
        ({"exp": None}, "exp"),
        ({"nbf": NOW_S + SKEW_S_MAX + 1}, "nbf"),
        ({"iat": NOW_S + SKEW_S_MAX + 1}, "iat"),
        ({"jti": ""}, "jti"),
        ({"sub": ""}, "sub"),
    ],
)
def test_a_claim_that_does_not_hold_is_named(claims: dict[str, Any], reason: str) -> None:
    with pytest.raises(ClientRefusedError) as caught:
        verified(assertion(**claims))
    assert caught.value.facts["reason"] == reason


@given(st.integers(0, 400), st.integers(1, 63))
def test_an_edited_assertion_never_holds(at: int, by: int) -> None:
    text = assertion()
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    at %= len(text) - 1  # the last character has bits that no byte takes
    if text[at] == "." or text[at + 1] == ".":
        return
    changed = text[:at] + alphabet[(alphabet.index(text[at]) + by) % 64] + text[at + 1 :]
    with pytest.raises(ClientRefusedError):
        verified(changed)


@given(st.text(max_size=200))
def test_text_that_is_no_assertion_is_refused(text: str) -> None:
    with pytest.raises(ClientRefusedError):
        read_claimed(text)


@given(st.text(max_size=300) | st.binary(max_size=300))
def test_text_that_is_no_key_set_is_refused(text: str | bytes) -> None:
    with pytest.raises(ClientKeyError):
        parse_jwks(text)


SESSIONS = st.builds(
    Session,
    id=st.binary(min_size=16, max_size=16),
    account=st.text(max_size=63),
    key=st.text(max_size=16),
    tenant_id=st.binary(min_size=16, max_size=16),
    environment_id=st.binary(min_size=16, max_size=16),
    issued_ms=st.integers(0, 2**52),
    expires_ms=st.integers(0, 2**52),
    method=st.sampled_from(["private_key_jwt", "tls_client_auth"]),
    scopes=st.lists(st.sampled_from(["system/*.rs", "system/Patient.cruds"])).map(tuple),
    binding=st.sampled_from([b"", bytes(32)]),
)


@given(SESSIONS)
def test_a_token_says_back_what_was_sealed_and_under_its_key_only(session: Session) -> None:
    token = seal_session(session, KEY)
    assert open_session(token, KEY) == session
    assert open_session(token, bytes(32)) is None


@given(st.integers(6, 10_000), st.integers(1, 63))
def test_an_edited_token_opens_nothing(at: int, by: int) -> None:
    session = Session(new_id(), "lab", "k", bytes(16), bytes(16), 1, 2, "private_key_jwt", ("system/*.rs",))
    token = seal_session(session, KEY)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    at = 6 + (at - 6) % (len(token) - 7)
    changed = token[:at] + alphabet[(alphabet.index(token[at]) + by) % 64] + token[at + 1 :]
    assert open_session(changed, KEY) is None


@given(st.text(max_size=400))
def test_text_that_is_no_token_opens_nothing(text: str) -> None:
    assert open_session("hyg_a_" + text, KEY) is None
