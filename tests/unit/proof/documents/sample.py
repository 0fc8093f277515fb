"""What papers are made from, as a made-up host would have it: the référentiels, controls and schemas that ship, records
of ``tests/data/papers``, and runs of every check whose verdicts are drawn from its name, so that each kind is there."""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from hygie.base.errors import Language
from hygie.proof.catalogue import build_catalogue
from hygie.proof.controls.read import shipped_controls
from hygie.proof.documents.model import Batches, Day, Inputs, Installation, SitePlace
from hygie.proof.model import Evidence, Text, Verdict, same
from hygie.proof.posture import build_posture
from hygie.proof.referentials.shipped import SHIPPED, shipped
from hygie.proof.runs import Run
from hygie.registers.chain import RecordVersion
from hygie.registers.rules import Change, Known, next_version
from hygie.registers.schema import shipped_schemas

FILE = Path(__file__).parents[3] / "data" / "papers" / "records.toml"
AT_MS = 1_795_428_000_000  # 2026-11-23T10:00:00Z
DAY_MS = 86_400_000
SITES = [SitePlace(name.lower(), "FR", name, "Hébergement Santé de l'Ouest") for name in ("Paris", "Lyon", "Lille")]


@cache
def sample_records() -> dict[str, tuple[RecordVersion, ...]]:
    """The records of the file; each is held to its schema, as a write would."""
    schemas, found = shipped_schemas(), {}
    raw = tomllib.loads(FILE.read_text())["record"]
    known = Known({}, lambda _: {})
    for number, one in enumerate(raw, 1):
        change = Change(
            one["register"], one["fields"], one["key"], one["state"], one.get("tenant", ""), approver="Paul Durand"
        )
        record = next_version(change, schemas, known, author="local:anne", line=number)
        assert record is not None
        found.setdefault(record.register, []).append(replace(record, seq=number, at_ms=AT_MS - 60 * DAY_MS))
    keys = {name: {one.key for one in each} for name, each in found.items()}
    for one in (one for each in found.values() for one in each):
        for field in schemas[one.register].fields:
            value = one.fields.get(field.id, []) if field.target else []
            assert set(value if isinstance(value, list) else [value]) <= keys.get(field.target, set()), (
                one.key,
                field.id,
            )
    return {name: tuple(sorted(each, key=lambda one: one.key)) for name, each in found.items()}


def sample_inputs(language: Language = "fr", *, demonstration: bool = False, **changes: Any) -> Inputs:
    """Inputs of a paper. Args: changes: fields to replace."""
    catalogue = sample_catalogue()
    runs = {one["id"]: run for one in catalogue["checks"] if (run := _run(one)) is not None}
    posture = build_posture(
        catalogue, runs, at_ms=AT_MS, batch=4_213, digest=hashlib.sha256(b"batch").digest(), mode="production"
    )
    made = Inputs(
        at_ms=AT_MS,
        language=language,
        demonstration=demonstration,
        posture=posture,
        catalogue=catalogue,
        records=sample_records(),
        schemas=shipped_schemas(),
        batches=_batches(),
        installation=Installation("hygie/0123456789abcdef", "0.1.0", True, SITES, ("FR",), 7_200, 14_400),
    )
    return replace(made, **changes)


@cache
def sample_catalogue() -> dict[str, Any]:
    """The catalogue of what ships, with one requirement that does not apply."""
    ref = "rgpd@2016-679#35"
    applies = {ref: (False, Text("L'analyse est celle du responsable.", "The assessment is the controller's."))}
    return build_catalogue(
        [shipped(name) for name in SHIPPED], shipped_controls(), applicability=applies, version="0.1.0"
    )


def _drawn(name: str) -> int:
    return hashlib.sha256(name.encode()).digest()[0]


def _run(card: dict[str, Any]) -> Run | None:
    drawn = _drawn(card["id"])
    if drawn % 11 == 0:
        return None
    verdict = Verdict.UNSATISFIED if drawn % 7 == 0 else Verdict.SATISFIED
    at_ms = AT_MS - (int(card["fresh_s"] * 1000 * drawn / 300) if drawn % 13 else 400 * DAY_MS)
    return Run(
        check=card["id"],
        verdict=verdict,
        evidence=Evidence(card["evidence"]),
        at_ms=at_ms,
        ran_ms=AT_MS - 30_000,
        fresh_until_ms=at_ms + int(card["fresh_s"] * 1000),
        since_ms=AT_MS - drawn * DAY_MS,
        why=Text("Rien à redire." if verdict is Verdict.SATISFIED else "Deux copies manquent.", "As it must be."),
        observed=same(f"{drawn} / 255"),
        declared=same("255"),
        remedy=None if verdict is Verdict.SATISFIED else Text("Lancez hygie scrub run.", "Run hygie scrub run."),
        source=card["source"],
    )


def _batches() -> Batches:
    end = datetime.fromtimestamp(AT_MS / 1000, UTC).date()
    days = []
    for back in range(90, -1, -1):
        red, unknown = (back * 7) % 5, max(0, back // 6 - 2)
        day = (end - timedelta(days=back)).isoformat()
        days.append(Day(day, {"satisfied": 40 - red - unknown, "unsatisfied": red, "unknown": unknown}))
    totals = {"satisfied": 90_000, "unsatisfied": 2_000, "unknown": 8_000}
    return Batches(4_213, 100_000, AT_MS - 90 * DAY_MS, AT_MS - 30_000, totals, days)
