"""What takes two persons: nobody alone, nobody for himself, nobody by SQL; and what was approved counts once."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import psycopg
import pytest

from hygie.app import dsns_of
from hygie.base.layout import DataFolder
from hygie.base.roles import Role
from hygie.base.settings import load_settings
from tests.acceptance.conftest import Answer, Installation
from tests.attack.installation import attacked, entries, trust
from tests.attack.test_gate_doors import act, serving_alone
from tests.attack.test_gate_doors import ask as fhir_ask

DENIED = psycopg.errors.InsufficientPrivilege
GRANT = "habilitation:grant"
GRANTED_S = 60.0  # hygie work looks twice a second; a busy machine is slower


@dataclass
class House:
    """An installation with its people: two rights officers and a privacy officer of chu, two of the host's security."""

    made: Installation
    tokens: dict[str, str] = field(default_factory=dict)

    def door(
        self, who: str, method: str, path: str, body: Any = None, *, place: str = "chu/prod", raw: bytes | None = None
    ) -> Answer:
        headers = {"Authorization": f"Bearer {self.tokens.get(who, who)}", "Content-Type": "application/json"}
        content = raw if raw is not None else json.dumps(body).encode() if body is not None else None
        with httpx.Client(verify=trust(self.made)) as client:
            url = f"https://localhost:{self.made.port}/{place}/rights/{path}"
            answer = client.request(method, url, headers=headers, content=content)
        return Answer(answer.status_code, dict(answer.headers), answer.content)

    def asks(self, who: str, what: dict[str, str], *, act: str = GRANT, place: str = "chu/prod", **more: Any) -> str:
        body = {"act": act, "what": what, "reason": "soins, service A", **more}
        answer = self.door(who, "POST", "requests", body, place=place)
        assert answer.status == 201, answer.body
        return str(answer.json["id"])

    def answers(self, who: str, id_: str, verb: str = "approve", *, place: str = "chu/prod", **more: str) -> Answer:
        return self.door(who, "POST", f"requests/{id_}/{verb}", more, place=place)

    def state(self, id_: str, *, who: str = "rita", place: str = "chu/prod") -> dict[str, Any]:
        listed = self.door(who, "GET", "requests", place=place).json["requests"]
        return next(one for one in listed if one["id"] == id_)

    def owner(self) -> psycopg.Connection:
        folder = DataFolder.at(self.made.data)
        return psycopg.connect(dsns_of(load_settings(folder.path), folder).owner, autocommit=True)

    def person(self, *, role: Role | None = None, tenant: str = "chu", **limits: str) -> str:
        """One more person of a client, with a token, and a role if somebody approves it."""
        name = f"p{secrets.token_hex(4)}"
        self.made.hygie("account", "create", name, "--tenant", tenant)
        self.tokens[name] = self.made.hygie("token", "create", name, "chu", "prod")["token"]
        if role is not None:
            id_ = self.asks("rita", {"account": name, "role": role.value, "days": "30", **limits})
            assert self.answers("remi", id_).status == 200
            self.made.wait_for(lambda: self.state(id_)["state"] == "used", seconds=GRANTED_S)
        return name


PEOPLE = {
    "rita": ("chu", "prod", Role.RIGHTS_OFFICER),
    "remi": ("chu", "prod", Role.RIGHTS_OFFICER),
    "olga": ("other", "prod", Role.RIGHTS_OFFICER),
}


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with attacked(processes=2) as made:
        one = House(made)
        words = {"kind": "person", "label": "", "professional_id": "", "days": 30}
        how = {"reason": "named by the client", "approver": "client.contact", "days": 30}
        act(
            made,
            ("create_tenant", ("other", ""), {}),
            ("create_environment", ("other", "prod", "production"), {}),
            *(("create_account", (name,), words | {"tenant": place[0]}) for name, place in PEOPLE.items()),
            *(("grant", (name, *place[:2]), how | {"role": place[2]}) for name, place in PEOPLE.items()),
        )
        for name, (tenant, environment, _) in PEOPLE.items():
            one.tokens[name] = made.hygie("token", "create", name, tenant, environment)["token"]
        yield one


def test_a_right_is_asked_for_approved_by_another_and_granted(house: House) -> None:
    name = house.person()
    path = "/chu/prod/fhir/Patient"
    assert fhir_ask(house.made, path, house.tokens[name]).status == 403
    id_ = house.asks("rita", {"account": name, "role": "caregiver", "days": "30", "types": "Patient Observation"})
    assert house.state(id_)["state"] == "waiting"
    assert house.answers("remi", id_, why="vu avec le service").status == 200
    house.made.wait_for(lambda: house.state(id_)["state"] == "used", seconds=GRANTED_S)
    assert fhir_ask(house.made, path, house.tokens[name]).status == 200
    assert fhir_ask(house.made, "/chu/prod/fhir/Condition", house.tokens[name]).status == 403  # not of its types
    (right,) = [
        one for one in house.door("remi", "GET", "habilitations").json["habilitations"] if one["account"] == name
    ]
    assert (right["id"], right["approver"], right["reason"]) == (id_, "remi", "soins, service A")
    told = [(one.account, one.action.value) for one in entries(house.made) if one.detail.get("request") == id_]
    assert told[:2] == [("rita", "approval:ask"), ("remi", "habilitation:approve")]


@pytest.mark.parametrize("who", ["rita", "nurse", "olga", "nobody"])
def test_nobody_else_answers(house: House, who: str) -> None:
    """Not who asked, not a role without the right, not another client's officer, not a stranger."""
    if who == "nurse":
        who = house.person(role=Role.CAREGIVER)
    id_ = house.asks("rita", {"account": house.person(), "role": "reader", "days": "10"})
    status = {"rita": 403, "olga": 404, "nobody": 401}.get(who, 403)
    assert house.answers(who, id_).status == status
    assert house.state(id_)["state"] == "waiting"


def test_nobody_approves_for_himself(house: House) -> None:
    id_ = house.asks("rita", {"account": "remi", "role": "privacy-officer", "days": "10"})
    answer = house.answers("remi", id_)
    assert (answer.status, answer.json["code"]) == (403, "HYG-264")


def test_a_sensitive_role_takes_two_persons_besides_its_holder(house: House) -> None:
    for role in ("privacy-officer", "rights-officer"):
        what = {"account": "rita", "role": role, "days": "10"}
        answer = house.door("rita", "POST", "requests", {"act": GRANT, "what": what, "reason": "soins"})
        assert (answer.status, answer.json["code"]) == (400, "HYG-165")
    house.asks("rita", {"account": "rita", "role": "reader", "days": "10"})


def test_one_withdraws_what_one_asked_for_oneself(house: House) -> None:
    id_ = house.asks("rita", {"account": "rita", "role": "reader", "days": "10"})
    assert house.answers("rita", id_).status == 403
    assert house.answers("rita", id_, "withdraw").status == 200
    assert house.state(id_)["state"] == "withdrawn"


LIMITS = ({"types": "Observation"}, {"patients": "Group/ward"}, {"purposes": "TREAT"})


@pytest.mark.parametrize("limits", LIMITS, ids=lambda one: next(iter(one)))
def test_who_is_limited_decides_on_nothing_of_the_whole(house: House, limits: dict[str, str]) -> None:
    """An order to erase or to export says nothing that a limit could be held against."""
    limited = house.person(role=Role.PRIVACY_OFFICER, **limits)
    body = {"act": "patient:erase", "what": {}, "reason": "demande du DPO", "subject": "Patient/p1"}
    assert house.door(limited, "POST", "requests", body).status == 403
    export = {"act": "object:export", "what": {"reference": "R"}, "reason": "fin de contrat"}
    assert house.door(limited, "POST", "requests", export).status == 403
    whole = house.person(role=Role.PRIVACY_OFFICER)
    for asked, more in ((body, {"subject": "Patient/p1"}), (export, {})):
        id_ = house.door(whole, "POST", "requests", asked).json["id"]
        assert house.answers(limited, id_, **more).status == 403
        assert house.answers("remi", id_, **more).status == 200


def test_another_place_has_no_such_request(house: House) -> None:
    id_ = house.asks("rita", {"account": house.person(), "role": "reader", "days": "10"})
    answer = house.answers("olga", id_, place="other/prod")
    assert (answer.status, answer.json["code"]) == (404, "HYG-300")
    assert all(one["id"] != id_ for one in house.door("olga", "GET", "requests", place="other/prod").json["requests"])


def test_the_first_answer_stands(house: House) -> None:
    id_ = house.asks("rita", {"account": house.person(), "role": "reader", "days": "10"})
    results: list[int] = []
    verbs = ["approve", "refuse"] * 4
    threads = [
        threading.Thread(target=lambda verb=verb: results.append(house.answers("remi", id_, verb).status))
        for verb in verbs
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [200] + [409] * 7
    assert house.answers("rita", id_, "withdraw").status == 409


def test_who_asked_withdraws(house: House) -> None:
    id_ = house.asks("rita", {"account": house.person(), "role": "reader", "days": "10"})
    assert house.answers("remi", id_, "withdraw").status == 403
    assert house.answers("rita", id_, "withdraw").status == 200
    assert house.answers("remi", id_).status == 409


def test_the_host_grants_nothing_alone_where_somebody_can_approve(house: House) -> None:
    name = house.person()
    words = ("--role", "reader", "--reason", "by the host", "--approver", "chief")
    refused = house.made.hygie("habilitation", "grant", name, "chu", "prod", *words, exit_code=20)
    assert refused["error"]["code"] == "HYG-263"
    words = ("--role", "rights-officer", "--reason", "by the host", "--approver", "chief")  # a third one
    assert house.made.hygie("habilitation", "grant", name, "chu", "prod", *words, exit_code=20)


def test_an_approval_written_by_sql_grants_nothing(house: House) -> None:
    name = house.person()
    id_ = house.asks("rita", {"account": name, "role": "caregiver", "days": "30"})
    with house.owner() as owner:
        owner.execute(
            "INSERT INTO hygie.decision (request, verdict, decided_by, decided_ms, why, mac)"
            " VALUES (%s, 'approved', 'remi', %s, '', %s)",
            (id_, int(time.time() * 1000), secrets.token_bytes(32)),
        )
    other = house.asks("rita", {"account": house.person(), "role": "reader", "days": "10"})
    assert house.answers("remi", other).status == 200  # the working process looked, and went on
    house.made.wait_for(lambda: house.state(other)["state"] == "used", seconds=GRANTED_S)
    assert fhir_ask(house.made, "/chu/prod/fhir/Patient", house.tokens[name]).status == 403
    assert house.answers("remi", id_).status == 404  # what Hygie did not write as it is, is not there


def test_a_revocation_at_the_door_counts_everywhere_at_once(house: House) -> None:
    name = house.person(role=Role.READER)
    path = "/chu/prod/fhir/Patient"
    (right,) = [
        one for one in house.door("remi", "GET", "habilitations").json["habilitations"] if one["account"] == name
    ]
    assert house.door("olga", "POST", f"habilitations/{right['id']}/revoke", {}, place="other/prod").status == 404
    seen: list[tuple[float, int]] = []
    stop = threading.Event()

    def reader() -> None:
        while not stop.is_set():
            began = time.monotonic()
            seen.append((began, fhir_ask(house.made, path, house.tokens[name]).status))

    threads = [threading.Thread(target=reader) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert house.door("remi", "POST", f"habilitations/{right['id']}/revoke", {}).status == 200
    revoked = time.monotonic()
    statuses = {fhir_ask(house.made, path, house.tokens[name]).status for _ in serving_alone(house.made)}
    stop.set()
    for thread in threads:
        thread.join()
    assert statuses == {403}
    assert {status for began, status in seen if began > revoked} <= {403}
    assert house.door("remi", "POST", f"habilitations/{right['id']}/revoke", {}).status == 404


def test_the_hosting_role_writes_no_right(house: House) -> None:
    folder = DataFolder.at(house.made.data)
    hosting = dsns_of(load_settings(folder.path), folder).hosting
    tries = (
        "INSERT INTO hygie.habilitation SELECT * FROM hygie.habilitation LIMIT 1",
        "UPDATE hygie.habilitation SET revoked_ms = NULL",
        "UPDATE hygie.request SET what = '{}'",
        "UPDATE hygie.decision SET verdict = 'approved'",
        "DELETE FROM hygie.decision",
        "INSERT INTO hygie.request_use VALUES ('0000000000000000', 0, '')",
        "UPDATE hygie.account SET tenant = NULL",
    )
    for statement in tries:
        with psycopg.connect(hosting) as connection, pytest.raises(DENIED):
            connection.execute(statement)


def test_the_hosting_role_ends_a_right_from_now_on_only(house: House) -> None:
    """A right that is said to have ended long ago would make what was read under it look unlawful."""
    folder = DataFolder.at(house.made.data)
    dsns = dsns_of(load_settings(folder.path), folder)
    id_ = "0" * 16
    with psycopg.connect(dsns.owner, autocommit=True) as owner:
        owner.execute(
            "INSERT INTO hygie.habilitation (id, account, environment, role, reason, approver, starts_ms, ends_ms)"
            " SELECT %s, account, environment, role, reason, approver, 1, ends_ms FROM hygie.habilitation LIMIT 1",
            (id_,),
        )
        before_ms = int(time.time() * 1000)
        with psycopg.connect(dsns.hosting, autocommit=True) as hosting:
            hosting.execute("SELECT hygie.end_habilitation(%s, 'nobody', 2)", (id_,))
        cursor = owner.execute("DELETE FROM hygie.habilitation WHERE id = %s RETURNING revoked_ms", (id_,))
        (ended_ms,) = cursor.fetchone() or (0,)
    assert before_ms <= ended_ms <= time.time() * 1000


def _grant(reason: str = "soins", **what: str) -> dict[str, Any]:
    return {"act": GRANT, "reason": reason, "what": {"account": "x", "role": "reader", "days": "1"} | what}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"act": GRANT, "what": {}, "reason": "soins"}, "HYG-165"),
        ({"act": "object:read", "what": {}, "reason": "soins"}, "HYG-165"),
        (_grant(role="root"), "HYG-165"),
        (_grant(role="operator"), "HYG-165"),
        (_grant(days="999"), "HYG-165"),
        (_grant(days="-1"), "HYG-165"),
        (_grant(days="\u0661"), "HYG-165"),
        (_grant(surprise="x"), "HYG-165"),
        (_grant("patient 1 85 07 75 123 456 08"), "HYG-165"),
        (_grant("x"), "HYG-165"),
        (_grant("soins\0"), "HYG-165"),
        (_grant(account="x\0"), "HYG-165"),
        (_grant(account="x" * 5_000), "HYG-165"),
        ({"act": GRANT, "what": {"account": 1}, "reason": "soins"}, "HYG-1G0"),
        ({"act": GRANT, "surprise": True, "reason": "soins"}, "HYG-1G0"),
        ([], "HYG-1G0"),
        ({"act": "key:rotate", "what": {}, "reason": "not a client's"}, "HYG-200"),
    ],
)
def test_what_is_no_request_is_refused_whole(house: House, body: Any, code: str) -> None:
    answer = house.door("rita", "POST", "requests", body)
    assert answer.json["code"] == code
    assert answer.status in (400, 403)


@pytest.mark.parametrize(
    ("method", "path", "raw", "status"),
    [
        ("POST", "requests", b"\xff\xfe{", 400),
        ("POST", "requests", b"[" * 10_000, 400),
        ("POST", "requests", b" " * 20_000, 400),
        ("PUT", "requests", b"{}", 404),
        ("POST", "requests/../../x/approve", b"{}", 404),
        ("POST", "requests/%00/approve", b"{}", 404),
        ("POST", "habilitations/%00/revoke", b"{}", 404),
        ("POST", "requests", b'{"act":"habilitation:grant","reason":"\\ud800soins","what":{"account":"x"}}', 400),
        ("POST", "requests/0000000000000000/grant", b"{}", 404),
        ("GET", "", None, 404),
        ("GET", "nothing", None, 404),
    ],
)
def test_what_is_no_door_or_no_body_breaks_nothing(
    house: House, method: str, path: str, raw: bytes | None, status: int
) -> None:
    assert house.door("rita", method, path, raw=raw).status == status


def test_an_application_holds_no_power_over_rights(house: House) -> None:
    id_ = house.asks("rita", {"account": "app", "role": "rights-officer", "days": "10"})
    assert house.answers("remi", id_).status == 200
    house.made.wait_for(lambda: house.state(id_)["state"] == "used", seconds=GRANTED_S)
    assert house.state(id_)["outcome"] == "HYG-160"


def test_an_account_of_another_client_holds_nothing_here(house: House) -> None:
    name = house.person(tenant="other")
    id_ = house.asks("rita", {"account": name, "role": "reader", "days": "10"})
    assert house.answers("remi", id_).status == 200
    house.made.wait_for(lambda: house.state(id_)["state"] == "used", seconds=GRANTED_S)
    assert house.state(id_)["outcome"] == "HYG-160"
    assert fhir_ask(house.made, "/chu/prod/fhir/Patient", house.tokens[name]).status == 403


def test_a_program_decides_nothing_whatever_its_role(house: House) -> None:
    """The application through which people decide does not decide itself."""
    made = house.made
    made.hygie("account", "create", "desk", "--kind", "application", "--tenant", "chu")
    id_ = house.asks("rita", {"account": "desk", "role": "rights-application", "days": "10"})
    assert house.answers("remi", id_).status == 200
    made.wait_for(lambda: house.state(id_).get("outcome") == "done", seconds=GRANTED_S)
    house.tokens["desk"] = made.hygie("token", "create", "desk", "chu", "prod")["token"]
    waiting = house.asks("rita", {"account": house.person(), "role": "reader", "days": "10"})
    for method, path, body in (
        ("GET", "requests", None),
        ("GET", "habilitations", None),
        ("POST", f"requests/{waiting}/approve", {}),
        ("POST", "break-glass", {"patient": "Patient/x", "motive": "on-call"}),
    ):
        assert house.door("desk", method, path, body).status == 403
    assert house.state(waiting)["state"] == "waiting"
    assert fhir_ask(made, "/chu/prod/fhir/Patient", house.tokens["desk"]).status == 403
