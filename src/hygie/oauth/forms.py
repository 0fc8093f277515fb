"""A form sent to a token door, from its bytes, within bounds. Source: RFC 6749, section 3.2 and appendix B."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl

from hygie.gate.errors import GrantTypeError
from hygie.server.bodies import Receive, SmallBodyError, read_small

FORM_BYTES_MAX = 32 * 1024
FIELDS_MAX = 20
_FORM = b"application/x-www-form-urlencoded"


async def read_form(headers: Mapping[bytes, bytes], receive: Receive) -> dict[str, str]:
    """The fields of a form; a field without value counts as absent (RFC 6749, 3.1).

    Raises: GrantTypeError: not a form, too large, too slow, or a field twice. ConnectionResetError: the client went
    away.
    """
    if headers.get(b"content-type", b"").split(b";")[0].strip().lower() != _FORM:
        raise GrantTypeError(reason="content type")
    try:
        return parse_fields(await read_small(receive, FORM_BYTES_MAX))
    except SmallBodyError as error:
        raise GrantTypeError(reason=str(error)) from error


def parse_fields(raw: bytes) -> dict[str, str]:
    """The fields of a query or a form. Raises: GrantTypeError: none, too large, or a field twice."""
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=FIELDS_MAX)
    except (ValueError, UnicodeDecodeError) as error:
        raise GrantTypeError(reason="form") from error
    found: dict[str, str] = {}
    for name, value in pairs:
        if name in found:
            raise GrantTypeError(reason="a field twice")
        found[name] = value
    return {name: value for name, value in found.items() if value}
