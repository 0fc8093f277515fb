"""``hygie drill``: do the thing for real in a sandbox, measure it against the promise, sign the report."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import secrets
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hygie.base.errors import NotFoundError
from hygie.base.language import current_language, say
from hygie.cli.acts import operator_name
from hygie.cli.commands.restore import target_path
from hygie.cli.frame import Frame, frame_of
from hygie.cli.secret import read_secret, send_secret

if TYPE_CHECKING:
    from hygie.app import House
    from hygie.backups.drill import DrillReport, Kind, RecoveryKind, ScenarioKind
    from hygie.backups.run import BackupRooms
    from hygie.keys.sealing import Secret

KINDS = "restore | site-loss | key-loss | journal-tamper | intrusion | ransomware | breach"
PLACE = "place"  # the sandbox's data folder; removed at the end


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "drill",
        help=say(
            fr="Exercice réel en bac à sable, rapport signé. restore, site-loss, key-loss : depuis la cible et la"
            " phrase de passe seules, RTO et RPO comparés à la promesse. journal-tamper : une entrée altérée est"
            " nommée. intrusion, ransomware, breach : une installation neuve est attaquée ; constat, alerte et prise"
            " en charge sont chronométrés.",
            en="A real drill in a sandbox, with a signed report. restore, site-loss, key-loss: from the target and the"
            " passphrase alone, RTO and RPO compared with the promise. journal-tamper: an altered entry is named."
            " intrusion, ransomware, breach: a new installation is attacked; finding, notice and acknowledgement are"
            " timed.",
        ),
        epilog=say(fr="Exemple", en="Example") + ": hygie drill restore --data /srv/hygie",
    )(drill)


def drill(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(help=KINDS, metavar="KIND")],
    credential: Annotated[
        Path | None,
        typer.Option(help=say(fr="Fichier privé de la phrase de passe.", en="Private file of the passphrase.")),
    ] = None,
    share_file: Annotated[
        list[Path] | None,
        typer.Option(help=say(fr="Fichier privé d'une part (à répéter).", en="Private file of one share (repeat).")),
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help=say(fr="Garder le bac à sable.", en="Keep the sandbox."))
    ] = False,
    alone: Annotated[
        bool,
        typer.Option(
            "--alone",
            help=say(
                fr="Sans installation sous la main : demande --from et --sandbox.",
                en="No installation at hand: needs --from and --sandbox.",
            ),
        ),
    ] = False,
    source: Annotated[
        Path | None, typer.Option("--from", help=say(fr="Cible des sauvegardes.", en="Backup target."))
    ] = None,
    sandbox: Annotated[
        Path | None, typer.Option(help=say(fr="Dossier de l'exercice.", en="Folder of the drill."))
    ] = None,
    rto_s: Annotated[
        int | None, typer.Option(help=say(fr="DMIA promise, en secondes.", en="Promised recovery time (RTO), seconds."))
    ] = None,
    rpo_s: Annotated[
        int | None,
        typer.Option(help=say(fr="PDMA promise, en secondes.", en="Promised recovery point (RPO), seconds.")),
    ] = None,
    channel: Annotated[
        list[str] | None,
        typer.Option(
            help=say(
                fr="Canal d'alerte de l'installation, prévenu pour de vrai (à répéter).",
                en="Channel of the installation, told for real (repeat).",
            )
        ),
    ] = None,
    people_minutes: Annotated[
        int,
        typer.Option(
            min=0,
            max=240,
            help=say(
                fr="Attendre qu'une personne prenne chaque constat en charge ; 0 : l'exercice le fait.",
                en="Wait until a person acknowledges each finding; 0: the drill does.",
            ),
        ),
    ] = 0,
    secret_fd: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Run one drill; leaves with 50 when it failed."""
    from hygie.base.hardening import harden_process

    harden_process()
    frame, keys = frame_of(context), _Keys(credential, share_file or [], secret_fd)
    if alone:
        _run_alone(frame, kind, _Elsewhere(source, sandbox, rto_s, rpo_s), keys, keep=keep)
    else:
        asyncio.run(_on_record(frame, _of_kind(frame, kind, keys, channel or [], people_minutes), keep=keep))


@dataclass(frozen=True, slots=True)
class _Keys:
    """What opens the backed-up keys, as it was given. fd: of a parent that already has it."""

    credential: Path | None
    share_files: list[Path]
    fd: int | None

    def typed(self) -> Secret:
        """As given, or asked for."""
        return read_secret(self.credential, self.share_files, fd=self.fd)


@dataclass(frozen=True, slots=True)
class _Elsewhere:
    """A drill without an installation: where the backups are, where it works, what was promised."""

    source: Path | None
    sandbox: Path | None
    rto_s: int | None
    rpo_s: int | None


def _run_alone(frame: Frame, kind: str, where: _Elsewhere, keys: _Keys, *, keep: bool) -> None:
    from hygie.backups.drill import RECOVERIES

    if kind not in RECOVERIES or kind == "journal-tamper" or where.source is None or where.sandbox is None:
        raise typer.BadParameter("--alone: restore | site-loss | key-loss, --from, --sandbox")
    source, sandbox = where.source.absolute(), where.sandbox.absolute()
    data = asyncio.run(_sandbox_drill(frame, kind, keys.typed(), source, sandbox, where.rto_s, where.rpo_s))
    _finish(frame, data, sandbox, keep=keep)


def _of_kind(
    frame: Frame, kind: str, keys: _Keys, channels: Sequence[str], people_minutes: int
) -> _Recovery | _Scenario:
    """A drill of the living installation. Raises: typer.BadParameter: there is none of this kind."""
    from hygie.backups.drill import RECOVERIES, SCENARIOS

    if kind in SCENARIOS:
        return _Scenario(frame, kind, channels, people_minutes * 60.0)
    if kind not in RECOVERIES:
        raise typer.BadParameter(KINDS)
    opening = None if kind == "journal-tamper" else _secret_of(frame, keys.credential, keys.share_files)
    return _Recovery(frame, kind, opening)


async def _sandbox_drill(
    frame: Frame, kind: RecoveryKind, secret: Secret, source: Path, sandbox: Path, rto_s: int | None, rpo_s: int | None
) -> bytes:
    """The drill itself, from the target and the secret alone."""
    from hygie.backups.drills import Promise, run_sandbox_drill
    from hygie.backups.restore import RestoreRequest
    from hygie.backups.target import FolderTarget
    from hygie.base.clock import SystemClock
    from hygie.base.settings import default_settings

    target = FolderTarget(source, administrator="")
    try:
        request = RestoreRequest(
            target=target,
            secret=secret,
            into=sandbox / PLACE,
            settings=default_settings(),
            clock=SystemClock(),
            operator=operator_name(),
        )
        with frame.out.progress(kind) as advance:
            return await run_sandbox_drill(
                kind,
                request,
                Promise(rto_s, rpo_s),
                drill_id=sandbox.name[:64],
                progress=lambda _step, count, _total: advance(count),
            )
    finally:
        target.close()


@dataclass(frozen=True, slots=True)
class _Recovery:
    """A drill of what the installation left elsewhere. secret: opens the backed-up keys; None: none is opened."""

    frame: Frame
    kind: RecoveryKind
    secret: Secret | None

    async def run(self, house: House, rooms: BackupRooms, folder: Path, drill_id: str) -> bytes:
        """Its signed report."""
        if self.secret is None:
            return await _tamper(house, rooms, folder, drill_id)
        return await _in_a_process_apart(self.frame, self.kind, self.secret, folder)


@dataclass(frozen=True, slots=True)
class _Scenario:
    """An attack on an installation of its own. channels: names of those of this installation that are told too."""

    frame: Frame
    kind: ScenarioKind
    channels: Sequence[str]
    people_s: float

    async def run(self, house: House, rooms: BackupRooms, folder: Path, drill_id: str) -> bytes:
        """Its signed report. Raises: NotFoundError: no such channel."""
        from hygie.scenarios.run import ScenarioRequest, run_scenario
        from hygie.scenarios.sandbox import in_the_open

        known = {one.name: one for one in house.settings.channels}
        if not known.keys() >= set(self.channels):
            raise NotFoundError()
        request = ScenarioRequest(
            kms=house.kms,
            clock=house.clock,
            folder=folder / PLACE,
            operator=rooms.operator,
            drill_id=drill_id,
            channels=[in_the_open(known[one], house.folder) for one in self.channels],
            people_s=self.people_s,
            tell=self.frame.out.line,
        )
        return await run_scenario(self.kind, request)


async def _on_record(frame: Frame, drill: _Recovery | _Scenario, *, keep: bool) -> None:
    """Run a drill of a living installation: intent and outcome in its journal, the result among its measurements."""
    kind: Kind = drill.kind
    from hygie.app import open_house, opened
    from hygie.backups.run import measure, record_act
    from hygie.base.actions import Action
    from hygie.base.errors import HygieError
    from hygie.upkeep import backup_rooms

    drill_id = f"{kind}-{secrets.token_hex(4)}"
    folder = frame.folder.path / "drills" / drill_id
    async with (
        open_house(frame.folder.path) as house,
        opened(house.dsns.sealer, size=1) as records,
        opened(house.dsns.hosting, size=1) as pool,
        backup_rooms(house, records, pool, operator_name()) as rooms,
    ):
        await asyncio.to_thread(folder.mkdir, mode=0o700, parents=True)
        await record_act(rooms, Action.DRILL_RUN, "intent", {"drill": drill_id, "kind": kind})
        try:
            data = await drill.run(house, rooms, folder, drill_id)
            report = await _verified(house, data)
        except HygieError as error:
            facts: dict[str, Any] = {"drill": drill_id, "code": error.code}
            await record_act(rooms, Action.DRILL_RUN, "unknown", {**facts, "kind": kind})
            await measure(records, house.clock.now_ms(), f"drill-{kind}", passed=False, facts=facts)
            await asyncio.to_thread(shutil.rmtree, folder / PLACE, ignore_errors=True)
            raise
        except BaseException:  # interrupted, or the disk is full: what was attacked does not stay
            await asyncio.to_thread(shutil.rmtree, folder / PLACE, ignore_errors=True)
            raise
        detail = {
            "drill": drill_id,
            "kind": kind,
            "passed": str(report.passed).lower(),
            "sha256": hashlib.sha256(data).hexdigest(),
        }
        await record_act(rooms, Action.DRILL_RUN, "done", detail)
        facts = {
            "drill": drill_id,
            "rto_s": report.rto_s,
            "rpo_s": report.rpo_s,
            "figures": report.figures,
            "failed": report.first_failure,
        }
        await measure(records, house.clock.now_ms(), f"drill-{kind}", passed=report.passed, facts=facts)
    _finish(frame, data, folder, keep=keep)


def _secret_of(frame: Frame, credential: Path | None, share_files: list[Path]) -> Secret:
    """What opens the backed-up keys: as given, or the credential of the settings, or typed."""
    from hygie.base.settings import read_credential
    from hygie.keys.sealing import Passphrase

    if credential is None and not share_files:
        known = read_credential(frame.settings(), frame.folder)
        if known is not None:
            return Passphrase(known)
    return read_secret(credential, share_files)


async def _tamper(house: House, rooms: BackupRooms, folder: Path, drill_id: str) -> bytes:
    from hygie.backups.tamper import TamperRequest, run_tamper_drill

    return await run_tamper_drill(
        TamperRequest(
            reader=rooms.source.reader,
            key=await house.log_key(),
            kms=house.kms,
            folder=folder,
            clock=house.clock,
            operator=rooms.operator,
            drill_id=drill_id,
        )
    )


async def _in_a_process_apart(frame: Frame, kind: RecoveryKind, secret: Secret, folder: Path) -> bytes:
    """Run the drill in a child that gets the target's path, the sandbox and the secret: nothing else of production.

    Raises: DrillFailedError: it could not even sign a report.
    """
    from hygie.backups.errors import DrillFailedError

    settings = frame.settings().backups
    secret_fd = send_secret(secret)
    words = [
        *("--data", str(folder / "none"), "--json", "--lang", current_language(), "drill", kind, "--alone", "--keep"),
        *("--from", str(target_path(frame, None)), "--sandbox", str(folder), "--secret-fd", str(secret_fd)),
        *("--rto-s", str(settings.rto_minutes * 60), "--rpo-s", str(settings.rpo_minutes * 60)),
    ]
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "hygie", *words),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            pass_fds=(secret_fd,),
            cwd=folder,
            env={name: os.environ[name] for name in ("PATH", "LC_ALL", "LANG", "TMPDIR") if name in os.environ},
        )
    finally:
        os.close(secret_fd)
    try:
        _, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    path = folder / "report.json"
    if not path.exists():
        raise DrillFailedError(drill=kind, check=_code_in(errors), report="-")
    return await asyncio.to_thread(path.read_bytes)


def _code_in(errors: bytes) -> str:
    """The code of the error that ended the child."""
    try:
        return str(json.loads(errors.decode().strip().rsplit("\n", 1)[-1])["error"]["code"])
    except (ValueError, KeyError, TypeError):
        return "HYG-000"


async def _verified(house: House, data: bytes) -> DrillReport:
    """The report, signed by a key that production knows as its own."""
    from hygie.backups.drill import verify_report
    from hygie.backups.keys import public_keys

    return verify_report(data, public_keys=await public_keys(house.kms, "drill"))


def _finish(frame: Frame, data: bytes, folder: Path, *, keep: bool) -> None:
    """Write the report beside the sandbox, show it, clean up. Raises: DrillFailedError."""
    import msgspec

    from hygie.backups.drill import DrillReport
    from hygie.backups.drill_text import text_of
    from hygie.backups.errors import DrillFailedError
    from hygie.base.files import write_durably

    report = msgspec.convert(json.loads(data)["report"], DrillReport)
    write_durably(folder / "report.json", data)
    text = text_of(report, current_language())
    write_durably(folder / "report.txt", text.encode())
    if not keep:
        for name in (PLACE, "export"):
            shutil.rmtree(folder / name, ignore_errors=True)
    frame.out.line(text)
    frame.out.result(
        {"passed": report.passed, "file": str(folder / "report.json"), "report": msgspec.to_builtins(report)}
    )
    if not report.passed:
        raise DrillFailedError(drill=report.kind, check=report.first_failure, report=str(folder / "report.json"))
