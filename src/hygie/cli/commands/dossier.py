"""``hygie dossier``: one file that an auditor checks alone, offline."""

from __future__ import annotations

import argparse
import asyncio
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hygie.base.errors import InvalidRequestError
from hygie.base.language import current_language, say
from hygie.cli.acts import operator_name, place_of, run_work
from hygie.cli.frame import Frame, frame_of
from hygie.cli.moment import moment_ms

if TYPE_CHECKING:
    from hygie.app import House
    from hygie.database.pool import Database
    from hygie.dossiers import Written
    from hygie.gate.local import LocalOperator

SEED_BYTES = 32
DEMONSTRATION_PREFIX = "dossier-demonstration-"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "dossier",
        help=say(
            fr="Écrit le dossier qu'un auditeur vérifie seul, hors ligne (hygie-verify) : posture, preuves, registres,"
            " journal, traces tirées, exercices ; à une date.",
            en="Write the dossier that an auditor checks alone, offline (hygie-verify): posture, evidence, registers,"
            " journal, traces drawn, drills; at a date.",
        ),
        epilog=say(fr="Exemple", en="Example") + ": hygie dossier --at 2026-11-27 --scope hds --to dossier.zip",
    )(dossier)


def dossier(
    context: typer.Context,
    to: Annotated[
        Path | None,
        typer.Option(help=say(fr="Fichier .zip neuf, ou dossier où le mettre.", en="New .zip file, or its folder.")),
    ] = None,
    at: Annotated[str, typer.Option(help=say(fr="Ce qu'on savait à cette date.", en="As known on that date."))] = "",
    scope: Annotated[
        list[str] | None,
        typer.Option(help=say(fr="Ces référentiels seulement : hds, iso27001…", en="Only these: hds, iso27001…")),
    ] = None,
    tenant: Annotated[
        str, typer.Option(help=say(fr="Tire les traces de ce client.", en="Draw this client's traces."))
    ] = "",
    sample: Annotated[int, typer.Option(min=0, max=10_000, help=say(fr="Traces tirées.", en="Traces drawn."))] = 100,
    seed: Annotated[
        str,
        typer.Option(help=say(fr="Graine du tirage, 64 chiffres hexadécimaux.", en="Seed of the draw, 64 hex digits.")),
    ] = "",
    evidence_only: Annotated[
        bool,
        typer.Option(
            "--evidence-only",
            help=say(fr="Sans les autres entrées du journal (scellées).", en="Without the journal's other entries."),
        ),
    ] = False,
    demonstration: Annotated[
        bool, typer.Option("--demonstration", help=say(fr="D'une installation d'essai.", en="Of a trial installation."))
    ] = False,
) -> None:
    """Write a dossier, and verify it as its reader will."""
    from hygie.base.actions import Action
    from hygie.base.clock import iso_ms
    from hygie.dossiers import Wanted, write_dossier

    frame = frame_of(context)
    at_ms = moment_ms(at) if at else None
    drawn = _seed(seed)

    async def act(house: House, records: Database, _: Database, operator: LocalOperator) -> Written:
        place = await place_of(records, tenant)
        path = _target(to or frame.folder.path, at_ms or house.clock.now_ms(), demonstration=demonstration)
        wanted = Wanted(
            path=path,
            at_ms=at_ms,
            scope=scope or (),
            tenant_id=place.tenant_id if tenant else None,
            demonstration=demonstration,
            sample=sample,
            seed=drawn,
            whole=not evidence_only,
        )
        detail = {"what": "demonstration" if demonstration else "dossier"}
        async with operator.act(Action.DOSSIER_EXPORT, place, detail=detail) as acting:
            written = await write_dossier(house, records, wanted, author=operator_name())
            acting.count = written.batches
            acting.detail["at"] = iso_ms(written.at_ms)
        return written

    written = run_work(frame, act)
    frame.out.line(
        say(
            fr=f"{written.path} : {written.bytes:,} octets, {written.files} fichiers, en {written.seconds} s.",
            en=f"{written.path}: {written.bytes:,} bytes, {written.files} files, in {written.seconds} s.",
        )
    )
    _verify(frame, written)


def _verify(frame: Frame, written: Written) -> None:
    """Check it as its reader will. Raises: typer.Exit: with the verifier's code; HygieError, for machines."""
    from dataclasses import asdict

    from hygie.verify.dossier import DossierVerifier
    from hygie.verify.main import keys_of, run
    from hygie.verify.source import Source

    options = argparse.Namespace(
        export=written.path, json=False, show=False, strict=False, tsa=None, **asyncio.run(_keys(frame, written.path))
    )
    if not frame.out.json_mode:
        raise typer.Exit(run(options, current_language()))
    report = DossierVerifier(Source(written.path), keys_of(options)).run()
    frame.out.result({**asdict(written), "path": str(written.path), "report": asdict(report)})


async def _keys(frame: Frame, path: Path) -> dict[str, str | None]:
    """The public keys of this installation, as a verifier takes them; of the journal, the one that signed then."""
    from hygie.app import open_house
    from hygie.proof.dossier.manifest import dossier_key

    with zipfile.ZipFile(path) as file:
        signed = file.read("journal/log.pub").decode().strip()
    async with open_house(frame.folder.path) as house:
        witness = house.witness()
        key = dossier_key(await house.origin(), await house.kms.public_key("dossier"))
        logs = [one.encode() for one in await house.log_keys()]
    log = signed if signed in logs else logs[0]
    return {"key": log, "witness": witness.key.encode() if witness else None, "dossier_key": key.encode()}


def _target(to: Path, at_ms: int, *, demonstration: bool) -> Path:
    """The file to write. Raises: InvalidRequestError: a name that hides what it is; FileExistsError."""
    prefix = DEMONSTRATION_PREFIX if demonstration else "dossier-"
    name = f"{prefix}{datetime.fromtimestamp(at_ms / 1000, UTC):%Y%m%dt%H%M%Sz}.zip"
    path = (to / name if to.is_dir() else to).absolute()
    if path.suffix != ".zip":
        raise InvalidRequestError(reason="--to: .zip")
    if demonstration != path.name.startswith(DEMONSTRATION_PREFIX):
        raise InvalidRequestError(reason=f"--to: {DEMONSTRATION_PREFIX}*.zip <=> --demonstration")
    return path


def _seed(text: str) -> bytes:
    """Raises: typer.BadParameter."""
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b"?"
    if len(found) not in (0, SEED_BYTES):
        raise typer.BadParameter(say(fr="64 chiffres hexadécimaux", en="64 hexadecimal digits"))
    return found
