"""Reports of other programs: figures are read, junk is refused, and nothing passed is a failure."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hygie.hardening.errors import ReportInvalidError
from hygie.hardening.model import REPORT_KINDS, Report, ReportKind
from hygie.hardening.reports import DEPTH_MAX, LYNIS_TESTS_MIN, read_report

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
LYNIS = """\
# Lynis Report
report_version_major=1
report_datetime_start=2026-11-27 09:00:00
lynis_version=3.0.8
os=Linux
warning[]=AUTH-9308|No password set for single user mode|-|-|
suggestion[]=KRNL-6000|One or more sysctl values differ|-|-|
suggestion[]=SSH-7408|Consider hardening SSH configuration|-|-|
tests_executed=CORE-1000|{tests}
hardening_index=72
report_datetime_end=2026-11-27 09:01:13
finish=true
""".replace("{tests}", "KRNL-6000|" * (LYNIS_TESTS_MIN - 1))
CONTENT = Path("/usr/share/xml/scap/ssg/content/ssg-debian11-ds.xml")
PROFILE = "xccdf_org.ssgproject.content_profile_anssi_np_nt28_minimal"
XCCDF = "http://checklists.nist.gov/xccdf/1.2"


def lynis(text: str) -> Report:
    return read_report("lynis", text.encode(), now_ms=NOW_MS, lynis_index=65)


def xccdf(*results: str, end: str = "2026-11-27T09:01:13+01:00") -> bytes:
    rules = "".join(f'<rule-result idref="r{n}"><result>{one}</result></rule-result>' for n, one in enumerate(results))
    told = f'<TestResult xmlns="{XCCDF}" id="t" end-time="{end}">{rules}<score>1</score></TestResult>'
    return (
        f'<arf:reports xmlns:arf="http://scap.nist.gov/schema/asset-reporting-format/1.1">{told}</arf:reports>'.encode()
    )


def openscap(data: bytes) -> Report:
    return read_report("openscap", data, now_ms=NOW_MS, lynis_index=65)


def sslyze(**accepted: list[str] | None) -> Report:
    scans = {
        f"{version}_cipher_suites": {
            "status": "COMPLETED",
            "result": {
                "accepted_cipher_suites": [{"cipher_suite": {"name": name}} for name in accepted.get(version) or []]
            }
            if accepted.get(version, []) is not None
            else None,
        }
        for version in ("ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1", "tls_1_2", "tls_1_3")
    }
    told = {"date_scans_completed": "2026-11-27T09:01:13.5", "server_scan_results": [{"scan_result": scans}]}
    return read_report("sslyze", json.dumps(told).encode(), now_ms=NOW_MS, lynis_index=65)


def test_lynis_is_read() -> None:
    report = lynis(LYNIS)
    assert report.counts == {"index": 72, "tests": LYNIS_TESTS_MIN, "warnings": 1, "suggestions": 2}
    assert report.passed
    assert report.at_ms == int(datetime(2026, 11, 27, 9, 1, 13).timestamp() * 1000)  # noqa: DTZ001 (the machine's zone)
    assert len(report.sha256) == 64
    assert not lynis(LYNIS.replace("=72", "=64")).passed
    assert not lynis(LYNIS.replace("CORE-1000|", "")).passed


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("hardening_index=72", "", "hardening_index"),  # stopped before its end
        ("hardening_index=72", "hardening_index=101", "hardening_index"),
        ("lynis_version=3.0.8", "", "lynis_version"),
        ("2026-11-27 09:01:13", "never", "date"),
        ("2026-11-27 09:01:13", "2027-11-27 09:01:13", "date"),
        ("os=Linux", "os=Linux\n" * 200_001, "lines"),
    ],
)
def test_what_is_no_report_of_lynis_is_refused(old: str, new: str, reason: str) -> None:
    with pytest.raises(ReportInvalidError) as refused:
        lynis(LYNIS.replace(old, new))
    assert reason in str(refused.value.facts["reason"])


@pytest.mark.skipif(shutil.which("lynis") is None, reason="no lynis here")
def test_a_real_run_of_lynis_is_read(tmp_path: Path) -> None:
    """Of a few tests, which is no audit: read, and not passed."""
    report = tmp_path / "report.dat"
    asked = ["lynis", "audit", "system", "--quick", "--no-colors", "--quiet", "--no-plugins", "--tests-from-group"]
    asked += ["kernel_hardening", "--report-file", str(report), "--logfile", str(tmp_path / "log")]
    subprocess.run(asked, check=True, capture_output=True, timeout=120)
    now_ms = int(datetime.now(UTC).timestamp() * 1000)
    read = read_report("lynis", report.read_bytes(), now_ms=now_ms, lynis_index=1)
    assert 1 <= read.counts["tests"] < LYNIS_TESTS_MIN
    assert read.counts["index"] > 0
    assert abs(now_ms - read.at_ms) < 120_000
    assert not read.passed


def test_openscap_is_read() -> None:
    report = openscap(xccdf("pass", "pass", "fixed", "notapplicable", "notselected", "notchecked"))
    assert report.counts == {"pass": 3, "fail": 0, "notapplicable": 1, "notchecked": 1}
    assert report.passed
    assert report.at_ms == int(datetime(2026, 11, 27, 8, 1, 13, tzinfo=UTC).timestamp() * 1000)
    for bad in ("fail", "error", "unknown"):
        assert not openscap(xccdf("pass", bad)).passed


def test_a_report_in_which_nothing_passed_is_a_failure() -> None:
    """OpenSCAP ends with 0 when the content is for another system: every rule is « not applicable »."""
    report = openscap(xccdf(*["notapplicable"] * 45))
    assert (report.passed, report.counts["notapplicable"]) == (False, 45)
    assert not openscap(xccdf("notchecked", "informational", "notselected")).passed
    assert not sslyze().passed


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not xml",
        xccdf(),
        xccdf("pass", end=""),
        xccdf("green"),
        xccdf("pass").replace(XCCDF.encode(), b"http://example/other"),
        b'<!DOCTYPE x [<!ENTITY a "aaaa">]>' + xccdf("pass"),
        b'<!DOCTYPE x SYSTEM "file:///etc/passwd">' + xccdf("pass"),
        b"<a>" * (DEPTH_MAX + 1) + b"</a>" * (DEPTH_MAX + 1),
        xccdf("pass")[:-20],
    ],
)
def test_what_is_no_result_of_openscap_is_refused(data: bytes) -> None:
    with pytest.raises(ReportInvalidError):
        openscap(data)


@pytest.mark.skipif(shutil.which("oscap") is None or not CONTENT.exists(), reason="no oscap here, or no content")
def test_content_for_another_system_ends_well_and_is_a_failure(tmp_path: Path) -> None:
    """A real run: oscap leaves with 0, and every rule that it chose is « not applicable »."""
    file = tmp_path / "arf.xml"
    asked = ["oscap", "xccdf", "eval", "--profile", PROFILE, "--results-arf", str(file), str(CONTENT)]
    done = subprocess.run(asked, capture_output=True, check=False, timeout=120)
    read = read_report("openscap", file.read_bytes(), now_ms=int(datetime.now(UTC).timestamp() * 1000), lynis_index=1)
    if platform.freedesktop_os_release().get("VERSION_CODENAME") == "bullseye":
        pytest.skip("the system that this content is for")
    assert done.returncode == 0
    assert read.counts["notapplicable"] > 0
    assert (read.counts["pass"], read.passed) == (0, False)


def test_results_outside_a_test_result_count_for_nothing() -> None:
    inside = xccdf("fail")
    stray = f'<x xmlns="{XCCDF}"><rule-result><result>pass</result></rule-result></x>'.encode()
    assert openscap(inside.replace(b"<TestResult", stray + b"<TestResult")).counts["pass"] == 0


def test_sslyze_is_read() -> None:
    good = sslyze(
        tls_1_2=["TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"],
        tls_1_3=["TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"],
    )
    assert (good.passed, good.counts) == (True, {"scanned": 1, "failed": 0, "accepted": 4, "weak": 0})
    assert good.at_ms == int(datetime(2026, 11, 27, 9, 1, 13, 500_000, tzinfo=UTC).timestamp() * 1000)
    good_13: list[str] | None = ["TLS_AES_128_GCM_SHA256"]
    for weak in (
        {"tls_1_0": ["TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"]},
        {"tls_1_1": ["TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"]},
        {"tls_1_2": ["TLS_RSA_WITH_AES_256_GCM_SHA384"]},
        {"tls_1_2": ["TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384"]},
        {"tls_1_2": ["TLS_ECDHE_ECDSA_WITH_AES_256_CCM_8"]},
        {"tls_1_2": ["TLS_ECDH_anon_WITH_AES_256_CBC_SHA"]},
        {"tls_1_2": None},  # a scan that did not end
    ):
        assert not sslyze(**{"tls_1_3": good_13, **weak}).passed, weak


@pytest.mark.parametrize(
    "told",
    [[], {}, {"server_scan_results": {}}, {"server_scan_results": [], "date_scans_completed": "x"}, 7, "a", None],
)
def test_what_is_no_json_of_sslyze_is_refused(told: Any) -> None:
    with pytest.raises(ReportInvalidError):
        read_report("sslyze", json.dumps(told).encode(), now_ms=NOW_MS, lynis_index=65)


def test_a_server_that_was_not_reached_is_a_failure() -> None:
    told = {"date_scans_completed": "2026-11-27T09:01:13Z", "server_scan_results": [{"scan_result": None}, 7]}
    report = read_report("sslyze", json.dumps(told).encode(), now_ms=NOW_MS, lynis_index=65)
    assert (report.passed, report.counts["failed"]) == (False, 2)


def test_a_date_a_little_ahead_is_now_and_one_far_ahead_is_refused() -> None:
    ahead = (NOW + timedelta(hours=2)).isoformat()
    assert openscap(xccdf("pass", end=ahead)).at_ms == NOW_MS
    with pytest.raises(ReportInvalidError):
        openscap(xccdf("pass", end=(NOW + timedelta(days=3)).isoformat()))


@given(st.binary(max_size=400), st.sampled_from(REPORT_KINDS))
def test_any_bytes_are_read_or_refused(data: bytes, kind: ReportKind) -> None:
    for sent in (data, LYNIS.encode() + data, b"[" * len(data), xccdf("pass").replace(b"pass", data)):
        try:
            read_report(kind, sent, now_ms=NOW_MS, lynis_index=65)
        except ReportInvalidError:
            continue
