"""Baselines, exceptions and reports in the database, and what is declared by people, each act journaled.

Rows are only added, each with a MAC under the key of rights: the newest that has its own counts, and one that was
written by SQL declares nothing.  The entry of an act holds the digest of what was declared.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, LiteralString

import psycopg

from hygie.base.actions import Action
from hygie.base.canonical import Field
from hygie.base.clock import Clock, iso_ms
from hygie.database.pool import Database
from hygie.gate.local import LocalOperator
from hygie.gate.rights import mac_holds, mac_over, rights_key
from hygie.hardening.errors import DeclarationInvalidError, NotMeasuredError, PointUnknownError
from hygie.hardening.model import Baseline, MachineFacts, Measured, Report, Seen, Waiver
from hygie.hardening.points import points
from hygie.keys.kms import Kms

KIND = "machine"  # of its measurements
MEASURED_MS_MAX = 2 * 3_600_000
WAIVER_DAYS_MAX = 366
REASON_CHARACTERS_MAX = 500
DAY_MS = 86_400_000
_MEASURED = (
    "SELECT at_ms, facts FROM hygie.measurement WHERE kind = %s AND at_ms <= %s ORDER BY at_ms DESC, id DESC LIMIT 1"
)
_BASELINES = "SELECT at_ms, who, reason, points, mac FROM hygie.hardening_baseline ORDER BY id DESC LIMIT 100"
_WAIVERS = "SELECT point, from_ms, until_ms, who, reason, mac FROM hygie.hardening_waiver ORDER BY id DESC LIMIT 2000"
_REPORTS = (
    "SELECT kind, at_ms, passed, counts, encode(sha256, 'hex'), imported_ms, mac FROM hygie.hardening_report"
    " ORDER BY at_ms DESC, id DESC LIMIT 1000"
)
_ADD_BASELINE = "INSERT INTO hygie.hardening_baseline (at_ms, who, reason, points, mac) VALUES (%s, %s, %s, %s, %s)"
_ADD_WAIVER = (
    "INSERT INTO hygie.hardening_waiver (point, from_ms, until_ms, who, reason, mac) VALUES (%s, %s, %s, %s, %s, %s)"
)
_ADD_REPORT = (
    "INSERT INTO hygie.hardening_report (kind, at_ms, passed, counts, sha256, imported_ms, who, mac)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"
)

Connection = psycopg.AsyncConnection[Any]


async def machine_facts(connection: Connection, key: bytes, now_ms: int) -> MachineFacts:
    """The newest of everything that Hygie wrote: a row without its MAC declares nothing.

    Args: key: of rights; now_ms: what is dated later was measured under a clock that lied.
    """
    measured = await (await connection.execute(_MEASURED, (KIND, now_ms))).fetchone()
    baseline: Baseline | None = None
    for *row, mac in await (await connection.execute(_BASELINES)).fetchall():
        one = _baseline(row)
        if mac_holds(mac, key, *_of_baseline(one)):
            baseline = one
            break
    waivers: dict[str, Waiver] = {}
    for *row, mac in await (await connection.execute(_WAIVERS)).fetchall():
        waiver = Waiver(*row)
        if mac_holds(mac, key, *_of_waiver(waiver)):
            waivers.setdefault(waiver.point, waiver)
    reports: dict[str, Report] = {}
    for *row, mac in await (await connection.execute(_REPORTS)).fetchall():
        report = Report(*row)
        if mac_holds(mac, key, *_of_report(report)):
            reports.setdefault(report.kind, report)
    return MachineFacts(
        at_ms=measured[0] if measured else None,
        points=measured_of(measured[1]) if measured else {},
        baseline=baseline,
        waivers=waivers,
        reports=tuple(reports.values()),
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


class Declarations:
    """What a person declares. Args: operator: who acts; database: a pool of the owner's role."""

    def __init__(self, operator: LocalOperator, database: Database, *, kms: Kms, clock: Clock) -> None:
        self._operator = operator
        self._database = database
        self._kms = kms
        self._clock = clock

    async def baseline(self, reason: str) -> Baseline:
        """Accept what was last measured. Raises: DeclarationInvalidError; NotMeasuredError; NotRaisedError."""
        _check_reason(reason)
        key, now_ms = await rights_key(self._kms), self._clock.now_ms()
        async with self._database.transaction() as connection:
            found = await machine_facts(connection, key, now_ms)
        if found.at_ms is None or found.at_ms < now_ms - MEASURED_MS_MAX:
            raise NotMeasuredError()
        accepted = {name: Seen(one.state, one.value) for name, one in found.points.items()}
        one = Baseline(now_ms, self._operator.account, reason, accepted)
        detail = {"act": "baseline", "points": str(len(accepted)), "sha256": _digest(accepted).hex()}
        told = json.dumps({name: {"state": seen.state, "value": seen.value} for name, seen in accepted.items()})
        values = (one.at_ms, one.who, one.reason, told, mac_over(key, *_of_baseline(one)))
        await self._add(Action.HARDENING_DECLARE, reason, detail, _ADD_BASELINE, values)
        return one

    async def waive(self, point: str, until_ms: int, reason: str) -> Waiver:
        """Allow a point not to be kept until an instant; one in the past ends the exception.

        Raises: PointUnknownError; DeclarationInvalidError; NotRaisedError.
        """
        _check_reason(reason)
        if point not in points():
            raise PointUnknownError()
        key, now_ms = await rights_key(self._kms), self._clock.now_ms()
        if not 0 <= until_ms <= now_ms + WAIVER_DAYS_MAX * DAY_MS:
            raise DeclarationInvalidError(reason=f"> {WAIVER_DAYS_MAX} d")
        one = Waiver(point, now_ms, until_ms, self._operator.account, reason)
        detail = {"act": "except", "point": point, "until": iso_ms(until_ms)}
        values = (*_of_waiver(one)[1:], mac_over(key, *_of_waiver(one)))
        await self._add(Action.HARDENING_DECLARE, reason, detail, _ADD_WAIVER, values)
        return one

    async def keep(self, report: Report) -> None:
        """Keep a report that was read. Raises: JournalUnavailableError."""
        key = await rights_key(self._kms)
        detail = {"kind": report.kind, "sha256": report.sha256, "passed": "yes" if report.passed else "no"}
        told = json.dumps(dict(report.counts))
        values = (report.kind, report.at_ms, report.passed, told, bytes.fromhex(report.sha256), report.imported_ms)
        mac = mac_over(key, *_of_report(report))
        await self._add(Action.HARDENING_IMPORT, "", detail, _ADD_REPORT, (*values, self._operator.account, mac))

    async def _add(
        self, action: Action, reason: str, detail: dict[str, str], statement: LiteralString, values: tuple[object, ...]
    ) -> None:
        """One row between the two entries of its act."""
        acting = self._operator.act(action, purpose=reason, detail=detail)
        async with acting, self._database.transaction() as connection:
            await connection.execute(statement, values)


def _of_baseline(one: Baseline) -> tuple[Field, ...]:
    return ("hygie hardening baseline v1", one.at_ms, one.who, one.reason, _digest(one.points))


def _of_waiver(one: Waiver) -> tuple[Field, ...]:
    return ("hygie hardening waiver v1", one.point, one.from_ms, one.until_ms, one.who, one.reason)


def _of_report(one: Report) -> tuple[Field, ...]:
    counts = json.dumps(dict(one.counts), sort_keys=True)
    return ("hygie hardening report v1", one.kind, one.at_ms, int(one.passed), counts, one.sha256, one.imported_ms)


def _digest(accepted: Mapping[str, Seen]) -> bytes:
    """SHA-256 of what was accepted, whatever the order in which it is read."""
    told = {name: [one.state, one.value] for name, one in accepted.items()}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).digest()


def _baseline(row: Sequence[Any]) -> Baseline:
    return Baseline(row[0], row[1], row[2], {name: Seen(one["state"], one["value"]) for name, one in row[3].items()})


def _check_reason(reason: str) -> None:
    if not 10 <= len(reason.strip()) <= REASON_CHARACTERS_MAX:
        raise DeclarationInvalidError(reason=f"reason: 10 to {REASON_CHARACTERS_MAX} characters")
