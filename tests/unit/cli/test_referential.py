"""``hygie referential``, as people run it: list, show, import; a version that is there never changes."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from hygie.cli import main as module

DATA = Path(__file__).resolve().parents[2] / "data" / "referentials"
OLDER, NEWER, CATALOG = DATA / "older.yaml", DATA / "newer.yaml", DATA / "catalog.json"


class Line:
    """The command line on one data folder."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.capsys = folder, capsys

    def run(self, *words: str, code: int = 0, lang: str = "en") -> str:
        """What it says, on both outputs."""
        with pytest.raises(SystemExit) as left:
            module.main(["--data", str(self.folder), "--lang", lang, "referential", *words])
        said = self.capsys.readouterr()
        assert left.value.code == code, said.err
        return said.out + said.err

    def json(self, *words: str) -> object:
        return json.loads(self.run(*words, "--json"))


@pytest.fixture
def line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Line:
    return Line(tmp_path / "data", capsys)


def test_the_shipped_ones_are_listed_and_shown_without_an_installation(line: Line) -> None:
    found = line.json("list")
    assert isinstance(found, list)
    assert [one["id"] for one in found] == ["hds@2.0", "hygie-obligations@1", "iso27001@2022", "rgpd@2016-679"]
    assert all(len(one["sha256"]) == 64 for one in found)
    assert "hds@2.0" in line.run("list")
    tree = line.run("show", "hds@2.0", "--tree", lang="fr")
    assert "EXI-05.B.c  Réattribution d'espaces de stockage" in tree
    assert "88" not in tree.split("contenu")[0]
    assert not line.folder.exists()


def test_one_requirement_is_shown_with_its_mappings_and_expected_evidence(line: Line) -> None:
    said = line.run("show", "hds#EXI-15")
    assert "A.5.35" in said
    assert "1095" in said
    french = line.run("show", "hygie-obligations@1#tech-7", lang="fr")
    assert "promesse de la plateforme" in french
    assert "EXI-28" in french
    found = line.json("show", "hds@2.0#EXI-05.B.a")
    assert isinstance(found, dict)
    assert found["activities"] == [1, 2, 3, 4, 5, 6]
    assert found["title"][0] == "Copie sur supports portables"


@pytest.mark.parametrize("asked", ["hds@3.0", "nothing", "hds@2.0#EXI-99", "../x", "\x1b[2J"])
def test_what_is_not_there_is_not_found(line: Line, asked: str) -> None:
    said = line.run("show", asked, code=30)
    assert "HYG-3B" in said
    assert "\x1b" not in said


@pytest.mark.parametrize(
    ("file", "name"),
    [(OLDER, "clinic-basics@2"), (NEWER, "two-frameworks@1"), (CATALOG, "regles-d-un-cabinet@1.0-draft")],
)
def test_an_import_is_kept_privately_and_seen_afterwards(line: Line, file: Path, name: str) -> None:
    assert "nothing is written" in line.run("import", str(file), "--check")
    assert not line.folder.exists()
    assert f"{name} imported." in line.run("import", str(file))
    stored = line.folder / "referentials" / f"{name}.json"
    assert stat.S_IMODE(stored.stat().st_mode) == 0o600
    assert stat.S_IMODE(stored.parent.stat().st_mode) == stat.S_IMODE(line.folder.stat().st_mode) == 0o700
    assert name in line.run("list")
    assert name in line.run("show", name.split("@", maxsplit=1)[0], "--tree", lang="fr")
    assert "identical" in line.run("import", str(file))
    assert "à l'identique" in line.run("import", str(stored), lang="fr")
    assert list(stored.parent.iterdir()) == [stored]


def test_an_import_says_what_it_did_not_take(line: Line) -> None:
    assert "Non repris : questions (1)." in line.run("import", str(OLDER), lang="fr")
    assert "Non repris : liens vers des mesures absentes (1)." in line.run("import", str(CATALOG), lang="fr")
    found = line.json("import", str(CATALOG), "--check")
    assert isinstance(found, dict)
    assert found["left_out"] == {"assessment-objective": 1, "absent_targets": 1}
    assert found["written"] is False


def test_a_version_that_is_there_is_never_replaced(line: Line, tmp_path: Path) -> None:
    line.run("import", str(OLDER))
    stored = line.folder / "referentials" / "clinic-basics@2.json"
    before = stored.read_bytes()
    other = tmp_path / "other.yaml"
    other.write_text(OLDER.read_text().replace("Fermer les portes.", "Ouvrir les portes."))
    said = line.run("import", str(other), code=10)
    assert "HYG-1B1" in said
    assert stored.read_bytes() == before
    other.write_text(other.read_text().replace("version: 2", "version: 3"))
    line.run("import", str(other))
    assert "clinic-basics@2, clinic-basics@3" in line.run("show", "clinic-basics", code=30)
    shipped = tmp_path / "shipped.yaml"
    text = NEWER.read_text().replace("library:two-frameworks", "library:iso27001")
    shipped.write_text(text.replace("version: 1", "version: 2022"))
    assert "HYG-1B1" in line.run("import", str(shipped), code=10)


def test_a_refused_file_leaves_nothing(line: Line, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(OLDER.read_text().replace("req_node:CLINIC:1", "req_node:clinic:9"))
    said = line.run("import", str(bad), code=10, lang="fr")
    assert "HYG-1B0 Référentiel refusé, ligne 52, urn:example:risk:req_node:clinic:1.1 : parent absent" in said
    assert not line.folder.exists()
    assert "HYG-1B0" in line.run("import", str(bad), "--json", code=10)


def test_a_stored_file_that_was_altered_is_told(line: Line) -> None:
    line.run("import", str(OLDER))
    stored = line.folder / "referentials" / "clinic-basics@2.json"
    good = stored.read_bytes()
    for altered in (good[:-1], good + b"\n", good.replace(b'"version":"2"', b'"version":"4"')):
        stored.write_bytes(altered)
        assert "HYG-5B0" in line.run("show", "clinic-basics", code=50)
        assert "HYG-5B0" in line.run("import", str(OLDER), code=50)
    stored.write_bytes(good)
    assert "clinic-basics@2" in line.run("show", "clinic-basics")
