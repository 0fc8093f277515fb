"""From a stored resource to what may leave of it: first each resource alone, then all of them together.

*Taking* builds a new value from the members that have a rule, so what has none is dropped by construction; references,
codes and people are left open, since they depend on the others.  *Settling* closes them: rare codes, references to
what is not copied, how coarsely people are shown.  A value that lacks what R4 requires is dropped, up to the resource.

Everything here is in the memory of one copy: the new ids, the pseudonyms and the offsets are drawn, used, and lost.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Context, Decimal
from random import Random
from typing import Any, Final

import msgspec

from hygie.base.errors import HygieError
from hygie.base.identifiers import INS_NIR_TEST_OID, RPPS_SYSTEM, luhn_digit
from hygie.deidentify.cells import Cells
from hygie.deidentify.holders import UCUM, Holders
from hygie.deidentify.people import Person, department_of, new_person, shifted
from hygie.deidentify.rules import Member, Plan, Rules, Way
from hygie.fhir.structures import parse
from hygie.synthetic import names

DIGITS = 2  # significant digits of a number that leaves: plausible for a test, useless to recognise a series
MAGNITUDE_MAX = 12  # powers of ten; beyond, a number is no measure
# http://terminology.hl7.org/CodeSystem/v3-ObservationValue: what was done to the resource
LABEL = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "PSEUDED"}
DOCUMENT = {"contentType": "text/plain", "language": "fr", "data": "RG9jdW1lbnQgcmV0aXLDqS4="}  # "Document retiré."

_REFERENCE = re.compile(r"([A-Z][A-Za-z]{1,63}/[A-Za-z0-9.-]{1,64})(?:/_history/[A-Za-z0-9.-]{1,64})?", re.ASCII)
_WHOLE = frozenset({Way.NAME, Way.INS, Way.RPPS, Way.DEPARTMENT, Way.DOCUMENT})  # of a member, however often it repeats
_ROUNDING = Context(prec=DIGITS)
_decode = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode
_encode = msgspec.json.Encoder(decimal_format="number").encode


@dataclass(frozen=True, slots=True)
class Held:
    """A resource that was taken. id: its new one; holder: whose; body: JSON, left open."""

    type: str
    id: str
    holder: bytes
    body: bytes

    @property
    def name(self) -> str:
        """As references of the copy name it."""
        return f"{self.type}/{self.id}"


@dataclass(slots=True)
class Scrubber:
    """One copy's memory. Args: draw: whose numbers nobody can foresee (``SystemRandom``)."""

    rules: Rules
    draw: Random
    today: date
    people: dict[bytes, Person] = field(default_factory=dict)
    cells: Cells = field(init=False)
    live: set[str] = field(default_factory=set)
    _others: dict[bytes, Person] = field(default_factory=dict)
    _ids: dict[str, str] = field(default_factory=dict)
    _aliases: dict[tuple[str, ...], str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.cells = Cells(self.rules.systems)

    def take(self, type_: str, id_: str, body: bytes, holder: bytes, *, of_patient: bool) -> Held | None:
        """What may leave of one resource, left open; None: its type is not copied.

        Args: body: canonical text; holder: the patient's compartment, or whatever names a resource of nobody.
        """
        plan = self.rules.plans.get(type_)
        if plan is None:
            return None
        among = self.people if of_patient else self._others
        person = among.get(holder) or among.setdefault(holder, new_person(self.draw))
        person.known = person.known or type_ == "Patient"
        taken = _Taking(self, person, type_).inside(plan, _decode(body))
        return Held(type_, self._id(f"{type_}/{id_}"), holder, _encode(taken))

    def settle(self, held: Held) -> bytes | None:
        """The resource as it is written, canonical JSON; None: it lacks something that R4 requires."""
        settled = self._settled(held)
        return _written(held, settled) if settled is not None else None

    def settle_all(self, held: list[Held], k: int) -> list[Held]:
        """Those that hold together: each valid, naming none that is not copied, and showing no code that fewer than k
        patients of theirs show. ``live`` names them.

        A code that goes may take a resource along, and with it what names it and its other codes: what is left is
        counted again until nothing goes any more.
        """
        common = {one.name for one in held if one.holder not in self.people}
        self.live = {one.name for one in held}
        while True:
            holders = Holders(common)
            kept = [one for one in held if self._holds(one, holders)]
            coarser = self.cells.coarsen(holders.of_codes(), k)
            if not coarser and len(kept) == len(held):
                return kept
            held = kept
            self.live = {one.name for one in held}

    def _holds(self, held: Held, holders: Holders) -> bool:
        """Whether it is valid; then its codes count."""
        settled = self._settled(held)
        if settled is None:
            return False
        try:
            parse(_written(held, settled), expected=held.type)
        except HygieError:
            return False
        patient = held.holder if held.holder in self.people else None
        holders.add(held.name, patient, self.rules.plans[held.type], settled)
        return True

    def _settled(self, held: Held) -> dict[str, Any] | None:
        person = self.people.get(held.holder)
        if person is not None and not person.known:
            return None
        return _Settling(self, person).inside(self.rules.plans[held.type], _decode(held.body))

    def renamed(self, reference: object) -> str | None:
        """Where a reference leads in the copy; None: it is not a plain one of this environment."""
        match = _REFERENCE.fullmatch(reference) if isinstance(reference, str) else None
        return f"{match[1].partition('/')[0]}/{self._id(match[1])}" if match else None

    def _id(self, name: str) -> str:
        return self._ids.get(name) or self._ids.setdefault(name, self._random())

    def alias(self, *what: str) -> str:
        """Another word for a text, the same in this copy wherever the text is the same."""
        return self._aliases.get(what) or self._aliases.setdefault(what, self._random())

    def _random(self) -> str:
        return f"{self.draw.getrandbits(128):032x}"


@dataclass(frozen=True, slots=True)
class _Taking:
    """Reads one resource."""

    copy: Scrubber
    person: Person
    type: str

    def inside(self, plan: Plan, value: Mapping[str, Any]) -> dict[str, Any]:
        kept: dict[str, Any] = {}
        for name, given in value.items():
            member = plan.members.get(name)
            if member is None or given is None:
                continue
            if member.many and member.way not in _WHOLE:
                made: Any = [one for each in given if each is not None and (one := self._one(member, each)) is not None]
            else:
                made = self._one(member, given)
            if made is not None and made != []:
                kept[name] = made
        return kept

    def _one(self, member: Member, value: Any) -> Any:
        take = _TAKES.get(member.way)
        return take(self, member, value) if take is not None else self._of_person(member.way, value)

    def _keep(self, _: Member, value: Any) -> Any:
        return value

    def _inner(self, member: Member, value: Any) -> dict[str, Any] | None:
        assert member.plan is not None
        return self.inside(member.plan, value) or None

    def _shift(self, _: Member, value: Any) -> str | None:
        return shifted(value, self.person.shift)

    def _shift_period(self, _: Member, value: Any) -> dict[str, str] | None:
        ends = {name: shifted(value[name], self.person.shift) for name in ("start", "end") if value.get(name)}
        return {name: moved for name, moved in ends.items() if moved} or None

    def _reference(self, _: Member, value: Any) -> str | None:
        return self.copy.renamed(value.get("reference"))

    def _text(self, member: Member, value: Any) -> str:
        return f"{self.type} {self.copy.alias('text', self.type, member.name, value)[:8]}"

    def _round(self, _: Member, value: Any) -> int | Decimal | None:
        return rounded(value)

    def _concept(self, member: Member, value: Any) -> list[list[str]] | None:
        given = value.get("coding") or ()
        if any(self.copy.cells.tells_who(one.get("system"), one.get("code")) for one in given):
            return None  # whatever the other codes are, what stands beside it is an age or a date of birth
        codings = (self._coding(member, one) for one in given)
        return [one for one in codings if one is not None] or None

    def _of_person(self, way: Way, value: Any) -> Any:
        """What depends on who it is: a patient's is left open, anybody else's is made up now."""
        if way is Way.BIRTH:
            self.person.born = int(value[:4])
        elif way is Way.SEX:
            self.person.sex = value
        elif way is Way.DEPARTMENT:
            found = (department_of(str(one.get("country") or ""), str(one.get("postalCode") or "")) for one in value)
            self.person.department = next((one for one in found if one), "")
        elif way is Way.NAME and self.type != "Patient":
            draw = self.copy.draw
            return [
                {"family": names.family_name(draw), "given": [draw.choice([*names.GIVEN_FEMALE, *names.GIVEN_MALE])]}
            ]
        elif way is Way.RPPS:
            number = f"997{self.copy.draw.randrange(10**7):07d}"
            return [{"system": RPPS_SYSTEM, "value": number + luhn_digit(number)}]
        return True

    def _identifier(self, _: Member, value: Any) -> dict[str, str] | None:
        given = value.get("value")
        if not isinstance(given, str):
            return None
        system = str(value.get("system") or "")
        drawn = self.copy.alias("system", system)
        dashed = "-".join((drawn[:8], drawn[8:12], drawn[12:16], drawn[16:20], drawn[20:]))
        return {"system": f"urn:uuid:{dashed}", "value": self.copy.alias("identifier", system, given)[:16]}

    def _coding(self, _: Member, value: Any) -> list[str] | None:
        system, code = value.get("system"), value.get("code")
        return [str(system), str(code)] if self.copy.cells.admit(system, code) else None

    def _quantity(self, member: Member, value: Any) -> dict[str, Any] | None:
        number = rounded(value.get("value"))
        if number is None or value.get("system") != UCUM or not self._coding(member, value):
            return None
        sign = {"comparator": value["comparator"]} if value.get("comparator") else {}
        return {"value": number, **sign, "code": value["code"]}


_TAKES: Final[Mapping[Way, Callable[[_Taking, Member, Any], Any]]] = {
    Way.KEEP: _Taking._keep,
    Way.INSIDE: _Taking._inner,
    Way.SHIFT: _Taking._shift,
    Way.SHIFT_PERIOD: _Taking._shift_period,
    Way.ALIAS_REFERENCE: _Taking._reference,
    Way.ALIAS_IDENTIFIER: _Taking._identifier,
    Way.ALIAS_TEXT: _Taking._text,
    Way.ROUND: _Taking._round,
    Way.ROUND_QUANTITY: _Taking._quantity,
    Way.CODING: _Taking._coding,
    Way.CONCEPT: _Taking._concept,
}


@dataclass(frozen=True, slots=True)
class _Settling:
    """Closes one resource. person: the patient whose it is, None: nobody's."""

    copy: Scrubber
    person: Person | None

    def inside(self, plan: Plan, value: Mapping[str, Any]) -> dict[str, Any] | None:
        kept: dict[str, Any] = {}
        for name, given in value.items():
            member = plan.members[name]
            if member.many and member.way not in _WHOLE:
                made: Any = [one for each in given if (one := self._one(member, each)) is not None] or None
            else:
                made = self._one(member, given)
            if made is not None:
                kept[name] = made
        if any(not any(name in kept for name in group) for group in plan.required):
            return None
        return kept

    def _one(self, member: Member, value: Any) -> Any:
        match member.way:
            case Way.INSIDE:
                assert member.plan is not None
                return self.inside(member.plan, value) or None
            case Way.ALIAS_REFERENCE:
                return {"reference": value} if value in self.copy.live else None
            case Way.ROUND_QUANTITY:
                code = self.copy.cells.resolve(UCUM, value["code"])
                return {**value, "unit": code, "system": UCUM, "code": code} if code else None
            case Way.CODING:
                return self._coding(value)
            case Way.CONCEPT:
                codings = [one for each in value if (one := self._coding(each)) is not None]
                return (
                    {"coding": [one for rank, one in enumerate(codings) if one not in codings[:rank]]}
                    if codings
                    else None
                )
            case _:
                return value if value is not True or member.way is Way.KEEP else self._made(member)

    def _coding(self, value: list[str]) -> dict[str, str] | None:
        code = self.copy.cells.resolve(*value)
        return {"system": value[0], "code": code} if code else None

    def _made(self, member: Member) -> Any:
        """What was left open of a person."""
        if member.way is Way.DOCUMENT:
            return DOCUMENT
        person = self.person
        assert person is not None  # a Patient lies in his own compartment
        match member.way:
            case Way.BIRTH:
                return f"{person.shown_born:04d}" if person.shown_born else None
            case Way.SEX:
                return person.shown_sex or None
            case Way.DEPARTMENT:
                inside = person.shown_department not in ("", "99")
                return [{"district": person.shown_department, "country": "FR"}] if inside else None
            case Way.NAME:
                return [{"use": "official", "family": person.family, "given": [person.given]}]
            case Way.INS:
                return [{"use": "official", "system": f"urn:oid:{INS_NIR_TEST_OID}", "value": person.ins}]
        raise AssertionError(member.way)


def _written(held: Held, settled: Mapping[str, Any]) -> bytes:
    head = {"resourceType": held.type, "id": held.id, "meta": {"security": [LABEL]}}
    return _encode({**head, **settled})


def rounded(value: Any) -> int | Decimal | None:
    """A number with two significant digits; None: it is none, or beyond any measure. An integer stays one."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    number = _ROUNDING.plus(Decimal(value))
    if number and abs(number.adjusted()) > MAGNITUDE_MAX:
        return None
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int)
    return int(number) if isinstance(value, int) or exponent > 0 else number
