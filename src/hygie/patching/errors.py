"""What the room of patches refuses."""

from __future__ import annotations

from hygie.base.errors import IntegrityError, InvalidRequestError, NotFoundError, UnavailableError


class FeedDigestError(InvalidRequestError):
    """A feed is not the file whose SHA-256 was given."""

    code = "HYG-1M0"
    fr = "Ce fichier n'a pas l'empreinte SHA-256 donnée : rien n'est repris."
    en = "This file does not have the SHA-256 that was given: nothing is taken."


class FeedInvalidError(InvalidRequestError):
    """A feed that cannot be read, or is beyond a limit: the old one stays."""

    code = "HYG-1M1"
    fr = "Flux de vulnérabilités refusé ({where}) : {reason}."
    en = "Vulnerability feed refused ({where}): {reason}."


class FeedOlderError(InvalidRequestError):
    """A feed is older than the one that is there: it would hide what was published since."""

    code = "HYG-1M2"
    fr = "Flux {feed} plus ancien que celui qui est en place : il est refusé."
    en = "The feed {feed} is older than the one in place: it is refused."


class PatchRefusedError(InvalidRequestError):
    """A plan or an exception that does not hold: its end, what it names."""

    code = "HYG-1M3"
    fr = "Refusé : {reason}."
    en = "Refused: {reason}."


class VulnerabilityUnknownError(NotFoundError):
    """No open vulnerability has this name, in this component."""

    code = "HYG-3M0"
    fr = "Aucune vulnérabilité ouverte ne porte ce nom (hygie patch list les donne)."
    en = "No open vulnerability has this name (hygie patch list names them)."


class SystemUnreadableError(UnavailableError):
    """What is installed on this machine cannot be read."""

    code = "HYG-4M0"
    fr = "Ce qui est installé ne se lit pas ({part})."
    en = "What is installed cannot be read ({part})."


class FeedDamagedError(IntegrityError):
    """A kept feed is not the one that was brought: bring it again."""

    code = "HYG-5M0"
    fr = "Le flux {feed} n'est plus celui qui a été apporté : apportez-le de nouveau (hygie patch feed)."
    en = "The feed {feed} is not the one that was brought: bring it again (hygie patch feed)."


class PatchStillOpenError(InvalidRequestError):
    """What a patch was for is still found in what runs."""

    code = "HYG-1M4"
    fr = "Toujours là dans ce qui tourne : {left}."
    en = "Still found in what runs: {left}."
