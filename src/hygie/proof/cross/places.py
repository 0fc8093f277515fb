"""Sites, actors and assets of the registers against what is set and what runs."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

from hygie.base.settings_checks import EEA_COUNTRIES
from hygie.proof.cross.model import Found, Judge, Look
from hygie.proof.perimeter.stores import side_by_side
from hygie.registers.chain import RecordVersion


def site_declared(look: Look) -> Found:
    """Each site that the platform uses is in the register, in service."""
    known = {one.fields.get("platform_site") for one in look.of("site", "active")}
    used = [one.name for one in look.context.settings.sites]
    return Found([name for name in used if name not in known], len(used))


def site_used(look: Look) -> Found:
    """Each site of the register that names one of the platform is used by it."""
    used = {one.name for one in look.context.settings.sites}
    named = [one for one in look.of("site", "active") if one.fields.get("platform_site")]
    return Found([one.key for one in named if one.fields["platform_site"] not in used], len(named))


def site_place(look: Look) -> Found:
    """The country and the city of a site are the same in the register and in the settings."""
    placed = {one.name: (one.country, one.city.casefold()) for one in look.context.settings.sites}
    named = [one for one in look.of("site", "active") if one.fields.get("platform_site") in placed]
    wrong = [
        one.key
        for one in named
        if (one.fields["country"], str(one.fields["city"]).casefold()) != placed[str(one.fields["platform_site"])]
    ]
    return Found(wrong, len(named))


def actor_country(look: Look) -> Found:
    """An actor outside the EEA, or reached from there, has its active transfer for each country (EXI 29)."""
    covered = {(str(one.fields["supplier"]), str(one.fields["country"])) for one in look.of("transfer", "active")}
    actors = [one for one in look.of("supplier", "approved") if one.fields["role"] != "provider"]
    wrong = [
        f"{one.key} ({country})" for one in actors for country in _countries(one) if (one.key, country) not in covered
    ]
    return Found(wrong, len(actors))


def service_assets(look: Look) -> Found:
    """Each production service that is open has assets in service."""
    named = set(chain.from_iterable(one.fields.get("services", ()) for one in look.of("asset", "in-service")))
    services = [one for one in look.of("service", "open") if one.fields.get("production")]
    return Found([one.key for one in services if one.key not in named], len(services))


def assets_connected(look: Look) -> Found:
    """Each declared store of health data is observed by a connected source; else what rests on it is unknown."""
    stores = look.facts.stores.value
    assert stores is not None
    declared = [one for one in side_by_side(look.of, stores.stores) if one.declared and one.health]
    return Found(unclear=[one.declared for one in declared if one.unconnected], checked=len(declared))


def stores_listed(look: Look) -> Found:
    """Nothing that runs or lies on this machine holds health data without a record that lists it."""
    stores = look.facts.stores.value
    assert stores is not None
    rows = [one for one in side_by_side(look.of, stores.stores) if one.observed and one.health]
    unseen = [] if stores.whole else ["scan"]
    return Found([one.name for one in rows if one.unlisted], len(rows), unseen)


def _countries(actor: RecordVersion) -> list[str]:
    named = [actor.fields["country"], *actor.fields.get("outside_countries", ())]
    return [str(one) for one in dict.fromkeys(named) if one not in EEA_COUNTRIES]


JUDGES: Mapping[str, Judge] = {
    "cross.site-declared": site_declared,
    "cross.site-used": site_used,
    "cross.site-place": site_place,
    "cross.actor-country": actor_country,
    "cross.service-assets": service_assets,
    "cross.assets-connected": assets_connected,
    "cross.stores-listed": stores_listed,
}
