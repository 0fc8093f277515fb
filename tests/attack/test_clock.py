"""A clock ahead, then set back by hours and days, under the processes of a real installation: nothing is reordered.

The processes are the real ones; only what ``time.time`` and ``time.time_ns`` tell them is shifted, by a
``sitecustomize`` that Python loads first. PostgreSQL and the system itself keep the true date.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from hygie.journal.checkpoint import parse_checkpoint, parse_note
from tests.attack.installation import Installation, ask, attacked, entries, opaque_ids, verify, whole_journal

HOUR_S = 3_600
DAY_S = 86_400
AHEAD_S = 3 * DAY_S
LIAR = """
import time
from pathlib import Path
_shift, _time, _time_ns = Path(__file__).with_name("shift"), time.time, time.time_ns
time.time = lambda: _time() + int(_shift.read_text())
time.time_ns = lambda: _time_ns() + int(_shift.read_text()) * 10**9
"""
PATH = "/chu/prod/fhir/Patient/p"


@dataclass
class Story:
    """What clients and the operator saw while the clock went wrong."""

    made: Installation
    shift: Path
    brief: str = ""  # a token of one day
    written: list[dict[str, Any]] = field(default_factory=list)
    told: dict[str, Any] = field(default_factory=dict)

    def set_clock(self, seconds: int) -> None:
        """Shift the clock of every process, those that run and those to come."""
        new = self.shift.with_suffix(".new")
        new.write_text(str(seconds))
        new.rename(self.shift)

    def restart(self, seconds: int) -> None:
        """Stop everything; start it again under another clock."""
        self.made.down()
        self.set_clock(seconds)
        self.made.up()

    def write(self, *, at: int | None = None) -> int:
        """A new version of the patient, if the present one is ``at``. Returns the HTTP status."""
        number = len(self.written) + 1
        body = {"resourceType": "Patient", "id": "p", "name": [{"family": f"V{number}"}]}
        headers = {"If-Match": f'W/"{at}"'} if at is not None else None
        answer = self.made.fhir("PUT", "Patient/p", body, headers=headers)
        if answer.status < 300:
            self.written.append(answer.json)
        return answer.status

    def read(self) -> dict[str, Any]:
        answer = self.made.fhir("GET", "Patient/p")
        assert answer.status == 200, answer.body
        return dict(answer.json)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("clock")
    (folder / "sitecustomize.py").write_text(LIAR)
    (folder / "shift").write_text("0")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]))
        with attacked() as made:
            one = Story(made, folder / "shift", brief=made.token)
            made.token = made.hygie("token", "create", "app", "chu", "prod", "--days", "30")["token"]
            right_then_ahead(one)
            back_while_it_runs(one)
            back_before_it_starts(one)
            yield one


def right_then_ahead(one: Story) -> None:
    """Right, then three days ahead while everything runs: a token ends, a backup is taken, a right is given."""
    made, told = one.made, one.told
    assert one.write() == 201
    backed_up(one, 1)
    one.set_clock(AHEAD_S)
    assert one.write() == 200
    told["brief while ahead"] = ask(made, PATH, one.brief).status
    backed_up(one, 2)
    made.hygie("account", "create", "later", "--kind", "application")
    made.hygie(
        *("habilitation", "grant", "later", "chu", "prod"),
        *("--role", "reader", "--reason", "attack", "--approver", "chief"),
    )
    told["later"] = made.hygie("token", "create", "later", "chu", "prod", "--days", "30")["token"]
    told["later while ahead"] = ask(made, PATH, told["later"]).status


def back_while_it_runs(one: Story) -> None:
    """Two hours back, unseen by the hosting process, whose time stands still."""
    one.set_clock(AHEAD_S - 2 * HOUR_S)
    assert one.write() == 200
    one.told["brief in the same process"] = ask(one.made, PATH, one.brief).status


def back_before_it_starts(one: Story) -> None:
    """New processes two hours back, then two days and more: what they wrote before is of their future."""
    made, told = one.made, one.told
    sizes = [made.journal_shown("paris")]
    one.restart(AHEAD_S - 2 * HOUR_S)
    told["read after two hours back"] = one.read()
    told["stale"] = one.write(at=2)
    assert one.write(at=3) == 200
    told["brief two hours back"] = ask(made, PATH, one.brief).status
    backed_up(one, 3)
    whole_journal(made)
    sizes.append(made.journal_shown("paris"))
    one.restart(DAY_S // 2)
    told["read after days back"] = one.read()
    assert one.write(at=4) == 200
    assert made.fhir("PUT", "Patient/q", {"resourceType": "Patient", "id": "q"}).status == 201
    told["brief days back"] = ask(made, PATH, one.brief).status
    told["later days back"] = ask(made, PATH, told["later"]).status
    backed_up(one, 4)
    whole_journal(made)
    sizes.append(made.journal_shown("paris"))
    one.restart(0)
    assert one.write(at=5) == 200
    told["backup check"] = made.hygie("backup", "check")
    told["later at last"] = ask(made, PATH, told["later"]).status
    whole_journal(made)
    told["sizes"] = [*sizes, made.journal_shown("paris")]


def snapshots(made: Installation) -> dict[int, int]:
    """Instants, in ms, of the snapshots on the backup target, by number."""
    return {row["number"]: row["created_at_ms"] for row in made.hygie("backup", "list")}


def backed_up(one: Story, number: int) -> None:
    """Wait for the backup that the working process finds due, and until it is over."""

    def over() -> bool:
        done = [entry for entry in entries(one.made, outcome="done") if entry.action.value == "backup:run"]
        return any(entry.detail.get("number") == str(number) for entry in done)

    one.made.wait_for(lambda: number in snapshots(one.made))
    one.made.wait_for(over)


def instant_s(resource: dict[str, Any]) -> float:
    return datetime.fromisoformat(resource["meta"]["lastUpdated"]).timestamp()


def test_versions_of_a_resource_stay_in_order_and_in_time(story: Story) -> None:
    told = story.told
    assert [one["meta"]["versionId"] for one in story.written] == ["1", "2", "3", "4", "5", "6"]
    instants = [instant_s(one) for one in story.written]
    assert instants == sorted(instants), "no version is dated before the one it replaces"
    assert instants[1] - instants[0] > AHEAD_S - 60, "the clock did lie"
    assert instants[5] == instants[1] or instants[5] - instants[1] < HOUR_S
    assert told["read after two hours back"] == story.written[2]
    assert told["read after days back"] == story.written[3]
    assert told["stale"] == 412, "If-Match compares versions, not instants"
    history = story.made.fhir("GET", "Patient/p/_history").json["entry"]
    assert [one["resource"]["meta"]["versionId"] for one in history] == ["6", "5", "4", "3", "2", "1"]
    q = story.made.fhir("GET", "Patient/q").json
    assert instant_s(q) < instants[1] - DAY_S, "another resource has the instant that the clock told"


def test_the_journal_keeps_the_order_of_what_happened_and_says_what_is_back_dated(story: Story, tmp_path: Path) -> None:
    made = story.made
    name = opaque_ids(made, [("Patient", "p")])["Patient", "p"]
    versions = [
        item[2]
        for entry in whole_journal(made)
        if entry.outcome == "done" and entry.action.value in ("object:create", "object:update")
        for item in entry.items
        if item[1] == name
    ]
    assert versions == [1, 2, 3, 4, 5, 6]
    instants = [entry.at_ms for entry in whole_journal(made)]
    assert instants != sorted(instants)
    sizes = story.told["sizes"]
    assert sizes == sorted(set(sizes)), "each start went on from the checkpoint before"
    (seen,) = (made.data / "witness" / "latest").iterdir()
    assert parse_checkpoint(parse_note(seen.read_bytes()).text).size >= sizes[-1], "the witness cosigned all of it"
    done = verify(made, tmp_path / "export")
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert '"backdated": [[' in done.stdout or '"backdated":[[' in done.stdout, done.stdout
    assert not [entry for entry in entries(made) if entry.action.value == "journal:gap"]


def test_a_token_that_ended_ends_again_when_the_clock_is_right_and_a_right_waits_for_its_date(story: Story) -> None:
    told = story.told
    assert told["brief while ahead"] == 401
    assert told["brief in the same process"] == 401, "a process's time does not go back"
    assert told["brief two hours back"] == 401
    assert told["brief days back"] == 200, "the limit that the threat model names"
    assert (told["later while ahead"], told["later days back"], told["later at last"]) == (200, 403, 403)


def test_no_backup_is_removed_nor_put_off_until_the_future(story: Story) -> None:
    """Each was taken because it was due by the clock of its time, and each was followed by a purge."""
    created = snapshots(story.made)
    assert set(created) >= {1, 2, 3, 4}, "what claims to be of the future does not count as the last backup"
    assert created[2] - created[1] > (AHEAD_S - HOUR_S) * 1000
    assert created[1] < created[4] < created[3] < created[2]
    assert story.told["backup check"]["faults"] == []


def test_a_rebuild_finds_the_same_versions(story: Story) -> None:
    """Last: the database is thrown away."""
    made = story.made
    before = made.fhir("GET", "Patient/p/_history").json["entry"]
    made.hygie("scrub")
    made.down()
    shutil.rmtree(made.data / "postgres")
    assert made.hygie("rebuild", "--from", "lyon")["whole"]
    made.up()
    assert story.read() == before[0]["resource"] == story.written[-1]
    again = made.fhir("GET", "Patient/p/_history").json["entry"]
    assert [one["resource"] for one in again] == [one["resource"] for one in before]
    assert made.fhir("GET", "Patient/q").status == 200
    assert story.write(at=6) == 200
    assert instant_s(story.written[6]) >= instant_s(story.written[5])
