"""Nobody administers for ever: rights of operations are raised for a ticket and a time, and what destroys or reveals at
scale takes the client's, or another person's, word."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from hygie.app import open_house, opened, requests_of
from hygie.base.actions import Action
from hygie.base.roles import Role
from hygie.cli.acts import operator_name
from hygie.gate.errors import NotRaisedError
from hygie.gate.local import LocalOperator
from hygie.gate.two_persons import TwoPersons
from hygie.journal.writer import JournalWriter
from hygie.proof.model import Verdict
from tests.acceptance.conftest import Answer, Installation
from tests.attack.installation import access_facts, attacked, entries, last_verdicts
from tests.attack.test_gate_doors import act
from tests.attack.test_two_persons import House

HOST = "hygie/platform"
SECRET = "secretdejeanne"
SECURITY = ("sara", "sam")


@dataclass
class Staff:
    made: Installation
    house: House

    def answer(self, who: str, id_: str, verb: str = "approve", **more: str) -> Answer:
        return self.house.answers(who, id_, verb, place=HOST, **more)

    def raised(self, *words: str, minutes: int = 60) -> str:
        asked = ("raise", "INT-2026-0007", "--reason", "disk", "--minutes", str(minutes), *words)
        return str(self.made.hygie(*asked)["request"])

    def tries(self, *, exit_code: int = 0) -> Any:
        return self.made.hygie("tenant", "create", f"t{time.time_ns()}", exit_code=exit_code)


@pytest.fixture(scope="module")
def staff() -> Iterator[Staff]:
    """Two of the host's security are named; two of chu's privacy and rights."""
    with attacked() as made:
        person = {"kind": "person", "label": "", "professional_id": "", "days": 30}
        how = {"reason": "named by the direction", "approver": "direction", "days": 30}
        act(
            made,
            *(("create_account", (name,), person) for name in (*SECURITY, "carl")),
            *(("create_account", (name,), person | {"tenant": "chu"}) for name in ("paule", "pierre", "rita")),
            *(("grant", (name, "chu", "prod"), how | {"role": Role.PRIVACY_OFFICER}) for name in ("paule", "pierre")),
            ("grant", ("rita", "chu", "prod"), how | {"role": Role.RIGHTS_OFFICER}),
            ("grant", ("carl", "hygie", "platform"), how | {"role": Role.OPERATOR, "days": 1}),
            *(("grant", (name, "hygie", "platform"), how | {"role": Role.SECURITY_OFFICER}) for name in SECURITY),
        )
        house = House(made)
        raise_by(made)
        for name in ("paule", "pierre", "rita"):
            house.tokens[name] = made.hygie("token", "create", name, "chu", "prod")["token"]
        for name in (*SECURITY, "carl"):
            house.tokens[name] = made.hygie("token", "create", name, "hygie", "platform")["token"]
        patient = {"resourceType": "Patient", "id": SECRET, "name": [{"family": "Jeanne"}]}
        assert made.fhir("PUT", f"Patient/{SECRET}", patient).status == 201
        yield Staff(made, house)


def raise_by(made: Installation) -> None:
    """An emergency, before anybody can answer: the tokens of the stage are made under it; refused at once after."""
    made.hygie("raise", "INT-2026-0001", "--reason", "stage of the tests", "--emergency")


def end_all(staff: Staff) -> None:
    """Refuse every raise that is open."""
    for one in staff.house.door("sara", "GET", "requests", place=HOST).json["requests"]:
        if one["act"] == "right:raise" and one["state"] == "waiting":
            assert staff.answer("sara", one["id"], "refuse").status == 200


def test_rights_are_raised_by_another_for_a_time(staff: Staff) -> None:
    end_all(staff)
    assert staff.tries(exit_code=20)["error"]["code"] == "HYG-265"
    id_ = staff.raised()
    assert staff.tries(exit_code=20)["error"]["code"] == "HYG-265"  # asked for is not raised
    assert staff.answer("sara", id_).status == 200
    staff.tries()
    listed = staff.made.hygie("request", "list")
    assert next(one for one in listed if one["id"] == id_)["decided_by"] == "sara"


def test_what_is_raised_ends(staff: Staff) -> None:
    async def main() -> None:
        async with open_house(staff.made.data) as house, opened(house.dsns.owner, size=2) as owner:
            journal = JournalWriter(owner, house.month_keys, house.clock)
            requests = requests_of(house, owner, journal)
            now_ms = house.clock.now_ms()

            def at(at_ms: int) -> TwoPersons:
                return TwoPersons(requests, owner, production=False, now_ms=at_ms)

            assert await at(now_ms).raised(operator_name()) is not None
            with pytest.raises(NotRaisedError):
                await at(now_ms + 61 * 60_000).raised(operator_name())
            with pytest.raises(NotRaisedError):
                await at(now_ms).raised("local:somebody-else")
            await journal.close()

    asyncio.run(main())


def test_daily_work_needs_no_raised_right(staff: Staff) -> None:
    staff.made.hygie("status")
    staff.made.hygie("journal", "status")
    staff.made.hygie("account", "list")


def test_an_emergency_does_not_wait_and_is_answered_for(staff: Staff) -> None:
    id_ = staff.raised("--emergency")
    staff.tries()
    assert last_verdicts(staff.made, id_) == [Verdict.SATISFIED, Verdict.UNSATISFIED]
    assert staff.answer("sam", id_, "refuse").status == 200
    assert last_verdicts(staff.made, id_) == [Verdict.SATISFIED] * 2


def test_an_emergency_is_not_withdrawn_from_whoever_answers_for_it(staff: Staff) -> None:
    id_ = staff.raised("--emergency")
    assert staff.made.hygie("request", "withdraw", id_, exit_code=10)["error"]["code"] == "HYG-165"
    assert staff.answer("sam", id_, "refuse").status == 200
    ordinary = staff.raised()
    assert staff.made.hygie("request", "withdraw", ordinary)["state"] == "withdrawn"


def test_nobody_raises_rights_at_the_door(staff: Staff) -> None:
    """Rights are raised where they count, by who is to have them: the door would let one name somebody else."""
    what = {"account": operator_name(), "ticket": "INT-2026-0009", "minutes": "60", "emergency": "yes"}
    answer = staff.house.door(
        "carl", "POST", "requests", {"act": "right:raise", "what": what, "reason": "disk"}, place=HOST
    )
    assert (answer.status, answer.json["code"]) == (400, "HYG-165")


def test_an_answer_written_by_sql_answers_for_no_emergency(staff: Staff) -> None:
    answered, waiting = staff.raised("--emergency"), staff.raised("--emergency")
    assert staff.answer("sam", answered, "refuse").status == 200
    with staff.house.owner() as owner:
        copied = (
            "INSERT INTO hygie.decision (request, verdict, decided_by, decided_ms, why, mac)"
            " SELECT %s, verdict, decided_by, decided_ms, why, mac FROM hygie.decision WHERE request = %s"
        )
        owner.execute(copied, (waiting, answered))
    told = {one["id"]: one["answered"] for one in access_facts(staff.made).exceptions}
    assert (told[answered], told[waiting]) == (True, False)


def test_the_clients_officer_raises_nobody(staff: Staff) -> None:
    id_ = staff.raised()
    assert staff.house.answers("rita", id_, place=HOST).status == 404
    assert staff.house.answers("rita", id_).status == 404
    assert staff.answer("sara", id_, "refuse").status == 200


def test_the_hosts_security_reads_no_health_data(staff: Staff) -> None:
    for place in ("chu/prod", HOST):
        answer = staff.made.fhir("GET", f"Patient/{SECRET}", token=staff.house.tokens["sara"], place=place)
        assert answer.status in (403, 404)
        assert SECRET.encode() not in answer.body


def test_a_key_is_rotated_out_of_its_time_by_two(staff: Staff) -> None:
    assert staff.answer("sara", staff.raised()).status == 200
    words = ("rotate", "epoch", "chu", "prod")
    assert staff.made.hygie(*words, exit_code=20)["error"]["code"] == "HYG-263"
    what = ("--what", "level=epoch", "--what", "tenant=chu", "--what", "environment=prod")
    id_ = staff.made.hygie("request", "ask", "key:rotate", *what, "--reason", "key seen, ticket 42")["request"]
    assert staff.made.hygie(*words, exit_code=20)["error"]["code"] == "HYG-263"
    assert staff.answer("sam", id_).status == 200
    assert staff.made.hygie("rotate", "environment", "chu", "prod", exit_code=20)["error"]["code"] == "HYG-263"
    assert staff.made.hygie(*words)["epoch"] >= 2
    assert staff.made.hygie(*words, exit_code=20)["error"]["code"] == "HYG-263"  # once
    assert any(one.action is Action.APPROVAL_USE and one.detail["request"] == id_ for one in entries(staff.made))


def test_a_patient_is_erased_on_the_word_of_two_of_the_client(staff: Staff) -> None:
    made = staff.made
    asked = ("--controller", "CHU", "--instructed-by", "paule", "--basis", "rgpd-17-1-b", "--reference", "2026-17")
    checked = ("--retention-checked-by", "pierre", "--confirm", SECRET)
    words = ("erase", "chu", "prod", SECRET, *asked, *checked)
    assert made.hygie(*words, exit_code=20)["error"]["code"] == "HYG-263"
    body = {"act": "patient:erase", "reason": "instruction 2026-17", "subject": f"Patient/{SECRET}"}
    assert staff.house.door("rita", "POST", "requests", body).status == 403  # rights are hers, not erasures
    id_ = staff.house.door("paule", "POST", "requests", body).json["id"]
    answer = staff.house.answers("pierre", id_, subject="Patient/another")
    assert (answer.status, answer.json["code"]) == (400, "HYG-165")
    assert staff.house.answers("paule", id_, subject=f"Patient/{SECRET}").status == 403
    assert SECRET not in json.dumps(staff.house.door("pierre", "GET", "requests").json)
    assert staff.house.answers("pierre", id_, subject=f"Patient/{SECRET}").status == 200
    assert made.hygie(*words)["unreadable_ms"]
    assert made.fhir("GET", f"Patient/{SECRET}").status == 410


def test_a_bulk_export_goes_to_the_keys_that_the_client_approved(staff: Staff) -> None:
    """Above the threshold only: below it the officer's order is enough, as before."""

    async def main() -> None:
        from hygie.custody import open_custody
        from hygie.departure import require_export_approved
        from hygie.exits.run import ExportAsk

        async with open_house(staff.made.data) as house, open_custody(house, operator_name()) as custody:
            from hygie.app import open_administration

            async with open_administration(house, operator_name()) as acts:
                one = await acts.environment("chu", "prod")
                tenant_id = await acts.tenant_id("chu")

            def ask(key: str) -> ExportAsk:
                return ExportAsk("chu", tenant_id, [one], [key], staff.made.data / "x", {"reference": "R1"}, "local:x")

            limit = house.settings.approvals.export_versions
            await require_export_approved(custody, ask("age1thief"), limit)
            for key in ("age1thief", "age1client"):
                with pytest.raises(Exception, match="HYG-263"):
                    await require_export_approved(custody, ask(key), limit + 1)
            what = {"reference": "R1", "recipients": "age1client"}
            body = {"act": "object:export", "what": what, "reason": "fin de contrat"}
            id_ = staff.house.door("paule", "POST", "requests", body).json["id"]
            assert staff.house.answers("pierre", id_).status == 200
            with pytest.raises(Exception, match="HYG-263"):
                await require_export_approved(custody, ask("age1thief"), limit + 1)
            await require_export_approved(custody, ask("age1client"), limit + 1)
            with pytest.raises(Exception, match="HYG-263"):
                await require_export_approved(custody, ask("age1client"), limit + 1)

    asyncio.run(main())


def test_a_program_of_the_platform_needs_no_raised_right(staff: Staff) -> None:
    """The working process goes on: its acts are its own, and it is nobody's account."""

    async def main() -> None:
        async with open_house(staff.made.data) as house, opened(house.dsns.owner, size=2) as owner:
            journal = JournalWriter(owner, house.month_keys, house.clock)
            async with LocalOperator(journal, house.clock, "system:test").act(Action.SITE_SCRUB):
                pass
            await journal.close()

    asyncio.run(main())
