"""Controls answer for everything that is asked, their checks were seen red, and their pages say so."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from importlib import resources
from pathlib import Path

import msgspec

from hygie.cli.main import ORDER
from hygie.proof.catalogue import LIVE_OWNER, build_catalogue
from hygie.proof.checks import CHECKS
from hygie.proof.controls.model import OWNERS, RegisterCheck
from hygie.proof.controls.read import Controls, shipped_controls
from hygie.proof.cross.model import cards
from hygie.proof.model import Evidence
from hygie.proof.perimeter.applicability import left_to_controllers
from hygie.proof.referentials.model import NODE_MARK
from hygie.proof.referentials.shipped import HDS, ISO27001, RGPD, SHIPPED, shipped
from hygie.registers.schema import shipped_schemas
from tests.house.rules import FILE_LINES_MAX, assert_none
from tools import coverage_reference

ROOT = Path(__file__).parents[2]
CONTROLS = shipped_controls()
REMEDY = re.compile(r"hygie (\S+)(?: (\S+))?(?: (\S+))?")
REGISTER_COMMANDS = {"add", "amend", "due", "attach"}


def unanswered(controls: Controls) -> Iterator[str]:
    """What is asked, of a host in its role, that no control with a check answers."""
    answered = {ref for one in controls.controls if one.checks for ref in one.answers}
    for name in SHIPPED:
        for node in shipped(name).nodes:
            ref = f"{name}{NODE_MARK}{node.id}"
            if node.assessable and ref not in answered and ref not in left_to_controllers():
                yield f"{ref} has no control"


def untold(checks: Iterable[RegisterCheck]) -> Iterator[str]:
    """Remedies that name no command of this version."""
    for check in checks:
        for text in check.remedy:
            found = REMEDY.search(text)
            if found is None or found[1] not in ORDER:
                yield f"{check.id}: {text}"
                continue
            known = found[2] in REGISTER_COMMANDS and _names_register(found)
            if found[1] == "register" and not known:
                yield f"{check.id}: {text}"


def _names_register(found: re.Match[str]) -> bool:
    return found[2] == "due" or found[3] in shipped_schemas()


def unspoiled(checks: Iterable[RegisterCheck], sabotages: Iterable[str]) -> Iterator[str]:
    """Checks without a sabotage, and sabotages of no check."""
    known = {one.id for one in checks}
    yield from (f"{name}: no sabotage" for name in sorted(known - set(sabotages)))
    yield from (f"{name}: sabotage of no check" for name in sorted(set(sabotages) - known))


def sabotages() -> list[str]:
    return list(tomllib.loads(coverage_reference.SABOTAGES.read_text()))


def test_each_assessable_requirement_has_a_control_with_a_check_or_binds_others() -> None:
    assert_none(list(unanswered(CONTROLS)))


def test_what_is_left_to_controllers_is_asked_and_answered_by_no_control() -> None:
    left = left_to_controllers()
    assert set(left) <= {f"{RGPD}{NODE_MARK}{node.id}" for node in shipped(RGPD).nodes if node.assessable}
    assert not set(left) & {ref for one in CONTROLS.controls for ref in one.answers}
    assert not any(applies or why.fr == why.en for applies, why in left.values())


def test_the_statement_of_applicability_is_checked_on_each_control_of_annex_a() -> None:
    whole = {node.id for node in shipped(ISO27001).nodes if node.id.startswith("A.") and node.assessable}
    complete = next(one for one in CONTROLS.checks if one.id == "applicability.complete")
    assert len(whole) == 93
    assert set(complete.values) == whole


def test_the_rule_catches_what_nothing_answers() -> None:
    fewer = tuple(one for one in CONTROLS.controls if f"{HDS}{NODE_MARK}EXI-17" not in one.answers)
    assert next(iter(unanswered(Controls(fewer, CONTROLS.checks)))) == f"{HDS}{NODE_MARK}EXI-17 has no control"


def test_each_check_on_registers_has_a_sabotage() -> None:
    assert_none(list(unspoiled(CONTROLS.checks, sabotages())))


def test_the_rule_catches_a_check_without_a_sabotage_and_a_sabotage_without_a_check() -> None:
    written = set(sabotages())
    first = CONTROLS.checks[0].id
    assert list(unspoiled(CONTROLS.checks, written - {first})) == [f"{first}: no sabotage"]
    assert list(unspoiled(CONTROLS.checks, written | {"x"})) == ["x: sabotage of no check"]


def test_each_remedy_names_a_command() -> None:
    assert_none(list(untold(CONTROLS.checks)))


def test_the_rule_catches_a_remedy_without_a_command() -> None:
    check = CONTROLS.checks[0]
    for text in (
        "Do it",
        "Do it: hygie nothing",
        "Do it: hygie register add nothing",
        "Do it: hygie register x policy",
    ):
        assert len(list(untold([msgspec.structs.replace(check, remedy_en=text)]))) == 1


def test_owners_are_in_a_closed_list_that_registers_share() -> None:
    assert LIVE_OWNER in OWNERS
    assert {schema.owner for schema in shipped_schemas().values()} <= set(OWNERS)


def test_no_check_on_registers_says_that_a_machine_measured() -> None:
    assert Evidence.MEASURED not in {one.evidence for one in CONTROLS.checks}


# Registers that a host hopes to keep empty, or need not use: what would be late in them is proved otherwise.
MAY_BE_EMPTY = {
    "violation",  # no breach: the notice is exercised
    "rights-request",  # no request: the contract says how they are dealt with
    "complaint",  # no complaint
    "transfer",  # no transfer: sub-processors and interventions outside the EEA are held against it
    "data-copy",  # no copy of production: without a declaration none can be made
    "supplier-change",  # no change of a sub-processor: each one is reviewed all the same
    "mark-use",  # the mark is not used
    "regulatory-wording",  # the page as a table takes no sentence, the others are not published without theirs
    "referential-import",  # those of the platform hold
}


def test_an_empty_register_answers_nothing_but_where_one_hopes_for_it() -> None:
    found = {one.of or one.register for one in CONTROLS.checks if one.when_blank == "not_applicable"}
    assert found == MAY_BE_EMPTY


# Registers that no check on registers need read, and what reads them instead.
READ_ELSEWHERE = {
    "certification-warning": "the dates themselves are judged (cross.certificate-ends, cross.cycle-on-time)",
}


def test_each_register_is_read_by_a_check() -> None:
    read = {name for one in CONTROLS.checks for name in (one.register, one.of)}
    read |= {name for one in cards().values() for name in one.registers}
    assert set(shipped_schemas()) - read == set(READ_ELSEWHERE)


def test_each_control_has_words_in_both_languages() -> None:
    for one in (*CONTROLS.controls, *CONTROLS.checks):
        assert one.title.fr
        assert one.title.en
    for check in CONTROLS.checks:
        assert check.proves.fr != check.proves.en
        assert check.remedy.fr != check.remedy.en


def test_files_of_controls_are_short() -> None:
    files = [one for one in (resources.files("hygie.proof.controls") / "data").iterdir() if one.name.endswith(".toml")]
    long = [one.name for one in files if one.read_text("utf-8").count("\n") > FILE_LINES_MAX]
    assert_none(long)


def test_the_catalogue_names_the_owner_and_the_evidence_of_every_check() -> None:
    built = build_catalogue([shipped(name) for name in SHIPPED], CONTROLS, applicability={}, version="0")
    assert len(built["checks"]) == len(CHECKS) + len(CONTROLS.checks) + len(cards())
    assert {one["owner"] for one in built["checks"]} <= set(OWNERS)


def test_the_page_of_coverage_is_up_to_date() -> None:
    written = coverage_reference.PAGE.read_text()
    assert written == coverage_reference.page(), "run: python -m tools.coverage_reference"
