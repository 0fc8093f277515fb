"""``hygie backup``: signed snapshots on a target apart from the sites."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from hygie.base.language import say
from hygie.cli.acts import operator_name
from hygie.cli.frame import Frame, frame_of

if TYPE_CHECKING:
    from hygie.app import House
    from hygie.backups.run import BackupRooms

T = TypeVar("T")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        help=say(
            fr="Sauvegardes : instantanés signés, sur une cible à part des sites.",
            en="Backups: signed snapshots, on a target apart from the sites.",
        ),
        no_args_is_help=True,
    )
    example = say(fr="Exemple", en="Example")
    group.command(
        "run",
        help=say(
            fr="Prend un instantané maintenant : seul ce qui est nouveau est copié, chaque objet est relu.",
            en="Take a snapshot now: only what is new is copied, every object is read back.",
        ),
        epilog=f"{example}: hygie backup run --data /srv/hygie",
    )(run)
    group.command(
        "list",
        help=say(fr="Liste les instantanés de la cible.", en="List the snapshots on the target."),
        epilog=f"{example}: hygie backup list --json",
    )(listing)
    group.command(
        "check",
        help=say(
            fr="Relit toute la cible : chaque signature, chaque octet, et qu'aucun instantané n'a été retiré.",
            en="Read the whole target again: every signature, every byte, and that no snapshot was taken back.",
        ),
        epilog=f"{example}: hygie backup check",
    )(check)
    group.command(
        "purge",
        help=say(
            fr="Retire ce que la règle de conservation ne garde plus ; refusé si un manifeste n'est pas intègre.",
            en="Remove what the retention rule no longer keeps; refused while a manifest is not intact.",
        ),
        epilog=f"{example}: hygie backup purge",
    )(purge)
    app.add_typer(group, name="backup")


def run(context: typer.Context) -> None:
    """Take a snapshot now."""
    from hygie.backups.run import refuse_replayed, run_backup
    from hygie.backups.target import BackupTarget

    frame = frame_of(context)

    async def act(house: House, rooms: BackupRooms) -> None:
        with frame.out.progress(say(fr="Sauvegarde", en="Backup")) as advance:
            report = await run_backup(rooms, rpo_s=house.settings.backups.rpo_minutes * 60, progress=advance)
        seconds, size = report.duration_s, report.copy.copied_bytes / 1e6
        frame.out.line(
            say(
                fr=f"Instantané n° {report.number} : {report.packs} lots, {report.copy.copied} objets copiés"
                f" ({size:.1f} Mo), {report.copy.already} déjà là, en {seconds:.1f} s.",
                en=f"Snapshot number {report.number}: {report.packs} packs, {report.copy.copied} objects copied"
                f" ({size:.1f} MB), {report.copy.already} there already, in {seconds:.1f} s.",
            )
        )
        target: BackupTarget = rooms.target
        frame.out.warn(say(fr=target.properties.note_fr, en=target.properties.note_en))
        frame.out.result(report.facts())
        refuse_replayed(report)

    _with_rooms(frame, act)


def listing(context: typer.Context) -> None:
    """List snapshots, newest first; each manifest is verified."""
    from hygie.backups.copy import verified_manifests
    from hygie.backups.keys import public_keys

    frame = frame_of(context)

    async def act(_: House, rooms: BackupRooms) -> None:
        keys = await public_keys(rooms.source.kms, "backup")
        rows: list[dict[str, Any]] = []
        for name, signed in (await verified_manifests(rooms.target, keys)).items():
            snapshot = signed.snapshot
            rows.append(
                {
                    "snapshot": name,
                    "number": snapshot.number,
                    "created_at_ms": snapshot.created_at_ms,
                    "environments": len(snapshot.environments),
                    "packs": sum(len(part.packs) for part in snapshot.environments),
                    "bytes": sum(ref.bytes for part in snapshot.environments for ref in part.packs),
                }
            )
        rows.sort(key=lambda row: -row["number"])
        frame.out.table(
            ["n°", "snapshot", say(fr="pris le", en="taken"), say(fr="lots", en="packs"), say(fr="octets", en="bytes")],
            [[r["number"], r["snapshot"], _instant(r["created_at_ms"]), r["packs"], r["bytes"]] for r in rows],
        )
        frame.out.result(rows)

    _with_rooms(frame, act)


def check(context: typer.Context) -> None:
    """Check the whole target."""
    from hygie.backups.errors import BackupDamagedError
    from hygie.backups.run import check_backups
    from hygie.retentions import backups_kept

    frame = frame_of(context)

    async def act(house: House, rooms: BackupRooms) -> None:
        with frame.out.step(say(fr="Relecture de la cible", en="Reading the target again")):
            report = await check_backups(rooms, await backups_kept(house))
        faults = [{"snapshot": f.snapshot, "name": f.name, "reason": f.reason} for f in report.faults]
        for fault in faults:
            frame.out.warn(f"{fault['snapshot']} {fault['name']} {fault['reason']}")
        frame.out.line(
            say(
                fr=f"{len(report.snapshots)} instantanés intègres,"
                f" {report.objects} objets relus, fautes : {len(faults)}.",
                en=f"{len(report.snapshots)} snapshots intact, {report.objects} objects read, {len(faults)} faults.",
            )
        )
        frame.out.result(
            {
                "snapshots": sorted(report.snapshots),
                "objects": report.objects,
                "bytes": report.bytes,
                "faults": faults,
                "keys_expired": report.keys_expired,
            }
        )
        if report.faults:
            first = report.faults[0]
            raise BackupDamagedError(name=first.name or first.snapshot, reason=first.reason)

    _with_rooms(frame, act)


def purge(context: typer.Context) -> None:
    """Remove what retention does not keep."""
    from hygie.backups.run import purge_backups
    from hygie.retentions import backups_kept

    frame = frame_of(context)

    async def act(house: House, rooms: BackupRooms) -> None:
        manifests, objects = await purge_backups(rooms, await backups_kept(house))
        frame.out.line(
            say(
                fr=f"{len(manifests)} instantanés et {len(objects)} objets retirés.",
                en=f"{len(manifests)} snapshots and {len(objects)} objects removed.",
            )
        )
        frame.out.result({"snapshots": manifests, "objects": len(objects)})

    _with_rooms(frame, act)


def _with_rooms(frame: Frame, act: Callable[[House, BackupRooms], Awaitable[T]]) -> T:
    """Run an act on the running installation's backup rooms."""
    from hygie.app import open_house, opened
    from hygie.upkeep import backup_rooms

    async def main() -> T:
        async with (
            open_house(frame.folder.path) as house,
            opened(house.dsns.sealer, size=2) as records,
            opened(house.dsns.hosting, size=2) as pool,
            backup_rooms(house, records, pool, operator_name()) as rooms,
        ):
            return await act(house, rooms)

    return asyncio.run(main())


def _instant(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
