"""What registers refuse. No text repeats a value that somebody typed: fields and lines are named, values are not."""

from __future__ import annotations

from collections.abc import Sequence

from hygie.base.errors import IntegrityError, InvalidRequestError, NotFoundError, RefusedError, SettingsError


class RecordInvalidError(InvalidRequestError):
    """A record does not fit its register's schema; nothing of what was sent with it is kept."""

    code = "HYG-1A0"
    fr = "Ligne {line}, champ {field} : {reason}."
    en = "Line {line}, field {field}: {reason}."


class TransitionRefusedError(InvalidRequestError):
    """A state that does not follow the present one, or that wants somebody else's approval."""

    code = "HYG-1A1"
    fr = "Passage de « {state} » à « {wanted} » refusé : {reason}."
    en = "From “{state}” to “{wanted}” is refused: {reason}."


class RecordChangedError(InvalidRequestError):
    """Somebody else changed the record meanwhile."""

    code = "HYG-1A2"
    http_status = 409
    fr = "La fiche {key} a changé entre-temps (version {version}) : relisez-la."
    en = "Record {key} has changed meanwhile (version {version}): read it again."


class PatientNamedError(InvalidRequestError):
    """A value looks like the national health identity of a patient: its place is the vault, behind the gate."""

    code = "HYG-1A3"
    fr = "Ligne {line}, champ {field} : ressemble à un INS. Déposez le texte au coffre et citez sa référence."
    en = "Line {line}, field {field}: looks like an INS. Put the text in the vault and quote its reference."


class FileRefusedError(InvalidRequestError):
    """A file of records that cannot be read, or that passes a limit; nothing of it is kept."""

    code = "HYG-1A4"
    fr = "Fichier refusé, ligne {line} : {reason}."
    en = "File refused, line {line}: {reason}."


class ImportRefusedError(InvalidRequestError):
    """A file with faulty lines; nothing of it is kept. faults: each of them, with its line, field and reason."""

    code = "HYG-1A5"
    fr = "Import refusé, rien n'a été écrit. Fautes : {count} ; la première, ligne {line}, champ {field} : {reason}."
    en = "Import refused, nothing was written. Faults: {count}; the first, line {line}, field {field}: {reason}."

    def __init__(self, faults: Sequence[RecordInvalidError]) -> None:
        self.faults = tuple(faults)
        super().__init__(count=len(self.faults), **self.faults[0].facts)


class ExportRefusedError(InvalidRequestError):
    """Records that do not go into such a file."""

    code = "HYG-1A6"
    fr = "Export refusé : {reason}."
    en = "Export refused: {reason}."


class FourEyesError(RefusedError):
    """An approval by the person who asked."""

    code = "HYG-2A0"
    fr = "L'approbateur doit être une autre personne que l'auteur."
    en = "The approver must be somebody else than the author."


class RegisterNotFoundError(NotFoundError):
    """No such register, or no such record in it."""

    code = "HYG-3A0"
    fr = "Registre ou fiche introuvable : {name}."
    en = "No such register or record: {name}."


class RegisterTamperedError(IntegrityError):
    """The log of registers is not what was written."""

    code = "HYG-5A0"
    fr = "Le journal des registres est altéré à l'écriture {seq} : {reason}."
    en = "The log of registers is altered at write {seq}: {reason}."


class SchemaInvalidError(SettingsError):
    """A register's schema cannot be read."""

    code = "HYG-6A0"
    fr = "Schéma de registre refusé ({schema}) : {reason}."
    en = "Register schema refused ({schema}): {reason}."
