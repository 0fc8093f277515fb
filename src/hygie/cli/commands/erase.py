"""``hygie erase``: one patient, on the controller's recorded instruction."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hygie.base.language import say
from hygie.base.legal_basis import LegalBasis
from hygie.cli.acts import instant, run_custody, show_rows
from hygie.cli.errors import NotConfirmedError
from hygie.cli.frame import Frame, frame_of

if TYPE_CHECKING:
    from hygie.custody import Custody
    from hygie.gate.administration import Administration
    from hygie.keys.erasure import ErasureCertificate, ErasureInstruction
    from hygie.vault.erase import Eraser, Target


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "erase",
        help=say(
            fr="Efface un patient : détruit sa clé, purge son index, signe le certificat. Irréversible."
            " Sans PATIENT : --list montre les effacements, --finish achève ce qui fut interrompu.",
            en="Erase a patient: destroy his key, purge his index, sign the certificate. Irreversible."
            " Without PATIENT: --list shows erasures, --finish ends what was interrupted.",
        ),
        epilog=say(fr="Exemple", en="Example")
        + ": hygie erase chu-x prod 2f1c… --controller 'CHU X' --instructed-by dpo.x --basis rgpd-17-1-b"
        " --reference 2026-17 --retention-checked-by paul.martin --retention-note none --confirm 2f1c…",
    )(erase)


def erase(
    context: typer.Context,
    tenant: Annotated[str, typer.Argument(help="Client.")],
    environment: Annotated[str, typer.Argument(help=say(fr="Environnement.", en="Environment."))],
    patient: Annotated[
        str, typer.Argument(help=say(fr="Identifiant FHIR du patient.", en="The patient's FHIR id."))
    ] = "",
    controller: Annotated[
        str, typer.Option(help=say(fr="Le responsable de traitement, qui décide.", en="The controller, who decides."))
    ] = "",
    instructed_by: Annotated[
        str, typer.Option(help=say(fr="Qui, chez lui, l'a demandé.", en="Who asked on his behalf."))
    ] = "",
    basis: Annotated[LegalBasis | None, typer.Option(help=say(fr="Base légale.", en="Legal basis."))] = None,
    reference: Annotated[
        str, typer.Option(help=say(fr="La référence du responsable.", en="The controller's own number."))
    ] = "",
    retention_checked_by: Annotated[
        str,
        typer.Option(help=say(fr="Qui a vérifié la durée de conservation.", en="Who checked the retention period.")),
    ] = "",
    retention_note: Annotated[
        str, typer.Option(help=say(fr="Ce qu'il a trouvé, en un code.", en="What he found, as a code."))
    ] = "none",
    confirm: Annotated[str, typer.Option(help=say(fr="PATIENT, répété.", en="PATIENT once more."))] = "",
    listing: Annotated[
        bool, typer.Option("--list", help=say(fr="Montrer les effacements.", en="Show erasures."))
    ] = False,
    finish: Annotated[
        bool, typer.Option("--finish", help=say(fr="Achever ceux qui furent interrompus.", en="End interrupted ones."))
    ] = False,
) -> None:
    """Erase a patient."""
    frame = frame_of(context)
    if listing:
        run_custody(frame, lambda custody, acts: _list(frame, custody, acts, tenant, environment))
        return
    if finish:
        run_custody(frame, lambda custody, acts: _finish(frame, custody, acts, tenant, environment))
        return
    if not patient or confirm not in (patient, f"{tenant}/{environment}/{patient}"):
        raise NotConfirmedError(expected=say(fr="<identifiant du patient>", en="<patient id>"))
    asked = {
        "controller": controller,
        "instructed_by": instructed_by,
        "legal_basis": basis.value if basis is not None else "",
        "reference": reference,
        "retention_checked_by": retention_checked_by,
        "retention_note": retention_note,
    }
    run_custody(frame, lambda custody, acts: _erase(frame, custody, acts, (tenant, environment, patient), asked))


async def _erase(
    frame: Frame, custody: Custody, acts: Administration, who: tuple[str, str, str], asked: dict[str, str]
) -> None:
    from hygie.base.actions import Action
    from hygie.keys.erasure import verify_certificate

    place = (await acts.environment(who[0], who[1])).place
    eraser = await custody.eraser(place)
    permit = custody.operator.permit(Action.PATIENT_ERASE, place, purpose="ERASURE")
    instruction, target = await _instructed(custody, eraser, who[2], asked, permit_id=permit.permit_id)
    await custody.require_two(Action.PATIENT_ERASE, place, {}, subject=f"Patient/{who[2]}")
    with frame.out.step(say(fr="Clé détruite : les données ne s'ouvrent plus", en="Key destroyed: nothing opens now")):
        paper = await eraser.erase(permit, instruction, target)
    certificate = verify_certificate(paper, public_keys=[await custody.house.kms.public_key("erasure")])
    with frame.out.step(say(fr="Index purgé", en="Index purged")):
        certificate = await eraser.purge(certificate)
    await acts.publish()
    path = (await _write_papers(frame, eraser))[certificate.erasure_id]
    if target.shared:
        frame.out.warn(
            say(
                fr=f"{len(target.shared)} dossiers partagés avec d'autres patients restent : à décider un par un.",
                en=f"{len(target.shared)} records shared with other patients stay: to be decided one by one.",
            )
        )
    due = instant(certificate.unreadable_in_every_copy_due_ms)
    frame.out.line(
        say(
            fr=f"{certificate.objects} versions effacées. Certificat : {path}"
            f" (dernière date prévue le {due} : fin de l'époque des clés, puis de leurs copies de sauvegarde).",
            en=f"{certificate.objects} versions erased. Certificate: {path}"
            f" (its last date is due {due}: the end of the key epoch, then of its copies in backups).",
        )
    )
    frame.out.result(_facts(certificate) | {"certificate": str(path), "shared": [one.hex() for one in target.shared]})


async def _instructed(
    custody: Custody, eraser: Eraser, patient: str, asked: dict[str, str], *, permit_id: bytes
) -> tuple[ErasureInstruction, Target]:
    """The checked instruction, for the patient's compartment as it is now."""
    from hygie.keys.erasure import instruct

    target = await eraser.find(patient)
    now_ms = custody.house.clock.now_ms()
    place = eraser.place
    instruction = instruct(
        erasure_id=secrets.token_hex(8),
        tenant_id=place.tenant_id.hex(),
        environment_id=place.environment_id.hex(),
        compartment_id=target.compartment.hex(),
        instructed_at_ms=now_ms,
        decided_at_ms=now_ms,
        intent_permit=permit_id.hex(),
        **asked,
    )
    return instruction, target


async def _list(frame: Frame, custody: Custody, acts: Administration, tenant: str, environment: str) -> None:
    from hygie.vault.erase import recorded_erasures

    await acts.environment(tenant, environment)
    rows: list[dict[str, Any]] = []
    for one in await recorded_erasures(custody.owner):
        if (one.tenant, one.environment) == (tenant, environment):
            row = {"erasure": one.erasure_id, "requested_ms": one.requested_ms, "objects": 0, "final": False}
            facts = _facts(one.certificate) if one.certificate is not None else {}
            facts.pop("compartment", None)
            rows.append({"state": _state(one.certificate), **row, **facts})
    show_rows(frame, rows)


def _state(certificate: ErasureCertificate | None) -> str:
    """How far an erasure is."""
    if certificate is None:
        return say(fr="demandé", en="asked")
    if certificate.final:
        return say(fr="clos", en="closed")
    return say(fr="effacé", en="erased") if certificate.tokens_vacuumed_at_ms else say(fr="à finir", en="to finish")


async def _finish(frame: Frame, custody: Custody, acts: Administration, tenant: str, environment: str) -> None:
    eraser = await custody.eraser((await acts.environment(tenant, environment)).place)
    with frame.out.step(say(fr="Effacements interrompus", en="Interrupted erasures")):
        finished = await eraser.finish() + await custody.close(eraser.place)
    await acts.publish()
    await _write_papers(frame, eraser)
    frame.out.line(say(fr=f"{len(finished)} achevés.", en=f"{len(finished)} finished."))
    frame.out.result([_facts(one) for one in finished])


async def _write_papers(frame: Frame, eraser: Eraser) -> dict[str, Path]:
    """Every certificate of the environment as a file, as it was last signed."""
    from hygie.base.files import make_private_folder, write_durably

    folder = frame.folder.erasures
    make_private_folder(folder)
    paths: dict[str, Path] = {}
    for erasure_id, paper in (await eraser.papers()).items():
        path = paths[erasure_id] = folder / f"{erasure_id}.json"
        if not path.exists() or path.read_bytes() != paper:
            write_durably(path, paper)
    return paths


def _facts(certificate: ErasureCertificate) -> dict[str, Any]:
    return {
        "erasure": certificate.erasure_id,
        "compartment": certificate.compartment_id,
        "basis": certificate.legal_basis.value,
        "objects": certificate.objects,
        "unreadable_ms": certificate.unreadable_in_service_at_ms,
        "purged_ms": certificate.tokens_purged_at_ms,
        "key_destroyed_ms": certificate.last_epoch_destroyed_at_ms,
        "due_ms": certificate.unreadable_in_every_copy_due_ms,
        "every_copy_ms": certificate.unreadable_in_every_copy_at_ms,
        "final": certificate.final,
    }
