"""Writes are whole, chained, journaled and only added; what is wrong leaves nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from django.db import ProgrammingError

from hygie.base.actions import Action
from hygie.database.cluster import Dsns
from hygie.database.errors import DatabaseUnavailableError
from hygie.registers.chain import check_chain
from hygie.registers.engine import Asked, Registers
from hygie.registers.errors import (
    FourEyesError,
    PatientNamedError,
    RecordChangedError,
    RecordInvalidError,
    RegisterNotFoundError,
    RegisterTamperedError,
    TransitionRefusedError,
)
from hygie.registers.hooks import Hooks, Proposed
from hygie.registers.models import Record
from hygie.registers.rules import Change
from tests.unit.registers.stage import START_MS, Sealing, Stage, small_schemas, staged

HOUR_MS = 3_600_000


@pytest.fixture
def stage(database: Dsns) -> Iterator[Stage]:
    with staged(database) as made:
        yield made


def maker(name: str = "Acier", **fields: object) -> Change:
    return Change("maker", {"name": name, **fields})


def test_a_record_is_read_back_as_written_and_its_entry_names_it(stage: Stage) -> None:
    (written,) = stage.registers.write([maker(country="FR", activities="4;2;4", amount="12,50")])
    assert (written.key, written.version, written.state) == ("MAK-0001", 1, "draft")
    assert stage.registers.get("maker", "MAK-0001") == written
    assert written.fields == {"name": "Acier", "country": "FR", "activities": [2, 4], "amount": "12.50"}
    (entry,) = stage.journal()
    assert (entry.action, entry.kind, entry.account) == (Action.REGISTER_WRITE, "evidence", "local:anne")
    assert entry.detail["digest"] == written.digest.hex()
    assert "Acier" not in str(entry)


def test_a_version_keeps_what_is_not_given_and_empties_what_is_empty(stage: Stage) -> None:
    stage.registers.write([maker(country="FR", note="a\nb")])
    (second,) = stage.registers.write([Change("maker", {"note": "", "amount": 3}, key="MAK-0001")])
    assert second.fields == {"name": "Acier", "country": "FR", "amount": "3"}
    assert second.version == 2
    assert [one.version for one in stage.registers.history("maker", "MAK-0001")] == [1, 2]


def test_what_changes_nothing_writes_nothing(stage: Stage) -> None:
    stage.registers.write([maker(country="FR")])
    assert stage.registers.write([Change("maker", {"country": "FR"}, key="MAK-0001")]) == []
    assert len(stage.journal()) == 1


def test_a_bad_line_leaves_nothing_of_the_others(stage: Stage) -> None:
    with pytest.raises(RecordInvalidError) as refused:
        stage.registers.write([maker("A"), maker("B"), maker("C", country="France")])
    assert (refused.value.facts["line"], refused.value.facts["field"]) == (3, "country")
    assert "France" not in refused.value.sentence("fr")
    assert not Record.objects.exists()
    assert stage.journal() == []
    assert stage.registers.head()[0] == 0


def test_all_faults_are_told_at_once(stage: Stage) -> None:
    changes = [maker("A", amount="x"), maker("B"), maker(""), Change("maker", {"nom": "C"})]
    assert [(one.facts["line"], one.facts["field"]) for one in stage.registers.faults(changes)] == [
        (1, "amount"),
        (3, "name"),
        (4, "nom"),
    ]


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "Dossier 2 84 05 88 191 025 52"},
        {"name": "284058819102552"},
        {"name": "x", "note": "voir\n2840588191025 52"},
    ],
)
def test_a_patients_number_is_refused_and_never_repeated(stage: Stage, fields: dict[str, object]) -> None:
    with pytest.raises(PatientNamedError) as refused:
        stage.registers.write([Change("maker", fields)])
    assert "284" not in str(refused.value)
    assert not Record.objects.exists()


def test_approval_takes_another_person_and_its_fields(stage: Stage) -> None:
    stage.registers.write([maker()])
    approve = {"key": "MAK-0001", "state": "approved"}
    with pytest.raises(TransitionRefusedError):
        stage.registers.write([Change("maker", {"country": "FR"}, **approve)])
    for self_approver in ("local:anne", "Anne", " anne ", "console:anne", "ＡＮＮＥ"):
        with pytest.raises(FourEyesError):
            stage.registers.write([Change("maker", {"country": "FR"}, **approve, approver=self_approver)])
    with pytest.raises(TransitionRefusedError):  # nobody
        stage.registers.write([Change("maker", {"country": "FR"}, **approve, approver="  ")])
    with pytest.raises(RecordInvalidError) as refused:
        stage.registers.write([Change("maker", {}, **approve, approver="paul")])
    assert refused.value.facts["field"] == "country"
    (done,) = stage.registers.write([Change("maker", {"country": "FR"}, **approve, approver="paul")])
    assert (done.state, done.approver) == ("approved", "paul")
    with pytest.raises(TransitionRefusedError):  # what was approved is not changed by one alone
        stage.registers.write([Change("maker", {"country": "DE"}, key="MAK-0001")])


def test_a_state_that_does_not_follow_is_refused(stage: Stage) -> None:
    stage.registers.write([Change("maker", {"name": "A"}, state="closed")])
    with pytest.raises(TransitionRefusedError):
        stage.registers.write([Change("maker", {}, key="MAK-0001", state="draft")])
    with pytest.raises(TransitionRefusedError):
        stage.registers.write([Change("maker", {}, key="MAK-0001", state="lost")])


def test_nobody_writes_over_a_version_he_has_not_read(stage: Stage) -> None:
    stage.registers.write([maker()])
    stage.registers.write([Change("maker", {"country": "FR"}, key="MAK-0001", version=1)])
    with pytest.raises(RecordChangedError):
        stage.registers.write([Change("maker", {"country": "DE"}, key="MAK-0001", version=1)])


def test_references_name_what_exists_of_before_or_of_the_same_call(stage: Stage) -> None:
    deal = Change("deal", {"number": "2026-7", "maker": "MAK-0001"}, tenant="chu-x")
    with pytest.raises(RecordInvalidError):
        stage.registers.write([deal])
    written = stage.registers.write([maker(), deal])
    assert [one.key for one in written] == ["MAK-0001", "2026-7"]
    with pytest.raises(RecordInvalidError):
        stage.registers.write([Change("deal", {"number": "8", "maker": "MAK-0001"})])  # without its client
    with pytest.raises(RegisterNotFoundError):
        stage.registers.write([Change("nothing", {})])


def test_registers_are_read_as_they_were_known_then(stage: Stage) -> None:
    stage.registers.write([maker("A")])
    stage.clock.ms += HOUR_MS
    stage.registers.write([Change("maker", {"name": "B"}, key="MAK-0001"), maker("C")])
    then = list(stage.registers.current(Asked("maker", at_ms=START_MS)))
    assert [one.fields["name"] for one in then] == ["A"]
    assert [one.fields["name"] for one in stage.registers.current(Asked("maker"))] == ["B", "C"]


def test_a_clock_set_back_never_back_dates(stage: Stage) -> None:
    stage.registers.write([maker("A")])
    stage.clock.ms -= 30 * HOUR_MS
    (second,) = stage.registers.write([maker("B")])
    assert second.at_ms == START_MS


@pytest.mark.parametrize(
    ("statement", "seq", "reason"),
    [
        ("UPDATE hygie_proof.record SET body = replace(body, 'B', 'Z') WHERE seq = 2", 2, "altered"),
        ("UPDATE hygie_proof.record SET at_ms = at_ms - 1 WHERE seq = 2", 2, "altered"),
        ("UPDATE hygie_proof.record SET author = 'local:eve' WHERE seq = 3", 3, "altered"),
        ("DELETE FROM hygie_proof.record WHERE seq = 2", 2, "missing"),
    ],
)
def test_an_altered_log_is_named_at_its_first_bad_write(stage: Stage, statement: str, seq: int, reason: str) -> None:
    for name in "ABC":
        stage.registers.write([maker(name)])
    assert check_chain(stage.registers.log()) == stage.registers.head()
    stage.spoil(statement)
    with pytest.raises(RegisterTamperedError) as found:
        check_chain(stage.registers.log())
    assert found.value.facts == {"seq": seq, "reason": reason}


def test_the_role_of_the_console_only_adds(stage: Stage) -> None:
    stage.registers.write([maker()])
    for attempt in (lambda: Record.objects.update(author="x"), lambda: Record.objects.all().delete()):
        with pytest.raises(ProgrammingError):
            attempt()


def test_many_records_are_one_transaction_and_one_entry(stage: Stage) -> None:
    stage.registers.write([maker(str(number)) for number in range(2_500)])
    assert check_chain(stage.registers.log())[0] == 2_500
    assert [entry.count for entry in stage.journal()] == [2_500]


def test_a_refusal_is_told_in_the_persons_language(stage: Stage) -> None:
    with pytest.raises(RecordInvalidError) as refused:
        stage.registers.write([maker(amount="x")])
    assert refused.value.sentence("fr") == "Ligne 1, champ amount : un nombre est attendu."
    assert refused.value.sentence("en") == "Line 1, field amount: a number is expected."


def test_a_hook_refuses_a_write_whole_and_another_writes_what_follows_from_it(stage: Stage) -> None:
    seen: list[list[str]] = []

    def check(proposed: Proposed) -> None:
        seen.append([one.key for one in proposed.written])
        if any(one.fields["name"] == "bad" for one in proposed.of("maker")):
            raise RecordInvalidError(line=1, field="name", reason_fr="non", reason_en="no")

    def follow(proposed: Proposed) -> list[Change]:
        return [maker(f"after {one.key}") for one in proposed.written]

    registers = Registers(
        Sealing(), stage.clock, "local:anne", small_schemas(), Hooks({"maker": (check,)}, {"maker": (follow,)})
    )
    written = registers.write([maker("good")])
    assert [(one.key, one.fields["name"]) for one in written] == [("MAK-0001", "good"), ("MAK-0002", "after MAK-0001")]
    assert seen == [["MAK-0001", "MAK-0002"]]
    with pytest.raises(RecordInvalidError):
        registers.write([maker("bad")])
    assert len(list(registers.current(Asked("maker")))) == 2


def test_a_server_that_may_only_be_read_is_told_as_away(database: Dsns) -> None:
    """A standby answers reads and refuses writes: the person is told to come back, nothing is kept."""
    from django.db import connection

    def write_and_look() -> None:
        with staged(database) as stage:
            with connection.cursor() as cursor:
                cursor.execute("SET default_transaction_read_only = on")
            assert list(stage.registers.current(Asked("maker"))) == []
            stage.registers.write([maker()])

    with pytest.raises(DatabaseUnavailableError, match="read-only"):
        write_and_look()
    with staged(database) as stage:
        assert stage.registers.head()[0] == 0


def test_an_internal_error_of_the_server_that_is_no_refusal_to_write_is_not_told_as_one(database: Dsns) -> None:
    from django.db import InternalError, connection, transaction

    with pytest.raises(InternalError), staged(database), transaction.atomic(), connection.cursor() as cursor:  # noqa: PT012
        with contextlib.suppress(ProgrammingError):
            cursor.execute("SELECT * FROM nowhere")
        cursor.execute("SELECT 1")


def test_when_a_record_began_does_not_move_with_its_amendments(stage: Stage) -> None:
    stage.registers.write([maker()])
    began = stage.clock.ms
    stage.clock.ms += HOUR_MS
    stage.registers.write([maker("Bois"), Change("maker", {"note": "x"}, key="MAK-0001")])
    assert stage.registers.begun_ms("maker") == {"MAK-0001": began, "MAK-0002": began + HOUR_MS}
    assert stage.registers.begun_ms("deal") == {}
