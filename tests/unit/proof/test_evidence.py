"""The log of evidence: chained, journaled, only added, and the same posture for the same instant for ever."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from threading import Thread
from typing import Any

import msgspec
import pytest

from hygie.base.actions import Action
from hygie.database.cluster import Dsns
from hygie.proof import evidence
from hygie.proof.errors import EvidenceTamperedError, NothingKnownError
from hygie.proof.evidence import EvidenceLog
from hygie.proof.model import Evidence, Text, Verdict, same
from hygie.proof.posture import encode_posture, posture_at
from hygie.proof.runs import AFTER_LOSS, Run, check_chain
from hygie.registers.holes import Hole, holes_of
from hygie.registers.orm import bound
from tests.unit.registers.stage import START_MS, Sealing, Stage, staged

MINUTE_MS = 60_000
CADENCE_S = 600.0
CADENCES = {"a.one": CADENCE_S, "a.two": CADENCE_S}
CHECK = {"title": ["un", "one"], "source": "fact:x", "owner": "rssi", "evidence": "measured", "fresh_s": 3_600.0}
NODE = {"parent": "", "title": ["x", "x"], "assessable": True, "standing": "", "applies": True, "why": ["", ""]}
CATALOGUE: dict[str, Any] = {
    "version": "0",
    "referentials": {"r@1": "00"},
    "checks": [{"id": name, "cadence_s": CADENCE_S, **CHECK} for name in CADENCES],
    "controls": [
        {"id": "c1", "title": ["c", "c"], "owner": "rssi", "checks": ["a.one", "a.two"]},
        {"id": "c2", "title": ["c", "c"], "owner": "rssi", "checks": ["a.one"]},
    ],
    "requirements": [
        {"ref": "r@1#1", "id": "1", **NODE, "controls": []},
        {"ref": "r@1#1.1", "id": "1.1", **NODE, "parent": "r@1#1", "controls": ["c1"]},
        {"ref": "r@1#2", "id": "2", **NODE, "controls": ["c2"]},
        {"ref": "r@1#3", "id": "3", **NODE, "controls": []},
        {"ref": "r@1#4", "id": "4", **NODE, "applies": False, "why": ["non", "no"], "controls": ["c1"]},
    ],
}


@pytest.fixture
def stage(database: Dsns) -> Iterator[Stage]:
    with staged(database) as made:
        yield made


@pytest.fixture
def log(stage: Stage) -> EvidenceLog:
    return EvidenceLog(Sealing(), stage.clock, "system:work")


def run(check: str, verdict: Verdict, ran_ms: int, **other: Any) -> Run:
    words: dict[str, Any] = {"why": Text("oui", "yes"), "observed": same("1"), "declared": same("1")}
    return Run(
        check=check,
        verdict=verdict,
        evidence=Evidence.MEASURED,
        at_ms=ran_ms,
        ran_ms=ran_ms,
        fresh_until_ms=ran_ms + 3_600_000,
        **(words | other),
    )


def keep(log: EvidenceLog, ran_ms: int, **verdicts: Verdict) -> Any:
    runs = [run(name.replace("_", "."), verdict, ran_ms) for name, verdict in verdicts.items()]
    return log.add(runs, CATALOGUE, cause="cadence", mode="trial", cadences=CADENCES)


def verdicts(log: EvidenceLog, at_ms: int) -> Mapping[str, str]:
    return {row["id"]: row["verdict"] for row in posture(log, at_ms)["requirements"]}


def posture(log: EvidenceLog, at_ms: int) -> dict[str, Any]:
    return posture_at(log.known(at_ms), at_ms)


def test_nothing_evaluated_is_not_a_posture(log: EvidenceLog) -> None:
    with pytest.raises(NothingKnownError):
        log.known()


def test_a_batch_is_journaled_with_its_digest(stage: Stage, log: EvidenceLog) -> None:
    batch = keep(log, START_MS, a_one=Verdict.SATISFIED, a_two=Verdict.UNSATISFIED)
    (entry,) = stage.journal()
    assert (entry.action, entry.kind, entry.count) == (Action.CHECK_RUN, "evidence", 2)
    assert entry.detail["digest"] == batch.digest.hex()
    assert log.head() == (1, batch.digest)


def test_what_says_nothing_new_is_not_kept_before_its_cadence(stage: Stage, log: EvidenceLog) -> None:
    assert keep(log, START_MS, a_one=Verdict.SATISFIED) is not None
    assert keep(log, START_MS + MINUTE_MS, a_one=Verdict.SATISFIED) is None
    stage.clock.ms += 2 * MINUTE_MS
    assert keep(log, START_MS + 2 * MINUTE_MS, a_one=Verdict.UNSATISFIED) is not None  # another verdict, at once
    assert keep(log, START_MS + 12 * MINUTE_MS, a_one=Verdict.UNSATISFIED) is not None  # the cadence has passed
    since = [one.runs()[0].since_ms for one in log.batches()]
    assert since == [START_MS, START_MS + 2 * MINUTE_MS, START_MS + 2 * MINUTE_MS]


def test_a_requirement_is_judged_from_the_leaves_up(log: EvidenceLog) -> None:
    keep(log, START_MS, a_one=Verdict.SATISFIED, a_two=Verdict.UNSATISFIED)
    assert verdicts(log, START_MS) == {
        "1": "unsatisfied",
        "1.1": "unsatisfied",
        "2": "satisfied",
        "3": "unknown",  # nobody declared a control
        "4": "not_applicable",
    }


def test_a_run_that_is_missed_or_stale_is_unknown_and_a_red_one_stays_red(stage: Stage, log: EvidenceLog) -> None:
    keep(log, START_MS, a_one=Verdict.SATISFIED, a_two=Verdict.UNSATISFIED)
    later = verdicts(log, START_MS + 21 * MINUTE_MS)
    assert (later["2"], later["1.1"]) == ("unknown", "unsatisfied")
    missed = next(one for one in posture(log, START_MS + 21 * MINUTE_MS)["checks"] if one["id"] == "a.one")
    assert missed["missed"]
    assert missed["why"][1] == "A run was missed."


def test_a_past_posture_is_the_same_bytes_whatever_came_after(stage: Stage, log: EvidenceLog) -> None:
    keep(log, START_MS, a_one=Verdict.SATISFIED, a_two=Verdict.SATISFIED)
    then = encode_posture(posture(log, START_MS + MINUTE_MS))
    stage.clock.ms += 30 * MINUTE_MS
    changed = CATALOGUE | {"version": "1", "controls": CATALOGUE["controls"][:1]}
    log.add(
        [run("a.one", Verdict.UNSATISFIED, stage.clock.ms)], changed, cause="command", mode="trial", cadences=CADENCES
    )
    assert encode_posture(posture(log, START_MS + MINUTE_MS)) == then
    assert msgspec.json.decode(then)["version"] == "0"


@pytest.mark.parametrize(
    ("statement", "batch", "reason"),
    [
        ("UPDATE hygie_proof.run SET body = replace(body, 'unsatisfied', 'satisfied') WHERE batch = 2", 2, "altered"),
        ("DELETE FROM hygie_proof.run WHERE batch = 2", 2, "altered"),
        ("DELETE FROM hygie_proof.run WHERE batch = 2; DELETE FROM hygie_proof.batch WHERE seq = 2", 2, "missing"),
        ("UPDATE hygie_proof.batch SET at_ms = at_ms - 1 WHERE seq = 3", 3, "altered"),
        ("UPDATE hygie_proof.batch SET mode = 'production' WHERE seq = 1", 1, "altered"),
        ("UPDATE hygie_proof.run SET verdict = 'satisfied' WHERE batch = 2", 2, "columns"),
        ("UPDATE hygie_proof.run SET check_id = 'a.two' WHERE batch = 3", 3, "columns"),
        ("UPDATE hygie_proof.catalogue SET body = replace(body, 'rssi', 'dpo')", 1, "catalogue"),
        ("UPDATE hygie_proof.head SET seq = 2 WHERE log = 'batches'", 3, "head"),
        ("UPDATE hygie_proof.head SET seq = 4 WHERE log = 'batches'", 4, "missing"),
        ("UPDATE hygie_proof.head SET at_ms = at_ms + 1 WHERE log = 'batches'", 3, "head"),
        ("UPDATE hygie_proof.batch SET count = 2 WHERE seq = 2", 2, "columns"),
        ("UPDATE hygie_proof.run SET place = 7 WHERE batch = 2", 2, "columns"),
        ("UPDATE hygie_proof.catalogue SET at_ms = at_ms - 1", 1, "columns"),
    ],
)
def test_altered_evidence_is_named_at_its_first_bad_batch(
    stage: Stage, log: EvidenceLog, statement: str, batch: int, reason: str
) -> None:
    for turn, verdict in enumerate((Verdict.SATISFIED, Verdict.UNSATISFIED, Verdict.SATISFIED)):
        keep(log, START_MS + turn * MINUTE_MS, a_one=verdict)
    assert check_chain(log.batches()) == log.head() == log.verify()
    stage.spoil(statement)
    with pytest.raises(EvidenceTamperedError) as found:
        log.verify()
    assert found.value.facts == {"batch": batch, "reason": reason}


def lose(stage: Stage, first: int, last: int) -> Hole:
    """Batches that no site holds, as a rebuild leaves them."""
    numbers, end = f"BETWEEN {first} AND {last}", f"SELECT seq, digest FROM hygie_proof.batch WHERE seq = {last}"
    stage.spoil(
        f"INSERT INTO hygie_proof.hole SELECT 'batches', {first}, found.* FROM ({end}) AS found;"
        f" DELETE FROM hygie_proof.run WHERE batch {numbers}; DELETE FROM hygie_proof.batch WHERE seq {numbers}"
    )
    (hole,) = holes_of("batches")
    return hole


def test_what_evidence_said_before_a_loss_says_nothing_after_it(stage: Stage, log: EvidenceLog) -> None:
    for turn, verdict in enumerate((Verdict.SATISFIED, Verdict.UNSATISFIED, Verdict.SATISFIED)):
        keep(log, START_MS + turn * MINUTE_MS, a_one=verdict, a_two=Verdict.SATISFIED)
        stage.clock.ms += MINUTE_MS
    hole = lose(stage, 2, 3)
    now_ms = stage.clock.ms
    found = posture(log, now_ms)
    assert (found["batch"], found["lost"]) == (1, [[2, 3]])
    assert {row["verdict"] for row in found["checks"]} == {"unknown"}  # green in the first one: what followed is lost
    assert found["checks"][0]["why"][1].startswith("Evidence was lost")
    with pytest.raises(EvidenceTamperedError) as undeclared:
        log.verify()
    assert undeclared.value.facts == {"batch": 2, "reason": "missing"}
    assert log.verify([hole]) == log.head() == (3, hole.digest)

    batch = keep(log, now_ms, a_one=Verdict.SATISFIED, a_two=Verdict.SATISFIED)
    assert (batch.seq, batch.cause) == (4, AFTER_LOSS)
    assert [one.since_ms for one in batch.runs()] == [now_ms, now_ms]  # nobody knows of an earlier beginning
    assert keep(log, now_ms + 1, a_one=Verdict.SATISFIED, a_two=Verdict.SATISFIED) is None  # everything was said
    assert log.verify([hole]) == log.head() == (4, batch.digest)
    assert verdicts(log, stage.clock.ms)["2"] == "satisfied"
    assert posture(log, stage.clock.ms)["lost"] == [[2, 3]]  # for ever


def test_a_loss_amid_the_log_is_said_anew_once(stage: Stage, log: EvidenceLog) -> None:
    keep(log, START_MS, a_one=Verdict.SATISFIED, a_two=Verdict.SATISFIED)
    for turn, verdict in enumerate((Verdict.UNSATISFIED, Verdict.SATISFIED), 1):
        keep(log, START_MS + turn * MINUTE_MS, a_one=verdict)
    hole = lose(stage, 2, 2)
    stage.clock.ms += 3 * MINUTE_MS
    assert {row["id"]: row["verdict"] for row in posture(log, stage.clock.ms)["checks"]} == {
        "a.one": "satisfied",
        "a.two": "unknown",  # its only run is from before
    }
    batch = keep(log, stage.clock.ms, a_one=Verdict.SATISFIED, a_two=Verdict.SATISFIED)
    assert (batch.cause, len(batch.runs())) == (AFTER_LOSS, 2)
    assert verdicts(log, stage.clock.ms)["1.1"] == "satisfied"
    assert log.verify([hole]) == log.head()
    assert [one.seq for one in log.batches()] == [1, 3, 4]


def test_an_altered_batch_beside_a_loss_is_still_named(stage: Stage, log: EvidenceLog) -> None:
    for turn in range(4):
        keep(log, START_MS + turn * MINUTE_MS, a_one=(Verdict.SATISFIED, Verdict.UNSATISFIED)[turn % 2])
    hole = lose(stage, 2, 2)
    for wrong in (hole._replace(digest=bytes(32)), hole._replace(last=1), hole._replace(first=3, last=3)):
        with pytest.raises(EvidenceTamperedError):
            log.verify([wrong])
    stage.spoil("DELETE FROM hygie_proof.run WHERE batch = 3; DELETE FROM hygie_proof.batch WHERE seq = 3")
    with pytest.raises(EvidenceTamperedError) as found:
        log.verify([hole])
    assert found.value.facts == {"batch": 3, "reason": "missing"}


def test_an_evaluation_kept_during_a_verification_is_no_fault(
    stage: Stage, log: EvidenceLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(log, START_MS, a_one=Verdict.SATISFIED)

    def meanwhile() -> None:
        with bound(stage.dsns.console):
            keep(log, START_MS + MINUTE_MS, a_one=Verdict.UNSATISFIED)

    def followed(*args: Any, **kwargs: Any) -> tuple[int, bytes]:
        end = check_chain(*args, **kwargs)
        thread = Thread(target=meanwhile)
        thread.start()
        thread.join()
        return end

    monkeypatch.setattr(evidence, "check_chain", followed)
    assert log.verify()[0] == 1
    assert log.head()[0] == 2


def test_a_catalogue_that_is_no_json_any_more_is_named(stage: Stage, log: EvidenceLog) -> None:
    keep(log, START_MS, a_one=Verdict.SATISFIED)
    stage.spoil("UPDATE hygie_proof.catalogue SET body = '{'")
    with pytest.raises(EvidenceTamperedError) as found:
        log.known()
    assert found.value.facts == {"batch": 1, "reason": "catalogue"}
