"""Every check on what runs and on registers, again and again: the outcomes become evidence.

``hygie work`` evaluates once a minute. A fact is gathered anew when it is due, the registers are read anew when they
have changed; what is due or new of the outcomes is kept (``proof.runs.worth_keeping``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from hygie import __version__
from hygie.app import House
from hygie.probes.acts import ActsWatch
from hygie.probes.gather import gather
from hygie.probes.pages import PagesWatch
from hygie.proof.catalogue import build_catalogue, live_cadence_s
from hygie.proof.checks import CHECKS
from hygie.proof.controls.conditions import Snapshot
from hygie.proof.controls.model import RegisterCheck
from hygie.proof.controls.read import shipped_controls
from hygie.proof.controls.rules import judge_records
from hygie.proof.cross.checks import cross_checks
from hygie.proof.cross.model import CrossCheck, Look, judge_cross
from hygie.proof.evidence import PRODUCTION, TRIAL
from hygie.proof.facts import Facts
from hygie.proof.judge import code_of, judge_check
from hygie.proof.model import Check, Context, Outcome, Text, Verdict, same
from hygie.proof.perimeter.applicability import applicability_of, left_to_controllers
from hygie.proof.referentials.shipped import SHIPPED, shipped
from hygie.proof.runs import Batch, Run
from hygie.proving import ProofPlane, with_proof
from hygie.registers.engine import Asked, Registers
from hygie.registers.schema import Schemas

EVALUATE_EVERY_S = 60.0  # a verdict is at most a minute old
EVERY_TURN_S = 0.0
FACT_EVERY_S = {  # facts that cost: the disk's raw files, the journal's history, handshakes, doors that leave traces
    "disk": 600.0,
    "history": 600.0,
    "tls": 300.0,
    "segmentation": 300.0,
    "zones": 300.0,
    "apart": 300.0,
    "door": 300.0,
    "fresh": 300.0,
    "stores": 1_800.0,
    "archives": 300.0,
    "acts": 300.0,
    "availability": 300.0,  # years of minutes
}
HDS = "hds@2.0"
AGED = ("action",)  # registers whose records are judged by when they were first written


class Evaluator:
    """Evaluates one installation; keeps facts and registers between turns."""

    def __init__(self, house: House, author: str) -> None:
        self._house = house
        self._author = author
        self._facts = Facts()
        self._gathered_ms: dict[str, int] = {}
        self._records: Snapshot | None = None
        self._judged = Judged()
        self._acts = ActsWatch(house)
        self._pages = PagesWatch(house)

    async def run(self, cause: str = "cadence") -> Batch | None:
        """One turn. Returns the batch kept, None when nothing new was said.

        Raises: what the journal, the KMS and the database raise; the next turn begins again.
        """
        house = self._house
        await self._gather(house.clock.now_ms())
        now_ms = house.clock.now_ms()
        context = Context(house.settings, now_ms)
        runs = [live_run(check, self._facts, context) for check in CHECKS]
        mode = PRODUCTION if house.settings.production else TRIAL

        def act(plane: ProofPlane) -> Batch | None:
            snapshot = self._snapshot(plane.registers, now_ms)
            controls = shipped_controls()
            documents = plane.registers.documents()
            look = Look(snapshot, self._facts, context, __version__, documents, plane.registers.schemas)
            kept = [*runs, *(records_run(check, snapshot, plane.registers, self._judged) for check in controls.checks)]
            kept += [cross_run(check, look) for check in cross_checks()]
            applies = applicability_of(snapshot.of, shipped(HDS), tenants=snapshot.tenants, today=snapshot.today)
            applies |= left_to_controllers()
            catalogue = build_catalogue(
                [shipped(name) for name in SHIPPED], controls, applicability=applies, version=__version__
            )
            return plane.evidence.add(kept, catalogue, cause=cause, mode=mode, cadences=cadences(controls.checks))

        return await with_proof(house, self._author, act)

    async def _gather(self, now_ms: int) -> None:
        """Facts that are due; one that fails says so, and is tried again at the next turn."""
        due = {
            one.name
            for one in fields(Facts)
            if now_ms - self._gathered_ms.get(one.name, 0) >= FACT_EVERY_S.get(one.name, EVERY_TURN_S) * 1000
        }
        if {"door", "fresh"} & due:
            due |= {"door", "fresh"}  # one probe
        found = await gather(self._house, due, acts=self._acts, pages=self._pages)
        for name in due:
            observed = getattr(found, name)
            setattr(self._facts, name, observed)
            if observed.value is not None:
                self._gathered_ms[name] = now_ms

    def _snapshot(self, registers: Registers, now_ms: int) -> Snapshot:
        if self._records is None or self._records.seq != registers.head()[0]:
            self._records = take_snapshot(registers, now_ms, ())
        return replace(self._records, now_ms=now_ms, tenants=_tenants())


def take_snapshot(registers: Registers, now_ms: int, tenants: Sequence[str]) -> Snapshot:
    """The newest version of every record of every register."""
    seq, _ = registers.head()
    records = {name: tuple(registers.current(Asked(name))) for name in registers.schemas}
    begun_ms = {(name, key): at_ms for name in AGED for key, at_ms in registers.begun_ms(name).items()}
    return Snapshot(records, now_ms, tenants, seq, begun_ms)


def live_run(check: Check, facts: Facts, context: Context) -> Run:
    """The run of one check on what was observed."""
    finding = judge_check(check, facts, context)
    at_ms = context.now_ms if finding.age_s is None else context.now_ms - int(finding.age_s * 1000)
    return Run(
        check=check.id,
        verdict=finding.verdict,
        evidence=check.evidence,
        at_ms=at_ms,
        ran_ms=context.now_ms,
        fresh_until_ms=at_ms + int(check.fresh_s * 1000),
        why=finding.outcome.why,
        observed=finding.outcome.observed,
        declared=finding.outcome.declared,
        remedy=finding.outcome.remedy,
        source=f"fact:{check.fact}",
    )


class Judged:
    """Outcomes that hold as long as neither the registers, nor the day, nor the clients change.

    What is on time is judged anew each time: a clock may end at any instant.
    """

    def __init__(self) -> None:
        self._at: tuple[object, ...] = ()
        self._outcomes: dict[str, Outcome] = {}

    def outcome(self, check: RegisterCheck, snapshot: Snapshot, schemas: Schemas) -> Outcome:
        """The outcome of one check. Raises: what a check raises."""
        at = (snapshot.seq, snapshot.today, tuple(snapshot.tenants))
        if at != self._at:
            self._at, self._outcomes = at, {}
        if check.rule == "on-time" or check.id not in self._outcomes:
            self._outcomes[check.id] = judge_records(check, snapshot, schemas)
        return self._outcomes[check.id]


def records_run(check: RegisterCheck, snapshot: Snapshot, registers: Registers, judged: Judged) -> Run:
    """The run of one check on registers; whatever happens, there is one."""
    now_ms = snapshot.now_ms
    try:
        outcome = judged.outcome(check, snapshot, registers.schemas)
    except Exception as error:  # a check that raised proves nothing: unknown, with its code
        code = code_of(error)
        why = Text(f"Non observé ({code}).", f"Not observed ({code}).")
        outcome = Outcome(Verdict.UNKNOWN, why, same("—"), same("—"), check.remedy)
    return Run(
        check=check.id,
        verdict=outcome.verdict,
        evidence=check.evidence,
        at_ms=now_ms,
        ran_ms=now_ms,
        fresh_until_ms=now_ms + int(check.fresh_s * 1000),
        why=outcome.why,
        observed=outcome.observed,
        declared=outcome.declared,
        remedy=outcome.remedy,
        source=f"register:{check.register}",
        records=snapshot.seq,
    )


def cross_run(check: CrossCheck, look: Look) -> Run:
    """The run of one cross-check; whatever happens, there is one."""
    card, now_ms = check.card, look.context.now_ms
    try:
        outcome, at_ms = judge_cross(check, look)
    except Exception as error:  # a check that raised proves nothing: unknown, with its code
        code = code_of(error)
        why = Text(f"Non observé ({code}).", f"Not observed ({code}).")
        outcome, at_ms = Outcome(Verdict.UNKNOWN, why, same("—"), same("—"), card.remedy), now_ms
    return Run(
        check=card.id,
        verdict=outcome.verdict,
        evidence=card.evidence,
        at_ms=at_ms,
        ran_ms=now_ms,
        fresh_until_ms=at_ms + int(card.fresh_s * 1000),
        why=outcome.why,
        observed=outcome.observed,
        declared=outcome.declared,
        remedy=outcome.remedy,
        source=card.source,
        records=look.snapshot.seq,
    )


def cadences(checks: Sequence[RegisterCheck]) -> Mapping[str, float]:
    """Seconds between kept runs, by check."""
    found: dict[str, Any] = {check.id: live_cadence_s(check) for check in CHECKS}
    found |= {check.card.id: check.card.cadence_s for check in cross_checks()}
    return found | {check.id: check.cadence_s for check in checks}


def _tenants() -> list[str]:
    """Clients that the platform hosts, from the database that Django is bound to."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM hygie.tenant ORDER BY name")
        return [row[0] for row in cursor.fetchall()]
