"""``hygie certification``: cycles and certificates, their dates, what the next audit looks at, what happens."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hygie.base.language import current_language, say
from hygie.cli.errors import CycleUnknownError
from hygie.cli.frame import Frame, frame_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hygie.proof.certification.agenda import Agenda
    from hygie.proof.certification.cycle import Snapshot
    from hygie.proof.certification.events import EventKind
    from hygie.proof.certification.programme import Programme
    from hygie.proof.model import Text
    from hygie.registers.chain import RecordVersion
    from hygie.registers.engine import Registers

CALENDAR_DAYS = 365
_At = Annotated[str, typer.Option(help=say(fr="À cette date.", en="On that date."))]
_Cycle = Annotated[str, typer.Option(help=say(fr="Cycle, sinon celui en cours.", en="Cycle, else current."))]


def register(app: typer.Typer) -> None:
    """Add the command."""
    group = typer.Typer(
        help=say(
            fr="Certification : cycles, certificats, échéances, préparation des audits. Hygie ne certifie pas.",
            en="Certification: cycles, certificates, dates, preparation of audits. Hygie certifies nothing.",
        ),
        no_args_is_help=True,
    )
    example = say(fr="Exemple", en="Example")
    for name, fr, en, sample, run in _pages():
        group.command(name, help=say(fr=fr, en=en), epilog=f"{example}: {sample}")(run)
    app.add_typer(group, name="certification")


def show(context: typer.Context, at: _At = "") -> None:
    """Show cycles and certificates."""
    from hygie.cli import certification_view

    frame = frame_of(context)
    agenda, day = _agenda(frame, at)
    certification_view.show(frame.out, agenda, day)
    frame.out.result(certification_view.plain(agenda, day))


def calendar(
    context: typer.Context,
    days: Annotated[int, typer.Option(min=0, max=3_660, help=say(fr="Jours à venir.", en="Days to come."))] = (
        CALENDAR_DAYS
    ),
    ics: Annotated[
        Path | None, typer.Option(help=say(fr="Écrit aussi un fichier iCalendar.", en="Write an iCalendar file too."))
    ] = None,
    at: _At = "",
) -> None:
    """Show what is late and what comes."""
    from hygie.base.files import write_durably
    from hygie.cli import certification_view
    from hygie.proof.certification.calendar import Status, entries
    from hygie.proof.certification.delays import own_delays
    from hygie.proof.certification.ics import export

    frame = frame_of(context)
    agenda, day = _agenda(frame, at)
    leads = own_delays().leads
    found = [
        one
        for one in entries(agenda.deadlines, leads, at=day)
        if one.status is not Status.DONE and one.deadline.due_on <= day + timedelta(days=days)
    ]
    certification_view.show_dates(frame.out, found)
    if ics is not None:
        chosen = [one.deadline for one in found]
        write_durably(ics, export(chosen, leads, stamped_at=datetime.now(UTC), language=current_language()))
        frame.out.line(say(fr=f"{ics} : {len(chosen)} échéances.", en=f"{ics}: {len(chosen)} dates."))
    frame.out.result(certification_view.plain_dates(found))


def prepare(
    context: typer.Context,
    audit: Annotated[
        str,
        typer.Argument(
            help=say(
                fr="surveillance, renewal, stage1, stage2, surveillance1, surveillance2 ; sinon le suivant.",
                en="surveillance, renewal, stage1, stage2, surveillance1, surveillance2; else the next one.",
            )
        ),
    ] = "",
    cycle: _Cycle = "",
    at: _At = "",
) -> None:
    """Gather what an audit looks at."""
    from hygie.cli import certification_view
    from hygie.proof.certification.delays import own_delays
    from hygie.proof.certification.prepare import own_asks
    from hygie.proof.certification.prepare import prepare as prepared

    frame = frame_of(context)
    wanted = sorted({one.register for one in own_asks()})
    agenda, records = _with_records(frame, at, wanted)
    chosen = _chosen(agenda, cycle)
    former = next((one for one in agenda.cycles if one.next_cycle == chosen.cycle), None)
    found = prepared(records, chosen, own_asks(), own_delays(), audit=_audit(audit, chosen), former=former)
    certification_view.show_checklist(frame.out, found)
    frame.out.result(certification_view.plain_checklist(found))


def programme(context: typer.Context, cycle: _Cycle = "", at: _At = "") -> None:
    """Show the audit programme and what it lacks."""
    from hygie.base.civil import paris_date
    from hygie.cli import certification_view
    from hygie.cli.commands.register import run_registers
    from hygie.cli.moment import moment_ms
    from hygie.perimeter import Known
    from hygie.proof.certification.agenda import agenda_on
    from hygie.proof.certification.delays import own_delays
    from hygie.proof.certification.from_registers import programme_of
    from hygie.proof.certification.programme import programme_gaps
    from hygie.proof.perimeter.applicability import applying
    from hygie.proof.referentials.shipped import shipped

    frame = frame_of(context)
    at_ms = moment_ms(at) if at else None

    def act(registers: Registers) -> tuple[Programme, Sequence[Text]]:
        known = Known(registers, at_ms)
        day = paris_date(at_ms if at_ms is not None else registers.clock.now_ms())
        chosen = _chosen(agenda_on(known.of, day), cycle)
        found = programme_of(known.of, chosen)
        wanted = applying(known.of, shipped("hds@2.0"), today=day)
        return found, programme_gaps(found, chosen, wanted, own_delays())

    found, gaps = run_registers(frame, act)
    certification_view.show_programme(frame.out, found, gaps)
    frame.out.result(certification_view.plain_programme(found, gaps))


def record(
    context: typer.Context,
    event: Annotated[str, typer.Argument(help=say(fr="Événement : application, stage1…", en="Event: application…"))],
    cycle: Annotated[str, typer.Argument(help=say(fr="Cycle, comme 2026.", en="Cycle, such as 2026."))],
    values: Annotated[
        list[str] | None, typer.Argument(help=say(fr="champ=valeur ; plusieurs : a;b", en="field=value; several: a;b"))
    ] = None,
    on: Annotated[str, typer.Option(help=say(fr="Date ; sinon ce jour.", en="Date; else today."))] = "",
) -> None:
    """Record an event and launch its tasks."""
    from hygie.base.civil import paris_date
    from hygie.cli import certification_view
    from hygie.cli.commands.register import pairs_of, run_registers
    from hygie.proof.certification.acts import recorded
    from hygie.registers.engine import Asked, fields_of

    frame = frame_of(context)
    kind, given = _kind(event), pairs_of(values)
    day = _day(on) if on else None

    def act(registers: Registers) -> Sequence[RecordVersion]:
        today = day or paris_date(registers.clock.now_ms())
        certificates = list(registers.current(Asked("certificate")))
        return registers.write(recorded(kind, cycle, today, given, certificates))

    written = run_registers(frame, act)
    certification_view.show_recorded(frame.out, kind, written)
    frame.out.result([{"register": one.register, **fields_of(one)} for one in written])


def _agenda(frame: Frame, at: str) -> tuple[Agenda, date]:
    from hygie.base.civil import paris_date
    from hygie.cli.commands.register import run_registers
    from hygie.cli.moment import moment_ms
    from hygie.perimeter import Known
    from hygie.proof.certification.agenda import agenda_on

    at_ms = moment_ms(at) if at else None

    def act(registers: Registers) -> tuple[Agenda, date]:
        day = paris_date(at_ms if at_ms is not None else registers.clock.now_ms())
        return agenda_on(Known(registers, at_ms).of, day), day

    return run_registers(frame, act)


def _with_records(frame: Frame, at: str, wanted: Sequence[str]) -> tuple[Agenda, dict[str, list[dict[str, object]]]]:
    from hygie.base.civil import paris_date
    from hygie.cli.commands.register import run_registers
    from hygie.cli.moment import moment_ms
    from hygie.perimeter import Known
    from hygie.proof.certification.agenda import agenda_on

    at_ms = moment_ms(at) if at else None

    def act(registers: Registers) -> tuple[Agenda, dict[str, list[dict[str, object]]]]:
        known = Known(registers, at_ms)
        day = paris_date(at_ms if at_ms is not None else registers.clock.now_ms())
        records = {
            name: [dict(one.fields) | {"id": one.key, "state": one.state} for one in known.of(name)] for name in wanted
        }
        return agenda_on(known.of, day), records

    return run_registers(frame, act)


def _chosen(agenda: Agenda, cycle: str) -> Snapshot:
    """The cycle asked for, or the last one. Raises: CycleUnknownError."""
    found = [one for one in agenda.cycles if cycle in ("", one.cycle)]
    if not found:
        raise CycleUnknownError(cycle=cycle[:80])
    return found[-1]


def _audit(name: str, snapshot: Snapshot) -> EventKind:
    """The audit meant by a word. Raises: typer.BadParameter."""
    from hygie.proof.certification.events import AUDITS, EventKind
    from hygie.proof.certification.prepare import next_audit

    if not name:
        return next_audit(snapshot)
    if name == "surveillance":
        held = snapshot.audit(EventKind.SURVEILLANCE1) is not None
        return EventKind.SURVEILLANCE2 if held else EventKind.SURVEILLANCE1
    found = "renewal_audit" if name == "renewal" else name
    if found not in set(AUDITS):
        raise typer.BadParameter(say(fr="audit inconnu", en="unknown audit"))
    return EventKind(found)


def _kind(name: str) -> EventKind:
    from hygie.proof.certification.events import EventKind

    if name not in set(EventKind):
        known = ", ".join(EventKind)
        raise typer.BadParameter(say(fr=f"événements : {known}", en=f"events: {known}"))
    return EventKind(name)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(say(fr="une date AAAA-MM-JJ", en="a date YYYY-MM-DD")) from None


def _pages() -> tuple[tuple[str, str, str, str, Callable[..., Any]], ...]:
    """Each command: its name, what it does in both languages, an example, and its function."""
    return (
        (
            "show",
            "Montre l'état de chaque cycle et ce que vaut chaque certificat, à ce jour ou à une date.",
            "Show the state of each cycle and what each certificate is worth, today or on a date.",
            "hygie certification show --at 2027-06-30",
            show,
        ),
        (
            "calendar",
            "Montre les échéances en retard et à venir, et les écrit pour un agenda.",
            "Show the dates that are late and to come, and write them for a calendar.",
            "hygie certification calendar --days 180 --ics certification.ics",
            calendar,
        ),
        (
            "prepare",
            "Réunit ce que regarde un audit : ce qui est là, ce qui manque, ce qui est en retard.",
            "Gather what an audit looks at: what is there, what is lacking, what is late.",
            "hygie certification prepare surveillance",
            prepare,
        ),
        (
            "programme",
            "Montre le programme d'audit d'un cycle, de l'organisme et interne, et ce qui lui manque.",
            "Show the audit programme of a cycle, of the body and internal, and what it lacks.",
            "hygie certification programme",
            programme,
        ),
        (
            "record",
            "Inscrit un événement du cycle et lance ses tâches ; un renouvellement ouvre le cycle suivant.",
            "Record an event of the cycle and launch its tasks; a renewal opens the next cycle.",
            "hygie certification record decision 2026 certificate=CER-0003 --on 2026-11-27",
            record,
        ),
    )
