"""``hygie patch``: what runs, what is known against it, when it is due, what is decided."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from hygie.base.language import say
from hygie.cli.acts import operator_name
from hygie.cli.frame import Frame, frame_of

if TYPE_CHECKING:
    from hygie.app import House
    from hygie.database.pool import Database
    from hygie.gate.local import LocalOperator
    from hygie.patching.model import PatchFacts
    from hygie.patching.store import Feed
    from hygie.proof.cross.patches import Row
    from hygie.registers.chain import RecordVersion
    from hygie.registers.engine import Registers
    from hygie.registers.rules import Change

T = TypeVar("T")
SHA256 = re.compile(r"\s*[0-9a-fA-F]{64}\s*", re.ASCII)
_VULNERABILITY = say(fr="Vulnérabilité (voir list).", en="Vulnerability (see list).")
_Requester = Annotated[str, typer.Option(help=say(fr="Demandeur, comme PER-0001.", en="Requester, as PER-0001."))]


def register(app: typer.Typer) -> None:
    """Add the command."""
    group = typer.Typer(
        help=say(
            fr="Correctifs : ce qui tourne, ses vulnérabilités connues, leurs échéances.",
            en="Patches: what runs, its known vulnerabilities, when they are due.",
        ),
        no_args_is_help=True,
    )
    example = say(fr="Exemple", en="Example")
    for name, fr, en, sample, run in _PAGES:
        group.command(name, help=say(fr=fr, en=en), epilog=f"{example}: {sample}")(run)
    app.add_typer(group, name="patch")


def listing(context: typer.Context) -> None:
    """List open vulnerabilities."""
    frame = frame_of(context)
    known, rows, today = _decided(frame)
    if not known.feeds:
        frame.out.warn(
            say(
                fr="Aucun flux n'a été apporté : rien n'est su (hygie patch feed).",
                en="No feed was brought: nothing is known (hygie patch feed).",
            )
        )
    if lacking := ", ".join((*known.unread, *known.uncovered)):
        frame.out.warn(say(fr=f"Aucun flux ne parle de : {lacking}.", en=f"No feed speaks of: {lacking}."))
    plain = [_plain(row, today) for row in rows]
    cells = [[one[name] for name in _COLUMNS] for one in plain]
    frame.out.table([say(fr=fr, en=en) for fr, en in _COLUMNS.values()], cells)
    frame.out.result(
        {
            "feeds": [{"slot": one.slot, "sha256": one.sha256, "as_of_ms": one.as_of_ms} for one in known.feeds],
            "unread": known.unread,
            "uncovered": known.uncovered,
            "open": plain,
        }
    )


_COLUMNS = {
    "vulnerability": ("vulnérabilité", "vulnerability"),
    "component": ("composant", "component"),
    "version": ("version", "version"),
    "fixed_in": ("corrigée en", "fixed in"),
    "severity": ("sévérité", "severity"),
    "due": ("échéance", "due"),
    "late_days": ("retard (j)", "late (d)"),
    "exception": ("exception", "exception"),
}


def _plain(row: Row, today: date) -> dict[str, object]:
    late = (today - row.due).days if row.due is not None and row.late(today) else ""
    held = f"{row.exception} → {row.until}" if row.exception else ""
    one = row.one
    return {
        **{"vulnerability": one.name, "component": one.component, "version": one.version, "fixed_in": one.fixed_in},
        **{"severity": one.severity, "score": one.score, "since": row.since.isoformat()},
        **{"due": row.due.isoformat() if row.due else "", "late_days": late, "exception": held},
    }


def sbom(
    context: typer.Context,
    out: Annotated[Path | None, typer.Option(help=say(fr="Fichier à écrire.", en="File to write."))] = None,
) -> None:
    """Tell what runs. Raises: SystemUnreadableError; OSError: the file cannot be written."""
    from hygie.patching.cyclonedx import write_sbom
    from hygie.patchkeeping import inventory

    frame = frame_of(context)
    taken = asyncio.run(_with_records(frame, lambda _, records: inventory(records)))
    content = write_sbom(taken)
    if out is None:
        typer.echo(content.decode(), nl=False)
        return
    out.write_bytes(content)
    number = len(taken.components)
    frame.out.line(say(fr=f"{number} composants écrits dans {out}.", en=f"{number} components written to {out}."))
    frame.out.result({"components": number, "unread": taken.unread, "file": str(out)})


def feed(
    context: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(exists=True, dir_okay=False, help=say(fr="ZIP ou lignes OSV, ou suivi Debian.", en="A feed.")),
    ],
    sha256: Annotated[
        str, typer.Option(help=say(fr="Son empreinte, obtenue par ailleurs.", en="Its digest, got by another way."))
    ],
) -> None:
    """Bring a feed, and compare what runs with it at once.

    Raises: FeedDigestError, FeedInvalidError, FeedOlderError: nothing changes; JournalUnavailableError.
    """
    from hygie.base.actions import Action
    from hygie.cli.acts import run_work
    from hygie.patchkeeping import PatchKeeper, bring

    frame = frame_of(context)
    if not SHA256.fullmatch(sha256):
        raise typer.BadParameter(say(fr="--sha256 : 64 chiffres hexadécimaux", en="--sha256: 64 hexadecimal digits"))

    async def act(house: House, records: Database, _: Database, operator: LocalOperator) -> tuple[list[Feed], int]:
        detail = {"sha256": sha256.strip().lower()}
        async with operator.act(Action.FEED_IMPORT, detail=detail) as acting:
            feeds = await bring(house, records, file, sha256)
            acting.count = sum(one.advisories for one in feeds)
            acting.detail["feeds"] = ",".join(one.slot for one in feeds)
        look = await PatchKeeper(house, records).run()
        return feeds, len(look.found)

    feeds, number = run_work(frame, act)
    for one in feeds:
        frame.out.line(
            say(fr=f"{one.slot} : {one.advisories} avis repris.", en=f"{one.slot}: {one.advisories} advisories taken.")
        )
    frame.out.line(
        say(
            fr=f"{number} vulnérabilités ouvertes dans ce qui tourne.",
            en=f"{number} open vulnerabilities in what runs.",
        )
    )
    frame.out.result({"feeds": {one.slot: one.advisories for one in feeds}, "open": number})


def plan(
    context: typer.Context,
    vulnerabilities: Annotated[list[str], typer.Argument(help=_VULNERABILITY)],
    requester: _Requester,
) -> None:
    """Record the change that patches them. Raises: VulnerabilityUnknownError; what the register refuses."""
    from hygie.proof.patches import planned

    frame = frame_of(context)
    _, rows, _ = _decided(frame)
    _write(frame, planned(rows, vulnerabilities, requester))


def exception(
    context: typer.Context,
    vulnerability: Annotated[str, typer.Argument(help=_VULNERABILITY)],
    component: Annotated[str, typer.Argument(help=say(fr="Composant (voir list).", en="Component (see list)."))],
    until: Annotated[str, typer.Option(help=say(fr="Fin, AAAA-MM-JJ.", en="End, YYYY-MM-DD."))],
    reason: Annotated[str, typer.Option(help=say(fr="Pourquoi, et ce qui protège.", en="Why, and what protects."))],
    requester: _Requester,
    approver: Annotated[str, typer.Option(help=say(fr="Qui l'approuve.", en="Who approves it."))],
) -> None:
    """Put one off, with an end. Raises: VulnerabilityUnknownError, PatchRefusedError, FourEyesError."""
    from hygie.base.people import plain
    from hygie.proof.patches import excepted
    from hygie.registers.errors import FourEyesError

    frame = frame_of(context)
    try:
        end = date.fromisoformat(until)
    except ValueError as error:
        raise typer.BadParameter(say(fr="--until : AAAA-MM-JJ", en="--until: YYYY-MM-DD")) from error
    if plain(approver) == plain(operator_name()):
        raise FourEyesError()
    _, rows, today = _decided(frame)
    days_max = frame.settings().patches.exception_days
    change = excepted(
        *(rows, vulnerability, component),
        until=end, reason=reason, requester=requester, approver=approver, today=today, days_max=days_max,
    )  # fmt: skip
    _write(frame, change)


def verify(
    context: typer.Context,
    change: Annotated[str, typer.Argument(help=say(fr="Changement réalisé, comme CHG-0001.", en="A change done."))],
) -> None:
    """Look again, and write into the change that what it was for is gone.

    Raises: PatchStillOpenError, PatchRefusedError, RegisterNotFoundError.
    """
    from hygie.base.clock import iso_ms
    from hygie.patchkeeping import PatchKeeper, known
    from hygie.proof.patches import verified

    frame = frame_of(context)

    async def look(house: House, records: Database) -> tuple[PatchFacts, dict[str, str]]:
        found = await PatchKeeper(house, records).run()
        versions = {one.package: one.matched_version for one in found.inventory.components if one.package}
        return await known(records, house.clock.now_ms()), versions

    facts, versions = asyncio.run(_with_records(frame, look))

    def act(registers: Registers) -> list[RecordVersion]:
        record = registers.get("change", change)
        return registers.write([verified(record, facts, versions, at=iso_ms(facts.looked_ms or 0))])

    _told(frame, _run(frame, act))


_PAGES: tuple[tuple[str, str, str, str, Callable[..., None]], ...] = (
    (
        "list",
        "Vulnérabilités ouvertes : composant, correction, échéance, retard.",
        "Open vulnerabilities: component, fix, due date, lateness.",
        "hygie patch list",
        listing,
    ),
    (
        "sbom",
        "Inventaire CycloneDX 1.6 de ce qui tourne sur cette machine.",
        "CycloneDX 1.6 inventory of what runs on this machine.",
        "hygie patch sbom --out sbom.json",
        sbom,
    ),
    (
        "feed",
        "Apporte un flux de vulnérabilités, contrôlé par son empreinte ; refusé, l'ancien reste.",
        "Bring a vulnerability feed, checked by its digest; where it is refused, the old one stays.",
        "hygie patch feed all.zip --sha256 9f86…",
        feed,
    ),
    (
        "plan",
        "Inscrit au registre le changement qui les corrige.",
        "Record the change that patches them.",
        "hygie patch plan CVE-2026-1234 --requester PER-0001",
        plan,
    ),
    (
        "except",
        "Reporte une vulnérabilité d'un composant, avec un motif, une fin et un approbateur.",
        "Put a vulnerability of a component off, with a reason, an end and an approver.",
        "hygie patch except CVE-2026-1234 deb/openssl --until 2027-01-31 …",
        exception,
    ),
    (
        "verify",
        "Regarde de nouveau ce qui tourne, et inscrit au changement réalisé ce qui n'y est plus.",
        "Look at what runs again, and write into a change that was done what is gone.",
        "hygie patch verify CHG-0001",
        verify,
    ),
)


def _decided(frame: Frame) -> tuple[PatchFacts, list[Row], date]:
    """What is known, each open vulnerability with what is decided of it, and today in Paris."""

    async def main(house: House, records: Database) -> tuple[PatchFacts, list[Row], date]:
        from hygie.base.civil import paris_date
        from hygie.patchkeeping import known
        from hygie.proof.patches import decided
        from hygie.proving import ProofPlane, with_proof

        now_ms = house.clock.now_ms()
        facts, today = await known(records, now_ms), paris_date(now_ms)
        days_max = house.settings.patches.exception_days

        def act(plane: ProofPlane) -> list[Row]:
            return decided(plane.registers, facts, today=today, days_max=days_max)

        return facts, await with_proof(house, operator_name(), act), today

    return asyncio.run(_with_records(frame, main))


async def _with_records(frame: Frame, act: Callable[[House, Database], Awaitable[T]]) -> T:
    from hygie.app import open_house, opened

    async with open_house(frame.folder.path) as house, opened(house.dsns.sealer, size=1) as records:
        return await act(house, records)


def _write(frame: Frame, change: Change) -> None:
    _told(frame, _run(frame, lambda registers: registers.write([change])))


def _run(frame: Frame, act: Callable[[Registers], list[RecordVersion]]) -> list[RecordVersion]:
    from hygie.cli.commands.register import run_registers

    return run_registers(frame, act)


def _told(frame: Frame, written: list[RecordVersion]) -> None:
    for one in written:
        frame.out.line(f"{one.key}, version {one.version} ({one.state}).")
    frame.out.result([{"key": one.key, "version": one.version, "state": one.state} for one in written])
