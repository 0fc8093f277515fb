"""The CapabilityStatement: made from what the code serves, so that it cannot promise more.

Source: http://hl7.org/fhir/R4/capabilitystatement.html.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec

from hygie.fhir.queries import RESULT_PARAMETERS, search_parameters
from hygie.fhir.structures import resource_types

PUBLISHED_ON = "2026-11-23"  # of this list of abilities, not of the software
_INSTANCE = ("read", "vread", "update", "delete", "history-instance")
_TYPE = ("create", "search-type", "history-type")
_SERVICE = "http://terminology.hl7.org/CodeSystem/restful-security-service"
_EVERYTHING = "http://hl7.org/fhir/OperationDefinition/Patient-everything"


@lru_cache(maxsize=16)
def capability_statement(base: str, version: str) -> bytes:
    """The statement for one environment's address.

    Args: base: the FHIR address; version: of Hygie.
    """
    return msgspec.json.encode(
        {
            "resourceType": "CapabilityStatement",
            "status": "active",
            "date": PUBLISHED_ON,
            "publisher": "Hygie",
            "kind": "instance",
            "software": {"name": "Hygie", "version": version},
            "implementation": {"description": "Hygie: FHIR R4", "url": base},
            "fhirVersion": "4.0.1",
            "format": ["application/fhir+json", "json"],
            "rest": [
                {
                    "mode": "server",
                    "security": {
                        "cors": False,
                        "service": [{"coding": [{"system": _SERVICE, "code": "SMART-on-FHIR"}]}],
                        "description": "Authorization: Bearer <token>, on every request but this one, over TLS 1.2 or "
                        "later. X-Purpose-Of-Use is written in the access journal.",
                    },
                    "resource": _resources(),
                    "interaction": [{"code": code} for code in ("transaction", "batch", "history-system")],
                }
            ],
        }
    )


@lru_cache(maxsize=1)
def _resources() -> list[dict[str, Any]]:
    return [_resource(type_) for type_ in sorted(resource_types())]


def _resource(type_: str) -> dict[str, Any]:
    parameters = search_parameters(type_)
    described: dict[str, Any] = {
        "type": type_,
        "interaction": [{"code": code} for code in (*_INSTANCE, *_TYPE)],
        "versioning": "versioned-update",
        "readHistory": True,
        "updateCreate": True,
        "conditionalCreate": True,
        "conditionalRead": "full-support",
        "conditionalUpdate": True,
        "conditionalDelete": "single",
        "referencePolicy": ["literal", "logical", "local"],
        "searchInclude": [f"{type_}:{name}" for name, kind in parameters.items() if kind == "reference"],
        "searchParam": [{"name": name, "type": kind} for name, kind in parameters.items()],
    }
    if not described["searchInclude"]:
        del described["searchInclude"]
    if type_ == "Patient":
        described["operation"] = [{"name": "everything", "definition": _EVERYTHING}]
    if type_ == "Binary":
        described["documentation"] = (
            "A content sent with another media type than JSON is kept byte for byte, streamed, up to 1 GiB; "
            "it is read by ranges."
        )
    described["documentation"] = " ".join(
        filter(None, (described.get("documentation"), "Result parameters: " + ", ".join(RESULT_PARAMETERS) + "."))
    )
    return described
