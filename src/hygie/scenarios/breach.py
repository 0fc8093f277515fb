"""A breach: every record read by one session, then all that the law asks of the host, until the controller is told.

What people would write in an incident is written here in their place; its clocks, its counts, its evidence and its
notice are those of any incident.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from hygie.backups.drill import DrillCheck
from hygie.base.civil import paris_date
from hygie.demo.people import TENANT
from hygie.handling import Declared, declare_incident
from hygie.incidents import one_incident
from hygie.noticing import Sent, To, prepare, record_sent
from hygie.preserving import preserve
from hygie.proving import ProofPlane, with_proof
from hygie.registers.clocks import Progress
from hygie.registers.durations import INSTANT
from hygie.registers.rules import Change
from hygie.scenarios.intrusion import read_everybody
from hygie.scenarios.model import After, Answer, Attack
from hygie.scenarios.sandbox import OPERATOR, Sandbox
from hygie.watch import findings

NOTICE_NAME = "notice.md"


async def tell_the_controller(made: Sandbox, answers: Sequence[Answer]) -> After:
    """From the finding to the notice that the client's contact was given, by the register and by its clocks.

    Raises: HygieError: a step was refused.
    """
    custody, house = made.custody, made.custody.house
    async with custody.owner.transaction() as connection:
        finding = await findings.find(connection, answers[0].finding)
    lead = await with_proof(house, OPERATOR, lambda plane: _people(plane, finding.opened_ms))
    declared = Declared(lead, "confidentiality", health_data="yes", words="Exercice.")
    key = await declare_incident(custody, [finding.id], declared)
    await with_proof(house, OPERATOR, lambda plane: _breach(plane, key, finding.opened_ms))
    kept = await preserve(custody, key)
    file = made.platform.folder.path / NOTICE_NAME
    notice = await prepare(custody, key, To("controller", TENANT), file)
    await record_sent(custody, key, Sent("controller", TENANT, lead, house.clock.now_ms()))
    told_s = (house.clock.now_ms() - finding.opened_ms) / 1000
    one = await one_incident(house, OPERATOR, key)
    progress = {clock.expected.clock: clock.expected.progress for clock in one.clocks}
    text = await asyncio.to_thread(file.read_text)
    counted = str(len(made.patients)) in text
    return After(
        [
            DrillCheck("evidence kept with proofs", kept.entries > 0, f"{kept.entries} entries"),
            DrillCheck("notice made of facts", counted, f"{len(notice.lacking)} parts not known yet"),
            DrillCheck("controller told in time", progress.get("client-notice") is Progress.KEPT, f"{told_s:.1f} s"),
            DrillCheck("the controller's 72 hours run", progress.get("cnil") is Progress.RUNNING),
        ],
        {"controller_told_s": round(told_s, 3)},
    )


def _people(plane: ProofPlane, at_ms: int) -> str:
    """Who answers at the host, and who is told at the client. Returns: the first one's key."""
    today = paris_date(at_ms)
    person = {"name": "Anne Exercice", "employer": "Hygie", "function": "DPO", "email": "dpo@host.invalid"}
    contact = {"name": "Léa Exercice", "organisation": TENANT, "function": "RSSI", "email": "rssi@client.invalid"}
    written = plane.registers.write(
        [
            Change("person", {**person, "duties": ["dpo"], "starts_on": today.isoformat()}),
            Change(
                "client-contact",
                {
                    **contact,
                    "roles": ["incident"],
                    "confirmed_on": today.isoformat(),
                    "confirmed_by": "call",
                    "next_confirmation_on": (today + timedelta(days=90)).isoformat(),
                },
                tenant=TENANT,
            ),
        ]
    )
    return str(written[0].key)


def _breach(plane: ProofPlane, key: str, aware_ms: int) -> None:
    fields: dict[str, object] = {
        "title": "Exercice",
        "incident": key,
        "nature": ["confidentiality"],
        "aware_at": datetime.fromtimestamp(aware_ms // 1000, UTC).strftime(INSTANT),
        "facts": "Exercice : une session a lu tous les dossiers.",
        "risk": "unknown",
    }
    plane.registers.write([Change("violation", fields, tenant=TENANT)])


ATTACKS = (Attack("every record read", "mass-reading", read_everybody),)
