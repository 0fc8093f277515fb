"""Which patients a resource belongs to: the R4 Patient compartment, widened by the types' own ``patient`` parameter.

The compartment of R4 leaves out types that clearly speak of one patient (Task, Device, GuidanceResponse…); an erasure
that forgot them would be a false promise, so every ``patient`` parameter counts too (docs/adr/0006).
"""

from __future__ import annotations

from functools import cache

from hygie.fhir.search.definitions import compartment_parameters
from hygie.fhir.search.parameters import Parameter, parameters_of


@cache
def compartment_members(type_: str) -> tuple[Parameter, ...]:
    """The reference parameters through which a resource of this type belongs to a patient; none for a Patient itself.

    Raises: UnknownSearchTypeError.
    """
    served = parameters_of(type_)
    if type_ == "Patient":
        return ()  # it belongs to itself, not to those it is linked to
    codes = dict.fromkeys((*compartment_parameters(type_), "patient"))
    return tuple(served[code] for code in codes if code in served and served[code].kind == "reference")


@cache
def compartment_slots(type_: str) -> frozenset[str]:
    """The elements that hold those references."""
    return frozenset(slot for parameter in compartment_members(type_) for slot in parameter.slots)
