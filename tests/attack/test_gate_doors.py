"""The gate by its doors, with two serving processes: who is let in, until when, and what is written of refusals."""

from __future__ import annotations

import asyncio
import json
import secrets
import statistics
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from hygie.app import open_administration, open_house
from hygie.base.errors import NotFoundError
from hygie.base.roles import Role
from hygie.gate.administration import Administration
from hygie.gate.errors import ForgedRightsError
from hygie.gate.gate import REFUSALS_PER_MINUTE_MAX
from hygie.gate.rights import live_rights, mac_of, rights_key, set_mac
from tests.attack.installation import Installation, ask, attacked, connected, place, serving_alone, whole_journal

PROCESSES = 2
PATIENT = {"resourceType": "Patient", "name": [{"family": "Secretdejeanne"}]}


@dataclass
class Town:
    """An installation with two tenants; ``chu/prod`` and ``clinic/prod`` hold one patient each."""

    made: Installation
    mine: str
    theirs: str
    their_token: str


def act(made: Installation, *calls: tuple[str, tuple[object, ...], dict[str, object]]) -> list[object]:
    """Acts of administration, at once: (method, positional, named)."""

    async def main() -> list[object]:
        async with open_house(made.data) as house, open_administration(house, "local:test") as acts:
            return [await getattr(acts, name)(*words, **named) for name, words, named in calls]

    return asyncio.run(main())


def new_token(made: Installation, environment: str = "prod", *, tenant: str = "chu", account: str = "app") -> str:
    """A token of an account. Returns: the token."""
    made_one = act(made, ("create_token", (account, tenant, environment), {"days": 1}))[0]
    assert isinstance(made_one, tuple)
    return str(made_one[1])


def token_and_id(made: Installation, *, account: str = "app", days: float = 1) -> tuple[str, str]:
    """(id, token)."""
    found = act(made, ("create_token", (account, "chu", "prod"), {"days": days}))[0]
    assert isinstance(found, tuple)
    return found


def statuses(made: Installation, path: str, token: str) -> set[tuple[int, str]]:
    """What every hosting process answers: (status, code)."""
    answers = [ask(made, path, token) for _ in serving_alone(made)]
    assert len(answers) == PROCESSES
    return {(a.status, a.code if a.status >= 400 else "") for a in answers}


def refusals(made: Installation, code: str, **fields: object) -> int:
    """How many refusals with this code the journal holds."""
    return sum(
        entry.outcome == "refused"
        and entry.detail.get("code") == code
        and all(getattr(entry, name) == value for name, value in fields.items())
        for entry in whole_journal(made)
    )


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    with attacked(processes=PROCESSES) as made:
        grant = {"role": Role.APPLICATION, "reason": "attack", "approver": "chief", "days": 30}
        words = {"kind": "application", "label": "", "professional_id": "", "days": 30}
        act(
            made,
            ("create_tenant", ("clinic", ""), {}),
            ("create_environment", ("clinic", "prod", "production"), {}),
            ("create_environment", ("chu", "test", "test"), {}),
            ("create_account", ("their",), words),
            ("grant", ("their", "clinic", "prod"), grant),
            ("grant", ("app", "chu", "test"), grant),
        )
        their_token = new_token(made, tenant="clinic", account="their")
        mine = made.fhir("POST", "Patient", PATIENT)
        theirs = made.fhir("POST", "Patient", PATIENT, token=their_token, place="clinic/prod")
        assert (mine.status, theirs.status) == (201, 201)
        yield Town(made, mine.json["id"], theirs.json["id"], their_token)


def test_a_token_stolen_is_worth_nothing_once_the_command_that_revokes_it_returned(town: Town) -> None:
    made, path = town.made, f"/chu/prod/fhir/Patient/{town.mine}"
    id_, stolen = token_and_id(made)
    kept = [threading.Event() for _ in range(2)]
    late: list[tuple[float, int]] = []

    def thief(go_on: threading.Event) -> None:
        """Reads all the time on a kept connection. Notes when each read began, and how it ended."""
        connection = connected(made)
        while not go_on.is_set():
            began = time.monotonic()
            connection.request("GET", path, headers={"Authorization": f"Bearer {stolen}"})
            answer = connection.getresponse()
            answer.read()
            late.append((began, answer.status))
        connection.close()

    assert statuses(made, path, stolen) == {(200, "")}
    threads = [threading.Thread(target=thief, args=(event,)) for event in kept]
    for thread in threads:
        thread.start()
    try:
        made.hygie("token", "revoke", id_)
        revoked = time.monotonic()
        assert statuses(made, path, stolen) == {(401, "HYG-260")}
    finally:
        for event in kept:
            event.set()
        for thread in threads:
            thread.join()
    assert {status for began, status in late if began > revoked} == {401}
    assert 200 in {status for _, status in late}, "the thief read until then"


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("POST", "Patient", "application/fhir+json"),
        ("PUT", "Patient/slowly", "application/fhir+json"),
        ("PUT", "Patient?family=Secretdejeanne2", "application/fhir+json"),
        ("POST", "Binary", "application/pdf"),
    ],
)
def test_a_body_that_was_under_way_when_its_sender_was_shut_out_is_not_kept(
    town: Town, method: str, path: str, kind: str
) -> None:
    """Two KiB a second are allowed: a body may take hours, and its sender be long gone."""
    made = town.made
    id_, stolen = token_and_id(made)
    body = json.dumps({**PATIENT, "id": "slowly"} if method == "PUT" else PATIENT).encode()
    headers = {"Authorization": f"Bearer {stolen}", "Content-Type": kind, "Content-Length": str(len(body))}
    before = made.fhir("GET", f"{path.partition('?')[0].partition('/')[0]}/_history?_count=100").json.get("entry", [])
    connection = connected(made)
    connection.putrequest(method, f"/chu/prod/fhir/{path}")
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders(body[:10])
    time.sleep(1.0)
    act(made, ("revoke_token", (id_,), {}))
    connection.send(body[10:])
    answer = connection.getresponse()
    assert (answer.status, b"HYG-260" in answer.read()) == (401, True)
    connection.close()
    after = made.fhir("GET", f"{path.partition('?')[0].partition('/')[0]}/_history?_count=100").json.get("entry", [])
    assert len(after) == len(before)
    assert made.hygie("journal", "reconcile")  # each key that was given for it has its entry


def test_a_disabled_account_and_an_ended_habilitation_stop_at_once(town: Town) -> None:
    made, path = town.made, f"/chu/prod/fhir/Patient/{town.mine}"
    words = {"kind": "person", "label": "", "professional_id": "", "days": 30}
    grant = {"role": Role.CAREGIVER, "reason": "attack", "approver": "chief", "days": 30}
    _, habilitation = act(made, ("create_account", ("leaver",), words), ("grant", ("leaver", "chu", "prod"), grant))
    token = new_token(made, account="leaver")
    assert statuses(made, path, token) == {(200, "")}
    act(made, ("revoke_habilitation", (habilitation,), {}))
    assert statuses(made, path, token) == {(403, "HYG-200")}
    act(made, ("grant", ("leaver", "chu", "prod"), grant))
    assert statuses(made, path, token) == {(200, "")}
    act(made, ("disable_account", ("leaver",), {}))
    assert statuses(made, path, token) == {(401, "HYG-260")}
    assert refusals(made, "HYG-200", account="leaver") >= PROCESSES


def test_a_suspended_habilitation_gives_nothing_and_does_not_live_again_by_sql(town: Town) -> None:
    made, path = town.made, f"/chu/prod/fhir/Patient/{town.mine}"
    words = {"kind": "person", "label": "", "professional_id": "", "days": 30}
    grant = {"role": Role.READER, "reason": "attack", "approver": "chief", "days": 30}
    _, habilitation = act(made, ("create_account", ("lapsed",), words), ("grant", ("lapsed", "chu", "prod"), grant))
    token = new_token(made, account="lapsed")
    assert statuses(made, path, token) == {(200, "")}
    act(made, ("suspend_habilitation", (habilitation,), {}))
    assert statuses(made, path, token) == {(403, "HYG-200")}

    def by_sql(words: str, *values: object) -> None:
        async def main() -> None:
            async with open_house(made.data) as house, open_administration(house, "local:test") as acts:
                await _execute(acts, f"UPDATE hygie.habilitation SET {words} WHERE id = %s", *values, habilitation)

        asyncio.run(main())

    suspended = next(row for row in made.hygie("habilitation", "list") if row["id"] == habilitation)["suspended_ms"]
    by_sql("suspended_ms = NULL")
    assert statuses(made, path, token) == {(403, "HYG-200")}
    assert refusals(made, "HYG-562") >= 1  # the row whose MAC does not open the gate is named
    for attempt in ("suspend_habilitation", "resume_habilitation"):
        with pytest.raises((ForgedRightsError, NotFoundError)):
            act(made, (attempt, (habilitation,), {}))
    by_sql("suspended_ms = %s, role = 'operator'", suspended)
    with pytest.raises(ForgedRightsError):
        act(made, ("resume_habilitation", (habilitation,), {}))  # not a word of it may change meanwhile
    by_sql("role = 'reader'")
    act(made, ("resume_habilitation", (habilitation,), {}))
    assert statuses(made, path, token) == {(200, "")}
    act(made, ("suspend_habilitation", (habilitation,), {}), ("revoke_habilitation", (habilitation,), {}))
    with pytest.raises(NotFoundError):
        act(made, ("resume_habilitation", (habilitation,), {}))


def test_what_expires_stops_by_the_clock_without_anybody_acting(town: Town) -> None:
    made, path = town.made, f"/chu/prod/fhir/Patient/{town.mine}"
    words = {"kind": "person", "label": "", "professional_id": "", "days": 30}
    grant = {"role": Role.READER, "reason": "attack", "approver": "chief", "days": 30}
    act(made, ("create_account", ("short",), words), ("grant", ("short", "chu", "prod"), grant))
    steady = new_token(made, account="short")
    span_s = 2.5
    while True:  # what is asked before the end must be answered before it: a busy machine gets more time
        ends_s = time.time() + span_s
        shift_habilitation(made, "short", int(ends_s * 1000))
        _, brief = token_and_id(made, days=span_s / 86_400)
        both_end_s = time.time() + span_s
        before = [statuses(made, path, token) for token in (steady, brief)]
        if time.time() < ends_s:
            break
        span_s *= 2
        assert span_s < 120
    assert before == [{(200, "")}] * 2
    time.sleep(max(both_end_s + 0.05 - time.time(), 0))
    assert statuses(made, path, brief) == {(401, "HYG-260")}
    assert statuses(made, path, steady) == {(403, "HYG-200")}


def shift_habilitation(made: Installation, account: str, ends_ms: int) -> None:
    """Make a habilitation end at an instant (days are the least that a command takes), with the MAC of its row."""

    async def main() -> None:
        async with open_house(made.data) as house, open_administration(house, "local:test") as acts:
            key = await rights_key(house.kms)
            await _execute(acts, "UPDATE hygie.habilitation SET ends_ms = %s WHERE account = %s", ends_ms, account)
            async with acts._database.transaction() as connection:
                for right in await live_rights(connection, 0):
                    if right.table == "habilitation" and right.values["account"] == account:
                        await set_mac(connection, right.table, right.id, mac_of(key, right.table, right.values))

    asyncio.run(main())


async def _execute(acts: Administration, sql: str, *values: object) -> None:
    async with acts._database.transaction() as connection:
        await connection.execute(sql.encode(), values)


def test_a_reader_reads_and_does_nothing_else(town: Town) -> None:
    made = town.made
    words = {"kind": "person", "label": "", "professional_id": "", "days": 30}
    grant = {"role": Role.READER, "reason": "attack", "approver": "chief", "days": 30}
    act(made, ("create_account", ("reader",), words), ("grant", ("reader", "chu", "prod"), grant))
    token = new_token(made, account="reader")
    base = "/chu/prod/fhir"
    bundle = {
        "resourceType": "Bundle",
        "type": "batch",
        "entry": [{"request": {"method": "DELETE", "url": f"Patient/{town.mine}"}}],
    }
    attempts = [
        ("POST", f"{base}/Patient", PATIENT),
        ("PUT", f"{base}/Patient/{town.mine}", {**PATIENT, "id": town.mine}),
        ("DELETE", f"{base}/Patient/{town.mine}", None),
        ("DELETE", f"{base}/Patient?name=Secretdejeanne", None),
        ("POST", base, {**bundle, "type": "transaction"}),
    ]
    for method, path, body in attempts:
        answer = ask(made, path, token, method=method, body=body)
        assert (answer.status, answer.code) == (403, "HYG-200"), (method, path)
    batch = ask(made, base, token, method="POST", body=bundle)
    assert batch.status == 403 or batch.json["entry"][0]["response"]["status"].startswith("403")
    assert ask(made, f"{base}/Patient/{town.mine}", token).json["name"] == PATIENT["name"]
    assert refusals(made, "HYG-200", account="reader") == len(attempts) + 1


def test_a_bundle_of_a_stranger_is_refused_before_it_is_parsed(town: Town) -> None:
    """What it asks is in its body, which nobody reads for a token that opens nothing here."""
    broken = {"resourceType": "Bundle", "type": "batch", "entry": [{}]}
    for token, status, code in (("hyg_nobody", 401, "HYG-260"), (town.their_token, 404, "HYG-300")):
        before = refusals(town.made, code)
        answer = ask(town.made, "/chu/prod/fhir", token, method="POST", body=broken)
        assert (answer.status, answer.code) == (status, code)
        assert refusals(town.made, code) == before + 1
    mine = ask(town.made, "/chu/prod/fhir", town.made.token, method="POST", body=broken)
    assert (mine.status, mine.code) == (422, "HYG-173")
    assert refusals(town.made, "HYG-173", account="app") == 1


def test_a_token_opens_one_environment_and_no_other(town: Town) -> None:
    """Another environment of its own client where it even holds a habilitation, another client, nobody: one answer."""
    made = town.made
    answers = [
        ask(made, f"/{where}/fhir/Patient/{town.theirs}", made.token)
        for where in (
            "chu/test",
            "clinic/prod",
            "clinic/absent",
            "nobody/prod",
            "%00/prod",
            "chu/prod%2f..%2f..%2fclinic/prod",
        )
    ]
    shown = {
        (a.status, a.body, tuple(sorted((k, v) for k, v in a.headers.items() if k != "date"))) for a in answers[:5]
    }
    assert len(shown) == 1, "one answer, byte for byte"
    assert {a.status for a in answers} == {404}
    for method, body in (("POST", PATIENT), ("PUT", {**PATIENT, "id": town.theirs}), ("DELETE", None)):
        path = f"Patient/{town.theirs}" if method != "POST" else "Patient"
        one, other = (
            ask(made, f"/{p}/fhir/{path}", made.token, method=method, body=body) for p in ("clinic/prod", "no/no")
        )
        assert (one.status, one.body) == (other.status, other.body)
        assert one.status == 404
    test = place(made, "chu", "test")
    assert not [
        e
        for e in whole_journal(made)
        if e.environment_id == test.environment_id and e.outcome == "done" and e.kind == "access"
    ]


def test_an_id_of_another_client_is_absent_to_the_byte_and_to_the_clock(town: Town) -> None:
    made = town.made
    absent = secrets.token_hex(16)
    took: dict[str, list[float]] = {town.theirs: [], absent: []}
    bodies: set[bytes] = set()
    for _ in range(150):
        for id_, times in took.items():
            began = time.perf_counter()
            answer = made.fhir("GET", f"Patient/{id_}")
            times.append(time.perf_counter() - began)
            bodies.add(answer.body)
            assert answer.status == 404
    assert len(bodies) == 1
    theirs, nobodys = (statistics.median(times) for times in took.values())
    assert abs(theirs - nobodys) < 0.25 * max(theirs, nobodys), (theirs, nobodys)
    assert ask(made, f"/clinic/prod/fhir/Patient/{town.theirs}", town.their_token).status == 200


def test_words_that_are_no_token_are_refused_alike(town: Town) -> None:
    made, path = town.made, f"/chu/prod/fhir/Patient/{town.mine}"
    words = [
        "",
        " ",
        "x",
        made.token[:-1],
        made.token + "x",
        made.token.upper(),
        "hyg_" + "a" * 43,
        "a" * 8000,
        "\xff\xfe",
    ]
    answers = [ask(made, path, word) for word in words] + [ask(made, path, None)]
    assert {(a.status, a.body) for a in answers} == {(401, answers[0].body)}
    assert all("bearer" in a.headers.get("www-authenticate", "").lower() for a in answers)


def test_an_account_needs_a_professional_number_of_the_right_key(town: Town) -> None:
    create = ("account", "create", "marie.durand", "--professional-id")
    assert town.made.hygie(*create, "10001234567", exit_code=10)["error"]["code"] == "HYG-101"
    assert town.made.hygie(*create, "10001234565")["account"] == "marie.durand"


def test_real_people_stay_in_production_and_made_up_ones_out_of_it(town: Town) -> None:
    """By each door of a write: one resource, a conditional one, a bundle, of which nothing then remains."""
    made, tokens = town.made, {"prod": town.made.token, "test": new_token(town.made, "test")}
    for place_, held, refused in (("prod", "8", "10"), ("test", "11", "9")):
        for arc, status in ((held, 201), (refused, 422)):
            person = {**PATIENT, "identifier": [{"system": f"urn:oid:1.2.250.1.213.1.4.{arc}", "value": "1"}]}
            id_ = f"{place_}{arc}"
            bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [
                {"request": {"method": "PUT", "url": f"Patient/{id_}b"}, "resource": {**PATIENT, "id": f"{id_}b"}},
                {"request": {"method": "POST", "url": "Patient"}, "resource": person},
            ]}  # fmt: skip
            where = f"/chu/{place_}/fhir"
            answer = ask(made, f"{where}/Patient/{id_}", tokens[place_], method="PUT", body={**person, "id": id_})
            assert answer.status == status, answer.body
            assert (ask(made, where, tokens[place_], method="POST", body=bundle).status == 200) is (status == 201)
            if status == 422:
                assert answer.code == "HYG-157"
                for absent in (id_, f"{id_}b"):
                    assert ask(made, f"{where}/Patient/{absent}", tokens[place_]).status == 404
    assert refusals(made, "HYG-157") == 4


def test_brute_force_is_slowed_down_and_written_and_does_not_lock_others_out(town: Town) -> None:
    made, path = town.made, f"/chu/prod/fhir/Patient/{town.mine}"
    seen: list[tuple[int, str]] = []

    def guess() -> None:
        connection = connected(made, "127.0.0.9")
        slowed = 0
        while slowed < 5:
            connection.request("GET", path, headers={"Authorization": f"Bearer hyg_{secrets.token_urlsafe(32)}"})
            answer = connection.getresponse()
            answer.read()
            seen.append((answer.status, answer.getheader("retry-after") or ""))
            slowed += answer.status == 429
        connection.close()

    threads = [threading.Thread(target=guess) for _ in range(8)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    minutes = 2 + int((time.monotonic() - began) / 60)  # those that began or ended meanwhile
    told = [status for status, _ in seen]
    assert set(told) == {401, 429}
    # each of two processes has its own count
    assert told.count(401) <= minutes * PROCESSES * REFUSALS_PER_MINUTE_MAX
    assert all(retry for status, retry in seen if status == 429)
    assert ask(made, path, made.token).status == 200, "another address goes on"
    written = [e for e in whole_journal(made) if e.address == "127.0.0.9" and e.outcome == "refused"]
    assert sum(e.detail["code"] == "HYG-260" for e in written) == told.count(401)
    more = sum(e.detail["code"] == "HYG-460" for e in written)
    assert 1 <= more <= minutes * PROCESSES, "that more was refused is written once a minute"
