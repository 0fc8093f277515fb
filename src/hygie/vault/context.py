"""What one process holds of one environment: its identity, its blind index, its purpose keys."""

from __future__ import annotations

from dataclasses import dataclass

from hygie.base.permit import Place
from hygie.keys.cache import CompartmentKeys
from hygie.keys.kms import Kms
from hygie.sites.placement import SiteSet
from hygie.vault.compartments import Compartments
from hygie.vault.tokens import BlindIndex


@dataclass(frozen=True, slots=True)
class EnvironmentContext:
    """pack_key seals pack tables, cursor_key seals paging cursors; 32 bytes each."""

    place: Place
    index: BlindIndex
    compartments: Compartments
    sites: SiteSet
    pack_key: bytes
    cursor_key: bytes


async def load_context(place: Place, kms: Kms, cache: CompartmentKeys, sites: SiteSet) -> EnvironmentContext:
    """Fetch the environment's purpose keys from the KMS.

    Raises: KmsUnavailableError; KeyDestroyedError: the environment was destroyed.
    """

    async def key(purpose: str) -> bytes:
        return await kms.environment_key(place.tenant_id, place.environment_id, purpose)

    return EnvironmentContext(
        place=place,
        index=BlindIndex(id_key=await key("id"), index_key=await key("index")),
        compartments=Compartments(place, kms, cache),
        sites=sites,
        pack_key=await key("pack"),
        cursor_key=await key("cursor"),
    )
