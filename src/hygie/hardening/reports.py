"""Reports of other programs: Lynis, OpenSCAP, sslyze. Each runs apart; its file is read within bounds, and its figures,
its date and its digest alone are kept.

Sources: lynis-report.dat (key=value, ``key[]`` for lists) as Lynis 3 writes it; XCCDF 1.2, 6.6 (``TestResult``), alone
or inside an ARF collection; the JSON of sslyze 6.  A report in which nothing passed is a failure, never a pass: the
content was for another system, or the program could see nothing.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from xml.parsers import expat

from hygie.hardening.errors import ReportInvalidError
from hygie.hardening.model import Report, ReportKind

REPORT_BYTES_MAX = 64 << 20  # an ARF file holds its whole content: some tens of megabytes
LINES_MAX = 200_000
DEPTH_MAX = 64
LYNIS_TESTS_MIN = 150  # a whole run has some 250 on a server; a few chosen tests are no audit
AHEAD_MS = 86_400_000  # a machine's clock and zone may differ; a report of next week was made up
# AEAD with forward secrecy; CCM_8 cuts its tag to eight bytes.
MODERN = re.compile(
    r"TLS_(AES_(128|256)_(GCM|CCM)|CHACHA20_POLY1305)_SHA\d+"
    r"|TLS_ECDHE_(RSA|ECDSA)_WITH_(AES_(128|256)_(GCM_SHA\d+|CCM)|CHACHA20_POLY1305_SHA256)"
)
_OLD = ("ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1")
_SPOKEN = ("tls_1_2", "tls_1_3")
_PASSED = frozenset({"pass", "fixed"})
_FAILED = frozenset({"fail", "error", "unknown"})
_RESULTS = _PASSED | _FAILED | {"notapplicable", "notchecked", "notselected", "informational"}


def read_report(kind: ReportKind, data: bytes, *, now_ms: int, lynis_index: int) -> Report:
    """A report's figures. Args: lynis_index: what its index must reach. Raises: ReportInvalidError."""
    if len(data) > REPORT_BYTES_MAX:
        raise ReportInvalidError(kind=kind, reason=f"> {REPORT_BYTES_MAX} bytes")
    readers = {"lynis": _lynis, "openscap": _openscap, "sslyze": _sslyze}
    at_ms, counts = readers[kind](data)
    if at_ms > now_ms + AHEAD_MS:
        raise ReportInvalidError(kind=kind, reason="date")
    at_ms = min(at_ms, now_ms)
    return Report(kind, at_ms, passes(kind, counts, lynis_index), counts, hashlib.sha256(data).hexdigest(), now_ms)


def passes(kind: ReportKind, counts: Mapping[str, int], lynis_index: int) -> bool:
    """The rule of each kind, on its figures."""
    if kind == "lynis":
        return counts["tests"] >= LYNIS_TESTS_MIN and counts["index"] >= lynis_index
    if kind == "openscap":
        return counts["pass"] > 0 and counts["fail"] == 0
    return counts["scanned"] > 0 and counts["accepted"] > 0 and counts["weak"] == 0 and counts["failed"] == 0


def _lynis(data: bytes) -> tuple[int, dict[str, int]]:
    lines = data.decode(errors="replace").splitlines()
    if len(lines) > LINES_MAX:
        raise ReportInvalidError(kind="lynis", reason=f"> {LINES_MAX} lines")
    values: dict[str, str] = {}
    listed: Counter[str] = Counter()
    for line in lines:
        name, equals, value = line.partition("=")
        if not equals or name.startswith("#"):
            continue
        if name.endswith("[]"):
            listed[name[:-2]] += 1
        else:
            values[name] = value.strip()
    if "lynis_version" not in values:
        raise ReportInvalidError(kind="lynis", reason="lynis_version")
    tests = [one for one in values.get("tests_executed", "").split("|") if one]
    index = values.get("hardening_index", "")
    if not re.fullmatch(r"\d{1,3}", index) or int(index) > 100:
        raise ReportInvalidError(kind="lynis", reason="hardening_index")  # it was stopped before its end
    counts = {
        "index": int(index),
        "tests": len(tests),
        "warnings": listed["warning"],
        "suggestions": listed["suggestion"],
    }
    told = values.get("report_datetime_end") or values.get("report_datetime_start", "")
    return _instant("lynis", told), counts


def _openscap(data: bytes) -> tuple[int, dict[str, int]]:
    reading = _Xccdf()
    try:
        reading.parser.Parse(data, True)
    except (expat.ExpatError, ValueError) as error:
        raise ReportInvalidError(kind="openscap", reason=type(error).__name__) from error
    if not reading.ended or not sum(reading.results.values()):
        raise ReportInvalidError(kind="openscap", reason="TestResult")
    found = reading.results
    counts = {
        "pass": sum(found[name] for name in _PASSED),
        "fail": sum(found[name] for name in _FAILED),
        "notapplicable": found["notapplicable"],
        "notchecked": found["notchecked"] + found["informational"],
    }
    return _instant("openscap", reading.ended), counts


class _Xccdf:
    """What is read of an XCCDF result, as it streams by: no tree, no entity, no document type."""

    def __init__(self) -> None:
        self.results: Counter[str] = Counter()
        self.ended = ""
        self._depth = 0
        self._inside = False  # of a TestResult
        self._rule = False  # of one of its rule-result
        self._text: list[str] | None = None
        self.parser = expat.ParserCreate(namespace_separator="}")
        self.parser.StartDoctypeDeclHandler = self._refuse
        self.parser.EntityDeclHandler = self._refuse
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters

    def _refuse(self, *_: object) -> None:
        raise ValueError("document type")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise ValueError("depth")
        local = name.rpartition("}")[2] if "checklists.nist.gov/xccdf" in name else ""
        if local == "TestResult":
            self._inside = True
            self.ended = max(self.ended, attributes.get("end-time", "")[:40])
        elif self._inside and local == "rule-result":
            self._rule = True
        elif self._rule and local == "result":
            self._text = []

    def _end(self, name: str) -> None:
        self._depth -= 1
        local = name.rpartition("}")[2] if "checklists.nist.gov/xccdf" in name else ""
        if local == "TestResult":
            self._inside = False
        elif local == "rule-result":
            self._rule = False
        elif local == "result" and self._text is not None:
            word = "".join(self._text).strip()
            if word not in _RESULTS:
                raise ValueError("result")
            self.results[word] += 1
            self._text = None

    def _characters(self, text: str) -> None:
        if self._text is not None and len(self._text) < DEPTH_MAX:
            self._text.append(text)


def _sslyze(data: bytes) -> tuple[int, dict[str, int]]:
    try:
        told = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ReportInvalidError(kind="sslyze", reason="JSON") from error
    servers = told.get("server_scan_results") if isinstance(told, dict) else None
    if not isinstance(servers, list):
        raise ReportInvalidError(kind="sslyze", reason="server_scan_results")
    counts: Counter[str] = Counter(scanned=0, failed=0, accepted=0, weak=0)
    for server in servers:
        scans = server.get("scan_result") if isinstance(server, dict) else None
        if not isinstance(scans, dict):  # it could not be reached
            counts["failed"] += 1
            continue
        counts["scanned"] += 1
        for version in (*_OLD, *_SPOKEN):
            suites = _accepted(scans.get(f"{version}_cipher_suites"))
            if suites is None:
                counts["failed"] += 1
                continue
            counts["accepted"] += len(suites)
            counts["weak"] += sum(version in _OLD or not MODERN.fullmatch(name) for name in suites)
    return _instant("sslyze", str(told.get("date_scans_completed", ""))[:40]), dict(counts)


def _accepted(scan: object) -> list[str] | None:
    """Names of the suites that a server took in one version; None: that scan did not come to its end."""
    result = scan.get("result") if isinstance(scan, dict) else None
    taken = result.get("accepted_cipher_suites") if isinstance(result, dict) else None
    return list(_suite_names(taken)) if isinstance(taken, list) else None


def _suite_names(taken: list[Any]) -> Iterator[str]:
    for one in taken:
        suite = one.get("cipher_suite") if isinstance(one, dict) else None
        yield str(suite.get("name", "")) if isinstance(suite, dict) else ""


def _instant(kind: ReportKind, text: str) -> int:
    """Milliseconds of an instant; without a zone it is this machine's, in which Lynis writes, or sslyze's UTC."""
    try:
        at = datetime.fromisoformat(text.strip().replace(" ", "T"))
        zoned = at.replace(tzinfo=UTC) if at.tzinfo is None and kind == "sslyze" else at
        return int(zoned.timestamp() * 1000)
    except (ValueError, OverflowError) as error:
        raise ReportInvalidError(kind=kind, reason="date") from error
