"""The signed envelope beside an OSCAL file: DSSE around an in-toto statement, as ``trestle verify`` reads it. Pure.

In two steps, because the key stays in the KMS: :func:`to_sign` gives the bytes to sign, :func:`attach` the envelope;
:func:`enveloped` does both for a set of papers.
Source: DSSE 1.0 (protocol.md); in-toto Attestation, Statement v1; compliance-trestle 5, ``core/signing.py``.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://oscal-compass.github.io/compliance-trestle/predicates/oscal-signing/v1"
SUFFIX = ".dsse"
OSCAL_FOLDER = "oscal/"
PUBLIC_KEY = "dossier.pem"


def to_sign(name: str, content: bytes) -> bytes:
    """The bytes that the key signs: the pre-authentication encoding of the statement.

    Args: name: of the file, without its folder; content: JSON in the canonical form of RFC 8785.
    """
    payload = _statement(name, content)
    return b" ".join(
        [b"DSSEv1", b"%d" % len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), b"%d" % len(payload), payload],
    )


def attach(name: str, content: bytes, *, signature: bytes, public_key: bytes) -> bytes:
    """The envelope, verified once before it is handed out.

    Args: public_key: Ed25519, 32 bytes. Raises: InvalidSignature: this key did not sign this file.
    """
    Ed25519PublicKey.from_public_bytes(public_key).verify(signature, to_sign(name, content))
    envelope = {
        "payload": base64.b64encode(_statement(name, content)).decode(),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [{"keyid": hashlib.sha256(public_key).hexdigest(), "sig": base64.b64encode(signature).decode()}],
    }
    return _encode(envelope)


async def enveloped(
    papers: Mapping[str, bytes], sign: Callable[[bytes], Awaitable[bytes]], public_key: bytes
) -> dict[str, bytes]:
    """The envelopes of those papers that are OSCAL, and the public key: by name, beside them.

    Args: papers: by name, with its folder; sign: Ed25519, by the key given.
    Raises: InvalidSignature; what ``sign`` raises.
    """
    made = {PUBLIC_KEY: public_key_pem(public_key)}
    for name, content in papers.items():
        if name.startswith(OSCAL_FOLDER):
            short = name.rpartition("/")[2]
            signature = await sign(to_sign(short, content))
            made[name + SUFFIX] = attach(short, content, signature=signature, public_key=public_key)
    return made


def public_key_pem(public_key: bytes) -> bytes:
    """The public key as OpenSSL and trestle take it. Args: public_key: Ed25519, 32 bytes."""
    key = Ed25519PublicKey.from_public_bytes(public_key)
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _statement(name: str, content: bytes) -> bytes:
    return _encode(
        {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": name, "digest": {"sha256": hashlib.sha256(content).hexdigest()}}],
            "predicateType": PREDICATE_TYPE,
            "predicate": {
                "canonicalization": "RFC8785",
                "digestAlgorithm": "sha256",
                "digestSource": "canonical-json",
                "tool": "hygie",
            },
        }
    )


def _encode(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()
