"""kill -9 of every process at random moments of an import: nothing acknowledged is lost, nothing refused comes back.

``HYGIE_CHAOS=50`` for the long run; ``HYGIE_SEED`` to play one again (it is printed on failure).
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

from tests.attack.installation import Installation, attacked, client, kill, opaque_ids, pids, verify, whole_journal

KILLS = int(os.environ.get("HYGIE_CHAOS", "7"))
SEED = int(os.environ.get("HYGIE_SEED", "0")) or random.SystemRandom().randrange(1, 2**32)
KILLED = ("serve", "postgres", "kms", "work", "witness")
IMPORTERS = 2
SYSTEM = "urn:oid:1.2.250.1.213.99"
RECOVERY_S_MAX = 90.0
Resource = dict[str, Any]


@dataclass
class Sent:
    """One bundle, and what its sender knows. ids: (type, id) of each entry once acknowledged."""

    name: str
    entries: list[Resource]
    end: str = "unknown"
    ids: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class Ledger:
    """What the clients saw, over all threads."""

    sent: list[Sent] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    reads: int = 0
    stop: threading.Event = field(default_factory=threading.Event)

    def of(self, end: str) -> list[Sent]:
        return [one for one in self.sent if one.end == end]


def patient_and_results(name: str, chance: random.Random) -> list[Resource]:
    """A patient, found again by the name of its bundle, and results that refer to it."""
    identifier = [{"system": SYSTEM, "value": name}]
    patient = {
        "fullUrl": f"urn:uuid:{name}",
        "resource": {"resourceType": "Patient", "identifier": identifier, "name": [{"family": f"Essai{name}"}]},
        "request": {"method": "POST", "url": "Patient"},
    }
    results = [
        {
            "fullUrl": f"urn:uuid:{name}-{number}",
            "resource": {
                "resourceType": "Observation",
                "identifier": identifier,
                "status": "final",
                "code": {"text": f"c{number}"},
                "subject": {"reference": f"urn:uuid:{name}"},
                "valueQuantity": {"value": round(chance.uniform(0, 9), 3), "unit": "g"},
                "note": [{"text": "n" * chance.randrange(2000)}],
            },
            "request": {"method": "POST", "url": "Observation"},
        }
        for number in range(chance.randrange(1, 25))
    ]
    return [patient, *results]


def spoiled(entries: list[Resource], chance: random.Random) -> list[Resource]:
    """One entry that must be refused: by its form, or by its version under the vault's locks."""
    bad: Resource = {"resource": {"resourceType": "Observation", "status": "final"}}
    bad["request"] = {"method": "POST", "url": "Observation"}
    if chance.random() < 0.5:
        bad["resource"] = {**entries[0]["resource"], "id": "absent"}
        bad["request"] = {"method": "PUT", "url": "Patient/absent", "ifMatch": 'W/"7"'}
    return [*entries, bad]


def importer(number: int, made: Installation, ledger: Ledger) -> None:
    """Send bundles one after the other; note before sending, then note the end."""
    chance = random.Random(f"{SEED}/{number}")
    mine = client(made)
    count = 0
    while not ledger.stop.is_set():
        count += 1
        one = Sent(f"{number}x{count}", patient_and_results(f"{number}x{count}", chance))
        entries = spoiled(one.entries, chance) if chance.random() < 0.15 else one.entries
        ledger.sent.append(one)
        try:
            answer = mine.fhir("POST", "", {"resourceType": "Bundle", "type": "transaction", "entry": entries})
        except (OSError, HTTPException):
            mine.close_connection()
            time.sleep(0.05)
            continue
        if answer.status == 200:
            one.ids = [_type_and_id(entry["response"]["location"]) for entry in answer.json["entry"]]
            one.end = "stored"
        elif answer.status < 500:
            one.end = "refused"
        elif answer.status == 503:
            time.sleep(0.05)
        else:
            ledger.faults.append(f"{answer.status} {answer.body[:300]!r}")
    mine.close_connection()


def reader(made: Installation, ledger: Ledger) -> None:
    """Meanwhile, read what was acknowledged: whole, or nothing for now."""
    chance = random.Random(f"{SEED}/reader")
    mine = client(made)
    while not ledger.stop.is_set():
        stored = ledger.of("stored")
        if not stored:
            time.sleep(0.02)
            continue
        one = chance.choice(stored)
        type_, id_ = chance.choice(one.ids)
        try:
            answer = mine.fhir("GET", f"{type_}/{id_}")
        except (OSError, HTTPException):
            mine.close_connection()
            time.sleep(0.05)
            continue
        ledger.reads += answer.status == 200
        if answer.status not in (200, 503):
            ledger.faults.append(f"GET {answer.status} {answer.body[:300]!r}")
        time.sleep(0.005)
    mine.close_connection()


def _type_and_id(location: str) -> tuple[str, str]:
    parts = location.split("/")
    at = parts.index("_history") if "_history" in parts else len(parts)
    return parts[at - 2], parts[at - 1]


def _wait_for(what: Callable[[], bool], made: Installation, ledger: Ledger, why: str) -> None:
    end = time.monotonic() + RECOVERY_S_MAX
    while not what():
        assert not ledger.faults, ledger.faults[:3]
        assert time.monotonic() < end, f"{why}\n{made.logs()}"
        time.sleep(0.02)


def kill_at_random(made: Installation, ledger: Ledger) -> list[str]:
    """Kill one process after the other, each once the import goes on again. Returns: what was killed."""
    chance = random.Random(f"{SEED}/killer")
    order: list[str] = []
    while len(order) < KILLS:
        order += chance.sample(KILLED, len(KILLED))
    for name in order[:KILLS]:
        before = len(ledger.of("stored"))
        _wait_for(lambda before=before: len(ledger.of("stored")) > before, made, ledger, f"no import before {name}")
        time.sleep(chance.uniform(0, 0.4))
        _wait_for(lambda name=name: kill(made, name) > 0, made, ledger, f"{name} is not there")
    before = len(ledger.of("stored"))
    _wait_for(lambda: len(ledger.of("stored")) > before + 3, made, ledger, "no import after the last kill")
    return order[:KILLS]


@pytest.fixture(scope="module")
def survived() -> Iterator[tuple[Installation, Ledger]]:
    """An installation after the kills, running, and what its clients know."""
    with attacked() as made:
        ledger = Ledger()
        threads = [threading.Thread(target=importer, args=(n, made, ledger)) for n in range(IMPORTERS)]
        threads.append(threading.Thread(target=reader, args=(made, ledger)))
        for thread in threads:
            thread.start()
        try:
            killed = kill_at_random(made, ledger)
        finally:
            ledger.stop.set()
            for thread in threads:
                thread.join()
        counts = {end: len(ledger.of(end)) for end in ("stored", "refused", "unknown")}
        print(f"HYGIE_SEED={SEED}: killed {' '.join(killed)}; {counts}, {ledger.reads} reads meanwhile")
        yield made, ledger


def check_what_is_there(made: Installation, ledger: Ledger) -> None:
    """Acknowledged: readable and equal; refused: absent; unanswered: whole or absent."""
    assert not ledger.faults, ledger.faults[:5]
    for one in ledger.sent:
        there = found(made, one)
        if one.end == "refused":
            assert there == {}, f"{one.name} was refused"
        elif one.end == "unknown":
            assert len(there) in (0, len(one.entries)), f"half of {one.name} is there"
        else:
            check_equal(made, one, there)


def found(made: Installation, one: Sent) -> dict[tuple[str, str], Resource]:
    """What a search finds of a bundle."""
    there: dict[tuple[str, str], Resource] = {}
    for type_ in ("Patient", "Observation"):
        page = made.fhir("GET", f"{type_}?identifier={SYSTEM}|{one.name}&_count=100")
        assert page.status == 200, page.body
        for entry in page.json.get("entry", ()):
            there[type_, entry["resource"]["id"]] = entry["resource"]
    return there


def check_equal(made: Installation, one: Sent, there: dict[tuple[str, str], Resource]) -> None:
    """Found by search and read by id, equal to what was sent."""
    assert set(there) == set(one.ids), f"{one.name}, seed {SEED}"
    patient = "/".join(one.ids[0])
    for (type_, id_), entry in zip(one.ids, one.entries, strict=True):
        read = made.fhir("GET", f"{type_}/{id_}")
        assert read.status == 200, (one.name, read.body)
        expected = {**entry["resource"], "id": id_, "meta": read.json["meta"]}
        if type_ == "Observation":
            expected["subject"] = {"reference": patient}
        assert read.json == expected == there[type_, id_], f"{one.name}, seed {SEED}"


def test_nothing_acknowledged_is_lost_and_nothing_refused_comes_back(survived: tuple[Installation, Ledger]) -> None:
    made, ledger = survived
    assert ledger.of("stored")
    assert ledger.of("refused")
    assert ledger.reads, "reads went on meanwhile"
    check_what_is_there(made, ledger)


def test_the_journal_is_whole_and_holds_every_write(survived: tuple[Installation, Ledger], tmp_path: Path) -> None:
    made, ledger = survived
    done = verify(made, tmp_path / "export")
    assert done.returncode == 0, (SEED, done.stdout, done.stderr)
    created = {item for entry in whole_journal(made) if entry.action.value == "object:create" for item in entry.items}
    names = opaque_ids(made, [pair for one in ledger.of("stored") for pair in one.ids])
    missing = [pair for pair, name in names.items() if (pair[0], name, 1) not in created]
    assert not missing, f"seed {SEED}: acknowledged and not journaled: {missing[:5]}"


def test_a_rebuild_from_one_site_finds_the_same(survived: tuple[Installation, Ledger]) -> None:
    """Last: the database is thrown away. What was acknowledged is there, what was refused stays out, no half bundle."""
    made, ledger = survived
    made.hygie("scrub")  # every site first gets what it missed while processes were dying
    made.down()
    shutil.rmtree(made.data / "postgres")
    site = random.Random(f"{SEED}/site").choice(sorted(path.name for path in (made.data / "sites").iterdir()))
    report = made.hygie("rebuild", "--from", site)
    assert report["whole"], (SEED, site, report)
    made.up()
    check_what_is_there(made, ledger)


def test_what_a_killed_supervisor_left_ends_with_the_next_one(survived: tuple[Installation, Ledger]) -> None:
    made, _ = survived
    made.down(how=signal.SIGKILL)
    assert pids(made)["postgres"], "the database outlives its supervisor"
    made.up()
    made.down()
    assert not any(pids(made).values())
