"""Registers on a fresh database, with a journal whose month key is known."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg

from hygie.database.cluster import Dsns
from hygie.journal.entry import Entry, open_entry, seal_entry
from hygie.registers.engine import Registers
from hygie.registers.orm import bound
from hygie.registers.schema import FORMAT, Schemas, read_schema

KEY = bytes(range(32))
START_MS = 1_764_000_000_000

# Small on purpose: a register of suppliers and one of their contracts, with every rule that schemas can state.
SUPPLIER = f"""
format = "{FORMAT}"
id = "maker"
version = 1
fr = "Fournisseurs"
en = "Makers"
about_fr = "Essai."
about_en = "Trial."
prefix = "MAK"
owner = "rssi"
title_field = "name"
states = [
  {{ id = "draft", fr = "Projet", en = "Draft", to = ["approved", "closed"] }},
  {{ id = "approved", fr = "Approuvé", en = "Approved", approval = true, to = ["closed"] }},
  {{ id = "closed", fr = "Clos", en = "Closed", closed = true }},
]
fields = [
  {{ id = "name", type = "text", fr = "Nom", en = "Name", required = true, max = 40 }},
  {{ id = "country", type = "country", fr = "Pays", en = "Country", required_in = ["approved"] }},
  {{ id = "activities", type = "activities", fr = "Activités", en = "Activities" }},
  {{ id = "amount", type = "decimal", fr = "Montant", en = "Amount", min = 0 }},
  {{ id = "note", type = "longtext", fr = "Note", en = "Note" }},
]
"""
CONTRACT = f"""
format = "{FORMAT}"
id = "deal"
version = 1
fr = "Contrats"
en = "Deals"
about_fr = "Essai."
about_en = "Trial."
prefix = "DEA"
owner = "dpo"
title_field = "number"
key_field = "number"
tenant = "required"
states = [{{ id = "open", fr = "Ouvert", en = "Open" }}]
fields = [
  {{ id = "number", type = "text", fr = "Numéro", en = "Number", required = true }},
  {{ id = "maker", type = "reference", target = "maker", fr = "Fournisseur", en = "Maker", required = true }},
  {{ id = "signed_on", type = "date", fr = "Signé le", en = "Signed on" }},
]
"""


class Hand:
    """A clock that a test holds."""

    def __init__(self) -> None:
        self.ms = START_MS

    def now_ms(self) -> int:
        return self.ms


class Sealing:
    """Journal entries under a key that the test knows."""

    def leaf(self, entry: Entry) -> bytes:
        return seal_entry(entry, month_key=KEY)


@dataclass
class Stage:
    """dsns: of the database; clock: to be set."""

    dsns: Dsns
    registers: Registers
    clock: Hand = field(default_factory=Hand)

    def journal(self) -> list[Entry]:
        """What waits in the journal, oldest first."""
        with psycopg.connect(self.dsns.owner) as owner:
            rows = owner.execute("SELECT leaf FROM hygie.journal_pending ORDER BY id").fetchall()
        return [open_entry(row[0], month_key=KEY) for row in rows]

    def spoil(self, statement: str) -> None:
        """Do what only the database's owner can."""
        with psycopg.connect(self.dsns.owner) as owner:
            owner.execute(statement.encode())


def small_schemas() -> Schemas:
    return Schemas({one.id: one for one in (read_schema(SUPPLIER, "maker"), read_schema(CONTRACT, "deal"))})


@contextmanager
def staged(dsns: Dsns, *, author: str = "local:anne") -> Iterator[Stage]:
    """Registers bound to a database."""
    clock = Hand()
    with bound(dsns.console):
        yield Stage(dsns, Registers(Sealing(), clock, author, small_schemas()), clock)
