"""Civil dates of Europe/Paris: months after a day, working days. The day of an instant is ``base.civil.paris_date``.

Months: the day of the same number, or the last day of the month when it has no such day (31 August + 3 months is
30 November; 29 February + 12 months is 28 February), until midnight that day: French code of civil procedure art. 641,
Regulation (EEC) 1182/71 art. 3. Nothing moves a deadline that falls on a Sunday: the clocks of a certification body are
not those of a procedure, so art. 642 does not lengthen them; callers show the last working day before instead.
"""

from __future__ import annotations

import calendar
from datetime import date, timedelta
from functools import cache

DAY_MIN = date(2000, 1, 1)  # before HDS, before the rule of summer time (base.civil) was settled everywhere
DAY_MAX = date(2099, 12, 31)  # a certificate that ends later is a typing mistake

_SATURDAY = 5


def add_months(day: date, months: int) -> date:
    """The same day number that many calendar months later (or earlier), or the last day of that month."""
    total = day.year * 12 + day.month - 1 + months
    year, month = total // 12, total % 12 + 1
    return date(year, month, min(day.day, calendar.monthrange(year, month)[1]))


def is_working_day(day: date) -> bool:
    """Monday to Friday, public holidays of metropolitan France left out (not the two more of Alsace-Moselle)."""
    return day.weekday() < _SATURDAY and day not in public_holidays(day.year)


def working_day_before(day: date) -> date:
    """The day itself if people work on it, else the last working day before it."""
    while not is_working_day(day):
        day -= timedelta(days=1)
    return day


@cache
def public_holidays(year: int) -> frozenset[date]:
    """The eleven public holidays of France (code du travail L.3133-1)."""
    easter = _easter(year)
    moving = {easter + timedelta(days=days) for days in (1, 39, 50)}  # Easter Monday, Ascension, Whit Monday
    fixed = ((1, 1), (5, 1), (5, 8), (7, 14), (8, 15), (11, 1), (11, 11), (12, 25))
    return frozenset(moving | {date(year, month, day) for month, day in fixed})


def _easter(year: int) -> date:
    """Gregorian Easter Sunday, by the anonymous algorithm that Meeus gives (Astronomical Algorithms, chapter 8)."""
    golden, (century, rest) = year % 19, divmod(year, 100)
    leap, odd = divmod(century, 4)
    shift = (century - (century + 8) // 25 + 1) // 3
    epact = (19 * golden + century - leap - shift + 15) % 30
    quarter, remainder = divmod(rest, 4)
    weekday = (32 + 2 * odd + 2 * quarter - epact - remainder) % 7
    late = (golden + 11 * epact + 22 * weekday) // 451
    month, day = divmod(epact + weekday - 7 * late + 114, 31)
    return date(year, month, day + 1)
