"""Steps 1 to 5: start, settle a client, load, read and refuse, search for clear text."""

from __future__ import annotations

import asyncio
import json
import shlex
from pathlib import Path

from hygie.app import open_house, opened
from hygie.base.files import write_durably
from hygie.base.language import say
from hygie.demo.client import Answer, FhirClient
from hygie.demo.errors import DemoSourceError, PlaintextFoundError
from hygie.demo.load import Loaded, load_files, load_synthetic
from hygie.demo.people import APPLICATION, DEMONSTRATION, NURSE, STRANGER, TENANT, TEST, settle
from hygie.demo.sources import files_to_load
from hygie.demo.stage import Stage, check
from hygie.demo.step_rebuild import SITE
from hygie.demo.story import Proved
from hygie.probes.canaries.record import canaries_of, plant
from hygie.probes.needles import bytes_below, scan_folder
from hygie.synthetic.patients import identity, needles, planted_words

REASONS_SHOWN = 12


async def start(stage: Stage) -> Proved:
    """Make the folder if it is new, start every process."""
    new = await asyncio.to_thread(stage.platform.prepare, stage.asked.port)
    stage.platform.log_here()
    if stage.platform.lost:  # an earlier run was interrupted in the middle of that step
        stage.teller.note(say(fr="reconstruction de la base", en="rebuilding the database"))
        await stage.platform.rebuild(SITE)
    await stage.platform.start(stage.teller.note)
    supervisor = stage.platform.supervisor
    assert supervisor is not None
    states = supervisor.status()
    check(
        states and all(one.state == "ready" for one in states),
        fr="un processus n'est pas prêt",
        en="a process is not ready",
    )
    data, url = stage.platform.folder.path, stage.platform.root_url
    kept = say(fr="nouveau dossier" if new else "dossier repris", en="new folder" if new else "folder taken up again")
    proved = Proved(facts={"data": str(data), "new": new, "url": url, "processes": [one.name for one in states]})
    proved.lines = [
        f"{data} ({kept})",
        say(
            fr=f"PostgreSQL embarqué, coffre de clés, témoin du journal, travaux de fond, hébergement : {url}",
            en=f"Embedded PostgreSQL, key service, journal witness, background work, hosting: {url}",
        ),
    ]
    proved.commands = [f"export HYGIE_DATA={shlex.quote(str(data))}", "hygie up"]
    return proved


async def people(stage: Stage) -> Proved:
    """The client, its two environments, four accounts, their habilitations and tokens; ``connection.json``."""
    stage.people = await settle(stage.platform)
    connection = {
        "base_url": stage.base_url,
        "ca_file": str(stage.platform.ca_file),
        "token": stage.here.tokens[APPLICATION],
    }
    path = stage.platform.folder.connection_file
    await asyncio.to_thread(write_durably, path, json.dumps(connection, indent=1).encode() + b"\n")
    answer = await stage.ask(lambda client: client.get("Patient?_count=1"))
    check(answer.status == 200, fr="le jeton neuf est refusé", en="the new token is refused")
    proved = Proved(facts={"tenant": TENANT, "environments": [DEMONSTRATION, TEST], "connection": str(path)})
    proved.lines = [
        say(
            fr=f"Client {TENANT}, environnements {DEMONSTRATION} et {TEST} : un schéma, un rôle et des clés chacun.",
            en=f"Client {TENANT}, environments {DEMONSTRATION} and {TEST}: a schema, a role and keys of its own each.",
        ),
        say(
            fr="Une application, une infirmière, une DPO, et un compte sans habilitation ; jetons gardés en empreinte.",
            en="An application, a nurse, a privacy officer, and an account with no right; tokens are kept as hashes.",
        ),
    ]
    proved.commands = [f"hygie token create {NURSE} {TENANT} {DEMONSTRATION}"]
    return proved


async def load(stage: Stage) -> Proved:
    """Records through the FHIR API, over HTTPS."""
    count, proved = stage.asked.patients, Proved()
    with stage.teller.progress(say(fr="patients", en="patients"), count) as advance:
        found = await asyncio.to_thread(load_synthetic, stage.client, range(count), advance)
    refused = " ; ".join(found.refusals)
    check(len(found.patients) == count, fr=f"un dossier est refusé ({refused})", en=f"a record is refused ({refused})")
    stage.patients = found.patients
    if found.known:
        proved.lines.append(
            say(fr=f"{found.known} patients étaient déjà là.", en=f"{found.known} patients were there already.")
        )
    if found.bundles:
        proved.lines.append(
            say(
                fr=f"Dossiers inventés : {found.bundles}, soit {found.resources} ressources FHIR,"
                f" {found.resources_per_s}/s : vérifiées, chiffrées par patient, durables sur 2 sites sur 3,"
                " journalisées.",
                en=f"Invented records: {found.bundles}, {found.resources} FHIR resources, {found.resources_per_s}/s:"
                " checked, encrypted per patient, durable on 2 sites of 3, journaled.",
            )
        )
    proved.facts = {"patients": len(found.patients), "known": found.known, **_facts(found)}
    if stage.asked.load is not None:
        await _load_folder(stage, stage.asked.load, proved)
    await _plant_canary(stage, proved)
    stage.remembered = await stage.read_all()
    return proved


async def _plant_canary(stage: Stage, proved: Proved) -> None:
    """One in the other environment, whose words are sought from then on wherever nothing may be read."""
    async with open_house(stage.platform.folder.path) as house, opened(house.dsns.owner, size=1) as database:
        known = await canaries_of(house, database)
        if not any(one.planted_ms is not None for one in known):
            place = next(one.environment.place for one in known if one.environment.name == TEST)
            await plant(house, known, place, stage.here.elsewhere)
    proved.lines.append(
        say(
            fr="Un témoin est planté : ses mots sont cherchés en continu dans journaux, base et autres environnements.",
            en="A canary is planted: its words are sought all the time in logs, database and other environments.",
        )
    )
    proved.commands = ["hygie canary list"]


async def _load_folder(stage: Stage, folder: Path, proved: Proved) -> None:
    files = await asyncio.to_thread(files_to_load, folder)
    if not files:
        raise DemoSourceError(folder=str(folder))
    with stage.teller.progress(say(fr="fichiers", en="files"), len(files)) as advance:
        loaded = await asyncio.to_thread(load_files, stage.client, files, folder, advance)
    total = sum(loaded.refusals.values())
    proved.lines.append(
        say(
            fr=f"{folder} : {len(files)} fichiers, {loaded.resources} ressources, {loaded.resources_per_s}/s,"
            f" {total} refus.",
            en=f"{folder}: {len(files)} files, {loaded.resources} resources, {loaded.resources_per_s}/s,"
            f" {total} refusals.",
        )
    )
    for reason, count in loaded.refusals.most_common(REASONS_SHOWN):
        where = say(fr=f"le premier : {loaded.first[reason]}", en=f"the first: {loaded.first[reason]}")
        proved.lines.append(f"{count} × {reason} [{where}]")
    proved.facts["folder"] = {"files": len(files), **_facts(loaded)}


def _facts(loaded: Loaded) -> dict[str, object]:
    return {
        "bundles": loaded.bundles,
        "resources": loaded.resources,
        "bytes": loaded.bytes,
        "resources_per_s": loaded.resources_per_s,
        "refusals": dict(loaded.refusals),
    }


async def doors(stage: Stage) -> Proved:
    """A nurse reads; nobody else does."""
    id_ = stage.patients[0]
    nurse = await stage.ask(lambda client: client.get(f"Patient/{id_}"), NURSE)
    person = identity(0)
    check(
        nurse.status == 200 and nurse.json["name"][0]["family"] == person.family.upper(),
        fr=f"l'infirmière habilitée reçoit {nurse.status}",
        en=f"the habilitated nurse is answered {nurse.status}",
    )
    stranger = await stage.ask(lambda client: client.get(f"Patient/{id_}"), STRANGER)
    unknown = await _get(stage.base_url, stage, "hyg_" + "x" * 43, id_)
    elsewhere = await _get(stage.base_url, stage, stage.here.elsewhere, id_)
    absent = await _get(stage.base_url.replace(TENANT, "autre-client"), stage, stage.here.tokens[NURSE], id_)
    seen = (stranger.status, unknown.status, elsewhere.status, absent.status)
    check(seen == (403, 401, 404, 404), fr=f"des inconnus reçoivent {seen}", en=f"strangers are answered {seen}")
    check(
        person.family.upper().encode() not in stranger.body + unknown.body + elsewhere.body,
        fr="un refus montre un nom",
        en="a refusal shows a name",
    )
    proved = Proved(facts={"nurse": 200, "stranger": 403, "unknown_token": 401, "other_environment": 404})
    proved.lines = [
        say(
            fr="200  l'infirmière habilitée lit le dossier ; l'entrée de journal est durable avant la réponse.",
            en="200  the habilitated nurse reads the record; its journal entry is durable before the answer.",
        ),
        say(fr="403  un compte sans habilitation est refusé.", en="403  an account without habilitation is refused."),
        say(fr="401  un jeton inconnu est refusé.", en="401  an unknown token is refused."),
        say(
            fr="404  un jeton d'un autre environnement, un autre client : même réponse que l'absence.",
            en="404  another environment's token, another client: the same answer as for what does not exist.",
        ),
    ]
    return proved


async def _get(base_url: str, stage: Stage, token: str, id_: str) -> Answer:
    def act() -> Answer:
        with FhirClient(base_url, stage.platform.ca_file, token) as client:
            return client.get(f"Patient/{id_}")

    return await asyncio.to_thread(act)


async def plaintext(stage: Stage) -> Proved:
    """Search every file of the data folder for what the records say of their patients.

    Asked twice: once loaded, and at the end, over backups, rebuilt database, logs of what went wrong and the erased.
    """
    folder = stage.platform.folder.path
    words = [word for seed in stage.patients for word in planted_words(seed)]
    wanted = needles(tuple(words))
    total = await asyncio.to_thread(bytes_below, folder)
    with stage.teller.progress(say(fr="octets lus", en="bytes read"), total) as advance:
        scan = await asyncio.to_thread(scan_folder, folder, wanted, advance)
    if scan.found:
        raise PlaintextFoundError(file=scan.found[0], count=len(scan.found))
    proved = Proved(facts={"files": scan.files, "bytes": scan.bytes, "words": len(words), "spellings": len(wanted)})
    proved.lines = [
        say(
            fr=f"{scan.files} fichiers, {scan.bytes / 1e6:.0f} Mo (base, WAL, sites, sauvegardes, journaux) : aucun des"
            f" {len(words)} noms, INS, rues et courriels plantés, en UTF-8, Latin-1, UTF-16 ou base64.",
            en=f"{scan.files} files, {scan.bytes / 1e6:.0f} MB (database, WAL, sites, backups, logs): none of the"
            f" {len(words)} planted names, INS, streets and e-mails, in UTF-8, Latin-1, UTF-16 or base64.",
        )
    ]
    return proved
