"""What a rebuild does beside catalogues: rights withdrawn since stay so, and what lacks is not a success."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from hygie.backups.published import Published
from hygie.base.actions import Action
from hygie.journal.entry import Entry
from hygie.recover import Recovered, _platform, require_whole
from hygie.vault.errors import RebuildIncompleteError
from hygie.vault.rebuild import RebuildReport
from tests.unit.gate.test_platform_ledger import administered, populate
from tests.unit.vault.conftest import open_house  # noqa: F401 (a fixture)


def test_kept_tables_are_told_what_the_journal_withdrew(open_house: Any) -> None:  # noqa: F811
    """A copy of the database that somebody put back is older than the last revocation, as a ledger may be."""

    async def main() -> None:
        async with open_house() as house, administered(house) as (acts, owner, _):
            token_id, _, _ = await populate(acts, owner)
            published = Published()
            published.take(0, Entry(Action.TOKEN_REVOKE, "done", "administration", 99, detail={"token": token_id}))
            found = Recovered("paris")
            custody: Any = SimpleNamespace(owner=owner, house=house)
            await _platform(custody, house.sites.link("paris").site, published, found)
            async with owner.transaction() as connection:
                cursor = await connection.execute("SELECT id, revoked_ms FROM hygie.token")
                assert await cursor.fetchall() == [(token_id, 99)]
            assert (found.imported, found.revoked) == (False, 1)

    asyncio.run(main())


def test_an_environment_whose_keys_are_destroyed_stays_so_whatever_the_tables_say(open_house: Any) -> None:  # noqa: F811
    """A site that was away during the end of a contract knows neither its act nor its new state."""

    async def main() -> None:
        async with open_house() as house, administered(house) as (acts, owner, _):
            await populate(acts, owner)
            (one, *others) = [one for one in await acts.environments() if one.state == "open"]
            place = one.place
            await house.kms.destroy_environment(place.tenant_id, place.environment_id, repeated=place.environment_id)
            custody: Any = SimpleNamespace(owner=owner, house=house)
            await _platform(custody, house.sites.link("paris").site, Published(), Recovered("paris"))
            states = {each.place.environment_id: each.state for each in await acts.environments()}
            assert states[place.environment_id] == "destroyed"
            assert {states[other.place.environment_id] for other in others} <= {"open"}

    asyncio.run(main())


def test_what_lacks_is_named_and_is_no_success() -> None:
    whole = RebuildReport("paris", packs=3, objects=5)
    require_whole(Recovered("paris", environments={("chu", "prod"): whole}))
    for lacking, first in (
        (RebuildReport("paris", missing=["packs/aa/1.pack"], damaged=["packs/aa/2.pack"]), "packs/aa/1.pack"),
        (RebuildReport("paris", damaged=["packs/aa/2.pack"]), "packs/aa/2.pack"),
        (RebuildReport("paris", lost=1, unattached=4), "chu/test"),
    ):
        found = Recovered("paris", environments={("chu", "prod"): whole, ("chu", "test"): lacking})
        with pytest.raises(RebuildIncompleteError) as refusal:
            require_whole(found)
        assert refusal.value.exit_code == 50
        assert refusal.value.facts["name"] == first
