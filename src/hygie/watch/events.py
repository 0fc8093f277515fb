"""What rules look at: one flat fact, whatever its source.

Source: docs/formats/watch-events.md.  Names and values are those of the journal's entries and of the log's lines; no
health data are in either.  Values are texts, whole numbers or booleans; a field that says nothing is absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from hygie.journal.entry import PLATFORM, Entry

JOURNAL, MEASUREMENT, CHECK, HOST = "journal", "measurement", "check", "host"
PARIS = ZoneInfo("Europe/Paris")

Value = str | int | bool
Fields = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Event:
    """One fact. source: ``journal``, or the name of a log; rank: its place there (the entry's index); at_ms: UTC."""

    source: str
    rank: int
    at_ms: int
    fields: Fields


def of_entry(index: int, entry: Entry, account_kind: str = "") -> Event:
    """An entry of the journal as rules see it. Time: 4 microseconds.

    Args: account_kind: ``person`` or ``application``, where the account is known.
    """
    fields: dict[str, Value] = {"source": JOURNAL, "action": entry.action.value, "outcome": entry.outcome}
    fields["kind"] = entry.kind
    for name, text in (
        ("account", entry.account),
        ("professional_id", entry.professional_id),
        ("authentication", entry.authentication),
        ("on_behalf_of", entry.on_behalf_of),
        ("address", entry.address),
        ("device", entry.device),
        ("site", entry.site),
        ("purpose", entry.purpose),
        ("habilitation", entry.habilitation),
    ):
        if text:
            fields[name] = text
    if entry.account:
        fields["login"] = entry.account.partition(":")[2] or entry.account  # of a machine's person: local:paul
    if account_kind:
        fields["account_kind"] = account_kind
    if entry.tenant_id != PLATFORM:
        fields["tenant"] = entry.tenant_id.hex()
    if entry.environment_id != PLATFORM:
        fields["environment"] = entry.environment_id.hex()
    if entry.subject:
        fields["subject"] = entry.subject.hex()
    if entry.items:
        fields["type"] = entry.items[0][0]
    if entry.count:
        fields["count"] = entry.count
    if entry.country:
        country, _, how = entry.country.rpartition(" ")
        fields["country"], fields["country_how"] = country or "unknown", how
    for name, text in entry.detail.items():
        fields[f"detail.{name}"] = int(text) if text.isascii() and text.isdigit() and len(text) < 16 else text
    fields.update(clock_fields(entry.at_ms))
    return Event(JOURNAL, index, entry.at_ms, fields)


def clock_fields(at_ms: int) -> dict[str, Value]:
    """``hour`` (0 to 23) and ``weekday`` (1 Monday to 7) of an instant in France."""
    hours = at_ms // 3_600_000
    if hours not in _HOURS:
        if len(_HOURS) >= _HOURS_MAX:
            _HOURS.clear()
        local = datetime.fromtimestamp(hours * 3_600, PARIS)
        _HOURS[hours] = {"hour": local.hour, "weekday": local.isoweekday()}
    return _HOURS[hours]


_HOURS_MAX = 1_000
_HOURS: dict[int, dict[str, Value]] = {}  # an instant's hour is asked for each event, and changes once an hour
