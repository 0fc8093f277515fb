"""Where an export is read from: a folder or a ZIP file. Names come from the format, never from the export's content."""

from __future__ import annotations

import copy
import lzma
import zipfile
import zlib
from pathlib import Path

from hygie.verify.errors import ExportInvalidError

# Whatever reading a ZIP file made to harm raises: bad names, offsets, methods, streams.
_DAMAGED = (OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error, lzma.LZMAError)


class Source:
    """The files of one export."""

    def __init__(self, path: Path) -> None:
        """Open a folder or a ZIP file.

        Raises: ExportInvalidError.
        """
        self._folder = path
        self._prefix = ""
        self._zip: zipfile.ZipFile | None = None
        if not path.is_dir():
            try:
                self._zip = zipfile.ZipFile(path)
            except _DAMAGED as error:
                raise ExportInvalidError(reason="neither a folder nor a ZIP file") from error

    def under(self, prefix: str) -> Source:
        """The same, seen from one of its folders (``journal/``)."""
        seen = copy.copy(self)
        seen._folder, seen._prefix = self._folder / prefix, self._prefix + prefix
        return seen

    def everything(self) -> list[str]:
        """Every file's name, as many times as it is there."""
        if self._zip is not None:
            return [name for name in self._zip.namelist() if not name.endswith("/")]
        return [path.relative_to(self._folder).as_posix() for path in self._folder.rglob("*") if not path.is_dir()]

    def read(self, name: str, *, bytes_max: int) -> bytes:
        """The bytes of one file.

        Raises: ExportInvalidError: absent, or larger than the format allows.
        """
        data = self.read_if_there(name, bytes_max=bytes_max)
        if data is None:
            raise ExportInvalidError(reason=f"{name} is absent")
        return data

    def read_if_there(self, name: str, *, bytes_max: int) -> bytes | None:
        """The same, or None when the file is absent."""
        try:
            path = self._folder / name
            size = path.stat().st_size if self._zip is None else self._zip.getinfo(self._prefix + name).file_size
            if size > bytes_max:
                raise ExportInvalidError(reason=f"{name} is too large")
            return path.read_bytes() if self._zip is None else self._zip.read(self._prefix + name)
        except (KeyError, FileNotFoundError, NotADirectoryError):
            return None
        except _DAMAGED as error:
            raise ExportInvalidError(reason=f"{name} is damaged") from error

    def names(self, prefix: str) -> list[str]:
        """The names of the files directly under a folder of the export (``checkpoints/``)."""
        if self._zip is not None:
            start = len(self._prefix)
            found = [name[start:] for name in self._zip.namelist() if name.startswith(self._prefix + prefix)]
        else:
            folder = self._folder / prefix
            found = [prefix + path.name for path in folder.iterdir()] if folder.is_dir() else []
        return sorted(name for name in found if "/" not in name[len(prefix) :] and name != prefix)
