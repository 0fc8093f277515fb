"""What is believed of an identity provider, and what is not: real HTTP, a provider that lies as a test asks."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit
from urllib.request import HTTPRedirectHandler, build_opener

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from hygie.base.clock import SystemClock
from hygie.base.identity_providers import IdentityProviderSettings
from hygie.oauth.errors import IdentityRefusedError, ProviderUnavailableError
from hygie.oauth.oidc import Identity
from hygie.oauth.providers import Provider, Sent, new_sent
from tests.attack.identity_provider import HostileProvider

BACK = "https://hygie.example/sign-in/psc"


@pytest.fixture
def provider() -> Iterator[HostileProvider]:
    with HostileProvider() as made:
        yield made


class _Stay(HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def settings_of(provider: HostileProvider, **more: Any) -> IdentityProviderSettings:
    made = {"name": "psc", "label": "PSC", "issuer": provider.issuer, "client_id": "hygie", "secret": "unused"}
    return IdentityProviderSettings(**{**made, **more})


def client_of(provider: HostileProvider, secret: bytes = b"s3cret", **more: Any) -> Provider:
    return Provider(settings_of(provider, **more), secret=secret, redirect_uri=BACK, clock=SystemClock())


def sign_in(client: Provider, *, sent: Sent | None = None, issuer: str = "") -> Identity:
    """A whole trip, the browser's part included."""

    async def main() -> Identity:
        made = new_sent()
        address = await client.address(made)
        code = await asyncio.to_thread(_visit, address)
        return await client.identity(code, issuer, sent or made)

    return asyncio.run(main())


def _visit(address: str) -> str:
    try:
        build_opener(_Stay).open(address)
    except OSError as error:  # a redirection that is not followed
        back = parse_qs(urlsplit(error.headers["location"]).query)  # type: ignore[attr-defined]
        return back["code"][0]
    raise AssertionError("no redirection")


def refused(client: Provider, reason: str) -> None:
    with pytest.raises(IdentityRefusedError) as found:
        sign_in(client)
    assert found.value.facts["reason"] == reason


def test_a_person_of_pro_sante_connect_is_named_by_the_number_it_vouches_for(provider: HostileProvider) -> None:
    provider.userinfo = {"SubjectNameID": "810000000017", "SubjectRefPro": {"exercices": []}}
    found = sign_in(client_of(provider, preset="pro-sante-connect"))
    assert found == Identity(provider.issuer, "f:1:jeanne", "eidas1", "810000000017")
    provider.signed_userinfo = True
    assert sign_in(client_of(provider, preset="pro-sante-connect")) == found


def test_a_keycloak_vouches_for_no_number(provider: HostileProvider) -> None:
    provider.claims = {"SubjectNameID": "810000000017", "preferred_username": "810000000017"}
    assert sign_in(client_of(provider, preset="keycloak")).professional_id == ""


def test_what_is_asked_is_bound_to_this_sign_in(provider: HostileProvider) -> None:
    client = client_of(provider, preset="pro-sante-connect")
    sent = new_sent()
    asked = parse_qs(urlsplit(asyncio.run(client.address(sent))).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["code_challenge"] != [sent.verifier]
    assert (asked["state"], asked["nonce"]) == ([sent.state], [sent.nonce])
    assert (asked["scope"], asked["acr_values"]) == (["openid scope_all"], ["eidas1"])
    assert asked["redirect_uri"] == [BACK]


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"iss": "https://elsewhere.example"}, "iss"),
        ({"aud": "another"}, "aud"),
        ({"aud": None}, "aud"),
        ({"aud": {"hygie": 1}}, "aud"),
        ({"aud": ["hygie", "another"]}, "azp"),
        ({"aud": ["hygie", "another"], "azp": "another"}, "azp"),
        ({"azp": "another"}, "azp"),
        ({"exp": 1}, "exp"),
        ({"exp": "tomorrow"}, "exp"),
        ({"exp": True}, "exp"),
        ({"iat": 1}, "iat"),
        ({"iat": 99_999_999_999}, "iat"),
        ({"nbf": 99_999_999_999}, "nbf"),
        ({"nonce": "another"}, "nonce"),
        ({"nonce": None}, "nonce"),
        ({"nonce": ["x"]}, "nonce"),
        ({"at_hash": "AAAA"}, "at_hash"),
        ({"sub": ""}, "sub"),
        ({"sub": 7}, "sub"),
        ({"sub": "x" * 256}, "sub"),
        ({"acr": "low"}, "acr"),
        ({"acr": None}, "acr"),
    ],
)
def test_an_id_token_whose_claims_do_not_hold_is_refused(
    provider: HostileProvider, claims: dict[str, Any], reason: str
) -> None:
    provider.claims = claims
    refused(client_of(provider, acr=("eidas1",)), reason)


def test_algorithms_and_keys_are_not_confused(provider: HostileProvider) -> None:
    provider.forge = provider.unsigned
    refused(client_of(provider), "alg")
    provider.forge = provider.by_hmac
    refused(client_of(provider), "alg")
    stranger = RSAKey.generate_key(2048, private=True)
    provider.forge = lambda claims: jwt.encode({"alg": "RS256", "kid": "one"}, claims, stranger)
    refused(client_of(provider), "signature")
    provider.forge = lambda claims: jwt.encode({"alg": "RS256", "kid": "two"}, claims, provider.key)
    refused(client_of(provider), "kid")
    elliptic = ECKey.generate_key("P-256", private=True)
    provider.forge = lambda claims: jwt.encode({"alg": "ES256", "kid": "one"}, claims, elliptic)
    refused(client_of(provider), "alg")
    for junk in ("", "a.b", "a.b.c", "é.é.é", "x" * 70_000):
        provider.forge = lambda _, junk=junk: junk  # type: ignore[misc]
        refused(client_of(provider), "token")
    provider.forge = None
    _, body, mark = provider.id_token({"nonce": "x"}, "x").split(".")
    head = base64.urlsafe_b64encode(json.dumps({"alg": "RS256", "kid": "one", "crit": ["x"], "x": 1}).encode())
    provider.forge = lambda _: f"{head.decode().rstrip('=')}.{body}.{mark}"
    refused(client_of(provider), "header")


def test_another_key_beside_a_good_one_does_not_spoil_the_set(provider: HostileProvider) -> None:
    encrypts = {**RSAKey.generate_key(2048, private=True).as_dict(private=False), "kid": "enc", "use": "enc"}
    provider.more_keys = [{"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": "AAAA"}, encrypts]
    assert sign_in(client_of(provider)).subject == "f:1:jeanne"


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ({"issuer": "https://elsewhere.example"}, "un autre émetteur"),
        ({"code_challenge_methods_supported": ["plain"]}, "pas de PKCE S256"),
        ({"code_challenge_methods_supported": "S256"}, "pas de PKCE S256"),
        ({"token_endpoint": "http://attacker.example/token"}, "token_endpoint"),
        ({"token_endpoint": "file:///etc/passwd"}, "token_endpoint"),
        ({"authorization_endpoint": "javascript:alert(1)"}, "authorization_endpoint"),
        ({"jwks_uri": None}, "jwks_uri"),
        ({"jwks_uri": "http://user@127.0.0.1/keys"}, "jwks_uri"),
    ],
)
def test_metadata_that_lead_elsewhere_are_refused(
    provider: HostileProvider, metadata: dict[str, Any], reason: str
) -> None:
    provider.metadata = metadata
    with pytest.raises(ProviderUnavailableError) as found:
        sign_in(client_of(provider))
    assert f"(découverte : {reason})" in found.value.sentence("fr")


def test_an_answer_of_another_issuer_is_refused(provider: HostileProvider) -> None:
    """The mix-up: the answer of one provider is shown as another's (RFC 9207)."""
    with pytest.raises(IdentityRefusedError):
        sign_in(client_of(provider), issuer="https://elsewhere.example")
    assert sign_in(client_of(provider), issuer=provider.issuer).subject == "f:1:jeanne"
    provider.metadata = {"authorization_response_iss_parameter_supported": True}
    with pytest.raises(IdentityRefusedError):
        sign_in(client_of(provider))


def test_a_code_of_another_sign_in_gives_nobody(provider: HostileProvider) -> None:
    with pytest.raises(IdentityRefusedError) as found:
        sign_in(client_of(provider), sent=new_sent())
    assert found.value.facts["reason"] == "code"  # PKCE: the verifier is not the one of that sign-in


def test_userinfo_of_somebody_else_is_refused(provider: HostileProvider) -> None:
    provider.userinfo = {"sub": "f:1:another", "SubjectNameID": "810000000017"}
    refused(client_of(provider, preset="pro-sante-connect"), "userinfo sub")
    provider.userinfo = {"SubjectNameID": "810000000012"}  # its key does not hold
    refused(client_of(provider, preset="pro-sante-connect"), "professional")
    provider.signed_userinfo = True
    for audience in ("another", 1, {"hygie": 1}):
        provider.userinfo = {"aud": audience}
        refused(client_of(provider, preset="pro-sante-connect"), "userinfo aud")


def test_an_access_token_that_would_end_its_line_is_sent_nowhere(provider: HostileProvider) -> None:
    provider.access = "x\r\nhost: elsewhere.example"
    refused(client_of(provider, preset="pro-sante-connect"), "access_token")


def test_a_provider_that_is_down_or_hangs_is_told_so_quickly(provider: HostileProvider) -> None:
    provider.down = True
    with pytest.raises(ProviderUnavailableError):
        sign_in(client_of(provider))
    client = client_of(provider)

    async def flood() -> list[Any]:
        return await asyncio.gather(*(client.address(new_sent()) for _ in range(50)), return_exceptions=True)

    began = time.monotonic()
    assert all(isinstance(one, ProviderUnavailableError) for one in asyncio.run(flood()))
    assert time.monotonic() - began < 2


def test_a_client_proves_itself_with_its_secret_or_its_key(provider: HostileProvider) -> None:
    sign_in(client_of(provider, b"p@ss:w%rd\n"))
    assert provider.seen[-1]["authorization"].startswith("Basic ")
    assert "client_secret" not in provider.seen[-1]
    sign_in(client_of(provider, client_authentication="client_secret_post"))
    assert provider.seen[-1]["client_secret"] == "s3cret"
    for key in (ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65_537, 2048)):
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        sign_in(client_of(provider, key.private_bytes(*form), client_authentication="private_key_jwt", key_id="k"))
        kind = RSAKey if isinstance(key, rsa.RSAPrivateKey) else ECKey
        shown = jwt.decode(provider.seen[-1]["client_assertion"], kind.import_key(key.private_bytes(*form)))
        assert shown.claims["aud"] == f"{provider.issuer}/token"
    with pytest.raises(ValueError, match="key"):
        client_of(provider, b"not a key", client_authentication="private_key_jwt", key_id="k")
