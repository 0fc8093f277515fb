"""The exit of a client, assembled: export, consent, destruction, and what the working process ends afterwards.

A destruction is irreversible: intent before, outcome after; one that was cut is ended by asking for it again.  Order:
nobody is served any more → it is checked that nothing was written since the export → keys destroyed in the KMS (from
here on nothing opens) → schemas, roles, rights → what the sites hold → the certificate → a backup without the client,
and no older copy of keys.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from hygie.app import House, opened
from hygie.backups.retention import DAY_MS
from hygie.base.actions import Action
from hygie.base.errors import NotFoundError
from hygie.base.files import make_private_folder, write_durably
from hygie.base.permit import Place
from hygie.custody import COPIES_MS, Custody, newest_claim_ms, oldest_copy_ms, open_custody
from hygie.exits import records
from hygie.exits.certificate import (
    DestroyedEnvironment,
    DestructionCertificate,
    Remains,
    SiteGone,
    certify,
    verify_destruction,
)
from hygie.exits.erasures import close_erasures
from hygie.exits.errors import (
    AlreadyDestroyedError,
    ExitInstructionError,
    NotConsentedError,
    NotVerifiedError,
    ProductionKeptError,
    WrittenSinceExportError,
)
from hygie.exits.model import CODE, Covered, ExitBasis, Terms, check_hands, check_text, code_digest
from hygie.exits.records import ConsentRecord, DestructionRecord, ExportRecord
from hygie.exits.run import SIGNING, ExitRooms, ExportAsk
from hygie.exits.sweeping import sweep
from hygie.gate.administration import Administration
from hygie.gate.everywhere import EVERYWHERE
from hygie.gate.instructed import InstructedGate
from hygie.gate.recorded import Environment
from hygie.hosting import open_hosting
from hygie.keys.kms import Kms
from hygie.retentions import TRACES, applied, policy_of
from hygie.vault.upkeep_rows import count_packs

STATEMENT_BYTES_MAX = 16 * 1024 * 1024  # a signed letter, scanned


def terms_of(house: House, kept: Mapping[str, int]) -> Terms:
    """What this installation's contracts promise of an exit. Args: kept: the retentions that apply, by name."""
    settings = house.settings.exit
    return Terms(
        cost=settings.cost,
        export_days=settings.export_days,
        destruction_days=settings.destruction_days,
        traces_years=kept[TRACES],
    )


@asynccontextmanager
async def exit_rooms(custody: Custody, operator: str) -> AsyncIterator[ExitRooms]:
    """What an export works with."""
    house = custody.house
    witness = house.witness()
    async with opened(house.dsns.sealer, size=2) as sealer, open_hosting(house) as hosting:
        yield ExitRooms(
            owner=custody.owner,
            sealer=sealer,
            kms=house.kms,
            clock=house.clock,
            vault=hosting.vault,
            gate=InstructedGate(
                custody.owner, kms=house.kms, journal=custody.journal, clock=house.clock, operator=operator
            ),
            operator=custody.operator,
            reader=await house.journal_reader(sealer),
            witness=witness.key if witness is not None else None,
            installation=await house.origin(),
            terms=terms_of(house, await applied(house, custody.owner)),
            hosting=hosting.database,
        )


async def require_export_approved(custody: Custody, ask: ExportAsk, versions: int) -> None:
    """Above the threshold of the settings, the client's people approved this order to these recipients, in each
    environment; the approvals are used up. Raises: TwoPersonsError."""
    if versions <= custody.house.settings.approvals.export_versions:
        return
    what = {"reference": ask.asked["reference"], "recipients": " ".join(sorted(ask.recipients))}
    for one in ask.environments:
        await custody.require_two(Action.OBJECT_EXPORT, one.place, what)


async def environments_of(acts: Administration, tenant: str, only: str = "") -> list[Environment]:
    """The environments of a client that were not destroyed. Raises: NotFoundError: no such client, or environment."""
    await acts.tenant_id(tenant)
    found = [one for one in await acts.environments() if one.tenant == tenant and one.state != "destroyed"]
    if only:
        found = [one for one in found if one.name == only]
        if not found:
            raise NotFoundError()
    return found


async def consent(
    custody: Custody,
    acts: Administration,
    tenant: str,
    export_id: str,
    *,
    given_by: str,
    statement: Path,
    code: str,
    recorder: str,
) -> ConsentRecord:
    """Record that the controller, having verified the export, consents to the destruction. Keeps the statement.

    Raises: NotFoundError: no such client or export; NotVerifiedError: not finished, not complete, ordered for another
    reason than the end, or not the code that only who decrypted it can know; WrittenSinceExportError;
    ExitInstructionError; OSError: the statement cannot be read.
    """
    tenant_id = await acts.tenant_id(tenant)
    check_text(given_by, "by")
    data = await asyncio.to_thread(_statement, statement)
    found = [one for one in await records.exports_of(custody.owner, tenant_id) if one.id == export_id]
    if not found:
        raise NotFoundError()
    export = found[0]
    right = bool(CODE.match(code)) and export.code_sha256 == code_digest(code)
    place = Place(tenant_id, bytes(16), "")
    detail = {"export": export_id, "statement": hashlib.sha256(data).hexdigest()}
    if not (right and export.complete and export.instruction.basis is not ExitBasis.RETURN_ASKED):
        detail["code"] = NotVerifiedError.code
        await custody.operator.record(Action.TENANT_CONSENT, place, detail=detail, outcome="refused")
        raise NotVerifiedError()
    await _require_unwritten(custody, await environments_of(acts, tenant), export)
    record = ConsentRecord(
        secrets.token_hex(8), export, given_by, hashlib.sha256(data).digest(), recorder, custody.house.clock.now_ms()
    )
    async with custody.operator.act(Action.TENANT_CONSENT, place, detail=detail | {"consent": record.id}):
        await asyncio.to_thread(_keep, custody.house.folder.exits, f"{record.id}.statement", data)
        async with custody.owner.transaction() as connection:
            await records.add_consent(connection, record)
    await acts.publish()
    return record


def _statement(path: Path) -> bytes:
    data = path.read_bytes()
    if not 1 <= len(data) <= STATEMENT_BYTES_MAX:
        raise ExitInstructionError(reason="the statement is empty or too large")
    return data


def _keep(folder: Path, name: str, data: bytes) -> Path:
    make_private_folder(folder)
    write_durably(folder / name, data)
    return folder / name


async def _require_unwritten(custody: Custody, environments: Sequence[Environment], export: ExportRecord) -> None:
    """Every environment of the client is in the export, as it is now. Raises: WrittenSinceExportError."""
    for one in environments:
        covered = _covered(one, export)
        async with custody.hosting.transaction(one.place.role) as connection:
            last, packs = await count_packs(connection)
        if (covered.pack, covered.packs) != (last, packs):
            raise WrittenSinceExportError(environment=one.name)


def _covered(one: Environment, export: ExportRecord) -> Covered:
    """What the export returned of an environment. Raises: WrittenSinceExportError: nothing."""
    covered = export.covered.get(one.place.environment_id.hex())
    if covered is None:
        raise WrittenSinceExportError(environment=one.name)
    return covered


async def destroy_unused(custody: Custody, acts: Administration, one: Environment) -> None:
    """Destroy an environment, but one of production that holds data.

    Raises: ProductionKeptError: nothing is destroyed; if something was written while it was looked at, the door is
    closed and nobody is served.
    """
    await _require_unused(custody, one)  # before the door is closed: whoever asked by mistake interrupts nobody
    await acts.close_environment(one)
    await _require_unused(custody, one)
    await acts.destroy_environment(one.tenant, one.name)


async def _require_unused(custody: Custody, one: Environment) -> None:
    """An environment of production that holds data goes by consent only. Raises: ProductionKeptError."""
    if one.kind == "production":
        async with custody.hosting.transaction(one.place.role) as connection:
            if (await count_packs(connection))[1]:
                raise ProductionKeptError(tenant=one.tenant)


@dataclass(slots=True)
class Destruction:
    """One destruction under way, or taken up again."""

    custody: Custody
    acts: Administration
    tenant: str
    requester: str

    async def begin(self, consent_id: str, approver: str) -> DestructionRecord:
        """The recorded destruction of a consent: a new one, or the one that was cut.

        Raises: SameHandsError; NotConsentedError (journaled); AlreadyDestroyedError; WrittenSinceExportError,
        TwoPersonsError: nothing was destroyed.
        """
        tenant_id = await self.acts.tenant_id(self.tenant)
        check_hands(self.requester, approver)
        place = Place(tenant_id, bytes(16), "")
        owner = self.custody.owner
        for known in await records.destructions(owner, tenant_id=tenant_id):
            if known.consent.id == consent_id:
                if known.certificate is not None:
                    raise AlreadyDestroyedError(folder=str(self.custody.house.folder.exits))
                return known
        consents = [one for one in await records.consents_of(owner, tenant_id) if one.id == consent_id]
        if not consents:
            detail = {"code": NotConsentedError.code}
            await self.custody.operator.record(Action.TENANT_DESTROY, place, detail=detail, outcome="refused")
            raise NotConsentedError()
        environments = await environments_of(self.acts, self.tenant)
        if not environments:  # on another consent: a second certificate would give the act another date
            raise AlreadyDestroyedError(folder=str(self.custody.house.folder.exits))
        await _require_unwritten(self.custody, environments, consents[0].export)
        what = {"tenant": self.tenant, "consent": consent_id}
        await self.custody.require_two(Action.TENANT_DESTROY, EVERYWHERE, what)
        now_ms = self.custody.house.clock.now_ms()
        return DestructionRecord(secrets.token_hex(8), consents[0], self.requester, approver, now_ms, None, None)

    async def run(self, record: DestructionRecord) -> DestructionCertificate:
        """Destroy. Returns the first certificate; sites that are away and the backups give later dates.

        Raises: WrittenSinceExportError: an environment is not in the export, or something was written before the door
        closed: nothing more was destroyed, nobody is served, export again; UnavailableError: ask again, it goes on
        where it was cut.
        """
        custody, export = self.custody, record.consent.export
        place = Place(export.tenant_id, bytes(16), "")
        detail = {"destruction": record.id, "consent": record.consent.id, "approver": record.approver}
        environments = await environments_of(self.acts, self.tenant)
        for one in environments:  # of a destruction taken up again too: one may have been made since it was cut
            _covered(one, export)
        for one in environments:
            await self.acts.close_environment(one)
        known = [one.id for one in await records.destructions(custody.owner, tenant_id=export.tenant_id)]
        if record.id not in known:  # one that was cut may have no catalogue any more: it was checked before
            await _require_unwritten(custody, environments, export)
        async with custody.operator.act(Action.TENANT_DESTROY, place, detail=detail) as act:
            if record.id not in known:
                async with custody.owner.transaction() as connection:
                    await records.add_destruction(connection, record)
            for one in environments:
                await self.acts.destroy_environment(self.tenant, one.name)
            for one in await self._returned(export):  # of those that went before it was cut too
                await self.acts.end_rights(one.place)
            certificate = await self._certificate(record)
            act.count = sum(one.versions for one in certificate.environments)
        await self.acts.publish()
        return certificate

    async def _returned(self, export: ExportRecord) -> list[Environment]:
        """The client's environments that the export returned, destroyed or not."""
        every = await self.acts.environments()
        return [one for one in every if one.tenant == self.tenant and one.place.environment_id.hex() in export.covered]

    async def _certificate(self, record: DestructionRecord) -> DestructionCertificate:
        """The first certificate: keys and catalogue are gone, sites are swept as far as they answer."""
        house, export = self.custody.house, record.consent.export
        destroyed = await self._returned(export)
        now_ms, kept = house.clock.now_ms(), await applied(house, self.custody.owner)
        sites = await sweep(house.sites, [one.place.environment_id for one in destroyed], now_ms=house.clock.now_ms)
        certificate = DestructionCertificate(
            destruction_id=record.id,
            installation=await house.origin(),
            tenant=self.tenant,
            tenant_id=export.tenant_id.hex(),
            export_id=export.id,
            manifest_sha256=(export.manifest_sha256 or b"").hex(),
            consent_id=record.consent.id,
            consent_by=record.consent.given_by,
            consent_ms=record.consent.recorded_ms,
            statement_sha256=record.consent.statement_sha256.hex(),
            requested_by=record.requested_by,
            approver=record.approver,
            requested_ms=record.requested_ms,
            environments=[_destroyed(one, export.covered[one.place.environment_id.hex()], now_ms) for one in destroyed],
            unreadable_in_service_ms=now_ms,
            sites=sites,
            unreadable_in_every_copy_due_ms=now_ms + COPIES_MS,
            backup_objects_until_ms=now_ms + policy_of(kept).longest_ms,
            remains=_remains(kept, now_ms),
            terms=terms_of(house, kept),
            issued_ms=now_ms,
        )
        certificate = _dated_sites(certificate, sites)
        await _issue(self.custody, certificate, house.clock.now_ms())
        return certificate


def _destroyed(one: Environment, covered: Covered, now_ms: int) -> DestroyedEnvironment:
    return DestroyedEnvironment(
        name=one.name,
        id=one.place.environment_id.hex(),
        kind=one.kind,
        versions=covered.versions,
        packs=covered.packs,
        keys_destroyed_ms=now_ms,
        catalogue_dropped_ms=now_ms,
    )


def _remains(kept: Mapping[str, int], now_ms: int) -> list[Remains]:
    """What stays, why, until when. Args: kept: the retentions that apply, by name."""
    return [
        Remains(
            what_fr="Traces d'accès et d'administration au journal (pseudonymes, comptes, instants ; aucune donnée de"
            " santé) : preuve de ce qui fut fait, conservée pendant leur durée légale ; feuilles et preuves demeurent.",
            what_en="Access and administration traces in the journal (pseudonyms, accounts, instants; no health data):"
            " evidence of what was done, kept for their legal retention; leaves and proofs stay.",
            until_ms=now_ms + kept[TRACES] * 366 * DAY_MS,
        ),
        Remains(
            what_fr="Objets chiffrés sur la cible de sauvegarde, que plus aucune clé n'ouvre, jusqu'à la fin de leur"
            " conservation.",
            what_en="Encrypted objects on the backup target, which no key opens any more, until the end of their"
            " retention.",
            until_ms=now_ms + policy_of(kept).longest_ms,
        ),
        Remains(
            what_fr="Nom du client, de ses environnements, ordres, consentement, certificats (effacements de patients"
            " compris) : pièces du contrat.",
            what_en="Names of the client and of its environments, orders, consent, certificates (erasures of patients"
            " included): papers of the contract.",
            until_ms=None,
        ),
    ]


def _dated_sites(certificate: DestructionCertificate, sites: Sequence[SiteGone]) -> DestructionCertificate:
    """The certificate with what the sites say now; a date that was given stays."""
    before = {one.site: one for one in certificate.sites if one.gone_ms is not None}
    merged = [before.get(one.site, one) for one in sites]
    gone = [one.gone_ms for one in merged if one.gone_ms is not None]
    every = max(gone) if merged and len(gone) == len(merged) else None
    return msgspec.structs.replace(certificate, sites=merged, every_site_ms=certificate.every_site_ms or every)


async def _issue(custody: Custody, certificate: DestructionCertificate, now_ms: int) -> None:
    """Sign, record, write the file; nothing of it where the certificate became final meanwhile."""
    certificate = msgspec.structs.replace(certificate, issued_ms=max(now_ms, certificate.issued_ms))
    kms = custody.house.kms
    signature = await kms.sign(SIGNING, certificate.to_sign())
    data = certify(certificate, signature=signature, public_key=await kms.public_key(SIGNING))
    final_ms = certificate.issued_ms if certificate.final else None
    if await records.keep_certificate(custody.owner, certificate.destruction_id, data, final_ms):
        await asyncio.to_thread(_keep, custody.house.folder.exits, f"{certificate.destruction_id}.json", data)


async def close_destructions(custody: Custody) -> list[DestructionCertificate]:
    """Sweep the sites that were away, and date what is known since. Returns the certificates that changed."""
    house = custody.house
    changed: list[DestructionCertificate] = []
    keys = await _public_keys(house.kms)
    for record in await records.destructions(custody.owner):
        if record.certificate is None or record.final_ms is not None:
            continue
        before = verify_destruction(record.certificate, public_keys=keys)
        ids = [bytes.fromhex(one.id) for one in before.environments]
        after = _dated_sites(before, await sweep(house.sites, ids, now_ms=house.clock.now_ms))
        after = await _dated_copies(custody, after)
        if after.unreadable_in_every_copy_ms is not None:
            await close_erasures(
                custody.owner,
                house.kms,
                house.sites,
                after,
                papers=house.folder.erasures,
                now_ms=house.clock.now_ms(),
            )
        if after != before:
            await _issue(custody, after, house.clock.now_ms())
            changed.append(after)
    return changed


async def standing(custody: Custody, certificate: DestructionCertificate) -> DestructionCertificate:
    """A certificate as it was last signed: the working process may have closed it meanwhile."""
    keys = await _public_keys(custody.house.kms)
    for record in await records.destructions(custody.owner, tenant_id=bytes.fromhex(certificate.tenant_id)):
        if record.id == certificate.destruction_id and record.certificate is not None:
            return verify_destruction(record.certificate, public_keys=keys)
    return certificate


async def _dated_copies(custody: Custody, certificate: DestructionCertificate) -> DestructionCertificate:
    """With the date on which the backup target holds no copy of keys that is older than the destruction."""
    if certificate.unreadable_in_every_copy_ms is not None:
        return certificate
    claim_ms = await newest_claim_ms(custody.house, custody.owner)
    if claim_ms is None:
        return certificate
    oldest_ms = await oldest_copy_ms(custody.house)
    destroyed_ms = max(one.keys_destroyed_ms for one in certificate.environments)
    if oldest_ms is not None and oldest_ms <= destroyed_ms:
        return certificate
    return msgspec.structs.replace(certificate, unreadable_in_every_copy_ms=max(custody.house.clock.now_ms(), claim_ms))


async def _public_keys(kms: Kms) -> list[bytes]:
    return [key.public_key for key in (await kms.status()).signing_keys if key.purpose == SIGNING]


async def keep_exits(house: House, operator: str) -> list[DestructionCertificate]:
    """What the working process does: remove again what a site that was away brings back, end the open certificates.

    What is removed is what the KMS itself says is destroyed: a state written in the database by somebody else is not
    enough.
    """
    status = await house.kms.status()
    gone = [one.environment_id for one in status.environments if one.destroyed]
    if not gone:
        return []
    await sweep(house.sites, gone, now_ms=house.clock.now_ms)
    async with open_custody(house, operator) as custody:
        return await close_destructions(custody)


async def papers(custody: Custody, tenant_id: bytes) -> list[Path]:
    """Every certificate of a client as a file, as it was last signed."""
    found: list[Path] = []
    for one in await records.destructions(custody.owner, tenant_id=tenant_id):
        if one.certificate is not None:
            found.append(await asyncio.to_thread(_keep, custody.house.folder.exits, f"{one.id}.json", one.certificate))
    return found
