"""What a habilitation is limited to: types of resources, sets of patients, purposes of use. Nothing: it is not limited.

A set of patients is a ``Group`` that the client's application keeps in the environment; who its members are is never
written here.  Purposes are the codes of HL7's PurposeOfUse (``gate/purposes.py``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from hygie.base.permit import SET_TYPE, PatientScope, Place
from hygie.gate.administration_rows import Row, check
from hygie.gate.purposes import PURPOSES
from hygie.keys.kms import Kms
from hygie.vault.tokens import BlindIndex

TYPES_MAX = 30
SETS_MAX = 10  # each costs every question to the catalogue a look
TYPE = re.compile(r"[A-Z][A-Za-z]{1,63}")
_SET = re.compile(rf"{SET_TYPE}/[A-Za-z0-9\-.]{{1,64}}", re.ASCII)
_IDENTITY = re.compile(r"[0-9]{13}")  # an INS has thirteen digits: an identity of a person names no set of patients


@dataclass(frozen=True, slots=True)
class Limits:
    """types: of resources; patients: sets, as ``Group/ID``; purposes: codes. All of each when empty."""

    types: frozenset[str] = frozenset()
    patients: frozenset[str] = frozenset()
    purposes: frozenset[str] = frozenset()

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Limits:
        """As a row of the table says them, by name of column."""
        return cls(*(frozenset(row[name].split()) for name in ("types", "patients", "purposes")))

    def row(self) -> Row:
        """The columns of a row."""
        columns = {"types": self.types, "patients": self.patients, "purposes": self.purposes}
        return {name: " ".join(sorted(said)) for name, said in columns.items()}

    def check(self) -> None:
        """Refuse what is no type, no set or no purpose, and too many of them. Raises: AdministrationError."""
        check(len(self.types) <= TYPES_MAX and all(map(TYPE.fullmatch, self.types)), "types")
        sets = [one for one in self.patients if _SET.fullmatch(one) and not _IDENTITY.search(one)]
        check(len(self.patients) <= SETS_MAX and len(sets) == len(self.patients), "patients")
        check(self.purposes <= PURPOSES, "purposes")

    @property
    def scope(self) -> PatientScope | None:
        """Whose records these limits leave open; None: everybody's."""
        if not self.patients:
            return None
        return PatientScope(frozenset(one.partition("/")[2] for one in self.patients))

    async def told(self, kms: Kms, place: Place) -> dict[str, str]:
        """What the journal says of them. A set is named by its opaque id, as in every entry."""
        said = {name: text for name, text in self.row().items() if text and name != "patients"}
        if self.patients:
            key = await kms.environment_key(place.tenant_id, place.environment_id, "id")
            index = BlindIndex(id_key=key, index_key=key)
            opaque = sorted(index.object_id(*one.split("/")).hex() for one in self.patients)
            said["patients"] = " ".join(opaque)
        return said


WHOLE: Final = Limits()
