"""A ransomware: a person's session rewrites and deletes records, and the files of a site are overwritten in place.

The drill ends when everything is read again as it was: versions before the attack, copies of the site.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hygie.app import opened
from hygie.backups.drill import DrillCheck
from hygie.base.errors import UnavailableError
from hygie.demo.client import FhirClient
from hygie.demo.people import APPLICATION, NURSE
from hygie.scenarios.model import After, Answer, Attack
from hygie.scenarios.sandbox import Sandbox
from hygie.upkeep import run_scrub

ROUNDS = 4  # of every patient: more than a person replaces in ten minutes
REMOVED = 520  # a rule speaks from five hundred on
KINDS = ("Observation", "Condition", "MedicationRequest", "DiagnosticReport", "Encounter", "DocumentReference")
PAGE = 100
SCRAMBLED = "XXXX"  # what a family name becomes


async def rewrite(made: Sandbox) -> None:
    """A person's session replaces every patient, again and again."""

    def write(client: FhirClient) -> None:
        for number in range(ROUNDS):
            for patient in made.patients:
                body = {"resourceType": "Patient", "id": patient, "name": [{"family": f"{SCRAMBLED}{number}"}]}
                _answered(client, "PUT", f"Patient/{patient}", json.dumps(body).encode())

    await made.ask(write, NURSE)


async def remove(made: Sandbox) -> None:
    """It then deletes what it finds."""

    def delete(client: FhirClient) -> None:
        found: list[str] = []
        for kind in KINDS:
            path = f"{kind}?_count={PAGE}"
            while path and len(found) < REMOVED:
                page = _answered(client, "GET", path)
                found += [f"{kind}/{one['resource']['id']}" for one in page.get("entry", [])]
                path = _next(page)
        for one in found[:REMOVED]:
            _answered(client, "DELETE", one)

    await made.ask(delete, NURSE)


async def scramble_a_site(made: Sandbox) -> None:
    """Every pack of one site is overwritten with noise; the hourly reading again comes at once."""
    platform = made.platform
    site = platform.folder.resolve(platform.settings.sites[0].path)
    await asyncio.to_thread(_scramble, site)
    house = made.custody.house
    async with opened(house.dsns.sealer, size=2) as records, opened(house.dsns.hosting, size=2) as hosting:
        await run_scrub(house, records, hosting)


async def read_again(made: Sandbox, _: Sequence[Answer]) -> After:
    """Versions of before the attack, and the copies of the site that was overwritten."""
    whole = await made.ask(lambda client: sum(_is_before(client, one) for one in made.patients), APPLICATION)
    house = made.custody.house
    async with opened(house.dsns.sealer, size=2) as records, opened(house.dsns.hosting, size=2) as hosting:
        report = await run_scrub(house, records, hosting)
    damaged, all_ = len(report.damaged) + len(report.missing), len(made.patients)
    return After(
        [
            DrillCheck("records as before the attack", whole == all_, f"{whole} of {all_} equal"),
            DrillCheck("copies mended", not damaged and not report.lost, f"{damaged} broken"),
        ]
    )


def _is_before(client: FhirClient, patient: str) -> bool:
    """Whether the first version is there, with a name that nobody scrambled."""
    first = _answered(client, "GET", f"Patient/{patient}/_history/1")
    return not str(first["name"][0]["family"]).startswith(SCRAMBLED)


def _answered(client: FhirClient, method: str, path: str, body: bytes | None = None) -> Any:
    answer = client.request(method, path, body)
    if answer.status >= 300:
        raise UnavailableError(part=f"fhir {answer.status} {answer.code}")
    return answer.json if answer.body else {}


def _next(page: dict[str, Any]) -> str:
    """The next page's path below the base; empty at the end."""
    url = next((one["url"] for one in page.get("link", []) if one["relation"] == "next"), "")
    return str(url).partition("/fhir/")[2]


def _scramble(site: Path) -> None:
    for pack in (site / "packs").rglob("*.pack"):
        pack.write_bytes(os.urandom(pack.stat().st_size))


ATTACKS = (
    Attack("records replaced", "mass-replacement", rewrite),
    Attack("records deleted", "mass-removal", remove),
    Attack("a site overwritten", "scrub-mismatch", scramble_a_site),
)
