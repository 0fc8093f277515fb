"""Files of strangers: within bounds, or refused with the line and the reason; never built, never unfolded."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hygie.proof.errors import ReferentialRefusedError
from hygie.proof.referentials import documents
from hygie.proof.referentials.documents import DEPTH_MAX, Record, parse
from hygie.proof.referentials.importing import read_referential

REFUSED = "YAML tag refused."
TAG = "tag:yaml.org,2002:"
LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{','.join([f'*{chr(97 + i)}'] * 10)}]\n" for i in range(9)
)


def refusal(data: str | bytes) -> str:
    with pytest.raises(ReferentialRefusedError) as refused:
        parse(data.encode() if isinstance(data, str) else data)
    return refused.value.sentence("en").removeprefix("Référentiel refused, ")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (LAUGHS, "line 6, YAML: more than 1000000 values, aliases unfolded."),
        ("a: &a [*a]", "line 1, *a: recursive or unknown alias."),
        ("a: *b", "line 1, *b: recursive or unknown alias."),
        ("a: 1\nb: !!python/object/apply:os.system [x]", f"line 2, {TAG}python/object/apply:os.system: {REFUSED}"),
        ("a: !own x", "line 1, !own: YAML tag refused."),
        ("a: 1\nb: 2\na: 3", "line 3, a: the same key twice."),
        ("a: {<<: {b: 1}}", "line 1, <<: merge key refused."),
        ("? [a]\n: b", "line 1, YAML: a key that is not a text."),
        ("a: 1\n---\nb: 1", "line 2, ---: several documents."),
        ("a: 1\n b: 2", "line 2, YAML: malformed YAML."),
        ("a: [", "line 2, YAML: malformed YAML."),
        ("a: \x07", "YAML: malformed YAML."),
        ("- a", "file: neither a YAML dictionary nor a JSON object."),
        ("", "file: neither a YAML dictionary nor a JSON object."),
        ("a: " + "[" * (DEPTH_MAX + 1), f"line 1, YAML: nested deeper than {DEPTH_MAX}."),
        ('{"a": 1, "b": 2, "a": 3}', "a: the same key twice."),
        ('{\n"a": 1,\n}', "line 3, JSON: malformed JSON."),
        ('{"a": NaN}', "NaN: impossible number."),
        ('{"a": ' + "9" * 19 + "}", "9999999999999999999: number too long."),
        ('{"a": ' + "[" * 100 + "]" * 100 + "}", f"JSON: nested deeper than {DEPTH_MAX}."),
        (r'{"a": ["b\ud800"]}', "b: impossible character."),
        (r'{"a": {"b\udc00": 1}}', "b: impossible character."),
        ('{"a": ' * 100_000, f"JSON: nested deeper than {DEPTH_MAX}."),
        (b"a: 1\nb: \xff\n", "line 2, UTF-8: text that is not UTF-8."),
    ],
)  # fmt: skip
def test_what_is_no_plain_document_is_refused_where_it_goes_wrong(text: str | bytes, said: str) -> None:
    assert refusal(text) == said


def test_a_huge_file_is_refused_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "FILE_BYTES_MAX", 10)
    assert parse(b"a: 1234567") == {"a": "1234567"}
    assert refusal("a: 12345678") == "file: more than 10 bytes."


def test_too_many_values_are_refused_in_json_as_in_yaml(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "VALUES_MAX", 100)
    assert "more than 100 values" in refusal(json.dumps({"a": list(range(101))}))
    assert "more than 100 values" in refusal("a: [" + "1," * 101 + "1]")


def test_what_could_not_be_read_again_is_refused_before_it_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "urn: urn:x:risk:library:x\nversion: 1\nobjects:\n  threats:\n  - urn: urn:t\n    name: " + "é" * 500
    assert read_referential(text.encode()).referential.id == "x@1"
    monkeypatch.setattr(documents, "FILE_BYTES_MAX", len(text.encode()) + 100)  # both languages are longer than one
    with pytest.raises(ReferentialRefusedError, match="more than"):
        read_referential(text.encode())


def test_a_plain_scalar_stays_as_it_is_written() -> None:
    found = parse(b"ref: 1.10\ncountry: no\nwhen: 2024-02-30\nyes: true\nnothing: ~\nquoted: 'true'\nempty:\n")
    assert found == {
        "ref": "1.10",
        "country": "no",
        "when": "2024-02-30",
        "yes": True,
        "nothing": None,
        "quoted": "true",
        "empty": None,
    }


def test_an_alias_that_is_bounded_is_what_its_anchor_holds_and_a_record_knows_its_line() -> None:
    found = parse(b"\xef\xbb\xbfone:\n  &x {deep: [1]}\ntwo: *x\n")
    assert found["two"] == {"deep": ["1"]}
    assert isinstance(found["one"], Record)
    assert (found.line, found["one"].line) == (1, 2)


@given(st.text() | st.binary().map(lambda data: data.decode("latin-1")))
@example("{")
@example("urn: x\nobjects: []\nversion: 1")
@example("catalog:\n  metadata: {oscal-version: 1.1.2}")
@example('{"format": "hygie-referential-1"}')
@example('{"format": "hygie-referential-2"}')
def test_whatever_the_file_the_only_end_is_a_refusal(text: str) -> None:
    with pytest.raises(ReferentialRefusedError):
        read_referential(text.encode("utf-8", "surrogatepass"))
