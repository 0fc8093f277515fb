"""The audit of access traces: a sample that nobody chooses, each access of it matched with a right and a reason. Pure.

Source: HDS v2, requirement 16.2: the internal audit programme includes an audit of traces of access to data or systems.
The sample is drawn by the auditor's own words and the ranks of the published entries from an instant to a rank, which
are told with it: so he, or anybody after him, draws the same one again, as long as the keys of these months are kept,
and the host cannot tell beforehand what he will look at.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from hygie.base.canonical import canonical
from hygie.gate.two_persons import DAILY
from hygie.journal.entry import Entry

SEED_MIN, SEED_MAX = 8, 200  # characters of the auditor's own
BREAK_GLASS = "BTG"
LOCAL, SYSTEM = "local:", "system:"

# Why an access is to be explained by somebody, in French and English.
REASONS: Final[Mapping[str, tuple[str, str]]] = {
    "account": ("compte inconnu", "unknown account"),
    "habilitation": ("aucune habilitation vivante à cet instant", "no habilitation that lived at that instant"),
    "purpose": ("aucun motif énoncé", "no purpose was stated"),
    "opening": ("bris de glace sans ouverture", "break-glass without an opening"),
    "review": ("bris de glace non revu", "break-glass that nobody reviewed"),
    "raised": ("acte d'exploitation sans droit levé", "act of operations without a raised right"),
}


@dataclass(frozen=True, slots=True)
class Span:
    """From when until when somebody held something, the end exclusive. environment: where, nothing for the machine's
    people."""

    account: str
    environment: bytes
    from_ms: int
    until_ms: int

    def covers(self, entry: Entry) -> bool:
        """Whether it counted for the account of an entry, at its instant and where it is."""
        here = not self.environment or self.environment == entry.environment_id
        return here and self.account == entry.account and self.from_ms <= entry.at_ms < self.until_ms


@dataclass(frozen=True, slots=True)
class Known:
    """What the platform knows of rights, past ones included.

    accounts: that ever were; rights: when each habilitation lived, by id; raised: rights of operations; openings: of
    records, each with whether somebody reviewed it.
    """

    accounts: Collection[str]
    rights: Mapping[str, Sequence[Span]]
    raised: Sequence[Span] = ()
    openings: Sequence[tuple[Span, bool]] = ()


def draw(ranks: Sequence[int], seed: str, size: int) -> list[int]:
    """The ranks of the sample, smallest first: those whose digest under the seed is lowest."""
    digest = {rank: hashlib.sha256(canonical("hygie trace audit v1", seed, rank)).digest() for rank in ranks}
    return sorted(sorted(ranks, key=digest.__getitem__)[:size])


def to_explain(entry: Entry, known: Known) -> list[str]:
    """Why an access is to be explained, as keys of ``REASONS``; nothing where right and reason are there."""
    if entry.account.startswith(SYSTEM):
        return []  # a program of the platform, which nobody can be: what it does is its own
    if entry.account.startswith(LOCAL):
        daily = entry.action in DAILY  # to look and to prove takes no right raised: nobody has one to show for it
        return [] if daily or any(one.covers(entry) for one in known.raised) else ["raised"]
    if entry.account not in known.accounts:
        return ["account"]
    found = []
    if not any(one.covers(entry) for one in known.rights.get(entry.habilitation, ())):
        found.append("habilitation")
    if entry.kind == "access" and not entry.purpose:
        found.append("purpose")
    if entry.purpose == BREAK_GLASS and entry.kind == "access":
        opened = [reviewed for span, reviewed in known.openings if span.covers(entry)]
        found += ["opening"] if not opened else [] if any(opened) else ["review"]
    return found
