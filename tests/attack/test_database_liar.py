"""The superuser of the database writes himself rights: the gate gives them nothing, status and journal name them."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from hygie.app import dsns_of
from hygie.base.actions import Action
from hygie.base.layout import DataFolder
from hygie.base.settings import load_settings
from tests.attack.installation import Installation, ask, attacked, entries

PATIENT = {"resourceType": "Patient", "name": [{"family": "Secretdejeanne"}]}
DAY_MS = 86_400_000
ROW = "SELECT * FROM hygie.{} WHERE id = %s"


class Liar:
    """Whoever holds the database whole, and no key."""

    def __init__(self, made: Installation) -> None:
        folder = DataFolder.at(made.data)
        dsn = dsns_of(load_settings(folder.path), folder).owner
        self.session = psycopg.connect(dsn, autocommit=True)

    def sql(self, statement: str, *values: object) -> None:
        self.session.execute(statement.encode(), values)

    def row(self, table: str, id_: str) -> dict[str, Any]:
        cursor = self.session.execute(ROW.format(table).encode(), (id_,))
        (row,) = cursor.fetchall()
        return dict(zip([column.name for column in cursor.description or ()], row, strict=True))

    def put(self, table: str, row: dict[str, Any]) -> None:
        names = ", ".join(row)
        holes = ", ".join(["%s"] * len(row))
        self.sql(f"INSERT INTO hygie.{table} ({names}) VALUES ({holes})", *row.values())


@pytest.fixture(scope="module")
def town() -> Iterator[tuple[Installation, Liar, str]]:
    with attacked() as made:
        created = made.fhir("POST", "Patient", PATIENT)
        assert created.status == 201
        liar = Liar(made)
        yield made, liar, f"/chu/prod/fhir/Patient/{created.json['id']}"
        liar.session.close()


def refused(made: Installation, path: str, token: str) -> None:
    answer = ask(made, path, token)
    assert (answer.status, answer.code) in {(401, "HYG-260"), (403, "HYG-200")}


def test_what_commands_gave_is_borne_out(town: tuple[Installation, Liar, str]) -> None:
    made, _, path = town
    assert made.token is not None
    assert ask(made, path, made.token).status == 200
    found = made.hygie("journal", "reconcile")
    assert (found["wrong"], found["cut"], found["orphans"]) == ([], [], [])
    assert found["rights"] >= 3


def test_rights_written_by_sql_give_nothing_and_are_named(town: tuple[Installation, Liar, str]) -> None:
    made, liar, path = town
    now = time.time_ns() // 1_000_000
    (environment,) = liar.session.execute("SELECT id FROM hygie.environment WHERE name = 'prod'").fetchall()[0]
    later = now + DAY_MS
    liar.put("account", {"id": "ghost", "kind": "person", "label": "", "created_ms": now, "ends_ms": later})
    grant = {"id": "f" * 16, "account": "ghost", "environment": environment, "role": "reader", "reason": "mine"}
    grant |= {"approver": "app", "starts_ms": now, "ends_ms": later}
    liar.put("habilitation", grant)
    token = {"id": "e" * 16, "account": "ghost", "environment": environment, "created_ms": now, "expires_ms": later}
    liar.put("token", token | {"hash": hashlib.sha256(b"hyg_forged").digest()})
    refused(made, path, "hyg_forged")
    # the MAC of a true row under another one, and a token for a true account and its true habilitation
    true = liar.row("account", "app")
    liar.sql("UPDATE hygie.account SET mac = %s WHERE id = 'ghost'", true["mac"])
    more = token | {"id": "d" * 16, "account": "app", "hash": hashlib.sha256(b"hyg_other").digest()}
    liar.put("token", more)
    refused(made, path, "hyg_other")
    refused(made, path, "hyg_forged")
    assert ask(made, path, made.token).status == 200  # nobody else is in his way
    told = {name for entry in entries(made, action=Action.RIGHT_REFUSED) for name in entry.detail["rights"].split(", ")}
    names = {"account ghost", f"habilitation {'f' * 16}", f"token {'e' * 16}", f"token {'d' * 16}"}
    assert names <= {name.removesuffix(" (mac)") for name in told}
    refusal = made.hygie("journal", "reconcile", exit_code=50)
    assert refusal["error"]["code"] == "HYG-562"
    for table in ("token", "habilitation", "account"):
        liar.sql(f"DELETE FROM hygie.{table} WHERE id IN ('ghost', %s, %s, %s)", "f" * 16, "e" * 16, "d" * 16)
    assert made.hygie("journal", "reconcile")["wrong"] == []


@pytest.mark.parametrize(
    ("table", "column"),
    [("account", "ends_ms"), ("token", "expires_ms"), ("habilitation", "ends_ms"), ("account", "created_ms")],
)
def test_a_date_changed_by_sql_ends_the_right(town: tuple[Installation, Liar, str], table: str, column: str) -> None:
    made, liar, path = town
    assert made.token is not None
    change = f"UPDATE hygie.{table} SET {column} = {column} %s 1"
    liar.sql(change % "+")
    try:
        refused(made, path, made.token)
        assert made.hygie("journal", "reconcile", exit_code=50)["error"]["code"] == "HYG-562"
    finally:
        liar.sql(change % "-")
    assert ask(made, path, made.token).status == 200


@pytest.mark.parametrize(
    ("column", "value"), [("role", "application"), ("account", "app"), ("approver", "somebody"), ("reason", "better")]
)
def test_no_other_word_of_a_habilitation_can_be_changed(
    town: tuple[Installation, Liar, str], column: str, value: str
) -> None:
    made, liar, path = town
    if not liar.session.execute("SELECT 1 FROM hygie.account WHERE id = 'reader'").fetchall():
        made.hygie("account", "create", "reader", "--kind", "person")
        made.hygie("habilitation", "grant", "reader", "chu", "prod", "--role", "reader", "--reason", "attack",
                   "--approver", "chief")  # fmt: skip
    token = made.hygie("token", "create", "reader", "chu", "prod")["token"]
    (id_,) = liar.session.execute("SELECT id FROM hygie.habilitation WHERE account = 'reader'").fetchall()[0]
    before = liar.row("habilitation", id_)[column]
    assert ask(made, path, token).status == 200
    liar.sql(f"UPDATE hygie.habilitation SET {column} = %s WHERE id = %s", value, id_)
    try:
        refused(made, path, token)
    finally:
        liar.sql(f"UPDATE hygie.habilitation SET {column} = %s WHERE id = %s", before, id_)
    assert ask(made, path, token).status == 200


def test_a_revoked_token_does_not_live_again_by_sql(town: tuple[Installation, Liar, str]) -> None:
    made, liar, path = town
    given = made.hygie("token", "create", "app", "chu", "prod")
    kept = liar.row("token", given["id"])  # from a dump of before the revocation
    assert ask(made, path, given["token"]).status == 200
    made.hygie("token", "revoke", given["id"])
    liar.sql("UPDATE hygie.token SET revoked_ms = NULL WHERE id = %s", given["id"])
    refused(made, path, given["token"])
    # With the whole row of before, its MAC included, it lives: what remains, until the journal is compared.
    liar.sql("UPDATE hygie.token SET mac = %s WHERE id = %s", kept["mac"], given["id"])
    assert ask(made, path, given["token"]).status == 200
    refusal = made.hygie("journal", "reconcile", exit_code=50)
    assert refusal["error"]["code"] == "HYG-562"
    assert f"token {given['id']} (withdrawn)" in refusal["error"]["message"]
    liar.sql("UPDATE hygie.token SET revoked_ms = 1, mac = NULL WHERE id = %s", given["id"])
    refused(made, path, given["token"])
    assert made.hygie("journal", "reconcile")["wrong"] == []
