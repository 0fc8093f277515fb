"""Administration under two operators at once."""

from __future__ import annotations

import asyncio
from typing import Any

from hygie.gate.errors import AdministrationError
from tests.unit.gate.test_platform_ledger import administered


def test_two_creations_of_one_name_at_once_leave_no_key_and_no_schema_behind(open_house: Any) -> None:
    async def main() -> None:
        async with open_house() as house, administered(house) as (acts, owner, _), administered(house) as (also, _, _):
            async with owner.transaction() as connection:  # hygie_env_1 is the stage's own
                await connection.execute("SELECT setval('hygie.environment_number', 40)")

            async def outcomes(*calls: Any) -> list[Any]:
                found = await asyncio.gather(*calls, return_exceptions=True)
                assert sum(isinstance(one, AdministrationError) for one in found) == 1, found
                return found

            await acts.create_tenant("first", "makes the platform's own keys")
            before = await house.kms.status()
            await outcomes(*(one.create_tenant("chu", "CHU") for one in (acts, also)))
            await outcomes(*(one.create_environment("chu", "prod", "production") for one in (acts, also)))
            after = await house.kms.status()
            assert after.tenants == before.tenants + 1
            assert len(after.environments) == len(before.environments) + 1
            async with owner.transaction() as connection:
                cursor = await connection.execute("SELECT count(*) FROM pg_namespace WHERE nspname ~ 'hygie_env_4'")
                assert await cursor.fetchone() == (1,)

    asyncio.run(main())
