"""``hygie finding``: what the watch noticed, and what people decide about it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hygie.base.language import say
from hygie.cli.acts import instant, operator_name, run_custody, show_rows
from hygie.cli.frame import Frame, frame_of

if TYPE_CHECKING:
    from hygie.custody import Custody
    from hygie.gate.people_administration import PeopleAdministration
    from hygie.handling import Shown
    from hygie.preserving import Preserved
    from hygie.watch.findings import Act, Finding

_ID = say(fr="Son identifiant (voir list).", en="Its id (see list).")
_WORDS = say(fr="Pourquoi, en clair, sans nommer de patient.", en="Why, in plain words, naming no patient.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        help=say(fr="Alertes de la veille : tri, décision, incidents.", en="Findings: triage, decisions, incidents."),
        no_args_is_help=True,
    )
    example = say(fr="Exemple", en="Example")
    group.command("list", help=say(fr="Ce qui attend, le plus grave d'abord.", en="What waits, the gravest first."))(
        listing
    )
    group.command("show", help=say(fr="Une alerte, entière.", en="One finding, whole."))(show)
    group.command("acknowledge", help=say(fr="La prendre en charge.", en="Take it in charge."))(acknowledge)
    group.command("assign", help=say(fr="La confier à quelqu'un.", en="Give it to somebody."))(assign)
    group.command("note", help=say(fr="Y écrire ce qu'on a vu.", en="Write down what was seen."))(note)
    group.command("close", help=say(fr="La clore, avec le motif.", en="Close it, with the reason."))(close)
    group.command(
        "incident",
        help=say(
            fr="En faire un incident du registre : faits, clients et preuves y sont repris, les délais partent.",
            en="Make an incident of the register: facts, clients and evidence are taken over, its clocks start.",
        ),
        epilog=f"{example}: hygie finding incident 3f2a… --kind account --lead PER-0001",
    )(incident)
    group.command(
        "test-channel",
        help=say(fr="Envoyer un essai par un canal, et dire ce qui est venu.", en="Send a trial by a channel."),
    )(test_channel)
    group.command(
        "rules",
        help=say(
            fr="Les règles chargées ; avec un dossier, celles-là aussi, chacune essayée sur ses exemples.",
            en="The rules that are loaded; with a folder, those too, each tried on its own samples.",
        ),
        epilog=f"{example}: hygie finding rules /etc/hygie/rules",
    )(rules)
    app.add_typer(group, name="finding")


def listing(
    context: typer.Context,
    every: Annotated[bool, typer.Option("--all", help=say(fr="Les closes aussi.", en="Closed ones too."))] = False,
) -> None:
    """List findings."""
    frame = frame_of(context)

    async def main(custody: Custody, _: PeopleAdministration) -> list[dict[str, Any]]:
        from hygie.handling import cards
        from hygie.watch import findings

        states = ("open", "acknowledged", "incident", *(("closed",) if every else ()))
        async with custody.owner.transaction() as connection:
            found = await findings.listed(connection, states=states)
        known = cards(custody.house)
        titles = {id_: say(fr=card.title_fr, en=card.title) for id_, card in known.items()}
        return [_row(one, titles.get(one.rule, one.title)) for one in found]

    show_rows(frame, run_custody(frame, main))


def _row(one: Finding, title: str) -> dict[str, Any]:
    return {
        "id": one.id,
        "level": one.level,
        "title": title,
        "group": one.grouping,
        "count": one.count,
        "opened_ms": one.opened_ms,
        "last_ms": one.last_ms,
        "state": one.state,
        "owner": one.owner,
        "incident": one.incident,
    }


def show(context: typer.Context, finding: Annotated[str, typer.Argument(help=_ID)]) -> None:
    """Show one finding."""
    frame = frame_of(context)

    async def main(custody: Custody, _: PeopleAdministration) -> Shown:
        from hygie.handling import shown

        return await shown(custody, finding)

    one = run_custody(frame, main)
    frame.out.line(f"{one.finding.level.upper()}  {one.title}")
    frame.out.line(f"{one.finding.grouping}  {one.finding.count} ×  {one.finding.state}")
    if one.card is not None:
        frame.out.line(say(fr=one.card.todo_fr, en=one.card.todo))
    columns = [say(fr="quand", en="when"), say(fr="acte", en="act"), say(fr="qui", en="who"), ""]
    frame.out.table(columns, [[instant(each.at_ms), each.kind, each.who, each.words] for each in one.acts])
    if one.notices:
        columns = [say(fr="dû", en="due"), say(fr="étape", en="step"), say(fr="canal", en="channel")]
        columns += [say(fr="état", en="state"), say(fr="essais", en="tries"), say(fr="réponse", en="answer")]
        cells = [
            [instant(each.planned_ms), each.step, each.channel, each.state, each.tries, each.code]
            for each in one.notices
        ]
        frame.out.table(columns, cells)
    named = ", ".join(f"{source} {rank}" for source, rank, _ in one.evidence)
    frame.out.line(say(fr=f"Preuves : {named or '-'}", en=f"Evidence: {named or '-'}"))
    frame.out.result(
        _row(one.finding, one.title)
        | {
            "threat": one.card.threat if one.card is not None else "",
            "acts": [
                {"at_ms": each.at_ms, "kind": each.kind, "who": each.who, "words": each.words} for each in one.acts
            ],
            "evidence": [
                {"source": source, "rank": rank, "sha256": digest.hex()} for source, rank, digest in one.evidence
            ],
            "notices": [
                {
                    "step": each.step,
                    "channel": each.channel,
                    "planned_ms": each.planned_ms,
                    "due_ms": each.due_ms,
                    "sent_ms": each.sent_ms,
                    "tries": each.tries,
                    "code": each.code,
                    "state": each.state,
                }
                for each in one.notices
            ],
        }
    )


def acknowledge(context: typer.Context, finding: Annotated[str, typer.Argument(help=_ID)]) -> None:
    """Take a finding in charge."""
    from hygie.watch.findings import Act

    _handle(frame_of(context), finding, Act("acknowledged", operator_name(), owner=operator_name()))


def assign(
    context: typer.Context,
    finding: Annotated[str, typer.Argument(help=_ID)],
    owner: Annotated[str, typer.Argument(help=say(fr="À qui.", en="To whom."))],
) -> None:
    """Give a finding to somebody."""
    from hygie.watch.findings import Act

    _handle(frame_of(context), finding, Act("assigned", operator_name(), owner, owner=owner))


def note(
    context: typer.Context,
    finding: Annotated[str, typer.Argument(help=_ID)],
    words: Annotated[str, typer.Argument(help=_WORDS)],
) -> None:
    """Write something down."""
    from hygie.watch.findings import Act

    _handle(frame_of(context), finding, Act("noted", operator_name(), words))


def close(
    context: typer.Context,
    finding: Annotated[str, typer.Argument(help=_ID)],
    why: Annotated[str, typer.Option(help=_WORDS)],
) -> None:
    """Close a finding."""
    from hygie.watch.findings import Act

    _handle(frame_of(context), finding, Act("closed", operator_name(), why))


def _handle(frame: Frame, finding: str, what: Act) -> None:
    async def main(custody: Custody, _: PeopleAdministration) -> None:
        from hygie.handling import handle

        await handle(custody, finding, what)

    run_custody(frame, main)
    frame.out.line(say(fr="C'est noté.", en="Done."))
    frame.out.result({"finding": finding, "act": what.kind})


def incident(
    context: typer.Context,
    findings: Annotated[list[str], typer.Argument(help=_ID)],
    kind: Annotated[str, typer.Option(help=say(fr="Nature (registre incident).", en="Kind (register incident)."))],
    lead: Annotated[str, typer.Option(help=say(fr="Qui le mène (registre person).", en="Who leads it."))],
    health_data: Annotated[str, typer.Option(help="yes, no, unknown.")] = "unknown",
    severity: Annotated[str, typer.Option(help=say(fr="Sinon celle de l'alerte.", en="Else the finding's."))] = "",
    words: Annotated[str, typer.Option(help=_WORDS)] = "",
) -> None:
    """Make an incident."""
    frame = frame_of(context)

    async def main(custody: Custody, _: PeopleAdministration) -> tuple[str, Preserved | None]:
        from hygie.handling import Declared, declare_incident
        from hygie.preserving import preserved

        made = await declare_incident(custody, findings, Declared(lead, kind, health_data, severity, words))
        return made, await preserved(custody, made)

    key, kept = run_custody(frame, main)
    frame.out.line(
        say(
            fr=f"Incident {key} déclaré : hygie incident show {key}",
            en=f"Incident {key} declared: hygie incident show {key}",
        )
    )
    if kept is None:
        frame.out.warn(
            say(
                fr=f"Preuves pas encore conservées : hygie incident evidence {key}",
                en=f"Evidence not kept yet: hygie incident evidence {key}",
            )
        )
    sha256 = kept.sha256 if kept is not None else ""
    frame.out.result({"incident": key, "findings": findings, "evidence_sha256": sha256})


def test_channel(
    context: typer.Context,
    channel: Annotated[str, typer.Argument(help=say(fr="Son nom dans hygie.toml.", en="Its name in hygie.toml."))],
) -> None:
    """Try a channel."""
    frame = frame_of(context)

    async def main(custody: Custody, _: PeopleAdministration) -> str:
        from hygie.handling import try_channel

        return await try_channel(custody, channel)

    answer = run_custody(frame, main)
    frame.out.line(
        say(
            fr=f"Le canal {channel} a pris l'essai ({answer}). Vérifiez qu'il est arrivé.",
            en=f"The channel {channel} took the trial ({answer}). See that it came.",
        )
    )
    frame.out.result({"channel": channel, "answer": answer})


def rules(
    context: typer.Context,
    folder: Annotated[
        Path | None, typer.Argument(help=say(fr="Un dossier de règles.", en="A folder of rules."))
    ] = None,
) -> None:
    """List rules, and try them."""
    from hygie.watch.ruleset import check_samples, load_rules

    frame = frame_of(context)
    found = load_rules(folder)
    wrong = [*found.refused, *check_samples(found.rules)]
    rows = [
        {
            "level": rule.card.level,
            "title": say(fr=rule.card.title_fr, en=rule.card.title),
            "threat": rule.card.threat,
            "file": rule.card.file,
            "id": rule.card.id,
        }
        for rule in found.rules
    ]
    show_rows(frame, rows)
    for each in wrong:
        frame.out.warn(f"{each.file}, {each.where}: {each.reason}")
    if wrong:
        raise wrong[0]
