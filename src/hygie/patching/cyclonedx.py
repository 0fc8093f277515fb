"""The inventory as a CycloneDX 1.6 document. Source: cyclonedx.org/docs/1.6/json.

Same inventory, same bytes: no date, no serial number; when it was taken is with its digest, in the measurement.
"""

from __future__ import annotations

import json
from typing import Any

from hygie.patching.model import Component, Inventory

HOST = "hygie"


def write_sbom(inventory: Inventory) -> bytes:
    """The document, UTF-8 JSON with sorted keys, of one line a value."""
    described = next((one for one in inventory.components if one.name == HOST), None)
    metadata: dict[str, Any] = {
        "properties": [{"name": "hygie:unread", "value": one} for one in inventory.unread],
    }
    if described is not None:
        metadata["component"] = _component(described)
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": metadata,
        "components": [_component(one) for one in inventory.components if one is not described],
    }
    return json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True).encode() + b"\n"


def _component(one: Component) -> dict[str, Any]:
    found: dict[str, Any] = {
        "bom-ref": one.purl,
        "name": one.name,
        "purl": one.purl,
        "type": one.kind,
        "version": one.version,
    }
    if one.expression:
        found["licenses"] = [{"expression": one.expression}]
    elif one.licences:
        found["licenses"] = [{"license": {"name": name}} for name in one.licences]
    if one.properties:
        found["properties"] = [{"name": name, "value": value} for name, value in one.properties]
    return found
