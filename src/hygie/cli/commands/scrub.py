"""``hygie scrub``: read every copy of everything again, now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hygie.base.errors import IntegrityError
from hygie.base.language import say
from hygie.cli.acts import run_work
from hygie.cli.frame import Frame, frame_of

if TYPE_CHECKING:
    from hygie.app import House
    from hygie.database.pool import Database
    from hygie.gate.local import LocalOperator
    from hygie.journal.spread import JournalSpread
    from hygie.sites.scrub import ScrubReport

MB = 1_000_000


class CopiesLostError(IntegrityError):
    """Objects of which no site has an intact copy."""

    code = "HYG-595"
    fr = "{count} objets n'ont plus aucune copie intègre : restaurez-les d'une sauvegarde."
    en = "{count} objects have no intact copy left: restore them from a backup."


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "scrub",
        help=say(
            fr="Relit chaque copie de chaque objet sur chaque site, nomme ce qui est abîmé et le répare.",
            en="Read every copy of every object on every site again, name what is damaged and mend it.",
        ),
        epilog=say(fr="Exemple", en="Example") + ": hygie scrub --data /srv/hygie",
    )(scrub)


def scrub(
    context: typer.Context,
    dry: Annotated[bool, typer.Option("--dry", help=say(fr="Nommer sans réparer.", en="Name, do not mend."))] = False,
    rate: Annotated[
        int | None,
        typer.Option(min=1, help=say(fr="Mo/s au plus, tous sites ensemble.", en="MB/s at most, all sites together.")),
    ] = None,
) -> None:
    """Scrub now."""
    frame = frame_of(context)
    run_work(
        frame,
        lambda house, records, pool, operator: _scrub(frame, house, (records, pool), operator, dry=dry, rate=rate),
    )


async def _scrub(
    frame: Frame,
    house: House,
    pools: tuple[Database, Database],
    operator: LocalOperator,
    *,
    dry: bool,
    rate: int | None,
) -> None:
    from hygie.base.actions import Action
    from hygie.upkeep import expected_objects, run_scrub, run_spread_journal

    total = 0
    async for _ in expected_objects(*pools):
        total += 1
    with frame.out.progress(say(fr="Relecture", en="Reading again"), total) as advance:
        async with operator.act(Action.SITE_SCRUB) as act:
            report = await run_scrub(
                house, *pools, repair=not dry, progress=advance, rate_bytes_per_s=rate * MB if rate else None
            )
            act.count = report.checked
            act.detail |= {
                "damaged": str(len(report.damaged)),
                "missing": str(len(report.missing)),
                "mended": str(len(report.mended)),
                "lost": str(len(report.lost)),
            }
            journal = None if dry else await run_spread_journal(house, pools[0], deep=True)
    _say(frame, report, journal)
    if report.lost:
        raise CopiesLostError(count=len(report.lost))


def _say(frame: Frame, report: ScrubReport, journal: JournalSpread | None) -> None:
    mended = {(one.site, one.name) for one in report.mended}
    rows = [
        [one.site, one.name, one.reason, say(fr="réparé", en="mended") if (one.site, one.name) in mended else ""]
        for one in (*report.damaged, *report.missing)
    ]
    if rows:
        frame.out.table(
            ["site", say(fr="objet", en="object"), say(fr="défaut", en="fault"), say(fr="suite", en="then")], rows
        )
    frame.out.line(
        say(
            fr=f"{report.checked} objets relus, {len(report.damaged)} copies abîmées, {len(report.missing)} manquantes,"
            f" {len(report.mended)} réparées.",
            en=f"{report.checked} objects read, {len(report.damaged)} copies damaged, {len(report.missing)} missing,"
            f" {len(report.mended)} mended.",
        )
    )
    if journal is not None:
        for site, names in journal.altered.items():
            frame.out.warn(say(fr=f"{site} : journal réparé, {names[0]}…", en=f"{site}: journal mended, {names[0]}…"))
    for site, count in report.unreachable.items():
        frame.out.warn(say(fr=f"{site} : {count} copies non lues", en=f"{site}: {count} copies not read"))
    frame.out.result(
        {
            "checked": report.checked,
            "bytes": report.bytes,
            "damaged": [[one.site, one.name, one.reason] for one in report.damaged],
            "missing": [[one.site, one.name, one.reason] for one in report.missing],
            "mended": [[one.site, one.name] for one in report.mended],
            "lost": report.lost,
            "unreachable": report.unreachable,
            "clean": report.clean,
            "journal": {"altered": journal.altered, "copied": journal.copied} if journal is not None else None,
        }
    )
