"""kill -9 of `hygie work` and of PostgreSQL while registers are written and published: nothing is lost or forked.

``HYGIE_SEED`` to play one again (it is printed on failure).
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import time
from pathlib import Path

import psycopg

from hygie.app import open_house
from hygie.base.errors import HygieError
from hygie.proving import with_proof
from hygie.registers.rules import Change
from tests.attack.installation import Installation, attacked, kill

KILLS = int(os.environ.get("HYGIE_CHAOS", "4"))
SEED = int(os.environ.get("HYGIE_SEED", "0")) or random.SystemRandom().randrange(1, 2**32)
KILLED = ("work", "postgres")
RECOVERY_S_MAX = 90.0


def write(made: Installation, name: str) -> None:
    """One person in his register. Raises: what stopped it."""

    async def main() -> None:
        async with open_house(made.data) as house:
            fields = {"name": name, "employer": "Hygie", "function": "RSSI", "starts_on": "2026-01-05"}
            await with_proof(house, "local:test", lambda plane: plane.registers.write([Change("person", fields)]))

    asyncio.run(main())


def names(made: Installation) -> list[str]:
    """Who is in the register, in order of writing."""
    return [
        one["fields"]["name"] for one in sorted(made.hygie("register", "show", "person"), key=lambda one: one["key"])
    ]


def test_nothing_acknowledged_is_lost_and_one_site_gives_it_all_back() -> None:
    chance = random.Random(SEED)
    acknowledged: list[str] = []
    with attacked() as made:
        for number in range(KILLS):
            for rank in range(3):
                try:
                    write(made, f"N{number}-{rank}")
                    acknowledged.append(f"N{number}-{rank}")
                except (HygieError, psycopg.Error, OSError):
                    time.sleep(0.5)
                if rank == 1:
                    time.sleep(chance.uniform(0, 1.5))
                    kill(made, chance.choice(KILLED))
        end = time.monotonic() + RECOVERY_S_MAX
        while made.run("register", "verify").returncode or made.run("evidence", "verify").returncode:
            assert time.monotonic() < end, f"seed {SEED}\n{made.logs()}"
            time.sleep(1)
        written = names(made)
        assert set(acknowledged) <= set(written), f"seed {SEED}"
        head = made.hygie("register", "verify")
        sites = sorted((made.data / "sites").iterdir())
        made.wait_for(lambda: all(last(site) == head["writes"] for site in sites), seconds=RECOVERY_S_MAX)
        for site in (chance.choice(sites),):
            made.down()
            shutil.rmtree(made.data / "postgres")
            assert made.hygie("rebuild", "--from", site.name)["whole"], f"seed {SEED}, {site.name}"
            made.up()
            assert names(made) == written, f"seed {SEED}, {site.name}"
            assert made.hygie("register", "verify") == head, f"seed {SEED}, {site.name}"
            assert made.hygie("evidence", "verify")["declared_lost"] == []


def last(site: Path) -> int:
    """The last write of registers that a site holds."""
    return max((int(path.name[-12:]) for path in (site / "proof" / "records").glob("*-*")), default=0)
