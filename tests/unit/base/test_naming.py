"""A patient's number is seen however it is written, and what is none is left alone."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hygie.base.identifiers import nir_key
from hygie.base.naming import looks_like_ins

# Published examples of INSEE and numbers made up for tests: nobody's.
WRITTEN = [
    "255081416802538",
    "INS255081416802538x",
    "255081416802538^^^ASIP",
    "2 55 08 14 168 025 38",
    "2\u00a055\u202f08 14 168 025 38",
    "2 55 08  14 168 025  38",
    "2-55-08-14-168-025-38",
    "2\u201355\u201308\u201314\u2013168\u2013025\u201338",
    "2_55_08_14_168_025_38",
    "2,55,08,14,168,025,38",
    "2:55:08:14:168:025:38",
    "2\u00b755\u00b708\u00b714\u00b7168\u00b7025\u00b738",
    "2550814168025 38",
    "2550814168025 (38)",
    "2550814168025/38",
    "2550814168025|38",
    "2550814168025 clé 38",
    "2550814168025, cle\u0301 : 38",
    "2550814168025 key 38",
    "\uff12\uff15\uff15\uff10\uff18\uff11\uff14\uff11\uff16\uff18\uff10\uff12\uff15\uff13\uff18",
    "\u0662\u0665\u0665\u0660\u0668\u0661\u0664\u0661\u0666\u0668\u0660\u0662\u0665\u0663\u0668",
    "2\u200b55081416802538",
    "2550814168025\u00ad38",
    "186022A21532523",
    "1 86 02 2a 215 325 23",
    "voir\n1 86 02 2A 215 325 - 23.",
    "lit 1 255081416802538",  # a digit before it
    "1 25508141680253 8",  # what is read from the first digit has no right key
]
OTHERS = [
    "",
    "255081416802539",  # the key of another one
    "0255081416802538",  # sixteen digits
    "2550814168025381",
    "2026-11-27 08:15:30.1",
    "2026-11-27T08:15:00Z",
    "+33 1 23 45 67 89",
    "732 829 320 00074",
    "10999000002",
    "CVE-2026-12345 CVE-2026-12346",
    "A.5.1 A.5.2 EXI-05.A",
    "PER-0001 PER-0002 PER-0003",
]


@pytest.mark.parametrize("text", WRITTEN)
def test_a_number_is_seen_however_it_is_written(text: str) -> None:
    assert looks_like_ins(text)


@pytest.mark.parametrize("text", OTHERS)
def test_what_is_no_number_of_a_patient_is_left_alone(text: str) -> None:
    assert not looks_like_ins(text)


BODY = st.from_regex(r"[1-478][0-9]{4}([0-9]{2}|2[AB])[0-9]{6}", fullmatch=True)


@given(BODY, st.text(alphabet="abé .,;\n", max_size=20), st.sampled_from(["", " ", ".", "-", "/", "_", "\u2011"]))
def test_any_number_is_seen_in_any_text(body: str, around: str, mark: str) -> None:
    whole = body + nir_key(body)
    groups = (whole[:1], whole[1:3], whole[3:5], whole[5:7], whole[7:10], whole[10:13], whole[13:])
    for written in (whole, mark.join(groups)):
        assert looks_like_ins(f"{around} {written} {around}")


@pytest.mark.parametrize(
    "text", ["1 " * 10_000, "1" * 20_000, "12" + " " * 20_000, "2 55 08 14 168 025 " * 1_000, "é" * 20_000]
)
def test_the_longest_text_takes_no_time(text: str) -> None:
    begun = time.process_time()
    looks_like_ins(text)
    assert time.process_time() - begun < 2
