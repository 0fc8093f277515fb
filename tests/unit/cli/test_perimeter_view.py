"""The perimeter and a questionnaire's result, in the typography of each language."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Literal

import pytest

from hygie.base.language import set_language
from hygie.cli.console import Console
from hygie.cli.perimeter_view import show, show_scope
from hygie.perimeter import Perimeter
from hygie.proof.certification.scoping import Applies, Scope
from hygie.proof.model import Observed, Text
from hygie.proof.perimeter.services import ServiceRow


@pytest.fixture(params=["fr", "en"])
def language(request: pytest.FixtureRequest) -> Iterator[Literal["fr", "en"]]:
    set_language(request.param)
    yield request.param
    set_language(None)


def test_a_colon_has_a_space_before_it_in_french_alone(
    language: Literal["fr", "en"], capsys: pytest.CaptureFixture[str]
) -> None:
    reasons = (Text("aucune activité déclarée", "no activity declared"),)
    service = ServiceRow("SVC", "FHIR", "open", True, (), False, reasons, (), ())
    show(Console(), Perimeter(date(2027, 3, 15), [service], [], Observed(failure="HYG-430")))
    show_scope(Console(), "chu", "SCO-1", Scope(Applies.YES, (), (), (), (), ()))
    said = capsys.readouterr().out
    wanted = {
        "fr": ("SVC FHIR (open, production) : NON COUVERT", "chu (SCO-1) : soumis à la certification HDS"),
        "en": ("SVC FHIR (open, production): NOT COVERED", "chu (SCO-1): HDS certification is needed"),
    }
    for line in wanted[language]:
        assert line in said
    assert (" :" in said) is (language == "fr")
