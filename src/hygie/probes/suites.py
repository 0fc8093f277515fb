"""What a TLS door accepts: each version, each suite, found by taking away what it chose until it refuses.

Written by hand over the hellos of ``tls.py``: this machine's own OpenSSL refuses to make the worst offers. Only numbers
are compared; names come from OpenSSL where it knows them. Sources: RFC 5246 7.4.1.3, RFC 8446 4.1.3, 4.2.1, 4.2.8;
suites that are accepted as good: ANSSI, "Recommandations de sécurité relatives à TLS" (AEAD with forward secrecy).
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from functools import cache

from hygie.hardening.model import Seen
from hygie.probes.tls import TIMEOUT_S, client_hello, exactly, extension

VERSIONS = {"SSL 3.0": 0x0300, "TLS 1.0": 0x0301, "TLS 1.1": 0x0302, "TLS 1.2": 0x0303, "TLS 1.3": 0x0304}
SPOKEN = frozenset({"TLS 1.2", "TLS 1.3"})
MODERN = frozenset({
    *range(0x1301, 0x1305),  # TLS 1.3, but CCM_8, which cuts its tag to eight bytes
    0xC02B, 0xC02C, 0xC02F, 0xC030,  # ECDHE, AES-GCM
    0xCCA8, 0xCCA9,  # ECDHE, ChaCha20-Poly1305
    0xC0AC, 0xC0AD,  # ECDHE-ECDSA, AES-CCM
})  # fmt: skip
# What a modern OpenSSL does not even name: null, export, anonymous, RC4, DES, 3DES, static keys, CBC, and others.
_OLD = (
    *range(0x0001, 0x001C), *range(0x002F, 0x0047), *range(0x0067, 0x006E), *range(0x0084, 0x008E),
    *range(0x0096, 0x00A8), *range(0x00BA, 0x00C6), *range(0xC001, 0xC02B), *range(0xC02D, 0xC033),
    *range(0xC072, 0xC07A), *range(0xC09C, 0xC0B0), *range(0xCC13, 0xCC16), *range(0xCCA8, 0xCCAF),
)  # fmt: skip
_HANDSHAKE, _SERVER_HELLO = 22, 2
_SUPPORTED_VERSIONS, _KEY_SHARE = 43, 51
_TRIES_MAX = 64  # suites of one version


def accepted(host: str, port: int) -> dict[str, tuple[int, ...]]:
    """Version → the suites that the door takes in it, its first choice first. Blocks.

    Raises: OSError: nobody answers.
    """
    found: dict[str, tuple[int, ...]] = {}
    for name, version in VERSIONS.items():
        left = [*range(0x1301, 0x1306)] if name == "TLS 1.3" else sorted({*_OLD, *MODERN} - {*range(0x1301, 0x1306)})
        taken: list[int] = []
        while left and len(taken) < _TRIES_MAX and (suite := chosen(host, port, version, left)) is not None:
            taken.append(suite)
            left.remove(suite)
        if taken:
            found[name] = tuple(taken)
    return found


def chosen(host: str, port: int, version: int, suites: list[int]) -> int | None:
    """The suite that the door picks of an offer; None: it refuses. Raises: OSError: nobody answers."""
    more, legacy = b"", version
    if version == VERSIONS["TLS 1.3"]:  # no key is offered: the door asks for one, and names its suite in doing so
        legacy = VERSIONS["TLS 1.2"]
        more = extension(_SUPPORTED_VERSIONS, b"\x02" + version.to_bytes(2, "big")) + extension(_KEY_SHARE, b"\0\0")
    with socket.create_connection((host, port), timeout=TIMEOUT_S) as connection:
        connection.sendall(client_hello(legacy, suites, more))
        try:
            head = exactly(connection, 5)
            body = exactly(connection, min(int.from_bytes(head[3:5], "big"), 4 + 2 + 32 + 1 + 32 + 2))
        except ConnectionError:
            return None
    if head[0] != _HANDSHAKE or len(body) < 41 or body[0] != _SERVER_HELLO:
        return None
    at = 39 + body[38]
    suite = int.from_bytes(body[at : at + 2], "big")
    answered = int.from_bytes(body[4:6], "big")
    return suite if answered == legacy and suite in suites else None


def doors(host: str, port: int) -> dict[str, Seen]:
    """The two points of the door. Blocks; whatever it does, there is an answer."""
    try:
        found = accepted(host, port)
    except OSError as error:
        return dict.fromkeys(("tls-versions", "tls-suites"), Seen("cannot_tell", type(error).__name__))
    return judged(found)


def judged(found: Mapping[str, tuple[int, ...]]) -> dict[str, Seen]:
    """What a door accepts, as points."""
    if not found:
        return dict.fromkeys(("tls-versions", "tls-suites"), Seen("cannot_tell", "no TLS"))
    suites = sorted({one for taken in found.values() for one in taken})
    weak = [one for one in suites if one not in MODERN]
    told = ", ".join(name_of(one) for one in suites[:_TRIES_MAX])
    return {
        "tls-versions": Seen("kept" if set(found) <= SPOKEN else "not_kept", ", ".join(found)),
        "tls-suites": Seen("not_kept" if weak else "kept", told),
    }


def name_of(suite: int) -> str:
    """As OpenSSL calls it, or its number."""
    return _known().get(suite, f"0x{suite:04X}")


@cache
def _known() -> dict[int, str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_ciphers("ALL:COMPLEMENTOFALL:@SECLEVEL=0")
    return {one["id"] & 0xFFFF: one["name"] for one in context.get_ciphers()}
