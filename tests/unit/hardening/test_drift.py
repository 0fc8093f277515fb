"""Drift: what differs from the baseline, since when, until it is mended or accepted."""

from __future__ import annotations

from hygie.hardening.drift import measured
from hygie.hardening.model import Baseline, MachineFacts, Measured, Seen, Waiver

KEPT, OTHER, HIDDEN = Seen("kept", "1"), Seen("not_kept", "0"), Seen("cannot_tell", "absent")
ACCEPTED = Baseline(10, "local:root", "because", {"a": KEPT})


def drift(seen: Seen, before: Measured | None, baseline: Baseline | None = ACCEPTED, now_ms: int = 100) -> int | None:
    return measured({"a": seen}, baseline, {"a": before} if before else {}, now_ms)["a"].drift_ms


def test_a_difference_begins_when_it_is_first_seen_and_goes_on() -> None:
    assert drift(KEPT, None) is None
    assert drift(OTHER, None) == 100
    assert drift(OTHER, Measured("not_kept", "0", 50)) == 50
    assert drift(Seen("kept", "2"), Measured("not_kept", "0", 50)) == 50  # another value, the same difference
    assert drift(KEPT, Measured("not_kept", "0", 50)) is None


def test_what_cannot_be_seen_is_neither_new_nor_mended() -> None:
    assert drift(HIDDEN, None) is None
    assert drift(HIDDEN, Measured("not_kept", "0", 50)) == 50
    blind = Baseline(10, "", "", {"a": HIDDEN})
    assert drift(OTHER, None, blind) is None


def test_without_a_baseline_or_for_a_point_it_does_not_know_nothing_drifts() -> None:
    assert drift(OTHER, None, None) is None
    assert drift(OTHER, None, Baseline(10, "", "", {})) is None


def test_a_new_baseline_ends_what_it_accepts_at_once() -> None:
    later = Baseline(60, "", "", {"a": OTHER})
    points = {"a": Measured("not_kept", "0", 50)}
    assert MachineFacts(55, points, ACCEPTED, {}).drifts == {"a": 50}
    assert MachineFacts(55, points, later, {}).drifts == {}
    assert drift(OTHER, Measured("not_kept", "0", 50), later) is None
    assert drift(KEPT, Measured("not_kept", "0", 50), later) == 100  # the way back is a change too


def test_an_exception_holds_until_its_end() -> None:
    waiver = Waiver("a", 10, 60, "local:root", "because")
    facts = MachineFacts(55, {"a": Measured("not_kept", "0")}, ACCEPTED, {"a": waiver})
    assert facts.left("not_kept", 59) == []
    assert facts.left("not_kept", 60) == ["a"]
