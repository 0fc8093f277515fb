"""Records and schemas made up for one test, without a database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from hygie.proof.controls.conditions import Reader, Snapshot
from hygie.proof.controls.model import Condition, RegisterCheck
from hygie.registers.chain import RecordVersion
from hygie.registers.schema import FORMAT, Schemas, read_schema

NOON_MS = int(datetime(2026, 11, 27, 11, tzinfo=UTC).timestamp() * 1000)
HEAD = """
format = "{format}"
id = "{id}"
version = 1
fr = "Fr {id}"
en = "En {id}"
about_fr = "Essai."
about_en = "Trial."
prefix = "{prefix}"
owner = "rssi"
title_field = "name"
tenant = "optional"
"""
MAKER = (
    HEAD.format(format=FORMAT, id="maker", prefix="MAK")
    + """
states = [
  { id = "open", fr = "Ouvert", en = "Open", to = ["shut"] },
  { id = "shut", fr = "Fermé", en = "Shut", closed = true },
]
fields = [
  { id = "name", type = "text", fr = "Nom", en = "Name" },
  { id = "country", type = "country", fr = "Pays", en = "Country" },
  { id = "ends_on", type = "date", fr = "Fin", en = "Ends on" },
  { id = "activities", type = "activities", fr = "Activités", en = "Activities" },
]
"""
)
DEAL = (
    HEAD.format(format=FORMAT, id="deal", prefix="DEA")
    + """
due_field = "due_on"
states = [
  { id = "open", fr = "Ouvert", en = "Open", to = ["shut"] },
  { id = "shut", fr = "Fermé", en = "Shut", closed = true },
]
fields = [
  { id = "name", type = "text", fr = "Nom", en = "Name" },
  { id = "maker", type = "reference", target = "maker", fr = "Fabricant", en = "Maker" },
  { id = "makers", type = "references", target = "maker", fr = "Fabricants", en = "Makers" },
  { id = "due_on", type = "date", fr = "Échéance", en = "Due on" },
  { id = "asked_at", type = "instant", fr = "Demandé", en = "Asked at" },
  { id = "done_at", type = "instant", fr = "Fait", en = "Done at" },
  { id = "days", type = "integer", fr = "Jours", en = "Days" },
  { id = "score", type = "decimal", fr = "Note", en = "Score" },
  { id = "fine", type = "boolean", fr = "Bon", en = "Fine" },
  { id = "activities", type = "activities", fr = "Activités", en = "Activities" },
  { id = "tags", type = "texts", fr = "Mots", en = "Tags" },
]

[[clocks]]
id = "answer"
fr = "Réponse"
en = "Answer"
from = "asked_at"
delay = "PT24H"
done = "done_at"
who = "host"
status = "promise"
source_fr = "Essai"
source_en = "Trial"
"""
)
SCHEMAS = Schemas({one.id: one for one in (read_schema(MAKER, "maker"), read_schema(DEAL, "deal"))})


def record(
    register: str, key: str, fields: Mapping[str, Any], *, state: str = "open", tenant: str = ""
) -> RecordVersion:
    """One record as stored, written at noon."""
    return RecordVersion(1, register, key, 1, NOON_MS, "local:anne", "", tenant, state, "", dict(fields))


def deal(key: str = "DEA-0001", *, state: str = "open", tenant: str = "", **fields: Any) -> RecordVersion:
    return record("deal", key, fields, state=state, tenant=tenant)


def maker(key: str = "MAK-0001", *, state: str = "open", **fields: Any) -> RecordVersion:
    return record("maker", key, fields, state=state)


def snapshot(*records: RecordVersion, now_ms: int = NOON_MS, tenants: Sequence[str] = ()) -> Snapshot:
    """The registers that hold these records."""
    by_register: dict[str, list[RecordVersion]] = {}
    for one in records:
        by_register.setdefault(one.register, []).append(one)
    return Snapshot(by_register, now_ms, tenants)


def holds(condition: Condition, one: RecordVersion, *others: RecordVersion, now_ms: int = NOON_MS) -> bool:
    """Whether a record meets a condition."""
    return Reader(snapshot(one, *others, now_ms=now_ms), SCHEMAS, SCHEMAS[one.register]).holds(one, condition)


def check(rule: Any, **given: Any) -> RegisterCheck:
    """A check on deals."""
    words = dict.fromkeys(("fr", "en", "proves_fr", "proves_en", "none_fr", "none_en"), "mots")
    return RegisterCheck(
        **{
            "id": "deal.x",
            **words,
            "register": "deal",
            "rule": rule,
            "owner": "rssi",
            "remedy_fr": "Faire : hygie register add deal",
            "remedy_en": "Do: hygie register add deal",
            **given,
        }
    )
