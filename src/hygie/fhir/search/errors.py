"""What a search URL may be answered instead of a result. Facts hold a parameter's name, never its value."""

from __future__ import annotations

import re

from hygie.base.errors import InvalidRequestError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9-]{0,63}")


def safe_name(name: str) -> str:
    """The parameter's name if it is shaped like one; a caller may have typed anything there."""
    return name if _NAME.fullmatch(name) else "?"


class UnsupportedParameterError(InvalidRequestError):
    """The resource type has no such search parameter, or Hygie does not serve it."""

    code = "HYG-175"
    fr = "Le paramètre de recherche « {parameter} » n'est pas pris en charge pour {type}."
    en = "The search parameter '{parameter}' is not supported for {type}."


class ParameterValueError(InvalidRequestError):
    """A search value does not have the form of its parameter's type."""

    code = "HYG-176"
    fr = "La valeur du paramètre de recherche « {parameter} » n'a pas la forme attendue ({reason})."
    en = "The value of the search parameter '{parameter}' does not have the expected form ({reason})."


class UnsupportedModifierError(InvalidRequestError):
    """A modifier, a prefix or a chain that Hygie does not serve on this parameter."""

    code = "HYG-177"
    fr = "Le paramètre de recherche « {parameter} » n'accepte pas cette écriture ({reason})."
    en = "The search parameter '{parameter}' does not accept this form ({reason})."


class SearchLimitError(InvalidRequestError):
    """A search, or what one resource would put into the index, is over a limit."""

    code = "HYG-178"
    fr = "Une limite de la recherche est dépassée ({limit} : {maximum})."
    en = "A limit of searching is exceeded ({limit}: {maximum})."


class UnknownSearchTypeError(InvalidRequestError):
    """A search was asked on something that is not an R4 resource type."""

    code = "HYG-179"
    fr = "Ce type de ressource n'existe pas en FHIR R4."
    en = "This resource type does not exist in FHIR R4."
