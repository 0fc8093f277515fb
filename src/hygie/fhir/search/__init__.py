"""Search over ciphertext, FHIR side: what a resource is filed under, and what a search asks for.

Reading order: ``definitions`` (HL7's facts), ``path`` and ``parameters`` (what each reads), ``extraction`` and
``terms`` (what is filed), ``asks`` and ``query`` (what is asked), ``match`` (what decides). No health data in errors.
"""

from __future__ import annotations

from hygie.fhir.search.extraction import Extracted, extract
from hygie.fhir.search.query import SearchQuery, compile_query, search_parameters_of

__all__ = [
    "Extracted",
    "SearchQuery",
    "compile_query",
    "extract",
    "search_parameters_of",
]
