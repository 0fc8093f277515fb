"""The words of papers, in the language asked: verdicts, evidence, owners, dates. Pure: nothing depends on the locale.

Instants are told in the time of Paris, which the reader's clock shows; files for machines keep UTC.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from hygie.base.errors import Language
from hygie.registers.schema import Field, Schema

PARIS = ZoneInfo("Europe/Paris")
_MONTHS = (
    *("janvier", "février", "mars", "avril", "mai", "juin"),
    *("juillet", "août", "septembre", "octobre", "novembre", "décembre"),
)
_MONTHS_EN = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
VERDICTS: Mapping[str, tuple[str, str]] = {
    "satisfied": ("satisfaite", "satisfied"),
    "unsatisfied": ("non satisfaite", "not satisfied"),
    "unknown": ("inconnue", "unknown"),
    "not_applicable": ("sans objet", "not applicable"),
}
EVIDENCE: Mapping[str, tuple[str, str]] = {
    "measured": ("prouvé (mesuré)", "proved (measured)"),
    "attested": ("attesté", "attested"),
    "external": ("sur document", "by document"),
    "declared": ("déclaré", "declared"),
    "none": ("inconnu", "unknown"),
}
STANDINGS: Mapping[str, tuple[str, str]] = {
    "literal": ("texte", "text"),
    "derived": ("dérivée", "derived"),
    "promise": ("promesse", "promise"),
    "scope": ("champ", "scope"),
    "": ("", ""),
}
OWNERS: Mapping[str, tuple[str, str]] = {
    "achats": ("achats", "purchasing"),
    "direction": ("direction", "management"),
    "dpo": ("DPO", "DPO"),
    "exploitation": ("exploitation", "operations"),
    "juridique": ("juridique", "legal"),
    "operations": ("exploitation", "operations"),
    "qualite": ("qualité", "quality"),
    "rh": ("ressources humaines", "human resources"),
    "rssi": ("RSSI", "security officer"),
    "support": ("support", "support"),
}
# The thirty countries of the EEA are those where health data may be stored; others appear by their code.
COUNTRIES: Mapping[str, tuple[str, str]] = {
    "AT": ("Autriche", "Austria"), "BE": ("Belgique", "Belgium"), "BG": ("Bulgarie", "Bulgaria"),
    "CA": ("Canada", "Canada"), "CH": ("Suisse", "Switzerland"), "CY": ("Chypre", "Cyprus"),
    "CZ": ("Tchéquie", "Czechia"), "DE": ("Allemagne", "Germany"), "DK": ("Danemark", "Denmark"),
    "EE": ("Estonie", "Estonia"), "ES": ("Espagne", "Spain"), "FI": ("Finlande", "Finland"), "FR": ("France", "France"),
    "GB": ("Royaume-Uni", "United Kingdom"), "GR": ("Grèce", "Greece"), "HR": ("Croatie", "Croatia"),
    "HU": ("Hongrie", "Hungary"), "IE": ("Irlande", "Ireland"), "IN": ("Inde", "India"), "IS": ("Islande", "Iceland"),
    "IT": ("Italie", "Italy"), "JP": ("Japon", "Japan"), "LI": ("Liechtenstein", "Liechtenstein"),
    "LT": ("Lituanie", "Lithuania"), "LU": ("Luxembourg", "Luxembourg"), "LV": ("Lettonie", "Latvia"),
    "MA": ("Maroc", "Morocco"), "MT": ("Malte", "Malta"), "NL": ("Pays-Bas", "Netherlands"),
    "NO": ("Norvège", "Norway"), "PL": ("Pologne", "Poland"), "PT": ("Portugal", "Portugal"),
    "RO": ("Roumanie", "Romania"), "SE": ("Suède", "Sweden"), "SI": ("Slovénie", "Slovenia"),
    "SK": ("Slovaquie", "Slovakia"), "TN": ("Tunisie", "Tunisia"), "US": ("États-Unis", "United States"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Words:
    """Says things in one language."""

    language: Language

    def say(self, fr: str, en: str) -> str:
        """The sentence in this language."""
        return fr if self.language == "fr" else en

    def of(self, pair: Sequence[str] | None) -> str:
        """A sentence kept as ``[French, English]``; nothing when there is none."""
        return "" if pair is None else pair[0 if self.language == "fr" else 1]

    @property
    def colon(self) -> str:
        """Between a name and what it is: French sets a no-break space before it."""
        return "\u00a0: " if self.language == "fr" else ": "

    @property
    def semicolon(self) -> str:
        """Between the items of a list in a sentence."""
        return "\u00a0; " if self.language == "fr" else "; "

    def verdict(self, name: str) -> str:
        """A verdict."""
        return self.of(VERDICTS[name])

    def evidence(self, name: str) -> str:
        """A kind of evidence."""
        return self.of(EVIDENCE[name])

    def standing(self, name: str) -> str:
        """What an obligation rests on."""
        return self.of(STANDINGS.get(name, (name, name)))

    def owner(self, name: str) -> str:
        """A role that answers for something."""
        return self.of(OWNERS.get(name, (name, name)))

    def country(self, code: str) -> str:
        """A country by its ISO 3166 code."""
        return self.of(COUNTRIES.get(code, (code, code)))

    def day(self, day: str) -> str:
        """An ISO date, or the day in Paris of an instant, as people write it; nothing for an empty one."""
        if not day:
            return ""
        if "T" in day:
            day = datetime.fromisoformat(day).astimezone(PARIS).date().isoformat()
        found = date.fromisoformat(day)
        if self.language == "fr":
            return f"{'1er' if found.day == 1 else found.day} {_MONTHS[found.month - 1]} {found.year}"
        return f"{found.day} {_MONTHS_EN[found.month - 1]} {found.year}"

    def date(self, at_ms: int | None) -> str:
        """The day of an instant in Paris; nothing for 0 or none."""
        return "" if not at_ms else self.day(civil_day(at_ms).isoformat())

    def instant(self, at_ms: int | None) -> str:
        """An instant in Paris, to the minute, with its offset from UTC; nothing for 0 or none."""
        if not at_ms:
            return ""
        found = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(PARIS)
        return f"{self.day(found.date().isoformat())}, {found:%H:%M} (UTC{found:%z})"[:-3] + ")"

    def number(self, count: int) -> str:
        """A whole number, by thousands: a narrow no-break space in French, a comma in English."""
        return f"{count:,}".replace(",", "\u202f") if self.language == "fr" else f"{count:,}"

    def yes(self, value: object) -> str:
        """Yes or no; unknown when nothing was said."""
        if value is None:
            return self.say("inconnu", "unknown")
        return self.say("oui", "yes") if value else self.say("non", "no")

    def duration(self, seconds: float) -> str:
        """A span: minutes, hours or days, whole when it is."""
        for size, fr, en in ((86_400, "jour", "day"), (3_600, "heure", "hour")):
            if seconds >= size and seconds % size == 0:
                count = int(seconds // size)
                return f"{count} {self.say(fr, en)}{'s' if count > 1 else ''}"
        count = int(seconds // 60)
        return f"{count} minute{'s' if count > 1 else ''}"

    def label(self, one: Field | Schema) -> str:
        """The name of a field or of a register."""
        return self.say(one.fr, one.en)

    def value(self, field: Field, value: Any) -> str:
        """A stored value of a record's field."""
        if value is None:
            return ""
        if isinstance(value, list):
            return ", ".join(self.value(field, one) for one in value)
        if isinstance(value, bool):
            return self.yes(value)
        if field.choices:
            return next((self.say(one.fr, one.en) for one in field.choices if one.id == value), str(value))
        if field.type == "date":
            return self.day(value)
        return self.country(value) if field.type in ("country", "countries") else str(value)


def civil_day(at_ms: int) -> date:
    """The date in Paris of an instant."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(PARIS).date()


def utc(at_ms: int) -> str:
    """An instant for machines: ``2026-11-27T08:15:00.123Z``."""
    found = datetime.fromtimestamp(at_ms / 1000, UTC)
    return f"{found:%Y-%m-%dT%H:%M:%S}.{at_ms % 1000:03d}Z"
