"""Codes of RFC 6238, and the step that each is of."""

from __future__ import annotations

import pytest

from hygie.gate.totp import address_of, new_secret, step_of, typed_form
from tests.telephone import code_at

SECRET = b"12345678901234567890"  # RFC 6238, appendix B


@pytest.mark.parametrize(
    ("at_s", "code"),
    [(59, "287082"), (1111111109, "081804"), (1111111111, "050471"), (1234567890, "005924"), (20000000000, "353130")],
)
def test_codes_are_those_of_the_rfc(at_s: int, code: str) -> None:
    assert code_at(SECRET, at_s * 1000) == code
    for late_s in (0, 30):
        assert step_of(SECRET, code, (at_s + late_s) * 1000) == at_s // 30
    assert step_of(SECRET, f" {code[:3]} {code[3:]} ", at_s * 1000) == at_s // 30
    assert step_of(SECRET, code, (at_s + 61) * 1000) is None
    assert step_of(new_secret(), code, at_s * 1000) is None


@pytest.mark.parametrize("code", ["", "28708", "2870822", "28708²", "٢٨٧٠٨٢", "-28708", "287o82"])
def test_what_is_no_code_is_of_no_step(code: str) -> None:
    assert step_of(SECRET, code, 59_000) is None


def test_a_telephone_takes_the_secret_in() -> None:
    secret = new_secret()
    assert len(secret) == 20
    assert f"secret={typed_form(secret)}" in address_of(secret, "marie.durand")
    assert address_of(secret, "marie.durand").startswith("otpauth://totp/Hygie:marie.durand?")
