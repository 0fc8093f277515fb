"""What survives of an environment's compartments on one site: pack tables, the newest ledger, the tombstones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from hygie.base.errors import HygieError
from hygie.keys.ledger import Ledger, open_ledger
from hygie.sites.copies import on_upkeep
from hygie.sites.placement import SiteSet
from hygie.sites.site import Site
from hygie.vault.context import EnvironmentContext
from hygie.vault.pack import PackedCompartment, PackTable


def ledger_name(environment_id: bytes, epoch: int) -> str:
    """Where an environment's ledger of one epoch is published on the sites."""
    return f"ledger/{environment_id.hex()}/{epoch:08d}"


def tombstone_name(environment_id: bytes, compartment: bytes) -> str:
    """Where the sites say that a compartment was erased, so that no rebuild brings its wrap back."""
    return f"erased/{environment_id.hex()}/{compartment.hex()}"


@dataclass(slots=True)
class Survivors:
    """Compartments that packs name. packs: the first pack that carries each."""

    live: list[PackedCompartment] = field(default_factory=list)
    erased: list[PackedCompartment] = field(default_factory=list)
    packs: dict[bytes, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LedgerKeys:
    """What opens an environment's ledgers: its "ledger" key and the "backup" public keys."""

    key: bytes
    public_keys: Sequence[bytes]


def newest_ledger(site: Site, context: EnvironmentContext, keys: LedgerKeys) -> Ledger | None:
    """The newest ledger of this environment that a site holds and that verifies."""
    prefix = f"ledger/{context.place.environment_id.hex()}/"
    for name, _ in sorted(site.list(prefix), reverse=True):
        try:
            return open_ledger(
                site.get(name),
                key=keys.key,
                public_keys=keys.public_keys,
                tenant_id=context.place.tenant_id,
                environment_id=context.place.environment_id,
            )
        except HygieError:
            continue
    return None


def read_survivors(site: Site, context: EnvironmentContext, tables: Sequence[PackTable], keys: LedgerKeys) -> Survivors:
    """Decide for each compartment that packs name whether it lives, and by which wrap.

    A tombstone means erased.  Below the ledger's epoch, only what the ledger lists lives; from its epoch on, the wraps
    that packs carry are good too (they came after the ledger was published).
    """
    prefix = f"erased/{context.place.environment_id.hex()}/"
    tombstones = {bytes.fromhex(name.removeprefix(prefix)) for name, _ in site.list(prefix)}
    ledger = newest_ledger(site, context, keys)
    listed = dict(ledger.entries) if ledger else {}
    found = Survivors()
    for table in sorted(tables, key=lambda table: table.number):
        for one in table.compartments:
            if one.compartment in found.packs:
                continue
            found.packs[one.compartment] = table.number
            wrap = listed.get(one.compartment)
            if one.compartment in tombstones:
                found.erased.append(one)
            elif wrap is not None and ledger is not None:
                found.live.append(msgspec.structs.replace(one, epoch=ledger.epoch, wrap=wrap))
            elif ledger is None or one.epoch >= ledger.epoch:
                found.live.append(one)
            else:
                found.erased.append(one)
    return found


async def remove_everywhere(sites: SiteSet, name: str) -> None:
    """Remove a name from every site that answers; one that is away loses it when it comes back (catch-up)."""
    for link in sites.links:
        try:
            await on_upkeep(link, lambda site: site.delete(name))
        except HygieError:
            continue
