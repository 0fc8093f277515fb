"""Errors of the interventions room (second digit G). Facts never hold what a session showed."""

from __future__ import annotations

from hygie.base.errors import IntegrityError, InvalidRequestError, NotFoundError, RefusedError, UnavailableError


class PublicKeyError(InvalidRequestError):
    """A file that is not the public key of a person, of a kind that is certified."""

    code = "HYG-1J0"
    fr = "Clé publique refusée ({reason}) : donnez le fichier .pub d'une clé ssh-ed25519 ou d'une clé de sécurité."
    en = "Public key refused ({reason}): give the .pub file of an ssh-ed25519 key or of a security key."


class InterventionRefusedError(RefusedError):
    """An intervention that allows nothing, or nothing now."""

    code = "HYG-2J0"
    fr = "Intervention {key} : aucun certificat ({reason})."
    en = "Intervention {key}: no certificate ({reason})."


class ReplayRefusedError(RefusedError):
    """Somebody without the duty to look at recordings, or who is in them."""

    code = "HYG-2J1"
    fr = "Cet enregistrement ne vous est pas ouvert : il faut être RSSI ou DPO, et un autre que l'intervenant."
    en = "This recording is not open to you: it takes the security officer or the DPO, other than the operator."


class SessionNotFoundError(NotFoundError):
    """No such session for whoever asks, or no recording of it."""

    code = "HYG-3J0"
    fr = "Aucune session de ce nom, ou sans enregistrement."
    en = "No such session, or none with a recording."


class LogUnreadableError(UnavailableError):
    """sshd's log or sudo's folder cannot be read: sessions go unseen."""

    code = "HYG-4J0"
    fr = "Le journal de sshd ou le dossier des enregistrements ne se lit pas ({reason})."
    en = "sshd's log, or the folder of recordings, cannot be read ({reason})."


class RecordingDamagedError(IntegrityError):
    """A recording that is cut, altered, or not in the format of sudo's I/O logs."""

    code = "HYG-5J0"
    fr = "Enregistrement coupé ou altéré ({reason})."
    en = "A recording that is cut or altered ({reason})."
