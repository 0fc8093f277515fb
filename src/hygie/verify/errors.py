"""What the verifier says when it cannot even begin, or when a dossier does not hold."""

from __future__ import annotations

from hygie.base.errors import Fact, IntegrityError, InvalidRequestError, Language


class ExportInvalidError(InvalidRequestError):
    """The export is not in the format of docs/formats/journal-export.md, or a file of it is absent."""

    code = "HYG-121"
    fr = "Cet export du journal ne se lit pas ({reason})."
    en = "This journal export cannot be read ({reason})."


class DossierTamperedError(IntegrityError):
    """A dossier is not what was signed, or does not say what its own evidence says. See :meth:`at`."""

    code = "HYG-527"
    fr = "Le dossier ne tient pas : {part} {name}, {reason}."
    en = "The dossier does not hold: {part} {name}, {reason}."

    @classmethod
    def at(cls, part: str, name: Fact, reason: str, **facts: Fact) -> DossierTamperedError:
        """The error. part: a word of ``PARTS``; name: which one; reason: a word of ``REASONS``."""
        return cls(part=part, name=name, reason=reason, **facts)

    def sentence(self, language: Language = "en") -> str:
        """See the base: part and reason have their words in both languages."""
        words = 0 if language == "fr" else 1
        part, reason = PARTS[str(self.facts["part"])][words], REASONS[str(self.facts["reason"])][words]
        return (self.en if words else self.fr).format(part=part, name=self.facts["name"], reason=reason)


def require(holds: object, part: str, name: Fact, reason: str, **facts: Fact) -> None:
    """Raises: DossierTamperedError: it does not hold. See :meth:`DossierTamperedError.at`."""
    if not holds:
        raise DossierTamperedError.at(part, name, reason, **facts)


PARTS = {
    "file": ("fichier", "file"),
    "batch": ("évaluation", "evaluation"),
    "run": ("contrôle", "check"),
    "write": ("écriture de registre", "register write"),
    "document": ("pièce", "document"),
    "entry": ("entrée du journal", "journal entry"),
    "posture": ("posture de", "posture of"),
    "manifest": ("manifeste", "manifest"),
    "timestamp": ("horodatage", "timestamp"),
}
REASONS = {
    "format": ("illisible", "cannot be read"),
    "absent": ("absent", "absent"),
    "extra": ("inconnu du manifeste", "not in the manifest"),
    "twice": ("présent deux fois", "there twice"),
    "digest": ("empreinte différente", "another digest"),
    "missing": ("absente ou déplacée", "missing or moved"),
    "altered": ("altérée", "altered"),
    "backdated": ("antidatée", "back-dated"),
    "unseen": ("postérieur à ce que le témoin a vu", "later than what the witness saw"),
    "late": ("datée d'après le dossier", "dated after the dossier"),
    "catalogue": ("catalogue absent ou altéré", "its catalogue is absent or altered"),
    "trial": ("issue d'un essai, dans un dossier qui n'est pas une démonstration", "of a trial, in a real dossier"),
    "unknown": ("inconnu de son catalogue", "unknown to its catalogue"),
    "since": ("début de verdict falsifié", "false beginning of its verdict"),
    "fresh": ("daté hors de ce que permet son contrôle", "dated beyond what its check allows"),
    "version": ("version qui ne suit pas", "its version does not follow"),
    "removed": ("retirée : le journal la nomme", "removed: the journal names it"),
    "unnamed": ("ajoutée : le journal ne la nomme pas", "added: the journal does not name it"),
    "skipped": ("elle en saute d'autres", "it skips others"),
    "unlike": ("le journal en dit autre chose", "the journal says otherwise"),
    "lost": ("perdue, et ce n'est pas déclaré", "lost, and it is not declared"),
    "undisclosed": ("preuve non divulguée", "evidence that is not disclosed"),
    "sample": ("échantillon qui n'est pas celui tiré", "not the sample that was drawn"),
    "verdict": ("verdict qui ne suit pas des preuves", "a verdict that does not follow from the evidence"),
    "rows": ("lignes qui manquent ou s'ajoutent", "rows are missing or added"),
    "content": ("ne dit pas ce que dit le reste", "does not say what the rest says"),
    "signature": ("signature fausse", "false signature"),
    "imprint": ("porte sur autre chose", "is of something else"),
    "chain": ("autorité inconnue ou hors validité", "its authority is unknown or not valid then"),
}
