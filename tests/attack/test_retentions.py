"""A retention is shortened by two persons, whatever the settings say and whatever somebody writes in the database."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import msgspec
import psycopg
import pytest

from hygie.app import dsns_of, open_house
from hygie.backups.retention import RetentionPolicy
from hygie.base.layout import DataFolder
from hygie.base.roles import Role
from hygie.base.settings import Settings, load_settings, write_settings
from hygie.retentions import backups_kept, lengthen
from tests.acceptance.conftest import Installation
from tests.attack.installation import attacked, entries, noticed
from tests.attack.test_gate_doors import act
from tests.attack.test_two_persons import House

SECURITY = ("sara", "sam")
NAME, SET = "backups-monthly", "retention:set"


@pytest.fixture(scope="module")
def made() -> Iterator[Installation]:
    with attacked() as made:
        yield made


@pytest.fixture(scope="module")
def house(made: Installation) -> House:
    """Two of the host's security are named: from then on it takes two, and rights are raised."""
    person = {"kind": "person", "label": "", "professional_id": "", "days": 30}
    how = {"reason": "named by the direction", "approver": "direction", "days": 30, "role": Role.SECURITY_OFFICER}
    act(
        made,
        *(("create_account", (name,), person) for name in SECURITY),
        *(("grant", (name, "hygie", "platform"), how) for name in SECURITY),
    )
    one = House(made)
    made.hygie("raise", "INT-2026-0001", "--reason", "stage of the tests", "--emergency")
    for name in SECURITY:
        one.tokens[name] = made.hygie("token", "create", name, "hygie", "platform")["token"]
    return one


def settle(made: Installation, **backups: int) -> None:
    """What the settings file says of backups from now on, as who administers the machine writes it."""
    settings = load_settings(made.data)
    write_settings(
        made.data, msgspec.structs.replace(settings, backups=msgspec.structs.replace(settings.backups, **backups))
    )


def applied(made: Installation) -> RetentionPolicy:
    async def main() -> RetentionPolicy:
        async with open_house(made.data) as house:
            return await backups_kept(house)

    return asyncio.run(main())


def start(made: Installation) -> list[str]:
    """What ``hygie work`` does of it at its start."""

    async def main() -> list[str]:
        async with open_house(made.data) as house:
            return await lengthen(house, "system:test")

    return asyncio.run(main())


def owner(made: Installation) -> psycopg.Connection[Any]:
    folder = DataFolder.at(made.data)
    return psycopg.connect(dsns_of(load_settings(folder.path), folder).owner, autocommit=True)


def listed(made: Installation) -> dict[str, Any]:
    return next(one for one in made.hygie("retention", "list") if one["name"] == NAME)


def test_a_longer_retention_is_in_force_at_the_next_start(made: Installation) -> None:
    default = Settings(sites=()).backups
    made.wait_for(lambda: listed(made)["in_force"] == default.monthly, seconds=60)
    assert start(made) == []
    settle(made, monthly=14)
    assert applied(made).monthly == 14  # at once, for whoever reads the settings
    assert start(made) == [NAME]
    assert listed(made) == listed(made) | {"setting": 14, "in_force": 14, "applies": 14, "request": ""}
    done = [one.detail for one in entries(made, action=SET, outcome="done")]
    assert done[-1] == {NAME: "14"}


def test_the_settings_alone_shorten_nothing(made: Installation) -> None:
    settle(made, daily=1, weekly=0, monthly=0)
    assert start(made) == []
    policy = applied(made)
    assert (policy.daily, policy.weekly, policy.monthly) == (7, 4, 14)
    assert listed(made) == listed(made) | {"setting": 0, "in_force": 14, "applies": 14}


def test_one_person_does_not_shorten_it(house: House) -> None:
    made = house.made
    assert "HYG-263" in str(made.hygie("retention", "shorten", NAME, "6", exit_code=20))
    asked = ("request", "ask", SET, "--what", f"name={NAME}", "--what", "value=6", "--reason", "contrat 12, avenant 2")
    id_ = made.hygie(*asked)["request"]
    assert "HYG-263" in str(made.hygie("retention", "shorten", NAME, "6", exit_code=20))
    assert house.answers("sara", id_, place="hygie/platform").status == 200
    assert "HYG-263" in str(made.hygie("retention", "shorten", NAME, "5", exit_code=20))  # not what was approved
    assert applied(made).monthly == 14
    done = made.hygie("retention", "shorten", NAME, "6")
    assert done == {"name": NAME, "value": 6, "request": id_, "applies": 6}
    assert applied(made).monthly == 6
    assert noticed(made, "retention-shortened", **{"detail.request": id_})["level"] == "medium"
    # Used up: a longer one comes back by itself, and is not shortened again by the same word.
    settle(made, monthly=14)
    assert start(made) == [NAME]
    assert "HYG-263" in str(made.hygie("retention", "shorten", NAME, "6", exit_code=20))
    assert [one.outcome for one in entries(made, action=SET) if one.detail.get("request") == id_] == ["done"]


def test_what_is_not_shorter_or_not_a_retention_is_refused(house: House) -> None:
    for name, value in ((NAME, "14"), (NAME, "99"), ("backups-hourly", "1")):
        assert "HYG-165" in str(house.made.hygie("retention", "shorten", name, value, exit_code=10))


def test_rows_written_by_sql_shorten_nothing(made: Installation) -> None:
    settle(made, monthly=0)
    before = applied(made).monthly
    assert before == 14
    with owner(made) as sql:
        columns = "(name, rank, value, since_ms, request, mac)"
        # A made-up one, and a true one of before under a higher rank.
        sql.execute(f"INSERT INTO hygie.retention {columns} VALUES (%s, 90, 0, 0, '', %s)", (NAME, b"m" * 32))
        sql.execute(
            f"INSERT INTO hygie.retention {columns} SELECT name, 91, value, since_ms, request, mac FROM hygie.retention"
            " WHERE name = %s AND value = 6 AND rank < 90",
            (NAME,),
        )
        assert sql.execute("SELECT count(*) FROM hygie.retention WHERE rank >= 90").fetchone() == (2,)
        try:
            assert applied(made).monthly == before
            sql.execute("DELETE FROM hygie.retention WHERE rank >= 90")
            # The newest altered, then one of before taken away: the longest of the others counts, not the last.
            newest = "name = %s AND rank = (SELECT max(rank) FROM hygie.retention WHERE name = %s)"
            sql.execute(f"UPDATE hygie.retention SET value = 1 WHERE {newest}", (NAME, NAME))
            assert applied(made).monthly == before
            sql.execute(f"UPDATE hygie.retention SET value = 14 WHERE {newest}", (NAME, NAME))
            sql.execute("DELETE FROM hygie.retention WHERE name = %s AND value = 12", (NAME,))
            assert applied(made).monthly == before
        finally:
            sql.execute("DELETE FROM hygie.retention WHERE rank >= 90")


@pytest.mark.parametrize("role", ["hosting", "sealer", "console"])
def test_no_other_role_of_the_database_writes_one(made: Installation, role: str) -> None:
    folder = DataFolder.at(made.data)
    with (
        psycopg.connect(getattr(dsns_of(load_settings(folder.path), folder), role), autocommit=True) as sql,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        sql.execute("DELETE FROM hygie.retention")
