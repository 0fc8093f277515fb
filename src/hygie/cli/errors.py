"""Errors of the command line itself."""

from __future__ import annotations

from hygie.base.errors import IntegrityError, InvalidRequestError, NotFoundError, SettingsError, UnavailableError


class SettingsExistError(SettingsError):
    """``hygie init`` on a folder that is already an installation."""

    code = "HYG-690"
    fr = "{folder} contient déjà une installation : modifiez {folder}/hygie.toml, ou choisissez un autre dossier."
    en = "The folder {folder} already holds an installation: edit {folder}/hygie.toml, or choose another folder."


class FolderRefusedError(SettingsError):
    """The system does not let us create or write the data folder."""

    code = "HYG-691"
    fr = "Impossible d'écrire dans {folder} ({reason})."
    en = "Cannot write in {folder} ({reason})."


class SharesPlaceError(SettingsError):
    """Shares would lie beside what they open, or over others."""

    code = "HYG-697"
    fr = "Les parts ne peuvent être écrites dans {folder} : {reason}."
    en = "Shares cannot be written in {folder}: {reason}."


class SystemRefusedError(UnavailableError):
    """The operating system refused something: disk full, no right, no such file."""

    code = "HYG-490"
    fr = "Le système a refusé : {reason}."
    en = "The system refused: {reason}."


class NoTerminalError(InvalidRequestError):
    """Something must be typed, and nobody sits at a terminal."""

    code = "HYG-193"
    fr = "Aucun terminal où taper un secret : donnez {option}."
    en = "No terminal at which to type a secret: give {option}."


class NoAnswersError(InvalidRequestError):
    """Questions must be answered, and nobody sits at a terminal."""

    code = "HYG-194"
    fr = "Aucun terminal où répondre : donnez {option}."
    en = "No terminal at which to answer: give {option}."


class CycleUnknownError(NotFoundError):
    """No certification cycle of that name is in the register, or none at all."""

    code = "HYG-391"
    fr = "Aucun cycle de certification {cycle} : inscrivez son premier événement, hygie certification record."
    en = "No certification cycle {cycle}: record its first event, hygie certification record."


class NotConfirmedError(InvalidRequestError):
    """An irreversible command without its confirmation."""

    code = "HYG-190"
    fr = "Acte irréversible : répétez-le avec --confirm {expected}."
    en = "Irreversible act: repeat it with --confirm {expected}."


class WritesLostError(IntegrityError):
    """A log is whole but for writes that a rebuild declared lost."""

    code = "HYG-596"
    fr = "Écritures perdues, déclarées à une reconstruction ({log}) : {numbers}."
    en = "Writes lost, declared at a rebuild ({log}): {numbers}."


class KeyFileError(InvalidRequestError):
    """A file of keys that cannot be read, or more than one way said at once."""

    code = "HYG-196"
    fr = "Donnez une clé, et une seule : --jwks FICHIER, --jwks-url ADRESSE ou --certificate FICHIER lisibles."
    en = "Give one key and only one: --jwks FILE, --jwks-url ADDRESS or --certificate FILE that can be read."
