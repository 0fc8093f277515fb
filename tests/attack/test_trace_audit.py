"""The audit of traces, against rows that somebody wrote so that an access looks as if it had its right."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from hygie.app import dsns_of
from hygie.base.layout import DataFolder
from hygie.base.roles import Role
from hygie.base.settings import load_settings
from hygie.cli.acts import operator_name
from hygie.gate.narrowing import Limits
from tests.attack.installation import ask
from tests.attack.test_gate_doors import act
from tests.attack.test_two_persons import House
from tests.attack.ward import FHIR, Ward, open_ward


@dataclass
class Audited:
    ward: Ward
    house: House
    reports: Path

    def reads(self, who: str, name: str, *, purpose: str = "TREAT") -> None:
        path = f"{FHIR}Patient/{self.ward.ids[name]}"
        assert ask(self.ward.made, path, self.ward.tokens[who], purpose=purpose).status == 200

    def reasons(self) -> dict[str, set[str]]:
        """By account, why reads of patients and acts on the machine are to be explained."""
        made = self.ward.made
        made.journal_published()
        report = self.reports / f"{secrets.token_hex(4)}.csv"
        words = ("traces", "audit", "chu", "--seed", "dice 4 2 6 1", "--sample", "10000", "--to", str(report))
        made.hygie(*words)
        found: dict[str, set[str]] = {}
        for line in report.read_text().splitlines()[1:]:
            cells = [cell.strip('"') for cell in line.split('";"')]
            if cells[3] == "object:read" or cells[2].startswith("local:"):
                found.setdefault(cells[2], set()).add(cells[-1])
        return found

    def sql(self, statement: str, *values: Any) -> None:
        """One statement as the owner of the tables."""
        dsns = dsns_of(load_settings(self.ward.made.data), DataFolder(self.ward.made.data))
        with psycopg.connect(dsns.owner, autocommit=True) as owner:
            assert owner.execute(statement.encode(), values).rowcount == 1


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Audited]:
    """Nurses of a ward and what they read: by right, by right that is withdrawn since, by break-glass."""
    with open_ward() as ward:
        made = ward.made
        person = {"kind": "person", "label": "", "professional_id": "", "days": 30, "tenant": "chu"}
        how = {"reason": "named by the client", "approver": "client.contact", "days": 30}
        care = how | {"role": Role.CAREGIVER, "limits": Limits(patients=frozenset({"Group/ward"}))}
        nurses = ("nurse", "night-nurse", "day-nurse")
        act(
            made,
            *(("create_account", (name,), person) for name in (*nurses, "rita")),
            *(("grant", (name, "chu", "prod"), care) for name in nurses),
            ("grant", ("rita", "chu", "prod"), how | {"role": Role.RIGHTS_OFFICER}),
        )
        for name in (*nurses, "rita"):
            ward.tokens[name] = made.hygie("token", "create", name, "chu", "prod")["token"]
        one = Audited(ward, House(made, ward.tokens), tmp_path_factory.mktemp("reports"))
        for name in nurses:
            one.reads(name, "ana")
        bea = {"patient": f"Patient/{ward.ids['bea']}", "motive": "on-call", "minutes": 30}
        opened = one.house.door("nurse", "POST", "break-glass", bea)
        assert opened.status == 201
        one.reads("nurse", "bea", purpose="BTG")
        review = {"verdict": "justified", "why": "garde"}
        assert one.house.door("rita", "POST", f"break-glass/{opened.json['id']}/review", review).status == 200
        rights = {row["account"]: row["id"] for row in made.hygie("habilitation", "list")}
        made.hygie("habilitation", "revoke", rights["night-nurse"])
        yield one


def test_accesses_by_right_are_justified_those_of_a_right_that_ended_since_too(audited: Audited) -> None:
    found = audited.reasons()
    assert {name: found[name] for name in ("nurse", "night-nurse", "day-nurse")} == {
        "nurse": {""},
        "night-nurse": {""},
        "day-nurse": {""},
    }
    assert "act of operations without a raised right" in found[operator_name()]


def test_a_raised_right_that_somebody_planted_justifies_no_act(audited: Audited) -> None:
    operator = operator_name()
    what = f'{{"account":"{operator}","emergency":"yes","minutes":"60","ticket":"T-1"}}'
    asked_ms = int(time.time() * 1000) - 1_200_000
    for id_, verdict in ((secrets.token_hex(8), ""), (secrets.token_hex(8), "approved")):
        audited.sql(
            "INSERT INTO hygie.request (id, act, tenant, environment, what, subject, reason, asked_by, asked_ms,"
            " ends_ms, mac) VALUES (%s, 'right:raise', %s, %s, %s, '', 'why', %s, %s, 9999999999999, %s)",
            *(id_, bytes(16), bytes(16), what, operator, asked_ms, secrets.token_bytes(32)),
        )
        if verdict:
            audited.sql(
                "INSERT INTO hygie.decision (request, verdict, decided_by, decided_ms, why, mac)"
                " VALUES (%s, %s, 'sara', %s, '', %s)",
                *(id_, verdict, asked_ms, secrets.token_bytes(32)),
            )
    assert "act of operations without a raised right" in audited.reasons()[operator]


def test_a_row_of_a_right_that_is_not_as_it_was_granted_justifies_no_access(audited: Audited) -> None:
    """One that lives, and one that was withdrawn, whose row has no MAC any more."""
    for name in ("day-nurse", "night-nurse"):
        audited.sql("UPDATE hygie.habilitation SET ends_ms = ends_ms + 1 WHERE account = %s", name)
        assert audited.reasons()[name] == {"no habilitation that lived at that instant"}
        audited.sql("UPDATE hygie.habilitation SET ends_ms = ends_ms - 1 WHERE account = %s", name)
        assert audited.reasons()[name] == {""}
    audited.sql("UPDATE hygie.habilitation SET id = 'feedfeedfeedfeed' WHERE account = 'day-nurse'")
    assert audited.reasons()["day-nurse"] == {"no habilitation that lived at that instant"}


def test_an_opening_or_a_review_that_somebody_planted_justifies_no_access(audited: Audited) -> None:
    audited.sql("UPDATE hygie.break_glass_review SET mac = %s", secrets.token_bytes(32))
    assert audited.reasons()["nurse"] == {"", "break-glass that nobody reviewed"}
    audited.sql("UPDATE hygie.break_glass SET motive = 'transfer'")
    assert audited.reasons()["nurse"] == {"", "break-glass without an opening"}
