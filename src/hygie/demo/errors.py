"""Why a demonstration stops."""

from __future__ import annotations

from hygie.base.errors import IntegrityError, InvalidRequestError, UnavailableError


class DemoStepError(IntegrityError):
    """A step saw something else than what Hygie promises. reason: a sentence without its full stop, no health data."""

    code = "HYG-590"
    fr = "La démonstration s'arrête : {reason}."
    en = "The demonstration stops: {reason}."


class PlaintextFoundError(IntegrityError):
    """A word planted in the records was found in clear under the vault. file: its path in the data folder."""

    code = "HYG-591"
    fr = "Un mot planté dans les dossiers se lit en clair dans {file} (en tout : {count})."
    en = "A word planted in the records can be read in clear in {file} (in all: {count})."


class DemoLateError(UnavailableError):
    """Something did not come in time. what: a few words."""

    code = "HYG-493"
    fr = "La démonstration a attendu {seconds} s en vain : {what}."
    en = "The demonstration waited {seconds} s in vain: {what}."


class DemoFolderError(InvalidRequestError):
    """The demonstration destroys and repairs things: never in a folder that it did not make itself."""

    code = "HYG-191"
    fr = "{folder} contient autre chose qu'une démonstration : donnez-lui un dossier à elle avec --data."
    en = "{folder} holds something else than a demonstration: give it a folder of its own with --data."


class DemoSourceError(InvalidRequestError):
    """``--load`` names a folder without anything to load."""

    code = "HYG-192"
    fr = "{folder} ne contient aucun fichier .json, .json.gz, .ndjson ni .ndjson.gz."
    en = "{folder} holds no .json, .json.gz, .ndjson or .ndjson.gz file."
