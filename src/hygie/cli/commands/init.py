"""``hygie init``: write the settings and the private folders of a new installation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hygie.base.language import current_language, say
from hygie.cli.errors import FolderRefusedError, SettingsExistError
from hygie.cli.frame import frame_of


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "init",
        help=say(
            fr="Prépare un dossier de données : réglages et dossiers privés. Refuse un réglage faible.",
            en="Prepare a data folder: settings and private folders. Refuses a weak setting.",
        ),
        epilog=say(fr="Exemple", en="Example")
        + ": hygie init --data /srv/hygie --production --credential /etc/hygie.key",
    )(init)


def init(
    context: typer.Context,
    production: Annotated[
        bool,
        typer.Option(
            help=say(fr="Mode production : refuse les réglages faibles.", en="Production: refuses weak settings.")
        ),
    ] = False,
    port: Annotated[int, typer.Option(min=1, max=65535, help=say(fr="Port HTTPS.", en="HTTPS port."))] = 8443,
    credential: Annotated[
        Path | None,
        typer.Option(help=say(fr="Fichier privé de la phrase de passe.", en="Private file that holds the passphrase.")),
    ] = None,
    from_file: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help=say(
                fr="Prendre ces réglages au lieu de ceux par défaut.", en="Take these settings instead of the defaults."
            ),
        ),
    ] = None,
) -> None:
    """Write ``hygie.toml`` and the folders; nothing is written when a setting is refused."""
    import msgspec

    from hygie.base.settings import check_machine, default_settings, read_credential, read_settings, write_settings

    frame = frame_of(context)
    folder = frame.folder
    if folder.settings_file.exists():
        raise SettingsExistError(folder=str(folder.path))
    if from_file is not None:
        settings = read_settings(from_file, folder)
    else:
        settings = default_settings(production=production, language=current_language(), port=port)
    if credential is not None:
        kms = msgspec.structs.replace(settings.kms, credential=str(credential.absolute()))
        settings = msgspec.structs.replace(settings, kms=kms)
    warnings = check_machine(settings, folder)
    read_credential(settings, folder)
    try:
        folder.create()
        for site in settings.sites:
            folder.resolve(site.path).mkdir(mode=0o700, parents=True, exist_ok=True)
        path = write_settings(folder.path, settings)
    except OSError as error:
        raise FolderRefusedError(folder=str(folder.path), reason=error.strerror or type(error).__name__) from error
    for warning in warnings:
        frame.out.warn(warning.sentence(current_language()))
    frame.out.line(say(fr=f"Installation prête : {path}", en=f"Installation ready: {path}"))
    frame.out.line(say(fr="Ensuite", en="Next") + f": hygie up --data {folder.path}")
    frame.out.result({"settings": str(path), "warnings": [warning.code for warning in warnings]})
