"""Debian's order is dpkg's own, asked of dpkg itself where there is one; CVSS scores are those of the specification."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hygie.patching.cvss import base_score, severity_of
from hygie.patching.versions import debian_key, python_key

PART = st.text("0123456789abAB.+~", min_size=1, max_size=8)
VERSIONS = st.builds(
    lambda epoch, upstream, revision: f"{epoch}{upstream}{revision}",
    st.sampled_from(["", "0:", "1:"]),
    PART.map(lambda text: f"1{text}"),
    st.one_of(st.just(""), PART.map(lambda text: f"-{text}")),
)


@pytest.mark.skipif(shutil.which("dpkg") is None, reason="no dpkg here")
@settings(max_examples=150, deadline=None)
@given(VERSIONS, VERSIONS)
def test_the_order_is_that_of_dpkg(one: str, other: str) -> None:
    mine, its = debian_key(one), debian_key(other)
    name = "lt" if mine < its else "gt" if mine > its else "eq"
    assert subprocess.run(["dpkg", "--compare-versions", one, name, other], check=False).returncode == 0, (one, other)


@pytest.mark.parametrize(
    ("less", "more"),
    [
        ("1.0~rc1", "1.0"), ("1.0", "1.0+b1"), ("1.0a", "1.0+"), ("9", "10"), ("2", "1:1"), ("1.2-3", "1.2-3+deb12u1"),
        ("1.0~~", "1.0~~a"), ("1.0~~a", "1.0~"), ("3.0.11-1~deb12u2", "3.0.11-1"), ("1.9", "1.10"),
    ],
)  # fmt: skip
def test_debian_order_by_examples(less: str, more: str) -> None:
    assert debian_key(less) < debian_key(more)


def test_what_is_equal_for_dpkg_is_equal_here() -> None:
    assert debian_key("1.0") == debian_key("0:1.0-0")
    assert debian_key("1.01") == debian_key("1.1")


@pytest.mark.parametrize("wrong", ["", "é", "1 2", "1" * 300, "1:2:3 x"])
def test_what_is_no_version_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="version"):
        debian_key(wrong)
    with pytest.raises(ValueError, match="version"):
        python_key(wrong)


@pytest.mark.parametrize(
    ("vector", "score", "word"),
    [  # of the examples of first.org (CVSS v3.1)
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", 6.1, "medium"),
        ("CVSS:3.1/AV:N/AC:L/PR:L/UI:N/S:C/C:L/I:L/A:N", 6.4, "medium"),
        ("CVSS:3.1/AV:N/AC:H/PR:N/UI:R/S:U/C:L/I:N/A:N", 3.1, "low"),
        ("CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:C/C:H/I:H/A:H", 8.8, "high"),
        ("CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H", 7.5, "high"),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H/E:P", 10.0, "critical"),
        ("CVSS:3.1/AV:P/AC:H/PR:H/UI:R/S:U/C:N/I:N/A:N", 0.0, "low"),
    ],
)
def test_scores_are_those_of_the_specification(vector: str, score: float, word: str) -> None:
    assert base_score(vector) == score
    assert severity_of(score) == word


@pytest.mark.parametrize(
    "vector", ["", "CVSS:4.0/AV:N", "CVSS:3.1/AV:N", "CVSS:3.1/AV:X/AC:L", "AV:N/AC:L", "CVSS:3.1/A"]
)
def test_what_is_no_vector_has_no_score(vector: str) -> None:
    assert base_score(vector) is None
