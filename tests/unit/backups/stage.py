"""Sites with packs, a folder target, and a real Ed25519 key that signs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hygie.backups.copy import CopyReport, put_snapshot
from hygie.backups.snapshot import EnvironmentPart, ObjectRef, SignedSnapshot, Snapshot
from hygie.backups.target import FolderTarget
from hygie.sites.folder import FolderSite
from hygie.sites.placement import SiteSet
from hygie.sites.room import initialise
from hygie.sites.site import SiteLocation

DAY_MS = 86_400_000
NOON_MS = 1_795_435_200_000 // DAY_MS * DAY_MS + DAY_MS // 2
TENANT, ENVIRONMENT = "aa" * 16, "bb" * 16


class TestSigner:
    """Signs as the KMS does, with a key of this test."""

    __test__ = False

    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.generate()

    @property
    def public_key(self) -> bytes:
        return self._key.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message)


def ref(name: str, data: bytes) -> ObjectRef:
    return ObjectRef(name=name, sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))


def snapshot(
    number: int = 1,
    packs: dict[str, bytes] | None = None,
    *,
    previous: str = "",
    at_ms: int = NOON_MS,
    ledger: bytes = b"ledger",
    kms: bytes | None = None,
) -> Snapshot:
    part = EnvironmentPart(
        tenant_id=TENANT,
        environment_id=ENVIRONMENT,
        packs=[ref(name, data) for name, data in sorted((packs or {}).items())],
        ledger=ref(f"ledger/{ENVIRONMENT}/00000001", ledger) if ledger else None,
    )
    return Snapshot(
        snapshot_id=f"{number:032x}",
        number=number,
        previous_sha256=previous,
        created_at_ms=at_ms,
        rpo_s=3600,
        environments=[part],
        objects=[],
        kms_state=ref("kms/state", kms) if kms else None,
        journal_checkpoint="hygie\n1\nAAAA\n",
    )


@dataclass
class Bench:
    """Two sites, a target, a signer, and what was backed up."""

    base: Path
    signer: TestSigner = field(default_factory=TestSigner)
    packs: dict[str, bytes] = field(default_factory=dict)
    taken: list[SignedSnapshot] = field(default_factory=list)

    def __post_init__(self) -> None:
        place = SiteLocation("FR", "Paris", 48.86, 2.35, "Hygie")
        sites = []
        for name in ("paris", "lyon"):
            initialise(self.base / name, name)
            sites.append(FolderSite(self.base / name, name, place))
        self.sites = SiteSet(sites, quorum=2, allowed_countries=["FR"])
        FolderTarget.initialise(self.base / "backup")
        self.target = FolderTarget(self.base / "backup", administrator="Somebody else")

    async def backup(self, new_packs: int = 2, *, at_ms: int = NOON_MS, kms: bytes | None = None) -> SignedSnapshot:
        """Write packs, then take the next snapshot with a ledger of its own."""
        number = len(self.taken) + 1
        for _ in range(new_packs):
            name = f"packs/{ENVIRONMENT}/{len(self.packs):012d}.pack"
            self.packs[name] = f"pack {len(self.packs)} ".encode() * 200
            await self.sites.place(name, self.packs[name])
        ledger = f"ledger {number}".encode()
        await self.sites.replace(f"ledger/{ENVIRONMENT}/00000001", ledger)
        previous = self.taken[-1].sha256 if self.taken else ""
        draft = snapshot(number, self.packs, previous=previous, at_ms=at_ms, ledger=ledger, kms=kms)
        given = {"kms/state": kms} if kms else {}
        signed, self.report = await self.take(draft, given=given)
        self.taken.append(signed)
        return signed

    async def take(
        self, draft: Snapshot, *, given: Mapping[str, bytes] | None = None, signer: TestSigner | None = None
    ) -> tuple[SignedSnapshot, CopyReport]:
        """Put a snapshot, alone at work on the target."""
        with self.target.exclusive():
            return await put_snapshot(self.sites, self.target, draft, signer or self.signer, given=given)

    def object_path(self, sha256: str) -> Path:
        return self.base / "backup" / "objects" / sha256[:2] / sha256

    def manifest_path(self, number: int) -> Path:
        [path] = (self.base / "backup" / "snapshots").glob(f"*-{number:032x}.json")
        return path
