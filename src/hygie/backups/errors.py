"""What can be wrong with backups."""

from __future__ import annotations

from hygie.base.errors import IntegrityError, InvalidRequestError, NotFoundError, UnavailableError


class RestoreRefusedError(InvalidRequestError):
    """A restore that was not begun: it goes into a fresh place only."""

    code = "HYG-180"
    fr = "Restauration refusée : {reason}."
    en = "Restore refused: {reason}."


class SnapshotAbsentError(NotFoundError):
    """The target has no snapshot of that name, or none at all."""

    code = "HYG-380"
    fr = "Aucun instantané de ce nom sur la cible de sauvegarde."
    en = "No snapshot of that name on the backup target."


class TargetUnavailableError(UnavailableError):
    """The backup target is away, full or read-only."""

    code = "HYG-480"
    fr = "La cible de sauvegarde {target} est indisponible ({reason})."
    en = "The backup target {target} is unavailable ({reason})."


class ManifestBrokenError(IntegrityError):
    """A snapshot manifest is not what was signed.

    Facts: snapshot, reason: format, signature, unknown-key, not-canonical or renamed.
    """

    code = "HYG-580"
    fr = "Le manifeste de l'instantané {snapshot} n'est pas intègre ({reason}) : ne restaurez pas depuis lui."
    en = "The manifest of snapshot {snapshot} is not intact ({reason}): do not restore from it."


class ManifestReplayedError(IntegrityError):
    """The newest snapshot on the target is older than the newest that was recorded: something was taken back."""

    code = "HYG-581"
    fr = "La cible montre l'instantané n° {found}, or le n° {expected} a été enregistré : elle est revenue en arrière."
    en = "The target shows snapshot number {found} but number {expected} was recorded: the target went back."


class BackupDamagedError(IntegrityError):
    """An object of a snapshot is missing, altered or replaced on the target."""

    code = "HYG-582"
    fr = "Sauvegarde endommagée : {name} ({reason})."
    en = "Backup damaged: {name} ({reason})."


class BackupRefusedError(IntegrityError):
    """A purge was refused because the target is not wholly verified: what is unknown is kept."""

    code = "HYG-583"
    fr = "Purge refusée : la cible de sauvegarde n'est pas entièrement vérifiée ({reason})."
    en = "Purge refused: the backup target is not wholly verified ({reason})."


class RestoreIncompleteError(IntegrityError):
    """A restore that ended, but lacks something that the snapshot or the journal names."""

    code = "HYG-584"
    fr = "Restauration incomplète : objets manquants {missing}, endommagés {damaged}, le premier : {name}."
    en = "Restore incomplete: objects missing {missing}, damaged {damaged}, the first one: {name}."


class DrillFailedError(IntegrityError):
    """A drill that showed that a promise is not kept."""

    code = "HYG-585"
    fr = "Exercice {drill} en échec : {check}. Le rapport signé est {report}."
    en = "Drill {drill} failed: {check}. The signed report is {report}."


class DrillReportForgedError(IntegrityError):
    """A drill report that is not what was signed."""

    code = "HYG-586"
    fr = "Rapport d'exercice non authentique : {reason}."
    en = "Drill report not authentic: {reason}."
