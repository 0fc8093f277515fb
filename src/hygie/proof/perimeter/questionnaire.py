"""The scoping questionnaire of one client: from answers as they are given to a record, and what follows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from hygie.proof.certification.from_registers import SCOPING, actor_field, answers_of
from hygie.proof.certification.reading import ACTIVITIES
from hygie.proof.certification.scoping import Scope, own_words, scope
from hygie.proof.model import Text
from hygie.proof.perimeter.applicability import requirements_of
from hygie.proof.referentials.model import Referential
from hygie.registers.chain import RecordVersion
from hygie.registers.errors import RecordInvalidError
from hygie.registers.schema import shipped_schemas
from hygie.registers.values import read_value

RESULT = ("concerned", "reasons_fr", "reasons_en")
QUESTIONS: Mapping[str, Text] = {
    "for_others": Text("Héberge-t-on ces données pour autrui ?", "Are these data hosted for others?"),
    "data": Text("Quelles données ?", "Which data?"),
    "care_context": Text(
        "Sont-elles recueillies lors de soins, d'un diagnostic, d'une prévention ou d'un suivi ?",
        "Are they gathered during care, diagnosis, prevention or follow-up?",
    ),
    "short_loan": Text(
        "Est-ce un simple prêt de courte durée (saisie, mise en forme, impression, numérisation) ?",
        "Is it a mere loan for a short time (entry, formatting, printing, digitising)?",
    ),
    "archiving_only": Text("Est-ce seulement de l'archivage électronique ?", "Is it electronic archiving only?"),
    "activities": Text(
        "Quelles activités (1 à 6) l'hébergeur assure-t-il lui-même ?",
        "Which activities (1 to 6) does the host perform?",
    ),
    **{
        actor_field(number): Text(
            f"Qui assure l'activité {number}, si ce n'est lui (fiche du registre supplier) ?",
            f"Who performs activity {number}, if not the host (record of the register supplier)?",
        )
        for number in ACTIVITIES
    },
    "subcontracts": Text("Recourt-on à la sous-traitance ?", "Is subcontracting used?"),
    "certified_subcontractor": Text(
        "Recourt-on à un sous-traitant certifié HDS ?", "Is an HDS-certified sub-contractor used?"
    ),
    "stores_data": Text("Des données de santé sont-elles stockées ?", "Are health data stored?"),
    "remote_access_outside_eea": Text(
        "Y a-t-il des accès à distance depuis un pays hors EEE ?", "Is there remote access from outside the EEA?"
    ),
    "foreign_law": Text(
        "L'hébergeur ou un sous-traitant relève-t-il du droit d'un pays tiers non adéquat ?",
        "Is the host or a sub-contractor under the law of a non-adequate third country?",
    ),
    "client_specific_resources": Text(
        "Des ressources sont-elles propres au client ?", "Are some resources specific to the client?"
    ),
}


def answered(
    given: Mapping[str, object], referential: Referential, *, tenant: str, by: str, today: date
) -> tuple[dict[str, Any], Scope]:
    """The fields of the record to write, with what follows from them, and the whole of what follows.

    Args: given: answers by name of the register's fields; what is absent or empty was not answered.
    Raises: RecordInvalidError: a name or a value; RecordRefusedError: answers that contradict one another.
    """
    schema = shipped_schemas()[SCOPING]
    fields: dict[str, Any] = {}
    for name, value in ({"answered_by": by, "answered_on": today.isoformat()} | dict(given)).items():
        field = schema.field(name)
        if field is None or name in RESULT:
            shown = name if name in RESULT else "?"
            raise RecordInvalidError(line=1, field=shown, reason_fr="pas une question", reason_en="no question")
        stored = read_value(field, value, 1)
        if stored is not None:
            fields[name] = stored
    record = RecordVersion(0, SCOPING, "new", 1, 0, "-", "", tenant, "answered", "", fields)
    found = scope(answers_of(record), requirements_of(referential), own_words())
    fields["concerned"] = found.concerned.value
    fields["reasons_fr"] = " ; ".join(reason.fr for reason in found.reasons)
    fields["reasons_en"] = "; ".join(reason.en for reason in found.reasons)
    return fields, found
