"""The people of one copy: who they become, and how many in the result are alike. Pure, but for the draw it is given.

Nothing of here is ever stored: offsets, made-up names and numbers live in the memory of one process, for one copy.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import NamedTuple

from hygie.base.identifiers import nir_key
from hygie.deidentify.errors import TooFewAlikeError
from hygie.synthetic import names

SHIFT_DAYS_MIN, SHIFT_DAYS_MAX = 31, 396  # back only: no test record is from the future
DAY_S = 86_400
OLD_AGE = 90  # from here on one group, as HIPAA's safe harbor and the CNIL's examples have it
YEAR_MIN, YEAR_MAX = 1900, 2200
SEXES = ("male", "female")
BORN_ABROAD = "99"  # the department of a NIR whose holder was born elsewhere


class Level(NamedTuple):
    """How coarse people are shown. years: width of a band of birth years, 0: none is shown."""

    years: int
    sex: bool
    department: bool


# From the finest to the coarsest: the first one where enough people are alike is used for everybody.
LEVELS = (
    Level(1, True, True),
    Level(5, True, True),
    Level(10, True, True),
    Level(10, True, False),
    Level(20, True, False),
    Level(0, True, False),
    Level(0, False, False),
)


@dataclass(slots=True)
class Person:
    """One patient of the copy. known: his own resource was read; sex, born, department: of the source, "" or 0 when it
    does not say; the rest is what he becomes."""

    shift: timedelta
    known: bool = False
    sex: str = ""
    born: int = 0
    department: str = ""
    shown_sex: str = ""
    shown_born: int = 0
    shown_department: str = ""
    family: str = ""
    given: str = ""
    ins: str = ""


def new_person(draw: Random) -> Person:
    """Somebody whose dates move by an offset that nobody keeps."""
    return Person(timedelta(seconds=draw.randint(SHIFT_DAYS_MIN * DAY_S, SHIFT_DAYS_MAX * DAY_S)))


def shown(person: Person, level: Level, today: date) -> tuple[str, int, str]:
    """(sex, first birth year of the band or 0, department) of a person at a level."""
    born = 0
    if level.years and person.born:
        born = max(person.born, today.year - OLD_AGE) // level.years * level.years
    sex = person.sex if level.sex and person.sex in SEXES else ""
    return sex, born, person.department if level.department else ""


def choose_level(people: Sequence[Person], k: int, today: date) -> tuple[Level, int]:
    """The finest level where everybody is like k - 1 others at least, and the size of its smallest group.

    Raises: TooFewAlikeError: there are fewer than k people.
    """
    for level in LEVELS:
        smallest = min(Counter(shown(one, level, today) for one in people).values(), default=0)
        if smallest >= k:
            return level, smallest
    raise TooFewAlikeError(people=len(people), k=k)


def dress(people: Iterable[Person], level: Level, draw: Random, today: date) -> None:
    """Give each person what the copy shows of him: a made-up name and a test INS that say no more than the level."""
    taken: set[str] = set()
    for one in people:
        one.shown_sex, one.shown_born, one.shown_department = shown(one, level, today)
        female = one.shown_sex == "female" if one.shown_sex else draw.random() < 0.5
        one.family = names.family_name(draw)
        one.given = draw.choice(names.GIVEN_FEMALE if female else names.GIVEN_MALE)
        while not one.ins or one.ins in taken:
            one.ins = _ins(female=female, born=one.shown_born, draw=draw)
        taken.add(one.ins)


def _ins(*, female: bool, born: int, draw: Random) -> str:
    year = born % 100 if born else draw.randrange(100)
    month, place, order = draw.randint(1, 12), draw.randint(1, 989), draw.randint(1, 999)
    number = f"{2 if female else 1}{year:02d}{month:02d}{BORN_ABROAD}{place:03d}{order:03d}"
    return number + nir_key(number)


def shifted(text: str, back: timedelta) -> str | None:
    """A FHIR date, dateTime or instant moved back, as precise as it was, to the minute at most; None: it cannot be.

    A year or a month moves from its middle. An instant is told in UTC: an offset says where somebody was (+04:00), or
    by summer time in which season.
    """
    try:
        if len(text) <= 7:
            whole = f"{text}-07-01" if len(text) == 4 else f"{text}-15"
            moved = (datetime.fromisoformat(whole) - back).date().isoformat()[: len(text)]
        elif len(text) == 10:
            moved = (datetime.fromisoformat(text) - back).date().isoformat()
        else:
            moved = f"{datetime.fromisoformat(text).astimezone(UTC) - back:%Y-%m-%dT%H:%M}:00Z"
    except (ValueError, OverflowError):  # a leap second, a year before the calendar
        return None
    return moved if len(moved) >= len(text[:10]) and YEAR_MIN <= int(moved[:4]) <= YEAR_MAX else None


def department_of(country: str, postal_code: str) -> str:
    """The French department of an address, ``99`` abroad, "" when it does not say."""
    if country and country.upper() not in {"FR", "FRA", "FRANCE"}:
        return BORN_ABROAD
    if len(postal_code) != 5 or not (postal_code.isascii() and postal_code.isdigit()):
        return ""
    return postal_code[: 3 if postal_code.startswith(("97", "98")) else 2]
