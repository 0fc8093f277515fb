"""Notices of incidents: prepared from registers, findings and the journal; sent by a person, then recorded.

A notice is journaled, by its digest, before it is handed over, and kept beside its record.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hygie.app import House
from hygie.base.actions import Action
from hygie.base.clock import iso_ms
from hygie.base.errors import NotFoundError
from hygie.base.files import PRIVATE_FILE, write_durably
from hygie.base.language import current_language, say
from hygie.base.permit import Place
from hygie.custody import Custody
from hygie.gate.everywhere import EVERYWHERE
from hygie.handling import cards
from hygie.incidents import Incident, read_incident
from hygie.journal.newest import Asked as Entries
from hygie.journal.newest import newest_first
from hygie.journal.reader import JournalReader
from hygie.proof.documents.typesetting import typeset
from hygie.proof.errors import NoticeRefusedError
from hygie.proof.incidents.clocks import INCIDENT, VIOLATION
from hygie.proof.incidents.notices import FOR_CLIENT, FindingLine, Kind, Known, Notice, Touched, make_notice
from hygie.proving import ProofPlane, with_proof
from hygie.registers.chain import RecordVersion
from hygie.registers.durations import INSTANT
from hygie.registers.engine import Asked, Registers
from hygie.registers.rules import Change
from hygie.watch import findings
from hygie.watch.findings import Finding

ENTRIES_MAX = 200_000  # of one client, counted for a notice; beyond, the count is said to be a least one
INCIDENT_ROLE, DPO_ROLE = "incident", "dpo"
PREPARED = {"cnil": "notice_cnil", "health-authority": "notice_health"}  # field of the client's breach
REPORTED = {
    "nis2-warning": "nis2_warning_at",
    "nis2-notification": "nis2_notified_at",
    "nis2-report": "nis2_reported_at",
}
_MEDIA = {".pdf": "application/pdf", ".json": "application/json", ".md": "text/markdown"}


@dataclass(frozen=True, slots=True)
class Prepared:
    """A notice that was written to a file. lacking: titles of the sections that are not known yet."""

    file: Path
    sha256: str
    lacking: Sequence[str]


@dataclass(frozen=True, slots=True)
class To:
    """Which notice, of which client; of none, the host's own."""

    kind: Kind
    client: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the watch and the journal saw of it."""

    lines: Sequence[FindingLine]
    touched: Touched | None


@dataclass(frozen=True, slots=True)
class Sent:
    """What a person did. by: of the register of people; at_ms: when; contact: of the client's, the first one for
    incidents when empty."""

    kind: Kind
    client: str
    by: str
    at_ms: int
    contact: str = ""


async def prepare(custody: Custody, key: str, to: To, file: Path) -> Prepared:
    """Write a notice, journaled first. Args: file: ``.pdf``, ``.md`` or ``.json``.

    Raises: RegisterNotFoundError; NoticeRefusedError: another form, a file that is there, no client or one that the
    incident does not name; OSError.
    """
    house, kind, client = custody.house, to.kind, to.client
    await asyncio.to_thread(_check_file, file)
    place = await _place(custody, kind, client)
    found = await _findings(custody, key, place, kind)
    titles = {id_: say(fr=card.title_fr, en=card.title) for id_, card in cards(house).items()}
    seen = Seen(_lines(found, titles), await _touched(custody, found, place) if kind in FOR_CLIENT else None)

    def read(plane: ProofPlane) -> Notice:
        one = _client_of(read_incident(house, plane, key), kind, client)
        return make_notice(_known(house, plane.registers, one, to, seen))

    notice: Notice = await with_proof(house, custody.operator.account, read)
    content = await asyncio.to_thread(_content, notice, file.suffix, house.clock.now_ms())
    sha256 = hashlib.sha256(content).hexdigest()
    detail = {"act": "notice", "incident": key, "to": kind, "sha256": sha256}
    async with custody.operator.act(Action.INCIDENT_HANDLE, place, detail=detail):

        def keep(plane: ProofPlane) -> None:
            kept = plane.registers.put_document(f"{key}-{kind}{file.suffix}", _MEDIA[file.suffix], content)
            plane.registers.write(_kept(read_incident(house, plane, key), kind, client, kept))

        await with_proof(house, custody.operator.account, keep)
        await asyncio.to_thread(write_durably, file, content, mode=PRIVATE_FILE)
    return Prepared(file, sha256, [one.title for one in notice.sections if not one.lines])


async def record_sent(custody: Custody, key: str, sent: Sent) -> list[RecordVersion]:
    """Write down who was told, when and by whom: what is sent is a person's act, and the clocks stop by this record.

    Returns: the records that changed. Raises: RegisterNotFoundError: no such incident or person; NoticeRefusedError:
    in the future, a client that the incident does not name, no contact, no breach; RecordInvalidError: the register
    refuses the instant.
    """
    house = custody.house
    if sent.at_ms > house.clock.now_ms():
        raise NoticeRefusedError(reason_fr="l'envoi est à venir", reason_en="it is sent in the future")
    place = await _place(custody, sent.kind, sent.client)
    detail = {"act": "sent", "incident": key, "to": sent.kind}

    def write(plane: ProofPlane) -> list[RecordVersion]:
        registers = plane.registers
        if registers.get("person", sent.by).state != "present":
            raise NoticeRefusedError(reason_fr=f"{sent.by} est partie", reason_en=f"{sent.by} has left")
        one = _client_of(read_incident(house, plane, key), sent.kind, sent.client)
        return registers.write(_changes(registers, one, sent))

    async with custody.operator.act(Action.INCIDENT_HANDLE, place, detail=detail):
        return await with_proof(house, custody.operator.account, write)


def _changes(registers: Registers, one: Incident, sent: Sent) -> list[Change]:
    at = datetime.fromtimestamp(sent.at_ms // 1000, UTC).strftime(INSTANT)
    fields, line = one.record.fields, f"{at} {sent.kind} {sent.client} {sent.by}".replace("  ", " ")
    breach = _breach(one, sent.client) if sent.client else None
    told: dict[str, object] = {}
    changes = []
    if sent.kind == "controller":
        contact = _contact(registers, sent.client, sent.contact)
        line += f" {contact.key}"
        clients = sorted({*fields.get("told", ()), sent.client})
        told = {"told": clients, "contact": contact.key}
        if set(fields.get("clients", ())) <= set(clients) and not fields.get("client_told_at"):
            told["client_told_at"] = at
        if breach is not None and not breach.fields.get("told_at"):
            state = "told" if breach.state == "detected" else ""
            changes.append(Change(VIOLATION, {"told_at": at, "told_to": contact.key}, breach.key, state))
    elif sent.kind in FOR_CLIENT:
        if breach is None:
            raise NoticeRefusedError(
                reason_fr="aucune violation inscrite pour ce client", reason_en="no breach is recorded for this client"
            )
        handed: dict[str, object] = {} if breach.fields.get("prepared_at") else {"prepared_at": at}
        changes.append(Change(VIOLATION, handed, breach.key))
    else:
        told = {REPORTED[sent.kind]: at}
    notices = "\n".join(filter(None, [str(fields.get("notices", "")), line]))
    return [*changes, Change(INCIDENT, {**told, "notices": notices}, one.record.key)]


def _kept(one: Incident, kind: Kind, client: str, sha256: str) -> list[Change]:
    """Where a notice that was prepared is kept: with the client's breach what the client files, else the incident."""
    breach = _breach(one, client) if client else None
    if kind in PREPARED and breach is not None:
        return [Change(VIOLATION, {PREPARED[kind]: sha256}, breach.key)]
    return [Change(INCIDENT, {"proof": [*one.record.fields.get("proof", ()), sha256]}, one.record.key)]


def _known(house: House, registers: Registers, one: Incident, to: To, seen: Seen) -> Known:
    people = list(registers.current(Asked("person", states=("present",))))
    dpo = next((each for each in people if DPO_ROLE in each.fields.get("duties", ())), None)
    hosts = registers.current(Asked("supplier", states=("approved",)))
    host = next((str(each.fields["name"]) for each in hosts if each.fields.get("role") == "host"), "")
    point = "" if dpo is None else f"{dpo.fields['name']}, DPO, {dpo.fields.get('email', '')}".rstrip(", ")
    contacts = _contacts(registers, to.client) if to.client else []
    return Known(
        kind=to.kind,
        incident=one.record,
        schemas=registers.schemas,
        client=to.client,
        violation=_breach(one, to.client) if to.client else None,
        contact=contacts[0] if contacts else None,
        host=host or "Hygie",
        contact_point=point,
        findings=seen.lines,
        touched=seen.touched,
        clocks=one.clocks,
        at=datetime.fromtimestamp(house.clock.now_ms() // 1000, UTC).strftime(INSTANT),
        trial=not house.settings.production,
    )


def _check_file(file: Path) -> None:
    if file.suffix not in _MEDIA:
        raise NoticeRefusedError(reason_fr="un avis s'écrit en .pdf, .md ou .json", reason_en="a .pdf, .md or .json")
    if file.exists():
        raise NoticeRefusedError(reason_fr="ce fichier existe déjà", reason_en="this file is there already")


def _content(notice: Notice, suffix: str, at_ms: int) -> bytes:
    if suffix == ".json":
        return notice.as_json()
    if suffix == ".md":
        return notice.as_text()
    return typeset("notice.typ", notice.as_values() | {"language": current_language()}, at_ms=at_ms)


def _client_of(one: Incident, kind: Kind, client: str) -> Incident:
    """The same incident. Raises: NoticeRefusedError: it does not name this client, or NIS 2 does not concern it."""
    if kind in FOR_CLIENT and client not in {*one.record.fields.get("clients", ()), *_tenants(one)}:
        raise NoticeRefusedError(
            reason_fr="l'incident ne nomme pas ce client (clients)", reason_en="the incident does not name this client"
        )
    if kind in REPORTED and not one.record.fields.get("nis2"):
        raise NoticeRefusedError(
            reason_fr="l'incident n'est pas important au sens de NIS 2 (nis2)",
            reason_en="the incident is not significant in the sense of NIS 2 (nis2)",
        )
    return one


def _tenants(one: Incident) -> set[str]:
    return {each.tenant for each in one.violations}


def _breach(one: Incident, client: str) -> RecordVersion | None:
    return next((each for each in one.violations if each.tenant == client), None)


def _contacts(registers: Registers, client: str) -> list[RecordVersion]:
    """Who is told of incidents at a client."""
    active = registers.current(Asked("client-contact", client, states=("active",)))
    return [one for one in active if INCIDENT_ROLE in one.fields["roles"]]


def _contact(registers: Registers, client: str, key: str) -> RecordVersion:
    """Whom a notice went to. Raises: NoticeRefusedError: nobody of this client."""
    active = list(registers.current(Asked("client-contact", client, states=("active",))))
    found = [one for one in active if one.key == key] if key else _contacts(registers, client)
    if not found:
        raise NoticeRefusedError(
            reason_fr="aucun contact de ce client (registre client-contact, rôle incident)",
            reason_en="no contact of this client (register client-contact, role incident)",
        )
    return found[0]


async def _place(custody: Custody, kind: Kind, client: str) -> Place:
    """Where the entries belong: the client reads those of its own. Raises: NoticeRefusedError; NotFoundError."""
    if (kind in FOR_CLIENT) != bool(client):
        raise NoticeRefusedError(
            reason_fr="un avis au client nomme son client, les autres aucun",
            reason_en="a notice to a client names it, the others none",
        )
    if not client:
        return EVERYWHERE
    async with custody.owner.transaction() as connection:
        row = await (await connection.execute("SELECT id FROM hygie.tenant WHERE name = %s", (client,))).fetchone()
    if row is None:
        raise NotFoundError()
    return Place(bytes(row[0]), bytes(16), "")


async def _findings(custody: Custody, key: str, place: Place, kind: Kind) -> list[Finding]:
    """The findings that a notice may speak of: a client's, its own and the platform's."""
    async with custody.owner.transaction() as connection:
        found = await findings.of_incident(connection, key)
    own = (place.tenant_id, EVERYWHERE.tenant_id)
    return [one for one in found if kind not in FOR_CLIENT or one.tenant in own]


def _lines(found: Sequence[Finding], titles: Mapping[str, str]) -> list[FindingLine]:
    return [
        FindingLine(titles.get(one.rule, one.title), one.count, iso_ms(one.first_ms), iso_ms(one.last_ms))
        for one in found
    ]


async def _touched(custody: Custody, found: Sequence[Finding], place: Place) -> Touched | None:
    """What was done to a client's data by the accounts of the findings, while they spoke; where a finding of the client
    tells no account, by all. Patients are counted by their pseudonyms, which stay here."""
    spans = [
        (account, one.first_ms, one.last_ms)
        for one in found
        if (account := _account(one)) or one.tenant == place.tenant_id
    ]
    if not spans:
        return None
    reader: JournalReader = await custody.house.journal_reader(custody.owner)
    entries = objects = seen = 0
    subjects: set[bytes] = set()
    async for one in newest_first(reader, Entries(place.tenant_id, since_ms=min(first for _, first, _ in spans))):
        seen += 1
        if seen > ENTRIES_MAX:
            break
        entry = one.entry
        if entry is None or entry.outcome != "done" or not entry.action.value.startswith("object:"):
            continue
        if any(first <= entry.at_ms <= last and account in ("", entry.account) for account, first, last in spans):
            entries, objects = entries + 1, objects + entry.count
            subjects |= {entry.subject} - {b""}
    return Touched(entries, objects, len(subjects), whole=seen <= ENTRIES_MAX)


def _account(found: Finding) -> str:
    """The account by which a finding is told apart; nothing when it is not by one."""
    group = json.loads(found.grouping)
    return str(group.get("account", "")) if isinstance(group, dict) else ""
