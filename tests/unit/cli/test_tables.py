"""A table is read at any width, and what must be pasted is whole."""

from __future__ import annotations

import pytest

from hygie.cli.tables import laid_out

NAME = "20261124t025130677z-8f2ab422409bf125a428c21d8e5b180c.json"


def shown(columns: list[str], rows: list[list[object]], width: int) -> list[str]:
    return [line for line, _ in laid_out(columns, rows, width)]


def test_columns_line_up_and_empty_ones_are_left_out() -> None:
    assert shown(["nom", "vide", "été"], [["a", "", "x"], ["bcde", "", "yz"]], 40) == [
        "nom   été",
        "a     x",
        "bcde  yz",
    ]


def test_a_text_is_folded_in_its_column() -> None:
    lines = shown(["id", "why"], [["tech-1", "one two three four five six seven eight"]], 34)
    assert lines == ["id      why", "tech-1  one two three four five", "        six seven eight"]


def test_a_name_is_never_cut_but_goes_under_its_row() -> None:
    lines = shown(["n°", "snapshot", "taken", "packs"], [[4, NAME, "2026-11-24 02:51:30", 52]], 60)
    assert lines == ["n°  taken                packs", "4   2026-11-24 02:51:30  52", f"    {NAME}"]


def test_what_does_not_fit_at_all_becomes_blocks() -> None:
    row = ["506fc9e43e8dc1ee", "dossier-patient", "chu-exemple", "", "caregiver"]
    lines = shown(["id", "account", "client", "revoked", "role"], [row, ["x", "y", "", "", "z"]], 30)
    assert lines[:4] == [
        "506fc9e43e8dc1ee",
        "    account  dossier-patient",
        "    client   chu-exemple",
        "    role     caregiver",
    ]
    assert lines[4:] == ["", "x", "    account  y", "    role     z"]


@pytest.mark.parametrize("width", range(20, 130, 7))
def test_nothing_is_lost_at_any_width(width: int) -> None:
    rows: list[list[object]] = [[f"cell-{row}-{column}" * (column + 1) for column in range(5)] for row in range(3)]
    text = "\n".join(shown(["a", "b", "c", "d", "e"], rows, width))
    assert all(str(cell) in text for row in rows for cell in row)


def test_no_row_is_a_table_too() -> None:
    assert shown(["a", "b"], [], 80) == ["a  b"]
