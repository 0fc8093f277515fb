"""The reasons that an error of this room gives, in French: facts stay in English, sentences do not."""

from __future__ import annotations

from typing import cast

from hygie.base.errors import Fact, HygieError, Language

FRENCH = {
    "a line is not in the format": "une ligne n'est pas au format",
    "a line is not what it should be": "une ligne n'est pas ce qu'elle devrait être",
    "a line is no Bundle of history": "une ligne n'est pas un Bundle d'historique",
    "a line is of another type": "une ligne est d'un autre type",
    "a line is too long": "une ligne est trop longue",
    "a resource is there twice": "une ressource y est deux fois",
    "an entry has no resource": "une entrée n'a pas de ressource",
    "an entry is of another type": "une entrée est d'un autre type",
    "approver is not an account": "l'approbateur n'est pas un compte",
    "decrypted, it is not what was written": "déchiffré, ce n'est pas ce qui fut écrit",
    "empty": "vide",
    "instructed_by is not an account": "le délégué n'est pas un compte",
    "it cannot be read": "illisible",
    "it discloses an entry of somebody else": "il divulgue une entrée d'un autre client",
    "it does not decrypt": "il ne se déchiffre pas",
    "it does not list the files that are there": "il ne liste pas les fichiers présents",
    "it holds an environment that nobody signed": "il contient un environnement que personne n'a signé",
    "it is missing": "absent",
    "it is not a public key": "ce n'est pas une clé publique",
    "it is not an Ed25519 key": "ce n'est pas une clé Ed25519",
    "it is not in the format": "il n'est pas au format",
    "it is not the code that was signed": "ce n'est pas le code qui fut signé",
    "it is not the content that its line tells": "ce n'est pas le contenu que sa ligne annonce",
    "it is not the list of the manifest": "ce n'est pas la liste du manifeste",
    "it is not the list that was signed": "ce n'est pas la liste qui fut signée",
    "it is too large": "trop grand",
    "it was altered": "modifié depuis",
    "its counts are not those signed": "ses nombres ne sont pas ceux qui furent signés",
    "its dates are out of order": "ses dates ne se suivent pas",
    "its last line is cut": "sa dernière ligne est coupée",
    "its references are not those signed": "ses références ne sont pas celles qui furent signées",
    "its rows are not those signed": "ses lignes ne sont pas celles qui furent signées",
    "its signature does not match": "sa signature n'est pas la bonne",
    "its types are not those signed": "ses types ne sont pas ceux qui furent signés",
    "malformed": "mal formée",
    "no environment": "aucun environnement",
    "no file of the format has this name": "aucun fichier du format ne porte ce nom",
    "nobody signed it": "personne ne l'a signé",
    "not empty": "il n'est pas vide",
    "not in the canonical format": "pas au format canonique",
    "not in the format": "pas au format",
    "no manifest.json": "pas de manifest.json",
    "signed by an unknown key": "signé par une clé inconnue",
    "the signature does not match": "la signature n'est pas la bonne",
    "the statement is empty or too large": "la lettre est vide ou trop grande",
    "too long": "trop long",
    "too many, or none": "trop, ou aucune",
    "twice the same": "deux fois la même",
    "unknown kind": "genre inconnu",
    "your key does not open it": "votre clé ne l'ouvre pas",
}


class Reasoned:
    """An error of which the fact ``reason`` is one of these."""

    facts: dict[str, Fact]

    def sentence(self, language: Language = "en") -> str:
        """See ``HygieError.sentence``."""
        spoken = FRENCH.get(str(self.facts.get("reason")), "") if language == "fr" else ""
        if spoken:
            return type(self)(**{**self.facts, "reason": spoken}).sentence(language)
        return HygieError.sentence(cast("HygieError", self), language)
