"""The allow-list: what cannot be written in it, and that it reaches what R4 has."""

from __future__ import annotations

import pytest

from hygie.deidentify.errors import RulesBrokenError
from hygie.deidentify.rules import Plan, Way, read_rules, shipped_rules
from hygie.fhir.types import elements_of

HEAD = 'format = "hygie de-identification 1"\n[systems]\n'


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        ('[types.Patient]\nbirthDate = "keep"', "keep does not apply to date"),
        ('[types.Organization]\nname = "keep"', "keep does not apply to string"),
        ('[types.Observation]\nstatus = "keep"\ncode = "keep"', "keep does not apply to CodeableConcept"),
        (
            '[types.Observation]\nstatus = "keep"\ncode = "generalise"\nvalueString = "generalise"',
            "not apply to string",
        ),
        ('[types.Patient]\nphoto = "inside"', "its type has no rules"),
        ('[types.Patient]\nphoto = { rule = "synthetic", as = "name" }', "does not apply to Attachment"),
        ('[types.Patient]\nextension = "inside"', "its type has no rules"),
        ('[types.Patient]\ntelecom = "pseudonym"', "does not apply to ContactPoint"),
        ('[types.Patient]\nnickname = "pseudonym"', "no such element"),
        ('[types.Patients]\nactive = "keep"', "no such type"),
        ('[types.Condition]\ncode = "generalise"', "required, and dropped"),
        ('[types.Ratio]\nnumerator = "generalise"', "nothing reaches it"),
        ('[types.Patient]\nactive = "maybe"', "maybe does not apply"),
        ('[types.Patient]\nactive = { rule = "keep", as = "ins" }', "keep does not apply"),
    ],
)
def test_a_rule_that_does_not_de_identify_is_refused(rules: str, reason: str) -> None:
    with pytest.raises(RulesBrokenError) as refused:
        read_rules(HEAD + rules)
    assert reason in str(refused.value)


def test_no_shipped_rule_keeps_a_text() -> None:
    """What is kept as it is: booleans, and codes of lists that R4 closes."""
    kept = 0
    for plan in shipped_rules().plans.values():
        for path, name in _kept(plan):
            exact = [one for one in elements_of(path) if one.name == name]
            choice = [one for one in elements_of(path) if f"{one.name.removesuffix('[x]')}Boolean" == name]
            assert choice or exact[0].codes or exact[0].types == ["boolean"], (path, name)
            kept += 1
    assert kept > 40


def test_free_text_is_in_no_plan() -> None:
    forbidden = {"text", "note", "comment", "display", "contained", "extension", "modifierExtension", "photo"}
    forbidden |= {"description", "telecom", "conclusion", "presentedForm", "patientInstruction", "valueString", "data"}
    for plan in shipped_rules().plans.values():
        for row, _ in plan.rows():
            assert not set(row.split(".")) & forbidden, row


def _kept(plan: Plan) -> list[tuple[str, str]]:
    found = [(plan.path, name) for name, member in plan.members.items() if member.way is Way.KEEP]
    for member in plan.members.values():
        found += _kept(member.plan) if member.plan is not None else []
    return found
