"""What leaves the house about a finding: which one, how grave, what to do, where to look. Nothing of what it found.

Source: docs/formats/notice.md.  No value of its group (accounts, addresses, clients), no health data: mail is read on
the way, and lies in boxes for years.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from hygie.base.clock import iso_ms
from hygie.watch.findings import Finding
from hygie.watch.sigma import Card

VERSION = 1
TEST = "test"  # in the place of a finding's id
# The finding that a channel itself gives rise to.
CHANNEL_CARD: Final = Card(
    id="5f0c4a52-4df6-4b0b-9d0c-3f4d6f0a7b21",
    name="channel-down",
    title="A channel does not deliver",
    title_fr="Un canal d'alerte ne remet plus",
    level="high",
    threat="T-67",
    todo="See which one and why (hygie finding show), then try it: hygie finding test-channel NAME.",
    todo_fr="Voyez lequel et pourquoi (hygie finding show), puis essayez-le : hygie finding test-channel NOM.",
    file="",
)

# And the one of a log, or of a sender, that says nothing within its rhythm.
SILENT_CARD: Final = Card(
    id="c9a3c2de-0c57-4a8c-9b6e-6c1a2f1d7e40",
    name="source-silent",
    title="A source is silent",
    title_fr="Une source est muette",
    level="high",
    threat="T-68",
    todo="See which one (hygie finding show): its machine, its rsyslog, the path of the settings.",
    todo_fr="Voyez laquelle (hygie finding show) : sa machine, son rsyslog, le chemin des réglages.",
    file="",
)
OWN_CARDS: Final = {one.id: one for one in (CHANNEL_CARD, SILENT_CARD)}


@dataclass(frozen=True, slots=True)
class Message:
    """One thing to tell. id: the finding's, ``test`` for a trial; step: of the escalation, from 1 on, 0: at once."""

    id: str
    step: int
    level: str
    title: str
    title_fr: str
    todo: str
    todo_fr: str
    opened_ms: int
    last_ms: int
    count: int

    @property
    def look(self) -> str:
        """How to see the rest, inside the house."""
        return f"hygie finding show {self.id}" if self.id != TEST else "hygie finding list"

    def facts(self) -> Mapping[str, Any]:
        """As programs read it."""
        return {
            "version": VERSION,
            "finding": self.id,
            "step": self.step,
            "level": self.level,
            "title_fr": self.title_fr,
            "title_en": self.title,
            "opened": iso_ms(self.opened_ms),
            "last": iso_ms(self.last_ms),
            "count": self.count,
            "todo_fr": self.todo_fr,
            "todo_en": self.todo,
            "look": self.look,
        }

    def json(self) -> bytes:
        """The same as one line of UTF-8."""
        return json.dumps(self.facts(), ensure_ascii=False, separators=(",", ":")).encode()

    @property
    def subject(self) -> str:
        """One line for people."""
        return f"[Hygie] {self.level.upper()} : {self.title_fr} / {self.title}"

    def text(self) -> str:
        """A page for people, French first."""
        lines = (
            self.title_fr,
            f"Gravité : {self.level}. Depuis le {iso_ms(self.opened_ms)}, {self.count} fois.",
            *((f"À faire : {self.todo_fr}",) if self.todo_fr else ()),
            f"Voir, puis prendre en charge : {self.look}",
            "",
            self.title,
            f"Level: {self.level}. Since {iso_ms(self.opened_ms)}, {self.count} times.",
            *((f"What to do: {self.todo}",) if self.todo else ()),
            f"Look, then take it in charge: {self.look}",
        )
        return "\n".join(lines) + "\n"


def message_of(finding: Finding, step: int, card: Card | None) -> Message:
    """What is told of one finding. Args: card: of its rule; None: it is not loaded any more."""
    return Message(
        id=finding.id,
        step=step,
        level=finding.level,
        title=_line(card.title if card is not None else finding.title),
        title_fr=_line(card.title_fr if card is not None else finding.title),
        todo=_line(card.todo if card is not None else ""),
        todo_fr=_line(card.todo_fr if card is not None else ""),
        opened_ms=finding.opened_ms,
        last_ms=finding.last_ms,
        count=finding.count,
    )


def as_drill(card: Card, drill: str) -> Card:
    """What a rule says in the installation of a drill: that it is one, and where to answer."""
    where = f"hygie --data drills/{drill}/place finding acknowledge"
    return replace(
        card,
        title=f"DRILL, nothing happened: {card.title}",
        title_fr=f"EXERCICE, rien ne s'est passé : {card.title_fr}",
        todo=f"Take it in charge as you would ({where}). {card.todo}",
        todo_fr=f"Prenez-le en charge comme vous le feriez ({where}). {card.todo_fr}",
    )


def trial_message(now_ms: int) -> Message:
    """What a trial of a channel tells."""
    return Message(
        id=TEST,
        step=0,
        level="informational",
        title="Test of this channel: nothing happened",
        title_fr="Essai de ce canal : rien ne s'est passé",
        todo="",
        todo_fr="",
        opened_ms=now_ms,
        last_ms=now_ms,
        count=1,
    )


def _line(text: str) -> str:
    """Rules are somebody else's: what they say stays on one line, without control characters."""
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())[:500]
