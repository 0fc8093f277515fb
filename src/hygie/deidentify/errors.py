"""What a de-identified copy may answer instead of going on."""

from __future__ import annotations

from hygie.base.errors import Fact, InvalidRequestError, Language, RefusedError, SettingsError

# A reason in both languages, by a short name that errors carry.
REASONS: dict[str, tuple[str, str]] = {
    "approval": (
        "elle n'est pas approuvée par une autre personne, présente au registre",
        "it is not approved by another person, present in the register",
    ),
    "altered": ("le registre des copies a été altéré", "the register of copies was altered"),
    "ended": ("elle a expiré ou sa date de fin est passée", "it has expired: its end date is past"),
    "operator": ("qui approuve n'exécute pas la copie", "who approves does not run the copy"),
    "pair": ("elle porte sur d'autres environnements", "it is about other environments"),
    "scope": ("son périmètre est vide ou hors des règles", "its scope is empty or outside the rules"),
    "unknown": ("aucune fiche sous ce numéro", "no record under that number"),
}


class RulesBrokenError(SettingsError):
    """The shipped rules contradict the definitions of FHIR R4: a mistake of ours, found before anything is read."""

    code = "HYG-6D0"
    fr = "Règles de dé-identification incohérentes : {where}, {reason}."
    en = "Inconsistent de-identification rules: {where}, {reason}."


class CopyTooLargeError(InvalidRequestError):
    """What a copy holds in memory is bounded; nothing was written."""

    code = "HYG-1D0"
    fr = "Copie trop grande : plus de {limit_mib} Mio dé-identifiés. Déclarez moins de patients ou de types."
    en = "The copy is too large: over {limit_mib} MiB de-identified. Declare fewer patients or types."


class NotDeclaredError(RefusedError):
    """No copy without a declaration that is approved, in force, and of these very environments."""

    code = "HYG-2D0"
    fr = "Copie refusée, déclaration {key} : {reason}. Voyez : hygie register show data-copy."
    en = "Copy refused, declaration {key}: {reason}. See: hygie register show data-copy."

    def __init__(self, *, key: str, reason: str) -> None:
        super().__init__(key=key, reason=reason)

    def sentence(self, language: Language = "en") -> str:
        """The sentence, with the reason in its language."""
        facts: dict[str, Fact] = {**self.facts}
        fr, en = REASONS[str(facts["reason"])]
        return (self.fr if language == "fr" else self.en).format(
            key=facts["key"], reason=fr if language == "fr" else en
        )


class TooFewAlikeError(RefusedError):
    """The result would show people who resemble too few others; nothing was written."""

    code = "HYG-2D1"
    fr = "Copie refusée : {people} patients, il en faut {k} semblables. Rien n'a été écrit ; élargissez la déclaration."
    en = "Copy refused: {people} patients, where {k} must be alike. Nothing was written; declare a larger scope."
