"""Messages of RFC 5424 and objects of OCSF: their parts, and that no value makes another record."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hygie.base.actions import Action
from hygie.watch.events import CHECK, JOURNAL, MEASUREMENT, Event, Value
from hygie.watch.ocsf import as_ocsf
from hygie.watch.syslog import MESSAGE_BYTES_MAX, message

ORIGIN = "hygie/0123456789abcdef"
AT_MS = 1_780_000_000_123
_VALUE = r'(?:[^"\\\]]|\\["\\\]])*'
_PAIRS = rf' [!#-<>-\\^-~]{{1,32}}="{_VALUE}"'
LINE = re.compile(rf"<(\d{{1,3}})>1 (\S+) (\S+) hygie - (\S{{1,32}}) \[hygie@32473((?:{_PAIRS})*)\] \ufeff(.*)")
# The required attributes of OCSF 1.7.0, by class: of the event, and of the objects in it.
REQUIRED = {
    0: set(),
    2003: {"finding_info", "compliance"},
    2004: {"finding_info"},
    3001: {"user"},
    3002: {"user"},
    6003: {"actor", "api", "src_endpoint"},
}
OF_ALL = {"activity_id", "category_uid", "class_uid", "metadata", "severity_id", "time", "type_uid"}
OF_OBJECTS = {
    "metadata": {"product", "version"},
    "finding_info": {"uid"},
    "compliance": {"standards"},
    "api": {"operation"},
}
ACTIVITIES = {0: {99}, 2003: {1}, 2004: {1, 2, 3}, 3001: set(range(1, 12)), 3002: {1, 2}, 6003: {1, 2, 3, 4, 99}}


def entry(action: str = "object:read", outcome: str = "done", **more: Value) -> Event:
    fields: dict[str, Value] = {"source": JOURNAL, "action": action, "outcome": outcome, "kind": "access"}
    return Event(JOURNAL, 7, AT_MS, {**fields, **{name.replace("__", "."): one for name, one in more.items()}})


def line_of(event: Event) -> re.Match[str]:
    raw = message(event, origin=ORIGIN, host="machine", facility=13)
    assert len(raw) <= MESSAGE_BYTES_MAX
    text = raw.decode()
    found = LINE.fullmatch(text)
    assert found is not None, text
    return found


def parameters(found: re.Match[str]) -> dict[str, str]:
    pairs = re.findall(rf' (\S+?)="({_VALUE})"', found[5])
    assert len({name for name, _ in pairs}) == len(pairs)
    return {name: re.sub(r'\\(["\\\]])', r"\1", value) for name, value in pairs}


def test_a_message_has_its_parts() -> None:
    found = line_of(entry(account="dr-martin", address="192.0.2.1", count=3))
    assert (found[1], found[2], found[4]) == (str(13 * 8 + 6), "2026-05-28T20:26:40.123Z", "journal")
    assert found[6] == "object:read done"
    told = parameters(found)
    assert (told["origin"], told["index"], told["account"], told["count"]) == (ORIGIN, "7", "dr-martin", "3")


@pytest.mark.parametrize(
    ("event", "severity"),
    [
        (entry(), 6),
        (entry(outcome="refused"), 4),
        (entry("finding:open", detail__level="critical", detail__finding="f"), 2),
        (entry("finding:open", detail__level="low"), 5),
        (Event(MEASUREMENT, 1, AT_MS, {"measurement": "door", "passed": False}), 4),
        (Event(CHECK, 1, AT_MS, {"check": "tech-1.x", "verdict": "unknown", "evidence": "measured"}), 5),
    ],
)
def test_severity_follows_what_happened(event: Event, severity: int) -> None:
    assert int(line_of(event)[1]) == 13 * 8 + severity


FORGED = '"] ok\n<104>1 2026-01-01T00:00:00Z evil hygie - journal [hygie@32473 index="1"] \\'


@given(st.text(max_size=700), st.text(max_size=50))
@example(FORGED, FORGED)
@example("\\", 'a"]=\n')
@example("\u2028\u202e\x00\x7f\x85", "é" * 40)
def test_no_value_makes_another_record(value: str, name: str) -> None:
    event = entry(device=value, **{f"detail.{name}": value})
    found = line_of(event)
    whole = found[0]
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]", whole)
    told = parameters(found)
    assert told["index"] == "7"
    if value.isascii() and value.isprintable() and len(value) <= 500:
        assert told["device"] == value
    line = json.dumps(as_ocsf(event, origin=ORIGIN))
    assert "\n" not in line
    assert json.loads(line)["unmapped"]["device"] == value


@pytest.mark.parametrize(("at_ms", "told"), [(-(2**63), "1970-01-01T"), (2**63 - 1, "9999-12-31T")])
def test_an_instant_that_is_none_stops_nothing(at_ms: int, told: str) -> None:
    event = Event(MEASUREMENT, 1, at_ms, {"measurement": "door", "passed": True})
    assert line_of(event)[2].startswith(told)
    assert as_ocsf(event, origin=ORIGIN)["metadata"]["original_time"].startswith(told)


def test_what_has_no_room_is_counted() -> None:
    event = entry(**{f"detail__{number}": "x" * 600 for number in range(40)})
    told = parameters(line_of(event))
    assert int(told["cut"]) + sum(name.startswith("detail") for name in told) == 40


def test_each_event_is_a_whole_object_of_ocsf() -> None:
    acts = [entry(action.value, outcome) for action in Action for outcome in ("done", "refused", "unknown", "intent")]
    checks = [
        Event(CHECK, 1, AT_MS, {"check": "tech-1.x", "verdict": verdict, "evidence": "measured"})
        for verdict in ("satisfied", "unsatisfied", "unknown", "not_applicable")
    ]
    seen = set()
    for event in (*acts, *checks, Event(MEASUREMENT, 1, AT_MS, {"measurement": "door", "passed": True})):
        made = as_ocsf(event, origin=ORIGIN)
        class_uid = made["class_uid"]
        seen.add(class_uid)
        assert set(made) >= OF_ALL | REQUIRED[class_uid]
        for name, needed in OF_OBJECTS.items():
            assert set(made.get(name, needed)) >= needed
        assert made["activity_id"] in ACTIVITIES[class_uid]
        assert made["activity_id"] != 99 or made["activity_name"]
        assert made["type_uid"] == class_uid * 100 + made["activity_id"]
        assert made["category_uid"] == class_uid // 1_000
        assert made["severity_id"] in range(6)
        assert made["metadata"]["product"]["vendor_name"]
        if class_uid == 3002:
            assert made["service"]
        for who in (made.get("user"), made.get("actor", {}).get("user")):
            assert who is None or who["uid"]
        assert made == as_ocsf(event, origin=ORIGIN)
    assert seen == set(REQUIRED)


def test_an_entry_s_parts_have_their_places_in_ocsf() -> None:
    opened = as_ocsf(entry("finding:open", title="Door", detail__finding="f1", detail__level="high"), origin=ORIGIN)
    assert (opened["finding_info"], opened["severity_id"]) == ({"uid": "f1", "title": "Door"}, 4)
    closed = as_ocsf(entry("finding:handle", detail__finding="f1", detail__act="closed"), origin=ORIGIN)
    assert (closed["type_uid"], closed["status_id"]) == (200403, 4)
    disabled = as_ocsf(entry("account:disable", account="local:paul", detail__account="anne"), origin=ORIGIN)
    assert (disabled["user"]["uid"], disabled["actor"]["user"]["uid"]) == ("anne", "local:paul")
    read = as_ocsf(entry(address="192.0.2.1"), origin=ORIGIN)
    assert (read["src_endpoint"], read["metadata"]["uid"]) == ({"ip": "192.0.2.1"}, f"{ORIGIN}/journal/7")
