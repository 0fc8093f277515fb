"""One client's minutes, held to a contract."""

from __future__ import annotations

import pytest

from hygie.availability.clients import TELLING_MINUTES, ClientMinutes, held_to
from hygie.availability.minutes import UP, Period, Run, Service, Span
from hygie.availability.terms import Terms

MONTH = Period("2026-11", Span(0, 30 * 1_440))


@pytest.mark.parametrize(("left", "is_telling"), [(TELLING_MINUTES, True), (TELLING_MINUTES - 1, False), (60, False)])
def test_a_client_that_came_in_the_last_hours_is_not_held_to_a_rate_that_its_start_uses_up(
    left: int, is_telling: bool
) -> None:
    since = MONTH.span.end - left
    runs = [Run("local", since + 2, since + 9, UP, "")]  # two minutes to start
    (counted,) = held_to(ClientMinutes("chu", [Service(runs, since)], [], since + 10), Terms(), [MONTH])
    assert counted.tally.down == 2
    assert counted.account.left < 0
    assert counted.is_telling is is_telling
