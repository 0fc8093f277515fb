"""Campaigns of reviews: each right of a place is kept or ended by another than its holder, once; nobody writes them."""

from __future__ import annotations

import secrets
from typing import Any

import psycopg
import pytest

from hygie.app import dsns_of
from hygie.base.layout import DataFolder
from hygie.base.roles import Role
from hygie.base.settings import load_settings
from tests.attack.installation import access_facts, entries
from tests.attack.test_gate_doors import ask as fhir_ask
from tests.attack.test_two_persons import House, house

__all__ = ["house"]


def campaign(house: House, **more: Any) -> dict[str, Any]:
    answer = house.door("rita", "POST", "reviews", {"name": "revue annuelle", "due": "2027-11-01"} | more)
    assert answer.status == 201, answer.body
    return dict(answer.json)


def rights(house: House, id_: str) -> dict[str, dict[str, Any]]:
    listed = house.door("rita", "GET", f"reviews/{id_}").json["habilitations"]
    return {one["account"]: one for one in listed}


def decided(house: House, who: str, id_: str, habilitation: str, decision: str = "keep") -> int:
    return house.door(who, "POST", f"reviews/{id_}/{habilitation}", {"decision": decision}).status


def test_each_right_gets_a_decision_and_what_is_withdrawn_stops(house: House) -> None:
    kept, ended = house.person(role=Role.READER), house.person(role=Role.READER)
    one = campaign(house)
    held = rights(house, one["id"])
    assert {"rita", "remi", kept, ended, "app"} <= set(held)
    assert one["waiting"] == len([right for right in held.values() if right["revoked_ms"] is None])
    path = "/chu/prod/fhir/Patient"
    assert decided(house, "rita", one["id"], held[kept]["id"]) == 200
    assert decided(house, "rita", one["id"], held[ended]["id"], "withdraw") == 200
    assert fhir_ask(house.made, path, house.tokens[kept]).status == 200
    assert fhir_ask(house.made, path, house.tokens[ended]).status == 403
    assert rights(house, one["id"])[kept]["decision"] == "keep"
    assert decided(house, "remi", one["id"], held[kept]["id"], "withdraw") == 409  # the first decision stands
    (mine,) = [each for each in house.door("rita", "GET", "reviews").json["campaigns"] if each["id"] == one["id"]]
    assert mine["waiting"] == one["waiting"] - 2
    told = {
        entry.action.value for entry in entries(house.made) if entry.detail.get("habilitation") == held[ended]["id"]
    }
    assert {"habilitation:review", "habilitation:revoke"} <= told
    assert house.made.hygie("journal", "reconcile")["wrong"] == []


def test_who_reviews_a_right_sees_its_limits(house: House) -> None:
    limits = {"types": "Observation", "patients": "Group/ward", "purposes": "TREAT"}
    name = house.person()
    id_ = house.asks("rita", {"account": name, "role": "caregiver", "days": "30"} | limits)
    assert house.answers("remi", id_).status == 200
    house.made.wait_for(lambda: house.state(id_).get("outcome") == "done", seconds=60.0)
    listed = house.door("remi", "GET", "habilitations").json["habilitations"]
    (held,) = [one for one in listed if one["account"] == name]
    for seen in (held, rights(house, campaign(house)["id"])[name]):
        assert {word: seen[word] for word in limits} == limits


def test_nobody_reviews_himself_nor_another_place(house: House) -> None:
    one = campaign(house)
    held = rights(house, one["id"])
    assert decided(house, "rita", one["id"], held["rita"]["id"]) == 403
    assert decided(house, "remi", one["id"], held["rita"]["id"]) == 200
    nurse = house.person(role=Role.CAREGIVER)
    assert decided(house, nurse, one["id"], held["remi"]["id"]) == 403
    assert house.door(nurse, "POST", "reviews", {"name": "mine", "due": "2027-11-01"}).status == 403
    elsewhere = house.door("olga", "GET", f"reviews/{one['id']}", place="other/prod")
    assert (elsewhere.status, elsewhere.json["code"]) == (404, "HYG-300")
    path = f"reviews/{one['id']}/{held['remi']['id']}"
    assert house.door("olga", "POST", path, {"decision": "withdraw"}, place="other/prod").status == 404
    assert (
        decided(house, "rita", one["id"], rights(house, campaign(house)["id"])[nurse]["id"]) == 404
    )  # younger than it


@pytest.mark.parametrize(
    "body",
    [
        {"name": "x", "due": "2027-11-01"},
        {"name": "revue", "due": "2020-01-01"},
        {"name": "revue", "due": "2099-01-01"},
        {"name": "revue", "due": "soon"},
        {"name": "revue\0", "due": "2027-11-01"},
        {"name": "revue 1 85 07 75 123 456 08", "due": "2027-11-01"},
        {"name": "revue", "due": "2027-11-01", "more": 1},
        {"name": "revue"},
    ],
)
def test_what_is_no_campaign_is_refused(house: House, body: dict[str, Any]) -> None:
    assert house.door("rita", "POST", "reviews", body).status == 400


def test_a_campaign_written_by_sql_is_not_there(house: House) -> None:
    one = campaign(house)
    with house.owner() as owner:
        owner.execute("UPDATE hygie.review_campaign SET due_ms = due_ms + 1 WHERE id = %s", (one["id"],))
    assert house.door("rita", "GET", f"reviews/{one['id']}").status == 404
    for id_ in (secrets.token_hex(8), "%00", "x" * 200):
        assert house.door("rita", "GET", f"reviews/{id_}").status == 404
    folder = DataFolder.at(house.made.data)
    hosting = dsns_of(load_settings(folder.path), folder).hosting
    for statement in ("UPDATE hygie.right_review SET decision = 'keep'", "DELETE FROM hygie.review_campaign"):
        with psycopg.connect(hosting) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement.encode())


def test_a_decision_written_by_sql_is_none(house: House) -> None:
    decided_one, other = "remi", house.person(role=Role.READER)
    one = campaign(house)
    held = rights(house, one["id"])
    assert decided(house, "rita", one["id"], held[decided_one]["id"]) == 200
    with house.owner() as owner:
        copied = (
            "INSERT INTO hygie.right_review SELECT campaign, %s, decision, decided_by, decided_ms, why, mac"
            " FROM hygie.right_review WHERE campaign = %s"
        )
        owner.execute(copied, (held[other]["id"], one["id"]))
    (mine,) = [each for each in house.door("rita", "GET", "reviews").json["campaigns"] if each["id"] == one["id"]]
    assert mine["waiting"] == one["waiting"] - 1  # the copied one answers for nothing
    shown = rights(house, one["id"])
    assert (shown[decided_one]["decision"], shown[other]["decision"]) == ("keep", None)
    seen = {each["habilitation"] for each in access_facts(house.made).reviews}
    assert held[decided_one]["id"] in seen
    assert held[other]["id"] not in seen
