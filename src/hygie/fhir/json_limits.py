"""What typed decoding does not see in a JSON text, found at C speed: escapes, control characters, depth, digits.

``clean`` runs once on a whole request body (a Bundle pays once for its entries).  The exact, slow comparison that
names the member at fault is ``hygie.fhir.json_exact``.
"""

from __future__ import annotations

import re

from hygie.fhir.errors import FhirJsonError, FhirLimitError

DEPTH_MAX = 100
"""Nested objects and arrays.  Real resources stay under 20; the deepest recursive R4 shapes in use (a Questionnaire
of ten groups, extensions of extensions) stay under 60; the interpreter's own recursion bound is ten times higher."""
DIGITS_MAX = 128
"""Digits in a row in a number (and, written with an exponent, its size): past any measure, below any costly sum."""

_WHITESPACE = b" \t\r\n"
_DIGITS_TO_ZERO = bytes(0x30 if 0x30 <= byte <= 0x39 else byte for byte in range(256))
_TOO_MANY_DIGITS = b"0" * (DIGITS_MAX + 1)
_NOT_BRACKETS = bytes(byte for byte in range(256) if byte not in b'{}[]"')
_ONE_KIND = bytes.maketrans(b"[]", b"{}")  # so that one round of peeling is one level
_ESCAPE = re.compile(rb'\\(?:u([0-9A-Fa-f]{4})(?:\\u([dD][c-fC-F][0-9A-Fa-f]{2}))?|([^u]))', re.DOTALL)
_STRING = re.compile(rb'"[^"]*"')
_LONG_NUMBER = re.compile(rb'"(?:[^"\\]|\\.)*"|([-+.0-9eE]{%d,})' % (DIGITS_MAX + 1), re.DOTALL)
_SHORT = {'"': b'\\"', "\\": b"\\\\", "\n": b"\\n", "\r": b"\\r", "\t": b"\\t"}
_CANONICAL = {b"/": b"/", b'"': b'\\"', b"\\": b"\\\\", b"n": b"\\n", b"r": b"\\r", b"t": b"\\t"}


def clean(raw: bytes) -> bytes:
    """The same JSON text with its escapes in the one form the encoder writes, its limits checked.

    Raises: FhirJsonError: lone surrogate, U+0000 and other control characters that FHIR forbids in strings;
    FhirLimitError: nested over ``DEPTH_MAX``, a number over ``DIGITS_MAX`` digits.  Malformed JSON may pass: the
    decoder finds it.  Time: linear, about 2 ns a byte.
    """
    if b"\\" in raw and (b"\\u" in raw or b"\\/" in raw or b"\\b" in raw or b"\\f" in raw):
        raw = _ESCAPE.sub(_canonical_escape, raw)
    if raw.count(b"{") + raw.count(b"[") > DEPTH_MAX:
        _check_depth(raw)
    if _TOO_MANY_DIGITS in raw.translate(_DIGITS_TO_ZERO) and any(m[1] for m in _LONG_NUMBER.finditer(raw)):
        raise FhirLimitError("digits")
    return raw


def bare_length(text: bytes) -> int:
    """The length of a JSON text without its white space (inside strings too), bytes."""
    return len(text.translate(None, _WHITESPACE))


def _canonical_escape(match: re.Match[bytes]) -> bytes:
    code, low, short = match.groups()
    if short is not None:
        try:
            return _CANONICAL[short]
        except KeyError:  # \b and \f, or no escape at all
            raise FhirJsonError("character" if short in b"bf" else "json") from None
    point = int(code, 16)
    if 0xD800 <= point < 0xDC00 and low is not None:
        point = 0x10000 + ((point - 0xD800) << 10) + (int(low, 16) - 0xDC00)
    elif low is not None or 0xD800 <= point < 0xE000:
        raise FhirJsonError("encoding")
    character = chr(point)
    if point < 0x20 and character not in _SHORT:
        raise FhirJsonError("character")
    return _SHORT.get(character) or character.encode()


def _check_depth(raw: bytes) -> None:
    """Peel innermost pairs of brackets, all at once, as many rounds as levels are allowed."""
    if b"\\" in raw:
        raw = raw.replace(b"\\\\", b"").replace(b'\\"', b"")
    brackets = raw.translate(_ONE_KIND, _NOT_BRACKETS).replace(b'""', b"")
    if b'"' in brackets:
        brackets = _STRING.sub(b"", brackets)
    for _ in range(DEPTH_MAX):
        if not brackets:
            return
        shorter = brackets.replace(b"{}", b"")
        if len(shorter) == len(brackets):
            return  # unbalanced: the decoder says where
        brackets = shorter
    if brackets:
        raise FhirLimitError("depth")
