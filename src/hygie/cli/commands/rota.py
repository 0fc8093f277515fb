"""``hygie rota``: who is on duty in the coming days, in which languages, and where the rota has a hole."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer

from hygie.base.language import say
from hygie.cli.acts import instant, operator_name
from hygie.cli.frame import frame_of

if TYPE_CHECKING:
    from hygie.rota import Week


def register(app: typer.Typer) -> None:
    """Add the command."""
    example = say(fr="Exemple", en="Example")
    group = typer.Typer(
        help=say(fr="Astreinte : qui, quand, par quel canal.", en="Rota: who, when, by which channel."),
        no_args_is_help=True,
    )
    group.command(
        "show",
        help=say(fr="Les périodes prévues, et les trous des sept jours.", en="What is planned, and the week's holes."),
        epilog=f"{example}: hygie rota show",
    )(show)
    app.add_typer(group, name="rota")


def show(context: typer.Context) -> None:
    """Show the rota."""
    frame = frame_of(context)

    async def main() -> tuple[Week, int]:
        from hygie.app import open_house
        from hygie.rota import coming

        async with open_house(frame.folder.path) as house:
            return await coming(house, operator_name()), house.clock.now_ms()

    week, now_ms = asyncio.run(main())
    columns = [say(fr="personne", en="person"), say(fr="débute", en="begins"), say(fr="finit", en="ends")]
    columns += [say(fr="langues", en="languages"), say(fr="canal", en="channel"), ""]
    on_duty = say(fr="maintenant", en="now")
    frame.out.table(
        columns,
        [
            [
                week.names.get(one.person, one.person),
                instant(one.begins_ms),
                instant(one.ends_ms),
                " ".join(one.languages),
                one.channel,
                on_duty if one.holds(now_ms) else "",
            ]
            for one in week.periods
        ],
    )
    for begins_ms, ends_ms in week.gaps:
        span = f"{instant(begins_ms)} → {instant(ends_ms)}"
        frame.out.warn(say(fr=f"Personne qui parle français : {span}", en=f"Nobody who speaks French: {span}"))
    for name in week.unknown:
        frame.out.warn(say(fr=f"Canal absent de hygie.toml : {name}", en=f"Channel that hygie.toml lacks: {name}"))
    frame.out.result(
        {
            "periods": [
                {
                    "duty": one.key,
                    "person": one.person,
                    "begins": _utc(one.begins_ms),
                    "ends": _utc(one.ends_ms),
                    "languages": list(one.languages),
                    "channel": one.channel,
                    "now": one.holds(now_ms),
                }
                for one in week.periods
            ],
            "gaps": [[_utc(begins_ms), _utc(ends_ms)] for begins_ms, ends_ms in week.gaps],
            "unknown_channels": week.unknown,
        }
    )


def _utc(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms // 1_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
