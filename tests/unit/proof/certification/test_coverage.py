"""Coverage: a service is covered by valid certificates for every activity, or it is not, and why."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hygie.proof.certification.certificate import Certificate
from hygie.proof.certification.coverage import covered, parse_service
from hygie.proof.certification.errors import RecordRefusedError
from tests.unit.proof.certification.samples import DELAYS, day, hds, iso

AT = day("2028-06-01")


def body(**changes: Any) -> dict[str, Any]:
    layers = [{"activity": n, "actor": "cloud" if n < 4 else "host"} for n in range(1, 7)]
    return {"id": "fhir", "name": "Dossiers FHIR", "activities": [1, 2, 3, 4, 5, 6], "layers": layers} | changes


def chain(**cloud: Any) -> list[Certificate]:
    """The host certified for 4 to 6, its sub-contractor for 1 to 3, each on its own ISO 27001 certificate."""
    return [
        iso(),
        hds(activities=[4, 5, 6]),
        iso(id="iso-cloud", holder="cloud"),
        hds(**{"id": "hds-cloud", "holder": "cloud", "depends_on": "iso-cloud", "activities": [1, 2, 3]} | cloud),
    ]


def reasons(service: dict[str, Any], certificates: list[Certificate], at: date = AT) -> list[str]:
    found = covered(parse_service(service), certificates, DELAYS, at=at).reasons
    assert all(reason.fr and reason.en for reason in found)
    return [reason.en for reason in found]


def test_a_service_is_covered_when_each_layer_is() -> None:
    found = covered(parse_service(body()), chain(), DELAYS, at=AT)
    assert found.covered
    assert [layer.certificate for layer in found.layers] == ["hds-cloud"] * 3 + ["hds-2027"] * 3
    assert reasons(body(), chain()) == []


@pytest.mark.parametrize(
    ("service", "certificates", "expected"),
    [
        (body(activities=[], layers=[]), chain(), ["no activity declared"]),
        (body(layers=body()["layers"][:5]), chain(), ["activity 6: nobody is named to perform it"]),
        (body(), chain(activities=[1, 2]), ["activity 3: no HDS certificate of cloud lists it"]),
        (
            body(activities=[1], layers=[{"activity": 1, "actor": "x"}]),
            chain(),
            ["activity 1: x holds no HDS certificate"],
        ),
        (
            body(activities=[3], layers=[{"activity": 3, "actor": "cloud"}]),
            chain(state="suspended", state_on="2028-06-01"),
            ["activity 3: certificate hds-cloud: suspended since 2028-06-01"],
        ),
        (
            body(activities=[3], layers=[{"activity": 3, "actor": "cloud"}]),
            chain(expires_on="2028-05-31"),
            ["activity 3: certificate hds-cloud: expired at the end of 2028-05-31"],
        ),
        (
            body(activities=[3], layers=[{"activity": 3, "actor": "cloud"}]),
            chain(depends_on="iso-2027"),
            ["activity 3: certificate hds-cloud: no valid ISO 27001 certificate carries this HDS certificate"],
        ),
    ],
)
def test_what_is_not_covered_says_why(
    service: dict[str, Any], certificates: list[Certificate], expected: list[str]
) -> None:
    assert reasons(service, certificates) == expected
    assert not covered(parse_service(service), certificates, DELAYS, at=AT).covered


def test_an_iso_27001_certificate_alone_covers_nothing() -> None:
    assert len(reasons(body(), [iso(), iso(id="iso-cloud", holder="cloud")])) == 6


def test_the_certificate_of_another_actor_covers_nothing() -> None:
    everything = [iso(), hds()]
    assert reasons(body(activities=[1], layers=[{"activity": 1, "actor": "host"}]), everything) == []
    assert len(reasons(body(activities=[1], layers=[{"activity": 1, "actor": "cloud"}]), everything)) == 1


def test_a_second_valid_certificate_covers_when_the_first_does_not() -> None:
    stopped = hds(id="hds-a", state="withdrawn", state_on="2028-01-01")
    assert reasons(body(activities=[4], layers=[{"activity": 4, "actor": "host"}]), [iso(), stopped, hds()]) == []


def test_the_six_activities_of_an_actor_are_told_one_by_one() -> None:
    layers = [{"activity": n, "actor": "cloud"} for n in range(1, 7)]
    found = covered(parse_service(body(layers=layers)), chain(), DELAYS, at=AT)
    assert {layer.activity: layer.covered for layer in found.layers} == {n: n < 4 for n in range(1, 7)}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"layers": [{"activity": 1, "actor": "a"}, {"activity": 1, "actor": "b"}]}, "layers"),
        ({"activities": [1], "layers": [{"activity": 2, "actor": "a"}]}, "layers"),
        ({"activities": None}, "activities"),
        ({"name": ""}, "name"),
        ({"layers": [{"activity": 7, "actor": "a"}]}, "activity"),
    ],
)
def test_a_service_that_cannot_be_is_refused(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(RecordRefusedError) as caught:
        parse_service(body(**changes))
    assert caught.value.facts["field"] == field


def test_a_service_is_read_field_by_field() -> None:
    read = parse_service(body())
    assert (read.id, read.name, read.activities) == ("fhir", "Dossiers FHIR", (1, 2, 3, 4, 5, 6))
    assert [{"activity": one.activity, "actor": one.actor} for one in read.layers] == body()["layers"]
    assert parse_service({"id": "fhir", "name": "Dossiers FHIR", "activities": []}).layers == ()


@given(
    needed=st.sets(st.integers(1, 6)),
    held=st.sets(st.integers(1, 6), min_size=1),
    named=st.sets(st.integers(1, 6)),
    offset=st.integers(-100, 1300),
    stopped=st.none() | st.integers(0, 1094),
)
def test_covered_means_each_activity_listed_by_a_certificate_valid_that_day(
    needed: set[int], held: set[int], named: set[int], offset: int, stopped: int | None
) -> None:
    first, last = date(2027, 1, 15), date(2030, 1, 14)
    at = first + timedelta(days=offset)
    changes: dict[str, Any] = {"activities": sorted(held)}
    if stopped is not None:
        changes |= {"state": "suspended", "state_on": (first + timedelta(days=stopped)).isoformat()}
    layers = [{"activity": n, "actor": "host"} for n in sorted(named & needed)]
    service = parse_service(body(activities=sorted(needed), layers=layers))
    valid = first <= at <= last and (stopped is None or offset < stopped)
    found = covered(service, [iso(), hds(**changes)], DELAYS, at=at)
    assert found.covered is (valid and bool(needed) and needed <= held and needed <= named)
    assert found.covered is not bool(found.reasons)
