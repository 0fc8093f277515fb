"""Is somebody concerned by HDS certification, for which activities, and which requirements apply: answers to reasons.

What nobody answered is unknown, never "no". Source: CSP L.1111-8, R.1111-8-8, R.1111-9.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import cache

from hygie.proof.certification.coverage import Layer
from hygie.proof.certification.data import Row, known_tables, own_file, rows, tables
from hygie.proof.certification.errors import RecordRefusedError
from hygie.proof.certification.reading import ACTIVITIES, Reader
from hygie.proof.model import Text

FILE = "scoping.toml"
REQUIREMENTS_MAX = 10_000  # a référentiel has tens of requirements; bounds what one call costs
_CONDITIONED = (
    "subcontracts",
    "certified_subcontractor",
    "stores_data",
    "remote_access_outside_eea",
    "foreign_law",
    "client_specific_resources",
)


class Applies(StrEnum):
    """Whether something applies: yes, no, or nobody has answered yet."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class Held(StrEnum):
    """How much of a familiar role the activities make up."""

    WHOLE = "whole"
    PARTLY = "partly"
    NONE = "none"


class DataKind(StrEnum):
    """What the data are. Pseudonymised data remain personal data (RGPD, recital 26)."""

    HEALTH = "health"
    PSEUDONYMISED = "pseudonymised"
    ANONYMOUS = "anonymous"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers of one client or service, on a day. What is None was not answered.

    for_others: acts for whoever produced or collected the data, or for the patient. care_context: data gathered during
    prevention, diagnosis, care, social or medico-social follow-up. short_loan: data lent for a short time to be
    entered, formatted, printed or digitised. archiving_only: nothing but electronic archiving. activities: those that
    one performs oneself. layers: who performs the others.
    """

    id: str
    answered_on: date
    answered_by: str
    for_others: bool | None = None
    data: DataKind | None = None
    care_context: bool | None = None
    short_loan: bool | None = None
    archiving_only: bool | None = None
    activities: tuple[int, ...] | None = None
    layers: tuple[Layer, ...] = ()
    subcontracts: bool | None = None
    certified_subcontractor: bool | None = None
    stores_data: bool | None = None
    remote_access_outside_eea: bool | None = None
    foreign_law: bool | None = None
    client_specific_resources: bool | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition of a requirement, bound to an answer."""

    key: str
    sentence: str
    answer: str
    sub_item: str | None
    yes: Text
    no: Text


@dataclass(frozen=True, slots=True)
class Role:
    """One of the six familiar roles: the activities it stands for, and where the words do not match."""

    id: str
    title: Text
    activities: tuple[int, ...]
    note: Text


@dataclass(frozen=True, slots=True)
class Words:
    """The data file: conditions and roles."""

    conditions: tuple[Condition, ...]
    roles: tuple[Role, ...]


@dataclass(frozen=True, slots=True)
class RequirementScope:
    """One requirement, or one of its sub-items, and whether it applies."""

    id: str
    applies: Applies
    reason: Text


@dataclass(frozen=True, slots=True)
class Scope:
    """What follows from the answers.

    to_certify: activities that one performs and must hold a certificate for; needed: all those the service rests on;
    relied_on: what others perform and must be certified for.
    """

    concerned: Applies
    reasons: tuple[Text, ...]
    needed: tuple[int, ...]
    to_certify: tuple[int, ...]
    relied_on: tuple[Layer, ...]
    requirements: tuple[RequirementScope, ...]


def parse_answers(body: object, record: str = "scoping") -> Answers:
    """Answers from a plain dict.

    Raises: RecordRefusedError: unknown, missing or malformed field; answers that contradict one another (a layer both
    performed and left to another, layers left to others with no subcontracting, a certified sub-contractor with none).
    """
    read = Reader(record, body)
    answers = Answers(
        id=read.identifier("id"),
        answered_on=read.day("answered_on"),
        answered_by=read.text("answered_by"),
        for_others=read.optional(read.flag, "for_others"),
        data=read.optional(lambda field: read.choice(field, DataKind), "data"),
        care_context=read.optional(read.flag, "care_context"),
        short_loan=read.optional(read.flag, "short_loan"),
        archiving_only=read.optional(read.flag, "archiving_only"),
        activities=read.optional(lambda field: read.activities(field, empty=True), "activities"),
        layers=tuple(_layer(each) for each in read.parts("layers")),
        subcontracts=read.optional(read.flag, "subcontracts"),
        certified_subcontractor=read.optional(read.flag, "certified_subcontractor"),
        stores_data=read.optional(read.flag, "stores_data"),
        remote_access_outside_eea=read.optional(read.flag, "remote_access_outside_eea"),
        foreign_law=read.optional(read.flag, "foreign_law"),
        client_specific_resources=read.optional(read.flag, "client_specific_resources"),
    )
    read.done()
    others = [layer.activity for layer in answers.layers]
    if len(set(others)) < len(others) or set(others) & set(answers.activities or ()):
        raise read.refused("layers", Text("deux acteurs pour une activité", "two actors for one activity"))
    if others and answers.subcontracts is False:
        reason = Text("non, alors que d'autres assurent une activité", "no, while others perform an activity")
        raise read.refused("subcontracts", reason)
    if answers.certified_subcontractor and answers.subcontracts is False:
        raise read.refused("certified_subcontractor", Text("oui, sans sous-traitance", "yes, without subcontracting"))
    return answers


def _layer(read: Reader) -> Layer:
    layer = Layer(read.activity("activity"), read.identifier("actor"))
    read.done()
    return layer


@cache
def own_words() -> Words:
    """The words shipped with this version."""
    return read_words(own_file(FILE))


def read_words(text: str) -> Words:
    """The words of a TOML text in the form of ``scoping.toml``. Raises: CertificationDataError: malformed."""
    body = tables(FILE, text)
    known_tables(FILE, body, {"condition", "role"})
    return Words(
        tuple(_condition(row) for row in rows(FILE, body, "condition")),
        tuple(_role(row) for row in rows(FILE, body, "role")),
    )


def _condition(row: Row) -> Condition:
    condition = Condition(
        key=row.text("key"),
        sentence=row.text("sentence"),
        answer=row.text("answer", _CONDITIONED),
        sub_item=row.text("sub_item") if row.has("sub_item") else None,
        yes=row.both("yes"),
        no=row.both("no"),
    )
    row.done()
    return condition


def _role(row: Row) -> Role:
    role = Role(row.text("id"), row.both("title"), row.numbers("activities"), row.both("note"))
    row.done()
    if not role.activities or not set(role.activities) <= set(ACTIVITIES):
        raise row.refused("activities", Text("activités de 1 à 6 attendues", "activities 1 to 6 expected"))
    return role


def roles_held(activities: Sequence[int], words: Words) -> tuple[tuple[Role, Held], ...]:
    """Each familiar role, and whether all its activities are among these, some, or none."""
    held = set(activities)
    found = []
    for role in words.roles:
        inside = held & set(role.activities)
        whole = len(inside) == len(set(role.activities))
        found.append((role, Held.WHOLE if whole else Held.PARTLY if inside else Held.NONE))
    return tuple(found)


def scope(answers: Answers, requirements: Sequence[Mapping[str, object]], words: Words) -> Scope:
    """Whether one is concerned, for which activities, and which requirements apply, each with its reason.

    requirements: dicts with ``id`` and ``applies_to`` (``activities``, ``condition``), as a référentiel holds them.
    Raises: RecordRefusedError: a requirement without id or applies_to, or with activities outside 1 to 6.
    """
    if len(requirements) > REQUIREMENTS_MAX:
        reason = Text(f"{REQUIREMENTS_MAX} exigences au plus", f"at most {REQUIREMENTS_MAX} requirements")
        raise RecordRefusedError(record="requirements", field="-", reason=reason)
    concerned, reasons = _concerned(answers)
    performed = answers.activities or ()
    ruled: list[RequirementScope] = []
    for number, each in enumerate(requirements):
        ruled += _ruled(f"requirements[{number}]", each, answers, words, concerned)
    return Scope(
        concerned=concerned,
        reasons=reasons,
        needed=tuple(sorted({*performed, *(layer.activity for layer in answers.layers)})),
        to_certify=performed if concerned is Applies.YES else (),
        relied_on=answers.layers,
        requirements=tuple(ruled),
    )


def _concerned(answers: Answers) -> tuple[Applies, tuple[Text, ...]]:
    """The tests of the duty are cumulative: one "no" settles it, else one absent answer leaves it open."""
    tests = _tests(answers)
    against = tuple(reason for held, _, reason in tests if held is False)
    if against:
        return Applies.NO, against
    absent = tuple(question for held, question, _ in tests if held is None)
    if absent:
        told = (Text(f"sans réponse : {each.fr}", f"no answer: {each.en}") for each in absent)
        return Applies.UNKNOWN, tuple(told)
    return Applies.YES, (
        Text(
            "héberge pour autrui des données de santé recueillies lors de soins (activités de R.1111-9 CSP)",
            "hosts for others health data gathered during care (activities of R.1111-9 CSP)",
        ),
    )


def _tests(answers: Answers) -> list[tuple[bool | None, Text, Text]]:
    """Each test: whether it is met, its question, and what is said when it is not."""
    health = None if answers.data is None else answers.data in {DataKind.HEALTH, DataKind.PSEUDONYMISED}
    performs = None if answers.activities is None else bool(answers.activities)
    return [
        (
            answers.for_others,
            Text("héberge-t-il pour autrui ?", "does it host for others?"),
            Text(
                "il garde ses propres données : il n'est pas hébergeur ; s'il externalise, l'hébergeur est certifié",
                "it keeps its own data: it is no host; if it outsources, the host is certified",
            ),
        ),
        (
            health,
            Text("quelles données ?", "which data?"),
            Text("ce ne sont pas des données de santé à caractère personnel", "these are not personal health data"),
        ),
        (
            answers.care_context,
            Text("sont-elles recueillies lors de soins ou d'un suivi ?", "are they gathered during care or follow-up?"),
            Text("elles ne sont pas recueillies lors de soins ni d'un suivi", "they are not gathered during care"),
        ),
        (
            _negated(answers.short_loan),
            Text("est-ce un simple prêt de courte durée ?", "is it a mere loan for a short time?"),
            Text(
                "un prêt de courte durée (saisie, mise en forme, impression, numérisation) n'est pas un hébergement",
                "a short loan to enter, format, print or digitise is not hosting",
            ),
        ),
        (
            _negated(answers.archiving_only),
            Text("est-ce seulement de l'archivage électronique ?", "is it electronic archiving only?"),
            Text(
                "l'archivage électronique demande un agrément du ministre de la culture, pas ce certificat",
                "electronic archiving needs an approval of the minister of culture, not this certificate",
            ),
        ),
        (
            performs,
            Text("quelles activités assure-t-il lui-même ?", "which activities does it perform itself?"),
            Text(
                "il n'assure lui-même aucune activité : il repose sur des couches qui doivent être certifiées",
                "it performs no activity itself: it stands on layers that must be certified",
            ),
        ),
    ]


def _negated(answer: bool | None) -> bool | None:
    return None if answer is None else not answer


def _ruled(
    record: str, requirement: Mapping[str, object], answers: Answers, words: Words, concerned: Applies
) -> list[RequirementScope]:
    read = Reader(record, requirement)
    requirement_id = read.text("id")
    inner = Reader(f"{record}.applies_to", requirement.get("applies_to"))
    activities = inner.activities("activities")
    sentence = inner.optional(inner.text, "condition")
    if concerned is not Applies.YES:
        return [RequirementScope(requirement_id, concerned, _OUTSIDE[concerned])]
    performed = set(answers.activities or ())
    if not performed & set(activities):
        reason = Text("aucune des activités assurées n'est visée", "none of the activities performed is meant")
        return [RequirementScope(requirement_id, Applies.NO, reason)]
    always = Text("s'applique à toute activité assurée", "applies to every activity performed")
    if sentence is None:
        return [RequirementScope(requirement_id, Applies.YES, always)]
    condition = next((c for c in words.conditions if sentence in {c.key, c.sentence}), None)
    if condition is None:
        reason = Text("condition que personne n'a reliée à une réponse", "a condition that is bound to no answer")
        return [RequirementScope(requirement_id, Applies.UNKNOWN, reason)]
    applies, reason = _met(condition, answers)
    if condition.sub_item is None:
        return [RequirementScope(requirement_id, applies, reason)]
    return [
        RequirementScope(requirement_id, Applies.YES, always),
        RequirementScope(condition.sub_item, applies, reason),
    ]


def _met(condition: Condition, answers: Answers) -> tuple[Applies, Text]:
    answer = getattr(answers, condition.answer)
    if condition.answer == "subcontracts" and answers.layers:
        answer = True
    if answer is None:
        return Applies.UNKNOWN, Text(f"sans réponse : {condition.yes.fr} ?", f"no answer: {condition.yes.en}?")
    return (Applies.YES, condition.yes) if answer else (Applies.NO, condition.no)


_OUTSIDE = {
    Applies.NO: Text("pas d'hébergement soumis à certification", "no hosting that needs a certificate"),
    Applies.UNKNOWN: Text("le questionnaire n'est pas complet", "the questionnaire is not complete"),
}
