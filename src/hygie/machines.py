"""Certificates of interventions: made for who was approved, revoked when the intervention is over.

A certificate is given after its entry is durable, on the host's side under the account, on the client's under a
pseudonym. The registers are held to the published journal first: a record that Hygie did not write allows nothing.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from hygie.app import House
from hygie.base.actions import Action
from hygie.base.civil import paris_date
from hygie.base.clock import iso_ms
from hygie.base.errors import HygieError
from hygie.base.files import make_private_folder, write_durably
from hygie.base.ssh import (
    FORCE_COMMAND,
    NONCE_BYTES,
    PERMIT_PTY,
    SOURCE_ADDRESS,
    CertificateBody,
    PublicKey,
    authority_blob,
    certificate_line,
    fingerprint,
    public_line,
    revocation_list,
)
from hygie.database.pool import Database
from hygie.interventions.errors import InterventionRefusedError
from hygie.interventions.matching import Certificate
from hygie.interventions.pseudonyms import pseudonym, pseudonym_key, role_of
from hygie.journal.entry import PLATFORM, Entry
from hygie.journal.writer import JournalWriter
from hygie.keys.ssh_authority import KEY_ID, LIFE_S_MAX, PRINCIPAL, PURPOSE, forced_command
from hygie.logkeeping import verify_log
from hygie.perimeter import Known
from hygie.proof.fitness import fitness_of
from hygie.proof.interventions import INTERVENTION, LIVE, Granted, NotGrantedError, People, granted, withdrawn
from hygie.proving import ProofPlane, with_proof
from hygie.registers.chain import RecordVersion
from hygie.registers.errors import RegisterNotFoundError
from hygie.segments.format import RECORDS

AUTHORITY_FILE, REVOKED_FILE = "authority.pub", "revoked.krl"
SERIAL_BYTES = 5  # told in a register: a number of fewer digits than a patient's
BEGINS_BEFORE_S = 30  # for a machine whose clock is behind
KIND = "administration"  # class of the entries
CERTIFICATES_MAX = 100_000  # of a month
_REASONS = {
    "absent": ("aucune fiche de ce nom", "no such record"),
    "account": ("le compte de l'intervenant n'en est pas un de machine", "the operator's account is none of a machine"),
    "addresses": ("une adresse de la fiche n'en est pas une", "an address of the record is none"),
    "approval": (
        "pas approuvée par une personne du registre autre que le demandeur, l'intervenant et le rédacteur",
        "not approved by somebody of the register other than who asked, who acts and who wrote it",
    ),
    "changed": (
        "modifiée depuis son approbation, ou le compte de l'intervenant",
        "changed since it was approved, or the operator's account was",
    ),
    "fitness": (
        "l'intervenant est parti, ou sa formation ou son engagement ne vaut plus",
        "the operator has left, or their training or undertaking has lapsed",
    ),
    "operator": ("intervenant sans compte", "an operator without an account"),
    "over": ("terminée", "it is over"),
    "state": ("elle n'est ni validée ni en cours", "it is neither validated nor in progress"),
    "window": ("hors de sa fenêtre", "outside its window"),
}


@dataclass(frozen=True, slots=True)
class Given:
    """A certificate. line: of its file; until_ms: its end, UTC."""

    line: str
    account: str
    until_ms: int
    serial: int


@dataclass(frozen=True, slots=True)
class _Found:
    """What registers say of an intervention now. duties: of its operator."""

    granted: Granted
    duties: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Authority:
    """Who makes certificates. Args: records: opened as the sealer; operator: who runs this, for the journal."""

    house: House
    records: Database
    journal: JournalWriter
    operator: str

    async def certify(self, key: str, public: PublicKey, *, minutes: int) -> Given:
        """An SSH certificate for the operator of an approved intervention.

        Args: minutes: 1 to 60, cut at the end of the window.
        Raises: InterventionRefusedError, journaled; IntegrityError: registers are not what the journal says;
        JournalUnavailableError, KmsUnavailableError: no certificate.
        """
        house = self.house
        await verify_log(house, RECORDS, self.operator)
        now_ms = house.clock.now_ms()
        try:
            found = await with_proof(house, self.operator, lambda plane: _look(plane, key, now_ms))
            body = _body(found.granted, public, await house.kms.public_key(PURPOSE), now_ms // 1000, minutes)
        except NotGrantedError as error:
            raise await self._refused(key, error.reason, now_ms) from None
        one = found.granted
        told = {"intervention": key, "serial": str(body.serial), "until": iso_ms(body.valid_before_s * 1000)}
        sides = [(PLATFORM, self.operator, told | {"account": one.account, "key": public.print})]
        tenant_id = await tenant_id_of(self.records, one.tenant)
        if tenant_id is not None:
            who = pseudonym(await pseudonym_key(house.kms), tenant_id, one.account)
            sides.append((tenant_id, who, told | {"role": role_of(found.duties)}))

        async def tell(outcome: str) -> None:
            at_ms = house.clock.now_ms()
            await self.journal.append_now([_entry(who, outcome, at_ms, said, side) for side, who, said in sides])

        await tell("intent")
        try:
            signature = await house.kms.sign(PURPOSE, body.encoded())
        except HygieError:
            await tell("unknown")
            raise
        await tell("done")
        line = certificate_line(body.encoded(), signature, f"{one.account}@{key}")
        return Given(line, one.account, body.valid_before_s * 1000, body.serial)

    async def _refused(self, key: str, reason: str, at_ms: int) -> InterventionRefusedError:
        fr, en = _REASONS[reason]
        refused = InterventionRefusedError(key=key, reason_fr=fr, reason_en=en)
        named = key if KEY_ID.fullmatch(key) else ""  # a caller's text is no code
        detail = {"intervention": named, "reason": reason, "code": refused.code}
        await self.journal.append_now([_entry(self.operator, "refused", at_ms, detail)])
        return refused


async def authority_line(house: House) -> str:
    """The line of ``TrustedUserCAKeys``."""
    return public_line(await house.kms.public_key(PURPOSE), await house.origin())


async def authority_prints(house: House) -> frozenset[str]:
    """Fingerprints of the authority, as sshd's log shows them: the present one and former ones."""
    keys = (await house.kms.status()).signing_keys
    present = await house.kms.public_key(PURPOSE)
    return frozenset(
        fingerprint(authority_blob(one)) for one in (present, *(k.public_key for k in keys if k.purpose == PURPOSE))
    )


async def certificates_given(house: House, records: Database, months: Iterable[str]) -> dict[str, Certificate]:
    """Certificates that the journal says were given in some months (UTC, ``2026-11``), by serial.

    Args: records: opened as the sealer. An entry counts as soon as it is durable, as a certificate is then given.
    Raises: JournalTamperedError; KmsUnavailableError; DatabaseUnavailableError.
    """
    reader = await house.journal_reader(records)
    entries = await reader.waiting(PLATFORM, KIND)  # first: what gets its index meanwhile is found below
    for month in sorted(months):
        found = await reader.search(
            PLATFORM, month, kinds=(KIND,), actions=(Action.INTERVENTION_CERTIFY,), limit=CERTIFICATES_MAX
        )
        entries += [one.entry for one in found if one.entry is not None]
    return dict(one for one in map(_given, entries) if one is not None)


def _given(entry: Entry) -> tuple[str, Certificate] | None:
    """The serial and the certificate that an entry tells; None for another one."""
    if entry.action is not Action.INTERVENTION_CERTIFY or entry.outcome != "done":
        return None
    told = entry.detail
    try:
        until_ms = int(datetime.fromisoformat(told["until"]).timestamp() * 1000)
        return told["serial"], Certificate(told["intervention"], told["account"], told["key"], until_ms)
    except (KeyError, ValueError):
        return None  # whoever may add to the journal must not stop the reading by it


class Revocations:
    """The list that sshd reads (``RevokedKeys``): of every intervention that allows nothing now."""

    def __init__(self, house: House, operator: str) -> None:
        self._house = house
        self._operator = operator
        self._written: tuple[bytes, tuple[str, ...]] | None = None

    async def ids(self) -> tuple[str, ...]:
        """Their keys, in order. Raises: what registers raise."""
        now_ms = self._house.clock.now_ms()
        return await with_proof(self._house, self._operator, lambda plane: _withdrawn(plane, now_ms))

    async def encoded(self, ids: Sequence[str]) -> bytes:
        """The list as OpenSSH reads it."""
        now_ms = self._house.clock.now_ms()
        public = await self._house.kms.public_key(PURPOSE)
        return revocation_list(public, ids, version=now_ms, at_s=now_ms // 1000)

    async def keep(self) -> bool:
        """Write the files of this machine when what they say has changed, and once by each life of the process.

        Returns whether something was written. Raises: what registers and KMS raise; OSError.
        """
        ids, public = await self.ids(), await self._house.kms.public_key(PURPOSE)
        if self._written == (public, ids):
            return False
        authority = (await authority_line(self._house)).encode() + b"\n"
        await asyncio.to_thread(self._write, authority, await self.encoded(ids))
        self._written = (public, ids)
        return True

    def _write(self, authority: bytes, revoked: bytes) -> None:
        folder = self._house.folder.ssh
        make_private_folder(folder)
        write_durably(folder / REVOKED_FILE, revoked)  # before the authority: sshd without a list admits nobody
        write_durably(folder / AUTHORITY_FILE, authority)


async def tenant_id_of(records: Database, name: str) -> bytes | None:
    """The id of a client that is hosted here; None for no name, or for one that is not."""
    async with records.transaction() as connection:
        row = await (await connection.execute("SELECT id FROM hygie.tenant WHERE name = %s", (name,))).fetchone()
    return bytes(row[0]) if row else None


def _look(plane: ProofPlane, key: str, now_ms: int) -> _Found:
    """Raises: NotGrantedError."""
    try:
        history = plane.registers.history(INTERVENTION, key)
    except RegisterNotFoundError as error:
        raise NotGrantedError("absent") from error
    known = Known(plane.registers)
    people = People.of(plane.registers.versions("person"))
    one = granted(history, people)
    if one.over_ms is not None or history[-1].state not in LIVE:
        raise NotGrantedError("over")
    if one.account not in fitness_of(known.of, paris_date(now_ms)).fit:
        raise NotGrantedError("fitness")
    if not one.begins_ms <= now_ms < one.ends_ms:
        raise NotGrantedError("window")
    person = people.versions[one.person][-1]
    return _Found(one, tuple(map(str, person.fields.get("duties", ()))))


def _withdrawn(plane: ProofPlane, now_ms: int) -> tuple[str, ...]:
    histories: dict[str, list[RecordVersion]] = {}
    for version in plane.registers.versions(INTERVENTION):
        histories.setdefault(version.key, []).append(version)
    people = People.of(plane.registers.versions("person"))
    return tuple(sorted(withdrawn(histories.values(), people, now_ms)))


def _body(one: Granted, public: PublicKey, authority: bytes, now_s: int, minutes: int) -> CertificateBody:
    """What is to be signed. Raises: NotGrantedError."""
    if not KEY_ID.fullmatch(one.key):
        raise NotGrantedError("absent")
    if not PRINCIPAL.fullmatch(one.account) or one.account == "root":
        raise NotGrantedError("account")
    until_s = min(now_s + minutes * 60, one.ends_ms // 1000)
    begin_s = max(one.begins_ms // 1000, until_s - LIFE_S_MAX, now_s - BEGINS_BEFORE_S)
    critical = {FORCE_COMMAND: forced_command(one.key, until_s)}
    if one.addresses:
        critical[SOURCE_ADDRESS] = _addresses(one.addresses)
    return CertificateBody(
        key=public,
        nonce=os.urandom(NONCE_BYTES),
        serial=int.from_bytes(os.urandom(SERIAL_BYTES), "big"),
        key_id=one.key,
        principals=(one.account,),
        valid_after_s=begin_s,
        valid_before_s=until_s,
        critical=critical,
        authority=authority,
        extensions=(PERMIT_PTY,),
    )


def _addresses(texts: Sequence[str]) -> str:
    try:
        return ",".join(str(ipaddress.ip_network(text.strip(), strict=False)) for text in texts)
    except ValueError as error:
        raise NotGrantedError("addresses") from error


def _entry(account: str, outcome: str, at_ms: int, detail: dict[str, str], tenant_id: bytes = PLATFORM) -> Entry:
    return Entry(
        action=Action.INTERVENTION_CERTIFY,
        outcome=outcome,
        kind=KIND,
        at_ms=at_ms,
        tenant_id=tenant_id,
        account=account,
        authentication="local",
        purpose=detail["intervention"],
        detail=detail,
    )
