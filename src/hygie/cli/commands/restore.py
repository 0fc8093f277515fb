"""``hygie restore``: from the backup target and the passphrase alone, into a fresh place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hygie.base.language import current_language, say
from hygie.cli.acts import operator_name
from hygie.cli.frame import Frame, frame_of
from hygie.cli.journal_words import foreign_told
from hygie.cli.secret import read_secret, share_option

if TYPE_CHECKING:
    from hygie.backups.restore import Progress, RestoreReport, RestoreRequest
    from hygie.base.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "restore",
        help=say(
            fr="Restaure un instantané dans un dossier neuf, depuis la cible et la phrase de passe seules. La"
            " production n'est pas touchée ; ce qui a été effacé ou révoqué depuis ne revient pas.",
            en="Restore a snapshot into a fresh folder, from the target and the passphrase alone. Production is not"
            " touched; what was erased or revoked since does not come back.",
        ),
        epilog=say(fr="Exemple", en="Example")
        + ": hygie restore latest --into /srv/hygie-2 --from /mnt/backup --credential /etc/hygie.key",
    )(restore)


def restore(
    context: typer.Context,
    snapshot: Annotated[
        str,
        typer.Argument(help=say(fr="Nom, ou son début, ou latest (le dernier).", en="Name, its beginning, or latest.")),
    ],
    into: Annotated[Path, typer.Option(help=say(fr="Dossier vide ou absent.", en="Empty or absent folder."))],
    source: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help=say(fr="Cible des sauvegardes ; sinon celle de --data.", en="Backup target; else the one of --data."),
        ),
    ] = None,
    credential: Annotated[
        Path | None,
        typer.Option(help=say(fr="Fichier privé de la phrase de passe.", en="Private file of the passphrase.")),
    ] = None,
    share_file: Annotated[list[Path] | None, share_option()] = None,
    settings: Annotated[
        Path | None, typer.Option(help=say(fr="Réglages du nouveau lieu.", en="Settings of the fresh place."))
    ] = None,
    port: Annotated[
        int,
        typer.Option(min=1, max=65535, help=say(fr="Port HTTPS du nouveau lieu.", en="HTTPS port of the fresh place.")),
    ] = 8443,
    keys_of: Annotated[
        str | None,
        typer.Option(help=say(fr="Clés perdues : celles de cet instantané.", en="Keys lost: those of this snapshot.")),
    ] = None,
    production_lost: Annotated[
        bool,
        typer.Option(
            "--production-lost",
            help=say(
                fr="L'installation de --data est perdue : rien à y journaliser.",
                en="The installation of --data is gone: nothing to journal there.",
            ),
        ),
    ] = False,
) -> None:
    """Restore into a fresh place; leaves with 50 when something lacks."""
    from hygie.backups.restore import RestoreRequest, require_complete
    from hygie.backups.target import FolderTarget
    from hygie.base.clock import SystemClock
    from hygie.base.hardening import harden_process

    harden_process()
    frame = frame_of(context)
    target = FolderTarget(target_path(frame, source), administrator="")
    request = RestoreRequest(
        target=target,
        secret=read_secret(credential, share_file or []),
        into=into.absolute(),
        settings=_settings_of(into, settings, credential, port, shares=bool(share_file)),
        clock=SystemClock(),
        operator=operator_name(),
        which=snapshot,
        keys_of=keys_of,
    )
    journaled = frame.folder.settings_file.exists() and not production_lost
    try:
        report = asyncio.run(_restored(frame, request, journaled=journaled))
    finally:
        target.close()
    _say(frame, report)
    require_complete(report)


async def _restored(frame: Frame, request: RestoreRequest, *, journaled: bool) -> RestoreReport:
    from hygie.backups.restore import restored

    async with (
        _on_record(frame, request) if journaled else _alone(),
        _shown(frame) as progress,
        restored(request, progress) as place,
    ):
        return place.report


def target_path(frame: Frame, source: Path | None) -> Path:
    """The target asked for, or the one of the installation's settings."""
    if source is not None:
        return source.absolute()
    return frame.folder.resolve(frame.settings().backups.path)


def _settings_of(into: Path, given: Path | None, credential: Path | None, port: int, *, shares: bool) -> Settings:
    import msgspec

    from hygie.base.layout import DataFolder
    from hygie.base.settings import default_settings, read_settings

    if given is not None:
        return read_settings(given, DataFolder.at(into))
    settings = default_settings(language=current_language(), port=port)
    kms = msgspec.structs.replace(
        settings.kms,
        sealing="shares" if shares else "passphrase",
        credential=str(credential.absolute()) if credential is not None else None,
    )
    return msgspec.structs.replace(settings, kms=kms)


@asynccontextmanager
async def _shown(frame: Frame) -> AsyncIterator[Progress]:
    """Progress bars, one for each step that lasts."""
    from contextlib import ExitStack

    names = {
        "copy": say(fr="Copie", en="Copy"),
        "journal": say(fr="Journal", en="Journal"),
        "rebuild": say(fr="Catalogue", en="Catalogue"),
    }
    with ExitStack() as bars:
        moving: dict[str, Callable[[int], None]] = {}

        def progress(step: str, count: int, total: int) -> None:
            if step not in moving:
                bars.close()
                moving[step] = bars.enter_context(frame.out.progress(names[step], total or None))
            moving[step](count)

        yield progress


@asynccontextmanager
async def _on_record(frame: Frame, request: RestoreRequest) -> AsyncIterator[None]:
    """The living installation's journal says who took a copy of everything: before, and after."""
    from hygie.app import open_house, opened
    from hygie.backups.run import record_act
    from hygie.base.actions import Action
    from hygie.base.errors import HygieError
    from hygie.upkeep import backup_rooms

    async with (
        open_house(frame.folder.path) as house,
        opened(house.dsns.sealer, size=1) as records,
        opened(house.dsns.hosting, size=1) as pool,
        backup_rooms(house, records, pool, operator_name()) as rooms,
    ):
        detail = {"snapshot": request.which}
        await record_act(rooms, Action.BACKUP_RESTORE, "intent", detail)
        try:
            yield
        except HygieError as error:
            await record_act(rooms, Action.BACKUP_RESTORE, "unknown", {**detail, "code": error.code})
            raise
        await record_act(rooms, Action.BACKUP_RESTORE, "done", detail)


@asynccontextmanager
async def _alone() -> AsyncIterator[None]:
    """No installation is reached."""
    yield


def _say(frame: Frame, report: RestoreReport) -> None:
    erased = sum(one.erased for one in report.environments)
    frame.out.line(
        say(
            fr=f"{report.resources} versions, {report.objects} objets, environnements : {len(report.environments)},"
            f" {report.journal_entries} entrées de journal vérifiées, périmètres effacés : {erased}, en"
            f" {report.duration_s:.1f} s ({report.resources_per_s} versions/s).",
            en=f"{report.resources} versions, {report.objects} objects, environments: {len(report.environments)},"
            f" {report.journal_entries} journal entries verified, erased scopes: {erased}, in"
            f" {report.duration_s:.1f} s ({report.resources_per_s} versions/s).",
        )
    )
    writes = report.logs.rows
    frame.out.line(
        say(
            fr=f"Registres : {writes['records']} écritures ; preuves : {writes['batches']} évaluations.",
            en=f"Registers: {writes['records']} writes; evidence: {writes['batches']} evaluations.",
        )
    )
    if report.journal_foreign:
        frame.out.warn(foreign_told(report.journal_foreign))
    for one in report.logs.shown():
        frame.out.warn(one)
    for name in report.broken_manifests:
        frame.out.warn(say(fr=f"Manifeste non intègre : {name}", en=f"Manifest not intact: {name}"))
    if report.complete:
        frame.out.line(say(fr="Ensuite :", en="Next:") + f" hygie up --data {report.into}")
    frame.out.result(report.facts())
