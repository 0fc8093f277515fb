"""What surveys tell: days left, what is usual, what vanished, which files changed."""

from __future__ import annotations

from importlib.metadata import PathDistribution
from pathlib import Path

import pytest

from hygie.probes.capacity import DAY_MS, DISK, SPAN_MS_MIN, Room, days_left
from hygie.probes.program import altered_packages, changed, digest_of, manifest, shown
from hygie.sites.catch_up import CatchUpReport, SiteCatchUp
from hygie.surveys import Vanished, rate


@pytest.mark.parametrize(
    ("held", "before", "since_ms", "days"),
    [
        (60, 40, DAY_MS, 2),
        (60, 50, DAY_MS, 4),
        (100, 50, DAY_MS, 0),
        (60, 60, DAY_MS, None),
        (60, 70, DAY_MS, None),
        (60, None, DAY_MS, None),
        (60, 40, SPAN_MS_MIN - 1, None),
    ],
)
def test_days_left_follow_what_was_measured(held: int, before: int | None, since_ms: int, days: int | None) -> None:
    assert days_left(held, 100, before, since_ms) == days


def test_a_room_is_told_in_whole_per_cents() -> None:
    told = {"what": "disk", "name": "data", "used": 85, "held": 859, "free": 141}
    assert Room(DISK, "data", 859, 1000).facts({}, 0) == told
    assert Room(DISK, "data", 859, 1000).facts({"data": 800}, DAY_MS) == told | {"days": 2}
    assert Room(DISK, "none", 0, 0).used == 100


def test_a_rate_is_told_against_the_usual() -> None:
    assert rate(500, None) == {"written": 500}
    assert rate(5_000, 400) == {"written": 5_000, "usual": 400, "times": 12}
    assert rate(-3_000, 0) == {"written": 0, "erased": 3_000, "usual": 0, "times": 30}


def test_what_vanished_is_told_apart_from_what_was_just_written() -> None:
    vanished = Vanished()

    def look(expected: int, lacking: int, *, reachable: bool = True, left: int = 0) -> int:
        part = SiteCatchUp(reachable, lacking=lacking, left=["x"] * left)
        return vanished.count(CatchUpReport({"paris": part}, expected))

    assert look(100, 100) == 0  # a first look knows no before
    assert look(110, 10) == 0  # written since
    assert look(115, 9) == 4
    assert look(115, 50, reachable=False, left=50) == 0
    assert look(115, 50) == 0  # it was away
    assert look(115, 3) == 3


def test_changed_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("a")
    (tmp_path / "__pycache__").mkdir()
    before = manifest(tmp_path)
    (tmp_path / "__pycache__" / "a.pyc").write_text("made as it runs")
    assert changed(before, manifest(tmp_path)) == []
    (tmp_path / "a.py").write_text("b")
    (tmp_path / "b.py").write_text("b")
    now = manifest(tmp_path)
    assert changed(before, now) == ["a.py", "b.py"]
    assert digest_of(before) != digest_of(now)
    assert len(shown(["x" * 50] * 30)) <= 200


def test_a_library_is_held_to_its_record(tmp_path: Path) -> None:
    info = tmp_path / "lib-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lib\nVersion: 1\n")
    empty = "sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"
    (info / "RECORD").write_text(f"lib.py,{empty},0\nother.py,{empty},0\nlib.pyc,,\n")
    (tmp_path / "lib.py").touch()
    assert altered_packages([PathDistribution(info)]) == ["other.py"]
    (tmp_path / "other.py").write_text("x")
    assert altered_packages([PathDistribution(info)]) == ["other.py"]
