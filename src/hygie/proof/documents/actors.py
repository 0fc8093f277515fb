"""The actors of the chain as the guarantees table shows them (HDS v2, chapter 8), and which form the transfers page
takes (EXI 31). Pure.

Nothing flattering is taken on word: an actor said to be certified whose certificate is not on record, or is past its
date, suspended or withdrawn, is shown so; an actor whose exposure to foreign law nobody assessed is shown unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hygie.proof.documents.model import Inputs
from hygie.proof.documents.words import Words, civil_day
from hygie.registers.chain import RecordVersion

_SHOWN_ROLES = ("host", "processor")
_SHOWN_STATES = ("approved", "suspended")
_RISKS = ("possible", "exposed")


@dataclass(frozen=True, slots=True)
class Actor:
    """One row. outside, foreign: whether there is access from outside the EEA, or a risk from third-country law; None
    when nobody assessed it; the texts say the answer in words, ready to be shown."""

    key: str
    name: str
    host: bool
    role: str
    certified: bool
    certificate: str
    qualified: bool
    qualification: str
    activities: tuple[int, ...]
    outside: bool
    outside_text: tuple[str, ...]
    foreign: bool | None
    foreign_text: tuple[str, ...]


def actors(inputs: Inputs) -> list[Actor]:
    """The host first, then its processors by name; providers without access to the data are not of the table."""
    words = Words(inputs.language)
    rows = [
        _actor(one, inputs, words)
        for one in inputs.records.get("supplier", ())
        if one.fields["role"] in _SHOWN_ROLES and one.state in _SHOWN_STATES
    ]
    return sorted(rows, key=lambda one: (not one.host, one.name.casefold(), one.key))


def page_form(rows: Sequence[Actor]) -> str:
    """The form of the public page: ``A``, every actor is qualified SecNumCloud and nothing leaves the EEA; ``B``, no
    access from outside the EEA and every actor's exposure was assessed as none; ``C``, otherwise."""
    if not rows or not any(one.host for one in rows) or any(one.outside for one in rows):
        return "C"
    if all(one.qualified for one in rows):
        return "A" if not any(one.foreign for one in rows) else "C"
    return "B" if all(one.foreign is False for one in rows) else "C"


def certificate_standing(record: RecordVersion, inputs: Inputs) -> tuple[bool, str]:
    """Whether a recorded certificate holds at the date, and its state in words. One that hangs on another holds no
    longer than that one, which is of ISO 27001 and hangs on nothing."""
    holds, state = _own_standing(record, inputs)
    name = record.fields.get("depends_on")
    if not holds or name is None:
        return holds, state
    based = next((one for one in inputs.records.get("certificate", ()) if one.key == name), None)
    if based is None or based.fields["scheme"] != "iso27001" or not _own_standing(based, inputs)[0]:
        return False, Words(inputs.language).say(
            "repose sur un certificat qui ne vaut plus", "hangs on a certificate that holds no more"
        )
    return True, state


def _own_standing(record: RecordVersion, inputs: Inputs) -> tuple[bool, str]:
    words, today = Words(inputs.language), civil_day(inputs.at_ms).isoformat()
    if record.state != "valid":
        state = inputs.schemas["certificate"].state(record.state)
        return False, words.say(state.fr, state.en).lower()
    if record.fields["expires_on"] < today:
        return False, words.say("échu", "expired")
    if record.fields["issued_on"] > today:
        return False, words.say("pas encore en vigueur", "not in force yet")
    return True, words.say("en vigueur", "in force")


def _actor(record: RecordVersion, inputs: Inputs, words: Words) -> Actor:
    fields = record.fields
    certified, certificate = _certified(record, inputs, words)
    qualified, qualification = _qualified(record, inputs, words)
    outside, outside_text = _outside(record, inputs, words)
    foreign, foreign_text = _foreign(record, inputs, words)
    host = fields["role"] == "host"
    role = (
        words.say("Hébergeur", "Host") if host else words.say("Sous-traitant de l'hébergeur", "Processor of the host")
    )
    if record.state == "suspended":
        role += words.say(" (suspendu)", " (suspended)")
    return Actor(
        *(record.key, fields["name"], host, role, certified, certificate, qualified, qualification),
        *(tuple(fields.get("activities", ())), outside, outside_text, foreign, foreign_text),
    )


def _held(record: RecordVersion, inputs: Inputs, scheme: str) -> list[RecordVersion]:
    """An actor's certificates of one scheme: those that hold first, then the last to expire."""
    held = [
        one
        for one in inputs.records.get("certificate", ())
        if one.fields["holder"] == record.key and one.fields["scheme"] == scheme
    ]
    latest = sorted(held, key=lambda one: str(one.fields["expires_on"]), reverse=True)
    return sorted(latest, key=lambda one: not certificate_standing(one, inputs)[0])


def _certified(record: RecordVersion, inputs: Inputs, words: Words) -> tuple[bool, str]:
    said = record.fields["hds"]
    if said == "exempted":
        return False, words.say("exempté", "exempted")
    if said == "no":
        return False, words.say("non", "no")
    held = _held(record, inputs, "hds")
    if not held:
        return False, words.say("non établi\u00a0: aucun certificat inscrit", "not shown: no certificate on record")
    good, state = certificate_standing(held[0], inputs)
    number, until = held[0].fields["number"], words.day(str(held[0].fields["expires_on"]))
    if not good:
        return False, words.say(
            f"non\u00a0: certificat {number} {state} ({until})", f"no: certificate {number} {state} ({until})"
        )
    return True, words.say(f"oui\u00a0: {number}, jusqu'au {until}", f"yes: {number}, until {until}")


def _qualified(record: RecordVersion, inputs: Inputs, words: Words) -> tuple[bool, str]:
    if not record.fields["secnumcloud"]:
        return False, words.say("non", "no")
    held = _held(record, inputs, "secnumcloud")
    if not held or not certificate_standing(held[0], inputs)[0]:
        return False, words.say(
            "non établi\u00a0: aucune qualification en vigueur inscrite", "not shown: none in force on record"
        )
    until = words.day(str(held[0].fields["expires_on"]))
    return True, words.say(f"oui, jusqu'au {until}", f"yes, until {until}")


def _outside(record: RecordVersion, inputs: Inputs, words: Words) -> tuple[bool, tuple[str, ...]]:
    """EXI 29: each transfer in force, and what the actor's own record says beyond them."""
    schema = inputs.schemas["transfer"]
    lines, countries = [], set()
    for one in inputs.records.get("transfer", ()):
        if one.fields["supplier"] != record.key or one.state != "active":
            continue
        countries.add(one.fields["country"])
        lines.append(
            f"{words.country(one.fields['country'])}{words.colon}{_shown(schema, 'kind', one, words).lower()}, "
            f"{_shown(schema, 'basis', one, words)}, {one.fields['basis_reference']}"
        )
    if record.fields["outside_eea"]:
        basis = _shown(inputs.schemas["supplier"], "outside_basis", record, words)
        lines += [
            f"{words.country(country)}{words.colon}{basis}"
            for country in record.fields.get("outside_countries", ())
            if country not in countries
        ]
    found = bool(lines) or bool(record.fields["outside_eea"])
    return found, tuple(lines) if lines else (words.say("oui", "yes") if found else words.say("non", "no"),)


def _foreign(record: RecordVersion, inputs: Inputs, words: Words) -> tuple[bool | None, tuple[str, ...]]:
    """EXI 30: the actor's approved notes; without one, unknown, unless its own record already admits a risk."""
    notes = [
        one
        for one in inputs.records.get("foreign-law-note", ())
        if one.fields["supplier"] == record.key and one.state == "approved"
    ]
    risky = [one for one in notes if one.fields["conclusion"] in _RISKS]
    if risky:
        return True, tuple(_note(one, inputs, words) for one in risky)
    if record.fields["foreign_law"]:
        return True, (
            f"{record.fields.get('foreign_law_details', '')} {record.fields.get('residual_risk', '')}".strip(),
        )
    if not notes:
        return None, (words.say("inconnu\u00a0: exposition non évaluée", "unknown: exposure not assessed"),)
    return False, (words.say("non", "no"),)


def _note(record: RecordVersion, inputs: Inputs, words: Words) -> str:
    countries = ", ".join(words.country(one) for one in record.fields.get("countries", ()))
    laws = words.semicolon.join(record.fields.get("laws", ()))
    conclusion = _shown(inputs.schemas["foreign-law-note"], "conclusion", record, words)
    said = f"{conclusion}, {countries}{words.colon}{laws}."
    for name, fr, en in (("mitigations", "Mesures", "Measures"), ("residual_risk", "Risque résiduel", "Residual risk")):
        if value := record.fields.get(name):
            said += f" {words.say(fr, en)}{words.colon}{str(value).rstrip('.')}."
    return said


def _shown(schema: Any, name: str, record: RecordVersion, words: Words) -> str:
    return words.value(schema.field(name), record.fields.get(name))
