"""The pool: one round trip to begin, nothing left behind, errors that say whether the write may exist."""

from __future__ import annotations

import asyncio

from hygie.database.cluster import Dsns
from hygie.database.environments import create_environment_schema
from hygie.database.pool import Database


def test_a_transaction_runs_as_the_environment_then_as_nobody(database: Dsns) -> None:
    async def main() -> None:
        await create_environment_schema(database.owner, "hygie_env_1")
        pool = Database(database.hosting, size=1)
        await pool.open()
        try:
            async with pool.transaction("hygie_env_1") as connection:
                row = await (await connection.execute("SELECT current_user::text, session_user::text")).fetchone()
                assert row == ("hygie_env_1", "hygie_hosting")
            async with pool.transaction() as connection:
                row = await (await connection.execute("SELECT current_user::text")).fetchone()
                assert row == ("hygie_hosting",)
        finally:
            await pool.close()

    asyncio.run(main())
