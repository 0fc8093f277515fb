"""What a body may be refused for, as FHIR says it: an issue type code, where (a FHIRPath), and a sentence.

Facts hold element names and problem names, never a value: what a caller typed stays out of errors and logs.
The codes HYG-175 and up belong to ``hygie.fhir.search`` and to the face.
"""

from __future__ import annotations

from typing import ClassVar

from hygie.base.errors import InvalidRequestError, Language

# problem: (FHIR issue type code, French, English); the issue codes are those of http://hl7.org/fhir/issue-type
PROBLEMS: dict[str, tuple[str, str, str]] = {
    "character": ("value", "caractère de contrôle interdit", "forbidden control character"),
    "choice": ("structure", "un seul type à la fois est permis ici", "only one type at a time is allowed here"),
    "code": ("code-invalid", "ce code n'est pas dans la liste requise", "the code is not in the required value set"),
    "contained": ("structure", "une ressource contenue ne peut en contenir", "a contained resource cannot contain one"),
    "depth": ("too-costly", "trop de niveaux imbriqués", "too many nested levels"),
    "digits": ("too-costly", "nombre trop long", "the number is too long"),
    "duplicate": ("structure", "membre JSON présent deux fois", "JSON member present twice"),
    "empty": ("structure", "élément vide", "empty element"),
    "encoding": ("structure", "texte qui n'est pas de l'UTF-8 valide", "text that is not valid UTF-8"),
    "entries": ("too-costly", "trop d'entrées", "too many entries"),
    "form": ("value", "la valeur n'a pas la forme du type", "the value does not have the form of its type"),
    "json": ("structure", "JSON mal formé", "malformed JSON"),
    "length": ("value", "texte trop court ou trop long", "text too short or too long"),
    "null": ("structure", "null n'est permis qu'à côté d'une extension", "null is only allowed beside an extension"),
    "number": ("value", "un nombre est attendu, pas un texte", "a number is expected, not a string"),
    "range": ("value", "nombre hors des bornes du type", "number outside the bounds of its type"),
    "required": ("required", "élément obligatoire absent", "required element missing"),
    "resource-type": ("structure", "type de ressource absent, inconnu ou inattendu",
                      "resource type missing, unknown or unexpected"),
    "type": ("structure", "type JSON inattendu", "unexpected JSON type"),
    "unknown": ("structure", "élément inconnu de FHIR R4", "element unknown to FHIR R4"),
}  # fmt: skip


class FhirStructureError(InvalidRequestError):
    """A body is not a FHIR R4 resource. Raised as one of the three below.

    problem: a key of ``PROBLEMS``; expression: where, as FHIRPath, e.g. ``Patient.name[0].family`` ("" for the text
    as a whole).
    """

    code = "HYG-170"
    fr = "Le contenu n'est pas une ressource FHIR R4 : {problem} ({expression})."
    en = "The content is not a FHIR R4 resource: {problem} ({expression})."
    severity: ClassVar[str] = "error"

    def __init__(self, problem: str, expression: str = "") -> None:
        super().__init__(problem=problem, expression=expression)
        self.problem = problem
        self.expression = expression

    @property
    def issue_code(self) -> str:
        """The code for ``OperationOutcome.issue.code``."""
        return PROBLEMS[self.problem][0]

    def sentence(self, language: Language = "en") -> str:
        """One sentence with the problem in words; safe to show and to log."""
        _, fr, en = PROBLEMS[self.problem]
        template = self.fr if language == "fr" else self.en
        return template.format(problem=fr if language == "fr" else en, expression=self.expression or "JSON")


class FhirJsonError(FhirStructureError):
    """The text is not JSON that can be kept: malformed, bad UTF-8, lone surrogates, duplicate members."""

    code = "HYG-171"
    fr = "Le texte n'est pas du JSON acceptable : {problem} ({expression})."
    en = "The text is not acceptable JSON: {problem} ({expression})."


class FhirLimitError(FhirStructureError):
    """The text is over a limit of depth, digits or entries."""

    code = "HYG-172"
    fr = "Le contenu dépasse une limite : {problem} ({expression})."
    en = "The content is over a limit: {problem} ({expression})."


class FhirContentError(FhirStructureError):
    """The JSON is sound but is not the R4 resource it claims to be."""

    code = "HYG-173"
    http_status = 422
    fr = "La ressource n'est pas conforme à FHIR R4 : {problem} ({expression})."
    en = "The resource does not conform to FHIR R4: {problem} ({expression})."
