"""``hygie exit``: a client leaves with everything, verifies it, consents; what stayed is destroyed and certified."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hygie.base.language import say
from hygie.cli.acts import operator_name, run_custody, show_rows
from hygie.cli.errors import NotConfirmedError
from hygie.cli.exits_view import destruction_facts, tell_destruction, tell_export, tell_verified, verified_facts
from hygie.cli.frame import Frame, frame_of

if TYPE_CHECKING:
    from hygie.custody import Custody
    from hygie.exits.certificate import DestructionCertificate
    from hygie.gate.administration import Administration
    from hygie.journal.checkpoint import VerifierKey

BASES = "contract-end, certificate-lost, return-asked"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        help=say(
            fr="Départ d'un client : tout lui rendre, chiffré à sa clé, puis, s'il y consent, détruire et certifier.",
            en="A client leaves: give everything back encrypted to its key, record its consent, destroy, certify.",
        ),
        no_args_is_help=True,
    )
    example = say(fr="Exemple", en="Example")
    group.command(
        "export",
        help=say(
            fr="Rend tout : FHIR R4 de toutes les versions, contenus, traces d'accès ; lisible par le client seul.",
            en="Give everything back: FHIR R4 of all versions, contents, access traces; for the client's eyes only.",
        ),
        epilog=f"{example}: hygie exit export chu-x --to ./chu-x --recipient age1… --controller 'CHU X'"
        " --instructed-by dpo.x --reference 2026-31 --approver paul.martin",
    )(export)
    group.command(
        "verify",
        help=say(
            fr="Chez le client, hors ligne : déchiffre et contrôle tout, donne le code de vérification.",
            en="At the client's, offline: decrypt and check everything, give the verification code.",
        ),
        epilog=f"{example}: hygie exit verify ./chu-x --identity key.txt --key hygie.pem --log-key log.pub",
    )(verify)
    group.command(
        "consent",
        help=say(
            fr="Consigne le consentement écrit du responsable de traitement à la destruction, après sa vérification.",
            en="Record the controller's written consent to the destruction, after its verification.",
        ),
        epilog=f"{example}: hygie exit consent chu-x --export 3f… --by 'Dr A. Bo' --statement letter.pdf --code 9c…",
    )(consent)
    group.command(
        "destroy",
        help=say(
            fr="Détruit données, copies, clés et droits du client ; signe le certificat. Irréversible, à deux.",
            en="Destroy the client's data, copies, keys and rights; sign the certificate. Irreversible, by two people.",
        ),
        epilog=f"{example}: hygie exit destroy chu-x --consent 7a… --approver paul.martin --confirm chu-x",
    )(destroy)
    group.command("list", help=say(fr="Où en sont les départs d'un client.", en="How far a client's exit is."))(listing)
    group.command(
        "key", help=say(fr="Clé publique à publier : signe manifestes et certificats.", en="Public key to publish.")
    )(key)
    app.add_typer(group, name="exit")


def export(
    context: typer.Context,
    tenant: Annotated[str, typer.Argument(help="Client.")],
    to: Annotated[Path, typer.Option(help=say(fr="Dossier neuf.", en="New folder."))],
    recipient: Annotated[
        list[str],
        typer.Option(help=say(fr="Clé publique du client : age1… ou ssh-ed25519.", en="The client's public key.")),
    ],
    controller: Annotated[
        str, typer.Option(help=say(fr="Le responsable de traitement, qui décide.", en="The controller, who decides."))
    ],
    instructed_by: Annotated[
        str,
        typer.Option(help=say(fr="Compte de son délégué, habilité à l'export.", en="Its officer's entitled account.")),
    ],
    reference: Annotated[str, typer.Option(help=say(fr="Sa référence.", en="The controller's own number."))],
    approver: Annotated[
        str, typer.Option(help=say(fr="Qui approuve : une autre personne.", en="Who approves: somebody else."))
    ],
    basis: Annotated[str, typer.Option(help=BASES)] = "contract-end",
    environment: Annotated[str, typer.Option(help=say(fr="Celui-ci seulement.", en="Only this one."))] = "",
) -> None:
    """Export a client."""
    frame = frame_of(context)
    asked = {"controller": controller, "instructed_by": instructed_by, "reference": reference, "approver": approver}
    asked["basis"] = basis

    async def act(custody: Custody, acts: Administration) -> None:
        from hygie.departure import environments_of, exit_rooms, require_export_approved
        from hygie.exits.errors import ExportIncompleteError
        from hygie.exits.run import ExportAsk, export_tenant, summary

        ask = ExportAsk(
            tenant=tenant,
            tenant_id=await acts.tenant_id(tenant),
            environments=await environments_of(acts, tenant, environment),
            recipients=recipient,
            to=to,
            asked=asked,
            requester=operator_name(),
        )
        async with exit_rooms(custody, operator_name()) as rooms:
            total = await rooms.versions(ask.environments)
            await require_export_approved(custody, ask, total)
            with frame.out.progress(say(fr="Versions exportées", en="Versions exported"), total) as move:
                manifest = await export_tenant(rooms, ask, move)
        await acts.publish()
        tell_export(frame, manifest, to)
        frame.out.result(summary(manifest))
        if not manifest.complete:
            raise ExportIncompleteError(missing=sum(part.missing for part in manifest.environments))

    run_custody(frame, act)


def verify(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help=say(fr="Dossier de l'export.", en="Folder of the export."))],
    identity: Annotated[
        Path, typer.Option(help=say(fr="Fichier de la clé privée du client.", en="File of the client's private key."))
    ],
    key_file: Annotated[
        Path | None,
        typer.Option("--key", help=say(fr="Clé publiée par l'hébergeur (PEM).", en="The host's published key (PEM).")),
    ] = None,
    log_key: Annotated[
        str, typer.Option(help=say(fr="Clé publiée du journal.", en="The journal's published key."))
    ] = "",
    witness_key: Annotated[
        str, typer.Option(help=say(fr="Clé publiée du témoin.", en="The witness's published key."))
    ] = "",
    into: Annotated[
        Path | None, typer.Option(help=say(fr="Y écrire les fichiers déchiffrés.", en="Write the decrypted files."))
    ] = None,
    receipt: Annotated[
        Path | None, typer.Option(help=say(fr="Y écrire le constat, en JSON.", en="Write the findings, as JSON."))
    ] = None,
) -> None:
    """Verify an export."""
    from hygie.base.files import write_durably
    from hygie.exits.verifying import Verification, read_identities, verify_folder
    from hygie.exits.verifying import receipt as receipt_of

    frame = frame_of(context)
    with frame.out.progress(say(fr="Octets contrôlés", en="Bytes checked")) as move:
        found = verify_folder(
            Verification(
                folder,
                read_identities(identity),
                key=key_file.read_bytes() if key_file is not None else None,
                log_key=_key(log_key),
                witness_key=_key(witness_key),
                into=into,
                progress=move,
            )
        )
    if receipt is not None:
        write_durably(receipt, receipt_of(found))
    tell_verified(frame, found)
    frame.out.result(verified_facts(found))


def _key(given: str) -> VerifierKey | None:
    """A public key from a file, or written in full. Raises: VerifierKeyError."""
    from hygie.journal.checkpoint import VerifierKey

    if not given:
        return None
    path = Path(given)
    return VerifierKey.parse(path.read_text("utf-8", "replace") if path.is_file() else given)


def consent(
    context: typer.Context,
    tenant: Annotated[str, typer.Argument(help="Client.")],
    export_id: Annotated[str, typer.Option("--export", help=say(fr="N° d'export.", en="The export's number."))],
    by: Annotated[str, typer.Option(help=say(fr="Qui consent, pour le client.", en="Who consents, for the client."))],
    statement: Annotated[
        Path, typer.Option(help=say(fr="Fichier de la lettre signée.", en="File of the signed letter."))
    ],
    code: Annotated[
        str, typer.Option(help=say(fr="Code trouvé dans l'export déchiffré.", en="Code found in the decrypted export."))
    ] = "",
) -> None:
    """Record a consent."""
    frame = frame_of(context)

    async def act(custody: Custody, acts: Administration) -> None:
        from hygie.departure import consent as record_consent

        made = await record_consent(
            custody,
            acts,
            tenant,
            export_id,
            given_by=by,
            statement=statement,
            code=code,
            recorder=operator_name(),
        )
        frame.out.line(
            say(
                fr=f"Consentement {made.id} consigné. Destruction, à demander et à approuver par deux personnes :"
                f" hygie exit destroy {tenant} --consent {made.id}",
                en=f"Consent {made.id} recorded. Destruction, to be asked and approved by two people:"
                f" hygie exit destroy {tenant} --consent {made.id}",
            )
        )
        frame.out.result({"consent": made.id, "export": export_id, "statement_sha256": made.statement_sha256.hex()})

    run_custody(frame, act)


def destroy(
    context: typer.Context,
    tenant: Annotated[str, typer.Argument(help="Client.")],
    consent_id: Annotated[str, typer.Option("--consent", help=say(fr="N° du consentement.", en="The consent."))],
    approver: Annotated[
        str, typer.Option(help=say(fr="Qui approuve : une autre personne.", en="Who approves: somebody else."))
    ],
    confirm: Annotated[str, typer.Option(help=say(fr="CLIENT, répété.", en="TENANT once more."))] = "",
    keep_key_copies: Annotated[
        bool,
        typer.Option(
            help=say(
                fr="Laisser les copies de clés de la cible de sauvegarde à leur conservation (14 jours).",
                en="Leave the backup target's copies of keys to their retention (14 days).",
            )
        ),
    ] = False,
) -> None:
    """Destroy a client."""
    frame = frame_of(context)

    async def act(custody: Custody, acts: Administration) -> None:
        from hygie.departure import Destruction, close_destructions, standing

        destruction = Destruction(custody, acts, tenant, operator_name())
        record = await destruction.begin(consent_id, approver)
        if confirm != tenant:
            raise NotConfirmedError(expected=tenant)
        with frame.out.step(say(fr="Clés, catalogues, droits, sites", en="Keys, catalogues, rights, sites")):
            certificate = await destruction.run(record)
        if not keep_key_copies:
            await _forget_keys(frame, custody, certificate)
        await close_destructions(custody)
        certificate = await standing(custody, certificate)
        path = frame.folder.exits / f"{certificate.destruction_id}.json"
        tell_destruction(frame, certificate, path)
        frame.out.result(destruction_facts(certificate) | {"certificate": str(path)})

    run_custody(frame, act)


async def _forget_keys(frame: Frame, custody: Custody, certificate: DestructionCertificate) -> None:
    """A backup without the client, and no older copy of keys; what cannot be now is done with the next backup."""
    from hygie.app import opened
    from hygie.base.errors import HygieError
    from hygie.base.language import current_language
    from hygie.upkeep import run_backup_after_exit

    dsns = custody.house.dsns
    try:
        with frame.out.step(say(fr="Copies de clés des sauvegardes", en="Copies of keys in backups")):
            async with opened(dsns.sealer, size=2) as sealer, opened(dsns.hosting, size=2) as pool:
                await run_backup_after_exit(custody.house, sealer, pool, custody, certificate.destruction_id)
    except HygieError as error:
        frame.out.warn(
            say(
                fr=f"Les copies de clés partiront avec la prochaine sauvegarde : {error.sentence('fr')}",
                en=f"Copies of keys go with the next backup: {error.sentence(current_language())}",
            )
        )


def listing(context: typer.Context, tenant: Annotated[str, typer.Argument(help="Client.")]) -> None:
    """List exits."""
    frame = frame_of(context)

    async def act(custody: Custody, acts: Administration) -> None:
        from hygie.departure import papers
        from hygie.exits import records

        tenant_id = await acts.tenant_id(tenant)
        await papers(custody, tenant_id)
        consents = await records.consents_of(custody.owner, tenant_id)
        done = {one.consent.id: one for one in await records.destructions(custody.owner, tenant_id=tenant_id)}
        rows: list[dict[str, Any]] = []
        for one in await records.exports_of(custody.owner, tenant_id):
            given = (each for each in consents if each.export.id == one.id)  # newest first
            agreed = min(given, key=lambda each: each.id not in done, default=None)  # the one that served comes first
            ended = done.get(agreed.id) if agreed is not None else None
            rows.append(
                {
                    "export": one.id,
                    "ordered_ms": one.instruction.ordered_ms,
                    "complete": one.complete,
                    "consent": agreed.id if agreed is not None else "",
                    "destruction": ended.id if ended is not None else "",
                    "final": ended is not None and ended.final_ms is not None,
                }
            )
        show_rows(frame, rows)

    run_custody(frame, act)


def key(context: typer.Context) -> None:
    """Public key."""
    frame = frame_of(context)

    async def main() -> tuple[str, list[str]]:
        from hygie.app import open_house
        from hygie.backups.keys import public_keys
        from hygie.exits.model import pem_of
        from hygie.exits.run import SIGNING

        async with open_house(frame.folder.path) as house:
            now, *former = [pem_of(one).decode() for one in await public_keys(house.kms, SIGNING)]
        return now, former

    now, former = asyncio.run(main())
    frame.out.line(now.rstrip("\n"))
    for one in former:
        frame.out.line(f"{one.rstrip()}  ({say(fr='ancienne', en='former')})")
    frame.out.result({"key": now, "former": former})
