"""Which entries of the journal a dossier shows, and what the journal says that the logs lost. Pure.

Source: docs/formats/dossier.md v1, "Traces" and "Manifest".
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from hashlib import sha256

from hygie.base.actions import Action
from hygie.base.canonical import canonical
from hygie.journal.entry import PLATFORM, Entry
from hygie.journal.errors import JournalTamperedError
from hygie.journal.leaf import CODE_OF_KIND
from hygie.proof.dossier.manifest import Loss

_EVIDENCE = CODE_OF_KIND["evidence"]
_KIND_AT = 4
_TENANT = slice(8, 24)
LOG_OF = {Action.CHECK_RUN: "batches", Action.REGISTER_WRITE: "writes"}


def drawn(indexes: Iterable[int], *, seed: bytes, wanted: int) -> list[int]:
    """The sample: the entries whose digest under the seed is smallest, ascending by index."""
    return sorted(heapq.nsmallest(wanted, indexes, key=lambda one: sha256(seed + one.to_bytes(8, "big")).digest()))


def own_seed(root: bytes, at_ms: int) -> bytes:
    """The seed that nobody chooses: of the tree's root and the date."""
    return sha256(canonical("hygie dossier sample v1", root, at_ms)).digest()


class Shown:
    """Chooses what the journal of a dossier discloses: all evidence of the platform and the sample; and listens.

    at_ms: the date; sample: indexes drawn; declaration: index of the entry that says what was lost, None without one.
    losses: what was heard to be lost, the log being begun again; closed: of the sample, what could not be opened, its
    key being destroyed.
    """

    silent = False

    def __init__(self, at_ms: int, sample: Iterable[int], declaration: int | None = None) -> None:
        self._at_ms = at_ms
        self._sample = frozenset(sample)
        self._declaration = declaration
        self._next = {"batches": 1, "writes": 1}
        self.losses: list[Loss] = []
        self.closed = set(self._sample)

    def may(self, index: int, leaf: bytes) -> bool:
        """See ``journal.export.Chooser``."""
        wanted = index in self._sample or index == self._declaration
        return wanted or (leaf[_KIND_AT] == _EVIDENCE and leaf[_TENANT] == PLATFORM)

    def takes(self, index: int, entry: Entry) -> bool:
        """See ``journal.export.Chooser``."""
        self.closed.discard(index)
        log = LOG_OF.get(entry.action)
        if log is not None and entry.kind == "evidence" and entry.at_ms <= self._at_ms:
            self._hear(index, entry, log)
        return True

    def names(self, log: str, number: int) -> bool:
        """Whether an entry dated up to the date names a number, or a later one."""
        return number < self._next[log]

    def _hear(self, index: int, entry: Entry, log: str) -> None:
        """Numbers that come again: the log was lost from there, and begun again. Raises: JournalTamperedError."""
        try:
            first = int(entry.detail["batch" if log == "batches" else "first"])
            last = first if log == "batches" else int(entry.detail["last"])
        except (KeyError, ValueError) as error:
            raise JournalTamperedError(index=index, reason="it names no evaluation and no write") from error
        if first < self._next[log]:
            self.losses.append(Loss(log, first, self._next[log] - 1, index))
        self._next[log] = last + 1
