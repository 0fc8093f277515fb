"""Rules in Sigma's format, read within bounds: event rules and correlations.

Source: Sigma rules specification 2.1 and Sigma correlation rules specification 2.1.  What Hygie adds stands under the
key ``hygie``, which other readers pass over: French title, what to do, the threat answered, samples, first sight and
absence.  A rule that Hygie cannot read whole is refused: half a rule would be a rule nobody wrote.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from hygie.watch.conditions import ConditionError, parse_condition
from hygie.watch.errors import RuleInvalidError
from hygie.watch.events import Fields
from hygie.watch.matching import DetectionError, Matcher, compile_condition, compile_selection
from hygie.watch.needs import Needs, either, needs_of_condition, needs_of_selection
from hygie.watch.reading import documents

PRODUCT = "hygie"
LEVELS = ("informational", "low", "medium", "high", "critical")
CORRELATIONS = ("event_count", "value_count", "temporal", "temporal_ordered")
COMPARISONS = ("gt", "gte")  # fewer than so many is an absence, which has a time of its own (``hygie.absence``)
GROUP_MAX = 10
RULES_MAX = 20  # that one correlation looks at
LEAST_MAX = 10_000  # what one window keeps in memory
SPAN_MS_MAX = 31 * 86_400_000
_SPAN = re.compile(r"([1-9][0-9]{0,5})(s|m|h|d)")
_UNIT_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_FIELD = re.compile(r"[A-Za-z0-9_.@-]{1,100}")
_DEPRECATED = frozenset({"deprecated", "unsupported"})
DEFAULT_GROUP = ("tenant", "account")


@dataclass(frozen=True, slots=True)
class Card:
    """What people read of a rule. name: by which others name it; threat: of the threat model; todo: what to do."""

    id: str
    name: str
    title: str
    title_fr: str
    level: str
    threat: str
    todo: str
    todo_fr: str
    file: str


@dataclass(frozen=True, slots=True)
class Sample:
    """Events of a test, each with its instant (milliseconds after the first), and whether the rule must speak."""

    speaks: bool
    events: tuple[tuple[int, Fields], ...]


@dataclass(frozen=True, slots=True)
class EventRule:
    """A rule on one event. group: fields by which findings are told apart; first: fields whose values are told when
    they are seen for the first time, after so many milliseconds of learning; absent_ms: it speaks when nothing matched
    for so long; alone: it speaks by itself, not only through correlations."""

    card: Card
    service: str
    matches: Matcher
    group: tuple[str, ...]
    first: tuple[str, ...] = ()
    learning_ms: int = 0
    absent_ms: int = 0
    alone: bool = True
    samples: tuple[Sample, ...] = ()
    needs: Needs = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Correlation:
    """A rule on events of other rules within a time. kind: of ``CORRELATIONS``; least: how many events, values or rules
    it takes; field: whose different values are counted; aliases: name → rule → field."""

    card: Card
    kind: str
    rules: tuple[str, ...]
    group: tuple[str, ...]
    span_ms: int
    least: int
    field: str = ""
    aliases: Mapping[str, Mapping[str, str]] | None = None
    samples: tuple[Sample, ...] = ()


Rule = EventRule | Correlation


def read_rules(data: bytes, file: str) -> list[Rule]:
    """The rules of one file. Args: file: its name, for refusals.

    Raises: RuleInvalidError: named by file and place.
    """
    found: list[Rule] = []
    for rank, document in enumerate(documents(data, file), 1):
        where = str(document.get("title") or document.get("name") or f"document {rank}")[:100]
        try:
            found.append(_rule(document, file))
        except (_UnreadableError, ConditionError, DetectionError) as error:
            raise RuleInvalidError(file=file, where=where, reason=str(error)) from error
    return found


class _UnreadableError(ValueError):
    """What is wrong in a rule, in one clause."""


def _rule(document: Mapping[str, Any], file: str) -> Rule:
    if document.get("status") in _DEPRECATED:
        raise _UnreadableError(f"its status is {document['status']}")
    own = _map(document.get("hygie", {}), "hygie")
    card = _card(document, own, file)
    samples = _samples(own.get("samples", {}))
    if "correlation" in document:
        return _correlation(document["correlation"], card, samples)
    return _event_rule(document, own, card, samples)


def _card(document: Mapping[str, Any], own: Mapping[str, Any], file: str) -> Card:
    id_ = str(document.get("id", ""))
    try:
        UUID(id_)
    except ValueError as error:
        raise _UnreadableError("id is no UUID") from error
    title, level = _text(document, "title", 256), str(document.get("level", "medium"))
    if level not in LEVELS:
        raise _UnreadableError(f"level is one of {', '.join(LEVELS)}")
    return Card(
        id=id_.lower(),
        name=str(document.get("name", id_))[:100],
        title=title,
        title_fr=str(own.get("title_fr", title))[:256],
        level=level,
        threat=str(own.get("threat", ""))[:20],
        todo=str(own.get("todo", ""))[:500],
        todo_fr=str(own.get("todo_fr", own.get("todo", "")))[:500],
        file=file,
    )


def _event_rule(
    document: Mapping[str, Any], own: Mapping[str, Any], card: Card, samples: tuple[Sample, ...]
) -> EventRule:
    source = _map(document.get("logsource"), "logsource")
    if str(source.get("product", PRODUCT)) != PRODUCT:
        raise _UnreadableError(f"logsource.product is not {PRODUCT}")
    detection = dict(_map(document.get("detection"), "detection"))
    conditions = detection.pop("condition", None)
    if "timeframe" in detection:
        raise _UnreadableError("timeframe: write a correlation")
    selections = {str(name): compile_selection(one) for name, one in detection.items()}
    texts = conditions if isinstance(conditions, list) else [conditions]
    if not texts or not all(isinstance(one, str) for one in texts):
        raise _UnreadableError("condition is no text")
    read = [parse_condition(one, selections) for one in texts]
    matchers = [compile_condition(one, selections) for one in read]
    needs = {str(name): needs_of_selection(one) for name, one in detection.items()}
    matches = matchers[0] if len(matchers) == 1 else lambda fields: any(one(fields) for one in matchers)
    first, absence = _map(own.get("first_seen", {}), "first_seen"), own.get("absence", "")
    return EventRule(
        card=card,
        service=str(source.get("service", "")),
        matches=matches,
        group=_fields(own.get("group-by", list(DEFAULT_GROUP)), "group-by"),
        first=_fields(first["fields"], "first_seen") if first else (),
        learning_ms=_span(first.get("learning", "14d")) if first else 0,
        absent_ms=_span(absence) if absence else 0,
        alone=bool(own.get("alone", True)),
        samples=samples,
        needs=either([needs_of_condition(one, needs) for one in read]),
    )


def _correlation(value: object, card: Card, samples: tuple[Sample, ...]) -> Correlation:
    given = _map(value, "correlation")
    kind = str(given.get("type", ""))
    if kind not in CORRELATIONS:
        raise _UnreadableError(f"correlation.type is one of {', '.join(CORRELATIONS)}")
    rules = given.get("rules", [])
    names = [rules] if isinstance(rules, str) else [str(one) for one in rules]
    if not 0 < len(names) <= RULES_MAX:
        raise _UnreadableError(f"a correlation has 1 to {RULES_MAX} rules")
    temporal = kind.startswith("temporal")
    least, field = _bound(given.get("condition"), len(names) if temporal else 1)
    if (kind == "value_count") != bool(field):
        raise _UnreadableError("condition.field goes with value_count")
    aliases = {
        str(name): {str(rule): str(one) for rule, one in _map(places, "aliases").items()}
        for name, places in _map(given.get("aliases", {}), "aliases").items()
    }
    group = given.get("group-by", [])
    return Correlation(
        card=card,
        kind=kind,
        rules=tuple(names),
        group=_fields([group] if isinstance(group, str) else group, "group-by"),
        span_ms=_span(given.get("timespan")),
        least=least,
        field=field,
        aliases=aliases or None,
        samples=samples,
    )


def _bound(value: object, default: int) -> tuple[int, str]:
    """The least number, and the field whose values are counted."""
    given = dict(_map(value, "condition")) if value is not None else {"gte": default}
    field = given.pop("field", "")
    if len(given) != 1 or not set(given) <= set(COMPARISONS):
        raise _UnreadableError(f"condition has one of {', '.join(COMPARISONS)}")
    ((name, number),) = given.items()
    if isinstance(number, bool) or not isinstance(number, int) or not 0 < number <= LEAST_MAX:
        raise _UnreadableError(f"condition: a whole number, {LEAST_MAX} at most")
    if field and not (isinstance(field, str) and _FIELD.fullmatch(field)):
        raise _UnreadableError("condition.field is one name")
    return number + (name == "gt"), str(field)


def _samples(value: object) -> tuple[Sample, ...]:
    """``positive`` and ``negative``: each a list of samples; a sample is an event, or a list of events with ``at``."""
    given = _map(value, "samples")
    found: list[Sample] = []
    for name, speaks in (("positive", True), ("negative", False)):
        for one in given.get(name, []):
            events = one if isinstance(one, list) else [one]
            found.append(Sample(speaks, tuple(each for event in events for each in _sample_events(event))))
    return tuple(found)


def _sample_events(value: object) -> list[tuple[int, Fields]]:
    """One event of a sample. ``at``: after the first; ``repeat``: so many times, each a second after the last, with
    another value of the field that ``vary`` names."""
    event = dict(_map(value, "samples"))
    at_ms, times, varied = _span(event.pop("at", "0s"), least=0), event.pop("repeat", 1), event.pop("vary", None)
    if not isinstance(times, int) or not 0 < times <= LEAST_MAX:
        raise _UnreadableError(f"samples: repeat is {LEAST_MAX} at most")
    if not all(isinstance(one, str | int | bool) for one in event.values()):
        raise _UnreadableError("samples: texts, numbers and booleans only")
    fields = {str(name): one for name, one in event.items()}
    return [
        (at_ms + 1_000 * number, fields | ({str(varied): f"{varied} {number}"} if varied is not None else {}))
        for number in range(times)
    ]


def _span(value: object, *, least: int = 1) -> int:
    """Milliseconds of ``90s``, ``10m``, ``24h``, ``7d``."""
    text = str(value)
    found = _SPAN.fullmatch(text)
    if found is None and not (least == 0 and text == "0s"):
        raise _UnreadableError("a timespan is written 90s, 10m, 24h or 7d")
    span = int(found[1]) * _UNIT_MS[found[2]] if found else 0
    if span > SPAN_MS_MAX:
        raise _UnreadableError("a timespan is 31 days at most")
    return span


def _fields(value: object, where: str) -> tuple[str, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) > GROUP_MAX:
        raise _UnreadableError(f"{where} is a list of {GROUP_MAX} fields at most")
    if not all(isinstance(one, str) and _FIELD.fullmatch(one) for one in value):
        raise _UnreadableError(f"{where} has names of fields")
    return tuple(value)


def _map(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _UnreadableError(f"{where} is no map")
    return value


def _text(document: Mapping[str, Any], name: str, characters: int) -> str:
    value = document.get(name)
    if not isinstance(value, str) or not 0 < len(value.strip()) <= characters:
        raise _UnreadableError(f"{name} has 1 to {characters} characters")
    return value.strip()
