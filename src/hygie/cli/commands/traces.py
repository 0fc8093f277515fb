"""``hygie traces``: who touched a patient's record, when, why, from where; the same with its proofs, for the client."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hygie.base.language import say
from hygie.cli.acts import run_work
from hygie.cli.frame import frame_of

if TYPE_CHECKING:
    from hygie.app import House
    from hygie.base.permit import Place
    from hygie.database.pool import Database
    from hygie.gate.local import LocalOperator
    from hygie.journal.entry import Entry
    from hygie.journal.reader import Found

SHOWN = 200
_Tenant = Annotated[str, typer.Argument(help="Client.")]
_Environment = Annotated[str, typer.Argument(help=say(fr="Environnement.", en="Environment."))]
_Patient = Annotated[
    str, typer.Argument(help=say(fr="Identifiant de la ressource Patient.", en="Patient's logical id."))
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    group = typer.Typer(
        help=say(
            fr="Traces d'accès : qui a touché le dossier d'un patient, quand, pourquoi, d'où (EXI 15).",
            en="Access traces: who touched a patient's record, when, why, from where (EXI 15).",
        ),
        no_args_is_help=True,
    )
    example = say(fr="Exemple", en="Example")
    group.command(
        "show",
        help=say(
            fr="Montre les accès au dossier d'un patient, vérifiés jusqu'à la racine ; la lecture est journalisée.",
            en="Show the accesses to a patient's record, checked up to the signed root; the reading is journaled.",
        ),
        epilog=f"{example}: hygie traces show chu-x prod 3f2a… --since 90d",
    )(show)
    group.command(
        "export",
        help=say(
            fr="Écrit ces accès, lisibles et prouvés, dans un export que hygie-verify contrôle seul.",
            en="Write these accesses, readable and proved, in an export that hygie-verify checks alone.",
        ),
        epilog=f"{example}: hygie traces export accès.zip chu-x prod 3f2a…",
    )(export)
    group.command(
        "audit",
        help=say(
            fr="L'audit annuel des traces (EXI 16) : tire un échantillon, y rattache droits et motifs.",
            en="The yearly audit of traces (EXI 16): draw a sample, match it with rights and reasons.",
        ),
        epilog=f"{example}: hygie traces audit chu-x --seed 'dés 4 2 6 1 3 5' --to audit-2026.csv",
    )(audit)
    app.add_typer(group, name="traces")


def show(
    context: typer.Context,
    tenant: _Tenant,
    environment: _Environment,
    patient: _Patient,
    since: Annotated[str, typer.Option(help=say(fr="30m 24h 90d, ou une date.", en="30m 24h 90d, or a date."))] = "",
    limit: Annotated[int, typer.Option(min=1, max=100_000, help=say(fr="Au plus.", en="At most."))] = SHOWN,
) -> None:
    """Show them."""
    from hygie.base.actions import Action
    from hygie.cli.commands.journal import entry_facts, since_ms
    from hygie.journal.newest import Asked, newest

    frame = frame_of(context)

    async def act(house: House, records: Database, pool: Database, operator: LocalOperator) -> None:
        place = await _place(records, tenant, environment)
        subjects = await _pseudonyms(house, pool, place, patient)
        asked = Asked(place.tenant_id, since_ms=since_ms(since, house.clock.now_ms()), subjects=subjects)
        found = await newest(await house.journal_reader(records), asked, limit)
        await operator.record(Action.JOURNAL_READ, place, count=len(found))
        if not found:
            frame.out.line(say(fr="Aucun accès publié.", en="No published access."))
        frame.out.table(
            [
                say(fr="rang", en="index"),
                say(fr="instant (UTC)", en="instant (UTC)"),
                say(fr="qui", en="who"),
                "action",
                say(fr="issue", en="outcome"),
                say(fr="d'où", en="from where"),
                say(fr="pourquoi", en="why"),
            ],
            [_row(one) for one in found],
        )
        frame.out.result([entry_facts(one) for one in found])

    run_work(frame, act)


def export(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(help=say(fr="Dossier neuf, ou .zip neuf.", en="New folder, or new .zip."))],
    tenant: _Tenant,
    environment: _Environment,
    patient: _Patient,
) -> None:
    """Export them."""
    from hygie.base.actions import Action

    frame = frame_of(context)

    async def act(house: House, records: Database, pool: Database, operator: LocalOperator) -> None:
        place = await _place(records, tenant, environment)
        subjects = await _pseudonyms(house, pool, place, patient)

        def about(entry: Entry) -> bool:
            return entry.subject in subjects

        reader = await house.journal_reader(records)
        async with operator.act(Action.JOURNAL_EXPORT, place, detail={"disclosed": "patient"}) as acting:
            done = await reader.export(path.absolute(), tenant_id=place.tenant_id, disclose=about)
            acting.count = done.disclosed
        frame.out.line(
            say(
                fr=f"{done.disclosed} accès lisibles, parmi {done.entries} entrées prouvées : {done.path}."
                f" Contrôle : hygie-verify {done.path} --show",
                en=f"{done.disclosed} readable accesses, among {done.entries} proved entries: {done.path}."
                f" To check: hygie-verify {done.path} --show",
            )
        )
        frame.out.result({"path": str(done.path), "entries": done.entries, "disclosed": done.disclosed})

    run_work(frame, act)


def audit(
    context: typer.Context,
    tenant: _Tenant,
    seed: Annotated[
        str,
        typer.Option(help=say(fr="Des mots de l'auditeur : ils tirent l'échantillon.", en="The auditor's own words.")),
    ],
    to: Annotated[Path, typer.Option(help=say(fr="Fichier CSV neuf : le rapport.", en="New CSV file: the report."))],
    sample: Annotated[int, typer.Option(min=1, max=10_000, help=say(fr="Accès tirés.", en="Accesses drawn."))] = 100,
    since: Annotated[
        str, typer.Option(help=say(fr="30m 24h 90d, ou une date.", en="30m 24h 90d, or a date."))
    ] = "365d",
    until: Annotated[
        int | None,
        typer.Option(
            min=1,
            help=say(
                fr="Rang où finit un tirage : avec --since et les mêmes mots, le même échantillon.",
                en="Rank at which a draw ends: with --since and the same words, the same sample.",
            ),
        ),
    ] = None,
) -> None:
    """Audit the traces of a client."""
    from hygie.cli.traces_audit import Ask
    from hygie.cli.traces_audit import audit as run

    run(frame_of(context), Ask(tenant, seed, to, sample, since, until))


async def _place(records: Database, tenant: str, environment: str) -> Place:
    """An environment by names. Raises: NotFoundError."""
    from hygie.base.errors import NotFoundError
    from hygie.base.permit import Place

    async with records.transaction() as connection:
        cursor = await connection.execute(
            "SELECT e.tenant, e.id, e.role FROM hygie.environment e JOIN hygie.tenant t ON t.id = e.tenant"
            " WHERE t.name = %s AND e.name = %s AND e.state <> 'destroyed'",
            (tenant, environment),
        )
        row = await cursor.fetchone()
    if row is None:
        raise NotFoundError()
    return Place(bytes(row[0]), bytes(row[1]), row[2])


async def _pseudonyms(house: House, pool: Database, place: Place, patient: str) -> frozenset[bytes]:
    """Under which pseudonyms the journal names a patient. Raises: NotFoundError: nobody of this id was ever kept."""
    from hygie.base.errors import NotFoundError
    from hygie.vault.upkeep_rows import compartments_of

    context = await house.context(place)
    async with pool.transaction(place.role) as connection:
        found = await compartments_of(connection, context.index.subject("patient", (patient,)))
    if not found:
        raise NotFoundError()
    return frozenset(found)


def _row(found: Found) -> list[object]:
    from hygie.base.clock import iso_ms

    entry = found.entry
    assert entry is not None
    who = " ".join(filter(None, (entry.account, entry.professional_id)))
    whence = " ".join(filter(None, (entry.address, entry.country, entry.device)))
    why = " ".join(filter(None, (entry.purpose, entry.habilitation)))
    return [found.index, iso_ms(entry.at_ms)[:19], who, entry.action.value, entry.outcome, whence, why]
