"""What the exit of a client may answer instead of going on."""

from __future__ import annotations

from hygie.base.errors import IntegrityError, InvalidRequestError, RefusedError
from hygie.exits.reasons import Reasoned


class RecipientRefusedError(Reasoned, InvalidRequestError):
    """The key to encrypt to is not one that the client could decrypt with."""

    code = "HYG-1E0"
    fr = "Clé de destinataire refusée ({reason}) : attendu age1… ou ssh-ed25519 …, tel que le client l'a donné."
    en = "Recipient's key refused ({reason}): age1… or ssh-ed25519 … is expected, as the client gave it."


class ExportFolderError(Reasoned, InvalidRequestError):
    """An export is written in a new folder, and read from a whole one."""

    code = "HYG-1E1"
    fr = "Dossier d'export refusé ({folder}) : {reason}."
    en = "Export folder refused ({folder}): {reason}."


class ExitInstructionError(Reasoned, InvalidRequestError):
    """The controller's instruction, or his consent, lacks something."""

    code = "HYG-1E2"
    fr = "Instruction du responsable de traitement incomplète ou mal formée : {reason}."
    en = "The controller's instruction is incomplete or malformed: {reason}."


class IdentityRefusedError(Reasoned, InvalidRequestError):
    """The file of the client's private key does not hold one."""

    code = "HYG-1E3"
    fr = "Le fichier {file} ne contient pas de clé privée age ou ssh-ed25519 utilisable ({reason})."
    en = "The file {file} holds no usable age or ssh-ed25519 private key ({reason})."


class SameHandsError(RefusedError):
    """Two people are needed: who asks does not approve."""

    code = "HYG-2E0"
    fr = "L'approbateur doit être une autre personne que celle qui demande."
    en = "The approver must be another person than the one who asks."


class NotVerifiedError(RefusedError):
    """Consent is given after the client has verified what it got back: the code that it found inside says so."""

    code = "HYG-2E1"
    fr = "Consentement refusé : l'export n'est pas terminé et complet, ou son code de vérification n'est pas le bon."
    en = "Consent refused: the export is not finished and complete, or its verification code is not the right one."


class NotConsentedError(RefusedError):
    """Nothing is destroyed without the controller's recorded consent for this client."""

    code = "HYG-2E2"
    fr = "Destruction refusée : aucun consentement de ce client sous ce numéro."
    en = "Destruction refused: no consent of this client under that number."


class WrittenSinceExportError(RefusedError):
    """Data that no export returned would be lost."""

    code = "HYG-2E3"
    fr = "Refusé : l'environnement {environment} n'est pas dans l'export, ou a été écrit depuis. Exportez à nouveau."
    en = "Refused: the environment {environment} is not in the export, or was written since. Export again."


class AlreadyDestroyedError(RefusedError):
    """A consent serves once."""

    code = "HYG-2E4"
    fr = "Déjà détruit : ce consentement a servi ; le certificat est dans {folder}."
    en = "Destroyed already: this consent has served; the certificate is in {folder}."


class ProductionKeptError(RefusedError):
    """Data of production are destroyed on the controller's consent only."""

    code = "HYG-2E5"
    fr = "Environnement de production non vide : seul hygie exit destroy {tenant} le détruit, sur consentement."
    en = "A production environment that holds data is destroyed by hygie exit destroy {tenant} only, on consent."


class ExportDamagedError(Reasoned, IntegrityError):
    """A file of an export is not what was written. Names the file."""

    code = "HYG-5E0"
    fr = "L'export n'est pas intègre : {name}, {reason}."
    en = "The export is not intact: {name}, {reason}."


class ExportIncompleteError(IntegrityError):
    """An export ended, but something could not be returned; nobody may consent on it."""

    code = "HYG-5E1"
    fr = "Export incomplet : {missing} versions n'ont pu être rendues. Réparez (hygie scrub), puis exportez à nouveau."
    en = "Export incomplete: {missing} versions could not be returned. Mend (hygie scrub), then export again."


class DestructionForgedError(Reasoned, IntegrityError):
    """A certificate of destruction that does not verify."""

    code = "HYG-5E2"
    fr = "Ce certificat de destruction n'est pas authentique : {reason}."
    en = "This certificate of destruction is not authentic: {reason}."
