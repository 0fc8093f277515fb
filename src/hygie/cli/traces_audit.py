"""``hygie traces audit``: the yearly audit of access traces (EXI 16), from the sample to the words of the register."""

from __future__ import annotations

import csv
import io
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hygie.base.errors import InvalidRequestError
from hygie.base.language import say
from hygie.cli.acts import run_work
from hygie.cli.frame import Frame

if TYPE_CHECKING:
    from hygie.app import House
    from hygie.database.pool import Database
    from hygie.gate.local import LocalOperator
    from hygie.journal.reader import Found

SHOWN = 50


@dataclass(frozen=True, slots=True)
class Ask:
    """What the auditor asks. seed: his own words; to: a new file; since: as ``journal show`` reads it; until: rank
    after the last entry, None: all that is published."""

    tenant: str
    seed: str
    to: Path
    sample: int
    since: str
    until: int | None = None


@dataclass(frozen=True, slots=True)
class _Drawn:
    """The sample, and from what it was drawn: since when, up to which rank, among how many."""

    sample: list[Found]
    reasons: dict[int, list[str]]
    from_ms: int
    until: int
    accesses: int

    def detail(self) -> dict[str, str]:
        """What the journal says of it, and what draws it again with the auditor's words."""
        from hygie.base.clock import iso_ms

        bounds = {"since": iso_ms(self.from_ms), "until": str(self.until)}
        return {"audit": "traces", "accesses": str(self.accesses), "sample": str(len(self.sample))} | bounds


def audit(frame: Frame, ask: Ask) -> None:
    """Audit the traces of a client.

    Raises: InvalidRequestError: words too few or too many, more entries than there are, or the file is there.
    """
    from hygie.base.actions import Action
    from hygie.cli.acts import place_of
    from hygie.proof.trace_audit import SEED_MAX, SEED_MIN

    if not SEED_MIN <= len(ask.seed) <= SEED_MAX:
        raise InvalidRequestError(reason=f"--seed: {SEED_MIN}-{SEED_MAX}")
    if ask.to.exists():
        raise InvalidRequestError(reason=f"{ask.to} exists")

    async def act(house: House, records: Database, _: Database, operator: LocalOperator) -> None:
        place = await place_of(records, ask.tenant)
        drawn = await _draw(frame, house, records, ask, place.tenant_id)
        ask.to.write_text(_report(drawn), encoding="utf-8")
        await operator.record(Action.JOURNAL_READ, place, detail=drawn.detail(), count=len(drawn.sample))
        _tell(frame, ask, drawn)

    run_work(frame, act)


async def _draw(frame: Frame, house: House, records: Database, ask: Ask, tenant_id: bytes) -> _Drawn:
    from hygie.cli.commands.journal import since_ms
    from hygie.probes.accesses import Wanted, opened_again, read_accesses
    from hygie.proof.trace_audit import draw, to_explain

    from_ms = since_ms(ask.since, house.clock.now_ms())
    with frame.out.progress(say(fr="Entrées lues", en="Entries read")) as move:
        found = await read_accesses(house, records, Wanted(tenant_id, from_ms, ask.until), move)
    reader = await house.journal_reader(records)
    sample = [one async for one in opened_again(reader, draw(found.ranks, ask.seed, ask.sample))]
    reasons = {one.index: to_explain(one.entry, found.known) for one in sample if one.entry is not None}
    return _Drawn(sample, reasons, from_ms, found.until, len(found.ranks))


def _report(drawn: _Drawn) -> str:
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
    for one in drawn.sample:
        entry = one.entry
        assert entry is not None
        why = ", ".join(say(fr=REASONS[key][0], en=REASONS[key][1]) for key in drawn.reasons[one.index])
        cells = [str(one.index), iso_ms(entry.at_ms), entry.account, entry.action.value, str(entry.count)]
        cells += [entry.purpose, entry.habilitation, entry.address, entry.country, why]
        writer.writerow([f"'{cell}" if cell[:1] in "=+-@\t" and cell else cell for cell in cells])
    return lines.getvalue()


def _tell(frame: Frame, ask: Ask, drawn: _Drawn) -> None:
    from hygie.base.clock import iso_ms
    from hygie.proof.trace_audit import REASONS

    reasons = drawn.reasons
    late = [one for one in drawn.sample if reasons[one.index]]
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
    justified, since = len(drawn.sample) - len(late), iso_ms(drawn.from_ms)
    sampling = say(
        fr=f"{len(drawn.sample)} accès tirés de {drawn.accesses}, --since {since} --until {drawn.until},"
        f" graine « {ask.seed} »",
        en=f"{len(drawn.sample)} accesses drawn from {drawn.accesses}, --since {since} --until {drawn.until},"
        f" seed “{ask.seed}”",
    )
    frame.out.line(
        say(
            fr=f"{sampling} : {justified} ont leur droit et leur motif, {len(late)} à expliquer. Rapport : {ask.to}.",
            en=f"{sampling}: {justified} matched with a right and a reason, {len(late)} to explain. Report: {ask.to}.",
        )
    )
    frame.out.line(
        say(fr="Au registre, une fois les écarts expliqués :", en="In the register, once these are explained:")
        + f"\n  hygie register add internal-audit kind=traces sample_size={len(drawn.sample)} justified={justified}"
        + f' "sampling={sampling}" report={ask.to} …'
    )
    frame.out.result(
        {
            "accesses": drawn.accesses,
            "since": since,
            "until": drawn.until,
            "sample": [one.index for one in drawn.sample],
            "justified": justified,
            "to_explain": {str(one.index): reasons[one.index] for one in late},
            "reasons": dict(counted),
            "report": str(ask.to),
        }
    )
