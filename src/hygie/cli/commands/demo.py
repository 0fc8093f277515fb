"""``hygie demo``: a story on one machine in which every step checks itself."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hygie.base.language import say
from hygie.cli.frame import Frame, frame_of

if TYPE_CHECKING:
    from hygie.demo.stage import Asked, Stage

PATIENTS_DEFAULT = 40
PATIENTS_BESIDE_LOAD = 6  # the planted names, when the person brings a folder


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "demo",
        help=say(
            fr="Héberge des dossiers inventés et le prouve, en moins de deux minutes : lit, refuse, casse, répare,"
            " restaure, efface, vérifie. Chaque étape se contrôle ; la première qui échoue arrête tout. Dans un"
            " dossier à elle.",
            en="Host invented records and prove it, in less than two minutes: read, refuse, break, mend, restore,"
            " erase, verify. Each step checks itself; the first that fails ends it all. In a folder of its own.",
        ),
        epilog=say(fr="Exemple", en="Example") + ": hygie demo --data ./data/demonstration --stay",
    )(demo)


def demo(
    context: typer.Context,
    load: Annotated[
        Path | None,
        typer.Option(
            help=say(
                fr="Dossier de vos propres Bundles (.json, .json.gz, .ndjson).",
                en="Folder of your own Bundles (.json, .json.gz, .ndjson).",
            )
        ),
    ] = None,
    patients: Annotated[
        int | None,
        typer.Option(min=2, max=100_000, help=say(fr="Patients inventés (40).", en="Invented patients (40).")),
    ] = None,
    stay: Annotated[
        bool,
        typer.Option("--stay", help=say(fr="Servir ensuite, jusqu'à Ctrl-C.", en="Then keep serving until Ctrl-C.")),
    ] = False,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help=say(fr="Port HTTPS.", en="HTTPS port."))] = None,
) -> None:
    """Tell the story; leaves with 50 when a step does not hold."""
    from hygie.demo.stage import Asked

    default = PATIENTS_DEFAULT if load is None else PATIENTS_BESIDE_LOAD
    asked = Asked(patients or default, load.absolute() if load is not None else None, port)
    try:
        asyncio.run(_demo(frame_of(context), asked, stay=stay))
    except asyncio.CancelledError as error:
        raise KeyboardInterrupt from error


async def _demo(frame: Frame, asked: Asked, *, stay: bool) -> None:
    from hygie.base.hardening import harden_process
    from hygie.cli.telling import StoryTeller
    from hygie.demo.platform import Platform
    from hygie.demo.run import run
    from hygie.demo.stage import Stage

    harden_process()
    told = asyncio.current_task()
    stop = asyncio.Event()

    def interrupted() -> None:
        """Before the end, leave the story; after it, leave the service. Both stop everything cleanly."""
        stop.set()
        if told is not None and not serving.is_set():
            told.cancel()

    serving = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, interrupted)
    teller = StoryTeller(frame.out)
    stage = Stage(Platform(frame.data), asked, teller)
    try:
        frame.out.line(say(fr="Hygie : démonstration. Chaque étape se contrôle elle-même.", en=_HEAD_EN), style="bold")
        steps = await run(stage, teller)
        serving.set()
        _end(frame, stage, steps, stay=stay)
        if stay:
            await stop.wait()
            frame.out.line(say(fr="Arrêt…", en="Stopping…"))
    finally:
        await stage.platform.stop()


_HEAD_EN = "Hygie: demonstration. Each step checks itself."


def _end(frame: Frame, stage: Stage, steps: list[dict[str, Any]], *, stay: bool) -> None:
    """What was proved in how long, and where to go from here."""
    seconds = sum(step["seconds"] for step in steps)
    folder = stage.platform.folder
    connection = folder.connection_file
    out = frame.out
    out.line()
    out.line(
        say(
            fr=f"{len(steps)} étapes, toutes tenues, en {seconds:.0f} s.",
            en=f"{len(steps)} steps, all of them held, in {seconds:.0f} s.",
        ),
        style="bold green",
    )
    out.line(say(fr=f"Pour tout client FHIR : {connection}", en=f"For any FHIR client: {connection}"))
    if stay:
        out.line(say(fr=f"Hygie sert {stage.base_url}", en=f"Hygie serves {stage.base_url}"), style="bold")
        out.line(say(fr="Essayez, dans un autre terminal :", en="Try it, in another terminal:"))
        out.line(curl(stage), style="cyan")
        out.line(say(fr="Ctrl-C arrête proprement ; les données restent.", en="Ctrl-C stops cleanly; the data stay."))
    else:
        again = f"hygie up --data {folder.path}"
        out.line(say(fr=f"Servir à nouveau ces données : {again}", en=f"Serve these data again: {again}"))
    out.result(
        {"steps": steps, "seconds": round(seconds, 3), "base_url": stage.base_url, "connection": str(connection)}
    )


def curl(stage: Stage) -> str:
    """A command to paste: it reads the token from ``connection.json``, so that none stays in a shell's history."""
    path = stage.platform.folder.connection_file
    token = f"$(python3 -c 'import json,sys; print(json.load(open(sys.argv[1]))[\"token\"])' '{path}')"
    url = f"{stage.base_url}/Patient?_count=2&_pretty=true"
    return f"curl --cacert '{stage.platform.ca_file}' -H \"Authorization: Bearer {token}\" '{url}'"
