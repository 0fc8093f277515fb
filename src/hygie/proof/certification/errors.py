"""Errors of the certification cycle. Reasons are in both languages and repeat no text that somebody typed."""

from __future__ import annotations

from hygie.base.errors import InvalidRequestError, Language, NotFoundError, SettingsError
from hygie.proof.model import Text


class RecordRefusedError(InvalidRequestError):
    """A record is not acceptable: which record, which field, why. Nothing of it is kept.

    record: the kind of record and its place in what was given, ``certificate``, ``finding[3]``; field: dotted name.
    """

    code = "HYG-1B7"
    fr = "Enregistrement « {record} » refusé, champ {field} : {reason}."
    en = "Record '{record}' refused, field {field}: {reason}."

    def __init__(self, *, record: str, field: str, reason: Text) -> None:
        super().__init__(record=record, field=field, reason_fr=reason.fr, reason_en=reason.en)
        self.reason = reason


class TransitionRefusedError(InvalidRequestError):
    """An event cannot happen in the state that the cycle has on that day.

    event: its kind; on: its date, ISO 8601; state: the state of the cycle that day, before the event; words: what
    people call that event and that state.
    """

    code = "HYG-1B8"
    fr = "L'événement « {event} » du {on} est impossible à l'état « {state} » : {reason}."
    en = "Event '{event}' of {on} is impossible in the state '{state}': {reason}."

    def __init__(self, *, event: str, on: str, state: str, words: tuple[Text, Text], reason: Text) -> None:
        super().__init__(event=event, on=on, state=state, reason=reason.en)
        self.words = words
        self.reason = reason

    def sentence(self, language: Language = "en") -> str:
        """The sentence with its words and its reason in that language."""
        event, state = (getattr(each, language) for each in self.words)
        facts = self.facts | {"event": event, "state": state, "reason": getattr(self.reason, language)}
        return (self.fr if language == "fr" else self.en).format_map(facts)


class DelayAbsentError(NotFoundError):
    """No rule of that name was in force on that day."""

    code = "HYG-3B8"
    fr = "Aucune règle de délai « {delay} » n'est en vigueur le {on}."
    en = "No rule of delay '{delay}' is in force on {on}."


class CertificationDataError(SettingsError):
    """A data file of the room (delays, tasks, audits, scoping) does not hold together."""

    code = "HYG-6B8"
    fr = "Données de certification refusées ({file}, {field}) : {reason}."
    en = "Certification data refused ({file}, {field}): {reason}."

    def __init__(self, *, file: str, field: str, reason: Text) -> None:
        super().__init__(file=file, field=field, reason_fr=reason.fr, reason_en=reason.en)
        self.reason = reason
