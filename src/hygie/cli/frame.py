"""What every command receives: the data folder, its settings, and the way to answer."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from hygie.cli.console import Console

if TYPE_CHECKING:
    from hygie.base.layout import DataFolder
    from hygie.base.settings import Settings

ROOT_FOLDER = Path("/var/lib/hygie")


@dataclass(frozen=True, slots=True)
class Frame:
    """One run of the command line.

    data: the data folder as the person gave it; out: where to say things.
    """

    data: Path
    out: Console

    @property
    def folder(self) -> DataFolder:
        """The layout of the data folder."""
        from hygie.base.layout import DataFolder

        return DataFolder.at(self.data)

    def settings(self) -> Settings:
        """The checked settings of this installation.

        Raises: SettingsError: absent or weak; ``hygie init`` writes them.
        """
        from hygie.base.settings import load_settings

        return load_settings(self.folder.path)


def frame_of(context: typer.Context) -> Frame:
    """The frame that the root of the command line prepared."""
    frame = context.find_root().obj
    assert isinstance(frame, Frame)
    return frame


def default_data(environ: Mapping[str, str] | None = None, *, root: bool | None = None) -> Path:
    """``HYGIE_DATA``, or ``/var/lib/hygie`` for root, or the XDG data folder of the person."""
    variables = os.environ if environ is None else environ
    if variables.get("HYGIE_DATA"):
        return Path(variables["HYGIE_DATA"])
    if os.geteuid() == 0 if root is None else root:
        return ROOT_FOLDER
    home = variables.get("XDG_DATA_HOME") or str(Path(variables.get("HOME", "~")) / ".local" / "share")
    return Path(home).expanduser() / "hygie"
