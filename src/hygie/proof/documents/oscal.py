"""What OSCAL papers share: identities, metadata, canonical JSON. Pure.

Source: NIST OSCAL 1.2.1, JSON. Every UUID is of version 5, made from what it names: the same state gives the same file.
Files are written in the canonical form of RFC 8785, so that their SHA-256 is also the digest that signatures cover.
"""

from __future__ import annotations

import json
import re
import unicodedata
import uuid
from typing import Any

from hygie.proof.documents.model import Inputs
from hygie.proof.documents.words import Words, utc

OSCAL_VERSION = "1.2.1"
NAMESPACE = uuid.UUID("6f4d2f9e-6f0c-5a53-8d0e-0c9d6a0d7f2b")  # of Hygie's OSCAL papers; it never changes
PROPS = "urn:hygie:oscal"  # namespace of the properties that are ours
Node = dict[str, Any]
_TOKEN = re.compile(r"[^\w.\-]", re.ASCII)


def identity(*names: object) -> str:
    """The UUID of what these names say."""
    return str(uuid.uuid5(NAMESPACE, "\x1f".join(map(str, names))))


def token(*parts: str) -> str:
    """An id as OSCAL takes them: letters, digits, ``._-``; it begins with a letter."""
    text = unicodedata.normalize("NFKD", "_".join(parts)).encode("ascii", "ignore").decode()
    made = _TOKEN.sub("-", text)
    return made if made[:1].isalpha() else f"_{made}"


def control_id(ref: str) -> str:
    """The id of a requirement, ``hds@2.0#EXI-05.D``: ``hds_EXI-05.D``; one référentiel in two versions is two files."""
    referential, _, node = ref.partition("#")
    return token(referential.partition("@")[0], node)


def metadata(inputs: Inputs, title: str) -> Node:
    """Who wrote the file and as of when: the platform, at the date of the papers."""
    words, platform = Words(inputs.language), identity("party", inputs.installation.origin)
    found: Node = {
        "title": title,
        "last-modified": utc(inputs.at_ms),
        "version": utc(inputs.at_ms),
        "oscal-version": OSCAL_VERSION,
        "props": [prop("mode", "demonstration" if inputs.demonstration else inputs.posture["mode"])],
        "roles": [{"id": "creator", "title": words.say("Auteur du fichier", "Author of the file")}],
        "parties": [{"uuid": platform, "type": "organization", "name": line(inputs.installation.origin)}],
        "responsible-parties": [{"role-id": "creator", "party-uuids": [platform]}],
        "remarks": words.say(
            "Établi par la plateforme à partir de ses preuves. Ce fichier n'est pas un certificat.",
            "Made by the platform from its evidence. This file is no certificate.",
        ),
    }
    return found


def prop(name: str, value: object) -> Node:
    """A property of ours."""
    return {"name": name, "ns": PROPS, "value": line(str(value))}


def line(text: str) -> str:
    """A text on one line, as OSCAL's strings are: no space around, never empty."""
    return " ".join(text.split()) or "-"


def encode(document: Node) -> bytes:
    """The document in the canonical form of RFC 8785: it holds no fraction, and keys of ASCII."""
    return json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
