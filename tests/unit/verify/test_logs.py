"""What a line of a log may hold: what people wrote down may be below zero, what is counted may not."""

from __future__ import annotations

import pytest

from hygie.verify.errors import DossierTamperedError
from hygie.verify.logs import WRITE_FIELDS, read_json


def test_a_record_may_hold_a_number_below_zero() -> None:
    assert read_json(b'{"days_left":-269}', "write", 7) == {"days_left": -269}  # a warning that came too late


@pytest.mark.parametrize("body", [b'{"days_left":9223372036854775808}', b'{"days_left":-9223372036854775809}', b"[1]"])
def test_a_record_that_nothing_wrote_is_refused(body: bytes) -> None:
    with pytest.raises(DossierTamperedError):
        read_json(body, "write", 7)


def test_a_number_of_the_log_is_never_below_zero() -> None:
    line = b'{"at_ms":-1,"version":1,"write":1}'
    read_json(line.replace(b"-1", b"1"), "file", "writes", WRITE_FIELDS)
    with pytest.raises(DossierTamperedError):
        read_json(line, "file", "writes", WRITE_FIELDS)
