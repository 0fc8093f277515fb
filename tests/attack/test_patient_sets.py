"""Somebody whose habilitation is limited to a set of patients reaches nothing of the others, by any way of asking.

``ward`` is limited to Group/ward, of which Ana is a member and Bea is not; ``app`` is not limited.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from hygie.app import dsns_of
from hygie.base.layout import DataFolder
from hygie.base.settings import load_settings
from tests.acceptance.conftest import Answer
from tests.attack.installation import connected, entries
from tests.attack.ward import FHIR, GRANT, HIDDEN, Ward, member, observation, open_ward, streamed


@pytest.fixture(scope="module")
def ward() -> Iterator[Ward]:
    with open_ward() as one:
        yield one


def absent(ward: Ward, method: str, path: str, body: Any = None, *, unknown: str) -> Answer:
    """What ``ward`` is answered, which must be word for word what is answered for an id that never was."""
    answer = ward.ask("ward", method, path, body)
    same = ward.ask("ward", method, unknown, body)
    assert (answer.status, _told(answer)) == (same.status, _told(same))
    return answer


def _told(answer: Answer) -> bytes:
    headers = {name: value for name, value in answer.headers.items() if name in {"etag", "last-modified", "location"}}
    return json.dumps(headers).encode() + answer.body


def test_what_is_open_is_read_and_written(ward: Ward) -> None:
    ana = ward.ids["ana"]
    assert ward.ask("ward", "GET", f"Patient/{ana}").status == 200
    assert ward.ask("ward", "GET", f"Observation/{ward.ids['ana-pulse']}").status == 200
    assert ward.ask("ward", "GET", f"Appointment/{ward.ids['mine']}").status == 200
    assert ward.ask("ward", "GET", f"Practitioner/{ward.ids['doctor']}").status == 200
    assert ward.ask("ward", "GET", f"Patient/{ana}/$everything").status == 200
    made = ward.ask("ward", "POST", "Observation", observation(ana, "temperature", "made"))
    assert made.status == 201
    id_ = made.json["id"]
    assert ward.ask("ward", "PUT", f"Observation/{id_}", made.json | {"status": "amended"}).status == 200
    assert ward.ask("ward", "DELETE", f"Observation/{id_}").status == 204
    assert ward.ask("app", "GET", f"Observation/{id_}").status == 410


def test_a_hidden_object_is_as_absent(ward: Ward) -> None:
    for type_, name in (("Patient", "bea"), ("Observation", "bea-pulse"), ("Appointment", "shared")):
        path = f"{type_}/{ward.ids[name]}"
        for form in ("", "/_history/1", "/_history"):
            assert absent(ward, "GET", path + form, unknown=f"{type_}/never-was{form}").status == 404
    absent(ward, "GET", f"Patient/{ward.ids['bea']}/$everything", unknown="Patient/never-was/$everything")
    for path in (f"Patient/{ward.ids['bea']}/Observation", "Patient/never-was/Observation"):
        assert ward.found("ward", path) == []


def test_the_journal_says_whose_record_was_asked_for(ward: Ward) -> None:
    ward.ask("ward", "GET", f"Patient/{ward.ids['bea']}")
    told = [one for one in entries(ward.made, account="ward", outcome="absent") if one.detail.get("closed")]
    assert told
    assert all(one.subject for one in told)
    assert all(one.count == 0 for one in told)


def test_searches_find_the_set_alone(ward: Ward) -> None:
    ana, bea = ward.ids["ana"], ward.ids["bea"]
    mine = sorted(ward.ids[name] for name in ("ana-pulse", "ana-later"))
    code = "code=http://x.example|pulse"
    assert ward.found("ward", "Patient") == [ana]
    assert sorted(ward.found("ward", "Observation?_count=1")) == mine
    assert ward.found("ward", f"Observation?{code}") == [ward.ids["ana-pulse"]]
    assert ward.found("ward", f"Observation?{code}&_sort=date") == [ward.ids["ana-pulse"]]
    assert ward.found("ward", f"Observation?patient={bea}") == []
    assert ward.found("ward", f"Observation?subject=Patient/{bea},Patient/{ana}&{code}") == [ward.ids["ana-pulse"]]
    assert ward.found("ward", f"Patient?_id={bea}") == []
    assert ward.found("ward", f"Patient?_id={bea},{ana},never-was") == [ana]
    assert ward.found("ward", f"Patient?family={HIDDEN}") == []
    assert ward.found("ward", "Appointment") == [ward.ids["mine"]]
    assert sorted(ward.found("app", "Appointment")) == sorted([ward.ids["mine"], ward.ids["shared"]])


@pytest.mark.parametrize(
    ("search", "count"),
    [
        ("Patient?", 1),
        ("Patient?active=true", 1),
        (f"Patient?family={HIDDEN}", 0),
        ("Observation?code=http://x.example|pulse", 1),
        ("Observation?status=final", 2),
        ("Appointment?status=booked", 1),
        ("Practitioner?", 1),
    ],
)
def test_counts_leave_out_what_is_hidden(ward: Ward, search: str, count: int) -> None:
    for form in ("_summary=count", "_total=accurate"):
        assert ward.ask("ward", "GET", f"{search}&{form}").json["total"] == count


def test_includes_do_not_reach_out(ward: Ward) -> None:
    referring = observation(ward.ids["ana"], "linked", "linked")
    referring["hasMember"] = [{"reference": f"Observation/{ward.ids[name]}"} for name in ("ana-pulse", "bea-pulse")]
    id_ = ward.make("linked", referring)
    path = f"Observation?_id={id_}&_include=Observation:has-member&_include=Observation:subject"
    assert sorted(ward.found("ward", path)) == sorted([id_, ward.ids["ana-pulse"], ward.ids["ana"]])
    assert ward.ids["bea-pulse"] in ward.found("app", path)
    ward.ask("app", "DELETE", f"Observation/{id_}")


def test_histories_of_types_and_of_the_system_show_the_set_alone(ward: Ward) -> None:
    for path in ("Observation/_history", "_history", "Patient/_history", "_history?_count=2"):
        ids = set(ward.found("ward", path))
        hidden = {ward.ids[name] for name in ("bea", "bea-pulse", "bea-later", "shared")} | {"ward", "other"}
        assert not ids & hidden
        assert ids


def test_sets_are_neither_read_nor_changed_by_whom_they_limit(ward: Ward) -> None:
    group = {"resourceType": "Group", "id": "ward", "type": "person", "actual": True}
    for answer in (
        ward.ask("ward", "GET", "Group/ward"),
        ward.ask("ward", "GET", "Group/never-was"),
        ward.ask("ward", "GET", "Group"),
        ward.ask("ward", "GET", "Group/ward/_history"),
        ward.ask("ward", "PUT", "Group/ward", group),
        ward.ask("ward", "PUT", "Group/never-was", group | {"id": "never-was"}),
        ward.ask("ward", "POST", "Group", group),
        ward.ask("ward", "DELETE", "Group/ward"),
        ward.ask("ward", "PUT", "Group?identifier=x", group),
        ward.ask("ward", "DELETE", "Group?identifier=x"),
    ):
        assert answer.status == 403, answer.body
    assert ward.ask("ward", "POST", "", bundle("transaction", ("PUT", "Group/ward", group))).status == 403
    assert "ward" in ward.found("app", "Group")


def bundle(kind: str, *entries_: tuple[str, str, dict[str, Any] | None]) -> dict[str, Any]:
    made = []
    for method, url, resource in entries_:
        made.append({"request": {"method": method, "url": url}} | ({"resource": resource} if resource else {}))
    return {"resourceType": "Bundle", "type": kind, "entry": made}


def test_nothing_is_written_into_another_record(ward: Ward) -> None:
    ana, bea = ward.ids["ana"], ward.ids["bea"]
    for patient in (bea, "never-was"):
        assert ward.ask("ward", "POST", "Observation", observation(patient, "planted")).status == 403
        moved = observation(patient, "pulse") | {"id": ward.ids["ana-pulse"]}
        assert ward.ask("ward", "PUT", f"Observation/{moved['id']}", moved).status == 403
        shared = observation(ana, "planted", performer=[{"reference": f"Patient/{patient}"}])
        assert ward.ask("ward", "POST", "Observation", shared).status == 403
    assert ward.ask("ward", "POST", "Patient", {"resourceType": "Patient"}).status == 403
    assert ward.found("app", f"Observation?patient={bea}&code=planted") == []


def test_hidden_objects_are_not_replaced_deleted_or_told_of(ward: Ward) -> None:
    ana, hidden = ward.ids["ana"], ward.ids["bea-pulse"]
    mine = observation(ana, "planted", "planted")
    for id_ in (hidden, "never-was"):
        absent(ward, "PUT", f"Observation/{id_}", mine | {"id": id_}, unknown=f"Observation/{id_}")
        assert ward.ask("ward", "PUT", f"Observation/{id_}", mine | {"id": id_}).status == 404
        assert ward.ask("ward", "DELETE", f"Observation/{id_}").status == 204
        put = bundle("transaction", ("PUT", f"Observation/{id_}", mine | {"id": id_}))
        assert ward.ask("ward", "POST", "", put).status == 404
        conditional = ward.ask("ward", "PUT", "Observation?identifier=http://i.example|none", mine | {"id": id_})
        assert conditional.status == 404
    assert ward.ask("ward", "PUT", f"Patient/{ward.ids['bea']}", {"resourceType": "Patient", "id": "x"}).status != 200
    assert ward.ask("ward", "POST", "", bundle("transaction", ("DELETE", f"Observation/{hidden}", None))).status == 200
    assert ward.ask("app", "GET", f"Observation/{hidden}").json["meta"]["versionId"] == "1"
    told = ward.ask(
        "ward", "POST", "", bundle("batch", ("GET", f"Observation/{hidden}", None), ("GET", "Patient", None))
    )
    assert HIDDEN.encode() not in told.body
    assert told.json["entry"][0]["response"]["status"].startswith("404")


def test_conditions_do_not_see_what_is_hidden(ward: Ward) -> None:
    ana = ward.ids["ana"]
    body = observation(ana, "planted", "planted")
    query = "Observation?identifier=http://i.example|bea"
    assert ward.ask("ward", "DELETE", query).status == 204
    for identifier, found in (("ana", True), ("bea", False), ("none", False)):
        entry = {
            "request": {
                "method": "POST",
                "url": "Observation",
                "ifNoneExist": f"identifier=http://i.example|{identifier}",
            },
            "resource": body,
        }
        answer = ward.ask("ward", "POST", "", {"resourceType": "Bundle", "type": "transaction", "entry": [entry]})
        assert answer.status == 200, answer.body
        assert answer.json["entry"][0]["response"]["status"].startswith("200" if found else "201")
    for identifier in ("bea", "none"):
        referring = observation(ana, "planted")
        referring["hasMember"] = [{"reference": f"Observation?identifier=http://i.example|{identifier}"}]
        answer = ward.ask("ward", "POST", "", bundle("transaction", ("POST", "Observation", referring)))
        assert answer.status == 400, answer.body
    owner = observation(ana, "planted") | {"subject": {"reference": f"Patient?family={HIDDEN}"}}
    assert ward.ask("ward", "POST", "", bundle("transaction", ("POST", "Observation", owner))).status == 400
    for id_ in ward.found("app", "Observation?code=planted"):
        ward.ask("app", "DELETE", f"Observation/{id_}")
    assert ward.ask("app", "GET", f"Observation/{ward.ids['bea-pulse']}").status == 200


def test_contents_of_other_patients_are_closed(ward: Ward) -> None:
    for name in ("ana", "bea"):
        body = {
            "resourceType": "Binary",
            "contentType": "text/plain",
            "securityContext": {"reference": f"Patient/{ward.ids[name]}"},
            "data": "c2VjcmV0",
        }
        ward.make(f"{name}-binary", body)
    assert ward.ask("ward", "GET", f"Binary/{ward.ids['ana-binary']}").status == 200
    absent(ward, "GET", f"Binary/{ward.ids['bea-binary']}", unknown="Binary/never-was")
    with_context = streamed(ward, "ward", ward.ids["bea"])
    assert with_context.status == 403
    kept = streamed(ward, "app", ward.ids["bea"])
    assert kept.status == 201
    path = kept.headers["location"].partition(FHIR)[2].partition("/_history")[0]
    absent(ward, "GET", path, unknown="Binary/never-was")
    assert streamed(ward, "ward", ward.ids["ana"]).status == 201
    assert ward.ids["bea-binary"] not in ward.found("ward", "Binary")


def test_contents_of_nobody_are_closed_too(ward: Ward) -> None:
    """A document that does not say whose it is may be anybody's."""
    binary = {"resourceType": "Binary", "contentType": "text/plain", "data": "c2VjcmV0"}
    kept = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": binary}]}
    for resource in (binary, kept):
        type_ = resource["resourceType"]
        id_ = ward.make(f"nobody-{type_}", resource)
        absent(ward, "GET", f"{type_}/{id_}", unknown=f"{type_}/never-was")
        assert id_ not in ward.found("ward", "_history")
        assert ward.ask("ward", "POST", str(type_), resource).status == 403
        assert ward.found("ward", f"{type_}?_id={id_}") == []


def test_a_cursor_of_a_wider_habilitation_opens_no_more(ward: Ward) -> None:
    for path in ("Observation?_count=1", "Observation?_count=1&_sort=date", "Observation/_history?_count=1"):
        page = ward.ask("app", "GET", path).json
        following = next(one["url"] for one in page["link"] if one["relation"] == "next").partition(FHIR)[2]
        assert set(ward.found("ward", following)) <= {ward.ids["ana-pulse"], ward.ids["ana-later"]} | set(
            ward.found("ward", path)
        )


def test_a_member_that_is_taken_out_is_closed_at_once(ward: Ward) -> None:
    first = ward.ask("ward", "GET", "Observation?_count=1").json
    following = next(one["url"] for one in first["link"] if one["relation"] == "next").partition(FHIR)[2]
    try:
        for change in (
            lambda: ward.set_members("bea"),
            lambda: ward.set_members("ana", active=False),
            lambda: ward.set_members("ana", actual=False),
            lambda: ward.set_members("ana", type="practitioner"),
            lambda: ward.set_members(member(ward, "ana", inactive=True)),
            lambda: ward.set_members(member(ward, "ana", period={"end": "2020-01"})),
            lambda: ward.set_members(member(ward, "ana", period={"start": "2999"})),
            lambda: ward.ask("app", "DELETE", "Group/ward"),
        ):
            change()
            assert ward.ask("ward", "GET", f"Patient/{ward.ids['ana']}").status == 404
            assert ward.ids["ana-pulse"] not in ward.found("ward", following)
            assert ward.ask("ward", "POST", "Observation", observation(ward.ids["ana"], "late")).status == 403
            ward.set_members(member(ward, "ana", period={"start": "2020", "end": "2999"}))
            assert ward.ask("ward", "GET", f"Patient/{ward.ids['ana']}").status == 200
    finally:
        ward.set_members("ana")


def test_a_row_planted_by_sql_opens_nothing(ward: Ward) -> None:
    """Rows of members carry a MAC; a row of another set, or with another period, is not theirs."""
    mac = ward.sql("SELECT mac FROM group_member LIMIT 1")[0][0]
    rows = ward.sql("SELECT subject, group_id, mac FROM group_member")
    assert len(rows) == 2
    path = f"Patient/{ward.ids['bea']}"
    try:
        for subject, _, own in rows:
            for to in {row[1] for row in rows}:
                for planted in (mac, own, bytes(16)):
                    ward.sql(
                        "INSERT INTO group_member VALUES (%s, %s, 1, 4611686018427387904, %s) ON CONFLICT DO NOTHING",
                        subject, to, planted,
                    )  # fmt: skip
        assert ward.ask("ward", "GET", path).status == 404
        assert ward.found("ward", "Patient") == [ward.ids["ana"]]
        assert ward.ids["bea-pulse"] not in ward.found("ward", "Observation?code=http://x.example|pulse")
        assert ward.ask("ward", "POST", "Observation", observation(ward.ids["bea"], "planted")).status == 403
    finally:
        ward.sql("DELETE FROM group_member WHERE from_ms = 1")


def test_the_environments_role_cannot_move_a_record(ward: Ward) -> None:
    """Whose a compartment is decides what opens: the role that serves cannot say it anew."""
    for statement in (
        "UPDATE compartment SET kind = 0",
        "UPDATE compartment SET subject = id",
        "UPDATE compartment_member SET subject = compartment",
        "DELETE FROM compartment_member",
        "DELETE FROM compartment",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            ward.sql(statement)


def test_absent_and_hidden_take_the_same_time(ward: Ward) -> None:
    times: dict[str, list[float]] = {"hidden": [], "absent": []}
    paths = {"hidden": f"Observation/{ward.ids['bea-pulse']}", "absent": "Observation/never-was"}
    for _ in range(150):
        for name, path in paths.items():
            began = time.perf_counter()
            assert ward.ask("ward", "GET", path).status == 404
            times[name].append(time.perf_counter() - began)
    middle = {name: statistics.median(taken) for name, taken in times.items()}
    spread = statistics.quantiles(times["absent"], n=4)
    # noise of a shared machine: the two medians lie inside the quartiles of either
    assert abs(middle["hidden"] - middle["absent"]) < max(spread[2] - spread[0], 0.1 * middle["absent"]), middle


def test_the_widest_habilitation_wins_and_sets_add_up(ward: Ward) -> None:
    both = ward.made.hygie("habilitation", "grant", "ward", "chu", "prod", *GRANT, "--patients", "Group/other")
    assert ward.ask("ward", "GET", f"Patient/{ward.ids['bea']}").status == 200
    assert ward.ask("ward", "GET", f"Appointment/{ward.ids['shared']}").status == 200
    ward.made.hygie("habilitation", "revoke", both["habilitation"])
    assert ward.ask("ward", "GET", f"Patient/{ward.ids['bea']}").status == 404
    whole = ward.made.hygie("habilitation", "grant", "ward", "chu", "prod", *GRANT)
    assert ward.ask("ward", "GET", f"Patient/{ward.ids['bea']}").status == 200
    assert ward.ask("ward", "GET", "Group/ward").status == 200
    ward.made.hygie("habilitation", "revoke", whole["habilitation"])
    assert ward.ask("ward", "GET", f"Patient/{ward.ids['bea']}").status == 404


def test_a_habilitation_for_purposes_needs_one_of_them(ward: Ward) -> None:
    path = f"Patient/{ward.ids['ana']}"

    def read(purpose: str) -> int:
        connection = connected(ward.made)
        headers = {"Authorization": f"Bearer {ward.tokens['carer']}"} | (
            {"X-Purpose-Of-Use": purpose} if purpose else {}
        )
        try:
            connection.request("GET", FHIR + path, None, headers)
            return connection.getresponse().status
        finally:
            connection.close()

    assert [read(one) for one in ("TREAT", "ETREAT")] == [200, 200]
    assert [read(one) for one in ("", "HRESCH", "treat", "TREAT,HRESCH", "TREAT ETREAT")] == [403] * 5


@pytest.mark.parametrize(
    "limits",
    [
        ("--patients", "Patient/x"),
        ("--patients", "ward"),
        ("--patients", "Group/a b"),
        ("--patients", "Group/1780775123456"),
        ("--purpose", "treat"),
        ("--purpose", "PurposeOfUse"),
        ("--type", "patient"),
    ],
)
def test_a_limit_that_is_none_is_refused(ward: Ward, limits: tuple[str, str]) -> None:
    ward.made.hygie("habilitation", "grant", "ward", "chu", "prod", *GRANT, *limits, exit_code=10)


def test_a_limit_taken_away_by_sql_takes_the_right_away(ward: Ward) -> None:
    dsns = dsns_of(load_settings(ward.made.data), DataFolder(ward.made.data))
    for column in ("patients", "purposes"):
        account = {"patients": "other", "purposes": "carer"}[column]
        with psycopg.connect(dsns.owner, autocommit=True) as owner:
            statement = f"UPDATE hygie.habilitation SET {column} = %s WHERE account = %s RETURNING"
            old = owner.execute(f"SELECT {column} FROM hygie.habilitation WHERE account = %s".encode(), (account,))
            value = old.fetchall()[0][0]
            owner.execute(statement.replace(" RETURNING", "").encode(), ("", account))
            assert ward.ask(account, "GET", f"Patient/{ward.ids['ana']}").status == 403
            owner.execute(statement.replace(" RETURNING", "").encode(), (value, account))
    assert ward.ask("other", "GET", f"Patient/{ward.ids['bea']}").status == 200
