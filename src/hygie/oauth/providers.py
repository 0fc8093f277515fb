"""Identity providers as they answer: discovery, keys, the exchange of a code, UserInfo.

Sources: OpenID Connect Discovery 1.0; RFC 6749, 4.1.3; RFC 7523 (private_key_jwt); RFC 7636 (PKCE); RFC 9207 (issuer in
the answer).  Addresses come from settings and from the provider's own metadata, whose issuer must be the one that was
set; no redirection is followed, little is read, time is short.  Threads of its own: a provider that hangs takes none
from anybody else.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import http.client
import json
import secrets
import ssl
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
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
ANSWER_S_MAX = 5.0
METADATA_FRESH_S = 3_600.0
METADATA_AGAIN_S = 5.0  # after a failure: a flood of sign-ins does not become a flood of questions
THREADS = 4
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


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    content_type: str
    body: bytes


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
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix=f"provider-{settings.name}")
        self._waiting = 0

    def close(self) -> None:
        """Let its threads go."""
        self._threads.shutdown(wait=False, cancel_futures=True)

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
            raise IdentityRefusedError(reason="iss of the answer")
        expected = Expected(self.settings.issuer, self.settings.client_id, sent.nonce, self.settings.shape.acr)
        answer = await self._exchange(metadata, code, sent)
        token, access = answer.get("id_token"), answer.get("access_token", "")
        if not isinstance(token, str) or not isinstance(access, str):
            raise IdentityRefusedError(reason="no id_token")
        try:
            keys = await self._keys.keys(metadata.jwks_uri, str(read_header(token).get("kid", "")))
        except ClientKeyError as error:
            raise ProviderUnavailableError(reason="jwks") from error
        claims = verify_id_token(token, keys, expected, access_token=access, now_ms=self._clock.now_ms())
        told: Mapping[str, Any] = {}
        if self.settings.shape.userinfo and metadata.userinfo_endpoint:
            found = await self._call(metadata.userinfo_endpoint, {"authorization": f"Bearer {access}"}, None)
            if found.status != http.client.OK:
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
            raise ProviderUnavailableError(reason="discovery: another issuer")
        methods = told.get("code_challenge_methods_supported")
        if methods is not None and not (isinstance(methods, list) and "S256" in methods):
            raise ProviderUnavailableError(reason="discovery: no PKCE S256")
        found = {name: told.get(f"{name}") for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")}
        found["userinfo_endpoint"] = told.get("userinfo_endpoint", "")
        secure = urlsplit(self.settings.issuer).scheme == "https"
        for name, value in found.items():
            if value == "" and name == "userinfo_endpoint" and not self.settings.shape.userinfo:
                continue
            if not isinstance(value, str) or not is_safe_address(value) or (secure and not value.startswith("https:")):
                raise ProviderUnavailableError(reason=f"discovery: {name}")
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
        if answer.status in {http.client.BAD_REQUEST, http.client.UNAUTHORIZED, http.client.FORBIDDEN}:
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

    async def _call(self, url: str, headers: Mapping[str, str], body: bytes | None) -> _Answer:
        """One request, in a thread of this provider. Raises: ProviderUnavailableError."""
        if self._waiting >= WAITING_MAX:
            raise ProviderUnavailableError(reason="busy")
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, self._ask, url, dict(headers), body)
        except (OSError, http.client.HTTPException) as error:
            raise ProviderUnavailableError(reason=type(error).__name__) from error
        finally:
            self._waiting -= 1

    def _ask(self, url: str, headers: dict[str, str], body: bytes | None) -> _Answer:
        parts = urlsplit(url)
        connection: http.client.HTTPConnection
        if parts.scheme == "https":
            connection = http.client.HTTPSConnection(
                parts.hostname or "", parts.port or 443, timeout=ANSWER_S_MAX, context=self._tls
            )
        else:
            connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=ANSWER_S_MAX)
        try:
            path = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
            connection.request("GET" if body is None else "POST", path, body, headers)
            answer = connection.getresponse()
            read = _read_within(answer, monotonic() + ANSWER_S_MAX)
            return _Answer(answer.status, answer.headers.get("content-type", ""), read)
        finally:
            connection.close()

    def _fetch_keys(self, url: str) -> bytes:
        """The keys that sign, of kinds that Hygie reads: a key of another kind beside them does not spoil the set."""
        answer = self._ask(url, {}, None)
        if answer.status != http.client.OK:
            raise ClientKeyError(reason="address does not answer")
        try:
            members = json.loads(answer.body)["keys"]
            kept = [one for one in members if one.get("kty") in {"RSA", "EC"} and one.get("use", "sig") == "sig"]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ClientKeyError(reason="not a JWK set") from error
        return json.dumps({"keys": kept}).encode()


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


def _read_within(answer: http.client.HTTPResponse, end_s: float) -> bytes:
    """The body, if it is small and comes in time. Raises: OSError."""
    read = b""
    while len(read) <= ANSWER_BYTES_MAX:
        if monotonic() > end_s:
            raise TimeoutError("slow")
        piece = answer.read1(16 * 1024)
        if not piece:
            return read
        read += piece
    raise OSError("too large")


def _object(answer: _Answer, what: str) -> dict[str, Any]:
    if answer.status != http.client.OK:
        raise ProviderUnavailableError(reason=what)
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError) as error:
        raise ProviderUnavailableError(reason=what) from error
    if not isinstance(found, dict):
        raise ProviderUnavailableError(reason=what)
    return found
