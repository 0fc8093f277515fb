"""An installation with two patients, two sets of one each, and accounts that are limited to one of them."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from hygie.app import dsns_of
from hygie.base.layout import DataFolder
from hygie.base.settings import load_settings
from tests.acceptance.conftest import Answer, Installation, new_installation
from tests.attack.installation import ask, connected, populate

FHIR = "/chu/prod/fhir/"
ROLE = "hygie_env_1"
GRANT = ("--role", "application", "--reason", "attack", "--approver", "chief")
HIDDEN, SHOWN = "Beatrixhidden", "Anashown"


@dataclass
class Ward:
    """The installation, its tokens by account, and the ids of what is in it."""

    made: Installation
    tokens: dict[str, str] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)

    def account(self, name: str, *limits: str) -> None:
        self.made.hygie("account", "create", name, "--kind", "application")
        self.made.hygie("habilitation", "grant", name, "chu", "prod", *GRANT, *limits)
        self.tokens[name] = self.made.hygie("token", "create", name, "chu", "prod", "--exception", "a test of attacks")[
            "token"
        ]

    def ask(self, who: str, method: str, path: str, body: Any = None) -> Answer:
        return ask(self.made, FHIR + path, self.tokens[who], method=method, body=body)

    def make(self, name: str, resource: dict[str, Any], who: str = "app") -> str:
        answer = self.ask(who, "POST", resource["resourceType"], resource)
        assert answer.status == 201, answer.body
        self.ids[name] = answer.json["id"]
        return self.ids[name]

    def found(self, who: str, path: str) -> list[str]:
        """Ids of all pages of a search or a history."""
        ids: list[str] = []
        while path:
            answer = self.ask(who, "GET", path)
            assert answer.status == 200, answer.body
            assert who == "app" or HIDDEN not in json.dumps(answer.json.get("entry", ""))
            ids += [entry["resource"]["id"] for entry in answer.json.get("entry", ()) if "resource" in entry]
            following = [one["url"] for one in answer.json["link"] if one["relation"] == "next"]
            path = following[0].partition(FHIR)[2] if following else ""
        return ids

    def set_members(self, *members: dict[str, Any] | str, group: str = "ward", **fields: Any) -> Answer:
        listed = [
            {"entity": {"reference": f"Patient/{self.ids[one]}"}} if isinstance(one, str) else one for one in members
        ]
        body = {"resourceType": "Group", "id": group, "type": "person", "actual": True, "member": listed} | fields
        answer = self.ask("app", "PUT", f"Group/{group}", body)
        assert answer.status in {200, 201}, answer.body
        return answer

    def sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """One statement as the environment's own role, in its schema."""
        dsns = dsns_of(load_settings(self.made.data), DataFolder(self.made.data))
        with psycopg.connect(dsns.hosting, autocommit=True) as connection:
            connection.execute(f"SET ROLE {ROLE}; SET search_path = {ROLE}".encode())
            cursor = connection.execute(statement.encode(), values)
            return cursor.fetchall() if cursor.description else []


@contextmanager
def open_ward() -> Iterator[Ward]:
    """Made, and removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="hygie-x-"))
    made = new_installation(folder)
    try:
        made.up()
        populate(made)
        one = Ward(made, {"app": made.token})
        one.account("ward", "--patients", "Group/ward")
        one.account("other", "--patients", "Group/other")
        one.account("carer", "--purpose", "TREAT", "--purpose", "ETREAT")
        for name, family in (("ana", SHOWN), ("bea", HIDDEN)):
            id_ = one.make(name, {"resourceType": "Patient", "name": [{"family": family}], "active": True})
            one.make(f"{name}-pulse", observation(id_, "pulse", name))
            one.make(f"{name}-later", observation(id_, "weight", f"{name}-2"))
        one.make("doctor", {"resourceType": "Practitioner", "name": [{"family": "Care"}]})
        one.make("shared", appointment(one, "ana", "bea"))
        one.make("mine", appointment(one, "ana"))
        one.set_members("ana")
        one.set_members("bea", group="other")
        yield one
    finally:
        with suppress(OSError):
            made.down()
        shutil.rmtree(folder, ignore_errors=True)


def observation(patient: str, code: str, identifier: str = "some", **more: Any) -> dict[str, Any]:
    made = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://x.example", "code": code}]},
        "subject": {"reference": f"Patient/{patient}"},
        "identifier": [{"system": "http://i.example", "value": identifier}],
    }
    return made | more


def appointment(ward: Ward, *names: str) -> dict[str, Any]:
    participants = [{"actor": {"reference": f"Patient/{ward.ids[name]}"}, "status": "accepted"} for name in names]
    return {"resourceType": "Appointment", "status": "booked", "participant": participants}


def member(ward: Ward, name: str, **fields: Any) -> dict[str, Any]:
    return {"entity": {"reference": f"Patient/{ward.ids[name]}"}} | fields


def streamed(ward: Ward, who: str, patient: str) -> Answer:
    connection = connected(ward.made)
    headers = {
        "Authorization": f"Bearer {ward.tokens[who]}",
        "Content-Type": "application/pdf",
        "X-Security-Context": f"Patient/{patient}",
    }
    try:
        connection.request("POST", FHIR + "Binary", b"%PDF" * 1000, headers)
        answer = connection.getresponse()
        return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
    finally:
        connection.close()
