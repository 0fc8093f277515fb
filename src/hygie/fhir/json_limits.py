"""What typed decoding does not see in a JSON text, found at C speed: escapes, control characters, depth, digits.

The exact, slow comparison that names the member at fault is ``hygie.fhir.json_exact``.
"""

from __future__ import annotations

import re

from hygie.fhir.errors import FhirJsonError, FhirLimitError

DEPTH_MAX = 100
"""Objects inside objects.  Real resources stay under 12 and the deepest recursive R4 shapes in use (a Questionnaire of
ten groups, extensions of extensions) under 40; 100 objects are 200 levels with their arrays, a fifth of the
interpreter's own bound, so what was accepted can be decoded again under any stack."""
_DEEP_BYTES_MIN = 10 * DEPTH_MAX  # the shortest recursive level, {"part":[…]}, is 11 bytes
DIGITS_MAX = 128
"""Digits in a number, and its size when written with an exponent: past any measure, below any costly sum."""

_WHITESPACE = b" \t\r\n"
_NOT_BRACES = bytes(byte for byte in range(256) if byte not in b'{}"')
_ODD_ESCAPE = re.compile(rb'\\[^"\\nrt]')
_ESCAPE = re.compile(rb"\\(?:u([0-9A-Fa-f]{4})(?:\\u([dD][c-fC-F][0-9A-Fa-f]{2}))?|([^u]))", re.DOTALL)
_STRING = re.compile(rb'"[^"]*"')
_SHORT = {'"': b'\\"', "\\": b"\\\\", "\n": b"\\n", "\r": b"\\r", "\t": b"\\t"}
_CANONICAL = {b"/": b"/", b'"': b'\\"', b"\\": b"\\\\", b"n": b"\\n", b"r": b"\\r", b"t": b"\\t"}

# One translation and two searches find what calls for the exact comparison: digits become 0, so a long run of them is
# one needle; ``{`` becomes E, ``}`` and ``+`` become -, so ``{}``, ``E+`` and ``E-`` are the one needle ``E-``.  What
# is most frequent and cannot stand between them (small letters, quotes) is dropped: the searches have a third to read.
_SIGNS = bytearray(range(256))
_SIGNS[0x30:0x3A] = b"0" * 10
_SIGNS[ord("{")] = ord("E")
_SIGNS[ord("}")] = _SIGNS[ord("+")] = ord("-")
_SIGN_TABLE = bytes(_SIGNS)
_NO_SIGN = bytes(range(ord("a"), ord("z") + 1)) + b'"'
_MANY_DIGITS = b"0" * (DIGITS_MAX // 2)  # a decimal point may stand in the middle
_SIGN = re.compile(rb"\{\}|[:,\[]-?[0-9.]+E[+-]|[0-9]{%d}" % len(_MANY_DIGITS))


def clean(raw: bytes) -> bytes:
    """The same JSON text with its escapes in the one form the encoder writes.

    Runs once on a whole request body: the entries of a Bundle go with it.
    Raises: FhirJsonError: a lone surrogate, U+0000 or another control character that FHIR forbids in strings.
    Malformed JSON may pass: the decoder finds it.  Time: linear, 0.3 ns a byte when there is no odd escape.
    """
    if b"\\" in raw and _ODD_ESCAPE.search(raw) is not None:
        return _ESCAPE.sub(_canonical_escape, raw)
    return raw


def bare_length(text: bytes) -> int:
    """The length of a JSON text without its white space (inside strings too), bytes."""
    return len(text.translate(None, _WHITESPACE))


def has_sign(encoded: bytes) -> bool:
    """Whether an encoded resource may hold an empty object, an exponent or a very long number.

    Text may look so too; then the exact comparison finds nothing.
    """
    signs = encoded.translate(_SIGN_TABLE, _NO_SIGN)
    return (b"E-" in signs or _MANY_DIGITS in signs) and _SIGN.search(encoded) is not None


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


def check_depth(text: bytes) -> None:
    """Refuse objects nested over ``DEPTH_MAX``: peel the innermost pairs of braces, all at once, level by level.

    Raises: FhirLimitError.  Time: linear; nothing but a count when there are few objects.
    """
    if len(text) < _DEEP_BYTES_MIN or text.count(b"{") <= DEPTH_MAX:
        return
    if b"\\" in text:
        text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    braces = text.translate(None, _NOT_BRACES).replace(b'""', b"")
    if b'"' in braces:
        braces = _STRING.sub(b"", braces)
    for _ in range(DEPTH_MAX):
        shorter = braces.replace(b"{}", b"")
        if len(shorter) == len(braces):
            return  # nothing left, or unbalanced: the decoder says where
        braces = shorter
    if braces:
        raise FhirLimitError("depth")
