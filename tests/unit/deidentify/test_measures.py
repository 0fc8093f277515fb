"""Small cells, groups of people, dates: properties that hold whatever the people."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, date, datetime, timedelta, timezone
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hygie.deidentify.cells import Cells
from hygie.deidentify.errors import TooFewAlikeError
from hygie.deidentify.people import Person, choose_level, department_of, dress, shifted, shown
from hygie.deidentify.rules import shipped_rules
from hygie.fhir.primitives import DATE_TIME

TODAY = date(2026, 11, 28)
ICD = "http://hl7.org/fhir/sid/icd-10"
ATC = "http://www.whocc.no/atc"
CODES = [(ICD, code) for code in ("F32.0", "F32.1", "F32.9", "F32", "I10", "I11.0")]
CODES += [(ATC, code) for code in ("C09AA05", "C09AA04", "C09BA01", "N02BE01")]

holdings = st.lists(st.tuples(st.sampled_from(CODES), st.integers(0, 12)), max_size=120)


def shown_after(cells: Cells, held: list[tuple[tuple[str, str], int]]) -> dict[tuple[str, str], set[bytes]]:
    """Who shows which code of a result."""
    found: dict[tuple[str, str], set[bytes]] = {}
    for (system, code), who in held:
        end = cells.resolve(system, code)
        if end is not None:
            assert code.startswith(end)
            found.setdefault((system, end), set()).add(bytes([who]))
    return found


@given(holdings, st.integers(2, 6))
def test_every_code_of_the_result_is_held_by_enough_people(held: list[tuple[tuple[str, str], int]], k: int) -> None:
    cells = Cells(shipped_rules().systems)
    for cell, _ in held:
        assert cells.admit(*cell)
    cells.coarsen(shown_after(cells, held), k)
    after = shown_after(cells, held)
    assert all(len(people) >= k for people in after.values())
    assert not cells.coarsen(after, k)
    counts = cells.count()
    assert counts.kept + counts.generalised + counts.dropped == len({cell for cell, _ in held})
    assert counts.kept + counts.generalised == sum(
        cells.resolve(*cell) is not None for cell in {one for one, _ in held}
    )


@given(holdings, st.integers(2, 6), st.sets(st.integers(0, 12)))
def test_people_who_go_after_a_count_leave_no_small_cell(
    held: list[tuple[tuple[str, str], int]], k: int, gone: set[int]
) -> None:
    cells = Cells(shipped_rules().systems)
    for cell, _ in held:
        cells.admit(*cell)
    cells.coarsen(shown_after(cells, held), k)
    left = [one for one in held if one[1] not in gone]
    while cells.coarsen(shown_after(cells, left), k):
        pass
    assert all(len(people) >= k for people in shown_after(cells, left).values())


def test_rare_codes_join_their_parent() -> None:
    cells = Cells(shipped_rules().systems)
    codes = ["F32.0", "F32.1", "F32.9", "I10", "I10", "I10", "S52.5"]
    held = [((ICD, code), who) for who, code in enumerate(codes)]
    for cell, _ in held:
        cells.admit(*cell)
    assert cells.coarsen(shown_after(cells, held), 3)
    assert not cells.coarsen(shown_after(cells, held), 3)
    counts = cells.count()
    assert (counts.kept, counts.generalised, counts.dropped) == (1, 3, 1)
    assert cells.resolve(ICD, "F32.9") == "F32"
    assert cells.resolve(ICD, "I10") == "I10"
    assert cells.resolve(ICD, "S52.5") is None


@pytest.mark.parametrize(
    ("system", "code"),
    [
        ("http://loinc.org", "Zqmark"),
        ("http://loinc.org", "718-7 "),
        ("http://loinc.org", "７18-7"),
        ("http://loinc.org", "30525-0"),  # an age, which is grouped elsewhere
        ("urn:local", "718-7"),
        (None, "718-7"),
        ("http://loinc.org", None),
    ],
)
def test_a_code_of_an_unknown_system_or_form_does_not_leave(system: object, code: object) -> None:
    cells = Cells(shipped_rules().systems)
    assert not cells.admit(system, code)


crowds = st.lists(
    st.tuples(st.sampled_from(["male", "female", "other", ""]), st.integers(0, 1) , st.integers(1915, 2026),
              st.sampled_from(["35", "69", "2A", "971", "99", ""])),
    min_size=1, max_size=60,
)  # fmt: skip


@given(crowds, st.integers(2, 6))
def test_everybody_in_the_result_is_like_enough_others(crowd: list[tuple[str, int, int, str]], k: int) -> None:
    people = [
        Person(timedelta(days=40), known=True, sex=sex, born=born if dated else 0, department=place)
        for sex, dated, born, place in crowd
    ]
    if len(people) < k:
        with pytest.raises(TooFewAlikeError):
            choose_level(people, k, TODAY)
        return
    level, smallest = choose_level(people, k, TODAY)
    assert min(Counter(shown(one, level, TODAY) for one in people).values()) == smallest >= k
    dress(people, level, Random(1), TODAY)
    assert len({one.ins for one in people}) == len(people)
    assert all(TODAY.year - one.shown_born >= 0 for one in people)


@pytest.mark.parametrize("born", [1905, 1920, 1936])
def test_people_of_90_and_over_are_one_group(born: int) -> None:
    one = Person(timedelta(days=40), known=True, sex="male", born=born)
    level, _ = choose_level([one, Person(timedelta(days=40), known=True, sex="male", born=1936)], 2, TODAY)
    assert level.years == 1
    assert shown(one, level, TODAY)[1] == 1936


@given(st.integers(-1_200_000_000, 1_760_000_000), st.integers(31, 396), st.sampled_from([4, 7, 10, 25]))
def test_a_date_moves_back_and_stays_as_precise_as_it_was(second: int, days: int, length: int) -> None:
    at = datetime.fromtimestamp(second, UTC)
    text = f"{at:%Y-%m-%dT%H:%M:%S}+01:00"[:length]
    moved = shifted(text, timedelta(days=days, seconds=17))
    assert moved is not None
    assert re.fullmatch(DATE_TIME, moved)
    assert len(moved) == min(length, len("2024-03-05T08:15:00Z"))
    assert moved < text or length == 4
    if length >= 10:
        assert days - 1 <= (datetime.fromisoformat(text) - datetime.fromisoformat(moved)).days <= days + 1


@pytest.mark.parametrize("offset", ["Z", "+01:00", "+02:00", "+04:00", "-03:00", "+11:00"])
def test_an_instant_does_not_say_where_or_in_which_season_it_was(offset: str) -> None:
    """The same instant as it is written in Paris in winter or summer, in La Réunion, Cayenne or Nouméa."""
    at = datetime(2024, 1, 5, 20, 15, 42, tzinfo=UTC)
    zone = timezone(datetime.fromisoformat(f"2024-01-05T00:00:00{offset}").utcoffset() or timedelta())
    text = at.astimezone(zone).isoformat() if offset != "Z" else "2024-01-05T20:15:42Z"
    assert shifted(text, timedelta(days=40, seconds=17)) == "2023-11-26T20:15:00Z"


@pytest.mark.parametrize("text", ["2024-03-05T08:15:60Z", "0001-01-01", "1899-06-01"])
def test_a_date_that_cannot_be_moved_is_dropped(text: str) -> None:
    assert shifted(text, timedelta(days=40)) is None


@pytest.mark.parametrize(
    ("country", "code", "department"),
    [("FR", "35000", "35"), ("", "97400", "974"), ("FR", "20200", "20"), ("DE", "35000", "99"), ("FR", "Zq", ""),
     ("FR", "3500O", ""), ("", "", "")],
)  # fmt: skip
def test_an_address_becomes_a_department(country: str, code: str, department: str) -> None:
    assert department_of(country, code) == department
