"""Real identities in production and nowhere else; made-up ones everywhere else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hygie.vault.errors import IdentityRefusedError
from hygie.vault.identities import check_identities

OTHERS = ("pre-production", "test", "demonstration")


def body(arc: str) -> bytes:
    return f'{{"identifier":[{{"system":"urn:oid:1.2.250.1.213.1.4.{arc}","value":"1"}}]}}'.encode()


@pytest.mark.parametrize("arc", ["8", "9"])
def test_people_are_in_production_only(arc: str) -> None:
    check_identities(body(arc), "production")
    for kind in OTHERS:
        with pytest.raises(IdentityRefusedError, match=f"213.1.4.{arc},"):
            check_identities(body(arc), kind)


@pytest.mark.parametrize("arc", ["10", "11"])
def test_made_up_people_are_everywhere_else(arc: str) -> None:
    with pytest.raises(IdentityRefusedError):
        check_identities(body(arc), "production")
    for kind in (*OTHERS, ""):
        check_identities(body(arc), kind)


@given(st.sampled_from(["2", "1", "80", "100", "811", "88"]), st.sampled_from(["production", *OTHERS]))
def test_other_oids_are_nobodys_business(arc: str, kind: str) -> None:
    check_identities(body(arc), kind)


def test_the_last_of_many_counts() -> None:
    with pytest.raises(IdentityRefusedError):
        check_identities(body("10") * 50 + body("8"), "test")
    check_identities(b"1.2.250.1.213.1.4.", "test")
