"""What people do about findings, each act between its two entries; and an incident of the register made of some.

The incident is written first: findings that could not be bound to it stay open, and are bound by doing it again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from hygie.app import House
from hygie.base.actions import Action
from hygie.base.clock import iso_ms
from hygie.base.errors import NotFoundError
from hygie.base.language import say
from hygie.base.permit import Place
from hygie.custody import Custody
from hygie.journal.entry import PLATFORM
from hygie.proving import ProofPlane, with_proof
from hygie.registers.rules import Change
from hygie.watch import findings
from hygie.watch.channels import Wire
from hygie.watch.couriers import Courier
from hygie.watch.errors import FindingStateError
from hygie.watch.events import Event
from hygie.watch.findings import Act, Finding, FindingAct
from hygie.watch.messages import OWN_CARDS, trial_message
from hygie.watch.notices import Notice, notices_of
from hygie.watch.outlets import hand_over
from hygie.watch.ruleset import load_rules
from hygie.watch.sigma import Card
from hygie.watching import rules_folder

REGISTER = "incident"
SEVERITY = {"critical": "critical", "high": "major", "medium": "moderate", "low": "minor", "informational": "minor"}


@dataclass(frozen=True, slots=True)
class Shown:
    """One finding as people look at it. card: of its rule, none when it is not loaded any more."""

    finding: Finding
    card: Card | None
    acts: Sequence[FindingAct]
    evidence: Sequence[tuple[str, int, bytes]]
    notices: Sequence[Notice]

    @property
    def title(self) -> str:
        """In the person's language."""
        if self.card is None:
            return self.finding.title
        return say(fr=self.card.title_fr, en=self.card.title)


@dataclass(frozen=True, slots=True)
class Declared:
    """What the register's incident needs and no finding tells. lead: a person of the register; kind, health_data: of
    the register's choices; severity: as the gravest finding, unless given."""

    lead: str
    kind: str
    health_data: str = "unknown"
    severity: str = ""
    words: str = ""


async def shown(custody: Custody, id_: str) -> Shown:
    """One finding, whole. Raises: NotFoundError."""
    async with custody.owner.transaction() as connection:
        finding = await findings.find(connection, id_)
        acts, evidence = await findings.acts_of(connection, id_), await findings.evidence_of(connection, id_)
        told = await notices_of(connection, id_)
    known = cards(custody.house)
    return Shown(finding, known.get(finding.rule), [_titled(one, known) for one in acts], evidence, told)


def _titled(one: FindingAct, known: Mapping[str, Card]) -> FindingAct:
    """The same act; what the watch noted is the name of a rule: by its title, in the person's language."""
    if one.kind != "noted" or one.who != findings.WATCH_ACCOUNT:
        return one
    titles = {card.name: say(fr=card.title_fr, en=card.title) for card in known.values()}
    return replace(one, words=titles.get(one.words, one.words))


def cards(house: House) -> dict[str, Card]:
    """What each loaded rule says of itself, by id. Blocks."""
    return {rule.card.id: rule.card for rule in load_rules(rules_folder(house)).rules} | OWN_CARDS


async def try_channel(custody: Custody, name: str) -> str:
    """Send a trial by one channel of the settings. Returns: what its receiver answered.

    Raises: NotFoundError: no such channel; as :func:`hygie.watch.channels.deliver`.
    """
    house = custody.house
    channel = next((one for one in house.settings.channels if one.name == name), None)
    if channel is None:
        raise NotFoundError()
    courier = Courier(channel, house.folder)
    try:
        async with custody.operator.act(Action.FINDING_HANDLE, detail={"act": "test", "channel": name}):
            return await courier.carry(trial_message(house.clock.now_ms()))
    finally:
        courier.close()


async def try_export(custody: Custody, name: str) -> None:
    """Send a trial by one export of the settings.

    Raises: NotFoundError: no such export; as :func:`hygie.watch.outlets.hand_over`.
    """
    house = custody.house
    export = next((one for one in house.settings.soc if one.name == name), None)
    if export is None:
        raise NotFoundError()
    trial = Event("test", 0, house.clock.now_ms(), {"source": "test"})
    async with custody.operator.act(Action.FINDING_HANDLE, detail={"act": "test", "export": name}):
        origin = await house.origin()
        await asyncio.to_thread(hand_over, export, house.folder, [trial], origin, Wire())


async def handle(custody: Custody, id_: str, what: Act) -> Finding:
    """One act on one finding. Returns: it as it was. Raises: NotFoundError; FindingStateError."""
    async with custody.owner.transaction() as connection:
        found = await findings.find(connection, id_)
    detail = {"finding": id_, "act": what.kind} | ({"incident": what.incident} if what.incident else {})
    acting = custody.operator.act(Action.FINDING_HANDLE, _place(found), detail=detail)
    async with acting, custody.owner.transaction() as connection:
        return await findings.act(connection, id_, what, custody.house.clock.now_ms())


async def declare_incident(custody: Custody, ids: Sequence[str], declared: Declared) -> str:
    """Make findings an incident of the register, with what they tell. Returns: its key.

    Raises: NotFoundError; FindingStateError: one is closed, or an incident already; RecordInvalidError: the register
    refuses a field.
    """
    if not ids:
        raise NotFoundError()
    chosen = [await shown(custody, id_) for id_ in dict.fromkeys(ids)]
    for one in chosen:
        if one.finding.state not in (findings.OPEN, findings.ACKNOWLEDGED):
            raise FindingStateError(reason=one.finding.state)
    async with custody.owner.transaction() as connection:
        rows = await (await connection.execute("SELECT id, name FROM hygie.tenant")).fetchall()
    clients = {bytes(id_): name for id_, name in rows}
    change = Change(REGISTER, _fields(chosen, declared, clients, custody.house.clock.now_ms()))

    def write(plane: ProofPlane) -> str:
        return plane.registers.write([change])[0].key

    key = await with_proof(custody.house, custody.operator.account, write)
    for one in chosen:
        await handle(custody, one.finding.id, Act("incident", custody.operator.account, incident=key))
    return key


def _fields(chosen: Sequence[Shown], declared: Declared, clients: dict[bytes, str], now_ms: int) -> dict[str, object]:
    """The register's fields. The host is aware from the first finding on: that is when the clocks start."""
    first = min(chosen, key=lambda one: (findings.LEVELS.index(one.finding.level), one.finding.opened_ms))
    lines = [
        f"{one.finding.id} {one.title} : {one.finding.count} × {iso_ms(one.finding.first_ms)} → "
        f"{iso_ms(one.finding.last_ms)}"  # not the group: notices quote the facts, and one client's are not another's
        for one in chosen
    ]
    names = sorted({clients[one.finding.tenant] for one in chosen if one.finding.tenant in clients})
    fields: dict[str, object] = {
        "title": first.title[:200],
        "kind": declared.kind,
        "severity": declared.severity or SEVERITY[first.finding.level],
        "source": "monitoring",
        "occurred_at": iso_ms(min(one.finding.first_ms for one in chosen)),
        "detected_at": iso_ms(min(one.finding.opened_ms for one in chosen)),
        "declared_at": iso_ms(now_ms),
        "description": "\n".join([*([declared.words] if declared.words else []), *lines])[:4_000],
        "health_data": declared.health_data,
        "lead": declared.lead,
        "evidence": _evidence(chosen),
    }
    return fields | ({"clients": names} if names else {})


def _evidence(chosen: Sequence[Shown]) -> str:
    """Where the evidence is kept: entries of the journal, which nobody alters, with the digests of what stood there."""
    named = [f"{source} {rank} sha256:{digest.hex()}" for one in chosen for source, rank, digest in one.evidence]
    return "\n".join([say(fr="Journal, entrées :", en="Journal, entries:"), *named])[:8_000]


def _place(found: Finding) -> Place:
    """Where its entries belong: the client reads those of its own."""
    return Place(found.tenant, found.environment if found.tenant != PLATFORM else PLATFORM, "")
