"""Identity providers as they answer: discovery, keys, the exchange of a code, UserInfo.

Sources: OpenID Connect Discovery 1.0; RFC 6749, 4.1.3; RFC 7523 (private_key_jwt); RFC 7636 (PKCE); RFC 9207 (issuer in
the answer).  Addresses come from settings and from the provider's own metadata, whose issuer must be the one that was
set; no redirection is followed, little is read, time is short, and a provider that hangs takes nothing from anybody
else.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import secrets
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from hygie.base.clock import Clock
from hygie.base.identity_providers import IdentityProviderSettings, is_safe_address
from hygie.gate.clients import ALGORITHMS
from hygie.gate.errors import ClientKeyError
from hygie.gate.fetching import Fetched, fetch
from hygie.gate.jwks_source import JwksSource
from hygie.oauth.errors import IdentityRefusedError, ProviderUnavailableError
from hygie.oauth.oidc import (
    Expected,
    Identity,
    identity_of,
    read_header,
    subject_of,
    verify_id_token,
    verify_userinfo,
)

ANSWER_BYTES_MAX = 256 * 1024
ANSWER_S_MAX = 5.0  # for all of a request
METADATA_FRESH_S = 3_600.0
METADATA_AGAIN_S = 5.0  # after a failure: a flood of sign-ins does not become a flood of questions
WAITING_MAX = 32  # calls to one provider at once in this process; above, it is told not to answer
ASSERTION_LIFE_S = 60


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a provider says of itself; its addresses were checked. tells_issuer: it names itself in its answers."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str
    tells_issuer: bool


@dataclass(frozen=True, slots=True)
class Sent:
    """What one sign-in sends to a provider and must find again. verifier: of PKCE, sent once the code is back."""

    state: str
    nonce: str
    verifier: str


def new_sent() -> Sent:
    """Three values that nobody guesses (256 bits each)."""
    return Sent(secrets.token_urlsafe(32), secrets.token_urlsafe(32), secrets.token_urlsafe(32))


class Provider:
    """One provider.

    Args: secret: the client's secret, or its private key in PEM; redirect_uri: where it sends people back, its own and
    no other provider's; authority: PEM file of who signs its certificate, the system's when None.
    Raises: ValueError, OSError: the secret or the authority cannot be used.
    """

    def __init__(
        self,
        settings: IdentityProviderSettings,
        *,
        secret: bytes,
        redirect_uri: str,
        clock: Clock,
        authority: Path | None = None,
    ) -> None:
        self.settings = settings
        self.redirect_uri = redirect_uri
        self._key = client_key(secret) if settings.client_authentication == "private_key_jwt" else None
        self._secret_text = "" if self._key is not None else secret.strip().decode("ascii")
        self._clock = clock
        self._tls = ssl.create_default_context(cafile=str(authority) if authority is not None else None)
        self._metadata: tuple[float, Metadata] | None = None
        self._failed_s = -METADATA_AGAIN_S
        self._asking: asyncio.Task[Metadata] | None = None
        self._keys = JwksSource(self._fetch_keys)
        self._waiting = 0

    async def address(self, sent: Sent) -> str:
        """Where to send a person who signs in there. Raises: ProviderUnavailableError."""
        metadata = await self._discovered()
        shape = self.settings.shape
        asked = {
            "response_type": "code",
            "client_id": self.settings.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": " ".join(shape.scopes),
            "state": sent.state,
            "nonce": sent.nonce,
            "code_challenge": _challenge(sent.verifier),
            "code_challenge_method": "S256",
        }
        if shape.acr:
            asked["acr_values"] = " ".join(shape.acr)
        joint = "&" if urlsplit(metadata.authorization_endpoint).query else "?"
        return metadata.authorization_endpoint + joint + urlencode(asked)

    async def identity(self, code: str, issuer: str, sent: Sent) -> Identity:
        """Who came back with a code.

        Args: issuer: as the answer names it (RFC 9207), or nothing; sent: what this very sign-in sent.
        Raises: ProviderUnavailableError; IdentityRefusedError: what it says does not hold.
        """
        metadata = await self._discovered()
        if issuer != self.settings.issuer and (issuer or metadata.tells_issuer):
            raise IdentityRefusedError(reason_fr="iss de la réponse", reason_en="iss of the answer")
        expected = Expected(self.settings.issuer, self.settings.client_id, sent.nonce, self.settings.shape.acr)
        answer = await self._exchange(metadata, code, sent)
        token, access = answer.get("id_token"), answer.get("access_token", "")
        if not isinstance(token, str):
            raise IdentityRefusedError(reason="id_token")
        if not isinstance(access, str) or not access.isascii() or not access.isprintable():  # RFC 6749, appendix A.12
            raise IdentityRefusedError(reason="access_token")
        try:
            keys = await self._keys.keys(metadata.jwks_uri, str(read_header(token).get("kid", "")))
        except ClientKeyError as error:
            raise ProviderUnavailableError(reason="jwks") from error
        claims = verify_id_token(token, keys, expected, access_token=access, now_ms=self._clock.now_ms())
        told: Mapping[str, Any] = {}
        if self.settings.shape.userinfo and metadata.userinfo_endpoint:
            found = await self._call(metadata.userinfo_endpoint, {"authorization": f"Bearer {access}"}, None)
            if found.status != HTTPStatus.OK:
                raise ProviderUnavailableError(reason="userinfo")
            told = verify_userinfo(found.body, found.content_type, keys, expected, subject_of(claims))
        return identity_of(claims, told, expected, self.settings.shape.professional_claim)

    async def _discovered(self) -> Metadata:
        """Its metadata, asked again when old; those that wait share one question. Raises: ProviderUnavailableError."""
        kept, now_s = self._metadata, monotonic()
        if kept is not None and now_s - kept[0] < METADATA_FRESH_S:
            return kept[1]
        if self._asking is None:
            if now_s - self._failed_s < METADATA_AGAIN_S:
                raise ProviderUnavailableError(reason="discovery")
            self._asking = asyncio.create_task(self._discover())
            self._asking.add_done_callback(self._asked)
        return await asyncio.shield(self._asking)

    def _asked(self, task: asyncio.Task[Metadata]) -> None:
        self._asking = None
        if task.cancelled() or task.exception() is not None:
            self._failed_s = monotonic()

    async def _discover(self) -> Metadata:
        answer = await self._call(self.settings.issuer.rstrip("/") + "/.well-known/openid-configuration", {}, None)
        told = _object(answer, "discovery")
        if told.get("issuer") != self.settings.issuer:
            raise _undiscovered("un autre émetteur", "another issuer")
        methods = told.get("code_challenge_methods_supported")
        if methods is not None and not (isinstance(methods, list) and "S256" in methods):
            raise _undiscovered("pas de PKCE S256", "no PKCE S256")
        found = {name: told.get(f"{name}") for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")}
        found["userinfo_endpoint"] = told.get("userinfo_endpoint", "")
        secure = urlsplit(self.settings.issuer).scheme == "https"
        for name, value in found.items():
            if value == "" and name == "userinfo_endpoint" and not self.settings.shape.userinfo:
                continue
            if not isinstance(value, str) or not is_safe_address(value) or (secure and not value.startswith("https:")):
                raise _undiscovered(name, name)
        tells = told.get("authorization_response_iss_parameter_supported") is True
        metadata = Metadata(**{name: str(value) for name, value in found.items()}, tells_issuer=tells)
        self._metadata = (monotonic(), metadata)
        return metadata

    async def _exchange(self, metadata: Metadata, code: str, sent: Sent) -> dict[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "code_verifier": sent.verifier,
        }
        headers = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
        settings = self.settings
        if settings.client_authentication == "client_secret_basic":
            pair = f"{quote(settings.client_id, safe='')}:{quote(self._secret_text, safe='')}"
            headers["authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        elif settings.client_authentication == "client_secret_post":
            form |= {"client_id": settings.client_id, "client_secret": self._secret_text}
        else:
            kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
            form |= {"client_id": settings.client_id, "client_assertion_type": kind}
            form["client_assertion"] = self._assertion(metadata)
        answer = await self._call(metadata.token_endpoint, headers, urlencode(form).encode())
        if answer.status in {HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            raise IdentityRefusedError(reason="code")
        return _object(answer, "token")

    def _assertion(self, metadata: Metadata) -> str:
        now_s = self._clock.now_ms() // 1000
        key = self._key
        assert key is not None
        header = {"alg": _algorithm(key), "kid": self.settings.key_id or ""}
        claims = {
            "iss": self.settings.client_id,
            "sub": self.settings.client_id,
            "aud": metadata.token_endpoint,
            "jti": secrets.token_urlsafe(16),
            "iat": now_s,
            "exp": now_s + ASSERTION_LIFE_S,
        }
        return jwt.encode(header, claims, key, algorithms=[header["alg"]])

    async def _call(self, url: str, headers: Mapping[str, str], body: bytes | None) -> Fetched:
        """One request. Raises: ProviderUnavailableError."""
        if self._waiting >= WAITING_MAX:
            raise ProviderUnavailableError(reason="busy")
        self._waiting += 1
        try:
            return await self._ask(url, headers, body)
        except OSError as error:
            raise ProviderUnavailableError(reason=type(error).__name__) from error
        finally:
            self._waiting -= 1

    async def _ask(self, url: str, headers: Mapping[str, str], body: bytes | None) -> Fetched:
        return await fetch(
            url, tls=self._tls, within_s=ANSWER_S_MAX, bytes_max=ANSWER_BYTES_MAX, headers=headers, body=body
        )

    async def _fetch_keys(self, url: str) -> bytes:
        answer = await self._ask(url, {}, None)
        if answer.status != HTTPStatus.OK:
            raise ClientKeyError(reason="address does not answer")
        return answer.body


def client_key(pem: bytes) -> RSAKey | ECKey:
    """The private key of a private_key_jwt. Raises: ValueError: neither RSA nor P-256 nor P-384."""
    for kind in (RSAKey, ECKey):
        try:
            key = kind.import_key(pem)
        except (JoseError, ValueError, TypeError):
            continue
        if _algorithm(key):
            return key
    raise ValueError("not a private key that signs")


def _algorithm(key: RSAKey | ECKey) -> str:
    name = "RSA" if isinstance(key, RSAKey) else str(key.as_dict(private=False).get("crv"))
    return {**ALGORITHMS, "RSA": ("RS256",)}.get(name, ("",))[0]


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


def _undiscovered(fr: str, en: str) -> ProviderUnavailableError:
    return ProviderUnavailableError(reason_fr=f"découverte : {fr}", reason_en=f"discovery: {en}")


def _object(answer: Fetched, what: str) -> dict[str, Any]:
    if answer.status != HTTPStatus.OK:
        raise ProviderUnavailableError(reason=what)
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError) as error:
        raise ProviderUnavailableError(reason=what) from error
    if not isinstance(found, dict):
        raise ProviderUnavailableError(reason=what)
    return found
