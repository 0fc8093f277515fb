"""The catalogue's statements take the index they were written for, planned once for every value (docs/adr/0011).

The statements are those that the code sends, to a connection that explains instead of answering.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import psycopg
import pytest

from hygie.database.cluster import Dsns
from hygie.database.environments import create_environment_schema
from hygie.database.hot import _dollar
from hygie.database.pool import PLAN_OPTIONS
from hygie.vault import candidates, catalogue, set_rows, upkeep_rows
from hygie.vault.candidates import WHOLE
from hygie.vault.patient_sets import Opened

ROLE = "hygie_env_1"
OBJECTS = 20_000  # of 10 types and 500 patients; one in twenty is an older version
FREQUENT, RARE, RARER = 1, 1_000_000, 1_000_001
TYPES = {bytes: "bytea", int: "bigint", bool: "boolean", str: "text"}
FILL = f"""
INSERT INTO compartment (id, kind, subject, epoch, wrap, pack)
  SELECT decode(lpad(to_hex(n), 32, '0'), 'hex'), 1, decode('ff' || lpad(to_hex(n), 30, '0'), 'hex'), 1, '\\x00', 1
  FROM generate_series(1, 500) n;
INSERT INTO pack SELECT n, '\\x00', 1, 100, n * 1000 FROM generate_series(1, {OBJECTS // 100}) n;
INSERT INTO object SELECT decode(lpad(to_hex(n), 32, '0'), 'hex'), 1, n % 10,
    decode(lpad(to_hex(n % 500 + 1), 32, '0'), 'hex'), n / 100 * 1048576 + n, 0, 100, n, n % 20 > 0, n % 97 = 0,
    CASE WHEN n % 20 > 0 THEN ARRAY[{FREQUENT}, 10 + n % 10, 100 + n % 500, {RARE} + n, 5000000 + n / 3] END
  FROM generate_series(1, {OBJECTS}) n;
INSERT INTO group_member SELECT decode('ff' || lpad(to_hex(n), 30, '0'), 'hex'),
    decode(lpad(to_hex(n % 3), 32, '0'), 'hex'), 0, 1::bigint << 62, '\\x00' FROM generate_series(1, 500) n;
INSERT INTO compartment_member SELECT decode(lpad(to_hex(n % 500 + 1), 32, '0'), 'hex'),
    decode('ff' || lpad(to_hex(n % 400 + n / 400), 30, '0'), 'hex') FROM generate_series(1, 2000) n;
"""


class Explaining:
    """Plans what it is asked to run, once for every value, and remembers the plan's nodes."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self.nodes: list[tuple[str, str]] = []  # (kind of node, index or table)

    async def execute(self, statement: str, values: Any = ()) -> Explaining:
        types = ", ".join(_type(value) for value in values)
        text = _dollar(statement).decode()
        self._connection.execute(f"PREPARE one ({types}) AS {text}" if types else f"PREPARE one AS {text}")
        marks = f"({', '.join(['%s'] * len(values))})" if values else ""
        with psycopg.ClientCursor(self._connection) as cursor:
            row = cursor.execute(f"EXPLAIN (FORMAT JSON) EXECUTE one {marks}", values).fetchone()
        self._connection.execute("DEALLOCATE one")
        assert row is not None
        self._note(row[0][0]["Plan"])
        return self

    def _note(self, plan: dict[str, Any]) -> None:
        self.nodes.append((plan["Node Type"], plan.get("Index Name") or plan.get("Relation Name") or ""))
        for below in plan.get("Plans", ()):
            self._note(below)

    async def fetchall(self) -> list[Any]:
        return []

    async def fetchone(self) -> tuple[int, int]:
        return 0, 0


def _type(value: Any) -> str:
    return TYPES[type(value[0])] + "[]" if isinstance(value, list) else TYPES[type(value)]


@pytest.fixture(scope="module")
def filled(new_database: Callable[[], Dsns]) -> Iterator[psycopg.Connection[Any]]:
    """A catalogue of the shape of a hospital's, analysed, seen as a hosting process sees it."""
    dsns = new_database()
    asyncio.run(create_environment_schema(dsns.owner, ROLE))
    with psycopg.connect(dsns.owner, autocommit=True) as owner:
        owner.execute(f"SET search_path = {ROLE}".encode())
        for statement in filter(str.strip, FILL.split(";\n")):
            owner.execute(statement.encode())
        owner.execute("VACUUM ANALYZE")
    with psycopg.connect(dsns.hosting, options=PLAN_OPTIONS, autocommit=True) as hosting:
        hosting.execute(f"SET ROLE {ROLE}; SET search_path = {ROLE}".encode())
        assert hosting.execute("SHOW plan_cache_mode").fetchone() == ("force_generic_plan",)
        yield hosting


OPENED = Opened([bytes(15) + b"\x01"], [bytes(15) + b"\x02"], 5)
ID, SUBJECT, COMPARTMENT = bytes(15) + b"\x07", b"\xff" + bytes(14) + b"\x07", bytes(15) + b"\x07"
ONE, BOTH, EITHER = [[RARE]], [[FREQUENT], [RARE]], [[RARE, RARER]]

Asked = Callable[[Any], Awaitable[Any]]
CASES: dict[str, tuple[Asked, str]] = {
    "one rare term": (lambda c: candidates.probe(c, ONE, limit=2001), "object_tokens"),
    "a rare and a frequent term": (lambda c: candidates.probe(c, BOTH, limit=2001), "object_tokens"),
    "one of two terms": (lambda c: candidates.probe(c, EITHER, limit=2001), "object_tokens"),
    "a type, newest first": (lambda c: candidates.walk(c, [3], [], limit=51, budget=20_000), "object_type"),
    "a type, oldest first": (
        lambda c: candidates.walk(c, [3], [], limit=51, budget=20_000, ascending=True),
        "object_type",
    ),
    "a frequent term": (lambda c: candidates.walk(c, [3], [[FREQUENT]], limit=51, budget=20_000), "object_type"),
    "current rows, to write": (lambda c: catalogue.current_rows(c, [ID]), "object_pkey"),
    "current rows, to read": (lambda c: catalogue.located_current(c, [ID]), "object_pkey"),
    "versions": (lambda c: catalogue.located_versions(c, [(ID, 1)]), "object_pkey"),
    "a patient's rows": (lambda c: candidates.of_patient(c, SUBJECT, [], [], limit=51), "object_compartment"),
    "a patient's rows of a type": (
        lambda c: candidates.of_patient(c, SUBJECT, [3], [[FREQUENT]], limit=51),
        "object_compartment",
    ),
    "an object's history": (
        lambda c: candidates.history(c, object_id=ID, type_=None, limit=51, before=WHOLE.before, since_ms=0),
        "object_pkey",
    ),
    "a type's history": (
        lambda c: candidates.history(c, object_id=None, type_=3, limit=51, before=WHOLE.before, since_ms=0),
        "object_type",
    ),
    "a slice of an export": (
        lambda c: catalogue.export_rows(c, (COMPARTMENT, 7), 100_000, limit=512),
        "object_compartment",
    ),
    "a rare term, for a limited permit": (
        lambda c: candidates.probe(c, ONE, limit=2001, opened=OPENED),
        "object_tokens",
    ),
    "a type, for a limited permit": (
        lambda c: candidates.walk(c, [3], [[FREQUENT]], limit=51, budget=20_000, opened=OPENED),
        "object_type",
    ),
    "current rows, for a limited permit": (lambda c: catalogue.located_current(c, [ID], OPENED), "object_pkey"),
    "versions, for a limited permit": (lambda c: catalogue.located_versions(c, [(ID, 1)], OPENED), "object_pkey"),
    "a patient's rows, for a limited permit": (
        lambda c: candidates.of_patient(c, SUBJECT, [3], [], limit=51, opened=OPENED),
        "object_compartment",
    ),
    "a small set's rows": (
        lambda c: candidates.of_set(c, OPENED, COMPARTMENT, [3], [[FREQUENT]], limit=51),
        "object_compartment",
    ),
    "whether a set is small": (
        lambda c: set_rows.is_small(c, OPENED, COMPARTMENT, window=WHOLE, rows_max=20_000),
        "object_compartment",
    ),
    "a type's history, for a limited permit": (
        lambda c: candidates.history(
            c, object_id=None, type_=3, limit=51, before=WHOLE.before, since_ms=0, opened=OPENED, budget=20_000
        ),
        "object_type",
    ),
    "what an erasure protects": (lambda c: upkeep_rows.count_objects(c, COMPARTMENT), "object_compartment"),
    "a slice of a purge": (
        lambda c: upkeep_rows.purge_erased(c, COMPARTMENT, 1, limit=5_000),
        "object_compartment",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_right_index_and_no_walk_of_the_table(filled: psycopg.Connection[Any], case: str) -> None:
    asked, index = CASES[case]
    explaining = Explaining(filled)
    asyncio.run(asked(explaining))  # type: ignore[arg-type]
    assert index in [name for _, name in explaining.nodes], explaining.nodes
    kinds = {kind for kind, name in explaining.nodes if name == "object"}
    assert "Seq Scan" not in kinds, explaining.nodes
    for table in ("group_member", "compartment_member"):
        assert ("Seq Scan", table) not in explaining.nodes, explaining.nodes
    # a hash of all patients costs a search 0.2 microseconds a patient of the environment
    assert ("Seq Scan", "compartment") not in explaining.nodes, explaining.nodes
    assert not {"Hash Join", "Merge Join"} & set(dict(explaining.nodes)), explaining.nodes
    if index == "object_tokens":  # an order would let the planner walk rows for a term that it believes frequent
        assert kinds == {"Bitmap Heap Scan"}, explaining.nodes
        assert "Sort" not in dict(explaining.nodes), explaining.nodes
