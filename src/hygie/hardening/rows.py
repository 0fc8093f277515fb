"""Baselines, exceptions and reports in the database, and what is declared by people, each act journaled.

Rows are only added: the newest counts.  The entry of an act holds the digest of what was declared.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import psycopg

from hygie.base.actions import Action
from hygie.base.clock import iso_ms
from hygie.database.pool import Database
from hygie.gate.local import LocalOperator
from hygie.hardening.errors import DeclarationInvalidError, NotMeasuredError, PointUnknownError
from hygie.hardening.model import Baseline, MachineFacts, Measured, Report, Seen, Waiver
from hygie.hardening.points import points

KIND = "machine"  # of its measurements
MEASURED_MS_MAX = 2 * 3_600_000
WAIVER_DAYS_MAX = 366
REASON_CHARACTERS_MAX = 500
DAY_MS = 86_400_000
_MEASURED = (
    "SELECT at_ms, facts FROM hygie.measurement WHERE kind = %s AND at_ms <= %s ORDER BY at_ms DESC, id DESC LIMIT 1"
)
_BASELINE = "SELECT at_ms, who, reason, points FROM hygie.hardening_baseline ORDER BY id DESC LIMIT 1"
_WAIVERS = (
    "SELECT DISTINCT ON (point) point, from_ms, until_ms, who, reason FROM hygie.hardening_waiver"
    " ORDER BY point, id DESC"
)
_REPORTS = (
    "SELECT DISTINCT ON (kind) kind, at_ms, passed, counts, encode(sha256, 'hex'), imported_ms"
    " FROM hygie.hardening_report ORDER BY kind, at_ms DESC, id DESC"
)

Connection = psycopg.AsyncConnection[Any]


async def machine_facts(connection: Connection, now_ms: int) -> MachineFacts:
    """The newest of everything. now_ms: what is dated later was measured under a clock that lied."""
    measured = await (await connection.execute(_MEASURED, (KIND, now_ms))).fetchone()
    accepted = await (await connection.execute(_BASELINE)).fetchone()
    waived = await (await connection.execute(_WAIVERS)).fetchall()
    reports = await (await connection.execute(_REPORTS)).fetchall()
    return MachineFacts(
        at_ms=measured[0] if measured else None,
        points=measured_of(measured[1]) if measured else {},
        baseline=_baseline(accepted) if accepted else None,
        waivers={row[0]: Waiver(*row) for row in waived},
        reports=tuple(Report(*row) for row in reports),
    )


def measured_of(facts: Mapping[str, Any]) -> dict[str, Measured]:
    """The points of a measurement's facts, in the order of the file of points, which the database does not keep."""
    told = facts["points"]
    ordered = [name for name in points() if name in told] + [name for name in told if name not in points()]
    return {name: Measured(told[name]["state"], told[name]["value"], told[name]["drift_ms"]) for name in ordered}


def facts_of(seen: Mapping[str, Measured]) -> dict[str, Any]:
    """The facts of a measurement: what was seen, and how many points are in each state."""
    states = [one.state for one in seen.values()]
    told = {name: {"state": one.state, "value": one.value, "drift_ms": one.drift_ms} for name, one in seen.items()}
    drifts = sum(one.drift_ms is not None for one in seen.values())
    return {"not_kept": states.count("not_kept"), "drifts": drifts, "points": told}


async def declare_baseline(operator: LocalOperator, owner: Database, now_ms: int, reason: str) -> Baseline:
    """Accept what was last measured. Raises: DeclarationInvalidError; NotMeasuredError; NotRaisedError."""
    _check_reason(reason)
    async with owner.transaction() as connection:
        found = await machine_facts(connection, now_ms)
    if found.at_ms is None or found.at_ms < now_ms - MEASURED_MS_MAX:
        raise NotMeasuredError()
    accepted = {name: Seen(one.state, one.value) for name, one in found.points.items()}
    told = {name: {"state": one.state, "value": one.value} for name, one in accepted.items()}
    text = json.dumps(told, sort_keys=True, ensure_ascii=False)
    detail = {"act": "baseline", "points": str(len(accepted)), "sha256": hashlib.sha256(text.encode()).hexdigest()}
    async with operator.act(Action.HARDENING_DECLARE, purpose=reason, detail=detail), owner.transaction() as connection:
        await connection.execute(
            "INSERT INTO hygie.hardening_baseline (at_ms, who, reason, points) VALUES (%s, %s, %s, %s)",
            (now_ms, operator.account, reason, text),
        )
    return Baseline(now_ms, operator.account, reason, accepted)


async def waive(
    operator: LocalOperator, owner: Database, now_ms: int, *, point: str, until_ms: int, reason: str
) -> Waiver:
    """Allow a point not to be kept until an instant; one in the past ends the exception.

    Raises: PointUnknownError; DeclarationInvalidError; NotRaisedError.
    """
    _check_reason(reason)
    if point not in points():
        raise PointUnknownError()
    if until_ms > now_ms + WAIVER_DAYS_MAX * DAY_MS:
        raise DeclarationInvalidError(reason=f"> {WAIVER_DAYS_MAX} d")
    detail = {"act": "except", "point": point, "until": iso_ms(until_ms)}
    async with operator.act(Action.HARDENING_DECLARE, purpose=reason, detail=detail), owner.transaction() as connection:
        await connection.execute(
            "INSERT INTO hygie.hardening_waiver (point, from_ms, until_ms, who, reason) VALUES (%s, %s, %s, %s, %s)",
            (point, now_ms, until_ms, operator.account, reason),
        )
    return Waiver(point, now_ms, until_ms, operator.account, reason)


async def keep_report(operator: LocalOperator, owner: Database, report: Report) -> None:
    """Keep a report that was read. Raises: JournalUnavailableError."""
    detail = {"kind": report.kind, "sha256": report.sha256, "passed": "yes" if report.passed else "no"}
    async with operator.act(Action.HARDENING_IMPORT, detail=detail), owner.transaction() as connection:
        await connection.execute(
            "INSERT INTO hygie.hardening_report (kind, at_ms, imported_ms, who, sha256, counts, passed)"
            " VALUES (%s, %s, %s, %s, decode(%s, 'hex'), %s, %s)",
            (
                report.kind,
                report.at_ms,
                report.imported_ms,
                operator.account,
                report.sha256,
                json.dumps(dict(report.counts)),
                report.passed,
            ),
        )


def _baseline(row: tuple[Any, ...]) -> Baseline:
    return Baseline(row[0], row[1], row[2], {name: Seen(one["state"], one["value"]) for name, one in row[3].items()})


def _check_reason(reason: str) -> None:
    if not 10 <= len(reason.strip()) <= REASON_CHARACTERS_MAX:
        raise DeclarationInvalidError(reason=f"reason: 10 to {REASON_CHARACTERS_MAX} characters")
