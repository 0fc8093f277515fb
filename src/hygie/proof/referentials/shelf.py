"""Référentiels at hand: those of the package, and those imported into the data folder. The one file here that reads and
writes files.

Each imported one is ``referentials/<name>@<version>.json``, canonical JSON, written durably, 0600.
"""

from __future__ import annotations

from pathlib import Path

from hygie.base.errors import HygieError
from hygie.base.files import make_private_folder, write_durably
from hygie.base.layout import DataFolder
from hygie.proof.errors import ReferentialConflictError, ReferentialDamagedError, ReferentialUnknownError
from hygie.proof.referentials.documents import FILE_BYTES_MAX
from hygie.proof.referentials.encoding import canonical_json
from hygie.proof.referentials.importing import read_referential
from hygie.proof.referentials.model import Referential
from hygie.proof.referentials.shipped import SHIPPED, shipped

SUFFIX = ".json"


class Shelf:
    """The référentiels of one installation. Nothing is read before it is asked for."""

    def __init__(self, folder: DataFolder) -> None:
        self._folder = folder

    def ids(self) -> tuple[str, ...]:
        """``name@version`` of each: the package's, then the imported ones, sorted."""
        held = self._folder.referentials
        names = sorted(path.name for path in held.iterdir() if _is_stored(path)) if held.is_dir() else []
        return (*SHIPPED, *(name.removesuffix(SUFFIX) for name in names))

    def find(self, wanted: str) -> Referential:
        """One by ``name@version``, or by its name alone when it is there in one version only.

        Raises: ReferentialUnknownError: none, or several versions; ReferentialDamagedError: the stored file is altered.
        """
        known = self.ids()
        found = [one for one in known if wanted in {one, one.partition("@")[0]}]
        if len(found) != 1:
            raise ReferentialUnknownError(id=wanted if wanted.isprintable() else "?", known=", ".join(found or known))
        return shipped(found[0]) if found[0] in SHIPPED else self._stored(found[0])

    def holds(self, referential: Referential) -> bool:
        """Whether it is there, with this content.

        Raises: ReferentialConflictError: that id is there with other content; ReferentialDamagedError.
        """
        if referential.id not in self.ids():
            return False
        there = self.find(referential.id)
        if there.digest != referential.digest:
            raise ReferentialConflictError(id=referential.id, digest=there.digest)
        return True

    def put(self, referential: Referential) -> bool:
        """Keep a référentiel. Returns: whether it was new; the same content twice is no mistake.

        Raises: as :meth:`holds`; OSError.
        """
        if self.holds(referential):
            return False
        if not self._folder.path.exists():
            make_private_folder(self._folder.path)
        make_private_folder(self._folder.referentials)
        write_durably(self._path(referential.id), canonical_json(referential))
        return True

    def _path(self, one: str) -> Path:
        return self._folder.referentials / f"{one}{SUFFIX}"

    def _stored(self, one: str) -> Referential:
        path = self._path(one)
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
        try:
            found = read_referential(data).referential
        except HygieError as error:
            raise ReferentialDamagedError(file=path.name) from error
        if found.id != one or canonical_json(found) != data:
            raise ReferentialDamagedError(file=path.name)
        return found


def _is_stored(path: Path) -> bool:
    return path.suffix == SUFFIX and "@" in path.name and path.is_file()
