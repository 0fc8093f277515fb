"""A recorded contract against what the law asks for and what is true now: each clause present or missing, each value
that it quotes equal to the live one or not. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from hygie.proof.documents.actors import certificate_standing
from hygie.proof.documents.bindings import Client, active_transfers, client_of, risky_notes
from hygie.proof.documents.contract import contract_clauses
from hygie.proof.documents.model import Inputs
from hygie.proof.documents.words import Words, civil_day
from hygie.registers.chain import RecordVersion
from hygie.registers.errors import RegisterNotFoundError


@dataclass(frozen=True, slots=True)
class Quote:
    """One value. quoted: by the contract; live: by registers and settings; same: whether they agree, None when nothing
    live can be compared."""

    label: str
    quoted: str
    live: str
    same: bool | None


@dataclass(frozen=True, slots=True)
class Checked:
    """One clause. article: where the contract says that it is, empty when it is missing."""

    id: str
    title: str
    basis: str
    article: str
    quotes: tuple[Quote, ...]

    @property
    def holds(self) -> bool:
        """It is there, and nothing it quotes differs from what is true."""
        return bool(self.article) and all(one.same is not False for one in self.quotes)


def check_contract(inputs: Inputs, key: str) -> list[Checked]:
    """The 24 clauses of one contract, in order. Raises: RegisterNotFoundError: no such contract."""
    contract = next((one for one in inputs.records.get("contract", ()) if one.key == key), None)
    if contract is None:
        raise RegisterNotFoundError(name=f"contract {key[:80]}")
    quotes: dict[str, list[Quote]] = {}
    for clause, quote in _quotes(inputs, contract):
        quotes.setdefault(clause, []).append(quote)
    return [
        Checked(one.id, one.title, one.basis, str(contract.fields.get(one.id, "")), tuple(quotes.get(one.id, ())))
        for one in contract_clauses()
    ]


def _quotes(inputs: Inputs, contract: RecordVersion) -> Iterator[tuple[str, Quote]]:
    words = Words(inputs.language)
    client = client_of(inputs, contract.tenant, contract.key)
    yield from _on_certificate(inputs, contract, words)
    yield from _on_levels(inputs, contract, client, words)
    yield from _on_contact(inputs, contract, client, words)
    sites = [one.key for one in inputs.records.get("site", ()) if one.state == "active" and one.key in client.sites]
    yield "clause_3", _sets(words.say("Lieux", "Places"), contract.fields.get("sites", ()), sites)
    processors = [
        one.key
        for one in inputs.records.get("supplier", ())
        if one.key in client.suppliers and one.fields["role"] == "processor" and not _closed(inputs, one)
    ]
    yield (
        "clause_7",
        _sets(words.say("Sous-traitants", "Sub-processors"), contract.fields.get("suppliers", ()), processors),
    )
    transfers = [one.key for one in active_transfers(inputs, client)]
    yield (
        "clause_transfers",
        _sets(words.say("Transferts", "Transfers"), contract.fields.get("transfers", ()), transfers),
    )
    notes = [one.key for one in risky_notes(inputs, client)]
    label = words.say("Notes d'exposition", "Exposure notes")
    yield "clause_foreign_law", _sets(label, contract.fields.get("foreign_law_notes", ()), notes)


def _on_certificate(inputs: Inputs, contract: RecordVersion, words: Words) -> Iterator[tuple[str, Quote]]:
    key = contract.fields.get("certificate", "")
    record = next((one for one in inputs.records.get("certificate", ()) if one.key == key), None)
    label = words.say("Certificat", "Certificate")
    if record is None:
        yield "clause_1", Quote(label, key, "", same=False)
        return
    good, state = certificate_standing(record, inputs)
    yield "clause_1", Quote(label, str(record.fields["number"]), state, good)
    for name, live, fr, en in (
        ("certificate_issued_on", "issued_on", "Délivré le", "Issued on"),
        ("certificate_renewal_on", "expires_on", "À renouveler avant le", "To be renewed by"),
    ):
        yield "clause_1", _same(words.say(fr, en), contract.fields.get(name), record.fields[live])


def _on_levels(inputs: Inputs, contract: RecordVersion, client: Client, words: Words) -> Iterator[tuple[str, Quote]]:
    fields = contract.fields
    availability = _same(
        words.say("Disponibilité (%)", "Availability (%)"), fields.get("availability"), client.level("availability")
    )
    yield "clause_2", availability
    yield "clause_6", availability
    for name, label, promise_s in (
        ("dmia_min", "DMIA (min)", inputs.installation.rto_s),
        ("pdma_min", "PDMA (min)", inputs.installation.rpo_s),
    ):
        yield "clause_10", _same(label, fields.get(name), client.level(name))
        quoted = fields.get(name)
        kept = None if quoted is None else promise_s <= 60 * quoted
        platform = words.say("au moins ce que la plateforme promet", "no less than the platform promises")
        yield "clause_10", Quote(f"{label}, {platform}", _text(quoted), _text(promise_s // 60), kept)


def _on_contact(inputs: Inputs, contract: RecordVersion, client: Client, words: Words) -> Iterator[tuple[str, Quote]]:
    key = contract.fields.get("incident_contact", "")
    named = next((one for one in client.contacts if one.key == key), None)
    label = words.say("Référent incidents", "Incident contact")
    if named is None or "incident" not in named.fields["roles"]:
        live = client.contact("incident")
        yield "clause_5", Quote(label, key, live.key if live else "", same=False)
        return
    until = str(named.fields["next_confirmation_on"])
    yield "clause_5", Quote(label, f"{key} {named.fields['name']}", f"{key} {named.fields['name']}", same=True)
    fresh = until >= civil_day(inputs.at_ms).isoformat()
    yield "clause_5", Quote(words.say("À reconfirmer avant le", "To be confirmed again by"), key, until, fresh)


def _same(label: str, quoted: Any, live: Any) -> Quote:
    if live is None:
        return Quote(label, _text(quoted), "", None)
    equal = quoted == live
    if not equal and quoted is not None:
        try:
            equal = float(quoted) == float(live)
        except ValueError:
            equal = False
    return Quote(label, _text(quoted), _text(live), equal)


def _sets(label: str, quoted: Sequence[str], live: Sequence[str]) -> Quote:
    return Quote(label, ", ".join(sorted(quoted)), ", ".join(sorted(live)), set(quoted) == set(live))


def _closed(inputs: Inputs, record: RecordVersion) -> bool:
    return inputs.schemas[record.register].state(record.state).closed


def _text(value: Any) -> str:
    return "" if value is None else str(value)
