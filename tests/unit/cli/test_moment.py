"""An instant or a date as a person types it: a day ends in Paris."""

from __future__ import annotations

from datetime import date, datetime

import pytest
import typer

from hygie.base.civil import paris_date
from hygie.cli.moment import moment_ms


@pytest.mark.parametrize(
    ("typed", "instant"),
    [
        ("2026-11-27", "2026-11-27T22:59:59.999+00:00"),
        (" 2026-07-14 ", "2026-07-14T21:59:59.999+00:00"),
        ("2026-11-27T08:15", "2026-11-27T08:15:00+00:00"),
        ("2026-11-27T08:15:30+01:00", "2026-11-27T07:15:30+00:00"),
    ],
)
def test_what_a_person_types_is_an_instant(typed: str, instant: str) -> None:
    assert moment_ms(typed) == int(datetime.fromisoformat(instant).timestamp() * 1000)


def test_a_date_is_judged_on_that_very_day() -> None:
    assert paris_date(moment_ms("2026-11-27")) == date(2026, 11, 27)


@pytest.mark.parametrize("typed", ["", "hier", "2026-02-30", "9999-12-31", "27/11/2026"])
def test_what_is_no_date_is_refused(typed: str) -> None:
    with pytest.raises(typer.BadParameter):
        moment_ms(typed)
