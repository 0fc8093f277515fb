"""Whoever holds the KMS's folder cuts or rewrites the record of the keys it gave: the journal holds its heads."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hygie.app import open_house, opened
from hygie.base.actions import Action
from hygie.upkeep import Comparison
from tests.attack.installation import Installation, attacked, entries
from tests.sabotage.one_check import judge_one

PATIENT = {"resourceType": "Patient", "name": [{"family": "Secretdejeanne"}]}
CONTEXT = b"hygie unwrap record v1\0"


@dataclass(frozen=True)
class Town:
    """An installation and its patients."""

    made: Installation
    ids: list[str]

    def reads(self) -> None:
        """Reads of everybody: lines of the record, if no process has the keys in memory since its start."""
        for id_ in self.ids:
            assert self.made.fhir("GET", f"Patient/{id_}").status == 200


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    with attacked() as made:
        ids = [made.fhir("POST", "Patient", PATIENT).json["id"] for _ in range(6)]
        made.down()
        made.up()
        yield Town(made, ids)


def record(made: Installation) -> Path:
    return made.data / "kms" / "unwraps.log"


def compared(made: Installation) -> None:
    """One turn of what ``hygie work`` does every minute."""

    async def main() -> None:
        async with (
            open_house(made.data) as house,
            opened(house.dsns.sealer, size=1) as records,
            opened(house.dsns.hosting, size=1) as pool,
        ):
            await Comparison(house, records, pool).run()

    asyncio.run(main())


def check(made: Installation) -> tuple[str, str]:
    """What status says of the record: (verdict, sentence)."""

    async def main() -> tuple[str, str]:
        async with open_house(made.data) as house:
            finding = await judge_one(house, "tech-3.unwraps")
            return finding.verdict.value, finding.outcome.why.en

    return asyncio.run(main())


def chained(lines: list[bytes]) -> bytes:
    """The same lines under hashes that follow, as anybody can compute them."""
    head, out = bytes(32), []
    for line in lines:
        text = line.partition(b" ")[2]
        head = hashlib.sha256(CONTEXT + head + text).digest()
        out.append(head.hex().encode() + b" " + text + b"\n")
    return b"".join(out)


def cut(lines: list[bytes]) -> bytes:
    return chained(lines[:-2])


def rewritten(lines: list[bytes]) -> bytes:
    """A line in the middle names another reason, and all that follows is hashed anew."""
    at = len(lines) // 2
    assert b'"reason":"read"' in lines[at]
    altered = lines[at].replace(b'"reason":"read"', b'"reason":"other"')
    return chained([*lines[:at], altered, *lines[at + 1 :]])


def dropped(lines: list[bytes]) -> bytes:
    """Nothing but a first line."""
    return chained(lines[:1])


def test_a_copy_is_verified_by_the_command_line_and_its_bad_line_named(town: Town, tmp_path: Path) -> None:
    town.reads()
    copy = tmp_path / "unwraps.log"
    lines = record(town.made).read_bytes().splitlines(keepends=True)
    copy.write_bytes(b"".join(lines))
    assert town.made.hygie("verify", str(tmp_path)) == {
        "whole": True,
        "lines": len(lines) - 1,
        "head": lines[-1].partition(b" ")[0].decode(),
    }
    copy.write_bytes(b"".join([lines[0], lines[1].replace(b'"done"', b'"gone"'), *lines[2:]]))
    error = town.made.hygie("verify", str(tmp_path), exit_code=50)["error"]
    assert error["code"] == "HYG-532"
    assert "line 2" in error["message"]


@pytest.mark.parametrize("damage", [cut, rewritten, dropped])
def test_a_record_that_is_not_the_one_anchored_is_named(town: Town, damage: Callable[[list[bytes]], bytes]) -> None:
    made = town.made
    town.reads()
    compared(made)
    found = made.hygie("journal", "reconcile")
    assert found["anchors"] >= 1
    assert found["cut"] == []
    assert check(made) == ("satisfied", "The key record is whole.")
    made.down()
    lines = record(made).read_bytes().splitlines()
    assert chained(lines) == record(made).read_bytes()  # the test hashes as the KMS does
    record(made).write_bytes(damage(lines))
    made.up()  # the KMS starts: the chain follows
    refused = made.hygie("journal", "reconcile", exit_code=50)["error"]
    assert refused["code"] == "HYG-563"
    assert f"({len(lines) - 1} lines)" in refused["message"] or damage is not cut
    verdict, why = check(made)
    assert verdict == "unsatisfied", why
    # New keys make it long enough again: what was anchored is still not in it.
    town.reads()
    compared(made)
    assert check(made)[0] == "unsatisfied"
    assert made.hygie("journal", "reconcile", exit_code=50)["error"]["code"] == "HYG-563"
    assert [e for e in entries(made, action=Action.KEY_ANCHOR, outcome="refused") if e.detail["code"] == "HYG-563"]
    # The inquiry is over: from here on, this record counts.
    made.hygie("journal", "reconcile", "--new-record")
    compared(made)
    assert made.hygie("journal", "reconcile")["cut"] == []
    assert check(made)[0] == "satisfied"


def test_a_line_altered_while_the_kms_runs_is_named(town: Town) -> None:
    made = town.made
    town.reads()
    compared(made)
    before = record(made).read_bytes()
    lines = before.splitlines(keepends=True)
    at = len(lines) // 2
    lines[at] = lines[at].replace(b'"reason":"read"', b'"reason":"seen"')
    assert lines[at] in set(lines) - set(before.splitlines(keepends=True))
    record(made).write_bytes(b"".join(lines))
    try:
        assert made.hygie("journal", "reconcile", exit_code=50)["error"]["code"] == "HYG-532"
        assert check(made)[0] == "unsatisfied"
    finally:
        record(made).write_bytes(before)
    assert made.hygie("journal", "reconcile")["cut"] == []
