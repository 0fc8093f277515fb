"""What survives of an environment's compartments on one site: pack tables, the newest ledger, the tombstones.

Source: docs/formats/ledger.md v1.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from hygie.base.errors import HygieError, IntegrityError
from hygie.base.permit import Place
from hygie.keys.erasure import verify_certificate
from hygie.keys.kms import Kms
from hygie.keys.ledger import PURPOSE, Ledger, open_ledger, read_rank
from hygie.sites.copies import on_upkeep
from hygie.sites.placement import SiteSet
from hygie.sites.site import Site
from hygie.vault.pack import PackedCompartment

HEAD_BYTES = 80  # enough of a ledger to know its rank


def ledger_prefix(environment_id: bytes) -> str:
    """Where an environment's ledgers are on the sites."""
    return f"ledger/{environment_id.hex()}/"


def ledger_name(environment_id: bytes, epoch: int) -> str:
    """Where an environment's ledger of one epoch is published on the sites."""
    return f"{ledger_prefix(environment_id)}{epoch:08d}"


def tombstone_name(environment_id: bytes, compartment: bytes) -> str:
    """Where the sites say that a compartment was erased, so that no rebuild brings its wrap back."""
    return f"erased/{environment_id.hex()}/{compartment.hex()}"


@dataclass(frozen=True, slots=True)
class LedgerKeys:
    """What opens and checks an environment's ledgers and tombstones.

    key: the environment's "ledger" key; public_keys: the "backup" keys, retired included; erasure_keys: those that sign
    certificates of erasure; epochs: those that the KMS still holds.
    """

    key: bytes
    public_keys: Sequence[bytes]
    erasure_keys: Sequence[bytes]
    epochs: frozenset[int]


async def ledger_keys(place: Place, kms: Kms) -> LedgerKeys:
    """Ask the KMS. Raises: KmsUnavailableError; KeyDestroyedError: the environment was destroyed."""
    status = await kms.status()
    epochs = {
        epoch.epoch
        for environment in status.environments
        if environment.environment_id == place.environment_id
        for epoch in environment.epochs
    }
    return LedgerKeys(
        await kms.environment_key(place.tenant_id, place.environment_id, PURPOSE),
        [key.public_key for key in status.signing_keys if key.purpose == "backup"],
        [key.public_key for key in status.signing_keys if key.purpose == "erasure"],
        frozenset(epochs),
    )


def newest_ledger(site: Site, place: Place, keys: LedgerKeys) -> Ledger | None:
    """The newest ledger of this environment that a site holds and that verifies."""
    prefix = ledger_prefix(place.environment_id)
    for name, _ in sorted(site.list(prefix), reverse=True):
        try:
            ledger = open_ledger(
                site.get(name),
                key=keys.key,
                public_keys=keys.public_keys,
                tenant_id=place.tenant_id,
                environment_id=place.environment_id,
            )
        except HygieError:
            continue
        if name == ledger_name(place.environment_id, ledger.epoch):
            return ledger
    return None


@dataclass(slots=True)
class Survivors:
    """Compartments that standing packs name, each once.

    live: with the wrap that opens them now; erased: without any; lost: their wrap is under a key that is gone and no
    ledger here has a newer one; packs: the first pack that carries each.
    """

    live: list[PackedCompartment] = field(default_factory=list)
    erased: list[PackedCompartment] = field(default_factory=list)
    lost: list[PackedCompartment] = field(default_factory=list)
    packs: dict[bytes, int] = field(default_factory=dict)


class Verdicts:
    """Decides of each compartment whether it lives, from what one site holds and what the journal says.

    A signed tombstone, or a journaled erasure, means erased.  The ledger's wrap wins over the pack's.  A wrap under an
    epoch that the KMS no longer holds, without a newer one, is lost: its pack never counted, or the site lacks the
    ledger.  forged: names of tombstones that no key of ours signed; whoever holds a site could plant one.
    """

    def __init__(self, site: Site, place: Place, keys: LedgerKeys, *, erased: Collection[bytes]) -> None:
        self.forged: list[str] = []
        self._erased = set(erased)
        for name, _ in site.list(f"erased/{place.environment_id.hex()}/"):
            compartment = _signed_tombstone(site, name, place, keys)
            if compartment is None:
                self.forged.append(name)
            else:
                self._erased.add(compartment)
        self.ledger = newest_ledger(site, place, keys)
        self._listed = dict(self.ledger.entries) if self.ledger else {}
        self._epochs = keys.epochs

    def lives(self, one: PackedCompartment) -> PackedCompartment | None:
        """The compartment with the wrap that opens it, or None."""
        if one.compartment in self._erased:
            return None
        wrap = self._listed.get(one.compartment)
        if wrap is not None and self.ledger is not None and self.ledger.epoch >= one.epoch:
            one = msgspec.structs.replace(one, epoch=self.ledger.epoch, wrap=wrap)
        return one if one.epoch in self._epochs else None

    def sort(self, carried: Sequence[tuple[int, PackedCompartment]], owners: Mapping[bytes, bytes]) -> Survivors:
        """All compartments of the standing packs.

        A second live compartment of one patient (after a partial rebuild, both histories are acknowledged) becomes one
        of several patients whose only member he is: read, searched and listed at his erasure, never written again.
        Args: carried: (pack number, compartment); owners: which compartment each subject keeps.
        """
        found = Survivors()
        for number, one in sorted(carried, key=lambda pair: pair[0]):
            if one.compartment in found.packs:
                continue
            found.packs[one.compartment] = number
            alive = self.lives(one)
            if alive is not None and owners[one.subject] != one.compartment:
                alive = msgspec.structs.replace(
                    alive, kind=2, subject=one.compartment, members=sorted({*one.members, one.subject})
                )
            if alive is not None:
                found.live.append(alive)
            elif one.compartment in self._erased:
                found.erased.append(one)
            else:
                found.lost.append(one)
        return found


def _signed_tombstone(site: Site, name: str, place: Place, keys: LedgerKeys) -> bytes | None:
    """The compartment that a tombstone says is erased, when it is signed and under its own name."""
    try:
        certificate = verify_certificate(site.get(name), public_keys=list(keys.erasure_keys))
    except IntegrityError:
        return None
    compartment = bytes.fromhex(certificate.compartment_id)
    return compartment if name == tombstone_name(place.environment_id, compartment) else None


@dataclass(slots=True)
class Spread:
    """What a comparison of ledgers did: sites that took the newest one, and old names removed."""

    copied: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)


async def spread_ledgers(sites: SiteSet, place: Place, keys: LedgerKeys) -> Spread:
    """Bring the newest ledger to every site that answers, and remove those whose epoch key is gone.

    A site that was away during an epoch change could rebuild nothing of what came before it.
    """
    spread = Spread()
    prefix = ledger_prefix(place.environment_id)
    listings = await sites.list_sites(prefix)
    held: dict[str, tuple[tuple[int, int], str]] = {}
    for site, listing in listings.items():
        for name in sorted(listing or {}, reverse=True):
            rank = await _rank(sites, site, name)
            if rank is not None and (site not in held or rank > held[site][0]):
                held[site] = (rank, name)
    if not held:
        return spread
    rank, name = max(held.values())
    data: bytes | None = None
    for site, listing in listings.items():
        if listing is None or held.get(site) == (rank, name):
            continue
        if data is None:
            data = await _verified_copy(sites, [s for s, one in held.items() if one == (rank, name)], name, place, keys)
        if data is None:
            return spread  # what claims to be newest does not verify: nothing is spread nor removed
        copy = data
        try:
            await on_upkeep(sites.link(site), lambda store: store.replace(name, copy))  # noqa: B023 (awaited at once)
        except HygieError:
            continue  # away or full: at the next comparison
        spread.copied.append(site)
    for site, listing in listings.items():
        for old in listing or {}:
            epoch = _epoch_of(old, prefix)
            if old < name and epoch is not None and epoch not in keys.epochs:
                await _remove(sites, site, old, spread)
    return spread


async def _rank(sites: SiteSet, site: str, name: str) -> tuple[int, int] | None:
    try:
        return read_rank(await on_upkeep(sites.link(site), lambda store: store.get(name, 0, HEAD_BYTES)))
    except HygieError:
        return None


async def _verified_copy(
    sites: SiteSet, holders: Sequence[str], name: str, place: Place, keys: LedgerKeys
) -> bytes | None:
    for site in holders:
        try:
            data = await on_upkeep(sites.link(site), lambda store: store.get(name))
            open_ledger(
                data,
                key=keys.key,
                public_keys=keys.public_keys,
                tenant_id=place.tenant_id,
                environment_id=place.environment_id,
            )
        except HygieError:
            continue
        return data
    return None


async def _remove(sites: SiteSet, site: str, name: str, spread: Spread) -> None:
    try:
        await on_upkeep(sites.link(site), lambda store: store.delete(name))
    except HygieError:
        return  # away: removed when it comes back
    spread.removed.append(f"{site}:{name}")


def _epoch_of(name: str, prefix: str) -> int | None:
    digits = name.removeprefix(prefix)
    return int(digits) if digits.isdecimal() else None


async def remove_everywhere(sites: SiteSet, name: str) -> None:
    """Remove a name from every site that answers; one that is away loses it when it comes back."""
    for link in sites.links:
        try:
            await on_upkeep(link, lambda site: site.delete(name))
        except HygieError:
            continue
