"""OSCAL assessment plan and assessment results of a posture. Pure. Source: ``oscal.py``.

An observation for each check that ran, a finding for each assessable requirement that applies, a risk for each check
that is red. OSCAL knows two states only: what is unknown is written ``not-satisfied``, and the property ``verdict``
says ``unknown``, so that no reader takes it for satisfied.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hygie.proof.documents.model import Inputs
from hygie.proof.documents.oscal import Node, control_id, encode, identity, line, metadata, prop
from hygie.proof.documents.words import Words, utc

PLAN = "oscal/assessment-plan.json"
RESULTS = "oscal/assessment-results.json"
_METHODS: Mapping[str, str] = {
    "measured": "TEST",
    "attested": "INTERVIEW",
    "external": "EXAMINE",
    "declared": "EXAMINE",
}
Row = Mapping[str, Any]


def assessment_plan(inputs: Inputs) -> bytes:
    """``oscal/assessment-plan.json``: what is checked, how often, for which requirements."""
    words = Words(inputs.language)
    statement = identity("statement", inputs.installation.origin)
    proves = {one["id"]: words.of(one.get("proves")) for one in inputs.catalogue["checks"]}
    body: Node = {
        "uuid": _plan(inputs),
        "metadata": metadata(inputs, words.say("Plan de contrôle continu", "Continuous assessment plan")),
        "import-ssp": {
            "href": f"#{statement}",
            "remarks": words.say(
                "La déclaration d'applicabilité et les registres du dossier tiennent lieu de plan de sécurité.",
                "The statement of applicability and the registers of the dossier stand for the security plan.",
            ),
        },
        "local-definitions": {"activities": [_activity(one, proves, words) for one in inputs.posture["checks"]]},
        "reviewed-controls": _reviewed(inputs, words),
        "back-matter": {
            "resources": [
                {
                    "uuid": statement,
                    "title": words.say("Déclaration d'applicabilité", "Statement of applicability"),
                    "rlinks": [{"href": "../declaration-applicabilite.xlsx"}],
                }
            ]
        },
    }
    return encode({"assessment-plan": body})


def assessment_results(inputs: Inputs) -> bytes:
    """``oscal/assessment-results.json``: the posture."""
    words = Words(inputs.language)
    body: Node = {
        "uuid": identity("results", inputs.installation.origin, inputs.posture["digest"], inputs.at_ms),
        "metadata": metadata(inputs, words.say("Résultats des contrôles", "Assessment results")),
        "import-ap": {"href": PLAN.rpartition("/")[2]},
        "results": [_result(inputs, words)],
    }
    return encode({"assessment-results": body})


def _result(inputs: Inputs, words: Words) -> Node:
    posture = inputs.posture
    ran = [one for one in posture["checks"] if one["ran_ms"]]
    red = [one for one in ran if one["verdict"] == "unsatisfied"]
    starts = [one["at_ms"] for one in ran]
    found: Node = {
        "uuid": identity("result", inputs.installation.origin, posture["digest"], inputs.at_ms),
        "title": words.say(f"Posture au {words.date(inputs.at_ms)}", f"Posture as of {words.date(inputs.at_ms)}"),
        "description": words.say(
            "Ce que les preuves établissaient à cette date. Inconnu n'est jamais compté comme satisfait.",
            "What evidence established at that date. Unknown never counts as satisfied.",
        ),
        "start": utc(min(starts, default=inputs.at_ms)),
        "end": utc(inputs.at_ms),
        "props": [prop("batch", posture["batch"]), prop("batch-digest", posture["digest"])],
        "reviewed-controls": _reviewed(inputs, words),
        "observations": [_observation(one, inputs, words) for one in ran],
        "risks": [_risk(one, inputs, words) for one in red],
        "findings": list(_findings(inputs, words)),
    }
    return {name: value for name, value in found.items() if value != []}


def _activity(check: Row, proves: Mapping[str, str], words: Words) -> Node:
    title = line(words.of(check["title"]))
    return {
        "uuid": identity("activity", check["id"]),
        "title": title,
        "description": proves.get(check["id"]) or title,
        "props": [
            {"name": "method", "value": _METHODS[check["evidence"]]},
            prop("check", check["id"]),
            prop("source", check["source"]),
            prop("cadence-seconds", int(check["cadence_s"])),
            prop("owner", check["owner"]),
        ],
    }


def _reviewed(inputs: Inputs, words: Words) -> Node:
    """A selection for each référentiel: what is assessable and applies; what does not apply is excluded by name."""
    selections = []
    for name in inputs.posture["referentials"]:
        rows = [
            row for row in inputs.posture["requirements"] if row["ref"].startswith(f"{name}#") and row["assessable"]
        ]
        chosen = [{"control-id": control_id(row["ref"])} for row in rows if row["verdict"] != "not_applicable"]
        left = [{"control-id": control_id(row["ref"])} for row in rows if row["verdict"] == "not_applicable"]
        if not chosen:
            continue
        selection: Node = {"description": line(name), "include-controls": chosen}
        selections.append(selection | ({"exclude-controls": left} if left else {}))
    return {
        "description": words.say("Exigences du périmètre.", "Requirements of the perimeter."),
        "control-selections": selections or [{"include-all": {}}],
    }


def _observation(check: Row, inputs: Inputs, words: Words) -> Node:
    seen = words.say(
        f"Constaté : {words.of(check.get('observed')) or '-'}. Déclaré : {words.of(check.get('declared')) or '-'}.",
        f"Observed: {words.of(check.get('observed')) or '-'}. Declared: {words.of(check.get('declared')) or '-'}.",
    )
    found: Node = {
        "uuid": _observation_id(check["id"], inputs),
        "title": line(words.of(check["title"])),
        "description": line(f"{words.of(check['why'])} {seen}"),
        "props": [
            prop("check", check["id"]),
            prop("verdict", check["verdict"]),
            prop("evidence", check["evidence"]),
            prop("since", utc(check["since_ms"])),
        ],
        "methods": [_METHODS[check["evidence"]]],
        "types": ["control-objective"],
        "origins": [{"actors": [{"type": "tool", "actor-uuid": identity("party", inputs.installation.origin)}]}],
        "relevant-evidence": [
            {
                "description": words.say(
                    f"Contrôle {check['id']}, évaluation n° {inputs.posture['batch']} au plus.",
                    f"Check {check['id']}, evaluation number {inputs.posture['batch']} at most.",
                ),
                "props": [prop("source", check["source"])],
            }
        ],
        "collected": utc(check["at_ms"]),
    }
    if check["fresh_until_ms"] >= check["at_ms"]:
        found["expires"] = utc(check["fresh_until_ms"])
    return found


def _risk(check: Row, inputs: Inputs, words: Words) -> Node:
    title = line(words.of(check["title"]))
    found: Node = {
        "uuid": _risk_id(check["id"], inputs),
        "title": title,
        "description": line(words.of(check["why"])),
        "statement": words.say(
            "Tant que ce contrôle est rouge, les exigences qui s'appuient sur lui ne sont pas satisfaites.",
            "As long as this check is red, the requirements that rest on it are not satisfied.",
        ),
        "props": [prop("check", check["id"]), prop("owner", check["owner"])],
        "status": "open",
        "related-observations": [{"observation-uuid": _observation_id(check["id"], inputs)}],
    }
    if words.of(check.get("remedy")):
        found["remediations"] = [
            {
                "uuid": identity("remedy", check["id"], inputs.posture["digest"], inputs.at_ms),
                "lifecycle": "recommendation",
                "title": title,
                "description": words.of(check["remedy"]),
            }
        ]
    return found


def _findings(inputs: Inputs, words: Words) -> Iterable[Node]:
    controls = {one["id"]: one for one in inputs.posture["controls"]}
    checks = {one["id"]: one for one in inputs.posture["checks"]}
    for row in inputs.posture["requirements"]:
        if not row["assessable"] or row["verdict"] == "not_applicable":
            continue
        names = dict.fromkeys(name for one in row["controls"] for name in controls[one]["checks"])
        resting = [checks[name] for name in names if checks[name]["ran_ms"]]
        yield _finding(row, resting, inputs, words)


def _finding(row: Row, checks: list[Row], inputs: Inputs, words: Words) -> Node:
    satisfied = row["verdict"] == "satisfied"
    status: Node = {"state": "satisfied" if satisfied else "not-satisfied"}
    if not satisfied:
        status["reason"] = "fail" if row["verdict"] == "unsatisfied" else "other"
    split = ", ".join(f"{words.evidence(name)} : {count}" for name, count in row["evidence"].items() if count)
    found: Node = {
        "uuid": identity("finding", row["ref"], inputs.posture["digest"], inputs.at_ms),
        "title": line(f"{row['id']} {words.of(row['title'])}"),
        "description": line(f"{words.verdict(row['verdict'])}. {words.of(row['why'])} {split}"),
        "props": [
            prop("verdict", row["verdict"]),
            *(prop(f"evidence-{name}", count) for name, count in sorted(row["evidence"].items())),
        ],
        "target": {"type": "objective-id", "target-id": control_id(row["ref"]), "status": status},
    }
    if checks:
        found["related-observations"] = [{"observation-uuid": _observation_id(one["id"], inputs)} for one in checks]
    red = [{"risk-uuid": _risk_id(one["id"], inputs)} for one in checks if one["verdict"] == "unsatisfied"]
    return found | ({"related-risks": red} if red else {})


def _plan(inputs: Inputs) -> str:
    return identity("plan", inputs.installation.origin, inputs.at_ms)


def _observation_id(check: str, inputs: Inputs) -> str:
    return identity("observation", check, inputs.posture["digest"], inputs.at_ms)


def _risk_id(check: str, inputs: Inputs) -> str:
    return identity("risk", check, inputs.posture["digest"], inputs.at_ms)
