"""``hygie hardening``: points of the machine, its baseline, reports of other programs, systemd units."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hygie.base.language import say
from hygie.cli.acts import instant, run_custody, run_work, show_rows
from hygie.cli.frame import frame_of
from hygie.cli.moment import moment_ms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hygie.app import House
    from hygie.base.settings import Settings
    from hygie.cli.frame import Frame
    from hygie.custody import Custody
    from hygie.database.pool import Database
    from hygie.gate.people_administration import PeopleAdministration
    from hygie.hardening.model import Baseline, MachineFacts, Measured, Report, ReportKind, Seen, Waiver
    from hygie.hardening.rows import Declarations

_REASON = say(fr="Pourquoi, en clair.", en="Why, in plain words.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        help=say(
            fr="Durcissement de la machine : points, référence, écarts, rapports, unités systemd.",
            en="Hardening of the machine: points, baseline, drift, reports, systemd units.",
        ),
        no_args_is_help=True,
    )
    example = say(fr="Exemple", en="Example")
    group.command(
        "show",
        help=say(fr="La dernière mesure, ses écarts et leur âge.", en="The last measurement, drifts, their age."),
    )(show)
    group.command(
        "look",
        help=say(
            fr="Regarder la machine maintenant, sans rien garder ; --into écrit ce que root voit pour hygie work.",
            en="Look at the machine now, keeping nothing; --into writes what root sees for hygie work.",
        ),
    )(look)
    group.command("measure", help=say(fr="Mesurer maintenant.", en="Measure now."))(measure)
    group.command(
        "baseline",
        help=say(fr="Accepter l'état mesuré comme référence.", en="Accept the measured state as the baseline."),
        epilog=f'{example}: hygie hardening baseline --reason "noyau 6.12, revu par Zoé"',
    )(baseline)
    group.command(
        "except",
        help=say(fr="Admettre un point non tenu jusqu'à une date.", en="Allow a point not to be kept until a date."),
        epilog=f'{example}: hygie hardening except mount-home --until 2027-03-01 --reason "pas de /home ici"',
    )(except_)
    group.command(
        "import",
        help=say(
            fr="Reprendre le rapport d'un autre programme : lynis, openscap, sslyze.",
            en="Take in the report of another program: lynis, openscap, sslyze.",
        ),
        epilog=f"{example}: hygie hardening import lynis /var/log/lynis-report.dat",
    )(import_)
    group.command(
        "units",
        help=say(fr="Unités systemd durcies pour cette installation.", en="Hardened systemd units for this place."),
        epilog=f"{example}: hygie hardening units --user hygie --into ./units",
    )(units)
    app.add_typer(group, name="hardening")


def show(context: typer.Context) -> None:
    """Show the last measurement."""
    frame = frame_of(context)

    async def act(house: House, *_: object) -> tuple[MachineFacts, int]:
        from hygie.probes.hardening import probe_machine

        return await probe_machine(house), house.clock.now_ms()

    facts, now_ms = run_work(frame, act)
    _draw(frame, facts, now_ms)


def look(
    context: typer.Context,
    into: Annotated[
        Path | None, typer.Option(help=say(fr="Fichier à écrire (root).", en="File to write (root)."))
    ] = None,
) -> None:
    """Look, keeping nothing."""
    from hygie.base.clock import SystemClock
    from hygie.probes.hardening import look_here, save_look

    frame = frame_of(context)
    seen = look_here(_settings(frame) if into is None else None, frame.folder)  # root may not own the settings
    if into is not None:
        save_look(into, seen, SystemClock().now_ms())
        frame.out.result({"file": str(into), "points": len(seen)})
        return
    show_rows(frame, _rows(seen))


def measure(context: typer.Context) -> None:
    """Measure now."""
    frame = frame_of(context)

    async def act(house: House, records: Database, *_: object) -> tuple[MachineFacts, int]:
        from hygie.probes.hardening import run_machine

        return await run_machine(house, records), house.clock.now_ms()

    facts, now_ms = run_work(frame, act)
    _draw(frame, facts, now_ms)


def baseline(context: typer.Context, reason: Annotated[str, typer.Option(help=_REASON)]) -> None:
    """Accept the measured state."""
    frame = frame_of(context)

    async def act(custody: Custody, _: PeopleAdministration) -> Baseline:
        return await _declarations(custody).baseline(reason)

    made = run_custody(frame, act)
    frame.out.line(say(fr=f"{len(made.points)} points acceptés.", en=f"{len(made.points)} points accepted."))
    frame.out.result({"at_ms": made.at_ms, "points": len(made.points)})


def except_(
    context: typer.Context,
    point: Annotated[str, typer.Argument(help=say(fr="Le point (voir show).", en="The point (see show)."))],
    until: Annotated[str, typer.Option(help=say(fr="Dernier jour ; un an au plus.", en="Last day; a year at most."))],
    reason: Annotated[str, typer.Option(help=_REASON)],
) -> None:
    """Allow a point not to be kept."""
    frame = frame_of(context)
    until_ms = moment_ms(until)

    async def act(custody: Custody, _: PeopleAdministration) -> Waiver:
        return await _declarations(custody).waive(point, until_ms, reason)

    made = run_custody(frame, act)
    frame.out.line(
        say(fr=f"{point} : admis jusqu'au {instant(made.until_ms)}.", en=f"{point}: until {instant(made.until_ms)}.")
    )
    frame.out.result({"point": made.point, "until_ms": made.until_ms})


def import_(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(help="lynis, openscap, sslyze.")],
    file: Annotated[Path, typer.Argument(help=say(fr="Son fichier.", en="Its file."))],
) -> None:
    """Take in a report. Raises: ReportInvalidError: another kind, or not such a file."""
    from hygie.hardening.errors import ReportInvalidError
    from hygie.hardening.model import REPORT_KINDS
    from hygie.hardening.reports import REPORT_BYTES_MAX

    frame = frame_of(context)
    chosen: ReportKind | None = next((one for one in REPORT_KINDS if one == kind), None)
    if chosen is None:
        raise ReportInvalidError(kind="?", reason=", ".join(REPORT_KINDS))
    with file.open("rb") as opened:
        data = opened.read(REPORT_BYTES_MAX + 1)

    async def act(custody: Custody, _: PeopleAdministration) -> Report:
        from hygie.hardening.reports import read_report

        now_ms, index = custody.house.clock.now_ms(), custody.house.settings.hardening.lynis_index
        report = read_report(chosen, data, now_ms=now_ms, lynis_index=index)
        await _declarations(custody).keep(report)
        return report

    report = run_custody(frame, act)
    counts = ", ".join(f"{name} {count}" for name, count in report.counts.items())
    passed = say(fr="passé", en="passed") if report.passed else say(fr="en échec", en="failed")
    frame.out.line(f"{report.kind}, {instant(report.at_ms)} : {passed} ({counts})")
    frame.out.result(
        {"kind": report.kind, "at_ms": report.at_ms, "passed": report.passed, "counts": dict(report.counts)}
    )


def units(
    context: typer.Context,
    user: Annotated[str, typer.Option(help=say(fr="Compte d'Hygie.", en="Hygie's account."))] = "hygie",
    program: Annotated[str, typer.Option(help=say(fr="Chemin de hygie.", en="Path of hygie."))] = "",
    into: Annotated[Path | None, typer.Option(help=say(fr="Dossier où écrire.", en="Folder to write in."))] = None,
) -> None:
    """Print the units, or write them."""
    from hygie.base.files import write_durably
    from hygie.hardening.units import units as made_for

    frame = frame_of(context)
    made = made_for(_place(frame, user, program or str(Path(sys.argv[0]).absolute())))
    if into is not None:
        into.mkdir(parents=True, exist_ok=True)
    for name, text in made.items():
        if into is None:
            frame.out.line(f"# {name}\n{text}")
        else:
            write_durably(into / name, text.encode(), mode=0o644)
            frame.out.line(str(into / name))
    frame.out.result(made if into is None else {"files": [str(into / name) for name in made]})


def _declarations(custody: Custody) -> Declarations:
    from hygie.hardening.rows import Declarations

    return Declarations(custody.operator, custody.owner, kms=custody.house.kms, clock=custody.house.clock)


def _place(frame: Frame, user: str, program: str) -> Any:
    from hygie.base.channels import FileSettings
    from hygie.base.settings import SYSTEMD_PREFIX
    from hygie.hardening.units import Place

    settings, folder = frame.settings(), frame.folder
    credential = settings.kms.credential or ""
    files = [str(folder.resolve(one.path).parent) for one in settings.channels if isinstance(one, FileSettings)]
    return Place(
        hygie=program,
        user=user,
        data=str(folder.path),
        sites=[str(folder.resolve(one.path)) for one in settings.sites],
        others=[str(folder.resolve(settings.backups.path))],
        channels=list(dict.fromkeys(files)),
        port=settings.host.port,
        processes=settings.host.processes,
        apart=settings.database.dsn is not None,
        witness=settings.witness.url is None,
        credential=credential.removeprefix(SYSTEMD_PREFIX) if credential.startswith(SYSTEMD_PREFIX) else None,
    )


def _settings(frame: Frame) -> Settings | None:
    """Of this installation; None where there is none to look at."""
    return frame.settings() if frame.folder.settings_file.exists() else None


def _rows(seen: Mapping[str, Seen | Measured]) -> list[dict[str, object]]:
    from hygie.hardening.model import STATES
    from hygie.hardening.points import expected, points

    known = points()
    ordered = sorted(seen, key=lambda name: STATES.index(seen[name].state))
    return [
        {
            "point": name,
            "state": seen[name].state,
            "value": seen[name].value,
            "expected": expected(known[name]),
            "title": say(fr=known[name].fr, en=known[name].en),
            "source": known[name].source,
        }
        for name in ordered
        if name in known
    ]


def _draw(frame: Frame, facts: MachineFacts, now_ms: int) -> None:
    """The measurement, drifts first, then reports."""
    drifts = facts.drifts
    rows = _rows(facts.points)
    for row in rows:
        name = str(row["point"])
        row["drift_ms"] = drifts.get(name)
        row["until_ms"] = facts.waivers[name].until_ms if facts.waived(name, now_ms) else None
    rows.sort(key=lambda row: row["drift_ms"] is None)
    names = ["point", "state", "value", "expected", "drift_ms", "until_ms"]
    heads = [
        say(fr="point", en="point"),
        say(fr="état", en="state"),
        say(fr="mesuré", en="measured"),
        say(fr="attendu", en="expected"),
        say(fr="écart depuis", en="drift since"),
        say(fr="admis jusqu'à", en="allowed until"),
    ]
    cells = [
        [instant(row[one]) if one.endswith("_ms") and row[one] else row[one] or "" for one in names] for row in rows
    ]
    frame.out.table(heads, cells)
    at = instant(facts.at_ms) if facts.at_ms is not None else "-"
    accepted = instant(facts.baseline.at_ms) if facts.baseline is not None else "-"
    frame.out.line(say(fr=f"Mesuré : {at} ; référence : {accepted}", en=f"Measured: {at}; baseline: {accepted}"))
    for one in facts.reports:
        passed = say(fr="passé", en="passed") if one.passed else say(fr="en échec", en="failed")
        frame.out.line(f"{one.kind}, {instant(one.at_ms)} : {passed}")
    frame.out.result(
        {
            "at_ms": facts.at_ms,
            "baseline_ms": facts.baseline.at_ms if facts.baseline is not None else None,
            "points": rows,
            "reports": [{"kind": one.kind, "at_ms": one.at_ms, "passed": one.passed} for one in facts.reports],
        }
    )
