"""Security keys and passkeys: what a browser is asked, and whether its answer holds. Pure.

Source: W3C Web Authentication, level 2, 7.1 and 7.2; the ceremonies' checks are python-fido2's.  Here: which origins,
that a person was verified (PIN or finger), which algorithms, that a challenge is this installation's, fresh, for this
use.  A challenge is not stored: it carries a MAC and its end, and is used up like an assertion (``hygie.assertion``).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from fido2.server import Fido2Server
from fido2.utils import websafe_decode, websafe_encode
from fido2.webauthn import (
    AttestationConveyancePreference,
    AttestedCredentialData,
    AuthenticationResponse,
    AuthenticatorData,
    CollectedClientData,
    PublicKeyCredentialDescriptor,
    PublicKeyCredentialRpEntity,
    PublicKeyCredentialType,
    PublicKeyCredentialUserEntity,
    RegistrationResponse,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from hygie.base.canonical import canonical
from hygie.gate.authenticators import WEBAUTHN, Answer, Authenticator
from hygie.gate.errors import SignInRefusedError

REGISTER, SIGN_IN = "register", "sign in"
CHALLENGE_MS = 5 * 60_000
NAME = "Hygie"
CREDENTIAL_BYTES_MAX = 4_096  # an id has 1,023 at most, a key of RSA about 300, of ML-DSA 2,600
# COSE algorithms (RFC 9053) on curves and moduli that ANSSI takes: ES256, EdDSA, ES384, PS256, RS256.
ALGORITHMS: Final = (-7, -8, -35, -37, -257)
_CHALLENGE = struct.Struct(">16sQ32s")  # random, end (UTC ms), MAC
_REQUIRED = UserVerificationRequirement.REQUIRED
# What the library raises on bytes that are no response, beside its own ValueError.
_MALFORMED = (
    ValueError, KeyError, TypeError, AttributeError, IndexError, struct.error, NotImplementedError, RecursionError,
)  # fmt: skip
_MEMBERS = ("id", "rawId", "type")
_INSIDE = ("clientDataJSON", "authenticatorData", "signature", "userHandle", "attestationObject")
Json = dict[str, Any]


class WebAuthn:
    """One per process.

    Args: origins: scheme and authority by which browsers reach this installation; the first one's host name is what
    keys are registered for; key: 32 bytes, of challenges and user handles.
    """

    def __init__(self, origins: Sequence[str], key: bytes) -> None:
        self._origins = {one.rstrip("/") for one in origins}
        self._key = key
        host = urlsplit(origins[0]).hostname or ""
        self._server = Fido2Server(
            PublicKeyCredentialRpEntity(name=NAME, id=host),
            attestation=AttestationConveyancePreference.NONE,
            verify_origin=self._origins.__contains__,
        )
        offered = [one for one in self._server.allowed_algorithms if one.alg in ALGORITHMS]
        self._server.allowed_algorithms = offered

    def registration_options(self, account: str, label: str, held: Sequence[Authenticator], now_ms: int) -> Json:
        """What the browser is asked for a new key (``PublicKeyCredentialCreationOptionsJSON``)."""
        user = PublicKeyCredentialUserEntity(name=account, id=self.handle(account), display_name=label or account)
        options, _ = self._server.register_begin(
            user,
            [_descriptor(one) for one in held if one.kind == WEBAUTHN],
            resident_key_requirement=ResidentKeyRequirement.REQUIRED,
            user_verification=_REQUIRED,
            challenge=self._challenge(REGISTER, account, now_ms),
        )
        return dict(options.public_key)

    def options(self, account: str, now_ms: int) -> Json:
        """What the browser is asked for a sign-in (``PublicKeyCredentialRequestOptionsJSON``).

        It names no key: the browser offers those that it has, and nobody learns which accounts have one.
        """
        challenge = self._challenge(SIGN_IN, account, now_ms)
        options, _ = self._server.authenticate_begin(user_verification=_REQUIRED, challenge=challenge)
        return dict(options.public_key)

    def registered(self, response: Mapping[str, Any], account: str, now_ms: int) -> Answer:
        """A new key, from ``RegistrationResponseJSON``. Raises: SignInRefusedError."""
        try:
            response = _texts(response)
            client = RegistrationResponse.from_dict(response).response.client_data
            until_ms = self._fresh(client, REGISTER, [account], now_ms)
            data = self._server.register_complete(self._state(client), response)
        except _MALFORMED as error:
            raise SignInRefusedError(reason=_reason(error), locks=0) from error
        credential = data.credential_data
        if credential is None or credential.public_key.get(3) not in ALGORITHMS:
            raise SignInRefusedError(reason="algorithm", locks=0)
        if len(credential) > CREDENTIAL_BYTES_MAX:
            raise SignInRefusedError(reason="credential", locks=0)
        return self._answer("", bytes(credential), data, client, until_ms)

    def signed(
        self, response: Mapping[str, Any], held: Sequence[Authenticator], now_ms: int, account: str = ""
    ) -> Answer:
        """A sign-in, from ``AuthenticationResponseJSON``.

        Args: held: the keys that it may be of; account: whose they are.
        Raises: SignInRefusedError.
        """
        try:
            response = _texts(response)
            parsed = AuthenticationResponse.from_dict(response)
            client = parsed.response.client_data
            until_ms = self._fresh(client, SIGN_IN, ["", account], now_ms)
            handle = parsed.response.user_handle
            if handle and not hmac.compare_digest(handle, self.handle(account)):
                raise ValueError("user handle")
            credentials = {one.id: AttestedCredentialData(one.value) for one in held}
            used = self._server.authenticate_complete(self._state(client), list(credentials.values()), response)
        except _MALFORMED as error:
            raise SignInRefusedError(reason=_reason(error), locks=0) from error
        id_ = next(id_ for id_, one in credentials.items() if one == used)
        return self._answer(id_, bytes(used), parsed.response.authenticator_data, client, until_ms)

    def handle(self, account: str) -> bytes:
        """The opaque name (32 bytes) of an account on a key: who finds the key learns nobody's name from it."""
        return hmac.digest(self._key, canonical("hygie webauthn handle v1", account), hashlib.sha256)

    def _challenge(self, use: str, account: str, now_ms: int) -> bytes:
        nonce, until_ms = secrets.token_bytes(16), now_ms + CHALLENGE_MS
        return _CHALLENGE.pack(nonce, until_ms, self._mac(use, account, nonce, until_ms))

    def _mac(self, use: str, account: str, nonce: bytes, until_ms: int) -> bytes:
        return hmac.digest(self._key, canonical("hygie webauthn challenge v1", use, account, nonce, until_ms), "sha256")

    def _fresh(self, client: CollectedClientData, use: str, accounts: Sequence[str], now_ms: int) -> int:
        """When the challenge of a response ends. Raises: ValueError: it is not ours, of another use, or over."""
        if len(client.challenge) != _CHALLENGE.size:
            raise ValueError("challenge")
        nonce, until_ms, mac = _CHALLENGE.unpack(client.challenge)
        ours = [hmac.compare_digest(mac, self._mac(use, account, nonce, until_ms)) for account in accounts]
        if not any(ours) or now_ms >= until_ms:
            raise ValueError("challenge")
        if client.cross_origin:
            raise ValueError("cross origin")  # in a frame of somebody else's page
        return int(until_ms)

    @staticmethod
    def _state(client: CollectedClientData) -> Json:
        """The library compares challenges itself: this one was found ours."""
        return {"challenge": websafe_encode(client.challenge), "user_verification": _REQUIRED}

    @staticmethod
    def _answer(id_: str, value: bytes, data: AuthenticatorData, client: CollectedClientData, until_ms: int) -> Answer:
        return Answer(id_, value, data.counter, hashlib.sha256(client.challenge).digest(), until_ms)


def _texts(response: Mapping[str, Any]) -> Json:
    """A response's own members, which are texts, and nothing else: the library makes bytes of whatever it is given, and
    of a number as many zero bytes. Raises: ValueError: one is no text."""
    inside = response.get("response")
    if not isinstance(inside, Mapping):
        raise TypeError("response")
    members = [response.get(name) for name in _MEMBERS]
    given = {name: inside[name] for name in _INSIDE if inside.get(name) is not None}
    if not all(isinstance(one, str) for one in (*members, *given.values())):
        raise ValueError("response")
    return {
        **dict(zip(_MEMBERS, members, strict=True)),
        "response": given,
        "clientExtensionResults": {},
    }


def credential_of(response: Mapping[str, Any]) -> bytes:
    """The id of the credential that a response names; nothing when it names none."""
    named = response.get("rawId") or response.get("id")
    try:
        return bytes(websafe_decode(named)) if isinstance(named, str) else b""
    except ValueError:
        return b""


def has_credential(one: Authenticator, credential: bytes) -> bool:
    """Whether a key is the one that a response names."""
    return one.kind == WEBAUTHN and credential_id(one.value) == credential


def credential_id(value: bytes) -> bytes:
    """The id in a credential (WebAuthn level 2, 6.5.1): after 16 bytes, its length (2 bytes), then itself."""
    return value[18 : 18 + int.from_bytes(value[16:18], "big")]


def _descriptor(one: Authenticator) -> PublicKeyCredentialDescriptor:
    return PublicKeyCredentialDescriptor(type=PublicKeyCredentialType.PUBLIC_KEY, id=credential_id(one.value))


def _reason(error: Exception) -> str:
    """What did not hold, in one of our own words: the library's sentences may one day repeat what was sent."""
    told = str(error).lower()
    words = ("challenge", "cross origin", "origin", "rp id", "verif", "present", "signature", "handle", "credential")
    return next((word for word in words if word in told), "response") if isinstance(error, ValueError) else "response"
