"""Copies of the database taken before an upgrade: what an interrupted one leaves fills no disk and is no copy."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hygie import upgrade
from hygie.base.layout import DataFolder
from hygie.base.settings import default_settings
from hygie.upgrade import FACTS_FILE, CopyFacts, copies_of

FACTS = CopyFacts("1.0", 1_795_435_200_000, {}, 0, 0)
TAKEN = "20261123T120000Z-1.0"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataFolder:
    """A stopped database of two files, and two whole copies of earlier days."""

    async def facts(*_: Any) -> CopyFacts:
        return FACTS

    monkeypatch.setattr(upgrade, "_facts", facts)
    folder = DataFolder.at(tmp_path)
    (folder.postgres / "base").mkdir(parents=True)
    (folder.postgres / "PG_VERSION").write_text("16")
    (folder.postgres / "base" / "1").write_bytes(b"rows")
    for name in ("20260101T000000Z-0.8", "20260201T000000Z-0.9"):
        (folder.upgrades / name / "postgres").mkdir(parents=True)
        (folder.upgrades / name / FACTS_FILE).write_bytes(msgspec.json.encode(FACTS))
    return folder


def copy(folder: DataFolder) -> Path:
    server: Any = None
    return asyncio.run(upgrade._copy(folder, default_settings(), server))


def names(folder: DataFolder) -> list[str]:
    return sorted(path.name for path in folder.upgrades.iterdir())


def test_what_an_interrupted_copy_left_is_removed_and_counts_for_none(folder: DataFolder) -> None:
    for name in ("20260301T000000Z-0.9.unfinished", "20260301T000000Z-0.9", "back.unfinished"):
        (folder.upgrades / name / "postgres").mkdir(parents=True)
    assert copy(folder).name == TAKEN
    assert names(folder) == ["20260201T000000Z-0.9", TAKEN]
    assert [name for name, _ in copies_of(folder.path)] == names(folder)


def test_a_copy_that_does_not_fit_leaves_nothing(folder: DataFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_path: Path) -> None:
        raise OSError(28, "No space left on device")

    before = names(folder)
    monkeypatch.setattr(upgrade, "fsync_folder", full)
    with pytest.raises(OSError, match="No space"):
        copy(folder)
    assert names(folder) == before
