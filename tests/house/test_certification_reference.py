"""The reference page of the certification cycle says what its data say."""

from __future__ import annotations

from tools import certification_reference


def test_the_page_of_certification_is_up_to_date() -> None:
    assert certification_reference.PAGE.read_text() == certification_reference.page(), (
        "run: python tools/certification_reference.py"
    )
