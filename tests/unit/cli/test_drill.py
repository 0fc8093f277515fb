"""What a drill attacked does not stay, however it ends. The drills themselves are run for real in tests/acceptance."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hygie.base.errors import HygieError, NotFoundError
from hygie.cli.commands.drill import PLACE, _on_record


class Ends:
    """A drill that made its place and then ends so."""

    kind = "intrusion"

    def __init__(self, error: BaseException) -> None:
        self.error = error
        self.place: Path | None = None

    async def run(self, _house: Any, _rooms: Any, folder: Path, _drill_id: str) -> bytes:
        self.place = folder / PLACE
        (self.place / "sites").mkdir(parents=True)
        (self.place / "sites" / "pack").write_bytes(b"invented")
        raise self.error


@pytest.mark.parametrize(
    "error", [OSError(28, "disk full"), asyncio.CancelledError(), KeyboardInterrupt(), ValueError(), NotFoundError()]
)
def test_what_was_attacked_is_removed_whatever_ended_the_drill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    """Only an error of ours is an outcome that can be written down; the others leave the intent alone."""
    told: list[str] = []

    @asynccontextmanager
    async def there(*_: object, **__: object) -> AsyncIterator[Any]:
        yield SimpleNamespace(dsns=SimpleNamespace(sealer="", hosting=""), clock=SimpleNamespace(now_ms=lambda: 1))

    async def record(_rooms: object, _action: object, outcome: str, _detail: object) -> None:
        told.append(outcome)

    async def measure(*_: object, **__: object) -> None:
        told.append("measured")

    for name in ("hygie.app.open_house", "hygie.app.opened", "hygie.upkeep.backup_rooms"):
        monkeypatch.setattr(name, there)
    monkeypatch.setattr("hygie.backups.run.record_act", record)
    monkeypatch.setattr("hygie.backups.run.measure", measure)
    drill: Any = Ends(error)
    frame: Any = SimpleNamespace(folder=SimpleNamespace(path=tmp_path))
    with pytest.raises(type(error)):
        asyncio.run(_on_record(frame, drill, keep=False))
    assert drill.place is not None
    assert drill.place.parent.is_dir()
    assert not drill.place.exists()
    assert told == ["intent", *(["unknown", "measured"] if isinstance(error, HygieError) else [])]
