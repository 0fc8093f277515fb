"""One invented French patient as a FHIR R4 transaction Bundle, drawn from a seed: same seed, same bytes.

Every person carries a test INS (OID 1.2.250.1.213.1.4.10) with a right key; practitioners a test RPPS, hospitals an
invented FINESS of a department that does not exist.  Decimals are written with their digits (``5.40``), as laboratories
send them.  Practitioners and hospitals are created on condition, so that many patients share them.
"""

from __future__ import annotations

import base64
import uuid
from datetime import date, datetime, timedelta
from random import Random
from typing import Any, NamedTuple

import msgspec

from hygie.base.identifiers import (
    FINESS_SYSTEM,
    INS_NIR_TEST_OID,
    RPPS_SYSTEM,
    luhn_digit,
    nir_key,
)
from hygie.synthetic import codes, names
from hygie.synthetic.codes import TERMINOLOGY, Code, Measure

Resource = dict[str, Any]

IDENTIFIER_TYPES = "https://hl7.fr/ig/fhir/core/CodeSystem/fr-core-cs-v2-0203"
TODAY = date(2026, 6, 30)  # the past of every patient ends here: nothing depends on the day of the run
PRACTITIONERS = 24
HOSPITALS = 3
ENCOUNTERS_MIN, ENCOUNTERS_MAX = 2, 3


class Identity(NamedTuple):
    """Who a seed gives. ins: 15 characters."""

    family: str
    given: str
    gender: str
    born_on: date
    ins: str
    street: str
    city: str
    postal_code: str
    phone: str
    email: str


def identity(seed: int) -> Identity:
    """The person of a seed, 0 and above; two seeds below 900,000 never share an INS."""
    draw = Random(f"hygie person {seed}")  # noqa: S311 (invented people, not secrets)
    female = draw.random() < 0.52
    family, given = names.family_name(draw), draw.choice(names.GIVEN_FEMALE if female else names.GIVEN_MALE)
    born_on = TODAY - timedelta(days=draw.randint(200, 96 * 365))
    city, postal_code, insee = draw.choice(names.CITIES)
    # The commune of birth and the order number are drawn from the seed itself, which makes the INS unique.
    birthplace = f"{insee[:2]}{seed // 999 % 989 + 1:03d}"
    number = f"{2 if female else 1}{born_on:%y%m}{birthplace}{seed % 999 + 1:03d}"
    return Identity(
        family=family,
        given=given,
        gender="female" if female else "male",
        born_on=born_on,
        ins=number + nir_key(number),
        street=names.street(draw),
        city=city,
        postal_code=postal_code,
        phone=f"+33 1 99 00 {draw.randint(0, 99):02d} {draw.randint(0, 99):02d}",  # numbers kept for fiction by ARCEP
        email=f"{family.split('-')[0].lower()}.{seed}@patient.invalid",
    )


def bundle_bytes(seed: int) -> bytes:
    """The transaction Bundle of a seed, UTF-8 JSON, about 40 resources and 37 kB."""
    return msgspec.json.encode(_Writer(seed).bundle())


def planted_words(seed: int) -> tuple[str, ...]:
    """What must never be found in clear below the vault: words of this person that occur nowhere by chance."""
    person = identity(seed)
    return (*person.family.split("-"), person.ins, person.street.split()[-1], person.email)


def needles(words: tuple[str, ...]) -> list[bytes]:
    """Byte strings that betray these words: UTF-8, Latin-1 and UTF-16, and base64 at each alignment; as they are, in
    capitals, in small letters, and with one capital, as a given name or a street is written."""
    found: set[bytes] = set()
    for word in words:
        for written in (word, word.upper(), word.lower(), word.capitalize()):
            found |= {written.encode(), written.encode("latin-1"), written.encode("utf-16-le")}
            for shift in range(3):
                encoded = base64.b64encode(bytes(shift) + written.encode() + bytes(2))
                # Characters that mix the word with its neighbours are cut off.
                found.add(encoded[(shift * 8 + 5) // 6 : (shift + len(written.encode())) * 8 // 6])
    return sorted(found)


class _Writer:
    """Builds one bundle."""

    def __init__(self, seed: int) -> None:
        self.draw = Random(f"hygie record {seed}")  # noqa: S311
        self.person = identity(seed)
        self.entries: list[Resource] = []

    def bundle(self) -> Resource:
        hospital = self._hospital()
        doctor = self._practitioner()
        self.patient = self._add(_patient(self.person))
        self._allergy(doctor)
        for _ in range(self.draw.randint(ENCOUNTERS_MIN, ENCOUNTERS_MAX)):
            self._encounter(hospital, doctor)
        return {"resourceType": "Bundle", "type": "transaction", "entry": self.entries}

    def _add(self, resource: Resource, *, if_none_exist: str = "") -> Resource:
        """Append an entry; its reference is given back."""
        full_url = uuid.UUID(int=self.draw.getrandbits(128), version=4).urn
        request = {"method": "POST", "url": resource["resourceType"]}
        if if_none_exist:
            request["ifNoneExist"] = if_none_exist
        self.entries.append({"fullUrl": full_url, "resource": resource, "request": request})
        return {"reference": full_url}

    def _hospital(self) -> Resource:
        rank = self.draw.randrange(HOSPITALS)
        number = f"9900000{rank + 1}"
        finess = number + luhn_digit(number)
        resource = {
            "resourceType": "Organization",
            "identifier": [_identifier("FINEG", FINESS_SYSTEM, finess)],
            "active": True,
            "type": [_concept(f"{TERMINOLOGY}organization-type", Code("prov", "Healthcare Provider"))],
            "name": f"Hôpital d'essai n° {rank + 1}",
            "address": [{"use": "work", "city": names.CITIES[rank][0], "country": "FR"}],
        }
        return self._add(resource, if_none_exist=f"identifier={FINESS_SYSTEM}|{finess}")

    def _practitioner(self) -> Resource:
        rank = self.draw.randrange(PRACTITIONERS)
        draw = Random(f"hygie practitioner {rank}")  # noqa: S311
        number = f"99700{rank:05d}"
        rpps = number + luhn_digit(number)
        resource = {
            "resourceType": "Practitioner",
            "identifier": [_identifier("RPPS", RPPS_SYSTEM, rpps)],
            "active": True,
            "name": [
                {"use": "official", "family": names.family_name(draw), "given": [draw.choice(names.GIVEN_FEMALE)]}
                | {"prefix": ["Dr"]}
            ],
        }
        return self._add(resource, if_none_exist=f"identifier={RPPS_SYSTEM}|{rpps}")

    def _allergy(self, doctor: Resource) -> None:
        if self.draw.random() < 0.6:
            return
        self._add(
            {
                "resourceType": "AllergyIntolerance",
                "clinicalStatus": _concept(f"{TERMINOLOGY}allergyintolerance-clinical", Code("active", "Active")),
                "verificationStatus": _concept(
                    f"{TERMINOLOGY}allergyintolerance-verification", Code("confirmed", "Confirmed")
                ),
                "type": "allergy",
                "category": ["medication"],
                "criticality": self.draw.choice(["low", "high"]),
                "code": _concept(codes.ATC, self.draw.choice(codes.ALLERGIES)),
                "patient": self.patient,
                "recorder": doctor,
            }
        )

    def _encounter(self, hospital: Resource, doctor: Resource) -> None:
        days = min((TODAY - self.person.born_on).days - 30, 5 * 365)
        start = datetime.combine(TODAY, datetime.min.time()) - timedelta(
            days=self.draw.randint(2, days), minutes=-self.draw.randint(8 * 60, 18 * 60)
        )
        kind = self.draw.choice(codes.ENCOUNTER_CLASSES)
        length = timedelta(days=self.draw.randint(1, 9)) if kind.code == "IMP" else timedelta(minutes=40)
        encounter = self._add(
            {
                "resourceType": "Encounter",
                "status": "finished",
                "class": {"system": f"{TERMINOLOGY}v3-ActCode", "code": kind.code, "display": kind.display},
                "subject": self.patient,
                "participant": [{"individual": doctor}],
                "period": {"start": _instant(start), "end": _instant(start + length)},
                "serviceProvider": hospital,
            }
        )
        about = {"subject": self.patient, "encounter": encounter}
        self._vital_signs(about, doctor, start + timedelta(minutes=5))
        self._laboratory(about, doctor, start + timedelta(minutes=25))
        condition = self._condition(about, doctor, start)
        self._treatment(about, doctor, condition, start + timedelta(minutes=35))
        self._report(about, doctor, start + length)

    def _vital_signs(self, about: Resource, doctor: Resource, at: datetime) -> None:
        for measure in codes.VITAL_SIGNS:
            self._add(self._observation(measure, "vital-signs", about, doctor, at))
        pressure = _observation_head(codes.BLOOD_PRESSURE, "vital-signs", about, doctor, at)
        pressure["component"] = [
            {"code": _concept(codes.LOINC, Code(m.code, m.display)), "valueQuantity": self._quantity(m)}
            for m in (codes.SYSTOLIC, codes.DIASTOLIC)
        ]
        self._add(pressure)

    def _laboratory(self, about: Resource, doctor: Resource, at: datetime) -> None:
        panel, measures = self.draw.choice(
            [(codes.BLOOD_COUNT, codes.BLOOD_COUNT_MEASURES), (codes.CHEMISTRY, codes.CHEMISTRY_MEASURES)]
        )
        results = [self._add(self._observation(measure, "laboratory", about, doctor, at)) for measure in measures]
        self._add(
            {
                "resourceType": "DiagnosticReport",
                "status": "final",
                "category": [_concept(f"{TERMINOLOGY}v2-0074", Code("LAB", "Laboratory"))],
                "code": _concept(codes.LOINC, panel),
                **about,
                "effectiveDateTime": _instant(at),
                "issued": _instant(at + timedelta(hours=2)),
                "performer": [doctor],
                "result": results,
            }
        )

    def _condition(self, about: Resource, doctor: Resource, at: datetime) -> Resource:
        resource = {
            "resourceType": "Condition",
            "clinicalStatus": _concept(f"{TERMINOLOGY}condition-clinical", Code("active", "Active")),
            "verificationStatus": _concept(f"{TERMINOLOGY}condition-ver-status", Code("confirmed", "Confirmed")),
            "category": [
                _concept(f"{TERMINOLOGY}condition-category", Code("encounter-diagnosis", "Encounter Diagnosis"))
            ],
            "code": _concept(codes.CIM10, self.draw.choice(codes.CONDITIONS)),
            **about,
            "onsetDateTime": f"{at:%Y-%m}",
            "recordedDate": f"{at:%Y-%m-%d}",
            "recorder": doctor,
        }
        return self._add(resource)

    def _treatment(self, about: Resource, doctor: Resource, condition: Resource, at: datetime) -> None:
        medication, dosage = self.draw.choice(codes.MEDICATIONS)
        self._add(
            {
                "resourceType": "MedicationRequest",
                "status": "active",
                "intent": "order",
                "medicationCodeableConcept": _concept(codes.ATC, medication),
                **about,
                "authoredOn": _instant(at),
                "requester": doctor,
                "reasonReference": [condition],
                "dosageInstruction": [{"text": dosage}],
            }
        )
        if self.draw.random() < 0.5:
            performed = {"start": _instant(at), "end": _instant(at + timedelta(minutes=20))}
            procedure: Resource = {
                "resourceType": "Procedure",
                "status": "completed",
                **about,
                "performedPeriod": performed,
            }
            procedure["code"] = _concept(codes.CCAM, self.draw.choice(codes.PROCEDURES))
            procedure["performer"] = [{"actor": doctor}]
            self._add(procedure)
        else:
            vaccine: Resource = {"resourceType": "Immunization", "status": "completed", "patient": self.patient}
            vaccine |= {"encounter": about["encounter"], "occurrenceDateTime": _instant(at), "primarySource": True}
            vaccine["vaccineCode"] = _concept(codes.ATC, self.draw.choice(codes.VACCINES))
            self._add(vaccine)

    def _report(self, about: Resource, doctor: Resource, at: datetime) -> None:
        """A letter whose text names the patient: what a search for clear text would find first."""
        person = self.person
        text = (
            f"Compte rendu de consultation\n{person.given} {person.family.upper()}, INS {person.ins}\n"
            f"{person.street}, {person.postal_code} {person.city}\n\nÉtat stable, revoir dans trois mois.\n"
        )
        self._add(
            {
                "resourceType": "DocumentReference",
                "status": "current",
                "docStatus": "final",
                "type": _concept(codes.LOINC, Code("11488-4", "Compte rendu de consultation")),
                "subject": about["subject"],
                "date": _instant(at),
                "author": [doctor],
                "content": [
                    {
                        "attachment": {
                            "contentType": "text/plain; charset=utf-8",
                            "language": "fr-FR",
                            "data": base64.b64encode(text.encode()).decode(),
                            "title": "Compte rendu",
                        }
                    }
                ],
                "context": {"encounter": [about["encounter"]]},
            }
        )

    def _observation(
        self, measure: Measure, category: str, about: Resource, doctor: Resource, at: datetime
    ) -> Resource:
        resource = _observation_head(Code(measure.code, measure.display), category, about, doctor, at)
        return resource | {"valueQuantity": self._quantity(measure)}

    def _quantity(self, measure: Measure) -> Resource:
        value = f"{self.draw.uniform(measure.low, measure.high):.{measure.digits}f}"
        return {
            "value": msgspec.Raw(value.encode()),
            "unit": measure.unit,
            "system": codes.UCUM,
            "code": measure.unit,
        }


def _patient(person: Identity) -> Resource:
    return {
        "resourceType": "Patient",
        "identifier": [{"use": "official"} | _identifier("INS-NIR", f"urn:oid:{INS_NIR_TEST_OID}", person.ins)],
        "active": True,
        "name": [
            {"use": "official", "family": person.family.upper(), "given": [person.given]},
            {"use": "usual", "text": f"{person.given} {person.family}", "family": person.family},
        ],
        "telecom": [
            {"system": "phone", "value": person.phone, "use": "mobile"},
            {"system": "email", "value": person.email},
        ],
        "gender": person.gender,
        "birthDate": person.born_on.isoformat(),
        "address": [
            {
                "use": "home",
                "line": [person.street],
                "city": person.city,
                "postalCode": person.postal_code,
                "country": "FR",
            }
        ],
        "communication": [
            {"language": _concept("urn:ietf:bcp:47", Code("fr-FR", "French (France)")), "preferred": True}
        ],
    }


def _observation_head(code: Code, category: str, about: Resource, doctor: Resource, at: datetime) -> Resource:
    return {
        "resourceType": "Observation",
        "status": "final",
        "category": [_concept(f"{TERMINOLOGY}observation-category", Code(category, category))],
        "code": _concept(codes.LOINC, code),
        **about,
        "effectiveDateTime": _instant(at),
        "performer": [doctor],
    }


def _identifier(kind: str, system: str, value: str) -> Resource:
    return {"type": {"coding": [{"system": IDENTIFIER_TYPES, "code": kind}]}, "system": system, "value": value}


def _concept(system: str, code: Code) -> Resource:
    return {"coding": [{"system": system, "code": code.code, "display": code.display}], "text": code.display}


def _instant(at: datetime) -> str:
    """French local time; summer time from April to October, which is near enough for invented people."""
    return f"{at:%Y-%m-%dT%H:%M:%S}+0{2 if 4 <= at.month <= 10 else 1}:00"
