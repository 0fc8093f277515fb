"""An identity provider of one's own, on this machine: honest by default, and hostile in whatever a test changes."""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
import ipaddress
import json
import secrets
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from joserfc import jwt
from joserfc.jwk import RSAKey

Claims = dict[str, Any]


@dataclass
class HostileProvider:
    """OpenID Connect over HTTP on the loopback. What it says is computed by attributes that a test may replace."""

    client_id: str = "hygie"
    subject: str = "f:1:jeanne"
    acr: str = "eidas1"
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, private=True))
    kid: str = "one"
    header: dict[str, Any] = field(default_factory=dict)
    claims: Claims = field(default_factory=dict)
    userinfo: Claims = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    more_keys: list[dict[str, Any]] = field(default_factory=list)
    forge: Callable[[Claims], str] | None = None
    signed_userinfo: bool = False
    access: str = ""  # the token that it gives, one that nobody guesses when empty
    down: bool = False
    hang_s: float = 0.0
    seen: list[dict[str, str]] = field(default_factory=list)
    asked: dict[str, dict[str, str]] = field(default_factory=dict)
    folder: Path | None = None  # where its certificate is put: then it speaks TLS

    def __enter__(self) -> HostileProvider:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer._handle(self, "")

            def do_POST(self) -> None:
                outer._handle(self, self.rfile.read(int(self.headers.get("content-length", "0"))).decode())

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if self.folder is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*_certificate(self.folder))
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def issuer(self) -> str:
        return f"http{'s' if self.folder else ''}://127.0.0.1:{self._server.server_address[1]}"

    def _handle(self, request: BaseHTTPRequestHandler, body: str) -> None:
        if self.down:
            request.send_error(502)
            return
        time.sleep(self.hang_s)
        path = urlsplit(request.path)
        query = {name: one[0] for name, one in parse_qs(path.query or body).items()}
        kind = "application/json"
        answer: str | None = None
        if path.path == "/.well-known/openid-configuration":
            answer = json.dumps(self._told())
        elif path.path == "/keys":
            mine = {**self.key.as_dict(private=False), "kid": self.kid, "use": "sig"}
            answer = json.dumps({"keys": [*self.more_keys, mine]})
        elif path.path == "/authorize":
            code = secrets.token_urlsafe(8)
            self.asked[code] = query
            request.send_response(302)
            more = {"code": code, "state": query.get("state", "")}
            request.send_header("location", f"{query['redirect_uri']}?{urlencode(more)}")
            request.end_headers()
            return
        elif path.path == "/token":
            self.seen.append({**query, "authorization": request.headers.get("authorization", "")})
            answer = self._token(query)
        elif path.path == "/userinfo":
            told = {"sub": self.subject, **self.userinfo}
            answer = json.dumps(told)
            if self.signed_userinfo:
                kind = "application/jwt"
                answer = self._signed({"iss": self.issuer, "aud": self.client_id, **told})
        if answer is None:
            request.send_error(400)
            return
        data = answer.encode()
        request.send_response(200)
        request.send_header("content-type", kind)
        request.send_header("content-length", str(len(data)))
        request.end_headers()
        request.wfile.write(data)

    def _told(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "jwks_uri": f"{self.issuer}/keys",
            "code_challenge_methods_supported": ["S256"],
            **self.metadata,
        }

    def _token(self, query: dict[str, str]) -> str | None:
        """An access token and an ID token, when PKCE holds and the code is one of ours, once."""
        asked = self.asked.pop(query.get("code", ""), None)
        if asked is None:
            return None
        verifier = hashlib.sha256(query.get("code_verifier", "").encode()).digest()
        if base64.urlsafe_b64encode(verifier).decode().rstrip("=") != asked.get("code_challenge"):
            return None
        access = self.access or secrets.token_urlsafe(16)
        return json.dumps({"access_token": access, "token_type": "Bearer", "id_token": self.id_token(asked, access)})

    def id_token(self, asked: dict[str, str], access: str) -> str:
        now = int(time.time())
        half = hashlib.sha256(access.encode()).digest()[:16]
        claims: Claims = {
            "iss": self.issuer,
            "sub": self.subject,
            "aud": self.client_id,
            "exp": now + 300,
            "iat": now,
            "nonce": asked.get("nonce"),
            "acr": self.acr,
            "at_hash": base64.urlsafe_b64encode(half).decode().rstrip("="),
            **self.claims,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        return self.forge(claims) if self.forge is not None else self._signed(claims)

    def _signed(self, claims: Claims) -> str:
        return jwt.encode({"alg": "RS256", "kid": self.kid, **self.header}, claims, self.key)

    def unsigned(self, claims: Claims) -> str:
        """The claims under the algorithm ``none``."""
        return f"{_part({'alg': 'none', 'kid': self.kid})}.{_part(claims)}."

    def by_hmac(self, claims: Claims) -> str:
        """The claims "signed" with the public key as an HMAC secret (RFC 8725, 2.1): libraries refuse to make it."""
        text = f"{_part({'alg': 'HS256', 'kid': self.kid})}.{_part(claims)}"
        mac = hmac.digest(self.key.as_pem(private=False), text.encode(), "sha256")
        return f"{text}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"


def _certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of its own for 127.0.0.1, and its key: ``provider.pem``, which who trusts it reads too."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "provider")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(True, None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.KeyUsage(True, False, False, False, False, True, True, False, False), critical=True)
        .sign(key, hashes.SHA256())
    )
    path, secret = folder / "provider.pem", folder / "provider.key"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    secret.write_bytes(key.private_bytes(*form))
    return path, secret


def _part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
