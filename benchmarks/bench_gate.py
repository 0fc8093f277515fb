"""What one decision of the gate costs: who asks, by which habilitation, within which limits, from where, at which rate.

The question to the database (is what is known still current?) is shared by all that wait, and is measured apart: the
decision is what each request pays for itself.
"""

from __future__ import annotations

import asyncio
import time
from statistics import median

from benchmarks.figures import Figure, seconds, tell
from benchmarks.installation import TENANT, running
from hygie.app import House
from hygie.base.actions import Action
from hygie.base.roles import Role
from hygie.gate.administration import Administration
from hygie.gate.gate import Gate
from hygie.gate.narrowing import Limits
from hygie.hosting import open_hosting

ACCOUNTS = 500  # more accounts make the snapshot larger, not the decision slower
HABILITATIONS = 8  # of the person who asks, each with a set of patients of its own
SECONDS = 4.0
PERSON = "person"


def main() -> None:
    """Decide again and again."""
    with running() as installation:
        _, target = installation.environment("gate")

        async def people(acts: Administration) -> str:
            for rank in range(ACCOUNTS):
                await acts.create_account(f"a{rank}", kind="person", label="", professional_id="", days=1)
            await acts.create_account(PERSON, kind="person", label="", professional_id="", days=1)
            for rank in range(HABILITATIONS):
                limits = Limits(
                    types=frozenset({"Patient", "Observation", "Condition"}),
                    patients=frozenset({f"Group/g{rank}"}),
                    purposes=frozenset({"TREAT"}),
                )
                how = {"reason": "benchmark", "approver": "chief", "days": 1}
                await acts.grant(PERSON, TENANT, "gate", role=Role.CAREGIVER, limits=limits, **how)
            return (await acts.create_token(PERSON, TENANT, "gate", days=1))[1]

        limited = installation.administer(people)

        async def measure(house: House) -> None:
            async with open_hosting(house) as hosting:
                asked = await _times(hosting.gate, target.token)
                print(f"  with its question to the database, alone: median {median(asked):,.0f} µs")
                hosting.gate.refresh = _known  # type: ignore[method-assign]
                tell(Figure("gate", median(await _times(hosting.gate, target.token))))
                tell(Figure("gate-limited", median(await _times(hosting.gate, limited))))

        installation.inside(measure)


async def _known() -> None:
    """What is known is current."""


async def _times(gate: Gate, token: str) -> list[float]:
    """Microseconds of each decision, one after another."""
    found: list[float] = []
    ends = time.perf_counter() + seconds(SECONDS)
    while time.perf_counter() < ends:
        began = time.perf_counter_ns()
        await gate.admit(
            token,
            tenant=TENANT,
            environment="gate",
            action=Action.OBJECT_READ,
            types=("Observation",),
            purpose="TREAT",
            address="127.0.0.1",
        )
        found.append((time.perf_counter_ns() - began) / 1000)
        await asyncio.sleep(0.006)  # within the rate of a person
    return found


if __name__ == "__main__":
    main()
