"""The queue of findings in the database: opened by rules, decided by people.

A rule opens one finding for a group; while nobody closed it, what the rule says again of that group adds to its count.
Each opening is an entry of the journal, in the transaction of its row; who decides journals his acts.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import psycopg

from hygie.base.actions import Action
from hygie.base.errors import NotFoundError
from hygie.journal.entry import PLATFORM, Entry
from hygie.watch.engine import Hit
from hygie.watch.errors import FindingStateError

OPEN, ACKNOWLEDGED, INCIDENT, CLOSED = "open", "acknowledged", "incident", "closed"
WATCH_ACCOUNT = "system:watch"
LEVELS = ("critical", "high", "medium", "low", "informational")  # the gravest first
WORDS_MIN, WORDS_MAX = 3, 2_000
LISTED_MAX = 1_000
NEW_MAX = 500  # findings opened in one turn; beyond, the rule has one for all its groups
_ANY = '{"*":"*"}'  # the group of what overflows

# From which states an act may be done, and what comes after it.
_STEPS: Final[Mapping[str, tuple[tuple[str, ...], str]]] = {
    "acknowledged": ((OPEN,), ACKNOWLEDGED),
    "assigned": ((OPEN, ACKNOWLEDGED, INCIDENT), ""),
    "noted": ((OPEN, ACKNOWLEDGED, INCIDENT, CLOSED), ""),
    "incident": ((OPEN, ACKNOWLEDGED), INCIDENT),
    "closed": ((OPEN, ACKNOWLEDGED, INCIDENT), CLOSED),
}

Connection = psycopg.AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding. grouping: the group as JSON; tenant, environment: ids, zeros for the platform; count: events."""

    id: str
    rule: str
    title: str
    level: str
    grouping: str
    tenant: bytes
    environment: bytes
    first_ms: int
    last_ms: int
    opened_ms: int
    count: int
    state: str
    owner: str
    incident: str


@dataclass(frozen=True, slots=True)
class FindingAct:
    """What was done about a finding."""

    at_ms: int
    kind: str
    who: str
    words: str


_COLUMNS = (
    "id, rule, title, level, grouping, tenant, environment, first_ms, last_ms, opened_ms, count, state, owner, incident"
)
_GROW = (
    "UPDATE hygie.finding SET last_ms = greatest(last_ms, %s), count = count + %s"
    " WHERE rule = %s AND grouping = %s AND state <> 'closed' RETURNING id"
)
_OPEN = f"INSERT INTO hygie.finding ({_COLUMNS}) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, 'open', '', '')"  # noqa: S608
_ACT = (
    "INSERT INTO hygie.finding_act (finding, seq, at_ms, kind, who, words)"
    " SELECT %s, coalesce(max(seq), 0) + 1, %s, %s, %s, %s FROM hygie.finding_act WHERE finding = %s"
)
_EVIDENCE = (
    "INSERT INTO hygie.finding_evidence (finding, source, rank, at_ms, digest) VALUES (%s, %s, %s, %s, %s)"
    " ON CONFLICT DO NOTHING"
)


@dataclass(slots=True)
class _Group:
    hits: list[Hit]

    @property
    def last(self) -> Hit:
        return self.hits[-1]


async def keep_hits(
    connection: Connection, hits: Sequence[Hit], digests: Mapping[int, bytes], now_ms: int
) -> tuple[list[Finding], list[Entry]]:
    """Open findings of what rules said, or add to those that wait.

    Args: connection: in the transaction that moves the cursor; digests: SHA-256 of the leaves that are at hand, by
    index. Returns: the new ones, and the entries that tell them.
    """
    opened: list[Finding] = []
    groups: dict[tuple[str, str], _Group] = {}
    for hit in hits:
        key = (hit.card.id, hit.grouping if len(groups) < NEW_MAX else _ANY)
        groups.setdefault(key, _Group([])).hits.append(hit)
    for (rule, grouping), group in groups.items():
        last_ms = max(hit.at_ms for hit in group.hits)
        cursor = await connection.execute(_GROW, (last_ms, len(group.hits), rule, grouping))
        row = await cursor.fetchone()
        id_ = row[0] if row is not None else ""
        if row is None:
            finding = await _opened(connection, group, grouping, now_ms)
            opened.append(finding)
            id_ = finding.id
            await _keep_evidence(connection, id_, group.hits, digests)
        await _name_signs(connection, id_, {sign for hit in group.hits for sign in hit.signs}, now_ms)
    return opened, [_entry(one, now_ms) for one in opened]


async def _opened(connection: Connection, group: _Group, grouping: str, now_ms: int) -> Finding:
    card, fields = group.last.card, group.last.fields
    made = Finding(
        id=secrets.token_hex(8),
        rule=card.id,
        title=card.title,
        level=card.level,
        grouping=grouping,
        tenant=_id(fields.get("tenant")),
        environment=_id(fields.get("environment")),
        first_ms=min(hit.first_ms for hit in group.hits),
        last_ms=max(hit.at_ms for hit in group.hits),
        opened_ms=now_ms,
        count=len(group.hits),
        state=OPEN,
        owner="",
        incident="",
    )
    values = (made.id, made.rule, made.title, made.level, made.grouping, made.tenant, made.environment)
    times = (made.first_ms, made.last_ms, made.opened_ms, made.count)
    await connection.execute(_OPEN.encode(), (*values, *times))
    await connection.execute(_ACT, (made.id, now_ms, "opened", WATCH_ACCOUNT, "", made.id))
    return made


async def _name_signs(connection: Connection, finding: str, signs: set[str], now_ms: int) -> None:
    """Note each rule that came with others, once, by its name: the finding names them all, whatever came later."""
    if not signs:
        return
    query = "SELECT words FROM hygie.finding_act WHERE finding = %s AND kind = 'noted' AND who = %s"
    told = {words for (words,) in await (await connection.execute(query, (finding, WATCH_ACCOUNT))).fetchall()}
    for name in sorted(signs - told):
        await connection.execute(_ACT, (finding, now_ms, "noted", WATCH_ACCOUNT, name, finding))


async def _keep_evidence(
    connection: Connection, finding: str, hits: Sequence[Hit], digests: Mapping[int, bytes]
) -> None:
    """The events that are at hand: those of before are named by the digests that the journal's tree holds."""
    rows = [
        (finding, hit.source, rank, hit.at_ms, digests[rank]) for hit in hits for rank in hit.ranks if rank in digests
    ]
    if rows:
        await connection.cursor().executemany(_EVIDENCE, rows)


def _entry(one: Finding, now_ms: int) -> Entry:
    return Entry(
        action=Action.FINDING_OPEN,
        outcome="done",
        kind="security",
        at_ms=now_ms,
        tenant_id=one.tenant,
        environment_id=one.environment,
        account=WATCH_ACCOUNT,
        count=one.count,
        detail={"finding": one.id, "rule": one.rule, "level": one.level},
    )


def _id(value: object) -> bytes:
    """A client's or an environment's id of a field; the platform's for anything else."""
    text = value if isinstance(value, str) else ""
    try:
        found = bytes.fromhex(text)
    except ValueError:
        return PLATFORM
    return found if len(found) == len(PLATFORM) else PLATFORM


def digest_of(leaf: bytes) -> bytes:
    """What a finding keeps of the leaf of an entry."""
    return hashlib.sha256(leaf).digest()


async def find(connection: Connection, id_: str) -> Finding:
    """One finding. Raises: NotFoundError."""
    query = f"SELECT {_COLUMNS} FROM hygie.finding WHERE id = %s"  # noqa: S608 (constants)
    row = await (await connection.execute(query.encode(), (id_,))).fetchone()
    if row is None:
        raise NotFoundError()
    return Finding(*row)


async def listed(connection: Connection, *, states: Sequence[str] = (OPEN, ACKNOWLEDGED, INCIDENT)) -> list[Finding]:
    """Findings in these states, the gravest first, then the oldest."""
    query = (
        f"SELECT {_COLUMNS} FROM hygie.finding WHERE state = ANY(%s)"  # noqa: S608 (constants)
        " ORDER BY array_position(ARRAY['critical','high','medium','low','informational'], level), opened_ms"
        f" LIMIT {LISTED_MAX}"
    )
    return [Finding(*row) for row in await (await connection.execute(query.encode(), (list(states),))).fetchall()]


async def of_incident(connection: Connection, incident: str) -> list[Finding]:
    """The findings that were made an incident of the register, oldest first."""
    query = f"SELECT {_COLUMNS} FROM hygie.finding WHERE incident = %s ORDER BY opened_ms, id"  # noqa: S608 (constants)
    return [Finding(*row) for row in await (await connection.execute(query.encode(), (incident,))).fetchall()]


async def acts_of(connection: Connection, id_: str) -> list[FindingAct]:
    """What was done about one finding, oldest first."""
    query = "SELECT at_ms, kind, who, words FROM hygie.finding_act WHERE finding = %s ORDER BY seq"
    return [FindingAct(*row) for row in await (await connection.execute(query, (id_,))).fetchall()]


async def evidence_of(connection: Connection, id_: str) -> list[tuple[str, int, bytes]]:
    """(source, rank, SHA-256) of the events that one finding names."""
    query = "SELECT source, rank, digest FROM hygie.finding_evidence WHERE finding = %s ORDER BY source, rank"
    return [tuple(row) for row in await (await connection.execute(query, (id_,))).fetchall()]


async def spoke_ms(connection: Connection, id_: str) -> int | None:
    """When that happened which made its rule speak first; None: nothing of it was at hand when it was opened."""
    query = "SELECT min(at_ms) FROM hygie.finding_evidence WHERE finding = %s"
    row = await (await connection.execute(query, (id_,))).fetchone()
    return row[0] if row is not None else None


@dataclass(frozen=True, slots=True)
class Act:
    """What a person does. kind: of ``_STEPS``; owner: with ``assigned``; incident: the register's key, with
    ``incident``."""

    kind: str
    who: str
    words: str = ""
    owner: str = ""
    incident: str = ""


async def act(connection: Connection, id_: str, what: Act, now_ms: int) -> Finding:
    """One act of a person on a finding. Returns: the finding as it was.

    Raises: NotFoundError; FindingStateError: not in this state, or words that do not hold.
    """
    if len(what.words) > WORDS_MAX or (what.kind in ("closed", "noted") and len(what.words.strip()) < WORDS_MIN):
        raise FindingStateError(reason="words")
    states, after = _STEPS[what.kind]
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"finding {id_}",))
    found = await find(connection, id_)
    if found.state not in states:
        raise FindingStateError(reason=found.state)
    await connection.execute(
        "UPDATE hygie.finding SET state = %s, owner = %s, incident = %s WHERE id = %s",
        (after or found.state, what.owner or found.owner, what.incident or found.incident, id_),
    )
    await connection.execute(_ACT, (id_, now_ms, what.kind, what.who, what.words, id_))
    return found
