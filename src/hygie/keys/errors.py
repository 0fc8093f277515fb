"""Errors of the keys room (second digit 3). Facts never hold a key, a passphrase, a share or a caller's text."""

from __future__ import annotations

from hygie.base.errors import (
    IntegrityError,
    InvalidRequestError,
    NotFoundError,
    RefusedError,
    SettingsError,
    UnavailableError,
)


class KmsRequestError(InvalidRequestError):
    """A request outside the limits of the KMS, or not in its format."""

    code = "HYG-130"
    fr = "La demande au service de clés n'est pas valide : {reason}."
    en = "The request to the key service is not valid: {reason}."


class WrongPassphraseError(InvalidRequestError):
    """The passphrase, or the set of shares, does not open the root key."""

    code = "HYG-131"
    fr = "La phrase secrète ou les parts n'ouvrent pas la clé racine : ce ne sont pas celles de cette installation."
    en = "The passphrase or the shares do not open the root key: they are not those of this installation."


class ShareRefusedError(InvalidRequestError):
    """A share is mistyped, repeated, or belongs to another set."""

    code = "HYG-132"
    fr = "Part de clé refusée : {reason}."
    en = "Key share refused: {reason}."


class SharesLackingError(ShareRefusedError):
    """Fewer different shares than the root needs."""

    code = "HYG-133"
    fr = "Parts différentes données : {given} ; il en faut {needed} : --share-file pour chacune, ou --ask."
    en = "Different shares given: {given}, needed {needed}: --share-file for each one, or --ask."


class DestructionGuardError(RefusedError):
    """A destruction that would take live data with it, or whose confirmation does not match."""

    code = "HYG-230"
    fr = "Destruction refusée : {reason}."
    en = "Destruction refused: {reason}."


class PeerRefusedError(RefusedError):
    """The process at the other end of the socket may not ask this."""

    code = "HYG-231"
    fr = "Ce processus n'est pas autorisé à demander cela au service de clés."
    en = "This process is not allowed to ask this of the key service."


class CertificateRefusedError(RefusedError):
    """The authority of SSH certificates was asked to sign something else than a certificate of one intervention."""

    code = "HYG-232"
    fr = "Le service de clés ne signe, à ce titre, que des certificats SSH d'une heure au plus ({reason})."
    en = "Under this purpose the key service signs SSH certificates of an hour at most, and nothing else ({reason})."


class UnknownKeyError(NotFoundError):
    """The tenant, environment, epoch or key was never made here."""

    code = "HYG-330"
    fr = "Clé inconnue du service de clés ({part})."
    en = "Key unknown to the key service ({part})."


class KeyDestroyedError(NotFoundError):
    """The key existed and was destroyed: what it opened is unreadable, for ever."""

    code = "HYG-331"
    http_status = 410
    fr = "La clé a été détruite ({part})."
    en = "The key was destroyed ({part})."


class KmsUnavailableError(UnavailableError):
    """The KMS does not answer, or answered what nobody can read."""

    code = "HYG-430"
    fr = "Le service de clés ne répond pas ({part}) : réessayez."
    en = "The key service does not answer ({part}): try again."


class KmsSealedError(UnavailableError):
    """The KMS runs, but nobody gave the passphrase or enough shares yet."""

    code = "HYG-431"
    fr = "Le service de clés est scellé : donnez la phrase secrète ou les parts."
    en = "The key service is sealed: give the passphrase or the shares."


class UnsealTooSoonError(UnavailableError):
    """Attempts to open the root key are spaced after each failure."""

    code = "HYG-432"
    fr = "Trop d'essais : attendez {wait_s} s avant le prochain."
    en = "Too many attempts: wait {wait_s} s before the next."


class UnwrapRecordUnavailableError(UnavailableError):
    """The key record cannot be written, so no key leaves."""

    code = "HYG-433"
    fr = "Le registre des clés ne peut être écrit : aucune clé ne sort."
    en = "The key record cannot be written: no key leaves."


class EpochFullError(UnavailableError):
    """An epoch key has wrapped as many keys as its nonces allow."""

    code = "HYG-434"
    fr = "L'époque {epoch} a servi autant qu'il est permis : ouvrez une nouvelle époque."
    en = "Epoch {epoch} was used as much as is allowed: open a new epoch."


class KmsStateBrokenError(IntegrityError):
    """A file of the KMS folder is altered, missing, or older than the others."""

    code = "HYG-530"
    fr = "L'état du service de clés n'est pas intègre ({part})."
    en = "The state of the key service is not intact ({part})."


class WrapBrokenError(IntegrityError):
    """A wrapped key does not open in its own place (tenant, environment, epoch, compartment)."""

    code = "HYG-531"
    fr = "Une clé enveloppée ne s'ouvre pas à sa place (rang {index})."
    en = "A wrapped key does not open in its own place (rank {index})."


class UnwrapRecordBrokenError(IntegrityError):
    """The chain of the unwrap record is broken."""

    code = "HYG-532"
    fr = "Le registre des clés est altéré : {file}, ligne {line} ({reason})."
    en = "The key record is altered: {file}, line {line} ({reason})."


class LedgerBrokenError(IntegrityError):
    """A key ledger is altered, forged, or belongs elsewhere."""

    code = "HYG-533"
    fr = "Le grand livre des clés n'est pas intègre ({reason})."
    en = "The key ledger is not intact ({reason})."


class CertificateForgedError(IntegrityError):
    """A certificate of erasure does not verify."""

    code = "HYG-534"
    fr = "Le certificat d'effacement ne se vérifie pas ({reason})."
    en = "The certificate of erasure does not verify ({reason})."


class KmsSettingsError(SettingsError):
    """The KMS refuses to start as it is set."""

    code = "HYG-631"
    fr = "Réglage du service de clés refusé ({setting}) : {reason}."
    en = "Key service setting refused ({setting}): {reason}."
