"""``hygie journal``: read, export and check the journal of the running installation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hygie.base.language import say
from hygie.cli.acts import operator_name, place_of, run_work
from hygie.cli.frame import frame_of
from hygie.cli.journal_words import foreign_told

if TYPE_CHECKING:
    from hygie.app import House
    from hygie.cli.frame import Frame
    from hygie.database.pool import Database
    from hygie.gate.anchors import Anchor
    from hygie.gate.local import LocalOperator
    from hygie.gate.reconcile import Reconciliation
    from hygie.journal.entry import Entry
    from hygie.journal.reader import Found
    from hygie.probes.reconcile import JournalWatch, RightsLook

SHOWN = 50
UNWRAP_LINES = 1_000  # asked of the KMS at once: its limit
SINCE_UNITS = {"m": "minutes", "h": "hours", "d": "days", "j": "days"}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        help=say(
            fr="Journal : le lire, l'exporter, le rapprocher du registre des clés.",
            en="Journal: read it, export it, reconcile it with the key record.",
        ),
        no_args_is_help=True,
    )
    example = say(fr="Exemple", en="Example")
    group.command(
        "show",
        help=say(
            fr="Montre les dernières entrées publiées, vérifiées jusqu'à la racine ; la lecture est journalisée.",
            en="Show the last published entries, checked up to the signed root; the reading is journaled.",
        ),
        epilog=f"{example}: hygie journal show --tenant chu-x --outcome refused --since 24h",
    )(show)
    group.command(
        "status",
        help=say(
            fr="Où en est le journal : indexé, publié, cosigné, en attente.",
            en="How far the journal is: indexed, published, cosigned, waiting.",
        ),
        epilog=f"{example}: hygie journal status --json",
    )(status)
    group.command(
        "export",
        help=say(
            fr="Écrit un export que hygie-verify contrôle seul, hors ligne : dossier neuf, ou fichier .zip.",
            en="Write an export that hygie-verify checks alone, offline: a new folder, or a .zip file.",
        ),
        epilog=f"{example}: hygie journal export ./journal.zip --tenant chu-x --disclose",
    )(export)
    group.command(
        "key",
        help=say(
            fr="Clés publiques du journal, de son témoin et des dossiers, à publier et à donner à qui vérifie.",
            en="Public keys of the journal, of its witness and of dossiers, to publish and give to whoever verifies.",
        ),
        epilog=f"{example}: hygie journal key",
    )(key)
    group.command(
        "reconcile",
        help=say(
            fr="Rapproche du journal les clés données et les droits : clé sans trace, registre coupé, droit sans acte.",
            en="Compare the key record and the rights with the journal: key without trace, cut record, unsaid right.",
        ),
        epilog=f"{example}: hygie journal reconcile",
    )(reconcile)
    app.add_typer(group, name="journal")


def show(
    context: typer.Context,
    tenant: Annotated[str, typer.Option(help=say(fr="Ce client seulement.", en="Only this client."))] = "",
    action: Annotated[
        list[str] | None,
        typer.Option(help=say(fr="Ces actions seulement, comme object:read.", en="Only these, e.g. object:read.")),
    ] = None,
    outcome: Annotated[list[str] | None, typer.Option(help="done refused absent intent unknown.")] = None,
    since: Annotated[
        str,
        typer.Option(
            help=say(fr="30m 24h 7d, ou 2026-11-24T08:00 (UTC).", en="30m 24h 7d, or 2026-11-24T08:00 (UTC).")
        ),
    ] = "",
    limit: Annotated[
        int,
        typer.Option(min=1, max=100_000, help=say(fr="Nombre d'entrées, au plus.", en="How many entries, at most.")),
    ] = SHOWN,
) -> None:
    """Show entries."""
    from hygie.base.actions import Action
    from hygie.journal.newest import Asked, newest

    frame = frame_of(context)
    actions, outcomes = _known(action or [], outcome or [])

    async def act(house: House, records: Database, _: Database, operator: LocalOperator) -> None:
        place = await place_of(records, tenant)
        asked = Asked(place.tenant_id if tenant else None, actions, outcomes, since_ms(since, house.clock.now_ms()))
        found = await newest(await house.journal_reader(records), asked, limit)
        await operator.record(Action.JOURNAL_READ, place, count=len(found))
        if not found:
            frame.out.line(say(fr="Aucune entrée.", en="No entry."))
        frame.out.table(
            [
                say(fr="rang", en="index"),
                say(fr="instant (UTC)", en="instant (UTC)"),
                say(fr="compte", en="account"),
                "action",
                say(fr="issue", en="outcome"),
                say(fr="nombre", en="count"),
                say(fr="détail", en="detail"),
            ],
            [_row(one) for one in found],
        )
        frame.out.result([entry_facts(one) for one in found])

    run_work(frame, act)


def status(context: typer.Context) -> None:
    """How far it is."""
    frame = frame_of(context)

    async def act(house: House, records: Database, _: Database, operator: LocalOperator) -> None:
        del operator
        facts = await _status(house, records)
        frame.out.table(["", ""], _told(facts))
        frame.out.result(facts)

    run_work(frame, act)


def export(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(help=say(fr="Dossier neuf, ou .zip neuf.", en="New folder, or new .zip."))],
    tenant: Annotated[str, typer.Option(help=say(fr="Ce client seulement.", en="Only this client."))] = "",
    start: Annotated[int, typer.Option("--from", min=0, help=say(fr="Premier rang.", en="First index."))] = 0,
    end: Annotated[
        int | None, typer.Option("--to", min=1, help=say(fr="Rang qui suit le dernier.", en="Index after the last."))
    ] = None,
    disclose: Annotated[
        bool, typer.Option(help=say(fr="Avec de quoi ouvrir chaque entrée.", en="With what opens each entry."))
    ] = False,
) -> None:
    """Export."""
    from hygie.base.actions import Action

    frame = frame_of(context)

    async def act(house: House, records: Database, _: Database, operator: LocalOperator) -> None:
        place = await place_of(records, tenant)
        reader = await house.journal_reader(records)
        detail = {"disclosed": "yes" if disclose else "no"}
        async with operator.act(Action.JOURNAL_EXPORT, place, detail=detail) as acting:
            done = await reader.export(
                path.absolute(), start, end, tenant_id=place.tenant_id if tenant else None, disclose=disclose
            )
            acting.count = done.entries
        frame.out.line(
            say(
                fr=f"{done.entries} entrées (rangs {done.start} à {done.end - 1}), dont {done.disclosed} lisibles :"
                f" {done.path}. Contrôle : hygie-verify {done.path}",
                en=f"{done.entries} entries (indexes {done.start} to {done.end - 1}), {done.disclosed} readable:"
                f" {done.path}. To check it: hygie-verify {done.path}",
            )
        )
        frame.out.result(
            {
                "path": str(done.path),
                "start": done.start,
                "end": done.end,
                "entries": done.entries,
                "disclosed": done.disclosed,
            }
        )

    run_work(frame, act)


def key(context: typer.Context) -> None:
    """Public keys."""
    from hygie.proof.dossier.manifest import dossier_key

    frame = frame_of(context)

    async def act(house: House, *_: object) -> None:
        log, *former = [one.encode() for one in await house.log_keys()]
        witness = house.witness()
        dossier = dossier_key(await house.origin(), await house.kms.public_key("dossier")).encode()
        facts = {"log": log, "former": former, "witness": witness.key.encode() if witness else None, "dossier": dossier}
        frame.out.line(log)
        for one in former:
            frame.out.line(f"{one}  ({say(fr='ancienne', en='former')})")
        if witness is not None:
            frame.out.line(witness.key.encode())
        frame.out.line(dossier)
        frame.out.result(facts)

    run_work(frame, act)


def reconcile(
    context: typer.Context,
    new_record: Annotated[
        bool,
        typer.Option(
            help=say(
                fr="Après enquête : ancre le registre des clés présent et ne demande plus les ancres d'avant.",
                en="After an inquiry: anchor the present key record and ask no more for the anchors before it.",
            )
        ),
    ] = False,
) -> None:
    """Keys given out against entries, the key record against its anchors, rights against their acts."""
    from hygie.gate.anchors import anchor_entry, not_in_record, require_anchored
    from hygie.gate.reconcile import require_journaled
    from hygie.gate.told import require_told
    from hygie.journal.writer import JournalWriter
    from hygie.probes.reconcile import JournalWatch

    frame = frame_of(context)

    async def act(house: House, records: Database, pool: Database, _: LocalOperator) -> None:
        watch = JournalWatch(house, records)
        with frame.out.step(say(fr="Rapprochement des clés, des droits et du journal", en="Keys, rights, journal")):
            found, look = await _reconciled(house, watch)
            cut = await not_in_record(house.kms, watch.told.anchors)
        if new_record:
            journal = JournalWriter(pool, house.month_keys, house.clock)
            status = await house.kms.status()
            anchor = anchor_entry(status, house.clock.now_ms(), account=operator_name(), anew="operator")
            await journal.append_now([anchor])
            await journal.close()
        _warn(frame, found, cut, look)
        facts = {"anchors": len(watch.told.anchors), "cut": [_anchor_facts(one) for one in cut]}
        facts |= {"rights": look.live, "compared": look.complete, "wrong": [one.name for one in look.wrong]}
        facts |= {"foreign": [index for index, _ in look.foreign]}
        frame.out.result(_reconciled_facts(found) | facts)
        require_journaled(found)
        require_anchored([] if new_record else cut)
        require_told(look.wrong)

    run_work(frame, act)


def _warn(frame: Frame, found: Reconciliation, cut: list[Anchor], look: RightsLook) -> None:
    """What was found, line by line, then in one sentence."""
    from hygie.base.clock import iso_ms

    for line in found.orphans:
        frame.out.warn(
            say(
                fr=f"ligne {line.line}, permis {line.permit}, motif {line.reason} : aucune entrée",
                en=f"line {line.line}, permit {line.permit}, reason {line.reason}: no entry",
            )
        )
    for anchor in cut:
        at = iso_ms(anchor.at_ms)
        frame.out.warn(
            say(
                fr=f"registre des clés : {anchor.lines} lignes ancrées le {at}, introuvables",
                en=f"key record: {anchor.lines} lines anchored on {at}, not there",
            )
        )
    for wrong in look.wrong:
        frame.out.warn(
            say(
                fr=f"droit sans acte au journal : {wrong.name}",
                en=f"right without its act in the journal: {wrong.name}",
            )
        )
    if look.foreign:
        frame.out.warn(foreign_told([index for index, _ in look.foreign]))
    frame.out.line(
        say(
            fr=f"{found.lines} lignes, {found.keys} clés données ; {found.matched} lignes journalisées,"
            f" {found.refused} refus, {found.waiting} trop récentes, {len(found.orphans)} sans trace."
            f" {look.live} droits, {len(look.wrong)} sans acte. Ancres que le registre n'a plus : {len(cut)}.",
            en=f"{found.lines} lines, {found.keys} keys given; {found.matched} lines journaled,"
            f" {found.refused} refused, {found.waiting} too recent, {len(found.orphans)} without a trace."
            f" {look.live} rights, {len(look.wrong)} without their act. Anchors that the record lost: {len(cut)}.",
        )
    )


def _anchor_facts(anchor: Anchor) -> dict[str, Any]:
    from hygie.base.clock import iso_ms

    return {"lines": anchor.lines, "head": anchor.head.hex(), "at": iso_ms(anchor.at_ms)}


async def _reconciled(house: House, watch: JournalWatch) -> tuple[Reconciliation, RightsLook]:
    """Read the key record, then the whole journal once, for all that is compared."""
    from hygie.gate.reconcile import reconcile as compare
    from hygie.keys.kms import UnwrapLine

    now_ms = house.clock.now_ms()
    lines: list[UnwrapLine] = []
    while some := await house.kms.unwrap_record(lines[-1].line if lines else -1, UNWRAP_LINES):
        lines += some
    entries: list[Entry] = []

    def hear(found: Found) -> None:
        if found.entry is not None and found.entry.permit_id:
            entries.append(found.entry)

    look = await watch.look_at_rights(hear)
    return compare(lines, entries, now_ms=now_ms), look


def _reconciled_facts(found: Reconciliation) -> dict[str, Any]:
    import msgspec

    return {
        "lines": found.lines,
        "keys": found.keys,
        "refused": found.refused,
        "matched": found.matched,
        "waiting": found.waiting,
        "orphans": [msgspec.to_builtins(line) for line in found.orphans],
    }


async def _head(records: Database) -> tuple[int, int]:
    """Entries indexed, entries waiting for their index."""
    async with records.transaction() as connection:
        cursor = await connection.execute(
            "SELECT (SELECT size FROM hygie.journal_head), (SELECT count(*) FROM hygie.journal_pending)"
        )
        row = await cursor.fetchone()
    assert row is not None
    return row[0], row[1]


async def _status(house: House, records: Database) -> dict[str, Any]:
    from hygie.journal.checkpoint import verify_cosignature
    from hygie.journal.errors import CheckpointInvalidError, EntryNotFoundError

    size, pending = await _head(records)
    now_ms = house.clock.now_ms()
    facts: dict[str, Any] = {"origin": await house.origin(), "size": size, "pending": pending, "published": 0}
    facts |= {"root": None, "cosigned_ms": None, "age_ms": None, "last_entry_ms": None}
    reader = await house.journal_reader(records)
    try:
        checkpoint, note = await reader.checkpoint()
    except EntryNotFoundError:
        return facts
    facts |= {"published": checkpoint.size, "root": checkpoint.root.hex()}
    async for index, leaf in reader.entries(checkpoint.size - 1):
        found = await reader.open(index, leaf)
        if not found.foreign:
            facts |= {"last_entry_ms": found.head.at_ms, "age_ms": max(now_ms - found.head.at_ms, 0)}
    witness = house.witness()
    if witness is not None:
        try:
            facts["cosigned_ms"] = verify_cosignature(note, witness_key=witness.key) * 1000
        except CheckpointInvalidError as error:
            facts["cosigned_refused"] = error.code
    return facts


def _told(facts: dict[str, Any]) -> list[list[str]]:
    """The same for a person."""
    from hygie.proof.judge import duration

    names = {
        "origin": say(fr="journal", en="journal"),
        "size": say(fr="entrées indexées", en="entries indexed"),
        "pending": say(fr="en attente", en="waiting"),
        "published": say(fr="publiées", en="published"),
        "root": say(fr="racine signée", en="signed root"),
        "cosigned_ms": say(fr="cosigné par le témoin le", en="cosigned by the witness"),
        "cosigned_refused": say(fr="cosignature refusée", en="cosignature refused"),
        "last_entry_ms": say(fr="dernière entrée le", en="last entry"),
        "age_ms": say(fr="son âge", en="its age"),
    }
    told = []
    for name, words in names.items():
        value = facts.get(name)
        if value is None and name == "cosigned_refused":
            continue
        if isinstance(value, int) and name.endswith("_ms"):
            value = duration(value / 1000).said() if name == "age_ms" else f"{_second(value)} UTC"
        told.append([words, "—" if value is None else str(value)])
    return told


def _second(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _known(actions: list[str], outcomes: list[str]) -> tuple[frozenset[str], frozenset[str]]:
    """Filters that mean something. Raises: InvalidRequestError: a mistyped one would find nothing and prove nothing."""
    from hygie.base.actions import Action
    from hygie.base.errors import InvalidRequestError
    from hygie.journal.entry import OUTCOMES

    if not set(actions) <= {one.value for one in Action}:
        raise InvalidRequestError(reason="--action")
    if not set(outcomes) <= OUTCOMES:
        raise InvalidRequestError(reason="--outcome")
    return frozenset(actions), frozenset(outcomes)


def since_ms(since: str, now_ms: int) -> int:
    """``30m``, ``24h``, ``7d`` ago, or an ISO 8601 instant (UTC unless it says otherwise), in ms; 0: the beginning."""
    from hygie.base.errors import InvalidRequestError

    if not since:
        return 0
    if since[:-1].isdecimal() and since[-1] in SINCE_UNITS and len(since) < 8:
        ago = timedelta(**{SINCE_UNITS[since[-1]]: int(since[:-1])})
        return max(now_ms - int(ago.total_seconds() * 1000), 0)
    try:
        at = datetime.fromisoformat(since)
    except ValueError as error:
        raise InvalidRequestError(reason="--since") from error
    began = datetime(1970, 1, 1, tzinfo=UTC)
    return ((at if at.tzinfo else at.replace(tzinfo=UTC)) - began) // timedelta(milliseconds=1)


def _row(found: Found) -> list[object]:
    entry = found.entry
    if entry is None:
        return [found.index, _second(found.head.at_ms), "", say(fr="(clé détruite)", en="(key destroyed)"), "", "", ""]
    detail = " ".join(f"{name}={value[:16]}" for name, value in entry.detail.items())
    account = entry.account or entry.address
    return [found.index, _second(entry.at_ms), account, entry.action.value, entry.outcome, entry.count or "", detail]


def entry_facts(found: Found) -> dict[str, Any]:
    """One entry as a machine reads it; ids in hexadecimal."""
    from hygie.base.clock import iso_ms

    facts: dict[str, Any] = {"index": found.index, "at": iso_ms(found.head.at_ms), "kind": found.head.kind}
    facts |= {"at_ms": found.head.at_ms, "tenant_id": found.head.tenant_id.hex(), "readable": found.entry is not None}
    if found.entry is None:
        return facts
    entry = found.entry
    for name in ("action", "outcome", "account", "professional_id", "authentication", "on_behalf_of", "count"):
        facts[name] = getattr(entry, name)
    for name in ("address", "device", "country", "site", "purpose", "habilitation", "detail"):
        facts[name] = getattr(entry, name)
    for name in ("environment_id", "subject", "permit_id"):
        facts[name] = getattr(entry, name).hex()
    facts["items"] = [[type_, id_.hex(), version] for type_, id_, version in entry.items]
    return facts
