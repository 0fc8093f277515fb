"""Detections, held to what pySigma (Sigma's reference parser, not ours) reads of the same text."""

from __future__ import annotations

import time
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from sigma.conditions import ConditionAND, ConditionFieldEqualsValueExpression, ConditionNOT, ConditionOR
from sigma.rule import SigmaRule
from sigma.types import SigmaBool, SigmaNull, SigmaNumber, SigmaRegularExpression, SigmaString, SpecialChars

from hygie.watch.errors import RuleInvalidError
from hygie.watch.events import Fields
from hygie.watch.sigma import EventRule, read_rules

HEAD = {
    "title": "A rule",
    "id": "11111111-2222-4333-8444-555555555555",
    "level": "high",
    "logsource": {"product": "hygie", "service": "journal"},
}
WORDS = st.sampled_from(["read", "Read", "re*d", "r?ad", "", "*", "a\\*b", "a*b", "é", "10.0.0.1", "5"])
NAMES = st.sampled_from(["action", "account", "count"])
TESTS = st.sampled_from(["", "|contains", "|startswith", "|endswith", "|contains|all", "|cased"])
VALUES = st.one_of(WORDS, st.integers(0, 9), st.lists(WORDS, min_size=1, max_size=3), st.none())
SELECTIONS = st.dictionaries(st.tuples(NAMES, TESTS).map("".join), VALUES, min_size=1, max_size=2)
CONDITIONS = st.sampled_from(
    ["one", "not one", "one and two", "one or not two", "not (one or two)", "1 of them", "all of them", "1 of t*"]
)
EVENTS = st.dictionaries(
    NAMES, st.one_of(st.sampled_from(["read", "Reader", "a*b", "axb", "É", "5"]), st.integers(0, 9))
)


def rule(detection: dict[str, Any]) -> EventRule:
    (found,) = read_rules(yaml.safe_dump({**HEAD, "detection": detection}).encode(), "a.yml")
    assert isinstance(found, EventRule)
    return found


def refusal(detection: dict[str, Any]) -> str:
    with pytest.raises(RuleInvalidError) as refused:
        rule(detection)
    return refused.value.reason


def theirs(node: Any, fields: Fields) -> bool:
    """A walk over pySigma's tree."""
    match node:
        case ConditionAND():
            return all(theirs(one, fields) for one in node.args)
        case ConditionOR():
            return any(theirs(one, fields) for one in node.args)
        case ConditionNOT():
            return not theirs(node.args[0], fields)
        case ConditionFieldEqualsValueExpression():
            return _equals(node.value, fields.get(node.field))
    raise AssertionError(type(node))


def _equals(wanted: Any, found: Any) -> bool:
    if isinstance(wanted, SigmaNull):
        return found is None
    if found is None:
        return False
    if isinstance(wanted, SigmaNumber | SigmaBool):
        return str(found).lower() == str(wanted).lower()
    assert isinstance(wanted, SigmaString)
    cased = type(wanted).__name__ == "SigmaCasedString"
    parts = [one if isinstance(one, SpecialChars) else (one if cased else one.lower()) for one in wanted.s]
    return _wild(parts, str(found) if cased else str(found).lower())


def _wild(parts: list[Any], text: str) -> bool:
    if not parts:
        return not text
    first, *rest = parts
    if first is SpecialChars.WILDCARD_MULTI:
        return any(_wild(rest, text[at:]) for at in range(len(text) + 1))
    if first is SpecialChars.WILDCARD_SINGLE:
        return bool(text) and _wild(rest, text[1:])
    return text.startswith(first) and _wild(rest, text[len(first) :])


@given(one=SELECTIONS, two=SELECTIONS, condition=CONDITIONS, fields=EVENTS)
def test_a_detection_says_what_pysigma_reads(one: Any, two: Any, condition: str, fields: Fields) -> None:
    detection = {"one": one, "two": two, "condition": condition}
    try:
        parsed = SigmaRule.from_dict({**HEAD, "detection": detection}).detection.parsed_condition[0].parsed
    except Exception:
        return  # pySigma has its own refusals (an empty text with a modifier): ours may read more
    assert rule(detection).matches(fields) == theirs(parsed, fields)


@pytest.mark.parametrize(
    ("selection", "fields", "speaks"),
    [
        ({"count|gte": 5}, {"count": 5}, True),
        ({"count|gt": 5}, {"count": 5}, False),
        ({"count|lt": 5}, {"count": "4"}, False),
        ({"count|lt": 5}, {}, False),
        ({"address|cidr": ["10.0.0.0/8", "fe80::/10"]}, {"address": "10.2.3.4"}, True),
        ({"address|cidr": "10.0.0.0/8"}, {"address": "not one"}, False),
        ({"account|exists": True}, {"account": "x"}, True),
        ({"account|exists": False}, {"account": "x"}, False),
        ({"account|re": "^adm[0-9]+$"}, {"account": "adm42"}, True),
        ({"account|re": "^ADM"}, {"account": "adm"}, False),
        ({"account|re|i": "^ADM"}, {"account": "adm"}, True),
        ({"account|fieldref": "other"}, {"account": "A", "other": "a"}, True),
        ({"account|neq": "a"}, {"account": "a"}, False),
        (["secret"], {"device": "a Secret thing"}, True),
        ([{"count": 1}, {"count": 2}], {"count": 2}, True),
    ],
)
def test_modifiers(selection: Any, fields: Fields, *, speaks: bool) -> None:
    assert rule({"one": selection, "condition": "one"}).matches(fields) is speaks


@pytest.mark.parametrize(
    ("detection", "words"),
    [
        ({"one": {"a|base64": "x"}, "condition": "one"}, "base64"),
        ({"one": {"a|re": "(?=x)"}, "condition": "one"}, "RE2"),
        ({"one": {"a|re": "("}, "condition": "one"}, "RE2"),
        ({"one": {"a|re|contains": "x"}, "condition": "one"}, "do not go together"),
        ({"one": {"a|lt": "x"}, "condition": "one"}, "takes a number"),
        ({"one": {"a|cidr": "300.0.0.0/8"}, "condition": "one"}, "no network"),
        ({"one": {}, "condition": "one"}, "1 to 100 fields"),
        ({"one": {"a": 1}, "condition": "two"}, "no selection"),
        ({"one": {"a": 1}, "condition": "one and"}, "too early"),
        ({"one": {"a": 1}, "condition": "(one"}, "not closed"),
        ({"one": {"a": 1}, "condition": "one | count() > 5"}, "no word"),
        ({"one": {"a": 1}, "condition": "not " * 60 + "one"}, "levels"),
        ({"one": {"a": 1}}, "condition"),
        ({"one": {"a": {"b": 1}}, "condition": "one"}, "text or a number"),
        ({"one": {"a": 1}, "timeframe": "5m", "condition": "one"}, "correlation"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(detection: dict[str, Any], words: str) -> None:
    assert words in refusal(detection)


def test_an_expression_that_explodes_elsewhere_takes_no_time() -> None:
    found = rule({"one": {"account|re": "^(a+)+$"}, "condition": "one"})
    began = time.monotonic()
    assert not found.matches({"account": "a" * 50_000 + "!"})
    assert time.monotonic() - began < 1.0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("title: x\ntitle: y\n", "twice"),
        ("a: &b [1]\nc: *b\n", "alias"),
        ("- 1\n", "maps"),
        ("a: !!python/object:os.system x\n", ""),
        ("[" * 3000, ""),
        ("\0", ""),
        ("a" * 300_000, "bytes"),
        ("", "maps"),
    ],
)
def test_files_that_are_no_rules_are_refused(text: str, words: str) -> None:
    with pytest.raises(RuleInvalidError) as refused:
        read_rules(text.encode(), "a.yml")
    assert words in refused.value.reason


def test_regular_expressions_of_sigma_stay_texts() -> None:
    parsed = SigmaRule.from_dict({**HEAD, "detection": {"one": {"a|re": "x.*"}, "condition": "one"}})
    value = parsed.detection.parsed_condition[0].parsed.value
    assert isinstance(value, SigmaRegularExpression)
