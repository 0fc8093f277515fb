"""Papers of a running installation: what they are made from is read at one instant; what leaves is journaled first, and
its record names the file by its SHA-256."""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from hygie import __version__
from hygie.app import House
from hygie.base.files import PRIVATE_FILE, PRIVATE_FOLDER, write_durably
from hygie.base.language import current_language
from hygie.proof.documents import dsse, pages
from hygie.proof.documents.actors import certificate_standing
from hygie.proof.documents.bindings import client_of
from hygie.proof.documents.contacts import contact_count, contact_list_json, contact_list_sheet
from hygie.proof.documents.history import batch_figures
from hygie.proof.documents.model import PAPERS, Batches, Inputs, Installation, SitePlace
from hygie.proof.documents.words import civil_day
from hygie.proof.errors import PaperRefusedError
from hygie.proof.evidence import TRIAL
from hygie.proof.posture import posture_at
from hygie.proving import ProofPlane, with_proof
from hygie.registers.chain import RecordVersion
from hygie.registers.durations import INSTANT
from hygie.registers.engine import Asked
from hygie.registers.rules import Change

SIGNING_PURPOSE = "dossier"
PUBLIC_FILE, PUBLIC_FOLDER = 0o644, 0o755  # a web server reads them
_NO_BATCHES = Batches(0, 0, 0, 0, {})


@dataclass(frozen=True, slots=True)
class Published:
    """A page that was published. record: of register ``publication``; policy: to serve it under."""

    files: Sequence[Path]
    record: RecordVersion
    form: str
    policy: str


@dataclass(frozen=True, slots=True)
class HandedOver:
    """Files handed to somebody. records: of register ``document-delivery``; seconds: from the asking to the files."""

    files: Sequence[Path]
    records: Sequence[RecordVersion]
    count: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Delivery:
    """To whom, and how. asked_ms: when it was asked for, now when None."""

    recipient: str
    means: str
    asked_ms: int | None = None


async def with_inputs(
    house: House,
    author: str,
    act: Callable[[ProofPlane, Inputs], Any],
    *,
    at_ms: int | None = None,
    judged: bool = False,
) -> Any:
    """Run an act on what was known at an instant, in a thread.

    Args: at_ms: now when None; judged: with the posture; without it, nothing need have been evaluated.
    Raises: NothingKnownError: judged, and nothing had been; what the act raises.
    """
    installation = await _installation(house)

    def run(plane: ProofPlane) -> Any:
        return act(plane, gather(plane, installation, house.clock.now_ms() if at_ms is None else at_ms, judged=judged))

    return await with_proof(house, author, run)


def gather(plane: ProofPlane, installation: Installation, at_ms: int, *, judged: bool) -> Inputs:
    """What papers are made from. Args and raises: as :func:`with_inputs`."""
    registers = plane.registers
    records = {name: tuple(registers.current(Asked(name, at_ms=at_ms))) for name in registers.schemas}
    inputs = Inputs(
        at_ms=at_ms,
        language=current_language(),
        demonstration=not installation.production,
        posture={},
        catalogue={},
        records=records,
        schemas=registers.schemas,
        batches=_NO_BATCHES,
        installation=installation,
    )
    if not judged:
        return inputs
    known = plane.evidence.known(at_ms)
    batch = known.batch
    return replace(
        inputs,
        demonstration=inputs.demonstration or batch.mode == TRIAL,
        posture=posture_at(known, at_ms),
        catalogue=known.catalogue,
        batches=batch_figures(plane.evidence.batches(last=batch.seq)),
    )


async def write_papers(house: House, author: str, to: Path, *, at_ms: int | None = None) -> list[Path]:
    """Every paper of a date in one folder; beside each OSCAL file its signed envelope, and the public key.

    The journal's entry holds the digest of their list, as ``sha256sum`` writes it.
    Raises: NothingKnownError; JournalUnavailableError; OSError.
    """

    def act(plane: ProofPlane, inputs: Inputs) -> dict[str, bytes]:
        found = {name: make(inputs) for name, make in sorted(PAPERS.items())}
        listing = "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in found.items())
        digest = hashlib.sha256(listing.encode()).hexdigest()
        asked = Asked("papers", at_ms=inputs.at_ms)
        plane.registers.journal_export(asked, form="papers", records=len(found), sha256=digest)
        return found

    made: dict[str, bytes] = await with_inputs(house, author, act, at_ms=at_ms, judged=True)
    made |= await dsse.enveloped(
        made, partial(house.kms.sign, SIGNING_PURPOSE), await house.kms.public_key(SIGNING_PURPOSE)
    )
    files = {to / name: content for name, content in sorted(made.items())}
    await asyncio.to_thread(_write, files)
    return list(files)


async def publish_page(
    house: House, author: str, kind: str, to: Path | None = None, *, at_ms: int | None = None, url: str = ""
) -> Published:
    """Make a public page and its data, record the edition, then write the files: in the data folder, where they are
    held against the registers, and in another one when it is asked for; one of a past date in that other one only.

    Args: kind: ``transfers`` or ``guarantees``; to: that other folder; url: where it is served, when it is online.
    Raises: RegulatorySentenceAbsentError; RecordInvalidError: a wrong address; JournalUnavailableError; OSError.
    """

    def act(plane: ProofPlane, inputs: Inputs) -> tuple[pages.Page, RecordVersion]:
        page = pages.make_page(kind, inputs)
        return page, _record_publication(plane, inputs, kind, page, url)

    page, record = await with_inputs(house, author, act, at_ms=at_ms)
    name = pages.FILES[kind]
    made = {f"{name}.html": page.html, f"{name}.json": page.data}
    kept = {house.folder.public / one: content for one, content in made.items()}
    files = {to / one: content for one, content in made.items()} if to is not None else kept
    await asyncio.to_thread(_write, files | kept if at_ms is None else files, public=True)
    return Published(list(files), record, page.form, page.policy)


def _record_publication(plane: ProofPlane, inputs: Inputs, kind: str, page: pages.Page, url: str) -> RecordVersion:
    registers = plane.registers
    name = pages.FILES[kind]
    sha256 = registers.put_document(f"{name}.html", "text/html", page.html)
    data = registers.put_document(f"{name}.json", "application/json", page.data)
    registers.journal_export(Asked("supplier", at_ms=inputs.at_ms), form="html", records=page.actors, sha256=sha256)
    fields: dict[str, object] = {
        "kind": kind,
        "form": page.form,
        "as_of": _instant(inputs.at_ms),
        "actors": page.actors,
        "page": sha256,
        "data": data,
    }
    changes = []
    if url:
        fields |= {"url": url, "online_on": civil_day(registers.clock.now_ms()).isoformat()}
        changes = [
            Change("publication", {}, one.key, "replaced")
            for one in registers.current(Asked("publication", states=("online",)))
            if one.fields["kind"] == kind
        ]
    changes.append(Change("publication", fields, state="online" if url else "made"))
    return registers.write(changes)[-1]


async def hand_certificates(house: House, author: str, tenant: str, to: Path, delivery: Delivery) -> HandedOver:
    """Copies of the host's certificates in force, and of those of the certified sub-processors of a client's services
    (EXI 12), each delivery recorded.

    Raises: PaperRefusedError: none is in force; RegisterNotFoundError: a file is not kept; JournalUnavailableError.
    """
    began_s = time.monotonic()

    def act(plane: ProofPlane, inputs: Inputs) -> tuple[dict[str, bytes], list[RecordVersion]]:
        chosen = _certificates(inputs, tenant)
        if not chosen:
            raise PaperRefusedError(reason_fr="aucun certificat en vigueur", reason_en="no certificate in force")
        files: dict[str, bytes] = {}
        changes = []
        for record, kind in chosen:
            sha256 = record.fields["document"]
            name, _, content = plane.registers.document(sha256)
            name = _file_name(str(record.fields["number"]), name)
            files[name if name not in files else f"{record.key}-{name}"] = content
            asked = Asked("certificate", tenant, at_ms=inputs.at_ms)
            plane.registers.journal_export(asked, form="copy", records=1, sha256=sha256)
            fields = _delivered(plane, inputs, delivery, sha256)
            fields |= {"kind": kind, "recipient_kind": "client", "certificate": record.key}
            changes.append(Change("document-delivery", fields, state="delivered", tenant=tenant))
        return files, plane.registers.write(changes)

    found, records = await with_inputs(house, author, act)
    files = {to / name: content for name, content in found.items()}
    await asyncio.to_thread(_write, files)
    return HandedOver(list(files), records, len(files), round(time.monotonic() - began_s, 3))


def _certificates(inputs: Inputs, tenant: str) -> list[tuple[RecordVersion, str]]:
    """Certificates to hand over, each with the kind of its delivery."""
    client = client_of(inputs, tenant)
    host = client.host.key if client.host else ""
    chosen = []
    for one in inputs.records.get("certificate", ()):
        if not certificate_standing(one, inputs)[0]:
            continue
        scheme, holder = one.fields["scheme"], one.fields["holder"]
        if holder == host and scheme in ("hds", "iso27001"):
            chosen.append((one, "hds-certificate" if scheme == "hds" else "other"))
        elif holder in client.suppliers and scheme == "hds":
            chosen.append((one, "supplier-certificate"))
    return chosen


async def hand_contacts(house: House, author: str, file: Path, delivery: Delivery) -> HandedOver:
    """The contact list for the authority (EXI 11): the file, its signature and the public key, with the delay measured.

    Args: file: ``.json`` or ``.xlsx``. Raises: PaperRefusedError: another form; JournalUnavailableError; OSError.
    """
    began_s = time.monotonic()
    make = {".json": contact_list_json, ".xlsx": contact_list_sheet}.get(file.suffix)
    if make is None:
        raise PaperRefusedError(
            reason_fr="la liste s'écrit en .json ou .xlsx", reason_en="the list is a .json or .xlsx"
        )

    inputs, content = await with_inputs(house, author, lambda _, inputs: (inputs, make(inputs)))
    count = contact_count(inputs)
    signature = await house.kms.sign(SIGNING_PURPOSE, content)
    key = dsse.public_key_pem(await house.kms.public_key(SIGNING_PURPOSE))

    def record(plane: ProofPlane) -> list[RecordVersion]:
        sha256 = plane.registers.put_document(file.name, _MEDIA[file.suffix], content)
        asked = Asked("client-contact", at_ms=inputs.at_ms)
        plane.registers.journal_export(asked, form=file.suffix[1:], records=count, sha256=sha256)
        fields = _delivered(plane, inputs, delivery, sha256) | {"kind": "contact-list", "recipient_kind": "authority"}
        return plane.registers.write([Change("document-delivery", fields, state="delivered")])

    records = await with_proof(house, author, record)
    files = {file: content, file.with_name(f"{file.name}.sig"): signature, file.with_name(dsse.PUBLIC_KEY): key}
    await asyncio.to_thread(_write, files)
    waited_ms = house.clock.now_ms() - delivery.asked_ms if delivery.asked_ms is not None else 0
    seconds = round(max(waited_ms / 1000, time.monotonic() - began_s), 3)
    return HandedOver(list(files), records, count, seconds)


def _write(files: Mapping[Path, bytes], *, public: bool = False) -> None:
    """Write files and the folders that they lack. Args: public: for a web server to read."""
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True, mode=PUBLIC_FOLDER if public else PRIVATE_FOLDER)
        write_durably(path, content, mode=PUBLIC_FILE if public else PRIVATE_FILE)


_MEDIA = {
    ".json": "application/json",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


def _delivered(plane: ProofPlane, inputs: Inputs, delivery: Delivery, sha256: str) -> dict[str, object]:
    """Fields of a delivery made now."""
    now_ms = plane.registers.clock.now_ms()
    asked_ms = inputs.at_ms if delivery.asked_ms is None else delivery.asked_ms
    return {
        "recipient": delivery.recipient,
        "means": delivery.means,
        "asked_at": _instant(asked_ms),
        "delivered_at": _instant(now_ms),
        "document": sha256,
    }


async def _installation(house: House) -> Installation:
    settings = house.settings
    return Installation(
        origin=await house.origin(),
        version=__version__,
        production=settings.production,
        sites=[SitePlace(one.name, one.country, one.city, one.operator) for one in settings.sites],
        allowed_countries=settings.allowed_countries,
        rpo_s=settings.backups.rpo_minutes * 60,
        rto_s=settings.backups.rto_minutes * 60,
    )


def _instant(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime(INSTANT)


def _file_name(number: str, kept: str) -> str:
    """A name of file made of a certificate's number, with the ending of the kept file."""
    ending = Path(kept).suffix.lower()
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", number).strip("-.")[:80] or "certificat"
    return stem + (ending if re.fullmatch(r"\.[a-z0-9]{1,5}", ending) else "")
