"""``hygie availability``: the rate of each client against its contract, planned windows, what probes measured."""

from __future__ import annotations

import asyncio
import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hygie.base.language import say
from hygie.cli.acts import instant, operator_name
from hygie.cli.frame import Frame, frame_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hygie.app import House
    from hygie.availability.ask import Door, Target
    from hygie.availability.clients import Counted
    from hygie.availability.results import ResultsWriter
    from hygie.availability.store import Window
    from hygie.database.pool import Database
    from hygie.uptime import Told

MINUTE_MS = 60_000
PROBES_AT_ONCE = 16


def register(app: typer.Typer) -> None:
    """Add the command."""
    group = typer.Typer(
        help=say(
            fr="Disponibilité : taux par client, pénalités, fenêtres planifiées, sondes.",
            en="Availability: rate by client, penalties, planned windows, probes.",
        ),
        no_args_is_help=True,
    )
    example = say(fr="Exemple", en="Example")
    group.command(
        "show",
        help=say(
            fr="Taux de chaque client, par période de son contrat : promis, budget restant, pénalité ; avec --month,"
            " un mois civil et ses interruptions.",
            en="Rate of each client, by period of its contract: promised, budget left, penalty; with --month, one"
            " calendar month and its outages.",
        ),
        epilog=f"{example}: hygie availability show --tenant chu-x --month 2026-11",
    )(show)
    group.command(
        "window",
        help=say(
            fr="Déclare une fenêtre planifiée, avant son début et avec le préavis du contrat.",
            en="Declare a planned window, before it begins and with the contract's notice.",
        ),
        epilog=f"{example}: hygie availability window --tenant chu-x --from 2026-12-06T22:00+01:00"
        " --to 2026-12-06T23:30+01:00 --reason 'PostgreSQL 18'",
    )(window)
    group.command(
        "cancel", help=say(fr="Retire une fenêtre qui n'a pas commencé.", en="Withdraw a window that has not begun.")
    )(cancel)
    group.command("windows", help=say(fr="Liste les fenêtres d'un client.", en="List a client's windows."))(windows)
    group.command(
        "probe",
        help=say(
            fr="Sonde la plateforme depuis une autre machine, chaque minute, jusqu'à SIGTERM ; dit la clé publique à"
            " mettre dans les réglages.",
            en="Probe the platform from another machine, every minute, until SIGTERM; tells the public key that"
            " settings take.",
        ),
        epilog=f"{example}: hygie availability probe --url https://fhir.example.fr --targets cibles.txt --key sonde.key"
        " --out mesures.jsonl",
    )(probe)
    group.command(
        "import",
        help=say(fr="Reprend les mesures d'une sonde extérieure.", en="Take in what an outside probe measured."),
        epilog=f"{example}: hygie availability import mesures.jsonl",
    )(import_)
    app.add_typer(group, name="availability")


def show(
    context: typer.Context,
    tenant: Annotated[str, typer.Option(help=say(fr="Un client (sinon tous).", en="One client (else all)."))] = "",
    month: Annotated[str, typer.Option(help=say(fr="Mois, comme 2026-11.", en="Month, such as 2026-11."))] = "",
) -> None:
    """Show rates."""
    from hygie import uptime
    from hygie.availability.minutes import month_of

    frame, asked = frame_of(context), None
    if month:
        found = re.fullmatch(r"(20\d\d)-(0[1-9]|1[0-2])", month, re.ASCII)
        if not found:
            raise typer.BadParameter(say(fr="un mois, comme 2026-11", en="a month, such as 2026-11"))
        asked = month_of(int(found[1]), int(found[2]))
    told: list[Told] = _on_house(frame, lambda house: uptime.show(house, operator_name(), tenant=tenant, month=asked))
    for one in told:
        _show_one(frame, one, outages=bool(month))
    frame.out.result([_plain(one) for one in told])


def _show_one(frame: Frame, one: Told, *, outages: bool) -> None:
    terms, counted = one.terms, [row for row in one.periods if row.tally.up + row.tally.down + row.tally.excluded]
    contract = terms.contract or say(fr="sans contrat en vigueur", en="no contract in force")
    frame.out.line(f"{one.tenant} ({contract}) : {say(fr='promis', en='promised')} {_percent(terms.promised)}")
    frame.out.table(
        [say(fr="période", en="period"), say(fr="taux", en="rate"), say(fr="interrompu (min)", en="down (min)"),
         say(fr="non mesuré", en="unmeasured"), say(fr="exclu", en="excluded"), say(fr="lent", en="slow"),
         say(fr="vu de l'extérieur", en="seen from outside"), say(fr="budget restant (min)", en="budget left (min)"),
         say(fr="pénalité", en="penalty")],
        [_row(row) for row in counted],
    )  # fmt: skip
    if not outages:
        return
    for row in counted:
        for out in row.tally.outages:
            minutes = out.end - out.start
            frame.out.line(f"  {_at(out.start)} → {_at(out.end)}  {minutes} min  {out.reason}")


def _row(row: Counted) -> list[object]:
    kept, sums = row.account, row.tally
    penalty = say(fr="hors table", en="no table") if kept.penalty is None else _percent(kept.penalty)
    amount = f" ({kept.amount} €)" if kept.amount is not None else ""
    rate = _percent(kept.rate) if kept.rate is not None else "-"
    return [row.period.name, rate, sums.down, sums.unmeasured, sums.excluded, sums.slow, sums.outside,
            f"{kept.left} / {kept.allowed}", penalty + amount]  # fmt: skip


def window(
    context: typer.Context,
    begins: Annotated[str, typer.Option("--from", help=say(fr="Début, avec son fuseau.", en="Begin, with its zone."))],
    ends: Annotated[str, typer.Option("--to", help=say(fr="Fin, avec son fuseau.", en="End, with its zone."))],
    reason: Annotated[str, typer.Option(help=say(fr="Motif.", en="Why."))],
    tenant: Annotated[list[str] | None, typer.Option(help=say(fr="Client.", en="Client."))] = None,
    everybody: Annotated[bool, typer.Option("--all", help=say(fr="Tous les clients.", en="All clients."))] = False,
) -> None:
    """Declare a window."""
    from hygie import uptime
    from hygie.availability.minutes import Span

    frame = frame_of(context)
    if bool(tenant) == everybody:
        raise typer.BadParameter(say(fr="--tenant ou --all", en="--tenant or --all"))
    span = Span(-(-_moment(begins) // MINUTE_MS), _moment(ends) // MINUTE_MS)  # whole minutes only
    made: list[Window] = _as_owner(
        frame,
        lambda house, owner: uptime.declare(
            house, owner, operator_name(), tenants=tenant or (), span=span, reason=reason
        ),
    )
    for one in made:
        frame.out.line(say(fr=f"Fenêtre {one.id} déclarée.", en=f"Window {one.id} declared."))
    frame.out.result([one.id for one in made])


def cancel(
    context: typer.Context,
    id_: Annotated[str, typer.Argument(metavar="ID", help=say(fr="Son identifiant.", en="Its id."))],
) -> None:
    """Withdraw a window."""
    from hygie import uptime

    frame = frame_of(context)
    _as_owner(frame, lambda house, owner: uptime.cancel(house, owner, operator_name(), id_))
    frame.out.line(say(fr="Fenêtre retirée.", en="Window withdrawn."))
    frame.out.result({"window": id_, "state": "cancelled"})


def windows(
    context: typer.Context, tenant: Annotated[str, typer.Argument(help=say(fr="Client.", en="Client."))]
) -> None:
    """List windows."""
    from hygie import uptime

    frame = frame_of(context)
    (told,) = _on_house(frame, lambda house: uptime.show(house, operator_name(), tenant=tenant, months=1))
    rows = [_window(one, counts) for one, counts in told.windows]
    frame.out.table(
        [say(fr="fenêtre", en="window"), say(fr="de", en="from"), say(fr="à", en="to"), say(fr="motif", en="reason"),
         say(fr="déclarée le", en="declared"), say(fr="compte", en="counts")],
        [[row["id"], _at(row["from"]), _at(row["to"]), row["reason"], instant(row["declared_ms"]),
          say(fr="oui", en="yes") if row["counts"] else say(fr="non", en="no")] for row in rows],
    )  # fmt: skip
    frame.out.result(rows)


def probe(
    context: typer.Context,
    url: Annotated[str, typer.Option(help=say(fr="https://hôte[:port].", en="https://host[:port]."))],
    targets: Annotated[
        Path,
        typer.Option(
            help=say(fr="Fichier : client/environnement [jeton Type/id].", en="File: client/name [token T/id].")
        ),
    ],
    key: Annotated[Path, typer.Option(help=say(fr="Sa clé, créée au besoin.", en="Its key, made if absent."))],
    out: Annotated[Path, typer.Option(help=say(fr="Fichier de mesures, complété.", en="File of results, added to."))],
    authority: Annotated[
        Path | None,
        typer.Option(help=say(fr="PEM de qui signe le certificat.", en="PEM of who signs the certificate.")),
    ] = None,
    minutes: Annotated[int, typer.Option(min=0, help=say(fr="Minutes (0 : sans fin).", en="Minutes (0: no end)."))] = 0,
) -> None:
    """Probe from elsewhere; needs no installation."""
    from hygie.availability.ask import read_targets, read_url
    from hygie.availability.results import ResultsWriter

    frame, door, places = frame_of(context), read_url(url, authority), read_targets(targets)
    writer = ResultsWriter(out, key)
    frame.out.line(say(fr=f"clé publique : {writer.public_key}", en=f"public key: {writer.public_key}"))
    frame.out.result({"key": writer.public_key})
    _probe_each_minute(door, places, writer, minutes)


def _probe_each_minute(door: Door, places: list[Target], writer: ResultsWriter, minutes: int) -> None:
    from concurrent.futures import ThreadPoolExecutor

    from hygie.availability.ask import ask

    done, last = 0, -1
    with ThreadPoolExecutor(max_workers=PROBES_AT_ONCE) as pool:
        while not minutes or done < minutes:
            minute = time.time_ns() // 1_000_000 // MINUTE_MS
            if minute != last:
                last, done = minute, done + 1
                for one, seen in zip(places, pool.map(lambda target: ask(door, target), places), strict=True):
                    writer.add(f"{door.host}:{door.port}", one.place, minute, seen)
            if done != minutes or not minutes:
                time.sleep((MINUTE_MS - time.time_ns() // 1_000_000 % MINUTE_MS) / 1000 + 0.5)


def import_(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help=say(fr="Fichier de mesures.", en="File of results."))],
) -> None:
    """Take results in."""
    from hygie import uptime

    frame = frame_of(context)
    taken: dict[str, int] = _on_house(frame, lambda house: uptime.take_in(house, operator_name(), file))
    for place, count in taken.items():
        frame.out.line(say(fr=f"{place} : {count} mesures reprises.", en=f"{place}: {count} results taken in."))
    frame.out.result(taken)


def _window(one: Window, counts: bool) -> dict[str, Any]:
    times = {"from": one.span.start, "to": one.span.end, "declared_ms": one.declared_ms}
    return {"id": one.id, **times, "reason": one.reason, "counts": counts}


def _plain(told: Told) -> dict[str, Any]:
    """Numbers as they are: rates and amounts as text, so that no reader rounds them."""
    return {
        "tenant": told.tenant,
        "contract": told.terms.contract,
        "promised": str(told.terms.promised),
        "periods": [
            {
                "name": row.period.name,
                "rate": _text(row.account.rate),
                "minutes": {
                    name: getattr(row.tally, name)
                    for name in ("up", "slow", "down", "excluded", "before", "ahead", "unmeasured", "outside")
                },
                "allowed": row.account.allowed,
                "left": row.account.left,
                "penalty": _text(row.account.penalty),
                "amount": _text(row.account.amount),
                "outages": [{"from": out.start, "to": out.end, "reason": out.reason} for out in row.tally.outages],
            }
            for row in told.periods
        ],
    }


def _text(number: object) -> str | None:
    return None if number is None else str(number)


def _percent(number: object) -> str:
    return say(fr=f"{number} %".replace(".", ","), en=f"{number} %")


def _at(minute: int) -> str:
    return instant(minute * MINUTE_MS)


def _moment(text: str) -> int:
    """Milliseconds UTC. Raises: BadParameter."""
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is not None:
            return int(found.astimezone(UTC).timestamp() * 1000)
    except (ValueError, OverflowError):
        pass
    raise typer.BadParameter(
        say(
            fr="un instant avec son fuseau, comme 2026-12-06T22:00+01:00",
            en="an instant with its zone, such as 2026-12-06T22:00+01:00",
        )
    )


def _on_house(frame: Frame, act: Callable[[House], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        from hygie.app import open_house

        async with open_house(frame.folder.path) as house:
            return await act(house)

    return asyncio.run(main())


def _as_owner(frame: Frame, act: Callable[[House, Database], Awaitable[Any]]) -> Any:
    async def main(house: House) -> Any:
        from hygie.app import opened

        async with opened(house.dsns.owner, size=2) as owner:
            return await act(house, owner)

    return _on_house(frame, main)
