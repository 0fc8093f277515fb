"""Reads and searches by accounts limited to sets of 10, 1,000 and 20,000 patients, beside one that is not limited."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

from benchmarks import load
from benchmarks.client import Connection, Target
from benchmarks.figures import cpu, seconds
from benchmarks.installation import TENANT, Installation, running
from hygie.base.roles import Role
from hygie.gate.administration import Administration
from hygie.gate.narrowing import Limits

PATIENTS = 25_000
OBSERVATIONS = 2  # of each patient, all of one code: a term that no index makes rare
SETS = (10, 1_000, 20_000)
PER_BUNDLE = 200  # patients
CONNECTIONS = 8
SECONDS = 4.0
PAGE = 20


def main() -> None:
    """Fill, limit, measure."""
    with running() as installation:
        _, target = installation.environment("sets")
        _fill(target)
        whole = {0: target}
        whole |= {size: installation.target("sets", token) for size, token in _limited(installation).items()}
        for size, one in whole.items():
            # the patients of the smallest set, so that every account is asked the same
            ids = [f"o{patient}-{rank}" for patient in _members(SETS[0]) for rank in range(OBSERVATIONS)]
            _measure(installation, one, size, "read", [f"/Observation/{id_}" for id_ in ids], b'"versionId"')
            code = "code=http://bench.example|pulse"
            asked = [f"/Observation?patient=p{patient}&{code}" for patient in _members(SETS[0])]
            _measure(installation, one, size, "search", asked, b'"Observation"')
            _measure(installation, one, size, "page", [f"/Observation?{code}&_count={PAGE}"], b'"Observation"')
            _measure(installation, one, size, "count", [f"/Observation?{code}&_summary=count"], b'"total"')


def _measure(installation: Installation, target: Target, size: int, what: str, paths: list[str], proof: bytes) -> None:
    client = load.reader(target, paths, connections=CONNECTIONS, seconds=seconds(SECONDS), proof=proof)
    found = load.measure(installation, [client])
    print(
        f"  {what}, {f'set of {size:,}' if size else 'no set'}: {found.rate:,.0f}/s, p50"
        f" {found.percentile_ms(0.5):.1f} ms, p99 {found.percentile_ms(0.99):.1f} ms; {cpu(found.cpu_us())};"
        f" {found.others_share:.0%} of the machine was taken by other work",
        flush=True,
    )


def _fill(target: Target) -> None:
    """Patients, their observations, and the sets: the smaller ones are in the larger ones."""
    connection = Connection(target)
    for begin in range(0, PATIENTS, PER_BUNDLE):
        entries = [
            {"resource": one, "request": {"method": "PUT", "url": f"{one['resourceType']}/{one['id']}"}}
            for patient in range(begin, begin + PER_BUNDLE)
            for one in _record(patient)
        ]
        _post(connection, {"resourceType": "Bundle", "type": "transaction", "entry": entries})
    for size in SETS:
        group: dict[str, Any] = {"resourceType": "Group", "id": f"g{size}", "type": "person", "actual": True}
        for left_out in (1, 0):  # written, then changed by one member
            group["member"] = [
                {"entity": {"reference": f"Patient/p{patient}"}} for patient in _members(size)[left_out:]
            ]
            entry = {"resource": group, "request": {"method": "PUT", "url": f"Group/g{size}"}}
            began = time.perf_counter()
            _post(connection, {"resourceType": "Bundle", "type": "transaction", "entry": [entry]})
            took_ms = (time.perf_counter() - began) * 1000
            print(f"  a set of {size:,} patients {'written' if left_out else 'changed by one'}: {took_ms:,.0f} ms")
    connection.close()


def _members(size: int) -> list[int]:
    """The patients of a set, spread over all; those of a smaller set are among them."""
    return [rank * PATIENTS // size for rank in range(size)]


def _record(patient: int) -> Iterator[dict[str, Any]]:
    yield {"resourceType": "Patient", "id": f"p{patient}", "name": [{"family": f"Family{patient}"}]}
    for rank in range(OBSERVATIONS):
        yield {
            "resourceType": "Observation",
            "id": f"o{patient}-{rank}",
            "status": "final",
            "code": {"coding": [{"system": "http://bench.example", "code": "pulse"}]},
            "subject": {"reference": f"Patient/p{patient}"},
            "valueQuantity": {"value": 60 + patient % 40, "unit": "/min"},
        }


def _post(connection: Connection, body: dict[str, Any]) -> None:
    status, answer = connection.post("", json.dumps(body).encode())
    if status != 200:
        raise RuntimeError(f"{status} {answer[:300]!r}")


def _limited(installation: Installation) -> dict[int, str]:
    """An account limited to each set: its token."""

    async def act(acts: Administration) -> dict[int, str]:
        tokens: dict[int, str] = {}
        for size in SETS:
            account = f"limited-{size}"
            await acts.create_account(account, kind="application", label=account, professional_id="", days=1)
            how: dict[str, Any] = {"role": Role.APPLICATION, "reason": "benchmark", "approver": "chief", "days": 1}
            limits = Limits(patients=frozenset({f"Group/g{size}"}))
            await acts.grant(account, TENANT, "sets", limits=limits, **how)
            tokens[size] = (await acts.create_token(account, TENANT, "sets", days=1))[1]
        return tokens

    return installation.administer(act)


if __name__ == "__main__":
    main()
