"""Where an installation stands at an instant: from the last runs and their catalogue to verdicts. Pure and repeatable:
the same log gives the same bytes, today or in three years.

Unknown is never green: a check without a run, with a stale one, or a requirement without a check is unknown. So is all
that evidence said before some of it was lost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from hygie.proof.evidence import Known
from hygie.proof.model import Text, Verdict
from hygie.proof.runs import Run
from hygie.registers.holes import Hole

FORMAT = "hygie posture 1"
MISSED_CADENCES = 2  # a run that is later than this many cadences was missed
_WORST_FIRST = (Verdict.UNSATISFIED, Verdict.UNKNOWN, Verdict.SATISFIED)
_EVIDENCE = ("measured", "attested", "external", "declared")
_NEVER = Text("Jamais contrôlé.", "Never checked.")
_LOST = Text("Preuves perdues : ce qu'on savait ne se sait plus.", "Evidence was lost: what was known is not any more.")
_STALE = Text("Preuve périmée.", "Evidence expired.")
_MISSED = Text("Contrôle manqué.", "A run was missed.")
_NO_CONTROL = Text("Aucun contrôle déclaré.", "No control is declared.")
Row = dict[str, Any]


def posture_at(known: Known, at_ms: int) -> Row:
    """The posture at an instant. Args: known: then."""
    batch = known.batch
    return build_posture(
        *(known.catalogue, known.runs),
        at_ms=at_ms,
        batch=batch.seq,
        digest=batch.digest,
        mode=batch.mode,
        lost=known.lost,
    )


def build_posture(
    catalogue: Mapping[str, Any],
    runs: Mapping[str, Run],
    *,
    at_ms: int,
    batch: int,
    digest: bytes,
    mode: str,
    lost: Sequence[Hole] = (),
) -> Row:
    """The posture.

    Args: runs: the last one of each check, as of ``at_ms``; batch, digest: of the last evaluation known then; mode: of
    the installation at that evaluation; lost: numbers of evaluations that were found lost.
    """
    none = _LOST if lost and lost[-1].last > batch else _NEVER
    checks = {one["id"]: _check(one, runs.get(one["id"]), at_ms, none) for one in catalogue["checks"]}
    controls = {one["id"]: _control(one, checks) for one in catalogue["controls"]}
    requirements = _requirements(catalogue["requirements"], controls)
    return {
        "format": FORMAT,
        "at_ms": at_ms,
        "mode": mode,
        "batch": batch,
        "digest": digest.hex(),
        "lost": [[hole.first, hole.last] for hole in lost],
        "version": catalogue["version"],
        "referentials": catalogue["referentials"],
        "summary": {one: _summary(requirements, one) for one in catalogue["referentials"]},
        "requirements": requirements,
        "controls": list(controls.values()),
        "checks": list(checks.values()),
    }


def encode_posture(posture: Row) -> bytes:
    """The posture as JSON, keys sorted: equal bytes for an equal log."""
    return msgspec.json.encode(posture, order="sorted")


def _check(card: Mapping[str, Any], run: Run | None, at_ms: int, none: Text) -> Row:
    """Args: none: why nothing is known of a check without a run."""
    row: Row = {name: card[name] for name in ("id", "title", "source", "owner", "evidence", "cadence_s", "fresh_s")}
    if run is None:
        return row | {"verdict": Verdict.UNKNOWN.value, "why": list(none), "ran_ms": None}
    verdict, why = run.verdict.value, run.why
    missed = at_ms - run.ran_ms > card["cadence_s"] * 1000 * MISSED_CADENCES
    if at_ms > run.fresh_until_ms and verdict != Verdict.UNSATISFIED:
        verdict, why = Verdict.UNKNOWN.value, _STALE
    elif missed and verdict != Verdict.UNSATISFIED:
        verdict, why = Verdict.UNKNOWN.value, _MISSED
    return row | {
        "verdict": verdict,
        "evidence": run.evidence.value,
        "why": list(why),
        "observed": list(run.observed),
        "declared": list(run.declared),
        "remedy": list(run.remedy) if run.remedy else None,
        "at_ms": run.at_ms,
        "ran_ms": run.ran_ms,
        "fresh_until_ms": run.fresh_until_ms,
        "since_ms": run.since_ms,
        "missed": missed,
    }


def _control(card: Mapping[str, Any], checks: Mapping[str, Row]) -> Row:
    found = [checks[name] for name in card["checks"]]
    return {
        "id": card["id"],
        "title": card["title"],
        "owner": card["owner"],
        "checks": card["checks"],
        "verdict": _worst([one["verdict"] for one in found]),
        "evidence": _split(found),
        "since_ms": max((one.get("since_ms") or 0 for one in found), default=0),
        "until_ms": min((one["fresh_until_ms"] for one in found if one.get("fresh_until_ms")), default=0),
    }


def _requirements(cards: Sequence[Mapping[str, Any]], controls: Mapping[str, Row]) -> list[Row]:
    """Verdicts from the leaves up: a requirement holds when its own controls and all that stand under it hold."""
    under: dict[str, list[str]] = {}
    for card in cards:
        under.setdefault(card["parent"], []).append(card["ref"])
    by_ref = {card["ref"]: card for card in cards}
    done: dict[str, Row] = {}

    def of(ref: str) -> Row:
        if ref not in done:
            card, below = by_ref[ref], [of(one) for one in under.get(ref, ())]
            done[ref] = _requirement(card, [controls[one] for one in card["controls"]], below)
        return done[ref]

    return [of(card["ref"]) for card in cards]


def _requirement(card: Mapping[str, Any], controls: Sequence[Row], below: Sequence[Row]) -> Row:
    asked = [one for one in below if one["asked"]]
    row: Row = {name: card[name] for name in ("ref", "id", "parent", "title", "assessable", "standing", "controls")}
    row |= {
        "asked": bool(card["assessable"] or controls or asked),
        "evidence": _added([*controls, *below]),
        "why": ["", ""],
    }
    row |= {
        "since_ms": max((one["since_ms"] for one in [*controls, *below]), default=0),
        "until_ms": min((one["until_ms"] for one in [*controls, *below] if one["until_ms"]), default=0),
    }
    if not card["applies"]:
        return row | {"verdict": Verdict.NOT_APPLICABLE.value, "why": card["why"]}
    if not controls and not asked:
        return row | {"verdict": Verdict.UNKNOWN.value, "why": list(_NO_CONTROL)}
    return row | {"verdict": _worst([one["verdict"] for one in [*controls, *asked]])}


def _worst(verdicts: Sequence[str]) -> str:
    """One red makes red, else one unknown makes unknown; what does not apply weighs nothing."""
    for verdict in _WORST_FIRST:
        if verdict in verdicts:
            return verdict.value
    return Verdict.NOT_APPLICABLE.value if verdicts else Verdict.UNKNOWN.value


def _split(checks: Sequence[Row]) -> dict[str, int]:
    """How many checks decided, by kind of evidence; those nobody decided are ``none``."""
    found = dict.fromkeys((*_EVIDENCE, "none"), 0)
    for one in checks:
        found["none" if one["verdict"] == Verdict.UNKNOWN else one["evidence"]] += 1
    return found


def _added(rows: Sequence[Row]) -> dict[str, int]:
    return {name: sum(one["evidence"][name] for one in rows) for name in (*_EVIDENCE, "none")}


def _summary(requirements: Sequence[Row], referential: str) -> dict[str, int]:
    """Of the assessable requirements of one référentiel: how many by verdict, and by whom they are decided.

    machine: every check that decides is measured. It is told, never a target: what people attest counts as much.
    """
    found = dict.fromkeys([one.value for one in Verdict] + ["total", "machine", "people", "mixed"], 0)
    for row in requirements:
        if not row["assessable"] or not row["ref"].startswith(f"{referential}#"):
            continue
        found["total"] += 1
        found[row["verdict"]] += 1
        if row["verdict"] in (Verdict.SATISFIED, Verdict.UNSATISFIED):
            people = sum(row["evidence"][name] for name in _EVIDENCE[1:])
            found["mixed" if people and row["evidence"]["measured"] else "people" if people else "machine"] += 1
    return found
