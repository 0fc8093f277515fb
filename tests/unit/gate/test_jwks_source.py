"""Keys at an address: a real HTTPS server that answers well, badly, slowly, or not at all."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from joserfc.jwk import ECKey

from hygie.gate import jwks_source
from hygie.gate.clients import check_jwks_url, parse_jwks
from hygie.gate.errors import ClientKeyError
from hygie.gate.jwks_source import JwksSource
from hygie.server.certificates import own_certificate


def key_set(*kids: str) -> bytes:
    keys = [{**ECKey.generate_key("P-256", private=True).as_dict(private=False), "kid": kid} for kid in kids]
    return json.dumps({"keys": keys}).encode()


@dataclass
class Published:
    """What the server answers, and how often it was asked."""

    url: str = ""
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    asked: int = 0


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Published]:
    files = own_certificate(tmp_path / "tls", ["localhost"])
    monkeypatch.setenv("SSL_CERT_FILE", str(files.authority or files.certificate))
    told = Published(body=key_set("one"))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.asked += 1
            self.send_response(told.status)
            for name, value in {"Content-Length": str(len(told.body)), **told.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(told.body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    told.url = f"https://localhost:{server.server_port}/keys"
    try:
        yield told
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def kids(source: JwksSource, url: str, kid: str = "one") -> list[str]:
    return [one.kid for one in asyncio.run(source.keys(url, kid))]


def test_keys_are_fetched_once_and_again_for_a_kid_that_lacks_but_seldom(
    published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = JwksSource()
    assert kids(source, published.url) == kids(source, published.url) == ["one"]
    assert published.asked == 1
    published.body = key_set("one", "two")
    for _ in range(5):  # whoever sends unknown kids does not make us ask each time
        assert kids(source, published.url, "two") == ["one"]
    assert published.asked == 1
    monkeypatch.setattr(jwks_source, "AGAIN_S", 0.0)
    assert kids(source, published.url, "two") == ["one", "two"]
    assert published.asked == 2


def test_an_address_that_never_answered_is_asked_seldom(published: Published, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever names the application makes us ask, and need not be it."""
    source, published.status = JwksSource(), 500

    async def at_once() -> None:
        asked = (source.keys(published.url, "one") for _ in range(8))
        assert all(isinstance(one, ClientKeyError) for one in await asyncio.gather(*asked, return_exceptions=True))

    for _ in range(3):
        asyncio.run(at_once())
    assert published.asked == 1
    published.status = 200
    monkeypatch.setattr(jwks_source, "AGAIN_S", 0.0)
    assert kids(source, published.url) == ["one"]


def test_those_who_wait_share_one_fetch(published: Published) -> None:
    source = JwksSource()

    async def main() -> None:
        await asyncio.gather(*(source.keys(published.url, "one") for _ in range(8)))

    asyncio.run(main())
    assert published.asked == 1


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        (404, b"", {}),
        (302, b"", {"Location": "https://localhost/elsewhere"}),
        (200, b"{}", {}),
        (200, b"x" * 70_000, {}),
        (200, key_set("a", "a"), {}),
    ],
)
def test_an_answer_that_is_no_set_of_keys_opens_nothing(
    published: Published, status: int, body: bytes, headers: dict[str, str]
) -> None:
    published.status, published.body, published.headers = status, body, headers
    with pytest.raises(ClientKeyError):
        kids(JwksSource(), published.url)


def test_an_address_that_stops_answering_leaves_its_keys_in_use_for_an_hour(
    published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = JwksSource()
    assert kids(source, published.url) == ["one"]
    published.status = 500
    monkeypatch.setattr(jwks_source, "FRESH_S", -1.0)
    monkeypatch.setattr(jwks_source, "AGAIN_S", -1.0)
    assert kids(source, published.url) == ["one"]
    monkeypatch.setattr(jwks_source, "KEPT_S", -1.0)
    with pytest.raises(ClientKeyError):
        kids(source, published.url)


def test_a_server_that_nobody_vouches_for_is_not_believed(
    published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(ClientKeyError):
        kids(JwksSource(), published.url)
    assert published.asked == 0


def test_keys_that_hygie_does_not_take_do_not_spoil_those_beside_them(published: Published) -> None:
    """RFC 7517, 5: a set is published for others too."""
    good = json.loads(published.body)["keys"]
    others = [
        {"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": "AAAA"},
        {"kty": "AKP", "alg": "ML-DSA-65", "kid": "pq", "pub": "AAAA"},
        {"kty": "EC", "crv": "P-521", "kid": "large"},
        {"kty": "RSA", "n": "AQAB", "e": "AQAB"},
        {"kty": "oct", "k": "AAAA", "kid": "secret"},
        "not even a key",
    ]
    published.body = json.dumps({"keys": [*others, *good]}).encode()
    assert kids(JwksSource(), published.url) == ["one"]
    with pytest.raises(ClientKeyError):
        parse_jwks(published.body)  # by value an operator gives a set of his own, and is told what is wrong


@pytest.mark.parametrize("url", ["https://a..b/", "https://%s.fr/" % ("x" * 64)])
def test_an_address_that_no_name_can_be_made_of_is_no_accident(url: str) -> None:
    with pytest.raises(ClientKeyError):
        kids(JwksSource(), url)
    with pytest.raises(ClientKeyError):
        check_jwks_url(url)
