"""Erasure: the time to make a patient unreadable must not depend on how much there is of the patient."""

from __future__ import annotations

import secrets
import time

import msgspec

from benchmarks.client import Connection, Target
from benchmarks.figures import Figure, tell
from benchmarks.installation import running
from hygie.app import House
from hygie.base.actions import Action
from hygie.base.legal_basis import LegalBasis
from hygie.base.permit import Place
from hygie.custody import open_custody
from hygie.keys.erasure import instruct

SMALL, LARGE = 10, 10_000
BUNDLE = 1_000


def _fill(target: Target, patient: str, resources: int) -> None:
    """A patient with as many resources."""
    connection = Connection(target)
    entries = [_put("Patient", patient, {})]
    for rank in range(resources - 1):
        body = {"status": "final", "code": {"text": f"x{rank}"}, "subject": {"reference": f"Patient/{patient}"}}
        entries.append(_put("Observation", f"{patient}-{rank}", body))
    for begin in range(0, len(entries), BUNDLE):
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries[begin : begin + BUNDLE]}
        status, answer = connection.post("", msgspec.json.encode(bundle))
        if status != 200:
            raise RuntimeError(answer[:300])
    connection.close()


def _put(type_: str, id_: str, body: dict[str, object]) -> dict[str, object]:
    return {
        "resource": {"resourceType": type_, "id": id_, **body},
        "request": {"method": "PUT", "url": f"{type_}/{id_}"},
    }


async def _erase(house: House, place: Place, patient: str) -> float:
    """Milliseconds from the instruction to the signed certificate: intent, key, tombstone on the sites."""
    async with open_custody(house, "local:bench") as custody:
        eraser = await custody.eraser(place)
        permit = custody.operator.permit(Action.PATIENT_ERASE, place, purpose="ERASURE")
        began = time.perf_counter()
        target = await eraser.find(patient)
        now_ms = house.clock.now_ms()
        instruction = instruct(
            erasure_id=secrets.token_hex(8),
            tenant_id=place.tenant_id.hex(),
            environment_id=place.environment_id.hex(),
            compartment_id=target.compartment.hex(),
            controller="bench",
            instructed_by="bench",
            legal_basis=LegalBasis.CONSENT_WITHDRAWN.value,
            reference="bench",
            retention_checked_by="bench",
            retention_note="none",
            instructed_at_ms=now_ms,
            decided_at_ms=now_ms,
            intent_permit=permit.permit_id.hex(),
        )
        await eraser.erase(permit, instruction, target)
        return (time.perf_counter() - began) * 1000


def main() -> None:
    """Fill two patients, erase both."""
    with running() as installation:
        environment, target = installation.environment("erase")
        for name, resources in (("warm", SMALL), ("small", SMALL), ("large", LARGE)):
            _fill(target, name, resources)
        for name in ("warm", "small", "large"):

            async def act(house: House, name: str = name) -> float:
                return await _erase(house, environment.place, name)

            spent_ms = installation.inside(act)
            if name != "warm":
                tell(Figure(f"erase-{name}", spent_ms, note="from the instruction to the signed certificate"))


if __name__ == "__main__":
    main()
