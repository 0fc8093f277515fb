"""The posture of a dossier, derived again from its runs and catalogue. Source: docs/formats/evidence-log.md v1."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hygie.verify.errors import require
from hygie.verify.logs import Logs

VERDICTS = ("satisfied", "unsatisfied", "unknown", "not_applicable")
RUN_SAYS = ("evidence", "observed", "declared", "remedy", "at_ms", "ran_ms", "fresh_until_ms", "since_ms")


def check_posture(posture: dict[str, Any], logs: Logs, *, at_ms: int, scope: list[str]) -> dict[str, dict[str, int]]:
    """Derive every verdict again.

    Returns: requirements by verdict, for each référentiel. Raises: DossierTamperedError: names the first false one.
    """
    catalogue = logs.catalogues[logs.catalogue]
    says = [posture.get(name) for name in ("at_ms", "batch", "digest", "mode")]
    require(says == [at_ms, *logs.ends["batches"].values(), logs.mode], "posture", at_ms, "content")
    checks = {one["id"]: run_verdict(one, logs.last.get(one["id"]), at_ms) for one in catalogue["checks"]}
    controls = {one["id"]: worst(checks[name] for name in one["checks"]) for one in catalogue["controls"]}
    required = requirement_verdicts(catalogue["requirements"], controls)
    wanted = {ref: one for ref, one in required.items() if ref.partition("#")[0] in scope}
    _compare(posture["checks"], "id", checks)
    _compare(posture["controls"], "id", controls)
    _compare(posture["requirements"], "ref", wanted)
    for row in posture["checks"]:
        run = logs.last.get(row["id"], {})
        require(all(row.get(name) == run.get(name) for name in RUN_SAYS if run), "posture", row["id"], "content")
    counts: dict[str, dict[str, int]] = {name: {} for name in scope}
    for card in catalogue["requirements"]:
        if card["ref"] in wanted and card["assessable"]:
            of = counts[card["ref"].partition("#")[0]]
            of[wanted[card["ref"]]] = of.get(wanted[card["ref"]], 0) + 1
    for name, of in counts.items():
        said = {word: posture["summary"][name][word] for word in VERDICTS if posture["summary"][name][word]}
        require(said == of, "posture", name, "rows")
    return counts


def _compare(rows: list[dict[str, Any]], key: str, verdicts: dict[str, str]) -> None:
    """One row for each verdict and no other, and that verdict."""
    found = {row[key]: row["verdict"] for row in rows}
    for name in sorted(found.keys() | verdicts.keys()):
        require(name in found and name in verdicts, "posture", name, "rows")
        require(found[name] == verdicts[name], "posture", name, "verdict")
    require(len(found) == len(rows), "posture", key, "rows")


def run_verdict(card: dict[str, Any], run: dict[str, Any] | None, at_ms: int) -> str:
    """What a check's last run says at an instant: nothing, when it is stale or the next one was missed."""
    if run is None:
        return "unknown"
    late = at_ms > run["fresh_until_ms"] or at_ms - run["ran_ms"] > card["cadence_s"] * 2000
    return "unknown" if late and run["verdict"] != "unsatisfied" else str(run["verdict"])


def worst(verdicts: Iterable[str]) -> str:
    """One red makes red, else one unknown makes unknown; what does not apply weighs nothing; nothing is unknown."""
    found = set(verdicts)
    for verdict in ("unsatisfied", "unknown", "satisfied"):
        if verdict in found:
            return verdict
    return "not_applicable" if found else "unknown"


def requirement_verdicts(cards: list[dict[str, Any]], controls: dict[str, str]) -> dict[str, str]:
    """The verdict of each requirement, from the leaves up."""
    under: dict[str, list[dict[str, Any]]] = {}
    for card in cards:
        under.setdefault(card["parent"], []).append(card)
    done: dict[str, tuple[str, bool]] = {}

    def of(card: dict[str, Any]) -> tuple[str, bool]:
        if card["ref"] not in done:
            below = [verdict for verdict, asked in map(of, under.get(card["ref"], ())) if asked]
            own = [controls[name] for name in card["controls"]]
            verdict = worst([*own, *below]) if card["applies"] else "not_applicable"
            done[card["ref"]] = verdict, bool(card["assessable"] or own or below)
        return done[card["ref"]]

    return {card["ref"]: of(card)[0] for card in cards}
