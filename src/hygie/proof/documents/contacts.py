"""The list of contacts that the authority may ask for at any time (HDS v2, EXI 11): for each client, who can appoint a
health professional entitled to reach the data. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from hygie.proof.documents.model import Inputs
from hygie.proof.documents.sheets import Workbook
from hygie.proof.documents.words import Words, civil_day, utc
from hygie.registers.chain import RecordVersion

FORMAT = "hygie contact list 1"
ROLE = "appoint"
_FIELDS = (
    *("name", "organisation", "function", "email", "phone", "hours", "professional", "professional_rpps"),
    *("appointed_on", "confirmed_on", "next_confirmation_on"),
)


def contact_list_json(inputs: Inputs) -> bytes:
    """The list as JSON: clients in order, each with its contacts; ``without``: clients that have none."""
    listed = [_plain(one, inputs) for one in _contacts(inputs)]
    whole = {
        "format": FORMAT,
        "as_of": utc(inputs.at_ms),
        "origin": inputs.installation.origin,
        "demonstration": inputs.demonstration,
        "contacts": listed,
        "without": sorted(_clients(inputs) - {one["client"] for one in listed}),
    }
    return msgspec.json.format(msgspec.json.encode(whole, order="sorted"), indent=1) + b"\n"


def contact_list_sheet(inputs: Inputs) -> bytes:
    """The list as a spreadsheet."""
    words, schema = Words(inputs.language), inputs.schemas["client-contact"]
    fields = [field for name in _FIELDS if (field := schema.field(name)) is not None]
    book = Workbook(inputs, words.say("Liste des contacts (EXI 11)", "Contact list (EXI 11)"))
    columns = [(words.say("Client", "Client"), 18), *((words.label(field), 24) for field in fields)]
    rows = [
        [one.tenant, *(words.value(field, one.fields.get(field.id)) for field in fields)] for one in _contacts(inputs)
    ]
    book.sheet(words.say("Contacts", "Contacts"), columns, rows)
    listed = {one.tenant for one in _contacts(inputs)}
    without = [[name] for name in sorted(_clients(inputs) - listed)]
    book.sheet(words.say("Clients sans contact", "Clients without one"), [(words.say("Client", "Client"), 30)], without)
    return book.done()


def contact_count(inputs: Inputs) -> int:
    """How many contacts the list holds."""
    return len(_contacts(inputs))


def _contacts(inputs: Inputs) -> list[RecordVersion]:
    chosen = (
        one for one in inputs.records.get("client-contact", ()) if one.state == "active" and ROLE in one.fields["roles"]
    )
    return sorted(chosen, key=lambda one: (one.tenant, one.key))


def _clients(inputs: Inputs) -> set[str]:
    """Clients that a contract, a contact or an open service names."""
    return set(_named(inputs))


def _named(inputs: Inputs) -> Iterator[str]:
    for register in ("contract", "client-contact"):
        schema = inputs.schemas[register]
        yield from (one.tenant for one in inputs.records.get(register, ()) if not schema.state(one.state).closed)
    for one in inputs.records.get("service", ()):
        if one.state == "open":
            yield from one.fields.get("tenants", ())


def _plain(record: RecordVersion, inputs: Inputs) -> dict[str, Any]:
    said = {name: record.fields[name] for name in _FIELDS if name in record.fields}
    late = str(record.fields["next_confirmation_on"]) < civil_day(inputs.at_ms).isoformat()
    return {"client": record.tenant, "record": record.key, "version": record.version, "confirmation_late": late} | said
