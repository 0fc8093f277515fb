"""What is affected, what is not, and one line for one vulnerability."""

from __future__ import annotations

import io
from typing import Any

import pytest

from hygie.patching.matching import keys_of, match, uncovered
from hygie.patching.model import Component, System, Vulnerability
from hygie.patching.reading import FeedReader
from hygie.patching.store import Feed
from tests.unit.patching.feeds import BOOKWORM, CRITICAL, deb, inventory, lines, osv, pypi, tracker


def found(feed: bytes, *components: Component, system: System = BOOKWORM) -> list[Vulnerability]:
    reader = FeedReader(io.BytesIO(feed))
    wanted = keys_of(inventory(*components, system=system))
    return match(wanted, [(key.encode(), advisory) for _, key, advisory in reader.told()])


def affected(version: str, *events: dict[str, str], **more: Any) -> str | None:
    """None when it is not; else in which version it is fixed."""
    lines_ = found(lines(osv("PYSEC-1", "PyPI", "Some_Thing", *events, **more)), pypi("some-thing", version))
    return lines_[0].fixed_in if lines_ else None


@pytest.mark.parametrize(
    ("version", "fixed_in"),
    [("0.9", None), ("1.0", "1.4"), ("1.4rc1", "1.4"), ("1.4", None), ("1.9", None), ("2.0", "2.0.3"), ("2.0.3", None)],
)
def test_two_ranges_in_one(version: str, fixed_in: str | None) -> None:
    events = ({"introduced": "2.0"}, {"fixed": "2.0.3"}, {"introduced": "1.0"}, {"fixed": "1.4"})
    assert affected(version, *events) == fixed_in


def test_a_last_affected_version_is_affected_itself() -> None:
    events = ({"introduced": "0"}, {"last_affected": "1.2"})
    assert affected("1.2", *events) == ""
    assert affected("1.2.1", *events) is None


def test_a_version_named_in_the_list_is_affected_whatever_the_ranges_say() -> None:
    events = ({"introduced": "3.0"}, {"fixed": "3.1"})
    assert affected("1.5.0", *events, affected={"versions": ["1.5", "strange"]}) == "3.1"
    assert affected("1.6", *events, affected={"versions": ["1.5", "strange"]}) is None


def test_a_bound_that_cannot_be_read_never_clears() -> None:
    assert affected("1.0", {"introduced": "0"}, {"fixed": "not-a-version!"}) == ""
    assert affected("not-a-version!", {"introduced": "5"}, {"fixed": "6"}) == ""
    assert affected("1.0", {"introduced": "???"}, {"fixed": "2.0"}) == "2.0"


def test_what_was_withdrawn_says_nothing() -> None:
    assert affected("1.0", {"introduced": "0"}, withdrawn="2026-11-02T00:00:00Z") is None


def test_aliases_are_one_line_with_the_score_the_date_and_the_fix() -> None:
    feed = lines(
        osv("PYSEC-2026-1", "PyPI", "lib", {"introduced": "0"}, {"fixed": "2.0"}, aliases=["GHSA-aaaa"],
            published="2026-10-01T00:00:00Z"),
        osv("GHSA-aaaa", "PyPI", "lib", {"introduced": "0"}, {"fixed": "2.1"}, aliases=["CVE-2026-7", "PYSEC-2026-1"],
            severity=[{"type": "CVSS_V3", "score": CRITICAL}], database_specific={"severity": "LOW"}),
    )  # fmt: skip
    [one] = found(feed, pypi("lib", "1.0"))
    assert (one.name, one.fixed_in, one.severity, one.score) == ("CVE-2026-7", "2.1", "critical", 9.8)
    assert one.published_ms == 1_790_812_800_000


def test_without_any_cve_those_that_name_one_another_are_one_line() -> None:
    feed = lines(
        osv("PYSEC-9", "PyPI", "lib", {"introduced": "0"}, aliases=["GHSA-b"]),
        osv("GHSA-b", "PyPI", "lib", {"introduced": "0"}, database_specific={"severity": "MODERATE"}),
        osv("MAL-1", "PyPI", "lib", {"introduced": "0"}),
    )
    assert [(one.name, one.severity) for one in found(feed, pypi("lib", "1"))] == [
        ("GHSA-b", "medium"), ("MAL-1", "critical")
    ]  # fmt: skip


def test_an_advisory_of_debian_that_names_two_is_two_lines_and_merges_with_the_tracker() -> None:
    feed = lines(
        osv("DSA-1-1", "Debian:12", "openssl", {"introduced": "0"}, {"fixed": "3.0.2-1"},
            upstream=["CVE-2026-1", "CVE-2026-2"]),
    )  # fmt: skip
    told = tracker(
        openssl={"CVE-2026-1": {"bookworm": {"status": "resolved", "fixed_version": "3.0.2-1", "urgency": "high"}}}
    )
    reader = [*FeedReader(io.BytesIO(feed)).told(), *FeedReader(io.BytesIO(told)).told()]
    wanted = keys_of(inventory(deb("openssl", "3.0.1-1")))
    lines_ = match(wanted, [(key.encode(), advisory) for _, key, advisory in reader])
    assert [(one.name, one.fixed_in, one.severity) for one in lines_] == [
        ("CVE-2026-1", "3.0.2-1", "high"), ("CVE-2026-2", "3.0.2-1", "medium")
    ]  # fmt: skip


def test_the_tracker_by_state_and_urgency() -> None:
    release = {"status": "open"}
    feed = tracker(
        linux={
            "CVE-2026-1": {"bookworm": {**release, "urgency": "unimportant"}},
            "CVE-2026-2": {"bookworm": {**release, "nodsa": "Minor issue"}},
            "CVE-2026-3": {"bookworm": {"status": "resolved", "fixed_version": "0"}},
            "CVE-2026-4": {"sid": release},
            "CVE-2026-5": {"bookworm": {"status": "resolved", "fixed_version": "6.1.9-1", "urgency": "high**"}},
            "CVE-2026-6": {"bookworm": release},
            "CVE-2026-7": {"bookworm": {"status": "resolved", "urgency": None, "nodsa": None}},
        }
    )
    assert [(one.name, one.fixed_in, one.severity) for one in found(feed, deb("linux", "6.1.8-1"))] == [
        ("CVE-2026-2", "", "low"), ("CVE-2026-5", "6.1.9-1", "high"), ("CVE-2026-6", "", "medium"),
        ("CVE-2026-7", "", "medium"),
    ]  # fmt: skip
    assert [one.name for one in found(feed, deb("linux", "6.1.9-1"))] == ["CVE-2026-2", "CVE-2026-6", "CVE-2026-7"]


def test_upstream_versions_of_the_database_are_matched_by_bitnami() -> None:
    feed = lines(osv("BIT-postgresql-2026-1", "Bitnami", "postgresql", {"introduced": "18.0.0"}, {"fixed": "18.7.0"}))
    server = Component("application", "postgresql", "18.6", "pkg:generic/postgresql@18.6", "bitnami/postgresql")
    assert [one.fixed_in for one in found(feed, server)] == ["18.7.0"]


def test_kinds_that_no_feed_speaks_of_are_named() -> None:
    def feeds(*told: tuple[str, str]) -> list[Feed]:
        return [Feed(slot, "", "", 1, 0, 0, (release,)) for slot, release in told]

    runs = inventory(pypi("lib", "1"), deb("openssl", "1"))
    assert uncovered(runs, feeds(("PyPI", ""), ("tracker", "bookworm"))) == ()
    assert uncovered(runs, feeds(("PyPI", ""), ("Debian", "12"))) == ()
    assert uncovered(runs, feeds(("PyPI", ""), ("Debian", "13"), ("tracker", "trixie"))) == ("deb",)
    assert uncovered(runs, feeds(("Bitnami", ""))) == ("deb", "pypi")
    ubuntu = inventory(deb("openssl", "1"), system=System("ubuntu", "24.04", "noble", "Ubuntu"))
    assert uncovered(ubuntu, feeds(("Debian", "24.04"), ("tracker", "noble"))) == ("deb",)
    assert keys_of(ubuntu) == {}
