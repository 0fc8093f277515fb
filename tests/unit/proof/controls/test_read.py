"""Files of controls that hang in the air are refused, with the reason."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from hygie.proof.checks import CHECKS
from hygie.proof.controls import read
from hygie.proof.controls.find import ControlCard, find_controls, find_one
from hygie.proof.controls.model import Condition, Control, RegisterCheck
from hygie.proof.controls.read import Controls, shipped_controls, wrong_in
from hygie.proof.cross.model import cards
from hygie.proof.errors import ControlsInvalidError, ControlUnknownError
from hygie.registers.schema import shipped_schemas
from tests.unit.proof.controls.stage import SCHEMAS, check

LIVE = [*(one.id for one in CHECKS), *cards()]


def control(**given: Any) -> Control:
    words = dict.fromkeys(("fr", "en", "about_fr", "about_en"), "mots")
    return Control(
        **{"id": "c", **words, "owner": "rssi", "answers": ("hds@2.0#EXI-02",), "checks": ("deal.x", *LIVE), **given}
    )


def reasons(one: RegisterCheck, **given: Any) -> list[str]:
    return list(wrong_in(Controls((control(**given),), (one,)), SCHEMAS))


GOOD = check("every", must=(Condition(field="name", op="filled"),))


def test_a_good_check_is_taken() -> None:
    assert reasons(GOOD) == []


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"register": "nothing"}, "no register nothing"),
        ({"states": ("nothing",)}, "no state nothing"),
        ({"must": ()}, "must"),
        ({"must": (Condition(field="nothing", op="filled"),)}, "no field nothing"),
        ({"must": (Condition(field="maker.nothing", op="filled"),)}, "no field maker.nothing"),
        ({"must": (Condition(field="name", op="same", other="nothing"),)}, "no field nothing"),
        ({"must": (Condition(field="name", op="is"),)}, "it takes value"),
        ({"must": (Condition(field="name", op="filled", value=1),)}, "it takes nothing"),
        ({"must": (Condition(field="name", op="in", value="x"),)}, "it takes values"),
        ({"must": (Condition(field="due_on", op="not-after", value="x"),)}, "it takes other"),
        ({"rule": "covers"}, "covers"),
        ({"rule": "covers", "covered": "nothing", "values": ("a",)}, "no field nothing"),
        ({"rule": "each", "of": "maker"}, "each"),
        ({"rule": "each", "of": "nothing", "join": "maker"}, "no register nothing"),
        ({"rule": "each", "of": "maker", "join": "maker", "of_field": "nothing"}, "no field nothing"),
        ({"rule": "each", "of": "maker", "join": "maker", "of_states": ("nothing",)}, "no state nothing"),
        ({"rule": "on-time"}, "must"),
        ({"rule": "on-time", "must": (), "clocks": ("nothing",)}, "no clock nothing"),
        ({"clocks": ("answer",)}, "no clock answer"),
        ({"when_none": "not_applicable", "none_fr": ""}, "why it does not apply"),
        ({"owner": "somebody"}, "no owner somebody"),
    ],
)
def test_a_check_that_hangs_in_the_air_is_refused(given: dict[str, Any], word: str) -> None:
    assert any(word in reason for reason in reasons(msgspec.structs.replace(GOOD, **given)))


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"answers": ()}, "answers nothing"),
        ({"checks": tuple(LIVE)}, "check of no control deal.x"),
        ({"checks": ("deal.x", "nothing", *LIVE)}, "control of no check nothing"),
        ({"answers": ("hds@2.0#EXI-99",)}, "no requirement hds@2.0#EXI-99"),
        ({"answers": ("hds@9#EXI-02",)}, "no requirement hds@9#EXI-02"),
        ({"answers": ("EXI-02",)}, "no requirement EXI-02"),
        ({"answers": ("hds@2.0#EXI-02", "hds@2.0#EXI-02")}, "named twice"),
        ({"owner": "somebody"}, "no owner somebody"),
        ({"id": "deal.x"}, "deal.x twice"),
    ],
)
def test_a_control_that_hangs_in_the_air_is_refused(given: dict[str, Any], word: str) -> None:
    assert any(word in reason for reason in reasons(GOOD, **given))


@pytest.mark.parametrize("text", ["[", 'format = "other"', 'format = "hygie controls 1"\n[[check]]\nid = 3', "x = 1"])
def test_a_file_that_is_none_is_refused_with_its_name(text: str) -> None:
    with pytest.raises(ControlsInvalidError) as refused:
        read._read(text, "mine.toml")
    assert refused.value.facts["file"] == "mine.toml"


def test_what_is_shipped_hangs_nowhere() -> None:
    assert list(wrong_in(shipped_controls(), shipped_schemas())) == []


def test_controls_are_found_by_what_they_answer_and_by_who_answers() -> None:
    by_id = {one.control.id for one in find_controls(requirement="EXI-24.2")}
    assert by_id == {one.control.id for one in find_controls(requirement="hds@2.0#EXI-24.2")}
    assert "change-consent" in by_id
    assert {one.control.owner for one in find_controls(owner="dpo")} == {"dpo"}
    for asked in ({"requirement": "EXI-99"}, {"owner": "somebody"}):
        with pytest.raises(ControlUnknownError):
            find_controls(**asked)


def test_a_control_and_its_checks_are_found_by_id() -> None:
    found = find_one("changes")
    assert isinstance(found, ControlCard)
    for one in found.checks:
        assert "changes" in one.controls
        assert find_one(one.id) == one
    live = find_one("tech-1.flows")
    assert live.as_row()["looks_at"] == "fact:tls"
    with pytest.raises(ControlUnknownError):
        find_one("nothing")
