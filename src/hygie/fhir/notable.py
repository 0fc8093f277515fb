"""What the entry of a read says of whom it was about, for the rules of the watch: never a value. Pure.

``same_name``: a person reads the record of a patient of his own family name, beside those of his care; ``vip``: the
client labelled what is read as somebody's whom people are curious of.  Sources: FHIR R4 security labels
(https://hl7.org/fhir/R4/security-labels.html); HL7 v3 ActCode, Confidentiality, EncounterSpecialCourtesy.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from hygie.base.permit import Permit
from hygie.base.words import words_of
from hygie.vault.model import Stored

_HL7 = "http://terminology.hl7.org/CodeSystem/"
LABELS = frozenset(
    {
        (_HL7 + "v3-ActCode", "CEL"),  # celebrity information sensitivity
        (_HL7 + "v3-ActCode", "EMP"),  # employee information sensitivity: a colleague
        (_HL7 + "v3-Confidentiality", "V"),  # very restricted
        (_HL7 + "v3-EncounterSpecialCourtesy", "VIP"),
    }
)
_LABELLED = b'"security"'  # no label without it: nothing is parsed for most of what is read
_YES = "yes"


class _Coding(msgspec.Struct):
    system: str = ""
    code: str = ""


class _Meta(msgspec.Struct):
    security: list[_Coding] = []


class _Name(msgspec.Struct):
    family: str = ""


class _Patient(msgspec.Struct):
    name: list[_Name] = []


class _Labelled(msgspec.Struct):
    meta: _Meta = msgspec.field(default_factory=_Meta)


_patient = msgspec.json.Decoder(_Patient)
_labelled = msgspec.json.Decoder(_Labelled)


def notable(permit: Permit, stored: Stored) -> Mapping[str, str]:
    """Details of the entry, often none."""
    found: dict[str, str] = {}
    try:
        if _LABELLED in stored.body and _is_labelled(stored.body):
            found["vip"] = _YES
        if permit.kin and stored.type == "Patient" and stored.body and not _is_of_his_care(permit):
            families = (one.family for one in _patient.decode(stored.body).name)
            if any(permit.kin & words_of(family) for family in families):
                found["same_name"] = _YES
    except msgspec.DecodeError:  # of no shape that the face lets in: a read does not fail for what is said of it
        return found
    return found


def _is_labelled(body: bytes) -> bool:
    return any((one.system, one.code) in LABELS for one in _labelled.decode(body).meta.security)


def _is_of_his_care(permit: Permit) -> bool:
    """Whether the permit opens sets of patients and nothing else: somebody put these in his care."""
    scope = permit.patients
    return scope is not None and bool(scope.sets) and not scope.patients and not scope.subjects
