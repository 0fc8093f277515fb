"""What can go wrong between Hygie and its sites."""

from __future__ import annotations

from hygie.base.errors import IntegrityError, InvalidRequestError, NotFoundError, SettingsError, UnavailableError


class ObjectNameError(InvalidRequestError):
    """The name of an object is not one that every kind of site can hold."""

    code = "HYG-140"
    fr = "Nom d'objet refusé : segments [a-z0-9._-] séparés par « / », 200 octets au plus."
    en = "Object name refused: segments of [a-z0-9._-] separated by '/', 200 bytes at most."


class ObjectAbsentError(NotFoundError):
    """No site that answered has an object of this name."""

    code = "HYG-340"
    fr = "L'objet {name} est absent ({site})."
    en = "Object {name} is absent ({site})."


class SiteUnavailableError(UnavailableError):
    """A site is away, full, read-only, too slow, or is not the site it should be.

    Facts: site, reason: one of absent, full, read-only, timeout, other-site, or the name of a system error.
    """

    code = "HYG-440"
    fr = "Le site {site} est indisponible ({reason}) : vérifiez son montage, son espace libre et ses droits."
    en = "Site {site} is unavailable ({reason}): check its mount, its free space and its rights."


class SiteQuorumError(UnavailableError):
    """Too few sites made the object durable. After a first put the outcome is unknown, never 'refused'."""

    code = "HYG-441"
    fr = "Quorum de sites non atteint ({done} sur {quorum}) : issue inconnue, réessayez."
    en = "Quorum of sites not reached ({done} of {quorum}): outcome unknown, try again."


class ObjectExistsError(IntegrityError):
    """A site already holds other bytes under this name; nothing was overwritten."""

    code = "HYG-540"
    fr = "Le site {site} contient déjà d'autres octets sous le nom {name} : rien n'a été écrasé."
    en = "Site {site} already holds other bytes under the name {name}: nothing was overwritten."


class ReadBackError(IntegrityError):
    """The bytes read back just after a write are not the bytes sent."""

    code = "HYG-541"
    fr = "Le site {site} ne rend pas les octets qu'il vient de recevoir ({name}) : suspectez son disque."
    en = "Site {site} does not give back the bytes it just received ({name}): suspect its disk."


class ObjectTruncatedError(IntegrityError):
    """An object is shorter than the range asked for."""

    code = "HYG-542"
    fr = "L'objet {name} est tronqué sur le site {site} : lancez un scrub."
    en = "Object {name} is truncated on site {site}: run a scrub."


class ForeignEntryError(IntegrityError):
    """A symbolic link, a device or a folder stands where an object should be; it is never followed."""

    code = "HYG-543"
    fr = "Sur le site {site}, {name} n'est pas un fichier ordinaire : entrée étrangère, jamais suivie."
    en = "On site {site}, {name} is not a regular file: a foreign entry, never followed."


class ObjectDamagedError(IntegrityError):
    """Every copy that answered fails its check."""

    code = "HYG-544"
    fr = "Aucune copie intègre de l'objet {name} parmi les sites qui répondent."
    en = "No intact copy of object {name} among the sites that answer."


class SiteFolderError(SettingsError):
    """A folder that holds something is not taken for a new site's, nor for a new backup target's."""

    code = "HYG-641"
    fr = "{folder} n'est pas vide : un nouveau site ou une nouvelle cible ({site}) commence par un dossier vide."
    en = "{folder} is not empty: a new site or target ({site}) begins with an empty folder."


class SiteSettingsError(SettingsError):
    """The set of sites is not one that may be used."""

    code = "HYG-640"
    fr = "Sites refusés ({site}) : {reason}."
    en = "Sites refused ({site}): {reason}."
