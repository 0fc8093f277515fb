"""Bris de glace: it opens one record for a motive and a time, is known at once, and is reviewed by somebody else.

``nurse`` is limited to Group/ward, of which Ana is a member and Bea is not.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from hygie.app import dsns_of, open_administration, open_house, opened
from hygie.base.layout import DataFolder
from hygie.base.roles import Role
from hygie.base.settings import load_settings
from hygie.gate.break_glass import BreakGlass, Opening, opened_outside
from hygie.gate.narrowing import Limits
from hygie.journal.writer import JournalWriter
from hygie.proof.model import Verdict
from tests.acceptance.conftest import Answer
from tests.attack.installation import access_facts, ask, entries, last_verdicts, noticed
from tests.attack.test_gate_doors import act
from tests.attack.test_two_persons import House
from tests.attack.ward import FHIR, HIDDEN, Ward, observation, open_ward


@dataclass
class Night:
    ward: Ward
    house: House

    def reads(self, who: str, path: str, *, purpose: str = "BTG", method: str = "GET", body: Any = None) -> Answer:
        return ask(self.ward.made, FHIR + path, self.ward.tokens[who], method=method, body=body, purpose=purpose)

    def breaks(self, who: str, name: str = "bea", *, motive: str = "on-call", minutes: int = 30) -> Answer:
        body = {"patient": f"Patient/{self.ward.ids.get(name, name)}", "motive": motive, "minutes": minutes}
        return self.house.door(who, "POST", "break-glass", body)

    def listed(self, who: str) -> list[dict[str, Any]]:
        return list(self.house.door(who, "GET", "break-glass").json["openings"])


@pytest.fixture(scope="module")
def night() -> Iterator[Night]:
    with open_ward() as ward:
        made = ward.made
        person = {"kind": "person", "label": "", "professional_id": "", "days": 30, "tenant": "chu"}
        how = {"reason": "named by the client", "approver": "client.contact", "days": 30}
        care = how | {"role": Role.CAREGIVER}
        nurses = ("nurse", "night-nurse", "day-nurse", "typed")
        act(
            made,
            *(("create_account", (name,), person) for name in (*nurses, "watcher", "rita")),
            ("grant", ("nurse", "chu", "prod"), care | {"limits": Limits(patients=frozenset({"Group/ward"}))}),
            ("grant", ("night-nurse", "chu", "prod"), care | {"limits": Limits(patients=frozenset({"Group/ward"}))}),
            ("grant", ("day-nurse", "chu", "prod"), care | {"limits": Limits(patients=frozenset({"Group/ward"}))}),
            (
                "grant",
                ("typed", "chu", "prod"),
                care | {"limits": Limits(frozenset({"Patient"}), frozenset({"Group/ward"}), frozenset({"TREAT"}))},
            ),
            ("grant", ("watcher", "chu", "prod"), how | {"role": Role.READER}),
            ("grant", ("rita", "chu", "prod"), how | {"role": Role.RIGHTS_OFFICER}),
        )
        for name in (*nurses, "watcher", "rita"):
            ward.tokens[name] = made.hygie("token", "create", name, "chu", "prod")["token"]
        yield Night(ward, House(made, ward.tokens))


def test_a_record_outside_is_opened_for_who_says_so_and_the_others_stay_closed(night: Night) -> None:
    ward, bea = night.ward, night.ward.ids["bea"]
    for purpose in ("", "BTG"):
        assert night.reads("nurse", f"Patient/{bea}", purpose=purpose).status == 404
    opened = night.breaks("nurse")
    assert opened.status == 201
    assert night.reads("nurse", f"Patient/{bea}").status == 200
    assert len(night.reads("nurse", f"Observation?subject=Patient/{bea}").json["entry"]) == 2
    assert night.reads("nurse", f"Patient/{bea}", purpose="").status == 404  # who does not say so is where he was
    assert night.reads("night-nurse", f"Patient/{bea}").status == 404  # nor is anybody else
    assert night.reads("nurse", f"Appointment/{ward.ids['shared']}").status == 200  # of Ana, of his set, and of Bea
    assert HIDDEN.encode() not in night.reads("nurse", "Patient?_count=50", purpose="").body
    entry = next(one for one in entries(ward.made) if one.detail.get("opening") == opened.json["id"])
    assert (entry.kind, entry.action.value, entry.account) == ("security", "break-glass:open", "nurse")
    told = [one for one in entries(ward.made) if one.account == "nurse" and one.purpose == "BTG"]
    assert any(one.action.value == "object:read" and one.outcome == "done" for one in told)


def test_it_adds_no_type_and_no_action(night: Night) -> None:
    bea = night.ward.ids["bea"]
    assert night.breaks("typed").status == 201
    assert night.reads("typed", f"Patient/{bea}").status == 200
    assert night.reads("typed", f"Observation/{night.ward.ids['bea-pulse']}").status == 403
    assert night.breaks("watcher").status == 403  # a reader does not break the glass
    assert night.breaks("rita").status == 403  # nor who reviews
    assert night.breaks("app").status == 403  # nor a program


def test_a_note_is_written_in_the_record_that_was_opened(night: Night) -> None:
    assert night.breaks("nurse").status == 201
    body = observation(night.ward.ids["bea"], "night", "night-note")
    assert night.reads("nurse", "Observation", method="POST", body=body, purpose="").status == 403
    assert night.reads("nurse", "Observation", method="POST", body=body).status == 201


@pytest.mark.parametrize(
    "body",
    [
        {"patient": "Patient/x", "motive": "curiosity"},
        {"patient": "Patient/x", "motive": "on-call", "minutes": 61},
        {"patient": "Patient/x", "motive": "on-call", "minutes": 0},
        {"patient": "Patient/x", "motive": "on-call", "minutes": -1},
        {"patient": "Group/ward", "motive": "on-call"},
        {"patient": "Patient/x/../y", "motive": "on-call"},
        {"patient": "Patient/", "motive": "on-call"},
        {"motive": "on-call"},
        {"patient": "Patient/x", "motive": "on-call", "account": "night-nurse"},
    ],
)
def test_what_is_no_opening_opens_nothing(night: Night, body: dict[str, Any]) -> None:
    before = len(night.listed("rita"))
    assert night.house.door("nurse", "POST", "break-glass", body).status == 400
    assert len(night.listed("rita")) == before


def test_whether_there_is_such_a_patient_is_not_told(night: Night) -> None:
    known, unknown = night.breaks("night-nurse"), night.breaks("night-nurse", "nobody-at-all")
    assert (known.status, set(known.json)) == (unknown.status, set(unknown.json))


def test_somebody_else_reviews_once(night: Night) -> None:
    id_ = night.breaks("nurse").json["id"]
    review = {"verdict": "unjustified", "why": "hors service"}
    assert night.house.door("nurse", "POST", f"break-glass/{id_}/review", review).status == 403
    assert night.house.door("watcher", "POST", f"break-glass/{id_}/review", review).status == 403
    assert night.house.door("rita", "POST", f"break-glass/{id_}/review", {"verdict": "fine"}).status == 400
    assert night.house.door("rita", "POST", f"break-glass/{id_}/review", review).status == 200
    assert night.house.door("rita", "POST", f"break-glass/{id_}/review", review).status == 409
    (one,) = [each for each in night.listed("rita") if each["id"] == id_]
    assert (one["state"], one["reviewed_by"]) == ("unjustified", "rita")
    assert {each["account"] for each in night.listed("nurse")} == {"nurse"}
    assert night.ward.ids["bea"] not in str(night.listed("rita"))


def test_an_opening_written_or_lengthened_by_sql_opens_nothing(night: Night) -> None:
    bea = night.ward.ids["bea"]
    dsns = dsns_of(load_settings(night.ward.made.data), DataFolder(night.ward.made.data))
    with psycopg.connect(dsns.owner, autocommit=True) as owner:
        copied = (
            "INSERT INTO hygie.break_glass SELECT %s, 'day-nurse', environment, subject, motive, %s, %s, mac"
            " FROM hygie.break_glass WHERE account = 'nurse' LIMIT 1"
        )
        now = int(time.time() * 1000)
        owner.execute(copied, (secrets.token_hex(8), now, now + 600_000))
        night.breaks("day-nurse", "ana")
        owner.execute("UPDATE hygie.break_glass SET ends_ms = ends_ms + 86400000 WHERE account = 'nurse'")
    assert night.reads("day-nurse", f"Patient/{bea}").status == 404
    assert night.reads("nurse", f"Patient/{bea}").status == 404
    denied = psycopg.errors.InsufficientPrivilege
    for statement in ("UPDATE hygie.break_glass SET ends_ms = 0", "DELETE FROM hygie.break_glass_review"):
        with psycopg.connect(dsns.hosting) as hosting, pytest.raises(denied):
            hosting.execute(statement.encode())


def test_a_review_written_by_sql_answers_for_nothing_and_hides_nothing(night: Night) -> None:
    reviewed, waiting = night.breaks("nurse").json["id"], night.breaks("nurse").json["id"]
    fine = {"verdict": "justified", "why": "garde"}
    assert night.house.door("rita", "POST", f"break-glass/{reviewed}/review", fine).status == 200
    with psycopg.connect(dsns_of(load_settings(night.ward.made.data), DataFolder(night.ward.made.data)).owner) as owner:
        copied = (
            "INSERT INTO hygie.break_glass_review SELECT %s, verdict, reviewed_by, reviewed_ms, why, mac"
            " FROM hygie.break_glass_review WHERE opening = %s"
        )
        owner.execute(copied, (waiting, reviewed))
    states = {one["id"]: one["state"] for one in night.listed("rita")}
    assert (states[reviewed], states[waiting]) == ("justified", "waiting")
    answered = {one["id"]: one["answered"] for one in access_facts(night.ward.made).exceptions}
    assert (answered[reviewed], answered[waiting]) == (True, False)


def test_an_opening_ends_and_one_that_nobody_reviewed_is_overdue(night: Night) -> None:
    id_ = night.breaks("nurse", minutes=1).json["id"]

    async def listed() -> list[Opening]:
        async with (
            open_house(night.ward.made.data) as house,
            open_administration(house, "local:test") as acts,
            opened(house.dsns.owner, size=1) as owner,
        ):
            journal = JournalWriter(owner, house.month_keys, house.clock)
            glass = BreakGlass(owner, kms=house.kms, journal=journal, clock=house.clock)
            return await glass.listing((await acts.environment("chu", "prod")).place)

    (one,) = [each for each in asyncio.run(listed()) if each.id == id_]
    assert one.ends_ms - one.opened_ms == 60_000
    assert last_verdicts(night.ward.made, id_) == [Verdict.SATISFIED, Verdict.UNSATISFIED]
    for at_ms, open_ in (
        (one.opened_ms - 1, False),
        (one.opened_ms, True),
        (one.ends_ms - 1, True),
        (one.ends_ms, False),
    ):
        assert (opened_outside([one], "BTG", at_ms) is not None) == open_
    assert opened_outside([one], "TREAT", one.opened_ms) is None


def test_who_breaks_it_again_and_again_or_without_cause_is_noticed(night: Night) -> None:
    made = night.ward.made
    assert noticed(made, "glass-abuse", account="nurse")["level"] == "high"
    assert noticed(made, "glass-unjustified")["level"] == "high"
