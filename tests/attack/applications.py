"""Applications for the tests of the token door: keys, certificates, assertions, and requests over TLS of one's own."""

from __future__ import annotations

import datetime
import json
import re
import secrets
import ssl
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from tests.acceptance.conftest import Answer, Installation
from tests.attack.installation import trust

ALGORITHMS = ["ES384", "ES256", "RS384", "RS256", "PS384", "HS256", "none"]
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
PATIENT = {"resourceType": "Patient", "name": [{"family": "Secretdejeanne"}]}


@dataclass
class Application:
    """One account with one key."""

    made: Installation
    name: str
    key: ECKey | RSAKey
    kid: str = field(default_factory=lambda: secrets.token_hex(4))
    algorithm: str = "ES384"

    def jwks(self) -> str:
        return json.dumps({"keys": [{**self.key.as_dict(private=False), "kid": self.kid, "use": "sig"}]})

    def assertion(self, *, header: dict[str, Any] | None = None, key: Any = None, **claims: Any) -> str:
        now = int(time.time())
        said = {"iss": self.name, "sub": self.name, "aud": door(self.made), "exp": now + 120, "iat": now}
        said |= {"jti": secrets.token_hex(16)} | claims
        return jwt.encode(
            {"alg": self.algorithm, "kid": self.kid} | (header or {}), said, key or self.key, algorithms=ALGORITHMS
        )

    def ask(self, scope: str = "system/*.cruds", *, assertion: str = "", **fields: Any) -> Answer:
        return post(
            self.made,
            "token",
            {
                "grant_type": "client_credentials",
                "scope": scope,
                "client_assertion_type": ASSERTION_TYPE,
                "client_assertion": assertion or self.assertion(),
                **fields,
            },
        )

    def token(self, scope: str = "system/*.cruds") -> str:
        answer = self.ask(scope)
        assert answer.status == 200, answer.body
        return str(answer.json["access_token"])


def door(made: Installation, name: str = "token", place: str = "chu/prod") -> str:
    return f"https://localhost:{made.port}/{place}/oauth2/{name}"


def post(
    made: Installation,
    name: str,
    form: dict[str, str],
    *,
    place: str = "chu/prod",
    tls: ssl.SSLContext | None = None,
    headers: dict[str, str] | None = None,
) -> Answer:
    with httpx.Client(verify=tls or trust(made)) as client:
        answer = client.post(door(made, name, place), data=form, headers=headers)
    return Answer(answer.status_code, dict(answer.headers), answer.content)


def fhir(
    made: Installation, method: str, path: str, token: str, body: Any = None, *, tls: ssl.SSLContext | None = None
) -> Answer:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/fhir+json"}
    with httpx.Client(verify=tls or trust(made)) as client:
        answer = client.request(
            method,
            f"https://localhost:{made.port}/chu/prod/fhir/{path}",
            headers=headers,
            content=json.dumps(body) if body is not None else None,
        )
    return Answer(answer.status_code, dict(answer.headers), answer.content)


def register(made: Installation, app: Application, folder: Path) -> str:
    """The account, its habilitation and its key. Returns the key's id."""
    if app.name != "app":
        made.hygie("account", "create", app.name, "--kind", "application")
        words = ("--role", "application", "--reason", "attack", "--approver", "chief")
        made.hygie("habilitation", "grant", app.name, "chu", "prod", *words)
    path = folder / f"{app.name}-{app.kid}.json"
    path.write_text(app.jwks())
    return str(made.hygie("application", "add-key", app.name, "--jwks", str(path))["key"])


class Authority:
    """Signs clients' certificates."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Hospital CA")])
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        self._certificate = self._signed(self._name, self._key.public_key(), usage, ca=True)
        self.path = folder / "clients-ca.pem"
        self.path.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def _signed(self, name: x509.Name, key: ec.EllipticCurvePublicKey, usage: x509.KeyUsage, *, ca: bool) -> Any:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca, None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if not ca:
            builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        return builder.sign(self._key, hashes.SHA256())

    def issue(self, name: str, made: Installation) -> tuple[Path, ssl.SSLContext]:
        """A client's certificate, and a TLS context that shows it."""
        key = ec.generate_private_key(ec.SECP256R1())
        usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._signed(subject, key.public_key(), usage, ca=False)
        path, secret = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        secret.write_bytes(key.private_bytes(*form))
        context = trust(made)
        context.load_cert_chain(path, secret)
        return path, context


def let_certificates_in(made: Installation, authority: Authority) -> None:
    """Name the authority in the settings of an installation that does not run yet."""
    path = made.data / "hygie.toml"
    path.write_text(re.sub(r"(?m)^\[host\]$", f'[host]\nclient_authorities = "{authority.path}"', path.read_text()))
