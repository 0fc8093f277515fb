"""Which requirements of the HDS référentiel apply to this host, and why, read from its registers.

Only what is known to be absent takes a requirement out: no service, no named actor, no answer means that it applies.
Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date

from hygie.proof.certification.coverage import Layer
from hygie.proof.certification.from_registers import Newest, actor_field
from hygie.proof.certification.scoping import Answers, Applies, DataKind, own_words, scope
from hygie.proof.model import Text
from hygie.proof.referentials.model import NODE_MARK, Referential
from hygie.proof.referentials.shipped import RGPD
from hygie.registers.chain import RecordVersion

HOST, PROCESSOR = "host", "processor"
# Articles of the RGPD that bind others than a host in its role, and why.
CONTROLLERS_OWN: Mapping[str, Text] = {
    "7": Text("Le consentement se recueille et se prouve par le responsable.", "The controller collects consent."),
    "8": Text(
        "Proposer un service aux enfants est l'acte du responsable.", "Serving children is the controller's act."
    ),
    "10": Text(
        "Le registre des traitements n'admet pas ces données.", "The register of processing admits no such data."
    ),
    "11": Text("Identifier, ou non, est le choix du responsable.", "To identify or not is the controller's choice."),
    "22": Text("L'hébergeur ne décide de rien sur une personne.", "The host decides nothing about a person."),
    "26": Text("L'hébergeur ne fixe aucune finalité.", "The host sets no purpose."),
    "49": Text(
        "Le registre des transferts n'admet pas de dérogation.", "The register of transfers admits no exception."
    ),
}
GONE = ("ended", "refused", "closed", "replaced")  # states of services, actors, transfers and questionnaires


def applicability_of(
    of: Newest, referential: Referential, *, tenants: Sequence[str], today: date
) -> dict[str, tuple[bool, Text]]:
    """By ``référentiel@version#node``: whether it applies, and why. A node that is not there applies.

    Args: of: newest versions of the records of a register; tenants: clients that the platform hosts.
    """
    answers = answers_of_host(of, tenants=tenants, today=today)
    if answers is None:
        return {}
    found: dict[str, tuple[bool, Text]] = {}
    for one in scope(answers, requirements_of(referential), own_words()).requirements:
        found[f"{referential.id}{NODE_MARK}{one.id}"] = (one.applies is not Applies.NO, one.reason)
    for node in referential.nodes:  # each after its parent
        above = found.get(f"{referential.id}{NODE_MARK}{node.parent}")
        if above is not None and not above[0]:
            found[f"{referential.id}{NODE_MARK}{node.id}"] = above
    return found


def applying(of: Newest, referential: Referential, *, today: date) -> set[str]:
    """The requirements that name activities and apply to the host, whatever its clients have answered."""
    ruled = applicability_of(of, referential, tenants=(), today=today)
    named = (node.id for node in referential.nodes if node.activities)
    return {name for name in named if ruled.get(f"{referential.id}{NODE_MARK}{name}", (True, None))[0]}


def left_to_controllers() -> dict[str, tuple[bool, Text]]:
    """What does not apply to a host of the RGPD, as :func:`applicability_of` says it."""
    return {f"{RGPD}{NODE_MARK}{name}": (False, why) for name, why in CONTROLLERS_OWN.items()}


def requirements_of(referential: Referential) -> list[Mapping[str, object]]:
    """The requirements that name activities, as ``scoping.scope`` reads them."""
    return [
        {"id": node.id, "applies_to": {"activities": list(node.activities)} | _condition(node.condition.en)}
        for node in referential.nodes
        if node.activities
    ]


def answers_of_host(of: Newest, *, tenants: Sequence[str], today: date) -> Answers | None:
    """The answers that registers give for the host as a whole; None when they do not tell what it performs."""
    services = _live(of("service"))
    actors = _live(of("supplier"))
    hosts = {record.key for record in actors if record.fields["role"] == HOST}
    named = [
        (activity, record.fields.get(actor_field(activity)))
        for record in services
        for activity in record.fields.get("activities", ())
    ]
    # What nobody is named for is the host's own: a gap in a register must not take a requirement out.
    performed = {activity for activity, actor in named if actor is None or actor in hosts}
    if not performed:
        return None
    others = {activity: str(actor) for activity, actor in named if activity not in performed}
    processors = {one.key for one in actors if one.fields["role"] == PROCESSOR and one.state != "candidate"}
    processors |= {str(actor) for _, actor in named if actor is not None} - hosts
    asked = _live(of("scoping"))

    def told(name: str, *, held: bool) -> bool | None:
        """Yes when a register or a client's questionnaire says so; no once the host itself is declared."""
        return True if held or any(one.fields.get(name) for one in asked) else False if hosts else None

    return Answers(
        id=HOST,
        answered_on=today,
        answered_by=HOST,
        for_others=True,
        data=DataKind.HEALTH,
        care_context=True,
        short_loan=False,
        archiving_only=False,
        activities=tuple(sorted(performed)),
        layers=tuple(Layer(activity, actor) for activity, actor in sorted(others.items())),
        subcontracts=told("subcontracts", held=bool(processors)),
        certified_subcontractor=told("certified_subcontractor", held=_certified(processors, of)),
        stores_data=True,  # a platform with sites stores
        remote_access_outside_eea=told(
            "remote_access_outside_eea",
            held=any(one.fields.get("outside_eea") for one in actors) or bool(_live(of("transfer"))),
        ),
        foreign_law=told("foreign_law", held=any(one.fields.get("foreign_law") for one in actors)),
        client_specific_resources=_specific(asked, tenants),
    )


def _live(records: Sequence[RecordVersion]) -> list[RecordVersion]:
    return [record for record in records if record.state not in GONE]


def _condition(sentence: str) -> dict[str, object]:
    return {"condition": sentence} if sentence else {}


def _certified(processors: Collection[str], of: Newest) -> bool:
    declared = any(one.key in processors and one.fields.get("hds") == "yes" for one in of("supplier"))
    return declared or any(one.fields.get("holder") in processors for one in of("certificate"))


def _specific(asked: Sequence[RecordVersion], tenants: Sequence[str]) -> bool | None:
    """Whether some client has resources of its own: no, when each client hosted has said so."""
    said = [(one.tenant, one.fields.get("client_specific_resources")) for one in asked]
    if any(answer for _, answer in said):
        return True
    return False if tenants and set(tenants) <= {tenant for tenant, answer in said if answer is False} else None
