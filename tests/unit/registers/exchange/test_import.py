"""An import writes all of a file or nothing, tells every fault, and done twice changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hygie.base.actions import Action
from hygie.base.language import set_language
from hygie.database.cluster import Dsns
from hygie.registers.engine import Asked
from hygie.registers.errors import FileRefusedError, ImportRefusedError, RecordInvalidError
from hygie.registers.exchange import importing
from hygie.registers.exchange.exporting import export_file
from hygie.registers.exchange.importing import Imported, Wanted, check_file, import_file
from hygie.registers.hooks import Hooks, Proposed
from hygie.registers.models import Record
from hygie.registers.rules import Change
from hygie.registers.schema import shipped_schemas
from tests.unit.registers.stage import Stage, staged

STAFF = """\
Nom et prénom;Courriel;Employeur;Fonction;Arrivée;Départ;Matricule
Anne Martin;anne@example.fr;Hygie;RSSI;05/01/2026;;0017
Paul Durand;paul@example.fr;Hygie;Exploitant;2026-02-01;;0018
"""
ASIDE = Wanted(mapping={"Matricule": ""})


@pytest.fixture
def stage(database: Dsns) -> Iterator[Stage]:
    set_language("fr")
    with staged(database) as made:
        made.registers.schemas = shipped_schemas()
        yield made


def bring(stage: Stage, folder: Path, text: str, wanted: Wanted = ASIDE, register: str = "person") -> Imported:
    file = folder / "fichier.csv"
    file.write_text(text)
    return import_file(stage.registers, register, file, wanted)


def faults(error: ImportRefusedError) -> list[tuple[object, object]]:
    return [(one.facts["line"], one.facts["field"]) for one in error.faults]


def test_a_file_of_staff_is_written_then_the_same_file_changes_nothing(stage: Stage, tmp_path: Path) -> None:
    assert bring(stage, tmp_path, STAFF) == Imported(2, 0, 0)
    people = list(stage.registers.current(Asked("person")))
    assert [one.fields["starts_on"] for one in people] == ["2026-01-05", "2026-02-01"]
    assert people[0].reason.startswith("import ")
    assert bring(stage, tmp_path, STAFF) == Imported(0, 0, 2)
    assert [(one.action, one.count) for one in stage.journal()] == [(Action.REGISTER_WRITE, 2)]


def test_an_old_file_does_not_bring_back_what_changed_since(stage: Stage, tmp_path: Path) -> None:
    bring(stage, tmp_path, STAFF)
    stage.registers.write([Change("person", {"function": "DPO"}, key="PER-0001")])
    assert bring(stage, tmp_path, STAFF) == Imported(0, 0, 2)
    assert stage.registers.get("person", "PER-0001").fields["function"] == "DPO"


def test_a_field_can_tell_whose_row_it_is(stage: Stage, tmp_path: Path) -> None:
    bring(stage, tmp_path, STAFF)
    wanted = Wanted(mapping={"Matricule": ""}, match="email")
    left = (
        STAFF.replace("2026-02-01;;", "2026-02-01;2026-11-30;") + "Luc Petit;luc@example.fr;X;Support;2026-03-01;;1\n"
    )
    assert bring(stage, tmp_path, left, wanted) == Imported(1, 1, 1)
    assert stage.registers.get("person", "PER-0002").fields["ends_on"] == "2026-11-30"
    assert bring(stage, tmp_path, left, wanted) == Imported(0, 0, 3)
    stage.registers.write([Change("person", {"email": "anne@example.fr"}, key="PER-0003")])
    with pytest.raises(ImportRefusedError) as refused:
        bring(stage, tmp_path, left, wanted)
    assert faults(refused.value) == [(2, "email")]
    with pytest.raises(FileRefusedError):
        bring(stage, tmp_path, STAFF, Wanted(mapping={"Matricule": ""}, match="nothing"))


def test_every_fault_is_told_and_nothing_is_written(stage: Stage, tmp_path: Path) -> None:
    bad = STAFF + (
        "Luc Petit;luc@example;Hygie;Support;2026-03-01;;1\n"
        ";zoe@example.fr;Hygie;Support;2026-03-01;;2\n"
        "Zoé Roux;zoe@example.fr;Hygie;2 84 05 88 191 025 52;31/02/2026;;3\n"
        "Ugo Roy;ugo@example.fr;Hygie;Support;2026-03-01;2026-02-01;4\n"
    )
    with pytest.raises(ImportRefusedError) as refused:
        bring(stage, tmp_path, bad)
    assert faults(refused.value) == [(4, "email"), (5, "name"), (6, "function"), (6, "starts_on"), (7, "ends_on")]
    assert "284" not in str(refused.value)
    assert "luc@example" not in refused.value.sentence("fr")
    assert refused.value.sentence("fr").startswith(
        "Import refusé, rien n'a été écrit. Fautes : 5 ; la première, ligne 4, "
    )
    assert not Record.objects.exists()
    assert stage.journal() == []
    with pytest.raises(ImportRefusedError):
        check_file(stage.registers, "person", tmp_path / "fichier.csv", ASIDE)
    (tmp_path / "fichier.csv").write_text(STAFF)
    assert check_file(stage.registers, "person", tmp_path / "fichier.csv", ASIDE) == 2
    assert not Record.objects.exists()


def test_what_is_not_of_one_field_has_its_line_too(stage: Stage, tmp_path: Path) -> None:
    rows = (
        "key,state,name,employer,function,starts_on,manager\n"
        "PER-0001,gone,A,H,F,2026-01-01,\n"
        "PER-0002,present,B,H,F,2026-01-01,PER-0009\n"
        "PER-0003,left,C,H,F,2026-01-01,PER-0002\n"
        "PER-0002,present,B,H,F,2026-01-01,\n"
    )
    with pytest.raises(ImportRefusedError) as refused:
        bring(stage, tmp_path, rows, Wanted())
    assert faults(refused.value) == [(5, "key")]  # a key said twice: what the file means is not known
    with pytest.raises(ImportRefusedError) as refused:
        bring(stage, tmp_path, rows.rsplit("PER-0002", 1)[0], Wanted())
    assert faults(refused.value) == [(2, "state"), (3, "manager"), (4, "ends_on")]


def test_approved_states_take_an_approver_of_the_whole_file(stage: Stage, tmp_path: Path) -> None:
    rows = (
        "État;Titre;Nature;Version du document;Document;Approuvée le;Prochaine revue\n"
        f"En vigueur;PSSI;Politique;1.0;{'ab' * 32};05/01/2026;05/01/2027\n"
    )
    for approver, field in (("", "state"), ("anne", "approver")):
        with pytest.raises(ImportRefusedError) as refused:
            bring(stage, tmp_path, rows, Wanted(approver=approver), "policy")
        assert faults(refused.value) == [(2, field)]
    assert bring(stage, tmp_path, rows, Wanted(approver="paul", reason="reprise"), "policy") == Imported(1, 0, 0)
    found = stage.registers.get("policy", "POL-0001")
    assert (found.state, found.approver, found.reason) == ("in-force", "paul", "reprise")


def test_an_edited_export_writes_new_versions_unless_somebody_was_quicker(stage: Stage, tmp_path: Path) -> None:
    bring(stage, tmp_path, STAFF)
    file = tmp_path / "personnel.csv"
    export_file(stage.registers, Asked("person"), file)
    assert import_file(stage.registers, "person", file, Wanted()) == Imported(0, 0, 2)
    file.write_text(file.read_text("utf-8-sig").replace("Exploitant", "Astreinte"))
    assert import_file(stage.registers, "person", file, Wanted()) == Imported(0, 1, 1)
    assert import_file(stage.registers, "person", file, Wanted()) == Imported(0, 0, 2)
    stage.registers.write([Change("person", {"function": "DPO"}, key="PER-0002")])
    with pytest.raises(ImportRefusedError) as refused:
        import_file(stage.registers, "person", file, Wanted())
    assert faults(refused.value) == [(3, "version")]


@pytest.mark.parametrize(
    ("headers", "mapping"),
    [
        ("Nom et prénom;Inconnue", {}),
        ("Nom et prénom;Full name", {}),
        ("Nom et prénom;X", {"X": "nothing"}),
        ("Nom et prénom", {"X": "employer"}),
        ("284058819102552;name", {}),
    ],
)
def test_columns_that_mean_nothing_are_refused(
    stage: Stage, tmp_path: Path, headers: str, mapping: dict[str, str]
) -> None:
    with pytest.raises(FileRefusedError) as refused:
        bring(stage, tmp_path, headers + "\nA\n", Wanted(mapping=mapping))
    assert refused.value.facts["line"] == 1
    assert "284058819102552" not in str(refused.value)


def test_a_file_of_another_form_or_too_large_is_refused(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.ods").write_bytes(b"x")
    with pytest.raises(FileRefusedError):
        import_file(stage.registers, "person", tmp_path / "a.ods", Wanted())
    monkeypatch.setattr(importing, "FILE_BYTES_MAX", 10)
    with pytest.raises(FileRefusedError, match="MiB at most"):
        bring(stage, tmp_path, STAFF)


def test_the_same_row_twice_is_a_fault(stage: Stage, tmp_path: Path) -> None:
    with pytest.raises(ImportRefusedError) as refused:
        bring(stage, tmp_path, STAFF + STAFF.splitlines()[1].replace("0017", "0099") + "\n")
    assert faults(refused.value) == [(4, "key")]


def test_a_check_refuses_what_several_records_must_hold_to(stage: Stage, tmp_path: Path) -> None:
    def hold(proposed: Proposed) -> None:
        if len(proposed.of("person")) > 1:
            raise RecordInvalidError(line=1, field="-", reason_fr="une seule personne", reason_en="one person only")

    stage.registers.hooks = Hooks(checks={"person": [hold]})
    (tmp_path / "fichier.csv").write_text(STAFF)
    with pytest.raises(RecordInvalidError, match="one person only"):
        check_file(stage.registers, "person", tmp_path / "fichier.csv", ASIDE)
    with pytest.raises(RecordInvalidError, match="one person only"):
        bring(stage, tmp_path, STAFF)
    (tmp_path / "fichier.csv").write_text("\n".join(STAFF.splitlines()[:2]))
    assert check_file(stage.registers, "person", tmp_path / "fichier.csv", ASIDE) == 1
    assert not Record.objects.exists()
