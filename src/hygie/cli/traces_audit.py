"""``hygie traces audit``: the yearly audit of access traces (EXI 16), from the sample to the words of the register."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hygie.base.errors import InvalidRequestError
from hygie.base.language import say
from hygie.cli.acts import run_work
from hygie.cli.frame import Frame

if TYPE_CHECKING:
    from hygie.app import House
    from hygie.database.pool import Database
    from hygie.gate.local import LocalOperator
    from hygie.journal.reader import Found
    from hygie.proof.trace_audit import Known

KINDS = ("access", "administration")  # of data, of systems
SHOWN = 50
YEAR_MS = 366 * 86_400_000
_RIGHTS = (
    "SELECT id, account, environment, starts_ms, least(ends_ms, coalesce(revoked_ms, ends_ms)) FROM hygie.habilitation"
)
_RAISED = (
    "SELECT q.what::jsonb ->> 'account', coalesce(d.decided_ms, q.asked_ms), (q.what::jsonb ->> 'minutes')::bigint"
    " FROM hygie.request q LEFT JOIN hygie.decision d ON d.request = q.id WHERE q.act = 'right:raise'"
    " AND (d.verdict = 'approved' OR q.what::jsonb ->> 'emergency' = 'yes')"
)
_OPENINGS = (
    "SELECT b.account, b.environment, b.opened_ms, b.ends_ms, r.opening IS NOT NULL FROM hygie.break_glass b"
    " LEFT JOIN hygie.break_glass_review r ON r.opening = b.id"
)


@dataclass(frozen=True, slots=True)
class Ask:
    """What the auditor asks. seed: his own words; to: a new file; since: as ``journal show`` reads it."""

    tenant: str
    seed: str
    to: Path
    sample: int
    since: str


def audit(frame: Frame, ask: Ask) -> None:
    """Audit the traces of a client. Raises: InvalidRequestError: words too few or too many, or the file is there."""
    from hygie.base.actions import Action
    from hygie.cli.acts import place_of
    from hygie.cli.commands.journal import since_ms
    from hygie.proof.trace_audit import SEED_MAX, SEED_MIN, draw, to_explain

    if not SEED_MIN <= len(ask.seed) <= SEED_MAX:
        raise InvalidRequestError(reason=f"--seed: {SEED_MIN}-{SEED_MAX}")
    if ask.to.exists():
        raise InvalidRequestError(reason=f"{ask.to} exists")

    async def act(house: House, records: Database, _: Database, operator: LocalOperator) -> None:
        now_ms = house.clock.now_ms()
        from_ms = since_ms(ask.since, now_ms)
        place = await place_of(records, ask.tenant)
        found = {one.index: one for one in await _accesses(house, records, place.tenant_id, from_ms, now_ms)}
        known = await _known(records)
        drawn = [found[rank] for rank in draw(sorted(found), ask.seed, ask.sample)]
        reasons = {one.index: to_explain(one.entry, known) for one in drawn if one.entry is not None}
        ask.to.write_text(_report(drawn, reasons), encoding="utf-8")
        detail = {"audit": "traces", "accesses": str(len(found)), "sample": str(len(drawn))}
        await operator.record(Action.JOURNAL_READ, place, detail=detail, count=len(drawn))
        _tell(frame, ask, drawn, reasons, accesses=len(found), since_ms=from_ms)

    run_work(frame, act)


async def _accesses(house: House, records: Database, tenant_id: bytes, from_ms: int, to_ms: int) -> list[Found]:
    """The published accesses of a client that were let through, oldest first."""
    reader = await house.journal_reader(records)
    found: list[Found] = []
    for month in _months(max(from_ms, to_ms - YEAR_MS), to_ms):
        found += await reader.search(tenant_id, month, kinds=KINDS, from_ms=from_ms, to_ms=to_ms, limit=10_000_000)
    return [one for one in found if one.entry is not None and one.entry.outcome != "refused"]


def _months(from_ms: int, to_ms: int) -> list[str]:
    at, end = datetime.fromtimestamp(from_ms / 1000, UTC), datetime.fromtimestamp(to_ms / 1000, UTC)
    months = range(at.year * 12 + at.month - 1, end.year * 12 + end.month)
    return [f"{number // 12:04d}-{number % 12 + 1:02d}" for number in months]


async def _known(records: Database) -> Known:
    from hygie.proof.trace_audit import Known, Span

    async def rows(query: str) -> Sequence[Any]:
        return await (await connection.execute(query.encode())).fetchall()

    async with records.transaction() as connection:
        accounts = {row[0] for row in await rows("SELECT id FROM hygie.account")}
        rights = {row[0]: Span(row[1], bytes(row[2]), row[3], row[4]) for row in await rows(_RIGHTS)}
        raised = [Span(row[0], b"", row[1], row[1] + row[2] * 60_000) for row in await rows(_RAISED)]
        openings = [(Span(row[0], bytes(row[1]), row[2], row[3]), row[4]) for row in await rows(_OPENINGS)]
    return Known(accounts, rights, raised, openings)


def _report(drawn: Sequence[Found], reasons: dict[int, list[str]]) -> str:
    """One line an access: what the journal says of it, and what is to be explained. No value can be a formula."""
    from hygie.base.clock import iso_ms
    from hygie.proof.trace_audit import REASONS

    lines = io.StringIO()
    writer = csv.writer(lines, delimiter=";", quoting=csv.QUOTE_ALL)
    writer.writerow(
        [
            *(say(fr="rang", en="index"), say(fr="instant (UTC)", en="instant (UTC)"), say(fr="compte", en="account")),
            *("action", say(fr="objets", en="objects"), say(fr="motif", en="purpose"), "habilitation"),
            *(say(fr="adresse", en="address"), say(fr="pays", en="country"), say(fr="à expliquer", en="to explain")),
        ]
    )
    for one in drawn:
        entry = one.entry
        assert entry is not None
        why = ", ".join(say(fr=REASONS[key][0], en=REASONS[key][1]) for key in reasons[one.index])
        cells = [str(one.index), iso_ms(entry.at_ms), entry.account, entry.action.value, str(entry.count)]
        cells += [entry.purpose, entry.habilitation, entry.address, entry.country, why]
        writer.writerow([f"'{cell}" if cell[:1] in "=+-@\t" and cell else cell for cell in cells])
    return lines.getvalue()


def _tell(
    frame: Frame, ask: Ask, drawn: Sequence[Found], reasons: dict[int, list[str]], *, accesses: int, since_ms: int
) -> None:
    from hygie.base.clock import iso_ms
    from hygie.proof.trace_audit import REASONS

    late = [one for one in drawn if reasons[one.index]]
    counted = Counter(key for keys in reasons.values() for key in keys)
    if late:
        frame.out.table(
            [
                say(fr="rang", en="index"),
                say(fr="compte", en="account"),
                "action",
                say(fr="à expliquer", en="to explain"),
            ],
            [
                [
                    one.index,
                    one.entry.account,
                    one.entry.action.value,
                    ", ".join(say(fr=REASONS[key][0], en=REASONS[key][1]) for key in reasons[one.index]),
                ]
                for one in late[:SHOWN]
                if one.entry is not None
            ],
        )
    justified = len(drawn) - len(late)
    sampling = say(
        fr=f"{len(drawn)} accès tirés de {accesses} depuis le {iso_ms(since_ms)[:10]}, graine « {ask.seed} »",
        en=f"{len(drawn)} accesses drawn from {accesses} since {iso_ms(since_ms)[:10]}, seed “{ask.seed}”",
    )
    frame.out.line(
        say(
            fr=f"{sampling} : {justified} ont leur droit et leur motif, {len(late)} à expliquer. Rapport : {ask.to}.",
            en=f"{sampling}: {justified} matched with a right and a reason, {len(late)} to explain. Report: {ask.to}.",
        )
    )
    frame.out.line(
        say(fr="Au registre, une fois les écarts expliqués :", en="In the register, once these are explained:")
        + f"\n  hygie register add internal-audit kind=traces sample_size={len(drawn)} justified={justified}"
        + f' "sampling={sampling}" report={ask.to} …'
    )
    frame.out.result(
        {
            "accesses": accesses,
            "sample": [one.index for one in drawn],
            "justified": justified,
            "to_explain": {str(one.index): reasons[one.index] for one in late},
            "reasons": dict(counted),
            "report": str(ask.to),
        }
    )
