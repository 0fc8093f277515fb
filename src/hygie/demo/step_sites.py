"""Steps on the sites: one goes away and catches up; one byte of a pack is flipped, found and mended."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from time import monotonic

from hygie.base.language import say
from hygie.demo.client import FhirClient
from hygie.demo.people import NURSE
from hygie.demo.platform import away_of
from hygie.demo.stage import Stage, check, wait_until
from hygie.demo.story import Proved
from hygie.sites.catch_up import catch_up
from hygie.upkeep import expected_objects, run_scrub

WRITES_WHILE_AWAY = 12
PREFIXES = ("packs/", "blobs/", "proof/")
CATCH_UP_S_MAX = 40.0  # the working process compares every few seconds; a site that failed rests up to a minute


async def absence(stage: Stage) -> Proved:
    """A site vanishes, writes go on, it comes back older, it catches up by itself."""
    site = stage.platform.settings.sites[1]
    path = stage.platform.folder.resolve(site.path)
    others = [stage.platform.folder.resolve(one.path) for one in stage.platform.settings.sites if one.name != site.name]
    path.rename(away_of(path))
    try:
        written = await stage.ask(lambda client: _temperatures(client, stage.patients[0]), NURSE)
        lacking = await _lacking(stage, site.name)
        check(
            lacking > 0,
            fr=f"le site {site.name} est absent et rien ne dit qu'il lui manque quelque chose",
            en=f"the site {site.name} is away and nothing says that it lacks anything",
        )
    finally:
        away_of(path).rename(path)
    began_s = monotonic()
    stage.teller.note(say(fr=f"{site.name} revient et rattrape", en=f"{site.name} is back and catches up"))
    await wait_until(
        say(fr=f"le rattrapage du site {site.name}", en=f"the site {site.name} to catch up"),
        lambda: _objects(others[0]) | _objects(others[1]) <= _objects(path),
        seconds=CATCH_UP_S_MAX,
    )
    seconds = monotonic() - began_s
    stage.remembered = await stage.read_all()
    proved = Proved(facts={"site": site.name, "written": written, "lacked": lacking, "caught_up_s": round(seconds, 1)})
    proved.lines = [
        say(
            fr=f"Le dossier du site {site.name} ({site.city}) disparaît : {written} écritures acceptées quand même,"
            " durables sur les deux autres.",
            en=f"The folder of the site {site.name} ({site.city}) vanishes: {written} writes are accepted all the same,"
            " durable on the other two.",
        ),
        say(
            fr=f"Il revient avec {lacking} objets de retard, mesurés ; {seconds:.1f} s plus tard il a tout.",
            en=f"It comes back {lacking} objects behind, measured; {seconds:.1f} s later it has them all.",
        ),
    ]
    return proved


def _temperatures(client: FhirClient, patient: str) -> int:
    """Write observations one by one, as a nurse does; how many were acknowledged."""
    for number in range(WRITES_WHILE_AWAY):
        body = {
            "resourceType": "Observation",
            "status": "final",
            "code": {"coding": [{"system": "http://loinc.org", "code": "8310-5"}]},
            "subject": {"reference": f"Patient/{patient}"},
            "effectiveDateTime": f"2026-06-30T{8 + number:02d}:00:00+02:00",
            "valueQuantity": {"value": 36.5 + number / 10, "unit": "Cel"},
        }
        answer = client.request("POST", "Observation", json.dumps(body).encode())
        check(
            answer.status == 201,
            fr=f"une écriture a reçu {answer.status} {answer.code}",
            en=f"a write was answered {answer.status} {answer.code}",
        )
    return WRITES_WHILE_AWAY


async def _lacking(stage: Stage, site: str) -> int:
    """How many objects a site lacks, as measured now without mending anything."""
    async with stage.platform.rooms() as pools:
        expected = expected_objects(pools.records, pools.hosting)
        report = await catch_up(pools.house.sites, expected, prefixes=PREFIXES, copy=False)
        part = report.sites[site]
        return 0 if part.reachable else report.expected - len(_objects(away_of(_path(stage, site))))


def _path(stage: Stage, name: str) -> Path:
    found = next(one for one in stage.platform.settings.sites if one.name == name)
    return stage.platform.folder.resolve(found.path)


def _objects(site: Path) -> set[str]:
    """Names of the objects in a site's folder: packs, and what it keeps of registers and evidence."""
    files = (path for prefix in PREFIXES for path in (site / prefix).rglob("*") if path.is_file())
    return {path.relative_to(site).as_posix() for path in files}


async def flipped_byte(stage: Stage) -> Proved:
    """One byte of one pack changes on one site: reads are right all the same, scrub names it and mends it."""
    name = stage.platform.settings.sites[0].name
    site = _path(stage, name)
    pack = max((site / "packs").rglob("*.pack"), key=lambda path: path.stat().st_size)
    object_name = pack.relative_to(site).as_posix()
    before = await asyncio.to_thread(pack.read_bytes)
    await asyncio.to_thread(_flip, pack, len(before) // 2)
    after = await stage.read_all()
    check(after == stage.remembered, fr="une lecture a changé", en="a read has changed")
    async with stage.platform.rooms() as pools:
        report = await run_scrub(pools.house, pools.records, pools.hosting)
    found = [(fault.site, fault.name) for fault in report.damaged]
    mended = {(fault.site, fault.name) for fault in report.mended}
    late = {(fault.site, fault.name) for fault in report.missing}  # published while the other site was coming back
    check(
        found == [(name, object_name)] and set(found) <= mended <= {*found, *late} and not report.lost,
        fr=f"la relecture nomme {found}, répare {sorted(mended)}",
        en=f"the scrub names {found}, mends {sorted(mended)}",
    )
    check(
        await asyncio.to_thread(pack.read_bytes) == before,
        fr="le lot réparé n'est pas l'original",
        en="the mended pack is not the original",
    )
    copies = report.checked * len(stage.platform.settings.sites)
    proved = Proved(facts={"site": name, "pack": object_name, "offset": len(before) // 2, "checked": report.checked})
    proved.lines = [
        say(
            fr=f"Un octet sur {len(before)} change dans un lot du site {name} : les {len(after)} dossiers relus restent"
            " justes.",
            en=f"One byte of {len(before)} changes in a pack of the site {name}: all {len(after)} records read again"
            " are right.",
        ),
        say(
            fr=f"La relecture de {copies} copies le nomme et le répare : {name}/{object_name}",
            en=f"The scrub of {copies} copies names it and mends it: {name}/{object_name}",
        ),
    ]
    proved.commands = ["hygie scrub"]
    return proved


def _flip(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        (byte,) = file.read(1)
        file.seek(offset)
        file.write(bytes([byte ^ 0x40]))
