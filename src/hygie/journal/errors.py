"""What can go wrong in the journal, by family (see ``hygie.base.errors``)."""

from __future__ import annotations

from hygie.base.errors import IntegrityError, InvalidRequestError, NotFoundError, SettingsError, UnavailableError


class EntryTooLargeError(InvalidRequestError):
    """An entry does not fit in a leaf (65,535 bytes): a caller's text was not bounded before."""

    code = "HYG-120"
    fr = "Cette requête donnerait une trace trop grande pour le journal."
    en = "This request would make an entry too large for the journal."


class EntryNotFoundError(NotFoundError):
    """The index is not in the published journal, or the entry was not exported."""

    code = "HYG-320"
    fr = "Le journal publié ne contient pas l'entrée {index}."
    en = "The published journal does not hold entry {index}."


class JournalUnavailableError(UnavailableError):
    """The journal cannot be written (or read) now. Nothing is answered without a durable entry."""

    code = "HYG-420"
    fr = "Le journal est indisponible ({part}) : rien n'est répondu sans trace, réessayez."
    en = "The journal is unavailable ({part}): nothing is answered without a trace, try again."


class WitnessUnavailableError(UnavailableError):
    """The witness does not answer, or answers something that is not the protocol."""

    code = "HYG-421"
    fr = "Le témoin du journal ne répond pas ({reason})."
    en = "The journal's witness does not answer ({reason})."


class TimestampUnavailableError(UnavailableError):
    """The timestamp authority does not answer. The journal goes on: its next checkpoint will be stamped."""

    code = "HYG-423"
    fr = "L'autorité d'horodatage ne répond pas ({reason})."
    en = "The timestamp authority does not answer ({reason})."


class SealerFencedError(UnavailableError):
    """Another sealer moved the tree head: this one rolled back and stands by."""

    code = "HYG-422"
    fr = "Un autre scelleur tient le journal : celui-ci se retire."
    en = "Another sealer holds the journal: this one stands by."


class JournalTamperedError(IntegrityError):
    """An entry of the journal is not the one that was signed."""

    code = "HYG-520"
    fr = "Le journal a été altéré : première entrée fautive {index} ({reason})."
    en = "The journal was tampered with: first bad entry {index} ({reason})."


class JournalForkError(IntegrityError):
    """Two signed trees that cannot both be prefixes of one journal: nothing is signed until a person decides."""

    code = "HYG-521"
    fr = "Deux journaux signés se contredisent (tailles {old_size} et {new_size}) : plus rien n'est signé."
    en = "Two signed journals contradict each other (sizes {old_size} and {new_size}): nothing more is signed."


class CheckpointInvalidError(IntegrityError):
    """A checkpoint is malformed, or no trusted key signed it."""

    code = "HYG-522"
    fr = "Le point de contrôle du journal n'est pas valide ({reason})."
    en = "The journal's checkpoint is not valid ({reason})."


class ProofInvalidError(IntegrityError):
    """An inclusion or consistency proof does not lead to the signed root."""

    code = "HYG-523"
    fr = "La preuve ne mène pas à la racine signée."
    en = "The proof does not lead to the signed root."


class LeafInvalidError(IntegrityError):
    """A leaf is not in the format of docs/formats/journal-entry.md, or does not open under this key."""

    code = "HYG-524"
    fr = "Une entrée du journal ne s'ouvre pas ({reason})."
    en = "A journal entry does not open ({reason})."


class WitnessRefusedError(IntegrityError):
    """The witness saw another history than the one submitted: a fork or a rollback."""

    code = "HYG-525"
    fr = "Le témoin refuse ce journal (réponse {status}) : il en a vu un autre."
    en = "The witness refuses this journal (answer {status}): it saw another one."


class TileInvalidError(IntegrityError):
    """A tile or an entry bundle has not the length or the layout that its name promises."""

    code = "HYG-526"
    fr = "Une tuile du journal est abîmée ({name})."
    en = "A tile of the journal is damaged ({name})."


class TimestampInvalidError(IntegrityError):
    """What the timestamp authority answered does not hold, or is not signed under the root that is set."""

    code = "HYG-528"
    fr = "L'horodatage reçu ne tient pas ({reason})."
    en = "The timestamp that was received does not hold ({reason})."


class VerifierKeyError(SettingsError):
    """A public key is not written as a signed-note verifier key."""

    code = "HYG-620"
    fr = "Clé publique refusée : {reason}."
    en = "Public key refused: {reason}."


class WitnessKeyAbsentError(SettingsError):
    """A witness elsewhere is set, and its public key is not here, or the key here is this machine's own witness's."""

    code = "HYG-622"
    fr = "{file} doit contenir la clé publique du témoin de witness.url, et de lui seul : copiez-y son witness.pub."
    en = "{file} must hold the public key of the witness at witness.url, and of no other: copy its witness.pub there."


class WitnessSettingsError(SettingsError):
    """The witness cannot start with this state or these logs."""

    code = "HYG-621"
    fr = "Le témoin refuse de démarrer : {reason}."
    en = "The witness refuses to start: {reason}."
