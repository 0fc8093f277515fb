"""Events through every rule: what speaks now. No I/O; the states that changed are given to whoever keeps them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hygie.watch.events import Event, Fields
from hygie.watch.needs import Index, Needs
from hygie.watch.sigma import Card, Correlation, EventRule, Rule
from hygie.watch.windows import Together, new_state

GROUPS_MAX = 100_000  # states in memory, of one rule: who asks under a new name each time does not fill it
VALUE_CHARACTERS_MAX = 200
ANY = ""  # the source of rules that name none
_SINCE = "since"  # the group that keeps when a rule was loaded: others are JSON; a text of PostgreSQL holds no NUL

_ENCODED = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode

Key = tuple[str, str]  # rule, group
Use = tuple[Correlation, tuple[int, ...]]  # who correlates a rule, and its places among those that it names


@dataclass(frozen=True, slots=True)
class Hit:
    """A rule that speaks. group: the values by which its findings are told apart; ranks: of the events it names, all of
    one source; since_ms: when the first of several happened, None: there is one; signs: names of the rules that came
    together, where a correlation asks for some of several."""

    card: Card
    group: Mapping[str, str]
    at_ms: int
    source: str
    ranks: tuple[int, ...]
    fields: Fields
    since_ms: int | None = None
    signs: tuple[str, ...] = ()

    @property
    def first_ms(self) -> int:
        """When what it speaks of began."""
        return self.at_ms if self.since_ms is None else self.since_ms

    @property
    def grouping(self) -> str:
        """The group as one text."""
        return _text_of(self.group)


@dataclass(slots=True)
class Kept:
    """What one group of one rule remembers, as JSON holds it, and when it was last touched."""

    state: Any
    touched_ms: int


class Engine:
    """The rules of one watch with what they remember.

    Args: rules: loaded; kept: states of before, by rule and group.
    Raises: KeyError: a correlation names a rule that is not there (see :mod:`hygie.watch.ruleset`).
    """

    def __init__(self, rules: Sequence[Rule], kept: Mapping[Key, Kept]) -> None:
        self._events: dict[str, Index[_Loaded]] = {}  # by source; "": of sources that no rule names
        self._correlations: list[Correlation] = [one for one in rules if isinstance(one, Correlation)]
        self._absences: list[EventRule] = []
        self._states: dict[str, dict[str, _Live]] = {}
        self.dirty: set[Key] = set()
        self._mixed: set[str] = set()  # correlations over several sources: a rank tells nothing without its source
        by_name = _by_name(rules)
        loaded = {one.card.id: _Loaded(one) for one in rules if isinstance(one, EventRule)}
        self._chains: dict[str, list[Use]] = {}  # by the correlation that others name
        for correlation in self._correlations:
            self._states[correlation.card.id] = {}
            named = [by_name[name] for name in correlation.rules]
            services = _services(named, by_name)
            if len(services) > 1 or "" in services:
                self._mixed.add(correlation.card.id)
            for id_ in dict.fromkeys(each.card.id for each in named):
                # A rule that a correlation names several times takes an event each.
                numbers = tuple(number for number, each in enumerate(named) if each.card.id == id_)
                uses = loaded[id_].uses if id_ in loaded else self._chains.setdefault(id_, [])
                uses.append((correlation, numbers))
        for source in {one.rule.service for one in loaded.values()} | {ANY}:
            own = [one for one in loaded.values() if one.rule.service == source]
            wide = [one for one in loaded.values() if one.rule.service == ANY] if source != ANY else []
            self._events[source] = Index(own + wide)
        for one in loaded.values():
            if one.rule.first or one.rule.absent_ms:
                self._states[one.rule.card.id] = {}
            if one.rule.absent_ms:
                self._absences.append(one.rule)
        self._spans = spans = {one.card.id: one for one in self._correlations}
        for (rule, group), was in kept.items():
            if rule in self._states:
                state = new_state(spans[rule], was.state) if rule in spans else was.state
                self._states[rule][group] = _Live(state, was.touched_ms)

    def take(self, events: Iterable[Event]) -> list[Hit]:
        """What speaks of these events, in their order."""
        hits: list[Hit] = []
        for event in events:
            for loaded in (self._events.get(event.source) or self._events[ANY]).of(event.fields):
                if loaded.rule.matches(event.fields):
                    self._matched(loaded, event, hits)
        return hits

    def absent(self, now_ms: int) -> list[Hit]:
        """Rules whose event has not come for too long. The first time counts from when the rule was loaded."""
        hits = []
        for rule in self._absences:
            last = self._since(rule.card.id, now_ms)
            if now_ms - last.touched_ms > rule.absent_ms:
                hits.append(Hit(rule.card, {}, now_ms, rule.service, (), {"silent_ms": now_ms - last.touched_ms}))
        return hits

    def state(self, key: Key) -> Kept | None:
        """What a group remembers now; None when it is forgotten."""
        live = self._states.get(key[0], {}).get(key[1])
        if live is None:
            return None
        return Kept(live.state.kept() if key[0] in self._spans else live.state, live.touched_ms)

    def forget(self, now_ms: int) -> list[Key]:
        """Let go of windows that are over. Returns: whose."""
        gone: list[Key] = []
        for rule in self._correlations:
            states = self._states[rule.card.id]
            over = [group for group, live in states.items() if now_ms - live.touched_ms > rule.span_ms]
            for group in over:
                del states[group]
            gone += [(rule.card.id, group) for group in over]
        self.dirty -= set(gone)
        return gone

    def _matched(self, loaded: _Loaded, event: Event, hits: list[Hit]) -> None:
        rule = loaded.rule
        if rule.absent_ms:
            self._touch(rule.card.id, _SINCE, event.at_ms)
        elif rule.first:
            if self._first(rule, event):
                hits.append(_hit(rule.card, _group(rule.first, event.fields), event, (event.rank,)))
        elif rule.alone:
            hits.append(_hit(rule.card, _group(rule.group, event.fields), event, (event.rank,)))
        for correlation, numbers in loaded.uses:
            self._correlate(correlation, numbers, rule.card, event, hits)

    def _correlate(
        self, rule: Correlation, numbers: tuple[int, ...], base: Card, event: Event, hits: list[Hit]
    ) -> None:
        named = {base.name, base.id}
        group: dict[str, str] = {}
        for name in rule.group:
            places = (rule.aliases or {}).get(name)
            place = next((one for which, one in places.items() if which in named), name) if places else name
            value = event.fields.get(place)
            if value is None:
                return  # Sigma: what lacks a field of the group is in no group
            group[name] = str(value)[:VALUE_CHARACTERS_MAX]
        counted = event.fields.get(rule.field) if rule.field else ""
        if counted is None:
            return
        states, text = self._states[rule.card.id], _text_of(group)
        live = states.get(text)
        if live is None:
            if len(states) >= GROUPS_MAX:
                oldest = min(states, key=lambda one: states[one].touched_ms)
                del states[oldest]
            live = states[text] = _Live(new_state(rule), event.at_ms)
        live.touched_ms = max(live.touched_ms, event.at_ms)
        self.dirty.add((rule.card.id, text))
        ranks = live.state.add(numbers, event.at_ms, event.rank, str(counted)[:VALUE_CHARACTERS_MAX])
        if not ranks:
            return
        cited = (event.rank,) if rule.card.id in self._mixed else tuple(ranks)
        signs = tuple(rule.rules[one] for one in sorted(live.state.newest)) if isinstance(live.state, Together) else ()
        hits.append(replace(_hit(rule.card, group, event, cited, live.state.since_ms()), signs=signs))
        said = Event(event.source, event.rank, event.at_ms, group)  # Sigma: a correlation has the fields of its group
        for chained, at in self._chains.get(rule.card.id, ()):
            self._correlate(chained, at, rule.card, said, hits)

    def _first(self, rule: EventRule, event: Event) -> bool:
        """Whether these values are new, and the rule has learnt long enough to say so."""
        states, group = self._states[rule.card.id], _text_of(_group(rule.first, event.fields))
        since = self._since(rule.card.id, event.at_ms)
        known = group in states
        if not known and len(states) >= GROUPS_MAX:
            return False
        self._touch(rule.card.id, group, event.at_ms)
        return not known and event.at_ms - int(since.state) >= rule.learning_ms

    def _since(self, rule: str, now_ms: int) -> _Live:
        states = self._states[rule]
        if _SINCE not in states:
            states[_SINCE] = _Live(now_ms, now_ms)
            self.dirty.add((rule, _SINCE))
        return states[_SINCE]

    def _touch(self, rule: str, group: str, at_ms: int) -> None:
        live = self._states[rule].setdefault(group, _Live(at_ms, at_ms))
        live.touched_ms = max(live.touched_ms, at_ms)
        self.dirty.add((rule, group))


@dataclass(slots=True)
class _Loaded:
    rule: EventRule
    uses: list[Use] = field(default_factory=list)

    @property
    def needs(self) -> Needs:
        return self.rule.needs


@dataclass(slots=True)
class _Live:
    state: Any  # of a correlation: State; of a first sight: the instant
    touched_ms: int


def _hit(
    card: Card, group: Mapping[str, str], event: Event, ranks: tuple[int, ...], since_ms: int | None = None
) -> Hit:
    return Hit(card, group, event.at_ms, event.source, ranks, event.fields, since_ms)


def _by_name(rules: Sequence[Rule]) -> dict[str, Rule]:
    """What a correlation may name: rules on events, then correlations of those. So nothing goes in circles."""
    events = {name: one for one in rules if isinstance(one, EventRule) for name in (one.card.name, one.card.id)}
    first = [one for one in rules if isinstance(one, Correlation) and events.keys() >= set(one.rules)]
    return {name: one for one in first for name in (one.card.name, one.card.id)} | events


def _services(rules: Sequence[Rule], by_name: Mapping[str, Rule]) -> set[str]:
    """Sources of the events that these rules look at, through correlations."""
    found: set[str] = set()
    for one in rules:
        inner = [by_name[name] for name in one.rules] if isinstance(one, Correlation) else []
        found |= _services(inner, by_name) if isinstance(one, Correlation) else {one.service}
    return found


def _group(names: Sequence[str], fields: Fields) -> dict[str, str]:
    return {name: str(fields[name])[:VALUE_CHARACTERS_MAX] for name in names if name in fields}


def _text_of(group: Mapping[str, str]) -> str:
    return _ENCODED(group)
