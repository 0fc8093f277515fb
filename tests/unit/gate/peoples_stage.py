"""People, their door in one or several hosting processes, and a telephone and a security key in software."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from fido2.cose import ES256
from fido2.utils import websafe_decode, websafe_encode
from fido2.webauthn import AttestationObject, AttestedCredentialData, AuthenticatorData

from hygie.base.roles import Role
from hygie.database.hot import HotConnections
from hygie.database.pool import Database
from hygie.gate.enrolment import Chosen
from hygie.gate.gate import Gate, Whence
from hygie.gate.people import PeopleDoor
from hygie.gate.people_administration import Delivery, PeopleAdministration
from hygie.gate.totp import new_secret
from hygie.journal.entry import Entry, open_entry
from hygie.journal.leaf import read_head
from hygie.journal.writer import JournalWriter
from tests.telephone import code_at

ORIGIN = "https://hygie.example:8443"
RP_ID = "hygie.example"
PASSWORD = "cheval pile agrafe 9 correct"
BY_HAND = Delivery("en main propre", "paul.martin")
WARD = Whence("10.0.0.7", "browser")


class Clock:
    """A clock that a test moves."""

    def __init__(self, now_ms: int) -> None:
        self.ms = now_ms

    def now_ms(self) -> int:
        return self.ms


@dataclass
class Telephone:
    """What shows TOTP codes."""

    clock: Clock
    secret: bytes = field(default_factory=new_secret)

    def code(self) -> str:
        """The next code that was not shown yet: the clock goes on."""
        self.clock.ms += 30_000
        return code_at(self.secret, self.clock.ms)


@dataclass
class Key:
    """A security key with one credential (packed as browsers send it)."""

    rp_id: str = RP_ID
    credential: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    private: Any = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    counter: int = 0
    handle: bytes = b""

    def register(self, options: dict[str, Any], *, origin: str = ORIGIN, flags: int = 0x45) -> dict[str, Any]:
        """``RegistrationResponseJSON``."""
        self.handle = websafe_decode(options["user"]["id"])
        data = AttestedCredentialData.create(
            bytes(16), self.credential, ES256.from_cryptography_key(self.private.public_key())
        )
        auth = AuthenticatorData.create(_hash(self.rp_id), flags, self.counter, bytes(data))
        client = _client("webauthn.create", options["challenge"], origin)
        attestation = AttestationObject.create("none", auth, {})
        told = {"clientDataJSON": websafe_encode(client), "attestationObject": websafe_encode(bytes(attestation))}
        return self._response(told)

    def sign(
        self,
        options: dict[str, Any],
        *,
        origin: str = ORIGIN,
        flags: int = 0x05,
        kind: str = "webauthn.get",
        **more: Any,
    ) -> dict[str, Any]:
        """``AuthenticationResponseJSON``; counts one more signature unless it does not count."""
        self.counter += 1 if self.counter else 0
        auth = AuthenticatorData.create(_hash(self.rp_id), flags, self.counter)
        client = _client(kind, options["challenge"], origin, **more)
        signature = self.private.sign(bytes(auth) + hashlib.sha256(client).digest(), ec.ECDSA(hashes.SHA256()))
        told = {
            "clientDataJSON": websafe_encode(client),
            "authenticatorData": websafe_encode(bytes(auth)),
            "signature": websafe_encode(signature),
            "userHandle": websafe_encode(self.handle),
        }
        return self._response(told)

    def _response(self, told: dict[str, str]) -> dict[str, Any]:
        id_ = websafe_encode(self.credential)
        return {"id": id_, "rawId": id_, "type": "public-key", "response": told, "clientExtensionResults": {}}


async def journaled(house: Any) -> list[Entry]:
    """Entries that wait to be sealed, opened, in order."""
    with psycopg.connect(house.dsns.owner) as connection:
        leaves = [row[0] for row in connection.execute("SELECT leaf FROM hygie.journal_pending ORDER BY id")]
    entries = []
    for leaf in leaves:
        head = read_head(leaf)
        key = await house.kms.month_key(head.tenant_id, head.kind, head.month)
        entries.append(open_entry(leaf, month_key=key))
    return entries


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _client(kind: str, challenge: str, origin: str, **more: Any) -> bytes:
    return json.dumps({"type": kind, "challenge": challenge, "origin": origin, "crossOrigin": False, **more}).encode()


@dataclass
class Stage:
    """house: the vault's; acts: administration; doors: one a process, with a gate of its own."""

    house: Any
    owner: Database
    acts: PeopleAdministration
    doors: Sequence[PeopleDoor]
    gates: Sequence[Gate]
    clock: Clock

    @property
    def door(self) -> PeopleDoor:
        return self.doors[0]

    async def person(self, name: str, *roles: Role) -> None:
        """An account of a person, with these roles in chu/prod."""
        await self.acts.create_account(name, kind="person", label=name, professional_id="", days=300)
        for role in roles:
            await self.acts.grant(name, "chu", "prod", role=role, reason="stage", approver="chief", days=30)

    async def enrolled(self, name: str, *roles: Role, password: str = PASSWORD) -> Telephone:
        """A person who has a password and a telephone."""
        await self.person(name, *roles)
        code = await self.acts.enrol(name, BY_HAND, hours=1)
        telephone = Telephone(self.clock)
        shown = Chosen(password, telephone.secret, telephone.code())
        await self.door.activate_password(name, code, shown, WARD)
        return telephone

    async def with_key(self, name: str, *, counter: int = 0) -> Key:
        """A person who has a security key."""
        await self.person(name)
        code = await self.acts.enrol(name, BY_HAND, hours=1)
        key = Key(counter=counter)
        options = await self.door.registration_options(name, code, WARD)
        await self.door.activate_key(name, code, key.register(options), "ma clé", WARD)
        return key

    async def rows(self, statement: str, *values: object) -> list[Any]:
        """As the owner."""
        async with self.owner.transaction() as connection:
            cursor = await connection.execute(statement.encode(), values)
            return await cursor.fetchall() if cursor.description else []


@asynccontextmanager
async def staged(house: Any, *, processes: int = 1, tenant: bool = True) -> AsyncIterator[Stage]:
    """The doors of several hosting processes on one database."""
    clock = Clock(house.clock.now_ms())
    owner = Database(house.dsns.owner, size=2)
    await owner.open()
    journal = JournalWriter(owner, house.kms, clock)
    acts = PeopleAdministration(
        owner, owner_dsn=house.dsns.owner, kms=house.kms, journal=journal, clock=clock, operator="local:test"
    )
    opened: list[HotConnections] = []
    gates, doors = [], []
    for _ in range(processes):
        hot = HotConnections(house.dsns.hosting)
        await hot.open()
        opened.append(hot)
        gate = Gate(house.database, hot, house.journal, clock, kms=house.kms)
        gates.append(gate)
        doors.append(PeopleDoor(gate, house.database, house.journal, clock, kms=house.kms, origins=[ORIGIN]))
    try:
        if tenant:
            await acts.create_tenant("chu", "CHU de Test")
            async with owner.transaction() as connection:  # hygie_env_1 is the stage's own
                await connection.execute("SELECT setval('hygie.environment_number', 40)")
            await acts.create_environment("chu", "prod", "production")
        yield Stage(house, owner, acts, doors, gates, clock)
    finally:
        for hot in opened:
            await hot.close()
        await journal.close()
        await owner.close()
