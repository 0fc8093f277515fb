"""What can be wrong with référentiels, controls and evidence."""

from __future__ import annotations

from hygie.base.errors import IntegrityError, InvalidRequestError, NotFoundError, SettingsError
from hygie.proof.model import Text


class ReferentialRefusedError(InvalidRequestError):
    """A file, or what it holds, cannot be a référentiel: nothing of it is kept. See :meth:`at`."""

    code = "HYG-1B0"
    fr = "Référentiel refusé, {place} : {reason}."
    en = "Référentiel refused, {place}: {reason}."

    @classmethod
    def at(cls, place: Text, reason: Text) -> ReferentialRefusedError:
        """The error. place: the line, the URN or the path in the file; reason: without a full stop."""
        return cls(place_fr=place.fr, place_en=place.en, reason_fr=reason.fr, reason_en=reason.en)


class ReferentialConflictError(InvalidRequestError):
    """A référentiel of that id and version is there with other content. A version never changes."""

    code = "HYG-1B1"
    fr = "{id} existe avec un autre contenu (sha256 {digest}) : une version ne change jamais, donnez-lui-en une autre."
    en = "{id} is already there with other content (sha256 {digest}): a version never changes, give it another one."


class ReferentialUnknownError(NotFoundError):
    """No référentiel of that id, or not in that version."""

    code = "HYG-3B0"
    fr = "Aucun référentiel {id}. Connus : {known}."
    en = "No référentiel {id}. Known: {known}."


class RequirementUnknownError(NotFoundError):
    """A référentiel has no node of that id."""

    code = "HYG-3B1"
    fr = "{referential} n'a pas d'élément {id}."
    en = "{referential} has no node {id}."


class ReferentialDamagedError(IntegrityError):
    """A stored référentiel is not what an import wrote."""

    code = "HYG-5B0"
    fr = "Le référentiel rangé dans {file} n'est pas intègre : importez-le de nouveau."
    en = "The référentiel stored in {file} is not intact: import it again."


class ControlUnknownError(NotFoundError):
    """No control or check of that id, or none that answers that requirement."""

    code = "HYG-3B9"
    fr = "Aucune mesure ni aucun contrôle pour {id}. Voyez hygie control list."
    en = "No control or check for {id}. See hygie control list."


class NothingKnownError(NotFoundError):
    """Nothing had been evaluated at that instant."""

    code = "HYG-3B5"
    fr = "Aucune évaluation à cet instant : lancez hygie posture --now."
    en = "Nothing had been evaluated at that instant: run hygie posture --now."


class EvidenceTamperedError(IntegrityError):
    """The log of evidence is not what was written."""

    code = "HYG-5B5"
    fr = "Le journal des preuves est altéré à l'évaluation {batch} : {reason}."
    en = "The log of evidence is altered at evaluation {batch}: {reason}."


class ControlsInvalidError(SettingsError):
    """Controls or their checks cannot be read."""

    code = "HYG-6B5"
    fr = "Contrôles refusés ({file}) : {reason}."
    en = "Controls refused ({file}): {reason}."


class TrialEvidenceError(InvalidRequestError):
    """A dossier would hold what a trial installation showed: that is no evidence."""

    code = "HYG-1B5"
    fr = "L'évaluation {batch} vient d'une installation d'essai : ce n'est pas une preuve. Pour voir : --demonstration."
    en = "Evaluation {batch} comes from a trial installation: it is no evidence. To have a look: --demonstration."


class ScopeUnknownError(NotFoundError):
    """No référentiel of that name was checked at the date."""

    code = "HYG-3B6"
    fr = "Aucun référentiel {scope} à cette date. Connus : {known}."
    en = "No référentiel {scope} at that date. Known: {known}."


class RegulatorySentenceAbsentError(NotFoundError):
    """The page takes a sentence that the order imposes word for word, and no approved record holds it."""

    code = "HYG-3B7"
    fr = "La page prend la forme {form} : inscrivez sa phrase officielle (registre regulatory-wording), relue."
    en = "The page takes form {form}: record its official sentence (register regulatory-wording), checked."


class NoticeRefusedError(InvalidRequestError):
    """A notice of an incident cannot be prepared, or was not sent as it is said."""

    code = "HYG-1B6"
    fr = "Avis refusé : {reason}."
    en = "Notice refused: {reason}."


class PaperRefusedError(InvalidRequestError):
    """A paper cannot be made from what is recorded."""

    code = "HYG-1B9"
    fr = "Document impossible à établir : {reason}."
    en = "The paper cannot be made: {reason}."
