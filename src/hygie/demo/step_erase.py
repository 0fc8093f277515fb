"""Erasure: one patient becomes unreadable here, in every copy, and in a backup that was taken before."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic

from hygie.app import open_house
from hygie.base.actions import Action
from hygie.base.civil import paris_date
from hygie.base.errors import NotFoundError
from hygie.base.language import say
from hygie.base.legal_basis import LegalBasis
from hygie.base.permit import Permit
from hygie.custody import Custody, open_custody
from hygie.demo.books import APPROVER as DIRECTOR
from hygie.demo.books import kept
from hygie.demo.people import APPROVER, DEMONSTRATION, OFFICER, TENANT
from hygie.demo.platform import OPERATOR
from hygie.demo.stage import Stage, check
from hygie.demo.step_backup import elsewhere, take_backup
from hygie.demo.story import Proved, Table
from hygie.hosting import Hosting, open_hosting
from hygie.keys.erasure import ErasureCertificate, instruct
from hygie.keys.errors import KeyDestroyedError
from hygie.proving import ProofPlane
from hygie.registers.rules import Change
from hygie.vault.compartments import CompartmentRow
from hygie.vault.context import EnvironmentContext
from hygie.vault.erase import Eraser

REFERENCE = "DEMO-17"


@dataclass(frozen=True, slots=True)
class Desk:
    """What an erasure works with."""

    custody: Custody
    hosting: Hosting
    context: EnvironmentContext
    eraser: Eraser


async def erase(stage: Stage) -> Proved:
    """The privacy officer carries out an instruction; nothing opens the record any more, wherever its bytes are."""
    seed = max(stage.patients)
    id_ = stage.patients[seed]
    request = await _recorded(stage)
    async with _desk(stage) as desk:
        stolen = await _wrap_of(desk, id_)
        began_s = monotonic()
        erasure_id, objects = await _erase(stage, desk, id_)
        seconds = monotonic() - began_s
        stage.erased = seed
        stage.remembered = {p: r for p, r in stage.remembered.items() if not _is_of(p, r, id_)}
        await _gone_here(stage, id_)
        stage.teller.note(say(fr="changement d'époque des clés", en="new epoch of keys"))
        certificate = await _turn_epoch(desk, erasure_id)
        await _stolen_wrap_is_dead(desk, stolen)
    await _closed(stage, request, erasure_id)
    stage.teller.note(say(fr="restauration de la sauvegarde d'avant", en="restoring the backup taken before"))
    await take_backup(stage)
    async with elsewhere(stage, stage.snapshot) as place:
        try:
            await place.read(f"Patient/{id_}")
            shown = True
        except NotFoundError:
            shown = False
        check(not shown, fr="la sauvegarde d'avant montre le patient", en="the earlier backup shows the patient")
        await place.compare(stage.remembered)
    return _proved(stage, certificate, request, objects, seconds)


async def _recorded(stage: Stage) -> str:
    """The controller's request, in the register before anything is done. Returns its key."""

    def act(plane: ProofPlane) -> str:
        today = paris_date(plane.registers.clock.now_ms()).isoformat()
        fields = {
            **{"reference": REFERENCE, "right": "erasure", "channel": "controller", "medical_file": "no"},
            **{"received_on": today, "decided_on": today, "decision": "grant", "extended": False},
            **{"identity_checked": True, "retention_checked": True, "handler": "PER-0002", "contact": "CON-0001"},
            "decision_reason": say(fr="Consentement retiré (RGPD 17.1.b).", en="Consent withdrawn (GDPR 17.1.b)."),
            "instruction": kept(plane.registers, f"instruction-{REFERENCE}.txt"),
        }
        (written,) = plane.registers.write([Change("rights-request", fields, state="decided", tenant=TENANT)])
        return written.key

    return await stage.platform.proof(act)


async def _closed(stage: Stage, request: str, erasure_id: str) -> None:
    """What was done, in the register: the certificate that answers the request."""

    def act(plane: ProofPlane) -> None:
        today = paris_date(plane.registers.clock.now_ms()).isoformat()
        fields = {
            **{"executed_on": today, "answered_on": today, "certificate": erasure_id},
            "execution": say(fr="Clé du patient détruite.", en="The patient's key is destroyed."),
        }
        plane.registers.write([Change("rights-request", fields, request, "executed", approver=DIRECTOR)])

    await stage.platform.proof(act)


@asynccontextmanager
async def _desk(stage: Stage) -> AsyncIterator[Desk]:
    place = stage.here.environment.place
    async with (
        open_house(stage.platform.folder.path) as house,
        open_custody(house, OPERATOR) as custody,
        open_hosting(house) as hosting,
    ):
        yield Desk(custody, hosting, await house.context(place), await custody.eraser(place))


async def _wrap_of(desk: Desk, id_: str) -> CompartmentRow:
    """What a thief could have kept: the patient's wrapped key, as it is in the database, the packs and the backups."""
    subject = desk.context.index.subject("patient", (id_,))
    async with desk.hosting.database.transaction(desk.context.place.role) as connection:
        return (await desk.context.compartments.live(connection, [subject]))[subject]


async def _permit(stage: Stage, desk: Desk) -> Permit:
    return await desk.hosting.gate.admit(
        stage.here.tokens[OFFICER],
        tenant=TENANT,
        environment=DEMONSTRATION,
        action=Action.PATIENT_ERASE,
        purpose="RGPD 17",
        device="hygie-demo",
    )


async def _erase(stage: Stage, desk: Desk, id_: str) -> tuple[str, int]:
    """Destroy the key on a recorded instruction: (the erasure's id, how many versions it held)."""
    permit = await _permit(stage, desk)
    target = await desk.eraser.find(id_)
    place, now_ms = desk.context.place, desk.hosting.house.clock.now_ms()
    instruction = instruct(
        erasure_id=secrets.token_hex(16),
        tenant_id=place.tenant_id.hex(),
        environment_id=place.environment_id.hex(),
        compartment_id=target.compartment.hex(),
        controller=TENANT,
        instructed_by=OFFICER,
        legal_basis=LegalBasis.CONSENT_WITHDRAWN.value,
        reference=REFERENCE,
        retention_checked_by=APPROVER,
        retention_note="no-legal-hold",
        instructed_at_ms=now_ms,
        decided_at_ms=now_ms,
        intent_permit=permit.permit_id.hex(),
    )
    await desk.eraser.erase(permit, instruction, target)
    return instruction.erasure_id, target.objects


async def _gone_here(stage: Stage, id_: str) -> None:
    answer = await stage.ask(lambda client: client.get(f"Patient/{id_}"))
    check(
        answer.status == 410,
        fr=f"le patient effacé reçoit {answer.status} {answer.code}",
        en=f"the erased patient is answered {answer.status} {answer.code}",
    )
    search = await stage.ask(lambda client: client.get(f"Observation?patient={id_}"))
    check(
        search.status == 200 and not search.json.get("entry"),
        fr="une recherche montre encore ses observations",
        en="a search still shows the patient's observations",
    )
    check(await stage.read_all() == stage.remembered, fr="un autre dossier a changé", en="another record has changed")


async def _turn_epoch(desk: Desk, erasure_id: str) -> ErasureCertificate:
    """Purge the index, wrap what lives under a new epoch, destroy the older epoch keys, date the certificate.

    The backup taken before holds a sealed copy of the key state for its short retention: until it goes, the certificate
    may not say that no copy opens.
    """
    for waiting in await desk.eraser.certificates(open_only=True):
        if waiting.tokens_purged_at_ms is None:
            await desk.eraser.purge(waiting)
    turn = await desk.custody.turn(desk.context.place, destroy_older=True)
    check(turn.destroyed, fr="aucune clé d'époque n'a été détruite", en="no epoch key was destroyed")
    certificate = next(one for one in await desk.eraser.certificates() if one.erasure_id == erasure_id)
    check(
        certificate.last_epoch_destroyed_at_ms is not None and certificate.tokens_vacuumed_at_ms is not None,
        fr="le certificat ne date pas la destruction des clés",
        en="the certificate does not date the destruction of the keys",
    )
    check(
        not certificate.final and certificate.unreadable_in_every_copy_due_ms > desk.hosting.house.clock.now_ms(),
        fr="le certificat oublie la copie des clés que tient la sauvegarde",
        en="the certificate forgets the copy of the keys that the backup holds",
    )
    return certificate


async def _stolen_wrap_is_dead(desk: Desk, stolen: CompartmentRow) -> None:
    place = desk.context.place
    item = (stolen.compartment, stolen.epoch, stolen.wrap)
    try:
        await desk.hosting.house.kms.unwrap(
            place.tenant_id, place.environment_id, [item], permit_id=secrets.token_bytes(16), reason="demo"
        )
        opens = True
    except KeyDestroyedError:
        opens = False
    check(not opens, fr="une vieille copie de la clé ouvre encore", en="an old copy of the key still opens")


def _is_of(path: str, resource: dict[str, object], id_: str) -> bool:
    subject = resource.get("subject")
    return path == f"Patient/{id_}" or (isinstance(subject, dict) and subject.get("reference") == f"Patient/{id_}")


def _proved(stage: Stage, certificate: ErasureCertificate, request: str, objects: int, seconds: float) -> Proved:
    proved = Proved(
        facts={
            "request": request,
            "erasure": certificate.erasure_id,
            "objects": objects,
            "erase_ms": round(seconds * 1000),
            "last_epoch": certificate.last_epoch,
            "final": certificate.final,
            "snapshot": stage.snapshot,
        }
    )
    proved.lines = [
        say(
            fr=f"Instruction du responsable (RGPD 17) portée par la DPO : {objects} ressources illisibles en"
            f" {seconds * 1000:.0f} ms ; lecture 410, recherches vides, les autres dossiers intacts.",
            en=f"The controller's instruction (GDPR 17), carried out by the privacy officer: {objects} resources"
            f" unreadable in {seconds * 1000:.0f} ms; reads 410, searches empty, the other records unharmed.",
        ),
        say(
            fr="Nouvelle époque de clés (ici aussitôt ; sinon tous les 7 jours) : une copie de la clé du patient,"
            " gardée d'avant, n'ouvre plus rien.",
            en="A new epoch of keys (at once here, every 7 days otherwise): a copy of the patient's key, kept from"
            " before, opens nothing any more.",
        ),
        say(
            fr="La sauvegarde d'avant l'effacement, restaurée : le patient n'y est plus, tous les autres y sont.",
            en="The backup taken before the erasure, restored: the patient is not in it, everybody else is.",
        ),
        say(
            fr="La sauvegarde garde quelques jours, scellées, les clés d'alors : le certificat ne se ferme qu'après.",
            en="The backup keeps the keys of that time, sealed, for some days: the certificate closes only then.",
        ),
        say(
            fr=f"Certificat signé {certificate.erasure_id}, cité par la demande {request} du registre :",
            en=f"Signed certificate {certificate.erasure_id}, quoted by the request {request} of the register:",
        ),
    ]
    proved.table = Table(
        (say(fr="le certificat atteste", en="the certificate states"), say(fr="instant (UTC)", en="instant (UTC)")),
        (
            (say(fr="illisible en service", en="unreadable in service"), _at(certificate.unreadable_in_service_at_ms)),
            (say(fr="index purgé", en="index purged"), _at(certificate.tokens_purged_at_ms)),
            (say(fr="pages réécrites", en="pages vacuumed"), _at(certificate.tokens_vacuumed_at_ms)),
            (say(fr="clés d'époque détruites", en="epoch keys destroyed"), _at(certificate.last_epoch_destroyed_at_ms)),
            (
                say(fr="illisible dans toute copie, prévu le", en="unreadable in every copy, due"),
                _at(certificate.unreadable_in_every_copy_due_ms),
            ),
        ),
    )
    proved.commands = [f"hygie erase {TENANT} {DEMONSTRATION} --list"]
    return proved


def _at(at_ms: int | None) -> str:
    return datetime.fromtimestamp((at_ms or 0) / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
