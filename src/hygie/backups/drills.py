"""The drills that start from the backup target and the passphrase alone: restore, site-loss, key-loss.

Each does the thing in a sandbox folder, never in production, and looks at what came of it.  A drill that cannot show
that it worked has failed.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import psycopg

from hygie.backups.copy import read_object
from hygie.backups.drill import DrillCheck, DrillReport, RecoveryKind, attach, promise_checks, to_sign
from hygie.backups.keys import KmsSigner
from hygie.backups.restore import Progress, RestoredPlace, RestoreRequest, restored, wanted_refs
from hygie.backups.sandbox import Doors, doors
from hygie.base.errors import HygieError
from hygie.keys.file_kms import FileKms
from hygie.keys.in_process import InProcessKms
from hygie.keys.sealing import Passphrase, Secret
from hygie.keys.state import restore_state
from hygie.sites.catch_up import catch_up
from hygie.sites.placement import SiteSet
from hygie.sites.site import Site
from hygie.vault.holdings import holdings

CATCH_UP_RUNS_MAX = 5
WRAPS_TRIED = 200  # of each environment: a key that opens one would open them all


@dataclass(frozen=True, slots=True)
class Promise:
    """What was promised, seconds; None: nothing to compare with."""

    rto_s: int | None
    rpo_s: int | None


@dataclass(slots=True)
class Findings:
    """What a drill saw so far."""

    began_s: float = field(default_factory=monotonic)
    checks: list[DrillCheck] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)
    rto_s: float | None = None
    rpo_s: float | None = None

    def check(self, name: str, passed: object, detail: str = "") -> None:
        """Note one thing looked at."""
        self.checks.append(DrillCheck(name, bool(passed), detail))


async def run_sandbox_drill(
    kind: RecoveryKind, request: RestoreRequest, promise: Promise, *, drill_id: str, progress: Progress
) -> bytes:
    """Run one drill and give its signed report, passed or not.

    Raises: what :func:`restored` raises: a drill that could not even start has no key to sign with.
    """
    started_at_ms = request.clock.now_ms()
    found = Findings()
    async with restored(request, progress) as place:
        report = place.report
        found.rpo_s = max(0.0, (started_at_ms - report.created_at_ms) / 1000)
        act: Callable[[RestoredPlace, RestoreRequest, Findings], Awaitable[None]]
        act = {"restore": _nothing_more, "site-loss": _site_loss, "key-loss": _key_loss}[kind]
        try:
            await _restored_well(place, request, found)
            await act(place, request, found)
        except (HygieError, OSError, psycopg.Error) as error:  # what stopped it is what it found
            code = error.code if isinstance(error, HygieError) else type(error).__name__
            found.check("carried to its end", False, code)
            found.rto_s = found.rpo_s = None
        # the loss of one site is promised to cost no acknowledged write, the loss of all what backups allow
        promised_rpo_s = 0 if kind == "site-loss" else promise.rpo_s
        found.checks += promise_checks(
            rto_s=found.rto_s, rpo_s=found.rpo_s, promised_rto_s=promise.rto_s, promised_rpo_s=promised_rpo_s
        )
        drill = DrillReport(
            drill_id=drill_id,
            kind=kind,
            operator=request.operator,
            started_at_ms=started_at_ms,
            ended_at_ms=request.clock.now_ms(),
            snapshot=report.snapshot,
            snapshot_number=report.number,
            rto_s=found.rto_s,
            rpo_s=found.rpo_s,
            promised_rto_s=promise.rto_s,
            promised_rpo_s=promised_rpo_s,
            figures=found.figures,
            checks=found.checks,
        )
        signer = await KmsSigner.of(place.kms, "drill")
        return attach(drill, signature=await signer.sign(to_sign(drill)), public_key=signer.public_key)


async def _restored_well(place: RestoredPlace, request: RestoreRequest, found: Findings) -> None:
    """The restore itself, and reads through the real doors; the recovery time ends with them."""
    report = place.report
    found.check("manifests intact", not report.broken_manifests, f"{len(report.broken_manifests)} broken")
    lacking = [*(name for one in report.environments for name in (*one.missing, *one.damaged, *one.differences))]
    lacking += report.logs.shown()
    found.check("complete", report.complete, f"{report.resources} resources, lacking: {', '.join(lacking[:3]) or '-'}")
    head = place.backup.newest.snapshot.journal_checkpoint.split("\n")
    size = int(head[1]) if len(head) > 1 else 0
    found.check("journal whole", report.journal_entries == size, f"{report.journal_entries} of {size} entries")
    logs = ", ".join(f"{count} {name}" for name, count in report.logs.rows.items())
    found.check("registers and evidence back", report.logs.whole, f"{logs}, lacking: {report.logs.shown() or '-'}")
    async with doors(place, request.clock) as opened_doors:
        await _reads(opened_doors, place, found)
    found.rto_s = monotonic() - found.began_s
    found.figures |= {
        "resources": report.resources,
        "resources_per_s": report.resources_per_s,
        "bytes": report.bytes,
        "records": report.logs.rows["records"],
        "evaluations": report.logs.rows["batches"],
        "open_s": report.open_s,
        "copy_s": report.copy_s,
        "journal_s": report.journal_s,
        "rebuild_s": report.rebuild_s,
    }


async def _reads(opened_doors: Doors, place: RestoredPlace, found: Findings) -> None:
    seen = equal = 0
    try:
        for one in opened_doors.environments:
            sample = await opened_doors.sample(one)
            seen, equal = seen + sample.seen, equal + sample.equal
    except HygieError as error:
        found.check("reads through the door", False, error.code)
        return
    enough = seen > 0 or not any(one.compartments for one in place.report.environments)
    found.check("reads through the door", enough and seen == equal, f"{equal} of {seen} equal")


async def _nothing_more(place: RestoredPlace, request: RestoreRequest, found: Findings) -> None:
    """A restore drill is the restore and its reads."""


# --- the loss of a site


async def _site_loss(place: RestoredPlace, request: RestoreRequest, found: Findings) -> None:
    """Take the nearest site away, read everything, write, bring it back, watch it catch up."""
    lost = place.sites.sites[0]
    folder = place.folder.resolve(place.settings.sites[0].path)
    away = folder.with_name(f"{folder.name}-away")
    refs = wanted_refs(place.backup.wanted.snapshot, place.backup.newest.snapshot)
    packs = [ref for ref in refs if ref.name.startswith(("packs/", "blobs/"))]
    await asyncio.to_thread(folder.rename, away)
    began_s = monotonic()
    read = 0
    for ref in packs:
        data = await place.sites.read(ref.name)
        if read == 0:
            found.rto_s = monotonic() - began_s  # the service never stopped: the first read is the recovery
        read += len(data) == ref.bytes
    if found.rto_s is None or not packs:
        found.rto_s = monotonic() - began_s
    found.check("everything read without it", read == len(packs), f"{read} of {len(packs)} objects")
    found.figures["read_all_s"] = round(monotonic() - began_s, 3)
    async with doors(place, request.clock) as opened_doors:
        written = 0
        for one in opened_doors.environments:
            await opened_doors.write(one)
            written += 1
        await _reads(opened_doors, place, found)
        found.check("writes go on without it", written == len(opened_doors.environments), f"{written} written")
        await asyncio.to_thread(away.rename, folder)
        began_s = monotonic()
        left, copied = await _caught_up(place.sites, place, opened_doors, lost.name)
    found.figures["catch_up_s"] = round(monotonic() - began_s, 3)
    found.check("caught up", left == 0 and copied >= written, f"{copied} copied, {left} left")
    wrong = await _differences(lost, place, opened_doors)
    found.check("same as the others", wrong == 0, f"{wrong} different")
    found.rpo_s = 0.0 if read == len(packs) and wrong == 0 else None


async def _caught_up(sites: SiteSet, place: RestoredPlace, opened_doors: Doors, name: str) -> tuple[int, int]:
    """Compare and copy until the site lacks nothing: (objects left, objects copied)."""
    copied = left = 0
    for _ in range(CATCH_UP_RUNS_MAX):
        left = 0
        for one in opened_doors.environments:
            prefix = f"packs/{one.place.environment_id.hex()}/"
            report = await catch_up(sites, holdings(place.hosting, one.place), prefixes=(prefix, "blobs/"))
            part = report.sites[name]
            left += len(part.left) if part.reachable else 1
            copied += part.copied
        if left == 0:
            break
        await asyncio.sleep(0.5)
    return left, copied


async def _differences(site: Site, place: RestoredPlace, opened_doors: Doors) -> int:
    """How many objects of the catalogues this site does not hold as the others do. Every byte is hashed."""
    wrong = 0
    for one in opened_doors.environments:
        async for name, sha256, _ in holdings(place.hosting, one.place):
            try:
                wrong += await asyncio.to_thread(site.digest, name) != sha256
            except HygieError:
                wrong += 1
    return wrong


# --- the loss of the keys


async def _key_loss(place: RestoredPlace, request: RestoreRequest, found: Findings) -> None:
    """Show that data open with the backed-up keys alone, that nothing opens without, and name what would be lost."""
    report = place.report
    compartments = sum(one.compartments for one in report.environments)
    found.figures |= {"environments": len(report.environments), "compartments": compartments}
    lost = f"{len(report.environments)} environments, {compartments} compartments, {report.resources} versions"
    stranger = await asyncio.to_thread(_other_keys, place.folder.path / "kms-without")
    opened_without = tried = 0
    try:
        async with doors(place, request.clock) as opened_doors:
            for one in opened_doors.environments:
                place_of = one.place
                await stranger.create_tenant(place_of.tenant_id)
                await stranger.create_environment(place_of.tenant_id, place_of.environment_id)
                async with place.hosting.transaction(place_of.role) as connection:
                    cursor = await connection.execute(
                        "SELECT id, epoch, wrap FROM compartment WHERE state = 0 LIMIT %s", (WRAPS_TRIED,)
                    )
                    rows = await cursor.fetchall()
                for row in rows:
                    tried += 1
                    opened_without += await _opens(stranger, place_of.tenant_id, place_of.environment_id, row)
    finally:
        await stranger.close()
    enough = tried > 0 or compartments == 0
    found.check("nothing opens without the keys", enough and opened_without == 0, f"{opened_without} of {tried} opened")
    found.check("what would be lost is known", True, lost)
    found.check("a wrong passphrase opens nothing", await _refused(place), "")
    began_s = monotonic()
    found.check("keys open again from the backup", await _again(place, request), "")
    found.rto_s = monotonic() - began_s
    found.figures["keys_open_s"] = round(found.rto_s, 3)


def _other_keys(folder: Path) -> InProcessKms:
    passphrase = Passphrase(secrets.token_urlsafe(24))
    FileKms.create(folder, passphrase)
    kms = FileKms(folder)
    kms.open()
    kms.unseal(passphrase)
    return InProcessKms(kms)


async def _opens(kms: InProcessKms, tenant_id: bytes, environment_id: bytes, row: tuple[bytes, int, bytes]) -> bool:
    try:
        await kms.unwrap(tenant_id, environment_id, [row], permit_id=secrets.token_bytes(16), reason="drill")
    except HygieError:
        return False
    return True


async def _state(place: RestoredPlace) -> bytes:
    ref = place.backup.newest.snapshot.kms_state
    assert ref is not None, "this place was opened with it"
    return await read_object(place.backup.target, ref)


async def _refused(place: RestoredPlace) -> bool:
    folder = place.folder.path / "kms-refused"
    await asyncio.to_thread(restore_state, await _state(place), folder)
    return not await asyncio.to_thread(_unseals, folder, Passphrase(secrets.token_urlsafe(24)))


async def _again(place: RestoredPlace, request: RestoreRequest) -> bool:
    folder = place.folder.path / "kms-again"
    await asyncio.to_thread(restore_state, await _state(place), folder)
    return await asyncio.to_thread(_unseals, folder, request.secret)


def _unseals(folder: Path, secret: Secret) -> bool:
    kms = FileKms(folder)
    kms.open()
    try:
        kms.unseal(secret)
    except HygieError:
        return False
    finally:
        kms.close()
    return True
