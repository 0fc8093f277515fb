"""Limits of a habilitation: what is one, what its MAC says of it, what the journal does."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hygie.base.canonical import canonical
from hygie.base.permit import PatientScope
from hygie.gate.errors import AdministrationError
from hygie.gate.narrowing import SETS_MAX, WHOLE, Limits
from hygie.gate.purposes import PURPOSES
from hygie.gate.rights import CONTEXT, COVERED, LIMITED, SUSPENDED_LIMITED, mac_of, suspended_mac

KEY = bytes(range(32))
ROW: dict[str, Any] = {
    "id": "h1", "account": "marie", "environment": bytes(16), "role": "caregiver", "reason": "soins",
    "approver": "paul", "starts_ms": 1, "ends_ms": 2,
}  # fmt: skip
FIELDS = [ROW[name] for name in COVERED["habilitation"]]


def digest(*fields: Any) -> bytes:
    return hmac.digest(KEY, canonical(*fields), hashlib.sha256)


@pytest.mark.parametrize("more", [{}, {"patients": "", "purposes": ""}])
def test_rows_of_before_keep_their_mac(more: dict[str, str]) -> None:
    bare, limited = ROW | {"types": ""} | more, ROW | {"types": "Observation"} | more
    assert mac_of(KEY, "habilitation", bare) == digest(CONTEXT, "habilitation", *FIELDS)
    assert mac_of(KEY, "habilitation", limited) == digest(LIMITED, "habilitation", *FIELDS, "Observation")
    assert suspended_mac(KEY, limited, 7) == digest(SUSPENDED_LIMITED, *FIELDS, 7, "Observation")


LIMIT = st.sampled_from(["", "Observation", "Group/a", "TREAT"])


@given(st.tuples(LIMIT, LIMIT, LIMIT), st.tuples(LIMIT, LIMIT, LIMIT))
def test_no_limit_passes_for_another(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    def mac(limits: tuple[str, ...]) -> bytes:
        return mac_of(KEY, "habilitation", ROW | dict(zip(("types", "patients", "purposes"), limits, strict=True)))

    assert (mac(one) == mac(other)) == (one == other)


@pytest.mark.parametrize(
    "limits",
    [
        Limits(types=frozenset({"observation"})),
        Limits(types=frozenset({f"Type{'x' * n}" for n in range(31)})),
        Limits(patients=frozenset({"ward"})),
        Limits(patients=frozenset({"Patient/ward"})),
        Limits(patients=frozenset({"Group/"})),
        Limits(patients=frozenset({"Group/a/_history/1"})),
        Limits(patients=frozenset({"Group/é"})),
        Limits(patients=frozenset({"Group/x1780775123456"})),
        Limits(patients=frozenset({f"Group/{n}" for n in range(SETS_MAX + 1)})),
        Limits(purposes=frozenset({"PurposeOfUse"})),
        Limits(purposes=frozenset({"TREAT", "care"})),
    ],
)
def test_what_is_no_limit_is_refused(limits: Limits) -> None:
    with pytest.raises(AdministrationError):
        limits.check()


def test_a_row_says_its_limits_and_nothing_else() -> None:
    limits = Limits(frozenset({"Patient", "Observation"}), frozenset({"Group/b", "Group/a"}), frozenset({"TREAT"}))
    limits.check()
    assert limits.row() == {"types": "Observation Patient", "patients": "Group/a Group/b", "purposes": "TREAT"}
    assert Limits.of_row(limits.row()) == limits
    assert limits.scope == PatientScope(frozenset({"a", "b"}))
    assert Limits.of_row(WHOLE.row()) == WHOLE
    assert WHOLE.scope is None
    assert len(PURPOSES) == 59  # as R4 expands the value set, its root aside


def test_the_journal_names_sets_by_their_opaque_ids(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            limits = Limits(frozenset({"Patient"}), frozenset({"Group/secret-name"}), frozenset({"TREAT"}))
            told = await limits.told(house.kms, house.place)
            assert told.keys() == {"types", "patients", "purposes"}
            assert "secret-name" not in str(told)
            assert len(bytes.fromhex(told["patients"])) == 16
            assert await WHOLE.told(house.kms, house.place) == {}

    asyncio.run(main())
