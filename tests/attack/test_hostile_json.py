"""Hostile JSON against the FHIR parser: every text is read as one meaning or refused cleanly, never half-understood."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hygie.fhir.bundle import parse_bundle
from hygie.fhir.errors import FhirJsonError, FhirLimitError, FhirStructureError
from hygie.fhir.json_limits import DEPTH_MAX, DIGITS_MAX
from hygie.fhir.structures import parse, parse_clean

DATA = Path(__file__).parents[1] / "data" / "fhir"
CODES = {"HYG-171", "HYG-172", "HYG-173"}
SAMPLES = [(DATA / name).read_bytes() for name in ("patient.json", "observation.json", "transaction.json")]
COMPACT = [json.dumps(json.loads(raw, parse_float=float), separators=(",", ":")).encode() for raw in SAMPLES]


def patient(inside: str) -> bytes:
    return ('{"resourceType":"Patient"' + inside + "}").encode()


def nested(levels: int) -> bytes:
    inner = '{"url":"u","valueString":"x"}'
    for _ in range(levels):
        inner = '{"url":"u","extension":[' + inner + "]}"
    return patient(f',"extension":[{inner}]')


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (b"", "json"),
        (b"\xef\xbb\xbf" + patient(""), "json"),
        (patient("") + b"x", "json"),
        (patient("") + b"\x00", "json"),
        (patient("")[:-1], "json"),
        (patient(',"active":tru'), "json"),
        (patient(',"id":"a",'), "json"),
        (patient(',"multipleBirthInteger":01'), "json"),
        (patient(',"extension":[{"url":"u","valueDecimal":NaN}]'), "json"),
        (patient(',"extension":[{"url":"u","valueDecimal":-Infinity}]'), "json"),
        (patient(',"extension":[{"url":"u","valueDecimal":1.}]'), "json"),
        (b'{"resourceType":"Patient","language":"\xff"}', "encoding"),
        (b'{"resourceType":"Patient","language":"\xed\xa0\x80"}', "encoding"),
        (b'{"resourceType":"Patient","\xff":1}', "encoding"),
        (patient(r',"language":"\ud800"'), "encoding"),
        (patient(r',"language":"\udc00x"'), "encoding"),
        (patient(r',"language":"\ud800\u0041"'), "encoding"),
        (patient(r',"language":"\u00e9\udc00"'), "encoding"),
        (patient(r',"language":"\u0000"'), "character"),
        (patient(r',"language":"\b"'), "character"),
        (patient(',"language":"\x01"'), "json"),
        (patient(r',"language":"\q"'), "json"),
        (patient(',"id":"a","id":"a"'), "duplicate"),
        (patient(',"resourceType":"Patient"'), "duplicate"),
        (patient(r',"id":"a","\u0069d":"b"'), "duplicate"),
        (patient(',"name":[{"family":"a"},{"family":"b","family":"c"}]'), "duplicate"),
        # a duplicate whose lost bytes are given back by numbers that grow (1e9 → 1E+9) and by escapes
        (
            patient(',"id":"a","id":"a","extension":[' + ",".join(['{"url":"u","valueDecimal":1e9}'] * 9) + "]"),
            "duplicate",
        ),
        (patient(r',"id":"a","id":"a","language":"\u0022\u0022\u0022"'), "duplicate"),
        (patient(',"contact":[{}]'), "empty"),
        (patient(',"contact":[ { } ]'), "empty"),
        (patient(',"extension":[{"url":"u","valueDecimal":1e999999999}]'), "digits"),
        (patient(',"extension":[{"url":"u","valueDecimal":1e-999999999}]'), "digits"),
        (patient(f',"extension":[{{"url":"u","valueDecimal":{"1" * (DIGITS_MAX + 1)}}}]'), "digits"),
        (patient(f',"extension":[{{"url":"u","valueDecimal":0.{"1" * 100_000}}}]'), "digits"),
        (patient(f',"multipleBirthInteger":{"1" * 100_000}'), "range"),
        (nested(DEPTH_MAX), "depth"),
        (nested(250), "depth"),
        (nested(5000), "depth"),
    ],
)
def test_a_hostile_text_is_refused(raw: bytes, problem: str) -> None:
    with pytest.raises(FhirStructureError) as caught:
        parse(raw)
    assert caught.value.problem == problem
    assert caught.value.http_status in {400, 422}


@pytest.mark.parametrize(
    "raw",
    [
        b"[" * 500 + b"]" * 500,
        b'{"resourceType":"Patient","name":' + b"[" * 100_000,
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
)
def test_nesting_without_end_is_refused(raw: bytes) -> None:
    for read in (parse, parse_bundle):
        with pytest.raises(FhirStructureError):
            read(raw)


def test_braces_inside_strings_neither_hide_nor_make_depth() -> None:
    deep = nested(DEPTH_MAX).replace(b'"url":"u"', b'"url":"}}\\"}}{"')
    with pytest.raises(FhirLimitError):
        parse(deep)
    flat = patient(',"name":[' + ",".join(['{"text":"{{{{ \\\\"}'] * 200) + "]")
    assert len(parse(flat).resource.name) == 200


def test_the_deepest_resource_allowed_is_read_back() -> None:
    raw = nested(DEPTH_MAX - 2)
    encoded = parse(raw).encoded
    assert parse(encoded).encoded == encoded
    assert json.loads(encoded) == json.loads(raw)


@pytest.mark.parametrize("digits", ["1" * DIGITS_MAX, "-0." + "1" * 60, "1e100", "1E-100", "0.00000001", "-0", "0.0"])
def test_long_but_sane_numbers_are_kept(digits: str) -> None:
    raw = patient(f',"extension":[{{"url":"u","valueDecimal":{digits}}}]')
    kept = json.loads(parse(raw).encoded, parse_float=Decimal, parse_int=Decimal)
    assert kept["extension"][0]["valueDecimal"] == Decimal(digits)


@pytest.mark.parametrize(
    ("escaped", "plain"),
    [(r"\u00e9", "é"), (r"\ud83d\ude00", "\U0001f600"), (r"a\/b", "a/b"), (r"\u0022", '"'), (r"\\u0041", r"\u0041")],
)
def test_any_way_of_escaping_gives_one_text(escaped: str, plain: str) -> None:
    parsed = parse(patient(f',"name":[{{"text":"{escaped}"}}]'))
    assert parsed.resource.name[0].text == plain
    assert json.loads(parsed.encoded)["name"][0]["text"] == plain


def test_a_string_over_a_mebibyte_is_refused() -> None:
    with pytest.raises(FhirStructureError) as caught:
        parse(patient(f',"language":"{"a" * ((1 << 20) + 1)}"'))
    assert caught.value.problem == "length"


def _tree(raw: bytes) -> Any:
    """What a strict reader understands: decimals exact, a member twice is an error."""

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) != len(pairs):
            raise ValueError("twice")
        return made

    return json.loads(raw, object_pairs_hook=members, parse_float=Decimal, parse_int=Decimal)


def _refusal(read: Callable[[], object]) -> FhirStructureError | None:
    """The refusal of a reader, or None when it accepts; any other exception goes through."""
    try:
        read()
    except FhirStructureError as error:
        return error
    return None


def _read(raw: bytes) -> None:
    """A text is refused with a stable code, or kept with exactly the meaning a strict reader gives it."""
    refusal = _refusal(lambda: parse(raw))
    if refusal is None:
        assert _tree(raw) == _tree(parse(raw).encoded)
    else:
        assert refusal.code in CODES
        assert refusal.issue_code


TOKENS = [
    *(b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"null", b"{}", b"[]", b'""', b"1e9", b"1.0", b"true", b"\xff"),
    *(b"\\u0022", b"\\ud800", b'"id":"x",', b'"id":null,', b'"resourceType":"Patient",', b'"_gender":{},', b"0" * 200),
    *(b'"valueString":"a",', b'"extension":[{"url":"u"}],', b'"contained":[{"resourceType":"Basic"}],', b"\x00", b" "),
]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A valid sample with pieces cut, doubled, moved or replaced by tokens that JSON and FHIR parsers stumble on."""
    raw = draw(st.sampled_from(SAMPLES + COMPACT))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(raw)))
        stop = min(len(raw), start + draw(st.sampled_from([0, 0, 1, 2, 5, 20])))
        piece = draw(st.one_of(st.sampled_from(TOKENS), st.binary(max_size=3), st.just(raw[start:stop] * 2)))
        raw = raw[:start] + piece + raw[stop:]
    return raw


@settings(max_examples=400, deadline=None)
@given(mutated())
def test_mutated_texts_are_refused_or_kept_with_their_meaning(raw: bytes) -> None:
    _read(raw)


@settings(max_examples=200, deadline=None)
@given(mutated())
def test_mutated_bundles_are_refused_or_sliced(raw: bytes) -> None:
    refusal = _refusal(
        lambda: [parse_clean(entry.resource_raw) for entry in parse_bundle(raw).entries if entry.resource_raw]
    )
    if refusal is not None:
        assert refusal.code in CODES
        return
    for entry, one in zip(parse_bundle(raw).entries, _tree(raw).get("entry", []), strict=True):
        assert bool(entry.resource_raw) == ("resource" in one)
        if entry.resource_raw:
            assert _tree(parse_clean(entry.resource_raw).encoded) == one["resource"]


def test_mutated_trees_are_refused_or_kept_with_their_meaning() -> None:
    """Structural mutations reach deeper than mutated bytes: members moved, dropped, doubled, of another type."""
    chance = random.Random(7)
    for _ in range(3000):
        tree = json.loads(chance.choice(SAMPLES))
        for _ in range(chance.randint(1, 3)):
            _mutate(tree, chance)
        _read(json.dumps(tree, indent=chance.choice([None, 1]), ensure_ascii=chance.random() < 0.5).encode())


def _mutate(tree: Any, chance: random.Random) -> None:
    node = tree
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys:
            return
        key = chance.choice(keys)
        if not isinstance(node[key], dict | list) or chance.random() < 0.3:
            break
        node = node[key]
    action = chance.randint(0, 3)
    if action == 0:
        node[key] = chance.choice(
            [None, {}, [], "", 0, 1.5, "1.5", True, "a b", " a", "2026-02-30", [None], {"id": "x"}]
        )
    elif action == 1:
        del node[key]
    elif action == 2 and isinstance(node, dict):
        node["_" + str(key)] = chance.choice([{"id": "x"}, [None], [{"id": "x"}], None])
    else:
        node[key] = [node[key]]


def test_a_lone_surrogate_in_a_name_is_refused_as_text() -> None:
    with pytest.raises(FhirJsonError):
        parse(patient(r',"\ud800":1'))
