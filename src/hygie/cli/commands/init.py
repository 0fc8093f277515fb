"""``hygie init``: write the settings and the private folders of a new installation; later, mark a new site's folder.

With shares, the keys are made at once, because their shares are handed out once.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hygie.base.language import current_language, say
from hygie.cli.errors import FolderRefusedError, SettingsExistError, SharesPlaceError
from hygie.cli.frame import Frame, frame_of

if TYPE_CHECKING:
    from hygie.base.layout import DataFolder
    from hygie.base.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "init",
        help=say(
            fr="Prépare un dossier de données : réglages et dossiers privés. Refuse un réglage faible. --shares fait"
            " aussi les clés et en distribue les parts, une seule fois. --site marque le dossier vide d'un site de"
            " plus, ou d'un disque remplacé ; --backup-target, celui d'une autre cible de sauvegarde.",
            en="Prepare a data folder: settings and private folders. Refuses a weak setting. --shares also makes the"
            " keys and hands out their shares, once. --site marks the empty folder of one more site, or of a replaced"
            " disk; --backup-target that of another backup target.",
        ),
        epilog=say(fr="Exemple", en="Example")
        + ": hygie init --data /srv/hygie --production --credential /etc/hygie.key",
    )(init)


def _shares_option() -> Any:
    text = say(
        fr="Sceller les clés par N parts, et les distribuer.", en="Seal the keys by N shares, and hand them out."
    )
    return typer.Option(min=2, max=8, help=text)


def _threshold_option() -> Any:
    text = say(fr="Combien de parts ouvrent ; la majorité par défaut.", en="How many open; the majority by default.")
    return typer.Option(min=2, max=8, help=text)


def _shares_into_option() -> Any:
    return typer.Option(
        help=say(
            fr="Écrire chaque part dans un fichier privé de ce dossier, au lieu de la montrer.",
            en="Write each share in a private file of this folder, instead of showing it.",
        )
    )


def _target_option() -> Any:
    return typer.Option(
        help=say(
            fr="Sur une installation : marquer le dossier vide de la cible de sauvegarde des réglages.",
            en="On an installation: mark the empty folder of the backup target of the settings.",
        )
    )


def _site_option() -> Any:
    return typer.Option(
        help=say(
            fr="Sur une installation : marquer le dossier vide de ce site des réglages.",
            en="On an installation: mark the empty folder of this site of the settings.",
        )
    )


def init(
    context: typer.Context,
    production: Annotated[
        bool,
        typer.Option(
            "--production",
            help=say(fr="Mode production : refuse les réglages faibles.", en="Production: refuses weak settings."),
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
    shares: Annotated[int | None, _shares_option()] = None,
    threshold: Annotated[int | None, _threshold_option()] = None,
    shares_into: Annotated[Path | None, _shares_into_option()] = None,
    site: Annotated[str | None, _site_option()] = None,
    backup_target: Annotated[bool, _target_option()] = False,
) -> None:
    """Write ``hygie.toml`` and the folders; nothing is written when a setting is refused."""
    from hygie.app import initialise_stores
    from hygie.base.hardening import harden_process
    from hygie.base.settings import check_machine, default_settings, read_credential, read_settings, write_settings

    frame = frame_of(context)
    folder = frame.folder
    if site is not None:
        _mark_site(frame, site)
        return
    if backup_target:
        _mark_target(frame)
        return
    harden_process()  # shares pass through here
    if folder.settings_file.exists():
        settings = _not_started(frame, shares, production=production)
    elif from_file is not None:
        settings = read_settings(from_file, folder)
    else:
        settings = default_settings(production=production, language=current_language(), port=port)
    settings = _with_keys(settings, credential, shares, threshold)
    warnings = check_machine(settings, folder)
    read_credential(settings, folder)
    dealing = _dealing(settings, folder, shares_into)
    try:
        folder.create()
        initialise_stores(settings, folder)
        path = write_settings(folder.path, settings)
        dealt = dealing.deal(settings, folder) if dealing is not None else []
    except OSError as error:
        raise FolderRefusedError(folder=str(folder.path), reason=error.strerror or type(error).__name__) from error
    for warning in warnings:
        frame.out.warn(warning.sentence(current_language()))
    frame.out.line(say(fr=f"Installation prête : {path}", en=f"Installation ready: {path}"))
    shown = _hand_out(frame, settings, dealing, dealt) if dealing is not None else {}
    ask = " --ask" if settings.kms.credential is None else ""
    frame.out.line(say(fr="Ensuite :", en="Next:") + f" hygie up --data {folder.path}{ask}")
    frame.out.result({"settings": str(path), "warnings": [warning.code for warning in warnings], **shown})


@dataclass(frozen=True, slots=True)
class _Dealing:
    """Where the shares go: a folder, checked before the keys are made, or the terminal (None)."""

    into: Path | None

    def deal(self, settings: Settings, folder: DataFolder) -> list[str]:
        """Make the keys and write the shares. Returns: the shares, or their files."""
        from hygie.base.files import write_durably
        from hygie.start import deal_shares

        texts = deal_shares(settings, folder)
        if self.into is None:
            return texts
        files = _share_files(self.into, len(texts))
        try:
            for path, text in zip(files, texts, strict=True):
                write_durably(path, f"{text}\n".encode())
        except BaseException:
            # Nobody holds these keys' shares, and nothing is sealed under them yet; none of the files was there before.
            for path in (*folder.kms.iterdir(), *files):
                path.unlink(missing_ok=True)
            raise
        return [str(path) for path in files]


def _share_files(into: Path, made: int) -> list[Path]:
    return [into / f"share-{rank}.txt" for rank in range(1, made + 1)]


def _dealing(settings: Settings, folder: DataFolder, into: Path | None) -> _Dealing | None:
    """Raises: SharesPlaceError: the folder is one of the installation's, or holds shares already."""
    if settings.kms.sealing != "shares":
        if into is not None:
            raise typer.BadParameter("--shares-into: --shares")
        return None
    if into is None:
        return _Dealing(None)
    into = into.absolute()
    ours = [folder.path, folder.resolve(settings.backups.path), *(folder.resolve(one.path) for one in settings.sites)]
    if any(into.resolve().is_relative_to(place.resolve()) for place in ours):
        reason = say(fr="il est dans l'installation", en="it is in the installation")
        raise SharesPlaceError(folder=str(into), reason=reason)
    try:
        into.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SharesPlaceError(folder=str(into), reason=error.strerror or type(error).__name__) from error
    if any(path.exists() for path in _share_files(into, settings.kms.shares)):
        reason = say(fr="il contient déjà des parts", en="it holds shares already")
        raise SharesPlaceError(folder=str(into), reason=reason)
    return _Dealing(into)


def _hand_out(frame: Frame, settings: Settings, dealing: _Dealing, dealt: list[str]) -> dict[str, Any]:
    """Tell the shares, or where they were written; what a machine is answered."""
    made, needed = settings.kms.shares, settings.kms.threshold
    frame.out.warn(
        say(
            fr=f"{needed} de ces {made} parts ouvrent les clés ; sans elles, les données sont perdues. Elles ne sont"
            " données qu'une fois : remettez chacune à une personne différente, et n'en gardez aucune ici.",
            en=f"{needed} of these {made} shares open the keys; without them the data are lost. They are given once:"
            " hand each one to a different person, and keep none here.",
        )
    )
    for rank, text in enumerate(dealt, 1):
        frame.out.line(f"  {rank}  {text}")
    return {"shares" if dealing.into is None else "share_files": dealt, "threshold": needed}


def _not_started(frame: Frame, shares: int | None, *, production: bool) -> Settings:
    """The settings of an installation that has no key yet, when shares are wanted for it.

    Raises: SettingsExistError: it was started, nothing was asked that is not in its settings, or production was and
    they are of a trial: keys made for it would have been held to less.
    """
    folder = frame.folder
    begun = folder.postgres.exists() or folder.postgres_secrets.exists() or any(folder.kms.glob("*.kms"))
    if shares is None or begun:
        raise SettingsExistError(folder=str(folder.path))
    settings = frame.settings()
    if production and not settings.production:
        raise SettingsExistError(folder=str(folder.path))
    return settings


def _with_keys(settings: Settings, credential: Path | None, shares: int | None, threshold: int | None) -> Settings:
    import msgspec

    if (shares is None and threshold is not None) or (shares is not None and credential is not None):
        raise typer.BadParameter("--credential | --shares --threshold")
    kms = settings.kms
    if credential is not None:
        kms = msgspec.structs.replace(kms, credential=str(credential.absolute()))
    if shares is not None:
        needed = shares // 2 + 1 if threshold is None else threshold
        kms = msgspec.structs.replace(kms, sealing="shares", shares=shares, threshold=needed, credential=None)
    return msgspec.structs.replace(settings, kms=kms)


def _mark_site(frame: Frame, name: str) -> None:
    settings, folder = frame.settings(), frame.folder
    paths = {one.name: folder.resolve(one.path) for one in settings.sites}
    if name not in paths:
        raise typer.BadParameter("--site: " + " | ".join(paths))
    identity = _mark(paths[name], name)
    frame.out.line(
        say(
            fr=f"{paths[name]} est maintenant le site {name}. hygie work le remplit ; hygie scrub le vérifie.",
            en=f"{paths[name]} is site {name} now. hygie work fills it; hygie scrub checks it.",
        )
    )
    frame.out.result({"site": name, "folder": str(paths[name]), "identity": identity})


def _mark_target(frame: Frame) -> None:
    from hygie.backups.target import TARGET_NAME

    path = frame.folder.resolve(frame.settings().backups.path)
    identity = _mark(path, TARGET_NAME)
    frame.out.line(
        say(
            fr=f"{path} est maintenant la cible de sauvegarde. La prochaine sauvegarde y copie tout.",
            en=f"{path} is the backup target now. The next backup copies everything there.",
        )
    )
    frame.out.result({"folder": str(path), "identity": identity})


def _mark(path: Path, name: str) -> str:
    """Raises: SiteFolderError: it holds something; FolderRefusedError."""
    from hygie.app import initialise_store

    try:
        return initialise_store(path, name)
    except OSError as error:
        raise FolderRefusedError(folder=str(path), reason=error.strerror or type(error).__name__) from error
