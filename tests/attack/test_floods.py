"""T-59: floods, on two hosting processes: by one account, by all accounts of a client, by who heeds nothing."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest

from hygie.app import open_administration, open_house
from hygie.base.actions import Action
from hygie.base.roles import Role
from hygie.gate.allowances import BURST_S
from hygie.gate.rates import AHEAD_PART, OVERDRAFT_PART
from tests.attack.installation import Installation, ask, attacked, connected, whole_journal

PROCESSES = 2
POINTS = 6  # a second, of each client
ACCOUNTS = 4
PATIENT = {"resourceType": "Patient", "name": [{"family": "Secretdejeanne"}]}
SLACK = PROCESSES * (POINTS * BURST_S // OVERDRAFT_PART) + 5  # what processes let through before they ask


@dataclass
class Town:
    """``chu/prod`` floods, ``clinic/prod`` is quiet. tokens: of accounts of the first; calm: of the second."""

    made: Installation
    path: str
    tokens: list[str]
    calm: str
    calm_path: str


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    with attacked(processes=PROCESSES) as made:

        async def main() -> tuple[list[str], str]:
            async with open_house(made.data) as house, open_administration(house, "local:test") as acts:
                await acts.create_tenant("clinic", "")
                await acts.create_environment("clinic", "prod", "production")
                tokens = []
                for tenant, name in [("chu", f"app{n}") for n in range(ACCOUNTS)] + [("clinic", "calm")]:
                    await acts.create_account(name, kind="application", label="", professional_id="", days=9)
                    grant = {"reason": "flood", "approver": "chief", "days": 9}
                    await acts.grant(name, tenant, "prod", role=Role.APPLICATION, **grant)
                    tokens.append((await acts.create_token(name, tenant, "prod", days=1))[1])
                return tokens[:-1], tokens[-1]

        tokens, calm = asyncio.run(main())
        mine = made.fhir("POST", "Patient", PATIENT)
        theirs = made.fhir("POST", "Patient", PATIENT, token=calm, place="clinic/prod")
        yield Town(
            made,
            f"/chu/prod/fhir/Patient/{mine.json['id']}",
            tokens,
            calm,
            f"/clinic/prod/fhir/Patient/{theirs.json['id']}",
        )


def flood(town: Town, tokens: list[str], seconds: float, *, fresh: bool = False) -> Counter[int]:
    """Ask all the time, one connection (or one each time: ``fresh``) a token, heeding nothing. Returns: by status."""
    found: Counter[int] = Counter()
    end = time.monotonic() + seconds

    def one(token: str) -> None:
        connection = connected(town.made)
        while time.monotonic() < end:
            if fresh:
                connection.close()
            connection.request("GET", town.path, headers={"Authorization": f"Bearer {token}"})
            answer = connection.getresponse()
            body = answer.read()
            found[answer.status] += 1
            if answer.status == 429:
                assert int(answer.headers["Retry-After"]) >= 1
                issue = json.loads(body)["issue"][0]
                assert (issue["code"], issue["details"]["coding"][0]["code"]) == ("throttled", "HYG-461")
        connection.close()

    threads = [threading.Thread(target=one, args=(token,)) for token in tokens]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def empty_buckets(made: Installation) -> None:
    """Full buckets would let a burst through: the pace is what is looked at."""

    async def main() -> None:
        async with open_house(made.data) as house:
            connection = await psycopg.AsyncConnection.connect(house.dsns.owner, autocommit=True)
            async with connection:
                await connection.execute("UPDATE hygie.rate_level SET level = 0")

    asyncio.run(main())


def limited(made: Installation, *words: str) -> str:
    """Set a limit by the command. Returns: its id."""
    return str(made.hygie("limit", "set", *words, "--reason", "attack")["limit"])


def test_one_account_gets_its_rate_over_two_processes_and_its_neighbour_is_not_slowed(town: Town) -> None:
    id_ = limited(town.made, "account", "app0", "points", str(POINTS))
    began = time.monotonic()
    found = flood(town, [town.tokens[0]] * 6, 6.0, fresh=True)
    may = POINTS * (BURST_S + time.monotonic() - began)
    assert set(found) == {200, 429}
    assert found[200] <= may * 1.1 + SLACK
    assert ask(town.made, town.path, town.tokens[1]).status == 200
    town.made.hygie("limit", "remove", id_)
    assert ask(town.made, town.path, town.tokens[0]).status == 200
    told = [e for e in whole_journal(town.made) if e.detail.get("code") == "HYG-461" and e.account == "app0"]
    assert 1 <= len(told) <= 2 * PROCESSES
    assert {(e.action, e.outcome, e.detail["limit"]) for e in told} == {(Action.OBJECT_READ, "refused", "account")}


def test_all_accounts_of_a_client_share_its_rate_and_another_client_is_served(town: Town) -> None:
    id_ = limited(town.made, "tenant", "chu", "points", str(POINTS))
    flood(town, town.tokens, 1.0)
    empty_buckets(town.made)
    calm: list[int] = []
    stop = threading.Event()

    def quiet() -> None:
        while not stop.is_set():
            calm.append(ask(town.made, town.calm_path, town.calm).status)
            time.sleep(0.05)

    reader = threading.Thread(target=quiet)
    reader.start()
    began = time.monotonic()
    found = flood(town, town.tokens * 4, 6.0)
    took = time.monotonic() - began
    stop.set()
    reader.join()
    ahead = PROCESSES * POINTS * BURST_S // AHEAD_PART  # taken before the bucket was emptied
    assert found[200] <= POINTS * took * 1.1 + SLACK + ahead
    # a refusal is held: who heeds nothing asks four times a second on each connection
    assert found[429] <= took * len(town.tokens) * 4 * 5
    assert set(calm) == {200}
    town.made.hygie("limit", "remove", id_)


def test_a_quota_refuses_what_would_be_stored_and_lets_read_and_delete(town: Town) -> None:
    made = town.made
    kept = made.fhir("POST", "Patient", PATIENT).json["id"]
    id_ = limited(made, "environment", "chu/prod", "versions", "1")
    end = time.monotonic() + 60
    while (answer := made.fhir("POST", "Patient", PATIENT)).status == 201 and time.monotonic() < end:
        time.sleep(0.2)  # what is held is asked beside the requests, every ten seconds
    assert (answer.status, answer.code) == (507, "HYG-250")
    assert made.fhir("PUT", f"Patient/{kept}", {**PATIENT, "id": kept}).status in (200, 507)
    rows = made.hygie("limit", "list")
    assert any(row["subject"] == "chu/prod" and row.get("value") == 1 for row in rows)
    assert all(row["used"] > 1 for row in rows if row["subject"] == "chu/prod" and row.get("used") is not None)
    assert made.fhir("GET", f"Patient/{kept}").status == 200
    assert made.fhir("DELETE", f"Patient/{kept}").status == 204
    assert made.fhir("POST", "Patient", PATIENT, token=town.calm, place="clinic/prod").status == 201
    made.hygie("limit", "remove", id_)
    assert made.fhir("POST", "Patient", PATIENT).status == 201
    told = [e for e in whole_journal(made) if e.detail.get("code") == "HYG-250"]
    assert 1 <= len(told) <= PROCESSES


def test_a_limit_written_by_sql_counts_for_nothing_and_is_named(town: Town) -> None:
    limited(town.made, "account", "app3", "points", "1")

    async def main() -> None:
        async with open_house(town.made.data) as house:
            connection = await psycopg.AsyncConnection.connect(house.dsns.owner, autocommit=True)
            async with connection:
                await connection.execute("UPDATE hygie.allowance SET value = 1000000 WHERE subject = 'app3'")

    asyncio.run(main())
    assert ask(town.made, town.path, town.tokens[3]).status == 200
    assert any("allowance" in e.detail.get("rights", "") for e in whole_journal(town.made))
